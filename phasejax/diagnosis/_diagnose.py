"""Diagnose paired data, by moment matching or by the published algorithm.

This is the door of the package: all input is checked here, once, and what the other modules get has been checked.
"""

import math
from dataclasses import replace
from typing import Any, Literal, cast, overload

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from phasejax._core.validation import check_choice
from phasejax.diagnosis._estimates import summarise_posterior
from phasejax.diagnosis._moment_matching import label_directions, match_moments
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._paired_data import in_like_units, paired_rows
from phasejax.diagnosis._predicted_scores import scores_of_checked_data
from phasejax.diagnosis._simulator import Design
from phasejax.diagnosis._spectral import classify_spectra
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.diagnosis._units import rows_in_like_units, view_in_like_units
from phasejax.io import Table, encode_labels
from phasejax.io._arrays import check_views
from phasejax.io._labels import resolved_kind
from phasejax.io._matching import announce, match_labelled

# Members that a class needs: as many as there are folds.
LEAST_MEMBERS = 5
# Largest gain of both views over one of them, at the upper end of its interval, that makes the other redundant.
_REDUNDANT_GAIN = 0.005


@overload
def diagnose(x: Any, y: Any, labels: Any, *, method: Literal["moments"] = "moments", k: int | None = None,
             labelled: ArrayLike | None = None, confidence: float = 0.9, label_kind: str = "auto",
             predicted_scores: bool = True, ridge: str = "relative", by_position: bool = False, missing: str = "error",
             seed: int = 0) -> MomentDiagnosis: ...


@overload
def diagnose(x: Any, y: Any, labels: Any, *, method: str, k: int | None = None,
             labelled: ArrayLike | None = None, confidence: float = 0.9, label_kind: str = "auto",
             predicted_scores: bool = True, ridge: str = "relative", by_position: bool = False, missing: str = "error",
             seed: int = 0) -> MomentDiagnosis | SpectralDiagnosis: ...


def diagnose(x: Any, y: Any, labels: Any, *, method: str = "moments", k: int | None = None,
             labelled: ArrayLike | None = None, confidence: float = 0.9, label_kind: str = "auto",
             predicted_scores: bool = True, ridge: str = "relative", by_position: bool = False, missing: str = "error",
             seed: int = 0) -> MomentDiagnosis | SpectralDiagnosis:
    """Which objective recovers, from paired data, what the labels measure.

    "moments" looks for the spiked model whose simulated data have the same statistics as these (moment
    matching), and reports the regime with its probability, intervals for the separation ratios and the parameters,
    and the cross-validated scores of the representation that each objective learns (`predict_scores`). It
    computes in float64 from second moments.

    "spectral" is the published algorithm: components of C (alignment) and of A (prediction) count as
    signal or as nuisance by how well their scores predict held-out labels, and the ratio is the least
    signal value over the largest nuisance value. Its known weakness: components that carry shared
    signal which the labels do not measure count as nuisance, and at small n / d it often names the
    wrong regime.

    Neither depends on the units of a view as a whole, except for what is reported in them. Where standard deviations
    of a view's columns differ by more than a factor of 1000, each column is divided by its own, with a warning, since
    prediction weighs columns by their variance.

    Args:
        x: one view, shape (n, d_x), n > d_x, finite numbers; an array, DataFrame, file or whatever else
            `phasejax.io.as_named` takes, or a `phasejax.io.Table` of any length, which is read in blocks.
            Spectra and predicted scores then rest on 50,000 rows.
        y: the other view, shape (n, d_y), n > d_y. Rows are matched with x's by identifiers where both have them (the
            index of a DataFrame), else by position (`phasejax.io.match_rows`).
        labels: shape (m,) or (m, L): classes (integers, booleans, text, floats that are a few whole numbers) or real
            values, of which several columns count alike whatever their units. They are matched as y is; rows without
            a label, or with a missing one, and those of classes with fewer than 5 rows are unlabelled.
        method: "moments" or "spectral".
        k: shared signals, 1 <= k < min(d_x, d_y); when left out, the number of label directions that
            a view predicts beyond chance. Signals beyond k count as nuisance.
        labelled: the m rows that have labels, as indices; all rows when left out. The other rows
            count for the covariances.
        confidence: level of the intervals, and probability from which a regime is stated.
        label_kind: "class" or "real" instead of guessing from the labels' type.
        predicted_scores: whether to predict the scores of representations, the slower part for long tables.
        ridge: "published" for the absolute ridge of the published algorithm, 1e-6 in squared units of the data, with
            method "spectral" only: its answer depends on the units of the data. The default adds nothing to views
            that are whitened by an orthogonal decomposition of their rows, and does not depend on units.
        by_position: pair rows by position although there are identifiers.
        missing: what to do about missing values in the views: "error", "drop" keeps complete rows, "mean" fills in
            the means of columns, taken over all rows.
        seed: of simulation, folds and bootstrap.

    Returns:
        A `MomentDiagnosis`, by method "spectral" a `SpectralDiagnosis`.

    Raises:
        ValueError: an input that no answer could rest on, in one line.

    Source: "spectral", K26, Algorithm 1.

    >>> from phasejax.datasets import load_digit_halves
    >>> diagnose(*load_digit_halves(), method="spectral").regime
    <Regime.NEITHER: 'Neither'>
    """
    check_choice("ridge", ridge, ("relative", "published"))
    if method not in ("moments", "spectral"):
        raise ValueError(f"method: expected 'moments' or 'spectral', got {method!r}")
    if method == "spectral" and (k is not None or labelled is not None):
        raise ValueError("k, labelled: expected none with method 'spectral', which counts signals itself and "
                         "needs all labels")
    if method == "moments" and ridge == "published":
        raise ValueError("ridge: expected 'relative' with method 'moments', got 'published'")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence: expected a number from 0.5 to below 1, got {confidence}")
    matched, kind = match_labelled(x, y, labels, labelled=labelled, label_kind=label_kind, by_position=by_position,
                                   missing=missing, least_members=LEAST_MEMBERS)
    of_rows = cast(np.ndarray, matched.labels)  # None is refused where labels are encoded
    if method == "spectral":
        views = (view.rows(0, len(view)) if isinstance(view, Table) else view for view in (matched.x, matched.y))
        found = _spectral(*check_views(*views), of_rows, matched.labelled, kind, ridge)
    else:
        data = paired_rows(matched.x, matched.y, of_rows, matched.labelled, kind, seed)
        found = _moments(data, k, confidence, predicted_scores, seed)
    announce((*matched.readings, *matched.notes))
    return replace(found, warnings=(*matched.notes, *found.warnings))


