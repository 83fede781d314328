"""Matrices in HDF5 files: datasets of plain files (.h5) and the matrices of AnnData (.h5ad) and MuData (.h5mu) files.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phasejax.io._table import NUMBERS, Table, choose_member, first_line, import_reader, table_of_rows

Rows = Callable[[int, int], np.ndarray]


def open_hdf5(file: Path, member: str | None, name: str, flatten: bool = False) -> Table:
    """The dataset `member` of an HDF5 file, or its only one.

    Raises:
        ValueError: the file is damaged, h5py is missing, or there is no such dataset.
    """
    with open_root(file, name, "hdf5") as root:
        datasets = []
        root.visititems(lambda path, node: datasets.append(path) if hasattr(node, "dtype") else None)
        path = choose_member(name, "dataset", "datasets", member, datasets)
        return _dense_table(file, root, path, name, flatten)


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
    import_reader("anndata.io", "anndata", name)
    with open_root(file, name, "anndata") as root:
        modality, _, inside = (member or "").partition("/")
        if "mod" not in root:
            raise ValueError(f"{name}: expected a MuData file, got none of its modalities")
        modality = choose_member(name, "modality", "modalities", modality or None, root["mod"])
        path = _matrix_path(root[f"mod/{modality}"], f"mod/{modality}/", inside or None, name)
        table = _annotated_table(file, root, path, name)
        # 1-based rows of the modality for each observation of the file, 0 where it has none.
        in_order = np.arange(len(table)) + 1
        places = root[f"obsmap/{modality}"][:].ravel() if f"obsmap/{modality}" in root else in_order
        if not np.array_equal(places, in_order):
            raise ValueError(f"{name}: expected the observations of the whole file in their order, got "
                             f"{np.count_nonzero(places)} of {len(places)}, or another order; "
                             "keep those that all modalities share, in one order, and save it anew")
        return table


def is_annotated_zarr(folder: Path) -> bool:
    """Whether a Zarr folder holds AnnData."""
    import zarr

    try:
        root = zarr.open(folder, mode="r")
    except (OSError, ValueError, KeyError):
        return False  # the reader of Zarr says what is wrong
    return isinstance(root, zarr.Group) and root.attrs.get("encoding-type") == "anndata"


def open_root(file: Path, name: str, extra: str) -> Any:
    """The root of an HDF5 file or a Zarr folder, as a context.

    Raises:
        ValueError: the file is damaged, or what reads it is not installed.
    """
    if file.suffix.lower() == ".zarr":
        import zarr

        return contextlib.nullcontext(zarr.open_group(file, mode="r"))
    h5py = import_reader("h5py", extra, name)
    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise ValueError(f"{name}: expected a complete HDF5 file, got {first_line(error)}") from None


def _matrix_path(group, prefix, member, name):
    present = [f"{part}/{key}" for part in ("layers", "obsm") for key in group.get(part, ())]
    if "X" in group and _encoding(group["X"]) != "null":
        present.insert(0, "X")
    return prefix + choose_member(name, "matrix", "matrices", member or ("X" if "X" in present else None), present)


def _encoding(node) -> str:
    return str(node.attrs.get("encoding-type", ""))


def _dense_table(file, root, path, name, flatten=False):
    node = root[path]
    step = node.chunks[0] if node.chunks else 1
    read = _reopening(file, path, lambda node, rows: node[rows])
    return table_of_rows(name, node.shape or (), node.dtype, read, step, flatten=flatten)


def _annotated_table(file, root, path, name):
    from anndata.io import read_elem, sparse_dataset

    node = root[path]
    if hasattr(node, "dtype"):
        return _dense_table(file, root, path, name)
    match _encoding(node):
        case "csr_matrix":
            stored = sparse_dataset(node)
            return Table(name, stored.shape, stored.dtype, _reopening(file, path, _rows_of_csr))
        case "csc_matrix":
            stored = sparse_dataset(node)
            return Table(name, stored.shape, stored.dtype, _RowsOfCsc(file, path).read)
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


def _rows_of_csr(node, rows):
    from anndata.io import sparse_dataset

    block: Any = sparse_dataset(node)[rows]  # a sparse matrix; the annotation of anndata adds single numbers
    return block.toarray()


@dataclass(frozen=True, eq=False)
class _RowsOfCsc:
    """Rows of a matrix that is stored by column: every block needs all of it, so it is kept, sparse."""

    file: Path
    path: str

    @functools.cached_property
    def matrix(self):
        from anndata.io import sparse_dataset

        with open_root(self.file, str(self.file), "hdf5") as root:
            stored: Any = sparse_dataset(root[self.path])
            return stored.to_memory().tocsr()

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.matrix[start:stop].toarray()


def _numbers_of_frame(frame, name):
    for column, dtype in frame.dtypes.items():
        # Categories and text have dtypes of pandas' own, which have no NumPy kind or the kind "O".
        if getattr(dtype, "kind", "O") not in NUMBERS or not isinstance(dtype, np.dtype):
            raise ValueError(f"{name}: expected numbers in every column, got text or categories in column {column}")
    columns = [values.to_numpy() for _, values in frame.items()]
    return np.column_stack(columns) if columns else np.empty(frame.shape)
