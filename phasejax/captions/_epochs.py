"""Epochs of a training on images and captions, as the grid engine of `phasejax.deep` wants them.

Where the images fit into the memory of one device, an epoch is a few compiled loops over shuffled batches. Otherwise,
and where several devices share every batch, a loader hands over one batch at a time. In either case the distortions of
a row are drawn on the device, from a key that depends on the cell, the row and the epoch, so that a run that goes on
from a saved state sees what one that was never interrupted sees.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree

from phasejax._core.devices import device_memory
from phasejax._core.forks import check_not_forked
from phasejax.captions._architecture import CaptionArchitecture
from phasejax.captions._batch import CaptionBatch
from phasejax.captions._experiment import CaptionExperiment
from phasejax.captions._loader import load_batches
from phasejax.captions._nuisance import CaptionNuisance
from phasejax.captions._pairs import CaptionRows
from phasejax.captions._present import present
from phasejax.captions._sources import CaptionSource
from phasejax.captions._training_step import CaptionTraining
from phasejax.deep._training import State
from phasejax.deep.data import Cell

# Images are held on the device where they fill no more than this share of its memory.
_RESIDENT_SHARE = 0.4
# Bytes of images that are made ready at a time.
_BLOCK = 2**28
_HELD_OUT, _CLEAN = 0, 1  # numbers of the keys of what is not drawn anew in every epoch


class CaptionEpochs:
    """How cells of one objective are trained, an epoch at a time (a `GridTraining`).

    Args:
        experiment: what is trained.
        objective: one of its objectives.
        source: its rows.
        devices: that share every batch; all local ones when left out.
    """

    def __init__(self, experiment: CaptionExperiment, objective: str, source: CaptionSource,
                 devices: Sequence[Any] | None = None):
        e, pairs = experiment, source.pairs
        self.experiment, self.source = e, source
        self._devices = tuple(jax.local_devices() if devices is None else devices)
        split = source.split(Cell(data=jax.random.key(0), start=jax.random.key(0), jitter=jnp.array(0.0),
                                  noise=jnp.array(0.0)))
        self.batches = len(split.train) // e.batch
        self.held_out_batches = len(split.validation) // e.batch
        if not (self.batches and self.held_out_batches):
            least, what = min((len(split.validation), "validation"), (len(split.train), "training"))
            raise ValueError(f"batch: expected at most {least}, the {what} rows, got {e.batch}")
        # Without any nuisance the program need not hold what would draw it.
        drawn = any(e.noises) or any(e.jitters)
        self.nuisance = CaptionNuisance(mode=e.mode if drawn else "none", jitter_to=e.jitter_to)
        self.architecture = CaptionArchitecture(
            size=e.size, vocabulary=len(pairs.vocabulary), length=pairs.tokens.shape[-1],
            classes=len(pairs.label_names), **e.networks)
        self.training = CaptionTraining(
            objective=objective, architecture=self.architecture, steps=e.max_epochs * self.batches,
            learning_rate=e.learning_rate, weight_decay=e.weight_decay, accumulate=e.accumulate, lam=e.lam,
            devices=self._devices)
        self.resident = len(self._devices) == 1 and pairs.images.nbytes < _RESIDENT_SHARE * device_memory()

    @property
    def max_epochs(self) -> int:
        """The most epochs of a cell."""
        return self.experiment.max_epochs

    def stopped(self, state: State) -> Any:
        """Whether a cell has stopped, so that another epoch would change nothing."""
        return (state.since_best >= self.experiment.patience) | (state.epochs >= self.max_epochs) | state.diverged

    def programs(self, devices: Sequence[Any]) -> tuple[Callable[..., State], Callable[..., tuple[State, Any]]]:
        """The state of one cell before the first epoch, and one epoch of it; both with a leading axis of one cell."""
        return jax.jit(lambda cells: _stacked(self.start(_only(cells)))), self._epoch_of_one

    def start(self, cell: Cell) -> State:
        """The state before the first epoch: fresh parameters, which depend on the cell's `start` key."""
        check_not_forked()
        params = self.training.start(cell.start)
        return State(params=params, optimiser=(), best=_without_optimiser(params),
                     best_loss=jnp.array(jnp.inf, jnp.float32), since_best=jnp.array(0), epochs=jnp.array(0),
                     diverged=jnp.array(False))

    def epoch(self, state: State, cell: Cell) -> tuple[State, Float[Array, "2"]]:
        """Train for one epoch, unless the cell has stopped: as `phasejax.deep.Training.epoch`."""
        check_not_forked()
        if bool(self.stopped(state)):
            return state, jnp.full(2, jnp.nan)
        # All in one place, since arrays whose place was not chosen would be of another type to compiled programs.
        state, cell = jax.device_put((state, cell), self._everywhere)
        params, values = state.params, []
        for seen, key in self._resident_blocks(state, cell) if self.resident else self._loaded_blocks(state, cell):
            params, found = self._steps(params, seen, key)
            values.append(found)
        return _advanced(state, params, jnp.concatenate(values).mean(), self._held_out_loss(params, cell))

    def clean(self, rows: CaptionRows) -> CaptionBatch:
        """Rows as probes see them: first caption, no nuisance."""
        return self._clean(replace(rows, tokens=rows.tokens[:, :1], donors=rows.donors[:, :1]))

    @cached_property
    def _clean(self):
        nuisance = CaptionNuisance(mode="none")
        return jax.jit(lambda rows: present(jax.random.key(_CLEAN), rows, nuisance))

    @cached_property
    def _pool(self) -> CaptionRows:
        """All rows to train on, on the device."""
        return jax.device_put(self.source.pairs.rows(np.arange(len(self.source.pairs))), self._everywhere)

    def _rows_of(self, cell: Cell) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "v"]]:
        split = self.source.split(cell)
        return split.train, split.validation[:self.held_out_batches * self.experiment.batch]

    def _epoch_of_one(self, states: State, cells: Cell) -> tuple[State, Float[Array, "1 2"]]:
        return jax.tree.map(lambda leaf: leaf[None], self.epoch(_only(states), _only(cells)))

    @cached_property
    def _steps(self):
        """A step on each batch of a block, and their losses."""
        def steps(params, seen, key):
            def step(params, batch):
                params, metrics = self.training.step(params, batch, key)
                return params, metrics["loss"]

            return jax.lax.scan(step, params, seen)

        return jax.jit(steps)

    def _resident_blocks(self, state: State, cell: Cell) -> Iterator[tuple[CaptionBatch, Key[Array, ""]]]:
        """The batches of an epoch, from images on the device, several at a time."""
        train, batch = self._rows_of(cell)[0], self.experiment.batch
        order = jax.random.permutation(jax.random.fold_in(cell.start, state.epochs), jnp.asarray(train))
        key = _key_of_epoch(cell, state.epochs)
        for rows in order[:self.batches * batch].reshape(-1, self._batches_in_block, batch):
            yield _seen(self._pool, rows, key, self.nuisance, cell.noise, cell.jitter), key

    def _loaded_blocks(self, state: State, cell: Cell) -> Iterator[tuple[CaptionBatch, Key[Array, ""]]]:
        """The batches of an epoch from a loader, one at a time."""
        key = _key_of_epoch(cell, state.epochs)
        # The seed of a cell's order of rows: a number of its own for every start key.
        seed = int(np.asarray(jax.random.bits(cell.start)))
        for rows in load_batches(self.source.pairs, self.experiment.batch, rows=self._rows_of(cell)[0], seed=seed,
                                 epoch=int(state.epochs), sharding=self._rows):
            seen = present(key, rows, self.nuisance, cell.noise, cell.jitter)
            yield jax.tree.map(lambda leaf: leaf[None], seen), key

    def _held_out_loss(self, params: Any, cell: Cell) -> Float[Array, ""]:
        """The mean loss of the validation rows, which look the same after every epoch."""
        key, found = jax.random.fold_in(cell.data, _HELD_OUT), []
        for taken in self._rows_of(cell)[1].reshape(-1, self.experiment.batch):
            rows = jax.device_put(self.source.held_out.rows(taken), self._rows)
            seen = present(key, rows, self.nuisance, cell.noise, cell.jitter)
            found.append(self.training.losses(params, seen, key)["loss"])
        return jnp.stack(found).mean()

    @property
    def _batches_in_block(self) -> int:
        """The most that divide an epoch evenly and whose images fill no more than a fixed number of bytes."""
        most = max(1, _BLOCK // (self.experiment.batch * 4 * 3 * self.experiment.size**2))
        return max(count for count in range(1, min(most, self.batches) + 1) if self.batches % count == 0)

    @cached_property
    def _rows(self) -> NamedSharding:
        """Rows of a batch over the devices."""
        return NamedSharding(Mesh(np.array(self._devices), ("rows",)), PartitionSpec("rows"))

    @cached_property
    def _everywhere(self) -> NamedSharding:
        """The same on all devices."""
        return NamedSharding(self._rows.mesh, PartitionSpec())


@partial(jax.jit, static_argnames="nuisance")
def _seen(pool, rows, key, nuisance, level, jitter):
    """Rows (batches, batch) of a pool as networks see them in training, compiled once for all objectives."""
    return jax.lax.map(lambda taken: present(key, _taken(pool, taken), nuisance, level, jitter), rows)


@jax.jit
def _advanced(state, params, loss, held_out):
    """The state after an epoch, and its losses."""
    losses = jnp.stack([loss, held_out]).astype(jnp.float32)
    diverged = ~jnp.all(jnp.isfinite(losses))
    better = ~diverged & (losses[1] < state.best_loss)
    best, best_loss = jax.tree.map(lambda new, old: jnp.where(better, new, old),
                                   (_without_optimiser(params), losses[1]), (state.best, state.best_loss))
    return State(params=params, optimiser=(), best=best, best_loss=best_loss,
                 since_best=jnp.where(better, 0, state.since_best + 1), epochs=state.epochs + 1,
                 diverged=diverged), losses


def _key_of_epoch(cell: Cell, epoch: Any) -> Key[Array, ""]:
    """The key of what is drawn anew in every epoch."""
    return jax.random.fold_in(cell.data, epoch + 2)


def _without_optimiser(params):
    """A state of networks without what only further steps need."""
    return replace(params, optimiser=None)


def _taken(pool: PyTree, rows: Int[Array, "n"]) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[rows], pool)


def _only(tree: PyTree) -> PyTree:
    """The single cell of a tree with a leading axis of cells."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _stacked(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[None], tree)
