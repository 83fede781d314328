"""Alignment that emerges without being trained for (T25), and whether it is a sign of accuracy."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe, over_seeds
from phasejax._core.progress import ProgressCallback
from phasejax.deep import seed_interval
from phasejax.information import EMERGENT_ALIGNMENT_PRESETS, correlation_with_accuracy, run_emergent_alignment
from phasejax.plotting import new_figure

_METRIC_STYLES: dict[str, dict[str, Any]] = {
    "cka_unbiased": {"label": "CKA, unbiased", "color": "#0072B2", "marker": "o"},
    "mutual_knn": {"label": "mutual kNN", "color": "#D55E00", "marker": "^"},
}


def compute_emergence(preset: Preset, *, store: Path, progress: ProgressCallback,
                      executor: str | None = None) -> xr.Dataset:
    """Train the preset's grid, and correlate alignment with accuracy over the depths of y's encoder."""
    found = run_emergent_alignment(EMERGENT_ALIGNMENT_PRESETS[preset.experiment], store=store, executor=executor,
                                   progress=progress)
    correlation = correlation_with_accuracy(found)
    correlation.attrs = {"long_name": "correlation of alignment with accuracy over depths of y's encoder", "units": "1"}
    return found.assign(correlation=correlation, uniqueness=8 - found.redundancy)


def tabulate_emergence(data: xr.Dataset) -> pd.DataFrame:
    """Correlation of alignment with accuracy for each metric and redundancy: mean over seeds and its interval."""
    columns = over_seeds("correlation", data.correlation.mean("transform_depth"))
    return xr.Dataset(columns).to_dataframe(["metric", "redundancy"])


def draw_emergence(data: xr.Dataset) -> Figure:
    """Heat maps of alignment and of accuracy over disguise and depth for each redundancy; below, their correlation."""
    columns = data.sizes["redundancy"]
    figure = new_figure(height=5.8)
    grid = figure.add_gridspec(3, columns, height_ratios=[1, 1, 1.3])
    alignment = data.alignment.sel(metric="cka_unbiased").mean("seed")
    for row, (values, label) in enumerate([(alignment, "alignment (CKA, unbiased)"),
                                           (data.accuracy_y.mean("seed"), "accuracy of y's encoder")]):
        axes = [figure.add_subplot(grid[row, column]) for column in range(columns)]
        for ax, r in zip(axes, data.redundancy.values, strict=True):
            image = ax.imshow(values.sel(redundancy=r).transpose("depth", "transform_depth"), origin="lower",
                              aspect="auto", cmap="viridis", vmin=float(values.min()), vmax=float(values.max()))
            ax.set_xticks(range(data.sizes["transform_depth"]), data.transform_depth.values)
            ax.set_yticks(range(data.sizes["depth"]), data.depth.values)
            ax.set_title(f"R = {r}")
            if row == 1 and r == data.redundancy.values[columns // 2]:
                ax.set_xlabel("depth of the disguise")
        axes[0].set_ylabel("depth of y's encoder")
        figure.colorbar(image, ax=axes, label=label, shrink=0.9)
    ax = figure.add_subplot(grid[2, :])
    for metric, style in _METRIC_STYLES.items():
        # The interval is over seeds: the correlations of a seed are averaged over disguises first.
        values = data.correlation.sel(metric=metric).mean("transform_depth").transpose("seed", "redundancy")
        mean, low, high = seed_interval(values.values, 0)
        ax.plot(data.uniqueness, mean, **style)
        if np.isfinite(low).all():
            ax.fill_between(data.uniqueness, *np.clip((low, high), -1, 1), color=style["color"], alpha=0.15,
                            linewidth=0)
        points = data.correlation.sel(metric=metric).transpose("redundancy", ...).values
        ax.plot(data.uniqueness, points.reshape(columns, -1), linestyle="", marker=style["marker"], markersize=2,
                alpha=0.35, color=style["color"], markeredgewidth=0)
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set(xlabel="uniqueness, 8 - R", ylabel="correlation of alignment\nwith accuracy over depths", ylim=(-1.05, 1.05))
    ax.legend(title="mean over seeds and 95% interval;\ndots: single seeds and disguises")
    return figure


FIGURES = {
    "emergence": Recipe(
        "alignment that emerges, against redundancy, disguise and depth (T25)",
        "Means over {of_seeds} of the alignment of unimodal encoders that were trained without it "
        "(above) and of the accuracy of y's encoder (middle), over the depths of the disguise and of the "
        "encoder; a column for each number R of shared bits. Below: correlation of alignment with "
        "accuracy over depths, mean over seeds with its 95% interval (t distribution); dots: single seeds "
        "and disguises.",
        compute_emergence, draw_emergence, tabulate=tabulate_emergence, resumable=True),
}
