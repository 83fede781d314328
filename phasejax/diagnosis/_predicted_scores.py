"""Held-out probe score of each representation: how well what an objective learns would predict the labels.

The labelled rows are split into folds (`_folds`), encoders and probes are fitted without each fold (`_cross_fit`), and
the rows that were left out are weighted for the intervals (`_bootstrap`).
"""

import operator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant, with_interval
from phasejax._core.forks import check_not_forked
from phasejax._core.validation import check_choice, check_count, check_seed
from phasejax.diagnosis._bootstrap import (
    LEVEL,
    STANDARD_ERRORS,
    ColumnScores,
    Score,
    bootstrap,
    column_scores,
    errors_above_chance,
    ratio,
    spread_of_few_groups,
    spread_out,
    with_intervals,
)
from phasejax.diagnosis._cross_fit import cross_fitted, in_range, raw_features
from phasejax.diagnosis._folds import assign_folds, folds_of_all_rows
from phasejax.diagnosis._representations import correlation_whitening
from phasejax.io._arrays import finite_view
from phasejax.io._fold_view import FoldView, fold_views
from phasejax.io._labels import labelled_rows

Kind = Literal["class", "real"]
REPRESENTATIONS = ("CA", "CP x->y", "CP y->x", "x", "y", "x and y")
SINGLE = ("x", "y")
COMPRESSED = REPRESENTATIONS[:3]

# Divisions into folds, each of which costs as much as the first.
MOST_REPEATS = 10_000


@dataclass(frozen=True)
class PredictedScores:
    """How well each representation predicts held-out labels (`predict_scores`).

    Args:
        metric: "R2" or "balanced accuracy".
        chance: the score without information: 0, or one over the number of classes.
        scores: one for each representation, in the order of `REPRESENTATIONS`.
        gain_over_single: by how much every other score is above that of `best_single`, in the same order, with
            intervals of the paired differences, row by row.
        best: the representation with the highest score.
        best_single: "x" or "y", whichever scores higher.
        k: components of each encoder.
        shrinkage: the largest share of the identity that went into a correlation matrix before
            whitening; 0 where none had to be shrunk.
        per_column: the scores of each label column alone, for real labels.
        groups: number of groups of labelled rows, or None where each row is a group of its own.
        source: of the representations: "linear", encoders in closed form.
        errors_needed: standard errors by which a score must be above chance to count: more for few rows or groups, and
            for groups of unequal sizes, whose intervals are wider too.
    """

    metric: str
    chance: float
    scores: tuple[Score, ...]
    gain_over_single: tuple[Score, ...]
    best: str
    best_single: str
    k: int
    shrinkage: float
    per_column: tuple[ColumnScores, ...] = ()
    groups: int | None = None
    source: str = "linear"
    errors_needed: float = STANDARD_ERRORS

    def score(self, name: str) -> Score:
        """The score of one representation."""
        return next(score for score in self.scores if score.name == name)

    def gain(self, name: str) -> Score:
        """The gain of one representation over the best single modality."""
        return next(gain for gain in self.gain_over_single if gain.name == name)

    @property
    def beyond_chance(self) -> bool:
        """Whether the best representation predicts the labels better than noise would by luck."""
        best = self.ranking()[0]
        error = (best.value - best.low) / NormalDist().inv_cdf((1 + LEVEL) / 2)
        return best.value - self.errors_needed * error > self.chance

    @checked
    def redundant(self, margin: float = 0.02) -> str | None:
        """The modality that adds no more than the margin to the other one, in any label column: "x", "y" or None.

        Both the score of all columns and that of each one count, by the upper ends of their intervals: what "x and y"
        gains over the best single modality.
        """
        single = self.best_single
        gains = [self.gain("x and y"), *(column.adds_to(single) for column in self.per_column)]
        return ("x" if single == "y" else "y") if all(gain.high <= margin for gain in gains) else None

    def ranking(self) -> tuple[Score, ...]:
        """The scores, highest first."""
        return tuple(sorted(self.scores, key=lambda score: -score.value))

    def reason(self) -> str:
        """Which representation is best, by how much and how surely, in one sentence."""
        best, single = self.score(self.best), self.best_single
        measured = f"{self.metric} {_with_interval(best)}"
        if not self.beyond_chance:
            return (f"No representation predicts held-out labels reliably better than chance, "
                    f"{significant(self.chance, 2)}: the best is {self.best} ({measured}).")
        compressed = next(score for score in self.ranking() if score.name in COMPRESSED)
        with_k = "" if self.best in COMPRESSED else (
            f"; with {self.k} component{'s' * (self.k > 1)} per encoder {compressed.name} does best "
            f"({significant(compressed.value, 2)})")
        if self.best == single:
            return f"{single} alone predicts held-out labels best ({measured}){with_k}."
        gain = self.gain(self.best)
        over = (f"{_with_interval(gain)} above {single} alone" if gain.low > 0 else
                f"but its gain over {single} alone, {_with_interval(gain)}, may be chance")
        return f"{self.best} predicts held-out labels best ({measured}), {over}{with_k}."


