"""The HTML report: what it says, that it stands alone, and how a browser shows it."""

import dataclasses
import html
import re
import shutil
import subprocess
from html.parser import HTMLParser

import jax
import numpy as np
import pytest
from PIL import Image

from phasejax import Regime
from phasejax.diagnosis import Estimate, write_report
from phasejax.diagnosis._estimates import PARAMETERS
from phasejax.diagnosis._fair_scores import Draws
from phasejax.diagnosis._uses import SITUATIONS
from phasejax.diagnosis.report._evidence import OF_A_COLUMN
from phasejax.diagnosis.report._fit_values import phase_diagram
from phasejax.diagnosis.report._format import (
    FILTERS,
    MINUS,
    fixed,
    interval,
    level,
    number,
    p_value,
    percent,
    readable,
    sentence,
)
from phasejax.theory import regime_code

SHARED, CONTENT, SCORES = "Is anything shared", "What 2 components keep", "Expected loss"
UNLIMITED, DATA = "With unlimited rows", "Data and method"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no browser installed: expected chromium or google-chrome")
VOID = {"meta", "br", "link", "img", "input", "hr", "path", "use", "rect", "circle", "image", "stop", "line", "polygon"}
HOSTILE = {"x": "<script>alert(1)</script>.npy", '"><img src=x onerror=alert(2)>': "a & b", "y": "caf\udce9.csv"}


class Page(HTMLParser):
    """Text, elements and attributes of a page; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.pieces = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = re.sub(r"\s+", " ", " ".join(self.pieces))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, *pair) for pair in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, *pair) for pair in attrs)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "title"):
            self.pieces.append(data)

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


def with_scores(scores, **values):
    """Scores in which some representations have other values, with draws around them of the same spread."""
    def moved(found, names, draws):
        return {**found, **{name: draws[name] + value - names[name] if found is draws else value
                            for name, value in values.items()}}

    return dataclasses.replace(
        scores, values={source: moved(names, names, None) for source, names in scores.values.items()},
        draws=Draws({source: moved(draws, scores.values[source], draws) for source, draws in scores.draws.of.items()}))


@pytest.fixture(scope="module")
def clear(saved_decision):
    return saved_decision


@pytest.fixture(scope="module")
def undecided(clear):
    """The same with equal scores of both objectives, two regimes as likely, warnings, and a fit that does not hold."""
    scores = with_scores(clear.scores[0], **{"CA": 0.8, "CP both": 0.8, "x and y": 0.9})
    content = dataclasses.replace(clear.content, probabilities=((0.004, 0.5, 0.496, 0.0),))
    return dataclasses.replace(clear, scores=(scores,), content=content, fit=with_chi2(clear.fit, 40.0),
                               warnings=("tails are <heavy>.", "second."))


def with_chi2(fit, value):
    return dataclasses.replace(fit, reduced_chi2=value)


@pytest.fixture(scope="module")
def noise(clear):
    """The same where pairs agree no better than shuffled ones."""
    return dataclasses.replace(clear, shared=dataclasses.replace(clear.shared, views_p=0.4, labels_p=0.4))


@pytest.fixture(scope="module")
def open_width(clear):
    """The same without k, at three widths; prediction is best at the first, alignment at the others."""
    scores = [dataclasses.replace(with_scores(clear.scores[0], **{"CP both": both}), k=k)
              for k, both in ((1, 0.99), (2, 0.7), (4, 0.7))]
    return dataclasses.replace(clear, k=None, scores=tuple(scores))


@pytest.fixture(scope="module")
def written(clear, undecided, noise, open_width, tmp_path_factory):
    """Paths of the reports by name."""
    folder = tmp_path_factory.mktemp("reports")
    reports = {"clear": (clear, {"x": "left.npy"}), "undecided": (undecided, HOSTILE), "noise": (noise, None),
               "open": (open_width, None)}
    for name, (found, sources) in reports.items():
        write_report(found, folder / f"{name}.html", sources=sources)
    return {name: folder / f"{name}.html" for name in reports}


@pytest.fixture(scope="module")
def pages(written):
    return {name: Page(path.read_text("utf-8")) for name, path in written.items()}


def first_screen(written, name):
    """The text of a page's header."""
    return Page(re.search(r"<header>.*</header>", written[name].read_text("utf-8"), re.DOTALL)[0]).text


