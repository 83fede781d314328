"""Tasks on executors: what is lost is done again, a bounded number of times; unlike workers are refused."""

import os
import threading
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor

import jax
import numpy as np
import pytest

from phasejax._core import remote_tasks, worker_profile
from phasejax._core.executors import ProcessPool, opened_executor
from phasejax._core.remote_tasks import Job, WorkersLostError, run_tasks


def square(task):
    return task**2


def results(executor, tasks, function=square):
    return dict(run_tasks(executor, Job(function, "function"), tasks, named=lambda task: f"task {task}",
                          resume="run again"))


class Scripted(Executor):
    """Calls at once, in this thread, except that some calls come to nothing.

    Args:
        fate: from the number of a call and its task to None or an exception; or to "silence" for no answer.
    """

    def __init__(self, fate):
        self.fate, self.calls, self.silent = fate, [], []

    def submit(self, fn, /, *args, **kwargs):
        future, what = Future(), self.fate(len(self.calls), args[-1])
        self.calls.append(args[-1])
        if what == "silence":
            self.silent.append(future)
        elif what is not None:
            future.set_exception(what)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_every_task_is_done_once():
    executor = Scripted(lambda call, task: None)
    assert results(executor, range(5)) == {task: task**2 for task in range(5)}
    assert executor.calls == [0, 1, 2, 3, 4]
    assert results(executor, []) == {}


def test_what_a_worker_lost_is_done_again():
    executor = Scripted(lambda call, task: OSError("gone") if call in (1, 2, 5) else None)
    assert results(executor, range(4)) == {task: task**2 for task in range(4)}
    assert len(executor.calls) == 4 + 3


def test_a_task_that_is_lost_again_and_again_is_named():
    executor = Scripted(lambda call, task: OSError("out of memory") if task == 2 else None)
    with pytest.raises(WorkersLostError, match=r"finish task 2, lost 3 with it \(OSError: out of memory\); run again"):
        results(executor, range(4))


def test_silent_workers_are_not_waited_for(monkeypatch):
    """The first copy of one task never comes back: it is cancelled at the end, when another has answered."""
    monkeypatch.setattr(remote_tasks, "PATIENCE", 0.01)
    executor = Scripted(lambda call, task: "silence" if call == 3 else None)
    assert results(executor, range(6)) == {task: task**2 for task in range(6)}
    assert executor.calls == [0, 1, 2, 3, 4, 5, 3]
    assert executor.silent[0].cancelled()


def test_what_is_missing_is_asked_for_a_few_times(monkeypatch):
    monkeypatch.setattr(remote_tasks, "PATIENCE", 0.01)
    executor = Scripted(lambda call, task: "silence" if task == 3 and executor.calls.count(3) < 3 else None)
    assert results(executor, range(5)) == {task: task**2 for task in range(5)}
    assert executor.calls.count(3) == 1 + remote_tasks.TRIES


def test_silence_has_an_end(monkeypatch):
    for name in ("PATIENCE", "_GIVE_UP", "_GIVE_UP_IN_TASKS"):
        monkeypatch.setattr(remote_tasks, name, 0.0)
    executor = Scripted(lambda call, task: "silence" if task == 3 else None)
    with pytest.raises(WorkersLostError, match=r"got none for \d+ s, about task 3 among others; run again"):
        results(executor, range(5))


@pytest.mark.parametrize("error", [BrokenExecutor("A worker died."), "closed"])
def test_an_executor_that_is_gone_is_named(error):
    executor = ThreadPoolExecutor(1) if error == "closed" else Scripted(lambda call, task: error)
    executor.shutdown()
    with pytest.raises(WorkersLostError, match="expected one that takes tasks, got one that is broken or closed"):
        results(executor, range(3))


def test_cancelled_tasks_mean_that_the_executor_is_gone():
    """As Dask does when the scheduler is lost."""
    executor = Scripted(lambda call, task: "silence" if call == 1 else None)

    def cancel(task):
        executor.silent[0].cancel()
        executor.silent[0].set_running_or_notify_cancel()
        return task

    timer = threading.Timer(0.2, cancel, [0])
    timer.start()
    with pytest.raises(WorkersLostError, match=r"\(CancelledError\); run again"):
        results(executor, range(2))
    timer.join()


def test_errors_of_the_task_itself_are_raised():
    def fail(task):
        raise ValueError(f"kappa: expected another, got {task}")

    executor = Scripted(lambda call, task: None)
    with pytest.raises(ValueError, match="kappa: expected another, got 0"):
        results(executor, range(4), fail)


def test_functions_that_cannot_be_sent_are_refused():
    lock = threading.Lock()
    with pytest.raises(ValueError, match="function: expected functions that can be sent to workers"):
        Job(lambda task: lock, "function")


