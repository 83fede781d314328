"""Alignment imposed with a strength (F26): what it does to accuracy, and what predicts the best strength."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe, over_seeds
from phasejax import diagnose
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.deep import seed_interval
from phasejax.information import (
    IMPOSED_ALIGNMENT_PRESETS,
    best_strength,
    decompose,
    draw_rows,
    estimate_decomposition,
    pair_table,
    run_imposed_alignment,
)
from phasejax.information._shared_unique_bits import label_of_seed
from phasejax.plotting import new_figure

# Biased CKA is left out, since it lies on the unbiased one: there are many more rows than columns.
_METRICS = {
    "cka_unbiased": {"label": "CKA, unbiased", "color": "#0072B2", "marker": "o"},
    "mutual_knn": {"label": "mutual kNN (k = 10)", "color": "#D55E00", "marker": "^"},
    "svcca": {"label": "SVCCA", "color": "#009E73", "marker": "D"},
}
_MODALITIES = {"x": {"color": "#CC79A7", "linestyle": "--"}, "y": {"color": "#E69F00", "linestyle": "-."}}


def compute_strength(preset: Preset, *, store: Path, progress: ProgressCallback,
                     executor: str | None = None) -> xr.Dataset:
    """Train the preset's grid, and find the strength of the highest accuracy at each redundancy."""
    found = run_imposed_alignment(IMPOSED_ALIGNMENT_PRESETS[preset.experiment], store=store, executor=executor,
                                  progress=progress)
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
    figure = new_figure(height=4.8)
    rows = figure.subplots(2, data.sizes["redundancy"], sharex=True, squeeze=False)
    for column, r in enumerate(data.redundancy.values):
        part = data.sel(redundancy=r)
        upper, lower = rows[:, column]
        best, low, high = part.best_strength.values
        upper.axvspan(low, high, color="0.5", alpha=0.12, linewidth=0)
        upper.axvline(best, color="0.4", linestyle="--", linewidth=1)
        gain = part.accuracy - part.accuracy.isel(strength=0)
        for modality, style in _MODALITIES.items():
            upper.plot(data.strength, gain.sel(modality=modality).mean("seed"), linewidth=1, **style,
                       label=f"encoder of {modality}")
        mean, low, high = seed_interval(gain.mean("modality").transpose("seed", "strength").values, 0)
        upper.errorbar(data.strength, mean, [mean - low, high - mean], color="black", marker="o", markersize=3,
                       linewidth=1.1, elinewidth=0.8, capsize=2, label="both")
        upper.axhline(0, color="0.5", linewidth=0.8)
        upper.set_title(f"R = {r} of 8 shared")
        for metric, style in _METRICS.items():
            values = part.alignment.sel(metric=metric).transpose("strength", "seed")
            lower.plot(data.strength, values, color=style["color"], linewidth=0.5, alpha=0.5)
            lower.plot(data.strength, values.mean("seed"), linewidth=1.3, **style)
        lower.set(xlabel=r"alignment strength $\lambda$", ylim=(-0.03, 1.03))
    rows[0, 0].set_ylabel("accuracy of unimodal encoders,\nchange from no alignment")
    rows[1, 0].set_ylabel("alignment of the last hidden layers")
    entries = [handle for row in rows for handle in row[0].get_legend_handles_labels()[0]]
    figure.legend(handles=entries, loc="outside lower center", ncols=3)
    return figure


_PREDICTORS = {
    "redundancy_share": "redundancy / total, exact (BROJA)",
    "estimated_share": "redundancy / total, estimated",
    "delta_ca": r"$\Delta_\mathrm{CA}$ of the diagnosis",
    "delta_cp": r"$\Delta_\mathrm{CP}$ of the diagnosis",
    "kappa": r"$\kappa$ of the diagnosis",
    "nu": r"$\nu$ of the diagnosis",
}
_SHOWN = ("redundancy_share", "estimated_share", "delta_ca", "nu")


