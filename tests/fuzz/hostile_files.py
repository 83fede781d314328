"""Files that are damaged, that lie about their size, or that are no files at all: one function for each kind.

Every function takes a source of random choices and an empty folder, and returns what a command would be given: a path,
perhaps with the name of a member behind a colon.
"""

import functools
import gzip
import io
import json
import math
import os
import pickle
import socket
import struct
import zipfile
import zlib
from pathlib import Path
from random import Random

import numpy as np

ROWS = 60
ESCAPE = "\x1b[31m\x1b]0;owned\x07"
HOSTILE_NAMES = (
    ESCAPE + "red",
    "<script>alert(1)</script>",
    "a\nb",
    "\u202egnp",
    "",
    " ",
    "\N{MATHEMATICAL DOUBLE-STRUCK CAPITAL X}",
    "n" * 5000,
    "{{ 7 * 7 }}",
    "=1+1",
    "\t",
    "\r",
    "\x85",
    "[bold]x[/bold]",
    "\u2028",
)


@functools.cache
def views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two views of 60 rows that share two directions, and two classes."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((ROWS, 2))
    x, y = (np.c_[signal + 0.5 * rng.standard_normal((ROWS, 2)), rng.standard_normal((ROWS, 2))] for _ in "xy")
    return x, y, (signal[:, 0] > 0).astype(int)


# What sound files hold, as bytes


@functools.cache
def sound(ending: str) -> bytes:
    """A sound file of each format that is a single file."""
    x, _, labels = views()
    stream = io.BytesIO()
    match ending:
        case ".npy":
            np.save(stream, x)
        case ".npz":
            np.savez(stream, x=x)
        case ".csv" | ".tsv" | ".txt" | ".csv.gz":
            separator = "," if ".csv" in ending else "\t"
            rows = [separator.join(("id", "a", "b", "c", "d"))]
            rows += [separator.join([f"s{row}", *(f"{value:.6g}" for value in values)]) for row, values in enumerate(x)]
            data = ("\n".join(rows) + "\n").encode()
            return gzip.compress(data, mtime=0) if ending.endswith(".gz") else data
        case ".parquet":
            import pandas as pd

            pd.DataFrame(x, columns=list("abcd")).assign(id=np.arange(ROWS) + 100).to_parquet(stream)
        case ".h5":
            import h5py

            with h5py.File(stream, "w") as file:
                file.create_dataset("x", data=x, chunks=(16, 4), compression="gzip")
        case ".h5ad" | ".h5mu":
            import h5py

            with h5py.File(stream, "w") as file:
                write_anndata(file if ending == ".h5ad" else file.create_group("mod/rna"), x, labels)
        case ".safetensors":
            from safetensors.numpy import save

            return save({"x": x})
        case _:
            raise AssertionError(ending)
    return stream.getvalue()


def write_anndata(group, x, labels, **changed):
    """AnnData as anndata 0.12 writes it: X sparse by row, two annotations, names of rows and columns."""
    import scipy.sparse

    matrix = scipy.sparse.csr_matrix(np.where(np.abs(x) > 0.5, x, 0))
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    stored = group.create_group("X")
    stored.attrs.update(
        {
            "encoding-type": changed.get("encoding", "csr_matrix"),
            "encoding-version": "0.1.0",
            "shape": changed.get("shape", np.array(matrix.shape)),
        }
    )
    for part in ("data", "indices", "indptr"):
        stored.create_dataset(part, data=changed.get(part, getattr(matrix, part)))
    for name, size in (("obs", len(x)), ("var", x.shape[1])):
        frame = group.create_group(name)
        frame.attrs.update(
            {
                "encoding-type": "dataframe",
                "encoding-version": "0.2.0",
                "_index": "_index",
                "column-order": np.array(["kind"] if name == "obs" else [], "S"),
            }
        )
        index = frame.create_dataset("_index", data=[f"{name}{place}" for place in range(size)])
        index.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
        if name == "obs":
            kind = frame.create_dataset("kind", data=labels)
            kind.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return matrix


