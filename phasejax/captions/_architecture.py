"""Kinds and sizes of all networks of an experiment in one object, and the networks that each objective trains."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import jax.numpy as jnp
from flax import nnx

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_among, check_count
from phasejax.captions._objectives import ENCODED, OBJECTIVES
from phasejax.captions._pixel_decoder import PixelDecoder
from phasejax.captions._resnet import NORMS, ResNet
from phasejax.captions._text import CaptionDecoder, TextEncoder
from phasejax.captions._vision_transformer import VisionTransformer
from phasejax.deep import Encoder

IMAGE_ENCODERS = ("resnet18", "resnet50", "vit", "convolutional")
PRECISIONS = ("float32", "bfloat16")
# CLIP's first temperature.
FIRST_TEMPERATURE = 0.07


@dataclass(frozen=True, kw_only=True)
class CaptionNetworks:
    """Kinds and sizes of networks of images and captions, as far as they do not follow from the data.

    Args:
        image_encoder: "resnet18", "resnet50", "vit" (6 width channels in 12 layers of patches with a 14th of the
            image's side, which is ViT-S/16 at 224 pixels and width 64), or "convolutional", the small encoder of the
            experiments with shapes, `phasejax.deep.Encoder`, with up to four convolutions.
        norm: normalisation of ResNets, "batch" or "group".
        width: channels of the image encoder's first stage.
        text_width, text_layers, text_heads: width of a word, Transformer layers (0 for a bag of words), attention
            heads; of the encoder and the decoder of captions.
        embedding: width of the embeddings and codes.
        precision: of the computation, "float32" or "bfloat16"; parameters are float32. The small convolutional encoder
            and losses always compute in float32.

    Source: K26, section 4.3, whose sizes are the defaults.
    """

    image_encoder: str = "resnet18"
    norm: str = "batch"
    width: int = 64
    text_width: int = 256
    text_layers: int = 2
    text_heads: int = 4
    embedding: int = 128
    precision: str = "float32"

    def __post_init__(self):
        check_among("image_encoder", [self.image_encoder], IMAGE_ENCODERS)
        check_among("norm", [self.norm], NORMS)
        check_among("precision", [self.precision], PRECISIONS)
        for name in ("width", "text_width", "text_heads", "embedding"):
            check_count(name, getattr(self, name))
        check_count("text_layers", self.text_layers, least=0)

    @property
    def networks(self) -> dict[str, Any]:
        """Each of these choices by its name."""
        return {field.name: getattr(self, field.name) for field in fields(CaptionNetworks)}


@checked
@dataclass(frozen=True)
class CaptionArchitecture(CaptionNetworks):
    """The networks of an experiment with images and captions.

    Args:
        size: side of the images in pixels.
        vocabulary: number of words, `PAD` among them.
        length: words of the longest caption.
        classes: number of classes of the labels, for the supervised objective.
        image_encoder, norm, width, text_width, text_layers, text_heads, embedding, precision: kinds and sizes, as
            keywords; those of K26, section 4.3, when left out. The encoder of images is "resnet18", "resnet50", "vit"
            or "convolutional", `norm` is "batch" or "group", `precision` "float32" or "bfloat16", no `text_layers` are
            a bag of words, and `embedding` is the width of embeddings and codes.

    Raises:
        ValueError: an unknown name, a size that is no positive integer.
    """

    size: int
    vocabulary: int
    length: int
    classes: int

    def __post_init__(self):
        super().__post_init__()
        for name in ("size", "vocabulary", "length", "classes"):
            check_count(name, getattr(self, name))

    def encode_images(self, rngs: nnx.Rngs) -> nnx.Module:
        """A new encoder of images."""
        outputs, dtype = self.embedding, jnp.dtype(self.precision)
        if self.image_encoder == "convolutional":
            halvings = min(4, (self.size & -self.size).bit_length() - 1)
            widths = (self.width, self.width, 2 * self.width, 2 * self.width)[:halvings]
            return _Convolutional(3, size=self.size, widths=widths, hidden=(2 * outputs,), outputs=outputs, rngs=rngs)
        if self.image_encoder == "vit":
            patch = max(self.size // 14, 1)
            return VisionTransformer(size=self.size, patch=next(p for p in range(patch, 0, -1) if not self.size % p),
                                     width=6 * self.width, outputs=outputs, dtype=dtype, rngs=rngs)
        depth = 18 if self.image_encoder == "resnet18" else 50
        return ResNet(depth, size=self.size, width=self.width, norm=self.norm, outputs=outputs, dtype=dtype, rngs=rngs)

    @property
    def _text(self) -> dict[str, Any]:
        return {"length": self.length, "width": self.text_width, "layers": self.text_layers, "heads": self.text_heads,
                "dtype": jnp.dtype(self.precision)}


def build_networks(objective: str, architecture: CaptionArchitecture, rngs: nnx.Rngs) -> Mapping[str, Any]:
    """New networks for an objective.

    Args:
        objective: one of `OBJECTIVES`.
        architecture: kinds and sizes of the networks.
        rngs: random numbers for the parameters.

    Returns:
        Those of image_encoder, text_encoder, caption_decoder, pixel_decoder and classifier that the objective trains;
        for "infonce" also log_scale, the logarithm of 1 / temperature, which begins at CLIP's log(1 / 0.07).

    Raises:
        ValueError: an unknown objective.
    """
    check_among("objective", [objective], OBJECTIVES)
    a, found = architecture, {}
    if "images" in ENCODED[objective]:
        found["image_encoder"] = a.encode_images(rngs)
    if "tokens" in ENCODED[objective]:
        found["text_encoder"] = TextEncoder(a.vocabulary, outputs=a.embedding, rngs=rngs, **a._text)
    if objective in ("cp", "joint"):
        found["caption_decoder"] = CaptionDecoder(a.vocabulary, inputs=a.embedding, rngs=rngs, **a._text)
    if objective == "cp_reverse":
        found["pixel_decoder"] = PixelDecoder(size=a.size, width=max(a.width // 2, 1), inputs=a.embedding,
                                              dtype=jnp.dtype(a.precision), rngs=rngs)
    if objective == "supervised":
        found["classifier"] = nnx.Linear(a.embedding, a.classes, rngs=rngs)
    if objective == "infonce":
        found["log_scale"] = nnx.Param(jnp.array(math.log(1 / FIRST_TEMPERATURE), jnp.float32))
    return nnx.Dict(found)


class _Convolutional(Encoder):
    """The small encoder of the experiments with shapes, which training does not change."""

    def __call__(self, images, *, train: bool = False):
        del train
        return super().__call__(images)
