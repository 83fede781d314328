"""Alignment imposed with a strength (F26): accuracy and alignment against it, and what predicts the best one."""

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_figs.tables import over_seeds
from phasejax.deep import seed_interval
from phasejax.information import IMPOSED_ALIGNMENT_PRESETS, best_strength, run_imposed_alignment

_METRICS = {  # the biased CKA lies on the unbiased one: rows are many more than columns
    "cka_unbiased": {"label": "CKA, unbiased", "color": "#0072B2", "marker": "o"},
    "mutual_knn": {"label": "mutual kNN (k = 10)", "color": "#D55E00", "marker": "^"},
    "svcca": {"label": "SVCCA", "color": "#009E73", "marker": "D"},
}
_MODALITIES = {"x": "#CC79A7", "y": "#E69F00"}


def compute_strength(preset, parts, report=lambda text: None) -> xr.Dataset:
    """Train the preset's grid; finished parts are kept in the folder `parts`."""
    found = run_imposed_alignment(IMPOSED_ALIGNMENT_PRESETS[preset.experiment], store=parts,
                                  progress=lambda task, done, total: report(f"{task}: {done} of {total}"))
    best = [best_strength(found.accuracy.sel(redundancy=r).mean("modality").transpose("seed", "strength").values,
                          found.strength.values) for r in found.redundancy.values]
    return found.assign(best_strength=(("redundancy", "value"), best,
                                       {"long_name": "best strength and its bootstrap interval", "units": "1"}),
                        value=["estimate", "lower", "upper"])


def tabulate_strength(data: xr.Dataset) -> pd.DataFrame:
    """For each redundancy and strength the gain in accuracy with its interval over seeds, alignment, best strength."""
    accuracy = data.accuracy.mean("modality")
    columns = over_seeds("gain", accuracy - accuracy.isel(strength=0))
    columns |= {str(metric): data.alignment.sel(metric=metric, drop=True).mean("seed") for metric in data.metric.values}
    columns |= {name: data.best_strength.sel(value=value, drop=True) for name, value in
                (("best", "estimate"), ("best_lower", "lower"), ("best_upper", "upper"))}
    return xr.Dataset({"accuracy": accuracy.mean("seed")} | columns).to_dataframe(["redundancy", "strength"])


def draw_strength(data: xr.Dataset) -> Figure:
    """A column for each redundancy: what alignment does to accuracy above, to alignment below."""
    figure = Figure(figsize=(1.2 + 3.3 * data.sizes["redundancy"], 6.6), layout="constrained")
    rows = figure.subplots(2, data.sizes["redundancy"], sharex=True, squeeze=False)
    for column, r in enumerate(data.redundancy.values):
        part = data.sel(redundancy=r)
        upper, lower = rows[:, column]
        best, low, high = part.best_strength.values
        upper.axvspan(low, high, color="0.5", alpha=0.12, linewidth=0)
        upper.axvline(best, color="0.4", linestyle="--", linewidth=1)
        gain = part.accuracy - part.accuracy.isel(strength=0)
        for modality, color in _MODALITIES.items():
            upper.plot(data.strength, gain.sel(modality=modality).mean("seed"), linewidth=1, color=color,
                       label=f"encoder of {modality}")
        mean, low, high = seed_interval(gain.mean("modality").transpose("seed", "strength").values, 0)
        upper.errorbar(data.strength, mean, [mean - low, high - mean], color="black", marker="o", markersize=4,
                       linewidth=1.3, elinewidth=0.8, capsize=2, label="both")
        upper.axhline(0, color="0.5", linewidth=0.8)
        upper.set_title(f"R = {r} of 8 shared")
        for metric, style in _METRICS.items():
            values = part.alignment.sel(metric=metric).transpose("strength", "seed")
            lower.plot(data.strength, values, color=style["color"], linewidth=0.5, alpha=0.5)
            lower.plot(data.strength, values.mean("seed"), markersize=4, linewidth=1.5, **style)
        lower.set(xlabel=r"alignment strength $\lambda$", ylim=(-0.03, 1.03))
    rows[0, 0].set_ylabel("accuracy of unimodal encoders,\nchange from no alignment")
    rows[1, 0].set_ylabel("alignment of the last hidden layers")
    for row in rows:
        row[0].legend(frameon=False, fontsize=8)
    figure.suptitle("above: mean over seeds and 95% interval, best strength (dashed) and its bootstrap interval; "
                    "below: means (thick) and seeds (thin)", fontsize=9)
    return figure
