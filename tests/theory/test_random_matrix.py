"""Predicted sample spectra against closed forms, the unreduced equations, simulation, limits and mutated formulas.

The simulations are NumPy's, with sample covariances drawn by Bartlett's decomposition.
"""

import functools
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import phasejax as pj
from phasejax import SpikedModel
from phasejax.theory import _random_matrix, _sample_spectrum
from phasejax.theory._random_matrix import canonical_spectrum, regression_spectrum

FIG8 = SpikedModel.create([3.0, 2.5, 2.0], nu=0.05, gamma_x=0.5, gamma_y=0.5, nuisance_y=100.0, d=20)
FIG3 = SpikedModel.create([3.0, 2.0, 1.5], nu=0.6, gamma_x=0.5, gamma_y=0.05, nuisance_y=50.0, d=20)
HOMOGENEOUS = SpikedModel.homogeneous(2.0, 0.3, k=3, d=20)
ISOLATED = SpikedModel.create([3.0, 2.0, 1.5], nu=[0.5] + 16 * [0.0], gamma_x=0.5, nuisance_y=2.0, d=20)
UNEQUAL = SpikedModel.create([2.0, 1.5], nu=np.linspace(0.05, 0.6, 10), gamma_x=[0.2, 0.5], gamma_y=[0.3, 0.1],
                             nuisance_x=np.linspace(2.0, 0.5, 10), nuisance_y=np.linspace(0.3, 2.0, 22), d=12, d_y=24)


BELOW = SpikedModel.homogeneous(1.0, 0.9, k=3, d=20, nuisance_y=5.0)
CANONICAL, REGRESSION = jax.jit(canonical_spectrum), jax.jit(regression_spectrum)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


# Simulation.

def transposed(a):
    return a.transpose(0, 2, 1)


@functools.cache
def simulated(model, n, draws, seed=0):
    """Values of the signals (largest first), the largest nuisance value and their ratio in `draws` samples."""
    rng = np.random.default_rng(seed)
    k, p, d_x, d_y = model.k, len(model.nu), model.d_x, model.d_y
    sigma = np.diag(np.r_[model.kappa**2 + model.gamma_x, model.nuisance_x,
                          model.kappa**2 + model.gamma_y, model.nuisance_y])
    cross = np.r_[model.kappa**2, model.nu * np.sqrt(model.nuisance_x[:p] * model.nuisance_y[:p])]
    x, y = np.arange(k + p), d_x + np.arange(k + p)
    sigma[x, y] = sigma[y, x] = cross
    factor = np.tril(rng.standard_normal((draws, d_x + d_y, d_x + d_y)), -1)
    i = np.arange(d_x + d_y)
    factor[:, i, i] = np.sqrt(rng.chisquare(n - i, (draws, d_x + d_y)))
    factor = np.linalg.cholesky(sigma) @ factor
    s = factor @ transposed(factor) / n
    xx, xy, yy = s[:, :d_x, :d_x], s[:, :d_x, d_x:], s[:, d_x:, d_x:]
    out = {}
    for name in ("ca", "cp", "cp_reverse"):
        if name == "cp_reverse":
            xx, xy, yy = yy, transposed(xy), xx
        root = np.linalg.inv(np.linalg.cholesky(xx))
        c = root @ xy
        if name == "ca":
            c = c @ transposed(np.linalg.inv(np.linalg.cholesky(yy)))
        left, values, _ = np.linalg.svd(c, full_matrices=False)
        encoder = transposed(left) @ root
        share = np.sum(encoder[:, :, :k] ** 2, 2) / np.sum(encoder**2, 2)
        is_signal = np.argsort(np.argsort(-share, axis=1), axis=1) < k
        signals = -np.sort(-np.where(is_signal, values, 0), axis=1)[:, :k]
        nuisance = np.max(np.where(is_signal, 0, values), axis=1)
        out[name] = {"signals": signals, "nuisance": nuisance, "delta": signals[:, -1] / nuisance}
    return out


