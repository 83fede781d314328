"""Leading eigenvectors of a batch against LAPACK's, and what happens where they are not good."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import eigh
from phasejax._core import batched_eigh, linalg
from phasejax.linear import top_k_eigenspace


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def batch(rng, size, d):
    factors = rng.standard_normal((size, d, d + 3))
    return np.asarray(factors @ factors.swapaxes(1, 2))


def reduced(matrices):
    return jax.lax.map(linalg._tridiagonal, jnp.asarray(matrices))


def leading_eigenvectors(matrices, k):
    return batched_eigh.leading_eigenvectors(*reduced(matrices), matrices, k)


# Compiled once for all tests with matrices of one shape and dtype.
solved = jax.jit(leading_eigenvectors, static_argnums=1)


def projectors(vectors):
    return np.asarray(vectors @ jnp.swapaxes(vectors, 1, 2))


def lapack(matrices, k):
    return projectors(jnp.asarray(np.linalg.eigh(matrices)[1][:, :, ::-1][:, :, :k]))


@pytest.mark.parametrize(("d", "k"), [(3, 1), (3, 3), (5, 2), (20, 5), (20, 20), (40, 3), (64, 7)])
def test_eigenvectors_are_lapacks(d, k):
    """50 matrices: they pass the test of themselves, and projectors agree to 1e-11."""
    matrices = batch(np.random.default_rng(d + k), 50, d)
    vectors, good = solved(matrices, k)
    assert np.asarray(good).all()
    np.testing.assert_allclose(projectors(vectors)[good], lapack(matrices, k)[good], atol=1e-11)
    values = np.einsum("bij,bik,bkj->bj", vectors, matrices, vectors)[good]
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrices)[good][:, ::-1][:, :k], rtol=1e-11)


def test_eigenvalues_close_together_and_independent_of_the_batch():
    """Gaps from 1e-2 to 1e-14: Newton's steps fail for some, bisection does not; companions change no bit."""
    d, k = 12, 6
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((d, d)))[0]
    steps, copies = np.arange(d) % 6, np.arange(d) // 6
    spectra = np.stack([np.sort(1 - 0.1 * steps - gap * copies) for gap in 10.0 ** -np.arange(2, 15)])
    matrices = rotation * spectra[:, None, :] @ rotation.T
    _, diagonal, off, _ = reduced(matrices)
    found = jax.jit(batched_eigh._eigenvalues, static_argnums=2)
    together = np.asarray(found(diagonal.T, off.T, k))
    np.testing.assert_allclose(together.T, np.linalg.eigvalsh(matrices)[:, ::-1][:, :k], atol=2e-14)
    for i in range(len(matrices)):
        np.testing.assert_array_equal(found(diagonal[i:i + 1].T, off[i:i + 1].T, k)[:, 0], together[:, i])


def test_eigenvectors_that_are_not_good_are_known():
    """Equal eigenvalues, a matrix that splits, zero and NaN: the twisted factorisation finds no basis there."""
    d, k = 6, 3
    matrices = np.stack([np.eye(d), np.diag([3.0, 3, 3, 1, 1, 1]), np.zeros((d, d)), np.full((d, d), np.nan),
                         np.diag([1.0, 6, 2, 5, 3, 4])])
    _, good = solved(matrices, k)
    assert good.tolist() == [False, False, False, False, True]


def test_a_batch_falls_back_to_lapack_where_it_must():
    rng, d = np.random.default_rng(1), batched_eigh.MIN_DIMENSION
    matrices = batch(rng, 40, d)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    tied = np.diag([3.0] * 3 + [1.0] * (d - 3))
    matrices[3], matrices[7] = tied, rotation @ tied @ rotation.T
    matrices[11], matrices[13] = np.nan, 1e-200 * matrices[12]
    together = jax.jit(jax.vmap(lambda m: top_k_eigenspace(m, 3)))(matrices)
    alone = jnp.stack([top_k_eigenspace(jnp.asarray(m), 3) for m in matrices])
    np.testing.assert_allclose(projectors(together), projectors(alone), atol=1e-12)
    assert np.isnan(together[11]).all()


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
def test_close_eigenvalues_keep_their_vectors_orthogonal(gap):
    """Eigenvalues 1, 1 - gap, ... as many as asked: the space is LAPACK's, the basis orthonormal to rounding."""
    rng = np.random.default_rng(4)
    bases = np.linalg.qr(rng.standard_normal((30, 9, 9)))[0]
    values = np.array([1, 1 - gap, 1 - 2 * gap, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    matrices = (bases * values) @ bases.swapaxes(1, 2)
    vectors, good = solved(matrices, 3)
    assert np.asarray(good).all()
    np.testing.assert_allclose(vectors.swapaxes(1, 2) @ vectors, np.broadcast_to(np.eye(3), (30, 3, 3)), atol=2e-15)
    np.testing.assert_allclose(projectors(vectors), lapack(matrices, 3), atol=1e-13)


@pytest.mark.parametrize("d", [1, 2, batched_eigh.MIN_DIMENSION - 1, batched_eigh.MAX_DIMENSION + 1])
def test_other_dimensions_are_left_to_lapack(d):
    matrices = batch(np.random.default_rng(d), 4, d)
    together = jax.jit(jax.vmap(lambda m: top_k_eigenspace(m, 1)))(matrices)
    np.testing.assert_allclose(projectors(together), lapack(matrices, 1), atol=1e-12)


def test_single_precision():
    with jax.enable_x64(False):
        matrices = batch(np.random.default_rng(2), 50, 12).astype(np.float32)
        vectors, good = solved(matrices, 4)
        assert np.asarray(good).mean() > 0.9
        assert np.median(np.abs(projectors(vectors) - lapack(matrices.astype(float), 4)).max((1, 2))) < 1e-5


def test_the_oracle_sees_a_wrong_step(monkeypatch):
    """With the last reflector left out the vectors are no eigenvectors, and none passes for good."""
    whole = batched_eigh._back_transformed
    matrices = batch(np.random.default_rng(3), 10, 8)
    _, good = solved(matrices, 2)
    assert good.all()
    monkeypatch.setattr(batched_eigh, "_back_transformed", lambda reflectors, scales, vectors: whole(
        reflectors, scales.at[:, 0].set(0), vectors))
    _, good = jax.jit(lambda m: leading_eigenvectors(m, 2))(matrices)
    assert not good.any()


@pytest.mark.slow
def test_the_benchmark_times_the_same_eigenvectors_twice():
    rows = eigh.run(count=64, rounds=1, dimensions=(4,))
    assert [entry["metric"] for entry in rows] == ["time_per_matrix", "time_per_matrix", "lapack_time_over_ours"] * 2
    assert all(entry["value"] > 0 for entry in rows)
    matrices = jnp.asarray(batch(np.random.default_rng(0), 8, 5))
    np.testing.assert_allclose(projectors(jax.vmap(eigh._leading_side_by_side)(matrices)),
                               projectors(jax.lax.map(eigh._leading_by_lapack, matrices)), atol=1e-12)
