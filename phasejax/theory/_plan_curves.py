"""Probability that n pairs put the content of each objective on its side, and the least n at which it is high enough.

The mathematics is in `_plan`; the expected content is in `_expected_content`, its scatter in `_content_spread`.
"""

import math
from functools import cached_property, lru_cache
from typing import Any, cast

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.stats import gamma, multivariate_normal, norm

from phasejax.theory._content_spread import loss_spread, recovered, values
from phasejax.theory._expected_content import ExpectedContent

# Pairs beyond which a number is called never.
MOST_PAIRS = 1e12
# Numbers of pairs at which the expected content is computed: over the whole range, then around the crossing.
_COARSE, _FINE = 12, 6
# Over which the gamma law is averaged.
_QUANTILES = 32


def spread_of(model):
    """The scatter of a model's losses as a function of n that remembers what it has computed."""
    return lru_cache(None)(lambda n: loss_spread(model, n))


class ObjectiveCurve:
    """Content of one objective against n, and the probability that it is on its side."""

    def __init__(self, model, name, allowed, spread=None):
        self.model, self.allowed = model.reverse() if name == "cp_reverse" else model, allowed
        self.place, self.name = (0 if name == "ca" else 1), name
        self.content, ahead = self._content(1), self._content(1 - 1e-8)
        self.recovers = 1 - self.content < allowed
        # On a boundary signals come first or last by a hair.
        self.on_boundary = self.recovers != (1 - ahead < allowed) or abs(1 - self.content - allowed) < 1e-9
        self._expected = ExpectedContent(self.model, "ca" if name == "ca" else "cp")
        self._points, self._losses, self._star = np.zeros(0), np.zeros(0), math.nan
        self.spread = spread_of(self.model) if spread is None else spread

    def _content(self, factor):
        """Content with unlimited pairs, once the nuisance's values are scaled."""
        shared = values(self.model, 0)[0] ** 2
        return float(np.sum(shared[recovered(self.model, self.place, factor)]) / np.sum(shared))

    def follow(self, least):
        """Compute the expected loss at numbers of pairs around that at which it is what is allowed."""
        if not self.recovers or self.on_boundary:
            self._add(np.append(np.geomspace(least, 1e4 * least, _COARSE), 100 * MOST_PAIRS))
            return
        leading = self.spread(MOST_PAIRS).loss[self.place] / (self.allowed - (1 - self.content))
        last = float(np.clip(8 * leading, 30 * least, 100 * MOST_PAIRS)) if math.isfinite(leading) else 100 * MOST_PAIRS
        self._add(np.geomspace(least, last, _COARSE))
        while self._losses[-1] > 0.6 * self.allowed and self._points[-1] < 100 * MOST_PAIRS and (
                self._losses[-1] - (1 - self.content) > 0.02 * self.allowed):
            self._add(self._points[-1] * np.array([4.0, 16.0]))
        above = np.flatnonzero(self._losses > self.allowed)
        if len(above) and above[-1] + 1 < len(self._points):
            low, high = self._points[above[-1]:above[-1] + 2]
            self._add(np.geomspace(low, high, _FINE + 2)[1:-1])
        self._star = self._crossing()

    def _add(self, points):
        losses = np.clip(1 - self._expected.at(points), 1e-9, None)
        self._points, order = np.unique(np.concatenate([self._points, points]), return_index=True)
        self._losses = np.concatenate([self._losses, losses])[order]
        self._curve = PchipInterpolator(np.log(self._points), np.log(self._losses), extrapolate=False)

    def _crossing(self):
        """n*, below the least number of pairs by extrapolation."""
        logs, target = np.log(self._points), math.log(self.allowed)
        above = np.flatnonzero(self._losses > self.allowed)
        if not len(above):
            slope = min((np.log(self._losses[1]) - np.log(self._losses[0])) / (logs[1] - logs[0]), -0.5)
            return float(np.exp(logs[0] + (target - np.log(self._losses[0])) / slope))
        if above[-1] + 1 == len(self._points):
            return math.inf
        low, high = logs[above[-1]:above[-1] + 2]
        return math.exp(float(cast(Any, brentq(lambda log: float(self._curve(log)) - target, low, high))))

    def loss(self, n):
        """Expected loss, held constant beyond what was computed."""
        return np.exp(self._curve(np.clip(np.log(n), self._curve.x[0], self._curve.x[-1])))

    def probability(self, n):
        """That the content of n pairs is on the side of unlimited pairs."""
        if self.on_boundary:
            return 0.5
        if not self.recovers:
            return self._stays_lost(n)
        if not math.isfinite(self._star):
            return 0.0
        found, lost = self.spread(n), 1 - self.content
        variance, moved = found.variance[self.place], found.moved[self.place, self.place]
        if not variance > 0:  # no nuisance: nothing is lost
            return float(self.loss(n) <= self.allowed)
        ratios = n / self._star, (self.allowed - lost) / max(self.loss(n) - lost, 1e-12)
        most = min(ratios, key=lambda ratio: abs(math.log(ratio)))
        return float(gamma.cdf(most, 1 / variance, scale=variance * math.exp(min(moved, 1) / 2)))

    def _stays_lost(self, n):
        """Probability that values do not move beyond the boundary, and there as far as mixing in the sample asks."""
        variance = min(max(float(np.nan_to_num(self.spread(n).mixing[self.place, self.place])), 1e-3), 2)
        mixed = gamma.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES, 1 / variance, scale=variance)
        # Two values that cross lose less than leading order says: sin^2 of an angle whose double has a tangent.
        pair = self.allowed * (1 - self.allowed) / max(1 - 2 * self.allowed, 0.1) ** 2
        enough = n * (1 + variance / 2 * (pair / self.allowed - 1)) / np.maximum(mixed, 1e-12)
        return float(np.mean(norm.cdf(self._distance(enough) * math.sqrt(n) / self._error)))

    def _distance(self, n):
        """Logarithm of the factor by which the nuisance's values have to fall for the content to be recovered."""
        reaches, pairs = self._reaches
        return np.interp(-np.log(n), -pairs, reaches)

    @cached_property
    def _reaches(self):
        """Logarithms of factors that lead beyond the boundary, and of the pairs at which each suffices."""
        low, high = 0.0, 60.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if 1 - self._content(math.exp(-middle)) < self.allowed else (middle, high)
        beyond = np.geomspace(1e-6, 20, 60)
        pairs = [loss_spread(self.model.replace(nu=self.model.nu * math.exp(-high - z)), MOST_PAIRS).loss[self.place]
                 / self.allowed for z in beyond]
        return high + beyond, np.log(np.maximum(np.maximum.accumulate(pairs[::-1])[::-1], 1e-300))

    @cached_property
    def _error(self):
        """Standard error, times the root of n, of the log ratio of the weakest signal and the strongest nuisance value.

        Equal values are averaged.
        """
        (signal, nuisance), variance = values(self.model, self.place), 0.0
        rho, nu = values(self.model, 0)
        for one, r, strongest in ((signal, rho, np.min), (nuisance, nu, np.max)):
            at = np.isclose(one, strongest(one))
            r = max(float(r[at][0]), 1e-12)
            variance += ((1 - r**2) ** 2 / r**2 if self.place == 0 else 1 / r**2 - 0.5) / np.sum(at)
        return math.sqrt(variance)

    def needed(self, probability, least, must_recover=False):
        """Least number of pairs from which on the probability is reached; None: never."""
        if self.on_boundary or (must_recover and not self.recovers):
            return None
        return least_pairs(self.probability, probability, least)


class JointCurve:
    """Probability that both objectives are on their sides."""

    def __init__(self, objectives):
        self.objectives = tuple(objectives.values())

    def probability(self, n):
        """At n pairs, by the Gaussian copula of both losses' correlation; one that stays lost stands for itself."""
        single = [one.probability(n) for one in self.objectives]
        if not all(one.recovers for one in self.objectives) or min(single) in (0, 1) or max(single) in (0, 1):
            return math.prod(single)
        correlation = 0.999 * self.objectives[0].spread(n).correlation
        return float(multivariate_normal.cdf(norm.ppf(single), cov=cast(Any, [[1, correlation], [correlation, 1]])))


def least_pairs(function, probability, least):
    """Least whole n from which on a function of n is at least `probability`, its last crossing; None: never."""
    points = np.geomspace(least, 10 * MOST_PAIRS, 30)
    short = next((number for number in reversed(range(len(points))) if function(points[number]) < probability), None)
    if short is None:
        return least
    if short + 1 == len(points):
        return None
    low, high = np.log(points[short:short + 2])
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if function(math.exp(middle)) < probability else (low, middle)
    return math.ceil(math.exp(high)) if math.exp(high) <= MOST_PAIRS else None
