"""Tables in Zarr folders, and what can be noticed of their damage.

A chunk with a checksum, or one that does not unpack, is named when it is read. A chunk that is missing is another
matter: Zarr reads it as the fill value, and writers leave out chunks that hold nothing else. An array of real numbers
hardly has a whole chunk of them, so that a missing one is refused there; among whole numbers, such as sorted labels
that begin with class 0, it is usual, and a note says so. Of a shard only the whole can be found missing.
"""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np

from phasejax._core.input_files import reading
from phasejax.io._input_notes import announce
from phasejax.io._table import Table, table_of_rows


def zarr_arrays(file: Path, name: str) -> dict[str, Any]:
    """The arrays in a Zarr folder by their paths; one alone by the empty path.

    Args:
        file: the folder.
        name: what errors call it.

    Raises:
        ValueError: another format.
    """
    import zarr

    with reading(name, "a Zarr store"):
        found = zarr.open(file, mode="r")
        if not isinstance(found, zarr.Group):
            return {"": found}
        return {path: node for path, node in found.members(max_depth=None) if isinstance(node, zarr.Array)}


def zarr_table(array: Any, file: Path, name: str, flatten: bool) -> Table:
    """An array of a Zarr folder as a table, whose rows are read when they are asked for.

    Args:
        array: of the Zarr library.
        file: the folder.
        name: what errors call it.
        flatten: whether each image is one row.

    Raises:
        ValueError: chunks are missing; when rows are read, damaged chunks.
    """
    check_chunks(array, file, name)
    return table_of_rows(name, array.shape, array.dtype, lambda start, stop: _rows(array, start, stop, name),
                         _sides(array)[0], flatten=flatten)


def check_chunks(array: Any, file: Path, name: str) -> None:
    """Refuse an array of real numbers some of whose chunks are not stored; of others, say so in a note.

    Args:
        array: of the Zarr library.
        file: the folder that was opened.
        name: what the error calls it.

    Raises:
        ValueError: in one line, with the first chunk that is missing.
    """
    keys = [array.metadata.encode_chunk_key(place) for place in _places(array)]
    missing = [key for key in keys if not (file / array.path / key).is_file()]
    if not missing:
        return
    got = (f"{len(missing)} of {len(keys)} without a file ({'/'.join(filter(None, (array.path, missing[0])))}), which "
           f"Zarr reads as {array.fill_value}")
    if np.issubdtype(array.dtype, np.inexact):
        raise ValueError(f"{name}: expected all chunks, got {got}; if that is meant, save it with "
                         "write_empty_chunks=True")
    announce([f"{name}: chunks: {got}"])


def _sides(array: Any) -> tuple[int, ...]:
    """The shape of what is stored in one file."""
    return tuple(array.shards or array.chunks or (1,))


def _places(array: Any) -> Any:
    """The index of every file of an array in the grid of its files."""
    counts = [math.ceil(length / side) for length, side in zip(array.shape, _sides(array), strict=False)]
    return itertools.product(*map(range, counts))


def _rows(array: Any, start: int, stop: int, name: str) -> np.ndarray:
    """Rows of an array; where that fails, an error with the chunk that cannot be read."""
    try:
        return np.asarray(array[start:stop])
    except Exception:
        sides = _sides(array)
        for place in _places(array):
            if place[0] * sides[0] < stop and (place[0] + 1) * sides[0] > start:
                key = "/".join(filter(None, (array.path, array.metadata.encode_chunk_key(place))))
                with reading(name, f"sound chunks ({key} is damaged)"):
                    array[tuple(slice(i * side, (i + 1) * side) for i, side in zip(place, sides, strict=True))]
        raise
