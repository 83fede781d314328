"""What each choice would yield: cross-validated prediction of the labels from closed-form representations.

The labelled rows are split into folds. A held-out row takes no part, with x, y or label, in what
predicts its label. The encoders are fitted to all other rows, labelled or not, without labels; the
probe, its column means, scales and penalty to the labelled ones among them. Every fit needs second
moments only, so a fold costs a few factorisations of d x d matrices, whatever the number of rows.
"""

import operator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from phasejax._core.validation import check_count
from phasejax.diagnosis._linear_readout import RowMoments, discriminant, encoding_maps, inverse_scales, ridge_regression
from phasejax.io._arrays import finite_view
from phasejax.io._labels import labelled_rows

Kind = Literal["class", "real"]
REPRESENTATIONS = ("CA", "CP x->y", "CP y->x", "x", "y", "x and y")
SINGLE = ("x", "y")
COMPRESSED = REPRESENTATIONS[:3]
DRAWS = 1000
LEVEL = 0.9
# Rows of bootstrap weights at a time: 1000 draws of them are 80 MB.
BLOCK = 10_000


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
    """How well each representation predicts held-out labels (`predict_outcome`).

    Args:
        metric: "R2" or "balanced accuracy".
        chance: the score without information: 0, or one over the number of classes.
        scores: one per representation, in the order of `REPRESENTATIONS`.
        gain_over_single: the difference of every other score to that of `best_single`, in the same
            order; intervals of the paired differences, row by row.
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

    def ranking(self) -> tuple[Score, ...]:
        """The scores, highest first."""
        return tuple(sorted(self.scores, key=lambda score: -score.value))

    def reason(self) -> str:
        """What the numbers say, in one sentence."""
        best, single = self.score(self.best), self.best_single
        measured = f"{self.metric} {_with_interval(best)}"
        if best.low <= self.chance:
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


def predict_scores(x, y, columns, *, k: int, kind: str, labelled=None, folds: int = 5, repeats: int = 1,
                    seed: int = 0) -> PredictedScores:
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
    by the root of the class's share) label columns on the training rows, out of `probes.PENALTIES`.

    A view's correlation matrix is shrunk towards the identity by the formula of Ledoit and Wolf
    before whitening where training rows are no more than d_x + d_y (some canonical correlations are
    then 1 by construction) or where its least eigenvalue is below 1e-8; columns that are constant
    over training rows get no weight. `Outcome.shrinkage` tells.

    Intervals are 5% to 95% of the scores under 1000 Bayesian-bootstrap weightings of the held-out
    rows, the same weights for all representations. They are about the rows drawn, given the fits: where
    an encoder is about to switch to other directions their coverage was near 80% instead of 90%; a
    score of exactly 1 has an interval of no width, fits on (folds - 1) / folds of the rows are a
    little worse than one on all, and the best single modality is taken as given.

    Args:
        x, y: paired views, shapes (n, d_x) and (n, d_y), finite numbers; n may be below d.
        columns: label columns, shape (m, L), one-hot for classes (`inputs.encode_labels`).
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
    >>> outcome = predict_outcome(x, y, signal, k=1, kind="real")
    >>> outcome.best_single, outcome.ranking()[-1].name
    ('x', 'y')
    """
    x, y = finite_view("x", x), finite_view("y", y)
    if len(x) != len(y):
        raise ValueError(f"y: expected {len(x)} rows as in x, got {len(y)}")
    labelled = labelled_rows(labelled, len(x))
    columns = _columns(columns, kind, len(labelled))
    for name, count in (("k", k), ("folds", folds), ("repeats", repeats)):
        check_count(name, count)
    _check_sizes(k, folds, x, y, len(labelled))

    rng = np.random.default_rng(seed)
    classes = columns.argmax(1) if kind == "class" else np.zeros(len(labelled), int)
    views = np.hstack([_in_range(x), _in_range(y)])
    targets = columns if kind == "class" else _in_range(columns)
    has_label = np.zeros(len(x), bool)
    has_label[labelled] = True
    data = _Data(np.hstack([views[labelled], targets]), views[~has_label], x.shape[1], y.shape[1])
    # Threads of BLAS spin while they wait for one another: at these sizes, on a busy machine, that
    # took twenty times as long as one thread takes.
    with threadpool_limits(1, "blas"):
        parts = [_held_out_terms(data, kind, k, _folds(rng, classes, folds), folds) for _ in range(repeats)]
    earned, possible = (np.mean([part[i] for part in parts], 0) for i in range(2))
    values = _ratio(earned, possible, classes, np.ones((1, len(labelled))))[0]
    with threadpool_limits(1, "blas"):
        draws = _bootstrap(rng, earned, possible, classes)

    single = max(SINGLE, key=lambda name: values[REPRESENTATIONS.index(name)])
    reference = REPRESENTATIONS.index(single)
    scores = _scores(values, draws)
    gains = _scores(values - values[reference], draws - draws[:, [reference]])
    return PredictedScores(metric="balanced accuracy" if kind == "class" else "R2",
                   chance=1 / columns.shape[1] if kind == "class" else 0.0, scores=scores,
                   gain_over_single=gains[:reference] + gains[reference + 1:],
                   best=REPRESENTATIONS[int(np.argmax(values))], best_single=single, k=operator.index(k),
                   shrinkage=max(part[2] for part in parts))


