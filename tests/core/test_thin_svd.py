"""Singular value decompositions end where NumPy's gives up."""

import numpy as np
import pytest

from phasejax._core.thin_svd import thin_svd


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_where_numpy_gives_up_the_decomposition_is_the_same(monkeypatch, shape):
    """A matrix of rank 20, as NumPy fails on some; here it fails by order."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((shape[0], 20)) @ rng.standard_normal((20, shape[1]))
    expected = np.linalg.svd(matrix, full_matrices=False)

    def gives_up(*args, **options):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", gives_up)
    left, values, right = thin_svd(matrix)
    assert (left.shape, values.shape, right.shape) == ((shape[0], 30), (30,), (30, shape[1]))
    np.testing.assert_allclose(values, expected[1], atol=1e-12 * values[0])
    np.testing.assert_allclose(left * values @ right, matrix, atol=1e-12 * values[0])
    np.testing.assert_allclose(left.T @ left, np.eye(30), atol=1e-12)
    # The same up to signs.
    np.testing.assert_allclose(np.abs(np.sum(left * expected[0], axis=0))[:20], 1, rtol=1e-9)
