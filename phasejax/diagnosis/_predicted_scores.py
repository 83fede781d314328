"""Held-out probe score of each representation: how well what an objective learns would predict the labels.

The labelled rows are split into folds. Neither x nor y nor the label of a held-out row takes part in the
prediction of its label. The encoders (`_linear_readout`) are fitted to all other rows, labelled or not, without
labels; the probe, its column means, scales and penalty to the labelled ones among them. Every fit needs second
moments only, so a fold costs a few factorisations of d x d matrices, whatever the number of rows.
"""

import operator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from phasejax._core.validation import check_choice, check_count
from phasejax.diagnosis._linear_readout import discriminant, encoding_maps, inverse_scales, ridge_regression
from phasejax.io import Moments, accumulate
from phasejax.io._arrays import finite_view
from phasejax.io._labels import labelled_rows
from phasejax.io._moments import each_left_out

Kind = Literal["class", "real"]
REPRESENTATIONS = ("CA", "CP x->y", "CP y->x", "x", "y", "x and y")
SINGLE = ("x", "y")
COMPRESSED = REPRESENTATIONS[:3]
# Weightings of the Bayesian bootstrap, and the level of the intervals that they give.
DRAWS = 1000
LEVEL = 0.9
# Rows that the bootstrap weights at a time: 1000 weightings of them are 80 MB.
BLOCK = 10_000
# Standard errors by which the best score must be above chance to count. The best of six is above it by luck more often
# than one, and the bootstrap does not see that fits vary too: of 500 data sets of noise (120 to 1000 rows, 6 to 30
# columns, 2 to 4 classes) the best score of 99 % stayed below.
_STANDARD_ERRORS = 3.2


