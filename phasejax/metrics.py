"""How well a solution recovers the signal: subspaces, counts, separation, prediction errors.

A subspace is given by rows that span it, as an encoder's rows do; the k signal directions are
the rows of `signal_directions`. All metrics work under jit, vmap and grad.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from phasejax._pytree import HostOrDevice
from phasejax.covariance import Covariances
from phasejax.linalg import orthonormal_rows
from phasejax.solvers import Alignment

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


def separation_ratio(spectrum: Float[HostOrDevice, "m"], is_signal: Bool[HostOrDevice, "m"]) -> Float[Array, ""]:
    """Delta = min of the signal's values / max of the nuisance's values.

    0 without signal (also when a signal value is 0), +inf without nuisance.

    Source: K26, Proposition 3.1.

    >>> float(separation_ratio(jnp.array([1.0, 0.8, 0.5]), jnp.array([True, False, False])))
    1.25
    """
    spectrum, is_signal = jnp.asarray(spectrum), jnp.asarray(is_signal)
    weakest = jnp.min(jnp.where(is_signal, spectrum, jnp.inf), initial=jnp.inf)
    strongest = jnp.max(jnp.where(is_signal, 0, spectrum), initial=0)
    # The division is guarded on both sides: the branch not taken must not send a NaN back
    # through the gradient.
    ratio = jnp.where(strongest > 0, weakest / jnp.where(strongest > 0, strongest, 1), jnp.inf)
    ratio = jnp.where(jnp.any(is_signal) & (weakest > 0), ratio, 0)
    return jnp.where(jnp.isnan(weakest) | jnp.isnan(strongest), jnp.nan, ratio)


def signal_components(encoder: Float[HostOrDevice, "m d"], k: int) -> Bool[Array, "m"]:
    """Which k of m encoder rows lie closest to the first k coordinates, the canonical signal space.

    `separation_ratio` of a sampled spectrum with this mask is the sampled counterpart of Delta;
    the ratio s_k / s_{k+1} of neighbouring values is not, since it is >= 1 by construction.
    """
    encoder = jnp.asarray(encoder)
    share = jnp.sum(encoder[:, :k] ** 2, axis=1) / jnp.sum(encoder**2, axis=1)
    rank = jnp.argsort(jnp.argsort(-share))
    return rank < k


def prediction_mse(predictor: Float[HostOrDevice, "d_y d_x"], covariances: Covariances) -> Float[Array, ""]:
    r"""Mean squared error E||y - B x||^2 = tr S_yy - 2 tr B S_xy + tr B S_xx B', in units of y squared.

    The covariances say on what: of a test sample, its mean over that sample; of the population,
    the expected test error; `signal_covariances`, the error against the noiseless signal.
    """
    cross = jnp.sum(jnp.asarray(predictor).T * covariances.xy)
    return jnp.trace(covariances.yy) - 2 * cross + jnp.sum((predictor @ covariances.xx) * predictor)


def encoder_norm(alignment: Alignment, covariances: Covariances) -> Float[Array, ""]:
    """||W S_xx^{1/2}||_F^2 + ||V S_yy^{1/2}||_F^2 of the constrained solution (K26, soft bottleneck)."""
    w, v = alignment.constrained()
    return jnp.sum((w @ covariances.xx) * w) + jnp.sum((v @ covariances.yy) * v)