def assert_near(predicted, sample, relative, what):
    """|prediction - simulated mean| <= 4 standard errors + relative * mean, `relative` the finite-size term."""
    mean, error = np.mean(sample), np.std(sample) / np.sqrt(len(sample))
    assert abs(float(predicted) - mean) <= 4 * error + relative * mean, (what, float(predicted), mean, error)


def predicted(model, n):
    return vars(pj.theory.finite_sample(model, n))


# The last two numbers: finite-size terms of the signals, relative at n = 200, and of the nuisance, at this n.
SETTINGS = [(HOMOGENEOUS, 200, 0.01, 0.01), (HOMOGENEOUS, 1000, 0.01, 0.01), (FIG3, 1000, 0.01, 0.006),
            (BELOW, 1000, 0.01, 0.003), (FIG8, 5000, 0.01, 0.006), (ISOLATED, 1000, 0.01, 0.01),
            (UNEQUAL, 200, 0.01, 0.016)]


def assert_simulation(predict, settings=SETTINGS):
    for model, n, for_signals, for_nuisance in settings:
        samples = simulated(model, n, 400)
        for name, spectrum in predict(model, n).items():
            what, sample = (name, n), samples[name]
            assert_near(spectrum.weakest, sample["signals"][:, -1], for_signals * 200 / n, (*what, "weakest"))
            assert_near(spectrum.nuisance, sample["nuisance"], for_nuisance, (*what, "nuisance"))
            assert_near(jnp.mean(spectrum.signals), sample["signals"].mean(1), for_signals * 40 / n, (*what, "mean"))
            assert_near(spectrum.delta, sample["delta"], for_signals * 200 / n + for_nuisance, (*what, "delta"))


@pytest.mark.slow
def test_predictions_match_simulations():
    """Homogeneous, decaying, isolated, unequal, heterogeneous; signals above the nuisance and (FIG3, CP) below it."""
    assert_simulation(predicted)


# Closed forms.

def assert_bao(spectrum):
    """Bao, Hu, Pan and Zhou 2019: outliers, threshold and Wachter's edge, one signal and no correlated nuisance."""
    n, q_x, q_y = 400, 9, 24
    c_x, c_y = q_x / n, q_y / n
    rho = np.array([0.9, 0.6, 0.45])
    for r in rho:
        found = spectrum(jnp.array([r]), jnp.zeros(9), q_x, q_y, n)
        square = r**2 * (1 - c_x + c_x / r**2) * (1 - c_y + c_y / r**2)
        assert float(found.signals[0] ** 2) == pytest.approx(square, rel=1e-12)
        edge = (np.sqrt(c_x * (1 - c_y)) + np.sqrt(c_y * (1 - c_x))) ** 2
        assert float(found.edge**2) == pytest.approx(edge, rel=1e-9)
    threshold = (c_x * c_y / ((1 - c_x) * (1 - c_y))) ** 0.25
    for r, visible in [(threshold * 1.001, True), (threshold * 0.999, False)]:
        assert bool(spectrum(jnp.array([r]), jnp.zeros(9), q_x, q_y, n).visible[0]) == visible


def test_canonical_correlations_without_correlated_nuisance():
    assert_bao(CANONICAL)


def test_uncorrelated_views_have_the_edge_of_a_white_wishart():
    """With A = 0 and y white, A's sample is a q_x by q_y Gaussian matrix over sqrt(n)."""
    found = REGRESSION(jnp.array([5.0]), jnp.array([26.0]), jnp.zeros(9), 3 * jnp.ones(24), 9, 100)
    assert float(found.edge) == pytest.approx(np.sqrt(3) * (np.sqrt(9) + np.sqrt(24)) / 10, rel=1e-9)


# The equations before their elimination, iterated to their fixed point with NumPy.

