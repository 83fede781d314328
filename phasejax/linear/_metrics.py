"""How well an encoder recovers the signal, how well it predicts, and how large it is.

`signal_directions` gives the k true directions as rows, `recovered_count` how many of them an encoder's
row space holds, and `signal_components` which of its outputs they are. Errors between subspaces are in
`_subspaces`. All metrics work under jit, vmap and grad.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory
from phasejax._core.linalg import _eigh, pseudo_whitening
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_array, check_count
from phasejax.linear._covariances import Covariances
from phasejax.linear._solvers import Alignment
from phasejax.linear._subspaces import orthonormal_rows

# A signal direction counts as recovered from this squared overlap on (K26, Fig. 7).
RECOVERY_OVERLAP = 0.8


@checked
def signal_directions(k: int, d: int, basis: Float[HostOrDevice, "d d"] | None = None
                      ) -> Float[Array, "k d"]:
    """The k signal directions of a view as rows (k, d): the first k columns of its basis Q, the identity if left out.

    >>> signal_directions(1, 3).tolist()
    [[1.0, 0.0, 0.0]]
    """
    check_memory("d", 8 * check_count("d", d) * check_count("k", k, most=d))
    if basis is None:
        return jnp.eye(k, d)
    basis = jnp.asarray(check_array("basis", basis, 2))
    if basis.shape != (d, d):
        raise ValueError(f"basis: expected shape ({d}, {d}), got {basis.shape}")
    return basis[:, :k].T


@checked
def signal_components(encoder: Float[HostOrDevice, "m d"], k: int) -> Bool[Array, "m"]:
    """Which k of m encoder rows lie closest to the first k coordinates, the canonical signal space.

    `phasejax.theory.separation_ratio` of a sampled spectrum with this mask is the sampled counterpart of Delta;
    the ratio s_k / s_{k+1} of neighbouring values is not, since it is >= 1 by construction.

    Args:
        encoder: rows to be classified, shape (m, d), in the canonical basis.
        k: number of signals.

    Returns:
        Whether each row counts as a signal's, shape (m,), k of them true.

    >>> signal_components(jnp.array([[0.0, 1.0], [2.0, 0.5]]), k=1).tolist()
    [False, True]
    """
    encoder = jnp.asarray(encoder)
    check_count("k", k, most=encoder.shape[1])
    share = jnp.sum(encoder[:, :k] ** 2, axis=1) / jnp.sum(encoder**2, axis=1)
    rank = jnp.argsort(jnp.argsort(-share))
    return rank < k


@checked
def squared_overlaps(directions: Float[HostOrDevice, "k d"], rows: Float[HostOrDevice, "k2 d"]
                     ) -> Float[Array, "k"]:
    """Squared overlap ||P u_i||^2 of each unit direction u_i with a row space, P its projector; in [0, 1]."""
    rows, directions = check_array("rows", rows, 2), jnp.asarray(check_array("directions", directions, 2))
    if rows.shape[1] != directions.shape[1]:
        raise ValueError(f"directions: expected {rows.shape[1]} columns as in rows, got {directions.shape[1]}")
    return jnp.sum((orthonormal_rows(rows) @ directions.T) ** 2, axis=0)


@checked
def recovered_count(directions: Float[HostOrDevice, "k d"], rows: Float[HostOrDevice, "k2 d"],
                    threshold: Float[ArrayLike, ""] = RECOVERY_OVERLAP) -> Int[Array, ""]:
    """Number of directions with a squared overlap of at least `threshold` (K26, Fig. 7).

    >>> int(recovered_count(jnp.eye(3, 5), jnp.eye(2, 5)))
    2
    """
    threshold = check_array("threshold", threshold, 0)
    return jnp.sum(squared_overlaps(directions, rows) >= threshold, dtype=jnp.int32)


def output_spectrum(encoder: Float[HostOrDevice, "k d"], variance: Float[HostOrDevice, "d d"]) -> Float[Array, "k"]:
    """Eigenvalues of the covariance W S W' of an encoder's outputs, largest first.

    At VICReg's optimum they are `phasejax.linear.vicreg_multiplicities`.
    """
    return _eigh(encoder @ variance @ encoder.T)[0][::-1]


def collapsed_error(directions: Float[HostOrDevice, "k d"], encoder: Float[HostOrDevice, "k d"],
                    variance: Float[HostOrDevice, "d d"], floor: float = 1e-3) -> Float[Array, ""]:
    r"""Subspace error 1 - (1/k) sum_i cos^2 theta_i of an encoder, of which only outputs in use are counted.

    An eigenvector of the outputs' covariance W S W' with a variance below `floor` is a dimension
    that training has given up (collapsed); what is left of it in W counts as no direction at all. With
    nothing given up this is `phasejax.linear.mean_squared_sine`.

    Args:
        directions: k rows that span the target.
        encoder: W, whose outputs have variances near 1.
        variance: covariance S of the encoder's input.
        floor: variance of an output direction below which it is not in use.
    """
    values, vectors = _eigh(encoder @ variance @ encoder.T)
    rows = jnp.where(values > floor, vectors, 0).T @ encoder
    overlap = pseudo_whitening(rows @ rows.T) @ rows @ orthonormal_rows(directions).T
    return 1 - jnp.sum(overlap**2) / directions.shape[0]


@checked
def prediction_mse(predictor: Float[HostOrDevice, "d_y d_x"], covariances: Covariances) -> Float[Array, ""]:
    r"""Mean squared error E||y - B x||^2 = tr S_yy - 2 tr B S_xy + tr B S_xx B', in units of y squared.

    What it is the error on depends on the covariances: with those of a test sample it is the mean over that sample,
    with those of the population the expected test error, and with `phasejax.simulation.signal_covariances` the
    error against the noiseless signal.

    Args:
        predictor: B, shape (d_y, d_x).
        covariances: of the two views.
    """
    cross = jnp.sum(jnp.asarray(predictor).T * covariances.xy)
    return jnp.trace(covariances.yy) - 2 * cross + jnp.sum((predictor @ covariances.xx) * predictor)


@checked
def encoder_norm(alignment: Alignment, covariances: Covariances) -> Float[Array, ""]:
    """Squared norm ||W S_xx^{1/2}||_F^2 + ||V S_yy^{1/2}||_F^2 of alignment's encoders, scaled so that W S_xy V' = I.

    `phasejax.theory.soft_bottleneck_optimum` is its closed form, and `soft_bottleneck_bound` its lower bound.

    Source: K26, the soft bottleneck.
    """
    w, v = alignment.constrained()
    return jnp.sum((w @ covariances.xx) * w) + jnp.sum((v @ covariances.yy) * v)
