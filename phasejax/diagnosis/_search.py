r"""The search for the parameters whose simulated statistics are nearest to those of the data.

It minimises the objective Q of `_moment_matching` by damped Gauss-Newton steps (Levenberg 1944, Marquardt 1963), first
from afar, with few simulations and a diagonal covariance of the statistics, then near the minimum with the mean and
the covariance of many simulations. All simulations use the same white noise, so that the simulated mean is a smooth
function of the parameters and finite differences are its derivatives.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from itertools import pairwise
from operator import itemgetter

import jax
import numpy as np
from jaxtyping import Float, Int

from phasejax.diagnosis._posterior import (
    EDGES,
    HIGH,
    LOW,
    MEAN,
    SD,
    SHARE,
    LaplaceApproximation,
    Linearisation,
    normal_equations,
    objective,
    part_of,
)
from phasejax.diagnosis._precision import precision_of_statistics
from phasejax.diagnosis._programs import SAMPLES_PER_CALL, Programs, draw_white_noise
from phasejax.diagnosis._simulator import PRIOR, Design

# Random parameters that are tried before the descent, with one simulation each.
CANDIDATES = 48
# Gauss-Newton steps of one descent, at most, and the decrease of Q by which it ends.
MOST_STEPS, LEAST_DECREASE = 12, 0.05
# Multiples of the curvature that damp a step. All are tried, and the best is taken.
DAMPINGS = (0.0, 0.1, 1.0, 10.0)
# Largest change of a parameter in one step.
LONGEST_STEP = 1.5
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
        return Linearisation(u, mean, _jacobian(around)), weight

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
        mean = best.mean + self.simulate([u], some)[0].mean(0) - anchors[0]
        return Linearisation(u, mean, _jacobian(self._around(u)))

    def _around(self, u):
        """Means of few simulations at a point, and at those beside it that differ in one parameter."""
        return self.simulate(np.concatenate([u[None], u + DIFFERENCE * np.eye(len(u))]), self._few).mean(1)

    def _descend(self, u, target, weight, held=None):
        """Steps downwards from `u` until they gain little, and Q at the end; one parameter may be held."""
        free = np.setdiff1d(np.arange(len(u)), [] if held is None else [held])
        value = np.inf
        for _ in range(MOST_STEPS):
            around = self._around(u)
            precision, gradient = normal_equations(Linearisation(u, around[0], _jacobian(around)), target, weight)
            value = objective(u, around[0], target, weight)
            steps = np.zeros((len(DAMPINGS), len(u)))
            inner = precision[np.ix_(free, free)]
            steps[:, free] = [np.linalg.solve(inner + d * np.diag(np.diag(inner)), gradient[free]) for d in DAMPINGS]
            trials = [np.clip(u + np.clip(step, -LONGEST_STEP, LONGEST_STEP), LOW, HIGH) for step in steps]
            values = [objective(trial, mean, target, weight)
                      for trial, mean in zip(trials, self.simulate(trials, self._few).mean(1), strict=True)]
            chosen = int(np.argmin(values))
            decrease = value - values[chosen]
            if decrease > 0:
                u, value = trials[chosen], values[chosen]
            if not decrease >= LEAST_DECREASE:
                break
        return u, value


_NU = list(PRIOR).index("logit_nu")


def _jacobian(around):
    return (around[1:] - around[0]).T / DIFFERENCE
