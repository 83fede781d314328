"""The spectra of a diagnosis as figures: what they show, pixel by pixel where it matters."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phasejax.diagnosis import plot_diagnosis, plot_spectrum
from phasejax.diagnosis._spectral import ClassifiedSpectrum

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
        "Alignment", "Prediction of y from x", "Prediction of x from y"]
    for title, ratio in zip(titled, ("delta_ca", "delta_cp", "delta_cp_reverse"), strict=True):
        assert f"= {saved_diagnosis.estimates[ratio].value:.2f}$" in title
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 5


def test_a_ratio_without_bound_is_written_as_infinity(saved_diagnosis):
    endless = dataclasses.replace(saved_diagnosis.estimates["delta_ca"], value=np.inf)
    found = dataclasses.replace(saved_diagnosis, estimates=saved_diagnosis.estimates | {"delta_ca": endless})
    given = Figure()
    assert plot_diagnosis(found, given) is given
    assert given.axes[0].get_title().endswith(r"= \infty$")
