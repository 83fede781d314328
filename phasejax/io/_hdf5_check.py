"""A first look at an HDF5 file in a process of its own, since damage can keep the HDF5 library busy for ever or end it.

Neither an endless loop inside the library nor a fault of memory can be caught in the process in which it happens. The
look goes over all groups, datasets and attributes, and reads no data but strings of variable length, which are stored
elsewhere in the file, where damage may point to anything.
"""

import functools
import subprocess
import sys
from pathlib import Path

# Time of the processor that a look may take. Files with thousands of groups take less than a second.
_SECONDS = 20
# After so much of it no more strings are read.
_SECONDS_OF_STRINGS = 8
_LOOK = """
import contextlib, sys, time
with contextlib.suppress(ImportError, ValueError):  # no such limit on Windows
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
import h5py

def look(_, node):
    for name in node.attrs:
        with contextlib.suppress(Exception):  # whoever needs an attribute says what is wrong with it
            node.attrs[name]
    if isinstance(node, h5py.Dataset):
        node.shape, node.dtype, node.chunks, node.is_virtual, node.external
        if h5py.check_vlen_dtype(node.dtype) or h5py.check_string_dtype(node.dtype) and node.dtype.kind == "O":
            with contextlib.suppress(Exception):  # whoever needs the strings says what is wrong with them
                for start in range(0, len(node), 2**14) if node.shape else ():
                    if time.process_time() > float(sys.argv[3]):
                        break
                    node[start:start + 2**14]

with contextlib.suppress(Exception), h5py.File(sys.argv[1], "r") as file:
    look("", file)
    file.visititems(look)
"""


def check_hdf5(file: Path, name: str) -> None:
    """Refuse an HDF5 file whose contents cannot be listed without an endless loop or a crash.

    Args:
        file: whose size and time of change tell it from one that was looked at before.
        name: what errors call it.

    Raises:
        ValueError: such a file.
    """
    facts = file.stat()
    if not _can_be_listed(str(file), facts.st_size, facts.st_mtime_ns, _SECONDS):
        raise ValueError(f"{name}: expected a complete HDF5 file, got one whose contents cannot be listed")


@functools.lru_cache(maxsize=256)
def _can_be_listed(path: str, size: int, changed: int, seconds: int) -> bool:
    try:
        done = subprocess.run([sys.executable, "-c", _LOOK, path, str(seconds), str(_SECONDS_OF_STRINGS)],
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30 * seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode >= 0  # below 0 a signal ended it
