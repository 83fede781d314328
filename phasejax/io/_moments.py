"""First and second moments of tables that need not fit in memory, as exact as those of an array in memory.

All second-order methods depend on the rows through their number, mean and scatter matrix. `accumulate` computes these
in one pass over blocks of rows, for several folds of the rows at once; `Moments.merged` adds folds together.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count, check_seed, shown
from phasejax.io._readers import open_table

# Bytes for the rows that are read at a time, beside the sums themselves.
MEMORY = 2**28
# Least number of rows of each fold in a block: with fewer, adding up the sums would be most of the work.
_LEAST_ROWS = 256
# Number of first rows whose medians are the origin of the sums.
_ORIGIN_ROWS = 1024
# Count of numbers that are added up at a time, so that temporaries stay in the processor's cache.
_STRIP = 2**15
_fields = attrgetter("n", "mean", "scatter", "low", "high")


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Number, mean and scatter of n rows with p columns, in float64.

    .. math::  m = \frac1n \sum_i r_i, \qquad S = \sum_i (r_i - m)(r_i - m)^\top

    Args:
        n: number of rows, at least 1.
        mean: m, shape (p,), in the units of the data.
        scatter: S, shape (p, p), in these units squared.
        low, high: smallest and largest value of each column, shape (p,), exactly as in the data.

    >>> halves = Moments.of(np.array([[1.0], [2.0]])), Moments.of(np.array([[6.0]]))
    >>> halves[0].merged(halves[1]).scatter.tolist()
    [[14.0]]
    """

    n: int
    mean: Float[np.ndarray, "p"]
    scatter: Float[np.ndarray, "p p"]
    low: Float[np.ndarray, "p"]
    high: Float[np.ndarray, "p"]

    @classmethod
    def of(cls, block: ArrayLike) -> "Moments":
        """Moments of the rows of an array.

        Args:
            block: finite numbers, shape (n, p), n >= 1 and p >= 1.

        Raises:
            ValueError: the array has another number of dimensions, no rows or columns, or values that are not finite
                numbers.
        """
        return accumulate([block], names=["block"])[0]

    @property
    def covariance(self) -> Float[np.ndarray, "p p"]:
        """Covariance S / n, shape (p, p); `phasejax.linear.covariances_from_samples` divides by n too."""
        return self.scatter / self.n

    @checked
    def merged(self, other: "Moments") -> "Moments":
        r"""Moments of the rows of both a (this one) and b (the other).

        .. math::
            d = m_b - m_a, \quad m = m_a + d\, n_b / n, \quad S = S_a + S_b + d d^\top n_a n_b / n

        Raises:
            ValueError: b has another number of columns.

        Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
        sample variances, 1979, eq. 2.1.
        """
        return Moments(*_both(_fields(self), _fields(other)))


