"""Hostile files of formats that libraries read: Parquet, HDF5, AnnData, Zarr and safetensors."""

import io
import json
import math
import os
import struct
from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz.sound_files import ESCAPE, HOSTILE_NAMES, ROWS, views, write, write_anndata


def odd_parquet(rng: Random, folder: Path) -> str:
    """A Parquet file whose columns are no numbers, whose lists differ, or whose metadata are damaged."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    size = rng.choice((0, 1, ROWS))
    columns = {
        "text": pa.array(["a"] * size),
        "decimal": pa.array([None] * size, pa.decimal128(10, 2)),
        "null": pa.nulls(size),
        "struct": pa.array([{"a": 1}] * size, pa.struct([("a", pa.int64())])),
        "date": pa.array([0] * size, pa.timestamp("us")),
        "ragged": pa.array([[1.0] * (row % 3) for row in range(size)], pa.list_(pa.float64())),
        "lists": pa.array([[1.0, 2.0]] * size, pa.list_(pa.float64())),
        "nested": pa.array([[[1]]] * size, pa.list_(pa.list_(pa.int64()))),
        "missing": pa.array([None, *[[1.0]] * (size - 1)][:size], pa.list_(pa.float64())),
        "id": pa.array(range(size)),
        "binary": pa.array([b"\xff"] * size, pa.binary()),
        "big": pa.array([2**64 - 1] * size, pa.uint64()),
        "half": pa.array(np.zeros(size, np.float16)),
        "bool": pa.array([True] * size),
        "dict": pa.array(["a"] * size).dictionary_encode(),
        "number": pa.array(np.arange(size) / 7),
        "infinite": pa.array([math.inf] * size),
    }
    chosen = [rng.choice(tuple(columns)) for _ in range(rng.choice((1, 2, 3)))]
    names = [rng.choice((name, name, "id", *HOSTILE_NAMES)) for name in chosen]
    metadata = rng.choice(
        (
            None,
            None,
            {b"pandas": b"{"},
            {b"pandas": b"[]"},
            {b"pandas": b'{"index_columns": [5, null, "id", "none"]}'},
            {b"pandas": b'{"index_columns": 3}'},
            {b"pandas": b"\xff"},
            {b"pandas": b"[" * 2000},
        )
    )
    fields = [pa.field(name, columns[one].type) for name, one in zip(names, chosen, strict=True)]
    table = pa.Table.from_arrays([columns[one] for one in chosen], schema=pa.schema(fields, metadata=metadata))
    parquet.write_table(table, folder / "odd.parquet")
    return str(folder / "odd.parquet") + rng.choice(("", "", "", ":id", ":lists", ":text", ":none", ":" + ESCAPE))


def odd_hdf5(rng: Random, folder: Path) -> str:
    """An HDF5 file that claims terabytes, links to other files or in circles, or holds no numbers."""
    import h5py

    path = folder / rng.choice(("odd.h5", "odd.hdf5", "odd.h5ad", "odd.h5mu"))
    with h5py.File(path, "w") as file:
        match rng.randrange(11):
            case 0:
                file.create_dataset("x", (10**7, 10**6), chunks=(1, 10**6))
            case 1:
                file.create_dataset("x", (10**12, 4), chunks=(10**7, 4), compression="gzip")
            case 2:
                file["x"] = h5py.ExternalLink("/etc/passwd", "x")
            case 3:
                file["a/b"] = h5py.SoftLink("/a")
                file["a/c"] = file["a"]
            case 4:
                file["x"] = h5py.Empty("f8")
            case 5:
                file["x"] = np.zeros(60, [("a", "f8"), ("b", "i4")])
            case 6:
                file["x"] = 3.0
            case 7:
                file.create_dataset("x", (60, 4), external=[("/dev/zero", 0, 10**6)])
            case 8:
                for name in HOSTILE_NAMES:
                    if name and "\x00" not in name:
                        file[name] = views()[0]
            case 9:
                layout = h5py.VirtualLayout((60, 4), "f8")
                layout[:] = h5py.VirtualSource("none.h5", "x", (60, 4))
                file.create_virtual_dataset("x", layout)
            case _:
                file["x"] = np.array(["a", "b"], "S1") if rng.random() < 0.5 else np.zeros((60, 4), "c16")
    return str(path) + rng.choice(("", "", ":x", ":a/b/c", ":none", ":/", ":..", ":" + ESCAPE))


def odd_anndata(rng: Random, folder: Path) -> str:
    """AnnData whose sparse matrix points outside itself, or whose parts are missing or of another kind."""
    import h5py

    x, _, labels = views()
    ending = rng.choice((".h5ad", ".h5ad", ".h5ad", ".h5mu"))
    path = folder / f"odd{ending}"
    with h5py.File(path, "w") as file:
        group = file if ending == ".h5ad" else file.create_group("mod/rna")
        changed = {}
        matrix = write_anndata(h5py.File(io.BytesIO(), "w"), x, labels)
        for part in rng.sample(("data", "indices", "indptr", "shape", "encoding"), rng.choice((0, 1, 1, 2))):
            if part == "encoding":
                changed[part] = rng.choice(
                    ("csc_matrix", "array", "dataframe", "null", "nonsense", "categorical", "csr_matrix")
                )
            elif part == "shape":
                changed[part] = rng.choice(
                    (
                        np.array((10**9, 10**9)),
                        np.array((-60, 4)),
                        np.array(60),
                        np.array((60, 4, 1)),
                        np.array((60, 2)),
                        "text",
                        np.array((59, 4)),
                        np.array((61, 4)),
                        np.array((60.0, 4.0)),
                        np.array((0, 0)),
                    )
                )
            else:
                values = getattr(matrix, part).copy()
                match rng.randrange(9):
                    case 0:
                        values[rng.randrange(len(values))] = 10**9 if part != "data" else np.nan
                    case 1:
                        values[rng.randrange(len(values))] = -1
                    case 2:
                        values = values[::-1]
                    case 3:
                        values = values[:-3]
                    case 4:
                        values = values[:0]
                    case 5:
                        values = values.astype("S8")
                    case 6:
                        values = values[:, None]
                    case 7:
                        values = values.astype(float) + 0.5
                    case 8:
                        values = np.r_[values, values]
                changed[part] = values
        write_anndata(group, x, labels, **changed)
        match rng.randrange(12):
            case 0:
                del group["obs"]
            case 1:
                del group["obs/_index"]
            case 2:
                group["obs"].attrs["_index"] = rng.choice(("none", "kind", "../X", ESCAPE))
            case 3:
                del group["var"]
            case 4:
                del group["X"]
                group["X"] = np.zeros((60, 4), rng.choice(("f8", "S3", "c16")))
            case 5:
                del group["X/data"]
            case 6:
                del group["obs/_index"]
                index = group["obs"].create_dataset("_index", data=[ESCAPE + str(row) for row in range(ROWS)])
                index.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
            case 7:
                group["obsm/pca"] = np.zeros((60, 10**6), "f4")[:, :3]
            case 8 if ending == ".h5mu":
                file["obsmap/rna"] = np.full(rng.choice((60, 59)), rng.choice((0, 10**9)))
    member = rng.choice(
        (
            "",
            "",
            "",
            "",
            ":X",
            ":obs/kind",
            ":obs/_index",
            ":obs/",
            ":obsm/pca",
            ":layers/none",
            "[GEX]",
            ":rna",
            ":rna/X",
        )
    )
    return str(path) + member


def odd_zarr(rng: Random, folder: Path) -> str:
    """A Zarr folder whose metadata are damaged or claim terabytes, whose chunks are cut short, or that is a file."""
    path = folder / "odd.zarr"
    v3 = {
        "shape": [60, 4],
        "data_type": "float64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [16, 4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    v2 = {
        "shape": [60, 4],
        "dtype": "<f8",
        "chunks": [16, 4],
        "fill_value": 0.0,
        "order": "C",
        "filters": None,
        "compressor": None,
        "zarr_format": 2,
        "dimension_separator": ".",
    }
    old = rng.random() < 0.3
    metadata = dict(v2 if old else v3)
    wrong = (
        None,
        -1,
        0,
        "a",
        [],
        {},
        1e400,
        2**70,
        [10**7, 10**7],
        [-60, 4],
        ["a", 4],
        [60.5, 4],
        [60],
        [],
        "NaN",
        ["x"],
        [{"name": "nonsense"}],
        {"name": "regular", "configuration": {"chunk_shape": [0, 0]}},
        {"name": "regular", "configuration": {"chunk_shape": [10**9, 4]}},
        {"name": "nonsense"},
        "<U100000000",
        "|O",
        "complex128",
        "bool",
        "string",
        [{"name": "blosc", "configuration": {"cname": "no"}}],
        True,
    )
    for _ in range(rng.choice((0, 1, 1, 2))):
        key = rng.choice(tuple(metadata))
        if rng.random() < 0.2:
            del metadata[key]
        else:
            metadata[key] = rng.choice(wrong)
    where = path / rng.choice(("", "", "x", ESCAPE + "x"))
    where.mkdir(parents=True)
    text = json.dumps(metadata)
    text = rng.choice(
        (text,) * 7 + (text[: rng.randrange(len(text))], "[" * 5000, "null", "\x00", '{"zarr_format": 3}', "[]")
    )
    write(where / (".zarray" if old else "zarr.json"), text.encode())
    if where != path:
        group = rng.choice(
            (
                {"zarr_format": 3, "node_type": "group", "attributes": {}},
                {"zarr_format": 3, "node_type": "nonsense"},
                {"zarr_format": 3, "node_type": "group", "attributes": {"encoding-type": "anndata"}},
            )
        )
        write(path / "zarr.json", json.dumps(group).encode())
    for chunk in range(4):
        name = where / (f"{chunk}.0" if old else f"c/{chunk}/0")
        name.parent.mkdir(parents=True, exist_ok=True)
        write(name, bytes(rng.choice((16 * 4 * 8, 16 * 4 * 8, 16 * 4 * 8, 5, 0))))
    if rng.random() < 0.05:
        os.symlink("..", where / "loop")
    return str(path) + rng.choice(("", "", ":x", ":none", ":../..", ":" + ESCAPE, ":obs/a"))


def odd_safetensors(rng: Random, folder: Path) -> str:
    """A .safetensors file whose offsets, shape, type or header are wrong."""
    entry = {"dtype": "F64", "shape": [60, 4], "data_offsets": [0, 1920]}
    entry[rng.choice(tuple(entry))] = rng.choice(
        (
            None,
            "F4",
            "BF16",
            "F8_E4M3",
            "BOOL",
            [60, 4, 0],
            [2**63, 4],
            [10**12, 10**12],
            [-1, 4],
            [0, 10**15],
            [1920, 0],
            "I128",
            [60],
            "a",
            {},
            [0.5, 1],
            [60, 4],
            [0, 1920],
            "C64",
        )
    )
    text = json.dumps({rng.choice(("x", *HOSTILE_NAMES)): entry})
    text = rng.choice((text,) * 6 + ("[" * 100_000, "{", "", '{"__metadata__": 5}', "{}"))
    length = rng.choice((len(text.encode()),) * 6 + (2**60, 2**64 - 1, 0, 3))
    return write(
        folder / "odd.safetensors", struct.pack("<Q", length) + text.encode() + views()[0].tobytes()
    ) + rng.choice(("", "", ":x", ":" + ESCAPE))
