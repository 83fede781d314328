"""The processes of `benchmarks.store`: some die before one of their file operations, some start at the same moment."""

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path

# What Python says before it changes or opens a file.
_OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "os.chmod"}


def die_before(operation: int, folder: Path) -> list[int]:
    """Kill this process before a file operation in a folder; returns a list with the number of those so far.

    Args:
        operation: number of the operation, from 0.
        folder: where files are counted; those elsewhere are not.
    """
    count, within, sync = [0], os.path.realpath(folder), os.fsync

    def step() -> None:
        if count[0] == operation:
            os.kill(os.getpid(), signal.SIGKILL)
        count[0] += 1

    def watch(event: str, arguments: tuple) -> None:
        if event in _OPERATIONS and isinstance(arguments[0], str | bytes | os.PathLike) and \
                os.path.abspath(os.fsdecode(arguments[0])).startswith(within):
            step()

    def fsync(handle: int) -> None:
        step()
        sync(handle)

    sys.addaudithook(watch)
    os.fsync = fsync
    return count


def kill_one_after_another() -> None:
    """For each line of standard input, a store and a number: a process that sweeps and dies before that operation."""
    from benchmarks.store import small_sweep  # imports JAX, but starts nothing that a fork would break

    for line in sys.stdin:
        store, operation = line.rsplit(maxsplit=1)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                count = die_before(int(operation), Path(store).parent)
                small_sweep(Path(store))
                os.write(write, str(count[0]).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(write)
        with open(read, "rb") as stream:
            operations = int(stream.read() or 0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"code": code, "operations": operations}), flush=True)


def start_one_after_another() -> None:
    """For each line of standard input, a store: the command that sweeps there, with its exit code and last line."""
    from phasejax.cli import main

    for line in sys.stdin:
        with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
            # So long that the second process comes before the first one has ended.
            code = main(["sweep", "--axes", "kappa=0.5:2:60", "nu=0:0.9:64", "--fixed", "k=2", "d=6", "--n", "60",
                         "--seeds", "16", "--quantities", "error_ca", "error_cp", "--store", line.strip(),
                         "--no-progress"])
        said = errors.getvalue().strip().splitlines()
        print(json.dumps({"code": code, "said": said[-1] if said else ""}), flush=True)


if __name__ == "__main__":
    {"kill": kill_one_after_another, "start": start_one_after_another}[sys.argv[1]]()
