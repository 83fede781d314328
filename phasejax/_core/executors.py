"""Executors by name: processes on this machine, a Dask cluster, or whatever a function of the user's makes.

Where workers die a pool of processes cannot go on, and `restart` gives it new ones. Its workers ignore the interrupt
that a terminal sends to all processes, since the process that asked for the work decides what becomes of it.
"""

import contextlib
import importlib
import inspect
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, InvalidStateError
from pathlib import Path
from typing import Any

from phasejax._core.devices import cores

_POLL = 0.5  # seconds between two questions whether jobs are done
FORMS = "processes:COUNT, dask, dask:ADDRESS, dask:FILE or MODULE:FUNCTION"


class Polled(Executor):
    """An executor of jobs that are no futures, such as submitit's, which are asked now and then whether they are done.

    Args:
        jobs: has a method `submit` of a function and its arguments, which returns a job with `done()` and `result()`.
    """

    def __init__(self, jobs: Any):
        self._jobs, self._waiting, self._closed = jobs, dict[Future, Any](), threading.Event()
        threading.Thread(target=self._poll, daemon=True).start()

    def submit(self, fn, /, *args, **kwargs) -> Future:
        """Have one call made by a job of its own."""
        future = Future()
        self._waiting[future] = self._jobs.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel all jobs that are not done, where they can be."""
        self._closed.set()
        for job in self._waiting.values():
            with contextlib.suppress(Exception):
                job.cancel()

    def _poll(self) -> None:
        while not self._closed.wait(_POLL):
            for future, job in list(self._waiting.items()):
                try:
                    if job.done():
                        future.set_result(job.result())
                    elif not future.cancelled():
                        continue
                except InvalidStateError:  # nobody waits for it any more
                    pass
                except Exception as error:  # the job was lost
                    future.set_exception(error)
                del self._waiting[future]


class ProcessPool(Executor):
    """A pool of processes that have never been part of this one, and can be replaced when some of them died.

    Args:
        count: number of processes.
    """

    def __init__(self, count: int):
        self.count = count
        self.window = 2 * count  # tasks that wait in the pool: enough that no process does
        self._pool = self._new()

    def submit(self, fn, /, *args, **kwargs) -> Future:
        """Have one call made in a worker."""
        return self._pool.submit(fn, *args, **kwargs)

    def restart(self) -> None:
        """End all workers, stopped ones too, and start new ones."""
        self._pool.shutdown(wait=False, kill_workers=True)
        self._pool = self._new()

    def has_stopped_worker(self) -> bool:
        """Whether a worker stands still because somebody stopped it; known on Linux only."""
        return any(map(_is_stopped, self.processes()))

    def processes(self) -> list[int]:
        """The identifiers of the workers that have been started."""
        return list(self._pool._processes or {})

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all workers, whatever they do."""
        self._pool.shutdown(wait=False, kill_workers=True)

    def _new(self) -> Any:
        # Loky's processes start anew instead of as a fork, which JAX does not survive, and do not import the script
        # that is running, so that it need not protect its calls with `if __name__ == "__main__"`.
        from loky.process_executor import ProcessPoolExecutor

        return ProcessPoolExecutor(self.count, initializer=_begin_worker, initargs=(os.getpid(),))


@contextlib.contextmanager
def opened_executor(executor: Any) -> Iterator[Executor]:
    """The executor that a text stands for, closed at the end; an executor itself stays open.

    Args:
        executor: "processes:COUNT" (or "processes", one for each core), "dask" (a cluster of this machine's cores),
            "dask:ADDRESS" of a scheduler, "dask:FILE" that a scheduler wrote, "MODULE:FUNCTION" that returns an
            executor; or an executor. One whose jobs are no futures but have `done()` and `result()` will do as well.

    Raises:
        ValueError: another text, or a function that returns something else.
        OSError: no scheduler at the address.
    """
    if isinstance(executor, Executor):
        yield executor
        return
    if callable(getattr(executor, "submit", None)):
        with contextlib.closing(_Closing(Polled(executor))) as jobs:
            yield jobs.executor
        return
    if not isinstance(executor, str):
        raise ValueError(f"executor: expected a concurrent.futures.Executor or one of {FORMS}, got {executor!r}"[:300])
    kind, colon, rest = executor.partition(":")
    if kind == "processes":
        opened = contextlib.closing(_Closing(ProcessPool(_count(executor, rest) if colon else cores())))
    elif kind == "dask":
        opened = _dask(executor, rest, colon)
    elif colon and kind and rest:
        opened = contextlib.closing(_Closing(_from_function(executor, kind, rest)))
    else:
        raise ValueError(f"executor: expected {FORMS}, got {executor!r}")
    with opened as found:
        yield found.executor if isinstance(found, _Closing) else found


