"""Share the trainings of a grid out to the workers of an executor: each trains chunks of cells and saves their states.

A worker compiles the programs of an objective once, and is then told which chunk is next. With a store it saves what it
trains there, in a folder of its own, and only says where; the process that asked for the training makes it the state of
these cells. Without a store the results come back with the answer.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from phasejax._core.manifest import DamagedFolderError
from phasejax._core.progress import ProgressCallback
from phasejax._core.remote_tasks import Job, run_tasks
from phasejax.deep._checkpoints import Checkpoints
from phasejax.deep._grid import Chunks, cells_of, chunk_name, chunk_of
from phasejax.deep._grid_experiment import GridExperiment, GridTraining
from phasejax.deep._training import State
from phasejax.deep._training_store import TrainingStore


class _Chunk(NamedTuple):
    """Cells of one objective, by the number of the first."""

    objective: str
    start: int


class _Saved(NamedTuple):
    """Where a worker saved a chunk: the name of the folder, and the owner of its states."""

    attempt: str
    owner: str


def train_elsewhere(executor: Executor, experiment: GridExperiment, trainings: Callable[[str], GridTraining],
                    at_once: int, kept: TrainingStore | None, advance: ProgressCallback) -> Iterator[tuple[str, list]]:
    """Every objective with states and losses of its chunks, trained by the workers of an executor.

    The states are without what only a training that goes on needs.

    Args:
        executor: any.
        experiment: what is trained.
        trainings: how its cells are trained, by objective.
        at_once: cells in a chunk.
        kept: where states are kept, if anywhere; at the same path for all workers.
        advance: called with the number of cells that are done.

    Raises:
        ValueError, ConnectionError: as `run_tasks`; a store that workers do not see.
    """
    count, devices = len(cells_of(experiment).jitter), jax.local_devices()[:1]
    chunks = {objective: Chunks(trainings(objective), devices, at_once)
              for objective in experiment.objectives}
    found: dict[_Chunk, tuple[State, np.ndarray]] = {}
    missing = [_Chunk(objective, start) for objective in experiment.objectives for start in range(0, count, at_once)]
    if kept is not None:
        for chunk in list(missing):
            saved = _restored(kept, chunks[chunk.objective], experiment, chunk, at_once)
            if saved is not None and chunks[chunk.objective].stopped(saved[0]):
                found[chunk] = _needed(*saved)
                missing.remove(chunk)
        if missing:
            kept.check_may_train()

    def cells_done():
        return sum(min(at_once, count - chunk.start) for chunk in found)

    total = count * len(experiment.objectives)
    advance("trainings", cells_done(), total)
    folder = None if kept is None else kept.folder.absolute()
    job = Job(_Trainer(experiment, experiment.data_checksum(), at_once, folder, None if kept is None else kept.owner),
              "experiment", of_cores=True)
    again = "run again to start anew" if kept is None else f"run again to resume from {kept.folder}"
    for chunk, answer in run_tasks(executor, job, missing, named=_named, resume=again):
        here = chunks[chunk.objective]
        if kept is not None:
            place = kept.checkpoints(chunk_name(chunk.objective, chunk.start, at_once))
            try:
                place.adopt(*answer)
            except DamagedFolderError as error:
                raise ValueError("store: expected a folder that all workers see at the same path, got "
                                 f"{kept.folder}, where {error}") from None
            found[chunk] = _needed(*_restored(kept, here, experiment, chunk, at_once))
        else:
            shapes = _needed(*here.shapes(chunk_of(experiment, chunk.start, at_once)))
            found[chunk] = jax.tree.unflatten(jax.tree.structure(shapes), answer)
        advance("trainings", cells_done(), total)
    for objective in experiment.objectives:
        yield objective, [found[_Chunk(objective, start)] for start in range(0, count, at_once)]


def _restored(kept: TrainingStore, chunks: Chunks, experiment: GridExperiment, chunk: _Chunk, at_once: int) -> Any:
    """States and losses of a chunk in a store; None where there are none."""
    found = kept.checkpoints(chunk_name(chunk.objective, chunk.start, at_once)).restore(
        chunks.shapes(chunk_of(experiment, chunk.start, at_once)))
    return None if found is None else found[1]


def _needed(states: State, losses: Any) -> tuple[State, Any]:
    """States without their last parameters and Adam's, which take more room than the best."""
    return dataclasses.replace(states, params=None, optimiser=None), losses


def _named(chunk: _Chunk) -> str:
    return f"{chunk.objective} from cell {chunk.start + 1} on"


class _Trainer:
    """Trains chunks in a worker, and keeps the programs that it has compiled.

    Args:
        experiment: what is trained.
        data: SHA-256 of the experiment's data, if it has a path.
        at_once: cells in a chunk.
        folder: of the store, if there is one.
        owner: of the states in it.
    """

    def __init__(self, experiment: GridExperiment, data: str | None, at_once: int, folder: Path | None,
                 owner: str | None):
        self._arguments = experiment, data, at_once, folder, owner
        self._trainings: Callable[[str], GridTraining] | None = None
        self._chunks: dict[str, Chunks] = {}
        self._compiling = threading.Lock()

    def __reduce__(self):
        return _Trainer, self._arguments

    def __call__(self, chunk: _Chunk) -> _Saved | list[np.ndarray]:
        """Train a chunk: where it was saved, or without a store the leaves of its states and losses."""
        experiment, _, at_once, folder, owner = self._arguments
        chunks, cells = self._programs(chunk.objective), chunk_of(experiment, chunk.start, at_once)
        if folder is None or owner is None:
            found = chunks.run(cells, None, _untold)
            return [np.asarray(leaf) for leaf in jax.tree.leaves(_needed(*found))]
        place = Checkpoints(folder / chunk_name(chunk.objective, chunk.start, at_once), owner)
        attempt = place.attempt()
        states, losses = chunks.run(cells, place, _untold, save_in=attempt)
        if not attempt.steps():  # another worker's attempt was finished
            attempt.save(int(np.max(states.epochs)), (states, losses))
        return _Saved(attempt.folder.name, attempt.owner)

    def _programs(self, objective: str) -> Chunks:
        experiment, data, at_once, _, _ = self._arguments
        with self._compiling:
            if self._trainings is None:
                if experiment.data_checksum() != data:
                    raise ValueError(f"path: expected the same content for all workers, got another {experiment.path}")
                self._trainings = experiment.trainings()
            if objective not in self._chunks:
                self._chunks[objective] = Chunks(self._trainings(objective), jax.local_devices()[:1], at_once)
            return self._chunks[objective]


def _untold(detail: str, epoch: int) -> None:
    """Say nothing: the process that asked for the training counts what is done."""
