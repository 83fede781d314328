"""Input files that nobody vouches for: what is no file, claims more than there is, or is damaged.

A header can claim terabytes, a few kilobytes can unpack to gigabytes, a named pipe has no end, and libraries answer
damage with errors of many types. All of this becomes one `ValueError` in one line that names the file.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from phasejax._core.terminal import one_line

# Below this many bytes nothing is asked of the system.
_NO_MATTER = 2**26


def check_regular_file(path: str | Path, name: str | None = None, *, folder: bool = False) -> None:
    """Refuse what cannot be read from beginning to end: a file that is missing, a device, a named pipe, a socket.

    Args:
        path: the file.
        name: what the error calls it; its path when left out.
        folder: whether a folder may stand in its place, as Zarr stores are.

    Raises:
        ValueError: in one line.

    >>> check_regular_file("/dev/null")
    Traceback (most recent call last):
    ...
    ValueError: /dev/null: expected a regular file, got a device
    """
    name = str(path) if name is None else name
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ValueError(f"{name}: expected a readable file, got {error.strerror or error}") from None
    except ValueError as error:  # a null byte or a lone surrogate in the name
        raise ValueError(f"{name}: expected the name of a file, got {error}") from None
    if stat.S_ISREG(mode) or (folder and stat.S_ISDIR(mode)):
        return
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    got = next((noun for is_kind, noun in kinds if is_kind(mode)), "a device")
    raise ValueError(f"{name}: expected a regular file{' or a folder' if folder else ''}, got {got}")


def check_memory(name: str, needed: int | float) -> None:
    """Refuse what would take more memory than there is, before it is asked for.

    Args:
        name: the file or argument, as the error calls it.
        needed: bytes.

    Raises:
        ValueError: in one line.

    >>> check_memory("x.npy", 1e18)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: x.npy: expected what fits into memory (... GB available), got 1e+09 GB
    """
    needed = min(needed, 10**300)  # a float holds no more
    if needed > _NO_MATTER and needed > (available := available_memory()):
        raise ValueError(f"{name}: expected what fits into memory ({available / 1e9:.3g} GB available), "
                         f"got {needed / 1e9:.3g} GB")


def available_memory() -> int:
    """Bytes that this process can still get: of the machine, of its control group, and of its own address space."""
    return max(min([_of_machine(), *_of_control_group(), *_of_address_space()]), 0)


def _of_machine():
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**62


def _of_control_group():
    """What a container or a batch job may still take, where the system tells."""
    with contextlib.suppress(OSError, ValueError):
        top = Path("/sys/fs/cgroup")
        yield int((top / "memory.max").read_text()) - int((top / "memory.current").read_text())


def _of_address_space():
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            yield soft - pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def reading(name: str, expected: str) -> Iterator[None]:
    """Whatever a library raises on a damaged file, as one error that names the file.

    Errors of this package, which say what was expected of what, pass.

    Args:
        name: the file, as the error calls it.
        expected: what the file should be, such as "a complete Parquet file".

    Raises:
        ValueError: in one line.

    >>> with reading("x.pt", "a complete .pt file"):
    ...     {}["storage"]
    Traceback (most recent call last):
    ...
    ValueError: x.pt: expected a complete .pt file, got KeyError: 'storage'
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, Warning):
            raise
        if type(error) is ValueError and ": expected " in str(error):
            if "\n" not in str(error):
                raise
            raise ValueError(one_line(str(error))) from None  # a name in the file holds a line break
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        line = next((one for one in said.splitlines() if one.strip()), "").strip()
        if isinstance(error, LookupError | TypeError | AttributeError) or not line:
            line = f"{type(error).__name__}{': ' if line else ''}{line}"
        raise ValueError(f"{name}: expected {expected}, got {line}") from None
