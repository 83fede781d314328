"""From a diagnosis to the estimator that it recommends.

A module of its own because it alone needs scikit-learn, whose import takes longer than that of the rest.
"""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.preprocessing import FunctionTransformer

from phasejax._core.checked_call import checked
from phasejax._core.validation import did_you_mean
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._result import Diagnosis
from phasejax.linear import CrossAlignment, CrossPrediction, JointAlignmentPrediction

# What `Diagnosis.best` chooses among: what has an estimator.
_AMONG = ("CA", "CP x->y", "CP y->x")


@checked
def choose_estimator(diagnosis: Diagnosis | MomentDiagnosis, *, name: str | None = None,
                     **options: Any) -> BaseEstimator:
    """The estimator that a diagnosis recommends, not fitted.

    Args:
        diagnosis: from `diagnose`.
        name: what was chosen instead, as `Diagnosis.best` names it: "CA", "CP x->y", "CP y->x" or "joint", or a
            modality; the best objective of the diagnosis when left out.
        options: shrinkage and ridge of the estimator.

    Returns:
        `CrossAlignment`, `CrossPrediction` or `JointAlignmentPrediction` with the diagnosis's k, or as many components
        as the labels have directions where it has none; for a single modality scikit-learn's identity
        (`FunctionTransformer`), to be fitted to that modality's columns.

    Raises:
        ValueError: a diagnosis that has seen no shared signal and a name left out, or a name without estimator.

    >>> import numpy as np
    >>> from phasejax.diagnosis import diagnose
    >>> rng = np.random.default_rng(0)
    >>> signal, noise = rng.standard_normal((200, 1)), rng.standard_normal((200, 4))
    >>> x, y = np.c_[signal, noise[:, :1]] + 0.1 * noise[:, 1:3], np.c_[signal, noise[:, 3:]]
    >>> type(choose_estimator(diagnose(x, y, signal > 0, k=1, fit=False), name="CA")).__name__
    'CrossAlignment'
    """
    if isinstance(diagnosis, MomentDiagnosis):
        k, name = diagnosis.k, name or diagnosis.objective
    else:
        k = diagnosis.directions if diagnosis.k is None else diagnosis.k
        if name is None and not diagnosis.seen:
            raise ValueError("diagnosis: expected one that has seen a shared signal, or a name, got none: "
                             f"{diagnosis.shared.reason()}")
        name = name or diagnosis.best(_AMONG).name
    match name:
        case "CA":
            return CrossAlignment(k, **options)
        case "CP x->y":
            return CrossPrediction(k, direction="x_to_y", **options)
        case "CP y->x":
            return CrossPrediction(k, direction="y_to_x", **options)
        case "joint":
            return JointAlignmentPrediction(k, **options)
        case "x" | "y":
            return FunctionTransformer()
        case _:
            raise ValueError(f"name: expected one of CA, CP x->y, CP y->x, joint, x and y, got {name!r}"
                             f"{did_you_mean(name, ('CA', 'CP x->y', 'CP y->x', 'joint'))}")
