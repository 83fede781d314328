"""What the frozen encoders of a trained grid have learnt: linear probes of every cell, as one dataset."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.devices import cores
from phasejax._core.progress import ProgressCallback, reporting
from phasejax.deep._experiment import Experiment
from phasejax.deep._grid import DIMS, TrainedGrid, cells_of, training_of
from phasejax.deep._linear_probe import ProbeRows, ProbeScores, probe
from phasejax.deep.data._sources import open_source


@dataclass(frozen=True, eq=False)
class EmbeddedRows:
    """Rows as a frozen encoder embeds them, with the signal and the nuisance that they show.

    Args:
        embeddings: embeddings or projections, as `Experiment.probed` says, shape (n, outputs).
        labels: the signal, a class for each row, shape (n,).
        positions: the nuisance, shape (n, t).
    """

    embeddings: Float[np.ndarray, "n outputs"]
    labels: Int[np.ndarray, "n"]
    positions: Float[np.ndarray, "n t"]


class FrozenEncoders:
    """The encoders of a trained grid, each with the parameters of its least validation loss.

    Args:
        trained: what `train_grid` found.
    """

    def __init__(self, trained: TrainedGrid[Experiment]):
        experiment = trained.experiment
        self._known = {"objective": experiment.objectives, "jitter": experiment.jitters, "noise": experiment.noises,
                       "seed": tuple(range(experiment.seeds))}
        self._trained, self._source, self._cells = trained, open_source(experiment), cells_of(experiment)
        self._embedding_program = cache(self._compile_embedding)
        self._labels_and_positions = jax.jit(self._read_labels_and_positions)

    def embed(self, objective: str, rows: Int[np.ndarray, "n"], *, jitter: float, noise: float, seed: int
              ) -> EmbeddedRows:
        """Embed rows by the encoder of one cell.

        Args:
            objective, jitter, noise, seed: the cell, by values that the experiment has.
            rows: row numbers from 0 to n - 1; training rows come first, then validation, then test rows.

        Returns:
            The rows in the given order.

        Raises:
            ValueError: a cell that the grid does not have.
        """
        for name, value in {"objective": objective, "jitter": jitter, "noise": noise, "seed": seed}.items():
            if value not in self._known[name]:
                raise ValueError(f"{name}: expected one of {', '.join(map(str, self._known[name]))}, got {value}")
        place = [self._known[name].index(value) for name, value in zip(DIMS, (jitter, noise, seed), strict=True)]
        return self.embed_cell(objective, int(np.ravel_multi_index(place, [len(self._known[name]) for name in DIMS])),
                               rows)

    def embed_cell(self, objective: str, number: int, rows: Int[np.ndarray, "n"]) -> EmbeddedRows:
        """Embed rows by the encoder of the cell with the given number, in the order of `cells_of`."""
        cell, params = jax.tree.map(lambda leaf: leaf[number], (self._cells, self._trained.params[objective]))
        numbers = jnp.asarray(rows)
        labels, positions = self._labels_and_positions(cell, numbers)
        return EmbeddedRows(embeddings=np.asarray(self._embedding_program(objective)(params, cell, numbers)),
                            labels=np.asarray(labels), positions=np.asarray(positions))

    def _compile_embedding(self, objective):
        return jax.jit(training_of(self._trained.experiment, objective, self._source).embeddings)

    def _read_labels_and_positions(self, cell, rows):
        views = self._source.views(cell, rows)
        return views.label, views.position


@checked
def evaluate(trained: TrainedGrid[Experiment], *, progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Fit linear probes to the frozen encoders of every cell and score them on test rows.

    Args:
        trained: what `train_grid` found.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every cell.

    Returns:
        A dataset over (objective, jitter, noise, seed): by probe size the `accuracy` for the label and whether the
        probe `converged`; `position_r2`, that of a ridge regression of the nuisance; `chance`, the share of the most
        frequent class; and the learning curves of `trained`. Cells whose parameters are not finite have NaN scores.

    Raises:
        ValueError: `trained` is of another experiment, such as one of captions.

    Source: K26, section 4.
    """
    if not isinstance(trained.experiment, Experiment):
        raise ValueError(f"trained: expected the training of an Experiment, got that of "
                         f"{type(trained.experiment).__name__}")
    experiment, encoders = trained.experiment, FrozenEncoders(trained)
    # Of the training rows only those are embedded that some probe is fitted to.
    fitted = experiment.probe_sizes[-1]
    rows = np.concatenate([np.arange(fitted), np.arange(experiment.train, experiment.n)])

    def probe_cell(objective, number):
        embedded = encoders.embed_cell(objective, number, rows)
        return probe(ProbeRows(features=embedded.embeddings, labels=embedded.labels, positions=embedded.positions,
                               train=fitted, validation=experiment.validation), experiment.probe_sizes)

    return scored_cells(trained, probe_cell, partial(_score_dataset, experiment), "cells probed", progress)


def scored_cells(trained: TrainedGrid, score: Callable[[str, int], Any], combine: Callable[[list], xr.Dataset],
                 task: str, progress: bool | ProgressCallback) -> xr.Dataset:
    """Scores of all cells, several side by side, over the objective besides, with the learning curves.

    Args:
        trained: whose cells.
        score: what a cell is given, by its objective and its number.
        combine: makes a dataset of the scores of all cells of an objective.
        task: what `progress` is told to be done.
        progress: as in `evaluate`.
    """
    experiment, found = trained.experiment, []
    count = len(experiment.jitters) * len(experiment.noises) * experiment.seeds
    with reporting(progress) as advance, threadpool_limits(1), ThreadPoolExecutor(cores()) as pool:
        for objective in experiment.objectives:
            scores = []
            for of_cell in pool.map(partial(score, objective), range(count)):
                scores.append(of_cell)
                advance(f"{objective}, {task}", len(scores), count)
            found.append(combine(scores))
    dataset = xr.concat(found, xr.DataArray(list(experiment.objectives), dims="objective", name="objective"))
    return dataset.merge(trained.curves).assign_attrs(trained.curves.attrs)


def _score_dataset(experiment: Experiment, scores: list[ProbeScores]) -> xr.Dataset:
    """The scores of all cells of one objective."""
    shape = (len(experiment.jitters), len(experiment.noises), experiment.seeds)

    def by_cell(name):
        values = np.array([getattr(score, name) for score in scores])
        return values.reshape(shape + values.shape[1:])

    return xr.Dataset({"accuracy": ((*DIMS, "probe_size"), by_cell("accuracy")),
                       "converged": ((*DIMS, "probe_size"), by_cell("converged")),
                       "position_r2": (DIMS, by_cell("position_r2")), "chance": (DIMS, by_cell("chance"))},
                      coords={"jitter": list(experiment.jitters), "noise": list(experiment.noises),
                              "seed": np.arange(experiment.seeds), "probe_size": list(experiment.probe_sizes)})
