"""What a report says of the fitted spiked model: the phase diagram around it, its estimates, what would change them."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from phasejax.diagnosis._estimates import PARAMETERS, RATIOS
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis.report._evidence import regime_words
from phasejax.theory import Regime, SpikedModel, ca_boundary, cp_boundary

RATIO_MEANINGS = {
    "delta_ca": "separation ratio of alignment, which recovers the labelled signal above 1",
    "delta_cp": "separation ratio of predicting y from x, which recovers it above 1",
    "delta_cp_reverse": "separation ratio of predicting x from y, which recovers it above 1"}
_GRID = 241
# Parameters without which there is no model to draw: the first six are those of the homogeneous model.
_NEEDED = (*RATIOS, *tuple(PARAMETERS)[:6], "signal_x", "signal_y")


@dataclass(frozen=True)
class PhaseDiagram:
    """Both boundaries over kappa for the model of a diagnosis, with the colour under its medians.

    Args:
        model: a typical draw of the likeliest regime, whose other parameters the diagram holds fixed.
        kappa: strength of the strongest signal, the horizontal axis.
        ca, cp: the nu at which Delta_CA = 1 and Delta_CP = 1, which the weakest signal decides.
        weakest: strength of the weakest signal in units of the strongest's.
        at_medians: the regime whose colour lies under the medians of kappa and nu.
    """

    model: SpikedModel
    kappa: Float[np.ndarray, "p"]
    ca: Float[np.ndarray, "p"]
    cp: Float[np.ndarray, "p"]
    weakest: float
    at_medians: Regime


def phase_diagram(diagnosis: MomentDiagnosis) -> PhaseDiagram | None:
    """The phase diagram around a diagnosis, 241 values of kappa; None where no draw makes a model.

    The axis holds all draws and at least a factor of 3 on either side, at most a factor of 300 around the median.
    """
    if not _has_model(diagnosis):
        return None
    model, median = diagnosis.model, diagnosis.kappa
    weakest = float(model.kappa[-1] / model.kappa[0])
    draws = diagnosis.draws["kappa"]
    seen = np.append(draws[np.isfinite(draws) & (draws > 0)], median)
    kappa = np.geomspace(max(seen.min() / 3, median / 300), min(3 * seen.max(), 300 * median), _GRID)
    strengths = weakest * np.append(kappa, median)
    with jax.enable_x64(True):
        ca = np.asarray(ca_boundary(strengths, model.gamma_x[0], model.gamma_y[0]))
        cp = np.asarray(cp_boundary(strengths, model.gamma_x[0], model.nuisance_y[0]))
    at_medians = Regime.from_code((diagnosis.nu < ca[-1]) + 2 * (diagnosis.nu < cp[-1]))
    return PhaseDiagram(model, kappa, ca[:-1], cp[:-1], weakest, at_medians)


def _has_model(diagnosis: MomentDiagnosis) -> bool:
    """Whether the diagnosis has a model: estimates and at least one draw are finite, with a signal in both views."""
    medians = np.array([diagnosis.estimates[name].value for name in (*PARAMETERS, "signal_x", "signal_y")])
    positive = all(diagnosis.estimates[name].value > 0 for name in ("kappa", "signal_x", "signal_y"))
    draws = np.array([diagnosis.draws[name] for name in _NEEDED])
    return bool(np.isfinite(medians).all()) and positive and bool(_finite_and_positive(draws).any())


def drawable_ratios(diagnosis: MomentDiagnosis) -> Bool[np.ndarray, "m"]:
    """The draws that have a place in the plane of the separation ratios: both are finite and above 0."""
    return _finite_and_positive(np.array([diagnosis.draws[name] for name in RATIOS[:2]]))


def _finite_and_positive(draws: Float[np.ndarray, "names m"]) -> Bool[np.ndarray, "m"]:
    return np.logical_and.reduce(np.isfinite(draws) & (draws > 0), axis=0)


def described_fit(diagnosis: Diagnosis) -> MomentDiagnosis | None:
    """The fit, if there is one that describes the data and something shared that it could be about."""
    fit = diagnosis.fit
    return fit if diagnosis.seen and fit is not None and not fit.fits_badly else None


def fit_values(fit: MomentDiagnosis, diagram: PhaseDiagram | None) -> dict[str, Any]:
    """What the template says of a fit, by the names that it uses."""
    return {
        "diagnosis": fit, "diagram": diagram, "likeliest": regime_words(fit.likeliest),
        "hidden_draws": int(np.sum(~drawable_ratios(fit))), "draws": len(fit.draws["delta_ca"]),
        **_sensitivity(fit, diagram),
        "estimates": [{"name": name, "meaning": meaning, "estimate": fit.estimates[name]}
                      for name, meaning in (RATIO_MEANINGS | PARAMETERS).items()]}


def _sensitivity(diagnosis: MomentDiagnosis, diagram: PhaseDiagram | None) -> dict[str, Any]:
    """The changes that lead to another regime, nearest first, and the parameters whose change leads nowhere."""
    changes = diagnosis.sensitivity() if diagram else ()
    meanings = {name: meaning.partition(",")[0] for name, meaning in PARAMETERS.items()}
    return {
        "changes": [{"name": change.parameter, "meaning": meanings[change.parameter], "factor": change.factor,
                     "before": diagnosis.estimates[change.parameter].value,
                     "after": diagnosis.estimates[change.parameter].value * change.factor,
                     "regime": regime_words(change.regime)} for change in changes if change.regime],
        "without_effect": [meanings[change.parameter] for change in changes if not change.regime]}
