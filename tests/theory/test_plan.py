"""How many pairs decide the regime: expected content and scatter against sampled covariances, and the plan's logic."""

import json
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy.stats import norm, wishart

from phasejax import Regime, SpikedModel
from phasejax.theory import label_content, plan
from phasejax.theory._content_spread import loss_spread, recovered, values
from phasejax.theory._expected_content import ExpectedContent
from phasejax.theory._label_need import labels_needed
from phasejax.theory._plan_curves import ObjectiveCurve

MODEL = SpikedModel.create([1.6, 1.4], nu=0.5, gamma_x=0.5, gamma_y=0.4, nuisance_y=1.7, d=8, d_y=10)


def sampled_content(model, n, count, seed=0):
    """Content of CA and CP in `count` samples of n pairs, from rows of Wishart covariances and SciPy's definitions."""
    k, d_x, d_y = model.k, model.d_x, model.d_y
    signal = model.kappa**2
    cross = np.zeros((d_x, d_y))
    np.fill_diagonal(cross, np.r_[signal, model.nu * np.sqrt(
        model.nuisance_x[:len(model.nu)] * model.nuisance_y[:len(model.nu)])])
    sigma = np.block([[np.diag(np.r_[signal + model.gamma_x, model.nuisance_x]), cross],
                      [cross.T, np.diag(np.r_[signal + model.gamma_y, model.nuisance_y])]])
    of_x, of_y = np.eye(d_x, k) * model.kappa, np.eye(d_y, k) * model.kappa
    found = []
    for s in wishart(n, sigma / n).rvs(count, random_state=seed):
        xx, xy, yy = s[:d_x, :d_x], s[:d_x, d_x:], s[d_x:, d_x:]
        root_x, root_y = np.linalg.inv(np.linalg.cholesky(xx)), np.linalg.inv(np.linalg.cholesky(yy))
        b = root_x @ xy
        c = b @ root_y.T
        h, predicted = root_x @ of_x, c @ (root_y @ of_y)
        found.append([np.sum((u := np.linalg.svd(matrix)[0][:, :k]).T @ h * (u.T @ predicted)) / np.sum(h * predicted)
                      for matrix in (c, b)])
    return np.array(found)


@pytest.fixture(scope="module")
def samples():
    return {n: sampled_content(MODEL, n, 400) for n in (60, 4000)}


@pytest.mark.parametrize(("place", "objective"), [(0, "ca"), (1, "cp")])
def test_expected_content_is_the_mean_of_samples(samples, place, objective):
    # 4 standard errors of 400 samples, and the O(1/n) of the equivalent: .025 where signals and nuisance nearly merge.
    expected = ExpectedContent(MODEL, objective).at(np.array(sorted(samples), float))
    for value, (n, found) in zip(expected, sorted(samples.items()), strict=True):
        error = 4 * found[:, place].std() / 20 + (0.025 if n == 60 else 1e-4)
        assert abs(value - found[:, place].mean()) < error
    # Twice or half the loss, or that of the other objective, would be refused.
    loss = 1 - samples[4000][:, place].mean()
    assert loss > 8 * (4 * samples[4000][:, place].std() / 20 + 1e-4) / 2
    assert abs((1 - expected[1]) / loss - 1) < 0.15


def test_scatter_is_that_of_samples(samples):
    # Relative variance of 400 samples of a law near gamma: 5 standard errors are 40 %.
    spread, losses = loss_spread(MODEL, 4000), 1 - samples[4000]
    assert np.allclose(spread.loss / 4000, losses.mean(0), rtol=0.15)
    assert np.allclose(spread.variance, losses.var(0) / losses.mean(0) ** 2, rtol=0.4)
    assert spread.correlation == pytest.approx(np.corrcoef(losses.T)[0, 1], abs=0.1)
    # Near a boundary values that move are as large a part; they fall as 1/n, what mixes does not.
    near, far = (loss_spread(MODEL.replace(nu=0.75), n) for n in (200, 2e6))
    assert near.moved[0, 0] > 0.3 * near.mixing[0, 0] > 1000 * far.moved[0, 0]


def test_expected_content_tends_to_that_of_the_population():
    model = SpikedModel.create([2.0, 0.5], [0.4, 0.3, 0.1, 0.0], d=6)  # rho = .8 and .2: the first signal alone is kept
    for objective in ("ca", "cp"):
        assert ExpectedContent(model, objective).at(np.array([1e8]))[0] == pytest.approx(0.64 / 0.68, abs=1e-3)


