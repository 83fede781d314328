"""Whitening, eigenspaces, singular values, angles: values, derivatives, batching."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from phasejax._core import linalg
from phasejax._core.linalg import leading_traces, singular_values, top_k_eigenspace, top_k_projector, whitening
from phasejax.linear import _subspaces, principal_angles


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def spd(rng, d, condition=100.0):
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return q * np.geomspace(1, condition, d) @ q.T


def directional(function, at, direction, step=1e-6):
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


def symmetric(rng, d):
    a = rng.standard_normal((d, d))
    return a + a.T


def test_whitening_whitens_and_is_triangular():
    s = spd(np.random.default_rng(0), 6)
    w = np.asarray(whitening(s))
    np.testing.assert_allclose(w @ s @ w.T, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(w, np.linalg.inv(np.linalg.cholesky(s)), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whitening_of_a_singular_or_indefinite_matrix_is_nan(dtype):
    assert np.isnan(whitening(np.diag([1.0, -1.0]).astype(dtype))).any()
    rng = np.random.default_rng(0)
    for scale in (1e-6, 1.0, 1e6):
        rows = scale * rng.standard_normal((5, 8))  # rank 5 of 8; rounding often hides it from Cholesky
        assert np.isnan(whitening((rows.T @ rows).astype(dtype))).any()
    # Exactly singular, yet Cholesky finds a last pivot of one rounding error.
    eps = np.finfo(dtype).eps
    assert np.isnan(whitening(np.array([[1, 1], [1, 1 + eps]], dtype))).any()
    graded = np.diag([1e-6, 1.0, 1e6]).astype(dtype)  # units differ, but nothing is singular
    np.testing.assert_allclose(whitening(graded), np.diag([1e3, 1.0, 1e-3]), rtol=1e-5)


@pytest.mark.parametrize("covariance", [np.eye(5), spd(np.random.default_rng(1), 5)], ids=["isotropic", "general"])
def test_whitening_derivative(covariance):
    direction = symmetric(np.random.default_rng(2), 5)
    _, tangent = jax.jvp(whitening, (covariance,), (direction,))
    np.testing.assert_allclose(tangent, directional(whitening, covariance, direction), atol=1e-8)


def test_pseudo_whitening_leaves_the_null_space_out():
    rng = np.random.default_rng(3)
    q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    s = q[:, :3] * [4.0, 1.0, 0.25] @ q[:, :3].T
    w = np.asarray(linalg.pseudo_whitening(s))
    np.testing.assert_allclose(np.linalg.svd(w @ s @ w.T, compute_uv=False), [1, 1, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(w @ (np.eye(5) - q[:, :3] @ q[:, :3].T), 0, atol=1e-12)


# Spectra with ties inside the top 3, inside the rest, and in both: the homogeneous model's case.
DEGENERATE = {"distinct": [5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.1], "top": [3.0, 3.0, 3.0, 2.0, 1.0, 0.5, 0.1],
              "rest": [5.0, 4.0, 3.0, 1.0, 1.0, 1.0, 1.0], "both": [3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0]}


def assert_projector_derivative(projector, spectrum):
    rng = np.random.default_rng(4)
    q = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    matrix = q * spectrum @ q.T
    direction = symmetric(rng, 7)

    def numpy_projector(m):
        vectors = np.linalg.eigh(m)[1][:, -3:]
        return vectors @ vectors.T

    np.testing.assert_allclose(projector(matrix), numpy_projector(matrix), atol=1e-12)
    _, tangent = jax.jvp(projector, (matrix,), (direction,))
    np.testing.assert_allclose(tangent, directional(numpy_projector, matrix, direction), atol=1e-7)
    weights = rng.standard_normal((7, 7))
    gradient = jax.grad(lambda m: jnp.sum(weights * projector(m)))(matrix)
    assert float(jnp.sum(gradient * direction)) == pytest.approx(float(jnp.sum(weights * tangent)), rel=1e-9)


@pytest.mark.parametrize("spectrum", DEGENERATE.values(), ids=DEGENERATE)
def test_projector_derivative_depends_on_the_gap_alone(spectrum):
    assert_projector_derivative(lambda m: top_k_projector(m, 3), spectrum)


def test_projector_oracle_rejects_eigh_and_a_missing_gap():
    def through_eigh(m):
        vectors = jnp.linalg.eigh(m)[1][:, -3:]
        return vectors @ vectors.T

    with pytest.raises(AssertionError):  # NaN where eigenvalues coincide
        assert_projector_derivative(through_eigh, DEGENERATE["both"])

    @jax.custom_jvp
    def without_gap(m):
        return top_k_projector(m, 3)

    @without_gap.defjvp
    def _(primals, tangents):
        vectors = jnp.linalg.eigh(primals[0])[1]
        top, rest = vectors[:, -3:], vectors[:, :-3]
        moved = rest @ (rest.T @ tangents[0] @ top)
        return top @ top.T, moved @ top.T + top @ moved.T

    with pytest.raises(AssertionError):
        assert_projector_derivative(without_gap, DEGENERATE["distinct"])


def test_eigenspace_order_sign_and_range():
    matrix = spd(np.random.default_rng(5), 6)
    basis = np.asarray(top_k_eigenspace(matrix, 4))
    values = np.diag(basis.T @ matrix @ basis)
    assert np.all(np.diff(values) < 0)
    assert np.all(basis[np.abs(basis).argmax(0), range(4)] > 0)
    for k in (0, 7):
        with pytest.raises(ValueError, match=f"k: expected a whole number from 1 to 6, got {k}"):
            top_k_eigenspace(matrix, k)


def test_singular_values_and_their_derivative():
    rng = np.random.default_rng(6)
    matrix, direction = rng.standard_normal((4, 6)), rng.standard_normal((4, 6))
    np.testing.assert_allclose(singular_values(matrix), np.linalg.svd(matrix, compute_uv=False), rtol=1e-13)
    _, tangent = jax.jvp(singular_values, (matrix,), (direction,))
    numeric = directional(lambda m: np.linalg.svd(m, compute_uv=False), matrix, direction)
    np.testing.assert_allclose(tangent, numeric, atol=1e-8)


def test_singular_value_sums_differentiate_at_a_tie():
    u, v = (np.linalg.qr(np.random.default_rng(s).standard_normal((4, 4)))[0] for s in (7, 8))
    tied, direction = u * [2.0, 2.0, 1.0, 0.0] @ v.T, np.random.default_rng(9).standard_normal((4, 4))
    _, tangent = jax.jvp(singular_values, (tied,), (direction,))
    numeric = directional(lambda m: np.linalg.svd(m, compute_uv=False), tied, direction)
    assert float(tangent[:2].sum()) == pytest.approx(numeric[:2].sum(), abs=1e-8)
    assert np.isfinite(tangent).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 3), k2=st.integers(1, 3))
def test_principal_angles_against_scipy(seed, k, k2):
    # k + k2 <= 6: beyond that some angle is 0, which SciPy gets to 1e-8 only.
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        a, b = rng.standard_normal((k, 6)), rng.standard_normal((k2, 6))
        expected = np.sort(scipy.linalg.subspace_angles(a.T, b.T))
        np.testing.assert_allclose(principal_angles(a, b), expected, atol=1e-10)


def test_tiny_and_right_angles_keep_their_digits():
    a = np.eye(2, 5)
    b = np.array([[np.cos(1e-9), 0, np.sin(1e-9), 0, 0], [0, 0, 0, 1, 0]])
    np.testing.assert_allclose(principal_angles(a, b), [1e-9, np.pi / 2], rtol=1e-6)


def test_orthonormal_rows_of_an_ill_conditioned_basis():
    """Condition number 1e6: one Cholesky QR leaves 1e-5 of non-orthogonality, two leave rounding."""
    rng = np.random.default_rng(12)
    u, v = np.linalg.qr(rng.standard_normal((3, 3)))[0], np.linalg.qr(rng.standard_normal((8, 8)))[0][:3]
    rows = u * [1, 1e-3, 1e-6] @ v
    basis = np.asarray(_subspaces.orthonormal_rows(rows))
    np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(basis.T @ basis, v.T @ v, atol=1e-9)


def compositions(matrix):
    root = whitening(matrix)
    return {"whitening": root, "projector": top_k_projector(matrix, 2), "values": singular_values(root),
            "rows": _subspaces.orthonormal_rows(root[:2])}


# Without `jit` every operation is compiled by itself, which takes longer than the rest of this file.
NESTINGS = {"jit of vmap of vmap": jax.jit(jax.vmap(jax.vmap(compositions))),
            "jit of map of vmap": jax.jit(lambda batch: jax.lax.map(jax.vmap(compositions), batch)),
            "vmap of vmap": jax.vmap(jax.vmap(compositions))}


@pytest.mark.parametrize("mapped", [pytest.param(mapped, id=name, marks=[pytest.mark.slow] * ("jit" not in name))
                                    for name, mapped in NESTINGS.items()])
def test_jit_vmap_and_their_nesting_equal_a_loop(mapped):
    rng = np.random.default_rng(10)
    batch = np.stack([[spd(rng, 4) for _ in range(3)] for _ in range(2)])
    single = compositions if mapped is NESTINGS["vmap of vmap"] else jax.jit(compositions)
    looped = [[single(m) for m in row] for row in batch]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *[jax.tree.map(lambda *leaves: np.stack(leaves), *row)
                                                                for row in looped])
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, atol=1e-12), mapped(batch), expected)


def test_gradients_commute_with_vmap():
    rng = np.random.default_rng(11)
    batch, weights = np.stack([spd(rng, 4) for _ in range(5)]), symmetric(rng, 4)

    def scalar(m):
        out = compositions(m)
        return jnp.sum(weights * out["projector"]) + out["values"].sum() + out["whitening"].sum()

    gradient = jax.jit(jax.grad(scalar))
    one_by_one = np.stack([gradient(m) for m in batch])
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(batch), one_by_one, rtol=1e-9, atol=1e-9)
    of_sum = jax.jit(jax.grad(lambda b: jax.vmap(scalar)(b).sum()))
    np.testing.assert_allclose(of_sum(batch), one_by_one, rtol=1e-9, atol=1e-9)


def test_leading_traces_are_those_of_projectors_and_so_are_their_derivatives():
    rng = np.random.default_rng(0)
    matrix, form, along = rng.standard_normal((3, 5, 5))
    matrix, along = matrix + matrix.T, along + along.T
    with jax.enable_x64(True):
        values, moved = jax.jvp(lambda m: leading_traces(m, form), (matrix,), (along,))
        expected = [jnp.sum(top_k_projector(jnp.asarray(matrix), k) * form) for k in range(1, 6)]
        np.testing.assert_allclose(values, expected, atol=1e-12)
        for k in range(1, 5):
            _, slope = jax.jvp(lambda m, k=k: jnp.sum(top_k_projector(m, k) * form), (jnp.asarray(matrix),),
                               (jnp.asarray(along),))
            np.testing.assert_allclose(moved[k - 1], slope, atol=1e-9)
        gradient = jax.grad(lambda m: leading_traces(m, form)[1])(jnp.asarray(matrix))
        np.testing.assert_allclose(np.sum(gradient * along), moved[1], atol=1e-9)
