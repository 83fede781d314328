"""Closed forms against an independent float64 route, limits, and mutated formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import phasejax as pj
from phasejax import Regime, SpikedModel, theory
from phasejax.theory import _closed_forms


def inverse_root(covariance):
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values) @ vectors.T


def numpy_covariances(model, rng):
    """Population covariances in random bases, by hand."""
    k, p = len(model.kappa), len(model.nu)
    d_x, d_y = k + len(model.nuisance_x), k + len(model.nuisance_y)
    cross = np.zeros((d_x, d_y))
    cross[range(k), range(k)] = model.kappa**2
    cross[range(k, k + p), range(k, k + p)] = model.nu * np.sqrt(model.nuisance_x[:p] * model.nuisance_y[:p])
    q_x, q_y = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (d_x, d_y))
    return (q_x @ np.diag(np.r_[model.kappa**2 + model.gamma_x, model.nuisance_x]) @ q_x.T, q_x @ cross @ q_y.T,
            q_y @ np.diag(np.r_[model.kappa**2 + model.gamma_y, model.nuisance_y]) @ q_y.T, q_x, q_y)


def random_model(rng, k=3, d_x=7, d_y=9):
    return SpikedModel.create(rng.uniform(0.3, 3, k), nu=rng.uniform(0, 1, min(d_x, d_y) - k),
                              gamma_x=rng.uniform(0.01, 2, k), gamma_y=rng.uniform(0.01, 2, k),
                              nuisance_x=rng.uniform(0.1, 5, d_x - k), nuisance_y=rng.uniform(0.1, 5, d_y - k),
                              d=d_x, d_y=d_y)


def assert_spectra(spectrum_ca, spectrum_cp):
    """Singular values of C and A by symmetric roots and NumPy's SVD, views of equal and unequal dimension."""
    rng = np.random.default_rng(0)
    for d_x, d_y in [(7, 7), (7, 9), (9, 7)]:
        for _ in range(5):
            model = random_model(rng, d_x=d_x, d_y=d_y)
            xx, xy, yy, _, _ = numpy_covariances(model, rng)
            c = np.linalg.svd(inverse_root(xx) @ xy @ inverse_root(yy), compute_uv=False)
            a = np.linalg.svd(xy.T @ inverse_root(xx), compute_uv=False)
            with jax.enable_x64(True):
                np.testing.assert_allclose(spectrum_ca(model), c, rtol=1e-11, atol=1e-11)
                np.testing.assert_allclose(spectrum_cp(model), a, rtol=1e-11, atol=1e-11)


def test_spectra_against_numpy():
    assert_spectra(theory.spectrum_ca, theory.spectrum_cp)


def sorted_together(signal, nuisance):
    return lambda model: -jnp.sort(-jnp.concatenate([signal(model), nuisance(model)]))


@pytest.mark.parametrize("mutant", [
    lambda m: m.kappa**2 / jnp.sqrt((m.kappa**2 + m.gamma_x) * (m.kappa**2 + m.gamma_x)),
    lambda m: m.kappa / jnp.sqrt((m.kappa**2 + m.gamma_x) * (m.kappa**2 + m.gamma_y)),
    lambda m: m.kappa**2 / ((m.kappa**2 + m.gamma_x) * (m.kappa**2 + m.gamma_y)),
])
def test_spectrum_oracle_rejects_a_wrong_rho(mutant):
    with pytest.raises(AssertionError):
        assert_spectra(sorted_together(mutant, lambda m: m.nu), theory.spectrum_cp)


@pytest.mark.parametrize(("tau", "xi"), [
    (lambda m: m.kappa**2 / jnp.sqrt(m.kappa**2 + m.gamma_y), theory.xi),
    (theory.tau, lambda m: m.nu * jnp.sqrt(m.nuisance_x[:len(m.nu)])),
    (theory.tau, lambda m: m.nu * m.nuisance_y[:len(m.nu)]),
])
def test_spectrum_oracle_rejects_a_wrong_tau_or_xi(tau, xi):
    with pytest.raises(AssertionError):
        assert_spectra(theory.spectrum_ca, sorted_together(tau, xi))


