"""The linear algebra under every solver: whitening, leading eigenspaces and singular values, with their derivatives.

Each LAPACK call sits in a function of its own, for two reasons.

- Batching. On the CPU a compiled `vmap` over two or more LAPACK calls can wait for ever: each
  call splits its batch over the thread pool and blocks a worker of the same pool. Here a batch
  on the CPU is a loop over its members instead, which is as fast; on GPU and TPU it stays a batch.
  Leading eigenspaces, which take most of the time of a sweep, leave all but the first step of a batch
  to `batched_eigh`.
- Derivatives. The rules below use only what the forward pass has computed and matrix products.
  They stay finite where the spectrum is degenerate, as it is in the homogeneous model.
"""

from collections.abc import Callable
from functools import lru_cache, partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core import batched_eigh
from phasejax._core.forks import check_not_forked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.small_matrices import inverse_cholesky
from phasejax._core.validation import check_array, check_count


def _looped_on_cpu(function: Callable[..., Any], side_by_side: Callable[..., Any] | None = None,
                   dimensions: range = range(0)) -> Callable[..., Any]:
    """A function of arrays whose `vmap` is a loop on the CPU, and the usual batch elsewhere.

    Args:
        function: takes arrays and returns arrays.
        side_by_side: computes a whole batch on the CPU without LAPACK calls under `vmap`.
        dimensions: sizes of the last axis of the first batched argument for which `side_by_side` replaces the loop.
    """
    batchable = jax.custom_batching.custom_vmap(function)

    @batchable.def_vmap
    def rule(axis_size, in_batched, *args):
        batched = [arg for arg, is_batched in zip(args, in_batched, strict=True) if is_batched]

        def call(member_of, members):
            remaining = iter(members)
            return member_of(*[next(remaining) if is_batched else arg
                               for arg, is_batched in zip(args, in_batched, strict=True)])

        def on_cpu(members):
            if side_by_side is not None and members[0].shape[-1] in dimensions:
                return side_by_side(*members)
            return jax.lax.map(partial(call, batchable), members)

        out = jax.lax.platform_dependent(batched, cpu=on_cpu, default=jax.vmap(partial(call, function)))
        return out, jax.tree.map(lambda _: True, out)

    return wraps(function)(lambda *args: batchable(*map(jnp.asarray, args)))


def _refuse_singular(root, covariance):
    """The inverse Cholesky factor, or NaN where the covariance is singular to working precision.

    The square of a pivot of the Cholesky factor, over the variance of its variable, is the share of that variance
    which the variables before it do not explain. In a singular matrix rounding can leave a share near eps
    instead of zero; a factor computed with it would be noise.
    """
    floor = covariance.shape[-1] * jnp.finfo(covariance.dtype).eps * jnp.diag(covariance)
    return jnp.where(jnp.all(floor * jnp.diag(root) ** 2 < 1), root, jnp.nan)


@partial(_looped_on_cpu, side_by_side=jax.vmap(inverse_cholesky), dimensions=range(1, 9))
def _inverse_cholesky(covariance):
    identity = jnp.eye(covariance.shape[-1], dtype=covariance.dtype)
    factor = jax.lax.linalg.cholesky(covariance, symmetrize_input=False)
    return jax.lax.linalg.triangular_solve(factor, identity, left_side=True, lower=True)


@_looped_on_cpu
def _eigh(matrix):
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors


@_looped_on_cpu
def _tridiagonal(matrix):
    return tuple(jax.lax.linalg.tridiagonal(matrix, lower=True))


@_looped_on_cpu
def _svd(matrix):
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    return left, values, right


@_looped_on_cpu
def _singular_values(matrix):
    return jnp.linalg.svd(matrix, compute_uv=False)


