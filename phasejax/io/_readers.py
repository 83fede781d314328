"""Opening tables: arrays in memory, and files of every format, which are read block by block.

The ending of a file's name chooses its format. Blocks let the moments of a table be taken that does not fit in
memory. The reader of NumPy files is here, the others in `_text_table`, `_parquet`, `_hdf5` and `_zarr`.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_regular_file, reading
from phasejax.io._array_files import ARRAY_ENDINGS, read_array
from phasejax.io._arrays import as_bfloat16, load_array, stored_header
from phasejax.io._hdf5 import holds_modalities, is_annotated_zarr, open_anndata, open_mudata
from phasejax.io._parquet import read_parquet
from phasejax.io._table import Table, table_of_rows
from phasejax.io._tensors import TENSOR_ENDINGS, open_tensors
from phasejax.io._text_table import TEXT_ENDINGS, is_text_path

# Endings that may be followed by :NAME, the array to take from inside the file.
_WITH_MEMBERS = (".npz", *TEXT_ENDINGS, ".gz", ".parquet", ".pq", ".zarr", ".h5ad", ".h5mu", *ARRAY_ENDINGS,
                 *TENSOR_ENDINGS)


@checked
def open_table(source: str | Path | ArrayLike | Table, name: str | None = None, *, flatten: bool = False) -> Table:
    """A table whose rows are read when they are asked for, from an array or a file.

    Read block by block: FILE.npy; FILE.parquet or FILE.parquet:COLUMN; FOLDER.zarr or FOLDER.zarr:NAME; FILE.h5:NAME or
    FILE.nc:NAME (NetCDF-4); FILE.h5ad for X, or FILE.h5ad:layers/KEY, :obsm/KEY or :raw/X; FILE.h5mu:MODALITY, or
    FILE.h5mu:MODALITY/layers/KEY or FILE.h5mu:MODALITY/obsm/KEY; a FOLDER.zarr that holds AnnData as .h5ad does;
    FILE.safetensors or FILE.safetensors:NAME. Read whole: FILE.pt and FILE.pt:NAME (by PyTorch, tensors alone),
    FILE.npz, FILE.npz:NAME, FILE.csv and FILE.csv:COLUMN (also .tsv and .txt, and these as .gz), and of AnnData data
    frames and sparse matrices stored by column. Sparse rows become dense. Nulls are NaN, and so are numbers of HDF5,
    NetCDF and Zarr beneath a mask (NAME_mask beside NAME) or equal to `_FillValue` or `missing_value`; `scale_factor`
    and `add_offset` count. Identifiers of rows are left out. Reading Parquet takes a few megabytes per column, the size
    of its pages.

    Args:
        source: path of a file, or an array of shape (n, d), or a Table, which is returned as it is.
        name: what errors call an array.
        flatten: whether each image of an array (n, height, width) or (n, height, width, channels) becomes a row.

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
        return _from_array(array, name or "array", flatten)
    text, member = str(source), None
    endings = "|".join(re.escape(ending) for ending in _WITH_MEMBERS)
    if match := re.fullmatch(rf"(.*(?:{endings})):(.+)", text, re.IGNORECASE):
        text, member = match.groups()
    file = Path(text)
    reader = _open_whole if is_text_path(text) else _READERS.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{text}: expected a file ending in {', '.join(_READERS)}, got {file.suffix or 'no ending'}")
    check_regular_file(file, text, folder=file.suffix.lower() == ".zarr")
    with reading(str(source), f"a complete {file.suffix} file"):
        return reader(file, member, str(source), flatten)


def _from_array(array, name, flatten):
    return table_of_rows(name, array.shape, array.dtype, lambda start, stop: array[start:stop], flatten=flatten)


def _open_whole(file, member, name, flatten):
    array = load_array(name)
    of_text = file.suffix.lower() not in (".npy", ".npz")  # where a single column is a table, too
    return _from_array(array[:, None] if of_text and array.ndim == 1 else array, name, flatten)


def _open_parquet(file, member, name, flatten):
    return read_parquet(file, column=member, name=name).values


def _open_npy(file, member, name, flatten):
    def mapped():
        # Mapped anew for each block: with one lasting map, all pages ever read would count as memory in use.
        return np.load(file, mmap_mode="r", allow_pickle=False)

    with open(file, "rb") as stream:
        header = stored_header(stream, name, file.stat().st_size, whole=False)
    # Another format is named by the reader of arrays, which also reads an empty array, that cannot be mapped.
    if header is None or 0 in header[0] or header[1].hasobject:
        return _from_array(load_array(file), name, flatten)
    whole = mapped()
    dtype = as_bfloat16(whole[:1], name).dtype
    return table_of_rows(name, whole.shape, dtype, lambda start, stop: as_bfloat16(mapped()[start:stop], name),
                         flatten=flatten)


def _open_zarr(file, member, name, flatten):
    return (open_mudata(file, member, name) if holds_modalities(file) else
            open_anndata(file, member, name) if is_annotated_zarr(file) else
            _open_array(file, member, name, flatten))


def _open_array(file, member, name, flatten):
    found = read_array(file, member, name, flatten).values
    return found if isinstance(found, Table) else _from_array(found, name, flatten)


_READERS = {".npy": _open_npy, ".npz": _open_whole, **dict.fromkeys(TEXT_ENDINGS, _open_whole),
            ".parquet": _open_parquet, ".pq": _open_parquet, ".zarr": _open_zarr,
            **dict.fromkeys(ARRAY_ENDINGS, _open_array), ".h5ad": open_anndata, ".h5mu": open_mudata,
            **dict.fromkeys(TENSOR_ENDINGS, open_tensors)}