def test_ratios_and_counts_follow_their_definition():
    rng = np.random.default_rng(1)
    for _ in range(20):
        model = random_model(rng)
        with jax.enable_x64(True):
            rho, tau, xi = (np.asarray(f(model)) for f in (theory.rho, theory.tau, theory.xi))
            assert float(theory.delta_ca(model)) == pytest.approx(rho.min() / model.nu.max(), rel=1e-14)
            assert float(theory.delta_cp(model)) == pytest.approx(tau.min() / xi.max(), rel=1e-14)
            assert int(theory.r_ca(model)) == np.sum(rho > model.nu.max())
            assert int(theory.r_cp(model)) == np.sum(tau > xi.max())
            expected = {(True, True): Regime.BOTH, (True, False): Regime.CA_ONLY, (False, True): Regime.CP_ONLY,
                        (False, False): Regime.NEITHER}[rho.min() > model.nu.max(), tau.min() > xi.max()]
            assert pj.regime(model) is expected
            assert Regime.from_code(theory.regime_code(model)) is expected


def test_reverse_direction_uses_the_other_views_noise():
    model = SpikedModel.create([2.0], nu=0.5, gamma_x=1.0, gamma_y=3.0, nuisance_x=4.0, nuisance_y=9.0, d=3)
    # tau_rev / xi_rev = kappa^2 / sqrt(kappa^2 + gamma_y) / (nu sqrt(nuisance_x))
    assert float(theory.delta_cp_reverse(model)) == pytest.approx(4 / np.sqrt(7) / (0.5 * 2), rel=1e-6)
    model = SpikedModel.create([2.0, 1.0], nu=0.5, gamma_x=1.0, gamma_y=3.0, nuisance_x=2.0, nuisance_y=0.01, d=4)
    # tau_rev = (4 / sqrt 7, 1 / 2) against xi_rev = 0.5 sqrt 2; tau against xi = 0.05 recovers both.
    assert (int(theory.r_cp_reverse(model)), int(theory.r_cp(model))) == (1, 2)


@pytest.mark.parametrize(("kappa", "nu", "expected"), [(2.0, 0.0, np.inf), (0.0, 0.0, 0.0), (0.0, 0.5, 0.0)])
def test_ratios_without_nuisance_or_signal(kappa, nu, expected):
    model = SpikedModel.homogeneous(kappa, nu, k=2, d=5)
    assert float(theory.delta_ca(model)) == expected
    assert float(theory.delta_cp(model)) == expected
    assert float(theory.delta_ca(SpikedModel.homogeneous(2.0, 0.5, k=3, d=3))) == np.inf


def test_a_tie_is_not_recovery_in_either_precision():
    """kappa = 0.5, nu = 0.1, nuisance_y = 5: tau = xi = 1 / sqrt(20) exactly, on the CP boundary."""
    model = SpikedModel.homogeneous(0.5, 0.1, gamma_x=1.0, gamma_y=0.05, nuisance_y=5.0, k=5, d=20)
    for double in (False, True):
        with jax.enable_x64(double):
            assert pj.regime(model) is Regime.CA_ONLY
            assert int(jax.jit(theory.r_cp)(model)) == int(theory.r_cp(model)) == 0


def test_inadmissible_traced_models_have_no_regime():
    codes = jax.jit(jax.vmap(lambda nu: theory.regime_code(SpikedModel.homogeneous(1.0, nu, k=1, d=2))))(
        jnp.array([0.1, 2.0]))
    assert codes.tolist()[1] == -1
    assert codes.tolist()[0] >= 0
    counts = jax.jit(jax.vmap(lambda nu: theory.r_ca(SpikedModel.homogeneous(1.0, nu, k=1, d=2))))(jnp.array([2.0]))
    assert counts.tolist() == [-1]


def test_regime_of_a_traced_model_is_refused():
    with pytest.raises(ValueError, match="use regime_code"):
        jax.jit(lambda nu: pj.regime(SpikedModel.homogeneous(1.0, nu, k=1, d=2)))(0.5)


