"""What heads minimise: a program for each set of networks that objectives on pairs train, and one of supervised heads.

Alignment objectives share a program, in which a number tells one from another; the others have one each, since networks
that an objective does not train would double its time. Seeds and hyper-parameters are arguments of a program. A
supervised head sees the columns of both views, of which those that
it may not use are 0, and has as many outputs as the target with the most classes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax.deep import losses
from phasejax.deep._heads_networks import applied, deepcca, hidden_scales, new_layers, new_means
from phasejax.deep._heads_settings import ALIGNMENTS
from phasejax.linear import info_nce_loss

# Which encoders each of `PAIRED` has, and which of their outputs a probe sees: both of alignment, as published.
ENCODED = {"CP x->y": "x", "CP y->x": "y"}
PROBED = dict.fromkeys(ALIGNMENTS, "xy") | ENCODED | {"joint": "x"}
_ROLES = ("encoder_x", "encoder_y", "decoder_x", "decoder_y")
# The networks that each trains.
_TRAINED = dict.fromkeys(ALIGNMENTS, _ROLES[:2]) | {
    "CP x->y": ("encoder_x", "decoder_y"), "CP y->x": ("encoder_y", "decoder_x"),
    "joint": ("encoder_x", "encoder_y", "decoder_y")}
# Validation rows on which a loss is computed at a time: InfoNCE compares each with all others.
_ROWS_AT_A_TIME = 1024


@pytree
class HeadSettings:
    """Hyper-parameters of a training.

    Args:
        learning_rate: step size of AdamW at the first step; it falls to 0 along a cosine.
        weight_decay: of AdamW, whose step takes away learning_rate times weight_decay of every parameter.
        dropout: share of the hidden values that are set to 0.
        alpha: weight of alignment in the joint objective; that of prediction is 1 - alpha.
        temperature: of InfoNCE.
    """

    learning_rate: Any
    weight_decay: Any
    dropout: Any
    alpha: Any
    temperature: Any


@pytree
class HeadCell:
    """One training.

    Args:
        start: key of the first parameters, the minibatches and dropout.
        kind: the place of the objective in `PAIRED`, or of a supervised head's target.
        columns: of a supervised head, 1 for each column that it sees and 0 for the others; else empty.
        settings: hyper-parameters.
    """

    start: Array
    kind: Int[HostOrDevice, "*cells"]
    columns: Float[HostOrDevice, "*cells_columns"]
    settings: HeadSettings


@pytree
class PairRows:
    """Standardised pairs, for training and for validation, the latter in random order."""

    x: Float[HostOrDevice, "n d_x"]
    y: Float[HostOrDevice, "n d_y"]
    x_validation: Float[HostOrDevice, "v d_x"]
    y_validation: Float[HostOrDevice, "v d_y"]

    @property
    def count(self) -> int:
        """Number of training rows."""
        return self.x.shape[0]


@pytree
class LabelledRows:
    """Standardised rows and targets, for training and for validation; rows without a target are not drawn.

    Args:
        x, x_validation: the columns of both views.
        rows: for each target the training rows that have it, first of all `count` places; then zeros.
        counts: how many these are.
        values: the targets of these rows, classes or standardised values.
        classes: for each target the number of its classes; 0 for real values.
        values_validation: the targets of all validation rows, 0 where there is none.
        weights_validation: 1 where there is one, else 0.
    """

    x: Float[HostOrDevice, "n d"]
    x_validation: Float[HostOrDevice, "v d"]
    rows: Int[HostOrDevice, "t m"]
    counts: Int[HostOrDevice, "t"]
    values: Float[HostOrDevice, "t m"]
    classes: Int[HostOrDevice, "t"]
    values_validation: Float[HostOrDevice, "t v"]
    weights_validation: Float[HostOrDevice, "t v"]

    @property
    def count(self) -> int:
        """Number of training rows."""
        return self.x.shape[0]


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of the networks of heads.

    Args:
        d_x, d_y: columns of the views.
        bottleneck: k, outputs of an encoder.
        widths: of the hidden layers of encoders, first to last.
        norm: "batch", "layer" or None.
    """

    d_x: int
    d_y: int
    bottleneck: int
    widths: tuple[int, ...]
    norm: str | None

    def of(self, role: str) -> tuple[int, ...]:
        """Inputs, hidden widths and outputs of a network."""
        widths = (self.d_x if role.endswith("x") else self.d_y, *self.widths, self.bottleneck)
        return widths if role.startswith("encoder") else widths[::-1]

    def program(self, objective: str) -> "PairProgram":
        """What trains an objective on pairs."""
        return PairProgram(self, _TRAINED[objective])


