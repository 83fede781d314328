"""Independent tasks on the workers of any `concurrent.futures.Executor`, which may be lost while they compute.

A task that comes back with an error ends the whole; one that does not come back, because its worker died or stands
still, is given to others. A worker that stands still cannot be told from one that is slow or from a queue, so that we
wait until no worker has answered for a while, and then ask for what is missing once more: whoever answers first is
heard. A task must therefore give the same result whoever computes it, and may be computed twice.
"""

import contextlib
import hashlib
import queue
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from typing import Any

import cloudpickle
import jax

from phasejax._core.executors import ProcessPool, drop_silent_workers
from phasejax._core.worker_profile import OF_PROGRAM, difference, profile_with_cores, program_profile, worker_name

# Times that a task may be lost, and times that missing tasks are asked for again.
TRIES = 3
# Seconds without an answer after which what is missing is asked for again, or four times the longest task if that is
# longer. Each time that nothing comes the wait is doubled. To ask too early costs nothing but a computation.
PATIENCE, _PATIENCE_IN_TASKS = 30.0, 4.0
# Seconds without an answer after which we give up, or so many times the longest task.
_GIVE_UP, _GIVE_UP_IN_TASKS = 1800.0, 60.0
# Tasks that are handed over at a time. Executors that keep a queue of their own get many, so that no worker waits.
_WINDOW = 1024
_JOBS_KEPT = 2  # in a worker: that of a program and the one before


class WorkersLostError(ConnectionError):
    """Workers were lost, and the rest cannot be computed without them; what was finished is kept."""


@dataclass(frozen=True)
class _Answer:
    """What a worker sends back.

    Args:
        worker: its name.
        profile: as `profile_with_cores` gives it.
        seconds: how long it computed.
        value: the result; None after an error.
        error: the pickled exception, and its text in case it cannot be unpickled.
    """

    worker: str
    profile: dict[str, str]
    seconds: float
    value: Any = None
    error: tuple[bytes, str] | None = None


class Job:
    """A function for workers, with all that it closes over.

    Args:
        function: of one task.
        argument: what the error calls it if it cannot be sent.
        of_cores: whether its digits depend on the number of cores, so that workers must have equally many.

    Raises:
        ValueError: a function that cannot be pickled.
    """

    def __init__(self, function: Callable[[Any], Any], argument: str, *, of_cores: bool = False):
        self.of_cores = of_cores
        try:
            self.content = zlib.compress(cloudpickle.dumps((function, _jax_settings())))
        except Exception as error:
            raise ValueError(f"{argument}: expected functions that can be sent to workers, got one that cannot be "
                             f"pickled ({error})") from None
        self.digest = hashlib.sha256(self.content).hexdigest()


def run_tasks(executor: Executor, job: Job, tasks: Sequence[Any], *, named: Callable[[Any], str],
              resume: str) -> Generator[tuple[Any, Any], None, None]:
    """Yield every task with its result, in the order in which they come back.

    Args:
        executor: where; a `ProcessPool` gets new workers for those that died or were stopped.
        job: what is done with each task.
        tasks: what a worker is told; small, and can be pickled.
        named: what errors call a task.
        resume: the end of the message when workers are lost: what to do.

    Raises:
        ValueError: workers whose results would have other digits than each other's, or than those of this program.
        WorkersLostError: an executor that takes no more tasks, or a task that was lost too often.
        Exception: what the job raises.
    """
    if not tasks:
        return
    run = _Run(executor, job, tasks, named, resume)
    try:
        yield from run.answers()
    finally:
        for future in list(run.pending):
            future.cancel()


