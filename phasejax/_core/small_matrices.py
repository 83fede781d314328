"""Linear algebra of k x k matrices in plain array operations, for the inner loop of training.

k is the number of encoder outputs, a handful. A LAPACK call on so small a matrix costs more to
start than to run, a batch of models would call it once for each, and on the CPU a compiled vmap
over two of them can wait for ever (see `linalg`). The functions here are made of products and
square roots: they vectorise over models, can be differentiated, and cannot wait. They are not
meant for large k, since the number of operations in the compiled program grows with k.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.pytree import HostOrDevice

# Newton-Schulz steps. A singular value grows by 3/2 in each step until it is near 1, so those above
# 1.5^-30 = 5e-6 of the norm arrive there; the digits then double from step to step.
_POLAR_STEPS = 30


def inverse_cholesky(matrix: Float[HostOrDevice, "k k"]) -> Float[Array, "k k"]:
    """Lower triangular W with W M W' = I, the W of `linalg.whitening`, by Gaussian elimination.

    Args:
        matrix: symmetric positive definite M, shape (k, k); its lower triangle is used.

    Returns:
        W, shape (k, k); not finite where M is not positive definite.

    >>> inverse_cholesky(jnp.array([[4.0, 0.0], [2.0, 2.0]])).tolist()
    [[0.5, 0.0], [-0.5, 1.0]]
    """
    rest, k = jnp.asarray(matrix), matrix.shape[-1]
    # Elimination on [M | I]: what turns M into its upper factor turns I into the inverse of the lower one.
    carried = jnp.eye(k, dtype=rest.dtype)
    rows = []
    for i in range(k):
        root = jnp.sqrt(rest[i, i])
        row = carried[i] / root
        rows.append(row)
        factor = jnp.where(jnp.arange(k) > i, rest[:, i], 0) / root
        rest = rest - jnp.outer(factor, factor)
        carried = carried - jnp.outer(factor, row)
    return jnp.stack(rows)


def polar_factor(matrix: Float[HostOrDevice, "k k"]) -> Float[Array, "k k"]:
    r"""The orthogonal factor U V' of M = U S V', by the Newton-Schulz iteration.

    .. math::  X_0 = M / \lVert M \rVert_F, \qquad X_{i+1} = \tfrac12 X_i (3 I - X_i^\top X_i)

    Directions with singular values below about 1e-6 of the norm come out shortened, and those
    that are 0 stay 0: U V' is not defined there.

    Args:
        matrix: M, shape (k, k).

    >>> polar_factor(jnp.array([[0.0, -3.0], [4.0, 0.0]])).round(4).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    matrix = jnp.asarray(matrix)
    norm = jnp.sqrt(jnp.sum(matrix**2))
    start = matrix / jnp.where(norm > 0, norm, 1)
    return jax.lax.fori_loop(0, _POLAR_STEPS, lambda _, x: 1.5 * x - 0.5 * x @ (x.T @ x), start)


@jax.custom_jvp
def nuclear_norm(matrix: Float[HostOrDevice, "k k"]) -> Float[Array, ""]:
    r"""Sum of the singular values of M.

    .. math::  \lVert M \rVert_* = \mathrm{tr}(P^\top M), \qquad d\lVert M \rVert_* = \mathrm{tr}(P^\top dM)

    with P the `polar_factor` of M. At a singular M, where it has no derivative, the rule gives the subgradient
    whose P is zero on the null space.

    Args:
        matrix: M, shape (k, k).

    >>> round(float(nuclear_norm(jnp.array([[0.0, -3.0], [4.0, 0.0]]))), 4)
    7.0
    """
    return jnp.sum(polar_factor(matrix) * matrix)


@nuclear_norm.defjvp
def _nuclear_norm_jvp(primals, tangents):
    polar = polar_factor(primals[0])
    return jnp.sum(polar * primals[0]), jnp.sum(polar * tangents[0])
