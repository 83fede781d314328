"""Convolutions of images: against loops over pixels, their gradients, and the maximum over windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from phasejax.captions import _convolution
from phasejax.captions._convolution import convolution, max_pool


def by_scipy(images, kernel, stride):
    """Each image and output channel by SciPy, at every pixel, of which each stride-th is kept."""
    p = kernel.shape[0] // 2
    padded = np.pad(images, ((0, 0), (p, p), (p, p), (0, 0)))
    full = np.stack([[correlate(image, kernel[..., out], "valid")[..., 0] for out in range(kernel.shape[3])]
                     for image in padded])
    return full.transpose(0, 2, 3, 1)[:, ::stride, ::stride]


# Few channels take the way of an image's colours, 16 and more that of Winograd; odd sides and a single row are what
# strides leave over.
@pytest.mark.parametrize(("side", "k", "stride", "c", "out"), [
    (5, 3, 1, 4, 5), (6, 3, 2, 4, 5), (1, 3, 2, 4, 5), (5, 1, 2, 6, 4), (9, 7, 2, 3, 24), (6, 3, 1, 16, 17)])
def test_products_are_the_convolution_and_its_gradients(side, k, stride, c, out):
    rng = np.random.default_rng(0)
    images, kernel = rng.standard_normal((2, side, side, c)), rng.standard_normal((k, k, c, out))
    expected = by_scipy(images, kernel, stride)
    weights = rng.standard_normal(expected.shape)

    @jax.jit
    def both(x, m, w):
        value, pull = jax.vjp(lambda x, m: convolution(x, m, stride=stride), x, m)
        return value, *pull(w)

    value, by_x, by_k = both(*map(jnp.float32, (images, kernel, weights)))
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)
    # <weights, conv(x, K)> is linear in either: its gradient, times another value, is the form at that value.
    other_x, other_k = rng.standard_normal(images.shape), rng.standard_normal(kernel.shape)
    np.testing.assert_allclose(np.vdot(by_x, other_x), np.vdot(weights, by_scipy(other_x, kernel, stride)), rtol=1e-4,
                               atol=1e-3)
    np.testing.assert_allclose(np.vdot(by_k, other_k), np.vdot(weights, by_scipy(images, other_k, stride)), rtol=1e-4,
                               atol=1e-3)


def test_an_accelerator_s_way_computes_the_same():
    rng = np.random.default_rng(1)
    images, kernel = jnp.float32(rng.standard_normal((2, 6, 6, 4))), jnp.float32(rng.standard_normal((3, 3, 4, 5)))
    for stride in (1, 2):
        np.testing.assert_allclose(_convolution._by_xla(stride, images, kernel), by_scipy(images, kernel, stride),
                                   rtol=1e-4, atol=1e-4)


def test_the_maximum_over_windows():
    images = np.random.default_rng(2).random((2, 5, 6, 3), np.float32)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = [[padded[:, 2 * i:2 * i + 3, 2 * j:2 * j + 3].max((1, 2)) for j in range(3)] for i in range(3)]
    np.testing.assert_array_equal(max_pool(jnp.array(images)), np.array(expected).transpose(2, 0, 1, 3))


def test_unfit_kernels_are_refused():
    images = jnp.zeros((1, 4, 4, 2))
    with pytest.raises(ValueError, match=r"kernel: expected shape \(k, k, .* with odd k, got \(2, 2, 2, 1\)"):
        convolution(images, jnp.zeros((2, 2, 2, 1)))
    with pytest.raises(ValueError, match="images: expected 3 channels as the kernel, got 2"):
        convolution(images, jnp.zeros((3, 3, 3, 1)))
