"""TODO module docstring of linear._subspaces."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Shaped

from phasejax._core.linalg import singular_values, whitening
from phasejax._core.linalg import top_k_eigenspace as top_k_eigenspace
from phasejax._core.linalg import top_k_projector as top_k_projector
from phasejax._core.pytree import HostOrDevice


def orthonormal_rows(rows: Float[HostOrDevice, "k d"]) -> Float[Array, "k d"]:
    """An orthonormal basis, as rows, of the row space of a (k, d) matrix of rank k.

    By Cholesky QR, twice: the Gram matrix squares the condition number, and the second pass wins
    the lost digits back (Yamamoto et al. 2015). Rows are scaled to unit length first, since the
    units of an encoder's rows are arbitrary. NaN where the condition number exceeds 1 / sqrt(eps).
    """
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    for _ in range(2):
        rows = whitening(rows @ rows.T) @ rows
    return rows


def principal_angles(rows: Float[HostOrDevice, "k d"], other: Float[HostOrDevice, "k2 d"]
                     ) -> Shaped[Array, "m"]:
    """Principal angles between two row spaces, m = min(k, k2) of them, smallest first, in radians.

    Small angles come from sines and large ones from cosines, since each loses all accuracy
    where the other is flat (Bjorck and Golub 1973; Knyazev and Argentati 2002).
    """
    if rows.shape[0] < other.shape[0]:
        rows, other = other, rows
    u, v = orthonormal_rows(rows), orthonormal_rows(other)
    overlap = v @ u.T
    cosines = jnp.clip(singular_values(overlap), 0, 1)
    sines = jnp.clip(singular_values(v - overlap @ u), 0, 1)[::-1]
    return jnp.where(cosines**2 < 0.5, jnp.arccos(cosines), jnp.arcsin(sines))


# A signal direction counts as recovered from this squared overlap on (K26, Fig. 7).
RECOVERY_OVERLAP = 0.8


def signal_directions(k: int, d: int, basis: Float[HostOrDevice, "d d"] | None = None
                      ) -> Float[Array, "k d"]:
    """The k signal directions of a view as rows: the first k columns of its basis Q."""
    return jnp.eye(k, d) if basis is None else jnp.asarray(basis)[:, :k].T


def mean_squared_sine(rows: Float[HostOrDevice, "k d"], other: Float[HostOrDevice, "k2 d"]) -> Float[Array, ""]:
    r"""Subspace error 1 - (1/k) sum_i cos^2 theta_i over the k principal angles, in [0, 1].

    The convention of the figures in K26. With different dimensions k is the smaller.

    >>> float(mean_squared_sine(jnp.eye(2, 4), jnp.eye(4)[1:3]))
    0.5
    """
    overlap = orthonormal_rows(rows) @ orthonormal_rows(other).T
    return 1 - jnp.sum(overlap**2) / min(overlap.shape)


def projector_distance(rows: Float[HostOrDevice, "k d"], other: Float[HostOrDevice, "k2 d"]) -> Float[Array, ""]:
    r"""Subspace error ||P_U - P_V||_F / sqrt(2k), the square root of `mean_squared_sine`, in [0, 1].

    Not differentiable at 0.

    Raises:
        ValueError: subspaces of different dimension, whose distance cannot be 0.
    """
    if rows.shape[0] != other.shape[0]:
        raise ValueError(f"other: expected {rows.shape[0]} rows, got {other.shape[0]}")
    # Not the root of the other convention: that would lose half the digits near zero.
    u, v = orthonormal_rows(rows), orthonormal_rows(other)
    return jnp.linalg.norm(u.T @ u - v.T @ v) / jnp.sqrt(2 * rows.shape[0])


def squared_overlaps(directions: Float[HostOrDevice, "k d"], rows: Float[HostOrDevice, "k2 d"]
                     ) -> Float[Array, "k"]:
    """||P u_i||^2 of each unit direction u_i, P projecting on the row space; in [0, 1]."""
    return jnp.sum((orthonormal_rows(rows) @ jnp.asarray(directions).T) ** 2, axis=0)


def recovered_count(directions: Float[HostOrDevice, "k d"], rows: Float[HostOrDevice, "k2 d"],
                    threshold: Float[ArrayLike, ""] = RECOVERY_OVERLAP) -> Int[Array, ""]:
    """Number of directions with a squared overlap of at least `threshold` (K26, Fig. 7).

    >>> int(recovered_count(jnp.eye(3, 5), jnp.eye(2, 5)))
    2
    """
    return jnp.sum(squared_overlaps(directions, rows) >= threshold, dtype=jnp.int32)
