"""Output files: checked for a place before anything is computed, and written in full or not at all.

What a path leads to is what counts. A symbolic link stays, and the file that it points to is replaced; a replaced file
keeps its permissions; a device or a pipe, such as /dev/stdout, is written to and stays what it is.
"""

import contextlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Names of what this process has open. Even where it is a file, such as that to which the shell redirects, it is written
# to in its place: the shell would not see another file.
_OPEN_HERE = re.compile(r"/dev/(stdout|stderr)|(?:/dev|/proc/self|/proc/thread-self)/fd/(\d+)")


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A path to write to in place of `path`, which is replaced only when the block ends without an error.

    A process that is killed while it writes leaves `path` as it was, and readers of `path` see the old content or
    the new, never a part. A new file gets the permissions that the process gives to new files.

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
    with written_together() as place:
        yield place(path)


@contextlib.contextmanager
def written_together() -> Iterator[Callable[[str | Path], Path]]:
    """Several files as `written_whole` writes one: they are replaced when the block ends without an error, else none.

    Where one of them cannot be replaced, those that were are put back.

    Yields:
        A function from the path of a file to the path to write to in its place.

    Raises:
        OSError: as `written_whole`.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with contextlib.suppress(ZeroDivisionError), written_together() as place:
    ...         _ = place(Path(folder, "a.txt")).write_text("first")
    ...         _ = place(Path(folder, "b.txt")).write_text(str(1 / 0))
    ...     os.listdir(folder)
    []
    """
    outputs: list[_Output] = []

    def place(path: str | Path) -> Path:
        outputs.append(_Output.begin(Path(path)))
        return outputs[-1].unfinished

    try:
        yield place
        # Devices first: what was written to them cannot be taken back, but no file can be replaced that would have to
        # be, since they are where an error is likely.
        for output in sorted(outputs, key=lambda output: not output.in_place):
            output.commit(may_be_put_back=len(outputs) > 1)
    except BaseException:
        for output in reversed(outputs):
            output.put_back()
        raise
    finally:
        for output in outputs:
            output.clean()


@dataclass
class _Output:
    """One file to be written.

    Args:
        target: what is replaced, or written to.
        unfinished: what is written until then.
        in_place: whether the target is written to, since it is no file that could be replaced.
        mode: permissions that the file will have.
        before: another name of the file that was replaced, as long as it may have to be put back.
        committed: whether the target has the new content.
    """

    target: Path
    unfinished: Path
    in_place: bool
    mode: int
    before: Path | None = None
    committed: bool = False

    @classmethod
    def begin(cls, path: Path) -> "_Output":
        target, in_place = Path(os.path.realpath(path)), _is_written_in_place(path)
        # In the folder of the file, since only a rename within one file system is atomic; with the same ending, since
        # writers choose their format by it.
        handle, name = tempfile.mkstemp(dir=None if in_place else target.parent, prefix=f".{path.stem[:40]}-",
                                        suffix=path.suffix)
        os.close(handle)
        try:
            mode = stat.S_IMODE(target.stat().st_mode)
        except OSError:
            # `mkstemp` makes files that only their owner can read. The mask of new files is read by setting it.
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        return cls(path if in_place else target, Path(name), in_place, mode)

    def commit(self, *, may_be_put_back: bool) -> None:
        if self.in_place:
            try:
                with open(_opened(self.target), "wb", buffering=0) as stream:
                    content = memoryview(self.unfinished.read_bytes())
                    while content:
                        content = content[stream.write(content):]
            except OSError as error:
                raise type(error)(f"{self.target}: expected something that can be written to, got {error.strerror}"
                                  ) from None
            return
        self.unfinished.chmod(self.mode)
        with open(self.unfinished, "rb") as stream:
            os.fsync(stream.fileno())
        if may_be_put_back:
            with contextlib.suppress(OSError):  # there was none, or the file system has no second names
                before = self.unfinished.with_name(self.unfinished.name + ".before")
                os.link(self.target, before)
                self.before = before
        self.unfinished.replace(self.target)
        self.committed = True

    def put_back(self) -> None:
        if self.committed:
            with contextlib.suppress(OSError):
                if self.before is None:
                    self.target.unlink()
                else:
                    self.before.replace(self.target)

    def clean(self) -> None:
        for path in (self.unfinished, self.before):
            if path is not None:
                path.unlink(missing_ok=True)


def _opened(path: Path) -> int:
    """A handle to write to a device or pipe.

    That of a name like /dev/stdout is a copy of the process's own, so that in a file to which the shell redirects what
    is written here and what is printed follow each other.
    """
    match = _OPEN_HERE.fullmatch(os.path.abspath(path))
    if match is None:
        return os.open(path, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.dup({"stdout": 1, "stderr": 2}[match[1]] if match[1] else int(match[2]))


def _is_written_in_place(path: str | Path) -> bool:
    if _OPEN_HERE.fullmatch(os.path.abspath(path)):
        return True
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


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
    called, target = path if flag is None else flag, Path(os.path.realpath(path))
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except NotADirectoryError:
        raise ValueError(f"{called}: expected a file in an existing folder, got {path}") from None
    except OSError as error:
        raise ValueError(f"{called}: expected a file that can be written, got {path} ({error.strerror})") from None
    if mode is not None and stat.S_ISDIR(mode):
        raise ValueError(f"{called}: expected a file to write, got the folder {path}")
    if mode is not None and not os.access(path, os.W_OK):
        raise ValueError(f"{called}: expected a file that can be written, got {path}, which is read-only")
    if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISCHR(mode) and not str(target).startswith("/proc/"):
        # Opening a named pipe waits for its reader, perhaps for ever.
        raise ValueError(f"{called}: expected a file, a terminal or a pipe of the shell, got {path}")
    if _is_written_in_place(path):
        if mode is None:
            raise ValueError(f"{called}: expected something to write to, got {path}, which is closed")
        return
    folder = target.parent
    if not folder.is_dir():
        if flag is not None:
            raise ValueError(f"{flag}: expected a file in an existing folder, got {path}")
        raise ValueError(f"{path}: expected a file in an existing folder, got no folder "
                         f"{Path(path).parent if Path(path).absolute() == target else folder}")
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
    places = [os.path.realpath(path) for path in wanted]
    for number, (path, place) in enumerate(zip(wanted, places, strict=True)):
        if place in places[:number] and not _is_written_in_place(path):
            raise ValueError(f"{path}: expected a file for each output, got the same twice")
        for read in inputs:
            if read is not None and place in map(os.path.realpath, (read, re.split(r":|\[", read)[0])):
                raise ValueError(f"{path}: expected an output other than the inputs, got the input {read}")
