"""Losses against independent NumPy ones on sample arrays, their gradients, and where their minima are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special

from phasejax import SpikedModel
from phasejax.linear import (
    Covariances,
    cp_loss,
    deepcca_loss,
    info_nce_loss,
    joint_loss,
    solve_ca,
    solve_joint,
    vicreg_loss,
    vicreg_multiplicities,
)
from phasejax.linear._losses import whitened_outputs
from phasejax.simulation import population_covariances


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


RNG = np.random.default_rng(0)
N, D_X, D_Y, K = 60, 6, 5, 3
MIX = RNG.standard_normal((D_X + D_Y, D_X + D_Y)) / 3
ROWS = RNG.standard_normal((N, D_X + D_Y)) @ MIX
X, Y = ROWS[:, :D_X], ROWS[:, D_X:]
COVARIANCES = Covariances(xx=X.T @ X / N, xy=X.T @ Y / N, yy=Y.T @ Y / N)
W, V, D = RNG.standard_normal((K, D_X)) / 3, RNG.standard_normal((K, D_Y)) / 3, RNG.standard_normal((D_Y, K))


def numpy_vicreg(x, y, w, v):
    """Bardes, Ponce and LeCun 2022, row by row, with 1/n."""
    total = 0.0
    z_x, z_y = x @ w.T, y @ v.T
    total += 25 * np.mean((z_x - z_y) ** 2)
    for z in (z_x, z_y):
        second = np.zeros((K, K))
        for row in z:
            second += np.outer(row, row) / len(z)
        total += 25 * np.mean(np.maximum(0, 1 - np.sqrt(np.mean(z**2, 0) + 1e-4)))
        total += sum(second[i, j] ** 2 for i in range(K) for j in range(K) if i != j) / K
    return total


def numpy_deepcca(x, y, w, v, ridge=1e-3):
    z_x, z_y = x @ w.T, y @ v.T
    left = scipy.linalg.fractional_matrix_power(z_x.T @ z_x / N + ridge * np.eye(K), -0.5)
    right = scipy.linalg.fractional_matrix_power(z_y.T @ z_y / N + ridge * np.eye(K), -0.5)
    return -np.linalg.svd(left @ (z_x.T @ z_y / N) @ right, compute_uv=False).sum()


def numpy_joint(x, y, w, v, d, lam):
    z = x @ w.T
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / N)).T
    return np.mean(np.sum((y - z @ d.T) ** 2, 1)) + lam * np.mean(np.sum((z - y @ v.T) ** 2, 1))


def numpy_info_nce(z_x, z_y, temperature):
    similarity = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in z_y] for a in z_x]) / temperature
    rows = scipy.special.log_softmax(similarity, axis=1)
    columns = scipy.special.log_softmax(similarity, axis=0)
    return -(np.trace(rows) + np.trace(columns)) / (2 * len(z_x))


def test_covariance_losses_equal_those_of_the_rows():
    assert float(vicreg_loss(W, V, COVARIANCES)) == pytest.approx(numpy_vicreg(X, Y, W, V), rel=1e-12)
    assert float(vicreg_loss(W / 9, V / 9, COVARIANCES)) == pytest.approx(numpy_vicreg(X, Y, W / 9, V / 9), rel=1e-12)
    assert float(deepcca_loss(W, V, COVARIANCES)) == pytest.approx(numpy_deepcca(X, Y, W, V), rel=1e-9)
    expected = np.mean(np.sum((Y - X @ W.T @ D.T) ** 2, 1))
    assert float(cp_loss(W, D, COVARIANCES)) == pytest.approx(expected, rel=1e-12)
    expected = numpy_joint(X, Y, W, V, D, 0.7)
    assert float(joint_loss(W, V, D, COVARIANCES, 0.7)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.5])
def test_info_nce_equals_that_of_the_rows(temperature):
    z_x, z_y = X @ W.T, Y @ V.T
    expected = numpy_info_nce(z_x, z_y, temperature)
    assert float(info_nce_loss(z_x, z_y, temperature)) == pytest.approx(expected, rel=1e-12)
    # Scale of an output does not matter, pairing does.
    assert float(info_nce_loss(9 * z_x, z_y, temperature)) == pytest.approx(
        float(info_nce_loss(z_x, z_y, temperature)), rel=1e-12)
    assert float(info_nce_loss(z_x, z_x, temperature)) < float(info_nce_loss(z_x, z_x[::-1], temperature))


def test_info_nce_stays_finite_in_float32():
    z = jnp.asarray(np.random.default_rng(1).standard_normal((64, 3)), jnp.float32)
    both = jax.jit(jax.value_and_grad(lambda a, b: info_nce_loss(a, b, 0.05)))
    for sign in (1, -1):  # the best and the worst case
        value, gradient = both(z, sign * z)
        assert value.dtype == jnp.float32
        assert float(value) == pytest.approx(numpy_info_nce(np.asarray(z, float), sign * np.asarray(z, float), 0.05),
                                             rel=1e-5)
        assert np.isfinite(gradient).all()


def numpy_info_nce_slopes(z_x, z_y, temperature):
    """Derivatives of the loss of unit rows by z_x, z_y and the logit scale 1 / T, from the softmax of the logits."""
    n = len(z_x)
    u, v = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (z_x, z_y))
    p, q = (scipy.special.softmax(u @ v.T / temperature, axis=axis) for axis in (1, 0))
    d = ((p + q) / 2 - np.eye(n)) / n
    found = []
    for z, unit, slope in ((z_x, u, d @ v / temperature), (z_y, v, d.T @ u / temperature)):
        slope = slope - unit * np.sum(slope * unit, 1, keepdims=True)
        found.append(slope / np.linalg.norm(z, axis=1, keepdims=True))
    return (*found, np.sum(d * (u @ v.T)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [0.001, 0.01, 0.02, 0.05])
@pytest.mark.parametrize("learned", [False, True])
def test_info_nce_at_the_temperatures_that_clip_learns(temperature, learned, dtype):
    """CLIP ends with a logit scale of 100, that is T = 0.01; value and slopes against NumPy's in float64."""
    rng = np.random.default_rng(7)
    base = rng.standard_normal((50, 4)).astype(dtype)
    near, far = (base + s * rng.standard_normal((50, 4)).astype(dtype) for s in (0.05, 2.0))
    def loss(a, b, scale):
        return info_nce_loss(a, b, 1 / scale if learned else temperature)

    slopes = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    for z_x, z_y in ((base, near), (base, far), (base, -base)):
        value, found = slopes(z_x, z_y, jnp.asarray(1 / temperature, dtype))
        exact_x, exact_y = z_x.astype(float), z_y.astype(float)
        rtol = 1e-10 if dtype == "float64" else 3e-4 * max(1, 0.01 / temperature)
        assert float(value) == pytest.approx(numpy_info_nce(exact_x, exact_y, temperature), rel=rtol)
        expected = numpy_info_nce_slopes(exact_x, exact_y, temperature)
        for ours, theirs in list(zip(found, expected, strict=True))[:3 if learned else 2]:
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


