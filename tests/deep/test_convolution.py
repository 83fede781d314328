"""The strided convolution and its transpose against SciPy and sums over taps in NumPy, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from benchmarks import convolution as benchmark
from phasejax.deep._convolution import strided_convolution, transposed_convolution

# Channels of the large and of the small images. The taps are gathered before the product for the first, at the border
# between the two ways for the second, and spread after the product for the others.
CHANNELS = [(1, 5), (2, 8), (2, 7), (3, 2), (4, 4)]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def drawn(c, out, seed=0):
    """Large images that are not square, a kernel, small images."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, 8, 6, c)), rng.standard_normal((4, 4, c, out)), rng.standard_normal((2, 4, 3, out))


def scipy_convolution(x, kernel):
    out = np.zeros((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, kernel.shape[3]))
    for n in range(x.shape[0]):
        for c in range(kernel.shape[2]):
            for o in range(kernel.shape[3]):
                padded = np.pad(x[n, :, :, c], 1)
                out[n, :, :, o] += scipy.signal.correlate2d(padded, kernel[:, :, c, o], mode="valid")[::2, ::2]
    return out


def numpy_transpose(y, kernel):
    n, h, w, _ = y.shape
    padded = np.zeros((n, 2 * h + 2, 2 * w + 2, kernel.shape[2]))
    for a in range(4):
        for b in range(4):
            padded[:, a:a + 2 * h:2, b:b + 2 * w:2] += y @ kernel[a, b].T
    return padded[:, 1:-1, 1:-1]


def numpy_kernel_gradient(x, y):
    h, w = y.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.array([[np.einsum("nijc,nijo->co", padded[:, a:a + 2 * h:2, b:b + 2 * w:2], y) for b in range(4)]
                     for a in range(4)])


@partial(jax.jit, static_argnums=0)
def value_and_pull_back(function, images, kernel, cotangent):
    """The value, and its derivatives in images and kernel applied to a cotangent, in one program."""
    value, pull_back = jax.vjp(function, images, kernel)
    return value, pull_back(cotangent)


@pytest.mark.parametrize(("c", "out"), CHANNELS)
def test_the_convolution_equals_scipy_s(c, out):
    x, kernel, y = drawn(c, out)
    value, (of_x, of_kernel) = value_and_pull_back(strided_convolution, x, kernel, y)
    np.testing.assert_allclose(value, scipy_convolution(x, kernel), atol=1e-12)
    np.testing.assert_allclose(of_x, numpy_transpose(y, kernel), atol=1e-12)
    np.testing.assert_allclose(of_kernel, numpy_kernel_gradient(x, y), atol=1e-12)


@pytest.mark.parametrize(("c", "out"), CHANNELS)
def test_the_transpose_equals_a_sum_over_taps(c, out):
    x, kernel, y = drawn(c, out, seed=1)
    value, (of_y, of_kernel) = value_and_pull_back(transposed_convolution, y, kernel, x)
    np.testing.assert_allclose(value, numpy_transpose(y, kernel), atol=1e-12)
    np.testing.assert_allclose(of_y, scipy_convolution(x, kernel), atol=1e-12)
    np.testing.assert_allclose(of_kernel, numpy_kernel_gradient(x, y), atol=1e-12)


@pytest.mark.parametrize(("c", "out"), CHANNELS[1:4:2])
def test_they_are_adjoint(c, out):
    x, kernel, y = drawn(c, out, seed=2)
    forward, backward = (np.asarray(jax.jit(function)(images, kernel)) for function, images in (
        (strided_convolution, x), (transposed_convolution, y)))
    assert np.sum(forward * y) == pytest.approx(np.sum(x * backward), rel=1e-12)


@pytest.mark.parametrize(("c", "out"), CHANNELS[1:4:2])
def test_second_derivatives(c, out):
    """Of a quadratic function of the convolution in x: the Hessian times v is conv^T conv v."""
    x, kernel, _ = drawn(c, out, seed=3)
    direction = np.random.default_rng(4).standard_normal(x.shape)
    gradient = jax.grad(lambda u: jnp.sum(strided_convolution(u, kernel) ** 2) / 2)
    found = jax.jit(jax.grad(lambda u: jnp.sum(gradient(u) * direction)))(jnp.asarray(x))
    np.testing.assert_allclose(found, numpy_transpose(scipy_convolution(direction, kernel), kernel), atol=1e-11)


@pytest.mark.parametrize(("c", "out"), CHANNELS[1:4:2])
def test_cells_with_kernels_of_their_own_are_batched_products(c, out):
    x, kernel, y = (np.stack(parts) for parts in zip(*[drawn(c, out, seed) for seed in range(3)], strict=True))
    for function, images in ((strided_convolution, x), (transposed_convolution, y)):
        def loss(u, k, function=function):
            return jnp.sum(jnp.tanh(function(u, k)))

        both = jax.jit(jax.vmap(jax.value_and_grad(loss, argnums=(0, 1))))
        text = both.lower(images, kernel).as_text()
        assert "dot_general" in text
        assert "convolution" not in text.replace("strided_convolution", "").replace("transposed_convolution", "")
        found, one = both(images, kernel), jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        for i in range(3):
            alone = one(images[i], kernel[i])
            jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-12), found, alone)


@pytest.mark.parametrize(("c", "out"), CHANNELS[1:4:2])
def test_the_benchmark_compares_it_with_the_same_function(c, out):
    x, kernel, _ = drawn(c, out)
    np.testing.assert_allclose(benchmark.xla_convolution(x, kernel), scipy_convolution(x, kernel), atol=1e-12)


@pytest.mark.slow
def test_the_benchmark_has_a_ratio_for_every_size_and_batch(monkeypatch):
    for name, value in (("_SIZES", (16,)), ("_BATCHES", (2, 3)), ("_CHANNELS", (1, 2, 2))):
        monkeypatch.setattr(benchmark, name, value)
    values = {(row["case"], row["metric"]): row["value"] for row in benchmark.run(rounds=1, steps=1)}
    for case in ("16 x 16 pixels, batch 2", "16 x 16 pixels, batch 3"):
        ours, xla = (values[f"{case}, {name}", "step_time"] for name in ("phasejax", "XLA"))
        assert values[case, "xla_time_over_ours"] == pytest.approx(xla / ours)


def test_single_precision_stays_single():
    x, kernel, y = (a.astype(np.float32) for a in drawn(3, 12))
    assert strided_convolution(x, kernel).dtype == transposed_convolution(y, kernel).dtype == jnp.float32
    np.testing.assert_allclose(strided_convolution(x, kernel), scipy_convolution(x, kernel), atol=1e-4)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"images: expected even sides, got 5 x 4"):
        strided_convolution(np.ones((1, 5, 4, 1)), np.ones((4, 4, 1, 1)))
    with pytest.raises(ValueError, match=r"images: expected 2 channels as the kernel, got 1"):
        strided_convolution(np.ones((1, 4, 4, 1)), np.ones((4, 4, 2, 1)))
    with pytest.raises(ValueError, match=r"images: expected 2 channels as the kernel, got 1"):
        transposed_convolution(np.ones((1, 4, 4, 1)), np.ones((4, 4, 1, 2)))
    for function in (strided_convolution, transposed_convolution):
        with pytest.raises(ValueError, match=r"kernel: expected shape \(4, 4, channels, channels\), got \(3, 3, 1"):
            function(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)))
