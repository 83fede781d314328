"""What a diagnosis foretells for heads on frozen features, beside what their training measured."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax.deep import HeadPrediction, TrainedHeads
from phasejax.diagnosis._decision import INDIFFERENT
from phasejax.diagnosis._diagnose import diagnose
from phasejax.io import InputNote

_FORETOLD = ("CA", "CP x->y", "CP y->x")


@checked
def compare_heads(found: TrainedHeads, *, progress: bool | ProgressCallback = False) -> TrainedHeads:
    """Trained heads with what a diagnosis foretells for each target, from rows that no head was tested on.

    The diagnosis sees the rows that heads were trained and validated on, without the same confounders, and k is their
    bottleneck. It names the best of CA, CP x->y and CP y->x by its own scores, or none where it sees nothing shared.
    Measured scores are those of test rows, where CA is the alignment objective that does best on validation rows. Both
    agree where the foretold objective's measured score is less than 0.02 below the best one.

    Args:
        found: from `phasejax.deep.train_heads`.
        progress: False, True for bars on a terminal, or a callback.

    Returns:
        The same with `predictions`, one for each target that is no nuisance.

    Raises:
        ValueError: scores that were read back, without their rows.
    """
    if found.data is None:
        raise ValueError("found: expected heads with their rows, got scores that were read back without them")
    rows, predictions = found.data, []
    seen = np.flatnonzero((rows.part == 0) | (rows.part == 1))
    targets = [target for target in rows.targets if not target.nuisance]
    with reporting(progress) as tell:
        for target in targets:
            labelled = np.flatnonzero(target.known[seen])
            labels = target.values[seen][labelled]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InputNote)  # said when heads were trained
                predictions.append(_foretold(
                    found, target.name, rows.x[seen], rows.y[seen],
                    labels.astype(int) if target.kind == "class" else labels, labelled=labelled, label_kind=target.kind,
                    groups=None if rows.groups is None else rows.groups[seen], progress=tell,
                    confounders={name: values[seen] for name, values in rows.confounders.items()} or None))
    return replace(found, predictions=tuple(predictions))


def _foretold(found: TrainedHeads, target: str, x: np.ndarray, y: np.ndarray, labels: np.ndarray, **options: Any
              ) -> HeadPrediction:
    own = [one for one in found.scores if one.target == target and one.main and np.isfinite(one.value)]
    aligned = max((one for one in own if one.objective.startswith("CA ")), key=lambda one: one.validation,
                  default=None)
    measured = {one.objective: one.value for one in own if one.objective in _FORETOLD}
    measured |= {} if aligned is None else {"CA": aligned.value}
    among = tuple(name for name in _FORETOLD if name in measured)
    best = max(among, key=lambda name: measured[name]) if among else None
    nothing = HeadPrediction(target=target, scores={}, predicted=None, decided=False, measured=best, regret=None,
                             agrees=None)
    if best is None or len(among) < 2:
        return replace(nothing, reason="it takes two of CA, CP x->y and CP y->x")
    try:
        diagnosis = diagnose(x, y, labels, k=found.bottleneck, fit=False, **options)
    except ValueError as error:
        return replace(nothing, reason=str(error))
    if not diagnosis.seen:
        return replace(nothing, reason=diagnosis.shared.reason())
    choice = diagnosis.best(among)
    regret = measured[best] - measured[choice.name]
    return replace(nothing, scores={name: float(choice.scores[name]) for name in among}, predicted=choice.name,
                   decided=choice.decided, regret=float(regret), agrees=bool(regret < INDIFFERENT))
