"""Algebra of k x k matrices against LAPACK, its derivatives against differences, and that it calls no LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax._core.small_matrices import inverse_cholesky, nuclear_norm, polar_factor


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def assert_gradient(function, at, rtol=1e-6):
    """The derivative along a random direction against a central difference."""
    direction, step = np.random.default_rng(6).standard_normal(at.shape), 1e-5
    value_and_gradient = jax.jit(jax.value_and_grad(function))
    ahead, behind = (value_and_gradient(at + sign * step * direction)[0] for sign in (1, -1))
    along = np.sum(value_and_gradient(at)[1] * direction)
    assert float(along) == pytest.approx(float(ahead - behind) / (2 * step), rel=rtol)


@pytest.mark.parametrize("k", [1, 4])
def test_unrolled_algebra_equals_lapack(k):
    general = np.random.default_rng(5 + k).standard_normal((k, k))
    positive = general @ general.T + 0.1 * np.eye(k)
    root = np.asarray(inverse_cholesky(positive))
    np.testing.assert_allclose(root, np.linalg.inv(np.linalg.cholesky(positive)), rtol=1e-9, atol=1e-12)
    left, values, right = np.linalg.svd(general)
    np.testing.assert_allclose(polar_factor(general), left @ right, atol=1e-9)
    assert float(nuclear_norm(general)) == pytest.approx(values.sum(), rel=1e-12)
    assert_gradient(nuclear_norm, general)
    assert_gradient(lambda m: jnp.sum(inverse_cholesky(m @ m.T + jnp.eye(len(m))) ** 2), general)


def test_only_the_lower_triangle_counts():
    positive = np.array([[4.0, 2.0], [2.0, 3.0]])
    np.testing.assert_array_equal(inverse_cholesky(np.tril(positive)), inverse_cholesky(positive))


def test_singular_and_indefinite_matrices():
    assert not np.isfinite(inverse_cholesky(np.diag([1.0, -1.0]))).all()
    assert float(nuclear_norm(np.zeros((2, 2)))) == 0
    assert float(nuclear_norm(np.diag([1.0, 0.0]))) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(jax.grad(nuclear_norm)(np.diag([2.0, 0.0])), np.diag([1.0, 0.0]), atol=1e-12)


def test_a_batch_calls_no_lapack():
    def function(m):
        return jnp.sum(inverse_cholesky(m)) + nuclear_norm(m)

    text = jax.jit(jax.vmap(jax.grad(function))).lower(np.ones((2, 3, 3))).as_text()
    assert "custom_call" not in text
