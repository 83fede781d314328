"""Predicted sample spectrum of one objective: where signals appear, the nuisance's edge, expected extremes.

`_random_matrix` derives a curve for each objective; this module turns what is read from a curve into a
spectrum, with the finite-size corrections that both objectives share.

The corrections matter where only few coordinates make the edge. The curve is a sum over nuisance
coordinates of weight 1/n each, and a single one has an edge of its own, two standard deviations above
a value that fluctuates but has no edge. In the expected largest value the coordinate at the edge
therefore counts with the weight w0 that puts a group of one at its centre, 2 sqrt(w0) = 1.2065
w0^{-1/6}. Groups of m equal coordinates come out right too: m - 1 + w0 in place of m reproduces the
mean of the largest eigenvalue of the m x m Gaussian orthogonal ensemble to 0.04 of an off-diagonal
standard deviation, for every m. The same device, mirrored, gives the expected smallest value of a
cluster of signals.
"""

import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, Float

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.root_finding import differentiable_root, newton

# Mean of the Tracy-Widom law of real symmetric matrices (beta = 1).
TRACY_WIDOM_MEAN = -1.2065335745820
# The weight w0 with which a coordinate counts in the edge that it makes itself.
OWN_WEIGHT = (-TRACY_WIDOM_MEAN / 2) ** 1.5
# Neighbouring values closer than this many standard deviations push each other less than first order says.
_NEAR = 3.0


@pytree
class SampleSpectrum:
    """Predicted sample values of one objective: canonical correlations, or singular values of A in units of the target.

    Args:
        signals: where each signal appears, shape (k,), in the order of the model. A signal inside the
            nuisance bulk has no place of its own; it gets its population value, raised linearly to
            `edge` between the strongest nuisance and the threshold.
        visible: which signals stand above the bulk, shape (k,).
        weakest: expected smallest of the signals' values, below min `signals` where near-equal
            signals repel each other.
        nuisance: expected largest nuisance value; 0 without paired nuisance.
        edge: asymptotic upper edge of the bulk that the nuisance forms by itself; 0 without paired nuisance.
    """

    signals: Float[Array, "k"]
    visible: Bool[Array, "k"]
    weakest: Float[Array, ""]
    nuisance: Float[Array, ""]
    edge: Float[Array, ""]

    @classmethod
    def assemble(cls, signal: Float[HostOrDevice, "k"], nuisance: Float[HostOrDevice, "p"],
                 levels: Float[Array, "k"], outlier: Bool[Array, "k"], visible: Bool[Array, "k"],
                 variance: Float[Array, "k"], threshold: Float[Array, "k"], edge: Float[Array, ""],
                 largest: Float[Array, ""]) -> "SampleSpectrum":
        """The predicted spectrum that readings of a random-matrix curve amount to.

        Args:
            signal, nuisance: population values of the signals (k,) and of the paired nuisance coordinates (p,).
            levels: squared sample values of the signals, where `outlier` says that they have one.
            visible: which of those lie above the bulk.
            variance: half the variance of `levels`, the off-diagonal variance of a cluster of them.
            threshold: population value above which each signal leaves the bulk.
            edge, largest: squared edge, and squared expected largest nuisance value.
        """
        strongest, edge = jnp.max(nuisance, initial=0), positive_root(edge)
        # A signal inside the bulk gets its population value, and above the strongest nuisance a straight line to
        # the edge.
        span = threshold - strongest
        share = jnp.clip((signal - strongest) / jnp.where(span > 0, span, 1), 0, 1)
        inside = jnp.minimum(signal, strongest) + share * (edge - strongest)
        signals = jnp.where(outlier, positive_root(levels), jnp.minimum(inside, edge))
        noise = jnp.where(outlier & (levels > 0), variance / jnp.where(levels > 0, 4 * levels, 1), 0)
        return cls(signals=signals, visible=visible, weakest=_smallest_of_cluster(signals, noise),
                   nuisance=positive_root(largest), edge=edge)

    @property
    def delta(self) -> Float[Array, "..."]:
        """Predicted sample separation ratio, weakest / nuisance: +inf without nuisance, 0 without signal."""
        positive = self.nuisance > 0
        ratio = self.weakest / jnp.where(positive, self.nuisance, 1)
        ratio = jnp.where(positive, ratio, jnp.where(self.weakest > 0, jnp.inf, 0))
        return jnp.where(jnp.isnan(self.weakest) | jnp.isnan(self.nuisance), jnp.nan, ratio)


def own_weights(distances: Float[Array, "p"]) -> Float[Array, "p"]:
    """Weights of the nuisance coordinates in the edge that they make: those nearest to it share the reduction to w0."""
    nearest = stop_gradient(distances) <= stop_gradient(jnp.min(distances)) + 1e-6
    return 1 - (1 - OWN_WEIGHT) * nearest / jnp.sum(nearest)


def _smallest_of_cluster(levels, variance):
    """Expected smallest of values that fluctuate and repel each other as eigenvalues do.

    That is the lower edge of x + sd^2 sum_j w_j / (x - level_j), with sd^2 the off-diagonal `variance` of the
    smallest, and its Tracy-Widom correction.
    """
    least = jnp.min(levels)
    own = (levels == least) / jnp.sum(levels == least)
    square = jnp.sum(own * variance)
    sd = jnp.sqrt(jnp.where(square > 0, square, 1))
    # Squared values repel each other: distances are those of the squares, in units of the smallest value.
    apart = (levels - least) * (levels + least) / (2 * jnp.where(least > 0, least, 1) * sd)
    weights = 1 - (1 - OWN_WEIGHT) * own

    def residual(v, apart):
        return jnp.sum(weights / (v + apart) ** 2) - 1, -2 * jnp.sum(weights / (v + apart) ** 3)

    v = newton(lambda v: residual(v, stop_gradient(apart)), jnp.full_like(least, OWN_WEIGHT**0.5))
    v = differentiable_root(lambda v: residual(v, apart)[0], v)
    edge = -v - jnp.sum(weights / (v + apart))
    expected = edge - TRACY_WIDOM_MEAN * jnp.sum(weights / (v + apart) ** 3) ** (1 / 3)
    return jnp.maximum(least + jnp.where(square > 0, sd * expected, 0), 0)


def damped_inverse(distance: Float[Array, "..."], variance: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 / distance, which goes to zero within `_NEAR` standard deviations instead of to infinity."""
    spread = distance**2 + _NEAR**2 * variance
    return distance / jnp.where(spread > 0, spread, 1)


def positive_root(square: Float[Array, "..."]) -> Float[Array, "..."]:
    """sqrt(square), or 0 where it is not positive, with a finite gradient there."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), jnp.where(jnp.isnan(square), jnp.nan, 0))
