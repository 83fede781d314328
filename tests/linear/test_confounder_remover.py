"""Known nuisance removed inside a pipeline, against least squares by hand in every fold."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from phasejax.linear import ConfounderRemover, CrossAlignment, TwoViewEncoder

RNG = np.random.default_rng(0)
BATCH = np.array(["a", "b", "c"])[np.arange(90) % 3]
AGE = RNG.uniform(20, 80, 90)
FEATURES = RNG.standard_normal((90, 4)) + 5 * np.eye(3)[np.arange(90) % 3] @ RNG.standard_normal((3, 4)) + AGE[:, None]
FRAME = pd.DataFrame(FEATURES, columns=["f0", "f1", "f2", "f3"]).assign(batch=BATCH, age=AGE)


@parametrize_with_checks([ConfounderRemover(columns=[0])])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_residuals_are_those_of_a_regression_on_the_rows_of_fit():
    train, test = np.arange(60), np.arange(60, 90)
    remover = ConfounderRemover(columns=["batch", "age"]).fit(FRAME.iloc[train])
    design = np.column_stack([OneHotEncoder(sparse_output=False).fit_transform(FRAME[["batch"]]), AGE])
    expected = FEATURES - LinearRegression().fit(design[train], FEATURES[train]).predict(design)
    np.testing.assert_allclose(remover.transform(FRAME.iloc[test]), expected[test], atol=1e-8)
    assert [None if levels is None else levels.tolist() for levels in remover.levels_] == [["a", "b", "c"], None]
    with config_context(transform_output="pandas"):
        assert list(remover.transform(FRAME).columns) == ["f0", "f1", "f2", "f3"]


def test_a_level_that_fit_has_not_seen_counts_as_the_average_of_the_others():
    frame = pd.DataFrame({"batch": ["a", "a", "b", "b", "new"], "f": [0.0, 2.0, 10.0, 12.0, 50.0]})
    remover = ConfounderRemover(columns="batch").fit(frame.iloc[:4])
    np.testing.assert_allclose(remover.transform(frame)[:, 0], [-1, 1, -1, 1, 44])


def test_nothing_of_a_shared_batch_is_left_to_alignment_in_any_fold():
    rng = np.random.default_rng(1)
    batch = np.arange(300) % 6
    x, y = (rng.standard_normal((300, 3)) + 4 * rng.standard_normal((6, 3))[batch] for _ in range(2))
    target, table = 4.0 * rng.standard_normal(6)[batch] + rng.standard_normal(300), np.column_stack([batch, x, y])
    folds = KFold(5, shuffle=True, random_state=0)
    encoder = TwoViewEncoder(CrossAlignment(2), split=3)
    before = cross_val_score(make_pipeline(encoder, Ridge()), table[:, 1:], target, cv=folds)
    after = cross_val_score(make_pipeline(ConfounderRemover(columns=[0]), encoder, Ridge()), table, target, cv=folds)
    assert before.mean() > 0.3
    assert after.mean() < 0.02
    left = cross_val_predict(make_pipeline(ConfounderRemover(columns=[0]), LinearRegression()), table, target, cv=folds)
    assert np.corrcoef(left, target)[0, 1] < 0.15


@pytest.mark.parametrize(("columns", "message"), [
    (None, "columns: expected those of the confounders, got none"),
    (["site"], "columns: expected columns of X by name or by number from 0 to 5, got 'site'"),
    ([7], "columns: expected columns of X by name or by number from 0 to 5, got 7"),
    (list(range(6)), "columns: expected fewer than the 6 columns of X, got all")])
def test_bad_columns_are_refused(columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ConfounderRemover(columns=columns).fit(FRAME)


def test_a_missing_confounder_is_refused():
    with pytest.raises(ValueError, match="confounders: expected a value in every row, got 1 of 90 without"):
        ConfounderRemover(columns="batch").fit(FRAME.assign(batch=np.where(np.arange(90) == 5, None, BATCH)))
