"""What a table is, and its readers for HDF5, AnnData and MuData.

AnnData and MuData are read by their documented layout inside HDF5: so their libraries, which would
read whole annotations first, are not needed. Files are opened for each block and never left open.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phasejax.io._table import NUMBERS, Table, chosen, first_line, library


def open_hdf5(file, member, name):
    """A dataset of an HDF5 file."""
    with _hdf5(file, name, "hdf5") as root:
        names = []
        root.visititems(lambda path, node: names.append(path) if hasattr(node, "dtype") else None)
        return _open_node(file, root, chosen(name, "dataset", "datasets", member, names), name)


def open_anndata(file, member, name):
    """A matrix of an AnnData file: X, or one of its layers or obsm."""
    with _hdf5(file, name, "anndata") as root:
        return _open_node(file, root, _matrix_path(root, "", member, name), name)


def open_mudata(file, member, name):
    """A matrix of one modality of a MuData file."""
    with _hdf5(file, name, "anndata") as root:
        modality, _, inside = (member or "").partition("/")
        if "mod" not in root:
            raise ValueError(f"{name}: expected a MuData file, got none of its modalities")
        modality = chosen(name, "modality", "modalities", modality or None, root["mod"])
        path = _matrix_path(root[f"mod/{modality}"], f"mod/{modality}/", inside or None, name)
        table = _open_node(file, root, path, name)
        # 1-based rows of the modality for each observation of the file, 0 where it has none.
        places = root[f"obsmap/{modality}"][:].ravel() if f"obsmap/{modality}" in root else np.arange(len(table)) + 1
        if not np.array_equal(places, np.arange(len(table)) + 1):
            raise ValueError(f"{name}: expected the observations of the whole file in their order, got "
                             f"{np.count_nonzero(places)} of {len(places)}, or another order; "
                             "keep those that all modalities share, in one order, and save it anew")
        return table


def _matrix_path(group, prefix, member, name):
    present = [f"{part}/{key}" for part in ("layers", "obsm") for key in group.get(part, ())]
    if "X" in group and _encoding(group["X"]) != "null":
        present.insert(0, "X")
    return prefix + chosen(name, "matrix", "matrices", member or ("X" if "X" in present else None), present)


def _hdf5(file, name, extra):
    h5py = library("h5py", extra, name)
    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise ValueError(f"{name}: expected a complete HDF5 file, got {first_line(error)}") from None


def _open_node(file, root, path, name):
    node = root[path]
    encoding = _encoding(node)
    if hasattr(node, "dtype"):
        step = node.chunks[0] if node.chunks else 1
        return Table(name, node.shape or (), node.dtype, _reopening(file, path, _dense_rows), step)
    if encoding in ("csr_matrix", "csc_matrix"):
        shape = tuple(int(size) for size in node.attrs["shape"])
        read = _reopening(file, path, _csr_rows) if encoding == "csr_matrix" else _CscRows(file, path, shape).read
        return Table(name, shape, node["data"].dtype, read)
    if encoding == "dataframe":
        columns = [str(column) for column in node.attrs["column-order"]]
        for column in columns:
            if getattr(node[column], "dtype", np.dtype(object)).kind not in NUMBERS:
                raise ValueError(f"{name}: expected numbers in every column, got text or categories in column {column}")
        dtype = np.result_type(float if not columns else node[columns[0]].dtype, *(node[c].dtype for c in columns))
        rows = len(node[columns[0]]) if columns else 0
        return Table(name, (rows, len(columns)), dtype, _reopening(file, path, _frame_rows))
    raise ValueError(f"{name}: expected a matrix, got {encoding or 'a group'} at {path}")


def _encoding(node):
    return str(node.attrs.get("encoding-type", ""))


def _reopening(file, path, rows):
    def read(start, stop):
        import h5py

        with h5py.File(file, "r") as root:
            return rows(root[path], start, stop)

    return read


def _dense_rows(node, start, stop):
    return node[start:stop]


def _csr_rows(node, start, stop):
    from scipy.sparse import csr_array

    ends = node["indptr"][start:stop + 1]
    stored = slice(int(ends[0]), int(ends[-1]))
    shape = (stop - start, int(node.attrs["shape"][1]))
    return csr_array((node["data"][stored], node["indices"][stored], ends - ends[0]), shape=shape).toarray()


def _frame_rows(node, start, stop):
    return np.column_stack([node[str(column)][start:stop] for column in node.attrs["column-order"]])


@dataclass(frozen=True, eq=False)
class _CscRows:
    """Rows of a matrix that is stored by column: every block needs all of it, so it is kept, sparse."""

    file: Path
    path: str
    shape: tuple[int, ...]

    @functools.cached_property
    def matrix(self):
        from scipy.sparse import csc_array

        return _reopening(self.file, self.path, lambda node, _, __: csc_array(
            (node["data"][:], node["indices"][:], node["indptr"][:]), shape=self.shape))(0, 0).tocsr()

    def read(self, start, stop):
        return self.matrix[start:stop].toarray()
