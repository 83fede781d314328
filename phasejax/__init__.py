"""When to align, when to predict: theory, simulation and diagnosis of multimodal representation learning.

CA stands for cross-modal alignment, CP for cross-modal prediction, and K26 for Kamai, Van Assel,
Regev, Perets and Balestriero, *When to Align, When to Predict*, arXiv 2606.11190.
"""

import importlib
from typing import TYPE_CHECKING

from phasejax._version import __version__
from phasejax.covariance import (
    Covariances,
    Whitened,
    covariances_from_samples,
    population_covariances,
    signal_covariances,
)
from phasejax.crossings import Crossing, nearest_boundary
from phasejax.elasticities import Sensitivity, sensitivity
from phasejax.linalg import principal_angles, top_k_eigenspace, top_k_projector
from phasejax.metrics import (
    encoder_norm,
    mean_squared_sine,
    prediction_mse,
    projector_distance,
    recovered_count,
    separation_ratio,
    signal_components,
    signal_directions,
    squared_overlaps,
)
from phasejax.model import SpikedModel
from phasejax.objectives import (
    cp_loss,
    deepcca_loss,
    info_nce_loss,
    joint_loss,
    vicreg_loss,
    vicreg_multiplicities,
)
from phasejax.regimes import Regime
from phasejax.sampling import (
    PairedSample,
    bartlett_factor,
    colour,
    colour_whitened,
    random_basis,
    sample_covariances,
    sample_pairs,
)
from phasejax.solvers import (
    Alignment,
    Prediction,
    canonical_correlations,
    linear_probe,
    regression_singular_values,
    solve_ca,
    solve_ca_probe,
    solve_cp,
    solve_joint,
)
from phasejax.theory import (
    FiniteSample,
    ca_boundary,
    cp_boundary,
    delta_ca,
    delta_cp,
    delta_cp_reverse,
    finite_sample,
    hard_bottleneck,
    r_ca,
    r_cp,
    r_cp_reverse,
    ratio_bound,
    regime,
    regime_code,
    rho,
    signal_mse_ca,
    signal_mse_cp,
    soft_bottleneck_bound,
    soft_bottleneck_optimum,
    spectrum_ca,
    spectrum_cp,
    tau,
    total_mse_ca,
    total_mse_cp,
    xi,
)

if TYPE_CHECKING:
    from phasejax import alignment, datasets, plotting
    from phasejax.calibrated import CalibratedDiagnosis
    from phasejax.contrastive import train_info_nce
    from phasejax.diagnosis import Diagnosis, diagnose
    from phasejax.estimates import Estimate
    from phasejax.estimators import CrossAlignment, CrossPrediction, JointAlignmentPrediction, choose_estimator
    from phasejax.moments import Moments, accumulate
    from phasejax.monitor import Drift, compare, load_baseline
    from phasejax.outcome import Outcome, Score, predict_outcome
    from phasejax.quantities import QUANTITIES, Cell, Quantity
    from phasejax.report import write_report
    from phasejax.sweeps import sweep
    from phasejax.tables import Table, open_table
    from phasejax.training import TRAINED, Trained, train

# Names whose modules need more than JAX (xarray, matplotlib, scikit-learn, optax): imported on first use.
_LAZY = {"sweep": "sweeps", "QUANTITIES": "quantities", "Quantity": "quantities", "Cell": "quantities",
         "diagnose": "diagnosis", "Diagnosis": "diagnosis", "CalibratedDiagnosis": "calibrated",
         "Estimate": "estimates", "predict_outcome": "outcome", "Outcome": "outcome", "Score": "outcome",
         "CrossAlignment": "estimators", "CrossPrediction": "estimators", "JointAlignmentPrediction": "estimators",
         "choose_estimator": "estimators", "open_table": "tables", "Table": "tables", "Moments": "moments",
         "accumulate": "moments", "compare": "monitor", "Drift": "monitor", "load_baseline": "monitor",
         "write_report": "report", "train": "training", "Trained": "training",
         "TRAINED": "training", "train_info_nce": "contrastive", "alignment": None,
         "datasets": None, "plotting": None}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'phasejax' has no attribute {name!r}")
    module = importlib.import_module(f"phasejax.{_LAZY[name] or name}")
    value = module if _LAZY[name] is None else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return __all__


__all__ = [
    "QUANTITIES",
    "TRAINED",
    "Alignment",
    "CalibratedDiagnosis",
    "Cell",
    "Covariances",
    "CrossAlignment",
    "CrossPrediction",
    "Crossing",
    "Diagnosis",
    "Drift",
    "Estimate",
    "FiniteSample",
    "JointAlignmentPrediction",
    "Moments",
    "Outcome",
    "PairedSample",
    "Prediction",
    "Quantity",
    "Regime",
    "Score",
    "Sensitivity",
    "SpikedModel",
    "Table",
    "Trained",
    "Whitened",
    "__version__",
    "accumulate",
    "alignment",
    "bartlett_factor",
    "ca_boundary",
    "canonical_correlations",
    "choose_estimator",
    "colour",
    "colour_whitened",
    "compare",
    "covariances_from_samples",
    "cp_boundary",
    "cp_loss",
    "datasets",
    "deepcca_loss",
    "delta_ca",
    "delta_cp",
    "delta_cp_reverse",
    "diagnose",
    "encoder_norm",
    "finite_sample",
    "hard_bottleneck",
    "info_nce_loss",
    "joint_loss",
    "linear_probe",
    "load_baseline",
    "mean_squared_sine",
    "nearest_boundary",
    "open_table",
    "plotting",
    "population_covariances",
    "predict_outcome",
    "prediction_mse",
    "principal_angles",
    "projector_distance",
    "r_ca",
    "r_cp",
    "r_cp_reverse",
    "random_basis",
    "ratio_bound",
    "recovered_count",
    "regime",
    "regime_code",
    "regression_singular_values",
    "rho",
    "sample_covariances",
    "sample_pairs",
    "sensitivity",
    "separation_ratio",
    "signal_components",
    "signal_covariances",
    "signal_directions",
    "signal_mse_ca",
    "signal_mse_cp",
    "soft_bottleneck_bound",
    "soft_bottleneck_optimum",
    "solve_ca",
    "solve_ca_probe",
    "solve_cp",
    "solve_joint",
    "spectrum_ca",
    "spectrum_cp",
    "squared_overlaps",
    "sweep",
    "tau",
    "top_k_eigenspace",
    "top_k_projector",
    "total_mse_ca",
    "total_mse_cp",
    "train",
    "train_info_nce",
    "vicreg_loss",
    "vicreg_multiplicities",
    "write_report",
    "xi",
]
