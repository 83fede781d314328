"""Residual networks and Vision Transformers: parameters counted by hand, and forward passes by NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from phasejax.captions import ResNet, VisionTransformer
from phasejax.captions._resnet import Normalisation, ResidualBlock
from tests.captions.test_convolution import by_scipy


def parameters_of(make, *, size=224, outputs=None):
    """Number of parameters of a network, and a check of its result's shape and type; nothing is computed."""
    graph, params, rest = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))), nnx.Param, ...)
    if outputs is not None:
        found = jax.eval_shape(lambda p, r, x: nnx.merge(graph, p, r, copy=True)(x, train=True), params, rest,
                               jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32))
        assert (found.shape, found.dtype) == ((2, outputs), jnp.float32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def convolutions_of_18(w, stem):
    """Kernels and two numbers for each normalised channel of 18 layers whose first stage has w channels."""
    total = stem**2 * 3 * w + 2 * w
    for stage in range(4):
        out, into = w << stage, w if stage == 0 else w << (stage - 1)
        total += 9 * into * out + 3 * 9 * out * out + 4 * 2 * out
        total += into * out + 2 * out if stage else 0  # the shortcut
    return total


def convolutions_of_50(w):
    total, into = 49 * 3 * w + 2 * w, w
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner, out = w << stage, 4 * (w << stage)
        total += into * out + 2 * out  # the shortcut of the first block of every stage
        for _ in range(blocks):
            total += into * inner + 9 * inner**2 + inner * out + 2 * (2 * inner + out)
            into = out
    return total


def test_parameters_are_those_published():
    """Of torchvision's resnet18 and resnet50 without their classes, and of ViT-S/16."""
    assert convolutions_of_18(64, 7) == 11_176_512
    assert convolutions_of_50(64) == 23_508_032
    assert parameters_of(ResNet, size=224, outputs=512) == 11_176_512
    assert parameters_of(partial(ResNet, 50, norm="group", dtype=jnp.bfloat16)) == 23_508_032
    small = partial(ResNet, size=32, width=8, outputs=16)
    assert parameters_of(small, size=32, outputs=16) == convolutions_of_18(8, 3) + 65 * 16
    layer = 4 * (384 * 384 + 384) + 2 * 384 * 1536 + 1536 + 384 + 4 * 384
    by_hand = (3 * 256 + 1) * 384 + 384 + 197 * 384 + 12 * layer + 2 * 384
    assert by_hand == 21_665_664
    assert parameters_of(partial(VisionTransformer, dtype=jnp.bfloat16), size=224, outputs=384) == by_hand


def normalised(values, scale, bias, axes):
    mean, var = values.mean(axes, keepdims=True), values.var(axes, keepdims=True)
    return (values - mean) / np.sqrt(var + 1e-5) * scale + bias


@pytest.fixture(scope="module")
def block_and_images():
    """A block that halves the sides, with scales and shifts that are not 1 and 0."""
    block = ResidualBlock(3, 4, bottleneck=False, stride=2, norm="batch", dtype=jnp.float32, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    for norm in (*block.norms, block.shortcut_norm):
        norm.layer.scale[...] = jnp.float32(rng.uniform(0.5, 2, 4))
        norm.layer.bias[...] = jnp.float32(rng.standard_normal(4))
    return block, rng.standard_normal((3, 6, 6, 3)) + 0.5


def test_a_block_in_training_is_its_formula(block_and_images):
    block, images = block_and_images
    kernels = [np.asarray(c.kernel[...], float) for c in (*block.convolutions, block.shortcut)]
    norms = [(np.asarray(n.layer.scale[...]), np.asarray(n.layer.bias[...]))
             for n in (*block.norms, block.shortcut_norm)]
    inner = by_scipy(images, kernels[0], 2)
    hidden = np.maximum(normalised(inner, *norms[0], (0, 1, 2)), 0)
    expected = np.maximum(normalised(by_scipy(hidden, kernels[1], 1), *norms[1], (0, 1, 2))
                          + normalised(by_scipy(images, kernels[2], 2), *norms[2], (0, 1, 2)), 0)
    found = nnx.jit(lambda block, images: block(images, train=True))(block, jnp.float32(images))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    first = block.norms[0].layer
    np.testing.assert_allclose(first.mean[...], 0.1 * inner.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(first.var[...], 0.9 + 0.1 * inner.var((0, 1, 2)), rtol=1e-4)


def test_outside_of_training_batch_normalisation_uses_what_it_recorded():
    norm = Normalisation("batch", 2, rngs=nnx.Rngs(0))
    norm.layer.mean[...], norm.layer.var[...] = jnp.array([1.0, 2.0]), jnp.array([4.0, 0.25])
    found = norm(jnp.full((1, 1, 1, 2), 3.0), train=False)
    np.testing.assert_allclose(found[0, 0, 0], [2 / np.sqrt(4 + 1e-5), 1 / np.sqrt(0.25 + 1e-5)], rtol=1e-6)
    assert norm.layer.mean[...].tolist() == [1.0, 2.0]


def test_group_normalisation_is_of_each_image_and_group():
    norm, values = Normalisation("group", 8, rngs=nnx.Rngs(0)), np.random.default_rng(3).standard_normal((2, 3, 3, 8))
    expected = normalised(values.reshape(2, 3, 3, 4, 2), 1, 0, (1, 2, 4)).reshape(values.shape)
    np.testing.assert_allclose(norm(jnp.float32(values), train=True), expected, rtol=1e-4, atol=1e-5)


def test_unfit_networks_are_refused():
    with pytest.raises(ValueError, match="depth: expected one of 18, 50, got 34"):
        ResNet(34, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="norm: expected one of batch, group, got 'layer'"):
        ResNet(norm="layer", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="size: expected a multiple of the patch 16, got 40"):
        VisionTransformer(size=40, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="heads: expected a divisor of the width 10, got 4"):
        VisionTransformer(size=32, width=10, heads=4, rngs=nnx.Rngs(0))
