"""Opening tables: arrays in memory, and files of every format, which are read block by block.

The ending of a file's name chooses its format. Blocks let the moments of a table be taken that does not fit in
memory. The readers of NumPy, Zarr and Parquet files are here, those of HDF5 files in `_hdf5`.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from phasejax.io._arrays import load_array
from phasejax.io._hdf5 import open_anndata, open_hdf5, open_mudata
from phasejax.io._table import Table, choose_member, first_line, import_reader

# Endings that may be followed by :NAME, the array to take from inside the file.
_WITH_MEMBERS = (".npz", ".zarr", ".h5", ".hdf5", ".h5ad", ".h5mu")


def open_table(source: str | Path | ArrayLike | Table, name: str | None = None) -> Table:
    """A table whose rows are read when they are asked for, from an array or a file.

    Read block by block: FILE.npy; FILE.parquet; FOLDER.zarr or FOLDER.zarr:NAME; FILE.h5:NAME;
    FILE.h5ad for X, or FILE.h5ad:layers/KEY or FILE.h5ad:obsm/KEY; FILE.h5mu:MODALITY, or
    FILE.h5mu:MODALITY/layers/KEY or FILE.h5mu:MODALITY/obsm/KEY. Read whole: FILE.npz, FILE.npz:NAME,
    FILE.csv, and of AnnData data frames and sparse matrices stored by column. Sparse rows become dense, and nulls
    NaN. Reading Parquet takes a few megabytes per column, the size of its pages.

    Args:
        source: path of a file, or an array of shape (n, d), or a Table, which is returned as it is.
        name: what errors call an array.

    Returns:
        The table, of shape (n, d).

    Raises:
        ValueError: the file is missing, unreadable, incomplete, of another format, or holds no table of numbers;
            or the package that reads its format is not installed.

    >>> open_table(np.ones((3, 2))).rows(1, 3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    if isinstance(source, Table):
        return source
    if not isinstance(source, str | Path):
        array = np.asarray(source)
        return _from_array(array, name or "array")
    text, member = str(source), None
    endings = "|".join(re.escape(ending) for ending in _WITH_MEMBERS)
    if match := re.fullmatch(rf"(.*(?:{endings})):(.+)", text, re.IGNORECASE):
        text, member = match.groups()
    file = Path(text)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{text}: expected a file ending in {', '.join(_READERS)}, got {file.suffix or 'no ending'}")
    if not file.exists():
        raise ValueError(f"{text}: expected a readable file, got No such file or directory")
    return reader(file, member, str(source))


def open_view(path: str, rows: int | None = None) -> np.ndarray | Table:
    """One view of paired data as the command line gets it: an array of a .npz or .csv file, else a table.

    Args:
        path: as `open_table` takes it.
        rows: how many rows it should have, which tells whether a .csv file has a header; None where not known.

    Raises:
        ValueError: as `load_array` and `open_table`.
    """
    whole = ".npz" in path or path.lower().endswith(".csv")
    return load_array(path, rows=rows) if whole else open_table(path)


def _from_array(array, name):
    return Table(name, array.shape, array.dtype, lambda start, stop: array[start:stop])


def _open_whole(file, member, name):
    return _from_array(load_array(name), name)


def _open_npy(file, member, name):
    def mapped():
        # Mapped anew for each block: with one lasting map, all pages ever read would count as memory in use.
        return np.load(file, mmap_mode="r", allow_pickle=False)

    try:
        whole = mapped()
    except (OSError, EOFError, ValueError) as error:
        if "mmap length" in str(error):
            raise ValueError(f"{name}: expected a complete .npy file, got one cut short") from None
        whole = load_array(file)  # says what is wrong, or reads what cannot be mapped, an empty array
    return Table(name, whole.shape, whole.dtype, lambda start, stop: mapped()[start:stop])


def _open_zarr(file, member, name):
    import zarr

    try:
        found = zarr.open(file, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{name}: expected a Zarr store, got {first_line(error)}") from None
    if isinstance(found, zarr.Group):
        arrays = {path: node for path, node in found.members(max_depth=None) if isinstance(node, zarr.Array)}
        found = arrays[choose_member(name, "array", "arrays", member, arrays)]
    elif member is not None:
        raise ValueError(f"{name}: expected {file} alone, since it is a single array, got the name {member}")
    step = (found.shards or found.chunks or (1,))[0]
    return Table(name, found.shape, found.dtype, lambda start, stop: np.asarray(found[start:stop]), step)


# Parquet


def _open_parquet(file, member, name):
    import_reader("pyarrow", "parquet", name)
    parquet = import_reader("pyarrow.parquet", "parquet", name)
    try:
        opened = parquet.ParquetFile(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: expected a complete Parquet file, got {first_line(error)}") from None
    with opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        for index in (schema.pandas_metadata or {}).get("index_columns", []):
            if isinstance(index, str) and index in schema.names:
                raise ValueError(f"{name}: expected data, got a row index in column {index}; save the table without it")
        dtype = np.result_type(*(_numpy_type(name, column, place, metadata) for place, column in enumerate(schema)),
                               *(() if len(schema) else (float,)))
        starts = np.cumsum([0] + [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
    return Table(name, (metadata.num_rows, len(schema)), dtype, _ParquetRows(file, starts, len(schema), dtype).read)


def _numpy_type(name, column, place, metadata):
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        got = "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
        raise ValueError(f"{name}: expected numbers in every column, got {got} in column {column.name}")
    if pa.types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype())
    for group in range(metadata.num_row_groups):
        known = metadata.row_group(group).column(place).statistics
        if known is None or not known.has_null_count or known.null_count:
            return np.dtype(float)  # only floats can say that a value is missing
    return np.dtype(kind.to_pandas_dtype())


class _ParquetRows:
    """Rows of a Parquet file. A read goes on where the last one ended, or else skips rows inside a row group."""

    def __init__(self, file, starts, columns, dtype):
        self.file, self.starts, self.columns, self.dtype = file, starts, columns, dtype
        self._at, self._batches, self._batch = -1, iter(()), None

    def read(self, start, stop):
        import pyarrow as pa

        if start != self._at:
            self._seek(start)
        target = pa.from_numpy_dtype(self.dtype)
        block, filled = np.empty((stop - start, self.columns), self.dtype), 0
        while filled < stop - start:
            part = self._take(stop - start - filled)
            for place, column in enumerate(part.columns):
                column = column if column.type == target else column.cast(target, safe=False)
                block[filled:filled + part.num_rows, place] = column.to_numpy(zero_copy_only=False)
            filled += part.num_rows
        self._at = stop
        return block

    def _seek(self, start):
        import pyarrow.parquet as parquet

        group = int(np.searchsorted(self.starts, start, side="right")) - 1
        # Row groups can be larger than memory. Both options are needed to read them page by page.
        opened = parquet.ParquetFile(self.file, buffer_size=2**18, pre_buffer=False)
        self._at = -1  # no place to go on from until a read succeeds
        self._batches = opened.iter_batches(2**13, row_groups=range(group, len(self.starts) - 1))
        self._batch = None
        skip = start - int(self.starts[group])
        while skip:
            skip -= self._take(skip).num_rows

    def _take(self, most):
        while self._batch is None or self._batch.num_rows == 0:
            self._batch = next(self._batches, None)
            if self._batch is None:
                raise ValueError("fewer rows than its metadata promise")
        part, self._batch = self._batch.slice(0, most), self._batch.slice(most)
        return part


_READERS = {".npy": _open_npy, ".npz": _open_whole, ".csv": _open_whole, ".parquet": _open_parquet,
            ".pq": _open_parquet, ".zarr": _open_zarr, ".h5": open_hdf5, ".hdf5": open_hdf5,
            ".h5ad": open_anndata, ".h5mu": open_mudata}
