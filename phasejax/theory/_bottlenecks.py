r"""Hard and soft bottlenecks: limits on what any linear method can share between modalities (K26, section 3).

The hard bottleneck is a rank: no method recovers more shared dimensions than the poorest covariance
has. The soft bottleneck is a price: the constraint W S_xy V' = I of alignment (eq. 1) makes encoders
grow as the weakest canonical correlation phi_k that they must carry falls,

.. math::
    \lVert W S_{xx}^{1/2} \rVert_F^2 + \lVert V S_{yy}^{1/2} \rVert_F^2
    \;\ge\; 2 \sum_{i \le k} 1 / \phi_i \;\ge\; 2 / \phi_k

for every feasible pair (W, V), the first with equality at the optimum. `phasejax.linear.encoder_norm`
is the left side for a solution of given covariances.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.forks import check_not_forked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_array


def hard_bottleneck(*ranks: Int[ArrayLike, "..."]) -> Int[Array, "..."]:
    """Hard bottleneck: the largest number of shared dimensions that can be recovered, the least of the ranks.

    Args:
        ranks: for two views the ranks of S_xx, S_yy and S_xy; for a chain of N modalities the rank of
            each. Arrays broadcast against each other.

    Returns:
        The least rank, elementwise.

    Raises:
        ValueError: no rank given.

    Source: K26, the hard bottleneck.

    >>> int(hard_bottleneck(20, 3, 5))
    3
    """
    check_not_forked()
    if not ranks:
        raise ValueError("ranks: expected at least one rank, got none")
    for rank in ranks:
        check_array("ranks", rank)
    return jnp.min(jnp.stack(jnp.broadcast_arrays(*map(jnp.asarray, ranks))), axis=0)


@checked
def soft_bottleneck_bound(correlations: Float[HostOrDevice, "k"]) -> Float[Array, ""]:
    """Soft bottleneck: lower bound 2 / phi_k on the squared norm of any feasible pair of encoders.

    Args:
        correlations: the k canonical correlations phi that the encoders carry, in (0, 1], in any order; shape (k,).

    Returns:
        2 / phi_k, with phi_k the least of them; +inf where it is 0.

    Source: K26, the soft bottleneck.

    >>> import numpy as np
    >>> float(soft_bottleneck_bound(np.array([1.0, 0.5])))
    4.0
    """
    return 2 / jnp.min(_some(correlations))


@checked
def soft_bottleneck_optimum(correlations: Float[HostOrDevice, "k"]) -> Float[Array, ""]:
    """Squared norm 2 sum_i 1 / phi_i of the encoders at the optimum of alignment.

    Args:
        correlations: the k canonical correlations phi, in (0, 1]; shape (k,).

    Returns:
        ||W S_xx^{1/2}||_F^2 + ||V S_yy^{1/2}||_F^2 of the solution of eq. 1, the least of all feasible pairs.

    Source: K26, eq. 1 and the soft bottleneck.

    >>> import numpy as np
    >>> float(soft_bottleneck_optimum(np.array([1.0, 0.5])))
    6.0
    """
    return 2 * jnp.sum(1 / _some(correlations))


def _some(correlations):
    correlations = jnp.asarray(check_array("correlations", correlations, 1))
    if not len(correlations):
        raise ValueError("correlations: expected at least one, got none")
    return correlations
