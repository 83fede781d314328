"""Algorithm 1 against the published estimator, and its parts against scikit-learn and brute force."""

from functools import partial

import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge

import phasejax
from phasejax.diagnosis import _spectral
from tests.support import DATA

PUBLISHED = np.load(DATA / "published_algorithm1.npz")
SCALARS = {"delta_ca": "delta_ca_direct", "delta_cp": "delta_cp_direct", "r_ca": "r_hat_ca", "r_cp": "r_hat_cp",
           "kappa": "kappa_hat", "nu": "nu_hat", "gamma_x": "gamma_x_hat", "gamma_y": "gamma_y_hat",
           "nuisance_x": "gamma_tilde_x_hat", "nuisance_y": "gamma_tilde_y_hat",
           "composite_delta_ca": "Delta_CA_hat", "composite_delta_cp": "Delta_CP_hat",
           "dominance_x": "Q_x", "dominance_y": "Q_y"}

diagnose = partial(phasejax.diagnose, method="spectral")
diagnose_as_published = partial(diagnose, ridge="published")


def assert_published(case, find=diagnose_as_published):
    def published(name):
        return PUBLISHED[f"case{case}/{name}"]

    found = find(published("x"), published("y"), published("labels"), label_kind="real")
    for ours, theirs in SCALARS.items():
        assert getattr(found, ours) == pytest.approx(float(published(theirs)), rel=1e-6), ours
    assert found.regime.value == str(published("regime"))
    for spectrum, values, prefix in ((found.ca, "canonical_correlations", "cca"), (found.cp, "a_singular_values", "a"),
                                     (found.pls, "pls_singular_values", "pls")):
        np.testing.assert_allclose(spectrum.values, published(values), rtol=1e-6)
        np.testing.assert_array_equal(spectrum.is_signal, published(f"{prefix}_is_signal"))
        if prefix != "pls":
            np.testing.assert_allclose(spectrum.r2, published(f"{prefix}_sum_r2"), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("case", range(6))
def test_published_estimates(case):
    assert_published(case)


@pytest.mark.slow
@pytest.mark.parametrize(("constant", "value"), [("RIDGE", 1e-4), ("SCORE_RIDGE", 10.0), ("FOLDS", 4),
                                                 ("FOLD_SEED", 0)])
def test_published_estimates_reject_another_constant(monkeypatch, constant, value):
    monkeypatch.setattr(_spectral, constant, value)
    jax.clear_caches()  # the ridge is part of a compiled function
    with pytest.raises(AssertionError):
        assert_published(2)
    jax.clear_caches()


def test_out_of_fold_r2_against_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((103, 4, 2)), rng.standard_normal((103, 3))
    labels[:, 0] += scores[:, 1, 0]
    labels[:, 1] -= 2 * scores[:, 2, 1]
    folds = _spectral._folds(103)
    assert sorted(map(len, folds)) == [20, 20, 21, 21, 21]
    expected = np.zeros(4)
    for i in range(4):
        residual, total = np.zeros(3), np.zeros(3)
        for test in folds:
            train = np.setdiff1d(np.arange(103), test)
            fitted = Ridge(alpha=1.0).fit(scores[train, i], labels[train])
            residual += np.sum((labels[test] - fitted.predict(scores[test, i])) ** 2, 0)
            total += np.sum((labels[test] - labels[test].mean(0)) ** 2, 0)
        expected[i] = np.maximum(1 - residual / total, 0).sum()
    np.testing.assert_allclose(_spectral.out_of_fold_r2(scores, labels, folds), expected, atol=1e-12)
    assert expected[1] > 0.3


def test_elbow_is_the_best_of_all_two_line_fits():
    rng = np.random.default_rng(1)
    for _ in range(50):
        r2 = np.maximum(rng.normal(0, 0.1, 9) + np.where(np.arange(9) < rng.integers(1, 8), 1, 0), 0)
        curve, position = np.sort(r2)[::-1], np.arange(9)
        residual = [sum(np.sum((part - np.polyval(np.polyfit(at, part, min(1, len(at) - 1)), at)) ** 2)
                        for part, at in ((curve[:b], position[:b]), (curve[b:], position[b:]))) for b in range(1, 9)]
        is_signal = _spectral.elbow(r2)
        assert is_signal.sum() == 1 + np.argmin(residual)
        assert r2[is_signal].min() >= r2[~is_signal].max()


@pytest.mark.parametrize(("r2", "expected"), [([0.0, 0.0, 0.0], [0, 0, 0]), ([0.0], [1]), ([0.3], [1]), ([], [])])
def test_elbow_at_its_limits(r2, expected):
    np.testing.assert_array_equal(_spectral.elbow(np.array(r2)), np.array(expected, bool))


def test_views_may_be_swapped():
    rng = np.random.default_rng(2)
    s = rng.standard_normal((300, 2))
    x = np.c_[s, rng.standard_normal((300, 3))]
    y = np.c_[s + 0.5 * rng.standard_normal((300, 2)), rng.standard_normal((300, 2))]
    x[:, :2] += 0.1 * rng.standard_normal((300, 2))
    forward, backward = diagnose(x, y, s), diagnose(y, x, s)
    assert forward.delta_ca == pytest.approx(backward.delta_ca, rel=1e-9)
    assert forward.delta_cp == pytest.approx(backward.delta_cp_reverse, rel=1e-9)
    assert forward.gamma_x == pytest.approx(backward.gamma_y, rel=1e-9)
