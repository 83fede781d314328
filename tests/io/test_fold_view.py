"""Views in the principal components of a fold's training rows: against scikit-learn, and that nothing leaks."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phasejax.io._fold_view import FoldView, fold_views, span_coordinates

N = 40
TRAINING = np.arange(N) % 5 != 2
HELD_OUT = int(np.flatnonzero(~TRAINING)[0])


def correlated(d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, 4)) @ rng.standard_normal((4, d)) + 0.5 * rng.standard_normal((N, d)) + 20


@pytest.mark.parametrize("d", [7, 300])
@pytest.mark.parametrize("standardise", [False, True])
def test_components_are_those_of_scikit_learn(d, standardise):
    rows = correlated(d)
    found = FoldView.reduced(rows, 3, standardise=standardise).fitted_to(TRAINING)
    steps = make_pipeline(*[StandardScaler()] * standardise, PCA(3)).fit(rows[TRAINING])
    np.testing.assert_allclose(np.abs(found), np.abs(steps.transform(rows)), atol=1e-9)
    others = make_pipeline(*[StandardScaler()] * standardise, PCA(3)).fit(rows)
    assert np.abs(np.abs(found) - np.abs(others.transform(rows))).max() > 1e-3


@pytest.mark.parametrize("standardise", [False, True])
def test_a_held_out_row_has_no_part_in_what_the_others_become(standardise):
    rows = correlated(7)
    changed = rows.copy()
    changed[HELD_OUT] = 1e9 * np.arange(7)
    plain, other = (FoldView.reduced(view, 3, standardise=standardise).fitted_to(TRAINING) for view in (rows, changed))
    rest = np.arange(N) != HELD_OUT
    np.testing.assert_array_equal(plain[rest], other[rest])  # to the last bit
    assert not np.array_equal(plain[HELD_OUT], other[HELD_OUT])
    # In the folds that train on it everything is another.
    within = np.ones(N, bool)
    assert np.abs(FoldView.reduced(rows, 3).fitted_to(within) - FoldView.reduced(changed, 3).fitted_to(within)
                  )[rest].max() > 1


def test_nor_where_more_columns_than_rows_are_rotated_first():
    """The coordinates depend on all rows, distances and so components do not: up to rounding nothing changes."""
    rows = correlated(300)
    changed = rows.copy()
    changed[HELD_OUT] = 1e6 * np.arange(300)
    plain, other = (FoldView.reduced(view, 3).fitted_to(TRAINING) for view in (rows, changed))
    rest = np.arange(N) != HELD_OUT
    np.testing.assert_allclose(np.abs(plain[rest]), np.abs(other[rest]), atol=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_span_coordinates_keep_distances(scale):
    rows = correlated(60)
    found = span_coordinates(scale * rows)
    assert found.shape == (N, N)
    np.testing.assert_allclose(pdist(found / scale), pdist(rows), rtol=1e-10)


def test_components_beyond_the_rank_are_zero_and_narrow_views_stay():
    rows = correlated(2)
    found = FoldView.reduced(np.c_[rows, rows @ [1.0, 2.0]], 3).fitted_to(TRAINING)
    assert np.ptp(found[:, 1]) > 0.1
    np.testing.assert_array_equal(found[:, 2], 0)
    x, y = fold_views(rows, correlated(9), 4)
    assert (x.width, x.shape, y.shape, len(y)) == (None, (N, 2), (N, 4), N)
    assert x.fitted_to(TRAINING) is rows
    with pytest.raises(ValueError, match=r"^pca: expected"):
        fold_views(rows, rows, 0)