def _with_interval(score):
    return with_interval(score.value, score.low, score.high)


@checked
def predict_scores(x: ArrayLike, y: ArrayLike, columns: ArrayLike, *, k: int, kind: str,
                   labelled: ArrayLike | None = None, folds: int = 5, repeats: int = 1, seed: int = 0,
                   groups: ArrayLike | None = None, pca: int | None = None) -> PredictedScores:
    r"""Cross-validated scores of six representations: "CA", "CP x->y", "CP y->x", "x", "y", "x and y".

    CA has the k scores of both encoders side by side, CP the k scores of its one encoder; the others
    are the raw columns. The encoders are those of `solve_ca` and `solve_cp` (prediction depends on the
    units of what is predicted, by definition), fitted again in every fold.

    The probe works on standardised columns. For real labels it is ridge regression, scored by

    .. math::  R^2 = 1 - \sum_r \|t_r - \hat t_r\|^2 \Big/ \sum_r \|t_r - \bar t_r\|^2

    over held-out rows r, with the mean taken over r's training rows: label columns count by their
    variance, and guessing scores 0. For classes it is linear discriminant analysis with the ridge
    added to the within-class covariance and equal priors, the rule that maximises the mean recall
    which is scored; the arg max of a regression on one-hot columns can hide a class between two
    others. The penalty minimises the generalised cross-validation criterion of the (one-hot, divided
    by the root of the class's share) label columns on the training rows, out of `_linear_readout.PENALTIES`.

    A view's correlation matrix is shrunk towards the identity by the formula of Ledoit and Wolf
    before whitening where training rows are no more than d_x + d_y (some canonical correlations are
    then 1 by construction) or where its least eigenvalue is below 1e-8; columns that are constant
    over training rows get no weight. `PredictedScores.shrinkage` is the share used.

    Intervals are 5% to 95% of the scores under 1000 Bayesian-bootstrap weightings of the held-out
    rows, the same weights for all representations; of groups they are spread out as Student's t of so many. They hold
    the error of the held-out rows and take the fits as given. So where an encoder is about to switch to other
    directions, their coverage was near 80% instead of 90%; a score of exactly 1 has an interval of no width; fits on
    (folds - 1) / folds of the rows score a little lower than one on all rows would; and the best single modality is
    taken as known.

    Args:
        x, y: paired views, shapes (n, d_x) and (n, d_y), finite numbers; n may be below d.
        columns: label columns, shape (m, L), one-hot for classes (`phasejax.io.encode_labels`).
        k: components per encoder, 1 <= k <= min(d_x, d_y) and below the rows of a training set.
        kind: "class" or "real".
        labelled: the m rows of x and y that `columns` are about, integers from 0 to n - 1 without
            repetition; all rows, in order, when left out.
        folds: parts of the labelled rows, each held out once; at least 2. Classes are spread evenly.
        repeats: cross-validations with other folds, over which each row's loss is averaged.
        seed: of the folds and of the bootstrap.
        groups: of the n rows, integers: rows of one patient, star or image. Whole groups go into a fold and are
            weighted together by the bootstrap.
        pca: principal components that take the place of the columns of a view with more of them, in each fold those of
            its training rows, so that no held-out row has a part in them; None for all columns.

    Raises:
        ValueError: naming the argument, what was expected and what was given.

    Source: generalised cross-validation, Golub, Heath and Wahba 1979; discriminant analysis with a
    ridge, Hastie, Buja and Tibshirani 1995; intervals, Rubin 1981; shrinkage, Ledoit and Wolf 2004.

    >>> rng = np.random.default_rng(0)
    >>> signal, own = rng.standard_normal((2, 500, 1))
    >>> x, y = np.c_[signal, own], np.c_[signal + rng.standard_normal((500, 1)), rng.standard_normal((500, 1))]
    >>> predicted = predict_scores(x, y, signal, k=1, kind="real")
    >>> predicted.best_single, predicted.ranking()[-1].name
    ('x', 'y')
    """
    check_not_forked()
    x, y = finite_view("x", x), finite_view("y", y)
    if len(x) != len(y):
        raise ValueError(f"y: expected {len(x)} rows as in x, got {len(y)}")
    labelled = labelled_rows(labelled, len(x))
    columns = _checked_columns(columns, kind, len(labelled))
    groups = None if groups is None else _checked_groups(groups, len(x))
    for name, count in (("k", k), ("folds", folds), ("repeats", repeats)):
        check_count(name, count, most=MOST_REPEATS if name == "repeats" else None)
    return scores_of_checked_data(*fold_views(x, y, pca), columns, k=k, kind=kind, labelled=labelled, folds=folds,
                                  repeats=repeats, seed=seed, groups=groups)


