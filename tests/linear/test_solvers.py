"""Solvers against the published implementation, optimality, identities and invariances."""


import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasejax.linear import (
    Covariances,
    canonical_correlations,
    covariances_from_samples,
    encoder_norm,
    linear_probe,
    mean_squared_sine,
    prediction_mse,
    regression_singular_values,
    solve_ca,
    solve_ca_probe,
    solve_cp,
    solve_joint,
)
from tests.support import DATA

PUBLISHED = np.load(DATA / "published_linear.npz")


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def random_covariances(seed, d_x=6, d_y=5, n=40):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, d_x + d_y)) @ rng.standard_normal((d_x + d_y, d_x + d_y))
    return covariances_from_samples(z[:, :d_x], z[:, d_x:])


def projector(rows):
    return np.linalg.pinv(rows) @ rows


@pytest.mark.parametrize("seed", [0, 1])
def test_published_fingerprints(seed):
    """The same covariances through the published solvers; agreement to 1e-8."""
    def published(name):
        return PUBLISHED[f"fingerprint/seed{seed}/{name}"]

    covariances = Covariances(xx=published("S_xx"), xy=published("S_xy"), yy=published("S_yy"))
    close = {"rtol": 1e-8, "atol": 1e-8}
    alignment, prediction, joint = solve_ca(covariances, 3), solve_cp(covariances, 3), solve_joint(covariances, 3, 1.0)
    np.testing.assert_allclose(alignment.spectrum, published("ca_corr_all"), **close)
    np.testing.assert_allclose(prediction.spectrum, published("cp_sv_all"), **close)
    np.testing.assert_allclose(projector(alignment.encoder_x), published("ca_proj"), **close)
    np.testing.assert_allclose(projector(prediction.encoder), published("cp_proj"), **close)
    np.testing.assert_allclose(prediction.predictor, published("cp_B"), **close)
    np.testing.assert_allclose(joint.spectrum, published("joint1_eig"), **close)
    np.testing.assert_allclose(projector(joint.encoder), published("joint1_proj"), **close)
    # Whitening y instead of x gives another predictor, and is told apart.
    swapped = np.asarray(solve_cp(covariances.reverse(), 3).predictor).T
    assert not np.allclose(swapped, published("cp_B"), **close)
    assert not np.allclose(solve_joint(covariances, 3, 1.1).spectrum, published("joint1_eig"), **close)


def test_alignment_is_feasible_and_no_feasible_pair_is_better():
    """mean ||W x - V y||^2 of random feasible pairs, W S_xy V' = I, is never below the optimum."""
    covariances = random_covariances(0)
    xx, xy, yy = map(np.array, (covariances.xx, covariances.xy, covariances.yy))

    def loss(w, v):
        return np.trace(w @ xx @ w.T) + np.trace(v @ yy @ v.T) - 2 * np.trace(w @ xy @ v.T)

    alignment = solve_ca(covariances, 2)
    w, v = map(np.asarray, alignment.constrained())
    np.testing.assert_allclose(w @ xy @ v.T, np.eye(2), atol=1e-10)
    rng = np.random.default_rng(1)
    for scale in np.geomspace(1e-4, 1, 50):
        other_w, other_v = w + scale * rng.standard_normal(w.shape), v + scale * rng.standard_normal(v.shape)
        other_v = np.linalg.solve((other_w @ xy @ other_v.T).T, other_v)  # restore the constraint
        np.testing.assert_allclose(other_w @ xy @ other_v.T, np.eye(2), atol=1e-8)
        assert loss(other_w, other_v) >= loss(w, v) - 1e-10
    optimum = float(np.sum(2 / alignment.spectrum[:2]))
    assert float(encoder_norm(alignment, covariances)) == pytest.approx(optimum, rel=1e-10)


