"""Hostile arrays of NumPy and tables of text: headers that lie, bombs, pickles, fields of which people do not think."""

import gzip
import io
import os
import pickle
import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz.sound_files import ESCAPE, HOSTILE_NAMES, ROWS, views, write, zipped


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
        return zipped(folder / "lying.npz", {"x.npy": data})
    return write(folder / "lying.npy", data)


def zip_bomb(rng: Random, folder: Path) -> str:
    """A few kilobytes that grow to gigabytes: .npz, .npz of a sparse matrix, or text compressed by gzip."""
    gigabytes = rng.choice((1, 40))
    if rng.random() < 0.4:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        line = rng.choice((b"0,0,0,0\n", b"0", b"\n")) * 2**20
        part = packer.compress(line) + packer.flush(zlib.Z_FULL_FLUSH)
        more = packer.compress(line) + packer.flush(zlib.Z_FULL_FLUSH)
        return write(folder / "bomb.csv.gz", part + more * (gigabytes * 2**30 // len(line)))
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
    return write(folder / "bomb.npz", local + packed + central + end)


def odd_archive(rng: Random, folder: Path) -> str:
    """A .npz with members that are no arrays, have hostile names, or are a sparse matrix with wrong indices."""
    x = views()[0]
    array = io.BytesIO()
    np.save(array, x)
    match rng.randrange(5):
        case 0:
            path = zipped(
                folder / "odd.npz", {rng.choice(HOSTILE_NAMES) + ".npy": array.getvalue(), "y.npy": array.getvalue()}
            )
            return path + rng.choice(("", ":y", ":none", ":" + ESCAPE))
        case 1:
            return zipped(folder / "odd.npz", {rng.choice(("../../x.npy", "x", "x.txt", "/etc/passwd")): b"no array"})
        case 2:
            return zipped(folder / "odd.npz", {})
        case 3:
            return zipped(folder / "odd.npz", {"x.npy": pickle.dumps(_Payload(folder))})
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
            return write(folder / "payload.npy", payload)
        case 2:
            return write(folder / rng.choice(("payload.pt", "payload.pth")), payload)
        case _:
            return zipped(folder / "payload.pt", {"archive/data.pkl": payload, "archive/version": b"3\n"})


class _Payload:
    """Something whose unpickling writes a file."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "owned"),)


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
            write(folder / f"odd{ending}.gz", gzip.compress(data, mtime=0)[: rng.choice((None, None, -1, 20))]) + member
        )
    return write(folder / f"odd{ending}", data) + member


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
    return write(folder / "wide.csv", ("\n".join(rows) + "\n").encode())
