"""Identifiers of rows in the form in which they are compared: whole numbers, or text without blanks around it.

Those of one row are the same whether they come from a file, an index or a coordinate.
"""

from typing import Any

import numpy as np

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
