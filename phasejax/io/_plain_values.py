"""Values of many types as plain arrays: numbers in a native type, or text, with what is missing marked.

Missing values become NaN among numbers and "" among text; what lies beneath a mask is never looked at.
"""

from typing import Any

import numpy as np

from phasejax.io._table import EXACT, NUMBERS
from phasejax.io._text_dialect import MISSING

# Text that stands for a missing value, unless it is a declared category. "None", "-" and "--" may be classes.
MISSING_TEXT = ("", *(text for text in MISSING if text not in ("", "None", "-", "--")))


def plain_values(values: Any, name: str) -> np.ndarray:
    """Numbers in a native floating or integer type, or text; what is masked or missing becomes NaN, or "" in text."""
    mask = None
    if isinstance(values, np.ma.MaskedArray):
        mask, values = np.ma.getmaskarray(values), values.data
    elif hasattr(values, "unmasked"):  # Masked arrays and quantities of astropy
        mask, values = np.asarray(values.mask), np.asarray(values.unmasked)
    values = np.asarray(values)
    if mask is not None and mask.dtype.names is None and not mask.any():
        mask = None
    if values.dtype.kind == "T":  # text of any length, as NumPy and Zarr have it
        values = values.astype(object)
    if values.dtype.name == "bfloat16":
        values = values.astype(np.float32)
    if values.dtype.kind == "O":
        values = _of_objects(values, name)
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}: expected text in UTF-8, got the byte {error.object[error.start]:#04x}") from None
    if values.dtype.kind == "U":
        values = np.char.strip(values)
        values = np.where(np.isin(values, MISSING_TEXT), "", values)
        return values if mask is None else np.where(mask, "", values)
    if values.dtype.kind not in NUMBERS:
        raise ValueError(f"{name}: expected numbers, got dtype {values.dtype}")
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("=")).reshape(values.shape)  # sums in one order
    if mask is None:
        return values
    return np.where(mask, np.nan, values.astype(np.result_type(values.dtype, np.float32)))


def _of_objects(values, name):
    """Objects that are all numbers (or missing) as numbers, all text as text."""
    import pandas as pd

    flat = values.ravel()
    if values.ndim == 1 and flat.size and all(isinstance(entry, list | tuple | np.ndarray) for entry in flat):
        try:
            return np.stack([np.asarray(entry, float) for entry in flat])
        except ValueError:
            raise ValueError(f"{name}: expected lists of numbers of one length, got others") from None
    masked = np.array([entry is np.ma.masked for entry in flat], bool)
    missing = pd.isna(flat) | masked
    kinds = pd.api.types.infer_dtype(flat[~missing], skipna=False)
    if kinds in ("integer", "floating", "mixed-integer-float", "decimal", "boolean", "empty"):
        if kinds == "integer" and not missing.any():
            try:
                return values.astype(np.int64)
            except OverflowError:
                raise ValueError(f"{name}: expected whole numbers that fit into 64 bits, got larger ones") from None
        numbers = np.full(flat.shape, np.nan)
        numbers[~missing] = flat[~missing].astype(float)
        if kinds == "integer" and np.nanmax(np.abs(numbers)) >= EXACT:
            raise _inexact(name, flat[~missing])
        return numbers.reshape(values.shape)
    if kinds in ("string", "bytes"):
        text = ["" if gone else entry.decode() if isinstance(entry, bytes) else str(entry)
                for entry, gone in zip(flat, missing, strict=True)]
        return np.array(text, str).reshape(values.shape)
    raise ValueError(f"{name}: expected numbers or text, got objects" + ("" if kinds == "mixed" else f" ({kinds})"))


def stores_whole_numbers(values: Any) -> bool:
    """Whether values are stored as whole numbers, some of which may be missing.

    Args:
        values: an array, masked or not, a list, or a column of pandas or polars.

    >>> stores_whole_numbers([1, None]), stores_whole_numbers(np.array([1.0, np.nan]))
    (True, False)
    """
    import pandas as pd

    kind: Any = getattr(values, "dtype", None)
    if isinstance(values, list | tuple) or (isinstance(kind, np.dtype) and kind.kind == "O"):
        flat = np.asarray([*values], object) if isinstance(values, list | tuple) else np.asarray(values, object)
        return flat.ndim == 1 and pd.api.types.infer_dtype(flat[~pd.isna(flat)], skipna=False) == "integer"
    if hasattr(kind, "is_integer") and not hasattr(kind, "kind"):  # polars
        return bool(kind.is_integer())  # pyright: ignore[reportAttributeAccessIssue]
    return kind is not None and not isinstance(kind, pd.CategoricalDtype) and bool(pd.api.types.is_integer_dtype(kind))


def _inexact(name, numbers):
    return ValueError(f"{name}: expected numbers that float64 holds exactly, got {max(numbers, key=abs)} beside "
                      "missing values")


def column_values(column: Any, name: str, *, feature: bool = False) -> np.ndarray:
    """A pandas column as numbers or text. Categories are declared, so that "NA" may be one of them.

    Args:
        column: the column.
        name: what errors call it.
        feature: whether categories that are numbers count as numbers; among labels they are classes by their names.
    """
    import pandas as pd

    column = pd.Series(column).reset_index(drop=True)
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _of_categories(column, feature)
    if isinstance(kind, pd.ArrowDtype) and kind.kind == "O":  # decimals, dictionaries
        return plain_values(column.astype(object).to_numpy(), name)
    if pd.api.types.is_integer_dtype(kind) and column.isna().any() and column.abs().max() >= EXACT:
        raise _inexact(name, column.dropna().tolist())
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_integer_dtype(kind):
        return column.to_numpy(float, na_value=np.nan) if column.isna().any() else \
            column.to_numpy(bool if pd.api.types.is_bool_dtype(kind) else getattr(kind, "numpy_dtype", kind))
    if isinstance(kind, pd.SparseDtype):
        column = column.sparse.to_dense()
    if pd.api.types.is_float_dtype(kind):
        return column.to_numpy(getattr(kind, "numpy_dtype", None), na_value=np.nan)
    if (isinstance(kind, np.dtype) and kind.kind == "O") or pd.api.types.is_string_dtype(kind):
        return plain_values(column.to_numpy(object), name)
    hint = " (identifiers? then name the column id)" if feature and pd.api.types.is_datetime64_any_dtype(kind) else ""
    where = "" if column.name is None else f" in column {column.name}"
    raise ValueError(f"{name}: expected numbers or text, got {kind}{where}{hint}")


def _of_categories(column, feature):
    categories = column.cat.categories
    values = column.astype(object).to_numpy()
    if not column.isna().any() and categories.dtype.kind in "iub":
        return values.astype(categories.dtype)
    if feature and categories.dtype.kind in NUMBERS:
        return np.array([np.nan if gone else float(entry) for entry, gone in
                         zip(values, column.isna(), strict=True)])
    return np.array(["" if gone else str(entry) for entry, gone in zip(values, column.isna(), strict=True)], str)
