"""What frozen encoders of a trained grid have learnt: probes of every cell, as one dataset."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from phasejax.deep.grid import DIMS, TrainedGrid, cells_of, training_of
from phasejax.deep.probes import ProbeRows, ProbeScores, probe
from phasejax.deep.sources import open_source
from phasejax.engine import cores


def evaluate(trained: TrainedGrid, *, report: Callable[[str], None] = lambda line: None) -> xr.Dataset:
    """Probe the best parameters of every cell.

    Args:
        trained: from `train_grid`.
        report: gets a line of progress after every objective.

    Returns:
        accuracy and converged (objective, jitter, noise, seed, probe_size); position_r2, chance
        (objective, jitter, noise, seed); the curves of the training beside them.
    """
    experiment = trained.experiment
    source, cells = open_source(experiment), cells_of(experiment)
    count = len(cells.jitter)
    # Of the training rows only those that some probe is fitted to.
    fitted = experiment.probe_sizes[-1]
    rows = jnp.concatenate([jnp.arange(fitted), jnp.arange(experiment.train, experiment.n)])
    shown = jax.jit(lambda cell: _labels(source.views(cell, rows)))
    found = []
    with threadpool_limits(1), ThreadPoolExecutor(cores()) as pool:
        for objective in experiment.objectives:
            training = training_of(experiment, objective, source)
            embed = jax.jit(lambda params, cell, training=training: training.embeddings(params, cell, rows))

            def one(i, objective=objective, embed=embed):
                cell, params = jax.tree.map(lambda leaf: leaf[i], (cells, trained.params[objective]))
                labels, positions = map(np.asarray, shown(cell))
                return probe(ProbeRows(np.asarray(embed(params, cell)), labels, positions, fitted,
                                       experiment.validation), experiment.probe_sizes)

            found.append(_dataset(experiment, list(pool.map(one, range(count)))))
            report(f"{objective}: {count} cells probed")
    scores = xr.concat(found, xr.DataArray(list(experiment.objectives), dims="objective", name="objective"))
    return scores.merge(trained.curves).assign_attrs(trained.curves.attrs)


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