def scores_of_checked_data(x: FoldView, y: FoldView, columns: Float[np.ndarray, "m l"], *, k: int, kind: str,
                           labelled: Int[np.ndarray, "m"], folds: int = 5, repeats: int = 1, seed: int = 0,
                           groups: Int[np.ndarray, "n"] | None = None) -> PredictedScores:
    """`predict_scores` of views and label columns that have been checked one by one, but not against each other.

    Raises:
        ValueError: too few rows for the folds, the classes or k.
    """
    m = len(labelled)
    check_sizes(k, folds, x, y, columns, kind, None if groups is None else groups[labelled])
    rng = np.random.default_rng(check_seed("seed", seed))
    classes = columns.argmax(1) if kind == "class" else np.zeros(m, int)
    own_groups = None if groups is None else groups[labelled]
    targets = columns if kind == "class" else in_range(columns)
    # Threads of BLAS spin while they wait for one another: for these small matrices, and on a busy machine, they take
    # up to twenty times as long as one thread alone.
    with threadpool_limits(1, "blas"):
        parts = []
        for _ in range(repeats):
            fold = folds_of_all_rows(len(x), labelled, assign_folds(rng, classes, own_groups, folds), groups)
            parts.append(cross_fitted(_features(x, y, fold), targets, labelled, fold, [k], kind, correlation_whitening,
                                      REPRESENTATIONS))
        earned = np.mean([found[0].earned for found, _ in parts], 0)
        possible = np.mean([found[0].possible for found, _ in parts], 0)
        values = ratio(earned.sum(2), possible.sum(1), classes, np.ones((1, m)))[0]
        spread = spread_of_few_groups(classes, own_groups)
        draws = spread_out(bootstrap(rng, earned.sum(2), possible.sum(1), classes, own_groups), values, spread)
        alone = np.mean([found[0].alone for found, _ in parts], 0)
        by_column = () if kind == "class" else tuple(
            _of_column(rng, alone[:, :, column], possible[:, column], own_groups)
            for column in range(columns.shape[1]))
    single = max(SINGLE, key=lambda name: values[REPRESENTATIONS.index(name)])
    reference = REPRESENTATIONS.index(single)
    scores = with_intervals(REPRESENTATIONS, values, draws)
    gains = with_intervals(REPRESENTATIONS, values - values[reference], draws - draws[:, [reference]])
    return PredictedScores(
        metric="balanced accuracy" if kind == "class" else "R2",
        chance=1 / columns.shape[1] if kind == "class" else 0.0, scores=scores,
        gain_over_single=gains[:reference] + gains[reference + 1:], best=REPRESENTATIONS[int(np.argmax(values))],
        best_single=single, k=operator.index(k), shrinkage=max(shrunk for _, shrunk in parts), per_column=by_column,
        groups=None if own_groups is None else len(np.unique(own_groups)),
        errors_needed=errors_above_chance(classes, own_groups) / spread)


