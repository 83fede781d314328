"""Several processes that share one sweep: how the command joins them, and how it ends when one of them is lost.

JAX's own service ends every process when a peer is lost, from a thread of its own and with pages about where it was in
its code. What it and the libraries below it write goes to a file that nobody reads, and where they end the process we
say in one line what has happened.
"""

import contextlib
import ctypes
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NoReturn

from phasejax._core.terminal import one_line

# The exit code where workers were lost, so that the same command is worth another try.
LOST = 4
_AGAIN = "start all processes again: with --store they go on where they were"
_kept: list[Any] = []  # what C calls must never be collected


@contextlib.contextmanager
def joined(coordinator: str | None, processes: int | None, process_id: int | None, timeout: int) -> Iterator[None]:
    """Make this process one of those that share the work, for the time of a `with` block.

    Args:
        coordinator: host and port of process 0; None where SLURM says it, like the other two.
        processes: how many there are.
        process_id: which one this is.
        timeout: seconds to wait for the others, and until one that says nothing counts as lost.

    Raises:
        ValueError: arguments that do not fit, or others that do not come.
    """
    if timeout < 1:
        raise ValueError(f"--timeout: expected at least 1 second, got {timeout}")
    given = (coordinator, processes, process_id)
    if any(value is not None for value in given) and None in given:
        raise ValueError("--coordinator, --processes, --process-id: expected all three or none (under SLURM), "
                         f"got {coordinator}, {processes}, {process_id}")
    address: dict[str, str] = {}
    if coordinator is not None and processes is not None and process_id is not None:
        host, port = _host_and_port(coordinator)
        if processes < 1:
            raise ValueError(f"--processes: expected at least 1, got {processes}")
        if not 0 <= process_id < processes:
            raise ValueError(f"--process-id: expected a number from 0 to {processes - 1}, got {process_id}")
        if host in ("127.0.0.1", "localhost"):
            address["coordinator_bind_address"] = f"127.0.0.1:{port}"

    import jax

    _silence_libraries()
    _end_in_one_line(f"--distributed: expected all processes within {timeout} s (--timeout), got no answer from "
                     f"{'process 0' if process_id else 'the others'}", 2)
    try:
        jax.distributed.initialize(coordinator, processes, process_id, initialization_timeout=timeout,
                                   heartbeat_timeout_seconds=max(timeout, 10), shutdown_timeout_seconds=timeout,
                                   **address)  # pyright: ignore[reportArgumentType]
        jax.devices()
    except ValueError as error:
        raise ValueError("--distributed: expected SLURM, or --coordinator, --processes and --process-id, got "
                         f"{_first_line(error)}") from None
    except RuntimeError as error:
        _end(f"--distributed: expected all processes within {timeout} s (--timeout), got {_first_line(error)}", 2)
    _end_in_one_line(f"--distributed: expected all processes to the end, lost one; {_AGAIN}", LOST)
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        # What JAX says when the others cannot be reached begins with a status such as UNKNOWN, and may be a ValueError.
        if not (isinstance(error, RuntimeError) or re.match("[A-Z_]+: ", str(error))):
            _end(str(error), 2)
        _end(f"--distributed: expected all processes to the end, lost one ({_first_line(error)}); {_AGAIN}", LOST)
    except KeyboardInterrupt:
        os._exit(130)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _end(message: str, code: int) -> NoReturn:
    """Say what has happened in one line, and end without the farewell for which JAX's service would wait."""
    print("error: " + one_line(message), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def _host_and_port(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    if not host or not re.fullmatch(r"[\w.\-\[\]:]+", host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"--coordinator: expected HOST:PORT, got {coordinator!r}")
    return host, int(port)


def _silence_libraries() -> None:
    """Keep standard output and error for Python: what C libraries write there goes to a file without a name."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        numbers = sys.stdout.fileno(), sys.stderr.fileno()
    except (OSError, ValueError):  # no files: under a test that captures them
        return
    if numbers != (1, 2):
        return
    with tempfile.TemporaryFile() as nowhere:
        for number, name in ((1, "stdout"), (2, "stderr")):
            stream = getattr(sys, name)
            copy = os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors=stream.errors, buffering=1)
            setattr(sys, name, copy)
            os.dup2(nowhere.fileno(), number)


def _end_in_one_line(message: str, code: int) -> None:
    """From now on, where a library aborts the process, end it with this message and exit code."""
    if os.name != "posix":
        return

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def aborted(_):
        os.write(sys.stderr.fileno(), f"error: {message}\n".encode())
        os._exit(code)

    _kept.append(aborted)
    ctypes.CDLL(None).signal(signal.SIGABRT, aborted)
