"""Closed-form encoders and linear probes, fitted to second moments of some rows."""

import numpy as np
import scipy.linalg
from jaxtyping import Float

# Ridge penalties to choose from, in units of a standardised column's variance.
PENALTIES = 10.0 ** np.arange(-6, 2)
# Whitening a correlation matrix with a smaller eigenvalue would amplify what rounding left.
LEAST_EIGENVALUE = 1e-8


class RowMoments:
    """Number, sum and sums of products of rows."""

    def __init__(self, count, total, products):
        self.count, self.total, self.products = count, total, products

    @classmethod
    def of(cls, rows):
        return cls(len(rows), rows.sum(0), rows.T @ rows)

    def __add__(self, other):
        """Of the rows of both; of the first columns only, where `other` has fewer."""
        p = min(len(self.total), len(other.total))
        return RowMoments(self.count + other.count, self.total[:p] + other.total[:p],
                          self.products[:p, :p] + other.products[:p, :p])

    @property
    def mean(self):
        return self.total / self.count

    @property
    def covariance(self):
        return self.products / self.count - np.outer(self.mean, self.mean)


def inverse_scales(variance, mean):
    """One over the standard deviations; 0 for columns that are constant, up to the rounding of what is summed."""
    varies = variance > 1e-12 * (variance + mean**2)
    return np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def encoding_maps(moments, d_x, d_y, k, training_rows):
    """Matrices (d_x + d_y, columns) that turn [x, y] into each of `REPRESENTATIONS`, and the shrinkage used."""
    covariance, p = moments.covariance, d_x + d_y
    x, y = slice(0, d_x), slice(d_x, p)
    crowded = moments.count <= p
    (root_x, shrunk_x), (root_y, shrunk_y) = (
        _whitening(covariance[view, view], moments.mean[view], crowded,
                   lambda view=view: training_rows()[:, view] - moments.mean[view]) for view in (x, y))
    left, _, right = np.linalg.svd(root_x @ covariance[x, y] @ root_y.T, full_matrices=False)
    forward, _, _ = np.linalg.svd(root_x @ covariance[x, y], full_matrices=False)
    backward, _, _ = np.linalg.svd(root_y @ covariance[y, x], full_matrices=False)
    ca, cp, cp_reverse = np.zeros((p, 2 * k)), np.zeros((p, k)), np.zeros((p, k))
    ca[x, :k], ca[y, k:] = root_x.T @ left[:, :k], root_y.T @ right[:k].T
    cp[x], cp_reverse[y] = root_x.T @ forward[:, :k], root_y.T @ backward[:, :k]
    raw = np.eye(p)
    return (ca, cp, cp_reverse, raw[:, x], raw[:, y], raw), max(shrunk_x, shrunk_y)


def _whitening(covariance, mean, crowded, centred_rows):
    """W with W S W' = I, of the shrunk S where it has to be, and the share of the identity in it."""
    unit = inverse_scales(np.diag(covariance), mean)
    correlation = covariance * np.outer(unit, unit)
    correlation[np.diag_indices_from(correlation)] = 1.0
    shrinkage = 0.0
    if crowded or np.linalg.eigvalsh(correlation)[0] < LEAST_EIGENVALUE:
        from sklearn.covariance import ledoit_wolf_shrinkage

        shrinkage = max(float(ledoit_wolf_shrinkage(centred_rows() * unit, assume_centered=True)), LEAST_EIGENVALUE)
        correlation = (1 - shrinkage) * correlation + shrinkage * np.eye(len(correlation))
    factor = np.linalg.cholesky(correlation)
    return scipy.linalg.solve_triangular(factor, np.diag(unit), lower=True), shrinkage


def ridge_regression(zz: Float[np.ndarray, "p p"], zt: Float[np.ndarray, "p l"], total: float,
                     m: int) -> Float[np.ndarray, "p l"]:
    """Weights of standardised columns z in a ridge regression of t on them.

    Args:
        zz, zt: correlations of z, and its covariances with t, over m rows.
        total: variance of t, summed over its columns.
        m: number of rows.
    """
    values, vectors = _spectrum(zz)
    rotated = vectors.T @ zt
    penalty = best_penalty(values, np.sum(rotated**2, 1), total, m)
    return vectors @ (rotated / (values + penalty)[:, None])


def discriminant(zz: Float[np.ndarray, "p p"], zt: Float[np.ndarray, "p c"], shares: Float[np.ndarray, "c"],
                 m: int) -> tuple[Float[np.ndarray, "p c"], Float[np.ndarray, "c"]]:
    r"""Weights and offsets of linear discriminants z'w_c + b_c with equal priors.

    .. math::
        w_c = (\Sigma_w + \lambda I)^{-1} \mu_c, \quad b_c = -\tfrac12 \mu_c^\top w_c, \quad
        \mu_c = \mathrm{cov}(z, t_c) / \pi_c, \quad \Sigma_w = \Sigma - \sum_c \pi_c \mu_c \mu_c^\top

    with the penalty lambda of the regression on t_c / sqrt(pi_c).

    Args:
        zz, zt: as in `ridge_regression`, with one-hot columns t.
        shares: of each class in the m rows, pi_c.
        m: number of rows.
    """
    values, vectors = _spectrum(zz)
    means = vectors.T @ zt / shares
    # The indicator of a class has variance pi (1 - pi).
    penalty = best_penalty(values, np.sum(means**2 * shares, 1), float(np.sum(1 - shares)), m)
    within = np.diag(values + penalty) - (means * shares) @ means.T
    solved = scipy.linalg.solve(within, means, assume_a="pos")
    return vectors @ solved, -np.sum(means * solved, 0) / 2


def _spectrum(zz):
    values, vectors = np.linalg.eigh(zz)
    return np.maximum(values, 0.0), vectors


def best_penalty(values: Float[np.ndarray, "p"], squares: Float[np.ndarray, "p"], total: float, m: int) -> float:
    r"""The ridge penalty, out of `PENALTIES`, with the least generalised cross-validation criterion.

    .. math::
        \frac{\mathrm{RSS}(\lambda) / m}{(1 - \mathrm{df}(\lambda) / m)^2}, \quad
        \mathrm{RSS} / m = \mathrm{total} - \sum_j c_j^2 \frac{s_j + 2 \lambda}{(s_j + \lambda)^2}, \quad
        \mathrm{df} = 1 + \sum_j \frac{s_j}{s_j + \lambda}

    Args:
        values: eigenvalues s_j of the correlation matrix of the columns, >= 0.
        squares: squared covariances c_j^2 of the labels with the principal coordinates.
        total: variance of the labels.
        m: number of rows.
    """
    shifted = values + PENALTIES[:, None]
    residual = total - (squares * (values + 2 * PENALTIES[:, None]) / shifted**2).sum(1)
    freedom = 1 + (values / shifted).sum(1)
    return float(PENALTIES[np.argmin(np.maximum(residual, 0.0) / (1 - freedom / m) ** 2)])
