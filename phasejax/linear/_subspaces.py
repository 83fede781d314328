"""Subspaces of a view: orthonormal bases, principal angles, and two conventions for the error between subspaces.

A subspace is given by rows that span it, in any units and however mixed, as an encoder's rows do. The
leading eigenspaces that the solvers find, with their derivatives, come from `_core.linalg`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from phasejax._core.checked_call import checked
from phasejax._core.linalg import singular_values, whitening
from phasejax._core.linalg import top_k_eigenspace as top_k_eigenspace
from phasejax._core.linalg import top_k_projector as top_k_projector
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_array


def orthonormal_rows(rows: Float[HostOrDevice, "k d"]) -> Float[Array, "k d"]:
    """An orthonormal basis, as rows, of the row space of a (k, d) matrix of rank k.

    Computed by Cholesky QR, twice: the Gram matrix squares the condition number, and the second pass wins
    the lost digits back (Yamamoto et al. 2015). Rows are scaled to unit length first, since the
    units of an encoder's rows are arbitrary. NaN where the condition number exceeds 1 / sqrt(eps).
    """
    basis = jnp.asarray(rows)
    basis = basis / jnp.linalg.norm(basis, axis=1, keepdims=True)
    for _ in range(2):
        basis = whitening(basis @ basis.T) @ basis
    return basis


@checked
def principal_angles(rows: Float[HostOrDevice, "k d"], other: Float[HostOrDevice, "k2 d"]
                     ) -> Shaped[Array, "m"]:
    """Principal angles between two row spaces, m = min(k, k2) of them, smallest first, in radians.

    Small angles come from sines and large ones from cosines, since each loses all accuracy
    where the other is flat (Bjorck and Golub 1973; Knyazev and Argentati 2002).

    >>> [round(float(angle), 4) for angle in principal_angles(jnp.eye(2, 4), jnp.eye(4)[1:3])]
    [0.0, 1.5708]
    """
    rows, other = check_array("rows", rows, 2), check_array("other", other, 2)
    if rows.shape[1] != other.shape[1]:
        raise ValueError(f"other: expected {rows.shape[1]} columns as in rows, got {other.shape[1]}")
    for name, matrix in (("rows", rows), ("other", other)):
        if not 1 <= matrix.shape[0] <= matrix.shape[1]:
            raise ValueError(f"{name}: expected from 1 row to as many as columns, got shape {matrix.shape}")
    if rows.shape[0] < other.shape[0]:
        rows, other = other, rows
    u, v = orthonormal_rows(rows), orthonormal_rows(other)
    overlap = v @ u.T
    cosines = jnp.clip(singular_values(overlap), 0, 1)
    sines = jnp.clip(singular_values(v - overlap @ u), 0, 1)[::-1]
    return jnp.where(cosines**2 < 0.5, jnp.arccos(cosines), jnp.arcsin(sines))


@checked
def mean_squared_sine(rows: Float[HostOrDevice, "k d"], other: Float[HostOrDevice, "k2 d"]) -> Float[Array, ""]:
    r"""Subspace error 1 - (1/k) sum_i cos^2 theta_i over the k principal angles, in [0, 1].

    The convention of the figures in K26. For subspaces of different dimension k is the smaller one.

    Args:
        rows, other: spanning rows of the two subspaces, shapes (k, d) and (k2, d).

    >>> float(mean_squared_sine(jnp.eye(2, 4), jnp.eye(4)[1:3]))
    0.5
    """
    overlap = orthonormal_rows(rows) @ orthonormal_rows(other).T
    return 1 - jnp.sum(overlap**2) / min(overlap.shape)


@checked
def projector_distance(rows: Float[HostOrDevice, "k d"], other: Float[HostOrDevice, "k2 d"]) -> Float[Array, ""]:
    r"""Subspace error ||P_U - P_V||_F / sqrt(2k), the square root of `mean_squared_sine`, in [0, 1].

    Not differentiable at 0.

    Args:
        rows, other: spanning rows of the two subspaces, both of shape (k, d).

    Raises:
        ValueError: subspaces of different dimension, whose distance cannot be 0.
    """
    if rows.shape[0] != other.shape[0]:
        raise ValueError(f"other: expected {rows.shape[0]} rows, got {other.shape[0]}")
    # The root of the other convention would lose half the digits near zero.
    u, v = orthonormal_rows(rows), orthonormal_rows(other)
    return jnp.linalg.norm(u.T @ u - v.T @ v) / jnp.sqrt(2 * rows.shape[0])
