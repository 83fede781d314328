"""Training of one cell: an objective, rows that are a function of their numbers, and a starting point.

An epoch is one compiled loop over shuffled minibatches. After it the validation loss decides whether the parameters
are the best so far. A cell stops when they have not been for `patience` epochs, when `max_epochs` are done, or when a
loss is not finite. A stopped cell stays as it is, so that cells in one program may stop at different epochs. All that
is random depends on the cell's keys, the number of the row and the number of the epoch, so that a run that goes on from
a saved state gives the same result as one that was never interrupted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PyTree

from phasejax._core.devices import over_cells
from phasejax._core.forks import check_not_forked
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax.deep import _objectives
from phasejax.deep._objectives import Architecture
from phasejax.deep.data import Cell, Views


@pytree
class State:
    """The state of a training between two epochs.

    Args:
        params: parameters of the networks after the last step.
        optimiser: state of Adam after the last step.
        best: parameters of the least validation loss so far.
        best_loss: that validation loss; infinite before the first epoch.
        since_best: number of epochs since that one.
        epochs: number of epochs done.
        diverged: whether a loss was not finite.
    """

    params: PyTree
    optimiser: PyTree
    best: PyTree
    best_loss: Float[HostOrDevice, "*cells"]
    since_best: Int[HostOrDevice, "*cells"]
    epochs: Int[HostOrDevice, "*cells"]
    diverged: Bool[HostOrDevice, "*cells"]


@dataclass(frozen=True, eq=False)
class Training:
    """How cells of one objective are trained.

    Args:
        objective: name of the objective, one of vicreg, deepcca, infonce, cp, cp_reverse, joint and supervised.
        architecture: sizes of the networks.
        views: gives the `Views` of a cell's rows by their numbers; the same row must always look the same.
        train, validation: number of training rows, from row 0 on, and of the validation rows after them.
        batch: rows in a step, at most `train` and `validation`; rows that fill no batch are left out of an epoch.
        learning_rate: step size of Adam.
        max_epochs, patience: a cell stops after so many epochs, or after so many without a better validation loss.
        lam: weight of alignment in the joint objective.
        temperature: temperature of InfoNCE.
        probed: what a frozen probe sees of alignment objectives, "projection", "both" or "embedding", as in
            `Experiment`.
        precision: precision of what the networks compute, "float32" or "bfloat16"; parameters, losses and Adam stay
            in float32.

    Source: K26, section 4 and appendix B.
    """

    objective: str
    architecture: Architecture
    views: Callable[[Cell, Int[Array, "n"]], Views]
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
    def _graph_definition(self):
        return nnx.graphdef(nnx.eval_shape(lambda: self._networks(jax.random.key(0))))

    def _networks(self, key):
        return _objectives.build(self.objective, self.architecture, nnx.Rngs(key))

    def start(self, cell: Cell) -> State:
        """The state before the first epoch: fresh parameters, which depend on the cell's `start` key."""
        check_not_forked()
        params = nnx.state(self._networks(cell.start), nnx.Param)
        return State(params=params, optimiser=self._adam.init(params), best=params,
                     best_loss=jnp.array(jnp.inf, jnp.float32), since_best=jnp.array(0), epochs=jnp.array(0),
                     diverged=jnp.array(False))

    def programs(self, devices: Sequence[Any]) -> tuple[Callable[..., State], Callable[..., tuple[State, Any]]]:
        """`start` and `epoch` of many cells, which the devices share, as compiled functions."""
        return over_cells(self.start, devices), over_cells(self.epoch, devices)

    def stopped(self, state: State) -> Bool[HostOrDevice, "*cells"]:
        """Whether a cell has stopped, so that another epoch would change nothing."""
        return (state.since_best >= self.patience) | (state.epochs >= self.max_epochs) | state.diverged

    def epoch(self, state: State, cell: Cell) -> tuple[State, Float[Array, "2"]]:
        """Train for one epoch.

        Args:
            state: from `start` or from another epoch.
            cell: the same in all epochs.

        Returns:
            The new state, and the epoch's mean training and validation loss. For a cell that has stopped the same
            state, and NaN.
        """
        check_not_forked()
        return jax.lax.cond(self.stopped(state), lambda: (state, jnp.full(2, jnp.nan)),
                            partial(self._epoch, state, cell))

    def embeddings(self, params: PyTree, cell: Cell, rows: Int[Array, "n"]) -> Float[Array, "n outputs"]:
        """What a frozen probe with these parameters sees of the given rows, see `probed`."""
        check_not_forked()
        networks = self._merged(params)

        def embed_batch(rows):
            views = self.views(cell, rows)
            return _objectives.embed(self.objective, networks, views.x, views.y, self.probed).astype(jnp.float32)

        # The last batch is filled up with copies of the last row.
        filled = jnp.pad(rows, (0, -len(rows) % self.batch), mode="edge").reshape(-1, self.batch)
        found = jax.lax.map(embed_batch, filled)
        return found.reshape(-1, found.shape[-1])[:len(rows)]

    @property
    def _adam(self):
        return optax.adam(self.learning_rate)

    def _epoch(self, state, cell):
        order = jax.random.permutation(jax.random.fold_in(cell.start, state.epochs), self.train)
        steps = self.train // self.batch  # rows that fill no batch are left out of this epoch

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
        """The networks with these parameters, in the precision that they compute in."""
        return nnx.merge(self._graph_definition, jax.tree.map(lambda leaf: leaf.astype(self.precision), params))
