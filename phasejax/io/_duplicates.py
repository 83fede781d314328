"""Rows that show the same thing again: copies, and repeated measurements that nobody called a group.

Repeated measurements of one thing lie closer to each other than to anything else, in both views at once: counted from
a row, the number of rows within a distance first grows, stands still where the group ends, and then goes on. In
continuous data without groups the logarithm of the distance to the k-th nearest row grows evenly with log k, whatever
the dimension, the units and the tails. The distance of two rows is the larger of their distances in x and in y, each in
units of its median. Groups are small and many; a few large clusters are classes.

In discrete data rows agree by chance, so that neither copies nor distances say anything there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from phasejax.io._table import NUMBERS, Table

# Rows of large tables that are looked at, in consecutive blocks: repeated measurements mostly stand together.
ROWS_LOOKED_AT, _BLOCKS = 20_000, 10
# Views of more columns are projected at random, which keeps distances; so many rows are compared with all others.
_COLUMNS, _QUERIES = 40, 300
_LEAST_ROWS = 40
# Groups hold at most this share of the rows.
_LARGEST = 1 / 16
# A group ends where distances grow that much faster than usual; groups are seen if they do around that share of the
# rows. Chosen on 1,700 simulated pairs without groups (Gaussian, t2, Cauchy, lognormal, factors, manifolds, up to 10
# classes, patches of photographs; n 60 to 1200, d 1 to 100), of which none is called grouped.
_STEEP, _SHARE = 2.0, 0.45
# Share of copies from which they are worth a warning.
COPIES = 0.05
# Nearest rows that are as near as the one before, from which a view is discrete.
_TIES = 0.1


@dataclass(frozen=True)
class RepeatedRows:
    """What two views say about rows that repeat others.

    Args:
        rows: how many rows were looked at.
        copies: rows that are copies of an earlier one in x, in y, and in both at once; 0 in discrete data.
        share: share of the rows that lie in a tight group in both views.
        size: typical number of rows of such a group; 1 where there are none.
    """

    rows: int
    copies: tuple[int, int, int]
    share: float
    size: int

    def note(self) -> str | None:
        """One line that says what repeats and what to do; None where it is too little to matter."""
        advice = "say which rows belong together (groups), or p-values and intervals are too sure"
        x, y, both = self.copies
        least = max(1, COPIES * self.rows)
        if both >= least:
            return f"x, y: {both} of {self.rows} rows are copies of others in both views; {advice}"
        for name, copies in (("x", x), ("y", y)):
            if copies >= least:
                return f"{name}: {copies} of {self.rows} rows are copies of others; {advice}"
        if self.share > _SHARE:
            return (f"x, y: {self.share:.0%} of the rows lie in tight groups of about {self.size}, as repeated "
                    f"measurements of one thing do; {advice}")
        return None


def near_duplicates(x: Any, y: Any) -> str | None:
    """One line about rows that repeat others, where nobody said which rows belong together.

    Args:
        x, y: views with paired rows, arrays (n, d_x) and (n, d_y) of finite numbers or tables.

    Returns:
        The line; None where rows look independent.

    >>> rng = np.random.default_rng(0)
    >>> star = np.repeat(np.arange(30), 5)
    >>> views = [rng.standard_normal((30, 4))[star] + 0.05 * rng.standard_normal((150, 4)) for _ in "xy"]
    >>> near_duplicates(*views)[:56]
    'x, y: 99% of the rows lie in tight groups of about 5, as'
    """
    return repeated_rows(x, y).note()


def repeated_rows(x: Any, y: Any) -> RepeatedRows:
    """Look for copies and for tight groups of rows.

    Args:
        x, y: as in `near_duplicates`; of many rows a part is looked at, the same at every call.
    """
    given = [view if isinstance(view, Table) else np.asarray(view) for view in (x, y)]
    nothing = RepeatedRows(0, (0, 0, 0), 0.0, 1)
    if any(len(view.shape) != 2 or view.dtype.kind not in NUMBERS or 0 in view.shape for view in given):
        return nothing  # refused elsewhere
    views = [some_rows(view) for view in given]
    n = len(views[0])
    if n < _LEAST_ROWS or len(views[1]) != n or not all(np.isfinite(view).all() for view in views):
        return nothing
    rows = [row_numbers(view) for view in views]
    views = [_within_one(view) for view in views]
    kinds = [int(row.max()) + 1 for row in rows]
    together = len(np.unique(rows[0] * n + rows[1]))
    real = [_may_be_copied(view, row) for view, row in zip(views, rows, strict=True)]
    copies = tuple((n - kind) * able for kind, able in zip(kinds, real, strict=True))
    found = RepeatedRows(n, (copies[0], copies[1], (n - together) * (real[0] or real[1])), 0.0, 1)
    varied = [view for view, kind in zip(views, kinds, strict=True) if 2 * kind > n]
    if found.note() or not varied:
        return found
    share, size = tight_groups(varied)
    return RepeatedRows(n, found.copies, share, size)


def tight_groups(views: list[Float[np.ndarray, "n _"]]) -> tuple[float, int]:
    """Share of the rows that lie in tight groups, and the typical size of a group.

    With r_k the distance of the k-th nearest row, log(r_2a / r_a) is compared with its usual value over all a, where
    log r_k grows by 1/k at each step up to the unknown dimension and has the standard error of independent exponential
    variables divided by k (Renyi).
    """
    rng = np.random.default_rng(0)
    n = len(views[0])
    queries = np.sort(rng.permutation(n)[:_QUERIES])
    distance = np.max([_distances(_projected(view, rng), queries) for view in views], 0)
    most = min(n - 1, n // 5)
    distance[np.arange(len(queries)), queries] = -1  # the row itself comes first
    nearest = np.sort(np.partition(distance, most, 1)[:, :most + 1], 1)[:, 1:].astype(np.float64)
    if np.mean(np.diff(nearest, axis=1) <= 1e-6 * nearest[:, 1:]) > _TIES:
        return 0.0, 1
    logs = np.log(np.maximum(nearest, 1e-6))
    starts = _window_starts(most)
    ends = 2 * starts
    steps = 1 / np.arange(1, most + 1)
    expected, variance = (np.array([np.sum(steps[start - 1:end - 1] ** power) for start, end
                                    in zip(starts, ends, strict=True)]) for power in (1, 2))
    rise = logs[:, ends - 1] - logs[:, starts - 1]
    usual = np.median(rise / expected, 1, keepdims=True)
    excess = rise / np.maximum(usual, 1e-9) / (expected + 2 * np.sqrt(variance))
    window = excess.argmax(1)
    jumps = np.diff(logs, axis=1) * np.arange(1, most)
    size = np.array([starts[i] + jump[starts[i] - 1:ends[i] - 1].argmax()
                     for jump, i in zip(jumps, window, strict=True)]) + 1
    grouped = (excess.max(1) > _STEEP) & (size <= _LARGEST * n)
    return float(grouped.mean()), int(np.median(size[grouped])) if grouped.any() else 1


def _window_starts(most: int) -> Int[np.ndarray, "w"]:
    """1, 2, 3, 5, 7, ... up to half of `most`."""
    starts = [1]
    while 2 * (following := int(np.ceil(1.35 * starts[-1]))) <= most:
        starts.append(following)
    return np.array(starts)


def _distances(view, queries):
    """Distances of some rows to all, in units of their median."""
    squares = (view**2).sum(1)
    found = squares[queries, None] + squares - 2 * view[queries] @ view.T
    found = np.sqrt(np.maximum(found, 0))
    positive = found[::7][found[::7] > 0]
    return found / np.median(positive) if positive.size else found


def _projected(view, rng):
    """Standardised columns, in single precision about the median; many are projected at random to fewer."""
    spread = view.std(0)
    kept = spread > 1e-12 * np.abs(view).max(0, initial=0)
    some = view[:: max(1, len(view) // 1001)]
    view = ((view[:, kept] - np.median(some[:, kept], 0)) / spread[kept]).astype(np.float32)
    if view.shape[1] > _COLUMNS:
        view = view @ rng.standard_normal((view.shape[1], _COLUMNS), np.float32) / np.float32(np.sqrt(_COLUMNS))
    return view


def _within_one(view):
    """The columns in units of their largest entries, whose squares are within the range of floats."""
    unit = np.abs(view).max(0)
    return view / np.where(unit > 0, unit, 1)


def row_numbers(view):
    """A number for each row, the same for equal rows."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in np.ascontiguousarray(view) + 0.0])


