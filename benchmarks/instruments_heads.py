"""Heads for `benchmarks.instruments`: what training prefers, and the same heads as a pilot.

The truth is trained on all objects, from several seeds. As a pilot the same heads, with the same layers, objectives,
weight decays and steps, are trained on the objects outside each fold, and read out by the few labels. What was
tried (VICReg and DeepCCA for CA, weight decays) is chosen for each fold by the labels of the other folds.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from phasejax.deep import train_heads
from phasejax.deep._heads_programs import PAIRED, PROBED, HeadCell, HeadSettings, HeadSizes, PairRows
from phasejax.deep._heads_saved import outputs
from phasejax.deep._heads_training import HeadTraining, train_cells
from phasejax.deep._pilot_rows import standardisation, standardised
from phasejax.diagnosis._bootstrap import ratio
from phasejax.diagnosis._cross_fit import read_out_arrays

OBJECTIVES = ("CA VICReg", "CA DeepCCA", "CP x->y", "CP y->x")
NAMES = ("CA", "CP both", "CP x->y", "CP y->x")
SEEDS = 6
_WIDTHS, _NORM, _BATCH, _EPOCHS, _PATIENCE = (128,), "batch", 256, 100, 20
_DECAYS = (1e-3, 10.0)
_SETTINGS = {"learning_rate": 1e-3, "dropout": 0.1, "alpha": 0.5, "temperature": 0.1}
_VALIDATED = 0.2  # share of a fold's training rows that stop its training
# What parts of `fair_scores` an objective's encoders are.
_PARTS = {"CA": ("CA of x", "CA of y"), "CP x->y": ("CP x->y",), "CP y->x": ("CP y->x",)}


def measured_scores(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], labels: np.ndarray, kind: str, k: int,
                    split: np.ndarray, seed: int) -> Float[np.ndarray, "4 seeds"]:
    """Scores of `NAMES` on the test rows by seed; of CA that of VICReg or DeepCCA, as validation rows prefer.

    Args:
        x, y: paired views.
        labels: of all rows.
        kind: "class" or "real".
        k: outputs of each encoder.
        split: the part of each row.
        seed: of the first of the trainings.
    """
    heads = train_heads(x, y, {"label": labels}, label_kind=kind, split=split, bottleneck=k, seeds=SEEDS, batch=_BATCH,
                        epochs=_EPOCHS, patience=_PATIENCE, objectives=OBJECTIVES, widths=_WIDTHS, norm=_NORM,
                        grid={"weight_decay": _DECAYS}, seed=seed)
    aligned = max((heads.score(name) for name in OBJECTIVES[:2]), key=lambda one: one.validation)
    return np.array([one.by_seed for one in (aligned, *(heads.score(name) for name in NAMES[1:]))])


def heads_pilot(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], columns: Float[np.ndarray, "m l"],
                labelled: Int[np.ndarray, "m"], kind: str, k: int, seed: int) -> Callable[[np.ndarray], Mapping]:
    """A pilot for `fair_scores`: trained heads of every fold.

    Args:
        x, y: paired views.
        columns: of the labels, one-hot or real.
        labelled: which rows have labels.
        kind: "class" or "real".
        k: outputs of each encoder.
        seed: of all trainings.
    """
    sizes = HeadSizes(x.shape[1], y.shape[1], k, _WIDTHS, _NORM)
    tried = [(name, decay) for name in OBJECTIVES for decay in _DECAYS]

    def train(fold):
        found = [_trained_without(sizes, x, y, np.flatnonzero(fold != f), tried, [seed, f])
                 for f in range(int(fold.max()) + 1)]
        # For each of what was tried, outputs by view, shape (folds, n, k).
        views = [{view: np.stack([one[place][view] for one in found]) for view in found[0][place]}
                 for place in range(len(tried))]
        return {objective: _best_in_folds([views[place] for place, (name, _) in enumerate(tried)
                                           if name.startswith(objective)],
                                          _PARTS[objective], columns, labelled, fold[labelled], kind)
                for objective in _PARTS}

    return train


def _trained_without(sizes, x, y, rows, tried, seed) -> list[dict[str, np.ndarray]]:
    """Outputs on all rows, by view, of all that is tried, trained on some rows."""
    order = np.random.default_rng(seed).permutation(rows)
    held, used = np.split(order, [int(_VALIDATED * len(rows))])
    views = [standardised(view, *standardisation(view[used])) for view in (x, y)]
    data = PairRows(*(view[part] for part in (used, held) for view in views))
    key = jax.random.fold_in(jax.random.key(seed[0]), seed[1])
    jobs = [(HeadTraining(sizes.program(name), _BATCH, _EPOCHS, _PATIENCE),
             HeadCell(start=key, kind=jnp.int32(PAIRED.index(name)), columns=jnp.zeros(0, jnp.float32),
                      settings=HeadSettings(**{one: jnp.float32(value) for one, value in
                                               (_SETTINGS | {"weight_decay": decay}).items()})))
            for name, decay in tried]
    return [{view: outputs(sizes.program(name), np.asarray(state.best), state.best_means, view, views["xy".index(view)])
             for view in PROBED[name]}
            for (name, _), state in zip(tried, train_cells(jobs, data, _silent), strict=True)]


def _silent(task: str, done: int, total: int) -> None:
    """Report nothing."""


def _best_in_folds(candidates, parts, columns, labelled, fold, kind) -> Any:
    """For each fold the outputs of the candidate that scores best on the labelled rows of the other folds."""
    classes = columns.argmax(1) if kind == "class" else np.zeros(len(columns), int)
    earned = [read_out_arrays(dict(zip(parts, views.values(), strict=True)), columns, labelled, fold, kind)
              for views in candidates]
    name = "CA" if len(parts) > 1 else parts[0]
    chosen = []
    for f in range(int(fold.max()) + 1):
        rest = fold != f
        scores = [float(ratio(one.earned[rest][:, [one.names.index(name)]].sum(2), one.possible[rest].sum(1),
                              classes[rest], np.ones((1, int(rest.sum()))))[0, 0]) for one in earned]
        chosen.append(int(np.argmax(scores)))
    of_view = {view: np.stack([candidates[place][view][f] for f, place in enumerate(chosen)]) for view in candidates[0]}
    return SimpleNamespace(x=of_view.get("x"), y=of_view.get("y"), diverged=np.zeros(len(chosen), bool))
