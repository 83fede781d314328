r"""Does the diagnosis of encoder features foretell which objective wins? Cell by cell.

The features are what a practitioner has before choosing: embeddings of x and of y by encoders that were trained
without labels and without each other, those of prediction in either direction. `diagnose` sees them with labels;
the frozen probes of `evaluate` measure which of alignment and prediction of y from x makes the better encoder.
"""

from itertools import product

import numpy as np
import xarray as xr

from phasejax._core.progress import ProgressCallback, reporting
from phasejax.deep._evaluation import FrozenEncoders
from phasejax.deep._grid import DIMS, TrainedGrid
from phasejax.diagnosis import diagnose
from phasejax.theory import Regime

FEATURES = {"x": "cp", "y": "cp_reverse"}  # whose encoder a view's features come from
_TIE = 2.0  # standard errors of a difference of accuracies


def compare_with_diagnosis(trained: TrainedGrid, scores: xr.Dataset, *, alignment: str = "vicreg",
                           rows: int = 2000, components: int = 16,
                           progress: bool | ProgressCallback = False) -> xr.Dataset:
    r"""The regime and the winner that `diagnose` predicts, beside the winner that was measured.

    Args:
        trained: with the objectives cp, cp_reverse and `alignment`.
        scores: from `evaluate`; of several probe sizes the largest counts.
        alignment: which objective is CA.
        rows: of the training rows, at most, with their labels.
        components: leading principal components of either view's features that are kept.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every cell, the
            verdict on it in parentheses.

    Returns:
        By (jitter, noise, seed): `regime`, the likeliest one, its `probability`, `delta_ca`, `delta_cp` and
        the `reduced_chi2`; `predicted`, the difference of the balanced accuracies that CA and CP x->y would
        reach on the features; `measured`, that of the accuracies of the trained encoders, `error`, its standard error,
        and `tie`, whether it is below two of them. `agreement` is the share of the other cells where
        both have one sign, `agreement_regime` that of those with regime CA only or CP only where the
        one so named has won; NaN without such cells.

    Raises:
        ValueError: a missing objective.
    """
    experiment = trained.experiment
    for name in (alignment, *FEATURES.values()):
        if name not in experiment.objectives:
            raise ValueError(f"trained: expected the objective {name}, got {', '.join(experiment.objectives)}")
    encoders, used = FrozenEncoders(trained), np.arange(min(rows, experiment.train))
    accuracy = scores["accuracy"].isel(probe_size=-1)
    measured = accuracy.sel(objective=alignment) - accuracy.sel(objective="cp")
    # Both probes are tested on the same rows: an upper bound of the error of the difference.
    error = np.sqrt(sum(a * (1 - a) for a in (accuracy.sel(objective=alignment), accuracy.sel(objective="cp")))
                    / experiment.test)
    found = []
    cells = product(experiment.jitters, experiment.noises, range(experiment.seeds))
    with reporting(progress) as advance:
        for jitter, noise, seed in cells:
            views = {view: encoders.embed(objective, used, jitter=jitter, noise=noise, seed=seed)
                     for view, objective in FEATURES.items()}
            features = [_principal(views[view].embeddings, components) for view in ("x", "y")]
            found.append(diagnose(*features, views["x"].labels))
            advance(f"cells diagnosed (the last one: {found[-1].verdict})", len(found), measured.size)
    shape = measured.transpose(*DIMS).shape

    def by_cell(values):
        return DIMS, np.array(list(values)).reshape(shape)

    likeliest = [one.likeliest for one in found]
    result = xr.Dataset({
        "regime": by_cell(one.value for one in likeliest),
        "probability": by_cell(one.probabilities[regime.value] for one, regime in zip(found, likeliest, strict=True)),
        "delta_ca": by_cell(one.delta_ca for one in found), "delta_cp": by_cell(one.delta_cp for one in found),
        "reduced_chi2": by_cell(one.reduced_chi2 for one in found),
        "predicted": by_cell(one.predicted_scores.score("CA").value - one.predicted_scores.score("CP x->y").value
                             for one in found),
        "measured": measured.drop_vars(["objective", "probe_size"], errors="ignore").transpose(*DIMS),
        "error": error.drop_vars(["objective", "probe_size"], errors="ignore").transpose(*DIMS),
    }, coords={name: scores[name] for name in DIMS})
    return result.assign(tie=abs(result.measured) <= _TIE * result.error).pipe(_with_rates)


def _with_rates(result):
    decided = ~result.tie
    told = xr.where(result.regime == Regime.CA_ONLY.value, 1, xr.where(result.regime == Regime.CP_ONLY.value, -1, 0))
    winner = np.sign(result.measured)
    return result.assign(agreement=(np.sign(result.predicted) == winner).where(decided).mean(),
                         agreement_regime=(told == winner).where(decided & (told != 0)).mean())


def _principal(features, components):
    """Scores of the leading principal components; all of them where there are no more."""
    centred = features.astype(np.float64) - features.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    # Directions without variance are no features: a collapsed encoder has them.
    kept = np.flatnonzero(values > 1e-9 * values[-1])[-components:]
    return centred @ vectors[:, kept[::-1]]
