"""Does a diagnosis of images or features foretell which objective trains the better encoder on them?

What is diagnosed is what a practitioner has before training: pairs of which some have labels. The frozen probes of
`evaluate` measure, in every cell of the grid, whether alignment or prediction of y from x makes the better encoder of
x.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count
from phasejax.deep import Experiment, pilot_embeddings
from phasejax.deep._grid import DIMS, TrainedGrid, cells_of
from phasejax.deep.data._sources import open_source
from phasejax.diagnosis._diagnose import Pilot, diagnose
from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._scoring import fair_scores
from phasejax.diagnosis._sources import SOURCES, weights_of
from phasejax.io import encode_labels
from phasejax.io._fold_view import FoldView
from phasejax.io._inspection import LEAST_MEMBERS
from phasejax.io._labels import enough_members
from phasejax.io._reduction import PrincipalComponents

# Accuracies that differ by less than so many standard errors of the difference are a tie.
_TIE = 2.0
# Training rows that the diagnosis sees at most, most of them without labels: the minibatches of a convolutional pilot
# would repeat fewer many times.
_MOST_ROWS = 16_000
# Principal components of either view that closed forms see.
_COMPONENTS = 64
# Folds, steps and weight decay of the pilot. 300 steps are a third of the training of the quick preset, and enough for
# either objective to find the shape on pairs of a seed (7) that this preset does not have. The weight decay is the
# one between those that a pilot on few rows chooses from.
_FOLDS, _STEPS, _DECAY = 2, 300, 0.006
# Least number of rows in a minibatch of alignment: on few rows correlations are large whatever the encoders do, and in
# 300 steps of 128 rows it learns little of the shape.
_LEAST_BATCH = 256


@checked
def compare_with_diagnosis(trained: TrainedGrid, scores: xr.Dataset, *, alignment: str = "vicreg", rows: int = 2000,
                           k: int | None = None, pilot: Pilot = True,
                           progress: bool | ProgressCallback = False) -> xr.Dataset:
    """The difference of CA and CP that is foretold for each cell from its pairs, beside the one that was measured.

    For every cell the diagnosis sees the training pairs, at most 16,000, and the labels of the first `rows`. Closed
    forms work on 64 principal components of either view. The pilot trains, on two folds, small networks for 300
    minibatches of the experiment's size, or 256 rows for CA, with the widths of the experiment's networks.

    Args:
        trained: a grid whose objectives include cp and `alignment`.
        scores: what `evaluate` found in that grid; the largest probe size is used.
        alignment: the objective that stands for alignment, CA.
        rows: number of labelled rows.
        k: outputs of the encoders in closed form and of the pilot's for CA; those of the experiment's projection when
            left out. The pilot's encoder for CP has as many outputs as the experiment's embedding.
        pilot: what the pilot trains, as in `diagnose`; False for none.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every cell.

    Returns:
        A dataset over (jitter, noise, seed). Foretold: `predicted`, the balanced accuracy of CA minus that of CP x->y,
        as the weighted mean over the sources, its standard error `predicted_error`, and `by_source` with a dimension
        `source` (linear, lifted, pilot); whether the choice between the two is `decided` and `sure`; `seen`, whether
        the views are found to share something that concerns the labels; the likeliest `regime` at this number of rows
        and its `probability`. From the trained encoders: `measured`, the accuracy of CA minus that of CP; its standard
        error `error`; and `tie`, whether the difference is at most two standard errors. Of the cells that are no tie
        `agreement` is the share where `predicted` has the sign of `measured`, `agreement_pilot` that where the pilot's
        difference has it, `agreement_decided` that of the decided ones among them where `predicted` has it. Each is NaN
        where no cell counts.

    Raises:
        ValueError: an objective that is missing in the grid, or more labelled rows than there are.
    """
    experiment = trained.experiment
    for name in (alignment, "cp"):
        if name not in experiment.objectives:
            raise ValueError(f"trained: expected the objective {name}, got {', '.join(experiment.objectives)}")
    check_count("rows", rows)
    accuracy = scores["accuracy"].isel(probe_size=-1)
    aligned, predicting = (accuracy.sel(objective=name, drop=True).drop_vars("probe_size", errors="ignore")
                           for name in (alignment, "cp"))
    measured = (aligned - predicting).transpose(*DIMS)
    # Both probes are tested on the same rows, so that the error of the difference is at most this.
    error = cast(xr.DataArray, np.sqrt((aligned * (1 - aligned) + predicting * (1 - predicting)) / experiment.test))
    source, cells = open_source(experiment), cells_of(experiment)
    seen = min(experiment.train, _MOST_ROWS)
    found = []
    with reporting(progress) as advance:
        for number, place in enumerate(product(experiment.jitters, experiment.noises, range(experiment.seeds))):
            views = jax.jit(source.views)(jax.tree.map(lambda leaf, number=number: leaf[number], cells),
                                          jnp.arange(seen))
            foretold = _foretell(experiment, np.asarray(views.x), np.asarray(views.y),
                                 np.asarray(views.label)[:min(rows, seen)], k or experiment.projection, pilot)
            found.append(foretold)
            advance(f"cells diagnosed (the last one, {', '.join(map(str, place))}: CA - CP {foretold.difference:+.2f})",
                    len(found), measured.size)

    def by_cell(values):
        return DIMS, np.array(list(values)).reshape(measured.shape)

    sources = [source for source in SOURCES if source in found[0].by_source]
    result = xr.Dataset({
        "predicted": by_cell(one.difference for one in found), "predicted_error": by_cell(one.error for one in found),
        **{name: by_cell(getattr(one, name) for one in found)
           for name in ("decided", "sure", "seen", "regime", "probability")},
        "by_source": ((*DIMS, "source"), np.reshape([[one.by_source.get(source, np.nan) for source in sources]
                                                     for one in found], (*measured.shape, len(sources)))),
        "measured": measured, "error": error.transpose(*DIMS),
    }, coords={**{name: scores[name] for name in DIMS}, "source": sources})
    return result.assign(tie=abs(result.measured) <= _TIE * result.error).pipe(_with_agreement)


@dataclass(frozen=True)
class _Foretold:
    """What is foretold of a cell: CA minus CP, by source and together, and the regime."""

    difference: float
    error: float
    by_source: Mapping[str, float]
    decided: bool
    sure: bool
    seen: bool
    regime: str
    probability: float


def _foretell(experiment: Experiment, x: Float[np.ndarray, "n *x"], y: Float[np.ndarray, "n *y"],
              labels: Int[np.ndarray, "m"], k: int, pilot: Pilot) -> _Foretold:
    (of_x, scored_x), (of_y, scored_y) = (_principal_components(view.reshape(len(view), -1), len(labels))
                                          for view in (x, y))
    # Classes too small to cross-validate are no labels, for the scores as for the diagnosis.
    labelled = np.flatnonzero(enough_members(labels, "class", LEAST_MEMBERS)[0])
    labels = labels[labelled]
    columns = encode_labels(labels, len(labels), "class")
    k = min(k, of_x.shape[1] - 1, of_y.shape[1] - 1)
    diagnosis = diagnose(of_x, of_y, labels, labelled=labelled, k=k, fit=False, predicted_scores=False,
                         label_kind="class")
    scores = fair_scores(scored_x, scored_y, columns, labelled, kind="class", k=k, folds=_FOLDS,
                         pilot=_pilot(experiment, x, y, k, pilot) if pilot else None)
    aligned = "CA" if experiment.probed == "both" else "CA of x"
    choice = replace(diagnosis, scores=(scores,)).best((aligned, "CP x->y"))
    by_source = {one: scores.values[one][aligned] - scores.values[one]["CP x->y"] for one in scores.sources
                 if {aligned, "CP x->y"} <= scores.values[one].keys()}
    return _Foretold(
        difference=float(np.average(list(by_source.values()), weights=weights_of(list(by_source)))),
        error=_error(scores, aligned, list(by_source)),
        by_source=by_source, decided=choice.decided, sure=choice.sure, seen=diagnosis.seen,
        regime=diagnosis.content.likeliest(k).value,
        probability=max(diagnosis.content.probabilities[diagnosis.content.ks.index(k)]))


def _error(scores: FairScores, aligned: str, sources: list[str]) -> float:
    """Standard error of the mean difference by the rows that were scored, and by the sources that disagree."""
    draws = np.array([scores.draws.of[one][aligned] - scores.draws.of[one]["CP x->y"] for one in sources])
    return float(np.hypot(np.average(draws, axis=0, weights=weights_of(sources)).std(),
                          draws.mean(1).std() / np.sqrt(len(sources))))


def _pilot(experiment: Experiment, x: np.ndarray, y: np.ndarray, k: int, pilot: Pilot
           ) -> Callable[[np.ndarray], dict[str, Any]]:
    """What trains, without each fold, encoders whose outputs are as wide as what the frozen probes see."""
    def train(fold):
        found = {}
        for objective, width, batch in (("CA", k, max(experiment.batch, _LEAST_BATCH)),
                                        ("CP x->y", experiment.embedding, experiment.batch)):
            found |= pilot_embeddings(x, y, fold, width, encoder="auto" if pilot is True else cast(Any, pilot),
                                      steps=_STEPS, batch=batch, learning_rate=experiment.learning_rate,
                                      widths=experiment.widths, hidden=experiment.hidden, weight_decays=(_DECAY,),
                                      objectives=(objective,))
        return found

    return train


def _principal_components(rows: Float[np.ndarray, "n d"], fitted: int) -> tuple[Float[np.ndarray, "n c"], FoldView]:
    """Rows in the leading principal components of the first ones, fewer where these have no more, and fold by fold."""
    first = rows[:fitted].astype(np.float64)
    most = min(_COMPONENTS, int(np.linalg.matrix_rank(first - first.mean(0))))
    found = PrincipalComponents.fit(first, most, standardise=False).transform(rows.astype(np.float64))
    return found, FoldView(rows, most, among=np.arange(len(rows)) < fitted)


def _with_agreement(result: xr.Dataset) -> xr.Dataset:
    """The dataset with the shares of cells where what is foretold and what was measured have the same sign."""
    clear, winner = ~result.tie, np.sign(result.measured)
    right = np.sign(result.predicted) == winner
    piloted = (result.by_source.sel(source="pilot", drop=True) if "pilot" in result.source.values
               else xr.full_like(result.measured, np.nan))
    return result.assign(
        agreement=right.where(clear).mean(), agreement_decided=right.where(clear & result.decided).mean(),
        agreement_pilot=(np.sign(piloted) == winner).where(clear & piloted.notnull()).mean())
