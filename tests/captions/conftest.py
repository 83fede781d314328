"""One small experiment for all tests that train on images and captions."""

import pytest

from phasejax.captions import CaptionExperiment
from phasejax.deep import TrainedGrid, train_grid

TINY = CaptionExperiment(data="emoji", size=16, length=8, most=300, mode="style", noises=(0.0, 0.5), jitters=(0.0,),
                         objectives=("vicreg", "cp", "cp_reverse"), seeds=1, image_encoder="convolutional", width=4,
                         text_width=8, text_layers=0, embedding=4, batch=15, max_epochs=2, patience=2)


@pytest.fixture(scope="session")
def trained() -> TrainedGrid:
    """Both cells of the three objectives."""
    return train_grid(TINY)
