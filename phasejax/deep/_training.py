"""Training of one cell: an objective, a data set that is a function of row numbers, a starting point.

An epoch is one compiled loop over shuffled minibatches, after which the validation loss decides
whether the parameters are the best so far. A cell stops when that has not happened for `patience`
epochs, when its epochs are used up, or when a loss is not finite; a stopped cell stays as it is,
so that cells in one program can stop at different epochs. Nothing is drawn but from the cell's
keys, the number of the row and the number of the epoch: a run continued from a saved state gives
the same result as one that was never interrupted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PyTree

from phasejax._core.pytree import pytree
from phasejax.deep import _objectives
from phasejax.deep._objectives import Architecture
from phasejax.deep.data import Cell, Views


@pytree
class State:
    """A training between two epochs.

    Args:
        params, optimiser: of the last step.
        best: parameters with the least validation loss so far.
        best_loss: that loss; infinite before the first epoch.
        since_best: epochs since then.
        epochs: done.
        diverged: whether a loss was not finite.
    """

    params: PyTree
    optimiser: PyTree
    best: PyTree
    best_loss: Float[Array, "*cells"]
    since_best: Int[Array, "*cells"]
    epochs: Int[Array, "*cells"]
    diverged: Bool[Array, "*cells"]


@dataclass(frozen=True, eq=False)
class Training:
    """How cells of one objective are trained.

    Args:
        objective: one of `objectives.OBJECTIVES`.
        architecture: of the networks.
        views: (cell, row numbers) to `Views`; the same row always looks the same.
        train, validation: rows from 0 on for training, and the rows after them for validation.
        batch: rows in a step, at most `train` and `validation`; what is left of a batch sits out.
        learning_rate: Adam's.
        max_epochs, patience: when to stop.
        lam, temperature: of the joint objective and of InfoNCE.
        probed: what a frozen probe sees, see `objectives.embed`.
        precision: "float32", or "bfloat16" for what the networks compute; parameters, losses and
            Adam stay in float32.
    """

    objective: str
    architecture: Architecture
    views: Callable[[Cell, Array], Views]
    train: int
    validation: int
    batch: int = 64
    learning_rate: float = 1e-3
    max_epochs: int = 100
    patience: int = 5
    lam: float = 1.0
    temperature: float = 0.1
    probed: str = "projection"
    precision: str = "float32"

    @cached_property
    def _graph(self):
        return nnx.graphdef(nnx.eval_shape(lambda: self._networks(jax.random.key(0))))

    def _networks(self, key):
        return _objectives.build(self.objective, self.architecture, nnx.Rngs(key))

    def start(self, cell: Cell) -> State:
        """Before the first epoch."""
        params = nnx.state(self._networks(cell.start), nnx.Param)
        return State(params=params, optimiser=self._adam.init(params), best=params,
                     best_loss=jnp.array(jnp.inf, jnp.float32), since_best=jnp.array(0), epochs=jnp.array(0),
                     diverged=jnp.array(False))

    def stopped(self, state: State) -> Bool[Array, "*cells"]:
        """Whether another epoch would change nothing."""
        return (state.since_best >= self.patience) | (state.epochs >= self.max_epochs) | state.diverged

    def epoch(self, state: State, cell: Cell) -> tuple[State, Float[Array, "2"]]:
        """One more epoch, and its mean training and validation loss; nothing and NaN for a stopped cell."""
        return jax.lax.cond(self.stopped(state), lambda: (state, jnp.full(2, jnp.nan)),
                            partial(self._epoch, state, cell))

    def embeddings(self, params: PyTree, cell: Cell, rows: Int[Array, "n"]) -> Float[Array, "n outputs"]:
        """What a frozen probe sees of some rows."""
        networks = self._merged(params)

        def some(rows):
            views = self.views(cell, rows)
            return _objectives.embed(self.objective, networks, views.x, views.y, self.probed).astype(jnp.float32)

        # The last row fills the last batch.
        filled = jnp.pad(rows, (0, -len(rows) % self.batch), mode="edge").reshape(-1, self.batch)
        found = jax.lax.map(some, filled)
        return found.reshape(-1, found.shape[-1])[:len(rows)]

    @property
    def _adam(self):
        return optax.adam(self.learning_rate)

    def _epoch(self, state, cell):
        order = jax.random.permutation(jax.random.fold_in(cell.start, state.epochs), self.train)
        steps = self.train // self.batch  # the remainder sits out until the next shuffle

        def step(carry, rows):
            params, optimiser = carry
            value, gradient = jax.value_and_grad(self._loss)(params, cell, rows)
            updates, optimiser = self._adam.update(gradient, optimiser, params)
            return (optax.apply_updates(params, updates), optimiser), value

        (params, optimiser), values = jax.lax.scan(
            step, (state.params, state.optimiser), order[:steps * self.batch].reshape(steps, self.batch))
        held_out = self.train + jnp.arange(self.validation // self.batch * self.batch).reshape(-1, self.batch)
        losses = jnp.stack([jnp.mean(values), jnp.mean(jax.lax.map(partial(self._loss, params, cell), held_out))])
        diverged = ~jnp.all(jnp.isfinite(losses))
        better = ~diverged & (losses[1] < state.best_loss)
        best, best_loss = jax.tree.map(partial(jnp.where, better), (params, losses[1]), (state.best, state.best_loss))
        return State(params=params, optimiser=optimiser, best=best, best_loss=best_loss,
                     since_best=jnp.where(better, 0, state.since_best + 1), epochs=state.epochs + 1,
                     diverged=diverged), losses

    def _loss(self, params, cell, rows):
        views = self.views(cell, rows)
        return _objectives.loss(self.objective, self._merged(params), views.x, views.y, views.label,
                               lam=self.lam, temperature=self.temperature)

    def _merged(self, params):
        return nnx.merge(self._graph, jax.tree.map(lambda leaf: leaf.astype(self.precision), params))
