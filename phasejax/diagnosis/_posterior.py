r"""The posterior of moment matching, Gaussian piece by piece.

Around a point u_0 where the mean of the statistics and its Jacobian J are known, the objective of
`_moment_matching` is quadratic,

.. math::
    Q(u) = (z - \bar z_0 - J (u - u_0))^\top W (z - \bar z_0 - J (u - u_0)) + \sum_i (u_i - m_i)^2 / s_i^2

and exp(-Q/2) is a Gaussian whose integral is known, also with some parameters held at 0. One such piece describes the
posterior well but for the share of uncorrelated nuisance: where correlation is weak, few strong coordinates and
many weak ones look nearly alike, and not only near the best point. So each part of that share's range has a piece of
its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from phasejax.diagnosis._simulator import BOUNDS, PRIOR

# Mean, standard deviation and bounds of the parameters, in the order of `PRIOR`.
MEAN, SD = (np.array(column) for column in zip(*PRIOR.values(), strict=True))
LOW, HIGH = (np.array([BOUNDS.get(name, (-np.inf, np.inf))[i] for name in PRIOR]) for i in (0, 1))
# The parameters that are 0 in a simpler family, and among them the share of uncorrelated nuisance.
BOUNDED = [list(PRIOR).index(name) for name in BOUNDS]
SHARE = list(PRIOR).index("uncorrelated")
# Ends of the parts of its range that have a piece each.
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, BOUNDS["uncorrelated"][1])
# Families of models, by the parameters that are held at 0.
FAMILIES = [fixed for count in range(len(BOUNDED) + 1) for fixed in combinations(BOUNDED, count)]
# Draws of each piece, of which those out of bounds are dropped.
_TRIES = 4000


@dataclass(frozen=True, eq=False)
class Linearisation:
    """The mean of the statistics around a point, to first order: the point u_0, the mean there, and its Jacobian J."""

    u: Float[np.ndarray, "p"]
    mean: Float[np.ndarray, "f"]
    jacobian: Float[np.ndarray, "f p"]


def objective(u: Float[np.ndarray, "p"], mean: Float[np.ndarray, "f"], target: Float[np.ndarray, "f"],
              weight: Float[np.ndarray, "f f"]) -> float:
    """Q at the point u, where the statistics have the given mean."""
    return float((target - mean) @ weight @ (target - mean) + np.sum(((u - MEAN) / SD) ** 2))


def normal_equations(point: Linearisation, target: Float[np.ndarray, "f"], weight: Float[np.ndarray, "f f"]
                     ) -> tuple[Float[np.ndarray, "p p"], Float[np.ndarray, "p"]]:
    """Half the Hessian of Q, and minus half its gradient: the step to the minimum solves the equations of both."""
    precision = point.jacobian.T @ weight @ point.jacobian + np.diag(SD**-2.0)
    return precision, point.jacobian.T @ weight @ (target - point.mean) - (point.u - MEAN) / SD**2


class LaplaceApproximation:
    """The quadratic Q around a point, and the Gaussian exp(-Q/2) that approximates the posterior there.

    Args:
        point: where the mean of the statistics and its Jacobian are known.
        target: z, the statistics of the data, shape (f,).
        weight: W, their precision, shape (f, f).
    """

    def __init__(self, point: Linearisation, target: Float[np.ndarray, "f"], weight: Float[np.ndarray, "f f"]):
        self.precision, gradient = normal_equations(point, target, weight)
        step = np.linalg.solve(self.precision, gradient)
        self.minimum = point.u + step
        self.least = objective(point.u, point.mean, target, weight) - gradient @ step
        left = target - point.mean - point.jacobian @ step
        self.reduced_chi2 = float(left @ weight @ left) / (len(target) - len(step))

    def given_zero(self, fixed: Sequence[int]) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p p"], float]:
        """Mean, covariance and log of the integral of exp(-Q/2) with the parameters of indices `fixed` held at 0."""
        size, held = len(self.minimum), np.array(fixed, int)
        free = np.setdiff1d(np.arange(size), held)
        inner, cross = self.precision[np.ix_(free, free)], self.precision[np.ix_(free, held)]
        away = -self.minimum[held]
        mean = np.zeros(size)
        mean[free] = self.minimum[free] - np.linalg.solve(inner, cross @ away)
        covariance = np.zeros((size, size))
        covariance[np.ix_(free, free)] = np.linalg.inv(inner)
        schur = self.precision[np.ix_(held, held)] - cross.T @ np.linalg.solve(inner, cross)
        width = np.linalg.slogdet(inner / (2 * np.pi))[1]
        return mean, covariance, -(self.least + away @ schur @ away + width) / 2

    def log_density(self, i: int, value: float) -> float:
        """Logarithm of the marginal density of parameter i at a value, relative to its highest."""
        return -(value - self.minimum[i]) ** 2 / (2 * np.linalg.inv(self.precision)[i, i])


def mixture(pieces: Sequence[LaplaceApproximation], draws: int, rng: np.random.Generator, spread: float = 1.0
            ) -> tuple[Float[np.ndarray, "m p"], Float[np.ndarray, "4"]]:
    """Draws from all families, which count with their evidence, and the probability of each of `FAMILIES`.

    Args:
        pieces: the approximation in each part between `EDGES`.
        draws: how many, m.
        rng: source of the draws.
        spread: factor of the variances within each piece.
    """
    drawn, evidence, family = [], [], []
    for number, fixed in enumerate(FAMILIES):
        free = np.setdiff1d(np.arange(len(MEAN)), fixed)
        # Prior density of the free parameters at its mean; twice as high for those that cannot be negative.
        log_prior = -np.log(SD[free] * np.sqrt(2 * np.pi)).sum() + (len(BOUNDED) - len(fixed)) * np.log(2)
        for place, piece in enumerate(pieces[:1] if SHARE in fixed else pieces):
            mean, covariance, log_integral = piece.given_zero(fixed)
            tried = rng.multivariate_normal(mean, spread * covariance, size=_TRIES, method="eigh")
            inside = ((tried >= LOW) & (tried <= HIGH)).all(1)
            if SHARE in free:
                inside &= (tried[:, SHARE] >= EDGES[place]) & (tried[:, SHARE] < EDGES[place + 1])
            if inside.any():
                evidence.append(log_integral + log_prior + np.log(inside.mean()))
                drawn.append(tried[inside])
                family.append(number)
    weights = np.exp(np.array(evidence) - max(evidence))
    weights /= weights.sum()
    sample = [some[rng.integers(len(some), size=count)]
              for some, count in zip(drawn, rng.multinomial(draws, weights), strict=True)]
    return np.concatenate(sample), np.bincount(family, weights, minlength=len(FAMILIES))


def part_of(share: float) -> int:
    """Index of the part between `EDGES` that holds a share of uncorrelated nuisance; the last has both its ends."""
    return min(int(np.searchsorted(EDGES, share, side="right")) - 1, len(EDGES) - 2)
