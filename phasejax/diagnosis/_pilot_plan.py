"""From a pilot data set to a plan: pairs and labels that a larger study of the same kind needs.

The model planned for is the spiked model that matches the pilot's moments, in the medians of its parameters. How well
it is known is the pilot's matter: near a boundary the pairs grow as one over the squared distance from it.
"""

from pathlib import Path

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._saved import from_file
from phasejax.theory import Plan, SpikedModel, plan

# Probability of the pilot's likeliest regime from which nothing is said about it.
_SURE = 0.9


@checked
def plan_from_pilot(pilot: Diagnosis | MomentDiagnosis, *, probability: float = 0.9, error: float | None = None,
                    label_r2: float | int | None = None) -> Plan:
    """How many pairs and labels decide the regime, or reach an error, in data like those of a pilot.

    .. math::  \\mathrm{plan}(\\text{the spiked model that matches the pilot's moments})

    Args:
        pilot: a diagnosis with a fit of the spiked model; draws are not needed.
        probability, error: as in `phasejax.theory.plan`.
        label_r2: share of the labels' variance that the signals explain; the pilot's estimate when left out.

    Returns:
        The plan, with a warning where no spiked model describes the pilot, and where the pilot leaves the regime open.

    Raises:
        ValueError: a pilot without a fit, or one in which the views share nothing that concerns the labels.

    Source: `phasejax.theory.plan` at the estimates of `phasejax.diagnosis.MomentDiagnosis`.

    >>> from phasejax.datasets import load_digit_halves
    >>> from phasejax import diagnose
    >>> x, y, labels = load_digit_halves()
    >>> pilot = diagnose(x[:300], y[:300], labels[:300], k=2, fit=False, predicted_scores=False)
    >>> plan_from_pilot(pilot)
    Traceback (most recent call last):
    ...
    ValueError: pilot: expected a diagnosis with a fit of the spiked model (diagnose with fit), got one without
    """
    if isinstance(pilot, Diagnosis) and not pilot.seen:
        raise ValueError("pilot: expected views that share a signal which concerns the labels, got a diagnosis that "
                         f"sees none: {pilot.shared.reason()}")
    fit = pilot.fit if isinstance(pilot, Diagnosis) else pilot
    if fit is None:
        raise ValueError("pilot: expected a diagnosis with a fit of the spiked model (diagnose with fit), got one "
                         "without")
    if label_r2 is None:
        label_r2 = float(np.clip(fit.estimates["label_share"].value, 1e-6, 1))
    found = plan(_typical_model(fit), probability=probability, error=error, label_r2=label_r2)
    return Plan(**{**vars(found), "warnings": (*found.warnings, *_warnings(fit))})


def load_pilot(path: str | Path) -> Diagnosis | MomentDiagnosis:
    """Read the diagnosis that `to_json` wrote, with or without its draws.

    Raises:
        ValueError: a file that is missing, no JSON, or no diagnosis by content or by moments.
    """
    def read(saved):
        by_moments = isinstance(saved, dict) and saved.get("method") == "moments"
        return (MomentDiagnosis if by_moments else Diagnosis).from_dict(saved)

    return from_file(path, read)


def _typical_model(fit: MomentDiagnosis) -> SpikedModel:
    """The model of the estimates, in units in which both views carry the signal alike."""
    e = {name: one.value for name, one in fit.estimates.items()}
    scale = {view: e["kappa"] ** 2 / e[f"signal_{view}"] if f"signal_{view}" in e else 1.0 for view in ("x", "y")}
    shared = min(fit.d_x, fit.d_y) - fit.k
    correlated = max(1, round((1 - e["uncorrelated"]) * shared))
    return SpikedModel.create(
        e["kappa"] * (1 - e["decay"]) ** np.arange(fit.k), np.where(np.arange(shared) < correlated, e["nu"], 0.0),
        d=fit.d_x, d_y=fit.d_y, gamma_x=e["gamma_x"] * scale["x"], gamma_y=e["gamma_y"] * scale["y"],
        nuisance_x=e["nuisance_x"] * scale["x"], nuisance_y=e["nuisance_y"] * scale["y"])


def _warnings(fit):
    if fit.fits_badly:
        yield (f"no spiked model describes the pilot (reduced chi-squared {significant(fit.reduced_chi2)}): the plan "
               "is that of the nearest one, and may be far from what these data need.")
    likeliest = fit.likeliest.value
    if fit.probabilities[likeliest] < _SURE:
        yield (f"the pilot leaves the regime open ({likeliest} {significant(fit.probabilities[likeliest], 2)}): so "
               "near to a boundary the pairs needed may be many times more or fewer.")
