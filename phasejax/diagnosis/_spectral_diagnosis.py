"""Diagnosis by the published algorithm: components are classified by the labels, and the spectra give the regime."""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from phasejax.diagnosis._paired_data import in_like_units
from phasejax.diagnosis._spectral import SpectralEstimate, classify_spectra
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.diagnosis._units import view_in_like_units
from phasejax.io import encode_labels
from phasejax.io._labels import resolved_kind


def diagnose_by_spectra(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], labels: np.ndarray,
                        labelled: Int[np.ndarray, "m"] | None, label_kind: str, ridge: str) -> SpectralDiagnosis:
    """Algorithm 1 of K26 on checked views.

    Args:
        x, y: views that can be whitened.
        labels: of the labelled rows, shape (m,) or (m, L).
        labelled: these rows; None if all rows have labels, in order.
        label_kind: "class" or "real".
        ridge: "relative" or "published", as in `diagnose`.
    """
    of_units = ()
    if ridge == "relative":
        (x, of_x), (y, of_y) = view_in_like_units("x", x), view_in_like_units("y", y)
        of_units = of_x + of_y
    columns = encode_labels(labels, len(x) if labelled is None else len(labelled), label_kind)
    columns = in_like_units(columns, resolved_kind(labels, label_kind))
    with threadpool_limits(1):  # on a busy machine BLAS threads wait for each other longer than they compute
        found = classify_spectra(x, y, columns, labelled=labelled, ridge=ridge)
    signal = found.pls.values[found.pls.is_signal]
    kappa_squared = float(signal.mean()) if signal.size else 0.0
    nuisance = found.ca.values[~found.ca.is_signal]
    return SpectralDiagnosis(
        method="spectral", n=len(x), d_x=x.shape[1], d_y=y.shape[1], label_columns=columns.shape[1],
        ca=found.ca, cp=found.cp, cp_reverse=found.cp_reverse, pls=found.pls,
        kappa=math.sqrt(kappa_squared),
        # Where there are enough values the largest is left out: it may belong to signal that the labels miss.
        nu=float(nuisance[1] if nuisance.size >= 3 else np.max(nuisance, initial=0)),
        gamma_x=max(found.variances_x.signal - kappa_squared, 0.0),
        gamma_y=max(found.variances_y.signal - kappa_squared, 0.0),
        nuisance_x=found.variances_x.nuisance, nuisance_y=found.variances_y.nuisance,
        dominance_x=found.variances_x.dominance, dominance_y=found.variances_y.dominance,
        warnings=(*of_units, *_spectral_limits(x, y, found)))


def _spectral_limits(x: np.ndarray, y: np.ndarray, found: SpectralEstimate) -> Iterator[str]:
    n, d = len(x), x.shape[1] + y.shape[1]
    if n <= d:
        yield (f"n = {n} is not above d_x + d_y = {d}: some canonical correlations are 1 by construction, "
               "and alignment cannot be judged.")
    elif n < 10 * d:
        yield f"n = {n} is below 10 (d_x + d_y) = {10 * d}: sample spectra are biased, and the regime is uncertain."
    if not found.ca.is_signal.any():
        yield "no component of alignment predicts the labels."
    if not found.cp.is_signal.any():
        yield "no component of predicting y from x predicts the labels."
