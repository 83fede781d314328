"""Subspace errors, counts, separation, prediction errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from phasejax.linear import (
    Covariances,
    mean_squared_sine,
    prediction_mse,
    projector_distance,
    recovered_count,
    signal_components,
    signal_directions,
    squared_overlaps,
)
from phasejax.theory import separation_ratio


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 4))
def test_both_conventions_against_scipy_angles(seed, k):
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        u, v = rng.standard_normal((k, 6)), rng.standard_normal((k, 6))
        angles = scipy.linalg.subspace_angles(u.T, v.T)
        error = float(mean_squared_sine(u, v))
        assert error == pytest.approx(np.mean(np.sin(angles) ** 2), abs=1e-12)
        assert error != pytest.approx(np.mean(np.sin(angles)), abs=1e-6)
        assert float(projector_distance(u, v)) == pytest.approx(np.sqrt(error), abs=1e-9)
        mixed = (rng.standard_normal((k, k)) + 3 * np.eye(k)) @ u
        assert float(mean_squared_sine(mixed, v)) == pytest.approx(error, abs=1e-9)


def test_projector_distance_keeps_its_digits_near_zero():
    tilted = np.array([[np.cos(1e-10), np.sin(1e-10), 0]])
    assert float(projector_distance(np.eye(1, 3), tilted)) == pytest.approx(1e-10, rel=1e-6)
    with pytest.raises(ValueError, match="other: expected 1 rows, got 2"):
        projector_distance(np.eye(1, 3), np.eye(2, 3))


def test_overlaps_and_counts():
    rows = np.array([[1.0, 0, 0, 0], [0, np.sqrt(0.81), 0, np.sqrt(0.19)]])
    np.testing.assert_allclose(squared_overlaps(np.eye(3, 4), 7 * rows), [1, 0.81, 0], atol=1e-12)
    assert int(recovered_count(np.eye(3, 4), rows)) == 2
    assert int(recovered_count(np.eye(3, 4), rows, threshold=0.82)) == 1
    for overlap, count in [(0.799, 0), (0.801, 1)]:  # the paper's threshold is 0.8
        assert int(recovered_count(np.eye(1, 2), np.array([[np.sqrt(overlap), np.sqrt(1 - overlap)]]))) == count


def test_a_subspace_inside_a_larger_one_has_no_error():
    assert float(mean_squared_sine(np.eye(2, 5), np.eye(3, 5))) == pytest.approx(0, abs=1e-15)
    assert float(mean_squared_sine(np.eye(3, 5), np.eye(5)[1:3])) == pytest.approx(0, abs=1e-15)
    assert float(mean_squared_sine(np.eye(3, 5), np.eye(5)[2:4])) == pytest.approx(0.5)


def test_directions_are_the_first_columns_of_the_basis():
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    np.testing.assert_array_equal(signal_directions(2, 5, q), q[:, :2].T)
    np.testing.assert_array_equal(signal_directions(2, 5), np.eye(2, 5))


@pytest.mark.parametrize(("mask", "expected"), [([1, 0, 1, 0], 0.5 / 0.8), ([1, 1, 1, 1], np.inf), ([0, 0, 0, 0], 0)])
def test_separation_ratio(mask, expected):
    assert float(separation_ratio(np.array([0.9, 0.8, 0.5, 0.1]), np.array(mask, bool))) == pytest.approx(expected)


def test_separation_ratio_of_nan_is_nan():
    for values in ([np.nan, 0.5], [0.5, np.nan]):
        assert np.isnan(separation_ratio(np.array(values), np.array([True, False])))


def test_separation_ratio_has_finite_gradients_at_its_limits():
    mask = np.array([True, False])
    for values in ([0.5, 0.0], [0.0, 0.5]):
        gradient = jax.grad(lambda v: jnp.where(jnp.isinf(s := separation_ratio(v, mask)), 0, s))(jnp.array(values))
        assert np.isfinite(gradient).all()


def test_signal_components_are_the_rows_nearest_to_the_signal_space():
    encoder = np.array([[0.1, 0, 1, 0], [1, 0.2, 0, 0], [0, 0, 0.3, 1], [0.1, 5, 0, 1]])
    np.testing.assert_array_equal(signal_components(encoder, 2), [False, True, False, True])


def test_prediction_mse_is_the_mean_over_rows():
    rng = np.random.default_rng(1)
    x, y, b = rng.standard_normal((30, 4)), rng.standard_normal((30, 3)), rng.standard_normal((3, 4))
    covariances = Covariances(xx=x.T @ x / 30, xy=x.T @ y / 30, yy=y.T @ y / 30)
    assert float(prediction_mse(b, covariances)) == pytest.approx(np.mean(np.sum((y - x @ b.T) ** 2, 1)), rel=1e-12)