def test_values_and_what_is_recovered_are_those_of_the_closed_forms():
    for model in (SpikedModel.create([2.0, 0.5], 0.4, nuisance_y=3.0, d=6), SpikedModel.create([1.0, 1.0], 0.5, d=6)):
        truth, shared = label_content(model, model.k), values(model, 0)[0] ** 2
        for place, name in enumerate(("ca", "cp")):
            kept = np.sum(shared[recovered(model, place)]) / np.sum(shared)
            assert kept == pytest.approx(float(getattr(truth, name)), abs=1e-6)


@pytest.fixture(scope="module")
def planned():
    return plan(MODEL)


def test_planned_pairs_show_the_regime_in_nine_samples_of_ten(planned):
    assert planned.regime is Regime.BOTH
    shares = {}
    for factor in (0.75, 1.25):
        kept = sampled_content(MODEL, round(factor * planned.pairs), 400, seed=1) > 0.8
        shares[factor] = np.mean(kept.all(1))
    # 9 in 10 lies within 25 % of the planned number: shares of 400 samples have a standard error of .015.
    assert shares[0.75] < 0.9 < shares[1.25]


def test_a_plan_agrees_with_itself(planned):
    assert planned.probability_at(planned.pairs) == pytest.approx(0.9, abs=0.01)
    assert np.all(np.diff(planned.probabilities) > -1e-9)
    assert planned.pairs_stated >= max(planned.pairs, 3 * 18)
    assert 8 <= planned.labels <= planned.pairs_stated
    assert max(planned.pairs_of.values()) <= planned.pairs
    assert planned.verdict in planned.summary()
    saved = json.loads(planned.to_json())
    assert saved["schema"] == {"name": "phasejax.plan", "version": 1}
    assert (saved["pairs"], saved["regime"], len(saved["n"])) == (planned.pairs, "Both", len(planned.n))


def test_units_and_swapped_views_change_no_number():
    scaled = MODEL.replace(kappa=10 * MODEL.kappa, gamma_x=100 * MODEL.gamma_x, gamma_y=100 * MODEL.gamma_y,
                           nuisance_x=100 * MODEL.nuisance_x, nuisance_y=100 * MODEL.nuisance_y)
    cp = [ExpectedContent(model, "cp").at(np.array([90.0]))[0] for model in (MODEL, scaled)]
    assert cp[0] == pytest.approx(cp[1], abs=1e-6)
    assert np.allclose(loss_spread(scaled, 90).variance, loss_spread(MODEL, 90).variance)
    ca = [ExpectedContent(model, "ca").at(np.array([90.0]))[0] for model in (MODEL, MODEL.reverse())]
    assert ca[0] == pytest.approx(ca[1], abs=2e-3)


def test_what_cannot_be_had_is_never():
    boundary = plan(SpikedModel.homogeneous(1.0, 0.5, k=2, d=6))  # rho = 1/2
    assert boundary.pairs is None
    assert boundary.labels is None
    assert boundary.regime is None
    assert "Never" in boundary.verdict
    assert "CA is on the boundary" in boundary.limit
    # One of two signals comes after all nuisance in every objective: its share is lost for good.
    lost = SpikedModel.create([3.0, 0.5], nu=0.5, nuisance_x=4.0, nuisance_y=4.0, d=6)
    floor = 1 - float(label_content(lost, 2).ca)
    below = plan(lost, error=0.9 * floor)
    assert below.pairs is None
    assert "unlimited pairs" in below.verdict
    assert ObjectiveCurve(lost, "ca", 1.5 * floor).recovers
    assert not ObjectiveCurve(lost, "ca", 0.9 * floor).recovers


@pytest.mark.parametrize("nu", [0.605, 0.9])  # the boundary is at 0.596
def test_an_objective_that_loses_its_signals_has_to_stay_so(nu):
    # Few pairs show that too, but near the boundary samples cross it. Five standard errors of 300 samples, and .05.
    model = SpikedModel.create([2.0], [nu, 0, 0], nuisance_y=9.0, d=4)
    curve = ObjectiveCurve(model, "cp", 0.2)
    assert not curve.recovers
    for n in (40, 200):
        share = np.mean(sampled_content(model, n, 300)[:, 1] < 0.8)
        assert abs(curve.probability(n) - share) < 5 * math.sqrt(share * (1 - share) / 300) + 0.05


