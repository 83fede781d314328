"""Does what is known before training, information and diagnosis, predict the best alignment strength?"""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from paper_figs.strength import compute_strength
from phasejax import diagnose
from phasejax._core.resumable import compute_parts
from phasejax.information import IMPOSED_ALIGNMENT_PRESETS, decompose, draw_rows, estimate_decomposition, pair_table
from phasejax.information._imposed_alignment import label_model

_PREDICTORS = {
    "redundancy_share": "redundancy / total, exact (BROJA)",
    "estimated_share": "redundancy / total, estimated",
    "delta_ca": r"$\Delta_\mathrm{CA}$ of the diagnosis",
    "delta_cp": r"$\Delta_\mathrm{CP}$ of the diagnosis",
    "kappa": r"$\kappa$ of the diagnosis",
    "nu": r"$\nu$ of the diagnosis",
}
_SHOWN = ("redundancy_share", "estimated_share", "delta_ca", "nu")


def compute_strength_predicted(preset, parts, report=lambda text: None) -> xr.Dataset:
    """The strength experiment, and of every label and seed what is known before: exact, and from its training rows."""
    found = compute_strength(preset, parts / "trained", report)
    n = IMPOSED_ALIGNMENT_PRESETS[preset.experiment].n

    def part(redundancy, seed):
        model, key = label_model(redundancy, seed)
        rows = draw_rows(key, model, n)
        x, y, labels = (np.asarray(v) for v in (rows.x, rows.y, rows.labels))
        exact = decompose(pair_table(model), tolerance=1e-4)
        estimated = estimate_decomposition(x, y, labels, shuffles=2).parts
        diagnosis = diagnose(x.astype(float), y.astype(float), labels, label_kind="class", predicted_scores=False)
        return {"redundancy_share": exact.redundancy / exact.total,
                "estimated_share": estimated.redundancy / estimated.total,
                **{name: getattr(diagnosis, name) for name in ("delta_ca", "delta_cp", "kappa", "nu")}}

    points = [(int(r), int(seed)) for r in found.redundancy for seed in found.seed]
    values = compute_parts(points, part, settings=found.experiment, store=parts / "known", task="known before",
                           progress=lambda task, done, total: report(f"{task}: {done} of {total}"))
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


def held_out_accuracy(accuracy, predictor):
    """Of each seed the mean accuracy over cells with strengths chosen by a rule fitted to the other seeds.

    Args:
        accuracy: (seeds, cells, strengths).
        predictor: None for one strength for all cells; "cells" for the best of each cell; else values
            (seeds, cells), for one strength below and one above a threshold.
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
    """Strengths of the asked cells by the threshold, and the strengths on its sides, that serve these seeds best."""
    values = np.unique(predictor)
    best = (-np.inf, None)
    for threshold in (values[1:] + values[:-1]) / 2:
        above = predictor > threshold
        sides = [accuracy[side].sum(0) for side in (~above, above)]
        score = sum(side.max() for side in sides)
        if score > best[0]:
            best = score, np.where(asked > threshold, sides[1].argmax(), sides[0].argmax())
    return best[1]


def tabulate_strength_predicted(data: xr.Dataset) -> pd.DataFrame:
    """How what is known before relates to the best strength.

    A row for each redundancy, means over seeds; below them the rank correlation over all seeds and redundancies of
    each column with the best strength, and the mean held-out accuracy that choosing by a column gains over one
    strength for all. The best strength itself gains what knowing R would.
    """
    accuracy = data.accuracy.mean("modality")
    columns = {name: data[name] for name in _PREDICTORS}
    columns["best_strength"] = data.strength[accuracy.argmax("strength")].drop_vars("strength")
    columns["gain_at_best"] = accuracy.max("strength") - accuracy.isel(strength=0, drop=True)
    cells = xr.Dataset(columns)
    table = cells.mean("seed").to_dataframe()[list(columns)]
    ranked = cells.to_dataframe().corr(method="spearman").best_strength
    gained = (data.held_out_accuracy - data.held_out_accuracy.sel(rule="fixed", drop=True)).mean("seed")
    below = ("rank correlation with best_strength", "held-out gain of choosing by it")
    table = table.reindex([*table.index, *below])
    table.loc[below[0], list(_PREDICTORS)] = ranked[list(_PREDICTORS)]
    table.loc[below[1], [*_PREDICTORS, "best_strength"]] = gained.sel(rule=[*_PREDICTORS, "oracle"]).values
    return table


def draw_strength_predicted(data: xr.Dataset) -> Figure:
    """Best strength of each seed and redundancy against what predicts it, and what choosing by it would yield."""
    figure = Figure(figsize=(12.5, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, len(_SHOWN), height_ratios=[1, 1.1])
    accuracy = data.accuracy.mean("modality").transpose("redundancy", "seed", "strength")
    best = data.strength.values[accuracy.argmax("strength").values]
    gain = (accuracy.sel(strength=slice(1.5, 2.5)).mean("strength") - accuracy.isel(strength=0)).values
    for column, name in enumerate(_SHOWN):
        upper = figure.add_subplot(grid[0, column])
        for i, r in enumerate(data.redundancy.values):
            shade = f"C{i}"
            known = data[name].sel(redundancy=r).values
            upper.scatter(known, best[i], s=40 + 400 * np.abs(gain[i]), color=shade, alpha=0.7,
                          marker="o", label=f"R = {r}")
        upper.set(xlabel=_PREDICTORS[name])
        if column == 0:
            upper.set_ylabel(r"best strength $\lambda$ of a seed")
            upper.legend(frameon=False, fontsize=8)
    ax = figure.add_subplot(grid[1, :])
    lost = data.held_out_accuracy - data.held_out_accuracy.sel(rule="fixed")
    names = [str(rule) for rule in data.rule.values if rule != "fixed"]
    for row, name in enumerate(names):
        values = lost.sel(rule=name).values
        ax.plot(values, np.full(len(values), row), linestyle="", marker="o", color="0.6", markersize=4)
        ax.plot(values.mean(), row, marker="D", color="black", markersize=7)
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_yticks(range(len(names)), [_PREDICTORS.get(name, "best strength of each R (known R)") for name in names])
    ax.invert_yaxis()
    ax.set_xlabel("held-out accuracy, change from one strength for all (dots: seeds, diamonds: means)")
    return figure
