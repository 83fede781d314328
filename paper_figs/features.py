"""Deep encoders: maps of their embeddings by UMAP, and which objective a diagnosis before training foretells."""

import itertools
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from paper_figs.nonlinear import STYLES
from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax._core.progress import ProgressCallback
from phasejax.deep import PRESETS, Experiment, evaluate, train_grid
from phasejax.deep._evaluation import FrozenEncoders
from phasejax.deep._objectives import ALIGNMENTS
from phasejax.deep.data._sprites import SHAPES
from phasejax.diagnosis import compare_with_diagnosis
from phasejax.plotting import new_figure

_SHAPE_COLOURS = ListedColormap(["#0072B2", "#D55E00", "#009E73", "#CC79A7"])
_MOST_POINTS = 1500
_SOURCE_STYLES = {"linear": ("s", "#56B4E9"), "lifted": ("^", "#E69F00"), "pilot": ("D", "#CC3311")}
# Marks of what a prediction says of itself; those of undecided ones are hollow.
_CERTAINTY = {"undecided": "o", "decided": "o", "sure": "*"}


def compute_umap(preset: Preset, *, store: Path, progress: ProgressCallback, executor: str | None = None) -> xr.Dataset:
    """Two-dimensional maps of the test rows' embeddings, of CA and CP at the least and at a larger jitter."""
    umap = _umap()
    whole = PRESETS[preset.experiment]
    experiment = replace(whole, objectives=(_alignment_objective(whole), "cp"), seeds=1,
                         noises=(whole.noises[len(whole.noises) // 2],),
                         jitters=tuple(jitter for jitter in (0.0, 0.2) if jitter in whole.jitters))
    encoders = FrozenEncoders(train_grid(experiment, store=store, executor=executor, progress=progress))
    rows = np.arange(experiment.n - min(experiment.test, _MOST_POINTS), experiment.n)
    cells, maps = list(itertools.product(experiment.objectives, experiment.jitters)), []
    for objective, jitter in cells:
        shown = encoders.embed(objective, rows, jitter=jitter, noise=experiment.noises[0], seed=0)
        # With one thread only is the map the same on every run.
        maps.append(umap.UMAP(random_state=0, n_jobs=1).fit_transform(shown.embeddings))
        progress("maps", len(maps), len(cells))
    shape = len(experiment.objectives), len(experiment.jitters), len(rows), 2
    return xr.Dataset(
        {"map": (("objective", "jitter", "row", "axis"), np.reshape(maps, shape)),
         "label": ("row", shown.labels.astype(np.int32)), "position": (("row", "side"), shown.positions)},
        coords={"objective": list(experiment.objectives), "jitter": list(experiment.jitters),
                "side": ["right", "down"]},
        attrs={"experiment": experiment.to_json(), "noise_y": experiment.noises[0], "shapes": ", ".join(SHAPES)})


def draw_umap(data: xr.Dataset) -> Figure:
    """A row for each objective; the same maps coloured by the shape and by the position."""
    objectives, jitters = data.sizes["objective"], data.sizes["jitter"]
    figure = new_figure(height=3.1 / jitters * objectives + 0.7)
    axes = figure.subplots(objectives, 2 * jitters, squeeze=False)
    colours = {"shape": (data.label, _SHAPE_COLOURS.resampled(4), (-0.5, 3.5)),
               "position": (data.position.sel(side="right"), "viridis", (-0.5, 0.5))}
    for row, objective in enumerate(data.objective.values):
        for block, (what, (values, cmap, (low, high))) in enumerate(colours.items()):
            for column, jitter in enumerate(data.jitter.values):
                ax = axes[row, block * jitters + column]
                points = data["map"].sel(objective=objective, jitter=jitter).values
                drawn = ax.scatter(*points.T, c=values, cmap=cmap, vmin=low, vmax=high, s=1.5, linewidths=0,
                                   rasterized=True)
                ax.set(xticks=[], yticks=[])
                if row == 0:
                    ax.set_title(rf"$\sigma_\mathrm{{jitter}}$ = {jitter:g}, by {what}")
            if row == objectives - 1:
                bar = figure.colorbar(drawn, ax=axes[:, block * jitters:(block + 1) * jitters],
                                      orientation="horizontal", aspect=40, pad=0.02,
                                      label="shape" if what == "shape" else "position to the right, half image sides")
                if what == "shape":
                    kinds = np.unique(data.label)
                    bar.ax.set_xlim(-0.5, kinds[-1] + 0.5)
                    bar.set_ticks(kinds.tolist(), labels=[data.attrs["shapes"].split(", ")[kind] for kind in kinds])
        axes[row, 0].set_ylabel(STYLES[str(objective)]["label"])
    return figure


def compute_agreement(preset: Preset, *, store: Path, progress: ProgressCallback,
                      executor: str | None = None) -> xr.Dataset:
    """Train CA and CP, diagnose the pairs that they were trained on, compare."""
    whole = PRESETS[preset.experiment]
    experiment = replace(whole, objectives=(_alignment_objective(whole), "cp"))
    trained = train_grid(experiment, store=store, executor=executor, progress=progress)
    found = compare_with_diagnosis(trained, evaluate(trained, progress=progress), alignment=_alignment_objective(whole),
                                   progress=progress)
    # netCDF has no booleans.
    return found.assign({name: found[name].astype("int8") for name in ("tie", "decided", "sure", "seen")}
                        ).assign_attrs(experiment=experiment.to_json())


def tabulate_agreement(data: xr.Dataset) -> pd.DataFrame:
    """A row for each cell with what is foretold and what was measured; shares of agreement on all rows."""
    by_source = {f"predicted_{source}": data.by_source.sel(source=source, drop=True) for source in data.source.values}
    return data.drop_vars(["by_source", "source"]).assign(by_source).to_dataframe()


def draw_agreement(data: xr.Dataset) -> Figure:
    """Predicted against measured difference of CA and CP, and for every cell what each source of scores predicts."""
    cells = data.stack(cell=("jitter", "noise", "seed"))
    height = max(3.0, 0.16 * cells.sizes["cell"] + 1.0)
    figure = new_figure(height=height)
    columns = figure.add_gridspec(1, 2, width_ratios=(4.6, 5.4))
    _draw_differences(figure.add_subfigure(columns[0]), data)
    of_sources = figure.add_subfigure(columns[1])
    right = of_sources.subplots()
    rows = np.arange(cells.sizes["cell"])
    right.barh(rows, cells.measured.values, xerr=cells.error.values, height=0.72, color="0.85",
               error_kw={"ecolor": "0.5", "elinewidth": 1}, label="measured")
    for source in data.source.values:
        marker, colour = _SOURCE_STYLES[str(source)]
        right.plot(cells.by_source.sel(source=source).values, rows, marker, color=colour, markersize=4,
                   label=f"predicted, {source}")
    right.axvline(0, color="0.4", linewidth=0.8)
    labels = [f"{jitter:g}, {noise:g}, {seed}" for jitter, noise, seed in cells.cell.values]
    right.set(yticks=rows, yticklabels=labels, ylim=(len(rows) - 0.4, -0.6), ylabel="jitter, noise on y, seed",
              xlabel="accuracy, CA \u2212 CP", title="each source of scores")
    of_sources.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_differences(figure, data):
    """Predicted against measured, darker for less jitter, with a mark for how sure the prediction is."""
    # The square panel stands at the top; below it there is room where there are many cells.
    height = figure.bbox.height / figure.dpi_scale_trans.transform((0, 1))[1]
    share = min(1.0, (figure.bbox.width / figure.dpi_scale_trans.transform((1, 0))[0] + 1.4) / height)
    if share < 0.95:
        figure = figure.add_subfigure(figure.add_gridspec(2, 1, height_ratios=(share, 1 - share))[0])
    ax = figure.subplots()
    ends = [data.measured - data.error, data.measured + data.error, data.predicted - data.predicted_error,
            data.predicted + data.predicted_error]
    limit = 1.08 * max(float(np.nanmax(np.abs(end))) for end in ends)
    ax.plot([-limit, limit], [-limit, limit], color="0.8", linewidth=0.8, linestyle="--")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.axvline(0, color="0.6", linewidth=0.8)
    certainty = np.where(data.sure, 2, np.where(data.decided, 1, 0))
    for number, jitter in enumerate(data.jitter.values):
        colour = colormaps["viridis"](0.85 * number / max(1, data.sizes["jitter"] - 1))
        here = (data.jitter == jitter).broadcast_like(data.measured).values
        for level, marker in enumerate(_CERTAINTY.values()):
            which = here & (certainty == level)
            values = [data[name].values[which] for name in ("measured", "predicted", "error", "predicted_error")]
            ax.errorbar(*values[:2], xerr=values[2], yerr=values[3], fmt=marker, color=colour, elinewidth=0.8,
                        markersize=4, markerfacecolor=colour if level else "white")
        ax.plot([], [], "s", color=colour, label=f"jitter {jitter:g}")
    for level, (name, marker) in enumerate(_CERTAINTY.items()):
        ax.plot([], [], marker, color="0.3", markerfacecolor="0.3" if level else "white", label=name)
    if (tied := data.tie.values.astype(bool)).any():
        ax.plot(data.measured.values[tied], data.predicted.values[tied], "o", color="0.3", markersize=9,
                markerfacecolor="none", markeredgewidth=0.8, label="tie: within 2 s.e. of 0")
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit),
           xlabel="measured: accuracy, CA \u2212 CP (bars: s.e.)", ylabel="predicted: CA \u2212 CP",
           title=f"signs agree in {_as_percent(data.agreement)} of {data.measured.size} cells, by the\npilot alone in "
                 f"{_as_percent(data.agreement_pilot)}, where decided in {_as_percent(data.agreement_decided)}")
    ax.set_box_aspect(1)
    ax.set_anchor("N")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _umap():
    """The module umap, which is an extra."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)  # says that UMAP's part for TensorFlow is missing
            import umap
    except ImportError:
        raise ValueError('fig5: expected umap-learn, got none: pip install "phasejax[umap]"') from None
    return umap


def _alignment_objective(experiment: Experiment) -> str:
    """The first objective of an experiment that is one of alignment."""
    return next(name for name in experiment.objectives if name in ALIGNMENTS)


def _as_percent(share: xr.DataArray) -> str:
    return f"{100 * float(share):.0f}%" if np.isfinite(share) else "none"


FIGURES = {
    "fig5": Recipe(
        "maps of the embeddings of CA and CP by UMAP",
        "Maps by UMAP of the embeddings of the same test rows, a row for each objective and a column for "
        "each jitter; left coloured by the shape, right by the position. Axes of such maps have no units.",
        compute_umap, draw_umap, resumable=True),
    "agreement": Recipe(
        "what a diagnosis before training predicts against the measured winner",
        "Left: the difference of accuracies of CA and CP that the diagnosis predicts from the pairs and some labels, "
        "against the measured one, a mark for each cell of the experiment; bars: one standard error; circles: "
        "measured within two standard errors of 0. Right: the measured difference of each cell (grey, with one "
        "standard error) and what each source of scores predicts.",
        compute_agreement, draw_agreement, tabulate=tabulate_agreement, resumable=True),
}
