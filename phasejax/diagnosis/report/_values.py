"""The values that a report's template lays out, taken from a diagnosis; plain numbers, names and sentences."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from phasejax._version import __version__
from phasejax.diagnosis._estimates import PARAMETERS, RATIOS
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._predicted_scores import SINGLE
from phasejax.plotting import REGIME_COLOURS
from phasejax.theory import Regime, SpikedModel, ca_boundary, cp_boundary

REGIME_MEANINGS = {
    Regime.NEITHER: "neither alignment nor predicting y from x puts the labelled signal above the nuisance",
    Regime.CA_ONLY: "alignment recovers the labelled signal, predicting y from x follows nuisance",
    Regime.CP_ONLY: "predicting y from x recovers the labelled signal, alignment follows nuisance",
    Regime.BOTH: "alignment and predicting y from x both recover the labelled signal"}
RATIO_MEANINGS = {
    "delta_ca": "separation ratio of alignment, which recovers the labelled signal above 1",
    "delta_cp": "separation ratio of predicting y from x, which recovers it above 1",
    "delta_cp_reverse": "separation ratio of predicting x from y, which recovers it above 1"}
_METHODS = {"moments": "moment matching"}
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


def page_values(diagnosis: MomentDiagnosis, diagram: PhaseDiagram | None, sources: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs besides the drawings, by the names that it uses."""
    return {
        "diagnosis": diagnosis,
        **_headline(diagnosis),
        "regimes": [{"name": member.value, "colour": colour, "meaning": REGIME_MEANINGS[member],
                     "probability": diagnosis.probabilities[member.value]}
                    for member, colour in REGIME_COLOURS.items()],
        "likeliest": _regime(diagnosis.likeliest),
        "diagram": diagram,
        "hidden_draws": int(np.sum(~drawable_ratios(diagnosis))),
        "draws": len(diagnosis.draws["delta_ca"]),
        **_sensitivity(diagnosis, diagram),
        "estimates": [{"name": name, "meaning": meaning, "estimate": diagnosis.estimates[name]}
                      for name, meaning in (RATIO_MEANINGS | PARAMETERS).items()],
        "method": _METHODS.get(diagnosis.method, diagnosis.method),
        "sources": dict(sources),
        "written": f"{datetime.now().astimezone():%d %B %Y, %H:%M %Z}",
        "versions": f"phasejax {__version__}, jax {jax.__version__}, numpy {np.__version__}, "
                    f"Python {platform.python_version()}"}


def _headline(diagnosis: MomentDiagnosis) -> dict[str, Any]:
    """What to do, why, and whether regime and predicted scores point to the same choice."""
    action, _, why = diagnosis.recommendation.partition(":")
    # The regime has a line of its own on the page.
    why = why.strip().replace(f" (regime {diagnosis.verdict})", "").replace(f"; regime {diagnosis.verdict})", ")")
    return {"action": action.rstrip("."), "why": why[:1].upper() + why[1:],
            "scores_overrule_regime": not _scores_agree_with_regime(diagnosis)}


def _scores_agree_with_regime(diagnosis: MomentDiagnosis) -> bool:
    """Whether what the scores recommend is what the likeliest regime says recovers the signal; True without scores."""
    scores, likeliest = diagnosis.predicted_scores, diagnosis.likeliest
    if scores is None:
        return True
    recovered = {"CA": likeliest in (Regime.CA_ONLY, Regime.BOTH),
                 "CP x->y": likeliest in (Regime.CP_ONLY, Regime.BOTH),
                 "CP y->x": diagnosis.reverse_probability >= 0.5}
    predicted = scores.score(diagnosis.objective).low > scores.chance
    if diagnosis.objective in SINGLE or not predicted:
        return not any(recovered.values())
    return recovered[diagnosis.objective]


def _sensitivity(diagnosis: MomentDiagnosis, diagram: PhaseDiagram | None) -> dict[str, Any]:
    """The changes that lead to another regime, nearest first, and the parameters whose change leads nowhere."""
    changes = diagnosis.sensitivity() if diagram else ()
    meanings = {name: meaning.partition(",")[0] for name, meaning in PARAMETERS.items()}
    return {
        "changes": [{"name": change.parameter, "meaning": meanings[change.parameter], "factor": change.factor,
                     "before": diagnosis.estimates[change.parameter].value,
                     "after": diagnosis.estimates[change.parameter].value * change.factor,
                     "regime": _regime(change.regime)} for change in changes if change.regime],
        "without_effect": [meanings[change.parameter] for change in changes if not change.regime]}


def _regime(member: Regime) -> dict[str, str]:
    return {"name": member.value, "colour": REGIME_COLOURS[member], "meaning": REGIME_MEANINGS[member]}