def test_info_nce_of_temperatures_side_by_side_is_that_of_each():
    z_x, z_y = X @ W.T, Y @ V.T
    temperatures = jnp.array([0.005, 0.1])
    for found, temperature in zip(jax.vmap(lambda t: info_nce_loss(z_x, z_y, t))(temperatures), temperatures,
                                  strict=True):
        assert float(found) == pytest.approx(numpy_info_nce(z_x, z_y, float(temperature)), rel=1e-12)


def test_info_nce_depends_on_no_units():
    z_x, z_y = (np.asarray(z, np.float32) for z in (X @ W.T, Y @ V.T))
    expected = float(info_nce_loss(z_x, z_y, 0.01))
    for factor in (1e-30, 1e30):
        assert float(info_nce_loss(z_x * np.float32(factor), z_y, 0.01)) == pytest.approx(expected, rel=1e-4)


def assert_gradient(function, *arguments, rtol=1e-6):
    """The derivative along a random direction against a central difference."""
    rng = np.random.default_rng(6)
    arguments = [np.asarray(a, float) for a in arguments]
    directions = [rng.standard_normal(a.shape) for a in arguments]
    both = jax.jit(jax.value_and_grad(function, argnums=tuple(range(len(arguments)))))
    step = 1e-5
    ahead, behind = (both(*[a + sign * step * d for a, d in zip(arguments, directions, strict=True)])[0]
                     for sign in (1, -1))
    along = sum(np.sum(g * d) for g, d in zip(both(*arguments)[1], directions, strict=True))
    assert float(along) == pytest.approx(float(ahead - behind) / (2 * step), rel=rtol)


LOSSES = {
    "vicreg": (lambda w, v: vicreg_loss(w, v, COVARIANCES), (W, V)),
    "deepcca": (lambda w, v: deepcca_loss(w, v, COVARIANCES), (W, V)),
    "cp": (lambda w, d: cp_loss(w, d, COVARIANCES), (W, D)),
    "joint": (lambda w, v, d, lam: joint_loss(w, v, d, COVARIANCES, lam), (W, V, D, 0.7)),
    "info_nce": (lambda w, v, t: info_nce_loss(X @ w.T, Y @ v.T, t), (W, V, 0.3)),
    "info_nce at T = 0.015": (lambda w, v, t: info_nce_loss(X @ w.T, Y @ v.T, t), (W, V, 0.015)),
}


@pytest.mark.parametrize(("loss", "arguments"), LOSSES.values(), ids=LOSSES)
def test_gradients_equal_finite_differences(loss, arguments):
    assert_gradient(loss, *arguments)


