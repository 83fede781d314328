r"""Weighted moments of paired rows, and what an estimator asks of them: which columns vary, how far to shrink.

.. math::
    m = \sum_i w_i r_i, \qquad S = \sum_i w_i (r_i - m)(r_i - m)^\top, \qquad \sum_i w_i = 1

Rows are read twice, in blocks, without a copy of the views: for means, then for products of what is centred.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]  # made when it is imported

from phasejax.io._moments import Moments
from phasejax.io._reduction import independent_columns

# Rows of a block: as many as keep products of matrices efficient, too few for a copy of the views.
_ROWS = 4096
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


def pair_moments(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], weights: Float[np.ndarray, "n"] | None,
                 *, fourth: bool = False) -> tuple[ViewMoments, ViewMoments, Float[np.ndarray, "d_x d_y"]]:
    """Moments of both views, and the covariance of x with y.

    Args:
        x, y: paired rows.
        weights: finite numbers >= 0 of which some are not 0; None if all rows weigh the same.
        fourth: whether `ViewMoments.ledoit_wolf` will be asked for; else the fourth moments are NaN.

    Raises:
        ValueError: squares of what is centred that overflow, or vanish where a column varies.
    """
    total, roots = float(len(x)), None
    shares = np.full(len(x), 1 / len(x))
    if weights is not None:
        total, used = float(weights.sum()), weights > 0
        x, y, shares = x[used], y[used], weights[used] / weights.max()
        shares = shares / shares.sum()
        roots = np.sqrt(shares)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        centre = np.concatenate([shares @ x, shares @ y])
        views = slice(x.shape[1]), slice(x.shape[1], None)
        lengths = np.full((2, len(x)), np.nan)  # squared
        rows, product, rest = np.empty((min(len(x), _ROWS), len(centre))), np.zeros((len(centre),) * 2, order="F"), 0.0
        for start in range(0, len(x), _ROWS):
            here = slice(start, start + _ROWS)
            block = rows[:len(x[here])]
            for i, (view, own) in enumerate(zip((x, y), views, strict=True)):
                np.subtract(view[here], centre[own], out=block[:, own])
                if fourth:
                    lengths[i, here] = np.einsum("ij,ij->i", block[:, own], block[:, own])
            if roots is not None:
                block *= roots[here, None]
            rest = rest + (block.sum(0) if roots is None else roots[here] @ block)
            product = dsyrk(1.0, block.T, beta=1.0, c=product, overwrite_c=True)  # the upper triangle alone
        scale = 1.0 if roots is not None else 1 / len(x)
        rest, product = rest * scale, (np.triu(product) + np.triu(product, 1).T) * scale
        # The means were rounded: what is left of them is taken off.
        centre, product = centre + rest, product - np.outer(rest, rest)
    found = []
    for name, view, own, squared in zip(("X", "y"), (x, y), views, lengths, strict=True):
        variance, low, high = product[own, own], view.min(0), view.max(0)
        _check_range(name, np.diag(variance), low < high)
        relative = (squared / (np.trace(variance) or 1.0)) ** 2
        found.append(ViewMoments(len(x), total, centre[own], variance, low, high, float(shares @ relative)))
    return found[0], found[1], product[views]


def _check_range(name, squares, varying):
    """Refuse values whose squares are no numbers, or vanish though the column varies."""
    if not np.isfinite(squares).all():
        raise ValueError(f"{name}: expected values whose squares are finite numbers, got larger ones")
    if (varying & (squares < np.finfo(float).tiny)).any():
        raise ValueError(f"{name}: expected values whose squares are not rounded to 0, got smaller ones")
