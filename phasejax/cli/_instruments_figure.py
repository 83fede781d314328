"""The figure of simulated instruments: some objects as both see them, and places in the phase diagram."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from phasejax.instruments import Instrument, StarSurvey, observe
from phasejax.instruments._light_curves import bin_centres
from phasejax.instruments._star_spectra import BANDS
from phasejax.plotting import REGIME_COLOURS, new_figure, paper_style
from phasejax.theory import Regime
from phasejax.theory._label_content import KEPT

if TYPE_CHECKING:
    from phasejax.cli._instruments import InstrumentReport

_OBJECTS, _DRAWN = 4, 400
_EDGE = 60.0  # A
_SHOWN = 5  # changes of parameters
_LINES = ("#0072B2", "#009E73", "#D55E00", "#CC79A7")


def draw_instruments(found: "InstrumentReport", path: Path, kind: str) -> None:
    """Draw what both instruments see of some objects, and where they and their upgrades lie.

    Args:
        found: by the command.
        path: where to save the figure.
        kind: its format, such as "pdf".
    """
    with paper_style():
        figure = new_figure("page", height=2.8)
        panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
        draw_views(found.instrument, found.regime.labels[0], panels[:2])
        _draw_places(found, panels[2])
        figure.savefig(path, format=kind)


def draw_views(instrument: Instrument, label: str, panels: Any) -> None:
    """A few objects over the range of a label, in x and in y, as rows show them.

    Args:
        instrument: simulated.
        label: whose quantiles, or classes, the objects are.
        panels: two axes, for x and for y.
    """
    sample = observe(0, instrument, _DRAWN)
    values = np.asarray(sample.labels[label])
    if instrument.label_classes[label]:
        rows = [int(np.argmax(values == one)) for one in np.unique(values)[:_OBJECTS]]
    else:
        rows = [int(np.argsort(values)[int(share * (_DRAWN - 1))]) for share in np.linspace(0.05, 0.95, _OBJECTS)]
    for row, colour in zip(rows, _LINES, strict=False):
        name = f"{label.replace('_', ' ')} {values[row]:.4g}"
        if isinstance(instrument, StarSurvey):
            _draw_star(instrument, sample, row, panels, colour, name)
        else:
            for ax, view in zip(panels, (sample.x, sample.y), strict=True):
                ax.plot(np.asarray(view)[row], color=colour, linewidth=0.8, label=name)
    panels[0].legend(fontsize="x-small")
    if not isinstance(instrument, StarSurvey):
        for ax, name in zip(panels, "xy", strict=True):
            ax.set(xlabel=f"column of {name}", ylabel="value", title=f"{name}, one row each")


def _draw_star(instrument, sample, row, panels, colour, name):
    wavelength, flux = star_spectrum(instrument, row)
    panels[0].plot(wavelength, flux, color=colour, linewidth=0.5, label=name)
    panels[0].plot(BANDS, np.exp(np.asarray(sample.x)[row, :len(BANDS)]), "o", color=colour, markersize=2)
    panels[0].set(xlabel="wavelength / Å", ylabel="flux over that at 5550 Å", title="spectra, bands as measured")
    panels[1].plot(np.asarray(bin_centres()), np.exp(np.asarray(sample.y)[row]), "o-", color=colour, markersize=2,
                   linewidth=0.5)
    panels[1].set(xscale="log", yscale="log", xlabel="frequency / µHz", ylabel="power / ppm² µHz$^{-1}$",
                  title="light curves")


def star_spectrum(instrument: StarSurvey, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths and noiseless flux, in units of that at 5550 A, of one of the stars that `observe` shows."""
    ends = float(instrument.wavelength_min), float(instrument.wavelength_max)
    inside = min(_EDGE, (ends[1] - ends[0]) / 4)  # the detector's sensitivity ends over some 15 A
    wavelength = np.linspace(ends[0] + inside, ends[1] - inside, 2000)
    objects, _ = jax.random.split(jax.random.key(0))
    flux = instrument.spectra(objects, _DRAWN, jnp.asarray(wavelength), slice(row, row + 1))
    return wavelength, np.asarray(flux)[0]


def _draw_places(found, ax):
    """Contents of CA and CP of the instrument, and those to which upgrades lead."""
    low, high = -0.1, 1.2
    for regime in Regime:
        across = (KEPT, high) if regime in (Regime.CA_ONLY, Regime.BOTH) else (low, KEPT)
        up = (KEPT, high) if regime in (Regime.CP_ONLY, Regime.BOTH) else (low, KEPT)
        ax.fill_between(across, *up, color=REGIME_COLOURS[regime], linewidth=0)
        ax.text(np.mean(across), up[1] - 0.02, regime.value, ha="center", va="top", fontsize="x-small",
                color="white" if regime is Regime.BOTH else "0.2")
    start = found.regime.content
    ax.plot(start["ca"], start["cp"], "o", color="black", markeredgecolor="white", markersize=6, zorder=3,
            label=f"as given, k = {found.regime.k}")
    for one, marker in zip(found.upgrades[:_SHOWN], "sD^vP", strict=False):
        end = one.regime[1].content
        ax.plot([start["ca"], end["ca"]], [start["cp"], end["cp"]], color="0.3", linewidth=0.6)
        ax.plot(end["ca"], end["cp"], marker, color="white", markeredgecolor="black", markersize=5, zorder=3,
                linestyle="none", label=f"{one.parameter.replace('_', ' ')} $\\times$ {one.after / one.before:.2g}")
    ax.legend(fontsize="x-small", loc="lower left")
    ax.set(xlim=(low, high), ylim=(low, high), xlabel="label content of CA", ylabel="label content of CP",
           title=f"{found.regime.regime.value}, and least changes of it")
