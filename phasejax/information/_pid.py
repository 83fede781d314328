r"""Partial information: what of the information about a label both modalities hold, what one alone, what neither.

Let T be the label and X and Y the modalities, all discrete. The redundancy R, the unique informations U_x and U_y,
and the synergy S, all in nats, satisfy

.. math::
    I(X; T) = R + U_x, \qquad I(Y; T) = R + U_y, \qquad I(X, Y; T) = R + U_x + U_y + S

so that any one of them fixes the others. The measure `"broja"` takes unique information to be what is left under
the least informative of the joint distributions that share the pairwise marginals p(t, x) and p(t, y),

.. math::  U_x + U_y + R = \min_{q \in \Delta_p} I_q(X, Y; T)

The measure `"imin"` takes redundancy to be the expected least specific information,

.. math::  R = \sum_t p(t) \min_{V \in \{X, Y\}} \sum_v p(v \mid t) \log \frac{p(t \mid v)}{p(t)}

Source: Williams and Beer 2010 (I_min); Bertschinger, Rauh, Olbrich, Jost and Ay 2014 (BROJA).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.provenance import computed_on
from phasejax._core.pytree import HostOrDevice
from phasejax._core.records import Record
from phasejax._core.validation import check_array, check_choice, check_number

MEASURES = ("broja", "imin")
PARTS = ("redundancy", "unique_x", "unique_y", "synergy")
_SUM_TOLERANCE = 1e-6
_TOLERANCE = 1e-7
_ROUNDING = 1e-12  # nats


@dataclass(frozen=True)
class PartialInformation(Record):
    """The four parts of the information I(x, y; label) that both modalities hold together, in nats.

    Args:
        redundancy: held by both modalities.
        unique_x, unique_y: held by one of them alone.
        synergy: held by neither alone, only by both together.
        gap: how far each part can be from that of the exact optimum (0 for a closed form).
        computed_on: versions, device, cores and flags, on which the last digits depend; None for differences, means
            and deviations of several.
    """

    redundancy: float
    unique_x: float
    unique_y: float
    synergy: float
    gap: float = 0.0
    computed_on: dict[str, str] | None = None

    _kind = "phasejax.partial_information"

    def _overview(self) -> Overview:
        rows = [(name.replace("_", " "), significant(getattr(self, name)),
                 significant(getattr(self, name) / self.total, 2) if self.total > 10 * self.gap + _ROUNDING else "-")
                for name in PARTS]
        return Overview(kind="Partial information", answer=f"{significant(self.total)} nats about the label",
                        columns=("part", "nats", "share"), rows=rows,
                        note=f"each within {significant(self.gap, 1)} nats of the optimum" if self.gap else "")

    @property
    def total(self) -> float:
        """I(x, y; label)."""
        return self.redundancy + self.unique_x + self.unique_y + self.synergy


@checked
def decompose(table: Float[HostOrDevice, "X Y T"], *, measure: str = "broja", tolerance: float = _TOLERANCE
              ) -> PartialInformation:
    r"""Partial information decomposition of a probability table p(x, y, t).

    BROJA's convex program, the least of :math:`F(q) = -H_q(T \mid X, Y)`, is solved by Newton's method along the
    minima of :math:`F(q) - \frac{1}{c} \sum_{xyt} \log q_{xyt}`, c growing, from
    :math:`q = p(t)\, p(x \mid t)\, p(y \mid t)` on. The multipliers of the marginals bound the optimum from below,
    by the dual

    .. math::
        \max \sum_{tx} p_{tx} \lambda_{tx} + \sum_{ty} p_{ty} \mu_{ty}
        \quad\text{subject to}\quad \log \sum_t e^{\lambda_{tx} + \mu_{ty}} \le 0 \text{ for all } x, y

    and `PartialInformation.gap` is how far F of the last q lies above this bound, both being feasible.

    Args:
        table: probabilities, summing to 1, shape (X, Y, T): modality x, modality y, label. T times the
            larger of X and Y up to about 2000.
        measure: "broja" or "imin".
        tolerance: gap to aim for with "broja", in nats; with probabilities below 1e-9 it stays near 1e-5.

    Returns:
        The four parts, in nats, and how exact they are.

    Raises:
        ValueError: negative entries, NaN, a sum other than 1, an unknown measure.

    Source: the dual is that of Makkeh, Theis and Vicente 2018.

    >>> table = np.zeros((2, 2, 2))
    >>> for x in (0, 1):
    ...     for y in (0, 1):
    ...         table[x, y, x & y] = 1 / 4
    >>> parts = decompose(table)  # in bits 0.311, 0, 0, 0.5
    >>> [round(float(v / np.log(2)), 3) for v in (parts.redundancy, parts.synergy)]
    [0.311, 0.5]
    """
    check_choice("measure", measure, MEASURES)
    p = np.asarray(check_array("table", table, 3), np.float64)
    if not p.size:
        raise ValueError(f"table: expected probabilities of x, y and the label, got shape {p.shape}")
    check_number("tolerance", tolerance, above=0)
    if measure != "broja" and tolerance != _TOLERANCE:
        raise ValueError(f"tolerance: expected none with measure {measure!r}, which is exact, got {tolerance}")
    if not np.isfinite(p).all() or p.min() < 0:
        raise ValueError(f"table: expected probabilities of at least 0, got {p.min()}")
    if abs(p.sum() - 1) > _SUM_TOLERANCE:
        raise ValueError(f"table: expected probabilities that sum to 1, got a sum of {p.sum():.9g}")
    p = p / p.sum()
    by_x, by_y = p.sum(1).T, p.sum(0).T  # (T, X), (T, Y)
    of_x, of_y, of_both = (_information(m) for m in (by_x, by_y, p.reshape(-1, p.shape[2]).T))
    if measure == "imin":
        specific = [_specific_information(m) for m in (by_x, by_y)]
        redundancy = float(np.sum(p.sum((0, 1)) * np.minimum(*specific)))
        return PartialInformation(redundancy, of_x - redundancy, of_y - redundancy, of_both - of_x - of_y + redundancy,
                                  computed_on=computed_on())
    # The minimum is at least what the more informative modality tells alone, and at most what p itself tells.
    if of_both - max(of_x, of_y) < _ROUNDING:
        least, gap = of_both, 0.0
    else:
        with threadpool_limits(1, user_api="blas"):  # matrices are so small that threads only wait for each other
            least, gap = _least_information(by_x, by_y, tolerance)
        least = min(max(least, of_x, of_y), of_both)
    return PartialInformation(float(of_x + of_y - least), float(least - of_y), float(least - of_x),
                              float(of_both - least), float(gap), computed_on())


def _least_information(by_x, by_y, tolerance):
    """The minimum of I_q(X, Y; T) over all q with these marginals (T, X) and (T, Y), and a bound on its error."""
    keep = by_x.sum(1) > 0
    a, b = (m[keep][:, m[keep].sum(0) > 0] for m in (by_x, by_y))
    q, lam, mu = _optimum(a, b, tolerance)
    q = _with_marginals(q, a, b)
    primal = _sum_xlogx(q) - _sum_xlogx(q.sum(0))
    # The multipliers may miss constraints of the dual by rounding: a lower lambda meets them all.
    exponent = np.where((a > 0)[:, :, None] & (b > 0)[:, None], lam[:, :, None] + mu[:, None], -np.inf)
    lam = lam - np.asarray(scipy.special.logsumexp(exponent, axis=0)).max(1)
    return primal - _sum_xlogx(a.sum(1)), primal - float(np.sum(a * lam) + np.sum(b * mu))


def _with_marginals(q, a, b, passes=2000):
    """The nearest table (T, X, Y), in relative entropy, with marginals a (T, X) and b (T, Y)."""
    for _ in range(passes):
        q = q * _ratio(a, q.sum(2))[:, :, None]
        q = q * _ratio(b, q.sum(1))[:, None]
        if np.abs(q.sum(2) - a).sum() < 1e-13:
            break
    return q


def _ratio(a, b):
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _optimum(a, b, tolerance):
    """The table q (T, X, Y) of least F with marginals a (T, X) and b (T, Y), and their multipliers."""
    q = a[:, :, None] * b[:, None] / a.sum(1)[:, None, None]
    free = q > 0
    count = np.count_nonzero(free)
    c = float(count)
    while True:
        for _ in range(30):
            step, lam, mu, decrement = _newton(q, free, c, a, b)
            if decrement < 1e-3 / c:
                break
            with np.errstate(divide="ignore", invalid="ignore"):
                size = min(1.0, 0.95 / max(np.nanmax(np.where(free, -step / q, 0.0)), 1e-300))
            value = _penalised(q, free, c)
            while _penalised(q + size * step, free, c) > value - 0.1 * size * decrement and size > 1e-9:
                size /= 2
            if size <= 1e-9:  # rounding lets no step improve q
                break
            q = _with_marginals(q + size * step, a, b, passes=3)  # undoes what rounding did to the marginals
        if count / c < tolerance:
            return q, lam, mu
        c *= 10


def _penalised(q, free, c):
    """F(q) with the logarithmic barrier that keeps the free entries of q positive."""
    return _sum_xlogx(q) - _sum_xlogx(q.sum(0)) - np.log(np.where(free, q, 1.0)).sum() / c


def _newton(q, free, c, a, b):
    """Newton's step under fixed marginals, the multipliers, and the decrement.

    The Hessian of a pair (x, y) is D - 1 1' / Q with D = diag(1 / q + 1 / (c q^2)) and Q = sum_t q, so its
    inverse is r diag + r r' / sum_t (q - r), r = 1 / D.
    """
    labels, x, y = q.shape
    total = q.sum(0)
    r = q * (c * q / (c * q + 1))
    rest = np.where(total > 0, (q / (c * q + 1)).sum(0), 1.0)
    safe = np.where(free, q, 1.0)
    slope = np.where(free, np.log(safe / np.where(total > 0, total, 1.0)) - 1 / (c * safe), 0.0)

    def inverse(v):
        return r * (v + (r * v).sum(0) / rest)

    def marginals(v):
        return np.concatenate([v.sum(2).ravel(), v.sum(1).ravel()])

    matrix = np.zeros((labels, x + y, labels, x + y))
    rows, columns = np.arange(x), x + np.arange(y)
    for s in range(labels):
        for t in range(labels):
            block = r[s] * r[t] / rest + (r[s] if s == t else 0.0)
            matrix[s, rows, t, rows] = block.sum(1)
            matrix[s, columns, t, columns] = block.sum(0)
            matrix[s, :x, t, x:] = block
            matrix[s, x:, t, :x] = block.T
    order = np.concatenate([(np.arange(labels)[:, None] * (x + y) + part).ravel() for part in (rows, columns)])
    matrix = matrix.reshape(labels * (x + y), -1)[np.ix_(order, order)]
    # No multiplier is solved for where the marginal is 0, nor, for each label, the mu of the largest probability: a
    # constant moves freely between lambda and mu, so that one of them is free to be 0.
    moves = np.concatenate([(a > 0).ravel(), (b > 0).ravel()])
    moves[labels * x + np.arange(labels) * y + b.argmax(1)] = False
    multipliers = np.zeros(len(moves))
    multipliers[moves] = _solved(matrix[np.ix_(moves, moves)], marginals(inverse(slope))[moves])
    lam, mu = multipliers[:labels * x].reshape(labels, x), multipliers[labels * x:].reshape(labels, y)
    residual = np.where(free, slope - lam[:, :, None] - mu[:, None], 0.0)
    step = -inverse(residual)
    return step, lam, mu, float(-np.sum(step * residual))


def _solved(matrix, right):
    """matrix^-1 right; unknowns are scaled to a unit diagonal, since they differ by many orders of magnitude."""
    scale = 1 / np.sqrt(np.diag(matrix))
    scaled = matrix * scale * scale[:, None]
    scaled[np.diag_indices_from(scaled)] += 1e-13
    factor, right = scipy.linalg.cho_factor(scaled), scale * right
    found = scipy.linalg.cho_solve(factor, right)
    scaled[np.diag_indices_from(scaled)] = 1.0
    for _ in range(2):
        found = found + scipy.linalg.cho_solve(factor, right - scaled @ found)
    return scale * found


def _information(joint):
    """I(label; v) of a joint table (T, V)."""
    return float(_sum_xlogx(joint) - _sum_xlogx(joint.sum(0)) - _sum_xlogx(joint.sum(1)))


def _specific_information(joint):
    """What v tells of each label t, sum_v p(v | t) log p(t | v) / p(t), from a joint table (T, V)."""
    t, v = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(joint > 0, joint / t * np.log(joint / (t * v)), 0.0)
    return terms.sum(1)


def _sum_xlogx(p):
    """The sum of p log p, with 0 log 0 = 0."""
    return float(np.sum(p * np.log(np.where(p > 0, p, 1.0))))
