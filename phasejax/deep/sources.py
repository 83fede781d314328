"""Where an experiment's rows come from: functions of a cell and of row numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from phasejax.deep import stereo
from phasejax.deep.experiment import Experiment

_STEREO = {"dsprites": stereo.stereo_dsprites, "shapes3d": stereo.stereo_shapes3d}


@dataclass(frozen=True, eq=False)
class Source:
    """Rows that are rendered when they are needed.

    Args:
        views: (cell, row numbers) to `training.Views`; a row looks the same each time.
        channels: of the images.
        classes: of the labels.
    """

    views: Callable
    channels: int
    classes: int


def open_source(experiment: Experiment) -> Source:
    """The rows of an experiment, its published file read if it names one."""
    pairs = _STEREO[experiment.data](experiment.size, experiment.path)

    def views(cell, rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(cell.data, row))(rows)
        return stereo.draw(pairs, keys, cell.jitter, cell.noise)

    return Source(views=views, channels=pairs.images.shape[-1], classes=len(pairs.images))
