"""Deep encoders on stereo pairs: the pairs, and what frozen probes read out as the views' nuisance comes apart."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe, over_seeds
from phasejax._core.progress import ProgressCallback
from phasejax.deep import PRESETS, evaluate, seed_interval, train_grid
from phasejax.deep.data import render, stereo_dsprites, stereo_shapes3d
from phasejax.deep.data._solids import SOLIDS
from phasejax.deep.data._sprites import SHAPES
from phasejax.plotting import new_figure, panels_above_legend

STYLES: dict[str, dict[str, Any]] = {
    "vicreg": {"label": "CA (VICReg)", "color": "#0072B2", "marker": "o"},
    "deepcca": {"label": "CA (DeepCCA)", "color": "#56B4E9", "marker": "s"},
    "infonce": {"label": "CA (InfoNCE)", "color": "0.4", "marker": "D"},
    "cp": {"label": r"CP $x \to y$", "color": "#D55E00", "marker": "^"},
    "cp_reverse": {"label": r"CP $y \to x$", "color": "#E69F00", "marker": "v"},
    "joint": {"label": "joint", "color": "#009E73", "marker": "P"},
    "supervised": {"label": "supervised", "color": "black", "marker": "x"},
}
_LEVEL = 0.95
_FEW_TICKS = 5  # places along an axis that are all named
_DIVERGED = "a training diverged"
_FEWEST_SEEDS = 3  # for an interval to be drawn: that of two seeds is as wide as a page


def compute_probes(preset: Preset, *, store: Path, progress: ProgressCallback, data: str = "dsprites",
                   objectives: tuple[str, ...] | None = None, executor: str | None = None) -> xr.Dataset:
    """Train and probe the preset's experiment; states of trainings are kept in the folder `store`."""
    experiment = replace(PRESETS[preset.experiment], data=data)
    if objectives is not None:
        experiment = replace(experiment, objectives=objectives)
    trained = train_grid(experiment, store=store, executor=executor, progress=progress)
    return _described(evaluate(trained, progress=progress))


def _described(found: xr.Dataset) -> xr.Dataset:
    """The scores with names and units, as netCDF can hold them: it has no booleans."""
    found["accuracy"].attrs = {"long_name": "accuracy of a frozen linear probe for the shape", "units": "1"}
    found["position_r2"].attrs = {"long_name": "R^2 of a frozen linear probe for the position", "units": "1"}
    found["probe_size"].attrs = {"long_name": "labelled rows", "units": "1"}
    return found.assign({name: found[name].astype("int8") for name in ("converged", "diverged")})


def draw_probes(data: xr.Dataset) -> Figure:
    """Accuracy and nuisance R^2 against the alignment of the nuisance; a column for each pixel noise on y."""
    figure = new_figure("page" if data.sizes["noise"] > 1 else "column", height=4.4)
    panels = panels_above_legend(figure)
    rows = panels.subplots(2, data.sizes["noise"], sharex=True, sharey="row", squeeze=False)
    largest = int(data.probe_size[-1])
    for column, noise in enumerate(data.noise.values):
        part = data.sel(noise=noise)
        for ax, values in zip(rows[:, column], (part.accuracy.sel(probe_size=largest), part.position_r2), strict=True):
            for objective in data.objective.values:
                failed = part.diverged.sel(objective=objective).astype(bool)
                _plot_over_seeds(ax, 1 - data.jitter.values, values.sel(objective=objective), STYLES[str(objective)],
                                 failed.any("seed").values, least=0.0 if ax is rows[0, column] else -np.inf)
        rows[0, column].axhline(float(data.chance.mean()), color="0.5", linestyle=":", label="chance")
        rows[0, column].set_title(f"noise on y {noise:g}")
        if data.sizes["jitter"] <= _FEW_TICKS:
            rows[1, column].set_xticks(1 - data.jitter.values)
    panels.supxlabel(r"alignment of the nuisance, $1 - \sigma_\mathrm{jitter}$", fontsize="medium")
    rows[0, 0].set_ylabel(f"shape: accuracy,\n{largest} labelled rows")
    rows[1, 0].set_ylabel(r"position: $R^2$")
    _finish(figure, rows, _has_bands(data.sizes["seed"], data.sizes["jitter"]))
    return figure


def tabulate_probes(data: xr.Dataset) -> pd.DataFrame:
    """Accuracy with its interval over seeds, and the R^2 of the position: a row for each cell and probe size."""
    columns = over_seeds("accuracy", data.accuracy, _LEVEL)
    columns |= {name: data[name].mean("seed") for name in ("position_r2", "chance")}
    return xr.Dataset(columns).to_dataframe()


