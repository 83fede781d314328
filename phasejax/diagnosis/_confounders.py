r"""Known nuisance removed from both views, and from what labels measure, before a diagnosis.

Given the confounders C the views are x = C A + u and y = C B + v, and the question is what u and v share.

- Tests, label content and the spiked model rest on rows z = T x, T y that have the covariance of u and v
  (`phasejax._core.residuals`). They are fewer than the rows by the dimensions of C and a constant, so that every number
  of rows, and with it every interval, is the one that is left. Where confounders are classes with enough rows of each
  combination, permutations stay within combinations: the tests are then exact whatever the distribution of u and v, and
  may it differ between combinations. Otherwise rows trade places freely, which is exact for normal u or v.
- Scores of held-out rows rest on residuals of all rows, with slopes from the training rows of each fold.
- Real labels are residuals too: of what is regressed on residuals x, only the residual of t has a part in the fit
  (Frisch and Waugh), so that scores are shares of the variance that confounders leave. Classes stay classes where they
  are predicted; for tests and content their indicators are residuals.

The null hypothesis of the tests is about u and v alone, so that labels need not be residuals for their level: residual
labels only have more power.

Source: Frisch and Waugh 1933; slopes from training rows, Snoek, Miletić and Scholte 2019; permutations within levels,
Winkler et al. 2014.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from jaxtyping import Float, Int

from phasejax._core.digits import significant
from phasejax._core.residuals import GroupResiduals, ScalarResiduals, explained_share, residuals_of
from phasejax.diagnosis._paired_data import IN_MEMORY, PairedRows, in_like_units, paired_rows
from phasejax.diagnosis._reduced_views import reduced_views
from phasejax.diagnosis._sharing_statistics import label_targets
from phasejax.diagnosis._units import view_in_like_units
from phasejax.io import Table, accumulate, encode_labels
from phasejax.io._arrays import finite_view
from phasejax.io._confounder_coding import confounder_words
from phasejax.io._confounders import encode_confounders
from phasejax.io._fold_view import FoldView
from phasejax.io._matching import MatchedRows
from phasejax.io._reduction import independent_columns, reduce_to_rank

# Share of a column's variance that confounders leave, up to which nothing is left of it.
_NOTHING_LEFT = 1e-8
# Rows, or groups, for each combination of classes from which permutations stay within combinations: with s of them a
# share 1 / s of the pairs stays together by chance.
_ROWS_OF_A_CELL = 5
# Rows or groups of a level, below which folds may have none to learn it from.
_LEAST_OF_A_LEVEL = 5
# Share of the labels' variance that confounders explain, from which that is a warning.
_MUCH = 0.5


@dataclass(frozen=True)
class RemovedConfounders:
    """What was removed as known nuisance, and how much it explained.

    Args:
        names: of the confounders.
        levels: how many each class has; 0 for real values.
        columns: dimensions that they have together.
        rows: independent residual rows that tests and label content rest on.
        x_share, y_share: share of each view's variance that they explain, less what is expected by chance.
        label_share: the same of the labels; classes count by their contrasts.
        within: number of combinations of classes within which the tests permute; 0 where they permute all rows.
    """

    names: tuple[str, ...]
    levels: tuple[int, ...]
    columns: int
    rows: int
    x_share: float
    y_share: float
    label_share: float
    within: int

    def words(self) -> str:
        """What was removed and how much it explained, in one line."""
        named = confounder_words(self.names, self.levels)
        shares = ", ".join(f"{100 * float(significant(max(share, 0), 2)):.3g}% of {of}" for share, of in (
            (self.x_share, "x"), (self.y_share, "y"), (self.label_share, "the labels")))
        return f"removed {named}: explained {shares}; {self.rows} independent rows are left"


def without_confounders(matched: MatchedRows, columns: Mapping[str, np.ndarray], kind: str, pca: int | None
                        ) -> tuple[PairedRows, RemovedConfounders, tuple[str, ...]]:
    """The rows of a diagnosis once confounders are removed.

    Args:
        matched: rows with labels.
        columns: their confounders by name.
        kind: of the labels, "class" or "real".
        pca: principal components of each view, as in `diagnose`.

    Returns:
        Residual rows, with views and labels for scores; what was removed; and what limits the answer.

    Raises:
        ValueError: views that do not fit in memory, too many columns for rows or groups, views or labels of which
            nothing is left.
    """
    if any(isinstance(view, Table) for view in (matched.x, matched.y)) or \
            len(matched.x) * (matched.x.shape[1] + matched.y.shape[1]) > IN_MEMORY:
        raise ValueError(f"confounders: expected views of at most {IN_MEMORY:.0e} numbers in all, got more")
    encoded = encode_confounders(columns)
    raw = [finite_view(name, np.asarray(view)) for name, view in (("x", matched.x), ("y", matched.y))]
    groups = matched.groups
    residuals = ScalarResiduals.of(encoded.known) if groups is None else GroupResiduals.of(encoded.known, groups)
    units = _units_left(encoded, residuals)
    views, shares, notes = [], [], []
    for name, view in zip("xy", raw, strict=True):
        view, share, of_view = left_of(name, np.asarray(view, np.float64), encoded.known)
        views.append(view)
        shares.append(share)
        notes += of_view
    left, full_rank = [], []
    for name, view in zip("xy", views, strict=True):
        rows = residuals.transform(view)
        of_rank, note = reduce_to_rank(name, rows)
        if note:
            view = view[:, independent_columns(accumulate([rows])[0]) if len(rows) > rows.shape[1] else
                        np.ptp(rows, 0) > 0]
            notes.append(note)
        left.append(of_rank)
        full_rank.append(view)
    reduced, in_folds, of_columns = reduced_views(left[0], left[1], units=units, pca=pca)
    scored = [replace(FoldView(view) if own is None else
                      FoldView.reduced(view, int(own.width or 0), standardise=own.standardise),
                      confounders=encoded.known) for view, own in zip(full_rank, in_folds, strict=True)]
    labelled = np.arange(len(matched.x)) if matched.labelled is None else matched.labelled
    labels = encode_labels(cast(np.ndarray, matched.labels), len(labelled), kind)  # None is refused before
    label_columns = _residual_labels(labels, encoded, labelled, kind)
    share = explained_share(label_targets(labels, kind), encoded.known[labelled])
    place = np.full(len(matched.x), -1)
    place[residuals.kept] = np.arange(len(residuals.kept))
    inside = place[labelled] >= 0
    kept_labels = label_columns[inside]
    kept_labels = kept_labels[:, np.ptp(kept_labels, 0) > 0]
    own_groups = None if groups is None else np.unique(groups[residuals.kept], return_inverse=True)[1].reshape(-1)
    data = paired_rows(*reduced, kept_labels, place[labelled][inside], "real", 0, own_groups)
    strata = _strata(encoded, residuals.kept, groups)
    removed = RemovedConfounders(
        names=encoded.names, levels=encoded.levels, columns=encoded.rank - 1, rows=len(residuals.kept),
        x_share=shares[0], y_share=shares[1], label_share=share,
        within=0 if strata is None else len(np.unique(strata)))
    data = replace(data, kind=kind, in_folds=(scored[0], scored[1]), strata=strata,
                   of_scores=(in_like_units(labels, kind), labelled, groups))
    return data, removed, (*notes, *of_columns, *_limits(encoded, removed, matched))


def _units_left(encoded, residuals) -> int:
    """Independent units that are left for the tests."""
    if isinstance(residuals, ScalarResiduals):
        return len(residuals.kept)
    groups, rank = len(residuals.means.basis), residuals.means.basis.shape[1]
    if 2 * rank > groups:
        raise ValueError(
            f"confounders: expected at most half as many columns between groups as the {groups} groups, got {rank - 1}"
            "; whole groups go into folds, which then have no rows of a level to learn it from (leave groups out where "
            "the rows of a level are independent)")
    return groups - rank


def left_of(name: str, view: Float[np.ndarray, "n d"], known: Float[np.ndarray, "n q"]
            ) -> tuple[Float[np.ndarray, "n p"], float, list[str]]:
    """A view in like units without the columns of which nothing is left, what was explained, and notes."""
    deviation = view.std(0)
    varying = deviation > 1e-12 * np.abs(view).max(0)
    if not varying.any():
        raise ValueError(f"{name}: expected columns that vary, got {view.shape[1]} constant")
    residual = residuals_of(view - view.mean(0), known).std(0)
    left = varying & (residual**2 > _NOTHING_LEFT * deviation**2)
    if not left.any():
        raise ValueError(f"{name}: expected columns that confounders do not determine, got none")
    notes = [] if left.all() else [f"{name}: {np.sum(~left)} of {len(left)} columns left out: " + (
        "confounders determine them" if varying.all() else "constant, or determined by confounders")]
    view, of_units = view_in_like_units(name, view[:, varying])
    return view[:, left[varying]], explained_share(view, known), [*notes, *of_units]


def _residual_labels(labels, encoded, labelled, kind) -> Float[np.ndarray, "m l"]:
    """Label columns, residuals given the confounders; those of which nothing is left are zero."""
    columns = in_like_units(labels, kind)
    residual = residuals_of(columns, encoded.known[labelled])
    left = np.sum(residual**2, 0) > _NOTHING_LEFT * np.sum((columns - columns.mean(0)) ** 2, 0)
    if not left.any():
        raise ValueError(f"confounders: expected some that do not determine the labels, got {encoded.words()}, which "
                         "leave nothing of them")
    return np.where(left, residual, 0.0)


def _strata(encoded, kept, groups) -> Int[np.ndarray, "m"] | None:
    """The combination of classes of each kept row, where there are rows or groups enough to permute within each."""
    if encoded.cells is None:
        return None
    cells = encoded.cells[kept]
    units = cells
    if groups is not None:
        pairs = np.unique(np.stack([groups[kept], cells]), axis=1)
        if pairs.shape[1] > len(np.unique(groups[kept])):
            return None  # a group has rows of several
        units = pairs[1]
    return cells if len(units) >= _ROWS_OF_A_CELL * len(np.unique(units)) else None


def _limits(encoded, removed, matched):
    """What limits an answer without confounders, one sentence each."""
    if removed.label_share > _MUCH:
        yield (f"the confounders explain {100 * removed.label_share:.0f}% of the labels: what is left may concern "
               "another part of what they measure.")
    start, groups, rare = 0, matched.groups, 0
    for levels in encoded.levels:
        for column in encoded.known[:, start:start + levels].T:
            rows = column > 0
            rare += (np.sum(rows) if groups is None else len(np.unique(groups[rows]))) < _LEAST_OF_A_LEVEL
        start += levels or 1
    if rare:
        yield (f"{rare} of {sum(encoded.levels)} levels of the confounders have fewer than {_LEAST_OF_A_LEVEL} "
               f"{'rows' if groups is None else 'groups'}: in a fold without any to learn from, a level counts as the "
               "average of the others.")
