"""Files as rows with identifiers: which reader opens a file, and where in it the identifiers are.

Tables of text name their rows by a column, Parquet files by a column or by the index that pandas stored, AnnData and
MuData files by their `obs_names`. Other formats have no identifiers.
"""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from phasejax.io._arrays import load_array
from phasejax.io._hdf5 import is_annotated_zarr, open_root
from phasejax.io._named import DENSE_NUMBERS, NamedRows, of_sparse, text_ids
from phasejax.io._parquet import read_parquet
from phasejax.io._plain_values import column_values, plain_values
from phasejax.io._readers import open_table
from phasejax.io._table import NUMBERS, Table, choose_member, import_reader
from phasejax.io._tensors import BFLOAT16_NOTE, named_tensors, split_tensor_path
from phasejax.io._text_table import is_text_path, read_text_table

_PARQUET = re.compile(r"(.*\.(?:parquet|pq))(?::(.+))?", re.IGNORECASE)
_ANNOTATED = re.compile(r"(.*\.(?:h5ad|h5mu|zarr))(?::([^\[]+))?(?:\[(.+)\])?", re.IGNORECASE)


def named_file(path: str, name: str, id_column: str | None = None, flatten: bool = False) -> NamedRows:
    """The rows of a file, as `as_named` takes it.

    Raises:
        ValueError: the file cannot be read, or has no such part or column.
    """
    if is_text_path(path):
        return read_text_table(path, id_column=id_column)
    if match := _PARQUET.fullmatch(path):
        return _named_parquet(match.group(1), match.group(2), id_column)
    if id_column is not None:
        raise ValueError(f"id: expected a table with named columns, .csv or .parquet, got {path}")
    if (match := _ANNOTATED.fullmatch(path)) and (not match[1].lower().endswith(".zarr") or
                                                  is_annotated_zarr(Path(match[1]))):
        return _named_annotated(path, *match.groups())
    if split_tensor_path(path):
        return named_tensors(path, flatten)
    if path.lower().endswith(".npz") and _is_sparse(path):
        import scipy.sparse

        return of_sparse(scipy.sparse.load_npz(path), path)
    notes = (f"{Path(path).name}: {BFLOAT16_NOTE}",) if re.search(r"\.np[yz](:|$)", path) and _is_bfloat16(path) else ()
    if ".npz" in path.lower() or (path.lower().endswith(".npy") and not _is_table_of_numbers(path, flatten)):
        return NamedRows(plain_values(load_array(path), name), notes=notes)
    return NamedRows(open_table(path, flatten=flatten), notes=notes)


def has_named_columns(path: str) -> bool:
    """Whether a file is of a format whose tables have named columns, one of which may identify the rows."""
    return is_text_path(path) or _PARQUET.fullmatch(path) is not None


def _is_sparse(path):
    """Whether `scipy.sparse.save_npz` wrote a file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {"format", "shape", "data"} <= set(archive.files)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return False  # the reader of arrays says what is wrong


def _is_bfloat16(path):
    """Whether NumPy stored two opaque bytes for each number."""
    file, _, member = path.partition(".npz:") if ".npz:" in path else (path, "", "")
    try:
        stored = np.load(f"{file}.npz" if member else file, mmap_mode="r", allow_pickle=False)
        if not isinstance(stored, np.ndarray):
            with stored:
                stored = stored[member or stored.files[0]]
        return stored.dtype.kind == "V" and stored.dtype.itemsize == 2
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
        return False  # another format, or the reader says what is wrong


def _is_table_of_numbers(path, flatten):
    """Whether a .npy file holds one, which can be read in blocks; labels in one column are read whole."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return True  # the reader of tables says what is wrong
    return (array.ndim == 2 or (flatten and array.ndim > 2)) and array.dtype.kind in (*NUMBERS, "V")


def _named_parquet(path, column, id_column):
    if not Path(path).exists():
        raise ValueError(f"{path}: expected a readable file, got No such file or directory")
    rows = read_parquet(path, id_column=id_column, column=column)
    if isinstance(rows.values, Table) and rows.values.shape[0] * rows.values.shape[1] <= DENSE_NUMBERS:
        return replace(rows, values=rows.values.rows(0, len(rows.values)))  # held whole, rows can be put in order
    return rows


def _named_annotated(path, file, member, feature_type):
    obs = "obs"
    if file.lower().endswith(".h5mu"):
        rows, obs = NamedRows(open_table(path)), f"mod/{(member or '').partition('/')[0]}/obs"
    elif member is not None and member.startswith("obs/"):
        return _annotation(path, file, member.removeprefix("obs/"))
    else:
        rows = NamedRows(open_table(file if member is None else f"{file}:{member}"))
    with open_root(Path(file), path, "anndata") as root:
        if obs in root and "_index" in root[obs].attrs:
            rows = replace(rows, ids=_index(root[obs]))
        if feature_type is not None:
            rows = _of_feature_type(rows, root, path, member, feature_type)
    return rows


def _index(group):
    from anndata.io import read_elem

    return text_ids(np.asarray(read_elem(group[group.attrs["_index"]]), object))


def _annotation(path, file, column):
    """One column of `obs`, such as the cell type."""
    io = import_reader("anndata.io", "anndata", path)
    if not Path(file).exists():
        raise ValueError(f"{path}: expected a readable file, got No such file or directory")
    with open_root(Path(file), path, "anndata") as root:
        found = choose_member(path, "annotation", "annotations", column,
                              [key for key in root["obs"] if key != root["obs"].attrs.get("_index")])
        values = io.read_elem(root[f"obs/{found}"])
        return NamedRows(column_values(values, path), _index(root["obs"]), (column,))


def _of_feature_type(rows, root, path, member, feature_type):
    """The columns of X of which `var["feature_types"]` says that they are of one type, such as GEX."""
    from anndata.io import read_elem

    if member not in (None, "X") or "feature_types" not in root.get("var", ()):
        raise ValueError(f"{path}: expected an AnnData file whose var['feature_types'] tells the columns of X apart, "
                         "got none")
    types = np.asarray(read_elem(root["var/feature_types"]), object).astype(str)
    columns = np.flatnonzero(types == feature_type)
    if not columns.size:
        raise ValueError(f"{path}: expected one of the feature types {', '.join(np.unique(types))}, got {feature_type}")
    whole = rows.values
    table = Table(path, (len(whole), len(columns)), whole.dtype,
                  lambda start, stop: whole.rows(start, stop)[:, columns], whole.step)
    return replace(rows, values=table)
