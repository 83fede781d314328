"""What each objective trains and minimises: its networks, its loss on a batch of pairs, its embedding.

An objective is a name. The embedding is what a frozen probe sees: of x, and of y for "cp_reverse".
Alignment acts on the outputs of projection heads, which the probe does not see (K26, appendix B).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from phasejax.deep import losses
from phasejax.deep.networks import Decoder, Encoder, LinearHead, ProjectionHead
from phasejax.objectives import info_nce_loss

Objective = Literal["vicreg", "deepcca", "infonce", "cp", "cp_reverse", "joint", "supervised"]
OBJECTIVES = get_args(Objective)
_ALIGNMENTS = ("vicreg", "deepcca", "infonce")


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks; see `networks`.

    Args:
        channels, size: of the images.
        classes: of the labels, for the supervised ceiling.
        widths: channels after each convolution.
        hidden: widths of the dense layers before the embedding.
        embedding: width of the embedding.
        projection: width of what alignment sees.
    """

    channels: int
    size: int
    classes: int
    widths: tuple[int, ...] = (32, 32, 64, 64)
    hidden: tuple[int, ...] = (256,)
    embedding: int = 128
    projection: int = 32


def build(objective: str, architecture: Architecture, rngs: nnx.Rngs) -> nnx.Module:
    """The networks of an objective by name: encoder_x, encoder_y, head_x, head_y, decoder, classifier.

    Raises:
        ValueError: an unknown objective.
    """
    check_objective(objective)
    a = architecture
    sides = {"channels": a.channels, "size": a.size, "widths": a.widths, "hidden": a.hidden}
    found = {f"encoder_{view}": Encoder(**sides, outputs=a.embedding, rngs=rngs) for view in _encoded(objective)}
    if objective in (*_ALIGNMENTS, "joint"):
        found |= {f"head_{view}": ProjectionHead(a.embedding, hidden=a.embedding, outputs=a.projection, rngs=rngs)
                  for view in ("x", "y")}
    if objective in ("cp", "cp_reverse", "joint"):
        found["decoder"] = Decoder(**sides, inputs=a.embedding, rngs=rngs)
    if objective == "supervised":
        found["classifier"] = LinearHead(a.embedding, classes=a.classes, rngs=rngs)
    return nnx.Dict(found)


def loss(objective: str, networks: nnx.Module, x: Float[Array, "n s s c"], y: Float[Array, "n s s c"],
         labels: Int[Array, "n"], *, lam: float, temperature: float) -> Float[Array, ""]:
    """The loss of an objective on a batch, computed in the images' precision from what the networks give in theirs.

    Args:
        objective: one of `OBJECTIVES`.
        networks: from `build`.
        x, y: paired images.
        labels: classes; only "supervised" looks at them.
        lam: weight of alignment in "joint".
        temperature: of InfoNCE.
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


def embed(objective: str, networks: nnx.Module, x: Float[Array, "n s s c"], y: Float[Array, "n s s c"]
          ) -> Float[Array, "n embedding"]:
    """What a frozen probe sees of a batch."""
    return _encode(networks["encoder_y"], y) if objective == "cp_reverse" else _encode(networks["encoder_x"], x)


def check_objective(objective: str) -> None:
    """Refuse what is none of `OBJECTIVES`."""
    if objective not in OBJECTIVES:
        raise ValueError(f"objective: expected one of {', '.join(OBJECTIVES)}, got {objective!r}")


def _encode(encoder, images):
    # Images of a higher precision than the parameters would raise all layers to theirs.
    return encoder(images.astype(jax.tree.leaves(nnx.state(encoder, nnx.Param))[0].dtype))


def _encoded(objective) -> Sequence[str]:
    if objective == "cp_reverse":
        return ("y",)
    return ("x",) if objective in ("cp", "supervised") else ("x", "y")
