"""The default diagnosis: two tests, the label content, scores of what can be trained, and the theory's coordinate.

The tests come first: where the views share nothing that the labels measure, no model is fitted and nothing is stated.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, cast

from threadpoolctl import threadpool_limits

from phasejax._core.progress import ProgressCallback
from phasejax.diagnosis._content import label_content
from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._folds import usable_folds
from phasejax.diagnosis._moment_diagnosis import diagnose_by_moments
from phasejax.diagnosis._moment_matching import label_directions
from phasejax.diagnosis._paired_data import PairedRows, most_components
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._scoring import FOLDS, fair_scores, scores_over_k
from phasejax.diagnosis._shared_signal import shared_signal
from phasejax.diagnosis._spectra_summary import spectra_summary
from phasejax.diagnosis._units import rows_in_like_units

# Widths that are scored where none is given.
_WIDTHS = (1, 2, 4, 8, 16, 32)


def diagnose_by_content(data: PairedRows, *, k: int | None, confidence: float, predicted_scores: bool, fit: bool,
                        pilot: Callable[..., Any] | None, tell: ProgressCallback, pilot_leads: bool = False,
                        divisions: int | None = None) -> Diagnosis:
    """Test, measure and score checked rows.

    Args:
        data: paired rows and their moments.
        k: width of each encoder's output; None for a curve over widths.
        confidence: probability from which a regime is stated.
        predicted_scores: whether to score representations.
        fit: whether to match the moments of a spiked model too.
        pilot: called with the fold of each row and k, gives the embeddings of trained networks; None for no pilot.
        tell: told of every part that is done.
        pilot_leads: whether the pilot trains the very networks that will be trained, and so counts alone.
        divisions: of the rows into folds, over which scores are averaged; None lets their size decide.

    Raises:
        ValueError: k out of range, views of one column.
    """
    in_own_units = data
    data, of_units = rows_in_like_units(data)
    top = most_components(data, k)
    # Tests, content, scores and fit draw the same numbers at every call, so that the answer stays the same.
    rows: dict[str, Any] = {"labelled": data.labelled, "groups": data.groups, "seed": 0}
    kind = cast(Literal["class", "real"], data.kind)
    steps = 2 + predicted_scores + fit
    with threadpool_limits(1, "blas"):
        directions = min(label_directions(data.joint, data.d_x, data.d_y, data.q, data.m), top)
        tell("diagnosis: is anything shared", 0, steps)
        shared = shared_signal(data.x, data.y, data.encoded, kind=kind, strata=data.strata, **rows)
        tell("diagnosis: label content", 1, steps)
        several = sorted({*(width for width in _WIDTHS if width <= top), directions})
        content = label_content(data.x, data.y, data.encoded, ks=sorted({*several, k or directions}),
                                beyond_rank="drop", confidence=confidence, **rows)
        if k is not None and k > content.rank:
            raise ValueError(f"k: expected 1 to {content.rank}, the lesser rank of the views, got {k}")
        directions = min(directions, content.rank)
        several = [width for width in several if width <= min(content.rank, most_width(data))]
        scores: tuple[FairScores, ...] = ()
        if predicted_scores:
            tell("diagnosis: scores of what can be trained", 2, steps)
            columns, labelled, groups = data.scored_labels
            of_scores: dict[str, Any] = {"kind": data.kind, "labelled": labelled, "groups": groups, "seed": 0,
                                         "repeats": divisions}
            scores = ((fair_scores(*data.scored, columns, k=k, pilot=pilot if shared.seen else None,
                                   pilot_leads=pilot_leads, **of_scores),)
                      if k is not None else scores_over_k(*data.scored, columns, ks=several, **of_scores))
        spectra = spectra_summary(in_own_units, data)
    matched, of_fit = None, ()
    if pilot is not None and not shared.seen:
        of_fit = ("no pilot was trained, since nothing shared concerns the labels.",)
    if fit and shared.seen:
        tell("diagnosis: moments of a spiked model", steps - 1, steps)
        try:
            matched = diagnose_by_moments(data, signals_of_fit(k, directions, top), confidence, False, 0)
        except ValueError as error:
            of_fit = (f"no spiked model was fitted ({error}).",)
    tell("diagnosis", steps, steps)
    found = Diagnosis(
        method="content", n=data.n, labelled=data.m, groups=None if data.groups is None else data.number_of_groups,
        d_x=data.d_x, d_y=data.d_y, label_columns=data.q, kind=data.kind, k=k, directions=directions,
        confidence=confidence, shared=shared, content=content, scores=scores, fit=matched, spectra=spectra)
    return replace(found, warnings=(*of_units, *of_fit, *_limits(found, data)))


def signals_of_fit(k: int | None, directions: int, top: int) -> int:
    """Signals of the spiked model that is fitted: as many as the labels have directions, if these are several.

    The width of an embedding says little about their number, and with another number no model fits: for 5 signals, 5
    labels, 2000 rows and 80 columns the reduced chi-squared is 0.3 with 5, 130 with 8 and 1100 with 64. A single
    direction can be the sum of several signals; then k is the only hint.

    Args:
        k: width of the encoders' output, or None.
        directions: of the labels.
        top: the most components.
    """
    return directions if k is None or directions > 1 else min(k, top)


def most_width(data: PairedRows) -> int:
    """The widest encoders that can be fitted without a fold of the labelled rows."""
    groups = None if data.groups is None else data.groups[data.labelled]
    folds = usable_folds(FOLDS, len(data.labelled), groups)
    return max(1, len(data.x) - -(-len(data.labelled) // folds) - 1)


def _limits(diagnosis: Diagnosis, data: PairedRows) -> Iterator[str]:
    """What limits the answer of a diagnosis, one sentence each."""
    n, d = data.number_of_groups, data.d_x + data.d_y
    noun = "n" if data.groups is None else "the number of groups"
    if n <= d:
        yield (f"{noun} = {n} is not above d_x + d_y = {d}: the spectrum is saturated, some canonical "
               "correlations are 1 by construction; reduce the columns (pca).")
    elif n < 3 * d:
        yield f"{noun} = {n} is below 3 (d_x + d_y) = {3 * d}: expect wide intervals; fewer columns (pca) may help."
    if data.views_share_a_column:
        yield "a combination of x's columns is a copy of one of y's: alignment will find the copy first."
    for scores in diagnosis.scores[:1]:
        if scores.diverged:
            yield (f"the pilot's training diverged for {', '.join(scores.diverged)}: these are scored without it, the "
                   "others stand.")
        if diagnosis.seen and scores.beyond_chance and (other := scores.redundant()) is not None:
            single = "x" if other == "y" else "y"
            yield f"{other} is redundant for these labels: beside {single} it adds nothing to the predicted score."