@pytest.mark.parametrize(("name", "sections"), [
    ("clear", (SHARED, CONTENT, SCORES, UNLIMITED, "What would change it", "Estimates", DATA)),
    ("undecided", (SHARED, CONTENT, SCORES, UNLIMITED, DATA)), ("noise", (SHARED, DATA)),
    ("open", (SHARED, CONTENT, "R² at k =", UNLIMITED, DATA))])
def test_page_is_complete_and_loads_nothing(written, pages, name, sections):
    text, page = written[name].read_text("utf-8"), pages[name]
    for section in sections:
        assert section in page.text
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in text
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert all(value.startswith("#") for value in page.values("href"))


@pytest.mark.parametrize("name", ["clear", "undecided", "noise", "open"])
def test_ids_are_unique_and_references_resolve(written, pages, name):
    ids = pages[name].values("id")
    assert len(set(ids)) == len(ids)
    referred = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', written[name].read_text("utf-8"))
    assert len(referred) > 10
    assert {first or second for first, second in referred} <= set(ids)


def test_figures_are_named_for_those_who_cannot_see_them(pages):
    for name, count in (("clear", 4), ("undecided", 2), ("noise", 1), ("open", 4)):
        page = pages[name]
        assert page.tags.count("svg") == count
        assert page.values("role").count("img") == count
        labels = [value for tag, attribute, value in page.attributes if (tag, attribute) == ("svg", "aria-label")]
        assert len(set(labels)) == count


def test_the_first_screen_answers_by_use(clear, written):
    text = first_screen(written, "clear")
    assert "x and y side by side; as 2 numbers a view: align (CA)." in text
    scores = clear.scores[0]
    assert clear.uses[0].embedding.name == "CA"
    parts = re.split(f"({'|'.join(use.situation for use in clear.uses)})", text)
    lines = dict(zip(parts[1::2], parts[2::2], strict=True))
    for use in clear.uses:
        line = lines[use.situation]
        whole = [scores.best(SITUATIONS[use.situation][0]).name] if use.situation in SITUATIONS else []
        for name in (use.embedding.name, *whole):
            score = scores.score(name)
            assert interval(score) in line
        assert ("sure" if use.embedding.sure else "decided") in line
        if not use.embedding.sure:
            assert readable(use.embedding.needed) in line


def test_scores_stand_with_what_a_wrong_choice_costs(clear, pages):
    scores, text = clear.scores[0], pages["clear"].text
    losses = scores.best(("CA of x", "CP x->y", "joint", "x at k")).expected_loss
    for name, label in (("CP x->y", "CP x→y, encoder of x"), ("joint", "CA and CP x→y, encoder of x")):
        score = scores.score(name)
        sources = " ".join(fixed(scores.values[source][name]) for source in scores.sources)
        assert (f"{label} {interval(score)} {sources} "
                f"{fixed(losses[name])}") in text
    assert losses["CP x->y"] > 0.5


def test_tests_and_content_are_in_words(clear, pages):
    text = pages["clear"].text
    shared = clear.shared
    assert f"{fixed(shared.agreement)}; shuffled pairs give {fixed(shared.shuffled_agreement)}" in text
    assert "Does what they share concern the labels? Yes" in text
    assert clear.regime is Regime.CA_ONLY
    assert "Regime at n = 300: CA only" in text
    assert "Alignment keeps what both views tell about the labels, predicting y from x does not." in text
    for name, share in zip(("CA", "CP x→y", "CP y→x"), clear.content.at(2).values(), strict=True):
        assert f"{name} {interval(share)}" in text


def test_real_label_columns_have_scores_of_their_own(clear, pages):
    columns = clear.scores[0].per_column
    assert len(columns) == 2
    for place, column in enumerate(columns, start=1):
        row = " ".join(fixed(column.score(name).value) for name in OF_A_COLUMN)
        assert f"{place} {row}" in pages["clear"].text