@dataclass(frozen=True)
class PairProgram:
    """Objectives on pairs that train the same networks.

    Args:
        sizes: of the networks.
        roles: the networks: both encoders alone align, an encoder and a decoder predict, all three do both.
    """

    sizes: HeadSizes
    roles: tuple[str, ...]

    def new(self, start: Key[Array, ""]) -> Any:
        """Parameters of the networks and running means; the same start gives a network the same in all programs."""
        layers = {role: new_layers(jax.random.fold_in(start, _ROLES.index(role)), self.sizes.of(role), self.sizes.norm)
                  for role in self.roles}
        return layers, {role: new_means(self.sizes.of(role), self.sizes.norm) for role in self.roles}

    @cached_property
    def unravel(self) -> Any:
        """The parameters of all networks, of the vector of all their numbers."""
        return _unravel(self.new)

    def rows(self, cell: HeadCell, data: PairRows, places: Int[Array, "b"]) -> Int[Array, "b"]:
        """The rows at some places of the order of an epoch."""
        return places

    def loss(self, flat: Float[Array, "p"], means: Any, cell: HeadCell, data: PairRows, places: Int[Array, "b"],
             key: Key[Array, ""]) -> tuple[Float[Array, ""], Any]:
        """The loss of the cell's objective on training rows, and the running means after them."""
        scales = hidden_scales(key, len(places), [self.sizes.of(role)[1:-1] for role in self.roles],
                               cell.settings.dropout)
        return self._loss(flat, means, cell, jnp.asarray(data.x)[places], jnp.asarray(data.y)[places],
                          dict(zip(self.roles, scales, strict=True)))

    def validation_loss(self, flat: Float[Array, "p"], means: Any, cell: HeadCell, data: PairRows) -> Float[Array, ""]:
        """The mean loss of the cell's objective on the validation rows."""
        size = min(_ROWS_AT_A_TIME, len(data.x_validation))
        x, y = (view[:len(view) // size * size].reshape(-1, size, view.shape[1])
                for view in (data.x_validation, data.y_validation))
        return jnp.mean(jax.lax.map(lambda pair: self._loss(flat, means, cell, pair[0], pair[1], {})[0], (x, y)))

    def encoder(self, flat: np.ndarray, view: str) -> Any:
        """Parameters of the encoder of the view "x" or "y"."""
        leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: self.new(jax.random.key(0))[0]))
        parts = np.split(np.asarray(flat), np.cumsum([leaf.size for leaf in leaves])[:-1])
        return jax.tree.unflatten(structure, [part.reshape(leaf.shape) for part, leaf in
                                              zip(parts, leaves, strict=True)])[f"encoder_{view}"]

    def _loss(self, flat, means, cell, x, y, scales):
        layers, outputs, after = self.unravel(flat), {}, {}
        views = {"encoder_x": x, "encoder_y": y}
        for role in self.roles:  # encoders come first
            rows = views[role] if role in views else outputs["encoder_x" if role == "decoder_y" else "encoder_y"]
            outputs[role], after[role] = applied(layers[role], means[role], rows, self.sizes.norm, scales.get(role))
        aligned, decoder = {"encoder_x", "encoder_y"} <= {*self.roles}, self.roles[-1]
        if not decoder.startswith("decoder"):
            z_x, z_y = outputs["encoder_x"], outputs["encoder_y"]
            return jax.lax.switch(cell.kind, (
                lambda: losses.vicreg(z_x, z_y).total, lambda: info_nce_loss(z_x, z_y, cell.settings.temperature),
                lambda: deepcca(z_x, z_y))), after
        predicted = losses.prediction(outputs[decoder], y if decoder == "decoder_y" else x)
        if not aligned:
            return predicted, after
        alignment = losses.vicreg(outputs["encoder_x"], outputs["encoder_y"]).total
        return cell.settings.alpha * alignment + (1 - cell.settings.alpha) * predicted, after


