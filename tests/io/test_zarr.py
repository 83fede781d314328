"""Zarr folders: damaged chunks are named, missing ones refused where they would pass for numbers."""

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from phasejax.io import InputNote
from phasejax.io._readers import open_table

ROWS = np.random.default_rng(0).normal(size=(10, 6))


def saved(folder, values=ROWS, **options):
    group = zarr.open_group(folder / "x.zarr", mode="w", zarr_format=options.pop("zarr_format", 3))
    array = group.create_array("rows", shape=values.shape, dtype=values.dtype, **{"chunks": (4, 3), **options})
    array[:] = values
    return folder / "x.zarr"


def read(file):
    table = open_table(f"{file}:rows")
    return np.concatenate([table.read(start, min(start + 3, len(table))) for start in range(0, len(table), 3)])


@pytest.mark.parametrize("options", [
    {"compressors": [ZstdCodec(), Crc32cCodec()]}, {"compressors": None, "shards": (8, 6)}])
def test_a_changed_bit_is_named(tmp_path, options):
    """The index of a shard has a checksum by default; chunks have one where it was asked for."""
    file = saved(tmp_path, **options)
    np.testing.assert_array_equal(read(file), ROWS)
    chunk = file / "rows" / "c" / "1" / "0"
    content = bytearray(chunk.read_bytes())
    content[-7] ^= 4
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match=r"x.zarr:rows: expected sound chunks \(rows/c/1/0 is damaged\), got \S"):
        read(file)


@pytest.mark.parametrize(("options", "chunk"), [
    ({}, "c/1/0"), ({"fill_value": np.nan}, "c/1/0"), ({"shards": (8, 6)}, "c/1/0"), ({"zarr_format": 2}, "1.0")])
def test_a_missing_chunk_of_real_numbers_is_refused(tmp_path, options, chunk):
    file = saved(tmp_path, **options)
    (file / "rows" / chunk).unlink()
    message = (rf"x.zarr:rows: expected all chunks, got 1 of \d without a file \(rows/{chunk}\), which Zarr reads as "
               "(0.0|nan); if that is meant, save it with write_empty_chunks=True$")
    with pytest.raises(ValueError, match=message):
        read(file)


def test_chunks_of_zeros_that_were_meant_are_read(tmp_path):
    values = ROWS.copy()
    values[:4, :3] = 0
    with pytest.raises(ValueError, match=r"expected all chunks, got 1 of 6 without a file \(rows/c/0/0\)"):
        read(saved(tmp_path, values))
    np.testing.assert_array_equal(read(saved(tmp_path, values, config={"write_empty_chunks": True})), values)
    whole = np.repeat(np.arange(3), [4, 4, 2])[:, None] * np.ones(3, int)  # class 0 fills the first chunk
    with pytest.warns(InputNote, match=r"x.zarr:rows: chunks: 1 of 3 without a file \(rows/c/0/0\), which Zarr reads"):
        np.testing.assert_array_equal(read(saved(tmp_path, whole)), whole)
