"""Deep encoders on stereo pairs: what frozen probes read out, as the nuisance of the two views comes apart."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_figs.tables import over_seeds
from phasejax.deep import PRESETS, evaluate, seed_interval, train_grid

STYLES = {
    "vicreg": {"label": "CA (VICReg)", "color": "#0072B2", "marker": "o"},
    "deepcca": {"label": "CA (DeepCCA)", "color": "#56B4E9", "marker": "s"},
    "infonce": {"label": "CA (InfoNCE)", "color": "0.4", "marker": "D"},
    "cp": {"label": r"CP $x \to y$", "color": "#D55E00", "marker": "^"},
    "cp_reverse": {"label": r"CP $y \to x$", "color": "#E69F00", "marker": "v"},
    "joint": {"label": "joint", "color": "#009E73", "marker": "P"},
    "supervised": {"label": "supervised", "color": "black", "marker": "x"},
}
_LEVEL = 0.95
_FEWEST = 3  # seeds: the interval of two is as wide as a page


def compute(preset, parts: Path, report: Callable[[str], None] = lambda text: None, data: str = "dsprites",
            objectives: tuple[str, ...] | None = None) -> xr.Dataset:
    """Train and probe the preset's experiment; states of trainings are kept in the folder `parts`."""
    experiment = replace(PRESETS[preset.experiment], data=data)
    if objectives is not None:
        experiment = replace(experiment, objectives=objectives)
    return _described(evaluate(train_grid(experiment, folder=parts, report=report), report=report))


def _described(found):
    found["accuracy"].attrs = {"long_name": "accuracy of a frozen linear probe for the shape", "units": "1"}
    found["position_r2"].attrs = {"long_name": "R^2 of a frozen linear probe for the position", "units": "1"}
    found["probe_size"].attrs = {"long_name": "labelled rows", "units": "1"}
    # netCDF knows no booleans.
    return found.assign({name: found[name].astype("int8") for name in ("converged", "diverged")})


def draw_alignment(data: xr.Dataset) -> Figure:
    """Accuracy and nuisance R^2 against the alignment of the nuisance; a column for each pixel noise on y."""
    figure = Figure(figsize=(1.5 + 3.4 * max(2, data.sizes["noise"]), 6.4), layout="constrained")
    rows = figure.subplots(2, data.sizes["noise"], sharex=True, sharey="row", squeeze=False)
    largest = int(data.probe_size[-1])
    for column, noise in enumerate(data.noise.values):
        part = data.sel(noise=noise)
        for ax, values in zip(rows[:, column], (part.accuracy.sel(probe_size=largest), part.position_r2), strict=True):
            for objective in data.objective.values:
                _plot(ax, 1 - data.jitter.values, values.sel(objective=objective), STYLES[str(objective)])
        rows[0, column].axhline(float(data.chance.mean()), color="0.5", linestyle=":", label="chance")
        rows[0, column].set_title(f"noise on y {noise:g}")
        rows[1, column].set_xlabel(r"alignment of the nuisance, $1 - \sigma_\mathrm{jitter}$")
    rows[0, 0].set_ylabel(f"shape: accuracy, {largest} labels")
    rows[1, 0].set_ylabel(r"position: $R^2$")
    _finish(figure, rows, data.sizes["seed"])
    return figure


def tabulate(data: xr.Dataset) -> pd.DataFrame:
    """Accuracy with its interval over seeds, and the R^2 of the position: a row for each cell and probe size."""
    columns = over_seeds("accuracy", data.accuracy, _LEVEL)
    columns |= {name: data[name].mean("seed") for name in ("position_r2", "chance")}
    return xr.Dataset(columns).to_dataframe()


def compute_sizes(preset, parts: Path, report: Callable[[str], None] = lambda text: None) -> xr.Dataset:
    """The same at several sample sizes, at the middle noise; each keeps its states in a folder of its own."""
    whole, found = PRESETS[preset.experiment], []
    smallest = replace(whole, n=min(preset.sizes), probe_sizes=whole.probe_sizes[:1]).train
    experiment = replace(whole, noises=(whole.noises[len(whole.noises) // 2],),
                         probe_sizes=tuple(size for size in whole.probe_sizes if size <= smallest))
    parts.mkdir(parents=True, exist_ok=True)
    for n in preset.sizes:
        def told(text, n=n):
            report(f"{n} rows, {text}")

        found.append(evaluate(train_grid(replace(experiment, n=n), folder=parts / str(n), report=told), report=told))
    return _described(xr.concat(found, xr.DataArray(list(preset.sizes), dims="n", name="n"), combine_attrs="override"))


def draw_sizes(data: xr.Dataset) -> Figure:
    """Accuracy against the labelled rows of the probe, and against the rows that the encoders were trained on."""
    figure = Figure(figsize=(1.5 + 3.4 * max(2, data.sizes["jitter"]), 6.6), layout="constrained")
    rows = figure.subplots(2, data.sizes["jitter"], sharey=True, squeeze=False)
    data = data.isel(noise=0)
    labels, n = int(data.probe_size[-1]), int(data.n[-1])
    for column, jitter in enumerate(data.jitter.values):
        part = data.accuracy.sel(jitter=jitter)
        for objective in data.objective.values:
            style = STYLES[str(objective)]
            _plot(rows[0, column], data.probe_size.values, part.sel(objective=objective, n=n), style)
            _plot(rows[1, column], data.n.values, part.sel(objective=objective, probe_size=labels), style)
        for ax in rows[:, column]:
            ax.axhline(float(data.chance.mean()), color="0.5", linestyle=":", label="chance")
            ax.set_xscale("log")
        rows[0, column].set(title=rf"$\sigma_\mathrm{{jitter}}$ = {jitter:g}", xlabel=f"labelled rows, of {n} in all")
        rows[1, column].set(xlabel=f"rows in all, {labels} labelled")
        rows[1, column].set_xticks(data.n.values, [f"{size:g}" for size in data.n.values])
        rows[1, column].minorticks_off()
    for ax in rows[:, 0]:
        ax.set_ylabel(f"shape: accuracy, noise on y {float(data.noise):g}")
    _finish(figure, rows, data.sizes["seed"])
    return figure


def _plot(ax, x, values, style):
    """Mean over seeds, with its interval, or with the seeds themselves where they are too few for one."""
    seeds = values.get_axis_num("seed")
    mean, low, high = seed_interval(values.values, seeds, _LEVEL)
    ax.plot(x, mean, markersize=5, **style)
    if values.sizes["seed"] >= _FEWEST and np.isfinite(low).all():
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    elif values.sizes["seed"] > 1:
        ax.plot(x, np.moveaxis(values.values, seeds, -1), linestyle="", marker=".", markersize=4, color=style["color"],
                alpha=0.6)


def _finish(figure, rows, seeds):
    for ax in rows.flat:
        ax.set_ylim(top=min(ax.get_ylim()[1], 1.04))  # intervals may end above what is possible
    figure.legend(*rows[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False,
                  title="mean over seeds and 95% interval" if seeds >= _FEWEST else "mean over seeds, and seeds (dots)")