@lru_cache
def _leading_eigenvectors(k):
    """A function that gives the k leading eigenvectors of a matrix.

    A single matrix is left to LAPACK. A batch on the CPU is computed side by side, one matrix to a SIMD lane, and
    checked; matrices that fail the check are left to LAPACK.
    """
    def one(matrix):
        return _eigh(matrix)[1][:, ::-1][:, :k]

    @_looped_on_cpu
    def unless_good(vectors, good, matrix):
        return jax.lax.cond(good, lambda: vectors, lambda: one(matrix))

    def side_by_side(matrices):
        matrices = (matrices + jnp.swapaxes(matrices, 1, 2)) / 2
        reflectors, diagonal, off_diagonal, scales = jax.vmap(_tridiagonal)(matrices)
        vectors, good = batched_eigh.leading_eigenvectors(reflectors, diagonal, off_diagonal, scales, matrices, k)
        return jax.lax.cond(jnp.all(good), lambda: vectors, lambda: jax.vmap(unless_good)(vectors, good, matrices))

    return _looped_on_cpu(one, side_by_side, range(batched_eigh.MIN_DIMENSION, batched_eigh.MAX_DIMENSION + 1))


@jax.custom_jvp
def whitening(covariance: Float[HostOrDevice, "d d"]) -> Float[Array, "d d"]:
    r"""Lower triangular W with W S W' = I: the inverse of the Cholesky factor of S.

    W equals the symmetric root S^{-1/2} up to a rotation from the left, so C = W_x S_xy W_y' has
    the singular values of the symmetric form and its solutions span the same spaces. Unlike the
    symmetric root its derivative is finite at an isotropic S:

    .. math::  dW = -\Phi(W\, dS\, W^\top)\, W, \qquad \Phi(K) = \mathrm{tril}(K) - \tfrac12 \mathrm{diag}(K)

    Args:
        covariance: symmetric positive definite S, shape (d, d). Its symmetric part is used.

    Returns:
        W, shape (d, d); NaN where S is not positive definite, or singular to working precision.
    """
    covariance = (covariance + covariance.T) / 2
    return _refuse_singular(_inverse_cholesky(covariance), covariance)


@whitening.defjvp
def _whitening_jvp(primals, tangents):
    (covariance,), (tangent,) = primals, tangents
    tangent = (tangent + tangent.T) / 2  # as the Cholesky factorisation does with S
    root = whitening(covariance)
    inner = root @ tangent @ root.T
    return root, -(jnp.tril(inner) - jnp.diag(jnp.diag(inner)) / 2) @ root


def pseudo_whitening(covariance: Float[HostOrDevice, "d d"]) -> Float[Array, "d d"]:
    """W with W S W' = I on the range of S and W = 0 on its null space; S may be singular.

    Eigenvalues below d eps times the largest count as zero, eps being that of the dtype. Not
    differentiable where the rank changes; where S has full rank use `whitening`.

    Args:
        covariance: symmetric positive semidefinite S, shape (d, d).

    Returns:
        W, shape (d, d): rows are the eigenvectors of S over the roots of their eigenvalues, or zero.
    """
    values, vectors = _eigh(covariance)
    floor = values.shape[-1] * jnp.finfo(values.dtype).eps * jnp.max(jnp.abs(values))
    kept = values > floor
    return jnp.where(kept, jnp.where(kept, values, 1.0) ** -0.5, 0.0)[:, None] * vectors.T


def top_k_eigenspace(matrix: Float[HostOrDevice, "d d"], k: int) -> Float[Array, "d k"]:
    r"""Orthonormal eigenvectors of the k largest eigenvalues of a symmetric matrix, largest first.

    The derivative is that of their span V_1; the rest of the space is V_2:

    .. math::  dV_1 = V_2 X, \qquad X_{ij} = (V_2^\top dM\, V_1)_{ij} / (\lambda_{1,j} - \lambda_{2,i})

    It contains only the gaps between the two groups, so it stays finite and right when
    eigenvalues inside either group coincide. It leaves rotations inside the span out: derivatives
    are exact for whatever depends on the span alone (projectors, subspace errors, predictions),
    not for single eigenvectors. Without a gap after the k-th eigenvalue the span itself is not
    defined, and the derivative is not finite. Only first derivatives are right.

    Args:
        matrix: symmetric, shape (d, d). Its symmetric part is used.
        k: number of eigenvectors, 1 <= k <= d.

    Returns:
        Eigenvectors in columns, shape (d, k). The entry of largest modulus of each is positive.

    Raises:
        ValueError: k is below 1 or above d.
    """
    matrix = check_array("matrix", matrix, 2)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix: expected a square one, got shape {matrix.shape}")
    return _top_k_eigenspace(jnp.asarray(matrix), check_count("k", k, most=len(matrix)))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _top_k_eigenspace(matrix, k):
    return _with_sign(_leading_eigenvectors(k)(matrix))


