"""What each labelled row earns in cross-validation: encoders and probes fitted without its fold, applied to the row.

Neither x nor y nor the label of a held-out row takes part in the prediction of its label. The encoders are fitted to
all other rows, labelled or not, without labels; the probe, its column means, scales and penalty to the labelled ones
among them. Every fit needs second moments only, so a fold costs a few factorisations of matrices with as many rows as
there are columns, whatever the number of rows, and further widths k cost probes of a few columns each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from phasejax.diagnosis._linear_readout import discriminant, inverse_scales, logistic_classes, ridge_regression
from phasejax.diagnosis._representations import ENCODERS, RAW, TOGETHER, of_one_view, places, shared_encoders
from phasejax.io import Moments, accumulate
from phasejax.io._moments import each_left_out

# What rows earn (rows, representations, columns), under one probe and one for each column, and could earn.
_Terms = tuple[np.ndarray, np.ndarray, np.ndarray]
_ALL = slice(None)
# On curved features a row far from the training rows may be guessed a hundred standard deviations off, and one such row
# can undo the score of a thousand. Guesses end this share of the range of the training labels beyond it.
_BEYOND = 0.5
# (covariance, mean, crowded, centred rows) -> W with W S W' = 1, and the share of the identity in S.
Whitening = Callable[[np.ndarray, np.ndarray, bool, Callable[[], np.ndarray]], tuple[np.ndarray, float]]


@dataclass(frozen=True, eq=False)
class Earned:
    """What held-out rows earn of what they could: 1 for the right class, or squared error below that of the mean.

    Args:
        names: of the representations.
        earned: under one probe for all label columns, shape (m, names, L); L is 1 for classes.
        alone: the same under a probe with a penalty for each label column.
        possible: shape (m, L).
    """

    names: tuple[str, ...]
    earned: Float[np.ndarray, "m s l"]
    alone: Float[np.ndarray, "m s l"]
    possible: Float[np.ndarray, "m l"]

    @classmethod
    def empty(cls, names: Sequence[str], rows: int, columns: int) -> "Earned":
        """To be filled, for so many rows and label columns."""
        shape = (rows, len(names), columns)
        return cls(tuple(names), np.empty(shape), np.empty(shape), np.empty((rows, columns)))

    def fill(self, rows: np.ndarray, names: Sequence[str], terms: _Terms) -> None:
        """Enter what some rows earn under some representations."""
        where = np.array([self.names.index(name) for name in names])
        self.earned[rows[:, None], where], self.alone[rows[:, None], where], self.possible[rows] = terms


@dataclass(frozen=True, eq=False)
class Features:
    """Two views, raw or lifted, side by side.

    Args:
        rows: shape (n, p), without any column that overflows when it is squared.
        x, y: the columns of each.
        to_x, to_y: the columns that prediction is to match, within those of x and y.
    """

    rows: Float[np.ndarray, "n p"]
    x: slice
    y: slice
    to_x: slice
    to_y: slice


def raw_features(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"],
                 training: Bool[np.ndarray, "n"] | slice = _ALL) -> Features:
    """The columns of two views as they are; `training` as for `in_range`."""
    first, second = slice(0, x.shape[1]), slice(x.shape[1], x.shape[1] + y.shape[1])
    return Features(np.hstack([in_range(x, training), in_range(y, training)]), x=first, y=second, to_x=first,
                    to_y=second)


def in_range(array: Float[np.ndarray, "n p"], training: Bool[np.ndarray, "n"] | slice = _ALL
             ) -> Float[np.ndarray, "n p"]:
    """The view, centred and scaled so that sums of squares neither overflow nor vanish; no score depends on either.

    Args:
        array: any finite numbers.
        training: the rows that say where the centre is and what the scale.
    """
    # A power of 2 rounds nothing, so that what a large mean leaves of the digits is not lost before it is subtracted.
    array = np.ldexp(array, -int(np.frexp(np.abs(array[training]).max())[1]))
    array = array - array[training][0]
    return array - array[training].mean(0)


@dataclass(frozen=True, eq=False)
class _Training:
    """Moments of labelled training rows in the coordinates z that representations are chosen from."""

    n: int
    z: Float[np.ndarray, "p"]
    t: Float[np.ndarray, "l"]
    zz: Float[np.ndarray, "p p"]
    zt: Float[np.ndarray, "p l"]
    tt: Float[np.ndarray, "l"]


def cross_fitted(features: Features | Sequence[Features], columns: Float[np.ndarray, "*folds m l"],
                 labelled: Int[np.ndarray, "m"], fold: Int[np.ndarray, "n"], ks: Sequence[int], kind: str,
                 whiten: Whitening, names: Sequence[str], *, bounded: bool = False) -> tuple[list[Earned], float]:
    """Held-out earnings of the representations named, for each width.

    Args:
        features: of all rows; one for each fold where they depend on its training rows.
        columns: one-hot or real labels of the rows `labelled`; of shape (folds, m, l) where they depend on the
            training rows, as `features` then do.
        fold: of each row; -1 for rows that are trained on in every fold.
        ks: widths of the encoders.
        kind: "class" or "real".
        whiten: of one view.
        names: some of `_representations.NAMES`.
        bounded: whether guesses of real labels stay near the range of the training labels.

    Returns:
        One `Earned` for each width, and the largest share of the identity that went into a matrix before whitening.
    """
    widest, of_labelled = max(ks), fold[labelled]
    raw = [name for name in names if name in RAW]
    trained = [name for name in names if name not in RAW]
    per_column = 1 if kind == "class" else columns.shape[-1]
    found = [Earned.empty(names, len(labelled), per_column) for _ in ks]
    shrinkage = 0.0
    for f, (own, train, views) in enumerate(_training_sets(features, columns, labelled, fold)):
        p = own.rows.shape[1]
        slices = {"x": own.x, "y": own.y, "x and y": slice(own.x.start, own.y.stop)}
        held_out = np.flatnonzero(of_labelled == f)
        t, reach = _of_fold(columns, f)[held_out], _reach(train, p) if bounded else None
        centred = own.rows[labelled[held_out]] - train.mean[:p]
        for name in raw:
            chosen = slices[name]
            z = centred[:, chosen]
            terms = read_out(_training(train, p, chosen), z, t, [np.arange(z.shape[1])], kind,
                             reach)
            for one in found:
                one.fill(held_out, [name], terms)
        if trained:
            maps, shrunk = _encoders(views, own, widest, whiten, fold != f)
            shrinkage = max(shrinkage, shrunk)
            reduced, z = _training(train, p, maps), centred @ maps
            for one, k in zip(found, ks, strict=True):
                one.fill(held_out, trained,
                         read_out(reduced, z, t, [places(name, k, widest) for name in trained], kind, reach))
    return found, shrinkage


def _reach(train, p):
    """The least and the greatest guesses of each label column, less its mean."""
    low, high = train.low[p:] - train.mean[p:], train.high[p:] - train.mean[p:]
    return low - _BEYOND * (high - low), high + _BEYOND * (high - low)


def _training_sets(features, columns, labelled, fold) -> Iterator[tuple[Features, Moments, Moments]]:
    """For each fold the features, and the moments of the training rows: labelled ones with labels, all without."""
    of_labelled, others = fold[labelled], np.ones(len(fold), bool)
    others[labelled] = False
    if not isinstance(features, Features):
        for f, own in enumerate(features):
            train = Moments.of(np.hstack([own.rows[labelled], _of_fold(columns, f)])[of_labelled != f])
            views, rest = first_columns(train, own.rows.shape[1]), others & (fold != f)
            yield own, train, views.merged(Moments.of(own.rows[rest])) if rest.any() else views
        return
    rows, parts = features.rows[labelled], _moments_of_folds(features.rows, fold, others)
    # Moments of all folds but one, added up: the total minus one fold would lose digits to an outlier in that fold.
    for f, train in enumerate(each_left_out(accumulate([np.hstack([rows, columns])], of_labelled))):
        views = first_columns(train, features.rows.shape[1])
        for part, moments in parts.items():
            views = views if part == f else views.merged(moments)
        yield features, train, views


def _of_fold(columns, f):
    """The label columns of a fold: the same for all, unless there are some for each."""
    return columns if columns.ndim == 2 else columns[f]


def _moments_of_folds(rows, fold, others):
    """Moments of the unlabelled rows by the fold that holds them out, -1 for none."""
    return {int(f): Moments.of(rows[others & (fold == f)]) for f in np.unique(fold[others])}


def first_columns(moments: Moments, p: int) -> Moments:
    """Moments of the first p columns alone."""
    return Moments(n=moments.n, mean=moments.mean[:p], scatter=moments.scatter[:p, :p], low=moments.low[:p],
                   high=moments.high[:p])


def _training(train, p, maps):
    """Moments in the coordinates [x, y] @ maps, or in some columns of [x, y]."""
    covariance = train.covariance
    if isinstance(maps, slice):
        z, zz, zt = train.mean[maps], covariance[maps, maps], covariance[maps, p:]
    else:
        z, zz, zt = train.mean[:p] @ maps, maps.T @ covariance[:p, :p] @ maps, maps.T @ covariance[:p, p:]
    return _Training(train.n, z, train.mean[p:], zz, zt, np.diag(covariance)[p:])


def _encoders(views, features, k, whiten, in_training):
    """All `ENCODERS` side by side as one matrix (p, encoders k), and the share of the identity."""
    covariance, x, y = views.covariance, features.x, features.y
    crowded = views.n <= len(covariance)

    def centred(view):
        return features.rows[in_training, view] - views.mean[view]

    (root_x, shrunk_x), (root_y, shrunk_y) = (
        whiten(covariance[view, view], views.mean[view], crowded, lambda view=view: centred(view)) for view in (x, y))
    found = shared_encoders(root_x, root_y, covariance[x, y], covariance[x, features.to_y],
                            covariance[y, features.to_x], k)
    for name, view in (("x at k", x), ("y at k", y)):
        found[name] = _principal(covariance[view, view], k)
    maps = np.zeros((len(covariance), len(ENCODERS) * k))
    for place, name in enumerate(ENCODERS):
        view = x if of_one_view(name) == "x" else y
        maps[view, place * k:place * k + found[name].shape[1]] = found[name]
    return maps, max(shrunk_x, shrunk_y)


def _principal(covariance, k):
    """The first principal components of the columns as they are, in the units in which prediction counts them."""
    return np.linalg.eigh(covariance)[1][:, ::-1][:, :k]


def read_out(train: _Training, z: Float[np.ndarray, "r p"], t: Float[np.ndarray, "r l"],
             choices: Sequence[np.ndarray], kind: str,
             reach: tuple[np.ndarray, np.ndarray] | None = None) -> _Terms:
    """What held-out rows earn under a probe of each choice of coordinates, and what they could earn.

    Args:
        train: moments of the training rows.
        z: coordinates of the held-out rows less the training mean.
        t: their labels.
        choices: the coordinates of each representation.
        kind: "class" or "real".
        reach: the least and the greatest guesses of real labels less their means; None for any.
    """
    possible = np.ones((len(z), 1)) if kind == "class" else (t - train.t) ** 2
    earned = np.empty((len(z), len(choices), possible.shape[1]))
    alone = earned if kind == "class" else np.empty_like(earned)
    present = np.flatnonzero(train.t > 0)  # of classes, those that can be learned here
    for place, chosen in enumerate(choices):
        zz = train.zz[np.ix_(chosen, chosen)]
        unit = inverse_scales(np.diag(zz), train.z[chosen])
        zz, zt = zz * np.outer(unit, unit), unit[:, None] * train.zt[chosen]
        if kind == "class":
            weights, offset = discriminant(zz, zt[:, present], train.t[present], train.n)
            guess = present[np.argmax(z[:, chosen] @ (unit[:, None] * weights) + offset, axis=1)]
            earned[:, place, 0] = t[np.arange(len(t)), guess]
        else:
            for one, weights in zip((earned, alone), ridge_regression(zz, zt, train.tt, train.n), strict=True):
                guess = z[:, chosen] @ (unit[:, None] * weights)
                one[:, place] = possible - (t - train.t - (guess if reach is None else np.clip(guess, *reach))) ** 2
    return earned, alone, possible


def read_out_arrays(parts: dict[str, np.ndarray], columns: Float[np.ndarray, "*folds m l"],
                    labelled: Int[np.ndarray, "m"], fold: Int[np.ndarray, "m"], kind: str) -> Earned:
    """Held-out earnings of representations whose values on all rows are given, fold by fold.

    Classes are read by logistic regression.

    Args:
        parts: of each of some `ENCODERS`, what the encoder that was fitted without fold f makes of every row, shape
            (folds, n, c).
        columns: labels of the rows `labelled`, or those of each fold, as for `cross_fitted`.
        fold: of the labelled rows.
        kind: "class" or "real".
    """
    names = tuple(name for name in (*TOGETHER, *ENCODERS) if all(part in parts for part in TOGETHER.get(name, (name,))))
    blocks, start = {}, 0
    for part, values in parts.items():
        blocks[part] = np.arange(start, start + values.shape[2])
        start += values.shape[2]
    choices = [np.concatenate([blocks[part] for part in TOGETHER.get(name, (name,))]) for name in names]
    per_column = 1 if kind == "class" else columns.shape[-1]
    found = Earned.empty(names, len(labelled), per_column)
    for f in range(int(fold.max()) + 1):
        held_out, rest = np.flatnonzero(fold == f), fold != f
        z = np.hstack([values[f][labelled] for values in parts.values()]).astype(np.float64)
        own = _of_fold(columns, f)
        if kind == "class":
            found.fill(held_out, names, _read_classes(z, own.argmax(1), rest, held_out, choices))
            continue
        train = Moments.of(np.hstack([z, own])[rest])
        found.fill(held_out, names, read_out(_training(train, start, slice(0, start)),
                                             z[held_out] - train.mean[:start], own[held_out], choices, kind))
    return found


def _read_classes(z, classes, training, held_out, choices) -> _Terms:
    """What held-out rows earn under a logistic regression on each choice of columns of z."""
    right = [logistic_classes(z[np.ix_(training, chosen)], classes[training], z[np.ix_(held_out, chosen)])
             == classes[held_out] for chosen in choices]
    earned = np.stack(right, 1)[:, :, None].astype(float)
    return earned, earned, np.ones((len(held_out), 1))
