"""One small grid of trainings for all tests that need a trained grid."""

import pytest

from phasejax.deep import Experiment, TrainedGrid, train_grid

# Also what other trainings of these tests are made of, so that the same few programs serve them all.
TINY = Experiment(size=16, n=300, jitters=(0.0, 0.3), noises=(0.5,), objectives=("vicreg", "cp", "cp_reverse"), seeds=2,
                  widths=(4, 4), hidden=(16,), embedding=8, projection=4, batch=30, max_epochs=3, probe_sizes=(50, 200))


@pytest.fixture(scope="session")
def trained() -> TrainedGrid:
    """All four cells of the three objectives."""
    return train_grid(TINY)
