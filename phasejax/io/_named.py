"""Rows with their identifiers and column names, as files and Python's data containers bring them.

`as_named` is the one way in for everything that a person may hand over: it recognises a container by the module of its
type, so that no library is imported that is not in use already. Missing values become NaN among numbers and "" among
text; what lies beneath a mask is never looked at. Rows are matched by their identifiers in `_matching`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phasejax.io._plain_values import column_values, plain_values
from phasejax.io._table import FLATTEN_HINT, Table
from phasejax.io._text_header import is_id_name

# Sparse matrices of more numbers than this are not made dense.
DENSE_NUMBERS = 5e7


@dataclass(frozen=True, eq=False)
class NamedRows:
    """Numbers or labels of ``n`` rows, with what says which row is which.

    Args:
        values: Array ``(n, d)`` of numbers, or labels ``(n,)`` or ``(n, L)`` (numbers or text); a ``Table`` is read in
            blocks. Missing values are NaN among numbers and "" among text.
        ids: Identifiers of the rows, ``(n,)`` of int64 or text; None where there are none.
        columns: Names of the columns of ``values``; None where there are none.
        notes: Lines that say how the input was read, such as ``"x.csv: 300 rows, 12 columns, header, id object_id"``.
    """

    values: np.ndarray | Table
    ids: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.values.shape[0] if self.values.shape else 0


def as_named(value: Any, name: str, *, id_column: str | None = None, flatten: bool = False) -> NamedRows:
    """Rows of numbers or labels with their identifiers, from a container or a file.

    Identifiers are the index of a DataFrame or Series that is not the default one, the `obs_names` of AnnData, the
    coordinate of an xarray DataArray's first dimension, or a column with the name of an identifier (`object_id`) whose
    values all differ.

    Args:
        value: a file (`phasejax.io.open_table` names the formats; tables of text may name a column, FILE.csv:NAME, and
            AnnData files an annotation, FILE.h5ad:obs/NAME, or one feature type, FILE.h5ad[GEX]); a DataFrame or Series
            of pandas or polars, pyarrow Table, AnnData, xarray DataArray, torch tensor, SciPy sparse matrix, masked
            array, `Table`, array or list.
        name: what errors call it.
        id_column: column with the identifiers; found when left out.
        flatten: whether each image of a batch (n, height, width) or (n, height, width, channels) becomes a row.

    Returns:
        The rows; a `NamedRows` as it is.

    Raises:
        ValueError: a container or file that holds no rows of numbers or labels, or has no such column.

    >>> import pandas as pd
    >>> found = as_named(pd.DataFrame({"object_id": [7, 5], "flux": [0.5, 1.5]}), "x")
    >>> found.values.tolist(), found.ids.tolist(), found.columns
    ([[0.5], [1.5]], [7, 5], ('flux',))
    """
    if isinstance(value, NamedRows):
        return value
    if isinstance(value, str | Path):
        from phasejax.io._named_files import named_file

        rows = named_file(str(value), name, id_column, flatten)
    elif isinstance(value, Table):
        return NamedRows(value)
    else:
        rows = _of_container(value, name, id_column)
    values = rows.values
    if isinstance(values, Table) or values.ndim < 3:
        return rows
    if not flatten:
        if name not in ("x", "y"):  # labels and groups are no images, and refused where they are encoded
            return rows
        called = value if isinstance(value, str | Path) else name
        raise ValueError(f"{called}: expected two dimensions (rows, columns), got shape {values.shape}{FLATTEN_HINT}")
    return replace(rows, values=values.reshape(len(values), -1))


def _of_container(value: Any, name: str, id_column: str | None) -> NamedRows:
    package, kind = type(value).__module__.partition(".")[0], type(value).__name__
    match package, kind:
        case "pandas", "DataFrame":
            return from_frame(value, name, id_column)
        case "pandas", "Series":
            return NamedRows(column_values(value, name), _index_ids(value.index), (str(value.name),))
        case "pandas", _:
            return NamedRows(column_values(value, name))
        case "polars", "DataFrame":
            import pandas as pd

            columns = {column: _of_polars(value.get_column(column)) for column in value.columns}
            return from_frame(pd.DataFrame(columns), name, id_column)
        case "polars", "Series":
            return NamedRows(plain_values(_of_polars(value), name), None, (value.name,))
        case "pyarrow", "Table" | "RecordBatch":
            return from_frame(value.to_pandas(), name, id_column)
        case "pyarrow", _:
            return NamedRows(column_values(value.to_pandas(), name))
        case "anndata", _:
            if value.X is None:
                raise ValueError(f"{name}: expected an AnnData object with X, got none (pass a layer or obsm)")
            values = _dense(value.X, name) if hasattr(value.X, "toarray") else plain_values(value.X, name)
            return NamedRows(values, text_ids(value.obs_names), tuple(map(str, value.var_names)))
        case "mudata", _:
            raise ValueError(f"{name}: expected one modality of the MuData object (mdata.mod[NAME]), got all of them")
        case "xarray", "DataArray":
            return _from_xarray(value, name)
        case "xarray", _:
            raise ValueError(f"{name}: expected a DataArray, got a {kind} (dataset[NAME] is one)")
        case "torch", _:
            brief = str(value.dtype) == "torch.bfloat16"
            notes = (f"{name}: stored in bfloat16, which keeps 2 to 3 digits",) if brief else ()
            return NamedRows(plain_values(of_torch(value), name), notes=notes)
        case "scipy", _ if hasattr(value, "toarray"):
            return of_sparse(value, name)
    if isinstance(value, list | tuple):
        value = _of_list(value)
    return NamedRows(plain_values(value, name))


# Containers of other libraries


def _of_polars(column):
    values = column.to_numpy()
    return values if values.ndim == 1 else np.array([*values, None], object)[:-1]


def of_torch(tensor: Any) -> np.ndarray:
    """The numbers of a PyTorch tensor; bfloat16, which NumPy does not have, as float64, and sparse ones dense."""
    tensor = tensor.detach().cpu()
    if getattr(tensor, "layout", None) is not None and "sparse" in str(tensor.layout):
        tensor = tensor.to_dense()
    return (tensor.double() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _of_list(value):
    """A list as an array; one of numbers and None keeps its missing entries, one of text does not become numbers."""
    if any(isinstance(entry, np.ma.MaskedArray) for entry in value):
        return np.ma.stack(value)
    if any(type(entry).__module__.partition(".")[0] == "torch" for entry in value):
        return np.stack([of_torch(entry) for entry in value])
    try:
        plain = np.asarray(value)
    except ValueError:
        return np.asarray(value, object)
    if plain.dtype.kind in "US" and plain.ndim == 1:  # ["a", nan] and [1, "a"] must not become text unseen
        return np.asarray(value, object)
    return plain


def of_sparse(matrix: Any, name: str) -> NamedRows:
    """The rows of a sparse matrix of SciPy, made dense.

    Raises:
        ValueError: it would be too large.
    """
    return NamedRows(_dense(matrix, name))


def _dense(matrix, name):
    if np.prod(matrix.shape, dtype=float) > DENSE_NUMBERS:
        raise ValueError(f"{name}: expected a sparse matrix of at most {DENSE_NUMBERS:.0e} entries, to make it dense, "
                         f"got shape {matrix.shape}; reduce its columns before, as with sklearn's TruncatedSVD")
    return plain_values(matrix.toarray(), name)


def _from_xarray(array, name):
    coordinates = [array.coords[dim].values if dim in array.coords else None for dim in array.dims]
    ids = text_ids(coordinates[0]) if coordinates and coordinates[0] is not None else None
    columns = tuple(map(str, coordinates[1])) if len(coordinates) == 2 and coordinates[1] is not None else None
    return NamedRows(plain_values(array.values, name), ids, columns)


# Frames and identifiers


def from_frame(frame: Any, name: str, id_column: str | None = None) -> NamedRows:
    """Columns of a pandas DataFrame with their identifiers.

    Raises:
        ValueError: no column `id_column`, columns of several kinds that are not one table of numbers, or two columns
            that look like identifiers.
    """
    frame, ids, notes = split_identifiers(frame, name, id_column)
    columns = tuple(map(str, frame.columns))
    parts = [column_values(frame.iloc[:, place], name) for place in range(frame.shape[1])]
    texts = [column for column, part in zip(columns, parts, strict=True) if part.dtype.kind == "U"]
    if texts and len(texts) < len(columns):
        raise ValueError(f"{name}: expected numbers in every column, got text in column {texts[0]}")
    if len(parts) == 1 and parts[0].ndim == 2:  # a column of lists
        return NamedRows(parts[0], ids, None, notes)
    values = np.column_stack(parts) if parts else np.empty((len(frame), 0))
    named = [column for column in columns if len(columns) > 1 and is_id_name(column, surely=True)]
    notes += tuple(f"{name}: column {column} is read as data, though its name is that of an identifier"
                   for column in named)
    return NamedRows(values, ids, columns, notes)


def split_identifiers(frame: Any, name: str, id_column: str | None) -> tuple[Any, np.ndarray | None, tuple[str, ...]]:
    """A pandas DataFrame without the column that identifies its rows, the identifiers, and a note about them.

    Raises:
        ValueError: as `from_frame`.
    """
    names = [str(column) for column in frame.columns]
    if id_column is not None:
        if id_column in names:
            place = names.index(id_column)
            ids = checked_ids(column_values(frame.iloc[:, place], name), name)
            return frame.drop(columns=frame.columns[place]), ids, (f"{name}: id {id_column}",)
        if id_column != frame.index.name:
            raise ValueError(f"{name}: expected a column {id_column} with identifiers, got columns "
                             f"{', '.join(names[:12])}{' ...' if len(names) > 12 else ''}")
        return frame, checked_ids(_plain_ids(frame.index), name), ()
    ids = _index_ids(frame.index)
    differing = [place for place in range(len(names)) if len(names) > 1 and _all_differ(frame.iloc[:, place])]
    alike = [place for place in differing if is_id_name(names[place])]
    if not alike and ids is None and len(differing) == 1 and _is_text_beside_numbers(frame):
        alike = differing  # numbers of rows, or names, beside the one column of text or numbers
    if not alike:
        return frame, ids, ()
    if ids is not None or len(alike) > 1:
        found = f"column{'s' * (len(alike) > 1)} {' and '.join(names[place] for place in alike)}"
        raise ValueError(f"{name}: expected one column of identifiers or none, got the {found}"
                         f"{' beside an index' if ids is not None else ''}, which would count as features; "
                         "drop them, or say which one identifies the rows (id)")
    place = alike[0]
    return (frame.drop(columns=frame.columns[place]), text_ids(column_values(frame.iloc[:, place], name)),
            (f"{name}: column {names[place]} identifies the rows (all its values differ) and is no feature",))


def _all_differ(column):
    import pandas as pd

    kind = column.dtype
    whole = pd.api.types.is_integer_dtype(kind)
    return (whole or not pd.api.types.is_numeric_dtype(kind)) and column.is_unique and not column.isna().any()


def _is_text_beside_numbers(frame):
    import pandas as pd

    return len({pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes}) > 1


def _index_ids(index):
    """The identifiers of a pandas index; None for the default one, which counts rows."""
    kind = type(index).__name__
    if kind == "RangeIndex" and index.start == 0 and index.step == 1:
        return None
    return checked_ids(_plain_ids(index), "index") if kind != "RangeIndex" else np.asarray(index, np.int64)


def _plain_ids(index):
    if type(index).__name__ == "MultiIndex":
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
        ValueError: an identifier is missing.
    """
    values = np.asarray(values)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(f"{name}: expected an identifier in every row, got {np.isnan(values).sum()} missing")
    if values.dtype.kind in "iu" or (values.dtype.kind == "f" and np.all(values == np.floor(values))):
        return values.astype(np.int64)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    if values.dtype.kind == "O":
        import pandas as pd

        if pd.isna(values).any():
            raise ValueError(f"{name}: expected an identifier in every row, got {pd.isna(values).sum()} missing")
        if all(isinstance(entry, int | np.integer) for entry in values):
            return values.astype(np.int64)
        values = np.array([entry.decode() if isinstance(entry, bytes) else str(entry) for entry in values], str)
    text = values.astype(str)
    if (empty := np.char.str_len(text) == 0).any():
        raise ValueError(f"{name}: expected an identifier in every row, got {empty.sum()} missing")
    return text
