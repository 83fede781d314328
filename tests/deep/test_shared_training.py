"""Trainings that are shared out give the digits of those of one process, whoever trains and whoever is lost."""

import contextlib
import os
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr

from phasejax._core.executors import ProcessPool
from phasejax.deep import train_grid
from tests.deep.conftest import TINY

CELLS = replace(TINY, encoder="mlp", hidden=(8,), objectives=("cp",), max_epochs=2, n=200, probe_sizes=(50,), batch=20)


@pytest.fixture(scope="module")
def alone():
    return train_grid(CELLS)


def assert_same_bits(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)
    xr.testing.assert_identical(found.curves.drop_attrs(), expected.curves.drop_attrs())


@pytest.mark.slow
def test_a_pool_that_loses_a_process_trains_the_same_and_a_store_goes_on(alone, tmp_path):
    """One of two processes is killed after the first of four trainings; then a finished training is damaged."""
    pool, seen = ProcessPool(2), []

    def harm(task, done, total):
        seen.append((task, done, total))
        if len(seen) == 2:
            os.kill(pool.processes()[0], signal.SIGKILL)

    with contextlib.ExitStack() as stack:
        stack.callback(pool.shutdown)
        assert_same_bits(train_grid(CELLS, executor=pool, store=tmp_path, progress=harm), alone)
        assert [seen[0], seen[-1]] == [("trainings", 0, 4), ("trainings", 4, 4)]
        (tmp_path / "cp-1-1" / "2" / "_METADATA").unlink()
        seen.clear()
        with pytest.warns(UserWarning, match="_METADATA is missing: these cells are trained from the beginning"):
            assert_same_bits(train_grid(CELLS, executor=pool, store=tmp_path,
                                        progress=lambda *call: seen.append(call)), alone)
        assert seen == [("trainings", 3, 4), ("trainings", 4, 4)]
    assert not list(tmp_path.glob("*/attempt-*"))
    assert_same_bits(train_grid(CELLS, store=tmp_path, progress=pytest.fail), alone)  # nothing is trained


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*leaked:UserWarning")
@pytest.mark.parametrize("stored", [False, True])
def test_dask_loses_a_worker(alone, tmp_path, stored):
    from distributed import Client, LocalCluster

    seen = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster, \
            Client(cluster) as client:
        processes = list(client.run(os.getpid).values())

        def harm(task, done, total):
            seen.append(done)
            if len(seen) == 2:
                os.kill(processes[0], signal.SIGKILL)

        found = train_grid(CELLS, executor=client.get_executor(), store=tmp_path if stored else None, progress=harm)
    assert_same_bits(found, alone)
