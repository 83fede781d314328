r"""The search for the parameters whose simulated statistics are nearest to those of the data.

It minimises the objective Q of `_moment_matching`, a sum of squares of whitened residuals and of the prior's, by
SciPy's `least_squares` (trust region, reflective at the bounds): first from afar, with few simulations and a diagonal
covariance of the statistics, then near the minimum with the mean and the covariance of many simulations.

All simulations use the same white noise, so that the simulated mean is a smooth function of the parameters, and finite
differences are its derivatives. They come from the program that simulates anyway. A program of forward derivatives
(`jax.jvp` along each parameter) took 2.5 times as long to compile and 10 times as long to run as that one, which is
longer than the eight simulations that it would save (30 and 31 columns, 9 label columns).
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import pairwise
from operator import itemgetter

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import least_squares

from phasejax.diagnosis._posterior import (
    EDGES,
    HIGH,
    LOW,
    MEAN,
    SD,
    SHARE,
    LaplaceApproximation,
    Linearisation,
    part_of,
)
from phasejax.diagnosis._precision import precision_of_statistics
from phasejax.diagnosis._programs import SAMPLES_PER_CALL, Programs, draw_white_noise
from phasejax.diagnosis._simulator import PRIOR, Design

# Random parameters that are tried before the descent, with one simulation each.
CANDIDATES = 48
# A descent ends after so many steps, or with one that changes Q, or the parameters, by a smaller share. The posterior
# is expanded to second order around its end, so that this need not be the minimum itself.
MOST_STEPS, RELATIVE_DECREASE, RELATIVE_STEP = 25, 0.01, 1e-3
# Step of the finite differences. The statistics are smooth in the parameters, so it need not be smaller.
DIFFERENCE = 0.05
# Simulations behind the mean and the covariance of the statistics.
MANY_SAMPLES = 80
# Simulations behind steps and Jacobians: 4, and fewer where the statistics are means over so many coordinates that
# one sample tells as much: 80 coordinates in all samples.
FEW_SAMPLES, COORDINATES_OF_FEW = 4, 80
# Simulations behind the mean of the statistics in a part of the posterior beside the best one.
SAMPLES_BESIDE = 24
# Times that the covariance of the statistics is computed anew at the minimum that was found with the one before.
RENEWALS = 2
# Uncorrelated shares that the descent starts from: little correlation in all nuisance coordinates, and more of it in
# some, can both be minima.
STARTING_SHARES = (0.05, 0.6)
# Fall of the log density from its maximum beyond which a part of the posterior has no expansion of its own.
NEGLIGIBLE_FALL = 20.0
# Spread of the statistics over the candidates that counts as one standard error in the descent from afar.
_FAR_ERROR = 0.3


def number_of_few_samples(design: Design) -> int:
    """Simulations behind each step of the search."""
    return max(1, min(FEW_SAMPLES, COORDINATES_OF_FEW // min(design.d_x, design.d_y)))


class Search:
    """Minimisation of Q for one data set.

    Args:
        target: z, the statistics of the data.
        design: what the simulations copy of the data.
        programs: compiled for `MANY_SAMPLES + number_of_few_samples(design)` samples.
        pool: threads that simulate side by side.
        seed: of the white noise.
    """

    def __init__(self, target: Float[np.ndarray, "f"], design: Design, programs: Programs, pool: Executor, seed: int):
        self._target, self._pool = target, pool
        samples = MANY_SAMPLES + number_of_few_samples(design)
        self._many, self._few = np.split(np.arange(samples), [MANY_SAMPLES])
        self._noise = draw_white_noise(programs, design, samples, seed)
        self._simulated = programs.simulated.result()

    def simulate(self, points: Sequence[np.ndarray] | Float[np.ndarray, "c p"], samples: Int[np.ndarray, "m"]
                 ) -> Float[np.ndarray, "c m f"]:
        """Statistics at each point with each of some samples of white noise, on all cores."""
        us = np.repeat(np.asarray(points), len(samples), axis=0)
        which = np.tile(samples, len(points))

        def one_call(start):
            # Always the same number of simulations, so that one program serves all.
            rows = np.minimum(np.arange(start, start + SAMPLES_PER_CALL), len(us) - 1)
            with jax.enable_x64(True):
                return np.asarray(self._simulated(us[rows], self._noise, which[rows]))

        found = np.concatenate(list(self._pool.map(one_call, range(0, len(us), SAMPLES_PER_CALL))))
        return found[:len(us)].reshape(len(points), len(samples), -1)

    def from_afar(self, rng: np.random.Generator) -> Float[np.ndarray, "p"]:
        """A point near the minimum: the descent from the best of random candidates."""
        points = np.clip(MEAN + SD * rng.standard_normal((CANDIDATES, len(MEAN))), LOW, HIGH)
        values = self.simulate(points, self._few[:1])[:, 0]
        spread = values.std(0) + 1e-3
        start = points[np.argmin((((values - self._target) / spread) ** 2).sum(1))]
        return self._descend(start, self._target, np.diag((_FAR_ERROR * spread) ** -2.0))[0]

    def nearby(self, u: Float[np.ndarray, "p"]) -> tuple[Linearisation, Float[np.ndarray, "f f"]]:
        """The minimum near `u`, by the mean and the covariance of many simulations.

        Returns:
            The statistics around the minimum to first order, and their precision W there.
        """
        starts = [np.r_[u[:-1], uncorrelated] for uncorrelated in STARTING_SHARES]
        for _ in range(RENEWALS):
            mean, weight, around = self._at(u)
            # The mean of few simulations follows that of many in all but a constant.
            target = self._target - mean + around[0]
            u = min((self._descend(start, target, weight) for start in starts), key=itemgetter(1))[0]
            starts = [u]
        mean, weight, around = self._at(u)
        return Linearisation(u, mean, _jacobian(around[0], around[1:])), weight

    def parts(self, best: Linearisation, weight: Float[np.ndarray, "f f"]) -> list[LaplaceApproximation]:
        """Q in each part between `EDGES`: around `best` where that lies, or where next to nothing does."""
        here = LaplaceApproximation(best, self._target, weight)
        found = [here] * (len(EDGES) - 1)
        for part, (low, high) in enumerate(pairwise(EDGES)):
            nearest = np.clip(best.u[SHARE], low, high)
            if part != part_of(best.u[SHARE]) and here.log_density(SHARE, nearest) > -NEGLIGIBLE_FALL:
                found[part] = LaplaceApproximation(self._beside(best, weight, (low + high) / 2), self._target, weight)
        return found

    def _at(self, u):
        """Mean and precision of the statistics at a point, and the mean of few simulations around it."""
        values = self.simulate([u], self._many)[0]
        return values.mean(0), precision_of_statistics(values), self._around(u)

    def _beside(self, best, weight, share):
        """The statistics around the minimum with a given share of uncorrelated nuisance."""
        some = self._many[:SAMPLES_BESIDE]
        anchors = self.simulate([best.u], some)[0].mean(0), self.simulate([best.u], self._few)[0].mean(0)
        u = best.u.copy()
        # Fewer coordinates have to carry the same squared correlation.
        u[_NU] -= np.log((1 - share) / (1 - best.u[SHARE])) / 2
        u[SHARE] = share
        u = self._descend(u, self._target - best.mean + anchors[1], weight, held=SHARE)[0]
        mean, around = best.mean + self.simulate([u], some)[0].mean(0) - anchors[0], self._around(u)
        return Linearisation(u, mean, _jacobian(around[0], around[1:]))

    def _around(self, u):
        """Means of few simulations at a point, and at those beside it that differ in one parameter."""
        return self.simulate(np.concatenate([u[None], u + DIFFERENCE * np.eye(len(u))]), self._few).mean(1)

    def _descend(self, start, target, weight, held=None):
        """The minimum below `start` by the mean of few simulations, and Q there; one parameter may be held."""
        free = np.setdiff1d(np.arange(len(start)), [] if held is None else [held])
        root, last = np.linalg.cholesky(weight).T, [start, None]

        def point(values):
            u = start.copy()
            u[free] = values
            return u

        def mean_at(u):
            if last[1] is None or not np.array_equal(last[0], u):
                last[:] = u, self.simulate([u], self._few)[0].mean(0)
            return last[1]

        def residuals(values):
            u = point(values)
            return np.concatenate([root @ (mean_at(u) - target), (u - MEAN) / SD])

        def derivative(values):
            u = point(values)
            beside = self.simulate(u + DIFFERENCE * np.eye(len(u))[free], self._few).mean(1)
            return np.concatenate([root @ _jacobian(mean_at(u), beside), np.diag(1 / SD)[:, free]])

        found = least_squares(
            residuals, np.clip(start, LOW, HIGH)[free],
            derivative,  # pyright: ignore[reportArgumentType]  # the stub forgets that it may be a function
            bounds=(LOW[free], HIGH[free]), method="trf", x_scale=SD[free], ftol=RELATIVE_DECREASE,
            xtol=RELATIVE_STEP, max_nfev=MOST_STEPS)
        return point(found.x), 2 * float(found.cost)


_NU = list(PRIOR).index("logit_nu")


def _jacobian(mean, beside):
    return (beside - mean).T / DIFFERENCE
