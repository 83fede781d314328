"""From two views and labels to a score, through scikit-learn's pipelines, searches and routing of metadata."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from phasejax.datasets import load_digit_halves
from phasejax.linear import CrossAlignment, CrossPrediction, JointAlignmentPrediction, TwoViewEncoder

DIGITS_X, DIGITS_Y, DIGITS = load_digit_halves()
TABLE, WIDTH = np.hstack([DIGITS_X, DIGITS_Y]), DIGITS_X.shape[1]
# Every fourth row: enough for folds, and fast.
SMALL, SMALL_LABELS = TABLE[::4], DIGITS[::4]
ALIGNMENT = CrossAlignment(4, shrinkage=0.05)


@parametrize_with_checks([TwoViewEncoder(CrossAlignment(shrinkage=0.1), split=1)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def classified(encoder=ALIGNMENT, **options):
    return make_pipeline(TwoViewEncoder(encoder, split=WIDTH, **options), StandardScaler(),
                         LogisticRegression(max_iter=500))


def test_scores_are_those_of_the_steps_by_hand():
    train, test = next(KFold(3, shuffle=True, random_state=0).split(SMALL))
    x, y = SMALL[:, :WIDTH], SMALL[:, WIDTH:]
    encoder = clone(ALIGNMENT).fit(x[train], y[train])
    for use, parts in (("both", slice(None)), ("x", slice(1)), ("y", slice(1, None))):
        codes = [np.hstack(encoder.transform(x[rows], y[rows])[parts]) for rows in (train, test)]
        codes = [(part - codes[0].mean(0)) / codes[0].std(0) for part in codes]
        by_hand = LogisticRegression(max_iter=500).fit(codes[0], SMALL_LABELS[train])
        model = classified(use=use).fit(SMALL[train], SMALL_LABELS[train])
        np.testing.assert_array_equal(model.predict(SMALL[test]), by_hand.predict(codes[1]))
        np.testing.assert_allclose(model.predict_proba(SMALL[test]), by_hand.predict_proba(codes[1]), rtol=1e-6)
        assert model.score(SMALL[test], SMALL_LABELS[test]) == by_hand.score(codes[1], SMALL_LABELS[test])


def test_search_over_objective_k_ridge_and_direction_with_labels_as_the_score():
    prefix = "twoviewencoder__"
    grid = [{prefix + "encoder": [CrossAlignment()], prefix + "encoder__n_components": [1, 6],
             prefix + "encoder__ridge": [0.1, 1e6]},
            {prefix + "encoder": [CrossPrediction(ridge=0.1)], prefix + "encoder__n_components": [1, 6],
             prefix + "encoder__direction": ["x_to_y", "y_to_x"], prefix + "use": ["x", "both"]}]
    search = GridSearchCV(classified(), grid, cv=3, error_score="raise").fit(SMALL, SMALL_LABELS)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 12
    k = np.array([found[prefix + "encoder__n_components"] for found in search.cv_results_["params"]])
    assert scores[k == 6].min() > scores[k == 1].max()  # ten digits are not told apart by one number of each half
    assert search.best_score_ > 0.75
    again = cross_val_score(clone(search.best_estimator_), SMALL, SMALL_LABELS, cv=3).mean()
    assert search.best_score_ == pytest.approx(again, rel=1e-12)
    assert search.predict_proba(SMALL[:2]).shape == (2, 10)


def test_regression_and_other_encoders():
    target = TABLE[::4].sum(1)  # the ink of both halves
    joint = TwoViewEncoder(JointAlignmentPrediction(20, ridge=0.1), split=WIDTH)
    model = make_pipeline(StandardScaler(), joint, Ridge())
    assert cross_val_score(model, SMALL, target, cv=3).mean() > 0.8
    theirs = make_pipeline(StandardScaler(), TwoViewEncoder(CCA(2), split=WIDTH), Ridge())
    ours = make_pipeline(StandardScaler(), TwoViewEncoder(CrossAlignment(2, ridge=1e-6), split=WIDTH), Ridge())
    columns = np.ptp(SMALL, 0) > 0
    assert columns.sum() < len(columns)
    ours, theirs = (cross_val_score(model, SMALL, target, cv=3).mean() for model in (ours, theirs))
    assert ours == pytest.approx(theirs, abs=0.05)


def test_groups_and_weights_are_routed():
    groups = np.arange(len(SMALL)) % 9
    weights = np.where(groups < 3, 2.0, 1.0)
    repeated = np.repeat(np.arange(len(SMALL)), weights.astype(int))
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(
            TwoViewEncoder(ALIGNMENT, split=WIDTH).set_fit_request(sample_weight=True),
            StandardScaler().set_fit_request(sample_weight=True),
            LogisticRegression(max_iter=500).set_fit_request(sample_weight=True).set_score_request(sample_weight=True))
        routed = cross_validate(model, SMALL, SMALL_LABELS, cv=GroupKFold(3), error_score="raise",
                                params={"sample_weight": weights, "groups": groups})["test_score"]
        plain = cross_validate(model, SMALL, SMALL_LABELS, cv=GroupKFold(3), params={"groups": groups})["test_score"]
        search = GridSearchCV(model, {"twoviewencoder__encoder__n_components": [2, 4]}, cv=GroupKFold(3)).fit(
            SMALL, SMALL_LABELS, sample_weight=weights, groups=groups)
    expected = cross_val_score(classified(), SMALL[repeated], SMALL_LABELS[repeated], groups=groups[repeated],
                               cv=GroupKFold(3))
    # The folds of the repeated rows hold the same groups, in another order perhaps.
    np.testing.assert_allclose(np.sort(routed), np.sort(expected), atol=0.02)
    assert not np.allclose(np.sort(routed), np.sort(plain), atol=1e-6)
    assert search.cv_results_["mean_test_score"][1] == pytest.approx(routed.mean(), rel=1e-9)


def test_weights_without_routing_and_of_encoders_that_take_none():
    weights = np.linspace(0, 1, len(SMALL))
    found = TwoViewEncoder(ALIGNMENT, split=WIDTH).fit(SMALL, sample_weight=weights)
    expected = clone(ALIGNMENT).fit(SMALL[:, :WIDTH], SMALL[:, WIDTH:], sample_weight=weights)
    np.testing.assert_array_equal(found.encoder_.encoder_x_, expected.encoder_x_)
    with pytest.raises(ValueError, match=r"^sample_weight: expected an encoder that takes weights, got CCA$"):
        TwoViewEncoder(CCA(), split=WIDTH).fit(SMALL, sample_weight=weights)


def test_columns_by_name_and_number_are_the_same():
    frame = pd.DataFrame(SMALL, columns=[f"left{i}" for i in range(WIDTH)] + [f"right{i}" for i in range(31)])
    shuffled = frame[np.random.default_rng(0).permutation(frame.columns)].assign(patient=np.arange(len(SMALL)))
    left, right = list(frame.columns[:WIDTH]), list(frame.columns[WIDTH:])
    expected = TwoViewEncoder(ALIGNMENT, split=WIDTH).fit(SMALL)
    by_name = TwoViewEncoder(ALIGNMENT, split=(left, right)).fit(shuffled)
    np.testing.assert_allclose(by_name.transform(shuffled), expected.transform(SMALL), rtol=1e-9)
    assert by_name.encoder_.feature_names_in_.tolist() == left
    assert by_name.encoder_.feature_names_in_y_.tolist() == right
    by_number = TwoViewEncoder(ALIGNMENT, split=(range(WIDTH), range(WIDTH, 61))).fit(SMALL)
    np.testing.assert_array_equal(by_number.transform(SMALL), expected.transform(SMALL))
    with pytest.raises(ValueError, match="feature names should match"):
        by_name.transform(frame.assign(patient=0))
    # A selecting step in front does as well.
    selected = make_pipeline(ColumnTransformer([("left", StandardScaler(), left), ("right", "passthrough", right)]),
                             TwoViewEncoder(CrossAlignment(2, shrinkage="auto"), split=WIDTH))
    assert selected.fit_transform(shuffled).shape == (len(SMALL), 4)


def test_frames_and_names_of_codes():
    frame = pd.DataFrame(SMALL, index=np.arange(len(SMALL)) + 7, columns=[f"c{i}" for i in range(61)])
    for use, names in (("both", ["x0", "x1", "y0", "y1"]), ("x", ["x0", "x1"]), ("y", ["y0", "y1"])):
        encoder = TwoViewEncoder(CrossAlignment(2, shrinkage=0.1), split=WIDTH, use=use)
        assert encoder.fit(frame).get_feature_names_out().tolist() == names
        with config_context(transform_output="pandas"):
            codes = encoder.fit(frame).transform(frame)
        assert list(codes.columns) == names
        assert codes.index.equals(frame.index)
        polars = clone(encoder).set_output(transform="polars").fit_transform(frame)
        np.testing.assert_allclose(polars.to_numpy(), codes.to_numpy(), rtol=1e-9)


def test_copies_are_the_same():
    model = classified().fit(SMALL, SMALL_LABELS)
    for copy in (pickle.loads(pickle.dumps(model)), clone(model).fit(SMALL, SMALL_LABELS)):
        np.testing.assert_array_equal(copy.predict(SMALL), model.predict(SMALL))
    assert model.get_params()["twoviewencoder__encoder__n_components"] == 4


class OneView(BaseEstimator):
    def fit(self, X, y=None):  # noqa: N803
        return self

    def transform(self, X, y=None):  # noqa: N803
        return X


@pytest.mark.parametrize(("options", "message"), [
    ({}, "split: expected a number of columns, or a pair of lists of columns, got none"),
    ({"split": 61}, "split: expected 1 to 60, since X has 61 columns, got 61"),
    ({"split": 0}, "split: expected 1 to 60, since X has 61 columns, got 0"),
    ({"split": 30.0}, "split: expected a number of columns, or a pair of lists of columns, got 30.0"),
    ({"split": ([0, 1], [1, 2])}, "split: expected every column in one view at most, got one in two places"),
    ({"split": ([0, 1], [])}, "split: expected at least one column in each view, got an empty list"),
    ({"split": (["a"], [1])}, "split: expected columns of X by name or by number from 0 to 60, got 'a'"),
    ({"split": ([-1], [1])}, "split: expected columns of X by name or by number from 0 to 60, got -1"),
    ({"split": 30, "use": "z"}, "use: expected one of both, x, y, got 'z'"),
    ({"split": 30, "encoder": OneView()}, "encoder: expected one whose transform(X, Y) gives the codes of both views, "
                                          "got OneView"),
    ({"split": 30, "encoder": CrossAlignment(40, ridge=1.0)}, "n_components: expected 1 to "),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        TwoViewEncoder(**options).fit(SMALL)


@pytest.mark.slow
def test_processes_of_joblib_give_the_same_scores():
    for encoder in (ALIGNMENT, CrossPrediction(4, ridge=0.1, direction="y_to_x")):
        alone = cross_val_score(classified(encoder), SMALL, SMALL_LABELS, cv=3)
        np.testing.assert_allclose(cross_val_score(classified(encoder), SMALL, SMALL_LABELS, cv=3, n_jobs=2), alone)