@pytest.mark.parametrize(("name", "words"), [
    ("jax", "unlike ones: jax .* and 0.1.2"), ("XLA_FLAGS", "unlike ones: XLA_FLAGS .* and 0.1.2"),
    ("bits", "compute the same digits, got unlike ones: bits .* and 0.1.2"),
    ("processor", "compute the same digits, got unlike ones: instructions of the processor .* and 0.1.2"),
])
def test_unlike_workers_are_refused(monkeypatch, name, words):
    """The second worker differs in one thing."""
    here = worker_profile.profile_with_cores()
    profiles = iter([here, here | {name: "0.1.2"}, here])
    monkeypatch.setattr(remote_tasks, "profile_with_cores", lambda: next(profiles))
    with pytest.raises(ValueError, match=f"executor: expected workers .*{words}"):
        results(Scripted(lambda call, task: None), range(3))


def test_numbers_of_cores_must_be_alike_where_digits_depend_on_them(monkeypatch):
    here = worker_profile.profile_with_cores()
    for of_cores in (False, True):
        profiles = iter([here | {"cores": "1000"}, here | {"cores": "2000"}])
        monkeypatch.setattr(remote_tasks, "profile_with_cores", lambda profiles=profiles: next(profiles))
        found = run_tasks(Scripted(lambda call, task: None), Job(lambda task: task, "function", of_cores=of_cores),
                          range(2), named=str, resume="")
        if of_cores:
            with pytest.raises(ValueError, match="compute the same digits, got unlike ones: cores 1000 and 2000"):
                list(found)
        else:
            assert dict(found) == {0: 0, 1: 1}


class Jobs:
    """An executor as submitit's are: its jobs are no futures, and are asked whether they are done."""

    def __init__(self):
        self.left = 3

    def submit(self, function, *arguments):
        asked = iter([False, False, True])
        lost, self.left = self.left == 2, self.left - 1

        class Job:
            def done(self):
                return next(asked)

            def result(self):
                if lost:
                    raise RuntimeError("job timed-out")
                return function(*arguments)

        return Job()


def test_jobs_that_are_no_futures_are_asked_again_and_again():
    with opened_executor(Jobs()) as executor:
        assert results(executor, range(3)) == {0: 0, 1: 1, 2: 4}  # one of them was lost once


def test_a_worker_unlike_this_process_is_refused(monkeypatch):
    here = worker_profile.worker_profile()
    monkeypatch.setattr(remote_tasks, "profile_with_cores", lambda: here | {"phasejax": "9.9"})
    with pytest.raises(ValueError, match=r"expected workers like this process, got unlike ones: phasejax .* and 9\.9"):
        results(Scripted(lambda call, task: None), range(3))


def test_flags_that_change_no_number_are_no_difference(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_b=2 --xla_force_host_platform_device_count=8 --xla_a=1")
    assert worker_profile.program_profile()["XLA_FLAGS"] == "--xla_a=1 --xla_b=2"


def test_settings_of_jax_go_with_the_job():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        job = Job(lambda task: (jax.numpy.ones(1).dtype.name, jax.config.jax_default_matmul_precision), "function")
    found = dict(run_tasks(Scripted(lambda call, task: None), job, [0], named=str, resume=""))
    assert found == {0: ("float64", "highest")}


@pytest.mark.parametrize(("text", "message"), [
    ("processes:0", "processes:COUNT with a whole number from 1 to 4096, got 'processes:0'"),
    ("processes:many", "processes:COUNT"), ("", "MODULE:FUNCTION, got ''"),
    ("threads", "MODULE:FUNCTION, got 'threads'"),
    ("dask:", "dask:ADDRESS or dask:FILE"), ("dask:no.json", "the file of a Dask scheduler, got none at no.json"),
    ("no_such_module:make", "MODULE:FUNCTION, got 'no_such_module:make'"), ("os:no", "MODULE:FUNCTION, got 'os:no'"),
    ("os:getpid", "returns a concurrent.futures.Executor, got 'os:getpid', which returns int"),
])
def test_other_texts_are_refused(text, message):
    with pytest.raises(ValueError, match=f"executor: expected .*{message}"), opened_executor(text):
        pass


def test_an_executor_that_was_given_stays_open():
    with ThreadPoolExecutor(1) as executor:
        with opened_executor(executor) as found:
            assert found is executor
        assert executor.submit(square, 3).result() == 9


def die_or_stop(task):
    """Each worker that meets the task gets the next of the signals, until all have been sent; then it is done."""
    folder, number, signals = task
    for signal in signals:
        try:
            os.close(os.open(os.path.join(folder, f"{number}-{signal}"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal)
    return np.full(3, number)


@pytest.mark.slow
def test_a_pool_of_processes_replaces_its_workers(tmp_path, monkeypatch):
    """Two tasks kill their worker (signal 9), one of them stops the next (19); a third ends every worker it meets."""
    monkeypatch.setattr(remote_tasks, "PATIENCE", 2.0)
    tasks = [(str(tmp_path), number, {1: (9,), 4: (9, 19)}.get(number, ())) for number in range(6)]
    with opened_executor("processes:2") as executor:
        assert isinstance(executor, ProcessPool)
        found = results(executor, tasks, die_or_stop)
        assert {task[1]: value.tolist() for task, value in found.items()} == {n: [n] * 3 for n in range(6)}
        poison = [(str(tmp_path), 7, ()), (str(tmp_path), 8, (9, 15, 6, 2, 1))]
        with pytest.raises(WorkersLostError, match="lost 3 with it"):
            results(executor, poison, die_or_stop)