@_top_k_eigenspace.defjvp
def _top_k_eigenspace_jvp(k, primals, tangents):
    (matrix,), (tangent,) = primals, tangents
    tangent = (tangent + tangent.T) / 2
    values, vectors = _eigh(matrix)
    values, vectors = values[::-1], vectors[:, ::-1]
    top, rest = _with_sign(vectors[:, :k]), vectors[:, k:]
    gaps = values[None, :k] - values[k:, None]
    return top, rest @ ((rest.T @ tangent @ top) / gaps)


def _with_sign(vectors):
    flipped = jnp.max(vectors, axis=0) < -jnp.min(vectors, axis=0)
    return vectors * jnp.where(flipped, -1, 1).astype(vectors.dtype)


def top_k_projector(matrix: Float[HostOrDevice, "d d"], k: int) -> Float[Array, "d d"]:
    """Orthogonal projector V_1 V_1' on the span of the k leading eigenvectors, with its exact first derivative.

    Args:
        matrix: symmetric, shape (d, d). Its symmetric part is used.
        k: number of eigenvectors, 1 <= k <= d.

    Raises:
        ValueError: k is below 1 or above d.

    >>> top_k_projector(jnp.diag(jnp.array([1.0, 3.0, 2.0])), k=2).tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    check_not_forked()
    basis = top_k_eigenspace(check_array("matrix", matrix, 2), check_count("k", k))
    return basis @ basis.T


def leading_traces(matrix: Float[HostOrDevice, "d d"], form: Float[HostOrDevice, "d d"]) -> Float[Array, "d"]:
    r"""Traces of a form on the spans of the k leading eigenvectors of a symmetric matrix, for k = 1 to d.

    .. math::  s_k = \mathrm{tr}(P_k F), \qquad
        ds_k = \mathrm{tr}(P_k\, dF) + \sum_{i \le k < j} (v_i^\top dM v_j)(F_{ij} + F_{ji}) / (\lambda_i - \lambda_j)

    with the projector P_k and F in coordinates along the eigenvectors v_i. The first derivative is exact where there
    is a gap after the k-th eigenvalue; only first derivatives are right.

    Args:
        matrix: symmetric, shape (d, d).
        form: F, shape (d, d).
    """
    values, vectors = _eigh(jax.lax.stop_gradient(jnp.asarray(matrix)))
    values, vectors = values[::-1], vectors[:, ::-1]
    turned, form = vectors.T @ matrix @ vectors, vectors.T @ form @ vectors
    gaps = values[:, None] - values
    # Zero but for its derivative.
    moved = (turned - jax.lax.stop_gradient(turned)) / jnp.where(gaps == 0, 1, gaps)
    across = jnp.triu(jnp.where(gaps == 0, 0, moved) * (form + form.T), 1)
    # Pairs with i <= k < j are those with i <= k less those with j <= k.
    return jnp.cumsum(jnp.diagonal(form) + jnp.sum(across, axis=1) - jnp.sum(across, axis=0))


@jax.custom_jvp
def singular_values(matrix: Float[HostOrDevice, "d_x d_y"]) -> Float[Array, "m"]:
    r"""All m = min(d_x, d_y) singular values of a matrix, largest first.

    .. math::  ds_i = u_i^\top\, dM\, v_i

    for the singular vectors u_i and v_i. Where values coincide only symmetric functions of them are differentiable,
    and those get the right derivative.

    Args:
        matrix: M, shape (d_x, d_y).
    """
    return _singular_values(matrix)


@singular_values.defjvp
def _singular_values_jvp(primals, tangents):
    left, values, right = _svd(primals[0])
    return values, jnp.einsum("ij,ik,jk->k", tangents[0], left, right.T)
