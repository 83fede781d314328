"""What a table is, and its readers for HDF5, AnnData and MuData.

AnnData and MuData are read by their documented layout inside HDF5: so their libraries, which would
read whole annotations first, are not needed. Files are opened for each block and never left open.
"""

import functools
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_NUMBERS = "fiub"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers that are read when they are asked for.

    Make one with `open_table`, or directly for rows that a function can compute.

    Args:
        name: what errors call it.
        shape: rows and columns, each at least 1.
        dtype: of the rows, real numbers or booleans.
        read: rows from `start` up to `stop`, excluded, shape (stop - start, columns).
        step: rows that the file stores together, so that blocks of multiples of it are read fastest.

    Raises:
        ValueError: not two dimensions, no rows, no columns, or no real numbers.

    >>> doubled = Table("doubled", (4, 2), np.dtype(float), lambda start, stop: 2 * np.ones((stop - start, 2)))
    >>> [block.shape for block in doubled.blocks(3)]
    [(3, 2), (1, 2)]
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray] = field(repr=False)
    step: int = 1

    def __post_init__(self):
        if len(self.shape) != 2:
            raise ValueError(f"{self.name}: expected two dimensions (rows, columns), got shape {self.shape}")
        for size, noun in zip(self.shape, ("row", "column"), strict=True):
            if size < 1:
                raise ValueError(f"{self.name}: expected at least 1 {noun}, got shape {self.shape}")
        if self.dtype.kind not in _NUMBERS:
            raise ValueError(f"{self.name}: expected numbers, got dtype {self.dtype}")

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows from `start` up to `stop`, excluded, shape (stop - start, columns), in the table's own dtype.

        Raises:
            ValueError: rows that are not there, or that cannot be read.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"rows: expected 0 <= start <= stop <= {len(self)} in {self.name}, got {start} and {stop}")
        try:
            block = self.read(start, stop)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ValueError(f"{self.name}: expected readable rows {start} to {stop}, "
                             f"got {first_line(error)}") from None
        if block.shape != (stop - start, self.shape[1]):
            raise ValueError(f"{self.name}: expected {(stop - start, self.shape[1])} from row {start}, "
                             f"got {block.shape} (was it changed while being read?)")
        return block

    def blocks(self, rows_at_once: int) -> Iterator[np.ndarray]:
        """All rows in order, at most `rows_at_once` at a time.

        Raises:
            ValueError: fewer than 1 row at once, or what `rows` raises.
        """
        if rows_at_once < 1:
            raise ValueError(f"rows_at_once: expected at least 1, got {rows_at_once}")
        for start in range(0, len(self), rows_at_once):
            yield self.rows(start, min(start + rows_at_once, len(self)))


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
            if getattr(node[column], "dtype", np.dtype(object)).kind not in _NUMBERS:
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


def chosen(name, noun, nouns, member, present):
    """The member asked for, or the only one there is."""
    present = list(present)
    if member is None and len(present) == 1:
        return present[0]
    if member is not None and member.strip("/") in present:
        return member.strip("/")
    shown = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
    wanted = f"the name of one {noun} after a colon" if member is None else f"one of its {nouns}"
    raise ValueError(f"{name}: expected {wanted} ({shown or 'it has none'}), got {member or 'none'}")


def library(module, extra, name):
    """A module that reads a format; errors say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ValueError(f"{name}: expected {package} to read it with, got {first_line(error)}: "
                         f"pip install phasejax[{extra}]") from None


def first_line(error):
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
