r"""Weighted moments of paired rows, and what an estimator asks of them: which columns vary, how far to shrink.

.. math::
    m = \sum_i w_i r_i, \qquad S = \sum_i w_i (r_i - m)(r_i - m)^\top, \qquad \sum_i w_i = 1

Rows are read once, in blocks, several of them side by side, and no view is copied. Products of what is not
centred lose digits where a mean is many times the standard deviation, so a rough mean of such columns is taken off
before, and all are read again in the rare case that it was not near the mean:

.. math::
    S = \sum_i w_i (r_i - c)(r_i - c)^\top - (m - c)(m - c)^\top, \qquad |m - c| \le \sqrt{\mathrm{diag}\, S}
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from phasejax.io._moments import Moments
from phasejax.io._reduction import independent_columns
from phasejax.linear._one_thread import side_by_side

# Numbers in a block, 16 MB, and the least and the most rows. The product of a block is copied once more, which is
# little where it has fewer rows than the block.
_NUMBERS, _LEAST, _MOST = 2**21, 512, 4096
# Rows from which the rough means are taken.
_SAMPLED = 256
# Standard deviations below this share of the mean leave open whether a column varies by more than rounding.
_NARROW = 1e-6
_ROUNDING = 4 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class ViewMoments:
    """Moments of one view.

    Args:
        n: number of rows whose weight is not 0.
        total: sum of all weights, the number of rows where each weighs 1.
        mean: m, shape (d,).
        variance: S, shape (d, d).
        low, high: least and largest value of each column, shape (d,); only bounds of them where the standard deviation
            is above a millionth of the mean.
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
        if shrinkage == ridge == 0:
            return submatrix(self.variance, kept, kept)
        mean_variance = float(np.trace(self.variance)) / len(self.varying)
        return ((1 - shrinkage) * submatrix(self.variance, kept, kept)
                + (shrinkage * mean_variance + ridge) * np.eye(len(kept)))


def submatrix(matrix: Float[np.ndarray, "d_x d_y"], rows: Int[np.ndarray, "r_x"],
              columns: Int[np.ndarray, "r_y"]) -> Float[np.ndarray, "r_x r_y"]:
    """The rows and columns of a matrix with these numbers, in order; the matrix itself where these are all."""
    return matrix if (len(rows), len(columns)) == matrix.shape else matrix[np.ix_(rows, columns)]


def pair_moments(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], weights: Float[np.ndarray, "n"] | None,
                 *, fourth: bool = False) -> tuple[ViewMoments, ViewMoments, Float[np.ndarray, "d_x d_y"]]:
    """Moments of both views, and the covariance of x with y.

    Args:
        x, y: paired rows, of which those in single precision are computed with in double.
        weights: finite numbers >= 0 of which some are not 0; None if all rows weigh the same.
        fourth: whether `ViewMoments.ledoit_wolf` will be asked for; else the fourth moments are NaN.

    Raises:
        ValueError: squares of what is centred that overflow, or vanish where a column varies.
    """
    total, shares = float(len(x)), None
    if weights is not None:
        total, used = float(weights.sum()), weights > 0
        x, y, shares = x[used], y[used], weights[used] / weights.max()
        shares = shares / shares.sum()
    views = slice(x.shape[1]), slice(x.shape[1], x.shape[1] + y.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        exact = fourth or shares is not None
        centre = np.concatenate([_means(view, shares) if exact else _rough_means(view) for view in (x, y)])
        rest, product, lengths = _products(x, y, centre, shares, fourth)
        near = (rest**2 <= np.diag(product)) | (np.abs(rest) <= 16 * _ROUNDING * np.abs(centre))
        if not near.all():
            rest, product, lengths = _products(x, y, centre := centre + rest, shares, fourth)
    found = []
    for name, view, own, squared in zip(("X", "y"), (x, y), views, lengths, strict=True):
        mean, variance = (centre + rest)[own], product[own, own]
        low, high = _extremes(view, mean, np.maximum(np.diag(variance), 0.0), shares is None)
        _check_range(name, np.diag(variance), low < high)
        relative = float(_means((squared / (np.trace(variance) or 1.0)) ** 2, shares)) if fourth else math.nan
        found.append(ViewMoments(len(x), total, mean, variance, low, high, relative))
    return found[0], found[1], product[views]


def _means(rows, shares):
    """In double precision, without a copy of rows in single precision."""
    return rows.mean(0, dtype=float) if shares is None else np.einsum("i,i...->...", shares, rows, dtype=float)


def _rough_means(view):
    """Means of rows that are spread over the view, of the columns whose mean they find to be no small one."""
    rows = view[::-(-len(view) // _SAMPLED)].astype(float)
    means = rows.mean(0)
    return np.where(np.abs(means) > rows.std(0), means, 0.0)


def _products(x, y, centre, shares, fourth):
    """Means and covariance of both views side by side, of r - c and r - m, and squared lengths of r - c, (2, n)."""
    n, d, of_x = len(x), len(centre), x.shape[1]
    most = max(_LEAST, min(_MOST, max(_NUMBERS // (d + 1), d)))
    rows_at_once = -(-n // -(-n // most))  # as equal as can be, so that threads end together
    lengths = np.empty((2, n if fourth else 0))

    def product_of_block(start):
        here = slice(start, start + rows_at_once)
        block = np.empty((len(x[here]), d + 1))
        block[:, d] = 1  # products with ones are sums
        for i, (view, own) in enumerate(((x, slice(of_x)), (y, slice(of_x, d)))):
            block[:, own] = view[here]
            if centre[own].any():
                block[:, own] -= centre[own]
            if fourth:
                lengths[i, here] = np.einsum("ij,ij->i", block[:, own], block[:, own])
        if shares is not None:
            block[:, d] = np.sqrt(shares[here])
            block[:, :d] *= block[:, d:]
        return block.T @ block

    product, starts = np.zeros((d + 1, d + 1)), range(0, n, rows_at_once)
    with side_by_side(d // 2, len(starts)) as map_in_order:
        for part in map_in_order(product_of_block, starts):
            product += part
    scale = 1 / n if shares is None else 1.0
    rest = product[d, :d] * scale
    return rest, product[:d, :d] * scale - np.outer(rest, rest), lengths


def _extremes(view, mean, variance, equal):
    """Least and largest values of a view's columns, or bounds of them where it is plain that a column varies.

    No value of n is further from the mean than sqrt(n) standard deviations where all weigh the same.
    """
    reach = np.sqrt(len(view) * variance)
    low, high = mean - reach, mean + reach
    open_ = ~(np.sqrt(variance) > _NARROW * np.abs(mean)) | (variance < np.finfo(float).tiny)
    columns = np.flatnonzero(open_ if equal else np.ones_like(open_))
    low[columns], high[columns] = np.inf, -np.inf
    for start in range(0, len(view) if len(columns) else 0, _MOST):
        block = view[start:start + _MOST, columns]
        low[columns] = np.minimum(low[columns], block.min(0))
        high[columns] = np.maximum(high[columns], block.max(0))
    return low, high


def _check_range(name, squares, varying):
    """Refuse values whose squares are no numbers, or vanish though the column varies."""
    if not np.isfinite(squares).all():
        raise ValueError(f"{name}: expected values whose squares are finite numbers, got larger ones")
    if (varying & (squares < np.finfo(float).tiny)).any():
        raise ValueError(f"{name}: expected values whose squares are not rounded to 0, got smaller ones")