def test_canonical_variates_have_unit_variance_and_the_canonical_correlations():
    covariances = random_covariances(2)
    a = solve_ca(covariances, 5)
    np.testing.assert_allclose(a.encoder_x @ covariances.xx @ a.encoder_x.T, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(a.encoder_y @ covariances.yy @ a.encoder_y.T, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(a.encoder_x @ covariances.xy @ a.encoder_y.T, np.diag(a.spectrum), atol=1e-10)
    np.testing.assert_allclose(canonical_correlations(covariances), a.spectrum, rtol=1e-12)


def test_prediction_is_the_best_of_its_rank():
    """Eckart-Young by brute force: the full regression, truncated in the metric of its fitted values."""
    covariances = random_covariances(3)
    xx, xy = np.asarray(covariances.xx), np.asarray(covariances.xy)
    full = xy.T @ np.linalg.inv(xx)  # ordinary least squares
    values, vectors = np.linalg.eigh(full @ xx @ full.T)
    truncated = vectors[:, -2:] @ vectors[:, -2:].T @ full
    prediction = solve_cp(covariances, 2)
    np.testing.assert_allclose(prediction.predictor, truncated, atol=1e-10)
    np.testing.assert_allclose(prediction.spectrum, np.sqrt(values[::-1]), rtol=1e-8)
    np.testing.assert_allclose(regression_singular_values(covariances), prediction.spectrum, rtol=1e-12)
    explained = np.trace(covariances.yy) - np.sum(prediction.spectrum[:2] ** 2)
    assert float(prediction_mse(prediction.predictor, covariances)) == pytest.approx(float(explained), rel=1e-12)


def test_probe_is_least_squares_on_the_encoded_data():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((50, 6)), rng.standard_normal((50, 5))
    covariances = covariances_from_samples(x, y)
    probed = solve_ca_probe(covariances, 3)
    expected = np.linalg.lstsq(x @ probed.encoder.T, y, rcond=None)[0].T
    np.testing.assert_allclose(probed.decoder, expected, atol=1e-10)
    np.testing.assert_allclose(linear_probe(covariances, np.eye(6)), np.linalg.lstsq(x, y, rcond=None)[0].T, atol=1e-10)
    residual = np.mean(np.sum((y - x @ np.asarray(probed.predictor).T) ** 2, 1))
    assert float(prediction_mse(probed.predictor, covariances)) == pytest.approx(residual, rel=1e-12)


def test_joint_is_prediction_at_zero_and_alignment_at_infinity():
    covariances = random_covariances(5)
    near = solve_joint(covariances, 2, 0.0)
    np.testing.assert_allclose(near.predictor, solve_cp(covariances, 2).predictor, atol=1e-9)
    far = solve_joint(covariances, 2, 1e9)
    assert float(mean_squared_sine(far.encoder, solve_ca(covariances, 2).encoder_x)) < 1e-12


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), log_scale=st.floats(-3, 3))
def test_spectra_do_not_depend_on_bases_and_correlations_not_on_units(seed, log_scale):
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        covariances = random_covariances(seed)
        a = np.linalg.qr(rng.standard_normal((6, 6)))[0] * rng.uniform(0.3, 3, 6)
        b = np.linalg.qr(rng.standard_normal((5, 5)))[0] * 10**log_scale
        mapped = Covariances(xx=a @ covariances.xx @ a.T, xy=a @ covariances.xy @ b.T, yy=b @ covariances.yy @ b.T)
        np.testing.assert_allclose(canonical_correlations(mapped), canonical_correlations(covariances), atol=1e-8)
        np.testing.assert_allclose(regression_singular_values(mapped) / 10**log_scale,
                                   regression_singular_values(covariances), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(canonical_correlations(covariances.reverse()), canonical_correlations(covariances),
                                   atol=1e-9)
        assert np.all(np.asarray(canonical_correlations(covariances)) <= 1 + 1e-12)


def test_alignment_swaps_with_the_views():
    covariances = random_covariances(6)
    forward, backward = solve_ca(covariances, 2), solve_ca(covariances.reverse(), 2)
    assert float(mean_squared_sine(forward.encoder_x, backward.encoder_y)) < 1e-12
    assert float(mean_squared_sine(forward.encoder_y, backward.encoder_x)) < 1e-12


def test_singular_covariances():
    """Rank 2 in y: two canonical correlations when the null space is left out, NaN when it is not."""
    y = np.zeros((4, 4))
    y[:2, :2] = np.eye(2)
    covariances = Covariances(xx=np.eye(4), xy=0.5 * y, yy=y)
    np.testing.assert_allclose(canonical_correlations(covariances, singular=True), [0.5, 0.5, 0, 0], atol=1e-12)
    assert np.isnan(canonical_correlations(covariances)).any()


@pytest.mark.parametrize("solve", [solve_ca, solve_cp, solve_ca_probe, lambda c, k: solve_joint(c, k, 1.0)])
@pytest.mark.parametrize("k", [0, 6])
def test_k_out_of_range_is_refused(solve, k):
    with pytest.raises(ValueError, match=rf"k: expected 1 to min\(d_x, d_y\) = 5, got {k}"):
        solve(random_covariances(7), k)


def test_covariances_from_samples_with_and_without_centring():
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((20, 3)) + 5, rng.standard_normal((20, 2)) - 3
    raw, centred = covariances_from_samples(x, y), covariances_from_samples(x, y, centre=True)
    np.testing.assert_allclose(raw.xy, x.T @ y / 20, rtol=1e-13)
    joint = np.cov(x, y, rowvar=False, bias=True)
    np.testing.assert_allclose(np.block([[centred.xx, centred.xy], [centred.xy.T, centred.yy]]), joint, atol=1e-13)


def test_covariances_must_fit_together():
    with pytest.raises(ValueError, match="covariances: expected xx"):
        Covariances(xx=jnp.eye(3), xy=jnp.ones((4, 2)), yy=jnp.eye(2))
    with pytest.raises(ValueError, match="y: expected 5 rows as in x, got 4"):
        covariances_from_samples(np.ones((5, 2)), np.ones((4, 2)))


def test_float32_covariances_are_solved_in_float32():
    with jax.enable_x64(False):
        covariances = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), random_covariances(8))
        assert solve_ca(covariances, 2).encoder_x.dtype == jnp.float32
        assert solve_joint(covariances, 2, 0.5).predictor.dtype == jnp.float32