def _features(x, y, fold):
    """The columns of both views, of one kind for all folds unless they are components of training rows."""
    if x.same_in_folds and y.same_in_folds:
        return raw_features(x.rows, y.rows)
    return [raw_features(x.fitted_to(fold != f), y.fitted_to(fold != f), fold != f) for f in range(fold.max() + 1)]


def _checked_columns(columns, kind, rows):
    check_choice("kind", kind, get_args(Kind))
    columns = finite_view("columns", columns)
    if len(columns) != rows:
        raise ValueError(f"columns: expected {rows} rows, one per labelled row, got {len(columns)}")
    if kind == "class":
        if columns.shape[1] < 2 or not (np.isin(columns, (0, 1)).all() and (columns.sum(1) == 1).all()):
            raise ValueError("columns: expected one-hot columns of at least 2 classes, got other numbers")
    elif (np.ptp(columns, 0) == 0).any():
        raise ValueError(f"columns: expected columns that vary, got a constant in column "
                         f"{int((np.ptp(columns, 0) == 0).argmax())}")
    return columns


def _checked_groups(groups, n) -> Int[np.ndarray, "n"]:
    groups = np.asarray(groups)
    if groups.shape != (n,) or groups.dtype.kind not in "iu":
        raise ValueError(f"groups: expected {n} integers, one for each row, got {groups.dtype} of shape "
                         f"{groups.shape}")
    return groups.astype(np.int64)


def check_sizes(k: int, folds: int, x: FoldView, y: FoldView, columns: Float[np.ndarray, "m l"], kind: str,
                groups: Int[np.ndarray, "m"] | None) -> None:
    """Refuse too few rows for the folds, the classes or the width k.

    Args:
        groups: of the labelled rows.
    """
    m = len(columns)
    if kind == "class" and columns.sum(0).min() < 2:
        raise ValueError("columns: expected at least 2 rows of each class, to hold one out, got "
                         f"{int(columns.sum(0).min())} of class {columns.sum(0).argmin()}")
    if folds < 2 or m < 2 * folds:
        raise ValueError(f"folds: expected at least 2 and at most half the {m} labelled rows, got {folds}")
    if groups is not None and folds > len(np.unique(groups)):
        raise ValueError(f"folds: expected at most the {len(np.unique(groups))} groups of labelled rows, got {folds}")
    top = min(x.shape[1], y.shape[1], len(x) - -(-m // folds) - 1)
    if k > top:
        raise ValueError(f"k: expected 1 to {top}, the least of d_x, d_y and training rows - 1, got {k}")


def _of_column(rng, earned, possible, groups):
    """Scores of one real label column, from what the rows earn of what they could."""
    one_class = np.zeros(len(possible), int)
    values = ratio(earned, possible, one_class, np.ones((1, len(possible))))[0]
    draws = bootstrap(rng, earned, possible, one_class, groups)
    return column_scores(REPRESENTATIONS, values,
                         spread_out(draws, values, spread_of_few_groups(one_class, groups)))
