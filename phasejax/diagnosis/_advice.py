"""TODO module docstring of diagnosis._advice."""


from sklearn.base import BaseEstimator
from sklearn.preprocessing import FunctionTransformer

from phasejax.diagnosis._result import Diagnosis
from phasejax.linear import CrossAlignment, CrossPrediction


def choose_estimator(diagnosis: Diagnosis, **options) -> BaseEstimator:
    """The estimator that a diagnosis recommends, not fitted.

    Args:
        diagnosis: from `diagnose`.
        options: shrinkage and ridge of the estimator.

    Returns:
        `CrossAlignment` or `CrossPrediction` with the diagnosis's k; where it says to keep a single
        modality, scikit-learn's identity (`FunctionTransformer`), for that modality's columns.
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