class _Run:
    """The state of one call of `run_tasks`. Tasks are known by their numbers."""

    def __init__(self, executor, job, tasks, named, resume):
        self.executor, self.job, self.tasks, self.named, self.resume = executor, job, tasks, named, resume
        self.pool = executor if isinstance(executor, ProcessPool) else None
        self.waiting = deque(range(len(tasks)))
        self.pending: dict[Future, int] = {}
        self.handed_over: set[int] = set()  # and not answered; some of them more than once
        self.answered: set[int] = set()
        self.lost = [0] * len(tasks)
        self.suspects: set[int] = set()  # one of them may have ended its worker
        self.profile: tuple[str, dict[str, str]] | None = None
        self.workers: set[str] = set()  # that have answered
        self.longest, self.last, self.asked_again = 0.0, time.monotonic(), 0
        self.returned: queue.SimpleQueue[Future] = queue.SimpleQueue()

    def answers(self):
        while len(self.answered) < len(self.tasks):
            self._hand_over()
            try:
                future = self.returned.get(timeout=self._patience())
            except queue.Empty:
                self._ask_again()
                continue
            task = self.pending.pop(future, None)
            if task is None or task in self.answered:  # of workers that have been replaced, or slower than others
                continue
            answer = self._answer(future, task)
            if answer is None:
                continue
            self.last, self.asked_again = time.monotonic(), 0
            if answer.worker in self.workers:  # its first task took longer, since it had a program to compile
                self.longest = max(self.longest, answer.seconds)
            self.workers.add(answer.worker)
            self._check_like(answer)
            if answer.error is not None:
                raise _exception(answer)
            self.answered.add(task)
            self.handed_over.discard(task)
            self.suspects.discard(task)
            yield self.tasks[task], answer.value

    def _hand_over(self):
        """Submit what waits, while the window has room; one at a time where one of them may end its worker."""
        window = 1 if self.suspects else _WINDOW if self.pool is None else self.pool.window
        while self.waiting and len(self.handed_over) < window:
            self._submit(self.waiting.popleft())

    def _submit(self, task):
        self.handed_over.add(task)
        try:
            future = self.executor.submit(_in_worker, self.job.content, self.job.digest, self.tasks[task])
        except BrokenExecutor as error:
            self._replace_workers(error)
        except Exception as error:
            raise self._gone(error) from None
        else:
            self.pending[future] = task
            future.add_done_callback(self.returned.put)

    def _answer(self, future, task):
        """What a worker sent back; None where it sent nothing."""
        try:
            return future.result()
        except CancelledError as error:
            raise self._gone(error) from None
        except BrokenExecutor as error:
            self._replace_workers(error)
        except Exception as error:  # the executor's own, such as Dask's KilledWorker
            self._count_loss(task, error)
        return None

    def _replace_workers(self, error):
        """All that was handed over is lost with the workers; which of it is to blame shows when it goes one by one."""
        if self.pool is None:
            raise self._gone(error) from None
        lost = sorted(self.handed_over)
        self._start_anew()
        if len(lost) == 1:
            self._count_loss(lost[0], error)
        else:
            self.waiting.extendleft(reversed(lost))
        self.suspects |= set(lost)

    def _start_anew(self):
        self.pending.clear()
        self.handed_over.clear()
        if self.pool is not None:
            self.pool.restart()
        self.last = time.monotonic()

    def _count_loss(self, task, error):
        self.lost[task] += 1
        if self.lost[task] >= TRIES or type(error).__name__ == "KilledWorker":  # Dask has tried it again by itself
            raise WorkersLostError(f"executor: expected workers that finish {self.named(self.tasks[task])}, lost "
                                   f"{self.lost[task]} with it ({_first_line(error)}); {self.resume}")
        self.handed_over.discard(task)
        self.waiting.appendleft(task)

    def _ask_again(self):
        """No worker has answered for long: ask for what is missing once more, or give up."""
        silence, missing = time.monotonic() - self.last, sorted(self.handed_over)
        if self.pool is not None:
            if self.pool.has_stopped_worker():
                self._start_anew()
                self.waiting.extendleft(reversed(missing))
            return
        if self.profile is None:  # no worker has ever answered: a cluster may have none yet
            return
        if silence > max(_GIVE_UP, _GIVE_UP_IN_TASKS * self.longest):
            raise WorkersLostError(f"executor: expected an answer from a worker, got none for {silence:.0f} s, about "
                                   f"{self.named(self.tasks[missing[0]])} among others; {self.resume}")
        drop_silent_workers(self.executor, PATIENCE)
        if self.asked_again < TRIES:
            self.asked_again += 1
            for task in missing:
                self._submit(task)

    def _patience(self):
        return max(PATIENCE, _PATIENCE_IN_TASKS * self.longest) * 2**self.asked_again

    def _check_like(self, answer):
        if self.profile is None:
            here = program_profile()
            if words := difference(here, {name: answer.profile[name] for name in OF_PROGRAM}):
                raise ValueError(f"executor: expected workers like this process, got unlike ones: {words} "
                                 f"(here and in {answer.worker})")
            self.profile = answer.worker, answer.profile if self.job.of_cores else answer.profile | {"cores": ""}
        elif words := difference(self.profile[1], answer.profile | ({} if self.job.of_cores else {"cores": ""})):
            raise ValueError(f"executor: expected workers that compute the same digits, got unlike ones: {words} "
                             f"({self.profile[0]}, {answer.worker})")

    def _gone(self, error):
        reason = _first_line(error)
        if self.profile is None and isinstance(error, BrokenExecutor):
            reason += "; a script that makes process pools must do so under if __name__ == '__main__'"
        return WorkersLostError("executor: expected one that takes tasks, got one that is broken or closed "
                                f"({reason}); {self.resume}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _exception(answer: _Answer) -> Exception:
    """The exception that a worker sent back."""
    content, text = answer.error or (b"", "")
    with contextlib.suppress(Exception):
        error = cloudpickle.loads(content)
        if isinstance(error, Exception):
            return error
    return RuntimeError(f"{text} (in {answer.worker})")


def _in_worker(content: bytes, digest: str, task: Any) -> _Answer:
    """Do one task, in a worker."""
    begun = time.monotonic()
    profile = profile_with_cores()
    try:
        function, settings = _loaded(content, digest)
        with contextlib.ExitStack() as stack:
            for name, value in settings.items():
                stack.enter_context(_SETTINGS[name](value))
            return _Answer(worker_name(), profile, time.monotonic() - begun, function(task))
    except Exception as error:
        try:
            pickled = cloudpickle.dumps(error)
        except Exception:
            pickled = b""
        return _Answer(worker_name(), profile, time.monotonic() - begun, None,
                       (pickled, f"{type(error).__name__}: {error}"))


_LOADED: dict[str, Any] = {}
_LOADING = threading.Lock()


def _loaded(content: bytes, digest: str) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    """The function of a job, with what it keeps between tasks, and the settings of JAX under which it is called."""
    with _LOADING:
        if digest not in _LOADED:
            while len(_LOADED) >= _JOBS_KEPT:
                del _LOADED[next(iter(_LOADED))]
            try:
                _LOADED[digest] = cloudpickle.loads(zlib.decompress(content))
            except ImportError as error:
                raise ValueError(f"executor: expected workers that can import what is computed, got {error} in "
                                 f"{worker_name()}") from None
        return _LOADED[digest]


# Settings of JAX that change numbers and that a program may have set for itself.
_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "jax_enable_x64": jax.enable_x64,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_threefry_partitionable": jax.threefry_partitionable,
    "jax_default_prng_impl": jax.default_prng_impl,
}


def _jax_settings() -> dict[str, Any]:
    return {name: getattr(jax.config, name) for name in _SETTINGS}
