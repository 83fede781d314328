"""Probes of frozen representations: what ridge and logistic regression predict from them, and how well that is.

A probe is fitted to training rows that have the target, on columns standardised by these rows, with the penalty that
does best on validation rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.stats
from jaxtyping import Float, Int, Real

from phasejax.deep._heads_rows import HeadRows, Target
from phasejax.deep._linear_probe import PENALTIES, logistic_predictions
from phasejax.io._paired_features import PARTS

PROBES = ("ridge", "logistic", "mlp")
METRICS = {"class": "balanced accuracy", "real": "R2"}
# L-BFGS of a logistic probe stops when no component of the gradient exceeds this; of rows in the hundreds no prediction
# changes below.
_TOLERANCE = 1e-4
# Random weights of the test rows, or of whole groups, from which the error of a score is found.
_DRAWS = 400


@dataclass(frozen=True, eq=False)
class ProbeParts:
    """The rows that fit a probe, choose its penalty, and test it; all of them have the target."""

    train: Int[np.ndarray, "m"]
    validation: Int[np.ndarray, "v"]
    test: Int[np.ndarray, "t"]


def probe_parts(rows: HeadRows, target: Target, seed: int) -> ProbeParts:
    """The rows of a target's probe: those of the split that have it.

    A nuisance that is the same in all rows of a group, such as the donor where donors are held out, cannot be tested on
    groups that no probe has seen. Its probe rests on the rows that heads were not trained on: half of them at random to
    fit it, and a quarter each to choose the penalty and to test.
    """
    parts = [np.flatnonzero(target.known & (rows.part == place)) for place in range(len(PARTS))]
    if not (target.nuisance and target.kind == "class" and _is_constant_in_groups(rows.groups, target)):
        return ProbeParts(*parts)
    rest = np.random.default_rng([seed, 2]).permutation(np.concatenate(parts[1:]))
    rest = rest[np.argsort(target.values[rest], kind="stable")]  # spreads classes over the parts
    place = np.arange(len(rest)) % 4
    return ProbeParts(rest[place < 2], rest[place == 2], rest[place == 3])


def _is_constant_in_groups(groups, target):
    if groups is None:
        return False
    pairs = np.unique(np.stack([groups[target.known], target.values[target.known].astype(int)]), axis=1)
    return pairs.shape[1] == len(np.unique(pairs[0]))


def applies(probe: str, target: Target) -> bool:
    """Whether a probe can predict a target: logistic regression predicts classes only."""
    return probe != "logistic" or target.kind == "class"


def main_probe(probes: Any, target: Target) -> str:
    """The probe whose score stands for a target: logistic of classes, ridge of real values, where it was asked for."""
    wanted = "logistic" if target.kind == "class" else "ridge"
    return wanted if wanted in probes else next(probe for probe in probes if applies(probe, target))


def predicted(probe: str, features: Float[np.ndarray, "n c"], target: Target, parts: ProbeParts
              ) -> Float[np.ndarray, "n"]:
    """Classes or values that a linear probe predicts for all rows; NaN where features are not finite."""
    if not np.isfinite(features).all():
        return np.full(len(features), np.nan)
    rows = _standardised(features.astype(np.float64), parts.train)
    values = target.values[parts.train]
    if len(np.unique(values)) == 1:
        return np.full(len(features), values[0])
    if probe == "logistic":
        found, _ = logistic_predictions(rows[parts.train], values.astype(int), rows[parts.validation],
                                        target.values[parts.validation].astype(int), rows, _TOLERANCE)
        return found.astype(float)
    if target.kind == "real":
        return _ridge(rows, target.values[:, None], parts)[:, 0]
    codes = np.eye(len(target.classes))[target.values.astype(int)]
    return _ridge(rows, codes, parts).argmax(1).astype(float)


def _standardised(features, train):
    centred = features - features[train].mean(0)
    deviation, largest = centred[train].std(0), np.abs(features[train]).max(0)
    return centred * np.where(deviation > 1e-9 * largest, 1 / np.where(deviation > 0, deviation, 1), 0.0)


def _ridge(rows, codes, parts):
    """Predictions of all rows at the penalty of least squared error on the validation rows."""
    train, centre = rows[parts.train], codes[parts.train].mean(0)
    m, wide = len(train), train.shape[1] > len(train)
    values, vectors = scipy.linalg.eigh((train @ train.T if wide else train.T @ train) / m)
    values = np.maximum(values, 0)
    targets = codes[parts.train] - centre
    if wide:  # the same predictions from a matrix of rows in place of one of columns
        basis, projected = rows @ (train.T @ vectors), vectors.T @ targets / m
    else:
        basis, projected = rows @ vectors, vectors.T @ (train.T @ targets) / m
    best, least = rows, np.inf
    for place, penalty in enumerate(PENALTIES):
        found = centre + basis @ (projected / (values + penalty)[:, None])
        error = np.mean((found[parts.validation] - codes[parts.validation]) ** 2)
        if place == 0 or error < least:
            best, least = found, error
    return best


# Scores


def score(kind: str, truth: Real[np.ndarray, "t"], found: Real[np.ndarray, "t"],
          weights: Float[np.ndarray, "draws t"] | None = None) -> Float[np.ndarray, "draws"]:
    """Balanced accuracy or R^2, for each row of weights of the test rows; NaN where a prediction is not finite.

    Args:
        kind: "class" or "real".
        truth, found: what is true and what was predicted.
        weights: of the rows; one row of ones when left out. A class without weight does not count.

    >>> score("class", np.array([0.0, 0, 0, 1]), np.array([0.0, 0, 1, 1])).round(4).tolist()
    [0.8333]
    >>> score("real", np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 2, 1])).round(4).tolist()
    [0.2]
    """
    weights = np.ones((1, len(truth))) if weights is None else weights
    if not np.isfinite(found).all():
        return np.full(len(weights), np.nan)
    if kind == "class":
        members = np.unique(truth)[:, None] == truth
        total = weights @ members.T
        with np.errstate(invalid="ignore"):
            recalls = (weights @ (members & (found == truth)).T) / total
        return np.nanmean(np.where(total > 0, recalls, np.nan), 1)
    mean = weights @ truth / weights.sum(1)
    spread = weights @ truth**2 / weights.sum(1) - mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 1 - weights @ (truth - found) ** 2 / weights.sum(1) / spread, np.nan)


def interval(kind: str, truth: Float[np.ndarray, "t"], found: Float[np.ndarray, "seeds t"],
             groups: Int[np.ndarray, "t"] | None, confidence: float) -> tuple[float, float, float, tuple[float, ...]]:
    r"""Mean score over the seeds, with an interval over test groups and seeds, and the score of each seed.

    .. math::  \bar s \pm t_{f} \sqrt{v + w / S}

    with v the variance of the mean score over random weights of the test rows, whole groups together (Bayesian
    bootstrap), w the variance between S seeds, and f the degrees of freedom of the sum (Satterthwaite 1946) with one
    less than the number of groups and of seeds.

    Args:
        kind: "class" or "real".
        truth: of the test rows.
        found: predictions of each seed; of what has no seed, one row.
        groups: of the test rows; None where every row is its own.
        confidence: level of the interval.

    Returns:
        The mean, the ends of the interval, which never leave the range of the score and are NaN with a single test
        group, and the scores.
    """
    by_seed = np.array([score(kind, truth, one)[0] for one in found])
    units = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    count, seeds = int(units.max()) + 1, len(found)
    value = float(by_seed.mean())
    if not np.isfinite(value) or count < 2:
        return value, np.nan, np.nan, tuple(map(float, by_seed))
    weights = np.random.default_rng(0).standard_exponential((_DRAWS, count))[:, units]
    truth_centred = truth - truth.mean() if kind == "real" else truth
    shift = truth.mean() if kind == "real" else 0.0
    draws = np.mean([score(kind, truth_centred, one - shift, weights) for one in found], axis=0)
    of_groups = float(np.nanvar(draws, ddof=1)) * (count / (count - 1))
    if kind == "class":  # where all is right, or all wrong, the rows say no more than that errors are rare
        share = (count * value + 0.5) / (count + 1)
        of_groups = max(of_groups, share * (1 - share) / count if value in (0, 1) else 0.0)
    of_seeds = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    variance = of_groups + of_seeds
    if not variance > 0:
        return value, value, value, tuple(map(float, by_seed))
    freedom = variance**2 / (of_groups**2 / (count - 1) + (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0))
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) * np.sqrt(variance)
    low = value - half if kind == "real" else max(value - half, 0.0)
    return value, low, min(value + half, 1.0), tuple(map(float, by_seed))


def chance(target: Target, parts: ProbeParts) -> float:
    """The score of a guess: one over the number of classes among the test rows; 0 of real values."""
    return 1 / len(np.unique(target.values[parts.test])) if target.kind == "class" else 0.0