@checked
def accumulate(tables: Sequence, folds: int | Integer[np.ndarray, "n"] = 1, *, seed: int = 0,
               names: Sequence[str] | None = None, rows_at_once: int | None = None,
               memory: int = MEMORY, progress: bool | ProgressCallback = False) -> list[Moments]:
    """Moments of all columns of several tables side by side, for each fold of their rows.

    Rows are read once, in blocks. Neither their number nor a mean far from zero costs accuracy, and the number of
    blocks changes the result by less than 1e-12 of it. The sums take 16 bytes per fold and pair of columns, beside
    `memory`.

    Args:
        tables: what `open_table` takes, with equal numbers of rows.
        folds: the number of parts that the rows are divided into at random (see `assign_folds`), or the part of
            each row, shape (n,): numbers from 0 on of which none is missing.
        seed: seed of the assignment to folds.
        names: what errors call the tables; x, y, labels for up to three tables when left out.
        rows_at_once: how many rows are read at a time; as many as `memory` allows when left out.
        memory: bytes for the rows that are read at a time.
        progress: False, True for a bar, or a callback; called after every block with the task "rows", the rows
            read so far and all rows.

    Returns:
        The moments of each fold; `Moments.merged` puts any of them together.

    Raises:
        ValueError: there are no tables, they differ in their numbers of rows, there are fewer rows than folds, or
            values are not finite (the first row with one is named) or too large to be squared.

    >>> (moments,) = accumulate([np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]])])
    >>> moments.mean.tolist(), moments.covariance.tolist()
    ([2.0, 2.0], [[1.0, 2.0], [2.0, 4.0]])
    """
    tables, names = _opened(tables, names)
    n, widths = len(tables[0]), [table.shape[1] for table in tables]
    for name, table in zip(names, tables, strict=True):
        if len(table) != n:
            raise ValueError(f"{name}: expected {n} rows as in {names[0]}, got {len(table)}")
    one = not isinstance(folds, np.ndarray) or folds.ndim == 0
    fold_of_row = assign_folds(n, check_count("folds", folds), seed) if one else _checked_folds(folds, n)
    folds = int(fold_of_row.max()) + 1
    if rows_at_once is None:
        rows_at_once = _rows_within(check_count("memory", memory), tables, folds)
    check_count("rows_at_once", rows_at_once)
    # Distances from a value amid the data keep the digits that a mean far from zero would take. Always of
    # the same rows, so that the result hardly depends on the blocks.
    first, _ = next(_stacked(tables, min(n, _ORIGIN_ROWS)))
    origin = np.sort(first, axis=0)[len(first) // 2]
    product = np.empty((sum(widths), sum(widths)))
    sums = [_Sums(product) for _ in range(folds)]
    done = 0
    with reporting(progress) as tell:
        for block, spare in _stacked(tables, min(n, rows_at_once)):
            for fold, total in enumerate(sums):
                rows = spare if folds == 1 else _gathered(block, fold_of_row[done:done + len(block)] == fold)
                if len(rows) == 1:
                    continue
                low, high = rows[:-1].min(0), rows[:-1].max(0)
                if not (np.isfinite(low).all() and np.isfinite(high).all()):
                    _refuse_first_bad(block, done, names, widths)
                with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused at the end
                    rows[:-1] -= origin
                    total.add(rows, low, high)
            done += len(block)
            tell("rows", done, n)
    for total in sums:
        overflowing = np.flatnonzero(~np.isfinite(total.scatter).all(1))
        if overflowing.size:
            name, column = _named_column(names, widths, overflowing[0])
            raise ValueError(f"{name}: expected values whose squares can be added up, got larger ones in column "
                             f"{column}")
    return [total.moments(origin) for total in sums]


def merge_all(moments: Sequence[Moments]) -> Moments:
    """Moments of the rows of all of at least one set of moments.

    Raises:
        ValueError: there are none, or they differ in their numbers of columns.
    """
    if not moments:
        raise ValueError("moments: expected at least 1, got none")
    return Moments(*reduce(_both, map(_fields, moments)))


def assign_folds(n: int, folds: int, seed: int = 0) -> Integer[np.ndarray, "n"]:
    """A fold for each of n rows at random, such that the sizes of folds differ by at most one.

    Args:
        n: number of rows.
        folds: number of folds, 1 to n.
        seed: the same seed gives the same folds.

    Returns:
        Numbers from 0 to folds - 1, shape (n,), in the smallest dtype that holds them.

    Raises:
        ValueError: `folds` is below 1 or above n.
    """
    check_seed("seed", seed)
    if not 1 <= folds <= n:
        raise ValueError(f"folds: expected 1 to {n}, the number of rows, got {folds}")
    fold_of_row = np.resize(np.arange(folds, dtype=np.min_scalar_type(folds - 1)), n)
    if folds > 1:
        np.random.default_rng(seed).shuffle(fold_of_row)
    return fold_of_row


def each_left_out(parts: Sequence[Moments]) -> list[Moments]:
    """Moments of the rows of all parts but the first, of all but the second, and so on.

    Args:
        parts: moments of at least two folds.
    """
    fields = list(map(_fields, parts))
    heads, tails = (list(itertools.accumulate(some, _both)) for some in (fields[:-1], fields[:0:-1]))
    return [Moments(*rest) for rest in (tails[-1], *map(_both, heads[:-1], tails[-2::-1]), heads[-1])]


def check_varying(moments: Moments, widths: Sequence[int], names: Sequence[str] | None = None) -> None:
    """Refuse columns that have the same value in all rows.

    Args:
        moments: moments of tables side by side, with all folds merged.
        widths: number of columns of each table.
        names: what errors call the tables; x, y, labels for up to three tables when left out.

    Raises:
        ValueError: a column is constant; names the table and its first such column.
    """
    names = _names(len(widths), names)
    if sum(widths) != moments.mean.size:
        raise ValueError(f"widths: expected {moments.mean.size} columns in all, got {sum(widths)}")
    constant = moments.low == moments.high
    for name, own in zip(names, np.split(constant, np.cumsum(widths)[:-1]), strict=True):
        columns = np.flatnonzero(own)
        if columns.size:
            more = f" and {columns.size - 1} more" if columns.size > 1 else ""
            raise ValueError(f"{name}: expected columns that vary, got a constant in column {columns[0]}{more}")


def _both(own, other):
    """The fields of `Moments.merged`, apart from it since a diagnosis merges folds many thousand times."""
    (n_a, mean, scatter, low, high), (n_b, mean_b, scatter_b, low_b, high_b) = own, other
    if mean_b.shape != mean.shape:
        raise ValueError(f"other: expected {mean.size} columns, got {mean_b.size}")
    n, shift = n_a + n_b, mean_b - mean
    return (n, mean + shift * (n_b / n), scatter + scatter_b + np.outer(shift, shift * (n_a * n_b / n)),
            np.minimum(low, low_b), np.maximum(high, high_b))


def _checked_folds(folds, n):
    folds = np.asarray(folds)
    if folds.shape != (n,):
        raise ValueError(f"folds: expected a number or one for each of {n} rows, got shape {folds.shape}")
    if folds.dtype.kind not in "iu" or folds.min() < 0 or 0 in np.bincount(folds):
        raise ValueError("folds: expected numbers from 0 on of which none is missing, got others")
    return folds


class _Sums:
    """Running moments of the distances of one fold's rows from the origin; rounding errors are kept beside the sums."""

    def __init__(self, product):
        columns = len(product)
        self.product = product  # work space that the folds share
        self.n = 0
        self.total, self.total_lost = np.zeros((2, 1, columns))
        self.scatter, self.scatter_lost = np.zeros((2, columns, columns))
        self.low, self.high = np.full(columns, math.inf), np.full(columns, -math.inf)

    def add(self, rows, low, high):
        """Add all `rows` but the last, which is work space; their values are overwritten."""
        rows, spare = rows[:-1], rows
        m = len(rows)
        mean = rows.mean(0)
        rows -= mean
        mean += rows.mean(0)  # corrects the rounding of the first mean; the scatter below is not affected by it
        # The term d d' n_a n_b / n of `Moments.merged` is the product of one more row with itself.
        before = (self.total + self.total_lost)[0] / max(self.n, 1)
        spare[-1] = (mean - before) * math.sqrt(self.n * m / (self.n + m))
        np.matmul(spare.T, spare, out=self.product)
        _add_exactly(self.scatter, self.scatter_lost, self.product)
        _add_exactly(self.total, self.total_lost, m * mean[None])
        self.n += m
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    def moments(self, origin):
        mean = origin + (self.total + self.total_lost)[0] / self.n
        return Moments(n=self.n, mean=mean, scatter=self.scatter + self.scatter_lost, low=self.low, high=self.high)


def _add_exactly(total, lost, term):
    """total + lost + term, in place: Knuth's two-sum gives what each addition rounds away."""
    strip = max(1, _STRIP // total.shape[1])
    for start in range(0, len(total), strip):
        a, b = total[start:start + strip], term[start:start + strip]
        s = a + b
        v = s - a
        lost[start:start + strip] += (a - (s - v)) + (b - v)
        a[:] = s


def _stacked(tables, rows_at_once) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of all tables side by side in float64: each without and with a spare row after its rows."""
    edges = np.cumsum([0] + [table.shape[1] for table in tables])
    buffer = np.empty((rows_at_once + 1, edges[-1]))
    for start in range(0, len(tables[0]), rows_at_once):
        stop = min(start + rows_at_once, len(tables[0]))
        for left, right, table in zip(edges[:-1], edges[1:], tables, strict=True):
            buffer[:stop - start, left:right] = table.rows(start, stop)
        yield buffer[:stop - start], buffer[:stop - start + 1]


def _gathered(block, chosen):
    """The chosen rows of a block, and a spare row after them."""
    places = np.flatnonzero(chosen)
    rows = np.empty((len(places) + 1, block.shape[1]))
    np.take(block, places, axis=0, out=rows[:-1], mode="clip")  # all places exist; this mode needs no copy
    return rows


def _rows_within(memory, tables, folds):
    n = len(tables[0])
    # Every row is held in float64, a second time with its fold (if there are several), and as it was read.
    bytes_per_row = sum(table.shape[1] * (8 + (8 / folds if folds > 1 else 0) + table.dtype.itemsize)
                        for table in tables)
    rows = max(int(memory / bytes_per_row), _LEAST_ROWS * folds)
    step = max(table.step for table in tables)
    return min(n, rows - rows % step if rows > step else rows)


def _opened(tables, names):
    if not isinstance(tables, list | tuple | np.ndarray) or getattr(tables, "ndim", 1) == 0:
        raise ValueError(f"tables: expected a list of tables, got {shown(tables)}")
    if not len(tables):
        raise ValueError("tables: expected at least 1, got none")
    names = _names(len(tables), names)
    return [open_table(table, name) for table, name in zip(tables, names, strict=True)], names


def _names(count, names):
    if names is None:
        return ["x", "y", "labels"][:count] if count <= 3 else [f"table {place}" for place in range(count)]
    if not isinstance(names, list | tuple) or len(names) != count:
        raise ValueError(f"names: expected {count}, one for each table, got {shown(names)}")
    return list(names)


def _refuse_first_bad(block, start, names, widths):
    bad = ~np.isfinite(block)
    row = bad.any(1).argmax()
    name, column = _named_column(names, widths, bad[row].argmax())
    raise ValueError(f"{name}: expected finite values, got NaN or infinity first in row {start + row}, "
                     f"column {column}")


def _named_column(names, widths, column):
    edges = np.cumsum(widths)
    place = int(np.searchsorted(edges, column, side="right"))
    return names[place], int(column - (edges[place] - widths[place]))
