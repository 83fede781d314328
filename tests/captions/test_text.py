"""Encoders and decoders of captions, and the decoder of pixels: against NumPy, and their parameters counted by hand."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf

from phasejax.captions import CaptionDecoder, PixelDecoder, TextEncoder
from tests.captions.conftest import output

TOKENS = np.array([[3, 1, 4, 0, 0], [2, 2, 0, 0, 0], [5, 1, 2, 4, 3]])


def described(make, given):
    """Number of parameters, and the shape of the result."""
    graph, params = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))
    found = jax.eval_shape(lambda p, x: nnx.merge(graph, p)(x), params, given)
    assert found.dtype == jnp.float32
    return sum(leaf.size for leaf in jax.tree.leaves(params)), found.shape


def test_parameters_and_shapes_of_the_paper_s_sizes():
    layer = 4 * (256 * 256 + 256) + 2 * 256 * 1024 + 1024 + 256 + 4 * 256
    tokens, codes = jax.ShapeDtypeStruct((3, 64), jnp.int32), jax.ShapeDtypeStruct((3, 128), jnp.float32)
    encoder = 10_000 * 256 + 64 * 256 + 2 * layer + 512 + 257 * 128
    assert described(partial(TextEncoder, 10_000, dtype=jnp.bfloat16), tokens) == (encoder, (3, 128))
    decoder = 129 * 256 + 64 * 256 + 2 * layer + 512 + 257 * 10_000
    assert described(partial(CaptionDecoder, 10_000, dtype=jnp.bfloat16), codes) == (decoder, (3, 64, 10_000))
    widths = (256, 256, 128, 64, 32, 3)
    pixels = 129 * 49 * 256 + sum(16 * a * b + b for a, b in pairwise(widths))
    assert described(partial(PixelDecoder, dtype=jnp.bfloat16), codes) == (pixels, (3, 224, 224, 3))


def dense(layer, values):
    kernel = np.asarray(layer.kernel[...], float)
    bias = np.asarray(layer.bias[...], float)
    if kernel.ndim == 3:  # heads: (width, heads, width / heads) or the reverse
        kernel, bias = kernel.reshape(values.shape[-1], -1), bias.reshape(-1)
    return values @ kernel + bias


def normed(layer, values):
    centred = values - values.mean(-1, keepdims=True)
    return (centred / np.sqrt(centred.var(-1, keepdims=True) + layer.epsilon) * np.asarray(layer.scale[...])
            + np.asarray(layer.bias[...]))


def transformed(layer, places, heads):
    """One caption without padding through one Transformer layer."""
    inner = normed(layer.norm1, places)
    query, key, value = (np.split(dense(getattr(layer.attention, name), inner), heads, axis=-1)
                         for name in ("query", "key", "value"))
    mixed = []
    for q, k, v in zip(query, key, value, strict=True):
        weights = np.exp(q @ k.T / np.sqrt(q.shape[-1]))
        mixed.append(weights / weights.sum(-1, keepdims=True) @ v)
    places = places + dense(layer.attention.out, np.concatenate(mixed, axis=-1))
    hidden = dense(layer.fc1, normed(layer.norm2, places))
    return places + dense(layer.fc2, hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))))


@pytest.fixture(scope="module")
def transformer():
    """An encoder with all parameters away from where they start, and what it makes of TOKENS."""
    encoder = TextEncoder(7, length=5, width=8, layers=1, heads=2, outputs=3, rngs=nnx.Rngs(0))
    graph, state = nnx.split(encoder)
    rng = np.random.default_rng(0)
    state = jax.tree.map(lambda leaf: jnp.float32(leaf + 0.3 * rng.standard_normal(leaf.shape)), state)
    return nnx.merge(graph, state), jax.jit(lambda s, t: nnx.merge(graph, s)(t))(state, TOKENS)


def test_an_encoder_is_its_formula_of_the_words_alone(transformer):
    encoder, found = transformer
    words, positions = np.asarray(encoder.words[...], float), np.asarray(encoder.positions[...], float)
    for row, result in zip(TOKENS, found, strict=True):
        row = row[row != 0]
        places = normed(encoder.norm, transformed(encoder.layers[0], words[row] + positions[:len(row)], 2))
        np.testing.assert_allclose(result, dense(encoder.head, places.mean(0)), rtol=1e-4, atol=1e-5)


def test_a_bag_of_words_is_the_mean_of_its_words():
    encoder = TextEncoder(7, length=5, width=8, layers=0, outputs=3, rngs=nnx.Rngs(0))
    words = np.asarray(encoder.words[...], float)
    found = output(encoder, jnp.array([*TOKENS[:2], [0] * 5]))
    for row, result in zip(TOKENS[:2], found, strict=False):
        hidden = np.maximum(dense(encoder.dense, words[row[row != 0]].mean(0)), 0)
        np.testing.assert_allclose(result, dense(encoder.head, hidden), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[2], encoder.head.bias[...])  # no words: a mean of 0


def test_a_decoder_sees_the_code_and_the_position():
    decoder = CaptionDecoder(7, length=4, width=8, layers=0, inputs=3, rngs=nnx.Rngs(1))
    codes = np.random.default_rng(1).standard_normal((2, 3))
    hidden = np.maximum(dense(decoder.code, codes)[:, None] + np.asarray(decoder.positions[...], float), 0)
    np.testing.assert_allclose(output(decoder, jnp.float32(codes)), dense(decoder.words, hidden), rtol=1e-4, atol=1e-5)


def test_sides_are_doubled_down_to_a_few_pixels():
    for size, side, channels in ((64, 4, [32, 16, 8, 4]), (224, 7, [64, 32, 16, 8, 4]), (48, 6, [16, 8, 4])):
        made = nnx.eval_shape(lambda size=size: PixelDecoder(size=size, width=4, inputs=5, rngs=nnx.Rngs(0)))
        assert made.shape == (side, side, channels[0])
        assert [layer.kernel.shape[3] for layer in made.doublings] == channels


def test_unfit_sizes_are_refused():
    with pytest.raises(ValueError, match="size: expected a power of 2 times 4 to 16, 8 or more, got 100"):
        PixelDecoder(size=100, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="heads: expected a divisor of the width 6, got 4"):
        CaptionDecoder(9, width=6, heads=4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"vocabulary: expected .*, got 0"):
        TextEncoder(0, rngs=nnx.Rngs(0))
