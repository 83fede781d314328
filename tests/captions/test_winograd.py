"""Winograd's convolution: its gradients, and how much of float32 it loses."""

import jax
import jax.numpy as jnp
import numpy as np

from phasejax.captions._convolution import _has_tiles
from phasejax.captions._winograd import winograd_convolution, winograd_gradients
from tests.captions.test_convolution import by_scipy


def test_it_is_the_convolution_to_the_last_digits():
    """Sides differ, and errors are relative to the largest value: 9 c products of size 1 are summed."""
    rng = np.random.default_rng(0)
    images, kernel, weights = (rng.standard_normal(shape) for shape in ((2, 6, 4, 5), (3, 3, 5, 7), (2, 6, 4, 7)))
    expected = by_scipy(images, kernel, 1)
    found = jax.jit(winograd_convolution)(jnp.float32(images), jnp.float32(kernel))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    by_x, by_k = jax.jit(winograd_gradients)(*map(jnp.float32, (images, kernel, weights)))
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    np.testing.assert_allclose(by_x, by_scipy(weights, flipped, 1), rtol=1e-4, atol=1e-4)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = [[np.einsum("nijc,nijo->co", padded[:, a:a + 6, b:b + 4], weights) for b in range(3)] for a in range(3)]
    np.testing.assert_allclose(by_k, expected, rtol=1e-4, atol=1e-4)


def test_it_is_taken_where_it_pays():
    def tiles(shape, channels, k=3, stride=1):
        return _has_tiles(stride, np.empty(shape), np.empty((k, k, shape[3], channels)))

    assert tiles((32, 16, 16, 64), 64)
    assert not tiles((32, 16, 16, 64), 64, stride=2)
    assert not tiles((32, 16, 16, 64), 64, k=1)
    assert not tiles((32, 15, 16, 64), 64)
    assert not tiles((32, 32, 32, 3), 64)
    assert not tiles((32, 2, 2, 512), 512)  # 32 tiles beside 512 channels
