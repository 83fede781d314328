r"""The model whose simulated statistics are those of the data: the method of simulated moments.

With z the statistics of the data (`auxiliary`), zbar(u) their simulated mean and Omega their
simulated covariance, the parameters minimise

.. math::
    Q(u) = (z - \bar z(u))^\top \Omega^{-1} (z - \bar z(u)) + \sum_i (u_i - m_i)^2 / s_i^2

with the wide Gaussian prior N(m, s^2) of `auxiliary.PRIOR`; Omega also holds the noise of zbar. Near the
minimum the posterior is Gaussian with precision J' Omega^{-1} J + diag(1/s^2), J the Jacobian of
zbar. Four families compete: signals of one strength or decaying, nuisance correlated in all
coordinates or in some. Each counts with its evidence, so that homogeneous data are not read as
slightly heterogeneous, nor the other way round. Where no model describes the data, Omega is
inflated until the best one does (the Birge ratio), and all intervals with it. Tails are Gaussian in
simulation: where the data's are heavier the intervals are too narrow (with t5 noise those of level
0.9 covered 0.69 to 0.83), while the likeliest regime stays right.

Source: McFadden 1989 and Gourieroux, Monfort and Renault 1993 for the method; Birge 1932.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations
from operator import itemgetter

import jax
import numpy as np
import scipy.stats
from jaxtyping import Float

from phasejax.auxiliary import BOUNDS, PRIOR, Design, log_ratios, observed, simulated
from phasejax.engine import cores
from phasejax.sampling import bartlett_factor

_MEAN, _SD = (np.array(column) for column in zip(*PRIOR.values(), strict=True))
_LOW, _HIGH = (np.array([BOUNDS.get(name, (-np.inf, np.inf))[i] for name in PRIOR]) for i in (0, 1))
_BOUNDED = [list(PRIOR).index(name) for name in BOUNDS]
_STEP = 0.05  # of the finite differences; the simulated mean is smooth, its draws being fixed
_CANDIDATES, _STEPS, _NEAR_TURNS = 48, 12, 2
_LITTLE = 0.05  # of Q
_DAMPINGS = (0.0, 0.1, 1.0, 10.0)
# Draws per parameter value: for steps and the Jacobian, fewer where the statistics are means over
# many coordinates, and for mean and covariance.
_FEW_DRAWS, _FEW_COORDINATES, _MANY_DRAWS = 4, 80, 80
_LEVEL = 0.01
_TRIES = 4000  # draws of each family before those out of bounds are dropped
_AT_ONCE = 4  # simulations in one call
_SHRINKAGE = 0.05  # of the correlations in Omega towards zero


@dataclass(frozen=True)
class Posterior:
    """What the data say about the parameters.

    Args:
        draws: parameters in the order of `auxiliary.PRIOR`, shape (m, 8).
        log_ratios: of Delta_CA, Delta_CP and Delta_CP reversed at each draw, shape (m, 3).
        misfit: Q's first term at the best model over its degrees of freedom; near 1 when a
            spiked model describes the data.
        families: probability of each family, in the order of the module's text: free, equal
            signals, all nuisance correlated, both.
    """

    draws: Float[np.ndarray, "m p"]
    log_ratios: Float[np.ndarray, "m 3"]
    misfit: float
    families: Float[np.ndarray, "4"]


def calibrate(joint: Float[np.ndarray, "s s"], design: Design, *, draws: int = 4000, seed: int = 0) -> Posterior:
    """Fit the spiked models to a joint sample covariance of (x, y, labels).

    Args:
        joint: divisor `design.n`, positive definite; of `auxiliary.pooled` where some rows have no labels.
        design: dimensions, signals and degrees of freedom.
        draws: of the posterior.
        seed: of everything random.

    Raises:
        ValueError: a singular covariance.
    """
    with jax.enable_x64(True):
        target = np.asarray(_observed(design)(joint))
    if not np.isfinite(target).all():
        raise ValueError("x, y, labels: expected linearly independent columns in each, got a singular covariance")
    rng = np.random.default_rng(seed)
    with ThreadPoolExecutor(cores()) as pool:
        search = _Search(target, design, pool, seed)
        best = search.near(search.far(rng))
    sample, families = _posterior(best, draws, rng)
    with jax.enable_x64(True):
        ratios = np.asarray(_ratios(design)(sample))
    return Posterior(sample, ratios, best.misfit, families)


def _posterior(best, draws, rng):
    """Draws from the mixture of the families, and their probabilities."""
    families = [fixed for count in range(len(_BOUNDED) + 1) for fixed in combinations(_BOUNDED, count)]
    parts, evidence = [], []
    for fixed in families:
        mean, covariance, log_integral = best.given_zero(fixed)
        drawn = rng.multivariate_normal(mean, covariance, size=_TRIES, method="eigh")
        inside = ((drawn >= _LOW) & (drawn <= _HIGH)).all(1)
        free = np.setdiff1d(np.arange(len(_MEAN)), fixed)
        # Prior density of the free parameters, halved where it is one-sided, and the part of the posterior inside.
        log_prior = -np.log(_SD[free] * np.sqrt(2 * np.pi)).sum() + (len(_BOUNDED) - len(fixed)) * np.log(2)
        evidence.append(log_integral + log_prior + (np.log(inside.mean()) if inside.any() else -np.inf))
        parts.append(drawn[inside])
    weights = np.exp(np.array(evidence) - max(evidence))
    weights /= weights.sum()
    counts = rng.multinomial(draws, weights)
    return np.concatenate([part[rng.integers(len(part), size=count)] for part, count
                           in zip(parts, counts, strict=True) if count]), weights


class _Search:
    """Minimisation of Q: from far with few draws, then near with the covariance of the statistics."""

    def __init__(self, target, design, pool, seed):
        self._target, self._pool = target, pool
        few = max(1, min(_FEW_DRAWS, _FEW_COORDINATES // min(design.d_x, design.d_y)))
        self._many, self._few = np.split(np.arange(_MANY_DRAWS + few), [_MANY_DRAWS])
        with jax.enable_x64(True):
            self._factors = _draws(design, _MANY_DRAWS + few)(jax.random.key(seed))
            self._simulated = _simulated(design, _MANY_DRAWS + few)

    def means(self, points, draws):
        """Statistics at each point with each of some draws, (points, draws, f), on all cores."""
        us = np.repeat(np.asarray(points), len(draws), axis=0)
        which = np.tile(draws, len(points))

        def part(start):
            # Always the same number of simulations, so that one program serves all.
            rows = np.minimum(np.arange(start, start + _AT_ONCE), len(us) - 1)
            with jax.enable_x64(True):
                return np.asarray(self._simulated(us[rows], self._factors, which[rows]))

        found = np.concatenate(list(self._pool.map(part, range(0, len(us), _AT_ONCE))))
        return found[:len(us)].reshape(len(points), len(draws), -1)

    def far(self, rng):
        """A point near the minimum, from the best of random candidates."""
        points = np.clip(_MEAN + _SD * rng.standard_normal((_CANDIDATES, len(_MEAN))), _LOW, _HIGH)
        values = self.means(points, self._few[:1])[:, 0]
        spread = values.std(0) + 1e-3
        start = points[np.argmin((((values - self._target) / spread) ** 2).sum(1))]
        return self._descend(start, self._target, np.diag((0.3 * spread) ** -2.0))[0]

    def near(self, u):
        """Descent with the mean and the covariance of many draws; returns Q around the last point."""
        # Little nuisance correlation in all coordinates and more of it in some can both be minima.
        starts = [np.r_[u[:-1], uncorrelated] for uncorrelated in (0.05, 0.6)]
        for turn in range(_NEAR_TURNS + 1):
            values = self.means([u], self._many)[0]
            mean, weight, around = values.mean(0), _precision(values), self._around(u)
            if turn == _NEAR_TURNS:
                return _Quadratic(u, mean, _jacobian(around), self._target, weight)
            # The few draws follow the mean of many in all but a constant.
            target = self._target - mean + around[0]
            u = min((self._descend(start, target, weight) for start in (starts if turn == 0 else [u])),
                    key=itemgetter(1))[0]

    def _around(self, u):
        return self.means(np.concatenate([u[None], u + _STEP * np.eye(len(u))]), self._few).mean(1)

    def _descend(self, u, target, weight):
        """Damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963) until they gain little."""
        for _ in range(_STEPS):
            around = self._around(u)
            precision, gradient = _normal_equations(u, around[0], _jacobian(around), target, weight)
            now = _objective(u, around[0], target, weight)
            steps = [np.linalg.solve(precision + d * np.diag(np.diag(precision)), gradient) for d in _DAMPINGS]
            trials = [np.clip(u + np.clip(step, -1.5, 1.5), _LOW, _HIGH) for step in steps]
            values = [_objective(v, mean, target, weight)
                      for v, mean in zip(trials, self.means(trials, self._few).mean(1), strict=True)]
            chosen = int(np.argmin(values))
            if values[chosen] < now:
                u, now, gained = trials[chosen], values[chosen], now - values[chosen]
            else:
                gained = 0.0
            if gained < _LITTLE:
                break
        return u, now


class _Quadratic:
    """Q near a point u where mean, Jacobian and precision of the statistics are known."""

    def __init__(self, u, mean, jacobian, target, weight):
        precision, gradient = _normal_equations(u, mean, jacobian, target, weight)
        best = target - mean - jacobian @ np.linalg.solve(precision, gradient)
        self.misfit = float(best @ weight @ best) / (len(target) - len(u))
        # Never deflated: a model is not known better for fitting better than chance.
        weight = weight / max(self.misfit, 1.0)
        self._precision, gradient = _normal_equations(u, mean, jacobian, target, weight)
        self.minimum = u + np.linalg.solve(self._precision, gradient)

    def given_zero(self, fixed):
        """Mean, covariance and log of the integral of exp(-Q/2), up to a constant, with some parameters 0."""
        size = len(self.minimum)
        free = np.setdiff1d(np.arange(size), fixed)
        fixed = list(fixed)
        inner, cross = self._precision[np.ix_(free, free)], self._precision[np.ix_(free, fixed)]
        away = -self.minimum[fixed]
        mean = np.zeros(size)
        mean[free] = self.minimum[free] - np.linalg.solve(inner, cross @ away)
        covariance = np.zeros((size, size))
        covariance[np.ix_(free, free)] = np.linalg.inv(inner)
        schur = self._precision[np.ix_(fixed, fixed)] - cross.T @ np.linalg.solve(inner, cross)
        return mean, covariance, -(away @ schur @ away) / 2 - np.linalg.slogdet(inner / (2 * np.pi))[1] / 2


def _jacobian(around):
    return (around[1:] - around[0]).T / _STEP


def _normal_equations(u, mean, jacobian, target, weight):
    """Half the Hessian of Q, and minus half its gradient."""
    precision = jacobian.T @ weight @ jacobian + np.diag(_SD**-2.0)
    return precision, jacobian.T @ weight @ (target - mean) - (u - _MEAN) / _SD**2


def _objective(u, mean, target, weight):
    return (target - mean) @ weight @ (target - mean) + np.sum(((u - _MEAN) / _SD) ** 2)


def _precision(values):
    """Omega^{-1}, Omega holding also the noise of the mean; unbiased for m draws (Hartlap et al. 2007)."""
    m, f = values.shape
    sd = values.std(0, ddof=1) + 1e-6
    correlations = (1 - _SHRINKAGE) * np.cov((values / sd).T) + _SHRINKAGE * np.eye(f)
    return np.linalg.inv(correlations) / np.outer(sd, sd) * (m - f - 2) / (m - 1) / (1 + 1 / m)


def label_directions(joint: Float[np.ndarray, "s s"], d_x: int, d_y: int, q: int, m: int) -> int:
    """How many label directions a view predicts beyond chance, at least 1: the larger count of the two views.

    Bartlett's sequential test of the canonical correlations between labels and a view at level 0.01.

    Args:
        joint: covariance of (x, y, labels); the labels' block the identity.
        d_x, d_y, q: columns of each.
        m: labelled rows.

    Source: Bartlett 1938; Mardia, Kent and Bibby, Multivariate Analysis, 10.2.
    """
    counts, t = [1], slice(d_x + d_y, d_x + d_y + q)
    for view, d in ((slice(0, d_x), d_x), (slice(d_x, d_x + d_y), d_y)):
        explained = joint[t, view] @ np.linalg.solve(joint[view, view], joint[view, t])
        squares = np.clip(np.linalg.eigvalsh(explained)[::-1][:min(d, q)], 0, 1 - 1e-12)
        factor = m - 1 - (d + q + 1) / 2
        if factor <= 0:
            continue
        tails = -factor * np.cumsum(np.log1p(-squares)[::-1])[::-1]
        freedom = (d - np.arange(len(squares))) * (q - np.arange(len(squares)))
        passed = scipy.stats.chi2.sf(tails, freedom) < _LEVEL
        counts.append(int(np.argmin(np.append(passed, False))))
    return max(counts)


# One compilation for each design and number of draws. Loops over samples, not batches: a batch
# of factorisations can wait for ever on the CPU (see `linalg`).
@lru_cache(16)
def _observed(design):
    return jax.jit(partial(observed, design=design))


@lru_cache(16)
def _simulated(design, count):
    def many(us, factors, which):
        return jax.lax.map(lambda pair: simulated(pair[0], *(None if f is None else f[pair[1]] for f in factors),
                                                  design), (us, which))

    # Compiled at once: left to the first call it would be compiled by every thread.
    factors = jax.eval_shape(_draws(design, count), jax.random.key(0))
    return jax.jit(many).lower(np.zeros((_AT_ONCE, len(_MEAN))), factors, np.zeros(_AT_ONCE, int)).compile()


@lru_cache(16)
def _draws(design, count):
    """Bartlett factors of the labelled rows, and of the others or None."""
    def one(key):
        labelled, others = jax.random.split(key)
        rest = design.n - design.labelled
        return (bartlett_factor(labelled, design.labelled, design.size),
                bartlett_factor(others, rest, design.d_x + design.d_y) if rest else None)

    return jax.jit(lambda key: jax.lax.map(one, jax.random.split(key, count)))


@lru_cache(16)
def _ratios(design):
    return jax.jit(jax.vmap(partial(log_ratios, design=design)))
