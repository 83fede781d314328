"""One step of training networks of images and captions, as one compiled program on any number of devices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Key, PyTree

from phasejax._core.forks import check_not_forked
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_count, check_number, is_traced
from phasejax.captions._architecture import CaptionArchitecture, build_networks
from phasejax.captions._batch import PAD, CaptionBatch
from phasejax.captions._objectives import ENCODED, MOST_LOG_SCALE, is_log_scale, loss, parameters


@pytree
class CaptionState:
    """The state of a training between two steps.

    Args:
        params: parameters of the networks, float32.
        statistics: running averages of batch normalisation.
        optimiser: state of AdamW; None where no step follows.
        step: number of steps done.
    """

    params: PyTree
    statistics: PyTree
    optimiser: PyTree
    step: Int[HostOrDevice, ""]


@dataclass(frozen=True, eq=False)
class CaptionTraining:
    """How networks of images and captions are trained.

    A step is AdamW's on one batch, with a step size that falls from `learning_rate` to 0 along half a cosine. The
    decay acts on every parameter, biases and normalisations included, as in PyTorch's AdamW without groups of
    parameters; only CLIP's temperature is exempt.

    With several devices each has an equal share of a batch, and all have the parameters. Losses and statistics, those
    of batch normalisation, VICReg and InfoNCE too, are those of the whole batch, as on one device.

    With `accumulate` above 1 a batch is cut into so many parts, part j of rows j, j + accumulate, ..., whose gradients
    are averaged before the step; only one part's activations are in memory. Where the loss is a mean over rows, pixels
    or words ("cp", "cp_reverse", "supervised") and no layer mixes rows (`norm="group"`, ViT), the step is that of the
    whole batch. Otherwise it means something else: "vicreg", "infonce" and "joint" take covariances and negatives
    within a part, and batch normalisation takes its statistics there, so that a part must be large enough by itself.

    Args:
        objective: one of vicreg, infonce, cp (image to text), cp_reverse (text to image), joint and supervised.
        architecture: kinds and sizes of the networks.
        steps: number of steps of the whole training, over which the step size falls.
        learning_rate: first step size.
        weight_decay: a step also shortens parameters by the step size times this.
        accumulate: number of parts of a batch.
        lam: weight of alignment in "joint".
        prepare: makes a `CaptionBatch` of what `step` and `losses` are given and a key, on the device in the same
            program; when left out they are given one.
        devices: that share every batch; all local ones when left out.

    Raises:
        ValueError: an unknown objective, a number out of its range.

    Source: K26, section 4.3 (AdamW 1e-3, decay 1e-4, cosine).
    """

    objective: str
    architecture: CaptionArchitecture
    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    accumulate: int = 1
    lam: float = 1.0
    prepare: Callable[[Any, Key[Array, ""]], CaptionBatch] | None = None
    devices: Sequence[Any] | None = None

    def __post_init__(self):
        check_count("steps", self.steps)
        check_count("accumulate", self.accumulate)
        check_number("learning_rate", self.learning_rate, above=0)
        for name in ("weight_decay", "lam"):
            check_number(name, getattr(self, name), least=0)
        nnx.eval_shape(lambda: self._networks(jax.random.key(0)))  # refuses names and sizes that do not fit

    @property
    def encoded(self) -> tuple[str, ...]:
        """The parts of a batch, "images" and "tokens", that the objective trains encoders of."""
        return ENCODED[self.objective]

    def start(self, key: Key[Array, ""]) -> CaptionState:
        """The state before the first step, with fresh parameters."""
        check_not_forked()
        _, params, statistics = parameters(self._networks(key))
        state = CaptionState(params=params, statistics=statistics, optimiser=self._adamw.init(params),
                             step=jnp.array(0))
        # Where a step leaves the next state, so that the second step is the program of the first.
        return state if is_traced(*jax.tree.leaves(state)) else self.to_devices(state)

    def step(self, state: CaptionState, batch: Any, key: Key[Array, ""]) -> tuple[CaptionState, dict[str, Array]]:
        """Take one step.

        Outside of other programs this is a compiled program on all devices, and the memory of `state` is used for the
        new one, so that the old can not be used again. Within other programs it is a part of them.

        Args:
            state: from `start` or another step.
            batch: a `CaptionBatch`, or what `prepare` makes one of: arrays with the rows first, as many as are a
                multiple of the devices times `accumulate`.
            key: of what `prepare` draws.

        Returns:
            The new state; and by name the loss, its parts, the Euclidean length of the gradient, the step size, and
            whether loss and gradient were finite.

        Raises:
            ValueError: a number of rows that can not be shared out equally.
        """
        self._check_rows(batch)
        if is_traced(*jax.tree.leaves((state, batch, key))):
            return self._step(state, batch, key)
        return self._compiled_step(state, batch, key)

    def losses(self, state: CaptionState, batch: Any, key: Key[Array, ""]) -> dict[str, Array]:
        """The loss of a batch and its parts, by name, without a step; batch normalisation uses running averages."""
        if is_traced(*jax.tree.leaves((state, batch, key))):
            return self._losses(state, batch, key)
        return self._compiled_losses(replace(state, optimiser=None), batch, key)

    def embed_images(self, state: CaptionState, images: Float[HostOrDevice, "n size size 3"]
                     ) -> Float[Array, "n embedding"]:
        """Embeddings of images, on which alignment acts and which frozen probes see.

        Raises:
            ValueError: the objective has no encoder of images.
        """
        return self._embed("images", state, images)

    def embed_texts(self, state: CaptionState, tokens: Int[HostOrDevice, "n length"]) -> Float[Array, "n embedding"]:
        """Embeddings of captions, on which alignment acts and which frozen probes see.

        Raises:
            ValueError: the objective has no encoder of captions.
        """
        return self._embed("tokens", state, tokens)

    def to_devices(self, state: CaptionState) -> CaptionState:
        """A state, such as one read from a file, copied to all devices."""
        return jax.device_put(state, self._sharding())

    def networks(self, state: CaptionState) -> Any:
        """The networks of a state as Flax modules, by name: what `build_networks` makes."""
        return nnx.merge(self._graph_definition, state.params, state.statistics, copy=True)

    def with_networks(self, state: CaptionState, networks: Any) -> CaptionState:
        """A state with the parameters and running averages of other networks, such as pretrained ones."""
        _, params, statistics = parameters(networks)
        return replace(state, params=params, statistics=statistics)

    def _networks(self, key):
        return build_networks(self.objective, self.architecture, nnx.Rngs(key))

    @cached_property
    def _graph_definition(self):
        return parameters(nnx.eval_shape(lambda: self._networks(jax.random.key(0))))[0]

    @cached_property
    def _schedule(self):
        return optax.cosine_decay_schedule(self.learning_rate, self.steps)

    @cached_property
    def _adamw(self):
        # AdamW, as optax.adamw composes it, with all moments in one vector each: on a processor their update takes a
        # third of the time that it takes one array after the other.
        return optax.chain(
            optax.flatten(optax.scale_by_adam()),
            optax.add_decayed_weights(self.weight_decay, mask=lambda params: (
                jax.tree_util.tree_map_with_path(lambda path, _: not is_log_scale(path), params))),
            optax.scale_by_learning_rate(self._schedule))

    def _step(self, state, batch, key):
        seen = batch if self.prepare is None else self.prepare(batch, key)
        (gradient, statistics), metrics = self._gradient(state, seen)
        updates, optimiser = self._adamw.update(gradient, state.optimiser, state.params)
        params = jax.tree_util.tree_map_with_path(
            lambda path, leaf: jnp.minimum(leaf, MOST_LOG_SCALE) if is_log_scale(path) else leaf,
            optax.apply_updates(state.params, updates))
        length = optax.tree.norm(gradient)
        metrics |= {"gradient_norm": length, "learning_rate": jnp.asarray(self._schedule(state.step)),
                    "finite": jnp.isfinite(metrics["loss"]) & jnp.isfinite(length)}
        return CaptionState(params=params, statistics=statistics, optimiser=optimiser, step=state.step + 1), metrics

    def _gradient(self, state, batch):
        """The gradient of the mean loss over the parts of a batch, and what the parts' losses and statistics are."""
        parts = self.accumulate
        # The words of a part of average length: dividing by them makes the mean over parts that over all words.
        words = jnp.maximum(jnp.sum(batch.tokens != PAD), 1) / parts

        def loss_of(params, statistics, part):
            networks = nnx.merge(self._graph_definition, params, statistics, copy=True)
            value, metrics = loss(self.objective, networks, part, lam=self.lam, train=True, words=words)
            return value, (parameters(networks)[2], {"loss": value, **metrics})

        def of_part(statistics, part):
            gradient, (statistics, metrics) = jax.grad(loss_of, has_aux=True)(state.params, statistics, part)
            return statistics, (gradient, metrics)

        if parts == 1:
            statistics, (gradient, metrics) = of_part(state.statistics, batch)
            return (gradient, statistics), metrics

        def added(carry, part):
            statistics, total = carry
            statistics, found = of_part(statistics, part)
            return (statistics, jax.tree.map(lambda old, new: old + new / parts, total, found)), None

        # Every parts-th row, so that rows stay on their device.
        cut = jax.tree.map(lambda leaf: jnp.moveaxis(leaf.reshape(-1, parts, *leaf.shape[1:]), 1, 0), batch)
        shapes = jax.eval_shape(lambda: of_part(state.statistics, jax.tree.map(lambda leaf: leaf[0], cut))[1])
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        (statistics, (gradient, metrics)), _ = jax.lax.scan(added, (state.statistics, zeros), cut)
        return (gradient, statistics), metrics

    def _losses(self, state, batch, key):
        seen = batch if self.prepare is None else self.prepare(batch, key)
        value, metrics = loss(self.objective, self.networks(state), seen, lam=self.lam, train=False)
        return {"loss": value, **metrics}

    def _embed(self, part, state, rows):
        if part not in self.encoded:
            raise ValueError(f"objective: expected one with an encoder of {part}, got {self.objective!r}")
        return self._embeddings[part](replace(state, optimiser=None), rows)

    @cached_property
    def _embeddings(self):
        return {"images": jax.jit(lambda state, rows: self.networks(state)["image_encoder"](rows, train=False)),
                "tokens": jax.jit(lambda state, rows: self.networks(state)["text_encoder"](rows))}

    @cached_property
    def _compiled_step(self):
        everywhere, rows = self._sharding(), self._sharding("rows")
        return jax.jit(self._step, donate_argnums=0, in_shardings=(everywhere, rows, everywhere),
                       out_shardings=everywhere)

    @cached_property
    def _compiled_losses(self):
        everywhere, rows = self._sharding(), self._sharding("rows")
        return jax.jit(self._losses, in_shardings=(everywhere, rows, everywhere), out_shardings=everywhere)

    def _sharding(self, *axes):
        return NamedSharding(self._mesh, PartitionSpec(*axes))

    @cached_property
    def _mesh(self):
        return Mesh(np.array(jax.local_devices() if self.devices is None else self.devices), ("rows",))

    def _check_rows(self, batch):
        n, parts, devices = jax.tree.leaves(batch)[0].shape[0], self.accumulate, self._mesh.size
        if not n or n % (parts * devices):
            raise ValueError(f"batch: expected a multiple of {parts * devices} rows ({devices} devices times {parts} "
                             f"parts), got {n}")
