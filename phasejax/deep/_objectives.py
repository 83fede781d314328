"""What each objective trains and minimises: its networks, its loss on a batch of pairs, its embedding.

An objective is known by its name: "vicreg", "deepcca" and "infonce" are alignment (CA), "cp" predicts y from x and
"cp_reverse" x from y, "joint" is prediction of y plus alignment, and "supervised", with labels, is the ceiling.
Alignment acts on the outputs of projection heads behind the embeddings. A frozen probe may see either. The projections
are what the theory speaks of, the leading directions that the loss has chosen; the embedding, with many more columns,
also keeps much that no loss has asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_among
from phasejax.deep import losses
from phasejax.deep._networks import ACTIVATIONS, ENCODERS, MLP, Decoder, Encoder, LinearHead, ProjectionHead
from phasejax.linear import info_nce_loss

ALIGNMENTS = ("vicreg", "deepcca", "infonce")
OBJECTIVES = (*ALIGNMENTS, "cp", "cp_reverse", "joint", "supervised")
PROBED = ("projection", "both", "embedding")


@checked
@dataclass(frozen=True)
class Architecture:
    """Kind and sizes of the networks of an objective.

    Args:
        shape_x, shape_y: shape of a row of either view, (side, side, channels) of images or (d,) of features.
        classes: number of classes of the labels, for the supervised objective.
        encoder: "convolutional", for images, or "mlp", dense layers on the flattened row.
        activation: function after each layer but the last, one of "relu", "gelu", "silu" and "tanh".
        widths: channels after each convolution.
        hidden: widths of the dense layers before the embedding.
        embedding: width of the embedding.
        projection: width of the outputs of the projection heads, on which alignment acts.

    Raises:
        ValueError: an unknown encoder or activation, a row that is no square image for convolutions.

    Source: K26, appendix B, whose sizes are the defaults.
    """

    shape_x: tuple[int, ...]
    shape_y: tuple[int, ...]
    classes: int
    encoder: str = "convolutional"
    activation: str = "relu"
    widths: tuple[int, ...] = (32, 32, 64, 64)
    hidden: tuple[int, ...] = (256,)
    embedding: int = 128
    projection: int = 32

    def __post_init__(self):
        check_among("encoder", [self.encoder], ENCODERS)
        check_among("activation", [self.activation], ACTIVATIONS)
        for name in ("shape_x", "shape_y"):
            shape = getattr(self, name)
            if self.encoder == "convolutional" and not (len(shape) == 3 and shape[0] == shape[1]):
                raise ValueError(f"{name}: expected (side, side, channels) for convolutions, got {shape}")

    def encode(self, view: str, rngs: nnx.Rngs) -> nnx.Module:
        """A new encoder of the view "x" or "y"."""
        shape, activation = self._shape(view), ACTIVATIONS[self.activation]
        if self.encoder == "mlp":
            return MLP((math.prod(shape), *self.hidden, self.embedding), activation=activation, rngs=rngs)
        return Encoder(shape[2], size=shape[0], widths=self.widths, hidden=self.hidden, outputs=self.embedding,
                       activation=activation, rngs=rngs)

    def decode(self, view: str, rngs: nnx.Rngs) -> nnx.Module:
        """A new decoder that predicts the view "x" or "y" from an embedding."""
        shape, activation = self._shape(view), ACTIVATIONS[self.activation]
        if self.encoder == "mlp":
            return MLP((self.embedding, *reversed(self.hidden), math.prod(shape)), shape=shape, activation=activation,
                       rngs=rngs)
        return Decoder(shape[2], size=shape[0], widths=self.widths, hidden=self.hidden, inputs=self.embedding,
                       activation=activation, rngs=rngs)

    def _shape(self, view):
        return self.shape_x if view == "x" else self.shape_y


def build(objective: str, architecture: Architecture, rngs: nnx.Rngs) -> Mapping[str, Any]:
    """New networks for an objective.

    Args:
        objective: one of `OBJECTIVES`.
        architecture: kind and sizes of the networks.
        rngs: random numbers for the parameters.

    Returns:
        Those of encoder_x, encoder_y, head_x, head_y, decoder and classifier that the objective trains.

    Raises:
        ValueError: an unknown objective.
    """
    check_among("objective", [objective], OBJECTIVES)
    a = architecture
    found = {f"encoder_{view}": a.encode(view, rngs) for view in _encoded(objective)}
    if objective in (*ALIGNMENTS, "joint"):
        found |= {f"head_{view}": ProjectionHead(a.embedding, hidden=a.embedding, outputs=a.projection, rngs=rngs)
                  for view in ("x", "y")}
    if objective in ("cp", "cp_reverse", "joint"):
        found["decoder"] = a.decode("x" if objective == "cp_reverse" else "y", rngs)
    if objective == "supervised":
        found["classifier"] = LinearHead(a.embedding, classes=a.classes, rngs=rngs)
    return nnx.Dict(found)


def loss(objective: str, networks: Mapping[str, Any], x: Float[Array, "n *x"], y: Float[Array, "n *y"],
         labels: Int[Array, "n"], *, lam: float, temperature: float) -> Float[Array, ""]:
    """The loss of an objective on a batch.

    The networks compute in the precision of their parameters, the loss in that of the rows.

    Args:
        objective: one of `OBJECTIVES`.
        networks: from `build`.
        x, y: paired rows, images or features.
        labels: classes; only "supervised" looks at them.
        lam: weight of alignment in "joint".
        temperature: temperature of "infonce".
    """
    z = {view: _encode(networks[f"encoder_{view}"], images)
         for view, images in (("x", x), ("y", y)) if view in _encoded(objective)}

    def output(name, view):
        return networks[name](z[view]).astype(x.dtype)

    if objective == "supervised":
        return losses.supervised(output("classifier", "x"), labels)
    if objective == "cp":
        return losses.prediction(output("decoder", "x"), y)
    if objective == "cp_reverse":
        return losses.prediction(output("decoder", "y"), x)
    projected = output("head_x", "x"), output("head_y", "y")
    match objective:
        case "vicreg":
            return losses.vicreg(*projected).total
        case "deepcca":
            return losses.deepcca(*projected)
        case "infonce":
            return info_nce_loss(*projected, temperature)
        case _:
            return losses.joint(output("decoder", "x"), y, *projected, lam).total


def embed(objective: str, networks: Mapping[str, Any], x: Float[Array, "n *x"], y: Float[Array, "n *y"],
          probed: str = "projection") -> Float[Array, "n outputs"]:
    """What a frozen probe sees of a batch.

    Args:
        objective, networks, x, y: as in `loss`.
        probed: what a probe sees of the alignment objectives: "projection", the outputs on which the loss acts, of x;
            "both", those of x and of y side by side; or "embedding", what is before them, of x. Of all other objectives
            a probe sees the embedding, of y for "cp_reverse" and of x for the others.

    Returns:
        Shape (n, outputs).
    """
    view = "y" if objective == "cp_reverse" else "x"
    embeddings = {name: _encode(networks[f"encoder_{name}"], rows) for name, rows in (("x", x), ("y", y))
                  if name == view or (probed == "both" and objective in ALIGNMENTS)}
    if probed == "embedding" or objective not in ALIGNMENTS:
        return embeddings[view]
    return jnp.concatenate([networks[f"head_{name}"](embedding) for name, embedding in embeddings.items()], axis=-1)


def _encode(encoder, images):
    """Embeddings in the precision of the parameters, to which images of a higher one are rounded first."""
    return encoder(images.astype(jax.tree.leaves(nnx.state(encoder, nnx.Param))[0].dtype))


def _encoded(objective: str) -> tuple[str, ...]:
    """The views that the objective has encoders of."""
    if objective == "cp_reverse":
        return ("y",)
    return ("x",) if objective in ("cp", "supervised") else ("x", "y")