def traces(inner, deterministic, blocks, n):
    """K = (B^-1 + T)^-1 with T_ab = (1/n) tr Sigma_ab R_ba and R = (Sigma o K + D)^-1, coordinate by coordinate."""
    # A coordinate that only one view has: a one keeps its block regular and meets a zero in every trace.
    pad = np.zeros_like(blocks)
    pad[:, [0, 1], [0, 1]] = blocks[:, [0, 1], [0, 1]] == 0
    k = inner
    for _ in range(400):
        r = np.linalg.inv(blocks * k + deterministic + pad)
        k = (k + np.linalg.inv(np.linalg.inv(inner) + np.sum(blocks * r, axis=0) / n)) / 2
    return k


def assert_equations(model, n, canonical, regression):
    """Where the prediction puts the one signal, its block of Sigma o K + D is singular."""
    (rho,), (tau,), p = pj.theory.rho(model), pj.theory.tau(model), len(model.nu)
    variance = model.kappa[0] ** 2 + model.gamma_y[0]
    q_x, q_y = len(model.nuisance_x), len(model.nuisance_y)

    def blocks(cross, variance_y):
        out = np.zeros((max(q_x, q_y), 2, 2))
        out[:q_x, 0, 0], out[:q_y, 1, 1] = 1, variance_y
        out[:p, 0, 1] = out[:p, 1, 0] = cross
        return out

    level = float(canonical(jnp.array([rho]), model.nu, q_x, q_y, n).signals[0])
    k = traces(np.array([[level, 1], [1, level]]), np.zeros((2, 2)), blocks(model.nu, 1.0), n)
    assert k[0, 0] * k[1, 1] / k[0, 1] ** 2 == pytest.approx(float(rho) ** 2, rel=1e-8)
    xi = np.asarray(pj.theory.xi(model))
    level = float(regression(jnp.array([tau]), jnp.array([variance]), xi, model.nuisance_y, q_x, n).signals[0])
    k = traces(np.array([[level, 1], [1, 0]]), np.diag([0, level]), blocks(xi, model.nuisance_y), n)
    assert k[0, 0] * (variance * k[1, 1] + level) / k[0, 1] ** 2 == pytest.approx(float(tau) ** 2, rel=1e-8)


MODELS = [SpikedModel.create([2.0], nu=np.linspace(0, 0.6, 9), gamma_x=0.3, gamma_y=0.6, nuisance_x=2.0, d=d_x, d_y=d_y,
                             nuisance_y=np.linspace(0.5, 3.0, d_y - 1)) for d_x, d_y in [(10, 10), (10, 25), (25, 10)]]


def assert_edge(model, n, canonical, regression):
    """The edge is where outliers cease, whatever a signal's variance in y is, and they rise from it."""
    q_x, q_y, xi = len(model.nuisance_x), len(model.nuisance_y), pj.theory.xi(model)

    def by_ca(rho):
        return canonical(jnp.array([rho]), model.nu, q_x, q_y, n)

    def by_cp(tau, variance):
        return regression(jnp.array([tau]), jnp.array([variance]), xi, model.nuisance_y, q_x, n)

    for locate, high in [(by_ca, 1.0), (lambda tau: by_cp(tau, 3.0), 1.73), (lambda tau: by_cp(tau, 2.0), 1.41)]:
        ends = [0.0, high]
        for _ in range(30):
            middle = sum(ends) / 2
            ends[int(locate(middle).visible[0])] = middle
        at, above = locate(ends[1] + 1e-6), locate(ends[1] + 1e-3)
        assert float(at.signals[0]) == pytest.approx(float(at.edge), rel=1e-8)
        assert 0 < float(above.signals[0]) - float(at.signals[0]) < 1e-4


def test_the_edge_is_where_outliers_cease():
    for model in MODELS:
        assert_edge(model, 150, CANONICAL, REGRESSION)


def test_outliers_solve_the_equations_they_were_eliminated_from():
    for model in MODELS:
        assert_equations(model, 150, CANONICAL, REGRESSION)


