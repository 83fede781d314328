"""Outlines of the sprites: areas in closed form, and distances whose slope is one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.deep.data import _sprites


def test_outlines_have_their_areas():
    """Square and ellipse in closed form; the heart from its definition: a square on its corner and two half discs."""
    images = np.asarray(_sprites.outlines(512))[..., 0]
    areas = images.mean((1, 2)) * 4
    side = 2 * _sprites._HEART * np.sqrt(0.5)
    expected = [(2 * _sprites._SQUARE) ** 2, np.pi * np.prod(_sprites._ELLIPSE), side**2 + np.pi * (side / 2) ** 2]
    np.testing.assert_allclose(areas, expected, rtol=0.01)
    np.testing.assert_allclose(images[:, :, ::-1], images, atol=1e-5)


@pytest.mark.parametrize("distance", [_sprites.square, _sprites.ellipse, _sprites.heart])
def test_distances_grow_at_unit_rate_at_the_outline(distance):
    x, y = jax.random.uniform(jax.random.key(0), (2, 20_000), minval=-0.6, maxval=0.6)
    near = np.flatnonzero(np.abs(distance(x, y)) < 0.01)
    slope = jax.vmap(jax.grad(lambda p: distance(p[0], p[1])))(jnp.stack([x, y], 1)[near])
    assert len(near) > 100
    # Corners and the tip of the heart are the exceptions.
    assert np.mean(np.abs(np.linalg.norm(slope, axis=1) - 1) < 0.02) > 0.95
