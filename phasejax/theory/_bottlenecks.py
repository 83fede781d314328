"""TODO module docstring of theory._bottlenecks."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.pytree import HostOrDevice


def hard_bottleneck(*ranks: Int[ArrayLike, "..."]) -> Int[Array, "..."]:
    """Largest number of shared dimensions that can be recovered: the least of the ranks.

    For two views pass rank S_xx, rank S_yy and rank S_xy; for a chain of N modalities the rank
    of each. Source: K26, the hard bottleneck.

    Raises:
        ValueError: no rank given.

    >>> int(hard_bottleneck(20, 3, 5))
    3
    """
    if not ranks:
        raise ValueError("ranks: expected at least one rank, got none")
    return jnp.min(jnp.stack(jnp.broadcast_arrays(*map(jnp.asarray, ranks))), axis=0)


def soft_bottleneck_bound(correlations: Float[HostOrDevice, "k"]) -> Float[Array, ""]:
    """Lower bound 2 / phi_k on ||W S_xx^{1/2}||_F^2 + ||V S_yy^{1/2}||_F^2, phi_k the least of the k
    canonical correlations. Source: K26, the soft bottleneck."""
    return 2 / jnp.min(jnp.asarray(correlations))


def soft_bottleneck_optimum(correlations: Float[HostOrDevice, "k"]) -> Float[Array, ""]:
    """The value 2 sum_i 1/phi_i of that norm at the optimum of alignment.

    >>> import numpy as np
    >>> float(soft_bottleneck_optimum(np.array([1.0, 0.5])))
    6.0
    """
    return 2 * jnp.sum(1 / jnp.asarray(correlations))
