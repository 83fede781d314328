"""TODO module docstring of diagnosis._diagnose."""

import math

import numpy as np
from threadpoolctl import threadpool_limits

from phasejax.diagnosis._paired_data import paired_rows
from phasejax.diagnosis._result import Diagnosis, moment_matching_diagnosis
from phasejax.diagnosis._spectral import classify_spectra
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.io import Table, encode_labels
from phasejax.io._arrays import check_views


def diagnose(x, y, labels, *, method: str = "moments", k: int | None = None, labelled=None,
             confidence: float = 0.9, label_kind: str = "auto", predicted_scores: bool = True, seed: int = 0
             ) -> Diagnosis | SpectralDiagnosis:
    """Which objective recovers, from paired data, what the labels measure.

    "moments" looks for the spiked model under which the statistics of simulated data are those
    of these (`calibration`), and reports the regime with its probability, intervals for the
    ratios and parameters, and cross-validated scores of what each objective would yield
    (`outcome.predict_outcome`). Computed in float64 from second moments.

    "spectral" is the published algorithm: components of C (alignment) and of A (prediction) count as
    signal or as nuisance by how well their scores predict held-out labels, and the ratio is the least
    signal value over the largest nuisance value. Its known weakness: components that carry
    shared signal the labels do not measure count as nuisance, and at small n / d it names the wrong
    regime often.

    Args:
        x: one view, shape (n, d_x), n > d_x, finite numbers; an array, or a `tables.Table` of any
            length, which is read in blocks. Spectra and predicted scores then rest on 50,000 rows.
        y: the other view, rows paired with x's, shape (n, d_y), n > d_y.
        labels: shape (m,) or (m, L): classes (integers, booleans, text) or real values.
        method: "moments" or "spectral".
        k: shared signals, 1 <= k < min(d_x, d_y); when left out, the number of label directions that
            a view predicts beyond chance. Signals beyond k count as nuisance.
        labelled: the m rows that have labels, as indices; all rows when left out. The others inform the
            covariances.
        confidence: level of the intervals, and probability from which a regime is stated.
        label_kind: "class" or "real" instead of guessing from the labels' type.
        predicted_scores: whether to predict scores.
        seed: of simulation, folds and bootstrap.

    Raises:
        ValueError: an input that no answer could rest on, in one line.

    Source: "spectral", K26, Algorithm 1.

    >>> from phasejax.datasets import load_digit_halves
    >>> diagnose(*load_digit_halves(), method="spectral").regime
    <Regime.NEITHER: 'Neither'>
    """
    if method == "spectral":
        if k is not None or labelled is not None:
            raise ValueError("k, labelled: expected none with method 'spectral', which counts signals itself and "
                             "needs all labels")
        views = (view.rows(0, len(view)) if isinstance(view, Table) else view for view in (x, y))
        return _spectral(*check_views(*views), labels, label_kind)
    if method != "moments":
        raise ValueError(f"method: expected 'moments' or 'spectral', got {method!r}")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence: expected a number from 0.5 to below 1, got {confidence}")
    data = paired_rows(x, y, labels, labelled, label_kind, seed)
    return moment_matching_diagnosis(data, k=k, confidence=confidence, predicted_scores=predicted_scores, seed=seed)


def _spectral(x, y, labels, label_kind):
    columns = encode_labels(labels, len(x), label_kind)
    with threadpool_limits(1):  # on a busy machine BLAS threads wait for each other longer than they compute
        found = classify_spectra(x, y, columns)
    signal = found.pls.values[found.pls.is_signal]
    kappa_squared = float(signal.mean()) if signal.size else 0.0
    nuisance = found.ca.values[~found.ca.is_signal]
    return SpectralDiagnosis(
        method="spectral", n=len(x), d_x=x.shape[1], d_y=y.shape[1], label_columns=columns.shape[1],
        ca=found.ca, cp=found.cp, cp_reverse=found.cp_reverse, pls=found.pls,
        kappa=math.sqrt(kappa_squared),
        # The largest is left out where there are enough: it may be signal the labels miss.
        nu=float(nuisance[1] if nuisance.size >= 3 else np.max(nuisance, initial=0)),
        gamma_x=max(found.variances_x.signal - kappa_squared, 0.0),
        gamma_y=max(found.variances_y.signal - kappa_squared, 0.0),
        nuisance_x=found.variances_x.nuisance, nuisance_y=found.variances_y.nuisance,
        dominance_x=found.variances_x.dominance, dominance_y=found.variances_y.dominance,
        warnings=tuple(_warnings(x, y, found)))


def _warnings(x, y, found):
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
