"""Does the diagnosis of encoder features foretell which objective wins?

The features are what a practitioner has before choosing an objective: embeddings of x and of y by encoders that were
trained without labels and without each other, those of prediction in either direction. Moment matching sees these
features with their labels. The frozen probes of `evaluate` measure, in every cell of the grid, whether alignment or
prediction of y from x makes the better encoder.
"""

from itertools import product
from typing import cast

import numpy as np
import xarray as xr

from phasejax._core.progress import ProgressCallback, reporting
from phasejax.deep._evaluation import FrozenEncoders
from phasejax.deep._grid import DIMS, TrainedGrid
from phasejax.diagnosis._diagnose import diagnose
from phasejax.theory import Regime

# The objective whose encoder gives the features of each view.
FEATURES = {"x": "cp", "y": "cp_reverse"}
# Accuracies that differ by less than so many standard errors of the difference are a tie.
_TIE = 2.0


def compare_with_diagnosis(trained: TrainedGrid, scores: xr.Dataset, *, alignment: str = "vicreg",
                           rows: int = 2000, components: int = 16,
                           progress: bool | ProgressCallback = False) -> xr.Dataset:
    """The regime and the winner that moment matching predicts for each cell, beside the winner that was measured.

    Args:
        trained: a grid whose objectives include cp, cp_reverse and `alignment`.
        scores: what `evaluate` found in that grid; the largest probe size is used.
        alignment: the objective that stands for alignment, CA.
        rows: the diagnosis sees at most so many training rows, with their labels.
        components: number of leading principal components of either view's features that the diagnosis sees.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every cell, with
            the verdict on it in parentheses.

    Returns:
        A dataset over (jitter, noise, seed). From the diagnosis: the likeliest `regime` and its `probability`,
        `delta_ca`, `delta_cp`, `reduced_chi2`, and `predicted`, the balanced accuracy of CA minus that of CP x->y, as
        predicted on the features. From the trained encoders: `measured`, the accuracy of CA minus that of CP x->y; its
        standard error `error`; and `tie`, whether the difference is at most two standard errors. Two numbers
        summarise the cells that are no tie: `agreement`, the share of them where `predicted` and `measured` have the
        same sign, and `agreement_regime`, among those of them whose regime is CA only or CP only, the share where the
        objective that the regime names has won. Each is NaN where no cell counts.

    Raises:
        ValueError: an objective that is missing in the grid.
    """
    experiment = trained.experiment
    for name in (alignment, *FEATURES.values()):
        if name not in experiment.objectives:
            raise ValueError(f"trained: expected the objective {name}, got {', '.join(experiment.objectives)}")
    encoders, diagnosed_rows = FrozenEncoders(trained), np.arange(min(rows, experiment.train))
    accuracy = scores["accuracy"].isel(probe_size=-1)
    aligned, predicting = (accuracy.sel(objective=name, drop=True).drop_vars("probe_size", errors="ignore")
                           for name in (alignment, "cp"))
    measured = (aligned - predicting).transpose(*DIMS)
    # Both probes are tested on the same rows, so that the error of the difference is at most this.
    error = cast(xr.DataArray, np.sqrt((aligned * (1 - aligned) + predicting * (1 - predicting)) / experiment.test))
    found = []
    cells = product(experiment.jitters, experiment.noises, range(experiment.seeds))
    with reporting(progress) as advance:
        for jitter, noise, seed in cells:
            views = {view: encoders.embed(objective, diagnosed_rows, jitter=jitter, noise=noise, seed=seed)
                     for view, objective in FEATURES.items()}
            x, y = (_principal_components(views[view].embeddings, components) for view in ("x", "y"))
            found.append(diagnose(x, y, views["x"].labels, method="moments"))
            advance(f"cells diagnosed (the last one: {found[-1].verdict})", len(found), measured.size)

    def by_cell(values):
        return DIMS, np.array(list(values)).reshape(measured.shape)

    likeliest = [one.likeliest for one in found]
    result = xr.Dataset({
        "regime": by_cell(one.value for one in likeliest),
        "probability": by_cell(one.probabilities[regime.value] for one, regime in zip(found, likeliest, strict=True)),
        "delta_ca": by_cell(one.delta_ca for one in found), "delta_cp": by_cell(one.delta_cp for one in found),
        "reduced_chi2": by_cell(one.reduced_chi2 for one in found),
        "predicted": by_cell(one.predicted_scores.score("CA").value - one.predicted_scores.score("CP x->y").value
                             for one in found),
        "measured": measured,
        "error": error.transpose(*DIMS),
    }, coords={name: scores[name] for name in DIMS})
    return result.assign(tie=abs(result.measured) <= _TIE * result.error).pipe(_with_agreement)


def _with_agreement(result):
    """The dataset with the shares of cells where diagnosis and measurement agree."""
    decided = ~result.tie
    # +1 where the regime names CA as the winner, -1 where it names CP, 0 where it names neither.
    named = xr.where(result.regime == Regime.CA_ONLY.value, 1, xr.where(result.regime == Regime.CP_ONLY.value, -1, 0))
    winner = np.sign(result.measured)
    return result.assign(agreement=(np.sign(result.predicted) == winner).where(decided).mean(),
                         agreement_regime=(named == winner).where(decided & (named != 0)).mean())


def _principal_components(features, components):
    """The leading principal components of features, or all of them where there are fewer."""
    centred = features.astype(np.float64) - features.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    # Directions without variance, which a collapsed encoder has, are left out.
    kept = np.flatnonzero(values > 1e-9 * values[-1])[-components:]
    return centred @ vectors[:, kept[::-1]]
