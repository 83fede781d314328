"""Matrices in HDF5 files: datasets, and the matrices of AnnData (.h5ad) and MuData (.h5mu) files.

AnnData stored as a Zarr folder is read in the same way.

Rows are read block by block. A file is opened for each block and never left open, so that tables can be copied
between threads and processes and no file stays locked.

The matrices of AnnData and MuData files are read element by element with `anndata.io`, which knows their encodings,
and not through whole objects in backed mode (`read_h5ad(..., backed="r")`, `read_h5mu`): that mode leaves only X in
the file. Measured on 200,000 rows with layers and obsm of 260 MB, opening the file for 100 rows of X took 300 MB with
anndata 0.12 and 350 MB with mudata 0.3, where the element alone takes 4 MB; what does not fit in memory, a layer or
an obsm matrix, could not be read at all.
"""

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phasejax._core.input_files import check_memory, check_regular_file, reading
from phasejax.io._hdf5_check import check_hdf5
from phasejax.io._plain_values import column_values
from phasejax.io._table import NUMBERS, Table, choose_member, import_reader, table_of_rows
from phasejax.io._zarr import check_chunks

Rows = Callable[[int, int], np.ndarray]


def open_anndata(file: Path, member: str | None, name: str, flatten: bool = False) -> Table:
    """The matrix `member` of an AnnData file: "X", "layers/KEY" or "obsm/KEY"; X if there is one, else the only one.

    Raises:
        ValueError: the file is damaged, anndata is missing, or there is no such matrix.
    """
    import_reader("anndata.io", "anndata", name)
    with open_root(file, name, "anndata") as root:
        return _annotated_table(file, root, _matrix_path(root, "", member, name), name)


def open_mudata(file: Path, member: str | None, name: str, flatten: bool = False) -> Table:
    """A matrix of one modality of a MuData file: MODALITY, MODALITY/layers/KEY or MODALITY/obsm/KEY.

    Raises:
        ValueError: as `open_anndata`, or the modality lacks observations of the file or has them in another order.
    """
    modality, table = open_modality(file, member, name)
    with open_root(file, name, "anndata") as root:
        # 1-based rows of the modality for each observation of the file, 0 where it has none.
        in_order = np.arange(len(table)) + 1
        places = root[f"obsmap/{modality}"][:].ravel() if f"obsmap/{modality}" in root else in_order
        if not np.array_equal(places, in_order):
            raise ValueError(f"{name}: expected the observations of the whole file in their order, got "
                             f"{np.count_nonzero(places)} of {len(places)}, or another order; "
                             "keep those that all modalities share, in one order, and save it anew")
        return table


def open_modality(file: Path, member: str | None, name: str) -> tuple[str, Table]:
    """The name of one modality of a MuData file, and a matrix of its own observations.

    Raises:
        ValueError: as `open_anndata`.
    """
    import_reader("anndata.io", "anndata", name)
    with open_root(file, name, "anndata") as root:
        modality, _, inside = (member or "").partition("/")
        if "mod" not in root:
            raise ValueError(f"{name}: expected a MuData file, got none of its modalities")
        modality = choose_member(name, "modality", "modalities", modality or None, root["mod"])
        path = _matrix_path(root[f"mod/{modality}"], f"mod/{modality}/", inside or None, name)
        return modality, _annotated_table(file, root, path, name)


def is_annotated_zarr(folder: Path) -> bool:
    """Whether a Zarr folder holds AnnData or MuData."""
    return _written_by(folder) in ("anndata", "mudata")


def holds_modalities(file: Path) -> bool:
    """Whether a file or a Zarr folder holds MuData."""
    return file.suffix.lower() == ".h5mu" or (file.suffix.lower() == ".zarr" and _written_by(file) == "mudata")


def _written_by(folder):
    """What the root of a Zarr folder says that it holds."""
    import zarr

    try:
        root = zarr.open(folder, mode="r")
    except Exception:
        return ""  # damaged in one of many ways: the reader of Zarr says in which
    return str(root.attrs.get("encoding-type", "")).lower() if isinstance(root, zarr.Group) else ""


def open_root(file: Path, name: str, extra: str) -> Any:
    """The root of an HDF5 file or a Zarr folder, as a context.

    Raises:
        ValueError: the file is damaged, or what reads it is not installed.
    """
    if file.suffix.lower() == ".zarr":
        import zarr

        with reading(name, "a Zarr store"):
            return contextlib.nullcontext(zarr.open_group(file, mode="r"))
    h5py = import_reader("h5py", extra, name)
    check_regular_file(file, name)
    check_hdf5(file, name)
    with reading(name, "a complete HDF5 file"):
        return h5py.File(file, "r")


def _matrix_path(group, prefix, member, name):
    present = [f"{part}/{key}" for part in ("layers", "obsm") for key in group.get(part, ())]
    present += ["raw/X"] if "X" in group.get("raw", ()) else []
    if "X" in group and _encoding(group["X"]) != "null":
        present.insert(0, "X")
    return prefix + choose_member(name, "matrix", "matrices", member or ("X" if "X" in present else None), present)


def _encoding(node) -> str:
    return str(node.attrs.get("encoding-type", ""))


