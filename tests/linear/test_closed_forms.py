"""The closed forms of the estimators against a singular value decomposition of the whole matrix."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from phasejax.linear._closed_forms import solve_alignment, solve_prediction


def covariances(rng, d_x, d_y, shared):
    rows = rng.standard_normal((400, shared))
    x, y = (rng.standard_normal((400, d)) + rows @ rng.standard_normal((shared, d)) for d in (d_x, d_y))
    return x.T @ x / 400, x.T @ y / 400, y.T @ y / 400


# Few of many directions, near the largest, come from a square; many, or small ones, from the matrix itself.
@pytest.mark.parametrize(("d_x", "d_y", "shared", "k"), [(20, 15, 3, 3), (15, 20, 3, 2), (20, 15, 1, 3), (6, 5, 2, 3)])
def test_few_leading_directions_are_those_of_all(d_x, d_y, shared, k):
    xx, xy, yy = covariances(np.random.default_rng(0), d_x, d_y, shared)
    encoder_x, encoder_y, values = solve_alignment(xx, xy, yy, k)
    expected = np.linalg.svd(np.linalg.inv(sqrtm(xx).real) @ xy @ np.linalg.inv(sqrtm(yy).real))[1]
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    np.testing.assert_allclose(encoder_x @ xx @ encoder_x.T, np.eye(k), atol=1e-9)
    np.testing.assert_allclose(encoder_y @ yy @ encoder_y.T, np.eye(k), atol=1e-9)
    np.testing.assert_allclose(encoder_x @ xy @ encoder_y.T, np.diag(expected[:k]), atol=1e-9)


@pytest.mark.parametrize(("d_x", "d_y", "k"), [(20, 15, 2), (15, 20, 2), (6, 5, 3)])
def test_a_prediction_of_few_ranks_is_the_best_one(d_x, d_y, k):
    """Reduced-rank regression: the explained variance is the sum of the k largest squares of S_xx^(-1/2) S_xy."""
    xx, xy, yy = covariances(np.random.default_rng(1), d_x, d_y, 3)
    encoder, decoder, _ = solve_prediction(("x", "y"), xx, xy, yy, k, None)
    expected = np.linalg.svd(np.linalg.inv(sqrtm(xx).real) @ xy)[1]
    predictor = decoder @ encoder
    left = np.trace(yy) - 2 * np.trace(predictor @ xy) + np.trace(predictor @ xx @ predictor.T)
    assert left == pytest.approx(np.trace(yy) - np.sum(expected[:k] ** 2), rel=1e-9)
