"""Output files: checked for a place before anything is computed, and written in full or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A path to write to in place of `path`, which is replaced only when the block ends without an error.

    A process that is killed while it writes leaves `path` as it was, and readers of `path` see the old content or
    the new, never a part. The file gets the permissions that the process gives to new files.

    Args:
        path: file to write, in an existing folder.

    Yields:
        A file in the same folder whose name ends like that of `path`.

    Raises:
        OSError: the folder does not exist or cannot be written.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder, "a.txt")) as unfinished:
    ...         _ = unfinished.write_text("whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    # In the same folder, since only a rename within one file system is atomic; with the same
    # ending, since writers choose their format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        # `mkstemp` makes files that only their owner can read. The mask of new files can only be read by setting it.
        umask = os.umask(0)
        os.umask(umask)
        unfinished.chmod(0o666 & ~umask)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable_path(path: str | Path | None, flag: str | None = None) -> None:
    """Refuse an output file whose folder does not exist: before a long computation, not after it.

    Args:
        path: file to be written later; None where none was asked for.
        flag: the command-line flag or argument that the error names; the path itself when left out.

    Raises:
        ValueError: in one line.

    >>> check_writable_path("results.json")
    >>> check_writable_path("missing/results.json", flag="--out")
    Traceback (most recent call last):
    ...
    ValueError: --out: expected a file in an existing folder, got missing/results.json
    """
    if path is None or Path(path).absolute().parent.is_dir():
        return
    if flag is not None:
        raise ValueError(f"{flag}: expected a file in an existing folder, got {path}")
    raise ValueError(f"{path}: expected a file in an existing folder, got no folder {Path(path).parent}")
