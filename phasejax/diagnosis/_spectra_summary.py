r"""A few numbers that say what the spectra of two paired views are like, with their errors and with no model of them.

Between the views the canonical correlations, which no linear change of a view alters; within a view its total variance,
in units of the data, and the participation ratio, (tr S)^2 / tr S^2, which does not depend on the unit of the view. The
errors are those of the jackknife over groups of rows, which assumes neither Gaussian rows nor independent ones within a
group,

.. math:: \mathrm{se}^2 = \frac{g - 1}{g} \sum_i (\theta_{-i} - \bar\theta)^2, \qquad
    \mathrm{bias} = (g - 1) (\bar\theta - \theta)

Source: Quenouille 1956 (bias), Tukey 1958, Kott 2001 (groups).
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float

from phasejax._core.thin_svd import thin_svd
from phasejax.diagnosis._paired_data import PairedRows

# Leading canonical correlations that are told apart; of the others only their sum of squares counts.
_LEADING = 4
# Least number of independent units for each column of both views with which canonical correlations say anything: with
# fewer some of them are 1, or nearly so, by construction.
_LEAST_UNITS_PER_COLUMN = 1.5


@dataclass(frozen=True)
class Measured:
    """A number with its standard error.

    Args:
        value: the number, as it is in the sample.
        error: standard error.
        bias: by how much the value is above that of unlimited rows, to the first order in one over their number.
    """

    value: float
    error: float
    bias: float


@dataclass(frozen=True)
class SpectraSummary:
    """The spectra between and within two views in a few numbers (`Diagnosis.spectra`).

    Args:
        correlations: the leading canonical correlations, at most four; none where there are too few rows.
        squared_correlations: sum of squares of all of them; None where there are too few rows.
        variance_x, variance_y: sums of the variances of the columns, in squared units of the data.
        participation_x, participation_y: participation ratios of the covariances' eigenvalues, from 1 to the number of
            columns; of columns in units of their standard deviations where these are in different units.
        freedom: degrees of freedom of the errors.
    """

    correlations: tuple[Measured, ...]
    squared_correlations: Measured | None
    variance_x: Measured
    variance_y: Measured
    participation_x: Measured
    participation_y: Measured
    freedom: int


def spectra_summary(data: PairedRows, like_units: PairedRows) -> SpectraSummary:
    """Summarise the spectra of paired rows.

    Args:
        data: rows in their own units.
        like_units: the same, each view in units such that its columns may be added (`rows_in_like_units`).
    """
    d_x, d = data.d_x, data.d_x + data.d_y
    views = slice(0, d_x), slice(d_x, d)
    variances = [_measured(lambda s, view=view: np.trace(s[view, view]), data) for view in views]
    participations = [_measured(lambda s, view=view: participation_ratio(s[view, view]), like_units) for view in views]
    leading, squares = (), None
    if data.number_of_groups > _LEAST_UNITS_PER_COLUMN * d:
        *leading, squares = _measured_all(lambda s: _of_correlations(canonical_correlations(s[:d, :d], d_x)),
                                          like_units)
    return SpectraSummary(tuple(leading), squares, *variances, *participations, freedom=len(data.without) - 1)


def canonical_correlations(covariance: Float[np.ndarray, "p p"], d_x: int) -> Float[np.ndarray, "r"]:
    """All canonical correlations, largest first, from the covariance of (x, y); of full rank within each view."""
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.where(scale > 0, scale, 1.0) / np.where(scale > 0, scale, 1.0)[:, None]
    whitened = _whiten(correlation[:d_x, :d_x], correlation[:d_x, d_x:])
    return np.clip(thin_svd(_whiten(correlation[d_x:, d_x:], whitened.T))[1], 0.0, 1.0)


def participation_ratio(covariance: Float[np.ndarray, "d d"]) -> float:
    """(tr S)^2 / tr S^2: the number of directions that share the variance."""
    return float(np.trace(covariance) ** 2 / np.sum(covariance**2))


def _whiten(correlation, cross):
    """W times the cross-covariance, where W whitens; directions without variance, as in a part of the rows, get 0."""
    try:
        factor = np.linalg.cholesky(correlation)
        if np.diag(factor).min() > 1e-7:
            return scipy.linalg.solve_triangular(factor, cross, lower=True)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(correlation)
    kept = values > 1e-12 * values[-1]
    return (vectors[:, kept] / np.sqrt(values[kept])).T @ cross


def _of_correlations(found):
    return np.array([*found[:_LEADING], np.sum(found**2)])


def _measured(of, data):
    return _measured_all(lambda covariance: np.atleast_1d(of(covariance)), data)[0]


def _measured_all(of, data) -> list[Measured]:
    """The functions of a covariance, with the jackknife of the groups that are left out in turn."""
    values, left_out = of(data.joint), np.stack([of(covariance) for covariance in data.without])
    factor = len(left_out) - 1
    mean = left_out.mean(0)
    errors = np.sqrt(factor / len(left_out) * np.sum((left_out - mean) ** 2, 0))
    return [Measured(*map(float, numbers)) for numbers in zip(values, errors, factor * (mean - values), strict=True)]
