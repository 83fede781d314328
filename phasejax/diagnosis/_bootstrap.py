"""Intervals of scores by the Bayesian bootstrap of held-out rows, or of whole groups of them.

All representations get the same weights, so differences between them are paired row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm
from scipy.stats import t as student_t

# Weightings of the Bayesian bootstrap, and the level of the intervals that they give.
DRAWS = 1000
LEVEL = 0.9
# Rows that the bootstrap weights at a time: 1000 weightings of them are 80 MB.
BLOCK = 10_000


# Standard errors, of many rows, by which the best score must be above chance to count. The best of several is above
# it by luck more often than one, and the bootstrap does not see that fits vary too: of 500 data sets of noise (120 to
# 1000 rows, 6 to 30 columns, 2 to 4 classes) the best score of 99 % stayed below.
STANDARD_ERRORS = 3.2
# Least degrees of freedom of a class: where one group has nearly all of its rows, nothing is known about its error.
_LEAST_FREEDOM = 0.25


@dataclass(frozen=True)
class Score:
    """A number with its 90% interval.

    Args:
        name: of the representation.
        value: R^2 or balanced accuracy, or a difference of two.
        low, high: ends of the interval.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ColumnScores:
    """Scores of one label column alone.

    Args:
        scores: one for each representation.
        added: by how much "x and y" is above "x" and above "y", under these names: what the other one adds.
    """

    scores: tuple[Score, ...]
    added: tuple[Score, Score]

    def score(self, name: str) -> Score:
        """The score of one representation."""
        return next(score for score in self.scores if score.name == name)

    def adds_to(self, single: str) -> Score:
        """What the other modality adds to a single one, "x" or "y"."""
        return self.added[single == "y"]


def ratio(earned: Float[np.ndarray, "m c"], possible: Float[np.ndarray, "m"], classes: Int[np.ndarray, "m"],
          weights: Float[np.ndarray, "b m"]) -> Float[np.ndarray, "b c"]:
    """Mean over classes of the weighted sum of what is earned over that of what is possible."""
    number = int(classes.max()) + 1
    sums = np.zeros((len(weights), earned.shape[1]))
    for label in range(number):
        rows = classes == label
        sums += (weights[:, rows] @ earned[rows]) / (weights[:, rows] @ possible[rows])[:, None]
    return sums / number


def bootstrap(rng: np.random.Generator, earned: Float[np.ndarray, "m c"], possible: Float[np.ndarray, "m"],
              classes: Int[np.ndarray, "m"], groups: Int[np.ndarray, "m"] | None = None
              ) -> Float[np.ndarray, "draws c"]:
    """`ratio` under independent exponential weights of the rows, or of the groups.

    Args:
        rng: of the weights.
        earned, possible: of each row.
        classes: of the rows, from 0 on; 0 throughout for real labels.
        groups: of the rows; None where each row is a group of its own.
    """
    sums = weighted_sums(rng, np.column_stack([possible, earned]), classes, groups)
    return (sums[:, :, 1:] / sums[:, :, :1]).mean(0)


def errors_above_chance(classes: Int[np.ndarray, "m"], groups: Int[np.ndarray, "m"] | None = None) -> float:
    r"""How many standard deviations of the draws a score must be above chance, not to be there by luck.

    A class whose rows are in groups of n_g is known as well as from e = (\sum n_g)^2 / \sum n_g^2 rows of its own. The
    bootstrap's variance of a mean over e rows is too small by (e - 1) / (e + 1), and has e - 1 degrees of freedom. So
    the errors are those of Student's t at the level of `STANDARD_ERRORS`, with the degrees of freedom of a sum over
    classes whose variances are as 1 / e.

    Args:
        classes: of the labelled rows, from 0 on; 0 throughout for real labels.
        groups: of the same rows; None where each row is a group of its own.

    Source: the effective number of groups, Kish 1965; degrees of freedom, Satterthwaite 1946.

    >>> errors_above_chance(np.zeros(100_000, int)), errors_above_chance(np.zeros(240, int), np.arange(240) // 20)
    (3.2..., 4.6...)
    """
    freedom, understated = _of_few_groups(classes, groups)
    return float(student_t.isf(norm.sf(STANDARD_ERRORS), freedom) * understated)


