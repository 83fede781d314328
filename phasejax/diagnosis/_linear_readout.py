"""Linear probes, which read the labels from a representation.

Ridge regression for real labels and linear discriminants for classes are fitted to the first and second moments of
training rows. These fits look at no row, so their cost does not depend on the number of rows. What networks make of the
rows is not Gaussian, and few: there classes are read by logistic regression, as whoever trains the networks will.
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

# Ridge penalties to choose from, in units of a standardised column's variance.
PENALTIES = 10.0 ** np.arange(-6, 2)
# scikit-learn's C, the variance of each weight before any row is seen. On the pairs for choosing constants of
# `benchmarks.decision`, a C chosen by the loss on other rows compares objectives worse, and so do linear discriminants.
_C = 0.1
# Training rows at most of a logistic regression.
_MOST_ROWS = 5000


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


def logistic_classes(z: Float[np.ndarray, "m p"], classes: Int[np.ndarray, "m"], held_out: Float[np.ndarray, "r p"]
                     ) -> Int[np.ndarray, "r"]:
    r"""The likeliest classes of held-out rows, all as likely before, by logistic regression on standardised columns z,

    .. math::
        \min_{W, b}\; -\sum_i \log \frac{e^{z_i^\top w_{t_i} + b_{t_i}}}{\sum_c e^{z_i^\top w_c + b_c}}
        + \frac{1}{2 C} \|W\|^2, \qquad C = 0.1,

    less the logarithm of each class's share of the training rows: scores are means over the classes, in which a rare
    one counts like any other.

    Args:
        z: training rows; of more than 5000, as many that are spread evenly over the classes.
        classes: their classes.
        held_out: rows whose classes are asked for.

    Source: the frozen probes of K26, section 4.
    """
    from sklearn.linear_model import LogisticRegression

    by_class = np.argsort(classes, kind="stable")
    some = by_class[np.arange(min(len(z), _MOST_ROWS)) * len(z) // min(len(z), _MOST_ROWS)]
    z, classes = z[some], classes[some]
    if (classes == classes[0]).all():
        return np.full(len(held_out), classes[0])
    mean, unit = z.mean(0), inverse_scales(z.var(0), z.mean(0))
    fitted = LogisticRegression(C=_C, max_iter=2000).fit((z - mean) * unit, classes)
    present, counts = np.unique(classes, return_counts=True)
    odds = fitted.predict_log_proba((held_out - mean) * unit) - np.log(counts)
    return present[np.argmax(odds, axis=1)]


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
