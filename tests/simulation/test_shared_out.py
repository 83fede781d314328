"""A sweep that is shared out gives the digits of one that is not, whoever computes and whoever is lost."""

import contextlib
import os
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from phasejax import SpikedModel, sweep
from phasejax._core import remote_tasks
from phasejax._core.executors import ProcessPool
from phasejax._core.remote_tasks import WorkersLostError
from phasejax.simulation import _executor, open_sweep, population_covariances
from tests.support import assert_same_numbers

AXES = {"kappa": np.linspace(1, 3, 12), "nu": np.linspace(0.1, 0.9, 10), "d": [4, 6]}


def deviation(model, covariances):
    """Squared distance of sample covariances from the population's, which is quick to compile."""
    return ((covariances.xx - population_covariances(model).xx) ** 2).sum()


OPTIONS = {"fixed": {"k": 1}, "n": 50, "seeds": 5, "key": jax.random.key(1)}


def homogeneous(**parameters):
    return SpikedModel.homogeneous(**parameters)


def run(build=homogeneous, **options):
    # Closures as users write them, which cannot be pickled by name.
    quantities = {"deviation": lambda model, covariances: deviation(model, covariances)}
    return sweep(build, AXES, quantities=quantities, **OPTIONS | options)


@pytest.fixture(scope="module")
def alone():
    return run()


@pytest.fixture
def two_threads():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_shared_out_to_threads(alone, two_threads):
    seen = []
    found = run(lambda **parameters: homogeneous(**parameters), executor=two_threads,
                progress=lambda task, done, total: seen.append((task, done, total)))
    np.testing.assert_array_equal(found.deviation, alone.deviation)
    assert found.deviation.dims == alone.deviation.dims
    assert seen[0] == ("sweep", 0, 1200)
    assert seen[-1] == ("sweep", 1200, 1200)
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


def test_interrupted_and_taken_up_by_other_means(alone, two_threads, tmp_path):
    """With an executor until it is interrupted, then without one, which finds the chunks that workers wrote."""
    store = tmp_path / "run.zarr"

    def interrupt(task, done, total):
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(store=store, executor=two_threads, progress=interrupt)
    two_threads.shutdown()  # waits for chunks that were in work
    seen = []
    found = run(store=store, progress=lambda task, done, total: seen.append(done))
    assert max(done for done in seen if done < 1200) >= 300
    assert_same_numbers(found.load(), alone)
    assert_same_numbers(open_sweep(store).load(), alone)
    assert_same_numbers(run(store=store, executor="processes:2").load(), alone)  # finished: nobody is asked


def test_chunks_are_the_same_on_every_machine(monkeypatch):
    budgets = [_executor.Budget.from_memory(None, shared_out=True)]
    monkeypatch.setattr(_executor, "local_slots", lambda: tuple(jax.local_devices()[:1]) * 64)
    monkeypatch.setattr(_executor, "device_memory", lambda: 10**12)
    budgets.append(_executor.Budget.from_memory(None, shared_out=True))
    assert budgets[0] == budgets[1]
    assert budgets[0].memory_bytes == 1e9


def test_functions_that_cannot_be_sent_are_refused_before_a_store_is_made(tmp_path, two_threads):
    handle = sys.stderr
    with pytest.raises(ValueError, match="build and quantities: expected functions that can be sent to workers"):
        sweep(SpikedModel.homogeneous, AXES, executor=two_threads, store=tmp_path / "run.zarr", **OPTIONS,
              quantities={"own": lambda model, covariances: covariances.xx.sum() + (handle is None)})
    assert not os.listdir(tmp_path)


def test_an_executor_that_is_closed_is_said_with_the_store(tmp_path, two_threads):
    two_threads.shutdown()
    with pytest.raises(WorkersLostError, match=r"run again to resume from .*run\.zarr"):
        run(store=tmp_path / "run.zarr", executor=two_threads)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*leaked:UserWarning")
def test_dask_workers_that_are_killed_and_stopped(alone, tmp_path, monkeypatch):
    """Of three workers one is killed and one stopped after the first chunks; then the scheduler is lost."""
    from distributed import Client, LocalCluster

    monkeypatch.setattr(remote_tasks, "PATIENCE", 2.0)
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster, \
            Client(cluster) as client:
        processes, seen = list(client.run(os.getpid).values()), []

        def harm(task, done, total):
            seen.append(done)
            if len(seen) == 4:
                os.kill(processes[0], signal.SIGKILL)
                os.kill(processes[1], signal.SIGSTOP)

        try:
            found = run(store=tmp_path / "run.zarr", executor=client.get_executor(), progress=harm).load()
        finally:
            os.kill(processes[1], signal.SIGKILL)
    assert len(seen) > 4
    assert_same_numbers(found, alone)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*leaked:UserWarning")
def test_a_lost_dask_scheduler_leaves_a_store_to_go_on_with(alone, tmp_path):
    from distributed import Client, LocalCluster

    store = tmp_path / "run.zarr"
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None,
                      silence_logs=50) as cluster, Client(cluster) as client:
        def harm(task, done, total):
            if done > 200:
                cluster.close()

        with pytest.raises(WorkersLostError, match=r"run again to resume from .*run\.zarr"):
            run(store=store, executor=client.get_executor(), progress=harm)
    assert_same_numbers(run(store=store).load(), alone)


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*leaked:UserWarning")
@pytest.mark.parametrize("kind", ["processes", "dask"])
@pytest.mark.parametrize("seed", range(20))
def test_runs_with_lost_workers_have_the_same_digits(alone, tmp_path, monkeypatch, kind, seed):
    """Two of the workers are killed or stopped at random moments of each run; every other run has a store."""
    monkeypatch.setattr(remote_tasks, "PATIENCE", 2.0)
    draw, calls, harmed = random.Random(seed), [], []
    moments = draw.sample(range(3, 47), 2)  # the sweep has 48 chunks

    def harm(task, done, total):
        calls.append(done)
        if len(calls) in moments:
            chosen = draw.choice([process for process in processes() if process not in harmed])
            harmed.append(chosen)
            os.kill(chosen, draw.choice([signal.SIGKILL, signal.SIGSTOP]))

    with _dask_workers() if kind == "dask" else _pool_of_processes() as (executor, processes):
        try:
            found = run(executor=executor, progress=harm, store=tmp_path / "run.zarr" if seed % 2 else None)
            assert_same_numbers(found.load(), alone)
        finally:
            for process in harmed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
    assert len(harmed) == 2


@contextlib.contextmanager
def _pool_of_processes():
    pool = ProcessPool(2)
    try:
        yield pool, pool.processes
    finally:
        pool.shutdown()


@contextlib.contextmanager
def _dask_workers():
    """Three workers and their processes; one that is killed is replaced, one that is stopped is not."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster, \
            Client(cluster) as client:
        first = list(client.run(os.getpid).values())
        yield client.get_executor(), lambda: first
