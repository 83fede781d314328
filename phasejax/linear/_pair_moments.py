r"""Weighted moments of paired rows, and what an estimator asks of them: which columns vary, how far to shrink.

.. math::
    m = \sum_i w_i r_i, \qquad S = \sum_i w_i (r_i - m)(r_i - m)^\top, \qquad \sum_i w_i = 1

Rows are read twice, in blocks that stay in the processor's cache: for means, then for products of what is centred.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from phasejax.io._moments import Moments
from phasejax.io._reduction import independent_columns

# Rows of a block: as many as keep matrix products efficient, few enough for no copy of the views.
_ROWS = 2048
_ROUNDING = 4 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class ViewMoments:
    """Moments of one view.

    Args:
        n: number of rows whose weight is not 0.
        total: sum of all weights, the number of rows where each weighs 1.
        mean: m, shape (d,).
        variance: S, shape (d, d).
        low, high: least and largest value of each column, shape (d,).
        fourth: weighted mean of the fourth powers of the lengths of r - m, over (tr S)^2.
    """

    n: int
    total: float
    mean: Float[np.ndarray, "d"]
    variance: Float[np.ndarray, "d d"]
    low: Float[np.ndarray, "d"]
    high: Float[np.ndarray, "d"]
    fourth: float

    @property
    def varying(self) -> Int[np.ndarray, "r"]:
        """Numbers of the columns that vary by more than rounding."""
        return np.flatnonzero(self.high - self.low > _ROUNDING * np.maximum(np.abs(self.low), np.abs(self.high)))

    @property
    def independent(self) -> Int[np.ndarray, "r"]:
        """Numbers of as many columns as possible of which none is a combination of others."""
        return independent_columns(Moments(n=self.n, mean=self.mean, scatter=self.n * self.variance, low=self.low,
                                           high=self.high))

    def ledoit_wolf(self) -> float:
        r"""The share s by which the variance of the columns that vary shrinks towards a multiple of the identity.

        .. math::
            s = \min\Big(1, \frac{(\sum_i w_i \|r_i - m\|^4 - \|S\|^2) / n}{\|S\|^2 - (\mathrm{tr} S)^2 / d}\Big)

        where n is the sum of the weights as they were given, and the norm is Frobenius's.

        Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
        """
        d = len(self.varying)
        squares = float(np.sum((self.variance / np.trace(self.variance)) ** 2))  # as above, over (tr S)^2
        error, distance = max((self.fourth - squares) / self.total, 0.0), squares - 1 / d
        # A single column is its own target.
        return 0.0 if d < 2 or error == 0 else 1.0 if error >= distance else error / distance

    def regularised(self, kept: Int[np.ndarray, "r"], shrinkage: float, ridge: float) -> Float[np.ndarray, "r r"]:
        """(1 - s) S + (s tr S / d + r) I of the columns that are kept; d counts those that vary."""
        mean_variance = float(np.trace(self.variance)) / len(self.varying)
        return ((1 - shrinkage) * self.variance[np.ix_(kept, kept)]
                + (shrinkage * mean_variance + ridge) * np.eye(len(kept)))


def pair_moments(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], weights: Float[np.ndarray, "n"] | None
                 ) -> tuple[ViewMoments, ViewMoments, Float[np.ndarray, "d_x d_y"]]:
    """Moments of both views, and the covariance of x with y.

    Args:
        x, y: paired rows.
        weights: finite numbers >= 0 of which some are not 0; None if all rows weigh the same.

    Raises:
        ValueError: squares of what is centred that overflow, or vanish where a column varies.
    """
    total = float(len(x)) if weights is None else float(weights.sum())
    if weights is not None:
        used = weights > 0
        x, y, weights = x[used], y[used], weights[used] / total
    first, d_x = (x[0], y[0]), x.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        # Means of differences from the first row, so that a constant column has exactly variance 0.
        means = [own + _mean(view, own, weights) for view, own in zip((x, y), first, strict=True)]
        centred = np.empty((min(len(x), _ROWS), d_x + y.shape[1]))
        product, lengths = np.zeros((centred.shape[1], centred.shape[1])), np.empty((2, len(x)))  # lengths squared
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            block = centred[:len(x[rows])]
            np.subtract(x[rows], means[0], out=block[:, :d_x])
            np.subtract(y[rows], means[1], out=block[:, d_x:])
            for of_view, part in zip(lengths, (block[:, :d_x], block[:, d_x:]), strict=True):
                of_view[rows] = np.einsum("ij,ij->i", part, part)
            if weights is not None:
                block *= np.sqrt(weights[rows])[:, None]
            product += block.T @ block
        product = product / len(x) if weights is None else product
    found = []
    for name, view, mean, own, of_view in zip(("X", "y"), (x, y), means, (slice(d_x), slice(d_x, None)), lengths,
                                              strict=True):
        _check_range(name, view, product[own, own])
        relative = (of_view / (np.trace(product[own, own]) or 1.0)) ** 2
        found.append(ViewMoments(len(x), total, mean, product[own, own], view.min(0), view.max(0),
                                 float(np.average(relative, weights=weights))))
    return found[0], found[1], product[:d_x, d_x:]


def _mean(view, origin, weights):
    """The weighted mean of the rows' differences from an origin."""
    total = np.zeros(view.shape[1])
    for start in range(0, len(view), _ROWS):
        block = view[start:start + _ROWS] - origin
        total += block.sum(0) if weights is None else weights[start:start + _ROWS] @ block
    return total / len(view) if weights is None else total


def _check_range(name, view, variance):
    """Refuse values whose squares are no numbers, or vanish though the column varies."""
    if not np.isfinite(variance).all():
        raise ValueError(f"{name}: expected values whose squares are finite numbers, got larger ones")
    if (np.ptp(view, axis=0)[np.diag(variance) < np.finfo(float).tiny] > 0).any():
        raise ValueError(f"{name}: expected values whose squares are not rounded to 0, got smaller ones")
