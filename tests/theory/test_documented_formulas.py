"""Formulas that stand in docs/theory and are no function of the package, against the package or brute force."""

import jax
import numpy as np
import pytest
import scipy.optimize
import scipy.special

import phasejax as pj
from phasejax.linear import canonical_correlations, regression_singular_values
from phasejax.linear._closed_forms import solve_prediction
from phasejax.similarity import cka, correlation_matrix_distance, mutual_knn
from phasejax.simulation import population_covariances
from phasejax.theory import finite_sample, rho, tau


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def assert_first_seen(model, kappa, n, objective, relative):
    """The model's signal is seen above the bulk from this strength on, and not below it."""
    for factor, seen in ((1 - relative, False), (1 + relative, True)):
        found = getattr(finite_sample(model.replace(kappa=factor * kappa), n), objective)
        assert bool(found.visible[0]) == seen, (n, objective, factor)


def solved(function):
    """The strength at which an increasing function is 0."""
    return scipy.optimize.brentq(function, 1e-3, 20, xtol=1e-13)


def test_edges_and_thresholds_without_correlated_nuisance():
    n, g = 500, 3.0
    model = pj.SpikedModel.create([1.5], nu=0.0, gamma_x=1.0, gamma_y=0.5, nuisance_y=g, d=60)
    found, c_x, c_y = finite_sample(model, n), 59 / n, 59 / n
    q = float(rho(model)[0]) ** 2
    assert float(found.ca.signals[0]) ** 2 == pytest.approx((q + c_x * (1 - q)) * (q + c_y * (1 - q)) / q, rel=1e-9)
    assert float(found.ca.edge) == pytest.approx(np.sqrt(c_x * (1 - c_y)) + np.sqrt(c_y * (1 - c_x)), rel=1e-9)
    assert float(found.cp.edge) == pytest.approx(np.sqrt(g) * (np.sqrt(c_x) + np.sqrt(c_y)), rel=1e-9)
    least = c_x * c_y / ((1 - c_x) * (1 - c_y))
    assert_first_seen(model, solved(lambda k: k**8 / ((k**2 + 1) * (k**2 + 0.5)) ** 2 - least), n, "ca", 1e-6)
    kappa = solved(lambda k: (1 - c_x) * k**4 / (k**2 + 1) - g * np.sqrt(c_x * c_y) + (k**2 + 0.5 - g) * c_x)
    assert_first_seen(model, kappa, n, "cp", 1e-6)


def test_edges_and_thresholds_of_correlated_nuisance():
    """Relative errors of the leading order fall as n^(-1/2): ten times n^(-1/2) is more than any of them."""
    p, nu, g = 59, 0.5, 4.0
    xi = nu * np.sqrt(g)
    model = pj.SpikedModel.create([3.0], nu=nu, gamma_x=1.0, gamma_y=0.5, nuisance_y=g, d=60)
    for n in (10**5, 10**7):
        found, root, spread = finite_sample(model, n), np.sqrt(p / n), np.sqrt(2 * g - xi**2)
        assert float(found.ca.edge) - nu == pytest.approx((1 - nu**2) * np.sqrt(2) * root, rel=10 * n**-0.5)
        assert float(found.cp.edge) - xi == pytest.approx(spread * root, rel=10 * n**-0.5)
        of_ca = nu + (1 - nu**2) * root / np.sqrt(2)
        kappa = solved(lambda k, of=of_ca: k**2 / np.sqrt((k**2 + 1) * (k**2 + 0.5)) - of)
        assert_first_seen(model, kappa, n, "ca", p / n)
        kappa = solved(lambda k, s=spread, r=root: k**2 / np.sqrt(k**2 + 1) - xi - r / 2 * (
            3 * g - xi**2 - k**2 - 0.5) / s)
        assert_first_seen(model, kappa, n, "cp", 2 * p / n)


def test_a_ridge_counts_nuisance_by_its_variance():
    model = pj.SpikedModel.create([2.0, 1.0], nu=0.4, gamma_x=0.5, gamma_y=0.2, nuisance_y=9.0, d=5)
    kappa2, ratios = model.kappa**2, []
    for r in (0.0, 0.1, 1.0, 100.0):
        covariances = population_covariances(model).with_ridge(r)
        signal = kappa2 / np.sqrt((kappa2 + 0.5 + r) * (kappa2 + 0.2 + r))
        nuisance = np.full(3, 0.4 * 3 / np.sqrt((1 + r) * (9 + r)))
        np.testing.assert_allclose(canonical_correlations(covariances), np.sort(np.r_[signal, nuisance])[::-1])
        predicted = np.r_[kappa2 / np.sqrt(kappa2 + 0.5 + r), np.full(3, 1.2 / np.sqrt(1 + r))]
        np.testing.assert_allclose(regression_singular_values(covariances), np.sort(predicted)[::-1])
        ratios.append(signal.min() / nuisance[0])
    np.testing.assert_allclose(ratios, [1.86, 1.83, 1.59, 0.86], atol=0.005)


