"""Files that are damaged, that lie about their size, or that are no files at all: one function for each kind.

Every function takes a source of random choices and an empty folder, and returns what a command would be given: a path,
perhaps with the name of a member behind a colon.
"""

import os
import socket
from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz.hostile_arrays import (
    npy_with_a_lying_header,
    odd_archive,
    odd_text,
    unpickled,
    wide_or_long_text,
    zip_bomb,
)
from tests.fuzz.hostile_containers import odd_anndata, odd_hdf5, odd_parquet, odd_safetensors, odd_zarr
from tests.fuzz.sound_files import ESCAPE, ROWS, sound, views, write


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
    return write(folder / f"damaged{ending}", bytes(data))


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
    return write(folder / f"nonsense{ending}", magic + rng.randbytes(rng.choice((0, 1, 10, 200, 5000))))


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
