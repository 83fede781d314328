"""Writes the chunks of a sweep into its Zarr store, from whichever process computed them.

A chunk is encoded in memory and gets its name in the store only when it is on the disk in full, so that no reader and
no other writer ever meets a part of it. What was written, and with which checksums, is returned as a record: the one
process that keeps the store's journal enters it there, and only then does the chunk count.
"""

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from phasejax.simulation._store import Region, Variable, with_own_dims

# Where a store keeps its identity, its journal and its lock: the folder of an array without elements. Readers of Zarr
# list the folders of groups, and warn of files that they do not know there, but not those of arrays.
RUN_FOLDER = Path("phasejax", "run")
IDENTITY = RUN_FOLDER / "identity.json"


@dataclass(frozen=True)
class ChunkRecord:
    """One chunk that was written.

    Args:
        key: of the chunk.
        files: path inside the store to the SHA-256 of the content, of every file that was written.
    """

    key: str
    files: dict[str, str]


@dataclass(frozen=True)
class ChunkWriter:
    """Writes chunks into one store; may be pickled and sent to other processes that see the same files.

    Args:
        path: folder of the store.
        identity: content of the file that tells this store from all others.
        variables: the arrays.
        chunks: the shape of a chunk of each array in the store, its own dimensions included.
    """

    path: Path
    identity: bytes
    variables: dict[str, Variable]
    chunks: dict[str, tuple[int, ...]]

    def __reduce__(self):
        return ChunkWriter, (self.path, self.identity, self.variables, self.chunks)

    def write(self, chunk_key: str, region: Region, values: Mapping[str, np.ndarray]) -> ChunkRecord:
        """Write the results of one chunk.

        Args:
            chunk_key: its name in the journal.
            region: where it lies along the dimensions of the grid.
            values: results by name; where their own dimensions are shorter than the array's, the rest is filled.

        Returns:
            What was written, for the journal.

        Raises:
            ValueError: there is another store at the path by now.
            OSError: the store cannot be written.
        """
        encoded: dict[str, bytes] = {}
        for name, part in values.items():
            encoded |= self._encoded(name, region, part)
        # Another run may have replaced the store while this chunk was computed.
        try:
            found = (self.path / IDENTITY).read_bytes()
        except OSError:
            found = b""
        if found != self.identity:
            raise ValueError(f"store: expected {self.path} as it was when this sweep began, got another or none")
        for file, content in encoded.items():
            write_durably(self.path / file, content)
        return ChunkRecord(chunk_key, {file: checksum(content) for file, content in encoded.items()})

    def _encoded(self, name: str, region: Region, part: np.ndarray) -> dict[str, bytes]:
        """The files of one array's chunk, as Zarr encodes them."""
        variable, chunks = self.variables[name], self.chunks[name]
        shape = tuple(cut.stop - cut.start for cut in region) + variable.shape[len(region):]
        for cut, side, length in zip(region, chunks, variable.shape, strict=False):
            if cut.start % side or (cut.stop % side and cut.stop != length):
                raise RuntimeError(f"{name}: expected whole chunks of {side}, got {cut.start} to {cut.stop}")
        whole = np.full(shape, variable.fill, variable.dtype)
        whole[tuple(slice(0, length) for length in part.shape)] = part
        contents, arrays = self._in_memory
        arrays[name][with_own_dims(region, variable.shape)] = whole
        files = [file for file in contents if not file.endswith("zarr.json")]
        return {file: contents.pop(file).to_bytes() for file in files}

    @cached_property
    def _in_memory(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of a store in memory and its arrays, which encode but keep nothing."""
        import zarr
        from zarr.storage import MemoryStore

        contents: dict[str, Any] = {}
        group = zarr.open_group(MemoryStore(contents), mode="w", zarr_format=3)
        return contents, {name: create_array(group, name, v, self.chunks[name]) for name, v in self.variables.items()}


def create_array(group: Any, name: str, variable: Variable, chunks: tuple[int, ...]) -> Any:
    """An array in a Zarr group, whose chunks carry checksums and are written even if they hold nothing but the fill."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    return group.create_array(name, shape=variable.shape, chunks=chunks, dtype=variable.dtype,
                              fill_value=variable.fill, dimension_names=variable.dims,
                              attributes=plain(variable.attrs), compressors=[ZstdCodec(), Crc32cCodec()],
                              config={"write_empty_chunks": True})


def plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without NumPy types, which JSON does not know."""
    return {name: np.asarray(value).tolist() if isinstance(value, np.ndarray | np.generic) else value
            for name, value in attrs.items()}


def checksum(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it has its name only when it is on the disk in full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with open(unfinished, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