def test_the_joint_loss_at_its_best_decoders_is_the_eigenproblem():
    """At the least-squares D and V it is tr S_yy - tr U'MU, and no whitened encoder beats `solve_joint`."""
    lam, xy, yy = 0.7, np.asarray(COVARIANCES.xy), np.asarray(COVARIANCES.yy)
    closed = solve_joint(COVARIANCES, K, lam)

    @jax.jit
    def profiled(encoder):
        encoder = whitened_outputs(encoder, COVARIANCES)
        return joint_loss(encoder, encoder @ xy @ np.linalg.inv(yy), xy.T @ encoder.T, COVARIANCES, lam)

    best = np.trace(yy) - float(jnp.sum(closed.spectrum))
    assert float(profiled(closed.encoder)) == pytest.approx(best, rel=1e-12)
    rng = np.random.default_rng(2)
    for scale in np.geomspace(1e-3, 1, 20):
        assert profiled(closed.encoder + scale * rng.standard_normal(closed.encoder.shape)) > best - 1e-12


def test_deepcca_is_least_at_the_canonical_variates():
    alignment = solve_ca(COVARIANCES, K)
    best = float(deepcca_loss(alignment.encoder_x, alignment.encoder_y, COVARIANCES, ridge=0.0))
    assert best == pytest.approx(-float(jnp.sum(alignment.spectrum[:K])), rel=1e-12)
    mixing = np.random.default_rng(3).standard_normal((K, K))
    mixed = float(deepcca_loss(mixing @ alignment.encoder_x, alignment.encoder_y, COVARIANCES, ridge=0.0))
    assert mixed == pytest.approx(best, rel=1e-9)
    assert float(deepcca_loss(W, V, COVARIANCES)) > best


def test_vicreg_multiplicities_minimise_the_loss_over_all_gram_matrices():
    """Against projected gradient descent on N = A'A in the space of eigenvalues, and by hand."""
    correlations = np.array([0.95, 0.9, 0.86, 0.5, 0.2])
    found = np.asarray(vicreg_multiplicities(correlations, 3))
    assert found.sum() == pytest.approx(3)
    np.testing.assert_allclose(found[:3], 1 + 12.5 * (correlations[:3] - correlations[:3].mean()), rtol=1e-12)

    def loss(n):  # k times the loss, less what does not depend on n
        return 50 * np.sum(n * (1 - correlations)) + 2 * np.sum(n**2)

    rng = np.random.default_rng(4)
    for _ in range(200):
        other = np.r_[rng.dirichlet(np.ones(3)) * 3, 0, 0]  # at most k directions in use
        assert loss(other) >= loss(found) - 1e-12
    np.testing.assert_allclose(vicreg_multiplicities(np.array([0.95, 0.7, 0.7]), 2), [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(vicreg_multiplicities(np.array([0.9, 0.9, 0.1]), 2), [1, 1, 0], atol=1e-12)


def test_vicreg_multiplicities_are_the_spectrum_of_a_better_solution_than_cca():
    """Outputs built with that spectrum and unit rows lose less than CCA's outputs do."""
    model = SpikedModel.create([3.0, 1.2], nu=0.1, gamma_x=1.0, gamma_y=0.05, d=5)
    covariances = population_covariances(model)
    alignment = solve_ca(covariances, 2)
    n = np.asarray(vicreg_multiplicities(alignment.spectrum, 2))[:2]
    assert n[1] == 0  # the second signal is given up
    mix = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2) * np.sqrt(n)  # A with A'A = diag(n), unit rows
    np.testing.assert_allclose(mix.T @ mix, np.diag(n), atol=1e-12)
    np.testing.assert_allclose(np.sum(mix**2, 1), 1)
    collapsed = float(vicreg_loss(mix @ alignment.encoder_x, mix @ alignment.encoder_y, covariances))
    assert collapsed < float(vicreg_loss(alignment.encoder_x, alignment.encoder_y, covariances)) - 0.1


def test_no_loss_calls_lapack():
    for loss, arguments in LOSSES.values():
        batch = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), arguments)
        text = jax.jit(jax.vmap(jax.grad(loss))).lower(*batch).as_text()
        assert "custom_call" not in text, text[text.index("custom_call"):][:200]


def test_bad_arguments_are_refused():
    for temperature in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"temperature: expected a finite number above 0, got {temperature}"):
            info_nce_loss(np.ones((4, 2)), np.ones((4, 2)), temperature)
    with pytest.raises(ValueError, match=r"z_y: expected shape \(4, 2\) as z_x, got \(5, 2\)"):
        info_nce_loss(np.ones((4, 2)), np.ones((5, 2)), 0.1)


def test_population_value_by_hand():
    """Two outputs, correlation 0.5, variance 1/4: 25 * 0.25 + 2 * 25 * 0.5 without eps, crosses 0."""
    covariances = Covariances(xx=np.eye(2) / 4, xy=np.eye(2) / 8, yy=np.eye(2) / 4)
    hinge = 1 - np.sqrt(0.25 + 1e-4)
    assert float(vicreg_loss(np.eye(2), np.eye(2), covariances)) == pytest.approx(25 * 0.25 + 50 * hinge, rel=1e-12)
