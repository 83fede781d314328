"""Labels among the features, and what among labels looks as if it were none."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from phasejax.io._alike_identifiers import alike_names
from phasejax.io._fills import fill_note, find_fill
from phasejax.io._labels import resolved_kind
from phasejax.io._named import NamedRows
from phasejax.io._table import NUMBERS, Table

# Names of classes that often mean that nobody knows the class.
_UNKNOWN = ("?", "-", "--", "none", "unknown", "unassigned", "unlabeled", "unlabelled", "unclassified", "undefined",
            "missing", "not available", "not assigned", "n.a.", "na", "nan", "null")
# Columns that a note names.
_NAMED = 3


def without_label_columns(name: str, view: NamedRows, labels: NamedRows, which: Int[np.ndarray, "m"] | None,
                          values: np.ndarray, notes: list[str]) -> NamedRows:
    """A view without the columns that labels were taken from.

    Args:
        name: "x" or "y".
        view: the matched rows.
        labels: as they were given.
        which: the labelled rows; None for all.
        values: their labels.
        notes: to which a line is added for each column of that name.
    """
    rows = _labelled(view.values, which, values)
    if rows is None or view.columns is None or labels.columns is None:
        return view
    columns = values.reshape(len(values), -1)
    if len(labels.columns) != columns.shape[1]:
        return view
    left_out = []
    for called, label in zip(labels.columns, columns.T, strict=True):
        if view.columns.count(called) != 1:
            continue
        place = view.columns.index(called)
        if label.dtype.kind in NUMBERS and np.array_equal(rows[:, place], label):
            left_out.append(place)
            notes.append(f"{name}: column {called} holds the labels and is no feature")
        else:
            notes.append(f"{name}: column {called} counts as a feature, but has the name of the labels")
    kept = [place for place in range(len(view.columns)) if place not in left_out]
    return view if not left_out or not kept else replace(
        view, values=np.asarray(view.values)[:, kept], columns=tuple(view.columns[place] for place in kept))


def labels_among_features(name: str, values: np.ndarray | Table, which: Int[np.ndarray, "m"] | None,
                          labels: np.ndarray, kind: str) -> Iterator[str]:
    """A note about columns of a view that repeat the labels.

    Args:
        name: "x" or "y".
        values: the matched rows.
        which: the labelled rows; None for all.
        labels: their labels.
        kind: "class" or "real", or "auto".
    """
    rows = _labelled(values, which, labels)
    if rows is None:
        return
    columns = labels.reshape(len(labels), -1)
    if resolved_kind(labels, kind) == "class" and columns.shape[1] == 1:
        _, classes, counts = np.unique(columns[:, 0], return_inverse=True, return_counts=True)
        if 2 * len(counts) > len(labels):
            return  # refused where labels are encoded
        ordered, starts = rows[np.argsort(classes.reshape(-1), kind="stable")], np.cumsum(counts) - counts
        low = np.minimum.reduceat(ordered, starts, 0)
        found = np.flatnonzero((low == np.maximum.reduceat(ordered, starts, 0)).all(0) & (low.min(0) < low.max(0)))
        what = f"one value in each class, which may be the labels themselves ({len(counts)} classes)"
    elif labels.dtype.kind in NUMBERS:
        equal = [(rows == column[:, None]).all(0) & (np.ptp(column.astype(float)) > 0) for column in columns.T]
        found, what = np.flatnonzero(np.any(equal, 0)), "the values of the labels"
    else:
        return
    if found.size:
        shown = ", ".join(map(str, found[:_NAMED])) + ", ..." * (found.size > _NAMED)
        yield (f"{name}: column{'s' * (found.size > 1)} {shown} (from 0) {'have' if found.size > 1 else 'has'} {what}; "
               "features that contain the labels predict them for no other reason")


def _labelled(values, which, labels):
    """The rows of a view that have labels; None where that cannot be told."""
    if isinstance(values, Table) or values.ndim != 2 or values.dtype.kind not in NUMBERS or labels.ndim not in (1, 2):
        return None
    if which is not None and which.size and which.max() >= len(values):
        return None  # more labels than rows, which is refused where labels are encoded
    rows = values if which is None else values[which]
    return rows if len(rows) == len(labels) and labels.size else None


def from_one_hot(labels: np.ndarray, kind: str, notes: list[str]) -> np.ndarray:
    """Columns of which each row has a single 1 as classes, numbered from 0; other labels as they are.

    Args:
        labels: shape (m,) or (m, L).
        kind: what the user says that they are; of "real" values columns stay.
        notes: to which a line is added where there are such columns.
    """
    if kind == "real" or labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in NUMBERS:
        return labels
    if not np.isin(labels, (0, 1)).all():
        return labels
    if not (labels.sum(1) == 1).all() or not labels.any(0).all():
        notes.append(f"labels: {labels.shape[1]} columns of 0 and 1, not a single 1 in each row, read as real values")
        return labels
    notes.append(f"labels: {labels.shape[1]} columns with a single 1 in each row, read as so many classes (label kind "
                 "real reads them as numbers)")
    return labels.argmax(1)


def doubtful_labels(labels: np.ndarray, kind: str) -> tuple[list[str], list[str]]:
    """Lines about labels that may mean that there is none: those that may be so, and those that spoil real values.

    Args:
        labels: shape (m,) or (m, L), none of them missing.
        kind: "class" or "real".

    >>> doubtful_labels(np.array(["B", "unknown", "T"]), "class")[0]
    ["labels: 'unknown' counts as a class, of 1 row; where it means that there is no label, leave it empty"]
    """
    if labels.dtype.kind not in (*NUMBERS, "U") or not labels.size:
        return [], []
    if kind == "real":
        fill = find_fill(labels.reshape(len(labels), -1)) if labels.dtype.kind != "U" else None
        return [], [] if fill is None else [fill_note("labels", *fill)]
    classes, counts = np.unique(labels, return_counts=True)
    notes = []
    if labels.dtype.kind == "U":
        doubtful = np.array([name.strip().lower() in _UNKNOWN for name in classes.tolist()], bool)
        if alike := alike_names(classes.tolist()):
            notes.append("labels: classes that differ only in how they are written count as different: "
                         f"{', '.join(alike[:6])}")
    elif labels.dtype.kind == "b":
        return [], []
    else:
        others = classes[classes != -1]
        doubtful = (classes == -1) & (len(others) > 1) & bool((others >= 0).all())
        fill = find_fill(labels.reshape(-1, 1).astype(float))
        doubtful |= classes == (np.nan if fill is None else fill[0])
    for name, count in zip(classes[doubtful].tolist(), counts[doubtful].tolist(), strict=True):
        rows = f"{count} row{'s' * (count > 1)}"
        notes.append(f"labels: {name!r} counts as a class, of {rows}; where it means that there is no label, leave it "
                     "empty")
    return notes, []
