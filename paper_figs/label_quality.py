"""How good labels must be: on a spiked model whose truth is known, on blood cells, and the ridge on noise."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.datasets import load_pbmc_cite
from phasejax.diagnosis import LabelQuality, label_content, label_quality, noise_for_r2, pseudo_labels, reassign_labels
from phasejax.linear import canonical_correlations, covariances_from_samples
from phasejax.plotting import OBJECTIVE_COLOURS, REGIME_COLOURS, new_figure
from phasejax.simulation import sample_pairs
from phasejax.theory import Regime, SpikedModel
from phasejax.theory import label_content as content_of_model

# A signal that both objectives recover, and one that alignment recovers and prediction loses.
KAPPA, NU, DIM, NUISANCE_Y = (2.5, 1.2), 0.55, 8, 8.0
ROWS, K = 1200, 2
SHARES = (1.0, 0.75, 0.5, 0.25, 0.1)
LABELS = ("4 classes", "10 % wrong", "50 % wrong", "folded to\nsignal 1", "folded to\nsignal 2", "8 clusters\nof x",
          "8 clusters\nof y")
NOISE_ROWS, NOISE_COLUMNS, RIDGE, UNITS = 153, 100, 1e-6, (1.0, 1e-3)
PCA = 20


def _model() -> SpikedModel:
    return SpikedModel.create(KAPPA, NU, d=DIM, gamma_x=0.5, gamma_y=0.5, nuisance_x=1.0, nuisance_y=NUISANCE_Y)


def compute(preset: Preset, *, store: Path, progress: ProgressCallback) -> xr.Dataset:
    """Label content of the model for labels of each quality, outcomes on cells, and correlations of noise."""
    seeds, model = range(preset.seeds), _model()

    def work(kind: str, place: int, seed: int) -> dict[str, np.ndarray]:
        x, y, signals = _sample(model, seed)
        columns = _noisy(x, y, signals, SHARES[place], seed) if kind == "noise" else \
            _changed(x, y, signals, LABELS[place], seed)
        found = label_content(x, y, columns, np.arange(len(x)), ks=[K])
        content = [[one.value, one.low, one.high] for one in list(found.at(K).values())[:2]]
        return {"content": np.array(content), "probabilities": np.array(found.probabilities[0])}

    points = [(kind, place, seed) for kind, values in (("noise", SHARES), ("labels", LABELS))
              for place in range(len(values)) for seed in seeds]
    parts = compute_parts(points, work, settings=f"{KAPPA} {NU} {DIM} {NUISANCE_Y} {ROWS} {K} {SHARES} {LABELS}",
                          store=store, progress=progress, precision=None, task="label contents")
    content = np.stack([part["content"] for part in parts])
    first = len(SHARES) * len(seeds)
    with jax.enable_x64(True):
        truth = np.array([[float(value) for value in (found.ca, found.cp)] for found in (
            content_of_model(model, K, np.array(weights)) for weights in (np.eye(2), [[1.0, 0.0]], [[0.0, 1.0]]))])
    cells = load_pbmc_cite()
    quality = label_quality(cells.x, cells.y, cells.labels, by=["coarsening", "reassignment", "pseudo-labels"], pca=PCA,
                            divisions=1, repeats=2 if preset.thin > 1 else 5, store=store / "cells", progress=progress)
    names, regime, decision, decided, scores = map(list, zip(*_of_cells(quality), strict=True))
    return xr.Dataset(
        {"content_of_noise": (("share", "seed", "objective", "end"),
                              content[:first].reshape(len(SHARES), len(seeds), 2, 3)),
         "content_of_labels": (("labels", "seed", "objective", "end"),
                               content[first:].reshape(len(LABELS), len(seeds), 2, 3)),
         "truth": (("truth_of", "objective"), truth),
         "regime": ("level", regime), "decision": ("level", decision), "decided": ("level", decided),
         "score": (("level", "of"), scores),
         "correlations": (("unit", "component"), [_correlations(unit) for unit in UNITS])},
        coords={"share": list(SHARES), "seed": list(seeds), "objective": ["CA", "CP"], "end": ["value", "low", "high"],
                "labels": [name.replace("\n", " ") for name in LABELS], "truth_of": ["both", "signal 1", "signal 2"],
                "level": names, "of": ["x and y", "best objective"], "unit": list(UNITS)},
        attrs={"n": ROWS, "k": K, "kappa": list(KAPPA), "nu": NU, "d": DIM, "nuisance_y": NUISANCE_Y,
               "cells": len(cells.x), "components": PCA, "noise_rows": NOISE_ROWS, "ridge": RIDGE,
               "cells_repeats": len(quality.levels[-1].outcomes)})


def _sample(model: SpikedModel, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both views and the signals, in units of their standard deviations."""
    drawn = sample_pairs(seed + 1, model, ROWS)
    return (np.asarray(drawn.x, np.float64), np.asarray(drawn.y, np.float64),
            np.asarray(drawn.signal, np.float64) / np.array(KAPPA))


