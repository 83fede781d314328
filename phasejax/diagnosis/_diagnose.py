"""Diagnose paired data: by label content and scores, by moment matching, or by the published algorithm.

This is the door of the package: all input is checked here, once, and what the other modules get has been checked.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.forks import check_not_forked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.validation import check_choice, check_confidence, check_count, check_seed, shown
from phasejax.deep._heads_pilot import HeadsPilot
from phasejax.deep._own_pilot import OwnPilot
from phasejax.diagnosis._confounders import without_confounders
from phasejax.diagnosis._content_diagnosis import diagnose_by_content
from phasejax.diagnosis._expected_time import as_one_task, expected_seconds
from phasejax.diagnosis._moment_diagnosis import diagnose_by_moments
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._paired_data import IN_MEMORY, PairedRows, paired_rows
from phasejax.diagnosis._reduced_views import reduced_views
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._spectral_diagnosis import diagnose_by_spectra
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.diagnosis._units import rows_in_like_units
from phasejax.io import Table
from phasejax.io._arrays import check_views
from phasejax.io._confounders import confounder_columns, confounders_of_rows, named_confounders
from phasejax.io._duplicates import near_duplicates
from phasejax.io._fold_view import FoldView
from phasejax.io._inspection import LEAST_MEMBERS, too_few_labels
from phasejax.io._matching import MatchedRows, announce, match_labelled
from phasejax.io._named_together import named_together
from phasejax.io._row_order import ordered_by_values

METHODS = ("content", "moments", "spectral")
_CONFIDENCE = 0.9
# Trainings of each network of a pilot, whose mean scatters less than one; their spread is in the errors. Networks of
# dense layers take a second each; convolutions, whatever users bring, and reading out more numbers than these (rows
# times width of an embedding), may take minutes.
PILOT_SEEDS, PILOT_SEEDS_OF_OTHERS, _MOST_OUTPUTS = 8, 2, 200_000
Pilot = bool | str | tuple[Callable[..., Any], Callable[..., Any]] | HeadsPilot | OwnPilot


@overload
def diagnose(x: Any, y: Any, labels: Any, *, method: Literal["content"] = "content", k: int | None = None,
             groups: Any = None, confounders: Any = None, pilot: Pilot = False, pca: int | None = None,
             fit: bool = True, labelled: ArrayLike | None = None, confidence: float = _CONFIDENCE,
             label_kind: str = "auto", predicted_scores: bool = True, ridge: str = "relative",
             by_position: bool = False, missing: str = "error", seed: int = 0,
             progress: bool | ProgressCallback = False) -> Diagnosis: ...


@overload
def diagnose(x: Any, y: Any, labels: Any, *, method: Literal["moments"], k: int | None = None,
             groups: Any = None, confounders: Any = None, pilot: Pilot = False, pca: int | None = None,
             fit: bool = True, labelled: ArrayLike | None = None, confidence: float = _CONFIDENCE,
             label_kind: str = "auto", predicted_scores: bool = True, ridge: str = "relative",
             by_position: bool = False, missing: str = "error", seed: int = 0,
             progress: bool | ProgressCallback = False) -> MomentDiagnosis: ...


@overload
def diagnose(x: Any, y: Any, labels: Any, *, method: str, k: int | None = None,
             groups: Any = None, confounders: Any = None, pilot: Pilot = False, pca: int | None = None,
             fit: bool = True, labelled: ArrayLike | None = None, confidence: float = _CONFIDENCE,
             label_kind: str = "auto", predicted_scores: bool = True, ridge: str = "relative",
             by_position: bool = False, missing: str = "error", seed: int = 0,
             progress: bool | ProgressCallback = False
             ) -> Diagnosis | MomentDiagnosis | SpectralDiagnosis: ...


@checked
def diagnose(x: Any, y: Any, labels: Any, *, method: str = "content", k: int | None = None,
             groups: Any = None, confounders: Any = None, pilot: Pilot = False, pca: int | None = None,
             fit: bool = True, labelled: ArrayLike | None = None, confidence: float = _CONFIDENCE,
             label_kind: str = "auto", predicted_scores: bool = True, ridge: str = "relative",
             by_position: bool = False, missing: str = "error", seed: int = 0,
             progress: bool | ProgressCallback = False
             ) -> Diagnosis | MomentDiagnosis | SpectralDiagnosis:
    """Which objective recovers, from paired data, what the labels measure, and which one to train.

    "content" asks first whether the views share anything and whether that concerns the labels; without that nothing is
    stated. The regime at this number of rows follows from the label content: the share of what the labels and the views
    have in common that lies in the k leading directions of alignment and of prediction. What to train follows from
    cross-validated scores of everything that could be trained or kept, as linear maps, on random features, and, with
    `pilot`, as small networks. It needs no model of the spectra. Beside it stands the fit of "moments".

    "moments" looks for the spiked model whose simulated data have the same statistics as these (moment
    matching), and reports the regime that it has with unlimited rows, with its probability, intervals for the
    separation ratios and the parameters, and cross-validated scores. Where no spiked model describes the data its
    regime says little.

    "spectral" is the published algorithm: components of C (alignment) and of A (prediction) count as
    signal or as nuisance by how well their scores predict held-out labels, and the ratio is the least
    signal value over the largest nuisance value. Its known weakness: components that carry shared
    signal which the labels do not measure count as nuisance, and at small n / d it often names the
    wrong regime.

    None depends on the units of a view as a whole, except for what is reported in them. Where standard deviations
    of a view's columns differ by more than a factor of 1000, each column is divided by its own, with a warning, since
    prediction weighs columns by their variance.

    Args:
        x: one view, shape (n, d_x), finite numbers; an array, DataFrame, file or whatever else
            `phasejax.io.as_named` takes, or a `phasejax.io.Table` of any length, which is read in blocks.
            Of views with more than 5e7 numbers all but the moments rests on 50,000 rows. In smaller ones columns
            that others determine are left out, and where there are no more rows than columns, principal components
            take their place as with `pca`, each with a warning.
        y: the other view, shape (n, d_y). Rows are matched with x's by identifiers where both have them (the
            index of a DataFrame), else by position (`phasejax.io.match_rows`).
        labels: shape (m,) or (m, L): classes (integers, booleans, text, floats that are a few whole numbers) or real
            values, of which several columns count alike whatever their units. They are matched as y is; rows without
            a label, or with a missing one, and those of classes with fewer than 5 rows are unlabelled.
        method: "content", "moments" or "spectral".
        k: width of each encoder's output, 1 <= k < min(d_x, d_y): of your embedding. When left out, the scores are a
            curve over widths, and the regime is that of as many components as the labels have directions. For
            "moments" the number of shared signals; signals beyond k count as nuisance.
        groups: which rows belong together and are not independent (those of one patient, star or image), one value for
            each row, matched as labels are. Whole groups go into folds, permutations, bootstrap and jackknife.
        confounders: known nuisance of each row (batch, donor, position, observing conditions) that both views and the
            labels are freed of by least squares, with method "content": one column or several, or a dictionary of them;
            matched as groups are. Text, booleans and whole numbers that occur often are classes, other numbers count
            linearly. What the views share through them is not counted, nor what the labels have in common with them.
        pilot: True trains small networks with k outputs on parts of the rows, eight times each, tens of seconds
            (twice, minutes, where a view is images, or rows times k are above 200,000), and counts their scores most;
            "mlp" or "convolutional" (for images) says which, or two functions of (rngs, k) that return Flax modules,
            for x and for y, trained twice. A `phasejax.deep.HeadsPilot` trains the very heads that `train_heads` will
            train, and their scores alone count; "heads" is one with the defaults of `train_heads`. A
            `phasejax.deep.OwnPilot` does so with any training of your own.
        pca: principal components of each view that everything rests on, fitted without the labels; scores, by closed
            forms and by a pilot, to those of the training rows of each fold.
        fit: whether "content" matches the moments of a spiked model too, the slower part.
        labelled: the m rows that have labels, as indices; all rows when left out. The other rows
            count for the covariances.
        confidence: level of the intervals, and probability from which a regime is stated; "spectral" has neither.
        label_kind: "class" or "real" instead of guessing from the labels' type.
        predicted_scores: whether to predict the scores of representations.
        ridge: "published" for the absolute ridge of the published algorithm, 1e-6 in squared units of the data, with
            method "spectral" only: its answer depends on the units of the data. The default adds nothing to views
            that are whitened by an orthogonal decomposition of their rows, and does not depend on units.
        by_position: pair rows by position although there are identifiers.
        missing: what to do about missing values in the views: "error", "drop" keeps complete rows, "mean" fills in
            the means of columns, taken over all rows.
        seed: of the networks of a pilot, and of all that "moments" draws. All else that is drawn (folds, permutations,
            random features, bootstrap) is drawn several times, pooled, and the same at every call: its spread is in
            the intervals and probabilities, and the same data give the same words. So do the same rows in another
            order, with method "content", where both views have at most 5e7 numbers.
        progress: False, True for bars on a terminal, or a callback.

    Returns:
        A `Diagnosis`, by method "moments" a `MomentDiagnosis`, by method "spectral" a `SpectralDiagnosis`.

    Raises:
        ValueError: an input that no answer could rest on, in one line.

    Source: "spectral", K26, Algorithm 1.

    >>> from phasejax.datasets import load_digit_halves
    >>> diagnose(*load_digit_halves(), method="spectral").regime
    <Regime.NEITHER: 'Neither'>
    """
    check_not_forked()
    _check_options(method, k, labelled, groups, confounders, pilot, fit, confidence, predicted_scores, ridge)
    k, confidence, seed = k if k is None else int(k), check_confidence(confidence), check_seed("seed", seed)
    shapes = tuple(map(_image_shape, (x, y))) if pilot else (None, None)
    x, y = (view if shape is None else np.reshape(np.asarray(view), (len(view), -1))
            for view, shape in zip((x, y), shapes, strict=True))
    known = []
    if confounders is not None:
        known = named_confounders(confounders)
        x, y, labels, groups = named_together(x, y, labels, groups, other_columns=confounder_columns(known))
    matched, kind = match_labelled(x, y, labels, labelled=labelled, label_kind=label_kind, groups=groups,
                                   by_position=by_position, missing=missing, least_members=LEAST_MEMBERS)
    if matched.groups is None and (of_copies := near_duplicates(matched.x, matched.y)) is not None:
        matched = replace(matched, notes=(*matched.notes, of_copies), limits=(*matched.limits, of_copies))
    announce(matched.limits, said=matched.limits)  # before anything is computed
    of_confounders = {}
    if confounders is not None:
        matched, of_confounders = confounders_of_rows(known, matched, by_position=by_position,
                                                      missing=missing)
    if method == "content":  # the others draw by the order that a published algorithm, or a seed, gives them
        matched, of_confounders = ordered_by_values(matched, of_confounders, IN_MEMORY)
    of_rows = cast(np.ndarray, matched.labels)  # None is refused where labels are encoded
    # A single row is too few for anything, which is said of x.
    if method == "content" and len(matched.x) > 1 and (refusal := too_few_labels(matched)) is not None:
        raise ValueError(refusal)
    removed = None
    if confounders is not None:
        data, removed, of_columns = without_confounders(matched, of_confounders, kind, pca)
    else:
        units = len(matched.x) if matched.groups is None else int(matched.groups.max()) + 1
        views, in_folds, of_columns = reduced_views(matched.x, matched.y, units=units, pca=pca)
        if method == "spectral":
            arrays = (view.rows(0, len(view)) if isinstance(view, Table) else view for view in views)
            found = diagnose_by_spectra(*check_views(*arrays), of_rows, matched.labelled, kind, ridge)
            data = None
        else:
            drawn = seed if method == "moments" else 0
            data = replace(paired_rows(*views, of_rows, matched.labelled, kind, drawn, matched.groups),
                           in_folds=in_folds)
    if data is not None and method == "moments":
        found = diagnose_by_moments(data, k, confidence, predicted_scores, seed)
    elif data is not None:
        with reporting(progress) as tell:
            seconds = expected_seconds(len(data.x), data.d_x + data.d_y, predicted_scores=predicted_scores,
                                       pilot=bool(pilot), fit=fit)
            tell = as_one_task(tell, seconds)
            pilot = HeadsPilot() if isinstance(pilot, str) and pilot == "heads" else pilot
            trained = _pilot_of(pilot, matched, shapes, data, k, seed, tell)
            found = diagnose_by_content(data, k=k, confidence=confidence, predicted_scores=predicted_scores, fit=fit,
                                        pilot=trained, pilot_leads=isinstance(pilot, HeadsPilot | OwnPilot), tell=tell)
            if removed is not None:
                found = replace(found, n=len(matched.x), labelled=len(data.scored_labels[1]), confounders=removed,
                                groups=None if matched.groups is None else int(matched.groups.max()) + 1)
    announce(note for note in (*matched.readings, *matched.notes) if note not in matched.limits)
    return replace(found, warnings=(*matched.limits, *of_columns, *found.warnings), computed_on=computed_on())


def _check_options(method, k, labelled, groups, confounders, pilot, fit, confidence, predicted_scores, ridge):
    check_choice("ridge", ridge, ("relative", "published"))
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method: expected {', '.join(map(repr, METHODS[:-1]))} or {METHODS[-1]!r}, got {method!r}")
    if method == "spectral":
        if k is not None or labelled is not None:
            raise ValueError("k, labelled: expected none with method 'spectral', which counts signals itself and "
                             "needs all labels")
        if groups is not None:
            raise ValueError("groups: expected none with method 'spectral', whose published folds do not know them")
        if check_confidence(confidence) != _CONFIDENCE or not predicted_scores:
            raise ValueError("confidence, predicted_scores: expected none with method 'spectral', which has neither "
                             "intervals nor scores")
    elif ridge == "published":
        raise ValueError(f"ridge: expected 'relative' with method {method!r}, got 'published'")
    if not fit and method != "content":
        raise ValueError(f"fit: expected True with method {method!r}, got False")
    if confounders is not None and method != "content":
        raise ValueError(f"confounders: expected none with method {method!r}, whose models do not know them")
    if pilot and method != "content":
        raise ValueError(f"pilot: expected none with method {method!r}, which scores no networks")
    if isinstance(k, bool) or not (k is None or (hasattr(k, "__index__") and np.ndim(k) == 0)):
        raise ValueError(f"k: expected a whole number, got {shown(k)}")
    if k is not None:
        check_count("k", k, -2**62)  # a 0-d array of floats has no index
    if not isinstance(pilot, bool | HeadsPilot | OwnPilot) and pilot not in ("mlp", "convolutional", "heads") and not (
            isinstance(pilot, tuple | list) and len(pilot) == 2 and all(map(callable, pilot))):
        raise ValueError("pilot: expected True, 'mlp', 'convolutional', 'heads', a HeadsPilot, an OwnPilot or two "
                         f"functions of (rngs, k) that make Flax modules, got {pilot!r}")
    if pilot and not predicted_scores:
        raise ValueError("pilot: expected none with predicted_scores=False, since its scores are what it is for")
    if pilot and k is None:
        raise ValueError("k: expected the width of your embedding with pilot, got none")


def _image_shape(view: Any) -> tuple[int, ...] | None:
    """The shape of one image of a batch, with its channels; None where rows are no images."""
    shape = np.shape(view) if isinstance(view, np.ndarray) or hasattr(view, "__array__") else ()
    return None if len(shape) not in (3, 4) else (*shape[1:], 1)[:3]


def _trainings(encoder: Any, images: bool, outputs: int) -> int:
    """How often each network of a pilot is trained.

    Args:
        encoder: as for `pilot_embeddings`.
        images: whether a view has images.
        outputs: numbers that an encoder makes of all rows.

    >>> [_trainings(encoder, False, 200_000) for encoder in ("auto", "mlp", "convolutional", (None, None))]
    [8, 8, 2, 2]
    >>> _trainings("auto", True, 100), _trainings("mlp", True, 100), _trainings("mlp", False, 200_001)
    (2, 8, 2)
    """
    dense = encoder == "mlp" or (encoder == "auto" and not images)
    return PILOT_SEEDS if dense and outputs <= _MOST_OUTPUTS else PILOT_SEEDS_OF_OTHERS


def _pilot_of(pilot: Pilot, matched: MatchedRows, shapes: tuple[tuple[int, ...] | None, ...], data: PairedRows,
              k: int | None, seed: int, tell: ProgressCallback) -> Callable[..., Any] | None:
    """What trains small networks on the rows outside each fold; None where no pilot was asked for."""
    if not pilot:
        return None
    scored = rows_in_like_units(data)[0].scored
    rows: list[Any] = list(scored)
    for place, (view, shape) in enumerate(zip((matched.x, matched.y), shapes, strict=True)):
        if shape is not None and not isinstance(pilot, HeadsPilot):  # heads see features
            rows[place] = FoldView(np.asarray(view, np.float32).reshape(len(view), *shape),
                                   confounders=scored[place].confounders)
    if any(len(view) != len(scored[0]) for view in rows):
        raise ValueError(f"x: expected at most {len(scored[0])} images with pilot, got {len(matched.x)}")
    if isinstance(pilot, HeadsPilot | OwnPilot):
        embeddings: Callable[..., Any] = pilot.embeddings
    else:
        from phasejax.deep import pilot_embeddings

        encoder: Any = "auto" if pilot is True else pilot if isinstance(pilot, str) else tuple(cast(Any, pilot))
        seeds = _trainings(encoder, any(shapes), len(rows[0]) * cast(int, k))
        embeddings = partial(pilot_embeddings, encoder=encoder, seeds=seeds)
    return lambda fold: embeddings(rows[0], rows[1], fold, cast(int, k), groups=data.scored_labels[2], seed=seed,
                                   progress=tell)
