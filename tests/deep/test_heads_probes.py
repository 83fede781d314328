"""Probes and scores of heads beside scikit-learn, and how often their intervals hold the truth."""

import jax
import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score

from phasejax.deep._heads_networks import applied, hidden_scales, new_layers, new_means
from phasejax.deep._heads_probes import ProbeParts, interval, predicted, score
from phasejax.deep._heads_rows import Target
from phasejax.deep._linear_probe import PENALTIES

RNG = np.random.default_rng(0)


def target(values, kind):
    classes = tuple(map(str, np.unique(values).astype(int))) if kind == "class" else ()
    return Target("t", kind, values.astype(float), np.ones(len(values), bool), classes, False)


def test_scores_are_those_of_scikit_learn():
    truth, found = RNG.integers(0, 3, 50), RNG.integers(0, 3, 50)
    assert score("class", truth, found)[0] == pytest.approx(balanced_accuracy_score(truth, found))
    values, guess, weight = RNG.standard_normal((3, 50))
    assert score("real", values, guess)[0] == pytest.approx(r2_score(values, guess))
    weighted = score("real", values, guess, weight[None] ** 2)[0]
    assert weighted == pytest.approx(r2_score(values, guess, sample_weight=weight**2))
    counted = score("class", truth, found, weight[None] ** 2)[0]
    assert counted == pytest.approx(balanced_accuracy_score(truth, found, sample_weight=weight**2))


@pytest.mark.parametrize("columns", [5, 90])
def test_ridge_is_that_of_scikit_learn_at_the_best_penalty(columns):
    features = RNG.standard_normal((120, columns)) * np.arange(1, columns + 1)
    values = features[:, 0] + 0.5 * RNG.standard_normal(120)
    parts = ProbeParts(np.arange(60), np.arange(60, 90), np.arange(90, 120))
    found = predicted("ridge", features, target(values, "real"), parts)
    z = (features - features[:60].mean(0)) / features[:60].std(0)
    tried = [Ridge(60 * penalty).fit(z[:60], values[:60]).predict(z) for penalty in PENALTIES]
    best = min(tried, key=lambda one: np.mean((one[60:90] - values[60:90]) ** 2))
    np.testing.assert_allclose(found, best, atol=1e-8)


def test_classes_are_predicted_by_both_linear_probes():
    values = np.repeat([0.0, 1, 2], 40)
    features = np.c_[values == 1, values == 2] * 4 + RNG.standard_normal((120, 2))
    order = RNG.permutation(120)
    parts = ProbeParts(order[:60], order[60:90], order[90:])
    for probe in ("ridge", "logistic"):
        found = predicted(probe, features, target(values, "class"), parts)
        assert score("class", values[parts.test], found[parts.test])[0] > 0.85
    spoilt = np.where(np.arange(120)[:, None] == 3, np.nan, features)
    assert np.isnan(predicted("logistic", spoilt, target(values, "class"), parts)).all()


def test_intervals_hold_the_expected_score():
    """12 groups of 5 rows with effects of groups, 3 seeds with effects of seeds; 300 replicates of 90 % intervals."""
    rng, inside = np.random.default_rng(1), 0
    groups = np.repeat(np.arange(12), 5)
    for _ in range(300):
        truth = rng.standard_normal(60)
        noise = (rng.standard_normal(12)[groups] + rng.standard_normal((3, 1)) * 0.3 + rng.standard_normal((3, 60)))
        _, low, high, by_seed = interval("real", truth, truth + 0.3 * noise, groups, 0.9)
        assert len(by_seed) == 3
        inside += low <= 1 - 0.09 * (1 + 0.09 + 1) <= high
    # Standard error of the share 0.017; R^2 with 12 groups is skewed, which costs up to 0.06.
    assert 0.9 - 0.06 - 3 * 0.017 < inside / 300 < 0.9 + 0.05 + 3 * 0.017


def test_intervals_say_when_nothing_is_known():
    truth = np.repeat([0.0, 1], 10)
    _, low, high, _ = interval("class", truth, truth[None], np.zeros(20, int), 0.9)
    assert np.isnan([low, high]).all()
    value, low, high, _ = interval("class", truth, truth[None], None, 0.9)
    assert value == high == 1
    assert 0.85 < low < 1  # twenty of twenty right do not mean that all are


def test_an_interval_has_the_variance_of_means_over_rows_and_seeds():
    """Shares of one class: Bayesian bootstrap weights are Dirichlet, so the variance of a weighted mean is known.

    400 draws leave a variance a standard error of 7 percent; each factor that might be forgotten is above 20.
    """
    hits = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]])
    for seeds in (1, 3):
        found = 1.0 - hits[:seeds]  # class 0 is right
        value, low, high, by_seed = interval("class", np.zeros(4), found, None, 0.5)
        of_rows = np.var(hits[:seeds].mean(0)) / (4 + 1) * 4 / 3
        of_seeds = np.var(by_seed, ddof=1) / seeds if seeds > 1 else 0.0
        variance = of_rows + of_seeds
        freedom = variance**2 / (of_rows**2 / 3 + of_seeds**2 / 2)
        assert value == pytest.approx(hits[:seeds].mean())
        assert ((high - low) / 2 / scipy.stats.t.ppf(0.75, freedom)) ** 2 == pytest.approx(variance, rel=0.16)


def test_running_variances_are_unbiased_ones_of_the_batch():
    key = jax.random.key(0)
    layers, before = new_layers(key, (3, 4, 2), "batch"), new_means((3, 4, 2), "batch")
    rows = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    after = applied(layers, before, rows, "batch", [np.ones((5, 4))])[1][0]
    hidden = rows @ np.asarray(layers[0]["kernel"])
    np.testing.assert_allclose(after["mean"], 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["variance"], 0.9 + 0.1 * hidden.var(0, ddof=1), rtol=1e-5)


def test_dropout_keeps_the_mean_and_the_given_share():
    """Of 140,000 values: a share has a standard error of .0012, a correlation between neighbours one of .0027."""
    first, (second, last) = hidden_scales(jax.random.key(1), 1000, [[61], [40, 39]], 0.3)
    assert [one.shape for one in (*first, second, last)] == [(1000, 61), (1000, 40), (1000, 39)]
    drawn = np.concatenate([np.asarray(one).ravel() for one in (*first, second, last)])
    assert abs(np.mean(drawn == 0) - 0.3) < 0.005
    np.testing.assert_allclose(np.unique(drawn), [0, 1 / 0.7], rtol=1e-6)
    half = len(drawn) // 2  # both halves of each random word
    for lag in (1, 40, half):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 0.016
    np.testing.assert_array_equal(hidden_scales(jax.random.key(1), 3, [[5]], 0.0)[0][0], 1)
    assert hidden_scales(jax.random.key(1), 3, [[], []], 0.1) == [[], []]
