"""One run at a time in a folder: a lock that ends with the process that holds it, and says who that is.

The operating system keeps the lock, so that one whose process was killed, or whose machine was switched off, is
free again. Who holds it (host, process, since when) stands in the locked file, for the message to whoever comes second.
"""

import contextlib
import errno
import json
import os
import socket
import time
import warnings
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where the runs in a folder cannot be told apart
    fcntl = None

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
_NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


class RunLock:
    """The right to write in a folder, held from the moment of creation until `release` or the end of a `with` block.

    A child process made by `fork` does not hold it on.

    Args:
        file: the file that is locked, in an existing folder. It is made if need be, and removed on release.
        argument: what the error calls the folder, such as "store".
        folder: the folder that the error names; that of `file` when left out.

    Raises:
        ValueError: another run holds the lock; one line with its host, process and age.
        OSError: the file cannot be made.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, RunLock(Path(folder, "lock"), "store"):
    ...     RunLock(Path(folder, "lock"), "store", "run")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: store: expected a folder that no other run is using, got run, in use by process ... on ... for 0 s
    """

    def __init__(self, file: str | Path, argument: str, folder: str | Path | None = None):
        self.file = Path(file)
        self._handle: int | None = None
        while True:
            handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle, self.file)
                # Whoever held it before may have removed the file since it was opened here.
                if fcntl is None or _is_still_at(handle, self.file):
                    break
                os.close(handle)
            except BlockingIOError:
                os.close(handle)
                owner = _owner(self.file)
                if owner is None:
                    continue
                raise ValueError(f"{argument}: expected a folder that no other run is using, got "
                                 f"{self.file.parent if folder is None else folder}, in use by {owner}"
                                 ) from None
            except BaseException:
                os.close(handle)
                raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": time.time()}
                                     ).encode(), 0)
        self._handle = handle
        _HELD.add(self)

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def moved_to(self, file: str | Path) -> None:
        """Say that the locked file has another name now, since its folder was renamed."""
        self.file = Path(file)

    def release(self) -> None:
        """Give the lock back and remove its file; nothing if that was done before."""
        if self._handle is None:
            return
        with contextlib.suppress(OSError):
            if _is_still_at(self._handle, self.file):
                self.file.unlink()
        os.close(self._handle)
        self._handle = None

    def _forget(self) -> None:
        """Close the file in a forked child, without ending the lock of its parent."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


_HELD: "weakref.WeakSet[RunLock]" = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_HELD):
        lock._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _lock(handle: int, file: Path) -> None:
    """Lock an open file, or raise BlockingIOError where another does; a warning where the file system has no locks."""
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            raise BlockingIOError from None
        if error.errno not in _NO_LOCKS_HERE:
            raise
        warnings.warn(f"{file.parent}: the file system has no locks ({error.strerror}), so that a second run there at "
                      "the same time would not be noticed", UserWarning, stacklevel=4)


def _is_still_at(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(file))
    except FileNotFoundError:
        return False


def _owner(file: Path) -> str | None:
    """Who holds a lock, in words; None where nobody does any more.

    The file is read again for a moment where its owner has not written into it yet.
    """
    for _ in range(100):
        try:
            found = json.loads(file.read_bytes())
            return (f"process {int(found['process'])} on {found['host']} for "
                    f"{_duration(max(0.0, time.time() - float(found['since'])))}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.02)
    return "another process"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