# Few coordinates.

@functools.cache
def gaussian_ensemble(m):
    """Mean and standard error of the largest eigenvalue, off-diagonal variance 1."""
    g = np.random.default_rng(m).standard_normal((4000, m, m))
    values = np.linalg.eigvalsh((g + transposed(g)) / np.sqrt(2))[:, -1]
    return values.mean(), values.std() / np.sqrt(4000)


def assert_few_coordinates(canonical, regression):
    """m equal nuisance coordinates, all others uncorrelated, at large n: an m x m Gaussian ensemble about their value.

    Off-diagonal variances of a canonical correlation nu and of a singular value xi of variance b: (1 - nu^2)^2 / (2n)
    and (2b - xi^2) / (4n).
    """
    n, value, signal = 10**8, 0.6, jnp.array([0.95, 0.9, 0.85])
    for m in (1, 2, 5, 17):
        mean, error = gaussian_ensemble(m)
        nuisance = jnp.where(jnp.arange(17) < m, value, 0)
        ca = canonical(signal, nuisance, 17, 17, n).nuisance
        cp = regression(signal, jnp.ones(3), nuisance, 2 * jnp.ones(17), 17, n).nuisance
        for found, sd in [(ca, (1 - value**2) / np.sqrt(2 * n)), (cp, np.sqrt((4 - value**2) / (4 * n)))]:
            assert abs((float(found) - value) / sd - mean) < 0.05 + 4 * error, m


def assert_lawley(canonical):
    """Lawley 1959, the 1/n bias of a canonical correlation: what a second, stronger signal adds to the weaker's."""
    n, r, other, zeros = 10**6, 0.6, 0.9, jnp.zeros(9)
    added = canonical(jnp.array([other, r]), zeros, 9, 9, n).weakest - canonical(jnp.array([r]), zeros, 9, 9, n).weakest
    expected = (1 - r**2) / (2 * r) * (2 + 2 * (1 - r**2) * other**2 / (r**2 - other**2))
    assert float(added) * n == pytest.approx(expected, rel=0.003)
    # A signal pushes the strongest nuisance in the same way: here what moving it from 0.9 to 0.8 changes.
    nuisance = jnp.zeros(9).at[0].set(r)
    moved = [canonical(jnp.array([signal]), nuisance, 9, 9, n).nuisance for signal in (other, 0.8)]
    expected = (1 - r**2) ** 2 / r * (0.8**2 / (r**2 - 0.8**2) - other**2 / (r**2 - other**2))
    assert float(moved[1] - moved[0]) * n == pytest.approx(expected, rel=0.02)


def test_few_coordinates_and_neighbours():
    assert_few_coordinates(CANONICAL, REGRESSION)
    assert_lawley(CANONICAL)


@pytest.mark.parametrize("m", [1, 2, 3, 17])
def test_smallest_of_a_cluster(m):
    mean, error = gaussian_ensemble(m)
    found = jax.jit(_sample_spectrum._smallest_of_cluster)(100 + jnp.zeros(m), jnp.ones(m)) - 100
    assert abs(float(found) + mean) < 0.05 + 4 * error


# Mutated formulas.

def mutated(old, new):
    """The two public functions, compiled afresh from sources in which `old` is replaced by `new`."""
    spaces = {}
    for module in (_sample_spectrum, _random_matrix):
        source = Path(module.__file__).read_text()
        source = source.replace("from phasejax.theory._sample_spectrum import", "from mutated__sample_spectrum import")
        spaces[module] = types.ModuleType(f"mutated_{module.__name__.split('.')[-1]}")
        sys.modules[spaces[module].__name__] = spaces[module]
        exec(source.replace(old, new), vars(spaces[module]))
        sys.modules[spaces[module].__name__] = spaces[module]
    found = sum(old in Path(module.__file__).read_text() for module in (_sample_spectrum, _random_matrix))
    assert found == 1, old
    space = spaces[_random_matrix]
    return jax.jit(space.canonical_spectrum), jax.jit(space.regression_spectrum)


