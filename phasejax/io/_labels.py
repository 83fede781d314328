"""Labels: which kind they are of, the columns that regressions take of them, and which rows have them."""

import re
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_choice, check_count
from phasejax.io._arrays import check_finite

LabelKind = Literal["auto", "class", "real"]

# Whole numbers stored as floats are classes if so many differ at most, and each occurs so often on average.
_CLASSES_OF_FLOATS, _MEMBERS_OF_FLOATS = 20, 3
# Integers of which more differ are classes too, but that deserves a note.
_MANY_CLASSES = 20
# Floats of which more differ may be either, if each occurs so often on average.
_MEMBERS_OF_MANY = 5
_DECIMAL = re.compile(r"[-+]?\d+[.,]\d+")


@checked
def encode_labels(labels: ArrayLike, rows: int, kind: str = "auto") -> Float[np.ndarray, "n l"]:
    """Label columns for regression: an indicator column for each class, or real values as they are.

    Args:
        labels: numbers, booleans or text, shape (n,) or (n, L).
        rows: n, the number of rows that have labels.
        kind: "class", "real", or "auto": a single column of integers, booleans, text, or floats that are a few whole
            numbers holds classes, anything else real values.

    Returns:
        Shape (n, l) in float64. l is the number of classes, in sorted order, or L.

    Raises:
        ValueError: there is another number of rows, values are missing or not finite, there are fewer than two
            classes or more classes than half of the rows, a real column is constant, or text should be real.

    >>> encode_labels(["cat", "dog", "cat", "dog"], rows=4).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    >>> encode_labels([0.5, 1.5, 2.0], rows=3).tolist()
    [[0.5], [1.5], [2.0]]
    """
    check_choice("label_kind", kind, get_args(LabelKind))
    check_count("rows", rows, 0)
    labels = np.asarray(labels)
    if labels.dtype.kind == "O":
        raise ValueError("labels: expected numbers or text, got objects")
    if labels.ndim not in (1, 2) or labels.size == 0:
        raise ValueError(f"labels: expected shape ({rows},) or ({rows}, L), got {labels.shape}")
    if len(labels) != rows:
        name = " (the first, 0, may be the name of a column: write it with letters)" \
            if len(labels) == rows + 1 and str(labels.flat[0]) in ("0", "0.0") else ""
        raise ValueError(f"labels: expected {rows} rows, one for each labelled row of x, got {len(labels)}{name}")
    columns = labels.reshape(rows, -1)
    kind = resolved_kind(columns, kind)
    if columns.dtype.kind in "US":
        empty = np.char.str_len(np.char.strip(columns)) == 0
        if empty.any():
            raise ValueError(f"labels: expected text in every row, got {empty.sum()} empty, "
                             f"the first in row {empty.any(1).argmax()}")
    elif columns.dtype.kind in "fiub":
        check_finite("labels", columns)
    else:
        raise ValueError(f"labels: expected numbers or text, got dtype {labels.dtype}")
    return _one_hot(columns) if kind == "class" else _real(columns)


def labelled_rows(labelled: ArrayLike | None, n: int) -> Int[np.ndarray, "m"]:
    """Which of n rows have labels.

    Args:
        labelled: indices of rows, shape (m,), m >= 1, each row once; None if all rows have labels.
        n: number of rows.

    Raises:
        ValueError: these are not indices of rows, or some are repeated.

    >>> labelled_rows(None, 3).tolist()
    [0, 1, 2]
    """
    if labelled is None:
        return np.arange(n)
    which = np.asarray(labelled)
    if which.ndim != 1 or which.dtype.kind not in "iu" or not which.size:
        raise ValueError(f"labelled: expected indices of rows, shape (m,), got {which.dtype} of shape {which.shape}")
    if which.min() < 0 or which.max() >= n:
        raise ValueError(f"labelled: expected indices from 0 to {n - 1}, got {which.min()} to {which.max()}")
    if len(np.unique(which)) < len(which):
        raise ValueError("labelled: expected every row once, got repeated indices")
    return which.astype(np.int64)


def resolved_kind(labels: ArrayLike, kind: str = "auto") -> str:
    """Whether labels hold classes or real values: "class" or "real".

    Args:
        labels: shape (n,) or (n, L).
        kind: "class", "real", or "auto", which decides by shape and dtype as `encode_labels` says.

    >>> resolved_kind([0, 1, 1]), resolved_kind([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]), resolved_kind([0.5, 1.0])
    ('class', 'class', 'real')
    """
    labels = np.asarray(labels)
    if kind != "auto":
        return kind
    if labels.ndim != 1 and labels.shape[1] != 1:
        return "real"
    return "class" if labels.dtype.kind in "iubUS" or _are_few_whole_numbers(labels) else "real"


def _are_few_whole_numbers(labels):
    """Whether floats are classes, as `sklearn.utils.multiclass.type_of_target` judges, if they are few."""
    if labels.dtype.kind != "f" or not np.isfinite(labels).all() or not np.all(labels == np.floor(labels)):
        return False
    return 2 <= len(np.unique(labels)) <= min(_CLASSES_OF_FLOATS, labels.size / _MEMBERS_OF_FLOATS)


