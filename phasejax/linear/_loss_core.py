r"""Alignment losses as functions of the second moments of two views' outputs: the core of all losses.

With z_x and z_y the k outputs of the two encoders, every loss but InfoNCE depends on them through
three k x k matrices alone,

.. math::  c_x = \mathrm{cov}(z_x), \quad m = \mathrm{cov}(z_x, z_y), \quad c_y = \mathrm{cov}(z_y)

and their mean squared difference. `_losses` takes these from the exact second moments of the data
(1/n, zero mean) and linear encoders, `phasejax.deep.losses` from a batch of embeddings (centred,
1/(n - 1)). All work under jit, vmap and grad, without a LAPACK call.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.small_matrices import inverse_cholesky, nuclear_norm

# Added to the variance under VICReg's square root, whose slope is infinite at 0.
VICREG_EPS = 1e-4


@pytree
class Joint:
    """The joint loss and its two terms, unweighted.

    Args:
        total: prediction + lambda alignment.
        prediction: mean squared error of the prediction.
        alignment: loss that compares the two views' outputs.
    """

    total: Float[Array, ""]
    prediction: Float[Array, ""]
    alignment: Float[Array, ""]


def squared_difference(c_x: Float[HostOrDevice, "k k"], m: Float[HostOrDevice, "k k"],
                       c_y: Float[HostOrDevice, "k k"]) -> Float[Array, ""]:
    """Mean squared difference E||z_x - z_y||^2 = tr(c_x - 2 m + c_y), summed over the k outputs."""
    return jnp.trace(c_x) - 2 * jnp.trace(m) + jnp.trace(c_y)


def vicreg_from_moments(c_x: Float[HostOrDevice, "k k"], weighted_difference: Float[Array, ""],
                        c_y: Float[HostOrDevice, "k k"], *, variance: float, covariance: float
                        ) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """VICReg from the covariances of the two views' outputs; `phasejax.linear.vicreg_loss` has the formula.

    Args:
        c_x, c_y: covariances of the outputs, shape (k, k).
        weighted_difference: the invariance term, already multiplied by its weight.
        variance, covariance: weights of the other two terms.

    Returns:
        The loss, and its variance and covariance terms, unweighted.
    """
    k = c_x.shape[0]
    short_x, short_y = (jnp.sum(jax.nn.relu(1 - jnp.sqrt(jnp.diag(c) + VICREG_EPS))) for c in (c_x, c_y))
    crossed_x, crossed_y = (jnp.sum(c**2) - jnp.sum(jnp.diag(c) ** 2) for c in map(jnp.asarray, (c_x, c_y)))
    shortfall, crosses = (short_x + short_y) / k, (crossed_x + crossed_y) / k
    return weighted_difference + variance * shortfall + covariance * crosses, shortfall, crosses


def deepcca_from_moments(c_x: Float[HostOrDevice, "k k"], m: Float[HostOrDevice, "k k"],
                         c_y: Float[HostOrDevice, "k k"], ridge: Float[ArrayLike, ""]) -> Float[Array, ""]:
    """DeepCCA from the covariances and the cross-covariance of the outputs: minus the sum of their correlations.

    Args:
        c_x, m, c_y: second moments of the outputs, shape (k, k).
        ridge: r added to both variances, in units of the outputs squared.
    """
    identity = jnp.eye(m.shape[0], dtype=m.dtype)
    root_x, root_y = inverse_cholesky(c_x + ridge * identity), inverse_cholesky(c_y + ridge * identity)
    return -nuclear_norm(root_x @ m @ root_y.T)


def joint_from_terms(prediction: Float[Array, ""], alignment: Float[Array, ""], lam: Float[ArrayLike, ""]) -> Joint:
    """The joint loss, prediction + lam alignment, beside its two terms."""
    return Joint(prediction + lam * alignment, prediction, alignment)
