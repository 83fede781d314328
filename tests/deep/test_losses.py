"""Losses of embeddings: against NumPy row by row, and on linear encoders against the losses of moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.special
from flax import nnx

from phasejax.deep._objectives import loss as objective_loss
from phasejax.deep.losses import deepcca, joint, prediction, supervised, vicreg
from phasejax.linear import Covariances, cp_loss, deepcca_loss, info_nce_loss, joint_loss, solve_ca, vicreg_loss
from phasejax.linear._losses import whitened_outputs


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


RNG = np.random.default_rng(0)
N, D_X, D_Y, K = 40, 6, 5, 3
ROWS = RNG.standard_normal((N, D_X + D_Y)) @ RNG.standard_normal((D_X + D_Y, D_X + D_Y)) / 3
ROWS -= ROWS.mean(0)
X, Y = ROWS[:, :D_X], ROWS[:, D_X:]
W, V, D = RNG.standard_normal((K, D_X)) / 3, RNG.standard_normal((K, D_Y)) / 3, RNG.standard_normal((D_Y, K))
# Means that are not zero, one output nearly constant, one far above deviation 1.
Z_X = np.array([0.3, 0.02, 4.0]) * RNG.standard_normal((N, K)) + [1.0, -2.0, 0.5]
Z_Y = 0.5 * Z_X @ RNG.standard_normal((K, K)) + 0.3 * RNG.standard_normal((N, K))
LOGITS, LABELS = 3 * RNG.standard_normal((N, 4)), RNG.integers(0, 4, N)
# As rows draw them: covariances of the centred outputs with 1/(n - 1).
UNBIASED = Covariances(xx=X.T @ X / (N - 1), xy=X.T @ Y / (N - 1), yy=Y.T @ Y / (N - 1))
EXACT = Covariances(xx=X.T @ X / N, xy=X.T @ Y / N, yy=Y.T @ Y / N)


def numpy_vicreg(z_x, z_y):
    """Bardes, Ponce and LeCun 2022, eq. 1-6, entry by entry."""
    n, k = z_x.shape
    invariance = sum(np.sum((a - b) ** 2) for a, b in zip(z_x, z_y, strict=True)) / (n * k)
    variance = covariance = 0.0
    for z in (z_x, z_y):
        c = np.cov(z, rowvar=False)
        variance += sum(max(0.0, 1 - np.sqrt(c[j, j] + 1e-4)) for j in range(k)) / k
        covariance += sum(c[i, j] ** 2 for i in range(k) for j in range(k) if i != j) / k
    return 25 * invariance + 25 * variance + covariance, invariance, variance, covariance


def numpy_deepcca(z_x, z_y, ridge=1e-3):
    k = z_x.shape[1]
    c = np.cov(z_x, z_y, rowvar=False)
    left = scipy.linalg.fractional_matrix_power(c[:k, :k] + ridge * np.eye(k), -0.5)
    right = scipy.linalg.fractional_matrix_power(c[k:, k:] + ridge * np.eye(k), -0.5)
    return -np.linalg.svd(left @ c[:k, k:] @ right, compute_uv=False).sum()


def numpy_cross_entropy(logits, labels):
    return -np.mean([scipy.special.log_softmax(row)[label] for row, label in zip(logits, labels, strict=True)])


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_vicreg_equals_that_of_the_rows(scale):
    found = vicreg(scale * Z_X, scale * Z_Y)
    expected = numpy_vicreg(scale * Z_X, scale * Z_Y)
    np.testing.assert_allclose([found.total, found.invariance, found.variance, found.covariance], expected, rtol=1e-11)
    weighted = vicreg(Z_X, Z_Y, invariance=2.0, variance=3.0, covariance=5.0)
    assert float(weighted.total) == pytest.approx(np.dot([2, 3, 5], numpy_vicreg(Z_X, Z_Y)[1:]), rel=1e-11)


def test_the_other_losses_equal_those_of_the_rows():
    for ridge in (1e-3, 0.5):
        assert float(deepcca(Z_X, Z_Y, ridge=ridge)) == pytest.approx(numpy_deepcca(Z_X, Z_Y, ridge), rel=1e-9)
    images, others = RNG.random((N, 2, 2, 3)), RNG.random((N, 2, 2, 3))
    by_hand = np.sum((images - others) ** 2) / (12 * N)
    assert float(prediction(images, others)) == pytest.approx(by_hand, rel=1e-12)
    assert float(supervised(LOGITS, LABELS)) == pytest.approx(numpy_cross_entropy(LOGITS, LABELS), rel=1e-12)
    found = joint(images, others, Z_X, Z_Y, 0.7)
    assert float(found.total) == pytest.approx(by_hand + 0.7 * numpy_vicreg(Z_X, Z_Y)[0], rel=1e-11)
    assert float(found.prediction) == pytest.approx(by_hand, rel=1e-12)
    assert float(found.alignment) == pytest.approx(numpy_vicreg(Z_X, Z_Y)[0], rel=1e-11)
    found = joint(images, others, Z_X, Z_Y, 0.7, deepcca)
    assert float(found.total) == pytest.approx(by_hand + 0.7 * numpy_deepcca(Z_X, Z_Y), rel=1e-9)


def assert_same(of_rows, of_moments, *parameters):
    """Values and gradients with respect to the parameters of linear networks."""
    found, expected = (jax.value_and_grad(f, argnums=tuple(range(len(parameters))))(*map(jnp.asarray, parameters))
                       for f in (of_rows, of_moments))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, expected)


def test_linear_encoders_get_the_losses_of_their_moments():
    share = (N - 1) / N  # the invariance term is a plain mean
    for w, v in ((W, V), (9 * W, 0.1 * V)):
        assert_same(lambda w, v: vicreg(X @ w.T, Y @ v.T).total,
                    lambda w, v: vicreg_loss(w, v, UNBIASED, invariance=25 * share), w, v)
        assert_same(lambda w, v: deepcca(X @ w.T, Y @ v.T), lambda w, v: deepcca_loss(w, v, UNBIASED), w, v)
    assert_same(lambda w, d: D_Y * prediction(X @ w.T @ d.T, Y), lambda w, d: cp_loss(w, d, EXACT), W, D)

    def of_rows(w, v, d):
        z_x, z_y = X @ whitened_outputs(w, EXACT).T, Y @ v.T
        return D_Y * joint(z_x @ d.T, Y, z_x, z_y, 0.7 * K / D_Y, prediction).total

    assert_same(of_rows, lambda w, v, d: joint_loss(w, v, d, EXACT, 0.7), W, V, D)


def test_deepcca_at_the_canonical_variates_is_their_correlations():
    alignment = solve_ca(UNBIASED, K)
    outputs = X @ alignment.encoder_x.T + 3.0, Y @ alignment.encoder_y.T - 1.0  # means do not matter
    assert float(deepcca(*outputs, ridge=0.0)) == pytest.approx(-float(jnp.sum(alignment.spectrum[:K])), rel=1e-10)


def test_info_nce_serves_embeddings():
    units = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (Z_X, Z_Y)]
    similarity = units[0] @ units[1].T / 0.2
    expected = -sum(np.trace(scipy.special.log_softmax(similarity, axis=axis)) for axis in (0, 1)) / (2 * N)
    assert float(info_nce_loss(Z_X, Z_Y, 0.2)) == pytest.approx(expected, rel=1e-11)


LOSSES = {
    "vicreg": (lambda a, b: vicreg(a, b).total, (Z_X, Z_Y)),
    "deepcca": (deepcca, (Z_X, Z_Y)),
    "prediction": (prediction, (Z_X, Z_Y)),
    "joint": (lambda p, t, a, b, lam: joint(p, t, a, b, lam).total, (Z_X[:, :2], Z_Y[:, :2], Z_X, Z_Y, 0.7)),
    "supervised": (lambda s: supervised(s, LABELS), (LOGITS,)),
}


@pytest.mark.parametrize(("loss", "arguments"), LOSSES.values(), ids=LOSSES)
def test_gradients_equal_finite_differences(loss, arguments):
    rng, step = np.random.default_rng(1), 1e-5
    arguments = [np.asarray(a, float) for a in arguments]
    directions = [rng.standard_normal(a.shape) for a in arguments]
    both = jax.jit(jax.value_and_grad(loss, argnums=tuple(range(len(arguments)))))
    ahead, behind = (both(*[a + sign * step * d for a, d in zip(arguments, directions, strict=True)])[0]
                     for sign in (1, -1))
    along = sum(np.sum(g * d) for g, d in zip(both(*arguments)[1], directions, strict=True))
    assert float(along) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-6)


@pytest.mark.parametrize(("loss", "arguments"), LOSSES.values(), ids=LOSSES)
def test_a_batch_of_cells_equals_a_loop_without_lapack(loss, arguments):
    batch = [np.stack([np.asarray(a, float), np.asarray(a, float) * 1.3]) for a in arguments]
    both = jax.jit(jax.vmap(jax.value_and_grad(loss)))
    assert "custom_call" not in both.lower(*batch).as_text()
    found = both(*batch)
    for i in range(2):
        alone = jax.value_and_grad(loss)(*[jnp.asarray(a[i]) for a in batch])
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-12), found, alone)


def test_collapsed_outputs_have_finite_gradients_in_float32():
    """Constant outputs, the state VICReg is made to leave."""
    z = jnp.ones((8, 4), jnp.float32)
    for value, gradient in jax.jit(lambda a: [jax.value_and_grad(loss)(a) for loss in (
            lambda a: vicreg(a, z).total, lambda a: deepcca(a, z))])(z):
        assert value.dtype == jnp.float32
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert float(vicreg(z, z).variance) == pytest.approx(2 * (1 - 1e-2), rel=1e-6)


def test_bad_arguments_are_refused():
    for loss in (vicreg, deepcca):
        with pytest.raises(ValueError, match=r"z_y: expected shape \(4, 2\) as z_x, got \(4, 3\)"):
            loss(np.ones((4, 2)), np.ones((4, 3)))
        with pytest.raises(ValueError, match=r"z_x: expected at least 2 rows, got 1"):
            loss(np.ones((1, 2)), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"target: expected shape \(4, 1\) as predicted, got \(4,\)"):
        prediction(np.ones((4, 1)), np.ones(4))
    with pytest.raises(ValueError, match=r"labels: expected shape \(4,\), got \(3,\)"):
        supervised(np.ones((4, 2)), np.zeros(3, int))
    for bad in (-1, 2):
        with pytest.raises(ValueError, match=r"labels: expected 0 to 1, got"):
            supervised(np.ones((2, 2)), np.array([bad, bad]))


def test_infonce_of_networks_at_the_temperature_that_clip_ends_with():
    """T = 0.01, a logit scale of 100: value against NumPy's in float64, and slopes that are finite."""
    networks = nnx.Dict({name: nnx.Linear(size, 3, rngs=nnx.Rngs(seed)) for seed, (name, size) in enumerate(
        {"encoder_x": 6, "encoder_y": 5, "head_x": 3, "head_y": 3}.items())})
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.standard_normal((40, d)), jnp.float32) for d in (6, 5))

    def of_networks(networks):
        return objective_loss("infonce", dict(networks), x, y, jnp.zeros(40, int), lam=1.0, temperature=0.01)

    value, slopes = nnx.value_and_grad(of_networks)(networks)
    u, v = (np.asarray(networks[f"head_{view}"](networks[f"encoder_{view}"](rows)), float)
            for view, rows in (("x", x), ("y", y)))
    logits = 100 * (u / np.linalg.norm(u, axis=1, keepdims=True)) @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    expected = -sum(np.mean(np.diag(scipy.special.log_softmax(logits, axis=axis))) for axis in (0, 1)) / 2
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(slopes))
