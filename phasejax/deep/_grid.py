"""Whole grids of trainings: every jitter, noise and seed of an objective in one compiled program.

The cells are trained in chunks. On an accelerator the cells of a chunk are one batch; on a CPU, where batched products
are no faster, one cell follows another. Several devices take equal parts of a chunk. What is drawn for a cell, its
data and its first parameters, depends on its seed alone, so that cells of one seed differ in nothing but what is
compared. With a store, the state of every chunk is saved while it trains.

Chunks may also be shared out to the workers of an executor, see `_shared_training`.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from phasejax._core.checked_call import checked
from phasejax._core.executors import opened_executor
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.validation import check_count
from phasejax.deep._checkpoints import Checkpoints
from phasejax.deep._experiment import Experiment
from phasejax.deep._grid_experiment import AnyExperiment, GridExperiment, GridTraining, by_cell
from phasejax.deep._objectives import Architecture
from phasejax.deep._training import State, Training
from phasejax.deep._training_store import TrainingStore
from phasejax.deep.data import Cell
from phasejax.deep.data._batch import Source

DIMS = ("jitter", "noise", "seed")
# A state is saved when so much time has passed since the last one was, and when all cells of a chunk have stopped.
_SECONDS_BETWEEN_SAVES = 30.0
# Cells that an accelerator trains at a time; the activations of one take about 150 MB at 64 x 64 pixels.
_CELLS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class TrainedGrid(Generic[AnyExperiment]):
    """What `train_grid` found.

    Args:
        experiment: the experiment that was run.
        params: for each objective the parameters of least validation loss; leaves have a leading axis over the cells,
            in the order of `cells_of`.
        curves: a dataset with `loss` over (objective, jitter, noise, seed, epoch, split), NaN after a cell stopped; and
            for each cell `epochs`, those done, `best_loss`, the least validation loss, and `diverged`.
    """

    experiment: AnyExperiment
    params: dict[str, PyTree]
    curves: xr.Dataset


@checked
def train_grid(experiment: AnyExperiment, *, store: str | Path | None = None, cells_at_once: int | None = None,
               executor: Executor | str | None = None, progress: bool | ProgressCallback = False
               ) -> TrainedGrid[AnyExperiment]:
    """Train every cell of an experiment.

    Args:
        experiment: what to train.
        store: a folder where the states of the trainings are kept, so that a run that was killed goes on to the same
            result when it is called again; the experiment is saved with them as experiment.json. Every file has a
            checksum: a state that was damaged is named in a warning, and the one before it is used.
        cells_at_once: number of cells of an objective in one program, rounded up to a multiple of the devices;
            one for each device on a CPU, 64 elsewhere, when left out.
        executor: who trains instead, as in `sweep`: so many cells at a time are a task for a worker, which trains them
            on its first device and saves their states in the store itself. What a lost worker trained is given to
            another, which goes on from the last state. The digits are those of one process with one device and as
            many cores as the workers have; workers with unlike numbers of cores are refused.
        progress: False for silence, True for bars on a terminal, or a callback. It is called after every epoch with
            the objective, the epochs done and the most that may be done; in parentheses the task says which cells are
            training, their mean validation loss, and how long they may still take. With an executor it is called with
            "trainings", the cells that are done and all cells.

    Returns:
        The best parameters of all cells, and their learning curves.

    Raises:
        ValueError: a store that another run is using (its host, process and age are named), with another experiment,
            with other data, or begun with other versions (what differs is named); data of the wrong layout; workers
            that are unlike.
        ConnectionError: no workers any more; the same call goes on with what is in the store.

    Source: K26, section 4.
    """
    devices = jax.local_devices() if executor is None and not experiment.one_by_one else jax.local_devices()[:1]
    if cells_at_once is None and experiment.one_by_one:
        cells_at_once = 1
    if cells_at_once is None:
        cells_at_once = len(devices) if devices[0].platform == "cpu" else _CELLS_AT_ONCE
    check_count("cells_at_once", cells_at_once)
    count = len(cells_of(experiment).jitter)
    at_once = math.ceil(min(cells_at_once, count) / len(devices)) * len(devices)
    params: dict[str, PyTree] = {}
    curves: list[xr.Dataset] = []
    with reporting(progress) as advance, contextlib.ExitStack() as stack:
        trainings = experiment.trainings(advance)
        kept = None if store is None else stack.enter_context(TrainingStore(Path(store), experiment))
        if executor is None:
            trained = _train_here(experiment, trainings, devices, at_once, kept, advance)
        else:
            from phasejax.deep._shared_training import train_elsewhere

            trained = train_elsewhere(stack.enter_context(opened_executor(executor)), experiment, trainings, at_once,
                                      kept, advance)
        for objective, found in trained:
            states, losses = (jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *parts)
                              for parts in zip(*found, strict=True))
            params[objective] = states.best
            curves.append(_curve_dataset(experiment, states, losses))
    return TrainedGrid(experiment, params, xr.concat(curves, xr.DataArray(
        list(experiment.objectives), dims="objective", name="objective")))


def _train_here(experiment: GridExperiment, trainings: Callable[[str], GridTraining], devices: Sequence[Any],
                at_once: int, kept: TrainingStore | None, advance: ProgressCallback) -> Iterator[tuple[str, list]]:
    """Every objective with states and losses of its chunks, trained in this process."""
    count = len(cells_of(experiment).jitter)
    for objective in experiment.objectives:
        chunks, found = Chunks(trainings(objective), devices, at_once), []
        for start in range(0, count, at_once):
            cells_here = f"cells {start + 1} to {min(start + at_once, count)} of {count}"
            place = None if kept is None else kept.checkpoints(chunk_name(objective, start, at_once))
            found.append(chunks.run(
                chunk_of(experiment, start, at_once), place,
                lambda detail, epoch, objective=objective, cells_here=cells_here: advance(
                    f"{objective}, epochs ({cells_here}, {detail})", epoch, experiment.max_epochs),
                check=None if kept is None else kept.check_may_train))
        yield objective, found


def chunk_name(objective: str, start: int, at_once: int) -> str:
    """The folder of the states of a chunk of cells, in a store."""
    return f"{objective}-{start}-{at_once}"


def chunk_of(experiment: GridExperiment, start: int, at_once: int) -> Cell:
    """So many cells of an experiment from one on; where there are no more the last one fills the chunk."""
    cells = cells_of(experiment)
    which = np.minimum(np.arange(start, start + at_once), len(cells.jitter) - 1)
    return jax.tree.map(lambda leaf: leaf[which], cells)


def cells_of(experiment: GridExperiment) -> Cell:
    """All cells of an experiment along one axis, seeds running fastest, then noises, then jitters."""
    jitter, noise, seed = (grid.ravel() for grid in np.meshgrid(
        experiment.jitters, experiment.noises, np.arange(experiment.seeds), indexing="ij"))
    keys = jax.vmap(lambda seed: jax.random.split(jax.random.fold_in(jax.random.key(0), seed)))(seed)
    return Cell(data=keys[:, 0], start=keys[:, 1], jitter=jnp.asarray(jitter, jnp.float32),
                noise=jnp.asarray(noise, jnp.float32))


def training_of(experiment: Experiment, objective: str, source: Source) -> Training:
    """How the cells of one objective of an experiment are trained on the rows of a source."""
    e = experiment
    return Training(
        objective=objective, views=source.views, train=e.train, validation=e.validation, batch=e.batch,
        architecture=Architecture(shape_x=source.shape_x, shape_y=source.shape_y, classes=source.classes,
                                  encoder=e.encoder, activation=e.activation, widths=e.widths, hidden=e.hidden,
                                  embedding=e.embedding, projection=e.projection),
        learning_rate=e.learning_rate, max_epochs=e.max_epochs, patience=e.patience, lam=e.lam,
        temperature=e.temperature, probed=e.probed, precision=e.precision)


class Chunks:
    """Trains chunks of a fixed number of cells, all of one objective, with programs that are compiled once.

    Args:
        training: how each cell is trained.
        devices: that share the cells of a chunk.
        at_once: cells in a chunk.
    """

    def __init__(self, training: GridTraining, devices: Sequence[Any], at_once: int):
        self._training, self._devices, self._at_once = training, devices, at_once
        self._start, self._epoch = training.programs(devices)

    def shapes(self, cells: Cell) -> Any:
        """Shapes and types of what `run` returns."""
        losses = jax.ShapeDtypeStruct((self._at_once, self._training.max_epochs, 2), np.float32)
        return jax.eval_shape(self._start, cells), losses

    def stopped(self, states: State) -> bool:
        """Whether all cells have stopped."""
        return bool(np.asarray(self._training.stopped(states)).all())

    def run(self, cells: Cell, place: Checkpoints | None, told: Callable[[str, int], None], *,
            check: Callable[[], None] | None = None, save_in: Checkpoints | None = None) -> tuple[State, np.ndarray]:
        """States after the last epoch, and losses of shape (cells, max_epochs, 2).

        Args:
            cells: of the chunk.
            place: the states of these cells, if they are kept.
            told: is called with a text and the epochs done.
            check: is called before anything is trained.
            save_in: where the states are saved if not in `place`.
        """
        save_in = place if save_in is None else save_in
        if len(self._devices) > 1:
            cells = jax.device_put(cells, NamedSharding(Mesh(self._devices, ("cells",)), PartitionSpec("cells")))
        training = self._training
        losses = np.full((self._at_once, training.max_epochs, 2), np.nan, np.float32)
        saved = None if place is None else place.restore(self.shapes(cells))
        states, losses = (self._start(cells), losses) if saved is None else saved[1]
        states, losses = jax.tree.map(jnp.asarray, states), losses.copy()
        if check is not None and not self.stopped(states):
            check()
        last_save, began, first_epoch = time.monotonic(), time.monotonic(), None
        while not self.stopped(states):
            # All cells that are still training have done the same number of epochs, which no stopped cell exceeds.
            epoch = int(np.max(states.epochs))
            first_epoch = epoch if first_epoch is None else first_epoch
            states, found = self._epoch(states, cells)
            losses[:, epoch] = found
            seconds_per_epoch = (time.monotonic() - began) / (epoch + 1 - first_epoch)
            left = seconds_per_epoch * (training.max_epochs - epoch - 1)
            finite = losses[:, epoch, 1][np.isfinite(losses[:, epoch, 1])]
            told(f"validation loss {f'{finite.mean():.4g}' if finite.size else 'not finite'}, "
                 f"at most {_duration_text(left)} left", epoch + 1)
            if save_in is not None and (time.monotonic() - last_save > _SECONDS_BETWEEN_SAVES or self.stopped(states)):
                save_in.save(epoch + 1, (states, losses))
                last_save = time.monotonic()
        return jax.tree.map(np.asarray, states), losses


def _curve_dataset(experiment, states, losses):
    """Learning curves of all cells of one objective."""
    return xr.Dataset(
        {"loss": ((*DIMS, "epoch", "split"), by_cell(experiment, losses)),
         "epochs": (DIMS, by_cell(experiment, states.epochs)),
         "best_loss": (DIMS, by_cell(experiment, states.best_loss)),
         "diverged": (DIMS, by_cell(experiment, states.diverged))},
        coords={"jitter": list(experiment.jitters), "noise": list(experiment.noises),
                "seed": np.arange(experiment.seeds), "epoch": np.arange(1, experiment.max_epochs + 1),
                "split": ["train", "validation"]},
        attrs={"experiment": experiment.to_json(), "computed_on": json.dumps(computed_on())})


def _duration_text(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