def spread_of_few_groups(classes: Int[np.ndarray, "m"], groups: Int[np.ndarray, "m"] | None) -> float:
    """By how much the draws of groups are spread out, so that their intervals are those of Student's t; 1 for rows.

    Args:
        classes, groups: as in `errors_above_chance`.
    """
    if groups is None:
        return 1.0
    freedom, understated = _of_few_groups(classes, groups)
    tail = (1 + LEVEL) / 2
    return float(student_t.ppf(tail, freedom) / norm.ppf(tail) * understated)


def _of_few_groups(classes, groups):
    """Degrees of freedom of a bootstrap's variance, and the root of what it has to be multiplied by."""
    if groups is None:
        effective = np.bincount(classes).astype(float)
    else:
        group = np.unique(groups, return_inverse=True)[1].reshape(-1)
        rows = np.zeros((int(classes.max()) + 1, int(group.max()) + 1))
        np.add.at(rows, (classes, group), 1.0)
        effective = rows.sum(1) ** 2 / (rows**2).sum(1)
    freedom = np.maximum(effective - 1, _LEAST_FREEDOM)
    variances = (effective + 1) / freedom / effective
    return variances.sum() ** 2 / np.sum(variances**2 / freedom), np.sqrt(variances.sum() / np.sum(1 / effective))


def spread_out(draws: Float[np.ndarray, "*draws"], values: Any, spread: float) -> Float[np.ndarray, "*draws"]:
    """Draws further from their values, and never above a perfect score."""
    return draws if spread == 1 else np.minimum(values + spread * (draws - values), 1.0)


def weighted_sums(rng: np.random.Generator, terms: Float[np.ndarray, "m c"], classes: Int[np.ndarray, "m"],
                  groups: Int[np.ndarray, "m"] | None = None) -> Float[np.ndarray, "classes draws c"]:
    """Sums of the terms over the rows of each class, under `DRAWS` exponential weightings of rows or groups."""
    sums = np.zeros((int(classes.max()) + 1, DRAWS, terms.shape[1]))
    if groups is not None:
        _, group = np.unique(groups, return_inverse=True)
        of_groups = np.zeros((len(sums), int(group.max()) + 1, terms.shape[1]))
        np.add.at(of_groups, (classes, group), terms)
        for start in range(0, of_groups.shape[1], BLOCK):
            weights = rng.standard_exponential((DRAWS, of_groups[:, start:start + BLOCK].shape[1]))
            for label, own in enumerate(of_groups):
                sums[label] += weights @ own[start:start + BLOCK]
        return sums
    order = np.argsort(classes, kind="stable")
    terms, classes = terms[order], classes[order]
    for start in range(0, len(terms), BLOCK):
        block = slice(start, start + BLOCK)
        weights = rng.standard_exponential((DRAWS, len(terms[block])))
        for label in np.unique(classes[block]):
            rows = classes[block] == label
            first, last = np.flatnonzero(rows)[[0, -1]]
            sums[label] += weights[:, first:last + 1] @ terms[block][rows]
    return sums


def with_intervals(names: Sequence[str], values: Float[np.ndarray, "c"], draws: Float[np.ndarray, "draws c"]
                   ) -> tuple[Score, ...]:
    """Scores with the quantiles of their draws as intervals."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return tuple(Score(name, *map(float, numbers)) for name, *numbers in zip(names, values, low, high, strict=True))


def column_scores(names: Sequence[str], values: Float[np.ndarray, "c"], draws: Float[np.ndarray, "draws c"]
                  ) -> ColumnScores:
    """Scores of a label column, and what each modality adds to the other, from values and draws of the names."""
    places = {name: place for place, name in enumerate(names)}
    both, single = places["x and y"], [places["x"], places["y"]]
    added = with_intervals(("x", "y"), values[both] - values[single], draws[:, [both]] - draws[:, single])
    return ColumnScores(with_intervals(names, values, draws), (added[0], added[1]))
