"""From a diagnosis to the estimator that it recommends.

A module of its own because it alone needs scikit-learn, whose import takes longer than that of the rest.
"""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.preprocessing import FunctionTransformer

from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.linear import CrossAlignment, CrossPrediction


def choose_estimator(diagnosis: MomentDiagnosis, **options: Any) -> BaseEstimator:
    """The estimator that a diagnosis recommends, not fitted.

    Args:
        diagnosis: from `diagnose`.
        options: shrinkage and ridge of the estimator.

    Returns:
        `CrossAlignment` or `CrossPrediction` with the diagnosis's k; where it says to keep a single modality,
        scikit-learn's identity (`FunctionTransformer`), to be fitted to that modality's columns.

    >>> import numpy as np
    >>> from phasejax.diagnosis import diagnose
    >>> rng = np.random.default_rng(0)
    >>> signal, noise = rng.standard_normal((200, 1)), rng.standard_normal((200, 4))
    >>> x, y = np.c_[signal, noise[:, :1]] + 0.1 * noise[:, 1:3], np.c_[signal, noise[:, 3:]]
    >>> type(choose_estimator(diagnose(x, y, signal, method="moments", predicted_scores=False))).__name__
    'CrossAlignment'
    """
    match diagnosis.objective:
        case "CA":
            return CrossAlignment(diagnosis.k, **options)
        case "CP x->y":
            return CrossPrediction(diagnosis.k, direction="x_to_y", **options)
        case "CP y->x":
            return CrossPrediction(diagnosis.k, direction="y_to_x", **options)
        case _:
            return FunctionTransformer()
