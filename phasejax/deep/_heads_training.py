"""Training of heads with early stopping: every seed and setting of an objective is a cell of a compiled program.

After every epoch the validation loss of a cell decides whether its networks are the best so far, and these are what the
training returns. A cell stops when they have not been for `patience` epochs. On a CPU a cell is a call of its program,
and several run at once, each in a thread, as programs are compiled; elsewhere all cells of a program are one batch.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from phasejax._core.devices import local_slots
from phasejax._core.progress import ProgressCallback
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax.deep._heads_programs import HeadCell, PairProgram, SupervisedProgram

# Parts of a training after which progress is told.
_PARTS = 5


@pytree
class HeadState:
    """A training between two epochs.

    Args:
        flat: all parameters of the networks, as one vector; AdamW takes one step for all.
        means: running means of batch norm.
        optimiser: state of AdamW.
        best, best_means: parameters and running means at the least validation loss so far.
        best_loss: that loss; infinite before the first epoch.
        best_epoch: its epoch, from 1 on; 0 before the first.
        epochs: that are done.
        diverged: whether a loss was not finite.
        losses: training and validation loss of each epoch, NaN where there was none.
    """

    flat: Any
    means: Any
    optimiser: Any
    best: Float[HostOrDevice, "*cells_p"]
    best_means: Any
    best_loss: Float[HostOrDevice, "*cells"]
    best_epoch: Int[HostOrDevice, "*cells"]
    epochs: Int[HostOrDevice, "*cells"]
    diverged: Bool[HostOrDevice, "*cells"]
    losses: Float[HostOrDevice, "*cells_epochs"]


@dataclass(frozen=True)
class HeadTraining:
    """How the cells of a program are trained.

    Args:
        program: networks and losses.
        batch: rows in a step; all training rows where there are fewer.
        epochs: a cell stops after so many.
        patience: or after so many without a lower validation loss.
    """

    program: PairProgram | SupervisedProgram
    batch: int
    epochs: int
    patience: int

    def start(self, cell: HeadCell, data: Any) -> HeadState:
        """The state before the first epoch."""
        layers, means = self.program.new(cell.start)
        flat = ravel_pytree(layers)[0]
        return HeadState(flat=flat, means=means, optimiser=self._adam(cell, data).init(flat), best=flat,
                         best_means=means, best_loss=jnp.array(jnp.inf, jnp.float32), best_epoch=jnp.array(0),
                         epochs=jnp.array(0), diverged=jnp.array(False),
                         losses=jnp.full((self.epochs, 2), jnp.nan, jnp.float32))

    def train(self, state: HeadState, cell: HeadCell, data: Any, last: Int[Array, ""]) -> HeadState:
        """The state after `last` epochs, or after as many as the cell takes to stop."""
        def active(state):
            return ((state.epochs < last) & (state.epochs - state.best_epoch < self.patience) & ~state.diverged)

        return jax.lax.while_loop(active, lambda state: self._epoch(state, cell, data), state)

    def _shape(self, data):
        """Steps of an epoch, and rows in a step."""
        batch = min(self.batch, data.count)
        return data.count // batch, batch

    def _adam(self, cell, data):
        steps, settings = self._shape(data)[0], cell.settings
        schedule = optax.cosine_decay_schedule(1.0, self.epochs * steps)
        return optax.adamw(lambda count: settings.learning_rate * schedule(count), weight_decay=settings.weight_decay)

    def _epoch(self, state, cell, data):
        steps, batch = self._shape(data)
        of_order, of_dropout = jax.random.split(jax.random.fold_in(cell.start, 100 + state.epochs))
        order = jax.random.permutation(of_order, data.count)[:steps * batch]
        adam = self._adam(cell, data)

        def step(carry, of):
            (flat, means, optimiser), (number, places) = carry, of
            key = jax.random.fold_in(of_dropout, number)
            (found, means), gradient = jax.value_and_grad(self.program.loss, has_aux=True)(
                flat, means, cell, data, self.program.rows(cell, data, places), key)
            updates, optimiser = adam.update(gradient, optimiser, flat)
            return (optax.apply_updates(flat, updates), means, optimiser), found

        carry: Any
        carry, trained = jax.lax.scan(
            step, (state.flat, state.means, state.optimiser), (jnp.arange(steps), order.reshape(steps, batch)))
        flat, means, optimiser = carry
        pair = jnp.stack([jnp.mean(trained), self.program.validation_loss(flat, means, cell, data)])
        diverged = ~jnp.all(jnp.isfinite(pair))
        better = ~diverged & (pair[1] < state.best_loss)
        best, best_means, best_loss, best_epoch = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), (flat, means, pair[1], state.epochs + 1),
            (state.best, state.best_means, state.best_loss, state.best_epoch))
        return HeadState(flat=flat, means=means, optimiser=optimiser, best=best, best_means=best_means,
                         best_loss=best_loss, best_epoch=best_epoch, epochs=state.epochs + 1, diverged=diverged,
                         losses=state.losses.at[state.epochs].set(pair))


@lru_cache(maxsize=16)
def _compiled(training, together):
    """`start` and `train` of many cells."""
    if together:
        return jax.jit(jax.vmap(training.start, (0, None))), jax.jit(jax.vmap(training.train, (0, 0, None, None)))
    return (jax.jit(lambda cells, data: jax.lax.map(lambda cell: training.start(cell, data), cells)),
            jax.jit(lambda states, cells, data, last: jax.lax.map(lambda one: training.train(*one, data, last),
                                                                  (states, cells))))


def train_cells(jobs: Sequence[tuple[HeadTraining, HeadCell]], data: Any, advance: ProgressCallback,
                task: str = "heads") -> list[HeadState]:
    """The state of each cell after training, without what only a training that goes on needs.

    Args:
        jobs: what is trained and how, and an objective with its seed and hyper-parameters, for each cell.
        data: the rows that all cells see.
        advance: called with the number of epochs done, and the most that may be done.
        task: what the callback is told is being done.
    """
    slots = local_slots()
    together = slots[0].platform != "cpu"
    of_training: dict[HeadTraining, list[int]] = {}
    for place, (training, _) in enumerate(jobs):
        of_training.setdefault(training, []).append(place)
    groups = [group for own in of_training.values() for group in ([own] if together else [[place] for place in own])]
    data = jax.tree.map(jnp.asarray, data)
    found: list[Any] = [None] * len(jobs)
    done, telling = 0, Lock()
    most = sum(training.epochs for training, _ in jobs)

    def begun(group):
        training = jobs[group[0]][0]
        start, train = _compiled(training, together)
        batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(jobs[place][1] for place in group))
        return training, train, batch, start(batch, data)

    def compiled(own):
        _, train, batch, states = begun(own if together else own[:1])
        jax.block_until_ready(train(states, batch, data, jnp.int32(0)))

    def run(group):
        nonlocal done
        training, train, batch, states = begun(group)
        for first, last in pairwise(np.linspace(0, training.epochs, _PARTS + 1).astype(np.int32).tolist()):
            states = train(states, batch, data, jnp.int32(last))
            jax.block_until_ready(states)
            with telling:
                done += (last - first) * len(group)
                advance(f"{task}, epochs of all trainings", done, most)
        states = jax.tree.map(np.asarray, [getattr(states, name) for name in _KEPT])
        for i, place in enumerate(group):
            found[place] = HeadState(flat=None, means=None, optimiser=None, **dict(zip(
                _KEPT, jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), states), strict=True)))

    with ThreadPoolExecutor(1 if together else len(slots)) as pool:
        list(pool.map(compiled, of_training.values()))  # once each, though several threads will run them
        list(pool.map(run, groups))
    return found


_KEPT = ("best", "best_means", "best_loss", "best_epoch", "epochs", "diverged", "losses")
