"""One small grid of trainings for all tests that need a trained grid."""

import os
import time
from pathlib import Path

import pytest

from phasejax.deep import Experiment, TrainedGrid, train_grid

# Also what other trainings of these tests are made of, so that the same few programs serve them all.
TINY = Experiment(size=16, n=300, jitters=(0.0, 0.3), noises=(0.5,), objectives=("vicreg", "cp", "cp_reverse"), seeds=2,
                  widths=(4, 4), hidden=(16,), embedding=8, projection=4, batch=30, max_epochs=3, probe_sizes=(50, 200))


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> TrainedGrid:
    """All four cells of the three objectives."""
    return trained_once(tmp_path_factory)


def trained_once(tmp_path_factory) -> TrainedGrid:
    """The first worker that asks trains, the others wait and read its store, the folder "tiny" of all workers."""
    while True:
        try:
            return train_grid(TINY, store=of_all_workers(tmp_path_factory) / "tiny")
        except ValueError as error:
            if "no other run is using" not in str(error):
                raise
            time.sleep(0.2)


def of_all_workers(tmp_path_factory) -> Path:
    """A temporary folder that the workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