def _moments(data, k, confidence, predicted_scores, seed):
    data, of_units = rows_in_like_units(data)
    top = min(data.d_x, data.d_y) - 1
    if k is not None and not 1 <= k <= top:
        raise ValueError(f"k: expected 1 to min(d_x, d_y) - 1 = {top}, got {k}")
    if top < 1:
        raise ValueError("x, y: expected at least 2 columns each, one for signal and one for nuisance")
    q = data.q
    signals = min(label_directions(data.joint, data.d_x, data.d_y, q, data.m), top) if k is None else k
    design = Design(data.d_x, data.d_y, q, signals, data.n - 1, data.m - 1)
    # The simulations keep all cores busy. Threads of BLAS beside them would wait for each other.
    with threadpool_limits(1):
        posterior = match_moments(data.joint, design, without=data.without, seed=seed)
        spectra = classify_spectra(data.x, data.y, data.encoded, labelled=data.labelled, signals=signals)
        scores = scores_of_checked_data(data.x, data.y, data.encoded, k=signals, kind=data.kind,
                                        labelled=data.labelled, seed=seed) if predicted_scores else None
    found = MomentDiagnosis(
        method="moments", n=data.n, labelled=data.m, d_x=data.d_x, d_y=data.d_y, label_columns=q, k=signals,
        k_estimated=k is None, confidence=confidence, ca=spectra.ca, cp=spectra.cp, cp_reverse=spectra.cp_reverse,
        predicted_scores=scores, **summarise_posterior(posterior, design, data.joint, confidence, seed))
    return replace(found, warnings=(*of_units, *_limits(found, data.views_share_a_column)))


def _limits(diagnosis, views_share_a_column):
    """What limits the answer of a diagnosis, one sentence each."""
    d, scores = diagnosis.d_x + diagnosis.d_y, diagnosis.predicted_scores
    if diagnosis.n <= d:
        yield (f"n = {diagnosis.n} is not above d_x + d_y = {d}: the spectrum is saturated, some canonical "
               "correlations are 1 by construction.")
    elif diagnosis.n < 3 * d:
        yield f"n = {diagnosis.n} is below 3 (d_x + d_y) = {3 * d}: expect wide intervals."
    if views_share_a_column:
        yield "a combination of x's columns is a copy of one of y's: alignment will find the copy first."
    if diagnosis.fits_badly:
        yield (f"no spiked model describes these data well (reduced chi-squared {diagnosis.reduced_chi2:.1f}): "
               "intervals are widened, and predicted scores say more than the regime.")
    if not diagnosis.labels_predicted:
        yield ("the labels are weak: no representation predicts them reliably better than chance. The views may share "
               "nothing that the labels measure, or rows may not be paired; no regime is stated.")
    elif diagnosis.regime is None:
        yield "the data do not decide between regimes: a ratio is near 1 within its interval."
    if scores is not None and scores.gain("x and y").high <= _REDUNDANT_GAIN:
        single = scores.best_single
        other = "x" if single == "y" else "y"
        yield f"{other} is redundant for these labels: beside {single} it adds nothing to the predicted score."


def _spectral(x, y, labels, labelled, label_kind, ridge):
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


def _spectral_limits(x, y, found):
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