@dataclass(frozen=True)
class SupervisedProgram:
    """Every supervised head: an encoder of the columns that it may see, and one linear layer more.

    Args:
        columns: of both views.
        bottleneck, widths, norm: as of `HeadSizes`.
        outputs: the most classes of a target, at least 1.
    """

    columns: int
    bottleneck: int
    widths: tuple[int, ...]
    norm: str | None
    outputs: int

    @property
    def _widths(self):
        return self.columns, *self.widths, self.bottleneck

    def new(self, start: Key[Array, ""]) -> Any:
        """Parameters of the encoder and the last layer, and running means."""
        layers = {"encoder": new_layers(jax.random.fold_in(start, 0), self._widths, self.norm),
                  "readout": new_layers(jax.random.fold_in(start, 1), (self.bottleneck, self.outputs), None)}
        return layers, new_means(self._widths, self.norm)

    @cached_property
    def unravel(self) -> Any:
        """The parameters of all layers, of the vector of all their numbers."""
        return _unravel(self.new)

    def rows(self, cell: HeadCell, data: LabelledRows, places: Int[Array, "b"]) -> Int[Array, "b"]:
        """Places among the rows that have the cell's target, over and over."""
        return places % jnp.asarray(data.counts)[cell.kind]

    def loss(self, flat: Float[Array, "p"], means: Any, cell: HeadCell, data: LabelledRows, places: Int[Array, "b"],
             key: Key[Array, ""]) -> tuple[Float[Array, ""], Any]:
        """The loss on training rows, and the running means after them."""
        rows, values = (jnp.asarray(of)[cell.kind][places] for of in (data.rows, data.values))
        scales, = hidden_scales(key, len(rows), [self.widths], cell.settings.dropout)
        outputs, after = self._outputs(flat, means, cell, jnp.asarray(data.x)[rows], scales)
        return self._loss(outputs, values, jnp.ones(len(rows)), jnp.asarray(data.classes)[cell.kind]), after

    def validation_loss(self, flat: Float[Array, "p"], means: Any, cell: HeadCell, data: LabelledRows
                        ) -> Float[Array, ""]:
        """The loss on the validation rows that have the cell's target."""
        values, weights = (jnp.asarray(of)[cell.kind] for of in (data.values_validation, data.weights_validation))
        outputs, _ = self._outputs(flat, means, cell, data.x_validation, None)
        return self._loss(outputs, values, weights, jnp.asarray(data.classes)[cell.kind])

    def embed(self, flat: Float[Array, "p"], means: Any, columns: Float[Array, "d"], rows: Float[Array, "n d"]
              ) -> Float[Array, "n k"]:
        """Outputs of the encoder, before the last layer."""
        return applied(self.unravel(flat)["encoder"], means, self._seen(rows, columns), self.norm)[0]

    def predict(self, flat: Float[Array, "p"], means: Any, columns: Float[Array, "d"], rows: Float[Array, "n d"]
                ) -> Float[Array, "n outputs"]:
        """Logits, or standardised values in the first column."""
        layers = self.unravel(flat)
        z, _ = applied(layers["encoder"], means, self._seen(rows, columns), self.norm)
        return applied(layers["readout"], [], z, None)[0]

    def _outputs(self, flat, means, cell, rows, scales):
        layers = self.unravel(flat)
        z, after = applied(layers["encoder"], means, self._seen(rows, cell.columns), self.norm, scales)
        return applied(layers["readout"], [], z, None)[0], after

    def _seen(self, rows, columns):
        """The columns that may be seen; larger, the fewer they are, since the kernels count all as inputs."""
        return jnp.asarray(rows) * columns * jnp.sqrt(self.columns / jnp.sum(columns))

    def _loss(self, outputs, values, weights, classes):
        logits = jnp.where(jnp.arange(self.outputs) < classes, outputs, -jnp.inf)
        logits = jnp.where(classes > 0, logits, jnp.zeros_like(logits))
        shares = jax.nn.log_softmax(logits, axis=1)
        of_class = -jnp.take_along_axis(shares, jnp.where(classes > 0, values, 0).astype(int)[:, None], 1)[:, 0]
        errors = jnp.where(classes > 0, of_class, (outputs[:, 0] - values) ** 2)
        return jnp.sum(weights * errors) / jnp.sum(weights)


def _unravel(new):
    layers = jax.eval_shape(lambda: new(jax.random.key(0))[0])
    return ravel_pytree(jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), layers))[1]