def compute_sizes(preset: Preset, *, store: Path, progress: ProgressCallback,
                  executor: str | None = None) -> xr.Dataset:
    """The preset's experiment at several sample sizes and its middle noise; each size has a folder of its own."""
    whole, found = PRESETS[preset.experiment], list[xr.Dataset]()
    smallest = replace(whole, n=min(preset.sizes), probe_sizes=whole.probe_sizes[:1]).train
    experiment = replace(whole, noises=(whole.noises[len(whole.noises) // 2],),
                         probe_sizes=tuple(size for size in whole.probe_sizes if size <= smallest))
    store.mkdir(parents=True, exist_ok=True)
    for n in preset.sizes:
        def of_this_size(task: str, done: int, total: int, n: int = n) -> None:
            progress(f"{n} rows, {task}", done, total)

        trained = train_grid(replace(experiment, n=n), store=store / str(n), executor=executor, progress=of_this_size)
        found.append(evaluate(trained, progress=of_this_size))
    sizes = xr.DataArray(list(preset.sizes), dims="n", name="n")
    return _described(cast(xr.Dataset, xr.concat(found, sizes, combine_attrs="override")))


def draw_sizes(data: xr.Dataset) -> Figure:
    """Accuracy against the labelled rows of the probe above, against the rows of the encoders below."""
    figure = new_figure("page" if data.sizes["jitter"] > 1 else "column", height=4.6)
    rows = figure.subplots(2, data.sizes["jitter"], sharey=True, squeeze=False)
    data = data.isel(noise=0)
    labels, n = int(data.probe_size[-1]), int(data.n[-1])
    for column, jitter in enumerate(data.jitter.values):
        part = data.accuracy.sel(jitter=jitter)
        for objective in data.objective.values:
            style = STYLES[str(objective)]
            failed = data.diverged.sel(jitter=jitter, objective=objective).astype(bool).any("seed")
            _plot_over_seeds(rows[0, column], data.probe_size.values, part.sel(objective=objective, n=n), style,
                             np.full(data.sizes["probe_size"], bool(failed.sel(n=n))))
            _plot_over_seeds(rows[1, column], data.n.values, part.sel(objective=objective, probe_size=labels), style,
                             failed.values)
        for ax in rows[:, column]:
            ax.axhline(float(data.chance.mean()), color="0.5", linestyle=":", label="chance")
            ax.set_xscale("log")
        rows[0, column].set(title=rf"$\sigma_\mathrm{{jitter}}$ = {jitter:g}", xlabel="labelled rows")
        rows[1, column].set(xlabel="thousands of rows")
        rows[1, column].set_xticks(data.n.values, [f"{size / 1000:g}" for size in data.n.values])
        rows[1, column].minorticks_off()
    figure.suptitle(f"noise on y {float(data.noise):g}")
    rows[0, 0].set_ylabel(f"shape: accuracy,\n{n} rows in all")
    rows[1, 0].set_ylabel(f"shape: accuracy,\n{labels} labelled rows")
    _finish(figure, rows, _has_bands(data.sizes["seed"], data.sizes["n"]))
    return figure


def _has_bands(seeds: int, places: int) -> bool:
    """Whether intervals are drawn as bands: neither of too few seeds, nor between so few places."""
    return seeds >= _FEWEST_SEEDS and places > 2


def _plot_over_seeds(ax: Axes, x: np.ndarray, values: xr.DataArray, style: dict[str, Any], failed: np.ndarray,
                    least: float = 0.0) -> None:
    """Mean over seeds, with its interval, or with the seeds themselves where they are too few for one.

    The interval is cut at the least possible score and at 1.

    Means at fewer than three places are not joined. Where a training failed, its objective has a cross on the axis.
    """
    seeds = values.get_axis_num("seed")
    mean, low, high = seed_interval(values.values, seeds, _LEVEL)
    ax.plot(x, mean, **style, linestyle="-" if len(x) > 2 else "")
    if _has_bands(values.sizes["seed"], len(x)) and np.isfinite(low).all():
        ax.fill_between(x, np.maximum(low, least), np.minimum(high, 1), color=style["color"], alpha=0.15, linewidth=0)
    elif values.sizes["seed"] > 1:
        ax.plot(x, np.moveaxis(values.values, seeds, -1), linestyle="", marker=".", markersize=3, color=style["color"],
                alpha=0.6)
    if failed.any():
        ax.plot(x[failed], np.zeros(failed.sum()), linestyle="", marker="x", markersize=6, markeredgewidth=1.6,
                color=style["color"], transform=ax.get_xaxis_transform(), clip_on=False, zorder=5)
        ax.plot([], [], "x", markersize=6, markeredgewidth=1.6, color="0.3", label=_DIVERGED)


def _finish(figure: Figure, rows: np.ndarray, bands: bool) -> None:
    """Cut accuracies off at 1, and put one legend below the panels."""
    for ax in rows.flat:
        ax.set_ylim(top=min(ax.get_ylim()[1], 1.04))  # intervals may end above what is possible
    title = "mean over seeds and 95% interval" if bands else "mean over seeds, and seeds (dots)"
    entries = {label: handle for ax in rows.flat
               for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    entries |= {label: entries.pop(label) for label in ("chance", _DIVERGED) if label in entries}  # last
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", title=title,
                  ncols=4 if rows.shape[1] > 1 else 3)


_SHOWN_JITTERS = (0.0, 0.05, 0.2, 0.5)
_SHOWN_NOISE, _SHOWN_SIZE, _SHOWN_POSITION = 0.5, 64, (0.05, -0.15)


def compute_stereo(preset: Preset) -> xr.Dataset:
    """One pair of each shape at each jitter, all at the same position; grey images as three equal channels."""
    pairs = []
    for stereo, shapes in ((stereo_dsprites(_SHOWN_SIZE), SHAPES), (stereo_shapes3d(_SHOWN_SIZE), tuple(SOLIDS))):
        drawn = jax.jit(lambda key, shape, jitter, stereo=stereo: render(
            stereo, key, shape, jnp.array(_SHOWN_POSITION), jitter, _SHOWN_NOISE))
        for shape in range(len(shapes)):
            keys = jax.random.split(jax.random.fold_in(preset.key(), shape), len(_SHOWN_JITTERS))
            pairs.append([[np.broadcast_to(view, (_SHOWN_SIZE, _SHOWN_SIZE, 3)) for view in drawn(key, shape, jitter)]
                          for key, jitter in zip(keys, _SHOWN_JITTERS, strict=True)])
    return xr.Dataset({"image": (("shape", "jitter", "view", "row", "column", "colour"), np.array(pairs),
                                 {"long_name": "pixel value", "units": "1"})},
                      coords={"shape": [*SHAPES, *SOLIDS], "jitter": list(_SHOWN_JITTERS), "view": ["x", "y"]},
                      attrs={"noise_y": _SHOWN_NOISE, "position": list(_SHOWN_POSITION)})


def draw_stereo(data: xr.Dataset) -> Figure:
    """A row for each shape, two columns, the views, for each jitter."""
    shapes, jitters = data.sizes["shape"], data.sizes["jitter"]
    figure = new_figure(height=0.8 * shapes + 0.3)
    grid = figure.subplots(shapes, 2 * jitters)
    for row, shape in enumerate(data["shape"].values):
        for column, ax in enumerate(grid[row]):
            jitter, view = divmod(column, 2)
            ax.imshow(data.image.isel(shape=row, jitter=jitter, view=view), vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            if row == 0:
                ax.set_title(rf"${data['view'].values[view]}$, $\sigma$ = {float(data.jitter[jitter]):g}")
        grid[row, 0].set_ylabel(str(shape))
    return figure


_PROBES_CAPTION = (
    "Scores of linear probes on frozen encoders against the alignment of the nuisance between the views, 1 - "
    "sigma of the jitter; a column for each pixel noise on y. Above: accuracy for the shape, dotted: chance. "
    "Below: R^2 of the position, the nuisance. Lines: means over {of_seeds}; bands: 95% intervals of the mean by "
    "Student's t, cut at the possible range; dots instead: the seeds, where they are fewer than three or the places "
    "two. Crosses on the axis: a training diverged.")
FIGURES = {
    "stereo": Recipe(
        "what the deep encoders see: pairs of views at several jitters",
        "Pairs of views x, y of each shape at several jitters sigma of the position in y; pixel noise is "
        "added to y.",
        compute_stereo, draw_stereo),
    "fig4": Recipe(
        "accuracy of frozen probes on dSprites against the nuisance's jitter",
        _PROBES_CAPTION,
        compute_probes, draw_probes, tabulate=tabulate_probes, resumable=True),
    "fig4_shapes3d": Recipe(
        "the same on Shapes3D",
        _PROBES_CAPTION,
        functools.partial(compute_probes, data="shapes3d"), draw_probes, tabulate=tabulate_probes, resumable=True),
    "fig10": Recipe(
        "VICReg and DeepCCA against the nuisance's jitter",
        _PROBES_CAPTION,
        functools.partial(compute_probes, objectives=("vicreg", "deepcca")), draw_probes, tabulate=tabulate_probes,
        resumable=True),
    "fig11": Recipe(
        "accuracy of frozen probes at several sample sizes",
        "Accuracy for the shape of linear probes on frozen encoders, (above) against the labelled rows of "
        "the probe and (below) against the rows that the encoders were trained on; a column for each "
        "jitter of the position. Lines: means over {of_seeds}; bands: 95% intervals of the mean by Student's t, "
        "cut at the possible range; dots instead: the seeds, where they are fewer than three or the places two. "
        "Crosses on the axis: a training diverged.",
        compute_sizes, draw_sizes, tabulate=tabulate_probes, resumable=True),
}
