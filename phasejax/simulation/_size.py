"""What a sweep would take, refused before anything is computed or made: memory, room on the disk, numbers of chunks."""

import os
import shutil
from pathlib import Path

from phasejax._core.input_files import check_memory

# Chunks are listed, and a store has a line for each.
_MOST_CHUNKS = 10**6
# Codes of four regimes compress to a quarter and less.
_SHARE_OF_CODES = 1 / 4


def check_room(numbers: int, codes: int, store: str | Path | None) -> None:
    """Refuse results that fit neither into memory nor, in a store that is to be made, on its disk.

    Args:
        numbers: bytes of floating-point results, which hardly compress.
        codes: bytes of whole numbers and of what is not known yet.
        store: folder of the store; None where the results are kept in memory.

    Raises:
        ValueError: in one line.

    >>> check_room(10**15, 0, None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: axes: expected what fits into memory (... GB available), got 1e+06 GB
    """
    if store is None:
        check_memory("axes", numbers + codes)
        return
    if os.path.lexists(store):
        return  # had room for all its results when it was made
    folder = next((one for one in Path(os.path.abspath(store)).parents if one.is_dir()), None)
    if folder is None:
        return
    needed, free = int(numbers + codes * _SHARE_OF_CODES), shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(f"store: expected results that fit on its disk ({free / 1e9:.3g} GB free), got "
                         f"{needed / 1e9:.3g} GB of them (fewer cells, seeds or quantities)")


def check_chunks(count: int, cells: int) -> None:
    """Refuse a grid that would be computed in more chunks than can be kept in mind.

    Args:
        count: of chunks.
        cells: of the grid, with its seeds.

    Raises:
        ValueError: in one line.
    """
    if count > _MOST_CHUNKS:
        raise ValueError(f"memory: expected chunks of which at most {_MOST_CHUNKS:,} make the grid of {cells:,} cells, "
                         f"got a size that makes {count:,} (more memory, or fewer cells)")