def test_values_that_scatter_log_normally_raise_the_mean_of_the_factor():
    """The mean of the factor Q, from the law that `probability` says q has, against that of 10^6 log-normal draws."""
    variance, moved = 0.15, 0.6
    curve = ObjectiveCurve(MODEL, "ca", 0.2)
    curve.follow(MODEL.d_x + MODEL.d_y + 1)
    curve.spread = lambda n: SimpleNamespace(variance=np.full(3, variance), moved=np.full((3, 3), moved))
    ratios = np.linspace(1e-3, 12, 4001)
    curve.loss = lambda n: (1 - curve.content) + (curve.allowed - (1 - curve.content)) * curve._star / n
    above = [1 - curve.probability(ratio * curve._star) for ratio in ratios]
    raised = np.exp(np.sqrt(moved) * np.random.default_rng(0).standard_normal(10**6))
    assert np.sum(above) * (ratios[1] - ratios[0]) == pytest.approx(raised.mean(), rel=0.01)


def test_without_nuisance_nothing_is_lost():
    assert ObjectiveCurve(SpikedModel.homogeneous(1.0, 0.3, k=3, d=3), "ca", 0.2).content == 1
    assert ExpectedContent(SpikedModel.homogeneous(1.0, 0.3, k=3, d=3), "cp").at(np.array([40.0])) == pytest.approx(1)


@pytest.mark.parametrize(("r2", "more"), [(1.0, 1), (0.25, 2.5)])
def test_labels_that_tell_less_are_needed_in_greater_number(r2, more):
    few = labels_needed(MODEL, 0, 0.95, 0.8, 200, 0.9, 1.0)
    assert labels_needed(MODEL, 0, 0.95, 0.8, 200, 0.9, r2) >= more * few
    assert labels_needed(MODEL, 0, 0.82, 0.8, 200, 0.9, r2) > 3 * labels_needed(MODEL, 0, 0.95, 0.8, 200, 0.9, r2)
    assert math.isinf(labels_needed(MODEL, 0, 0.8, 0.8, 200, 0.9, r2))


@pytest.mark.parametrize(("options", "message"), [
    ({"probability": 0.5}, "probability: expected a number above 0.5"),
    ({"probability": 1.0}, "probability: expected a number above 0.5"),
    ({"error": 0.0}, "error: expected a number above 0"),
    ({"error": 1.0}, "error: expected a number above 0"),
    ({"label_r2": 1.5}, "label_r2: expected a number above 0")])
def test_arguments_out_of_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plan(MODEL, **options)


def test_models_that_cannot_be_planned_for_are_refused():
    with pytest.raises(ValueError, match="kappa: expected a signal above 0"):
        plan(MODEL.replace(kappa=0.0))
    with pytest.raises(ValueError, match="model: expected one concrete model"):
        jax.jit(lambda kappa: plan(MODEL.replace(kappa=kappa)).pairs)(MODEL.kappa)


@pytest.mark.parametrize(("r2", "content", "others", "nu"), [(0.7, 0.87, 2, 0.4), (0.9, 0.97, 40, 0.6)])
def test_the_estimate_from_so_many_labels_scatters_as_the_labels_needed_assume(r2, content, others, nu):
    """The U-statistic of simulated rows, 1500 times: a standard deviation with a standard error of 2 percent.

    With many correlated nuisance coordinates nearly all of the variance is the second-order term.
    """
    k, rng = 2, np.random.default_rng(0)
    model = SpikedModel.homogeneous(1.5, nu=nu, k=k, d=k + others, gamma_x=0.5, gamma_y=0.8)
    m = round(labels_needed(model, 0, content, 0.8, 10**9, 0.9, r2))
    alpha, beta = math.sqrt(2.25 / 2.75), math.sqrt(2.25 / 3.05)
    correlations = np.r_[np.full(k, alpha * beta), np.full(others, nu)]
    weights = (np.arange(k + others) < k) * correlations - content * correlations

    def estimate():
        s, x, y, t = rng.standard_normal((4, m, k))
        u, v = rng.standard_normal((2, m, others))
        h = np.hstack([alpha * s + math.sqrt(1 - alpha**2) * x, u])
        g = np.hstack([beta * s + math.sqrt(1 - beta**2) * y, nu * u + math.sqrt(1 - nu**2) * v])
        labels = math.sqrt(r2) * s + math.sqrt(1 - r2) * t
        products = (h * weights) @ g.T
        pairs = labels @ labels.T * (products + products.T)
        return (pairs.sum() - np.trace(pairs)) / m / (m - 1)

    found = np.std([estimate() for _ in range(1500)])
    whole = 2 * r2 * k * (alpha * beta) ** 2
    assert found == pytest.approx(whole * (content - 0.8) / (2 * norm.ppf(0.9)), rel=0.06)
