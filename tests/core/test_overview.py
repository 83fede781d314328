"""What a notebook shows of results: escaped, small, self-contained, and drawn on the axes that are given."""

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

from phasejax import SpikedModel
from phasejax._core.axes import axes_or_new
from phasejax._core.overview import SHOWN_ROWS, Overview, Shown
from phasejax._core.records import Record
from phasejax.diagnosis import Diagnosis
from phasejax.information import shared_unique_bits
from phasejax.theory import sensitivity
from tests.core.test_records import MODEL, RESULTS, classes_of, decision, heads, label_quality, moments, results

HOSTILE = '<script>alert("x")</script>&amp;\n' + "a" * 5000
VOID = {"progress", "br", "meta"}


class Page(HTMLParser):
    """Whether every tag that opens closes, and the text that is seen."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def page_of(shown):
    html = shown._repr_html_()
    page = Page(html)
    assert not page.open
    assert not {tag for tag, _ in page.tags} & {"script", "img", "link", "iframe"}
    assert not re.search(r"https?:|url\(|@import|src=|href=", html)
    assert not re.search(r"(?<!border-)color: #|background: #", html)  # the theme's own
    return page


@cache
def everything():
    bits = shared_unique_bits(jax.random.key(0), 4)
    return {**results(), "model": MODEL, "bits": bits, "sensitivity": sensitivity(MODEL), "Diagnosis": decision(),
            "MomentDiagnosis": moments()}


def without_draws():
    return Diagnosis.from_dict(replace(decision(), fit=None).to_dict())


@pytest.mark.parametrize("name", [*RESULTS, "model", "bits", "sensitivity", "Diagnosis", "MomentDiagnosis"])
def test_an_overview_is_one_screen_of_html_that_loads_nothing(name):
    page = page_of(everything()[name])
    rows = [place for place, (tag, _) in enumerate(page.tags) if tag == "tr"]
    hidden = [place for place, (tag, _) in enumerate(page.tags) if tag == "details"]
    seen = [place for place in rows if not hidden or place < hidden[0]]
    assert len(seen) <= 1 + SHOWN_ROWS + 8  # the table and the lines below it
    assert len(rows) <= 40


def test_every_result_and_model_says_what_is_to_be_seen():
    shown = {type(one) for one in everything().values()}
    left = {one for one in classes_of(Shown) if one.__module__.startswith("phasejax.")} - shown - {Record}
    assert {one.__name__ for one in left} == {"SpectralDiagnosis"}  # in the tests of plots


def test_texts_are_escaped_and_cut_and_the_rest_is_folded():
    overview = Overview(kind=HOSTILE[:30], answer=HOSTILE, columns=("a", HOSTILE), rows=[[HOSTILE, HOSTILE]] * 20,
                        facts={HOSTILE[:40]: HOSTILE}, note=HOSTILE, warnings=(HOSTILE,) * 5, best=frozenset([1]))
    html = overview.html()
    page = Page(html)
    assert "<script" not in html
    assert len(html) < 30_000
    assert html.count("alert(&#34;x&#34;)") >= 40
    assert [tag for tag, _ in page.tags].count("details") == 2
    assert ("tr", {"class": "pj-best"}) in page.tags
    assert "7 more" in page.text
    assert "3 more warnings" in page.text


def test_names_of_classes_and_targets_are_escaped():
    assert "a&lt;b&gt; 30" in results()["Inspection 7"]._repr_html_()
    assert "type &lt;1&gt;: R2" in heads()._repr_html_()
    assert "half &lt;b&gt;" in label_quality()._repr_html_()


def test_a_diagnosis_has_one_verdict_and_the_scores():
    text = " ".join(page_of(decision()).text)
    assert "align (CA), 0.941 (decided)" in text
    assert "0.941 [0.933, 0.949]" in text  # as its summary has it
    assert text.count("(decided)") == 1 + sum("(decided)" in use.text for use in decision().uses[:-1])
    assert "saved without draws" in " ".join(page_of(without_draws()).text)  # no choices, but no error either


def test_a_model_says_its_regime_and_writes_equal_numbers_once():
    model = SpikedModel.create([3.0, 2.0, 1.5], nu=0.6, gamma_x=0.5, gamma_y=0.05, nuisance_y=50.0, d=20)
    text = " ".join(page_of(model).text)
    assert "CA only: 3 signals, d_x = 20, d_y = 20" in text
    assert "0.600 (17 times)" in text
    assert "CA 1.49, CP x→y 0.320" in text


def test_traced_and_batched_models_are_shown_too():
    pages = []

    def traced(nu):
        pages.append(" ".join(page_of(MODEL.replace(nu=nu)).text))
        return nu

    jax.eval_shape(traced, 0.3)
    batched = jax.vmap(lambda nu: MODEL.replace(nu=nu))(jnp.array([0.1, 0.2]))
    pages.append(" ".join(page_of(batched).text))
    for page, shape in zip(pages, ("shape (3,)", "shape (2, 3)"), strict=True):
        assert shape in page
        assert "Both" not in page
    assert sensitivity(SpikedModel.create([1.0], nu=0.0, d=3))._repr_html_()  # ratios that are infinite


@pytest.fixture(scope="module")
def plots():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matplotlib, "rcParams", matplotlib.rcParams.copy())
        matplotlib.use("agg")
        from matplotlib import pyplot as plt

        yield plt
        plt.close("all")


@pytest.mark.parametrize(("name", "options"), [
    ("Choice 0", {}), ("SimilarityTable 1", {}), ("Plan 2", {}), ("LabelQuality 5", {}),
    ("LabelQuality 5", {"by": "pairs"}), ("TrainedHeads 6", {"target": "type <1>"}), ("InstrumentSensitivity 9", {}),
    ("Diagnosis", {}), ("Diagnosis", {"what": "content"}), ("MomentDiagnosis", {"spectrum": "cp"})])
def test_results_draw_themselves_on_given_axes_and_on_new_ones(plots, name, options):
    found = everything()[name]
    figure, (left, right) = plots.subplots(1, 2)
    assert found.plot(left, **options) is left
    assert left.has_data()
    assert not right.has_data()
    count = len(plots.get_fignums())
    alone = found.plot(**options)
    assert len(plots.get_fignums()) == count + 1
    assert alone.figure is not figure
    assert [one.get_text() for one in alone.get_yticklabels()] == [one.get_text() for one in left.get_yticklabels()]
    plots.close("all")


def test_what_cannot_be_drawn_is_said_in_one_line(plots):
    for found, options, said in (
            (heads(), {"target": "age"}, "target: expected one of type <1>, got age"),
            (label_quality(), {"by": "ridge"}, "by: expected one of noise, pairs, got ridge"),
            (decision(), {"what": "all"}, "what: expected"), (moments(), {"spectrum": "x"}, "spectrum: expected"),
            (without_draws(), {}, "draws: expected a diagnosis that was saved")):
        with pytest.raises(ValueError, match=f"^{said}"):
            found.plot(**options)
    with pytest.raises(ValueError, match=r"^ax: expected axes of matplotlib or None, got ndarray$"):
        axes_or_new(np.array([1.0]))
    assert not plots.get_fignums()


def test_tables_have_a_row_for_each_thing():
    choice, slopes, planned = (results()[name] for name in ("Choice 0", "InstrumentSensitivity 9", "Plan 2"))
    table = choice.to_frame().set_index("name")
    assert list(table.index) == list(choice.among)
    assert table.score["CA"] == choice.scores["CA"]
    assert list(table.index[table.chosen]) == [choice.name]
    assert slopes.to_frame().set_index("parameter").log_delta_ca.to_dict() == slopes.elasticities["ca"]
    curve = planned.to_frame()
    np.testing.assert_array_equal(curve.probability, planned.probabilities)
    np.testing.assert_array_equal(curve["content CA"], planned.expected["CA"])
    ratios = sensitivity(MODEL)
    assert ratios.to_frame().set_index("parameter").ca["nu"] == float(ratios.fields["ca"]["nu"])
    assert list(heads().to_frame().objective) == ["CP x->y", "x"]


def test_results_without_a_table_of_their_own_are_a_row():
    regime, parts = results()["InstrumentRegime 8"], results()["EstimatedPartialInformation 12"]
    (row,) = regime.to_frame().to_dict("records")
    assert row == {"regime": "CA only", "k": 2, "labels": "log_g", "content_ca": 1.0, "content_cp": 0.06,
                   "content_cp_reverse": 0.3, "delta_ca": 1.8, "delta_cp": np.inf, "delta_cp_reverse": 0.2,
                   "shared": 0.5}
    assert parts.to_frame().loc[0, "chance_unique_x"] == parts.chance.unique_x
    upgrade = results()["Upgrade 10"].to_frame()
    assert list(upgrade.noise) == [1.0, 2.0]
    assert list(upgrade.regime) == ["CA only", "Both"]
    for found in results().values():
        assert len(found.to_frame()) >= 1
