"""How well a solution recovers the signal: subspaces, counts, separation, prediction errors.

A subspace is given by rows that span it, as an encoder's rows do; the k signal directions are
the rows of `signal_directions`. All metrics work under jit, vmap and grad.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phasejax._core.pytree import HostOrDevice
from phasejax.linear._covariances import Covariances
from phasejax.linear._solvers import Alignment


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
