r"""Is a similarity beyond chance, and how precise is it: metrics of other pairings, and of parts of the rows.

Under the null hypothesis the rows pair at random, so every pairing of the same rows is equally likely. The metric of
random pairings is then its null distribution at this n and d, bias included, and p = (1 + number of pairings that are
at least as similar) / (1 + number of pairings) is exact.

A bootstrap would draw rows twice, and a duplicate is its own nearest neighbour. So every resample leaves out a fifth of
the rows instead and repeats none (the delete-d jackknife of Shao and Wu 1989): with m of n rows kept, the deviations of
the metric from its mean over resamples, times sqrt(m / (n - m)) = 2, are distributed as its sampling error. In 120
samples of n = 150 rows, intervals of level 0.9 covered 0.85 to 0.88 for CKA and the correlation matrix distance, 0.89
to 0.93 for canonical correlations, and 0.93 to 1.00 for metrics of neighbours, which change most when rows are left
out.

Where rows belong to groups, whole groups are permuted and left out (`_whole_groups`), and their number is the sample
size: a fifth of them is left out, with as many rows as make a fifth of all. In 80 samples of 25 groups of 20 rows, or
of 5 to 40, intervals covered 0.88 to 0.89 for CKA, 0.91 to 0.93 for `mutual_knn` and 0.95 to 0.98 for canonical
correlations.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import numpy as np
from jaxtyping import Float, Int, PyTree

from phasejax.similarity._statistics import Statistic
from phasejax.similarity._whole_groups import Blocks, pairing_of_whole_groups, part_of_whole_groups

# Share of the rows in a resample.
_KEPT = 0.8
# Number of pairings or resamples in one call of a compiled program.
_AT_ONCE = 10


def pairings(statistic: Statistic, state: PyTree, n: int, count: int, rng: np.random.Generator,
             advance: Callable[[int], None] = lambda count: None, blocks: list[Blocks] | None = None
             ) -> dict[str, Float[np.ndarray, "m"]]:
    """Metrics of the n rows in their true pairing, followed by those of `count` random pairings.

    Args:
        statistic, state: of the n rows.
        n: number of rows.
        count: number of random pairings.
        rng: what they are drawn with.
        advance: told how many pairings have been done.
        blocks: the groups that trade places as a whole (`groups_of_equal_size`); None where rows are independent.
    """
    def shuffled():
        return rng.permutation(n) if blocks is None else pairing_of_whole_groups(blocks, rng)

    orders = (np.arange(n) if i == 0 else shuffled() for i in range(count + 1))
    return _in_batches(partial(statistic.of_pairings, state), orders, advance)


def resamples(statistic: Statistic, state: PyTree, n: int, count: int, rng: np.random.Generator,
              advance: Callable[[int], None] = lambda count: None, groups: Int[np.ndarray, "n"] | None = None
              ) -> dict[str, Float[np.ndarray, "m"]]:
    """Metrics of `count` random parts of the n rows, which are whole groups where rows belong to groups."""
    def part():
        kept = rows_kept(n)
        return np.sort(rng.permutation(n)[:kept]) if groups is None else part_of_whole_groups(groups, kept, rng)

    parts = (part() for _ in range(count))
    return _in_batches(partial(statistic.of_parts, state), parts, advance)


def rows_kept(n: int) -> int:
    """Number of rows in a resample of n, four fifths of them."""
    return int(_KEPT * n)


def p_value(values: Float[np.ndarray, "m"], *, is_distance: bool = False) -> float:
    r"""The p-value of the true pairing, whose metric is the first value, among m - 1 random ones.

    .. math::  \frac{1}{m} \#\{\text{values at least as similar as the first, which counts itself}\}

    NaN where any of the values is.

    >>> p_value(np.array([0.9, 0.1, 0.2, 0.9]))
    0.5
    """
    if np.isnan(values).any():
        return float("nan")
    less_similar = values > values[0] if is_distance else values < values[0]
    return float(np.mean(~less_similar))


def interval(value: float, resampled: Float[np.ndarray, "m"], rows: int, n: int, confidence: float
             ) -> tuple[float, float]:
    """Ends of an interval for the mean of the metric at n rows: its value less quantiles of its sampling error.

    Args:
        value: of the metric at n rows.
        resampled: values of the metric at four fifths of `rows` rows.
        rows: number of rows (or of groups, if whole groups are left out) behind the resamples, at most n.
        n: number of all rows, or groups.
        confidence: level of the interval.
    """
    m = rows_kept(rows)
    errors = np.sqrt(m / (rows - m) * rows / n) * (resampled - resampled.mean())
    low, high = np.quantile(errors, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(value - high), float(value - low)


def _in_batches(function: Callable, draws: Iterator[np.ndarray], advance: Callable[[int], None]
                ) -> dict[str, Float[np.ndarray, "m"]]:
    """Apply the function to batches of one size; the last one is filled up, and what that adds is cut off."""
    found = []
    while batch := list(islice(draws, _AT_ONCE)):
        filled = np.stack(batch + batch[:1] * (_AT_ONCE - len(batch))).astype(np.int32)
        values = function(filled)
        found.append({name: np.asarray(v, np.float64)[:len(batch)] for name, v in values.items()})
        advance(len(batch))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}