# Damage that any format can suffer


def damaged(rng: Random, folder: Path) -> str:
    """A sound file with bytes flipped, cut short, doubled, overwritten, or under the name of another format."""
    endings = (".npy", ".npz", ".csv", ".tsv", ".csv.gz", ".parquet", ".h5", ".h5ad", ".h5mu", ".safetensors")
    ending = rng.choice(endings)
    data = bytearray(sound(ending))
    match rng.randrange(8):
        case 0:
            for _ in range(rng.choice((1, 2, 8, 64))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:  # where headers are
            for _ in range(rng.choice((1, 2, 4))):
                data[rng.randrange(min(len(data), 200))] = rng.randrange(256)
        case 2:
            del data[rng.randrange(len(data)) :]
        case 3:
            start = rng.randrange(len(data))
            data[start : start + 64] = bytes(64)
        case 4:
            start = rng.randrange(len(data))
            data[start:start] = rng.randbytes(rng.choice((1, 7, 300)))
        case 5:
            data += data[rng.randrange(len(data)) :]
        case 6:  # where footers are
            for _ in range(rng.choice((1, 2, 4))):
                data[-1 - rng.randrange(min(len(data), 100))] = rng.randrange(256)
        case 7:
            ending = rng.choice((*endings, ".pt", ".pq", ".hdf5", ".txt", ".dat", ".tab", ".npy.gz", ".json"))
    return _write(folder / f"damaged{ending}", bytes(data))


def nonsense(rng: Random, folder: Path) -> str:
    """A few random bytes, or none, behind the magic number of some format or none."""
    magic = rng.choice(
        (
            b"",
            b"\x93NUMPY\x01\x00",
            b"\x93NUMPY\x03\x00\xff\xff\xff\xff",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"\x1f\x8b",
            b"PAR1",
            b"\x89HDF\r\n\x1a\n",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\x80\x04",
        )
    )
    ending = rng.choice((".npy", ".npz", ".csv", ".csv.gz", ".parquet", ".h5", ".h5ad", ".h5mu", ".safetensors", ".pt"))
    return _write(folder / f"nonsense{ending}", magic + rng.randbytes(rng.choice((0, 1, 10, 200, 5000))))


# NumPy


def npy_with_a_lying_header(rng: Random, folder: Path) -> str:
    """A .npy file whose header claims terabytes, is no dictionary, or names a type that is no number."""
    shape = rng.choice(
        (
            "(1000000, 1000000)",
            "(1099511627776,)",
            "(-1, 4)",
            "(60, -4)",
            "(4,)",
            "()",
            "'a'",
            "(60.0, 4)",
            "(0, 4)",
            "(60, 0)",
            "(9223372036854775807, 2)",
            "(" + "1, " * 70 + ")",
            "(60, 4)",
            "(True, 4)",
            "(1" + "0" * 5000 + ", 4)",
            "None",
            "(60, 4, 1000000000000)",
        )
    )
    kind = rng.choice(
        (
            "'<f8'",
            "'|O'",
            "'<U100000000'",
            "'<M8[s]'",
            "'<c16'",
            "'|V3'",
            "'|V2'",
            "'<f2'",
            "'|S0'",
            "'>f8'",
            "'<f16'",
            "[('a', '<f8')]",
            "[('a', '<f8', (1000000000,))]",
            "'?'",
            "12",
            "'nonsense'",
            "'<m8'",
            "'|V0'",
        )
    )
    header = (
        rng.choice(
            (
                f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}",
                f"{{'descr': {kind}, 'fortran_order': True, 'shape': {shape}, }}",
                f"{{'descr': {kind}, 'shape': {shape}, }}",
                "(" * 3000,
                "{" * 90,
                "'\\x00'",
                "",
                "1",
                "[-" + "-" * 3000 + "1]",
                "{'descr': '<f8', 'fortran_order': None, 'shape': (60, 4), 'more': 1}",
            )
        )
        + "\n"
    )
    version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    length = struct.pack(
        "<H" if version == b"\x01\x00" else "<I", len(header) + rng.choice((0, 0, 0, 0, 5, -1)) & 0xFFFF
    )
    data = b"\x93NUMPY" + version + length + header.encode() + views()[0].tobytes()
    if rng.random() < 0.3:
        return _zip(folder / "lying.npz", {"x.npy": data})
    return _write(folder / "lying.npy", data)


