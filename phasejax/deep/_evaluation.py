"""What frozen encoders of a trained grid have learnt: probes of every cell, as one dataset."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from phasejax._core.devices import cores
from phasejax._core.progress import ProgressCallback, reporting
from phasejax.deep._grid import DIMS, TrainedGrid, cells_of, training_of
from phasejax.deep._linear_probe import ProbeRows, ProbeScores, probe
from phasejax.deep.data._sources import open_source


@dataclass(frozen=True, eq=False)
class EmbeddedRows:
    """What an encoder makes of some rows, with what they show.

    Args:
        embeddings: shape (n, embedding), or projections, see `Experiment.probed`.
        labels: classes, shape (n,).
        positions: nuisance, shape (n, t).
    """

    embeddings: Float[np.ndarray, "n outputs"]
    labels: Int[np.ndarray, "n"]
    positions: Float[np.ndarray, "n t"]


class FrozenEncoders:
    """The encoders of a trained grid, with the best parameters of each cell.

    Args:
        trained: from `train_grid`.
    """

    def __init__(self, trained: TrainedGrid):
        experiment = trained.experiment
        self._known = {"objective": experiment.objectives, "jitter": experiment.jitters, "noise": experiment.noises,
                       "seed": tuple(range(experiment.seeds))}
        self._trained, self._source, self._cells = trained, open_source(experiment), cells_of(experiment)
        self._embed = cache(self._compiled)
        self._shown = jax.jit(lambda cell, rows: _labels(self._source.views(cell, rows)))

    def embed(self, objective: str, rows: Int[np.ndarray, "n"], *, jitter: float, noise: float, seed: int
              ) -> EmbeddedRows:
        """Embeddings of rows by the encoder of one cell.

        Args:
            objective, jitter, noise, seed: which cell.
            rows: numbers from 0 to n - 1: training rows come first, then validation, then test rows.

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
        """The same for a cell by its number, in the order of `grid.cells_of`."""
        rows = jnp.asarray(rows)
        cell, params = jax.tree.map(lambda leaf: leaf[number], (self._cells, self._trained.params[objective]))
        return EmbeddedRows(np.asarray(self._embed(objective)(params, cell, rows)),
                            *map(np.asarray, self._shown(cell, rows)))

    def _compiled(self, objective):
        return jax.jit(training_of(self._trained.experiment, objective, self._source).embeddings)


def evaluate(trained: TrainedGrid, *, progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Probe the best parameters of every cell.

    Args:
        trained: from `train_grid`.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every cell.

    Returns:
        accuracy and converged (objective, jitter, noise, seed, probe_size); position_r2, chance
        (objective, jitter, noise, seed); the curves of the training beside them.
    """
    experiment, encoders = trained.experiment, FrozenEncoders(trained)
    count = len(experiment.jitters) * len(experiment.noises) * experiment.seeds
    # Of the training rows only those that some probe is fitted to.
    fitted = experiment.probe_sizes[-1]
    rows = np.concatenate([np.arange(fitted), np.arange(experiment.train, experiment.n)])

    def one(objective, number):
        seen = encoders.embed_cell(objective, number, rows)
        return probe(ProbeRows(seen.embeddings, seen.labels, seen.positions, fitted, experiment.validation),
                     experiment.probe_sizes)

    found = []
    with reporting(progress) as advance, threadpool_limits(1), ThreadPoolExecutor(cores()) as pool:
        for objective in experiment.objectives:
            scores = []
            for cell_scores in pool.map(partial(one, objective), range(count)):
                scores.append(cell_scores)
                advance(f"{objective}, cells probed", len(scores), count)
            found.append(_dataset(experiment, scores))
    dataset = xr.concat(found, xr.DataArray(list(experiment.objectives), dims="objective", name="objective"))
    return dataset.merge(trained.curves).assign_attrs(trained.curves.attrs)


def _labels(views):
    return views.label, views.position


def _dataset(experiment, scores: list[ProbeScores]):
    shape = (len(experiment.jitters), len(experiment.noises), experiment.seeds)

    def by_cell(name):
        values = np.array([getattr(score, name) for score in scores])
        return values.reshape(shape + values.shape[1:])

    return xr.Dataset({"accuracy": ((*DIMS, "probe_size"), by_cell("accuracy")),
                       "converged": ((*DIMS, "probe_size"), by_cell("converged")),
                       "position_r2": (DIMS, by_cell("position_r2")), "chance": (DIMS, by_cell("chance"))},
                      coords={"jitter": list(experiment.jitters), "noise": list(experiment.noises),
                              "seed": np.arange(experiment.seeds), "probe_size": list(experiment.probe_sizes)})
