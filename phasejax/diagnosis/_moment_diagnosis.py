"""Diagnosis by moment matching: from checked rows to regime, intervals, spectra, predicted scores and what limits them.
"""

from collections.abc import Iterator
from dataclasses import replace

from threadpoolctl import threadpool_limits

from phasejax._core.digits import significant
from phasejax.diagnosis._effective_rows import effective_rows
from phasejax.diagnosis._estimates import summarise_posterior
from phasejax.diagnosis._folds import usable_folds
from phasejax.diagnosis._moment_matching import label_directions, match_moments
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._paired_data import GROUPS, PairedRows, most_components
from phasejax.diagnosis._predicted_scores import scores_of_checked_data
from phasejax.diagnosis._scoring import FOLDS
from phasejax.diagnosis._simulator import Design
from phasejax.diagnosis._spectral import classify_spectra
from phasejax.diagnosis._units import rows_in_like_units

# Largest gain of both views over one of them, at the upper end of its interval, that makes the other redundant.
_REDUNDANT_GAIN = 0.005
# The simulations hold all label columns: 99, those of 100 classes, take half a minute on two cores, 999 six minutes.
_MOST_LABEL_COLUMNS = 100


def diagnose_by_moments(data: PairedRows, k: int | None, confidence: float, predicted_scores: bool, seed: int
                        ) -> MomentDiagnosis:
    """Match the moments of checked rows, classify their spectra and predict the scores of representations.

    Args:
        data: paired rows and their moments.
        k: shared signals; None to count the label directions that a view predicts beyond chance.
        confidence: level of the intervals, and probability from which a regime is stated.
        predicted_scores: whether to predict the scores.
        seed: of simulation, folds and bootstrap.

    Raises:
        ValueError: k out of range, views of one column, a singular covariance.
    """
    data, of_units = rows_in_like_units(data)
    top = most_components(data, k)
    q = data.q
    if q > _MOST_LABEL_COLUMNS:
        raise ValueError(f"labels: expected at most {_MOST_LABEL_COLUMNS} independent columns (classes less one), "
                         f"since moments of more take minutes to simulate, got {q}")
    n, m = effective_rows(data)
    signals = min(label_directions(data.joint, data.d_x, data.d_y, q, m), top) if k is None else k
    design = Design(data.d_x, data.d_y, q, signals, n - 1, m - 1)
    # The simulations keep all cores busy. Threads of BLAS beside them would wait for each other.
    with threadpool_limits(1):
        posterior = match_moments(data.joint, design, without=data.without, seed=seed)
        spectra = classify_spectra(data.x, data.y, data.encoded, labelled=data.labelled, signals=signals)
        scores = scores_of_checked_data(*data.scored, data.encoded, k=signals, kind=data.kind, labelled=data.labelled,
                                        seed=seed, groups=data.groups, folds=_folds(data)) if predicted_scores else None
    found = MomentDiagnosis(
        method="moments", n=data.n, labelled=data.m, groups=None if data.groups is None else data.number_of_groups,
        kind=data.kind, d_x=data.d_x, d_y=data.d_y, label_columns=q, k=signals,
        k_estimated=k is None, confidence=confidence, ca=spectra.ca, cp=spectra.cp, cp_reverse=spectra.cp_reverse,
        predicted_scores=scores, **summarise_posterior(posterior, design, data.joint, confidence, seed))
    return replace(found, warnings=(*of_units, *_of_jackknife(posterior.singular_groups),
                                    *_limits(found, data.views_share_a_column, n)))


def _of_jackknife(singular: int) -> tuple[str, ...]:
    """What is said where groups of rows are left out of the jackknife."""
    if not singular:
        return ()
    return (f"without {singular} of {GROUPS} random groups of rows some direction of a view does not vary at all, as a "
            "column that is 0 in nearly all rows: how much rows scatter is estimated from the other groups; principal "
            "components (pca) leave such directions out.",)


def _folds(data):
    """Folds of the cross-validation: fewer where there are fewer groups."""
    groups = None if data.groups is None else data.groups[data.labelled]
    return FOLDS if groups is None else usable_folds(FOLDS, len(data.labelled), groups)


def _limits(diagnosis: MomentDiagnosis, views_share_a_column: bool, worth: int) -> Iterator[str]:
    """What limits the answer of a diagnosis, one sentence each."""
    d, scores = diagnosis.d_x + diagnosis.d_y, diagnosis.predicted_scores
    n = diagnosis.n if diagnosis.groups is None else diagnosis.groups
    noun = "n" if diagnosis.groups is None else "the number of groups"
    if n <= d:
        yield (f"{noun} = {n} is not above d_x + d_y = {d}: the spectrum is saturated, some canonical "
               "correlations are 1 by construction.")
    elif n < 3 * d:
        yield f"{noun} = {n} is below 3 (d_x + d_y) = {3 * d}: expect wide intervals."
    if diagnosis.groups is not None:
        yield (f"the {diagnosis.n} rows in {diagnosis.groups} groups scatter as {worth} independent rows would, which "
               "is how many the fit takes them for.")
    if views_share_a_column:
        yield "a combination of x's columns is a copy of one of y's: alignment will find the copy first."
    if diagnosis.fits_badly:
        yield (f"no spiked model of {diagnosis.k} signal{'s' * (diagnosis.k > 1)} describes these data well (reduced "
               f"chi-squared {significant(diagnosis.reduced_chi2)}): intervals are widened, and predicted "
               "scores say more than the regime.")
    if not diagnosis.labels_predicted:
        yield ("the labels are weak: no representation predicts them reliably better than chance. The views may share "
               "nothing that the labels measure, or rows may not be paired; no regime is stated.")
    elif diagnosis.regime is None:
        yield "the data do not decide between regimes: a ratio is near 1 within its interval."
    if scores is not None and scores.gain("x and y").high <= _REDUNDANT_GAIN:
        single = scores.best_single
        other = "x" if single == "y" else "y"
        yield f"{other} is redundant for these labels: beside {single} it adds nothing to the predicted score."