def _may_be_copied(view, numbers):
    """Whether equal rows of a view are copies, and not equal by chance, as in discrete data.

    Several columns that are no functions of one another each tell (almost) all different rows apart, or all columns
    together tell so much that two of n rows hardly agree by chance.
    """
    n, kinds = len(view), int(numbers.max()) + 1
    view = view[:, view.min(0) < view.max(0)]
    if kinds == n or kinds < _LEAST_ROWS / 2 or view.shape[1] < 2:
        return False
    view = view[:, np.unique(np.linspace(0, view.shape[1] - 1, 50).astype(int))]
    counts = [np.unique(column, return_counts=True)[1] for column in view.T]
    telling = sum(2 * len(count) > kinds for count in counts)
    correlations = np.corrcoef(view.T)
    different = view.shape[1] ** 2 / np.sum(correlations**2)  # columns, those that are copies counted once
    information = -np.log([np.sum(count.astype(float) ** 2) / n**2 for count in counts]).mean() * different
    return bool((telling >= 2 and different > 1.5) or information > 2 * np.log(n))


def some_rows(view: np.ndarray | Table) -> Float[np.ndarray, "n d"]:
    """All rows as float64, or evenly spaced blocks of rows of a view with many, the same at every call."""
    n = len(view)
    if n <= ROWS_LOOKED_AT:
        rows = view.rows(0, n) if isinstance(view, Table) else view
        return np.asarray(rows, np.float64)
    size = ROWS_LOOKED_AT // _BLOCKS
    starts = np.linspace(0, n - size, _BLOCKS).astype(int).tolist()
    return np.concatenate([np.asarray(view.rows(start, start + size) if isinstance(view, Table)
                                      else view[start:start + size], np.float64) for start in starts])
