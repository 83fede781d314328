"""Output files: checked for a place before anything is computed, and written in full or not at all."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
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
    """Refuse an output file that cannot be written: before a long computation, not after it.

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
    if path is None:
        return
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        if flag is not None:
            raise ValueError(f"{flag}: expected a file in an existing folder, got {path}")
        raise ValueError(f"{path}: expected a file in an existing folder, got no folder {Path(path).parent}")
    called = path if flag is None else flag
    if Path(path).is_dir():
        raise ValueError(f"{called}: expected a file to write, got the folder {path}")
    try:
        handle, probe = tempfile.mkstemp(dir=folder, prefix=".writable-")
    except OSError as error:
        raise ValueError(f"{called}: expected a folder that can be written, got {folder} ({error.strerror})") from None
    os.close(handle)
    Path(probe).unlink()


def check_outputs(outputs: Iterable[str | Path | None], inputs: Iterable[str | None] = ()) -> None:
    """Refuse output files that cannot be written, that are the same, or that are one of the inputs.

    Args:
        outputs: files to be written later; None where none was asked for.
        inputs: what is read; a part of a file is named after a colon or in brackets.

    Raises:
        ValueError: in one line.
    """
    wanted = [Path(path) for path in outputs if path is not None]
    for path in wanted:
        check_writable_path(path)
    places = [path.resolve() for path in wanted]
    for number, (path, place) in enumerate(zip(wanted, places, strict=True)):
        if place in places[:number]:
            raise ValueError(f"{path}: expected a file for each output, got the same twice")
        for read in inputs:
            if read is not None and place in {Path(part).resolve() for part in (read, re.split(r":|\[", read)[0])}:
                raise ValueError(f"{path}: expected an output other than the inputs, got the input {read}")
