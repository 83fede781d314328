"""Networks of captions: one that reads a caption, and one that predicts a caption from the code of an image."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Int

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count
from phasejax.captions._batch import PAD
from phasejax.captions._transformer import TransformerLayer, check_heads

_NORMAL = nnx.initializers.normal(0.02)


class TextEncoder(nnx.Module):
    """From the words of a caption to an embedding: the mean over its words, `PAD` left out.

    With layers, words and their positions, both learned, pass Transformer layers before the mean. Without, the mean is
    of the words alone, whatever their order, and a dense layer with a relu follows it. The last step to the embedding
    is linear. The embedding of a caption without words is that of a mean of 0.

    Args:
        vocabulary: number of words, `PAD` among them.
        length: number of words of the longest caption.
        width: width of a word.
        layers: number of Transformer layers; 0 for a bag of words.
        heads: number of attention heads, a divisor of the width.
        outputs: width of the embedding.
        dtype: precision of the layers, float32 or bfloat16; parameters and results are float32.
        rngs: random numbers for the parameters.

    Raises:
        ValueError: a size that is no positive integer, heads that do not divide the width.

    Source: K26, section 4.3 (2 layers of 4 heads, width 256, 128 outputs).

    >>> shapes = nnx.eval_shape(lambda: TextEncoder(10_000, rngs=nnx.Rngs(0)))  # nothing is computed
    >>> shapes.words.shape, shapes.positions.shape
    ((10000, 256), (64, 256))
    """

    def __init__(self, vocabulary: int, *, length: int = 64, width: int = 256, layers: int = 2, heads: int = 4,
                 outputs: int = 128, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        for name, value in (("vocabulary", vocabulary), ("length", length), ("width", width), ("outputs", outputs)):
            check_count(name, value)
        check_count("layers", layers, least=0)
        self.dtype = dtype
        self.words = nnx.Param(_NORMAL(rngs.params(), (vocabulary, width), jnp.float32))
        if layers:
            check_heads(width, heads)
            self.positions = nnx.Param(_NORMAL(rngs.params(), (length, width), jnp.float32))
            self.layers = nnx.List([TransformerLayer(width, heads, hidden=4 * width, dtype=dtype, rngs=rngs)
                                    for _ in range(layers)])
            self.norm = nnx.LayerNorm(width, dtype=jnp.float32, rngs=rngs)
        else:
            self.layers = nnx.List([])
            self.dense = nnx.Linear(width, width, kernel_init=nnx.initializers.he_normal(), rngs=rngs)
        self.head = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, tokens: Int[HostOrDevice, "n length"]) -> Float[Array, "n outputs"]:
        """Embed captions; they may be shorter than `length`, all of them alike."""
        tokens = jnp.asarray(tokens)
        mask = tokens != PAD
        places = self.words[...][tokens]
        if self.layers:
            places = (places + self.positions[:tokens.shape[1]]).astype(self.dtype)
            for layer in self.layers:
                places = layer(places, mask)
            places = self.norm(places)
        mean = jnp.sum(jnp.where(mask[..., None], places, 0), axis=1) / jnp.maximum(jnp.sum(mask, 1), 1)[:, None]
        return self.head(mean if self.layers else nnx.relu(self.dense(mean)))


class CaptionDecoder(nnx.Module):
    """From an image's code to the logits of the words at all positions at once.

    The code is added to a learned vector of each position. With layers, the positions then pass Transformer layers;
    without, a relu follows. A linear layer, the same at all positions, gives the logits. No position sees the words at
    others, so that all the decoder knows of the caption is what the code holds.

    Args:
        vocabulary, length, width, layers, heads, dtype, rngs: as for `TextEncoder`.
        inputs: width of the code.

    Raises:
        ValueError: a size that is no positive integer, heads that do not divide the width.

    Source: K26, section 4.3 (cross-entropy on all positions at once).

    >>> shapes = nnx.eval_shape(lambda: CaptionDecoder(10_000, rngs=nnx.Rngs(0)))  # nothing is computed
    >>> shapes.positions.shape, shapes.words.kernel.shape
    ((64, 256), (256, 10000))
    """

    def __init__(self, vocabulary: int, *, length: int = 64, width: int = 256, layers: int = 2, heads: int = 4,
                 inputs: int = 128, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        for name, value in (("vocabulary", vocabulary), ("length", length), ("width", width), ("inputs", inputs)):
            check_count(name, value)
        check_count("layers", layers, least=0)
        self.dtype = dtype
        self.code = nnx.Linear(inputs, width, kernel_init=nnx.initializers.he_normal(), rngs=rngs)
        self.positions = nnx.Param(_NORMAL(rngs.params(), (length, width), jnp.float32))
        if layers:
            check_heads(width, heads)
            self.norm = nnx.LayerNorm(width, dtype=dtype, rngs=rngs)
        self.layers = nnx.List([TransformerLayer(width, heads, hidden=4 * width, dtype=dtype, rngs=rngs)
                                for _ in range(layers)])
        self.words = nnx.Linear(width, vocabulary, dtype=dtype, rngs=rngs)

    def __call__(self, codes: Float[Array, "n inputs"]) -> Float[Array, "n length vocabulary"]:
        places = (self.code(codes)[:, None, :] + self.positions[...]).astype(self.dtype)
        for layer in self.layers:
            places = layer(places)
        return self.words(self.norm(places) if self.layers else nnx.relu(places)).astype(jnp.float32)
