"""What a pilot trained, checked: outputs by representation, the best of several candidates, the spread of seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from phasejax.diagnosis._bootstrap import ratio
from phasejax.diagnosis._cross_fit import Earned, read_out_arrays


class TrainedEncoders(Protocol):
    """What a pilot returns for an objective: outputs on all rows of networks trained without each fold.

    Attributes:
        x, y: shape (folds, n, k), with a leading axis of seeds where each was trained several times; None for a view
            that the objective does not encode.
        diverged: whether each training diverged, shape (folds,) or (seeds, folds).
    """

    x: Any
    y: Any
    diverged: Any


# What of an objective's networks is an encoder, by the names of `ENCODERS`.
_ENCODERS = {"CA": {"CA of x": "x", "CA of y": "y"}, "CP x->y": {"CP x->y": "x"}, "CP y->x": {"CP y->x": "y"},
             "joint": {"joint": "x"}}
Parts = dict[str, Float[np.ndarray, "seeds folds m k"]]


@dataclass(frozen=True, eq=False)
class PilotEarnings:
    """What the labelled rows earn under each seed of a pilot's encoders.

    Args:
        by_seed: what they earn.
        fold: of the labelled rows.
        seed: of the draws of the spread of seeds.
    """

    by_seed: list[Earned]
    fold: Int[np.ndarray, "m"]
    seed: int

    @property
    def mean(self) -> tuple[Int[np.ndarray, "m"], Earned]:
        """All labelled rows, and what they earn on average."""
        return np.arange(len(self.fold)), mean_earned(self.by_seed)

    def scattered(self, draws: dict[str, np.ndarray], classes: Int[np.ndarray, "m"], column: int | None = None
                  ) -> dict[str, np.ndarray]:
        """Draws by name with the spread of seeds, of all label columns or of one."""
        field, columns = ("earned", slice(None)) if column is None else ("alone", slice(column, column + 1))
        earned = np.stack([getattr(one, field)[:, :, columns].sum(2) for one in self.by_seed])
        possible = self.by_seed[0].possible[:, columns].sum(1)
        size = len(next(iter(draws.values())))
        rng = np.random.default_rng([self.seed, 7, 0 if column is None else 1 + column])
        off = spread_of_seeds(earned, possible, self.fold, classes, size, rng)
        return {name: draws[name] + off[:, place] for place, name in enumerate(self.by_seed[0].names)}


def pilot_earnings(trained: Mapping[str, Any], folds: int, n: int, columns: Float[np.ndarray, "*folds m l"],
                   labelled: Int[np.ndarray, "m"], fold: Int[np.ndarray, "m"], kind: str, seed: int
                   ) -> tuple[PilotEarnings | None, tuple[str, ...]]:
    """What labelled rows earn under a pilot's encoders, None where all diverged, and the names of those that did.

    Args:
        trained: by objective its `TrainedEncoders`, or a sequence of candidates, of which each fold takes its own.
        folds, n: numbers of folds and rows that outputs must have.
        columns: labels of the rows `labelled`, or those of each fold, as for `cross_fitted`.
        labelled: indices of rows.
        fold: of the labelled rows.
        kind: "class" or "real".
        seed: of the draws of the spread of seeds.

    Raises:
        ValueError: outputs of another shape, other numbers of seeds.
    """
    found: Parts = {}
    diverged: list[str] = []
    for objective, views in _ENCODERS.items():
        if objective not in trained:
            continue
        given = trained[objective]
        candidates = [_checked(one, views, (folds, n), labelled) for one in
                      (given if isinstance(given, Sequence) else (given,))]
        left = [one for one in candidates if len(one) == len(views)] or candidates[:1]
        diverged += [name for name in views if name not in left[0]]
        found |= left[0] if len(left) == 1 else _best_in_folds(left, columns, fold, kind)
    seeds = sorted({len(values) for values in found.values()})
    if len(seeds) > 1:
        raise ValueError(f"pilot: expected as many seeds of all objectives, got {' and '.join(map(str, seeds))}")
    return PilotEarnings(_earned(found, columns, fold, kind), fold, seed) if found else None, tuple(diverged)


def mean_earned(by_seed: Sequence[Earned]) -> Earned:
    """What rows earn on average over the seeds."""
    return Earned(by_seed[0].names, *(np.mean([getattr(one, field) for one in by_seed], axis=0)
                                      for field in ("earned", "alone", "possible")))


def spread_of_seeds(earned: Float[np.ndarray, "seeds m names"], possible: Float[np.ndarray, "m"],
                    fold: Int[np.ndarray, "m"], classes: Int[np.ndarray, "m"], draws: int, rng: np.random.Generator
                    ) -> Float[np.ndarray, "draws names"]:
    r"""Draws of the error that a mean score over seeds has since trainings differ, all names together.

    With U_fs what the rows of fold f contribute to the score under seed s, the score is the sum over folds of the mean
    over seeds, and the covariance of its error

    .. math::  \frac{1}{S (S - 1)} \sum_{f, s} (U_{fs} - \bar U_f)(U_{fs} - \bar U_f)^\top

    since every training begins anew. Draws are multivariate t, with S - 1 degrees of freedom for each fold.

    Args:
        earned: by seed, of the labelled rows under each representation.
        possible: what each row could earn.
        fold, classes: of the rows; scores are means over the classes.
        draws: their number.
        rng: of the draws.
    """
    seeds = len(earned)
    if seeds == 1:
        return np.zeros((draws, earned.shape[2]))
    sums = np.bincount(classes, possible)
    scored = sums > 0
    weight = np.where(scored, 1 / np.where(scored, sums, 1) / scored.sum(), 0.0)[classes]
    contributed = np.stack([(earned[:, fold == f] * weight[fold == f, None]).sum(1) for f in np.unique(fold)])
    apart = (contributed - contributed.mean(1, keepdims=True)).reshape(-1, earned.shape[2])
    freedom = len(contributed) * (seeds - 1)
    scale = np.sqrt(freedom / rng.chisquare(freedom, (draws, 1)) / (seeds * (seeds - 1)))
    return scale * (rng.standard_normal((draws, len(apart))) @ apart)


def _checked(encoders: Any, views: Mapping[str, str], shape: tuple[int, int], labelled: np.ndarray) -> Parts:
    """Outputs on labelled rows of what was trained in every fold with every seed."""
    parts: Parts = {}
    for name, view in views.items():
        outputs = getattr(encoders, view)
        values = np.asarray(outputs) if outputs is not None else np.empty(0)
        if values.ndim not in (3, 4) or values.shape[-3:-1] != shape:
            raise ValueError(f"pilot: expected outputs of shape ({shape[0]}, {shape[1]}, k) for {name}, got "
                             f"{values.shape}")
        if not np.any(encoders.diverged) and np.isfinite(values).all():
            parts[name] = values[..., labelled, :].reshape(-1, shape[0], len(labelled), values.shape[-1]).astype(float)
    return parts


def _earned(parts: Parts, columns: np.ndarray, fold: np.ndarray, kind: str) -> list[Earned]:
    everyone = np.arange(len(fold))
    return [read_out_arrays({name: values[seed] for name, values in parts.items()}, columns, everyone, fold, kind)
            for seed in range(len(next(iter(parts.values()))))]


def _best_in_folds(candidates: Sequence[Parts], columns: np.ndarray, fold: np.ndarray, kind: str) -> Parts:
    """For each fold the outputs of the candidate that scores best, over seeds, on the labels of the other folds."""
    names = list(candidates[0])
    classes = columns.argmax(-1) if kind == "class" else np.zeros(len(fold), int)
    name = "CA" if len(names) > 1 else names[0]
    earned = [mean_earned(_earned(one, columns, fold, kind)) for one in candidates]
    chosen = []
    for f in range(int(fold.max()) + 1):
        rest = fold != f
        own = [ratio(one.earned[rest][:, [one.names.index(name)]].sum(2), one.possible[rest].sum(1), classes[rest],
                     np.ones((1, int(rest.sum())))) for one in earned]
        chosen.append(int(np.argmax([float(score[0, 0]) for score in own])))
    return {part: np.stack([candidates[place][part][:, f] for f, place in enumerate(chosen)], 1) for part in names}
