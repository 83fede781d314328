"""Linear algebra of k x k matrices in plain array operations, for the inner loop of training.

k is the number of encoder outputs, a handful. A LAPACK call on so small a matrix costs more to
start than to run, a batch of cells would call it once per cell, and on the CPU a compiled vmap
over two of them can wait for ever (see `linalg`). What stands here is products and square roots:
it vectorises over cells, differentiates, and cannot wait. Not meant for large k: the number of
operations in the compiled program grows with k.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.pytree import HostOrDevice

# Newton-Schulz steps: a singular value grows by 3/2 a step until it is near 1, so those above
# 1.5^-30 = 5e-6 of the norm arrive, and digits then double from step to step.
_POLAR_STEPS = 30


def inverse_cholesky(matrix: Float[HostOrDevice, "k k"]) -> Float[Array, "k k"]:
    """Lower triangular W with W M W' = I, as `linalg.whitening`, column by column.

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
    r"""The orthogonal U V' of M = U S V', by Newton-Schulz: X <- X (3 I - X'X) / 2 from M / ||M||_F.

    Directions with singular values below about 1e-6 of the norm come out shortened, and those
    that are 0 stay 0: U V' is not defined there.
    """
    matrix = jnp.asarray(matrix)
    norm = jnp.sqrt(jnp.sum(matrix**2))
    start = matrix / jnp.where(norm > 0, norm, 1)
    return jax.lax.fori_loop(0, _POLAR_STEPS, lambda _, x: 1.5 * x - 0.5 * x @ (x.T @ x), start)


@jax.custom_jvp
def nuclear_norm(matrix: Float[HostOrDevice, "k k"]) -> Float[Array, ""]:
    r"""Sum of the singular values of M, tr(P' M) with P = `polar_factor` of M; derivative <P, dM>.

    At a singular M, where it has no derivative, the rule gives the subgradient without the null space.

    >>> round(float(nuclear_norm(jnp.array([[0.0, -3.0], [4.0, 0.0]]))), 4)
    7.0
    """
    return jnp.sum(polar_factor(matrix) * matrix)


@nuclear_norm.defjvp
def _nuclear_norm_jvp(primals, tangents):
    polar = polar_factor(primals[0])
    return jnp.sum(polar * primals[0]), jnp.sum(polar * tangents[0])
