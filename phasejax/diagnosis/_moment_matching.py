r"""The model whose simulated statistics are those of the data: the method of simulated moments.

With z the statistics of the data (`auxiliary`), zbar(u) their simulated mean and Omega their
simulated covariance, the parameters minimise

.. math::
    Q(u) = (z - \bar z(u))^\top \Omega^{-1} (z - \bar z(u)) + \sum_i (u_i - m_i)^2 / s_i^2

with the wide Gaussian prior N(m, s^2) of `auxiliary.PRIOR`; Omega also holds the noise of zbar. Near the
minimum the posterior is Gaussian with precision J' Omega^{-1} J + diag(1/s^2), J the Jacobian of
zbar; it is put together from several such expansions (`expansions`). Four families compete: signals
of one strength or decaying, nuisance correlated in all coordinates or in some. Each counts with its
evidence, so that homogeneous data are not read as slightly heterogeneous, nor the other way round.

Rows with heavier tails than Gaussian ones scatter more. A jackknife over groups of rows, of the data and
of simulated data, says by how much, and Omega is inflated by it. Where no model describes the data it
is inflated until the best one does (the Birge ratio). All intervals widen with it.

Gaussian pieces are too narrow where there are few rows: their variances are multiplied by
1 + 1.25 ((d_x + d_y) / n)^2, which was chosen on the models of `benchmarks/diagnosis.py` with seeds of its own.
No ratio is taken to be known to better than 1 %, as the family is no wider than it is.

Source: McFadden 1989 and Gourieroux, Monfort and Renault 1993 for the method; Birge 1932;
Quenouille 1956 and Tukey 1958 for the jackknife.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from operator import itemgetter

import jax
import numpy as np
import scipy.stats
from jaxtyping import Float

from phasejax._core.devices import cores
from phasejax.diagnosis._posterior import (
    EDGES,
    HIGH,
    LOW,
    MEAN,
    SD,
    SHARE,
    LaplaceApproximation,
    Linearisation,
    mixture,
    normal_equations,
    objective,
    part_of,
)
from phasejax.diagnosis._simulator import (
    Design,
    joint_covariance,
    log_ratios,
    observed_statistics,
    simulated_statistics,
)
from phasejax.simulation import bartlett_factor

_STEP = 0.05  # of the finite differences; the simulated mean is smooth, its draws being fixed
_CANDIDATES, _STEPS, _NEAR_TURNS = 48, 12, 2
_LITTLE = 0.05  # of Q
_DAMPINGS = (0.0, 0.1, 1.0, 10.0)
# Draws per parameter value: for steps and the Jacobian, fewer where the statistics are means over
# many coordinates, and for mean and covariance.
_FEW_DRAWS, _FEW_COORDINATES, _MANY_DRAWS = 4, 80, 80
_LEVEL = 0.01
_BETWEEN_DRAWS = 24  # for the mean of the statistics in a part of the posterior
_NEGLIGIBLE = 20.0  # fall of the log density at which a part has no expansion of its own
_JACKKNIFES = 2  # simulated samples that the scatter of the data is compared with
_AT_ONCE = 4  # simulations in one call
_FEW_ROWS = 1.25
_MODEL_ERROR = 0.01  # of a log ratio: nuisance has no smooth edge, as the model's profile has
_SHRINKAGE = 0.05  # of the correlations in Omega towards zero


@dataclass(frozen=True)
class Posterior:
    """What the data say about the parameters.

    Args:
        draws: parameters in the order of `auxiliary.PRIOR`, shape (m, 8).
        log_ratios: of Delta_CA, Delta_CP and Delta_CP reversed at each draw, shape (m, 3), with the model's error.
        reduced_chi2: Q's first term at the best model over its degrees of freedom; near 1 when a
            spiked model describes the data.
        scatter: of the parameters over rows, as a multiple of that of Gaussian rows; 1 when not known.
        families: probability of each family, in the order of the module's text: free, equal
            signals, all nuisance correlated, both.
    """

    draws: Float[np.ndarray, "m p"]
    log_ratios: Float[np.ndarray, "m 3"]
    reduced_chi2: float
    scatter: float
    families: Float[np.ndarray, "4"]


def match_moments(joint: Float[np.ndarray, "s s"], design: Design, *, without: Float[np.ndarray, "g s s"] | None = None,
              draws: int = 4000, seed: int = 0) -> Posterior:
    """Fit the spiked models to a joint sample covariance of (x, y, labels).

    Args:
        joint: divisor `design.n`, positive definite; of `auxiliary.pooled` where some rows have no labels.
        design: dimensions, signals and degrees of freedom.
        without: the same covariance without each of g random groups of rows, which shows how much
            these rows scatter; taken for Gaussian when left out.
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
        # Compiled beside what the search needs.
        group_joints = None if without is None else pool.submit(_group_joints, design, len(without))
        search = _Search(target, design, pool, seed)
        best, weight = search.near(search.far(rng))
        if without is None:
            scatter = 1.0
        else:
            scatter = _overdispersion(best, weight, without, design, seed, group_joints.result())
            weight = weight / max(scatter, 1.0)
        # Never deflated: a model is not known better for fitting better than chance.
        reduced_chi2 = LaplaceApproximation(best, target, weight).reduced_chi2
        weight = weight / max(reduced_chi2, 1.0)
        pieces = search.pieces(best, weight)
    spread = 1 + _FEW_ROWS * ((design.d_x + design.d_y) / design.n) ** 2
    sample, families = mixture(pieces, draws, rng, spread)
    with jax.enable_x64(True):
        ratios = np.asarray(_ratios(design)(sample))
    ratios = ratios + _MODEL_ERROR * rng.standard_normal(ratios.shape)
    return Posterior(sample, ratios, reduced_chi2, scatter, families)


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
        points = np.clip(MEAN + SD * rng.standard_normal((_CANDIDATES, len(MEAN))), LOW, HIGH)
        values = self.means(points, self._few[:1])[:, 0]
        spread = values.std(0) + 1e-3
        start = points[np.argmin((((values - self._target) / spread) ** 2).sum(1))]
        return self._descend(start, self._target, np.diag((0.3 * spread) ** -2.0))[0]

    def near(self, u):
        """Descent with the mean and the covariance of many draws; the last point, its mean, Jacobian and weight."""
        # Little nuisance correlation in all coordinates and more of it in some can both be minima.
        starts = [np.r_[u[:-1], uncorrelated] for uncorrelated in (0.05, 0.6)]
        for turn in range(_NEAR_TURNS + 1):
            values = self.means([u], self._many)[0]
            mean, weight, around = values.mean(0), _precision(values), self._around(u)
            if turn == _NEAR_TURNS:
                return Linearisation(u, mean, _jacobian(around)), weight
            # The few draws follow the mean of many in all but a constant.
            target = self._target - mean + around[0]
            u = min((self._descend(start, target, weight) for start in (starts if turn == 0 else [u])),
                    key=itemgetter(1))[0]

    def pieces(self, best, weight):
        """Q in each part between `EDGES`: around `best` where that lies, or where next to nothing does."""
        here = LaplaceApproximation(best, self._target, weight)
        found = [here] * (len(EDGES) - 1)
        for part, (low, high) in enumerate(pairwise(EDGES)):
            nearest = np.clip(best.u[SHARE], low, high)
            if part != part_of(best.u[SHARE]) and here.log_density(SHARE, nearest) > -_NEGLIGIBLE:
                found[part] = LaplaceApproximation(self._beside(best, weight, (low + high) / 2), self._target, weight)
        return found

    def _beside(self, best, weight, share):
        """The expansion at the minimum for a given share of uncorrelated nuisance."""
        some = self._many[:_BETWEEN_DRAWS]
        anchors = self.means([best.u], some)[0].mean(0), self.means([best.u], self._few)[0].mean(0)
        u = best.u.copy()
        # Fewer coordinates have to carry the same squared correlation.
        u[2] -= np.log((1 - share) / (1 - best.u[SHARE])) / 2
        u[SHARE] = share
        u = self._descend(u, self._target - best.mean + anchors[1], weight, held=SHARE)[0]
        return Linearisation(u, best.mean + self.means([u], some)[0].mean(0) - anchors[0], _jacobian(self._around(u)))

    def _around(self, u):
        return self.means(np.concatenate([u[None], u + _STEP * np.eye(len(u))]), self._few).mean(1)

    def _descend(self, u, target, weight, held=None):
        """Damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963) until they gain little; one may be held."""
        free = np.setdiff1d(np.arange(len(u)), [] if held is None else [held])
        for _ in range(_STEPS):
            around = self._around(u)
            precision, gradient = normal_equations(Linearisation(u, around[0], _jacobian(around)), target, weight)
            now = objective(u, around[0], target, weight)
            steps = np.zeros((len(_DAMPINGS), len(u)))
            inner = precision[np.ix_(free, free)]
            steps[:, free] = [np.linalg.solve(inner + d * np.diag(np.diag(inner)), gradient[free]) for d in _DAMPINGS]
            trials = [np.clip(u + np.clip(step, -1.5, 1.5), LOW, HIGH) for step in steps]
            values = [objective(v, mean, target, weight)
                      for v, mean in zip(trials, self.means(trials, self._few).mean(1), strict=True)]
            chosen = int(np.argmin(values))
            if values[chosen] < now:
                u, now, gained = trials[chosen], values[chosen], now - values[chosen]
            else:
                gained = 0.0
            if gained < _LITTLE:
                break
        return u, now