def _in_range(array):
    """Numbers whose sums of squares keep their digits. No score depends on the scale of a whole view or on means."""
    array = array / (np.abs(array).max() or 1.0)
    return array - array.mean(0)


def _columns(columns, kind, rows):
    if kind not in get_args(Kind):
        raise ValueError(f"kind: expected one of {', '.join(get_args(Kind))}, got {kind!r}")
    columns = finite_view("columns", columns)
    if len(columns) != rows:
        raise ValueError(f"columns: expected {rows} rows, one per labelled row, got {len(columns)}")
    if kind == "class":
        if columns.shape[1] < 2 or not (np.isin(columns, (0, 1)).all() and (columns.sum(1) == 1).all()):
            raise ValueError("columns: expected one-hot columns of at least 2 classes, got other numbers")
        if columns.sum(0).min() < 2:
            raise ValueError("columns: expected at least 2 rows of each class, to hold one out, got "
                             f"{int(columns.sum(0).min())} of class {columns.sum(0).argmin()}")
    elif (np.ptp(columns, 0) == 0).any():
        raise ValueError(f"columns: expected columns that vary, got a constant in column "
                         f"{int((np.ptp(columns, 0) == 0).argmax())}")
    return columns


def _check_sizes(k, folds, x, y, m):
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
    """Each labelled row's terms (earned, possible) of the score, from fits without its fold; the shrinkage."""
    p, m = data.d_x + data.d_y, len(data.labelled)
    of_fold = [RowMoments.of(data.labelled[fold == f]) for f in range(folds)]
    of_others = RowMoments.of(data.others)
    earned, possible, shrinkage = np.empty((m, len(REPRESENTATIONS))), np.empty(m), 0.0
    for f in range(folds):
        # A sum over the other folds: the total minus one would lose digits to an outlier in that one.
        first, *rest = of_fold[:f] + of_fold[f + 1:]
        train = sum(rest, first)

        def training_rows(held_out=fold == f):
            return np.vstack([data.labelled[~held_out, :p], data.others])

        maps, shrunk = encoding_maps(train + of_others, data.d_x, data.d_y, k, training_rows)
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
                weights, offset = discriminant(zz, zt, train.mean[p:], train.count)
                chosen = np.argmax(z @ (to @ weights) + offset, axis=1)
                earned[fold == f, i] = t[np.arange(len(t)), chosen]
            else:
                weights = ridge_regression(zz, zt, np.trace(covariance[p:, p:]), train.count)
                predicted = train.mean[p:] + z @ (to @ weights)
                earned[fold == f, i] = possible[fold == f] - np.sum((t - predicted) ** 2, 1)
    return earned, possible, shrinkage


def _ratio(earned, possible, classes, weights) -> Float[np.ndarray, "b c"]:
    """Mean over classes of the weighted sum of what is earned over that of what is possible."""
    sums, members = 0.0, range(classes.max() + 1)
    for label in members:
        rows = classes == label
        sums = sums + (weights[:, rows] @ earned[rows]) / (weights[:, rows] @ possible[rows])[:, None]
    return sums / len(members)


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