def _noisy(x, y, signals, share, seed) -> np.ndarray:
    """Two real labels, the signals, with noise that leaves a share of their R^2."""
    if share == 1:
        return signals
    noise, _ = noise_for_r2(signals, np.hstack([x, y]), share)
    return signals + noise * np.random.default_rng([seed, 7]).standard_normal(signals.shape)


def _changed(x, y, signals, name, seed) -> np.ndarray:
    """One-hot columns of four classes, by the signs of both signals, or of what was made of them."""
    first, second = (signals > 0).astype(int).T
    classes = first + 2 * second
    if name.endswith("wrong"):
        classes = reassign_labels(classes, 0.1 if name.startswith("10") else 0.5, seed=seed)
    elif name.startswith("folded"):
        classes = first if name.endswith("1") else second
    elif "clusters" in name:
        classes = pseudo_labels(x if name.endswith("x") else y, 8, seed=seed)
    return np.eye(classes.max() + 1)[classes]


def _of_cells(found: LabelQuality) -> Iterator[tuple[str, str, str, bool, list[float]]]:
    """Name, regime, best objective, whether it is decided, and scores of each level."""
    assert found.given is not None  # there are labels
    given = found.given
    yield "as given", given.regime or "", given.best or "", given.decided, [given.scores["x and y"],
                                                                            given.scores[given.best or "CA"]]
    for level in found.levels:
        regime, (decision, _) = level.most("regime")[0], level.most("decision")
        best = decision if decision not in (None, "split") else level.outcomes[0].best
        yield (level.name.removesuffix(" merged classes") + " merged" * ("merged" in level.name), str(regime or ""),
               str(best), decision not in (None, "split"),
               [level.mean(lambda one, name=name: one.scores[name]) for name in ("x and y", str(best))])


def _correlations(unit: float) -> np.ndarray:
    """Canonical correlations of noise with a ridge in squared units, as published, of data in some unit."""
    x, y = unit * np.random.default_rng(0).standard_normal((2, NOISE_ROWS, NOISE_COLUMNS))
    with jax.enable_x64(True):
        return np.asarray(canonical_correlations(covariances_from_samples(x, y, centre=True).with_ridge(RIDGE)))


def draw_label_quality(data: xr.Dataset) -> Figure:
    """Content against noise and for other labels, scores on cells, and canonical correlations of noise."""
    figure = new_figure(height=5.2)
    (top, other), (cells, ridge) = figure.subplots(2, 2)
    _draw_content(top, data.content_of_noise, data.truth.isel(truth_of=0), len(SHARES))
    top.set_xticks(range(len(SHARES)), [f"{share:g}" for share in SHARES])
    top.set(xlabel="share of R² that noise leaves", ylabel="label content", title="spiked model: noise")
    _draw_content(other, data.content_of_labels, data.truth.isel(truth_of=0), 3)
    for place, row in ((3, 1), (4, 2)):
        for objective, colour in (("CA", OBJECTIVE_COLOURS["CA"]), ("CP", OBJECTIVE_COLOURS["CP"])):
            value = float(data.truth.isel(truth_of=row).sel(objective=objective))
            other.plot([place - 0.4, place + 0.4], [value, value], color=colour, linewidth=1.4)
    other.set_xticks(range(len(LABELS)), LABELS, rotation=90)
    other.set_title("spiked model: other labels")
    _draw_cells(cells, data)
    for unit, style in zip(data.unit.values, ("-", "--"), strict=True):
        ridge.plot(np.arange(1, data.sizes["component"] + 1), data.correlations.sel(unit=unit), style, color="0.2",
                   label=f"data times {unit:g}")
    ridge.set(xlabel="component", ylabel="canonical correlation", ylim=(-0.03, 1.05),
              title=f"noise, {data.attrs['noise_rows']} rows, ridge {data.attrs['ridge']:g}")
    ridge.legend(frameon=False)
    handles = [Line2D([], [], color=OBJECTIVE_COLOURS[name], marker=mark, linestyle="none", label=name)
               for name, mark in (("CA", "o"), ("CP", "s"))]
    handles += [Line2D([], [], color="0.4", linewidth=1.4, label="population"),
                Line2D([], [], color="0.3", marker="_", linestyle="none", label="x and y as they are")]
    handles += [Patch(facecolor=REGIME_COLOURS[one], edgecolor="0.6", label=one.value) for one in Regime]
    figure.legend(handles=handles, ncols=8, frameon=False, loc="outside lower center")
    return figure


