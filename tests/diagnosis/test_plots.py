"""Figures of a diagnosis, scores, label content and spectra: what they show, pixel by pixel where it matters."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from phasejax._core.digits import significant, with_interval
from phasejax.diagnosis import plot_diagnosis, plot_spectrum
from phasejax.diagnosis._spectral import ClassifiedSpectrum
from phasejax.diagnosis._uses import SITUATIONS
from phasejax.diagnosis._view_words import view_words

# Signal below nuisance: the third component predicts the labels, the second does not.
MIXED = ClassifiedSpectrum(values=np.array([0.9, 0.7, 0.4, 0.2]), r2=np.array([0.8, 0.0, 0.5, 0.1]),
                           is_signal=np.array([True, False, True, False]))


def rendered(spectrum):
    """The axes of a spectrum's plot, those of R^2, and its pixels from 0 to 1."""
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    twin = plot_spectrum(ax, spectrum, "r")
    canvas.draw()
    return ax, twin, np.asarray(canvas.buffer_rgba())[..., :3] / 255


@pytest.mark.parametrize("name", ["mixed", "ca", "cp", "cp_reverse"])
def test_values_are_bars_and_the_signal_is_shaded(saved_diagnosis, name):
    spectrum = MIXED if name == "mixed" else getattr(saved_diagnosis, name)
    ax, twin, pixels = rendered(spectrum)
    np.testing.assert_allclose([bar.get_height() for bar in ax.containers[0]], spectrum.values)
    np.testing.assert_allclose(twin.lines[0].get_ydata(), spectrum.r2)
    assert ax.lines[0].get_ydata()[0] == spectrum.largest_nuisance
    top = ax.get_ylim()[1] * 0.99
    for i, is_signal in enumerate(spectrum.is_signal, start=1):
        column, row = ax.transData.transform((i - 0.45, top)).astype(int)
        shaded = pixels[len(pixels) - 1 - row, column].min() < 0.97
        assert shaded == is_signal, i


def test_ticks_are_whole_components():
    ax, _, _ = rendered(MIXED)
    ticks = ax.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))
    assert {1, 2, 3, 4} <= set(ticks)


def test_without_nuisance_there_is_no_line_for_its_largest_value():
    ax, _, _ = rendered(dataclasses.replace(MIXED, is_signal=np.ones(4, bool)))
    assert not ax.lines


def test_a_diagnosis_is_three_spectra_under_its_regime(saved_diagnosis):
    figure = plot_diagnosis(saved_diagnosis)
    assert figure.get_suptitle().startswith(f"Regime: {saved_diagnosis.verdict} ")
    titled = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert [title.partition(":")[0] for title in titled] == [
        "Alignment", "Prediction of y", "Prediction of x"]
    for title, ratio in zip(titled, ("delta_ca", "delta_cp", "delta_cp_reverse"), strict=True):
        assert f"= {significant(saved_diagnosis.estimates[ratio].value)}$" in title
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 5


def test_a_ratio_without_bound_is_written_as_infinity(saved_diagnosis):
    endless = dataclasses.replace(saved_diagnosis.estimates["delta_ca"], value=np.inf)
    found = dataclasses.replace(saved_diagnosis, estimates=saved_diagnosis.estimates | {"delta_ca": endless})
    given = Figure()
    assert plot_diagnosis(found, given) is given
    assert given.axes[0].get_title().endswith(r"= \infty$")


def drawn(found):
    """All texts of a diagnosis's figure, and its axes."""
    figure = plot_diagnosis(found)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text.get_text() for text in figure.findobj(Text)]
    return figure.get_suptitle(), texts, figure.axes


def test_a_decision_is_scores_and_label_content(saved_decision):
    title, texts, axes = drawn(saved_decision)
    assert title.replace("\n", " ") == saved_decision.verdict.replace("R2", "R²")
    scores, content = saved_decision.scores[0], saved_decision.content
    for name, words in view_words(saved_decision).labels.items():
        score = scores.score(name)
        assert words in texts
        shown = with_interval(score.value, score.low, score.high).replace("-", "\u2212")
        assert shown in texts
        lines = [line for ax in axes for line in ax.lines if list(line.get_xdata()) == [score.low, score.high]]
        assert len(lines) == 1, name
    points = {line.get_label(): line for ax in axes for line in ax.lines}
    np.testing.assert_allclose(points["CP x→y"].get_ydata(), [e.value for e in content.cp])
    np.testing.assert_allclose(points["CA"].get_ydata(), [e.value for e in content.ca])


def test_the_best_embedding_of_a_situation_is_bold(saved_decision):
    figure = plot_diagnosis(saved_decision)
    bold = [text.get_text() for text in figure.axes[-1].texts + figure.axes[0].texts if text.get_weight() == "bold"]
    scores = saved_decision.scores[0]
    best = [scores.score(scores.best(names).name) for _, names in SITUATIONS.values()]
    assert [text for text in bold if "[" in text] == [with_interval(s.value, s.low, s.high) for s in best]


def test_scores_at_several_widths_are_curves(saved_decision):
    scores = saved_decision.scores[0]
    widths = tuple(dataclasses.replace(scores, k=k) for k in (1, 2, 4, 8))
    _, texts, axes = drawn(dataclasses.replace(saved_decision, k=None, scores=widths))
    curves = [line for ax in axes for line in ax.lines if line.get_label() == "CA and CP x→y, encoder of x"]
    assert len(curves) == 1
    np.testing.assert_array_equal(curves[0].get_xdata(), [1, 2, 4, 8])
    np.testing.assert_allclose(curves[0].get_ydata(), scores.score("joint").value)
    for situation in SITUATIONS:
        assert f"{situation}: R²" in texts


def test_where_nothing_is_shared_only_the_columns_are_drawn(saved_decision):
    shared = dataclasses.replace(saved_decision.shared, views_p=0.5, labels_p=0.5)
    title, texts, axes = drawn(dataclasses.replace(saved_decision, shared=shared))
    assert title.startswith("no shared signal seen")
    assert len(axes) == 1
    assert {text for text in texts if text in view_words(saved_decision).labels.values()} == {
        "x, all columns", "y, all columns", "x and y, all columns"}


def test_without_scores_there_is_content_alone(saved_decision):
    _, texts, axes = drawn(dataclasses.replace(saved_decision, scores=()))
    assert len(axes) == 1
    assert "label content s(k)" in texts