def _overdispersion(best, weight, without, design, seed, group_joints):
    r"""How much more the data's parameters scatter than those of Gaussian rows, as a ratio of variances.

    With z_g the statistics without group g and P the posterior precision, u moves by
    P^{-1} J' Omega^{-1} (z_g - z). The ratio of tr(P cov) over groups of data to groups of
    simulated rows is free of the bias that this jackknife has where n is near d, as both have it.
    """
    gain = best.jacobian.T @ weight
    metric = np.linalg.inv(gain @ best.jacobian + np.diag(SD**-2.0))

    def moved(joints):
        with jax.enable_x64(True):
            steps = np.stack([np.asarray(_observed(design)(joint)) for joint in joints]) @ gain.T
        steps -= steps.mean(0)
        return np.einsum("gi,ij,gj->", steps, metric, steps)

    simulated_statistics = []
    for number in range(_JACKKNIFES):
        with jax.enable_x64(True):
            joints = np.asarray(group_joints(best.u, jax.random.fold_in(jax.random.key(seed), number)))
        simulated_statistics.append(moved((joints.sum(0) - joints) / (len(joints) - 1)))
    found = moved(without) / np.mean(simulated_statistics)
    return float(found) if np.isfinite(found) else 1.0


def _jacobian(around):
    return (around[1:] - around[0]).T / _STEP