def assert_all(canonical, regression):
    """The oracles above, cheapest first."""
    def predict(model, n):
        out = {"ca": canonical(pj.theory.rho(model), model.nu, model.d_x - model.k, model.d_y - model.k, n)}
        for name, m in (("cp", model), ("cp_reverse", model.reverse())):
            variance = m.kappa**2 + m.gamma_y
            out[name] = regression(pj.theory.tau(m), variance, pj.theory.xi(m), m.nuisance_y, m.d_x - m.k, n)
        return out

    assert_bao(canonical)
    assert_equations(MODELS[1], 150, canonical, regression)
    assert_edge(MODELS[1], 150, canonical, regression)
    assert_lawley(canonical)
    assert_few_coordinates(canonical, regression)
    assert_simulation(predict, SETTINGS[:4])


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [
    ("w_x, w_y = (1 - c_x) / (1 + s), (1 - c_y) / (1 + s)", "w_x, w_y = (1 - c_x) / (1 - s), (1 - c_y) / (1 - s)"),
    ("residual, value = 1 - c_x - mean(a * inverse)", "residual, value = 1 - c_x + mean(a * inverse)"),
    ("OWN_WEIGHT = (-TRACY_WIDOM_MEAN / 2) ** 1.5", "OWN_WEIGHT = 2.0"),
])
def test_oracles_reject_mutated_formulas(old, new):
    with pytest.raises(AssertionError):
        assert_all(*mutated(old, new))


# Limits, rates, and the published case.

def test_large_samples_give_the_population():
    """Outliers differ from the population by O(1/n), the edge by O(n^{-1/2}): a hundredth and a tenth at 100 n."""
    for model in (HOMOGENEOUS, UNEQUAL, ISOLATED):
        errors = []
        for n in (10**6, 10**8):
            found = pj.theory.finite_sample(model, n)
            errors.append([np.max(np.abs(found.ca.signals - pj.theory.rho(model))),
                           np.max(np.abs(found.cp.signals - pj.theory.tau(model))),
                           abs(found.ca.edge - np.max(model.nu)),
                           abs(found.cp.edge - np.max(pj.theory.xi(model)))])
            for a, b in [(found.delta_ca, pj.delta_ca(model)), (found.delta_cp, pj.delta_cp(model)),
                         (found.delta_cp_reverse, pj.theory.delta_cp_reverse(model))]:
                assert float(a) == pytest.approx(float(b), rel=30 * n**-0.5)
        np.testing.assert_allclose(np.divide(*errors), [100, 100, 10, 10], rtol=0.05)


@pytest.mark.slow
def test_errors_fall_at_their_rates():
    """At d / n = 1/10: predictions are off by O(1/n), and the largest nuisance value nears the edge as n^{-2/3}."""
    gaps = []
    for d, n, draws in [(20, 200, 1500), (60, 600, 150)]:
        model = SpikedModel.create([2.0], nu=0.3, d=d)
        sample, found = simulated(model, n, draws), pj.theory.finite_sample(model, n)
        gap = []
        for name in ("ca", "cp"):
            predicted, values = getattr(found, name), sample[name]
            for mean, drawn in [(predicted.signals[0], values["signals"]), (predicted.nuisance, values["nuisance"])]:
                bias, error = np.mean(drawn) - float(mean), np.std(drawn) / np.sqrt(draws)
                assert abs(bias) < 4 * error + 1 / n, (name, n, bias, error)
            gap.append(float(predicted.edge) - np.mean(values["nuisance"]))
        gaps.append(gap)
    np.testing.assert_allclose(np.divide(*gaps), 3 ** (2 / 3), rtol=0.2)  # next order: n^{-1/3}, about 10%


