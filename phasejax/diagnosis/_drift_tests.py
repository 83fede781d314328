r"""Tests of whether two posteriors of the same number are further apart than chance.

Given the parameters, two data sets are independent. If nothing changed, the difference of a parameter's two posteriors
therefore covers 0: its draws are all differences between a draw of one and a draw of the other, on a scale where
errors are even (logarithm; logit for shares). The two-sided probability of 0 is the share of pairs on the rarer side
of it, twice. Four hundred draws of each resolve no tail below some 2 / 400, and beyond it the share soon is 0. So the
probability is the larger one of this share and that of a Gaussian with the moments of the draws,

.. math:: z = (\bar u_2 - \bar u_1) / \sqrt{s_1^2 + s_2^2},

which a few draws in a second mode widen: better no alarm than one that rests on the first mode alone.

Holm's correction over all names keeps the chance of any false alarm below the level, however the names depend on each
other. A parameter that the data do not determine has the prior as both posteriors, and never gives an alarm.

A parameter that the simpler family puts at exactly 0 has no spread there, but is not known any better than in the other
data set: it gets that set's spread, scaled by the root of the rows. Nor is the uncorrelated share known more finely
than one of the p coordinates that it counts, or than the edge it has in the simulated model: its spread is at
least 1 / (p sqrt(12)) and 0.03.

Source: Holm 1979.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from phasejax.diagnosis._estimates import SHARES
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._simulator import BOUNDS, EDGE

# Distance from 0 and 1 of a share that rounding has put there, so that its logit is finite.
_FROM_THE_ENDS = 1e-12


def on_even_scale(name: str, draws: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
    """Draws on the scale of the test: logarithms, logits of shares, and those that may be 0 as they are."""
    if name in BOUNDS:
        return draws
    if name in SHARES:
        draws = np.clip(draws, _FROM_THE_ENDS, 1 - _FROM_THE_ENDS)
        return np.log(draws) - np.log1p(-draws)
    return np.log(draws)


def least_spread(name: str, found: MomentDiagnosis) -> float:
    """Standard deviation below which the draws of a name are finer than what they measure; 0 for most names."""
    return max(EDGE, 12**-0.5 / (min(found.d_x, found.d_y) - found.k)) if name == "uncorrelated" else 0.0


def two_sided_test(before: Float[np.ndarray, "m"], now: Float[np.ndarray, "m2"], rows_ratio: float | None, floor: float
                   ) -> tuple[float, float]:
    """z and two-sided p of a difference.

    Args:
        before, now: draws on an even scale.
        rows_ratio: rows before over rows now, for a parameter that may be exactly 0; None for others.
        floor: least standard deviation of each.
    """
    spreads = np.array([before.std(), now.std()])
    if rows_ratio is not None:
        spreads = np.maximum(spreads, spreads[::-1] * np.array([rows_ratio**-0.5, rows_ratio**0.5]))
    spreads = np.maximum(spreads, floor)
    away, spread = float(now.mean() - before.mean()), float(np.hypot(*spreads))
    if spread == 0:
        return (0.0, 1.0) if away == 0 else (math.copysign(math.inf, away), 0.0)
    z, ordered = away / spread, np.sort(before)
    down, up = (np.searchsorted(ordered, now, side).mean() / len(before) for side in ("left", "right"))
    # `up` is the share of pairs that rise or tie, 1 - `down` that of pairs that fall or tie.
    return z, float(max(2 * min(1 - down, up, 0.5), 2 * ndtr(-abs(z))))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the given order: a name has moved where its value is below the level."""
    order = np.argsort(values)
    steps = np.asarray(values)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()