def label_notes(labels: np.ndarray, kind: str) -> list[str]:
    """What was decided about the kind of labels, where it could have been otherwise: no or one line.

    Raises:
        ValueError: text that stands for numbers, which would be taken for classes.
    """
    one = labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)
    if kind != "auto" or not one or not labels.size:
        return []
    if labels.dtype.kind in "US":
        if all(_DECIMAL.fullmatch(str(entry)) for entry in labels.ravel()):
            raise ValueError(f"labels: expected numbers, or text for classes, got numbers stored as text, such as "
                             f"{labels.ravel()[0]} (for classes say so: label kind class)")
        return []
    different = len(np.unique(labels)) if labels.dtype.kind in "iuf" else 0
    if labels.dtype.kind == "f" and different > 1 and np.isfinite(labels).all() and np.all(labels == np.floor(labels)):
        read = f"read as {different} classes (label kind real reads them" if resolved_kind(labels) == "class" else \
            "read as real values (label kind class reads them"
        return [f"labels: {different} different whole numbers stored as floats, {read} otherwise)"]
    if labels.dtype.kind in "iu" and _MANY_CLASSES < different <= labels.size / 2:
        return [f"labels: {different} different integers, read as classes (label kind real reads them as numbers)"]
    return []


def check_kind_is_clear(labels: np.ndarray, kind: str) -> None:
    """Refuse to guess what many whole numbers stored as floats are, of which each occurs often.

    They may be classes, of which missing values once made floats, or counts and years.

    Args:
        labels: shape (m,) or (m, L), none of them missing.
        kind: what a user says that they are; nothing is refused where that is "class" or "real".

    Raises:
        ValueError: they may be either.
    """
    if kind != "auto" or labels.size != len(labels) or labels.dtype.kind != "f" or not np.isfinite(labels).all() or \
            not np.all(labels == np.floor(labels)):
        return
    different = len(np.unique(labels))
    if _CLASSES_OF_FLOATS < different <= labels.size / _MEMBERS_OF_MANY:
        raise ValueError(f"label_kind: expected class or real (--label-kind) for {different} different whole numbers "
                         "stored as floats, which may be classes or values, got auto")


def enough_members(labels: np.ndarray, kind: str, least: int, groups: Int[np.ndarray, "m"] | None = None
                   ) -> tuple[np.ndarray, list[str]]:
    """Which labelled rows belong to classes that are large enough to cross-validate, and a note about the others.

    Args:
        labels: shape (m,) or (m, L), without missing values.
        kind: "auto", "class" or "real"; of real values all rows are kept.
        least: members that a class needs.
        groups: of the labelled rows, if whole groups go into folds; then a class needs members in `least` groups.

    Raises:
        ValueError: fewer than two classes remain; names all that are too small.

    >>> enough_members(np.array(["a"] * 5 + ["b"] * 6 + ["c"]), "auto", 5)[1]
    ['labels: left out classes with fewer than 5 rows, too few to cross-validate: c: 1 row']
    """
    everything = np.ones(len(labels), bool)
    if labels.size != len(labels) or labels.dtype.kind not in "iubUSf" or resolved_kind(labels, kind) != "class":
        return everything, []
    classes, index, counts = np.unique(labels.reshape(-1), return_inverse=True, return_counts=True)
    unit = "row"
    if groups is not None:
        pairs = np.unique(np.stack([index.reshape(-1), groups]), axis=1)
        counts, unit = np.bincount(pairs[0], minlength=len(classes)), "group"
    small = counts < least
    if not small.any() or len(classes) < 2 or len(classes) > len(labels) / 2:  # the last two are refused when encoded
        return everything, []
    named = [f"{class_name(name)}: {count} {unit}{'s' if count > 1 else ''}"
             for name, count in zip(classes[small], counts[small], strict=True)]
    listed = ", ".join(named[:12]) + (f" and {len(named) - 12} more classes" if len(named) > 12 else "")
    if np.sum(~small) < 2:
        raise ValueError(f"labels: expected at least 2 classes of {least} {unit}s or more, to cross-validate, got "
                         f"{listed}")
    return ~small[index.reshape(-1)], [
        f"labels: left out classes with fewer than {least} {unit}s, too few to cross-validate: {listed}"]


def class_name(name: object) -> object:
    """What notes call a class: 2 where it was stored as 2.0."""
    return int(name) if isinstance(name, np.floating) and name == np.floor(name) else name


def _one_hot(columns):
    if columns.shape[1] != 1:
        raise ValueError(f"labels: expected one column of classes, got {columns.shape[1]}")
    classes, index = np.unique(columns[:, 0], return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels: expected at least 2 classes, got only {classes[0]}")
    if len(classes) > len(columns) / 2:
        raise ValueError(f"labels: expected classes with several members, got {len(classes)} classes in "
                         f"{len(columns)} rows (an identifier? for real values say so: label kind real)")
    return np.eye(len(classes))[index]


def _real(columns):
    if columns.dtype.kind in "US":
        raise ValueError("labels: expected real numbers, got text")
    constant = np.flatnonzero(np.ptp(columns.astype(float), 0) == 0)
    if constant.size:
        raise ValueError(f"labels: expected columns that vary, got a constant in column {constant[0]}")
    return columns.astype(np.float64)
