r"""How much the label content of single samples scatters around the expected one, to leading order in 1/n.

Let H be the sample's second moments less the population's, of coordinates of unit variance. A signal i and a nuisance
component j mix by angles that are linear in H: for alignment, the component's x- and y-vectors have at i

.. math::
    \delta w = \frac{r_j e_1 + r_i e_2}{r_j^2 - r_i^2}, \quad \delta v = \frac{r_i e_1 + r_j e_2}{r_j^2 - r_i^2}, \quad
    e_1 = H_{x_i y_j} - r_j H_{x_i x_j}, \quad e_2 = H_{x_j y_i} - r_j H_{y_i y_j}

with r the population correlations. For predicting y from x, with covariances c = r b^{1/2} of whitened x and variances
b of y,

.. math::
    \delta w = \frac{c_j (H_{x_i y_j} - c_j H_{x_i x_j}) + c_i H_{x_j y_i}}{c_j^2 - c_i^2}, \quad
    \delta v = \frac{c_i\, \delta w + H_{x_j y_i}}{c_j b_i} - \frac{H_{y_i y_j}}{b_i b_j}.

The content that component j takes from signal i is proportional to the product of both: the loss 1 - s is a sum of
quadratic forms h' Q h of Gaussian vectors h of covariance V / n, of mean tr(Q V) / n and of covariance
2 tr(Q V Q' V) / n^2 between two objectives. A nuisance coordinate that is hardly correlated still has a sample value;
r_j^2 is therefore raised by what chance adds, (1 - r_j^2) q / n with q the larger number of nuisance coordinates.

The diagonal of H moves the values themselves, and the loss with its derivative by each: of variance (1 - r^2)^2 / n
for alignment, (b - c^2 / 2) / n for prediction, and of covariance b^{1/2} (1 - 3 r^2 / 2 + r^4 / 2) / n between both.
Near a boundary this is as large as the first part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from phasejax.theory._model import SpikedModel

# Step of the derivatives by a canonical correlation.
_STEP = 1e-6
# Relative distance of two values that counts as none.
_TIE = 1e-9


def values(model: SpikedModel, objective: int) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "p"]]:
    """Population singular values of signals and nuisance: of C for objective 0, of A for objective 1."""
    signal = np.asarray(model.kappa, np.float64) ** 2
    of_x, of_y, nu = signal + model.gamma_x, signal + model.gamma_y, np.asarray(model.nu, np.float64)
    tau = signal / np.sqrt(np.where(of_x > 0, of_x, 1))
    if objective == 0:
        return tau / np.sqrt(np.where(of_y > 0, of_y, 1)), nu
    return tau, nu * np.sqrt(np.asarray(model.nuisance_y, np.float64)[:len(nu)])


def recovered(model: SpikedModel, objective: int, factor: float | int = 1) -> Bool[np.ndarray, "k"]:
    """Which signals are among the k leading values, after nuisance of the same value, once nuisance is scaled."""
    signal, nuisance = values(model, objective)
    before = np.argsort(np.argsort(-signal, kind="stable"), kind="stable")
    return before + np.sum(factor * nuisance * (1 + _TIE) >= signal[:, None], 1) < model.k


@dataclass(frozen=True)
class LossSpread:
    """Scatter of the losses 1 - s of alignment and of prediction over samples, relative to the losses expected.

    Args:
        mixing: covariance, over the product of the means, of what mixing of signals and nuisance takes; (2, 2).
        moved: the same of what moving values take.
        loss: mean losses of leading order, times n.
    """

    mixing: Float[np.ndarray, "2 2"]
    moved: Float[np.ndarray, "2 2"]
    loss: Float[np.ndarray, "2"]

    @property
    def variance(self) -> Float[np.ndarray, "2"]:
        """Relative variance of each loss."""
        return np.diag(self.mixing + self.moved)

    @property
    def correlation(self) -> float:
        """Correlation of both losses."""
        both = self.mixing + self.moved
        scale = np.sqrt(both[0, 0] * both[1, 1])
        return float(np.clip(both[0, 1] / scale, -1, 1)) if scale > 0 else 0.0


def loss_spread(model: SpikedModel, n: float | int) -> LossSpread:
    """Scatter of both losses, of the signals that each objective recovers (of all, where it recovers none), at n pairs.

    On a boundary means and variances are infinite or NaN.
    """
    kappa, gamma_x, gamma_y, nu, nuisance_y = (np.asarray(getattr(model, name), np.float64)
                                               for name in ("kappa", "gamma_x", "gamma_y", "nu", "nuisance_y"))
    raised = min((max(model.d_x, model.d_y) - model.k) / n, 1)
    kept = [recovered(model, objective) for objective in (0, 1)]
    kept = [one if np.any(one & (kappa > 0)) else np.ones_like(one) for one in kept]
    signals, of_signals = np.unique(np.stack([kappa, kappa**2 + gamma_x, kappa**2 + gamma_y, *kept], 1)[kappa > 0],
                                    axis=0, return_counts=True)
    *signals, kept_ca, kept_cp = signals.T
    kept = kept_ca[:, None], kept_cp[:, None]
    nuisances, of_nuisances = np.unique(np.stack([nu, nuisance_y[:len(nu)]], 1), axis=0, return_counts=True)
    kappa, variance_x, b_i = (column[:, None] for column in signals)
    r_i, (nu, b_j) = kappa**2 / np.sqrt(variance_x * b_i), nuisances.T
    count = of_signals[:, None] * of_nuisances
    # Covariances of a signal's label with x whitened and with y, over those with all signals.
    weight = kappa**2 / np.sqrt(variance_x) / np.sum(of_signals[:, None] * kappa**4 / (variance_x * b_i))

    def losses(objective, r_i, nu):
        """Q V of every pair of a signal and a nuisance coordinate."""
        r_j = np.sqrt(nu**2 + (1 - nu**2) * raised)
        form, covariance = _forms(objective, *np.broadcast_arrays(r_i, r_j, b_i, b_j, nu))
        return (kept[objective] * weight)[..., None, None] * form @ covariance

    def trace(product):
        return np.trace(product, axis1=-2, axis2=-1)

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mixed = [losses(objective, r_i, nu) for objective in (0, 1)]
        mean = np.array([np.sum(count * trace(one)) for one in mixed])
        mixing = np.array([[2 * np.sum(count * trace(one @ other)) for other in mixed] for one in mixed])
        by_signal, by_nuisance = [], []
        for objective, here in enumerate(mixed):
            signal = trace(losses(objective, r_i + _STEP, nu)) - trace(here)
            nuisance = trace(losses(objective, r_i, nu + _STEP)) - trace(here)
            by_signal.append(np.sum(of_nuisances * signal, 1) / _STEP)
            by_nuisance.append(np.sum(of_signals[:, None] * nuisance, 0) / _STEP)
        moved = sum(np.einsum("at,bt,abt,t->ab", slopes, slopes, _covariance_of_values(values), counts)
                    for slopes, values, counts in ((np.array(by_signal), r_i[:, 0], of_signals),
                                                   (np.array(by_nuisance), nu, of_nuisances)))
        scale = np.outer(mean, mean)
        return LossSpread(mixing / scale, moved / (scale * n), mean)


def _covariance_of_values(r):
    """Covariances, times n, of the sample values of a coordinate in alignment and in prediction (over b^{1/2})."""
    both = 1 - 1.5 * r**2 + r**4 / 2
    return np.array([[(1 - r**2) ** 2, both], [both, 1 - r**2 / 2]])


def _forms(objective, r_i, r_j, b_i, b_j, nu):
    """Q and V over (x_i x_j, x_i y_j, x_j y_i, y_i y_j), y in its units, for each signal and nuisance coordinate."""
    one, zero = np.ones_like(r_i), np.zeros_like(r_i)
    unit = np.stack([one, np.sqrt(b_j), np.sqrt(b_i), np.sqrt(b_i * b_j)], -1)
    both = r_i * r_j
    correlations = np.stack([np.stack(row, -1) for row in (
        (one, r_j, r_i, both), (r_j, one, both, r_i), (r_i, both, one, r_j), (both, r_i, r_j, one))], -2)
    covariance = correlations * unit[..., :, None] * unit[..., None, :]
    c_i, c_j = r_i * np.sqrt(b_i), r_j * np.sqrt(b_j)
    if objective == 0:
        gap = (nu**2 - r_i**2)[..., None]
        first = np.stack([-r_j, 1 / np.sqrt(b_j), zero, zero], -1)
        second = np.stack([zero, zero, 1 / np.sqrt(b_i), -r_j / np.sqrt(b_i * b_j)], -1)
        of_x = (r_j[..., None] * first + r_i[..., None] * second) / gap
        of_y = (r_i[..., None] * first + r_j[..., None] * second) / gap * (r_j / np.sqrt(b_i))[..., None]
    else:
        gap = (nu**2 * b_j - c_i**2)[..., None]
        of_x = np.stack([-c_j**2, c_j, c_i, zero], -1) / gap
        of_y = (c_i[..., None] * of_x + np.stack([zero, zero, one, zero], -1)) / b_i[..., None]
        of_y = of_y - np.stack([zero, zero, zero, c_j / (b_i * b_j)], -1)
    outer = of_x[..., :, None] * of_y[..., None, :]
    return (outer + np.swapaxes(outer, -1, -2)) / 2, covariance