def drop_silent_workers(executor: Executor, seconds: float) -> None:
    """Have a Dask scheduler give up the workers that it has not heard of for so long; nothing with other executors.

    By itself it waits for minutes, and what other workers computed waits with it for being collected.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None or not isinstance(executor, distributed.cfexecutor.ClientExecutor):
        return
    with contextlib.suppress(OSError, TimeoutError):  # the scheduler is gone, which its tasks will say
        vars(executor)["_client"].run_on_scheduler(_remove_silent, seconds)


async def _remove_silent(seconds: float, dask_scheduler: Any) -> None:
    from distributed.metrics import time

    for worker in list(dask_scheduler.workers.values()):
        if worker.last_seen < time() - seconds:
            await dask_scheduler.remove_worker(worker.address, stimulus_id="phasejax: no sign of life", close=False)


class _Closing:
    """Ends an executor without waiting for workers that may never answer."""

    def __init__(self, executor: Executor):
        self.executor = executor

    def close(self) -> None:
        if "cancel_futures" in inspect.signature(self.executor.shutdown).parameters:
            self.executor.shutdown(wait=False, cancel_futures=True)
        else:  # Dask's
            self.executor.shutdown(wait=False)


def _count(executor: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise ValueError(f"executor: expected processes:COUNT with a whole number from 1 to 4096, got {executor!r}")
    return int(text)


@contextlib.contextmanager
def _dask(executor: str, address: str, colon: str) -> Iterator[Executor]:
    if colon and not address:
        raise ValueError(f"executor: expected dask:ADDRESS or dask:FILE, got {executor!r}")
    of_file = address.endswith(".json") or Path(address).is_file()
    if colon and of_file and not Path(address).is_file():
        raise ValueError(f"executor: expected the file of a Dask scheduler, got none at {address}")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(f"executor: expected Dask for {executor!r}, which is not installed "
                         "(pip install 'phasejax[dask]')") from None
    with contextlib.ExitStack() as stack:
        if not colon:
            # Without a dashboard, which would look for a free port on all addresses.
            options: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None,
                                       "silence_logs": logging.CRITICAL}
            cluster = stack.enter_context(LocalCluster(n_workers=cores(), **options))
            client = Client(cluster)
        elif of_file:
            client = _connected(executor, scheduler_file=address)
        else:
            client = _connected(executor, address=address)
        stack.enter_context(client)
        yield client.get_executor()


def _connected(executor: str, **where: Any) -> Any:
    from distributed import Client

    try:
        return Client(**where, timeout=30)
    except (OSError, ValueError, TypeError) as error:
        raise ConnectionError(f"executor: expected a Dask scheduler at {executor.partition(':')[2]}, got no answer "
                              f"({(str(error).splitlines() or [type(error).__name__])[0][:200]})") from None


def _from_function(executor: str, module: str, function: str) -> Executor:
    sys.path.insert(0, "")  # the user's folder, which a command does not search by itself
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"executor: expected MODULE:FUNCTION, got {executor!r} ({error})") from None
    finally:
        sys.path.remove("")
    found = make()
    if not isinstance(found, Executor) and callable(getattr(found, "submit", None)):
        return Polled(found)
    if not isinstance(found, Executor):
        raise ValueError(f"executor: expected a function that returns a concurrent.futures.Executor, got {executor!r}, "
                         f"which returns {type(found).__name__}")
    return found


def _is_stopped(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except OSError:
        return False


def _begin_worker(parent: int) -> None:
    """Ignore interrupts from the terminal, and end when the process that asked for the work has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