def test_weight_decay_ranks_directions_by_correlation_less_the_cost_of_their_size():
    of_x, of_y, phi = np.array([4.0, 0.1, 9.0]), np.array([2.0, 0.08, 6.0]), np.array([0.8, 0.9, 0.75])
    a, weight = 25.0, 0.3

    def loss(both):
        w, v = both[:3] / np.sqrt(np.sum(both[:3] ** 2 * of_x)), both[3:] / np.sqrt(np.sum(both[3:] ** 2 * of_y))
        return a * (2 - 2 * np.sum(w * v * phi * np.sqrt(of_x * of_y))) + weight * np.sum(w**2 + v**2)

    rng = np.random.default_rng(0)
    best = min(scipy.optimize.minimize(loss, rng.standard_normal(6)).fun for _ in range(6))
    of_each = 2 * a * (1 - phi) + weight * (1 / of_x + 1 / of_y)
    assert best == pytest.approx(of_each.min(), rel=1e-6)
    assert of_each.argmin() != phi.argmax()


def test_info_nce_at_high_temperature_is_alignment():
    rng, n = np.random.default_rng(0), 800
    z = rng.standard_normal((n, 2))
    w = 0.7 * z + 0.7 * rng.standard_normal((n, 2))
    z, w = z - z.mean(0), w - w.mean(0)
    for temperature in (10.0, 40.0):
        s = z @ w.T / temperature
        value = -np.mean(np.diag(s)) + np.mean([scipy.special.logsumexp(s, axis) for axis in (0, 1)]) - np.log(n)
        second = np.trace(z.T @ z @ w.T @ w) / (2 * n**2 * temperature**2)
        rest = value + np.trace(z.T @ w) / n / temperature - second
        assert abs(rest) * temperature**3 < 0.01 < second * temperature**2

    c, k, temperature = rng.standard_normal((5, 5)) / 4, 2, 5.0

    def loss(both):
        a, b = both.reshape(2, k, 5)
        return -np.trace(a @ c @ b.T) + np.trace(a @ a.T @ b @ b.T) / (2 * temperature)

    best = min((scipy.optimize.minimize(loss, rng.standard_normal(20)) for _ in range(3)), key=lambda found: found.fun)
    a, b = best.x.reshape(2, k, 5)
    left, values, right = np.linalg.svd(c)
    np.testing.assert_allclose(a.T @ b, temperature * left[:, :k] * values[:k] @ right[:k], atol=1e-4)


def test_from_which_weight_of_alignment_on_the_joint_objective_finds_the_signals():
    model = pj.SpikedModel.create([3.0, 2.5, 2.0], 2 / np.sqrt(10), gamma_x=0.5, gamma_y=0.1, nuisance_y=10.0, d=20)
    covariances, r, t = population_covariances(model), np.asarray(rho(model)), np.asarray(tau(model))
    nu, xi = 2 / np.sqrt(10), 2.0
    least = np.max((xi**2 - t**2) / (r**2 - nu**2))
    assert least > 0
    moments = np.asarray(covariances.xx), np.asarray(covariances.xy), np.asarray(covariances.yy)
    for factor, whole in ((0.999, False), (1.001, True)):
        encoder = solve_prediction(("x", "y"), *moments, 3, factor * least)[0]
        assert (np.abs(encoder[:, 3:]).max() < 1e-9) == whole


def test_what_chance_gives_similarity():
    """Means of eight draws of independent Gaussian columns, within 4 standard errors and a term of order 1/n."""
    rng, n, d_x, d_y = np.random.default_rng(0), 300, 60, 150
    overlap = np.sqrt(d_x * d_y / ((n + d_x) * (n + d_y)))
    found = np.array([[float(metric(x, y)) for metric in (cka, correlation_matrix_distance, mutual_knn)]
                      for x, y in ((rng.standard_normal((n, d_x)), rng.standard_normal((n, d_y))) for _ in range(8))])
    errors = found.std(0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - [overlap, 1 - overlap, 10 / (n - 1)]) < 4 * errors + 1 / n)
