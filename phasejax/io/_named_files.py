"""Files as rows with identifiers: which reader opens a file, and where in it the identifiers are.

Tables of text name their rows by a column, Parquet files by a column or by the index that pandas stored, AnnData and
MuData files by their `obs_names`. Other formats have no identifiers.
"""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from phasejax._core.input_files import check_regular_file, reading
from phasejax._core.terminal import listed
from phasejax.io._array_files import ARRAY_ENDINGS, read_array
from phasejax.io._arrays import load_masked, load_sparse, npz_header, stored_header
from phasejax.io._hdf5 import holds_modalities, is_annotated_zarr, open_modality, open_root
from phasejax.io._identifiers_beside import identifiers_beside
from phasejax.io._named import DENSE_NUMBERS, NamedRows, of_sparse
from phasejax.io._other_columns import OtherColumns
from phasejax.io._parquet import read_parquet
from phasejax.io._plain_values import column_values, plain_values, stores_whole_numbers
from phasejax.io._readers import open_table
from phasejax.io._row_identifiers import text_ids
from phasejax.io._table import NUMBERS, Table, choose_member, import_reader
from phasejax.io._tensors import BFLOAT16_NOTE, named_tensors, split_tensor_path
from phasejax.io._text_header import is_id_name
from phasejax.io._text_table import is_text_path, read_text_table

_PARQUET = re.compile(r"(.*\.(?:parquet|pq))(?::(.+))?", re.IGNORECASE)
_ARRAYS = re.compile(rf"(.*(?:{'|'.join(map(re.escape, (*ARRAY_ENDINGS, '.zarr')))}))(?::(.+))?", re.IGNORECASE)
_ANNOTATION = re.compile(r"(.*?\.(?:h5ad|h5mu|zarr)):(?:([^/]+)/)?obs/(.+)", re.IGNORECASE)
_ANNOTATED = re.compile(r"(.*\.(?:h5ad|h5mu|zarr))(?::([^\[]+))?(?:\[(.+)\])?", re.IGNORECASE)


def named_file(path: str, name: str, id_column: str | None = None, others: OtherColumns | None = None,
               flatten: bool = False) -> NamedRows:
    """The rows of a file, as `as_named` takes it.

    Raises:
        ValueError: the file cannot be read, or has no such part or column.
    """
    if is_text_path(path):
        return read_text_table(path, id_column=id_column, others=others)
    if match := _PARQUET.fullmatch(path):
        return _named_parquet(match.group(1), match.group(2), id_column, others)
    if id_column is not None:
        raise ValueError(f"id: expected a table with named columns, .csv or .parquet, got {path}")
    if (match := _ANNOTATED.fullmatch(path)) and (not match[1].lower().endswith(".zarr") or
                                                  is_annotated_zarr(Path(match[1]))):
        if of_obs := _ANNOTATION.fullmatch(path):
            return _annotation(path, *of_obs.groups())
        return _named_annotated(path, *match.groups())
    if match := _ARRAYS.fullmatch(path):
        file = Path(match[1])
        check_regular_file(file, path, folder=file.suffix.lower() == ".zarr")
        with reading(path, f"a complete {file.suffix} file"):
            return read_array(file, match[2], path, flatten)
    if split_tensor_path(path):
        return named_tensors(path, flatten)
    if path.lower().endswith(".npz") and _is_sparse(path):
        return of_sparse(load_sparse(path), path)
    notes = (f"{Path(path).name}: {BFLOAT16_NOTE}",) if re.search(r"\.np[yz](:|$)", path) and _is_bfloat16(path) else ()
    if ".npz" in path.lower() or (path.lower().endswith(".npy") and not _is_table_of_numbers(path, flatten)):
        values, of_mask = load_masked(path)
        ids, of_ids = _identifiers_in_npz(path, np.shape(values))
        notes = (*notes, *of_ids) if of_mask is None else (*notes, *of_ids, of_mask)
        return NamedRows(plain_values(values, name), ids, notes=notes, whole=stores_whole_numbers(values))
    return NamedRows(open_table(path, flatten=flatten), notes=notes)


def has_named_columns(path: str) -> bool:
    """Whether a file is of a format whose tables have named columns, one of which may identify the rows."""
    return is_text_path(path) or _PARQUET.fullmatch(path) is not None


def _is_sparse(path):
    """Whether `scipy.sparse.save_npz` wrote a file."""
    check_regular_file(path)
    if not zipfile.is_zipfile(path):
        return False  # the reader of arrays says what is wrong
    with reading(path, "a complete .npz file"), zipfile.ZipFile(path) as archive:
        return {"format.npy", "shape.npy", "data.npy"} <= set(archive.namelist())


