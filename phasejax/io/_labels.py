"""Labels: which kind they are of, the columns that regressions take of them, and which rows have them."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from phasejax._core.validation import check_choice
from phasejax.io._arrays import check_finite

LabelKind = Literal["auto", "class", "real"]


def encode_labels(labels: ArrayLike, rows: int, kind: str = "auto") -> Float[np.ndarray, "n l"]:
    """Label columns for regression: an indicator column for each class, or real values as they are.

    Args:
        labels: numbers, booleans or text, shape (n,) or (n, L).
        rows: n, the number of rows that have labels.
        kind: "class", "real", or "auto": a single column of integers, booleans or text holds classes, anything
            else real values.

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
    labels = np.asarray(labels)
    if labels.dtype.kind == "O":
        raise ValueError("labels: expected numbers or text, got objects")
    if labels.ndim not in (1, 2) or labels.size == 0:
        raise ValueError(f"labels: expected shape ({rows},) or ({rows}, L), got {labels.shape}")
    if len(labels) != rows:
        raise ValueError(f"labels: expected {rows} rows, one for each labelled row of x, got {len(labels)}")
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

    >>> resolved_kind([0, 1, 1]), resolved_kind([0.0, 1.0, 1.0])
    ('class', 'real')
    """
    labels = np.asarray(labels)
    one = labels.ndim == 1 or labels.shape[1] == 1
    return kind if kind != "auto" else "class" if one and labels.dtype.kind in "iubUS" else "real"


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
