"""Columns of the estimators' views: constant and dependent ones, their names, frames of codes, and their units."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from threadpoolctl import threadpool_info, threadpool_limits

from phasejax.datasets import load_digit_halves
from phasejax.linear import (
    CrossAlignment,
    CrossPrediction,
    JointAlignmentPrediction,
    covariances_from_samples,
    solve_ca,
    solve_cp,
    solve_joint,
)
from phasejax.linear._one_thread import one_thread

ESTIMATORS = [CrossAlignment, CrossPrediction, JointAlignmentPrediction]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4)) @ RNG.standard_normal((4, 4)) + 1
Y = X[:, :3] @ RNG.standard_normal((3, 3)) + RNG.standard_normal((60, 3))
HELD_X, HELD_Y = X[::-1] + RNG.standard_normal((60, 4)), Y[::-1] + RNG.standard_normal((60, 3))
each = pytest.mark.parametrize("estimator", ESTIMATORS)


def test_closed_forms_are_those_of_the_compiled_solvers():
    with jax.enable_x64(True):
        moments = covariances_from_samples(X, Y, centre=True)
        ca, cp, joint = jax.jit(lambda m: (solve_ca(m, 2), solve_cp(m.reverse(), 2), solve_joint(m, 2, 0.3)))(moments)
        predictor = np.asarray(joint.predictor)
    ours = CrossAlignment(2).fit(X, Y)
    np.testing.assert_allclose(ours.encoder_x_, ca.encoder_x, rtol=1e-8)
    np.testing.assert_allclose(ours.encoder_y_, ca.encoder_y, rtol=1e-8)
    np.testing.assert_allclose(ours.spectrum_, ca.spectrum, rtol=1e-10)
    ours = CrossPrediction(2, direction="y_to_x").fit(X, Y)
    np.testing.assert_allclose(ours.encoder_y_, cp.encoder, rtol=1e-8)
    np.testing.assert_allclose(ours.decoder_, cp.decoder, rtol=1e-8, atol=1e-12)
    ours = JointAlignmentPrediction(2, lam=0.3).fit(X, Y)
    np.testing.assert_allclose(ours.decoder_ @ ours.encoder_x_, predictor, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.spectrum_, joint.spectrum, rtol=1e-8)


# Constant and dependent columns


def with_constants(view, values):
    """The view with columns of a single value at its start and amid it."""
    return np.insert(view, [0, 2], np.full((len(view), 2), values), axis=1)


@each
@pytest.mark.parametrize("options", [{}, {"shrinkage": "auto"}, {"shrinkage": 0.3, "ridge": 0.1}])
@pytest.mark.parametrize("direction", ["x_to_y", "y_to_x"])
def test_constant_columns_count_nowhere(estimator, options, direction):
    options = options if estimator is CrossAlignment else {**options, "direction": direction}
    plain = estimator(2, **options).fit(X, Y)
    wider = estimator(2, **options).fit(with_constants(X, [0.1, -3e8]), with_constants(Y, [7.0, 0.0]))
    np.testing.assert_allclose(wider.spectrum_, plain.spectrum_, rtol=1e-9)
    assert not wider.encoder_x_[:, [0, 3]].any()
    assert not wider.encoder_y_[:, [0, 3]].any()
    # What these columns are in other rows changes nothing.
    held = with_constants(HELD_X, [5.0, np.pi]), with_constants(HELD_Y, [7.0, 0.0])
    for ours, theirs in zip(wider.transform(*held), plain.transform(HELD_X, HELD_Y), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
    if estimator is CrossAlignment or direction == "x_to_y":
        assert wider.score(*held) == pytest.approx(plain.score(HELD_X, HELD_Y), rel=1e-8)


def test_digits_have_scores_in_every_fold():
    x, y, _ = load_digit_halves()
    for estimator in (CrossAlignment(5), CrossPrediction(5), CrossPrediction(5, direction="y_to_x")):
        with warnings.catch_warnings():
            # In one fold two pixels are inked in the same image alone.
            warnings.filterwarnings("ignore", "X: 1 of 30 columns get weight 0: 26 is a combination of others")
            scores = cross_val_score(estimator, x, y, error_score="raise")
        assert np.all((scores > 0.1) & (scores < 0.95)), scores
    # In the first fold that has a constant pixel, leaving that out by hand is the same.
    rows = next(rows for rows in np.array_split(np.arange(len(x)), 5)
                if min(np.ptp(np.delete(view, rows, 0), 0).min() for view in (x, y)) == 0)
    train_x, train_y = np.delete(x, rows, 0), np.delete(y, rows, 0)
    columns = [np.ptp(view, 0) > 0 for view in (train_x, train_y)]
    by_hand = CrossAlignment(5).fit(train_x[:, columns[0]], train_y[:, columns[1]])
    expected = by_hand.score(x[rows][:, columns[0]], y[rows][:, columns[1]])
    assert CrossAlignment(5).fit(train_x, train_y).score(x[rows], y[rows]) == pytest.approx(expected, rel=1e-10)


@each
def test_combinations_of_columns_are_left_out_with_a_warning(estimator):
    wider = np.c_[X, 1e6 * X[:, 0] - X[:, 2], X[:, 1]]
    with pytest.warns(UserWarning, match=r"^X: 2 of 6 columns get weight 0: 4, 5 are combinations of others "
                                         r"\(shrinkage or ridge > 0 keeps all\)$"):
        found = estimator(2).fit(wider, Y)
    plain = estimator(2).fit(X, Y)
    np.testing.assert_allclose(found.encoder_x_, np.c_[plain.encoder_x_, np.zeros((2, 2))], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.spectrum_, plain.spectrum_, rtol=1e-7)
    frame = pd.DataFrame(np.c_[Y, Y.sum(1)], columns=list("abcd"))
    if estimator is not CrossPrediction:
        with pytest.warns(UserWarning, match=r"^y: 1 of 4 columns get weight 0: d is a combination of others"):
            found = estimator(2).fit(X, frame)
        assert found.encoder_y_[:, 3].tolist() == [0, 0]
    estimator(2, ridge=0.1).fit(wider, frame)  # nothing has to be left out
    with pytest.warns(UserWarning, match="combinations"), \
            pytest.raises(ValueError, match=r"^n_components: expected 1 to the lesser rank of the views = 1, got 2$"):
        estimator(2).fit(X[:, :1] * [1, 2, 3], Y)


# Names and frames


def frames():
    index = pd.Index(range(100, 160))
    return pd.DataFrame(X, index, list("abcd")), pd.DataFrame(Y, index, list("uvw"))


@each
def test_names_of_both_views_are_kept_and_checked(estimator):
    x, y = frames()
    model = estimator(2).fit(x, y)
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.feature_names_in_y_.tolist() == list("uvw")
    name = estimator.__name__.lower()
    assert model.get_feature_names_out().tolist() == [f"{name}0", f"{name}1"]
    for use in (model.transform, model.score):
        with pytest.raises(ValueError, match=r"^y: expected the columns of fit in their order, 'u' in place 0, got 'v'$"
                           ):
            use(x, y[["v", "u", "w"]])
        with pytest.raises(ValueError, match="feature names should match"):
            use(x[["b", "a", "c", "d"]], y)
    with pytest.raises(ValueError, match=r"^y: expected 3 columns as in fit, got 2$"):
        model.transform(x, y[["u", "v"]])
    if estimator is not CrossAlignment:
        backward = estimator(2, direction="y_to_x").fit(x, y)
        with pytest.raises(ValueError, match="'u' in place 0, got 'w'"):
            backward.predict(y[["w", "v", "u"]])
    assert not hasattr(model.fit(X, Y), "feature_names_in_y_")


@each
@pytest.mark.parametrize(("container", "make"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_both_outputs_are_frames(estimator, container, make):
    x, y = frames()
    if make is pl.DataFrame:
        x, y = pl.from_pandas(x), pl.from_pandas(y)
    model = clone(estimator(2).set_output(transform=container)).fit(x, y)
    plain = estimator(2).fit(X, Y).transform(X, Y)
    with config_context(transform_output=container):
        pairs = [model.transform(x, y), estimator(2).fit(x, y).transform(x, y)]
    name = estimator.__name__.lower()
    for codes, partners in pairs:
        assert isinstance(codes, make)
        assert isinstance(partners, make)
        assert list(codes.columns) == [f"{name}0", f"{name}1"]
        assert list(partners.columns) == [f"{name}_y0", f"{name}_y1"]
        np.testing.assert_allclose(codes.to_numpy(), plain[0], rtol=1e-9)
        np.testing.assert_allclose(partners.to_numpy(), plain[1], rtol=1e-9)
        if container == "pandas":
            assert codes.index.equals(x.index)
            assert partners.index.equals(y.index)
            assert pd.concat([codes, partners], axis=1).shape == (60, 4)
    assert isinstance(model.transform(x), make)
    assert model.score(x, y) == pytest.approx(estimator(2).fit(X, Y).score(X, Y), rel=1e-9)


# Weights


def test_weighted_scores_are_those_of_repeated_rows():
    weights = np.arange(60) % 4
    rows = np.repeat(np.arange(60), weights)
    for estimator in ESTIMATORS:
        model = estimator(2, shrinkage="auto").fit(X, Y, sample_weight=weights)
        repeated = estimator(2, shrinkage="auto").fit(X[rows], Y[rows])
        np.testing.assert_allclose(model.shrinkage_, repeated.shrinkage_, rtol=1e-10)
        assert model.score(X, Y, sample_weight=weights) == pytest.approx(repeated.score(X[rows], Y[rows]), rel=1e-9)
        assert model.score(X, Y) != pytest.approx(repeated.score(X[rows], Y[rows]), rel=1e-3)
        other_scale = estimator(2, shrinkage=0.1).fit(X, Y, sample_weight=1e-8 * weights)
        np.testing.assert_allclose(other_scale.spectrum_,
                                   estimator(2, shrinkage=0.1).fit(X[rows], Y[rows]).spectrum_, rtol=1e-9)


# Invariances


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**16), scale=st.sampled_from([1e-9, 0.3, 1e9]), offset=st.sampled_from([-3.0, 0.0, 1e4]),
       estimator=st.sampled_from(ESTIMATORS), direction=st.sampled_from(["x_to_y", "y_to_x"]))
def test_scores_do_not_depend_on_units_rotation_or_order(seed, scale, offset, estimator, direction):
    """Alignment is the same for any invertible map of either view, prediction for those and rotations of the target."""
    order = np.random.default_rng(seed).permutation(60)
    map_of_x, map_of_y = rotation(4, seed) * np.array([1, 10, 0.1, 3.0]), rotation(3, seed + 1)
    options = {} if estimator is CrossAlignment else {"direction": direction}
    if options and direction == "y_to_x":
        scale, map_of_x = 1.0, rotation(4, seed)  # the unit of the target is that of lam and of the spectrum too
        map_of_y *= np.array([1, 10, 0.1])
    map_of_x = scale * map_of_x
    expected = estimator(2, **options).fit(X, Y)
    found = estimator(2, **options).fit((X @ map_of_x + scale * offset)[order], (Y @ map_of_y + offset)[order])
    assert found.score(HELD_X @ map_of_x + scale * offset, HELD_Y @ map_of_y + offset) == pytest.approx(
        expected.score(HELD_X, HELD_Y), rel=1e-5)
    np.testing.assert_allclose(found.spectrum_, expected.spectrum_, rtol=1e-5)


@each
def test_float32_gives_the_scores_of_float64(estimator):
    model = estimator(2).fit(X.astype(np.float32), Y.astype(np.float32))
    expected = estimator(2).fit(X, Y)
    assert model.score(HELD_X.astype(np.float32), HELD_Y) == pytest.approx(expected.score(HELD_X, HELD_Y), rel=1e-5)


def test_prediction_with_all_components_is_least_squares_for_any_weights():
    weights = np.random.default_rng(1).exponential(size=60)
    ours = CrossPrediction(3).fit(X, Y, sample_weight=weights)
    theirs = LinearRegression().fit(X, Y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict(HELD_X), theirs.predict(HELD_X), rtol=1e-8)


# Threads


def test_threads_of_the_library_are_given_back():
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2):
        before = threads()
        with one_thread(10), one_thread(20):
            assert set(threads()) == {1}
        assert threads() == before
        with one_thread(100_000):
            assert threads() == before
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: CrossAlignment(2).fit(X, Y), range(40)))
        with pytest.raises(ValueError, match="n_components"):
            CrossAlignment(4).fit(X, Y)
        assert threads() == before
