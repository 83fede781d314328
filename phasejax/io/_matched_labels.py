"""Labels joined to the rows of two views: by identifiers where there are any, and without those that are missing."""

from dataclasses import replace
from typing import cast

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from phasejax.io._alike_identifiers import written_otherwise
from phasejax.io._features import ROWS_OF_AN_IDENTIFIER, all_whole_and_different
from phasejax.io._labels import labelled_rows
from phasejax.io._named import NamedRows
from phasejax.io._row_identifiers import check_position, checked_ids, comparable, joined_to_rows
from phasejax.io._table import Table


def without_identifier_column(labels: NamedRows, name: str) -> NamedRows:
    """Labels or groups of several columns without the one whose whole numbers all differ, which are identifiers.

    Args:
        labels: as they were given.
        name: "labels" or "groups".

    Raises:
        ValueError: there are identifiers already, or several such columns.
    """
    values = labels.values.rows(0, len(labels)) if isinstance(labels.values, Table) else labels.values
    if labels.columns is None or values.ndim != 2 or values.shape[1] < 2 or len(values) < ROWS_OF_AN_IDENTIFIER:
        return replace(labels, values=values)
    alike = [place for place in range(values.shape[1]) if all_whole_and_different(values[:, place])]
    if not alike or (labels.ids is not None and len(alike) == values.shape[1]):
        return replace(labels, values=values)
    place, rest = alike[0], np.delete(values, alike[0], 1)
    if labels.ids is not None or len(alike) > 1:
        raise ValueError(f"{name}: expected no identifiers among them, got whole numbers that all differ in column "
                         f"{labels.columns[place]}; drop it or say which column identifies the rows (id)")
    note = f"{name}: column {labels.columns[place]} identifies the rows (all its values differ) and is no " + \
        name.removesuffix("s")
    return NamedRows(_narrowed(rest), checked_ids(values[:, place], name),
                     labels.columns[:place] + labels.columns[place + 1:], (*labels.notes, note))


def _narrowed(values):
    """Numbers as integers if they all are: a column of classes beside one that was missing or real."""
    return values.astype(np.int64) if values.dtype.kind == "f" and np.all(values == np.floor(values)) else values


def labels_of_rows(labels: NamedRows, labelled: ArrayLike | None, x: NamedRows, in_x: Int[np.ndarray, "n"] | None,
                   ids: np.ndarray | None, by_position: bool, notes: list[str], limits: list[str]
                   ) -> tuple[Int[np.ndarray, "m"] | None, np.ndarray]:
    """The labelled rows among the matched ones (None for all, in order) and their labels.

    Args:
        labels: as they were given.
        labelled: rows of x that the labels belong to; None where nothing says so.
        x: the view that the rows are counted in.
        in_x: rows of x that were matched; None for all, in order.
        ids: identifiers of the matched rows; None where there are none.
        by_position: whether identifiers do not count.
        notes: to which is added what was decided.
        limits: to which is added what limits an answer.

    Raises:
        ValueError: identifiers that are repeated or have nothing in common; no label that is not missing.
    """
    values, n = cast(np.ndarray, labels.values), len(x) if in_x is None else len(in_x)
    place = np.arange(n) if in_x is None else np.full(len(x), -1)
    if in_x is not None:
        place[in_x] = np.arange(n)
    if labelled is not None:
        which = labelled_rows(labelled, len(x))
        if not values.ndim or len(which) != len(values):
            return which, values  # refused where labels are encoded
        which, values = renumbered(which, values, place)
    elif not values.ndim:
        return None, values  # refused where labels are encoded
    elif labels.ids is not None and ids is not None and not by_position:
        which, order = joined_to_rows("labels", ids, labels.ids)
        values = values[order]
        otherwise = written_otherwise(*comparable(ids, labels.ids))
        limits += [] if otherwise is None else [f"labels: {otherwise}"]
        if not len(which) == len(values) == n == len(labels.ids):
            notes.append(f"labels: matched by identifier, {len(which)} of {n} rows have a label")
    else:
        if labels.ids is not None and not by_position:
            check_position("labels", "x", labels.ids, n)
            notes.append("x, y: no identifiers, so labels are paired with rows by position")
        elif ids is not None and len(values) == len(x):
            notes.append("labels: no identifiers, so they are paired with the rows of x by position")
        if len(values) != len(x):
            return None, values  # refused where labels are encoded
        which, values = renumbered(np.arange(len(x)), values, place)
    which, values = _with_label(which, values, n, notes)
    return which, values.astype(np.int64) if labels.whole and values.dtype.kind == "f" else values


def renumbered(which: Int[np.ndarray, "m"], values: np.ndarray, place: Int[np.ndarray, "n"]
               ) -> tuple[Int[np.ndarray, "r"], np.ndarray]:
    """Labelled rows by their new numbers, and their labels.

    Args:
        which: rows that have labels.
        values: the labels.
        place: new number of every row, -1 where it is left out.
    """
    new = place[which]
    return new[new >= 0], values[new >= 0]


def _with_label(which, values, n, notes):
    """The rows whose label is not missing."""
    gone = values == "" if values.dtype.kind == "U" else np.isnan(values) if values.dtype.kind == "f" else None
    if gone is not None and values.ndim in (1, 2) and gone.any():
        gone = gone.reshape(len(values), -1).any(1)
        notes.append(f"labels: missing in {gone.sum()} of {len(values)} rows, which count as unlabelled")
        which, values = which[~gone], values[~gone]
        if not which.size:
            raise ValueError("labels: expected some that are not missing, got none")
    everything = len(which) == n and np.array_equal(which, np.arange(n))
    return None if everything else which, values