@pytest.mark.slow
def test_published_figure_at_nuisance_100():
    """K26 Fig. 8: sample Delta_CA near 7 against a population 18, here by the package's own sampling and metrics."""
    found = pj.theory.finite_sample(FIG8, 5000)
    assert float(pj.delta_ca(FIG8)) == pytest.approx(17.8, abs=0.05)
    assert 6 < float(found.delta_ca) < 7
    data = pj.sweep(FIG8, {"nu": [0.05]}, quantities=["separation_ca", "separation_cp"], n=5000, seeds=40,
                    key=jax.random.key(0))
    for name in ("ca", "cp"):
        assert_near(getattr(found, f"delta_{name}"), np.ravel(data[f"separation_{name}"]), 0.01, name)


def test_signals_below_the_threshold():
    """Among nuisance of correlation 0.6, n = 2000, a signal leaves the bulk near 0.64; far below it is apart again."""
    def at(rho):
        return pj.theory.finite_sample(SpikedModel.homogeneous(np.sqrt(rho / (1 - rho)), 0.6, k=1, d=20), 2000).ca

    inside, outside, below = at(0.6), at(0.8), at(0.2)
    assert [bool(s.visible[0]) for s in (inside, outside, below)] == [False, True, False]
    assert float(inside.signals[0]) == pytest.approx(0.6)
    assert float(inside.delta) < 1 < float(outside.delta)
    rhos = np.linspace(0.6, 0.75, 40)
    values = np.array([float(at(r).signals[0]) for r in rhos])
    assert np.all(np.diff(values) > -1e-9)
    sample = simulated(SpikedModel.homogeneous(0.5, 0.6, k=1, d=20), 2000, 400)["ca"]
    assert_near(below.delta, sample["delta"], 0.01, "below the bulk")


# Symmetries, transformations, gradients, bad input.

def leaves(found):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)]).astype(float)


def test_reversal_and_units():
    found, reverse = pj.theory.finite_sample(UNEQUAL, 300), pj.theory.finite_sample(UNEQUAL.reverse(), 300)
    np.testing.assert_allclose(leaves(found.ca), leaves(reverse.ca), rtol=1e-9)
    np.testing.assert_allclose(leaves(found.cp), leaves(reverse.cp_reverse), rtol=1e-9)
    # In other units of both views only the singular values change, in proportion.
    scaled = pj.theory.finite_sample(UNEQUAL.replace(**{name: getattr(UNEQUAL, name) * factor for name, factor in {
        "kappa": 3, "gamma_x": 9, "gamma_y": 9, "nuisance_x": 9, "nuisance_y": 9}.items()}), 300)
    np.testing.assert_allclose(leaves(scaled.ca), leaves(found.ca), rtol=1e-9)
    assert float(scaled.cp.edge) == pytest.approx(3 * float(found.cp.edge), rel=1e-9)
    assert float(scaled.delta_cp) == pytest.approx(float(found.delta_cp), rel=1e-9)


def test_traced_counts():
    counts = jax.jit(jax.vmap(lambda n: pj.theory.finite_sample(HOMOGENEOUS, n)))(jnp.array([300, 40]))
    np.testing.assert_allclose(leaves(jax.tree.map(lambda leaf: leaf[0], counts)),
                               leaves(pj.theory.finite_sample(HOMOGENEOUS, 300)), rtol=1e-9)
    assert all(np.isnan(getattr(counts, f"delta_{name}")[1]) for name in ("ca", "cp", "cp_reverse"))


@pytest.mark.parametrize("n", [40, 0, float("nan"), np.int64(7)])
def test_too_few_samples_are_refused(n):
    with pytest.raises(ValueError, match=r"n: expected more than d_x \+ d_y = 40 samples, got"):
        pj.theory.finite_sample(HOMOGENEOUS, n)


def total(model):
    found = pj.theory.finite_sample(model, 300)
    return sum(s.weakest + s.nuisance + s.edge + jnp.sum(s.signals**2) for s in (found.ca, found.cp, found.cp_reverse))