@dataclass(frozen=True)
class Score:
    """A number with its 90% interval.

    Args:
        name: one of `REPRESENTATIONS`.
        value: R^2 or balanced accuracy, or a difference of two.
        low, high: ends of the interval.
    """

    name: str
    value: float
    low: float
    high: float


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
    """

    metric: str
    chance: float
    scores: tuple[Score, ...]
    gain_over_single: tuple[Score, ...]
    best: str
    best_single: str
    k: int
    shrinkage: float

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
        return best.value - _STANDARD_ERRORS * error > self.chance

    def ranking(self) -> tuple[Score, ...]:
        """The scores, highest first."""
        return tuple(sorted(self.scores, key=lambda score: -score.value))

    def reason(self) -> str:
        """Which representation is best, by how much and how surely, in one sentence."""
        best, single = self.score(self.best), self.best_single
        measured = f"{self.metric} {_with_interval(best)}"
        if not self.beyond_chance:
            return (f"No representation predicts held-out labels reliably better than chance, {self.chance:.2f}: "
                    f"the best is {self.best} ({measured}).")
        compressed = next(score for score in self.ranking() if score.name in COMPRESSED)
        with_k = "" if self.best in COMPRESSED else (
            f"; with {self.k} component{'s' * (self.k > 1)} per encoder {compressed.name} does best "
            f"({compressed.value:.2f})")
        if self.best == single:
            return f"{single} alone predicts held-out labels best ({measured}){with_k}."
        gain = self.gain(self.best)
        over = (f"{_with_interval(gain)} above {single} alone" if gain.low > 0 else
                f"but its gain over {single} alone, {_with_interval(gain)}, may be chance")
        return f"{self.best} predicts held-out labels best ({measured}), {over}{with_k}."


def _with_interval(score):
    return f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"


def predict_scores(x: ArrayLike, y: ArrayLike, columns: ArrayLike, *, k: int, kind: str,
                   labelled: ArrayLike | None = None, folds: int = 5, repeats: int = 1, seed: int = 0
                   ) -> PredictedScores:
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
    rows, the same weights for all representations. They hold the error of the held-out rows and take the fits as
    given. So where an encoder is about to switch to other directions, their coverage was near 80% instead
    of 90%; a score of exactly 1 has an interval of no width; fits on (folds - 1) / folds of the rows score a little
    lower than one on all rows would; and the best single modality is taken as known.

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
    x, y = finite_view("x", x), finite_view("y", y)
    if len(x) != len(y):
        raise ValueError(f"y: expected {len(x)} rows as in x, got {len(y)}")
    labelled = labelled_rows(labelled, len(x))
    columns = _checked_columns(columns, kind, len(labelled))
    for name, count in (("k", k), ("folds", folds), ("repeats", repeats)):
        check_count(name, count)
    return scores_of_checked_data(x, y, columns, k=k, kind=kind, labelled=labelled, folds=folds, repeats=repeats,
                                  seed=seed)


def scores_of_checked_data(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"],
                           columns: Float[np.ndarray, "m l"], *, k: int, kind: str, labelled: Int[np.ndarray, "m"],
                           folds: int = 5, repeats: int = 1, seed: int = 0) -> PredictedScores:
    """`predict_scores` of views and label columns that have been checked one by one, but not against each other.

    Raises:
        ValueError: too few rows for the folds, the classes or k.
    """
    _check_sizes(k, folds, x, y, columns, kind)
    rng = np.random.default_rng(seed)
    classes = columns.argmax(1) if kind == "class" else np.zeros(len(labelled), int)
    views = np.hstack([_in_range(x), _in_range(y)])
    targets = columns if kind == "class" else _in_range(columns)
    has_label = np.zeros(len(x), bool)
    has_label[labelled] = True
    data = _Data(np.hstack([views[labelled], targets]), views[~has_label], x.shape[1], y.shape[1])
    # Threads of BLAS spin while they wait for one another: for these small matrices, and on a busy machine, they take
    # up to twenty times as long as one thread alone.
    with threadpool_limits(1, "blas"):
        parts = [_held_out_terms(data, kind, k, _folds(rng, classes, folds), folds) for _ in range(repeats)]
    earned = np.mean([part[0] for part in parts], 0)
    possible = np.mean([part[1] for part in parts], 0)
    values = _ratio(earned, possible, classes, np.ones((1, len(labelled))))[0]
    with threadpool_limits(1, "blas"):
        draws = _bootstrap(rng, earned, possible, classes)

    single = max(SINGLE, key=lambda name: values[REPRESENTATIONS.index(name)])
    reference = REPRESENTATIONS.index(single)
    scores = _scores(values, draws)
    gains = _scores(values - values[reference], draws - draws[:, [reference]])
    return PredictedScores(
        metric="balanced accuracy" if kind == "class" else "R2",
        chance=1 / columns.shape[1] if kind == "class" else 0.0, scores=scores,
        gain_over_single=gains[:reference] + gains[reference + 1:], best=REPRESENTATIONS[int(np.argmax(values))],
        best_single=single, k=operator.index(k), shrinkage=max(part[2] for part in parts))


def _in_range(array):
    """The view, centred and scaled so that sums of squares neither overflow nor vanish; no score depends on either."""
    # A power of 2 rounds nothing, so that what a large mean leaves of the digits is not lost before it is subtracted.
    array = np.ldexp(array, -int(np.frexp(np.abs(array).max())[1]))
    array = array - array[0]
    return array - array.mean(0)


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


def _check_sizes(k, folds, x, y, columns, kind):
    m = len(columns)
    if kind == "class" and columns.sum(0).min() < 2:
        raise ValueError("columns: expected at least 2 rows of each class, to hold one out, got "
                         f"{int(columns.sum(0).min())} of class {columns.sum(0).argmin()}")
    if folds < 2 or m < 2 * folds:
        raise ValueError(f"folds: expected at least 2 and at most half the {m} labelled rows, got {folds}")
    top = min(x.shape[1], y.shape[1], len(x) - -(-m // folds) - 1)
    if k > top:
        raise ValueError(f"k: expected 1 to {top}, the least of d_x, d_y and training rows - 1, got {k}")


def _folds(rng, classes, folds) -> Int[np.ndarray, "m"]:
    """The fold of each row: sizes differ by one at most, in all and within a class."""
    order = rng.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    fold = np.empty(len(classes), int)
    fold[order] = np.arange(len(classes)) % folds
    return fold


@dataclass(frozen=True)
class _Data:
    """Labelled rows, columns of x, y and labels side by side, and the other rows, of x and y."""

    labelled: Float[np.ndarray, "m q"]
    others: Float[np.ndarray, "r p"]
    d_x: int
    d_y: int


def _held_out_terms(data, kind, k, fold, folds):
    """What each labelled row earns of what it possibly could, by fits without its fold, and the fits' shrinkage."""
    p, m = data.d_x + data.d_y, len(data.labelled)
    of_others = Moments.of(data.others) if len(data.others) else None
    earned, possible, shrinkage = np.empty((m, len(REPRESENTATIONS))), np.empty(m), 0.0
    # Moments of all folds but one, added up: the total minus one fold would lose digits to an outlier in that fold.
    for f, train in enumerate(each_left_out(accumulate([data.labelled], fold))):
        def training_rows(held_out=fold == f):
            return np.vstack([data.labelled[~held_out, :p], data.others])

        views = _first_columns(train, p)
        maps, shrunk = encoding_maps(views if of_others is None else views.merged(of_others), data.d_x, data.d_y, k,
                                     training_rows)
        shrinkage = max(shrinkage, shrunk)
        test = data.labelled[fold == f]
        z, t = test[:, :p] - train.mean[:p], test[:, p:]
        covariance = train.covariance
        possible[fold == f] = 1.0 if kind == "class" else np.sum((t - train.mean[p:]) ** 2, 1)
        for i, to in enumerate(maps):
            unit = inverse_scales(np.sum(to * (covariance[:p, :p] @ to), 0), train.mean[:p] @ to)
            to = to * unit
            zz, zt = to.T @ covariance[:p, :p] @ to, to.T @ covariance[:p, p:]
            if kind == "class":
                weights, offset = discriminant(zz, zt, train.mean[p:], train.n)
                chosen = np.argmax(z @ (to @ weights) + offset, axis=1)
                earned[fold == f, i] = t[np.arange(len(t)), chosen]
            else:
                weights = ridge_regression(zz, zt, np.trace(covariance[p:, p:]), train.n)
                predicted = train.mean[p:] + z @ (to @ weights)
                earned[fold == f, i] = possible[fold == f] - np.sum((t - predicted) ** 2, 1)
    return earned, possible, shrinkage


