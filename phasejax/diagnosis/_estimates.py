"""From the posterior of moment matching to estimates in the units of the data.

The parameters of the posterior are in units of the leading signal's variance, the same in both views. The scale of each
view, which no statistic depends on, turns them into units of the data.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from phasejax.diagnosis._moment_matching import Posterior
from phasejax.diagnosis._simulator import Design
from phasejax.theory import Regime

RATIOS = ("delta_ca", "delta_cp", "delta_cp_reverse")
# Parameters of the model in the order in which reports list them, and the meaning of each.
PARAMETERS = {
    "kappa": "strength of the strongest signal, root of x units times y units",
    "nu": "correlation of the correlated nuisance",
    "gamma_x": "noise variance on x's signals, x units squared",
    "gamma_y": "noise variance on y's signals, y units squared",
    "nuisance_x": "nuisance variance of x, x units squared",
    "nuisance_y": "nuisance variance of y, y units squared",
    "decay": "by which share each signal is weaker than the one before",
    "uncorrelated": "share of the nuisance coordinates without correlation",
    "label_share": "share of the label directions that the signals explain",
}
NAMES = (*RATIOS, *PARAMETERS)
# Names whose values are shares, between 0 and 1 but for rounding.
SHARES = ("nu", "label_share")
# Draws of the posterior that a diagnosis keeps.
_KEPT_DRAWS = 400


@dataclass(frozen=True)
class Estimate:
    """A number with the ends of its interval, whose level is the confidence of the diagnosis."""

    value: float
    low: float
    high: float


def likeliest(probabilities: dict[str, float]) -> Regime:
    """The regime of highest probability."""
    return Regime(max(probabilities, key=lambda name: probabilities[name]))


def summarise_posterior(posterior: Posterior, design: Design, joint: Float[np.ndarray, "s s"], confidence: float,
                        seed: int) -> dict[str, Any]:
    """Estimates, regime probabilities and kept draws of a posterior, in data units.

    Args:
        posterior: from `match_moments`.
        design: of the data.
        joint: covariance of (x, y, labels), for the scale of each view.
        confidence: level of the intervals.
        seed: of the sampling error of the scales.

    Returns:
        Fields of `MomentDiagnosis`: estimates, probabilities, reverse_probability, reduced_chi2, draws.
    """
    gamma_x, gamma_y, nu, nuisance_x, nuisance_y, label, decay, uncorrelated = posterior.draws.T
    gamma_x, gamma_y, nuisance_x, nuisance_y = np.exp([gamma_x, gamma_y, nuisance_x, nuisance_y])
    signals = np.sum((1 - decay[:, None]) ** (2 * np.arange(design.k)), axis=1)
    # The mean variance of a view's columns fixes the unit of the draws, the leading signal's variance.
    rng, d_x = np.random.default_rng(seed), design.d_x
    scale_x = _scales(rng, joint[:d_x, :d_x], design.n, len(signals))
    scale_y = _scales(rng, joint[d_x:d_x + design.d_y, d_x:d_x + design.d_y], design.n, len(signals))
    unit_x = scale_x * design.d_x / (signals + design.k * gamma_x + (design.d_x - design.k) * nuisance_x)
    unit_y = scale_y * design.d_y / (signals + design.k * gamma_y + (design.d_y - design.k) * nuisance_y)
    draws = dict(zip(RATIOS, np.exp(posterior.log_ratios.T), strict=True)) | {
        "kappa": (unit_x * unit_y) ** 0.25, "nu": expit(nu), "gamma_x": gamma_x * unit_x,
        "gamma_y": gamma_y * unit_y, "nuisance_x": nuisance_x * unit_x, "nuisance_y": nuisance_y * unit_y,
        "decay": decay, "uncorrelated": uncorrelated, "label_share": expit(label),
        "signal_x": unit_x, "signal_y": unit_y}
    tails = np.array([0.5, (1 - confidence) / 2, (1 + confidence) / 2])
    above = posterior.log_ratios > 0
    codes = above[:, 0] + 2 * above[:, 1]
    kept = np.linspace(0, len(codes) - 1, _KEPT_DRAWS).astype(int)
    return {"estimates": {name: Estimate(*map(float, np.quantile(values, tails))) for name, values in draws.items()},
            "probabilities": {regime.value: float(np.mean(codes == regime.code)) for regime in Regime},
            "reverse_probability": float(above[:, 2].mean()), "reduced_chi2": posterior.reduced_chi2,
            "draws": {name: values[kept] for name, values in draws.items()}}


def _scales(rng, covariance, n, draws):
    """Draws of the mean variance of a column, with its sampling error: var(tr S) = 2 tr(S^2) / n."""
    mean = np.trace(covariance) / len(covariance)
    return mean * np.exp(rng.standard_normal(draws) * np.sqrt(2 * np.sum(covariance**2) / n) / np.trace(covariance))
