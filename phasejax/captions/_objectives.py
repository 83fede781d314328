"""What is minimised: losses of images and captions, and the loss of each objective on a batch."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax.captions._batch import PAD, CaptionBatch
from phasejax.deep import losses
from phasejax.linear import info_nce_loss

# The parts of a batch that an objective has encoders of.
ENCODED = {"vicreg": ("images", "tokens"), "infonce": ("images", "tokens"), "cp": ("images",),
           "cp_reverse": ("tokens",), "joint": ("images", "tokens"), "supervised": ("images",)}
OBJECTIVES = tuple(ENCODED)
# CLIP lets its logit scale grow no further than 100.
MOST_LOG_SCALE = math.log(100)


@checked
def caption_loss(logits: Float[HostOrDevice, "n length vocabulary"], tokens: Int[HostOrDevice, "n length"],
                 words: Float[ArrayLike, ""] | None = None) -> Float[Array, ""]:
    r"""Cross-entropy of all words of captions, in nats a word; positions that `PAD` fills up do not count.

    .. math::  -\frac{1}{W} \sum_i \sum_{t:\, l_{it} \neq \mathrm{PAD}} \log \mathrm{softmax}(s_{it})_{l_{it}}

    Args:
        logits: s, shape (n, length, vocabulary).
        tokens: l, shape (n, length).
        words: W, the number of words of these captions when left out (1 if they have none). Where a loss is summed
            over parts of a batch, each part is given the batch's.

    Source: K26, section 4.3.

    >>> tokens = jnp.array([[3, 1, PAD], [2, PAD, PAD]])
    >>> round(float(caption_loss(jnp.zeros((2, 3, 4)), tokens)), 4)  # log 4
    1.3863
    """
    tokens = jnp.asarray(tokens)
    counted = tokens != PAD
    each = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), tokens)
    return jnp.sum(jnp.where(counted, each, 0)) / (jnp.maximum(jnp.sum(counted), 1) if words is None else words)


@checked
def clip_loss(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n k"], log_scale: Float[ArrayLike, ""]
              ) -> Float[Array, ""]:
    r"""InfoNCE as in CLIP: the temperature is learned through the logarithm of its inverse, at most log 100.

    .. math::  L_{\mathrm{InfoNCE}}(z_x, z_y;\, T), \qquad T = e^{-\min(a,\, \log 100)}

    Args:
        z_x, z_y: outputs of n paired rows, shape (n, k); their lengths do not matter. A row of zeros, as of a caption
            without words, has no direction: ones stand in for it, and it gets no gradient.
        log_scale: a, the logarithm of 1 / temperature.

    Source: Radford et al. 2021, section 2.5; the loss is `phasejax.linear.info_nce_loss`.

    >>> round(float(clip_loss(jnp.eye(2), jnp.eye(2), 0.0)), 4)  # log(1 + 1 / e)
    0.3133
    """
    z_x, z_y = (jnp.where(jnp.any(z != 0, axis=1, keepdims=True), z, 1) for z in (jnp.asarray(z_x), jnp.asarray(z_y)))
    return info_nce_loss(z_x, z_y, jnp.exp(-jnp.minimum(log_scale, MOST_LOG_SCALE)))


def loss(objective: str, networks: Mapping[str, Any], batch: CaptionBatch, *, lam: float, train: bool,
         words: Float[Array, ""] | None = None) -> tuple[Float[Array, ""], dict[str, Array]]:
    """The loss of an objective on a batch, and its parts by name.

    Args:
        objective: one of `OBJECTIVES`.
        networks: from `build_networks`.
        batch: images, captions and classes; the objectives look at what they need.
        lam: weight of alignment in "joint".
        train: whether batch normalisation uses and records the statistics of the batch.
        words: as in `caption_loss`.
    """
    codes = {}
    if "images" in ENCODED[objective]:
        codes["images"] = networks["image_encoder"](batch.images, train=train)
    if "tokens" in ENCODED[objective]:
        codes["tokens"] = networks["text_encoder"](batch.tokens)
    match objective:
        case "supervised":
            value = losses.supervised(networks["classifier"](codes["images"]), batch.labels)
            return value, {}
        case "cp_reverse":
            return losses.prediction(networks["pixel_decoder"](codes["tokens"]), batch.images), {}
        case "infonce":
            log_scale = networks["log_scale"][...]
            return (clip_loss(codes["images"], codes["tokens"], log_scale),
                    {"temperature": jnp.exp(-jnp.minimum(log_scale, MOST_LOG_SCALE))})
        case "vicreg":
            found = losses.vicreg(codes["images"], codes["tokens"])
            return found.total, {name: getattr(found, name) for name in ("invariance", "variance", "covariance")}
    predicted = caption_loss(networks["caption_decoder"](codes["images"]), batch.tokens, words)
    if objective == "cp":
        return predicted, {}
    aligned = losses.vicreg(codes["images"], codes["tokens"]).total
    return predicted + lam * aligned, {"prediction": predicted, "alignment": aligned}


def is_log_scale(path: tuple[Any, ...]) -> bool:
    """Whether a path within the parameters leads to CLIP's logarithm of the logit scale."""
    return getattr(path[0], "key", None) == "log_scale"


def parameters(networks: Any) -> tuple[Any, Any, Any]:
    """The structure of networks, their parameters, and what else they hold: running statistics."""
    structure, params, statistics = nnx.split(networks, nnx.Param, ...)
    return structure, params, statistics
