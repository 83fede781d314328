"""Diagnose paired data, by moment matching or by the published algorithm.

This is the door of the package: all input is checked here, once, and what the other modules get has been checked.
"""

from dataclasses import replace
from typing import Any, Literal, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from phasejax._core.validation import check_choice
from phasejax.diagnosis._moment_diagnosis import diagnose_by_moments
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._paired_data import paired_rows
from phasejax.diagnosis._spectral_diagnosis import diagnose_by_spectra
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.io import Table
from phasejax.io._arrays import check_views
from phasejax.io._matching import announce, match_labelled

# Members that a class needs: as many as there are folds.
LEAST_MEMBERS = 5


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
        found = diagnose_by_spectra(*check_views(*views), of_rows, matched.labelled, kind, ridge)
    else:
        data = paired_rows(matched.x, matched.y, of_rows, matched.labelled, kind, seed)
        found = diagnose_by_moments(data, k, confidence, predicted_scores, seed)
    announce((*matched.readings, *matched.notes))
    return replace(found, warnings=(*matched.notes, *found.warnings))
