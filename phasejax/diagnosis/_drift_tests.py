"""Whether two posteriors of the same number are further apart than chance; see `monitor`."""

import math

import numpy as np
import scipy.stats

from phasejax.diagnosis._estimates import SHARES
from phasejax.diagnosis._simulator import BOUNDS, EDGE

_EDGE = 1e-12  # of (0, 1), for shares that rounding has put on its end


def on_its_scale(name, draws):
    """Draws as they are tested: logarithms, logits of shares, and those that may be 0 as they are."""
    if name in BOUNDS:
        return draws
    if name in SHARES:
        draws = np.clip(draws, _EDGE, 1 - _EDGE)
        return np.log(draws) - np.log1p(-draws)
    return np.log(draws)


def floor(name, found):
    """Least spread of a name's draws; positive where they can be finer than what they measure."""
    return max(EDGE, 12**-0.5 / (min(found.d_x, found.d_y) - found.k)) if name == "uncorrelated" else 0.0


def two_sided_test(before, now, rows_ratio, floor):
    """z and two-sided p of a difference.

    Args:
        before, now: draws.
        rows_ratio: rows before over rows now, for a parameter that may be exactly 0; None for others.
        floor: least spread of each.
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
    # `up` are the pairs that rise or tie, 1 - `down` those that fall or tie.
    return z, float(max(2 * min(1 - down, up, 0.5), 2 * scipy.stats.norm.sf(abs(z))))


def holm(values):
    """Holm's adjusted p values: reject those below the level."""
    order = np.argsort(values)
    steps = np.asarray(values)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()
