"""TODO module docstring of io._labels."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from phasejax.io._arrays import _check_finite

LabelKind = Literal["auto", "class", "real"]


def encode_labels(labels, rows: int, kind: str = "auto") -> Float[np.ndarray, "n l"]:
    """Label columns for regression: classes one-hot, real values as they are.

    Args:
        labels: shape (n,) or (n, L).
        rows: the number of rows that x and y have.
        kind: "class", "real", or "auto": one column of integers, booleans or text is classes,
            everything else real.

    Raises:
        ValueError: another number of rows, none at all, NaN, fewer than two classes, classes that
            are mostly distinct, a constant column, or text that should be real.
    """
    if kind not in get_args(LabelKind):
        raise ValueError(f"label_kind: expected one of {', '.join(get_args(LabelKind))}, got {kind!r}")
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
        _check_finite("labels", columns)
    else:
        raise ValueError(f"labels: expected numbers or text, got dtype {labels.dtype}")
    return _one_hot(columns) if kind == "class" else _real(columns)


def labelled_rows(labelled, n: int) -> Int[np.ndarray, "m"]:
    """The rows that have labels, of n; all where `labelled` is None.

    Raises:
        ValueError: no indices of rows, shape (m,), or repeated ones.
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


def resolved_kind(labels, kind: str = "auto") -> str:
    """Whether labels are "class" or "real"; "auto" goes by shape and type, as `encode_labels` says."""
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
