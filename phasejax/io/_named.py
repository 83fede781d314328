"""Rows with their identifiers and column names, as files and Python's data containers bring them.

`as_named` is the one way in for everything that a person may hand over: it recognises a container by the module of its
type, so that no library is imported that is not in use already. Missing values become NaN among numbers and "" among
text; what lies beneath a mask is never looked at. Rows are matched by their identifiers in `_matching`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.input_files import reading
from phasejax._core.validation import shown
from phasejax.io._frames import all_differ, of_frame
from phasejax.io._other_columns import OtherColumns, no_features
from phasejax.io._packed import find_packing
from phasejax.io._plain_values import column_values, plain_values, stores_whole_numbers
from phasejax.io._row_identifiers import checked_ids, index_ids, plain_ids, text_ids
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
        whole: Whether the source holds whole numbers, though missing values have made floats of them.
    """

    values: np.ndarray | Table
    ids: np.ndarray | None = None
    columns: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    whole: bool = False

    def __len__(self) -> int:
        return self.values.shape[0] if self.values.shape else 0


@checked
def as_named(value: Any, name: str, *, id_column: str | None = None, groups_column: str | None = None,
             labels_column: str | int | None = None, other_columns: Mapping[str, str] | None = None,
             flatten: bool = False) -> NamedRows:
    """Rows of numbers or labels with their identifiers, from a container or a file.

    Identifiers are the index of a DataFrame or Series that is not the default one, the `obs_names` of AnnData, a
    coordinate along the first dimension of an xarray DataArray, or a column with the name of an identifier
    (`object_id`) whose values all differ.

    Args:
        value: a file (`phasejax.io.open_table` names the formats; tables of text may name a column, FILE.csv:NAME, and
            AnnData files an annotation, FILE.h5ad:obs/NAME, or one feature type, FILE.h5ad[GEX]); a DataFrame or Series
            of pandas or polars, pyarrow Table, AnnData, xarray DataArray, torch tensor, SciPy sparse matrix, masked
            array, `Table`, array or list.
        name: what errors call it.
        id_column: column with the identifiers; found when left out.
        groups_column: name of what says which rows belong together. A column of that name is left out where it is text
            or has the name of an identifier (`patient_id`), since it cannot be a feature.
        labels_column: name of what labels were taken from, likewise; its place in a text table without names.
        other_columns: names of more columns that are left out likewise, with what a note says of each, as in
            {"batch": "is a confounder"}.
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
    of_labels = None if isinstance(labels_column, int) else labels_column
    for argument, given in (("id_column", id_column), ("groups_column", groups_column), ("labels_column", of_labels)):
        if not isinstance(given, str | None):
            raise ValueError(f"{argument}: expected the name of a column, got {shown(given)}")
    others = no_features(groups_column, labels_column, id_column, other_columns)
    if isinstance(value, NamedRows):
        return value
    if isinstance(value, str | Path):
        from phasejax.io._named_files import named_file

        with reading(str(value), "a readable file"):
            rows = named_file(str(value), name, id_column, others, flatten)
    elif isinstance(value, Table):
        return NamedRows(value)
    else:
        rows = _of_container(value, name, id_column, others)
        rows = replace(rows, whole=rows.whole or stores_whole_numbers(value))
    values = rows.values
    if isinstance(values, Table) or values.ndim < 3:
        return rows
    if not flatten:
        if name not in ("x", "y"):  # labels and groups are no images, and refused where they are encoded
            return rows
        called = value if isinstance(value, str | Path) else name
        raise ValueError(f"{called}: expected two dimensions (rows, columns), got shape {values.shape}{FLATTEN_HINT}")
    return replace(rows, values=values.reshape(len(values), -1))


def _of_container(value: Any, name: str, id_column: str | None, others: OtherColumns) -> NamedRows:
    package, kind = type(value).__module__.partition(".")[0], type(value).__name__
    match package, kind:
        case "pandas", "DataFrame":
            return NamedRows(*of_frame(value, name, id_column, others))
        case "pandas", "Series":
            return NamedRows(column_values(value, name), index_ids(value.index), (str(value.name),))
        case "pandas", _:
            return NamedRows(column_values(value, name))
        case "polars", "DataFrame" | "LazyFrame":
            import pandas as pd

            value = value.collect() if kind == "LazyFrame" else value
            columns = {column: _of_polars(value.get_column(column), name) for column in value.columns}
            return NamedRows(*of_frame(pd.DataFrame(columns), name, id_column, others))
        case "polars", "Series":
            return NamedRows(plain_values(_of_polars(value, name), name), None, (value.name,))
        case "pyarrow", "Table" | "RecordBatch":
            return NamedRows(*of_frame(value.to_pandas(integer_object_nulls=_may_be_classes(name)), name, id_column,
                                       others))
        case "pyarrow", _:
            column = value.to_pandas(integer_object_nulls=_may_be_classes(name))
            return NamedRows(column_values(column, name), whole=stores_whole_numbers(column))
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


def _may_be_classes(name):
    """Whether it matters that whole numbers stay what they are beside missing values; in a view all become floats."""
    return name not in ("x", "y")


def _of_polars(column, name):
    if column.dtype.is_integer() and column.null_count() and _may_be_classes(name):
        return np.array(column.to_list(), object)
    values = column.to_numpy()
    return values if values.ndim == 1 else np.array([*values, None], object)[:-1]


def of_torch(tensor: Any) -> np.ndarray:
    """The numbers of a PyTorch tensor; bfloat16 and shorter, which NumPy lacks, as float32; sparse ones dense."""
    tensor = tensor.detach().cpu()
    if getattr(tensor, "layout", None) is not None and "sparse" in str(tensor.layout):
        tensor = tensor.to_dense()
    short = str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8"))
    tensor = tensor.float() if short else tensor
    return tensor.numpy(force=True) if hasattr(tensor, "resolve_neg") else tensor.numpy()


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
    ids, columns, notes = None, None, ()
    if array.dims:
        index = array.indexes.get(array.dims[0])
        ids = None if index is None else text_ids(plain_ids(index))
        if index is None:
            ids, notes = _ids_along_rows(array, name)
    if len(array.dims) == 2 and array.dims[1] in array.coords:
        columns = tuple(map(str, array.coords[array.dims[1]].values))
    values = plain_values(array.values, name)
    try:
        packing = find_packing(array.attrs, values.dtype)  # which xarray takes away as it unpacks
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if packing is not None:
        values, notes = packing.unpacked(values), (*notes, *(f"{name}: {words}" for words in packing.words))
    return NamedRows(values, ids, columns, notes)


def _ids_along_rows(array, name):
    """The coordinate that identifies the rows of a DataArray, where their dimension has no index."""
    import pandas as pd

    along = {str(key): pd.Series(found.values) for key, found in array.coords.items() if found.dims == array.dims[:1]}
    found = [key for key, column in along.items() if all_differ(column) and is_id_name(key)]
    if len(found) > 1:
        raise ValueError(f"{name}: expected one coordinate of identifiers or none, got {' and '.join(found)}; make one "
                         "of them the index of the rows")
    return (None, ()) if not found else (checked_ids(along[found[0]].to_numpy(), name),
                                         (f"{name}: coordinate {found[0]} identifies the rows",))
