"""Draws have the distribution they claim, and common random numbers are smooth."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from phasejax import SpikedModel
from phasejax.linear import (
    covariances_from_samples,
    mean_squared_sine,
    prediction_mse,
    signal_directions,
    solve_ca,
    solve_cp,
)
from phasejax.simulation import (
    bartlett_factor,
    colour,
    colour_whitened,
    population_covariances,
    random_basis,
    sample_covariances,
    sample_pairs,
)

MODEL = SpikedModel.create([2.0, 1.0], nu=[0.3, 0.9], gamma_x=[0.1, 0.5], gamma_y=1.0, nuisance_x=2.0,
                           nuisance_y=[1.0, 3.0, 0.5], d=4, d_y=5)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("bases", [False, True])
def test_pairs_have_the_population_covariance(bases):
    """n = 200,000; each entry within 5 standard errors, sqrt((S_ii S_jj + S_ij^2) / n) for Gaussians."""
    n = 200_000
    q_x, q_y = (random_basis(jax.random.key(1), 4), random_basis(jax.random.key(2), 5)) if bases else (None, None)
    sample = sample_pairs(jax.random.key(0), MODEL, n, q_x, q_y)
    expected = population_covariances(MODEL, q_x, q_y)
    joint = np.block([[expected.xx, expected.xy], [expected.xy.T, expected.yy]])
    z = np.concatenate([sample.x, sample.y], 1)
    error = np.sqrt((np.outer(np.diag(joint), np.diag(joint)) + joint**2) / n)
    assert np.max(np.abs(z.T @ z / n - joint) / error) < 5
    assert sample.y_signal.shape == (n, 5)
    back = sample.y_signal if q_y is None else sample.y_signal @ q_y
    np.testing.assert_allclose(back[:, :2], sample.signal, atol=1e-12)
    np.testing.assert_allclose(back[:, 2:], 0, atol=1e-12)


def test_random_bases_are_orthogonal():
    q = random_basis(jax.random.key(0), 7)
    np.testing.assert_allclose(q @ q.T, np.eye(7), atol=1e-13)


def bartlett_pvalues(draw):
    """Kolmogorov-Smirnov p-values of exact pivots of a Wishart matrix W = T T', d = 6, n = 9, 4000 draws of T.

    n W_11 ~ chi^2_n; det ratios give chi^2_{n-i} (the Bartlett diagonal); W_12 / sqrt(W_11 W_22)
    has the distribution of a null correlation, r sqrt((n-1)/(1-r^2)) ~ t_{n-1}.
    """
    n, d = 9, 6
    t = np.asarray(jax.jit(jax.vmap(lambda k: draw(k, n, d)))(jax.random.split(jax.random.key(3), 4000)))
    w = t @ t.swapaxes(1, 2)
    pivots = np.linalg.cholesky(n * w)
    r = w[:, 0, 1] / np.sqrt(w[:, 0, 0] * w[:, 1, 1])
    return [*(scipy.stats.kstest(pivots[:, i, i] ** 2, scipy.stats.chi2(n - i).cdf).pvalue for i in range(d)),
            scipy.stats.kstest(pivots[:, 3, 1], scipy.stats.norm.cdf).pvalue,
            scipy.stats.kstest(r * np.sqrt((n - 1) / (1 - r**2)), scipy.stats.t(n - 1).cdf).pvalue]


def test_bartlett_factor_has_its_exact_distribution():
    assert min(bartlett_pvalues(bartlett_factor)) > 1e-4


def test_wishart_oracle_rejects_wrong_degrees_of_freedom():
    def constant_degrees(key, n, d):
        a, b = jax.random.split(key)
        t = jnp.tril(jax.random.normal(a, (d, d)), -1) + jnp.diag(jnp.sqrt(jax.random.chisquare(b, n, (d,))))
        return t / jnp.sqrt(n)

    assert min(bartlett_pvalues(constant_degrees)) < 1e-10


def test_fewer_rows_than_dimensions_give_a_singular_matrix_with_the_right_mean():
    t = jax.jit(jax.vmap(lambda k: bartlett_factor(k, 4, 7)))(jax.random.split(jax.random.key(4), 20_000))
    w = np.asarray(t @ t.swapaxes(1, 2))
    assert np.linalg.matrix_rank(w[0]) == 4
    # var W_ij = (1 + [i = j]) / n; 49 entries, 20,000 draws, 5 standard errors.
    assert np.max(np.abs(w.mean(0) - np.eye(7))) < 5 * np.sqrt(2 / 4 / 20_000)
    # And rows' own draws have the same second moments: E (W^2)_ii = (d + 1) / n + 1, and spectra.
    rows = np.asarray(jax.random.normal(jax.random.key(5), (20_000, 4, 7)))
    direct = np.linalg.eigvalsh(rows.swapaxes(1, 2) @ rows / 4)[:, 3:]
    spectra = np.linalg.eigvalsh(w)[:, 3:]
    error = np.sqrt((direct.var(0) + spectra.var(0)) / 20_000)
    assert np.max(np.abs(direct.mean(0) - spectra.mean(0)) / error) < 4.5


@functools.cache
def factor_of(n, d):
    """A Bartlett factor; n is traced, so that one compiled program serves all sample sizes."""
    with jax.enable_x64(True):
        return np.asarray(jax.jit(bartlett_factor, static_argnums=2)(jax.random.key(5), n, d))


def test_colour_is_l_w_l():
    """Against a dense Cholesky factor of the joint population covariance, equal and unequal dimensions."""
    for model in (MODEL, MODEL.reverse(), SpikedModel.homogeneous(1.0, 0.5, k=2, d=4)):
        d = model.d_x + model.d_y
        white = factor_of(30, 9)[:d, :d]  # a corner of a Bartlett factor is one of fewer dimensions
        population = jax.jit(population_covariances)(model)
        factor = np.linalg.cholesky(np.block([[population.xx, population.xy], [population.xy.T, population.yy]]))
        expected = factor @ white @ white.T @ factor.T
        coloured = jax.jit(colour)(white, model)
        np.testing.assert_allclose(coloured.xx, expected[:model.d_x, :model.d_x], atol=1e-12)
        np.testing.assert_allclose(coloured.xy, expected[:model.d_x, model.d_x:], atol=1e-12)
        np.testing.assert_allclose(coloured.yy, expected[model.d_x:, model.d_x:], atol=1e-12)


def test_whitened_colour_is_colour_whitened():
    """T_11^{-1} a^{-1} whitens x, and with it the cross-covariance and both solutions are those of `colour`."""
    @jax.jit
    def both_routes(factor, inverse, model):
        covariances, whitened = colour(factor, model), colour_whitened(factor, inverse, model)
        solutions = ({"ca": solve_ca(given, 2), "cp": solve_cp(given, 2)} for given in (covariances, whitened))
        return covariances, whitened.root_x, whitened.b, *solutions

    sine = jax.jit(mean_squared_sine)
    for n, model in ((30, MODEL), (30, MODEL.reverse()), (7, MODEL)):  # 7 < 9: singular joint matrix
        factor = factor_of(n, 9)
        inverse = np.linalg.inv(factor[:model.d_x, :model.d_x])
        covariances, root_x, b, expected, found = both_routes(factor, inverse, model)
        np.testing.assert_allclose(root_x @ covariances.xx @ root_x.T, np.eye(model.d_x), atol=1e-10)
        np.testing.assert_allclose(b, root_x @ covariances.xy, atol=1e-10)
        for name in ("ca", "cp"):
            np.testing.assert_allclose(found[name].spectrum, expected[name].spectrum, rtol=1e-9)
            for encoder in ("encoder_x", "encoder_y") if name == "ca" else ("encoder",):
                assert float(sine(getattr(expected[name], encoder), getattr(found[name], encoder))) < 1e-12


def test_colour_at_the_ends_of_the_ranges():
    model = SpikedModel.create([1.0, 0.0], nu=1.0, gamma_x=0.0, gamma_y=0.0, d=4)
    coloured = jax.jit(colour)(factor_of(30, 9)[:8, :8], model)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(coloured))
    np.testing.assert_allclose(coloured.yy, coloured.xx, atol=1e-12)  # nu = 1 and no noise: y = x


def test_bartlett_and_rows_agree_on_what_matters():
    """Mean CA and CP subspace errors over 400 draws each, n = 40; within 4.5 standard errors."""
    directions = signal_directions(2, 4)

    def errors(covariances):
        return jnp.stack([mean_squared_sine(directions, solve_ca(covariances, 2).encoder_x),
                          mean_squared_sine(directions, solve_cp(covariances, 2).encoder)])

    def from_rows(key):
        sample = sample_pairs(key, MODEL, 40)
        return covariances_from_samples(sample.x, sample.y)

    keys = jax.random.split(jax.random.key(7), 800)
    drawn = (jax.jit(jax.vmap(lambda key: sample_covariances(key, MODEL, 40)))(keys[:400]),
             jax.jit(jax.vmap(from_rows))(keys[400:]))
    errors_of_all = jax.jit(lambda covariances: jax.lax.map(errors, covariances))
    direct, rows = map(errors_of_all, drawn)
    error = np.sqrt((direct.var(0) + rows.var(0)) / 400)
    assert np.max(np.abs(direct.mean(0) - rows.mean(0)) / error) < 4.5


def test_common_random_numbers_give_pathwise_gradients():
    """Central differences in float64 of sampled statistics, along every parameter."""
    white = bartlett_factor(jax.random.key(8), 60, 9)
    weights = jax.random.normal(jax.random.key(9), (5, 4))

    def statistics(model):
        covariances = colour(white, model)
        alignment, prediction = solve_ca(covariances, 2), solve_cp(covariances, 2)
        return {"error": mean_squared_sine(signal_directions(2, 4), alignment.encoder_x),
                "mse": prediction_mse(prediction.predictor, population_covariances(model)),
                "spectrum": jnp.sum(alignment.spectrum**3), "linear": jnp.sum(weights * prediction.predictor)}

    statistics = jax.jit(statistics)
    jacobian = jax.jit(jax.jacrev(statistics))(MODEL)
    for name in ("kappa", "nu", "gamma_x", "gamma_y", "nuisance_x", "nuisance_y"):
        value = np.array(getattr(MODEL, name))
        for i in range(len(value)):
            step = np.eye(len(value))[i] * 1e-6
            up, down = (statistics(MODEL.replace(**{name: value + s})) for s in (step, -step))
            for key in up:
                numeric = float(up[key] - down[key]) / 2e-6
                assert float(getattr(jacobian[key], name)[i]) == pytest.approx(numeric, rel=1e-6, abs=1e-7), (key, name)


def test_the_same_key_gives_the_same_draws_at_every_parameter():
    a, b = (sample_pairs(jax.random.key(0), MODEL.replace(kappa=kappa), 10) for kappa in (1.0, 3.0))
    np.testing.assert_allclose(3 * a.signal, b.signal, rtol=1e-12)
    np.testing.assert_array_equal(a.x[:, 2:], b.x[:, 2:])


@pytest.mark.parametrize("draw", [lambda k: sample_pairs(k, MODEL, 0), lambda k: sample_covariances(k, MODEL, 0)])
def test_no_rows_are_refused(draw):
    with pytest.raises(ValueError, match="n: expected a whole number of at least 1, got 0"):
        draw(jax.random.key(0))