@pytest.mark.parametrize("value", ["Both", "CA only", "CP only", "Neither"])
def test_regime_values(value):
    assert Regime(value).value == value
    assert Regime.from_code(Regime(value).code) is Regime(value)


def test_regimes_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"delta_ca, delta_cp: expected two numbers, got nan and 2\.0"):
        Regime.from_ratios(float("nan"), 2.0)
    with pytest.raises(ValueError, match="code: expected 0, 1, 2 or 3, got -1"):
        Regime.from_code(-1)


positive = st.floats(0.05, 4.0)


@settings(max_examples=50)
@given(kappa=positive, gamma_x=positive, gamma_y=positive, nuisance_y=positive)
def test_boundaries_are_where_the_ratio_is_one(kappa, gamma_x, gamma_y, nuisance_y):
    def model(nu):
        return SpikedModel.homogeneous(kappa, nu, gamma_x=gamma_x, gamma_y=gamma_y, nuisance_y=nuisance_y, k=2, d=5)

    with jax.enable_x64(True):
        nu = float(theory.ca_boundary(kappa, gamma_x, gamma_y))
        assert 0 <= nu <= 1
        assert float(theory.delta_ca(model(nu))) == pytest.approx(1, rel=1e-12)
        nu = float(theory.cp_boundary(kappa, gamma_x, nuisance_y))
        ratio = float(theory.delta_cp(model(nu)))
        assert ratio == pytest.approx(1, rel=1e-12) if nu < 1 else ratio >= 1 - 1e-12


def test_ratio_bound_holds_and_is_sharp_for_homogeneous_models():
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        for _ in range(50):
            model = random_model(rng)
            assert float(theory.delta_ca(model) / theory.delta_cp(model)) <= float(theory.ratio_bound(model)) + 1e-12
        model = SpikedModel.homogeneous(1.5, 0.4, gamma_x=0.3, gamma_y=0.7, nuisance_y=6.0, k=3, d=8)
        ratio = float(theory.delta_ca(model) / theory.delta_cp(model))
        assert ratio == pytest.approx(float(theory.ratio_bound(model)), rel=1e-13)
        assert ratio == pytest.approx(np.sqrt(6.0 / (1.5**2 + 0.7)), rel=1e-13)


def test_hard_bottleneck_is_the_least_rank():
    assert int(theory.hard_bottleneck(20, 3, 5)) == 3
    np.testing.assert_array_equal(theory.hard_bottleneck(20, np.array([1, 2, 30]), 25), [1, 2, 20])
    with pytest.raises(ValueError, match="at least one rank"):
        theory.hard_bottleneck()


def test_soft_bottleneck_no_feasible_encoder_beats_the_optimum():
    """Random (W, V) with W S_xy V' = I, by solving for V: their norm is at least 2 sum 1/phi >= 2/phi_k."""
    rng = np.random.default_rng(3)
    model = random_model(rng, k=3, d_x=6, d_y=6)
    xx, xy, yy, _, _ = numpy_covariances(model, rng)
    c = inverse_root(xx) @ xy @ inverse_root(yy)
    phi = np.linalg.svd(c, compute_uv=False)[:3]
    with jax.enable_x64(True):
        optimum, bound = float(theory.soft_bottleneck_optimum(phi)), float(theory.soft_bottleneck_bound(phi))
    assert bound == pytest.approx(2 / phi[2], rel=1e-14)
    left, _, _ = np.linalg.svd(c)
    reached = []
    for scale in np.r_[0.0, np.geomspace(1e-3, 1, 200)]:
        w = np.diag(phi**-0.5) @ left[:, :3].T + scale * rng.standard_normal((3, 6))
        v = np.linalg.pinv(w @ c).T  # least-norm V with W C V' = I
        reached.append(np.sum(w**2) + np.sum(v**2))
    assert min(reached) == pytest.approx(optimum, rel=1e-10)
    assert np.all(np.array(reached) >= optimum * (1 - 1e-10))
    assert optimum >= bound


