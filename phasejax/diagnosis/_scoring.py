"""Cross-validation of all representations of one width, by closed forms and by a pilot: `fair_scores`.

The rows are divided into folds several times; within a division one set of folds serves every representation and
source. Scores are what networks are expected to reach: those of closed-form encoders that predict are lowered by what
training loses. `scores_over_k` repeats linear and lifted scores over widths at little more than the price of one.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.devices import cores
from phasejax._core.forks import check_not_forked
from phasejax._core.residuals import residuals_of
from phasejax._core.validation import check_count, users_own
from phasejax.diagnosis._bootstrap import (
    column_scores,
    errors_above_chance,
    spread_of_few_groups,
    spread_out,
    weighted_sums,
)
from phasejax.diagnosis._cross_fit import cross_fitted, in_range, raw_features
from phasejax.diagnosis._fair_scores import Draws, FairScores
from phasejax.diagnosis._folds import assign_folds, folds_of_all_rows, usable_folds
from phasejax.diagnosis._label_rows import check_label_rows
from phasejax.diagnosis._lift import lifted_features, ridge_whitening, rows_to_lift
from phasejax.diagnosis._pilot_outputs import pilot_earnings
from phasejax.diagnosis._predicted_scores import MOST_REPEATS, check_sizes
from phasejax.diagnosis._representations import NAMES, correlation_whitening
from phasejax.diagnosis._sources import mean_over
from phasejax.io._fold_view import FoldView, fold_views

# Divisions into folds, and the numbers of rows and of columns of both views above which there is a single one.
_REPEATS, _MANY_ROWS, _MANY_COLUMNS = 4, 10_000, 300
FOLDS = 5
# Multiplications for one fold's principal components above which there is a single division too.
_DEAR = 1e9
# By how much a closed-form encoder of one view that predicts, alone or beside alignment, scores above a network that is
# trained to do so on rows as few as usual: the mean over the pairs for choosing constants of `benchmarks.decision`,
# against networks of three sizes; encoders that align score like theirs, and so do both that predict side by side.
# The closer to chance or to a perfect score, the less there is to lose.
_LOST_IN_TRAINING = {"CP x->y": 0.04, "CP y->x": 0.04, "joint": 0.04}
_FULLY_LOST = 0.1
# Digits after the point of a score's draws; more would make saved scores longer and nothing clearer.
_DIGITS = 4


Pilot = Callable[[np.ndarray], Mapping[str, Any]]  # of trained encoders by objective, from the fold of each row


@checked
def fair_scores(x: Float[np.ndarray, "n d_x"] | FoldView, y: Float[np.ndarray, "n d_y"] | FoldView,
                columns: Float[np.ndarray, "m l"], labelled: Int[np.ndarray, "m"], *, kind: str, k: int,
                groups: Int[np.ndarray, "n"] | None = None, confounders: Float[np.ndarray, "n q"] | None = None,
                pilot: Pilot | None = None, pilot_leads: bool = False, seed: int = 0, folds: int = FOLDS,
                repeats: int | None = None, pca: int | None = None) -> FairScores:
    """Held-out scores of every representation at width k, from each source, with paired draws.

    Args:
        x, y: paired views, finite, of checked shapes. What prediction predicts are the columns as they are: their
            relative units count, that of a whole view does not.
        columns: one-hot or real label columns of the rows `labelled`.
        labelled: indices of rows.
        kind: "class" or "real".
        k: width of each encoder, at most min(d_x, d_y), of the reduced views where there is `pca`.
        groups: of the rows; whole groups go into a fold and are weighted together.
        confounders: columns of like scale, such as indicators of batches, whose linear effect is removed from both
            views and from real labels, by least squares on the training rows of each fold. Scores of real labels are
            then shares of the variance that confounders leave.
        pilot: called with the fold of each row (-1 where no fold holds it out), returns trained encoders by
            objective, "CA", "CP x->y", "CP y->x", "joint", or a list of candidates for an objective, of which each fold
            takes the one that scores best on the labels of the other folds. Outputs may have a leading axis of seeds;
            the mean score over them counts, and their spread is in the draws. It is trained for the first division.
        pilot_leads: whether the pilot trains the very networks that the scores are about: then it alone counts for
            what it has trained, and closed forms stand beside it.
        seed: of folds, lift and bootstrap.
        folds: at most; fewer where there are fewer groups, or fewer than two rows for each.
        repeats: divisions of the rows into folds, each with random features of its own, whose scores are averaged;
            when left out 4, and 1 for more than 10,000 rows or 300 columns, where chance matters less and time more.
        pca: principal components that take the place of the columns of a view with more of them, in each fold those of
            its training rows; None for all columns.

    Raises:
        ValueError: too few rows for the classes or k, or a pilot whose outputs have another shape.
    """
    check_not_forked()
    x, y = _without(confounders, fold_views(x, y, pca))
    divisions = _divisions(x, y, columns, labelled, kind, [k], groups, seed, folds, repeats)
    piloted, diverged = None, ()
    if pilot is not None:
        fold, count = divisions[0].fold, divisions[0].folds
        with users_own("pilot", "the function given"):
            outputs = pilot(fold)
        with threadpool_limits(1, "blas"):
            own = _columns_of_folds(divisions[0].columns, x, labelled, fold[labelled], kind)
            piloted, diverged = pilot_earnings(outputs, count, len(x), own, labelled, fold[labelled], kind, seed)
    with threadpool_limits(1, "blas"):
        return _record(divisions, 0, piloted, kind, k, diverged, "pilot" if pilot_leads and piloted else None)


@checked
def scores_over_k(x: Float[np.ndarray, "n d_x"] | FoldView, y: Float[np.ndarray, "n d_y"] | FoldView,
                  columns: Float[np.ndarray, "m l"], labelled: Int[np.ndarray, "m"], *, kind: str, ks: Sequence[int],
                  groups: Int[np.ndarray, "n"] | None = None, confounders: Float[np.ndarray, "n q"] | None = None,
                  seed: int = 0, folds: int = FOLDS, repeats: int | None = None, pca: int | None = None
                  ) -> tuple[FairScores, ...]:
    """Linear and lifted scores at several widths, in the order of `ks`: those of `fair_scores` at each.

    Args are those of `fair_scores`.
    """
    check_not_forked()
    x, y = _without(confounders, fold_views(x, y, pca))
    divisions = _divisions(x, y, columns, labelled, kind, ks, groups, seed, folds, repeats)
    with threadpool_limits(1, "blas"):
        return tuple(_record(divisions, place, None, kind, k, ()) for place, k in enumerate(ks))


def _without(confounders, views):
    """Both views as the training rows of a fold see them once confounders are removed."""
    if confounders is None:
        return views
    for view in views:
        if confounders.ndim != 2 or len(confounders) != len(view) or not np.isfinite(confounders).all():
            raise ValueError(f"confounders: expected finite columns of {len(view)} rows, got shape {confounders.shape}")
    return tuple(replace(view, confounders=confounders) for view in views)


def _columns_of_folds(columns, x, labelled, fold, kind):
    """Label columns; real ones, for each fold, less what its training rows say that confounders predict of them."""
    if x.confounders is None or kind == "class":
        return columns
    known = x.confounders[labelled]
    return np.stack([residuals_of(columns, known, fold != f) for f in range(int(fold.max()) + 1)])


@dataclass(frozen=True, eq=False)
class _Division:
    """One division of the rows into folds, and what the closed forms earn under it.

    Args:
        columns: of the labels, in range.
        fold: of each row.
        folds: their number.
        groups: of the labelled rows.
        seed: of the bootstrap, the same for all divisions.
        earned: for each source and each width the labelled rows that it scores and what they earn.
        shrinkage: the largest share of the identity that went into a correlation matrix of the linear source.
    """

    columns: Float[np.ndarray, "m l"]
    fold: Int[np.ndarray, "n"]
    folds: int
    groups: Int[np.ndarray, "m"] | None
    seed: int
    earned: dict[str, list]
    shrinkage: float


def _divisions(x, y, columns, labelled, kind, ks, groups, seed, folds, repeats) -> list[_Division]:
    x, y, columns, labelled = check_label_rows(x, y, columns, labelled, groups=groups, seed=seed, kind=kind, ks=ks)
    if repeats is not None:
        check_count("repeats", repeats, most=MOST_REPEATS)
    else:
        few = len(x) <= _MANY_ROWS and x.shape[1] + y.shape[1] <= _MANY_COLUMNS
        repeats = _REPEATS if few and max(_cost_of_components(view) for view in (x, y)) <= _DEAR else 1
    own_groups = None if groups is None else groups[labelled]
    check_count("folds", folds, least=2)
    folds = usable_folds(folds, len(labelled), own_groups)
    check_sizes(max(ks), folds, x, y, columns, kind, own_groups)
    if kind == "real":
        columns = in_range(columns)
    classes = _classes(columns, kind)

    def divide(number):
        rng = np.random.default_rng(seed if number == 0 else [seed, 3, number])
        fold = folds_of_all_rows(len(x), labelled, assign_folds(rng, classes, own_groups, folds), groups)
        earned, shrinkage = _closed_form(x, y, columns, labelled, fold, ks, kind,
                                         [seed, 1] if number == 0 else [seed, 1, number])
        return _Division(columns, fold, folds, own_groups, seed, earned, shrinkage)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(divide, range(repeats)))


def _cost_of_components(view):
    """Multiplications, roughly, that the components of one fold take."""
    return 0.0 if view.width is None else float(view.rows.size) * min(view.rows.shape)


def _record(divisions, place, piloted, kind, k, diverged, leading=None) -> FairScores:
    """The scores at the width with this place, averaged over divisions."""
    first = divisions[0]
    found = [_summarised({source: earned[place] for source, earned in one.earned.items()}, one, kind,
                         piloted if one is first else None) for one in divisions]
    totals, *by_column = [_pooled(parts) for parts in zip(*found, strict=True)]
    return FairScores(
        metric="balanced accuracy" if kind == "class" else "R2",
        chance=1 / first.columns.shape[1] if kind == "class" else 0.0, k=k, labelled=len(first.columns),
        groups=None if first.groups is None else len(np.unique(first.groups)), folds=first.folds,
        sources=tuple(totals[0]), values=totals[0],
        draws=Draws({source: {name: np.round(drawn, _DIGITS) for name, drawn in names.items()}
                     for source, names in totals[1].items()}),
        per_column=tuple(column_scores(*_combined(*pooled, leading)) for pooled in by_column), diverged=diverged,
        leading=leading,
        shrinkage=max(one.shrinkage for one in divisions),
        errors_needed=errors_above_chance(_classes(first.columns, kind), first.groups)
        / spread_of_few_groups(_classes(first.columns, kind), first.groups))


def _classes(columns, kind):
    """The class of each row; 0 for real labels."""
    return columns.argmax(1) if kind == "class" else np.zeros(len(columns), int)


def _pooled(parts):
    """Mean values over divisions, and draws that weight the divisions at random, as they do the rows.

    So the draws also scatter as a score does from one division to another.
    """
    size = len(next(iter(next(iter(parts[0][1].values())).values())))
    weights = np.random.default_rng(len(parts)).standard_exponential((len(parts), size))
    values, draws = {}, {}
    for source, names in parts[0][0].items():
        having = [place for place, part in enumerate(parts) if source in part[0]]
        share = weights[having] / weights[having].sum(0)
        values[source] = {name: float(np.mean([parts[one][0][source][name] for one in having])) for name in names}
        draws[source] = {name: sum(share[row] * parts[one][1][source][name] for row, one in enumerate(having))
                         for name in names}
    return values, draws


def _closed_form(x, y, columns, labelled, fold, ks, kind, seed):
    """For each of the sources linear and lifted and each width: labelled rows that it scores, what they earn."""
    rng = np.random.default_rng(seed)
    rows, scored = rows_to_lift(rng, len(x), labelled, columns.argmax(1) if kind == "class" else None)
    if x.same_in_folds and y.same_in_folds:
        raw, features = raw_features(x.rows, y.rows), lifted_features(rng, x.rows[rows], y.rows[rows])
    else:
        raw, features = [], []
        for f in range(int(fold.max()) + 1):
            training = fold != f
            own = x.fitted_to(training), y.fitted_to(training)
            raw.append(raw_features(*own, training))
            features.append(lifted_features(np.random.default_rng([*seed, 5]), own[0][rows], own[1][rows],
                                            training[rows]))
    columns = _columns_of_folds(columns, x, labelled, fold[labelled], kind)
    linear, shrinkage = cross_fitted(raw, columns, labelled, fold, ks, kind, correlation_whitening, NAMES)
    lifted, _ = cross_fitted(features, columns[..., scored, :], np.searchsorted(rows, labelled[scored]), fold[rows], ks,
                             kind, ridge_whitening, NAMES, bounded=True)
    everyone = np.arange(len(labelled))
    return {"linear": [(everyone, earned) for earned in linear],
            "lifted": [(scored, earned) for earned in lifted]}, shrinkage


def _summarised(by_source, division, kind, piloted):
    """Values and draws of the scores by source and name, of all label columns and of each real one alone."""
    columns, groups, seed = division.columns, division.groups, division.seed
    classes = _classes(columns, kind)
    by_source = by_source | ({} if piloted is None else {"pilot": piloted.mean})
    totals = {source: (rows, earned.names, earned.earned.sum(2), earned.possible.sum(1))
              for source, (rows, earned) in by_source.items()}
    chance = 1 / columns.shape[1] if kind == "class" else 0.0
    found = [_of_networks(*_ratios(totals, classes, groups, seed), chance)]
    for column in range(columns.shape[1] if kind == "real" else 0):
        single = {source: (rows, earned.names, earned.alone[:, :, column], earned.possible[:, column])
                  for source, (rows, earned) in by_source.items()}
        found.append(_of_networks(*_ratios(single, classes, groups, seed), chance))
    if piloted is not None:
        for column, (_, draws) in enumerate(found):
            draws["pilot"] = piloted.scattered(draws["pilot"], classes, column - 1 if column else None)
    return found


def _of_networks(values, draws, chance):
    """The scores that networks would reach, where they are those of closed-form encoders."""
    for source in values.keys() - {"pilot"}:
        for name, most in _LOST_IN_TRAINING.items():
            value = values[source][name]
            lost = most * float(np.clip(min(value - chance, 1 - value) / _FULLY_LOST, 0, 1))
            values[source][name] = value - lost
            draws[source][name] = draws[source][name] - lost
    return values, draws


def _combined(values, draws, leading):
    """Names, means over the sources that count for each (`FairScores.sources_of`), and those of the draws."""
    having = {name: [source for source in values if name in values[source]] for name in NAMES}
    having = {name: [leading] if leading in sources else sources for name, sources in having.items()}
    return (NAMES, np.array([mean_over(having[name], values, name) for name in NAMES]),
            np.stack([mean_over(having[name], draws, name) for name in NAMES], 1))


def _ratios(totals, classes, groups, seed):
    """Scores and their draws from what each row earns, under the same weights for all sources."""
    terms, where = [], {}
    for source, (rows, names, earned, possible) in totals.items():
        own = np.zeros((len(classes), 1 + len(names)))
        own[rows] = np.column_stack([possible, earned])
        where[source] = len(terms) and sum(part.shape[1] for part in terms)
        terms.append(own)
    terms = np.hstack(terms)
    exact = np.zeros((int(classes.max()) + 1, terms.shape[1]))
    np.add.at(exact, classes, terms)
    sums = weighted_sums(np.random.default_rng([seed, 2]), terms, classes, groups)
    values, draws, spread = {}, {}, spread_of_few_groups(classes, groups)
    for source, (_, names, *_) in totals.items():
        first = where[source]
        columns = slice(first + 1, first + 1 + len(names))
        scored = exact[:, first] > 0  # among very many classes some have no row that is lifted
        value = (exact[scored][:, columns] / exact[scored][:, [first]]).mean(0)
        drawn = spread_out((sums[scored][:, :, columns] / sums[scored][:, :, [first]]).mean(0), value, spread)
        values[source] = dict(zip(names, map(float, value), strict=True))
        draws[source] = dict(zip(names, drawn.T, strict=True))
    return values, draws
