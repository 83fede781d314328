"""What a pilot trained, checked: outputs by representation, and the best of several candidates fold by fold."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from phasejax.diagnosis._bootstrap import ratio
from phasejax.diagnosis._cross_fit import read_out_arrays


class TrainedEncoders(Protocol):
    """What a pilot returns for an objective: outputs on all rows of networks trained without each fold.

    Attributes:
        x, y: shape (folds, n, k), or None for a view that the objective does not encode.
        diverged: whether each fold's training diverged, shape (folds,).
    """

    x: Any
    y: Any
    diverged: Any


# What of an objective's networks is an encoder, by the names of `ENCODERS`.
_ENCODERS = {"CA": {"CA of x": "x", "CA of y": "y"}, "CP x->y": {"CP x->y": "x"}, "CP y->x": {"CP y->x": "y"},
             "joint": {"joint": "x"}}
Parts = dict[str, Float[np.ndarray, "folds m k"]]


def pilot_outputs(trained: Mapping[str, Any], folds: int, n: int, columns: Float[np.ndarray, "*folds m l"],
                  labelled: Int[np.ndarray, "m"], fold: Int[np.ndarray, "m"], kind: str
                  ) -> tuple[Parts, tuple[str, ...]]:
    """Outputs on labelled rows by the names of `ENCODERS`, and the names of what was not trained in every fold.

    Args:
        trained: by objective its `TrainedEncoders`, or a sequence of candidates.
        folds, n: numbers of folds and rows that outputs must have.
        columns: labels of the rows `labelled`, or those of each fold, as for `cross_fitted`.
        labelled: indices of rows.
        fold: of the labelled rows.
        kind: "class" or "real".

    Raises:
        ValueError: outputs of another shape.
    """
    found: Parts = {}
    diverged: list[str] = []
    for objective, views in _ENCODERS.items():
        if objective not in trained:
            continue
        given = trained[objective]
        candidates = [_checked(one, views, (folds, n), labelled) for one in
                      (given if isinstance(given, Sequence) else (given,))]
        names = [name for name in views if all(name not in one for one in candidates)]
        diverged += names
        left = [one for one in candidates if len(one) == len(views)] or candidates[:1]
        found |= left[0] if len(left) == 1 else _best_in_folds(left, columns, fold, kind)
    return found, tuple(diverged)


def _checked(encoders: Any, views: Mapping[str, str], shape: tuple[int, int], labelled: np.ndarray
             ) -> Parts:
    """Outputs on labelled rows of what was trained in every fold."""
    parts: Parts = {}
    for name, view in views.items():
        outputs = getattr(encoders, view)
        values = np.asarray(outputs) if outputs is not None else np.empty(0)
        if values.ndim != 3 or values.shape[:2] != shape:
            raise ValueError(f"pilot: expected outputs of shape ({shape[0]}, {shape[1]}, k) for {name}, got "
                             f"{values.shape}")
        if not np.any(encoders.diverged) and np.isfinite(values).all():
            parts[name] = values[:, labelled].astype(np.float64)
    return parts


def _best_in_folds(candidates: Sequence[Parts], columns: np.ndarray, fold: np.ndarray, kind: str) -> Parts:
    """For each fold the outputs of the candidate that scores best on the labelled rows of the other folds."""
    everyone, names = np.arange(len(fold)), list(candidates[0])
    classes = columns.argmax(-1) if kind == "class" else np.zeros(len(fold), int)
    name = "CA" if len(names) > 1 else names[0]
    earned = [read_out_arrays(one, columns, everyone, fold, kind) for one in candidates]
    chosen = []
    for f in range(int(fold.max()) + 1):
        rest = fold != f
        own = [ratio(one.earned[rest][:, [one.names.index(name)]].sum(2), one.possible[rest].sum(1), classes[rest],
                     np.ones((1, int(rest.sum())))) for one in earned]
        chosen.append(int(np.argmax([float(score[0, 0]) for score in own])))
    return {part: np.stack([candidates[place][part][f] for f, place in enumerate(chosen)]) for part in names}
