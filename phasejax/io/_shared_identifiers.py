"""Identifiers that no name tells: a column of whole numbers whose values the other view has too.

That two columns of numbers that all differ agree in most of them is no chance where their range is wider than the rows
are many. Where it is not, as for patients 1 to 300, both may be ranks, and only the user knows.
"""

from dataclasses import replace

import numpy as np

from phasejax.io._features import columns_like_identifiers
from phasejax.io._named import NamedRows
from phasejax.io._row_identifiers import checked_ids
from phasejax.io._table import EXACT

# By so many standard deviations more numbers are in both columns than of independent ones from their common range.
_BEYOND_CHANCE = 6


def without_shared_identifiers(x: NamedRows, y: NamedRows, by_position: bool) -> tuple[NamedRows, NamedRows]:
    """The views without the columns that identify their rows by what they hold; these become their identifiers.

    Each that is found is said in a note of its view.

    Args:
        x, y: views, of which tables that are read in blocks are left alone.
        by_position: whether rows pair by position, so that it does not matter in which order identifiers are.

    Raises:
        ValueError: columns of the same name hold the same whole numbers in another order, but these are so few that
            both may be data.
    """
    for first, name, second in ((x, "x", y), (y, "y", x)):
        if first.ids is None and second.ids is not None:
            found = [place for place in _candidates(first) if _agree(_column(first, place), second.ids)]
            if found:
                taken = _taken(name, first, found[0], "the other view has most of them")
                x, y = (taken, y) if name == "x" else (x, taken)
    x, y = (_without_own_identifiers(name, view) for name, view in (("x", x), ("y", y)))
    if x.ids is not None or y.ids is not None:
        return x, y
    pairs = [(one, other) for one in _candidates(x) for other in _candidates(y)]
    for one, other in pairs:
        mine, theirs = _column(x, one), _column(y, other)
        same_name = x.columns is not None and y.columns is not None and x.columns[one] == y.columns[other]
        if _agree(mine, theirs) or (same_name and np.array_equal(mine, theirs)):
            reason = "both views have most of them"
            return _taken("x", x, one, reason), _taken("y", y, other, reason)
        if same_name and not by_position and 2 * len(np.intersect1d(mine, theirs)) >= min(len(mine), len(theirs)):
            raise ValueError(f"x, y: expected no column {x.columns and x.columns[one]} whose whole numbers all differ "
                             "and are the same in both, in another order; say that it identifies the rows (id), or "
                             "pair rows as they are (by_position)")
    return x, y


def _candidates(view):
    """Places of columns that may be identifiers, where there are others too."""
    return columns_like_identifiers(view) if len(view.values.shape) == 2 and view.values.shape[1] > 1 else []


def _column(view, place):
    return np.asarray(view.values)[:, place]


def _agree(numbers, ids):
    """Whether whole numbers are those identifiers, by more than chance."""
    if ids.dtype.kind not in "iuf" or np.abs(numbers).max() >= EXACT:
        return False
    low, high = min(numbers.min(), ids.min()), max(numbers.max(), ids.max())
    few, many = sorted((len(numbers), len(ids)))
    share, common = many / (float(high) - float(low) + 1), len(np.intersect1d(numbers, ids))
    return 2 * common >= few and common - few * share > _BEYOND_CHANCE * np.sqrt(few * share * max(1 - share, 0))


def _without_own_identifiers(name, view):
    """A view without a column that repeats its identifiers."""
    if view.ids is None or view.ids.dtype.kind != "i":
        return view
    for place in _candidates(view):
        if np.array_equal(_column(view, place), view.ids):
            return _taken(name, view, place, "they are its identifiers")
    return view


def _taken(name, view, place, reason):
    """A view whose identifiers are one of its columns."""
    called = place if view.columns is None else view.columns[place]
    found = f"{name}: column {called} identifies the rows (whole numbers that all differ; {reason}) and is no feature"
    kept = tuple(note for note in view.notes if f"column {called} is read as data" not in note)
    return replace(view, values=np.delete(np.asarray(view.values), place, 1),
                   ids=checked_ids(_column(view, place), name), notes=(*kept, found),
                   columns=None if view.columns is None else view.columns[:place] + view.columns[place + 1:])
