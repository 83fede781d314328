"""Features of trained deep encoders: their maps by UMAP, and what the diagnosis predicts from them."""

import itertools
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.colors import ListedColormap, TwoSlopeNorm
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
from phasejax.theory import Regime

_SHAPE_COLOURS = ListedColormap(["#0072B2", "#D55E00", "#009E73", "#CC79A7"])
_MOST_POINTS = 1500


def compute_umap(preset: Preset, *, store: Path, progress: ProgressCallback) -> xr.Dataset:
    """Two-dimensional maps of the test rows' embeddings, of CA and CP at the least and at a larger jitter."""
    umap = _umap()
    whole = PRESETS[preset.experiment]
    experiment = replace(whole, objectives=(_alignment_objective(whole), "cp"), seeds=1,
                         noises=(whole.noises[len(whole.noises) // 2],),
                         jitters=tuple(jitter for jitter in (0.0, 0.2) if jitter in whole.jitters))
    encoders = FrozenEncoders(train_grid(experiment, store=store, progress=progress))
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
    figure = Figure(figsize=(2.6 * 2 * jitters + 1, 2.6 * objectives + 0.9), layout="constrained")
    axes = figure.subplots(objectives, 2 * jitters, squeeze=False)
    colours = {"shape": (data.label, _SHAPE_COLOURS.resampled(4), (-0.5, 3.5)),
               "position": (data.position.sel(side="right"), "viridis", (-0.5, 0.5))}
    for row, objective in enumerate(data.objective.values):
        for block, (what, (values, cmap, (low, high))) in enumerate(colours.items()):
            for column, jitter in enumerate(data.jitter.values):
                ax = axes[row, block * jitters + column]
                points = data["map"].sel(objective=objective, jitter=jitter).values
                drawn = ax.scatter(*points.T, c=values, cmap=cmap, vmin=low, vmax=high, s=4, linewidths=0,
                                   rasterized=True)
                ax.set(xticks=[], yticks=[])
                if row == 0:
                    ax.set_title(rf"$\sigma_\mathrm{{jitter}}$ = {jitter:g}, by {what}", fontsize=9)
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


def compute_agreement(preset: Preset, *, store: Path, progress: ProgressCallback) -> xr.Dataset:
    """Train CA and CP in both directions, diagnose the features of the latter, compare."""
    whole = PRESETS[preset.experiment]
    experiment = replace(whole, objectives=(_alignment_objective(whole), "cp", "cp_reverse"))
    trained = train_grid(experiment, store=store, progress=progress)
    found = compare_with_diagnosis(trained, evaluate(trained, progress=progress), alignment=_alignment_objective(whole),
                                   progress=progress)
    # netCDF has no booleans.
    return found.assign(tie=found.tie.astype("int8")).assign_attrs(experiment=experiment.to_json())


def tabulate_agreement(data: xr.Dataset) -> pd.DataFrame:
    """A row for each cell with what the diagnosis predicts and what was measured; rates of agreement on all rows."""
    return data.to_dataframe()


def draw_agreement(data: xr.Dataset) -> Figure:
    """Predicted against measured difference, and the predicted regime of every cell on the measured one."""
    jitters, columns = data.sizes["jitter"], data.sizes["noise"] * data.sizes["seed"]
    figure = Figure(figsize=(5.2 + max(4.0, 1.05 * columns), 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4.2, max(4.0, 1.05 * columns)))
    for jitter in data.jitter.values:
        part = data.sel(jitter=jitter)
        left.errorbar(part.measured.values.ravel(), part.predicted.values.ravel(), xerr=part.error.values.ravel(),
                      fmt="o", markersize=5, label=rf"$\sigma_\mathrm{{jitter}}$ = {jitter:g}")
    left.axhline(0, color="0.6", linewidth=0.8)
    left.axvline(0, color="0.6", linewidth=0.8)
    left.set(xlabel="measured: accuracy of CA - accuracy of CP", ylabel="predicted from features",
             title=f"signs agree: {_as_percent(data.agreement)} of cells\n"
                   f"winner that the regime names: {_as_percent(data.agreement_regime)}")
    left.legend(frameon=False, fontsize=8)
    measured = data.measured.stack(column=("noise", "seed")).values
    limit = float(np.nanmax(np.abs(measured)))
    shown = right.imshow(measured, cmap="RdBu", norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    regimes = data.regime.stack(column=("noise", "seed")).values
    probabilities = data.probability.stack(column=("noise", "seed")).values
    for row, column in np.ndindex(regimes.shape):
        strong = abs(measured[row, column]) > 0.6 * limit
        right.text(column, row, f"{_regime_label(regimes[row, column])}\n{probabilities[row, column]:.2f}", ha="center",
                   va="center", fontsize=8, color="white" if strong else "black")
    right.set(yticks=range(jitters), yticklabels=[f"{jitter:g}" for jitter in data.jitter.values],
              ylabel=r"$\sigma_\mathrm{jitter}$", xticks=range(columns), xlabel="noise on y, seed",
              xticklabels=[f"{noise:g}, {seed}" for noise in data.noise.values for seed in data.seed.values],
              title="predicted regime and its probability")
    figure.colorbar(shown, ax=right, label="measured: CA - CP")
    return figure


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
    return f"{100 * float(share):.0f}%" if np.isfinite(share) else "named in no cell"


def _regime_label(regime: str) -> str:
    return {Regime.CA_ONLY.value: "CA", Regime.CP_ONLY.value: "CP"}.get(str(regime), str(regime))


FIGURES = {
    "fig5": Recipe("maps of the embeddings of CA and CP by UMAP", compute_umap, draw_umap, resumable=True),
    "agreement": Recipe("what the diagnosis of features predicts against the measured winner", compute_agreement,
                        draw_agreement, tabulate=tabulate_agreement, resumable=True),
}