def assert_mean_squared_errors(**functions):
    """Errors of the actual population predictors, built with NumPy in random bases."""
    rng = np.random.default_rng(4)
    for d_x, d_y in [(7, 7), (6, 8), (8, 6)]:
        model = random_model(rng, d_x=d_x, d_y=d_y)
        xx, xy, yy, q_x, q_y = numpy_covariances(model, rng)
        root = inverse_root(xx)
        left, _, _ = np.linalg.svd(root @ xy @ inverse_root(yy))
        encoder = left[:, :3].T @ root
        b_ca = xy.T @ encoder.T @ np.linalg.inv(encoder @ xx @ encoder.T) @ encoder
        u, s, vt = np.linalg.svd(xy.T @ root)
        b_cp = u[:, :3] * s[:3] @ vt[:3] @ root
        signal_xy, signal_yy = np.zeros((d_x, d_y)), np.zeros((d_y, d_y))
        signal_xy[range(3), range(3)] = signal_yy[range(3), range(3)] = model.kappa**2
        signal_xy, signal_yy = q_x @ signal_xy @ q_y.T, q_y @ signal_yy @ q_y.T

        def error(b, cross, target, xx=xx):
            return np.trace(target - b @ cross - cross.T @ b.T + b @ xx @ b.T)

        expected = {"total_mse_ca": error(b_ca, xy, yy), "total_mse_cp": error(b_cp, xy, yy),
                    "signal_mse_ca": error(b_ca, signal_xy, signal_yy),
                    "signal_mse_cp": error(b_cp, signal_xy, signal_yy)}
        with jax.enable_x64(True):
            for name, function in functions.items():
                assert float(function(model)) == pytest.approx(expected[name], rel=1e-10), name


MSES = {name: getattr(_closed_forms, name)
        for name in ("total_mse_ca", "total_mse_cp", "signal_mse_ca", "signal_mse_cp")}


def test_mean_squared_errors_against_numpy():
    assert_mean_squared_errors(**MSES)


@pytest.mark.parametrize("name", MSES)
def test_error_oracle_rejects_a_neighbouring_formula(name):
    other = name.replace("signal", "total") if "signal" in name else name.replace("total", "signal")
    with pytest.raises(AssertionError):
        assert_mean_squared_errors(**{name: MSES[other]})


def test_variance_trap_cp_has_the_lower_total_error_and_the_wrong_subspace():
    model = SpikedModel.create([3.0, 2.0, 1.5], nu=0.6, gamma_x=0.5, gamma_y=0.05, nuisance_y=50.0, d=20)
    assert pj.regime(model) is Regime.CA_ONLY
    assert float(theory.total_mse_cp(model)) < float(theory.total_mse_ca(model))
    assert float(theory.signal_mse_cp(model)) > float(theory.signal_mse_ca(model))


def test_exact_gradients_of_every_ratio_and_error():
    """Central differences in float64, d log f / d parameter, away from ties."""
    names = ("kappa", "nu", "gamma_x", "gamma_y", "nuisance_x", "nuisance_y")
    model = random_model(np.random.default_rng(5))
    functions = (theory.delta_ca, theory.delta_cp, theory.delta_cp_reverse, *MSES.values())

    @jax.jit
    def all_values(model):
        return jnp.stack([function(model) for function in functions])

    def at(name, i, step):
        values = np.array(getattr(model, name))
        values[i] += step
        return np.asarray(all_values(model.replace(**{name: values})))

    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacrev(all_values))(model)
        for name in names:
            for i in range(len(getattr(model, name))):
                numeric = (at(name, i, 1e-6) - at(name, i, -1e-6)) / 2e-6
                assert np.asarray(getattr(jacobian, name)[:, i]) == pytest.approx(numeric, abs=2e-7), (name, i)


def test_gradients_stay_finite_at_the_edges():
    for kappa, nu in [(0.0, 0.5), (1.0, 0.0), (1.0, 1.0)]:
        model = SpikedModel.homogeneous(kappa, nu, gamma_x=0.0, gamma_y=0.0, k=2, d=4)
        gradient = jax.grad(lambda m: theory.rho(m).sum() + theory.xi(m).sum())(model)
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))
