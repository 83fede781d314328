"""Alignment imposed with a strength (F26): accuracy and alignment against it, and what predicts the best one."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phasejax.deep.probes import seed_interval
from phasejax.information.strength import STRENGTH_PRESETS, best_strength, run_strength

_METRICS = {
    "cka": {"label": "CKA", "color": "#0072B2", "marker": "o"},
    "cka_unbiased": {"label": "CKA, unbiased", "color": "#56B4E9", "marker": "s"},
    "mutual_knn": {"label": "mutual kNN (k = 10)", "color": "#D55E00", "marker": "^"},
    "svcca": {"label": "SVCCA", "color": "#009E73", "marker": "D"},
}
_LEVEL = 0.95


def compute_strength(preset, parts, report=lambda text: None) -> xr.Dataset:
    """Train the preset's grid; finished parts are kept in the folder `parts`."""
    found = run_strength(STRENGTH_PRESETS[preset.experiment], folder=parts, report=report)
    best = [best_strength(found.accuracy.sel(redundancy=r).mean("modality").transpose("seed", "strength").values,
                          found.strength.values) for r in found.redundancy.values]
    return found.assign(best_strength=(("redundancy", "value"), best,
                                       {"long_name": "best strength and its bootstrap interval", "units": "1"}),
                        value=["estimate", "lower", "upper"])


def draw_strength(data: xr.Dataset) -> Figure:
    """A column for each redundancy: accuracy with its gain's interval above, alignment below."""
    figure = Figure(figsize=(1.2 + 3.1 * data.sizes["redundancy"], 6.2), layout="constrained")
    rows = figure.subplots(2, data.sizes["redundancy"], sharex=True, sharey="row", squeeze=False)
    for column, r in enumerate(data.redundancy.values):
        part = data.sel(redundancy=r)
        upper, lower = rows[:, column]
        low, high = part.best_strength.values[1:]
        upper.axvspan(low, high, color="0.5", alpha=0.15, linewidth=0)
        upper.axvline(float(part.best_strength[0]), color="0.5", linestyle="--", linewidth=1)
        gain = part.accuracy.mean("modality") - part.accuracy.mean("modality").isel(strength=0)
        _band(upper, data.strength, gain, color="black", marker="o", label="both, mean")
        for modality, style in (("x", {"color": "#CC79A7"}), ("y", {"color": "#E69F00"})):
            one = part.accuracy.sel(modality=modality)
            upper.plot(data.strength, (one - one.isel(strength=0)).mean("seed"), linewidth=1, label=modality, **style)
        upper.axhline(0, color="0.5", linewidth=0.8)
        upper.set_title(f"R = {r}")
        for metric, style in _METRICS.items():
            _band(lower, data.strength, part.alignment.sel(metric=metric), **style)
        lower.set_xlabel(r"alignment strength $\lambda$")
    rows[0, 0].set_ylabel("accuracy of unimodal encoders,\nchange from no alignment")
    rows[1, 0].set_ylabel("alignment of the hidden layers")
    rows[0, 0].legend(frameon=False, fontsize=8)
    rows[1, 0].legend(frameon=False, fontsize=8)
    figure.suptitle("mean over seeds and 95% interval; dashed: best strength, shaded: its bootstrap interval",
                    fontsize=9)
    return figure


def _band(ax, x, values, **style):
    """Mean over seeds, with its interval where there are several seeds."""
    mean, low, high = seed_interval(values.values, values.get_axis_num("seed"), _LEVEL)
    ax.plot(x, mean, markersize=4, linewidth=1.3, **style)
    if np.isfinite(low).all():
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