def _precision(values):
    r"""Omega^{-1} of m draws of f statistics, Omega holding also the noise of the mean.

    The inverse of a sample covariance is unbiased after division by (m - 1) / (m - f - 2) (Hartlap et
    al. 2007). Its noise still widens p parameters by

    .. math::
        \frac{1 + B (f - p)}{1 + A + B (p + 1)}, \quad A = \frac{2}{(m - f - 1)(m - f - 4)}, \quad
        B = \frac{m - f - 2}{(m - f - 1)(m - f - 4)}

    in variance (Percival et al. 2014, eq. 18).
    """
    (m, f), p = values.shape, len(MEAN)
    sd = values.std(0, ddof=1) + 1e-6
    correlations = (1 - _SHRINKAGE) * np.cov((values / sd).T) + _SHRINKAGE * np.eye(f)
    a = 2 / (m - f - 1) / (m - f - 4)
    b = a * (m - f - 2) / 2
    noise = (1 + b * (f - p)) / (1 + a + b * (p + 1))
    return np.linalg.inv(correlations) / np.outer(sd, sd) * (m - f - 2) / (m - 1) / (1 + 1 / m) / noise


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
    return jax.jit(partial(observed_statistics, design=design))


@lru_cache(16)
def _simulated(design, count):
    def many(us, factors, which):
        return jax.lax.map(lambda pair: simulated_statistics(pair[0], *(None if f is None else f[pair[1]] for f in factors),
                                                  design), (us, which))

    # Compiled at once: left to the first call it would be compiled by every thread.
    factors = jax.eval_shape(_draws(design, count), jax.random.key(0))
    return jax.jit(many).lower(np.zeros((_AT_ONCE, len(MEAN))), factors, np.zeros(_AT_ONCE, int)).compile()


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
def _group_joints(design, groups):
    """Joint covariances of so many groups of rows, from parameters and a key."""
    part = replace(design, n=max(1, design.n // groups), labelled=max(1, design.labelled // groups))

    def many(u, key):
        return jax.lax.map(lambda drawn: joint_covariance(u, *drawn, part), _draws(part, groups)(key))

    with jax.enable_x64(True):  # a setting of each thread
        return jax.jit(many).lower(np.zeros(len(MEAN)), jax.random.key(0)).compile()


@lru_cache(16)
def _ratios(design):
    return jax.jit(jax.vmap(partial(log_ratios, design=design)))