def compute_strength_predicted(preset: Preset, *, store: Path, progress: ProgressCallback,
                               executor: str | None = None) -> xr.Dataset:
    """The grid of `compute_strength`, and of every label and seed what is known before training.

    That is the label's exact information, and what its training rows let estimate.
    """
    found = compute_strength(preset, store=store / "trained", progress=progress, executor=executor)
    n = IMPOSED_ALIGNMENT_PRESETS[preset.experiment].n

    def known_before(redundancy, seed):
        model, key = label_of_seed(redundancy, seed)
        rows = draw_rows(key, model, n)
        x, y, labels = (np.asarray(v) for v in (rows.x, rows.y, rows.labels))
        exact = decompose(pair_table(model), tolerance=1e-4)
        estimated = estimate_decomposition(x, y, labels, shuffles=2).parts
        diagnosis = diagnose(x.astype(float), y.astype(float), labels, method="moments", label_kind="class",
                             predicted_scores=False)
        return {"redundancy_share": exact.redundancy / exact.total,
                "estimated_share": estimated.redundancy / estimated.total,
                **{name: getattr(diagnosis, name) for name in ("delta_ca", "delta_cp", "kappa", "nu")}}

    points = [(int(r), int(seed)) for r in found.redundancy for seed in found.seed]
    values = compute_parts(points, known_before, settings=found.experiment, store=store / "known", progress=progress,
                           task="known before training")
    shape = (found.sizes["redundancy"], found.sizes["seed"])
    known = {name: (("redundancy", "seed"), np.array([float(v[name]) for v in values]).reshape(shape),
                    {"long_name": label, "units": "1"}) for name, label in _PREDICTORS.items()}
    found = found.assign(known)
    accuracy = found.accuracy.mean("modality").transpose("seed", "redundancy", "strength").values
    rules = {"fixed": held_out_accuracy(accuracy, None), "oracle": held_out_accuracy(accuracy, "cells")}
    rules |= {name: held_out_accuracy(accuracy, found[name].transpose("seed", "redundancy").values)
              for name in _PREDICTORS}
    return found.assign_coords(rule=list(rules)).assign(held_out_accuracy=(
        ("rule", "seed"), np.stack(list(rules.values())),
        {"long_name": "mean accuracy over redundancies with the strength a rule chooses", "units": "1"}))


def held_out_accuracy(accuracy: Float[np.ndarray, "seeds cells strengths"],
                      predictor: Float[np.ndarray, "seeds cells"] | Literal["cells"] | None
                      ) -> Float[np.ndarray, "seeds"]:
    """Mean accuracy over the cells of each seed, with strengths chosen by a rule that is fitted to the other seeds.

    Args:
        accuracy: of every seed, cell and strength.
        predictor: None for the rule "one strength for all cells"; "cells" for the best strength of each cell; values
            for one strength below a threshold of theirs and one above it.
    """
    scores = []
    for seed in range(len(accuracy)):
        others = np.delete(np.arange(len(accuracy)), seed)
        if predictor is None:
            chosen = np.full(accuracy.shape[1], accuracy[others].mean((0, 1)).argmax())
        elif isinstance(predictor, str):
            chosen = accuracy[others].mean(0).argmax(-1)
        else:
            chosen = _by_threshold(accuracy[others], predictor[others], predictor[seed])
        scores.append(accuracy[seed][np.arange(accuracy.shape[1]), chosen].mean())
    return np.array(scores)


def _by_threshold(accuracy, predictor, asked):
    """Strengths chosen for cells by the values `asked` of their predictor.

    The threshold, and the strengths on its two sides, are those with the highest accuracy on the given seeds.
    """
    values = np.unique(predictor)
    best, chosen = -np.inf, np.zeros(len(asked), int)
    for threshold in (values[1:] + values[:-1]) / 2:
        above = predictor > threshold
        sides = [accuracy[side].sum(0) for side in (~above, above)]
        score = sum(side.max() for side in sides)
        if score > best:
            best, chosen = score, np.where(asked > threshold, sides[1].argmax(), sides[0].argmax())
    return chosen


