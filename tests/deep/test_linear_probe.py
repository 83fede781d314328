"""Frozen probes reach the optimum of the stated problem, on the stated rows."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from sklearn.linear_model import Ridge

from phasejax.deep import ProbeRows, _linear_probe, probe, seed_interval
from phasejax.deep._linear_probe import PENALTIES


def rows(seed=0, n=900, d=6, shift=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    features = rng.standard_normal((n, d)) * np.geomspace(0.01, 100, d)
    features[:, :3] += shift * np.eye(3)[labels] * np.geomspace(0.01, 100, d)[:3]
    positions = features[:, 3:5] / features[:, 3:5].std(0) + 0.5 * rng.standard_normal((n, 2))
    return ProbeRows(features, labels, positions, train=500, validation=200)


def optimum(z, labels, penalty):
    """W and b that minimise the objective in the text of the module, by SciPy from formulas written anew."""
    d, m = z.shape[1], len(z)

    def value(flat):
        w, b = flat[:3 * d].reshape(d, 3), flat[3 * d:]
        logits = z @ w + b
        shares = scipy.special.log_softmax(logits, axis=1)
        slope = (np.exp(shares) - np.eye(3)[labels]) / m
        return (-np.mean(shares[np.arange(m), labels]) + penalty / 2 * np.sum(w**2),
                np.concatenate([(z.T @ slope + penalty * w).ravel(), slope.sum(0)]))

    found = scipy.optimize.minimize(value, np.zeros(3 * d + 3), jac=True, method="BFGS", options={"gtol": 1e-9})
    return found.x[:3 * d].reshape(d, 3), found.x[3 * d:]


def test_accuracy_is_that_of_the_optimum_chosen_on_validation_rows():
    data, size = rows(), 120
    z = (data.features - data.features[:size].mean(0)) / data.features[:size].std(0)
    held_out, tested = np.arange(500, 700), np.arange(700, 900)
    found = []
    for penalty in PENALTIES:
        w, b = optimum(z[:size], data.labels[:size], penalty)
        shares = scipy.special.log_softmax(z @ w + b, axis=1)
        found.append((-np.mean(shares[held_out, data.labels[held_out]]),
                      np.mean(shares[tested].argmax(1) == data.labels[tested])))
    scores = probe(data, (size,))
    assert scores.converged.all()
    # One row may change its class, where its two best classes differ by less than the solver's tolerance.
    np.testing.assert_allclose(scores.accuracy[0], min(found)[1], atol=1 / 200 + 1e-12)
    assert max(accuracy for _, accuracy in found) - min(accuracy for _, accuracy in found) > 0.02


def test_position_is_read_out_by_the_ridge_regression_chosen_on_validation_rows():
    data = rows()
    z = (data.features - data.features[:500].mean(0)) / data.features[:500].std(0)
    fits = [Ridge(alpha=500 * penalty).fit(z[:500], data.positions[:500]) for penalty in PENALTIES]
    best = min(fits, key=lambda fit: np.mean((fit.predict(z[500:700]) - data.positions[500:700]) ** 2))
    left = data.positions[700:] - best.predict(z[700:])
    expected = np.mean(1 - (left**2).mean(0) / data.positions[700:].var(0))
    np.testing.assert_allclose(probe(data, (100,)).position_r2, expected, rtol=1e-9)


def test_more_labels_help_and_only_the_first_rows_count():
    data = rows()
    scores = probe(data, (20, 100, 500))
    assert scores.accuracy[0] < scores.accuracy[2]
    shuffled = np.r_[:100, np.random.default_rng(1).permutation(np.arange(100, 500)), 500:900]
    other = replace(data, features=data.features[shuffled], labels=data.labels[shuffled],
                    positions=data.positions[shuffled])
    np.testing.assert_array_equal(probe(other, (20, 100)).accuracy, scores.accuracy[:2])


def test_units_change_nothing():
    data = rows()
    other = replace(data, features=data.features * np.geomspace(1e-4, 1e4, 6) + 3)
    np.testing.assert_allclose(probe(other, (200,)).accuracy, probe(data, (200,)).accuracy, atol=1 / 200 + 1e-12)


def test_separable_classes_are_told_apart():
    scores = probe(rows(shift=60.0), (100,))
    assert scores.converged.all()
    assert scores.accuracy[0] > 0.99


def test_noise_is_read_out_at_chance():
    """600 test rows: accuracy within 4 standard errors of one third, R^2 not above 0.05."""
    rng = np.random.default_rng(2)
    data = ProbeRows(rng.standard_normal((1600, 5)), rng.integers(0, 3, 1600), rng.standard_normal((1600, 2)), 800, 200)
    scores = probe(data, (800,))
    assert abs(scores.accuracy[0] - 1 / 3) < 4 * np.sqrt(2 / 9 / 600)
    assert abs(scores.position_r2) < 0.05
    assert scores.chance == np.bincount(data.labels[1000:]).max() / 600


def test_constant_columns_and_missing_classes_are_no_obstacle():
    data = rows()
    data.features[:, 5] = 7.0
    data.labels[:30] = np.minimum(data.labels[:30], 1)
    scores = probe(data, (30, 500))
    assert np.isfinite(scores.accuracy).all()
    tested = data.labels[700:]
    assert scores.accuracy[0] <= np.mean(tested < 2)


def test_one_class_is_predicted_for_all():
    data = rows()
    data.labels[:10] = 1
    assert probe(data, (10,)).accuracy[0] == np.mean(data.labels[700:] == 1)


def test_embeddings_that_are_not_finite_have_no_score():
    data = rows()
    data.features[3, 2] = np.inf
    scores = probe(data, (100, 200))
    assert np.isnan(scores.accuracy).all()
    assert not scores.converged.any()
    assert np.isnan(scores.position_r2)
    assert scores.chance > 0


def test_a_probe_that_is_cut_short_is_no_optimum(monkeypatch):
    monkeypatch.setattr(_linear_probe, "_MAX_ITERATIONS", 1)
    assert not probe(rows(), (100,)).converged.any()


@pytest.mark.parametrize(("change", "message"), [
    (lambda data: probe(data, (501,)), "sizes: expected 1 to 500, the training rows, got 501"),
    (lambda data: replace(data, labels=data.labels[:-1]), "labels: expected 900 rows as in features, got 899"),
    (lambda data: replace(data, labels=data.labels - 1), "labels: expected classes from 0 on, got -1"),
    (lambda data: replace(data, train=700), "train, validation: expected at least one row each and one to test"),
])
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change(rows())


@pytest.mark.slow
def test_intervals_hold_the_mean_as_often_as_they_say():
    """2000 times five seeds at level 0.9: the standard error of the coverage is 0.0067, and 4 of them are allowed."""
    values = np.random.default_rng(3).standard_normal((5, 2000)) * 3 + 1
    mean, low, high = seed_interval(values, 0, level=0.9)
    assert abs(np.mean((low <= 1) & (high >= 1)) - 0.9) < 4 * 0.0067
    np.testing.assert_allclose(mean, values.mean(0))
    expected = scipy.stats.t.interval(0.9, 4, values.mean(0), scipy.stats.sem(values))
    np.testing.assert_allclose((low, high), expected)


def test_seeds_that_failed_are_left_out():
    mean, low, _ = seed_interval(np.array([[1.0, 2.0], [np.nan, 4.0], [3.0, np.nan]]), 0)
    np.testing.assert_allclose(mean, [2, 3])
    assert (low < mean).all()
    alone = seed_interval(np.array([[1.0], [np.nan]]), 0)
    assert alone[0] == 1
    assert np.isnan(alone[1:]).all()


def test_one_cell_has_an_interval_too():
    mean, low, high = seed_interval(np.array([1.0, 2.0, 3.0]), 0)
    assert mean == 2
    np.testing.assert_allclose((low, high), scipy.stats.t.interval(0.95, 2, 2.0, 1 / np.sqrt(3)))
