"""One small experiment for all tests of trainings on images and captions."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from phasejax.captions import CaptionExperiment
from phasejax.captions._epochs import CaptionEpochs
from phasejax.captions._sources import open_captions
from phasejax.deep import TrainedGrid
from phasejax.deep._grid import _curve_dataset, cells_of

TINY = CaptionExperiment(data="emoji", size=16, length=8, most=300, mode="style", noises=(0.0, 0.5), jitters=(0.0,),
                         objectives=("vicreg", "cp_reverse"), seeds=1, image_encoder="convolutional", width=4,
                         text_width=8, text_layers=0, embedding=4, batch=15, max_epochs=2, patience=2)


@partial(jax.jit, static_argnums=0)
def _output(graph, state, rows):
    return nnx.merge(graph, state)(rows)


def output(network, rows):
    """What a network makes of rows outside of training, compiled once for all networks of one structure."""
    return _output(*nnx.split(network), rows)


@pytest.fixture(scope="session")
def fresh() -> TrainedGrid:
    """Both cells of two objectives with their first parameters, as a grid: evaluations need no more."""
    source, params = open_captions(TINY), {}
    for objective in TINY.objectives:
        epochs = CaptionEpochs(TINY, objective, source)
        states = [jax.jit(epochs.start)(jax.tree.map(lambda leaf, cell=cell: leaf[cell], cells_of(TINY)))
                  for cell in range(2)]
        states = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        params[objective] = states.best
    curves = _curve_dataset(TINY, states, np.full((2, 2, 2), np.nan, np.float32))
    return TrainedGrid(TINY, params, curves.expand_dims(objective=list(TINY.objectives)))