def tabulate_strength_predicted(data: xr.Dataset) -> pd.DataFrame:
    """How what is known before training relates to the best strength.

    There is a row of means over seeds for each redundancy. Two rows follow: the rank correlation of each column
    with the best strength over all seeds and redundancies, and the mean held-out accuracy that choosing the strength
    by that column gains over one strength for all. In the column of the best strength, this is what knowing R gains.
    """
    accuracy = data.accuracy.mean("modality")
    columns = {name: data[name] for name in _PREDICTORS}
    columns["best_strength"] = data.strength[accuracy.argmax("strength")].drop_vars("strength")
    columns["gain_at_best"] = accuracy.max("strength") - accuracy.isel(strength=0, drop=True)
    cells = xr.Dataset(columns)
    table = pd.DataFrame(cells.mean("seed").to_dataframe()[list(columns)])
    ranked = cells.to_dataframe().corr(method="spearman").best_strength
    gained = (data.held_out_accuracy - data.held_out_accuracy.sel(rule="fixed", drop=True)).mean("seed")
    below = ("rank correlation with best_strength", "held-out gain of choosing by it")
    table = table.reindex([*table.index, *below])
    table.loc[below[0], list(_PREDICTORS)] = ranked[list(_PREDICTORS)]
    table.loc[below[1], [*_PREDICTORS, "best_strength"]] = gained.sel(rule=[*_PREDICTORS, "oracle"]).values
    return table


def draw_strength_predicted(data: xr.Dataset) -> Figure:
    """Best strength of each seed and redundancy against what predicts it; below, what choosing by it gains."""
    figure = new_figure(height=4.4)
    grid = figure.add_gridspec(2, len(_SHOWN), height_ratios=[1, 1.1])
    accuracy = data.accuracy.mean("modality").transpose("redundancy", "seed", "strength")
    best = data.strength.values[accuracy.argmax("strength").values]
    gain = (accuracy.sel(strength=slice(1.5, 2.5)).mean("strength") - accuracy.isel(strength=0)).values
    for column, name in enumerate(_SHOWN):
        upper = figure.add_subplot(grid[0, column])
        for i, r in enumerate(data.redundancy.values):
            known = data[name].sel(redundancy=r).values
            upper.scatter(known, best[i], s=12 + 120 * np.abs(gain[i]), color=f"C{i}", alpha=0.7,
                          marker="osD^vP"[i % 6], label=f"R = {r}")
        upper.set(xlabel=_PREDICTORS[name].replace(", ", ",\n").replace(" of", "\nof"))
        upper.margins(0.15)
        if column == 0:
            upper.set_ylabel(r"best strength $\lambda$ of a seed")
            upper.legend()
    ax = figure.add_subplot(grid[1, :])
    lost = data.held_out_accuracy - data.held_out_accuracy.sel(rule="fixed")
    names = [str(rule) for rule in data.rule.values if rule != "fixed"]
    for row, name in enumerate(names):
        values = lost.sel(rule=name).values
        ax.plot(values, np.full(len(values), row), linestyle="", marker="o", color="0.6", markersize=4)
        ax.plot(values.mean(), row, marker="D", color="black", markersize=4)
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_yticks(range(len(names)), [_PREDICTORS.get(name, "best strength of each R (known R)") for name in names])
    ax.invert_yaxis()
    ax.set_xlabel("held-out accuracy, change from one strength for all (dots: seeds, diamonds: means)")
    return figure


FIGURES = {
    "strength": Recipe(
        "accuracy and alignment against the strength of imposed alignment (F26)",
        "Above: accuracy of unimodal encoders trained with alignment of strength lambda, minus that "
        "without; means over {of_seeds} with 95% intervals (t distribution), best strength (dashed) "
        "with its bootstrap interval (shaded); each panel has its own scale. Below: alignment of the last hidden "
        "layers, means (thick) and seeds (thin). A column for each number of shared bits.",
        compute_strength, draw_strength, tabulate=tabulate_strength, resumable=True),
    "strength_predicted": Recipe(
        "what predicts the best strength of imposed alignment before training",
        "Above: best strength of each seed and redundancy against what is known before training; areas of "
        "the marks grow with the gain in accuracy. Below: accuracy on held-out seeds gained by choosing "
        "the strength by a rule, over one strength for all; dots are seeds, diamonds means over {of_seeds}.",
        compute_strength_predicted, draw_strength_predicted, tabulate=tabulate_strength_predicted, resumable=True),
}
