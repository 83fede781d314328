"""From a pilot data set to a plan: pairs and labels that a larger study of the same kind needs.

The model planned for is the spiked model that matches the pilot's moments, in the medians of its parameters. How well
it is known is the pilot's matter: near a boundary the pairs grow as one over the squared distance from it. So plans are
also made at draws of the posterior of the pilot's parameters. The draws are a stratified sample: equally spaced ones in
the order of the separation ratio on which the plan depends most.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._saved import from_file
from phasejax.theory import Plan, SpikedModel, plan

# Probability of the pilot's likeliest regime from which nothing is said about it.
_SURE = 0.9
# Ratio that decides for each objective of a plan.
_RATIOS = {"CA": "delta_ca", "CP": "delta_cp", "CP y->x": "delta_cp_reverse"}
_RANGES = ("pairs", "pairs_stated", "labels")


@checked
def plan_from_pilot(pilot: Diagnosis | MomentDiagnosis, *, probability: float = 0.9, error: float | None = None,
                    label_r2: float | int | None = None, draws: int = 12,
                    progress: bool | ProgressCallback = False) -> Plan:
    """How many pairs and labels decide the regime, or reach an error, in data like those of a pilot.

    .. math::  \\mathrm{plan}(\\text{the spiked model that matches the pilot's moments})

    Args:
        pilot: a diagnosis with a fit of the spiked model. One that was saved without its draws gives no intervals.
        probability, error: as in `phasejax.theory.plan`.
        label_r2: share of the labels' variance that the signals explain; the pilot's estimate when left out.
        draws: of the pilot's posterior, at each of which a plan is made (a second or so) for the intervals; 0 for none.
        progress: False, True for a bar on a terminal, or a callback.

    Returns:
        The plan, with intervals of the pilot's level (`Plan.ranges`), in which a draw counts with its own regime, and
        with a warning where no spiked model describes the pilot, and where the pilot leaves the regime open.

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
    check_count("draws", draws, 0, 1000)
    given, estimates = label_r2, {name: one.value for name, one in fit.estimates.items()}

    def planned(values):
        r2 = float(np.clip(values["label_share"], 1e-6, 1)) if given is None else given
        return plan(_model_of(fit, values), probability=probability, error=error, label_r2=r2)

    found = planned(estimates)
    ranges: dict[str, tuple[float, float]] = {}
    if draws and fit.draws:
        order = np.argsort(fit.draws[_RATIOS[found.objective]])
        places = order[((np.arange(draws) + 0.5) / draws * len(order)).astype(int)]
        counts = []
        with reporting(progress) as tell:
            for number, place in enumerate(places):
                of_draw = planned({name: float(values[place]) for name, values in fit.draws.items()})
                counts.append([np.inf if getattr(of_draw, name) is None else getattr(of_draw, name)
                               for name in _RANGES])
                tell("plan, draws of the pilot", number + 1, draws)
        ends = ((1 - fit.confidence) / 2, (1 + fit.confidence) / 2)
        ranges = {name: _interval(np.array(column), ends) for name, column in zip(
            _RANGES, np.transpose(counts), strict=True)}
    return replace(found, ranges=ranges, range_level=fit.confidence if ranges else None,
                   warnings=(*found.warnings, *_warnings(fit)))


def _interval(values, ends):
    """Quantiles of a stratified sample, whose k-th smallest value stands for the share (k - 1/2) / draws."""
    found = np.sort(values)
    shares = (np.arange(len(found)) + 0.5) / len(found)
    low, high = (float(found[int(np.argmin(np.abs(shares - end)))]) for end in ends)
    return low, high


def load_pilot(path: str | Path) -> Diagnosis | MomentDiagnosis:
    """Read the diagnosis that `to_json` wrote, with or without its draws.

    Raises:
        ValueError: a file that is missing, no JSON, or no diagnosis by content or by moments.
    """
    def read(saved):
        by_moments = isinstance(saved, dict) and saved.get("method") == "moments"
        return (MomentDiagnosis if by_moments else Diagnosis).from_dict(saved)

    return from_file(path, read)


def _model_of(fit: MomentDiagnosis, e: Mapping[str, float]) -> SpikedModel:
    """The model of estimates or of a draw, in units in which both views carry the signal alike."""
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
