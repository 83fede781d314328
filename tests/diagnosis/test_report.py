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
from phasejax.diagnosis.report._format import FILTERS, fixed, level, number, percent, readable, signed
from phasejax.diagnosis.report._values import phase_diagram
from phasejax.theory import regime_code

SECTIONS = ["Where these data lie", "How sure that is", "Spectra", "Predicted scores", "What would change the answer",
            "Estimates", "Data and method"]
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


@pytest.fixture(scope="module")
def clear(saved_diagnosis):
    return saved_diagnosis


@pytest.fixture(scope="module")
def undecided(clear):
    """The same with draws on both sides of 1, two warnings and no predicted scores."""
    along = np.linspace(-1, 1, 400)
    draws = clear.draws | {"delta_ca": np.exp(along), "delta_cp": np.exp(-along**3)}
    return dataclasses.replace(clear, draws=draws, predicted_scores=None, probabilities={
        "Neither": 0.004, "CA only": 0.5, "CP only": 0.496, "Both": 0.0}, warnings=("tails are <heavy>.", "second."))


@pytest.fixture(scope="module")
def contrary(clear):
    """The same with scores by which one view alone is better than alignment, and a median of nu that speaks against it.

    Medians are taken one by one; the median of nu above the boundary of alignment makes no likely model.
    """
    scores = clear.predicted_scores
    gains = tuple(dataclasses.replace(gain, high=-0.01) if gain.name == "CA" else gain
                  for gain in scores.gain_over_single)
    return dataclasses.replace(clear, predicted_scores=dataclasses.replace(scores, gain_over_single=gains),
                               estimates=clear.estimates | {"nu": Estimate(0.99, 0.9, 1.0)})


@pytest.fixture(scope="module")
def written(clear, undecided, contrary, tmp_path_factory):
    """Paths of the three reports by name."""
    folder = tmp_path_factory.mktemp("reports")
    reports = {"clear": (clear, {"x": "left.npy"}), "undecided": (undecided, HOSTILE), "contrary": (contrary, None)}
    for name, (found, sources) in reports.items():
        write_report(found, folder / f"{name}.html", sources=sources)
    return {name: folder / f"{name}.html" for name in reports}


@pytest.fixture(scope="module")
def pages(written):
    return {name: Page(path.read_text("utf-8")) for name, path in written.items()}


@pytest.mark.parametrize("name", ["clear", "undecided", "contrary"])
def test_page_is_complete_and_loads_nothing(written, pages, name):
    text, page = written[name].read_text("utf-8"), pages[name]
    for section in SECTIONS:
        assert section in page.text
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in text
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert all(value.startswith("#") for value in page.values("href"))


@pytest.mark.parametrize("name", ["clear", "undecided", "contrary"])
def test_ids_are_unique_and_references_resolve(written, pages, name):
    ids = pages[name].values("id")
    assert len(set(ids)) == len(ids)
    referred = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', written[name].read_text("utf-8"))
    assert len(referred) > 20
    assert {first or second for first, second in referred} <= set(ids)


def test_figures_are_named_for_those_who_cannot_see_them(pages):
    for page, count in ((pages["clear"], 7), (pages["undecided"], 6)):
        assert page.tags.count("svg") == count
        assert page.values("role").count("img") == count
        labels = [value for tag, attribute, value in page.attributes if (tag, attribute) == ("svg", "aria-label")]
        assert len(set(labels)) == count


def test_a_clear_answer_is_stated_with_its_numbers(clear, pages):
    text = pages["clear"].text
    assert clear.regime is Regime.CA_ONLY
    assert f"Regime: {clear.verdict}" in text
    assert "alignment recovers the labelled signal" in text
    assert "left.npy" in text
    for name in PARAMETERS:
        e = clear.estimates[name]
        assert f"{number(e.value)} {number(e.low)} to {number(e.high)}" in text
    assert "Reduced chi-squared " + number(clear.reduced_chi2) in text
    drawn = " ".join(pages["clear"].values("aria-label"))
    for score in clear.predicted_scores.scores:
        assert f"{fixed(score.value)} [{fixed(score.low)}, {fixed(score.high)}]" in drawn
    for change in clear.sensitivity():
        if change.regime:
            assert f"\u00d7 {number(change.factor)} " in text
            assert f"{number(clear.estimates[change.parameter].value * change.factor)} {change.regime.value}" in text


def test_the_regime_is_stated_once_in_the_header(clear, undecided, contrary, written):
    for name, found in (("clear", clear), ("undecided", undecided), ("contrary", contrary)):
        header = written[name].read_text("utf-8").partition("</header>")[0]
        assert header.count(found.verdict) == 1
        assert "(regime" not in header
        assert ("the two differ" in header) == (name == "contrary")


def test_a_recommendation_against_the_regime_says_what_it_follows(contrary, pages):
    assert contrary.objective == contrary.predicted_scores.best_single
    assert contrary.regime is Regime.CA_ONLY
    text = pages["contrary"].text
    assert f"Keep {contrary.objective} alone" in text
    assert "The recommendation follows the predicted scores" in text
    assert "the regime describes the estimated model, and here the two differ." in text


