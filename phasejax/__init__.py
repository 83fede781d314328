"""When to align, when to predict: theory, simulation and diagnosis of multimodal representation learning.

CA stands for cross-modal alignment, CP for cross-modal prediction, and K26 for Kamai, Van Assel,
Regev, Perets and Balestriero, *When to Align, When to Predict*, arXiv 2606.11190.
"""

import importlib
from typing import TYPE_CHECKING

from phasejax._version import __version__
from phasejax.covariance import (
    Covariances,
    covariances_from_samples,
    population_covariances,
    signal_covariances,
)
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
from phasejax.regimes import Regime
from phasejax.sampling import (
    PairedSample,
    colour,
    random_basis,
    sample_covariances,
    sample_pairs,
    white_wishart,
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
    from phasejax import datasets, plotting
    from phasejax.diagnosis import Diagnosis, diagnose
    from phasejax.quantities import QUANTITIES, Cell, Quantity
    from phasejax.sweeps import sweep

# Names whose modules need more than JAX (xarray, matplotlib, scikit-learn): imported on first use.
_LAZY = {"sweep": "sweeps", "QUANTITIES": "quantities", "Quantity": "quantities", "Cell": "quantities",
         "diagnose": "diagnosis", "Diagnosis": "diagnosis", "datasets": None, "plotting": None}


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
    "Alignment",
    "Cell",
    "Covariances",
    "Diagnosis",
    "FiniteSample",
    "PairedSample",
    "Prediction",
    "Quantity",
    "Regime",
    "SpikedModel",
    "__version__",
    "ca_boundary",
    "canonical_correlations",
    "colour",
    "covariances_from_samples",
    "cp_boundary",
    "datasets",
    "delta_ca",
    "delta_cp",
    "delta_cp_reverse",
    "diagnose",
    "encoder_norm",
    "finite_sample",
    "hard_bottleneck",
    "linear_probe",
    "mean_squared_sine",
    "plotting",
    "population_covariances",
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
    "white_wishart",
    "xi",
]
