r"""Least-squares residuals of rows given known columns, as rows that are exchangeable again.

Residuals of n rows given q columns lie in n - q dimensions. They are neither independent nor of equal variance, and a
permutation moves them out of that space: the products of residuals x and permuted residuals y are smaller by a share
q / n than those of the pairs as they are, whatever the pairs share. A test that permutes residuals rejects too often,
the more so the more products it adds up. With R = 1 - Q Q', Q an orthonormal basis of the columns, and J all rows but
as many as Q has columns,

.. math::  z = R_{JJ}^{-1/2} R_J x, \qquad \operatorname{cov} z = 1

have the covariance of the errors themselves, so normal errors give independent rows, each near the residual of its own
row. If a permutation of rows in J leaves the columns as they are, it permutes z too: permutations within the levels of
a class are exact whatever the distribution of the errors.

Source: Theil 1965 (best linear unbiased scalar residuals); Huh and Jhun 2001, of permutations in other coordinates.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Bool, Float, Int

from phasejax._core.thin_svd import thin_svd

# Share of a column's variance, after those before it, below which it adds nothing to them.
_NOTHING_NEW = 1e-10


def residuals_of(rows: np.ndarray, known: Float[np.ndarray, "n q"],
                 training: Bool[np.ndarray, "n"] | slice = slice(None)) -> np.ndarray:
    """All rows less what least squares on the training rows predict of them from known columns and a constant.

    Of columns that others determine in the training rows the coefficients of least length are taken. So of indicators
    of classes, one for each, a class that has no training rows is predicted the average of the others.

    Args:
        rows: shape (n, ...), finite.
        known: finite columns of like scale.
        training: the rows that are fitted.

    >>> batch = np.eye(2)[[0, 0, 1, 1]]
    >>> rows = np.array([[1.0], [3.0], [10.0], [14.0]])
    >>> residuals_of(rows, batch).round(9).tolist(), residuals_of(rows, batch, np.arange(4) < 2).round(9).tolist()
    ([[-1.0], [1.0], [-2.0], [2.0]], [[-1.0], [1.0], [8.0], [12.0]])
    """
    flat = np.asarray(rows, np.float64).reshape(len(rows), -1)
    mean, origin, slopes = slopes_on(flat[training], known[training])
    return (flat - mean - (known - origin) @ slopes).reshape(np.shape(rows))


def slopes_on(rows: Float[np.ndarray, "n d"], known: Float[np.ndarray, "n q"]
              ) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "q"], Float[np.ndarray, "q d"]]:
    """Means of rows and of known columns, and the least slopes of all that fit the rows best."""
    mean, origin = rows.mean(0), known.mean(0)
    left, values, right = thin_svd(known - origin)
    kept = values > _NOTHING_NEW**0.5 * max(values.max(initial=0), np.finfo(float).tiny)
    return mean, origin, (right[kept].T / values[kept]) @ (left[:, kept].T @ (rows - mean))


def explained_share(rows: Float[np.ndarray, "n d"], known: Float[np.ndarray, "n q"]) -> float:
    r"""Share of the variance of all columns together that known columns explain, less what they would by chance.

    .. math::  1 - \frac{\mathrm{RSS} / (n - q - 1)}{\mathrm{TSS} / (n - 1)}

    Below 0 by chance; NaN where rows do not vary, or no more of them than known columns.
    """
    freedom = len(rows) - basis_of(known).shape[1]
    centred = rows - rows.mean(0)
    total = float(np.sum(centred**2))
    if freedom < 1 or not total > 0:
        return float("nan")
    return 1 - float(np.sum(residuals_of(rows, known) ** 2)) / freedom * (len(rows) - 1) / total


def basis_of(known: Float[np.ndarray, "n q"]) -> Float[np.ndarray, "n r"]:
    """An orthonormal basis of a constant and of the known columns, the constant first."""
    n = len(known)
    left, values, _ = thin_svd(known - known.mean(0))
    scale = np.sqrt(n) * np.abs(known).max(initial=0)
    kept = values > max(_NOTHING_NEW**0.5 * values.max(initial=0), 1e-12 * scale)
    return np.column_stack([np.full(n, n**-0.5), left[:, kept]])


@dataclass(frozen=True, eq=False)
class ScalarResiduals:
    """What turns rows into the uncorrelated residuals of most of them.

    Args:
        basis: orthonormal columns Q, shape (n, r).
        kept: the n - r rows that have a residual, increasing.
        axes, stretch: eigenvectors of R_JJ whose eigenvalues are below 1, and the roots of their inverses, less 1.
    """

    basis: Float[np.ndarray, "n r"]
    kept: Int[np.ndarray, "m"]
    axes: Float[np.ndarray, "m s"]
    stretch: Float[np.ndarray, "s"]

    @classmethod
    def of(cls, known: Float[np.ndarray, "n q"]) -> "ScalarResiduals":
        """Residuals given known columns and a constant; the rows without are those that tell the columns apart best.

        >>> found = ScalarResiduals.of(np.eye(2)[[0, 0, 0, 1, 1]])
        >>> found.kept.shape, bool(np.allclose(found.transform(np.array([[1.0], [1.0], [1.0], [5.0], [5.0]])), 0))
        ((3,), True)
        """
        basis = basis_of(known)
        n, r = basis.shape
        if r >= n:
            return cls(basis, np.zeros(0, int), np.zeros((0, 0)), np.zeros(0))
        pivots = scipy.linalg.qr(basis.T, mode="r", pivoting=True)[-1]
        kept = np.sort(np.setdiff1d(np.arange(n), pivots[:r]))
        left, values, _ = thin_svd(basis[kept])
        return cls(basis, kept, left, np.maximum(1 - values**2, np.finfo(float).tiny) ** -0.5 - 1)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
        """The residuals of the rows that are kept."""
        rows = rows - rows.mean(0)  # the constant is in the basis; without it fewer digits are lost
        found = rows[self.kept] - self.basis[self.kept] @ (self.basis.T @ rows)
        return found + self.axes @ (self.stretch[:, None] * (self.axes.T @ found))


@dataclass(frozen=True, eq=False)
class GroupResiduals:
    r"""Residuals of rows in groups that trade places as a whole: of the groups' means, and of deviations from them.

    The means have `ScalarResiduals` given the groups' mean columns, so that as many groups as these columns have
    dimensions are left out; a row is the residual of its group's mean plus its own deviation, less what the columns'
    deviations predict of it. Groups of one size, and columns that are the same within each, keep exact permutations.

    Args:
        means: residuals of the groups.
        deviations: the columns' deviations from the groups' means, shape (n, q).
        group: number of the group of each row.
        kept: rows of the groups that are kept, increasing.
    """

    means: ScalarResiduals
    deviations: Float[np.ndarray, "n q"]
    group: Int[np.ndarray, "n"]
    kept: Int[np.ndarray, "m"]

    @classmethod
    def of(cls, known: Float[np.ndarray, "n q"], groups: Int[np.ndarray, "n"]) -> "GroupResiduals":
        """Residuals given known columns and a constant."""
        group = np.unique(groups, return_inverse=True)[1].reshape(-1)
        means = _group_means(known, group)
        found = ScalarResiduals.of(means)
        return cls(found, known - means[group], group, np.flatnonzero(np.isin(group, found.kept)))

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "m d"]:
        """The residuals of the rows that are kept."""
        means = _group_means(rows, self.group)
        own = rows - means[self.group]
        if np.abs(self.deviations).max(initial=0) > 1e-9:
            own = residuals_of(own, self.deviations)
        between = np.zeros_like(means)
        between[self.means.kept] = self.means.transform(means)
        return (between[self.group] + own)[self.kept]


def _group_means(rows, group):
    counts = np.bincount(group)
    return np.stack([np.bincount(group, column) / counts for column in rows.T], 1)