def _identifiers_in_npz(path, shape):
    """Identifiers in an array beside the one that a path names, FILE.npz:NAME."""
    file, _, member = path.partition(".npz:")
    if not member or not shape:
        return None, ()
    file = f"{file}.npz"
    member = member.removesuffix(".npy")
    with reading(path, "a complete .npz file"), zipfile.ZipFile(file) as archive:
        names = [entry.removesuffix(".npy") for entry in archive.namelist()]
    headers = {called: npz_header(file, called) if is_id_name(called, surely=True) else None for called in names}
    shapes = {called: () if header is None else header[0] for called, header in headers.items() if called != member}
    return identifiers_beside(member, {member: shape, **shapes},
                              lambda called: plain_values(load_masked(f"{file}:{called}")[0], path), path)


def _is_bfloat16(path):
    """Whether NumPy stored two opaque bytes for each number."""
    header = _header(path)
    return header is not None and header[1].kind == "V" and header[1].itemsize == 2


def _is_table_of_numbers(path, flatten):
    """Whether a .npy file holds one, which can be read in blocks; labels in one column are read whole."""
    if (header := _header(path)) is None:
        return True  # the reader of tables says what is wrong
    shape, dtype = header
    return (len(shape) == 2 or (flatten and len(shape) > 2)) and dtype.kind in (*NUMBERS, "V")


def _header(path):
    """Shape and dtype of a .npy file or of an array in a .npz file; None where it is of another format."""
    file, _, member = path.partition(".npz:") if ".npz:" in path else (path, "", "")
    file = f"{file}.npz" if member else file
    check_regular_file(file, path)
    if zipfile.is_zipfile(file):
        return npz_header(file, member or None)
    with open(file, "rb") as stream:
        return stored_header(stream, file, Path(file).stat().st_size, whole=False)


def _named_parquet(path, column, id_column, others):
    rows = read_parquet(path, id_column=id_column, column=column, others=others)
    if isinstance(rows.values, Table) and rows.values.shape[0] * rows.values.shape[1] <= DENSE_NUMBERS:
        return replace(rows, values=rows.values.rows(0, len(rows.values)))  # held whole, rows can be put in order
    return rows


def _named_annotated(path, file, member, feature_type):
    obs = "obs"
    if holds_modalities(Path(file)):
        rows, obs = _of_modality(file, member, path)
    else:
        rows = NamedRows(open_table(file if member is None else f"{file}:{member}"))
    with reading(path, "AnnData"), open_root(Path(file), path, "anndata") as root:
        if obs in root and "_index" in root[obs].attrs:
            rows = replace(rows, ids=_index(root[obs]))
        if feature_type is not None:
            rows = _of_feature_type(rows, root, path, member, feature_type)
    return rows


def _of_modality(file, member, path):
    """The rows of one modality, whichever observations it has, and where in the file their names are."""
    if not Path(file).exists():
        raise ValueError(f"{path}: expected a readable file, got No such file or directory")
    modality, table = open_modality(Path(file), member, path)
    return NamedRows(table), f"mod/{modality}/obs"


def _index(group):
    from anndata.io import read_elem

    return text_ids(np.asarray(read_elem(group[group.attrs["_index"]]), object))


def _annotation(path, file, modality, column):
    """One column of `obs`, such as the cell type: of all observations, or of those of one modality of MuData."""
    io = import_reader("anndata.io", "anndata", path)
    check_regular_file(file, path, folder=file.lower().endswith(".zarr"))
    with reading(path, "an annotation of AnnData"), open_root(Path(file), path, "anndata") as root:
        if modality is None and column not in root["obs"] and column.partition(":")[0] in root.get("mod", ()):
            modality, _, column = column.partition(":")  # as columns of MuData.obs are called
        if modality is not None:
            modality = choose_member(path, "modality", "modalities", modality, root.get("mod", ()))
        obs = root["obs" if modality is None else f"mod/{modality}/obs"]
        found = choose_member(path, "annotation", "annotations", column,
                              [key for key in obs if key != obs.attrs.get("_index")])
        values = io.read_elem(obs[found])
        return NamedRows(column_values(values, path), _index(obs), (column,), whole=stores_whole_numbers(values))


def _of_feature_type(rows, root, path, member, feature_type):
    """The columns of X of which `var["feature_types"]` says that they are of one type, such as GEX."""
    from anndata.io import read_elem

    if member not in (None, "X") or "feature_types" not in root.get("var", ()):
        raise ValueError(f"{path}: expected an AnnData file whose var['feature_types'] tells the columns of X apart, "
                         "got none")
    types = np.asarray(read_elem(root["var/feature_types"]), object).astype(str)
    columns = np.flatnonzero(types == feature_type)
    if not columns.size:
        raise ValueError(f"{path}: expected one of the feature types {listed(np.unique(types))}, got {feature_type}")
    whole = rows.values
    table = Table(path, (len(whole), len(columns)), whole.dtype,
                  lambda start, stop: whole.rows(start, stop)[:, columns], whole.step)
    return replace(rows, values=table)