def test_the_theory_is_shown_where_a_model_fits(clear, pages):
    text, fit = pages["clear"].text, clear.fit
    assert f"reduced chi-squared {number(fit.reduced_chi2)}" in text
    assert "left.npy" in text
    for name in PARAMETERS:
        e = fit.estimates[name]
        assert f"{number(e.value)} {number(e.low)} to {number(e.high)}" in text
    for change in fit.sensitivity():
        if change.regime:
            assert f"\u00d7 {number(change.factor)} " in text
            assert f"{number(fit.estimates[change.parameter].value * change.factor)} {change.regime.value}" in text


def test_where_no_model_fits_one_sentence_says_so(undecided, pages):
    text = pages["undecided"].text
    assert "describes these data (reduced chi-squared 40.0" in " ".join(text.split())
    for absent in ("What would change it", "Estimates", "Δ", "By the theory"):
        assert absent not in text
    assert undecided.unlimited_regime is None


def test_nothing_shared_is_the_verdict_without_advice(noise, written, pages):
    header, text = first_screen(written, "noise"), pages["noise"].text
    assert header.index("No shared signal seen: check the pairing") < header.index("agree no better than shuffled")
    for absent in ("align (CA)", "Align (CA)", "side by side", "Regime", "decided", "Δ", SCORES, "k80"):
        assert absent not in text
    drawn = " ".join(pages["noise"].values("aria-label"))
    assert "of single modalities" in drawn
    assert "CA" not in drawn