def dense_table(file: Path, node: Any, path: str, name: str, flatten: bool = False) -> Table:
    """A dataset as a table that is read in blocks, each from the file opened anew.

    Args:
        file: the file.
        node: the dataset.
        path: where in the file it is.
        name: what errors call it.
        flatten: whether each image is one row.

    Raises:
        ValueError: it is no table of numbers, or a part of it was never written.
    """
    shape = node.shape or ()
    _check_written(node, shape, name)
    step = node.chunks[0] if node.chunks else 1
    read = _reopening(file, path, lambda node, rows: node[rows])
    return table_of_rows(name, shape, node.dtype, read, step, flatten=flatten)


def _check_written(node, shape, name):
    """Refuse a dataset of HDF5 of which a part was never written: it would be read as zeros."""
    stored: Any = getattr(node, "id", None)
    if not hasattr(stored, "get_num_chunks") or node.is_virtual or node.external or not math.prod(shape):
        return
    if node.chunks is None:
        if not stored.get_storage_size():
            raise ValueError(f"{name}: expected rows that were written, got none of shape {shape}")
        return
    expected = math.prod(-(-size // part) for size, part in zip(shape, node.chunks, strict=True))
    if (found := stored.get_num_chunks()) < expected:
        raise ValueError(f"{name}: expected all of its {expected} chunks, got {found}: the others were never written")


def _annotated_table(file, root, path, name):
    from anndata.io import read_elem

    node = root[path]
    if file.suffix.lower() == ".zarr" and hasattr(node, "dtype"):
        check_chunks(node, file, name)
    if hasattr(node, "dtype"):
        return dense_table(file, node, path, name)
    match _encoding(node):
        case "csr_matrix":
            return Table(name, _shape(node, name), node["data"].dtype, _reopening(file, path, _rows_of_csr))
        case "csc_matrix":
            return Table(name, _shape(node, name), node["data"].dtype, _RowsOfCsc(file, path).read)
        case "dataframe":
            values = _numbers_of_frame(read_elem(node), name)
            return Table(name, values.shape, values.dtype, lambda start, stop: values[start:stop])
        case encoding:
            raise ValueError(f"{name}: expected a matrix, got {encoding or 'a group'} at {path}")


def _reopening(file: Path, path: str, rows_of: Callable[[Any, slice], np.ndarray]) -> Rows:
    """Rows of the element at `path`, from the file opened anew."""
    def read(start, stop):
        with open_root(file, str(file), "hdf5") as root:
            return rows_of(root[path], slice(start, stop))

    return read


def _shape(node, name):
    """The shape that a sparse matrix says it has, once its parts have been found to agree with it."""
    shape = tuple(int(size) for size in np.asarray(node.attrs["shape"]).ravel())
    lengths = [node[part].shape for part in ("data", "indices", "indptr")]
    pointers = 1 + shape[_encoding(node) == "csc_matrix"] if len(shape) == 2 else None
    if min(shape, default=0) < 0 or lengths[0] != lengths[1] or lengths[2] != (pointers,):
        raise ValueError(f"{name}: expected a sparse matrix, got one of shape {shape} with data, indices and indptr of "
                         f"shapes {', '.join(map(str, lengths))}")
    return shape


def _rows_of_csr(node, rows):
    return _lines(node, rows.start, rows.stop, int(node.attrs["shape"][1])).toarray()


def _lines(node, start, stop, width):
    """Rows of a matrix that is stored by row, or columns of one stored by column, with every index checked.

    Neither anndata nor SciPy checks them before it writes to where they point.
    """
    from scipy.sparse import csr_matrix

    pointers = node["indptr"][start : stop + 1].astype(np.int64)
    steps = np.diff(pointers)
    if pointers[0] < 0 or steps.min(initial=0) < 0 or pointers[-1] > node["data"].shape[0]:
        raise ValueError(f"expected ends of lines in order, from 0 to {len(node['data'])}, got {pointers.min()} to "
                         f"{pointers.max()} in indptr")
    within = slice(int(pointers[0]), int(pointers[-1]))
    indices, data = node["indices"][within], node["data"][within]
    if len(indices) and (indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= width):
        raise ValueError(f"expected indices from 0 to {width - 1}, got {indices.min()} to {indices.max()}")
    return csr_matrix((data, indices.astype(np.int64), pointers - pointers[0]), shape=(stop - start, width))


@dataclass(frozen=True, eq=False)
class _RowsOfCsc:
    """Rows of a matrix that is stored by column: every block needs all of it, so it is kept, sparse."""

    file: Path
    path: str

    @functools.cached_property
    def matrix(self):
        with open_root(self.file, str(self.file), "hdf5") as root:
            node = root[self.path]
            rows, columns = map(int, node.attrs["shape"])
            check_memory(str(self.file), 3 * sum(node[part].size * 8 for part in ("data", "indices")))
            return _lines(node, 0, columns, rows).T.tocsr()

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.matrix[start:stop].toarray()


def _numbers_of_frame(frame, name):
    for column, dtype in frame.dtypes.items():
        # Categories and text have dtypes of pandas' own, which have no NumPy kind or the kind "O".
        if getattr(dtype, "kind", "O") not in NUMBERS:
            raise ValueError(f"{name}: expected numbers in every column, got text or categories in column {column}")
    columns = [column_values(values, name) for _, values in frame.items()]  # NaN where nullable ones are masked
    return np.column_stack(columns) if columns else np.empty(frame.shape)
