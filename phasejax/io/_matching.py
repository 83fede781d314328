"""Matching the rows of two views and their labels, by identifiers where there are any, and what is missing in them.

Rows are never paired by position where both sides have identifiers: the inner join is taken, in the order of x. What
was decided is said in notes, one line each, which `announce` issues as warnings of the class `InputNote`.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import numpy as np
from jaxtyping import Int

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_choice
from phasejax.io._alike_identifiers import written_otherwise
from phasejax.io._features import suspected_identifiers, without_missing
from phasejax.io._fills import fill_note, find_fill
from phasejax.io._groups import encode_groups, group_values, rows_with_group, without_group_column
from phasejax.io._input_notes import InputNote as InputNote
from phasejax.io._input_notes import InputWarning as InputWarning
from phasejax.io._input_notes import announce as announce
from phasejax.io._label_columns import (
    doubtful_labels,
    from_one_hot,
    labels_among_features,
    without_label_columns,
)
from phasejax.io._labels import LabelKind, check_kind_is_clear, enough_members, label_notes, resolved_kind
from phasejax.io._matched_labels import labels_of_rows, renumbered, without_identifier_column
from phasejax.io._named import DENSE_NUMBERS
from phasejax.io._named_together import named_together
from phasejax.io._row_identifiers import check_position, check_unique, comparable, joined_to_rows
from phasejax.io._shared_identifiers import without_shared_identifiers
from phasejax.io._table import Table

Missing = Literal["error", "drop", "mean"]


@dataclass(frozen=True, eq=False)
class MatchedRows:
    """Views with paired rows, and the labels of some of them.

    Args:
        x, y: values of the n rows that were matched, shapes (n, d_x) and (n, d_y).
        labels: of the m labelled rows, shape (m,) or (m, L); None where none were given.
        labelled: indices of these rows; None if all rows have labels, in order.
        ids: identifiers of the n rows; None where there are none.
        notes: what was decided about rows and missing values.
        readings: how files and containers were read.
        groups: numbers 0 to G - 1 of the groups that the n rows belong to, shape (n,); None where every row is its own.
        limits: those of the notes that say what limits an answer.
        rows: which of the rows of x that were given the n rows are; None for all, in order.
        given: rows of x that were given.
    """

    x: np.ndarray | Table
    y: np.ndarray | Table
    labels: np.ndarray | None = None
    labelled: Int[np.ndarray, "m"] | None = None
    ids: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
    groups: Int[np.ndarray, "n"] | None = None
    limits: tuple[str, ...] = ()
    rows: Int[np.ndarray, "n"] | None = None
    given: int = 0


@checked
def match_rows(x: Any, y: Any, labels: Any = None, *, labelled: Any = None, groups: Any = None,
               by_position: bool = False, missing: str = "error") -> MatchedRows:
    """The rows that x and y have in common, in the order of x, and their labels.

    Rows are joined by identifiers where both views have them. Where one view has some, or none has, rows pair by
    position. Labels are joined to the rows in the same way, and rows without a label, or with a missing one, are
    unlabelled. So are groups, of which every row needs one, unless rows without are to be left out.

    Args:
        x, y: views, as `as_named` takes them.
        labels: likewise; None if there are none.
        labelled: indices of the rows of x that the labels belong to, in their order, if labels have no identifiers.
        groups: which rows belong together and are not independent (those of one patient, star or image), one value for
            each row: text or whole numbers, as `as_named` takes them; None if all rows are independent.
        by_position: pair rows by position although there are identifiers.
        missing: what to do about missing values in the views: "error", "drop" keeps the rows that are complete in
            both, "mean" puts the mean of the column in their place. Rows without a group are an error, or are dropped.

    Returns:
        The matched rows and notes about them.

    Raises:
        ValueError: identifiers that are repeated or have nothing in common, values or groups that are missing, other
            numbers of rows, fewer than two groups; rows of a large table that would have to be moved.

    >>> import pandas as pd
    >>> x = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["p", "q", "r"])
    >>> found = match_rows(x, x.loc[["r", "p"]], pd.Series(["B"], index=["r"]))
    >>> found.x.tolist(), found.y.tolist(), found.labelled.tolist(), found.notes[0]
    ([[1.0], [3.0]], [[1.0], [3.0]], [1], 'rows matched by identifier: 2 of 3 in x and 2 in y')
    """
    check_choice("missing", missing, get_args(Missing))
    x, y, labels, groups = named_together(x, y, labels, groups)
    x, y = _with_columns(x), _with_columns(y)
    for name, view in (("x", x), ("y", y)):
        if not view.values.shape:
            raise ValueError(f"{name}: expected two dimensions (rows, columns), got shape ()")
    labels = None if labels is None else without_identifier_column(labels, "labels")
    groups = None if groups is None else without_identifier_column(groups, "groups")
    notes: list[str] = []
    limits: list[str] = []
    x, y = without_shared_identifiers(x, y, by_position)
    readings = tuple(note for rows in (x, y, labels, groups) if rows is not None for note in rows.notes)
    small = sum(np.prod(view.values.shape, dtype=float) for view in (x, y)) <= DENSE_NUMBERS
    n_x, (in_x, in_y, ids) = len(x), _common_rows(x, y, by_position, notes, limits)
    which, values = None, None
    if labels is not None:
        which, values = labels_of_rows(labels, labelled, x, in_x, ids, by_position, notes, limits)
    of_groups, with_group = None, None
    x, y = replace(x, values=_taken("x", x.values, in_x, small)), replace(y, values=_taken("y", y.values, in_y, small))
    n = len(x)
    if labels is not None and values is not None:
        x, y = (without_label_columns(name, view, labels, which, values, notes) for name, view in (("x", x), ("y", y)))
    if groups is not None:
        of_groups = _groups_of_rows(groups, n_x, in_x, ids, by_position, notes)
        with_group = rows_with_group(of_groups, missing, notes)
        if with_group is not None:
            of_groups = of_groups[with_group]
            x, y = (replace(view, values=_taken(name, view.values, with_group, small))
                    for name, view in (("x", x), ("y", y)))
        x, y = (without_group_column(name, view, groups, of_groups, notes) for name, view in (("x", x), ("y", y)))
    limits += [line for name, view in (("x", x), ("y", y)) for line in suspected_identifiers(name, view)]
    notes += limits
    first, second, kept = without_missing(x.values, y.values, missing, notes)
    of_groups = of_groups if of_groups is None or kept is None else of_groups[kept]
    if with_group is not None:
        kept = with_group if kept is None else with_group[kept]
    if kept is not None:
        ids = None if ids is None else ids[kept]
        if values is not None and values.ndim:
            place = np.full(n, -1)
            place[kept] = np.arange(len(kept))
            which = np.arange(n) if which is None else which
            if len(which) == len(values):
                which, values = renumbered(which, values, place)
    limits += [line for name, view in (("x", first), ("y", second)) for line in _fills(name, view)]
    of_sizes: list[str] = []
    codes = None if of_groups is None else encode_groups(of_groups, of_sizes)
    limits += of_sizes * (codes is not None)
    notes = list(dict.fromkeys((*notes, *limits, *of_sizes)))
    rows = in_x if kept is None else kept if in_x is None else in_x[kept]
    return MatchedRows(first, second, values, which, ids, tuple(notes), readings, codes, tuple(limits), rows, n_x)


def match_labelled(x: Any, y: Any, labels: Any, *, labelled: Any = None, label_kind: str = "auto", groups: Any = None,
                   by_position: bool = False, missing: str = "error", least_members: int = 1
                   ) -> tuple[MatchedRows, str]:
    """`match_rows`, without rows of classes that are too small, and the kind of the labels.

    Args:
        x, y, labels, labelled, groups, by_position, missing: as in `match_rows`.
        label_kind: "class", "real", or "auto" (`encode_labels`).
        least_members: rows that a class needs, in as many groups where there are groups; those of smaller classes
            become unlabelled.

    Returns:
        The matched rows, and "class" or "real".

    Raises:
        ValueError: as `match_rows`; fewer than two classes are large enough; text that stands for numbers; whole
            numbers stored as floats that may be classes or values.
    """
    check_choice("label_kind", label_kind, get_args(LabelKind))
    matched = match_rows(x, y, labels, labelled=labelled, groups=groups, by_position=by_position, missing=missing)
    values, of_columns = matched.labels, []
    if values is not None:
        values = from_one_hot(values, label_kind, of_columns)
    which, of_rows = matched.labelled, matched.groups
    if values is None or values.ndim not in (1, 2) or not values.size or \
            len(values) != len(matched.x if which is None else which):
        return matched, label_kind  # refused where labels are encoded
    check_kind_is_clear(values, label_kind)
    kind = resolved_kind(values, label_kind)
    doubts, spoilt = doubtful_labels(values, kind)
    notes = [*of_columns, *label_notes(values, label_kind), *doubts]
    if of_rows is not None and which is not None:
        of_rows = of_rows[which]
    kept, of_classes = enough_members(values, kind, least_members, of_rows)
    if not kept.all():
        which, values = np.flatnonzero(kept) if which is None else which[kept], values[kept]
    leaks = [line for name, view in (("x", matched.x), ("y", matched.y))
             for line in labels_among_features(name, view, which, values, kind)]
    limits = (*spoilt, *leaks, *of_classes)
    return replace(matched, labels=values, labelled=which, notes=(*matched.notes, *notes, *limits),
                   limits=(*matched.limits, *limits)), kind


# Rows


def _fills(name, values):
    """A note about a number that stands for missing values in a view."""
    of_numbers = isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu"
    if of_numbers and np.isfinite(values).all() and (fill := find_fill(values)) is not None:
        yield fill_note(name, *fill)


def _common_rows(x, y, by_position, notes, limits):
    """Rows of x and of y that pair (None for all, in order), and their identifiers."""
    if by_position:
        if x.ids is not None or y.ids is not None:
            notes.append("rows paired by position, as asked for; identifiers are not used")
        return None, None, None
    for name, view in (("x", x), ("y", y)):
        check_unique(name, view.ids)
    if x.ids is None or y.ids is None:
        named, other = ("x", "y") if y.ids is None else ("y", "x")
        ids, n = (x.ids, len(y)) if y.ids is None else (y.ids, len(x))
        if ids is not None:
            check_position(named, other, ids, n)
            notes.append(f"{other}: no identifiers, so its rows are paired with those of {named} by position")
        return None, None, ids
    mine, theirs = comparable(x.ids, y.ids)
    if np.array_equal(mine, theirs):
        return None, None, x.ids
    _, in_x, in_y = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
    otherwise = written_otherwise(mine, theirs)
    if not in_x.size:
        raise ValueError(f"y: expected identifiers that x has too, got none in common (x has {x.ids[0]}, ...; y has "
                         f"{y.ids[0]}, ...){'' if otherwise is None else f'; {otherwise}'}")
    limits += [] if otherwise is None else [f"x, y: {otherwise}"]
    order = np.argsort(in_x)
    in_x, in_y = in_x[order], in_y[order]
    everything = len(in_x) == len(x) == len(y)
    notes.append("rows matched by identifier: " + (f"all {len(x)}, in another order" if everything else
                                                   f"{len(in_x)} of {len(x)} in x and {len(y)} in y"))
    return in_x, in_y, x.ids[in_x]


def _with_columns(view):
    """A single named column as a table of one column."""
    one = isinstance(view.values, np.ndarray) and view.values.ndim == 1 and view.columns is not None
    return replace(view, values=cast(np.ndarray, view.values)[:, None]) if one else view


def _taken(name, values, rows, small):
    """The rows, in their order. Tables that fit in memory are read, others must stay as they are."""
    if isinstance(values, Table):
        if small:
            values = values.rows(0, len(values))
            values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))  # sums in one order by every route
        elif rows is not None:
            raise ValueError(f"{name}: expected the same identifiers in the same order in both files, since this "
                             f"table is too large to be moved in memory ({values.shape[0]} x {values.shape[1]}), "
                             "got another order; sort the files")
    return values if rows is None else cast(np.ndarray, values)[rows]


# Groups


def _groups_of_rows(groups, n_x, in_x, ids, by_position, notes):
    """What group each of the matched rows belongs to, by its name."""
    values, n = group_values(groups), n_x if in_x is None else len(in_x)
    if groups.ids is not None and ids is not None and not by_position:
        where, order = joined_to_rows("groups", ids, groups.ids)
        if len(where) == n:
            return values[order]
        of_rows = np.zeros(n, values.astype(str).dtype)
        of_rows[where] = values[order]
        return of_rows
    if groups.ids is not None and not by_position:
        check_position("groups", "x", groups.ids, n)
        notes.append("x, y: no identifiers, so groups are paired with rows by position")
    elif len(values) != n_x:
        raise ValueError(f"groups: expected {n_x} rows, one for each row of x, got {len(values)}")
    elif ids is not None:
        notes.append("groups: no identifiers, so they are paired with the rows of x by position")
    return values if in_x is None else values[in_x]
