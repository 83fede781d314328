"""An order of rows that depends on what is in them and not on how they came.

Folds, permutations and bootstraps draw by the place of a row. Rows that are put into one order first get the same draws
however a file was sorted, so that the answer is a property of the data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from jaxtyping import Int

from phasejax.io._matched_labels import renumbered
from phasejax.io._matching import MatchedRows
from phasejax.io._table import Table


def order_by_values(n: int, columns: Sequence[np.ndarray]) -> Int[np.ndarray, "n"]:
    """Rows shuffled, but always in the same way: the result depends on their values alone.

    Rows are sorted by the first column, where they tie by the second, and so on, and then shuffled with a fixed seed,
    so that the order tells nothing. A change of a column's units changes nothing. Rows that agree in all columns are
    interchangeable.

    Args:
        n: number of rows.
        columns: of shape (n,), numbers or text without missing values.

    >>> values = np.array([30.0, 10.0, 20.0])
    >>> values[order_by_values(3, [values])], values[::-1][order_by_values(3, [values[::-1]])]
    (array([30., 10., 20.]), array([30., 10., 20.]))
    """
    rank, tied = np.zeros(n, int), np.arange(n)  # of every row the number of smaller ones, so far; rows that share one
    for column in columns:
        order = tied[np.lexsort((column[tied], rank[tied]))]
        own, values, places = rank[order], column[order], np.arange(len(order))
        new_rank = np.r_[True, own[1:] != own[:-1]]
        new_value = new_rank | np.r_[True, values[1:] != values[:-1]]
        first = [np.maximum.accumulate(np.where(new, places, 0)) for new in (new_rank, new_value)]
        rank[order] = own + first[1] - first[0]
        tied = order[~(new_value & np.r_[new_value[1:], True])]
        if not tied.size:
            break
    return np.argsort(rank, kind="stable")[np.random.default_rng(0).permutation(n)]


def taken_rows(matched: MatchedRows, kept: Int[np.ndarray, "r"]) -> MatchedRows:
    """Some of the matched rows, or all in another order; labels come in the order of their rows.

    Args:
        matched: rows of views that are in memory.
        kept: their indices.
    """
    labels, which = matched.labels, matched.labelled
    if labels is not None and labels.ndim:
        place = np.full(len(matched.x), -1)
        place[kept] = np.arange(len(kept))
        which = np.arange(len(place)) if which is None else which
        if len(which) == len(labels):  # others are refused where labels are encoded
            which, labels = renumbered(which, labels, place)
            order = np.argsort(which, kind="stable")
            which, labels = which[order], labels[order]
    groups = None if matched.groups is None else np.unique(matched.groups[kept], return_inverse=True)[1].reshape(-1)
    x, y = cast(np.ndarray, matched.x), cast(np.ndarray, matched.y)
    return replace(matched, x=x[kept], y=y[kept], labels=labels, labelled=which, groups=groups,
                   ids=None if matched.ids is None else matched.ids[kept],
                   rows=kept if matched.rows is None else matched.rows[kept])


def ordered_by_values(matched: MatchedRows, beside: Mapping[str, np.ndarray], most: float
                      ) -> tuple[MatchedRows, dict[str, np.ndarray]]:
    """Matched rows in the order of `order_by_values`, which labels, groups and what stands beside take part in.

    Args:
        matched: rows of both views.
        beside: by name one value for each row.
        most: numbers in both views above which rows are left where they are, as are those of tables that do not fit in
            memory, and rows that will be refused.
    """
    x, y, labels = matched.x, matched.y, matched.labels
    if (isinstance(x, Table) or isinstance(y, Table) or x.ndim != 2 or y.ndim != 2 or len(x) != len(y)
            or x.size + y.size > most
            or not (_finite(x) and _finite(y) and (labels is None or _finite(labels, "iubfUS")))):
        return matched, dict(beside)
    which = np.arange(len(x)) if matched.labelled is None else matched.labelled
    of_labels = [] if labels is None or labels.ndim not in (1, 2) or len(labels) != len(which) else [
        _codes(column, which, len(x)) for column in labels.reshape(len(which), -1).T]
    of_groups = [] if matched.groups is None else [matched.groups]
    kept = order_by_values(len(x), [*x.T, *y.T, *of_labels, *of_groups, *beside.values()])
    return taken_rows(matched, kept), {name: values[kept] for name, values in beside.items()}


def _finite(values, kinds="iubf"):
    return values.dtype.kind in kinds and (values.dtype.kind != "f" or bool(np.isfinite(values).all()))


def _codes(column, which, n):
    """Numbers in the order of the labels, 0 where a row has none."""
    codes = np.zeros(n, int)
    codes[which] = 1 + np.unique(column, return_inverse=True)[1].reshape(-1)
    return codes
