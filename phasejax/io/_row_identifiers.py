"""Identifiers of rows in the form in which they are compared: whole numbers, or text without blanks around it.

Those of one row are the same whether they come from a file, an index or a coordinate.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

from phasejax.io._alike_identifiers import written_otherwise
from phasejax.io._table import EXACT


def index_ids(index: Any) -> np.ndarray | None:
    """The identifiers of a pandas index; None for the default one, which counts rows."""
    if type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1:
        return None
    return checked_ids(plain_ids(index), "index")


def plain_ids(index: Any) -> np.ndarray:
    """The entries of a pandas index; those of several levels joined to one text."""
    if type(index).__name__ == "MultiIndex":
        if missing := int(index.to_frame().isna().any(axis=1).sum()):
            raise ValueError(f"index: expected an identifier in every row, got {missing} missing")
        return np.array(["|".join(map(str, entry)) for entry in index], str)
    return np.asarray(index)


def text_ids(values: Any) -> np.ndarray | None:
    """Identifiers as int64 or text; None for the names "0", "1", "2", ... or numbers 0, 1, 2, ..., which count rows."""
    ids = checked_ids(np.asarray(values), "identifiers")
    counted = np.arange(len(ids))
    return None if np.array_equal(ids, counted if ids.dtype.kind == "i" else counted.astype(str)) else ids


def checked_ids(values: np.ndarray, name: str) -> np.ndarray:
    """Identifiers in the form in which they are compared: int64 where all are whole numbers, else text.

    Raises:
        ValueError: an identifier is missing, or a float that has lost digits.
    """
    import pandas as pd

    values = np.asarray(values)
    if values.dtype.kind in "fM" and (gone := pd.isna(values)).any():
        raise ValueError(f"{name}: expected an identifier in every row, got {gone.sum()} missing")
    if values.dtype.kind == "f" and np.all(values == np.floor(values)):
        if np.abs(values).max(initial=0) >= EXACT:
            raise ValueError(f"{name}: expected identifiers with all their digits, got {values.max():.17g}, a float "
                             "that has lost some; read them as integers or text")
        return values.astype(np.int64)
    if values.dtype.kind in "iu" and (not values.size or int(values.max()) < 2**63):
        return values.astype(np.int64)
    if values.dtype.kind == "M":
        values = np.asarray(pd.DatetimeIndex(values).astype(str), object)  # as they are written in files
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.dtype.kind == "O" and pd.api.types.infer_dtype(values, skipna=False) == "decimal" and \
            all(entry == int(entry) for entry in values):
        values = np.array([int(entry) for entry in values], object)
    if values.dtype.kind == "O":
        if pd.isna(values).any():
            raise ValueError(f"{name}: expected an identifier in every row, got {pd.isna(values).sum()} missing")
        if all(isinstance(entry, int | np.integer) and -(2**63) <= entry < 2**63 for entry in values):
            return values.astype(np.int64)
        values = np.array([entry.decode() if isinstance(entry, bytes) else str(entry) for entry in values], str)
    text = np.char.strip(values.astype(str))
    if (empty := np.char.str_len(text) == 0).any():
        raise ValueError(f"{name}: expected an identifier in every row, got {empty.sum()} missing")
    return text


def check_unique(name: str, ids: np.ndarray | None) -> None:
    """Refuse identifiers of which some are repeated.

    Args:
        name: what they identify, as the error calls it.
        ids: identifiers; None where there are none.
    """
    if ids is None:
        return
    found, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"{name}: expected identifiers that all differ, got {found[counts.argmax()]} in "
                         f"{counts.max()} rows, {np.sum(counts > 1)} repeated in all (by_position pairs rows as they "
                         "are)")


def check_position(named: str, other: str, ids: np.ndarray, n: int) -> None:
    """Refuse to pair rows that have identifiers by position with n rows that have none, where it would be wrong.

    Args:
        named, other: what has identifiers and what has none.
        ids: the identifiers.
        n: rows without identifiers.

    Raises:
        ValueError: there are not as many, or the identifiers count rows in another order.
    """
    if len(ids) != n:
        raise ValueError(f"{other}: expected identifiers as those of {named}, or as many rows ({len(ids)}), got {n} "
                         "rows without identifiers")
    counted = np.arange(n) if ids.dtype.kind == "i" else np.arange(n).astype(str)
    if not np.array_equal(ids, counted) and np.array_equal(np.sort(ids), np.sort(counted)):
        raise ValueError(f"{other}: expected identifiers, since those of {named} count its rows in another order, got "
                         "none (by_position pairs rows as they are)")


def comparable(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of identifiers in one type: text where one of them is text."""
    return (first, second) if first.dtype.kind == second.dtype.kind else (first.astype(str), second.astype(str))


def joined_to_rows(name: str, ids: np.ndarray, theirs: np.ndarray) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"]]:
    """The rows whose identifiers labels or groups have too, in order, and where these are among theirs.

    Args:
        name: "labels" or "groups".
        ids: identifiers of the rows, all different.
        theirs: those of the labels or groups.

    Raises:
        ValueError: identifiers that are repeated, or none in common.
    """
    check_unique(name, theirs)
    both = comparable(ids, theirs)
    _, rows, places = np.intersect1d(*both, assume_unique=True, return_indices=True)
    if not rows.size:
        otherwise = written_otherwise(*both)
        raise ValueError(f"{name}: expected identifiers that the rows have too, got none in common (rows have "
                         f"{ids[0]}, ...; {name} have {theirs[0]}, ...){'' if otherwise is None else f'; {otherwise}'}")
    order = np.argsort(rows)
    return rows[order], places[order]
