"""Linear probes, fitted to the first and second moments of training rows.

They read the labels from a representation: ridge regression for real labels, linear discriminants for classes. No fit
looks at a row, so its cost does not depend on their number.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float

# Ridge penalties to choose from, in units of a standardised column's variance.
PENALTIES = 10.0 ** np.arange(-6, 2)


def inverse_scales(variance: Float[np.ndarray, "p"], mean: Float[np.ndarray, "p"]) -> Float[np.ndarray, "p"]:
    """One over the standard deviations; 0 for columns that are constant up to rounding."""
    varies = variance > 1e-12 * (variance + mean**2)
    return np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def ridge_regression(zz: Float[np.ndarray, "p p"], zt: Float[np.ndarray, "p l"], variances: Float[np.ndarray, "l"],
                     m: int) -> tuple[Float[np.ndarray, "p l"], Float[np.ndarray, "p l"]]:
    """Weights of standardised columns z in a ridge regression of t on them.

    Args:
        zz, zt: correlations of z, and its covariances with t, over m rows.
        variances: of the columns of t.
        m: number of rows.

    Returns:
        The weights under one penalty, for all columns of t together, and under a penalty for each column.
    """
    values, vectors = _spectrum(zz)
    rotated = vectors.T @ zt
    squares = rotated**2
    penalty = best_penalty(values, squares.sum(1), float(variances.sum()), m)
    together = vectors @ (rotated / (values + penalty)[:, None])
    if len(variances) == 1:
        return together, together
    own = np.array([best_penalty(values, *column, m) for column in zip(squares.T, variances, strict=True)])
    return together, vectors @ (rotated / (values[:, None] + own))


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