def _draw_content(ax: Axes, content: xr.DataArray, truth: xr.DataArray, same: int) -> None:
    """Mean estimate and mean interval over seeds of both objectives, and the truth of the first `same` labels."""
    position = np.arange(content.shape[0])
    for objective, mark, shift in (("CA", "o", -0.1), ("CP", "s", 0.1)):
        value, low, high = (content.sel(objective=objective, end=end).mean("seed").values
                            for end in ("value", "low", "high"))
        colour = OBJECTIVE_COLOURS[objective]
        ax.plot([-0.4, same - 0.6], 2 * [float(truth.sel(objective=objective))], color=colour, linewidth=1.4)
        ax.errorbar(position + shift, value, [value - low, high - value], fmt=mark, color=colour, markersize=4,
                    capsize=2)
    ax.axhline(0.8, color="0.3", linestyle=":", linewidth=0.8)
    ax.set_ylim(-0.1, 1.15)


def _draw_cells(ax: Axes, data: xr.Dataset) -> None:
    """Balanced accuracy of both views and of the best objective; the regime behind, hollow where undecided."""
    for place, level in enumerate(data.level.values):
        one = data.sel(level=level)
        regime = str(one.regime.values)
        if regime in [item.value for item in Regime]:
            ax.axvspan(place - 0.5, place + 0.5, color=REGIME_COLOURS[Regime(regime)], alpha=0.35, linewidth=0)
        ax.plot(place, float(one.score[0]), "_", color="0.3", markersize=9)
        name = str(one.decision.values)
        colour = OBJECTIVE_COLOURS["CA" if name.startswith("CA") else "CP"]
        ax.plot(place, float(one.score[1]), "o" if name.startswith("CA") else "s", color=colour, markersize=5,
                markerfacecolor=colour if bool(one.decided) else "white")
    ax.set_xticks(range(data.sizes["level"]), [str(one) for one in data.level.values], rotation=90)
    ax.set(ylabel="balanced accuracy", ylim=(0, 1.03), xlim=(-0.5, data.sizes["level"] - 0.5),
           title=f"{data.attrs['cells']} blood cells")


FIGURES = {
    "label_quality": Recipe(
        "how good labels must be",
        "Above: label content of CA and CP (share of what both views tell about the labels that the two leading "
        "directions keep) in a spiked model with a strong signal and a weak one, mean over {of_seeds} with mean 90% "
        "intervals; lines are values with unlimited rows, of both signals, or of the one that the classes are folded "
        "to. Left: noise on two real labels changes the interval and not the content. Right: classes by the signs of "
        "both signals; wrong classes of equal size do not change the content either, but coarser classes and clusters "
        "of a view are other labels. Below left: RNA and proteins of blood cells with types merged, "
        "reassigned or replaced by clusters of the weaker view; the balanced accuracy of both views and of the best "
        "objective, filled where it is decided; the colour behind is the regime that most repeats state. Below right: "
        "canonical correlations of noise, 100 + 100 columns, with a ridge in squared units of the data, as "
        "published: 48 of them are 1 in one unit and none in another.",
        compute, draw_label_quality, resumable=True)}
