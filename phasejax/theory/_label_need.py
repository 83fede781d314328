r"""How many labelled rows tell the label content of a model from a threshold.

In whitened canonical coordinates, with x- and y-covariances alpha and beta of each signal with its label, share R of
the label explained and M = diag(m_l) r_l, where m_l = 1 - s for what the k directions keep and -s for the rest,

.. math::
    \zeta_1 = R \sum_l m_l^2 r_l^2\, (\alpha_l^2 + \beta_l^2 + 2 \rho_l^2 + 4 R \rho_l^2), \qquad
    \zeta_2 = 2 k \sum_j m_j^2 r_j^2 (1 + r_j^2), \qquad A = 2 R \sum_l \rho_l^2

for k labels of unit variance; sums with l are over signals, with j over all coordinates. Sample values of the nuisance
stand for r_j, raised by chance as in `_content_spread`.
"""

import math

import numpy as np
from scipy.stats import norm

from phasejax.theory._model import SpikedModel

# What `diagnose` asks for: probability of a regime that is stated, standard errors of the label's predictable part, and
# labelled rows.
STATED, LEAST_Z, LEAST_LABELS = 0.9, 2.0, 8


def labels_needed(model: SpikedModel, objective: int, content: float, threshold: float, n: float | int,
                  probability: float, label_r2: float | int) -> float:
    """Labelled rows from which a diagnosis of n pairs tells the content from the threshold; infinite where it cannot.

    Args:
        model: the spiked model.
        objective: 0 for alignment, 1 for predicting y from x.
        content: expected content of n pairs.
        threshold: 0.8 for a regime.
        n: number of pairs.
        probability: with which the regime is to be stated.
        label_r2: share of the labels' variance that the signals explain.
    """
    signal = np.asarray(model.kappa) ** 2
    alpha, beta = (np.sqrt(signal / np.where(signal > 0, signal + noise, 1))
                   for noise in (model.gamma_x, model.gamma_y))
    rho, nu, k = alpha * beta, np.asarray(model.nu), model.k
    chance = (max(model.d_x, model.d_y) - k) / n
    nuisance = np.sqrt(nu**2 + (1 - nu**2) * min(chance, 1))
    whole = 2 * label_r2 * np.sum(rho**2)
    if whole == 0 or content == threshold:
        return math.inf
    if objective == 0:
        ranks = np.concatenate([rho, nu])
    else:
        ranks = np.concatenate([rho * np.sqrt(signal + model.gamma_y), nu * np.sqrt(model.nuisance_y[:len(nu)])])
    kept = np.zeros(len(ranks))
    kept[np.argsort(-ranks, kind="stable")[:k]] = 1

    def labels(factors, distance):
        """Least m at which `distance` is that many standard errors: a quadratic equation in 1 / m."""
        first = label_r2 * np.sum(factors[:k] ** 2 * rho**2 * (alpha**2 + beta**2 + (2 + 4 * label_r2) * rho**2))
        values = np.concatenate([rho, nuisance])
        second = 2 * k * np.sum(factors**2 * values**2 * (1 + values**2))
        a, b, c = 2 * second, 4 * first, (whole * distance) ** 2
        return 2 * a / (math.sqrt(b**2 + 4 * a * c) - b) if a > 0 else b / c

    power = norm.ppf(probability)
    return float(max(labels(kept - content, abs(content - threshold) / (norm.ppf(STATED) + power)),
               labels(np.ones(len(ranks)), 1 / (LEAST_Z + power)), LEAST_LABELS))
