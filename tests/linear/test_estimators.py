"""The scikit-learn estimators: scikit-learn's own checks, independent solutions, special cases, bad input."""

import re

import jax
import numpy as np
import pytest
from sklearn.base import clone, is_regressor
from sklearn.covariance import ledoit_wolf, shrunk_covariance
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data, parametrize_with_checks

from phasejax.linear import (
    CrossAlignment,
    CrossPrediction,
    JointAlignmentPrediction,
    canonical_correlations,
    covariances_from_samples,
    principal_angles,
    solve_cp,
)

ESTIMATORS = [CrossAlignment, CrossPrediction, JointAlignmentPrediction]
PREDICTORS = ESTIMATORS[1:]


_WIDE = {"check_sample_weight_equivalence_on_dense_data":
         "it fits 27 rows of 30 columns, which takes regularisation: see the test of weights below"}
_OF_THE_SOURCE = {name: "predict takes rows of y, the source, where the check passes rows of X" for name in (
    "check_dict_unchanged", "check_dtype_object", "check_estimators_dtypes", "check_estimators_pickle",
    "check_f_contiguous_array_estimator", "check_fit2d_predict1d", "check_fit_idempotent",
    "check_methods_sample_order_invariance", "check_methods_subset_invariance",
    "check_n_features_in_after_fitting")}