def zip_bomb(rng: Random, folder: Path) -> str:
    """A few kilobytes that grow to gigabytes: .npz, .npz of a sparse matrix, or text compressed by gzip."""
    gigabytes = rng.choice((1, 40))
    if rng.random() < 0.4:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        line = rng.choice((b"0,0,0,0\n", b"0", b"\n")) * 2**20
        part = packer.compress(line) + packer.flush(zlib.Z_FULL_FLUSH)
        more = packer.compress(line) + packer.flush(zlib.Z_FULL_FLUSH)
        return _write(folder / "bomb.csv.gz", part + more * (gigabytes * 2**30 // len(line)))
    numbers = gigabytes * 2**27
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (numbers // 4, 4)})
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(head.getvalue()) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**22)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = start + block * (numbers * 8 // 2**22) + packer.flush(zlib.Z_FINISH)
    size = len(head.getvalue()) + numbers * 8
    local = (
        struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 33, 0, len(packed), min(size, 2**32 - 1), 5, 0) + b"x.npy"
    )
    extra = struct.pack("<HHQ", 1, 8, size) if size >= 2**32 - 1 else b""
    central = (
        struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            45,
            45,
            0,
            8,
            0,
            33,
            0,
            len(packed),
            min(size, 2**32 - 1),
            5,
            len(extra),
            0,
            0,
            0,
            0,
            0,
        )
        + b"x.npy"
        + extra
    )
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return _write(folder / "bomb.npz", local + packed + central + end)


def odd_archive(rng: Random, folder: Path) -> str:
    """A .npz with members that are no arrays, have hostile names, or are a sparse matrix with wrong indices."""
    x = views()[0]
    array = io.BytesIO()
    np.save(array, x)
    match rng.randrange(5):
        case 0:
            path = _zip(
                folder / "odd.npz", {rng.choice(HOSTILE_NAMES) + ".npy": array.getvalue(), "y.npy": array.getvalue()}
            )
            return path + rng.choice(("", ":y", ":none", ":" + ESCAPE))
        case 1:
            return _zip(folder / "odd.npz", {rng.choice(("../../x.npy", "x", "x.txt", "/etc/passwd")): b"no array"})
        case 2:
            return _zip(folder / "odd.npz", {})
        case 3:
            return _zip(folder / "odd.npz", {"x.npy": pickle.dumps(_Payload(folder))})
        case _:
            parts = {
                "format": np.array(rng.choice(("csr", "csc", "bsr", "dia", "nonsense", "coo"))),
                "shape": np.array((ROWS, 4)),
                "data": np.ones(ROWS),
                "indices": np.zeros(ROWS, int),
                "indptr": np.arange(ROWS + 1),
                "row": np.arange(ROWS),
                "col": np.zeros(ROWS, int),
                "offsets": np.zeros(1, int),
            }
            parts[rng.choice(tuple(parts))] = rng.choice(
                (
                    np.full(ROWS, 10**9),
                    np.full(ROWS, -5),
                    np.arange(ROWS + 1)[::-1],
                    np.zeros(3, int),
                    np.zeros((2, 2)),
                    np.array("a"),
                    np.array((10**9, 10**9)),
                    np.array((-1, 4)),
                    np.array(0.5),
                    np.array([]),
                    np.r_[0, np.full(ROWS, 10**6)],
                )
            )
            np.savez(folder / "sparse.npz", **parts)
            return str(folder / "sparse.npz")


def unpickled(rng: Random, folder: Path) -> str:
    """A file whose pickle would write a file called `owned` if anything loaded it."""
    payload = pickle.dumps(_Payload(folder))
    match rng.randrange(4):
        case 0:
            np.save(folder / "objects.npy", np.array([_Payload(folder)], object), allow_pickle=True)
            return str(folder / "objects.npy")
        case 1:
            return _write(folder / "payload.npy", payload)
        case 2:
            return _write(folder / rng.choice(("payload.pt", "payload.pth")), payload)
        case _:
            return _zip(folder / "payload.pt", {"archive/data.pkl": payload, "archive/version": b"3\n"})


class _Payload:
    """Something whose unpickling writes a file."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "owned"),)


# Text


def odd_text(rng: Random, folder: Path) -> str:
    """A text table with fields, lines, names or bytes of which people do not think."""
    x = views()[0]
    names = [rng.choice(HOSTILE_NAMES) for _ in range(4)] if rng.random() < 0.3 else list("abcd")
    body = [[f"{value:.6g}" for value in row] for row in x]
    odd = rng.choice(
        (
            "9" * 200_000,
            "9" * 4400,
            "1e400",
            "-1e400",
            "inf",
            "nan",
            ESCAPE,
            "²",
            "٣",
            "0x1F",
            "1_000",
            "1,5",
            "",
            " ",
            "\x00",
            "\x0b",
            "\x1c",
            "\u2028",
            "\ufeff",
            "=cmd|' /C calc'!A0",
            '"',
            '"open',
            "x" * 131_073,
            "True",
            "1e-400",
            "1d5",
            "#",
            "--",
            "None",
            "12:30",
            "1e308",
            "4.9e-324",
            "\U0001f600",
            "1.7976931348623157e309",
            "'" * 3,
        )
    )
    for _ in range(rng.choice((0, 1, 3))):
        body[rng.randrange(ROWS)][rng.randrange(4)] = odd
    separator = rng.choice((",", ",", ",", ";", "\t", " ", "|", "\x1f"))
    ends = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n", "\x85", "\n\r"))
    text = ends.join(separator.join(row) for row in ([names, *body] if rng.random() < 0.7 else body)) + ends
    text = (
        rng.choice(
            ("", "", "", "sep=;\n", "sep=|\n", "sep=", "# " + ESCAPE + "\n", "\n" * 500, "#\n" * 500, "\ufeff", '"\n')
        )
        + text
    )
    encoding = rng.choice(
        ("utf-8", "utf-8", "utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "utf-8-sig")
    )
    data = text.encode(encoding, "replace")
    if rng.random() < 0.15:  # mixed encodings, lone surrogates, zero bytes
        data += rng.choice(
            (b"\xed\xa0\x80,1,2,3\n", b"\xff\xfe1\x00", "é,1,2,3\n".encode("latin-1"), b"\0" * 50, b"\xd8\x00", b"\x1a")
        )
    if rng.random() < 0.1:
        data = b"\xff\xfe" + b"\x00\xd8,\x001\x00\n\x00" * 5
    ending = rng.choice((".csv", ".csv", ".tsv", ".txt", ".dat", ".tab"))
    member = rng.choice(
        ("", "", "", ":a", ":0", ":²", ":-1", ":" + ESCAPE, ":99999999999999999999", ":a:b", ":" + "z" * 3000)
    )
    if rng.random() < 0.1:
        return (
            _write(folder / f"odd{ending}.gz", gzip.compress(data, mtime=0)[: rng.choice((None, None, -1, 20))])
            + member
        )
    return _write(folder / f"odd{ending}", data) + member


def wide_or_long_text(rng: Random, folder: Path) -> str:
    """A table of very many columns, of names of a million letters, or of very many short lines."""
    match rng.randrange(4):
        case 0:
            columns = rng.choice((1000, 20_000))
            rows = [",".join(f"c{place}" for place in range(columns)), *[",".join(["0.5"] * columns)] * 3]
        case 1:
            rows = ["a" * 10**6 + ",b", *[f"{row}.5,1" for row in range(ROWS)]]
        case 2:
            rows = ["label", *(f"class {row % rng.choice((7, 1500))}" for row in range(3000))]
        case _:
            rows = ["," * rng.choice((10, 20_000))] * rng.choice((2, 50))
    return _write(folder / "wide.csv", ("\n".join(rows) + "\n").encode())


# Parquet


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


# HDF5 and AnnData


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


# Zarr


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
    _write(where / (".zarray" if old else "zarr.json"), text.encode())
    if where != path:
        group = rng.choice(
            (
                {"zarr_format": 3, "node_type": "group", "attributes": {}},
                {"zarr_format": 3, "node_type": "nonsense"},
                {"zarr_format": 3, "node_type": "group", "attributes": {"encoding-type": "anndata"}},
            )
        )
        _write(path / "zarr.json", json.dumps(group).encode())
    for chunk in range(4):
        name = where / (f"{chunk}.0" if old else f"c/{chunk}/0")
        name.parent.mkdir(parents=True, exist_ok=True)
        _write(name, bytes(rng.choice((16 * 4 * 8, 16 * 4 * 8, 16 * 4 * 8, 5, 0))))
    if rng.random() < 0.05:
        os.symlink("..", where / "loop")
    return str(path) + rng.choice(("", "", ":x", ":none", ":../..", ":" + ESCAPE, ":obs/a"))


# Tensors


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
    return _write(
        folder / "odd.safetensors", struct.pack("<Q", length) + text.encode() + views()[0].tobytes()
    ) + rng.choice(("", "", ":x", ":" + ESCAPE))


# What is no regular file


def special(rng: Random, folder: Path) -> str:
    """A device, a named pipe, a socket, a folder, or a link that leads nowhere or to itself."""
    ending = rng.choice(
        (
            ".npy",
            ".npz",
            ".csv",
            ".csv.gz",
            ".parquet",
            ".h5",
            ".h5ad",
            ".h5mu",
            ".zarr",
            ".safetensors",
            ".pt",
            ".json",
        )
    )
    path = folder / f"special{ending}"
    match rng.randrange(8):
        case 0:
            path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/urandom", "/dev/null")))
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to(rng.choice(("nowhere", path.name, "/proc/self/mem", "/dev/stdin", "/dev/tty")))
        case 4:
            with socket.socket(socket.AF_UNIX) as server:
                here = os.open(".", os.O_RDONLY)  # since addresses of sockets are short
                os.chdir(folder)
                try:
                    server.bind(path.name)
                finally:
                    os.fchdir(here)
                    os.close(here)
        case 5:
            path.write_bytes(sound(".npy"))
            path.chmod(0)
        case 6:
            return str(
                folder
                / rng.choice(
                    (
                        "n" * 300 + ending,
                        "a\x00b" + ending,
                        "none/none" + ending,
                        ESCAPE + ending,
                        "",
                        "x",
                        ".npy",
                        ":" + ending,
                    )
                )
            )
        case _:
            return rng.choice(
                (
                    "/dev/zero",
                    "/dev/stdin",
                    "-",
                    "",
                    ".",
                    "/",
                    "~",
                    "file:///etc/passwd",
                    "http://localhost:1/x.npy",
                    "\ud800.npy",
                    "s3://x/y.zarr",
                    "http://localhost:1/x.zarr",
                    "x.npy:",
                    ":x",
                    "*.npy",
                    "con.csv",
                    "memory://x.zarr",
                )
            )
    return str(path)


def sound_but_odd(rng: Random, folder: Path) -> str:
    """A sound .npy file of numbers on which computations fail: huge, tiny, constant, few, or no numbers at all."""
    x, y, labels = views()
    array = rng.choice(
        (
            lambda: x,
            lambda: y,
            lambda: labels,
            lambda: x * 1e308,
            lambda: x * 1e-320,
            lambda: np.where(x > 2, np.nan, x),
            lambda: np.where(x > 2, np.inf, x),
            lambda: np.ones_like(x),
            lambda: np.c_[x, x],
            lambda: x[:3],
            lambda: x[:0],
            lambda: x[:, :0],
            lambda: x[:, :1],
            lambda: x.astype(np.float16),
            lambda: x > 0,
            lambda: x.astype(str),
            lambda: x + 1j,
            lambda: np.eye(ROWS),
            lambda: np.eye(3)[labels],
            lambda: x[0],
            lambda: np.array(3.0),
            lambda: x[:, :, None],
            lambda: np.full((ROWS, 4), "\x1b[31m"),
            lambda: np.arange(ROWS),
            lambda: np.zeros(ROWS),
            lambda: np.array(["a", "b"])[labels],
            lambda: np.arange(ROWS) * 10**15,
            lambda: labels.astype(bool),
            lambda: np.r_[x, x],
            lambda: np.array([f"{ESCAPE}{one}" for one in labels]),
            lambda: np.full((ROWS, 4), 2**63, np.uint64),
            lambda: np.zeros((ROWS, 4), "M8[s]"),
            lambda: np.zeros((ROWS, 4), "V2"),
            lambda: np.zeros((ROWS, 4), "V1"),
            lambda: 1e30 * np.eye(ROWS)[:, :4],
        )
    )()
    np.save(folder / "numbers.npy", array)
    return str(folder / "numbers.npy")


# Baselines


@functools.cache
def baseline() -> str:
    """The JSON text of a sound diagnosis of `views`."""
    from phasejax import diagnose

    x, y, labels = views()
    return diagnose(x, y, labels, k=2, fit=False, predicted_scores=False).to_json()


def odd_baseline(rng: Random, folder: Path) -> str:
    """A saved diagnosis with numbers, types, names or text that nothing wrote."""
    text = baseline()
    match rng.randrange(8):
        case 0:
            text = rng.choice(
                (
                    "[" * 100_000,
                    '{"a":' * 100_000,
                    "",
                    "null",
                    "[]",
                    "{}",
                    "3",
                    '"content"',
                    "\x00",
                    '{"method": "content"}',
                    '{"method": "moments"}',
                    '{"method": ["content"]}',
                    "9" * 5000,
                    "NaN",
                    '{"method": "content", "k": 1e400}',
                )
            )
        case 1:
            start = rng.randrange(len(text))
            text = text[:start] + text[start + rng.choice((1, 10, 10**6)) :]
        case _:
            saved = json.loads(text)
            for _ in range(rng.choice((1, 1, 2, 5))):
                _change_one(rng, saved)
            text = json.dumps(saved)
    return _write(folder / "baseline.json", text.encode("utf-8", "surrogatepass"))


def _change_one(rng, node):
    """Put something else in one place of nested lists and dictionaries, or take it away."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.25:
            break
        node = node[key]
    if rng.random() < 0.2:
        del node[key]
        return
    node[key] = rng.choice(
        (
            None,
            0,
            -1,
            10**30,
            1e308,
            float("inf"),
            float("nan"),
            "nan",
            "inf",
            "",
            ESCAPE,
            [],
            {},
            [[]],
            True,
            0.5,
            "x" * 10_000,
            2**63,
            -(10**9),
            [None],
            {"": 1},
            [1] * 1000,
            "\ud800",
            1e-320,
        )
    )


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def _zip(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


KINDS = (
    damaged,
    nonsense,
    npy_with_a_lying_header,
    zip_bomb,
    odd_archive,
    unpickled,
    odd_text,
    wide_or_long_text,
    odd_parquet,
    odd_hdf5,
    odd_anndata,
    odd_zarr,
    odd_safetensors,
    special,
    sound_but_odd,
)
