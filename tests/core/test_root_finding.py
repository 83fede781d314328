"""Zeros against closed forms, and their derivatives against the implicit function theorem written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax._core.root_finding import bisect, differentiable_root, newton


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def test_bisection_finds_a_zero_to_rounding_and_ends_at_an_end_without_one():
    assert float(bisect(lambda x: x**3 - 2, 0.0, 4.0)) == pytest.approx(2 ** (1 / 3), abs=1e-14)
    assert float(bisect(lambda x: x + 1, 0.0, 4.0)) == pytest.approx(0, abs=1e-14)
    assert float(bisect(lambda x: x - 5, 0.0, 4.0)) == pytest.approx(4, abs=1e-14)


@pytest.mark.parametrize("start", [1.5, 1e3, 1e6])
def test_newton_finds_a_zero_from_far_off(start):
    assert float(newton(lambda x: (x**2 - 2, 2 * x), start)) == pytest.approx(np.sqrt(2), rel=1e-15)


def test_no_derivative_comes_from_where_a_search_starts():
    assert jax.grad(lambda low: bisect(lambda x: x - 10, low, 4.0))(1.0) == 0
    assert jax.grad(lambda start: newton(lambda x: (jnp.tanh(x), 1e3 + x), start))(1.0) == 0


def test_derivatives_of_a_scalar_root():
    """x^3 + p x = 2: dx/dp = -x / (3 x^2 + p)."""
    def root(p):
        return differentiable_root(lambda x: x**3 + p * x - 2, bisect(lambda x: x**3 + p * x - 2, 0.0, 2.0))

    ps = jnp.linspace(0.5, 3, 4)
    found, slopes = jax.jit(jax.vmap(jax.value_and_grad(root)))(ps)
    np.testing.assert_allclose(found**3 + ps * found, 2, rtol=1e-14)
    np.testing.assert_allclose(slopes, -found / (3 * found**2 + ps), rtol=1e-13)


def test_derivatives_of_a_root_in_two_unknowns():
    """x + y = p, x y = q: x and y are the roots of z^2 - p z + q."""
    def root(p, q):
        found = jax.lax.stop_gradient(jnp.sqrt(p**2 - 4 * q))
        point = jnp.stack([p + found, p - found]) / 2
        return differentiable_root(lambda z: jnp.stack([z[0] + z[1] - p, z[0] * z[1] - q]), point)

    def closed_form(p, q):
        gap = jnp.sqrt(p**2 - 4 * q)
        return jnp.stack([p + gap, p - gap]) / 2

    at = 5.0, 4.0
    np.testing.assert_allclose(root(*at), [4, 1], rtol=1e-15)
    np.testing.assert_allclose(jax.jacobian(root, (0, 1))(*at), jax.jacobian(closed_form, (0, 1))(*at), rtol=1e-13)