GRADIENT = jax.jit(jax.grad(total))


def shared(values):
    """A heterogeneous model of d_x = d_y = 20 with the given fields; one compiled gradient serves all of them."""
    return SpikedModel.create(**({"kappa": [3.0, 2.0, 1.5], "nu": np.linspace(0.1, 0.6, 17), "gamma_x": 0.5,
                                  "gamma_y": 0.3, "nuisance_y": np.linspace(3, 1, 17), "d": 20} | values))


@pytest.mark.slow
@pytest.mark.parametrize("values", [{}, {"nu": 0.4, "nuisance_y": 2.0}, {"kappa": [2.0, 2.0, 2.0], "nu": 0.4},
                                    {"nu": [0.6] + 16 * [0.0]}])
def test_gradients_match_finite_differences(values):
    """Along random directions; within groups of equal parameters, where they are ties, along the common direction."""
    model = shared(values)
    gradient, evaluate = GRADIENT(model), jax.jit(total)
    for name in ("kappa", "nu", "gamma_x", "gamma_y", "nuisance_x", "nuisance_y"):
        step = np.asarray(getattr(model, name)) * 1e-5
        ends = [float(evaluate(model.replace(**{name: getattr(model, name) + sign * step}))) for sign in (1, -1)]
        exact = float(np.sum(np.asarray(getattr(gradient, name)) * step))
        assert (ends[0] - ends[1]) / 2 == pytest.approx(exact, rel=1e-4, abs=1e-11), name


@pytest.mark.slow
@pytest.mark.parametrize("values", [
    {"nu": 0.0}, {"nu": 1.0}, {"nu": [1.0] + 16 * [0.3]}, {"kappa": [2.0, 1.0, 0.0]},
    {"kappa": [0.0, 0.0, 0.0], "nu": 0.0}, {"gamma_x": 0.0, "gamma_y": 0.0},
    {"kappa": [1.0, 1.0, 1.0], "gamma_x": 1.0, "gamma_y": 1.0, "nu": 0.5}])
def test_degenerate_models_have_finite_values_and_gradients(values):
    model = shared(values)
    found = pj.theory.finite_sample(model, 300)
    assert np.all(np.isfinite(leaves(found)))
    for s in (found.ca, found.cp, found.cp_reverse):
        assert float(s.weakest) >= 0
        assert float(s.nuisance) > 0
    assert float(found.ca.edge) <= 1 + 1e-12
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(GRADIENT(model)))
    if np.max(model.nu) == 1:
        assert float(found.ca.nuisance) == pytest.approx(1, abs=1e-9)


def test_one_uncorrelated_nuisance_coordinate():
    """The modulus of one correlation, sqrt(2 / (pi n)) in the mean."""
    found = pj.theory.finite_sample(SpikedModel.homogeneous(2.0, 0.0, k=1, d=2, nuisance_y=3.0), 5000)
    assert float(found.ca.nuisance) == pytest.approx(np.sqrt(2 / (np.pi * 5000)), rel=0.01)
    assert float(found.cp.nuisance) == pytest.approx(np.sqrt(3 * 2 / (np.pi * 5000)), rel=0.01)


def test_without_nuisance():
    for model in (SpikedModel.homogeneous(2.0, 0.3, k=3, d=3), SpikedModel.homogeneous(2.0, 0.3, k=3, d=3, d_y=6)):
        found = pj.theory.finite_sample(model, 100)
        assert all(np.all(s.visible) and float(s.nuisance) == 0 for s in (found.ca, found.cp, found.cp_reverse))
        assert [float(d) for d in (found.delta_ca, found.delta_cp, found.delta_cp_reverse)] == 3 * [np.inf]
    found = pj.theory.finite_sample(SpikedModel.homogeneous(2.0, 0.3, k=1, d=4, nuisance_y=0.0), 100)
    assert float(found.cp.nuisance) == 0
    assert float(found.delta_cp) == np.inf
