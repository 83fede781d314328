r"""Exact moments of log(1 + s c) for counts c of a negative binomial or a mixture of two, smooth in every parameter.

Counts have no derivatives, but the moments of their logarithms have. With the generating function G(z) = E z^c,
Frullani's integral log(1 + u) = \int_0^\infty (1 - e^{-ut}) e^{-t} dt / t, and its second-order companion, give

.. math::
    E \log(1 + s c) = \int_0^\infty (1 - G(e^{-st}))\, e^{-t}\, \frac{dt}{t}, \qquad
    E \log^2(1 + s c) = -2 \int_0^\infty (\log t + \gamma) (1 - G(e^{-st}))\, e^{-t}\, \frac{dt}{t}

with Euler's gamma. In v = log t the integrands are analytic and vanish quickly on both sides, so that a sum over equal
steps converges geometrically. A first-order expansion about the mean (the delta method), by contrast, is wrong by tens
of per cent for counts near 1, which most genes have.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.pytree import pytree

# Steps of .6 leave errors of 1e-6 in the mean and 1e-5 in the variance for s mu up to 1e3.
_STEP = 0.6
_LOG_T = np.arange(-24.0, 3.5, _STEP)


@pytree
class LogCountMoments:
    """Moments of L = log(1 + s c), and what it has in common with the count c itself.

    Args:
        mean: E L.
        variance: var L.
        with_count: cov(L, c).
        slope: E[s c / (1 + s c)], the mean derivative of L by log s.
    """

    mean: Float[Array, "..."]
    variance: Float[Array, "..."]
    with_count: Float[Array, "..."]
    slope: Float[Array, "..."]


def log_count_moments(means: Float[ArrayLike, "c ..."], weights: Float[ArrayLike, "c ..."],
                      overdispersion: Float[ArrayLike, ""], scale: Float[ArrayLike, "..."] = 1.0) -> LogCountMoments:
    r"""Moments of log(1 + s c), with c from a mixture of negative binomials.

    .. math::  G(z) = \sum_m w_m (1 + \phi \mu_m (1 - z))^{-1/\phi}

    Args:
        means: mu of each component along the first axis, >= 0.
        weights: w of each component, which sum to 1 along the first axis.
        overdispersion: phi > 0, with variance mu + phi mu^2 of a component.
        scale: s > 0.

    >>> found = log_count_moments(jnp.array([2.0]), jnp.array([1.0]), 1e-6)  # a Poisson count of mean 2
    >>> f"{found.mean:.3f} {found.variance:.3f}"
    '0.978 0.262'
    """
    means, weights, scale = (jnp.asarray(value)[..., None] for value in (means, weights, scale))
    t = np.exp(_LOG_T)
    kernel = np.exp(-t) * _STEP
    missing = -jnp.expm1(-scale * t)  # 1 - z
    log_terms = jnp.log1p(overdispersion * means * missing) / overdispersion
    lost = jnp.sum(weights * -jnp.expm1(-log_terms), axis=0)  # 1 - G(z)
    tilted = jnp.sum(weights * means * jnp.exp(-log_terms) / (1 + overdispersion * means * missing), axis=0)
    count = jnp.sum(weights * means, axis=0)
    mean = jnp.sum(kernel * lost, axis=-1)
    squared = jnp.sum(-2 * kernel * (_LOG_T + np.euler_gamma) * lost, axis=-1)
    product = jnp.sum(kernel * (count - (1 - missing) * tilted), axis=-1)
    return LogCountMoments(mean, squared - mean**2, product - count[..., 0] * mean,
                           jnp.sum(kernel * t * lost, axis=-1))