def _first_columns(moments, p):
    return Moments(n=moments.n, mean=moments.mean[:p], scatter=moments.scatter[:p, :p], low=moments.low[:p],
                   high=moments.high[:p])


def _ratio(earned, possible, classes, weights) -> Float[np.ndarray, "b c"]:
    """Mean over classes of the weighted sum of what is earned over that of what is possible."""
    number = int(classes.max()) + 1
    sums = np.zeros((len(weights), earned.shape[1]))
    for label in range(number):
        rows = classes == label
        sums += (weights[:, rows] @ earned[rows]) / (weights[:, rows] @ possible[rows])[:, None]
    return sums / number


def _bootstrap(rng, earned, possible, classes):
    order = np.argsort(classes, kind="stable")
    earned, possible, classes = earned[order], possible[order], classes[order]
    sums = np.zeros((classes.max() + 1, DRAWS, 1 + earned.shape[1]))
    terms = np.column_stack([possible, earned])
    for start in range(0, len(terms), BLOCK):
        block = slice(start, start + BLOCK)
        weights = rng.standard_exponential((DRAWS, len(terms[block])))
        for label in np.unique(classes[block]):
            rows = classes[block] == label
            first, last = np.flatnonzero(rows)[[0, -1]]
            sums[label] += weights[:, first:last + 1] @ terms[block][rows]
    return (sums[:, :, 1:] / sums[:, :, :1]).mean(0)


def _scores(values, draws):
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return tuple(Score(name, *map(float, numbers))
                 for name, *numbers in zip(REPRESENTATIONS, values, low, high, strict=True))