def test_medians_on_the_colour_of_another_regime_are_explained(clear, contrary, pages):
    assert phase_diagram(clear).at_medians is clear.likeliest
    assert "The medians lie" not in pages["clear"].text
    assert phase_diagram(contrary).at_medians is Regime.NEITHER
    assert "The medians lie on the colour of Neither" in pages["contrary"].text


def test_undecided_and_no_predicted_scores_are_said(undecided, pages):
    text = pages["undecided"].text
    assert undecided.regime is None
    assert "Regime: undecided (CA only 0.50, CP only 0.50)" in text
    assert "Undecided means that no regime reaches a probability of 90%" in text
    assert "made without predicted scores" in text
    assert "What limits this answer tails are <heavy>. second." in text


def test_names_of_sources_are_text(written, pages):
    text = written["undecided"].read_text("utf-8")
    for name, source in HOSTILE.items():
        shown = source.replace("\udce9", "\\udce9")
        assert f"Source of {name} {shown}" in pages["undecided"].text
        assert html.escape(shown) in text


def test_boundaries_are_those_of_the_estimated_model(clear):
    # Decaying signals: the weakest one decides, whatever the scale of the views.
    decaying = dataclasses.replace(clear, draws=clear.draws | {"decay": np.full(400, 0.4)})
    assert phase_diagram(decaying).weakest == pytest.approx(0.6)
    for found in (clear, decaying):
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
    nothing = np.full(400, value)
    found = dataclasses.replace(clear, estimates=clear.estimates | infinite, reduced_chi2=value,
                                reverse_probability=np.nan, predicted_scores=None,
                                draws=clear.draws | {"delta_ca": nothing, "kappa": nothing})
    write_report(found, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "The phase diagram cannot be drawn: an estimate is not a finite number." in text
    assert "The plane of the separation ratios cannot be drawn" in text
    assert "Not available: an estimate is not a finite number." in text
    assert ("∞" if value == np.inf else "unknown") in text
    assert "nan" not in text.lower().replace("dominan", "")


def test_some_draws_that_are_not_finite_are_counted(undecided, tmp_path):
    draws = undecided.draws["delta_ca"].copy()
    draws[:7] = np.inf
    found = dataclasses.replace(undecided, draws=undecided.draws | {"delta_ca": draws})
    write_report(found, tmp_path / "report.html")
    assert "7 of 400 draws, with a ratio of 0 or ∞, cannot be shown" in (tmp_path / "report.html").read_text("utf-8")


def test_a_file_that_cannot_be_written_is_one_line(clear, undecided, tmp_path):
    for path in (tmp_path / "missing" / "report.html", tmp_path):
        # What fails is the last step, after the page is complete.
        with pytest.raises(OSError, match="expected a file that can be written, got ") as caught:
            write_report(undecided, path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_numbers_are_rounded_for_reading():
    shown = {1.23456: "1.23", 0.0: "0", 379.4: "379", 1234.0: "1,230", -0.5: "\u22120.500", 0.05: "0.0500",
             9.999: "10.0", 2.5e7: "2.50 \u00d7 10⁷", 3.1e-5: "3.10 \u00d7 10⁻⁵", -np.inf: "\u2212∞"}
    assert {value: number(value) for value in shown} == shown
    assert [percent(p) for p in (0.0, 0.001, 0.5, 0.9999, 1.0)] == ["0%", "< 1%", "50%", "> 99%", "100%"]
    assert [signed(value) for value in (-0.001, 0.001, 0.1, -0.25)] == ["0.00", "0.00", "+0.10", "\u22120.25"]
    assert [level(share) for share in (0.9, 0.57, 0.995)] == ["90%", "57%", "99.5%"]
    assert readable("R2 -0.10 [-0.20, 0.00] of CP y->x, not-2") == "R² \u22120.10 [\u22120.20, 0.00] of CP y→x, not-2"
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
             "o.verdict=document.querySelector('.verdict').innerText</script></body>")
    framed = html.escape(written["clear"].read_text("utf-8").replace("</body>", probe))
    (tmp_path / "page.html").write_text('<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe '
                                        f'style="border:0;width:{width}px;height:1900px" srcdoc="{framed}"></iframe>',
                                        "utf-8")
    dom = browse(tmp_path, "--window-size=1280,2000", f"--screenshot={tmp_path / 'page.png'}", "--dump-dom",
                 (tmp_path / "page.html").as_uri())
    seen, needed, *figures = map(int, re.search(r'data-sizes="([\d ]*)"', dom)[1].split())
    assert seen == width
    assert needed <= seen
    assert len(figures) == 7
    assert all(0.2 * width < figure < width for figure in figures)
    assert f'data-verdict="Regime: {clear.verdict}"' in dom
    # The regimes' colours are painted, inside the frame only.
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    for colour in ((0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00), (0x5B, 0x4B, 0x8A)):
        assert np.all(pixels[:, :width] == colour, axis=2).sum() > 500
    assert (pixels[:, width:] == 255).all()