def test_sharing_that_the_labels_do_not_measure_is_told_from_no_sharing(clear, tmp_path):
    found = dataclasses.replace(clear, shared=dataclasses.replace(clear.shared, labels_p=0.4))
    write_report(found, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "The views share something, but nothing that the labels measure." in text
    assert "check the pairing" not in text
    assert "Align (CA)" not in text


def test_undecided_says_between_what_and_what_would_settle_it(undecided, written, pages):
    assert not undecided.uses[0].embedding.decided
    header, text = first_screen(written, "undecided"), pages["undecided"].text
    assert "align (CA) or predict each view from the other (CP both), undecided." in header
    assert f"Would settle it: {readable(undecided.uses[0].embedding.needed)}" in header
    assert "0.10 below all columns" in header
    loss = undecided.best(("CA", "CP both")).expected_loss["CP both"]
    assert 0 < loss < 0.05  # all columns, 0.1 above both, do not count among embeddings
    assert re.search(rf"CP both ways, both encoders 0\.80\d? \[.{{10,14}}\] 0\.80 0\.80 {fixed(loss)}", text)
    assert undecided.regime is None
    assert "Regime at n = 300: undecided" in text
    assert readable(undecided.content.reason(2)) in text
    assert "What limits this answer tails are <heavy>. second." in text


def test_an_open_width_gives_an_answer_for_each(open_width, written, pages):
    header = first_screen(written, "open")
    assert "the best embedding depends on its width k" in header
    assert re.search(r"k = 1: Predict each view from the other \(CP both\) 0\.9\d+ .*k = 2 to 4: Align \(CA\)", header)
    both = " ".join(fixed(scores.score("CP both").value) for scores in open_width.scores)
    assert f"CP both ways, both encoders {both}" in pages["open"].text


def test_columns_that_the_data_do_not_tell_apart_are_both_named(clear, tmp_path):
    draws = {source: {**of, "y": of["y"] + 0.03 * np.sin(7.0 * np.arange(len(of["y"])))}
             for source, of in clear.scores[0].draws.of.items()}
    close = dataclasses.replace(clear.scores[0], draws=Draws(draws))
    close = with_scores(close, **{"x and y": 0.9, "y": 0.89, "x": 0.5})
    assert not close.best(("x and y", "x", "y")).decided
    write_report(dataclasses.replace(clear, scores=(close,)), tmp_path / "report.html")
    header = first_screen({"close": tmp_path / "report.html"}, "close")
    assert "x and y side by side or y as it is; as 2 numbers" in header


def test_scores_near_chance_are_not_advice(clear, tmp_path):
    low = {name: 0.0 for name in clear.scores[0].values["linear"]}
    write_report(dataclasses.replace(clear, scores=(with_scores(clear.scores[0], **low),)), tmp_path / "report.html")
    header = first_screen({"low": tmp_path / "report.html"}, "low")
    assert header.count("none of these is clearly above chance") == 7
    assert "Nothing predicts these labels clearly above chance." in header
    assert header.count("undecided") == 8  # seven answers and the key
    assert header.count(" decided ") == 1  # the key


def test_a_pilot_has_its_scores_and_what_did_not_train_is_said(clear, tmp_path):
    scores = clear.scores[0]
    trained = {name: 0.5 for name in ("CA", "CA of x", "CA of y", "CP y->x")}
    draws = Draws(scores.draws.of | {"pilot": {name: scores.draws.of["linear"][name] for name in trained}})
    scores = dataclasses.replace(scores, sources=(*scores.sources, "pilot"), diverged=("CP x->y", "joint"),
                                 values=scores.values | {"pilot": trained}, draws=draws)
    write_report(dataclasses.replace(clear, scores=(scores,)), tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "Score linear lifted pilot Expected loss" in text
    assert "The pilot did not train in every fold for CP x→y, joint, which has only the other scores." in text
    score = scores.score("CA of y")
    values = " ".join(fixed(scores.values[source]["CA of y"]) for source in ("linear", "lifted"))
    assert f"CA, encoder of y {interval(score)} {values} 0.50" in text


def test_without_scores_the_regime_is_the_answer(clear, tmp_path):
    write_report(dataclasses.replace(clear, scores=(), fit=None), tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "Regime at n = 300: CA only." in text
    assert "made without scores" in text
    assert UNLIMITED not in text


def test_medians_on_the_colour_of_another_regime_are_explained(clear, tmp_path):
    """Medians are taken one by one; one of nu above the boundary of alignment makes no likely model."""
    fit = dataclasses.replace(clear.fit, estimates=clear.fit.estimates | {"nu": Estimate(0.99, 0.9, 1.0)})
    assert phase_diagram(clear.fit).at_medians is clear.fit.likeliest
    assert phase_diagram(fit).at_medians is Regime.NEITHER
    write_report(dataclasses.replace(clear, fit=fit), tmp_path / "report.html")
    assert "The medians lie on the colour of Neither" in Page((tmp_path / "report.html").read_text("utf-8")).text


def test_names_of_sources_are_text(written, pages):
    text = written["undecided"].read_text("utf-8")
    for name, source in HOSTILE.items():
        shown = source.replace("\udce9", "\\udce9")
        assert f"Source of {name} {shown}" in pages["undecided"].text
        assert html.escape(shown) in text


def test_boundaries_are_those_of_the_estimated_model(clear):
    # Decaying signals: the weakest one decides, whatever the scale of the views.
    fit = clear.fit
    decaying = dataclasses.replace(fit, draws=fit.draws | {"decay": np.full(400, 0.4)})
    assert phase_diagram(decaying).weakest == pytest.approx(0.6)
    for found in (fit, decaying):
        diagram = phase_diagram(found)
        kappa, ca, cp, model = diagram.kappa, diagram.ca, diagram.cp, found.model
        with jax.enable_x64(True):
            for i in (0, 100, 240):
                # Boundaries above 1 are drawn at 1, which no nu below it reaches.
                for nu in np.clip([0.999 * ca[i], 1.001 * ca[i], 0.999 * cp[i], 1.001 * cp[i]], 0, 0.99999):
                    moved = model.replace(kappa=model.kappa / model.kappa[0] * kappa[i], nu=np.full(len(model.nu), nu))
                    assert int(regime_code(moved)) == (nu < ca[i]) + 2 * (nu < cp[i])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_said(clear, tmp_path, value):
    infinite = {name: Estimate(value, 0.0, value) for name in ("delta_ca", "delta_cp", "delta_cp_reverse", "gamma_x")}
    nothing, fit = np.full(400, value), clear.fit
    fit = dataclasses.replace(fit, estimates=fit.estimates | infinite,
                              draws=fit.draws | {"delta_ca": nothing, "kappa": nothing})
    write_report(dataclasses.replace(clear, fit=fit), tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "The phase diagram cannot be drawn: an estimate is not a finite number." in text
    assert "The plane of the separation ratios cannot be drawn" in text
    assert "Not available: an estimate is not a finite number." in text
    assert ("∞" if value == np.inf else "unknown") in text
    assert "nan" not in text.lower().replace("dominan", "")


def test_some_draws_that_are_not_finite_are_counted(clear, tmp_path):
    draws = clear.fit.draws["delta_ca"].copy()
    draws[:7] = np.inf
    fit = dataclasses.replace(clear.fit, draws=clear.fit.draws | {"delta_ca": draws})
    write_report(dataclasses.replace(clear, fit=fit), tmp_path / "report.html")
    assert "7 of 400 draws, with a ratio of 0 or ∞, cannot be shown" in (tmp_path / "report.html").read_text("utf-8")


def test_a_file_that_cannot_be_written_is_one_line(noise, tmp_path):
    for path in (tmp_path / "missing" / "report.html", tmp_path):
        # What fails is the last step, after the page is complete.
        with pytest.raises(OSError, match="expected a file that can be written, got ") as caught:
            write_report(noise, path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_rounded_for_reading():
    shown = {1.23456: "1.23", 0.0: "0", 379.4: "379", 1234.0: "1,230", -0.5: "\u22120.500", 0.05: "0.0500",
             9.999: "10.0", 2.5e7: "2.50 \u00d7 10⁷", 3.1e-5: "3.10 \u00d7 10⁻⁵", -np.inf: "\u2212∞"}
    assert {value: number(value) for value in shown} == shown
    assert [percent(p) for p in (0.0, 0.001, 0.5, 0.9999, 1.0)] == ["0%", "< 1%", "50%", "> 99%", "100%"]
    assert [level(share) for share in (0.9, 0.57, 0.995)] == ["90%", "57%", "99.5%"]
    assert readable("R2 -0.10 [-0.20, 0.00] of CP y->x, not-2") == "R² \u22120.10 [\u22120.20, 0.00] of CP y→x, not-2"
    assert [p_value(value) for value in (0.004, 0.0123, 0.234)] == ["= .004", "= .012", "= .23"]
    assert p_value(0.005, 0.005) == "≤ .005"
    assert [fixed(value) for value in (0.0012, 0.9991, 0, 1)] == ["0.001", "0.999", "0", "1"]
    assert fixed(-0.0004) == f"{MINUS}0.0004"
    assert [sentence(text) for text in ("yes", "x is so.", "x-ray")] == ["Yes.", "x is so.", "X-ray."]
    assert [FILTERS["counted"](count, "pair") for count in (1, 1797)] == ["1 pair", "1,797 pairs"]


def browse(folder, *options):
    """Run the browser without a window; its standard output."""
    return subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                           f"--user-data-dir={folder / 'profile'}", *options], capture_output=True, text=True,
                          timeout=120, check=True).stdout


@NEEDS_BROWSER
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it(clear, written, tmp_path, width):
    # The page runs no script; this copy tells the page around it what its layout came to. It is in a
    # frame because no window is as narrow as a telephone.
    probe = ("<script>const e=document.documentElement,o=parent.document.documentElement.dataset;"
             "o.sizes=[innerWidth,e.scrollWidth,...[...document.querySelectorAll('svg')].map("
             "s=>Math.round(s.getBoundingClientRect().width))].join(' ');"
             "o.answer=document.querySelector('h1').innerText</script></body>")
    framed = html.escape(written["clear"].read_text("utf-8").replace("</body>", probe))
    (tmp_path / "page.html").write_text('<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe '
                                        f'style="border:0;width:{width}px;height:6000px" srcdoc="{framed}"></iframe>',
                                        "utf-8")
    dom = browse(tmp_path, "--window-size=1280,6000", f"--screenshot={tmp_path / 'page.png'}", "--dump-dom",
                 (tmp_path / "page.html").as_uri())
    seen, needed, *figures = map(int, re.search(r'data-sizes="([\d ]*)"', dom)[1].split())
    assert seen == width
    assert needed <= seen
    assert len(figures) == 4
    # On a telephone a figure that would be illegible is wider, and scrolls in its own frame.
    assert all(0.2 * width < figure < max(width, 700) for figure in figures)
    assert 'data-answer="x and y side by side; as 2 numbers a view: align (CA)."' in dom
    # The regimes' colours are painted, inside the frame only.
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    for colour in ((0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00), (0x5B, 0x4B, 0x8A)):
        assert np.all(pixels[:, :width] == colour, axis=2).sum() > 500
    assert (pixels[:, width:] == 255).all()