@parametrize_with_checks([*(estimator() for estimator in ESTIMATORS), CrossPrediction(direction="y_to_x")],
                         expected_failed_checks=lambda estimator: _WIDE | (
                             _OF_THE_SOURCE if estimator.get_params().get("direction") == "y_to_x" else {}),
                         xfail_strict=True)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("shrinkage", [0.1, "auto"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_weight_counts_rows(estimator, shrinkage):
    check_sample_weight_equivalence_on_dense_data(estimator.__name__, estimator(shrinkage=shrinkage))


def views(n, seed=0, d_x=6, d_y=5):
    """Two shared directions, correlations 0.9 and 0.7 and the others 0 in the population; means, mixed columns."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99)
    x, y = rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))
    rho = np.array([0.9, 0.7])
    y[:, :2] = rho * x[:, :2] + np.sqrt(1 - rho**2) * y[:, :2]
    return x @ mixing.standard_normal((d_x, d_x)) + 3, y @ mixing.standard_normal((d_y, d_y)) - 2


X, Y = views(400)


def centred(view):
    return view - view.mean(0)


def largest_angle(rows, other):
    with jax.enable_x64(True):
        return float(principal_angles(rows, other)[-1])


def test_spectrum_is_the_canonical_correlations():
    with jax.enable_x64(True):
        expected = canonical_correlations(covariances_from_samples(X, Y, centre=True))
    np.testing.assert_allclose(CrossAlignment(2).fit(X, Y).spectrum_, expected, rtol=1e-10)


def test_codes_are_the_canonical_variates():
    model = CrossAlignment(3).fit(X, Y)
    codes, partners = model.transform(X, Y)
    np.testing.assert_allclose(codes.T @ codes / len(X), np.eye(3), atol=1e-10)
    np.testing.assert_allclose(partners.T @ partners / len(X), np.eye(3), atol=1e-10)
    np.testing.assert_allclose(codes.T @ partners / len(X), np.diag(model.spectrum_[:3]), atol=1e-10)
    assert model.score(X, Y) == pytest.approx(model.spectrum_[:3].mean(), rel=1e-10)
    np.testing.assert_array_equal(model.fit_transform(X, Y), codes)


def test_held_out_correlations_are_those_of_scikit_learns_cca():
    # Its power iteration stops at tol; correlations are stationary at the solution, so the error is of that order.
    held_x, held_y = views(300, seed=1)
    ours = CrossAlignment(2).fit(X, Y).transform(held_x, held_y)
    theirs = CCA(2, tol=1e-12, max_iter=5000).fit(X, Y).transform(held_x, held_y)
    correlations = [[np.corrcoef(a, b)[0, 1] for a, b in zip(codes.T, partners.T, strict=True)]
                    for codes, partners in (ours, theirs)]
    np.testing.assert_allclose(*correlations, atol=1e-6)
    assert CrossAlignment(2).fit(X, Y).score(held_x, held_y) == pytest.approx(np.mean(correlations[1]), abs=1e-6)


def test_full_rank_prediction_is_least_squares():
    held_x, held_y = views(100, seed=1)
    ours, theirs = CrossPrediction(5).fit(X, Y), LinearRegression().fit(X, Y)
    np.testing.assert_allclose(ours.predict(held_x), theirs.predict(held_x), rtol=1e-9)
    expected = r2_score(held_y, theirs.predict(held_x), multioutput="variance_weighted")
    assert ours.score(held_x, held_y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_reduced_rank_regression(k):
    # Least squares, then the leading principal components of what it predicts.
    fitted = LinearRegression().fit(X, Y).predict(X)
    _, values, right = np.linalg.svd(centred(fitted), full_matrices=False)
    expected = centred(fitted) @ right[:k].T @ right[:k] + Y.mean(0)
    model = CrossPrediction(k).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(model.spectrum_, values / np.sqrt(len(X)), rtol=1e-9)


@pytest.mark.parametrize("estimator", PREDICTORS)
def test_regularised_prediction_is_ridge_regression(estimator):
    shrinkage, ridge = 0.3, 0.2
    mean_variance = centred(X).var(0).mean()
    alpha = len(X) * (shrinkage * mean_variance + ridge) / (1 - shrinkage)
    expected = Ridge(alpha=alpha).fit(X, Y).predict(X)
    model = estimator(5, shrinkage=shrinkage, ridge=ridge).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("shrinkage", [0.0, 0.4, 1.0, "auto"])
def test_regularised_alignment(shrinkage):
    def variance(view):
        if shrinkage == "auto":
            return ledoit_wolf(view)
        return shrunk_covariance(np.cov(view.T, bias=True), shrinkage), shrinkage

    (s_xx, share_x), (s_yy, share_y) = variance(X), variance(Y)
    root_x, root_y = (np.linalg.inv(np.linalg.cholesky(s + 0.1 * np.eye(len(s)))) for s in (s_xx, s_yy))
    left, values, right = np.linalg.svd(root_x @ (centred(X).T @ centred(Y) / len(X)) @ root_y.T)
    model = CrossAlignment(2, shrinkage=shrinkage, ridge=0.1).fit(X, Y)
    assert model.shrinkage_ == pytest.approx((share_x, share_y), rel=1e-12)
    np.testing.assert_allclose(model.spectrum_, np.sqrt((1 - share_x) * (1 - share_y)) * values, rtol=1e-9)
    assert largest_angle(model.encoder_x_, left[:, :2].T @ root_x) < 1e-9
    assert largest_angle(model.encoder_y_, right[:2] @ root_y) < 1e-9


def test_regularised_correlations_stay_below_one():
    # y = x in its widest column: with S_xy left alone this correlation is 1.9.
    wide = np.random.default_rng(0).standard_normal((200, 5)) * [10, 1, 1, 1, 1]
    assert CrossAlignment(shrinkage=0.6).fit(wide, wide).spectrum_.max() <= 1


def test_joint_without_alignment_is_prediction():
    for options in ({}, {"shrinkage": "auto", "ridge": 0.1}, {"direction": "y_to_x"}):
        joint = JointAlignmentPrediction(2, lam=0.0, **options).fit(X, Y)
        prediction = CrossPrediction(2, **options).fit(X, Y)
        np.testing.assert_allclose(joint.decoder_ @ joint.transform(X[:9]).T,
                                   prediction.decoder_ @ prediction.transform(X[:9]).T, rtol=1e-8)
        np.testing.assert_allclose(joint.spectrum_, prediction.spectrum_[:2] ** 2, rtol=1e-9)


def test_joint_tends_to_alignment():
    # To first order in 1 / lam, so a hundredfold lam must shrink the angle a hundredfold.
    alignment = CrossAlignment(2).fit(X, Y)
    angles = [largest_angle(JointAlignmentPrediction(2, lam=lam).fit(X, Y).encoder_x_, alignment.encoder_x_)
              for lam in (1e5, 1e7)]
    assert angles[0] < 1e-2
    assert angles[1] == pytest.approx(angles[0] / 100, rel=0.05)
    reverse = JointAlignmentPrediction(2, lam=1e7, direction="y_to_x").fit(X, Y)
    assert largest_angle(reverse.encoder_y_, alignment.encoder_y_) < 1e-4


def test_joint_encoders_minimise_the_alignment_loss():
    model = JointAlignmentPrediction(2, lam=3.0).fit(X, Y)
    codes, partners = model.transform(X, Y)
    np.testing.assert_allclose(partners, LinearRegression().fit(Y, codes).predict(Y), atol=1e-9)
    np.testing.assert_allclose(model.predict(X), LinearRegression().fit(codes, Y).predict(codes), rtol=1e-8)
    # The spectrum sums to explained variance - lam * alignment loss.
    explained = np.sum(centred(model.predict(X)) ** 2) / len(X)
    assert model.spectrum_.sum() == pytest.approx(explained - 3 * np.sum((codes - partners) ** 2) / len(X), rel=1e-9)


def test_regularised_joint_with_another_shrinkage_in_each_view():
    x, y, lam = X[:40], Y[:40], 3.0
    model = JointAlignmentPrediction(2, lam=lam, shrinkage="auto").fit(x, y)
    (s_xx, share_x), (s_yy, share_y) = ledoit_wolf(x), ledoit_wolf(y)
    assert model.shrinkage_ == pytest.approx((share_x, share_y), rel=1e-12)
    assert abs(share_x / share_y - 1) > 0.1
    root_x, root_y = (np.linalg.inv(np.linalg.cholesky(s)) for s in (s_xx, s_yy))
    b = (1 - share_x) * root_x @ (centred(x).T @ centred(y) / len(x))
    values, vectors = np.linalg.eigh(b @ b.T + lam * (b @ root_y.T @ root_y @ b.T - np.eye(6)))
    np.testing.assert_allclose(model.spectrum_, values[:-3:-1], rtol=1e-9)
    encoder = vectors[:, -2:].T @ root_x
    np.testing.assert_allclose(model.predict(x) - y.mean(0), centred(x) @ encoder.T @ vectors[:, -2:].T @ b, atol=1e-9)
    codes, partners = model.transform(x, y)
    alpha = len(x) * share_y / (1 - share_y) * centred(y).var(0).mean()
    np.testing.assert_allclose(partners, centred(Ridge(alpha=alpha).fit(y, codes).predict(y)), atol=1e-9)


@pytest.mark.parametrize("estimator", PREDICTORS)
def test_direction_swaps_the_views(estimator):
    forward = estimator(2, shrinkage="auto").fit(Y, X)
    backward = estimator(2, shrinkage="auto", direction="y_to_x").fit(X, Y)
    np.testing.assert_allclose(backward.predict(Y), forward.predict(Y), rtol=1e-12)
    assert backward.score(X, Y) == pytest.approx(forward.score(Y, X), rel=1e-12)
    for ours, theirs in zip(backward.transform(X, Y), forward.transform(Y, X)[::-1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(backward.transform(X), backward.transform(X, Y)[0])
    assert is_regressor(forward)
    assert not is_regressor(backward)


def test_prediction_takes_dependent_targets():
    doubled = np.c_[Y, Y]
    single, double = CrossPrediction(2).fit(X, Y), CrossPrediction(2).fit(X, doubled)
    np.testing.assert_allclose(double.predict(X), np.tile(single.predict(X), 2), rtol=1e-8)
    np.testing.assert_allclose(double.transform(X, doubled)[1], single.transform(X, Y)[1], atol=1e-8)


@pytest.mark.parametrize("estimator", PREDICTORS)
def test_one_column_of_y(estimator):
    flat, column = estimator().fit(X, Y[:, 0]), estimator().fit(X, Y[:, :1])
    assert flat.predict(X).shape == (400,)
    np.testing.assert_array_equal(flat.predict(X)[:, None], column.predict(X))
    assert flat.score(X, Y[:, 0]) == column.score(X, Y[:, :1])
    assert flat.transform(X, Y[:, 0])[1].shape == (400, 1)


def test_float32_and_lists_are_solved_in_float64():
    x, y = X.astype(np.float32), Y.astype(np.float32)
    model = CrossPrediction(2).fit(x, y)
    assert model.encoder_x_.dtype == model.transform(x).dtype == np.float64
    np.testing.assert_array_equal(model.decoder_, CrossPrediction(2).fit(x.tolist(), y.tolist()).decoder_)
    with jax.enable_x64(True):
        expected = solve_cp(covariances_from_samples(x.astype(float), y.astype(float), centre=True), 2)
    np.testing.assert_allclose(model.spectrum_, expected.spectrum, rtol=1e-10)
    assert not jax.config.jax_enable_x64


def test_feature_names():
    model = CrossAlignment(2).fit(X, Y).set_output(transform="pandas")
    assert model.get_feature_names_out().tolist() == ["crossalignment0", "crossalignment1"]
    assert list(model.transform(X).columns) == ["crossalignment0", "crossalignment1"]


def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), CrossAlignment(2))
    # Alignment does not see the scale of x.
    assert pipeline.fit(X, Y).score(X, Y) == pytest.approx(CrossAlignment(2).fit(X, Y).score(X, Y), rel=1e-9)
    codes = pipeline.fit_transform(X, Y)
    assert codes.shape == (400, 2)
    # Least squares of y on the k codes is what prediction with that encoder gives.
    chained = make_pipeline(CrossPrediction(2), LinearRegression()).fit(X, Y)
    np.testing.assert_allclose(chained.predict(X), CrossPrediction(2).fit(X, Y).predict(X), rtol=1e-8)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_grid_search(estimator):
    pipeline = make_pipeline(StandardScaler(), estimator())
    name = estimator.__name__.lower()
    grid = {f"{name}__n_components": [1, 2, 4], f"{name}__shrinkage": [0.0, 0.9, "auto"]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, Y)
    # By construction one direction is aligned best, and two hold all that x tells about y.
    assert search.best_params_[f"{name}__n_components"] in ({1} if estimator is CrossAlignment else {2, 4})
    assert search.best_params_[f"{name}__shrinkage"] != 0.9
    first = cross_val_score(clone(search.best_estimator_), X, Y, cv=3).mean()
    assert search.best_score_ == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_whole_groups_are_held_out(estimator):
    """Stars that share nothing, each measured 20 times: their own components agree in rows of stars that were seen."""
    pipeline = make_pipeline(StandardScaler(), estimator(shrinkage=0.01))
    seen, held_out = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        stars = np.repeat(np.arange(25), 20)
        x, y = (rng.standard_normal((25, d))[stars] + 0.3 * rng.standard_normal((500, d)) for d in (10, 8))
        order = rng.permutation(500)
        seen.append(cross_val_score(pipeline, x[order], y[order], cv=5).mean())
        held_out.append(cross_val_score(pipeline, x, y, groups=stars, cv=GroupKFold(5)).mean())
    # Of 12 data sets: 0.78 to 0.89 and -0.20 to 0.49 for alignment, 0.05 to 0.14 and below -0.29 for prediction.
    assert min(seen) > 0.04
    assert np.mean(held_out) < np.mean(seen) - 0.3
    grid = {f"{estimator.__name__.lower()}__n_components": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(5)).fit(x, y, groups=stars)
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(held_out[-1])


def with_value(view, value):
    view = view.copy()
    view[3, 1] = value
    return view


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("options", "x", "y", "message"), [
    ({}, X, Y[:-1], "y: expected 400 rows as in X, got 399"),
    ({"n_components": 6}, X, Y, r"n_components: expected 1 to min\(d_x, d_y\) = 5, got 6"),
    ({"n_components": 2}, X, Y[:, 0], r"n_components: expected 1 to min\(d_x, d_y\) = 1, got 2"),
    ({"n_components": 0}, X, Y, "n_components: expected a whole number of at least 1, got 0"),
    ({"n_components": 1.5}, X, Y, "n_components: expected a whole number of at least 1, got 1.5"),
    ({"shrinkage": 1.1}, X, Y, 'shrinkage: expected 0 to 1 or "auto", got 1.1'),
    ({"shrinkage": -0.1}, X, Y, 'shrinkage: expected 0 to 1 or "auto", got -0.1'),
    ({"shrinkage": float("nan")}, X, Y, 'shrinkage: expected 0 to 1 or "auto", got nan'),
    ({"shrinkage": "oas"}, X, Y, 'shrinkage: expected 0 to 1 or "auto", got \'oas\''),
    ({"ridge": -1.0}, X, Y, "ridge: expected a finite variance >= 0, got -1.0"),
    ({"ridge": float("inf")}, X, Y, "ridge: expected a finite variance >= 0, got inf"),
    ({}, with_value(X, np.nan), Y, "Input X contains NaN."),
    ({}, X, with_value(Y, np.nan), "Input y contains NaN."),
    ({}, X, with_value(Y, np.inf), r"Input y contains infinity or a value too large for dtype\('float64'\)."),
    ({}, np.ma.masked_greater(X, 3), Y, r"X: expected no masked values, got \d+ \(fill them, or leave out their rows "
                                        r"in both views\)"),
    ({}, X, np.ma.masked_greater(Y, 0)[:, :1], r"y: expected no masked values, got \d+ \(fill them, .*\)"),
    ({}, X, Y + 1j, "y: expected real numbers, got dtype complex128. Complex data not supported"),
    ({}, X[:6], Y[:6], "[Xy]: expected more rows than columns, or shrinkage or ridge > 0, got 6 rows and 6 columns"),
    ({}, np.ones((400, 3)), Y, "X: expected columns that vary, got 3 constant"),
    ({}, X, np.full(400, 0.1), "y: expected columns that vary, got 1 constant"),
    ({}, 1e-200 * X, Y, "X: expected values whose squares are not rounded to 0, got smaller ones"),
    ({}, 1e200 * X, Y, "X: expected values whose squares are finite numbers, got larger ones"),
    ({"ridge": 1e-30}, np.c_[X, X[:, 0]], np.c_[Y, Y[:, 0]], "X: expected linearly independent columns, or more "
                                                       "shrinkage or ridge, got rank 6 from 7 columns"),
    ({}, X[:1], Y[:1], r"X: Found array with 1 sample\(s\) .* while a minimum of 2 is required."),
])
def test_bad_input(estimator, options, x, y, message):
    with pytest.raises(ValueError, match=f"^{message}$") as refused:
        estimator(**options).fit(x, y)
    assert "\n" not in str(refused.value)


def refuses(message):
    return pytest.raises(ValueError, match=f"^{re.escape(message)}$")


def test_bad_input_of_single_estimators():
    for estimator in PREDICTORS:
        with refuses("direction: expected one of x_to_y, y_to_x, got 'both'"):
            estimator(direction="both").fit(X, Y)
    for lam in (-1.0, float("nan"), float("inf"), None):
        with refuses(f"lam: expected a finite weight >= 0, got {lam}"):
            JointAlignmentPrediction(lam=lam).fit(X, Y)
    for direction, name, rank in (("x_to_y", "X", 6), ("y_to_x", "y", 5)):
        # The target may be singular.
        with refuses(f"{name}: expected linearly independent columns, or more shrinkage or ridge, got rank {rank} from "
                     f"{2 * rank} columns"):
            CrossPrediction(direction=direction, ridge=1e-30).fit(np.c_[X, X], np.c_[Y, Y])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("weights", "message"), [
    (np.ones(399), "sample_weight: expected shape (400,), one weight per row of X, got (399,)"),
    (np.ones((400, 1)), "sample_weight: expected shape (400,), one weight per row of X, got (400, 1)"),
    (np.arange(400) - 1.0, "sample_weight: expected finite numbers >= 0, got -1.0"),
    (np.r_[np.ones(399), np.inf], "sample_weight: expected finite numbers >= 0, got inf"),
    (np.zeros(400), "sample_weight: expected at least one weight above 0, got only zeros"),
])
def test_bad_weights(estimator, weights, message):
    with refuses(message):
        estimator().fit(X, Y, sample_weight=weights)
    with refuses(message):
        estimator().fit(X, Y).score(X, Y, sample_weight=weights)


def test_bad_input_after_fitting():
    for estimator in ESTIMATORS:
        model = estimator().fit(X, Y)
        for method in (model.transform, model.score):
            with refuses("y: expected 5 columns as in fit, got 4"):
                method(X, Y[:, 1:])
            with refuses("y: expected 400 rows as in X, got 399"):
                method(X, Y[1:])
    with refuses("y: expected 5 columns as in fit, got 6"):
        CrossPrediction(direction="y_to_x").fit(X, Y).predict(X)
