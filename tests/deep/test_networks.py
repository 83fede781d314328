"""Networks: their parameters counted by hand, their shapes, forward passes by hand, and the scale of fresh weights."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from phasejax.deep import MLP, Decoder, Encoder, LinearHead, ProjectionHead
from phasejax.deep._networks import Convolution, TransposedConvolution


def dense(*widths):
    return sum((a + 1) * b for a, b in pairwise(widths))


def counted(make, *inputs):
    """Parameters of a network and the shape of its result, without computing either."""
    network = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
    graph, state = nnx.split(network)
    found = jax.eval_shape(lambda s, u: nnx.merge(graph, s)(u), state, jax.ShapeDtypeStruct(inputs, jnp.float32))
    assert found.dtype == jnp.float32
    return sum(leaf.size for leaf in jax.tree.leaves(state)), found.shape


@pytest.mark.parametrize(("channels", "size", "flat"), [(1, 64, 1024), (3, 64, 1024), (1, 32, 256), (3, 16, 64)])
def test_parameters_and_shapes_of_the_paper_s_pair(channels, size, flat):
    images = (2, size, size, channels)
    convolutions = 16 * (channels * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 32 + 32 + 64 + 64
    assert counted(partial(Encoder, channels, size=size), *images) == (convolutions + dense(flat, 256, 128), (2, 128))
    transposed = 16 * (64 * 64 + 64 * 32 + 32 * 32 + 32 * channels) + 64 + 32 + 32 + channels
    assert counted(partial(Decoder, channels, size=size), 2, 128) == (transposed + dense(128, 256, flat), images)


def test_parameters_and_shapes_of_heads_and_mlps():
    assert counted(ProjectionHead, 5, 128) == (129 * 128 + 129 * 32, (5, 32))
    assert counted(partial(ProjectionHead, 16, hidden=8, outputs=4), 5, 16) == (17 * 8 + 9 * 4, (5, 4))
    assert counted(partial(LinearHead, classes=3), 5, 128) == (129 * 3, (5, 3))
    assert counted(partial(MLP, (20, 512)), 5, 20) == (21 * 512, (5, 512))
    assert counted(partial(MLP, (20, 512, 30)), 5, 20) == (21 * 512 + 513 * 30, (5, 30))


def test_an_mlp_is_its_formula():
    mlp = MLP((4, 5, 3), activation=jnp.tanh, output_activation=jnp.exp, rngs=nnx.Rngs(0))
    features = np.random.default_rng(0).standard_normal((6, 4))
    first, second = mlp.layers
    second.bias[...] = jnp.array([0.5, -1.0, 2.0])
    expected = np.exp(np.tanh(features @ np.asarray(first.kernel[...], float)) @ np.asarray(second.kernel[...], float)
                      + [0.5, -1.0, 2.0])
    np.testing.assert_allclose(mlp(features), expected, rtol=1e-5)
    assert float(MLP((4, 5, 3), rngs=nnx.Rngs(0))(features).min()) < 0  # linear at the end


def unit(make):
    """A compiled network with kernels of ones and biases of -1, so that a forward pass can be followed by hand."""
    graph, state = nnx.split(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))
    ones = jax.tree.map(lambda leaf: np.full(leaf.shape, 1.0 if leaf.ndim > 1 else -1.0, np.float32), state)
    return jax.jit(lambda values: nnx.merge(graph, ones)(values))


def test_the_forward_pass_by_hand():
    """Kernels of ones and biases of -1: sums of what each output sees."""
    encoder = unit(partial(Encoder, size=4, widths=(2, 3), hidden=(2,), outputs=1))
    # Each of the 2 x 2 x 2 values sees 9 of the 4 x 4 ones; the second convolution sees all eight.
    flat = 8 * (9 - 1) - 1
    assert encoder(jnp.ones((1, 4, 4, 1))).tolist() == [[2 * (3 * flat - 1) - 1]]
    assert encoder(jnp.zeros((1, 4, 4, 1))).tolist() == [[-1]]  # every relu shuts
    decoder = unit(partial(Decoder, size=4, widths=(2, 3), hidden=(2,), inputs=1))
    # 1 x 1 x 3 values, then each of 2 x 2 x 2 pixels sees those, then a pixel sees 1, 2 or 4 pixels of 2 channels.
    start = 2 * (5 - 1) - 1
    inner = 3 * start - 1
    reach = np.array([1, 2, 2, 1])
    np.testing.assert_allclose(decoder(jnp.full((1, 1), 5.0))[0, :, :, 0], np.outer(reach, reach) * 2 * inner - 1)
    shut = decoder(jnp.zeros((1, 1)))
    np.testing.assert_allclose(shut, np.full((1, 4, 4, 1), -1))  # linear pixels may be negative
    squashed = jax.jit(lambda values: Decoder(size=4, widths=(2, 3), output_activation=nnx.sigmoid, rngs=nnx.Rngs(0))(
        values))(jnp.ones((1, 128)))
    assert 0 < float(squashed.min()) < float(squashed.max()) < 1


def test_an_activation_follows_every_layer_but_the_last():
    """A doubling for an activation: the networks are linear, and each layer with one doubles their output."""
    size = {"size": 4, "widths": (2, 3)}
    for network, argument in ((Encoder, jnp.ones((1, 4, 4, 1))), (Decoder, jnp.ones((1, 128)))):
        plain, doubled = (jax.jit(lambda v, a=a, network=network: network(**size, activation=a, rngs=nnx.Rngs(0))(v))(
            argument) for a in (lambda v: v, lambda v: 2 * v))
        np.testing.assert_allclose(doubled, 2**3 * plain, rtol=1e-5)  # three of the four layers


def test_fresh_layers_keep_the_scale():
    """Variance 2 / fan-in keeps the mean square of rectified standard normals, 1 / fan-in that of the input."""
    images = jax.random.normal(jax.random.key(1), (8, 16, 16, 32))
    for layer in (Convolution(32, 64, rngs=nnx.Rngs(2)), TransposedConvolution(32, 64, rngs=nnx.Rngs(3))):
        out = nnx.jit(lambda layer, images: layer(images))(layer, images)[:, 1:-1, 1:-1]
        # 2e5 values that share 32768 or more weights: the mean square is known to about a percent.
        assert float(jnp.mean(out**2)) == pytest.approx(2.0, rel=0.05)
        assert float(jnp.max(jnp.abs(layer.bias[...]))) == 0
    features = jax.random.normal(jax.random.key(4), (512, 256))
    mlp = MLP((256, 512, 512), rngs=nnx.Rngs(5))
    hidden = mlp.layers[0](features)
    assert float(jnp.mean(hidden**2)) == pytest.approx(2.0, rel=0.05)
    # relu halves the mean square, so the linear output layer has mean square 1.
    assert float(jnp.mean(mlp(features) ** 2)) == pytest.approx(1.0, rel=0.05)
    last = Decoder(size=32, widths=(8, 64), rngs=nnx.Rngs(6)).last
    assert float(jnp.var(last.kernel[...])) == pytest.approx(1 / (4 * 8), rel=0.25)


def test_seeds_decide_the_weights():
    drawn = [nnx.state(Encoder(size=16, rngs=nnx.Rngs(seed)), nnx.Param) for seed in (0, 0, 1)]
    same, other = (jax.tree.leaves(jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), drawn[0], drawn[i]))
                   for i in (1, 2))
    assert all(same)
    assert sum(other) == 6  # the biases, zero


def test_a_batch_of_cells_equals_a_loop():
    graph = nnx.graphdef(nnx.eval_shape(lambda: Encoder(size=16, widths=(4, 6), rngs=nnx.Rngs(0))))

    def parameters(key):
        return nnx.state(Encoder(size=16, widths=(4, 6), rngs=nnx.Rngs(key)), nnx.Param)

    def loss(params, images):
        return jnp.mean(nnx.merge(graph, params)(images) ** 2)

    keys, images = jax.random.split(jax.random.key(7), 3), jax.random.normal(jax.random.key(8), (3, 5, 16, 16, 1))
    stacked = jax.vmap(parameters)(keys)
    found = jax.jit(jax.vmap(jax.value_and_grad(loss)))(stacked, images)
    single = jax.jit(jax.value_and_grad(loss))
    for i in range(3):
        alone = single(parameters(keys[i]), images[i])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=2e-4, atol=1e-6), found, alone)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"size: expected a multiple of 2\^4, one factor for each convolution, got 24"):
        Encoder(size=24, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"size: expected a multiple of 2\^4"):
        Decoder(size=8, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"widths: expected at least 2, got 1"):
        MLP((3,), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"widths: expected a whole number of at least 1, got 0"):
        MLP((3, 0), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"channels: expected a whole number of at least 1, got 0"):
        Encoder(0, rngs=nnx.Rngs(0))
