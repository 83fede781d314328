"""Is there anything to learn from these pairs? Two permutation tests that come before any regime.

The first asks whether x and y share anything: is their cross-covariance larger than with shuffled pairs. The second
asks whether what they share concerns the labels: do the leading directions that the views share predict the labels
better than shuffled labels. Both are exact at any n and d, for any distribution of rows, and with groups of rows that
are not independent, since whole groups are what is shuffled.

Several statistics are needed, for one strong shared direction hides among many in a sum of squares, many weak ones hide
in the largest singular value, whitening lets weak variables speak and loses strong ones where n is near d, and sharing
can be nonlinear. Their maximum, each in its standard deviations over shuffles, is one statistic with one exact level.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.digits import p_value, significant
from phasejax._core.forks import check_not_forked
from phasejax._core.validation import check_number
from phasejax.diagnosis._exchangeable_blocks import Blocks, permutation_test
from phasejax.diagnosis._label_rows import check_label_rows, check_strata
from phasejax.diagnosis._shared_directions import Axes, fourier_features, shared_directions, standardised
from phasejax.diagnosis._sharing_statistics import (
    DIRECTIONS,
    LabelStatistics,
    PairStatistics,
    PredictionAgreement,
    label_targets,
)

# Multiplications that all permutations of one test may take, beyond the least number of them; and at most in any case
# (about a third of a second on a core).
_BUDGET, _LIMIT = 1.5e9, 3e9
# Permutations of one test, at least and at most.
_LEAST, _MOST = 199, 999
# Random Fourier features of each view, and of a view of many rows.
_FEATURES, _FEATURES_OF_MANY, _MANY_ROWS = 48, 32, 10_000
# Directions that are learned from half of the groups where the whole cross-covariance is too large to be permuted.
_LEARNED = 16
# Directions of alignment that are weighed by their canonical correlations, at most.
_WEIGHTED = 32
# Folds of the predictions of labels.
_FOLDS = 5
# p-values of pairs that are not plainly like shuffled ones.
_DOUBTFUL = 0.1
# Groups below which they are not divided into halves; their rows are thinned instead.
_FEW_GROUPS = 60


@dataclass(frozen=True)
class SharedSignal:
    r"""Whether x and y share anything, and whether that concerns the labels (`shared_signal`).

    Args:
        views_p: p-value of "x and y are independent".
        labels_p: p-value of "nothing is shared, or the labels have nothing to do with it": never below `views_p`.
        level: p-values up to it count as seen.
        size, labelled_size: independent units behind the two tests: rows, or groups where there are any.
        agreement, shuffled_agreement: root mean square canonical correlation (regularised by d / n) of the
            pairs as they are, and its mean over shuffled pairs; of the groups' means where groups have several rows.
        label_share, shuffled_label_share: share of the label columns' variance that the shared directions of
            `label_statistic` explain in sample, and its mean over shuffled labels.
        view_statistic, label_statistic: the statistic that stands out most.
        permutations, label_permutations: shuffles drawn.
    """

    views_p: float
    labels_p: float
    level: float
    size: int
    labelled_size: int
    agreement: float
    shuffled_agreement: float
    label_share: float
    shuffled_label_share: float
    view_statistic: str
    label_statistic: str
    permutations: int
    label_permutations: int

    @property
    def views_share(self) -> bool:
        """Whether x and y agree better than shuffled pairs do."""
        return self.views_p <= self.level

    @property
    def labels_concerned(self) -> bool:
        """Whether what x and y share predicts the labels better than shuffled labels."""
        return self.labels_p <= self.level

    @property
    def seen(self) -> bool:
        """Whether a shared signal that the labels measure has been seen: both tests say so."""
        return self.views_share and self.labels_concerned

    def reason(self) -> str:
        """What the two tests found, in one sentence."""
        views, labels = map(p_value, (self.views_p, self.labels_p), self.least_p)
        if not self.views_share:
            return (f"no shared signal seen: x and y {self.no_better} (p {views}; canonical correlation "
                    f"{significant(self.agreement, 2)}, shuffled {significant(self.shuffled_agreement, 2)}); check the "
                    "pairing, or the pairs are too few to show it")
        found = f"the views share something (p {views})"
        if not self.labels_concerned:
            return (f"{found}, but nothing that the labels measure (p {labels}; share explained "
                    f"{significant(self.label_share, 2)}, with shuffled labels "
                    f"{significant(self.shuffled_label_share, 2)})")
        return f"{found}, and the labels measure it (p {labels})"

    @property
    def no_better(self) -> str:
        """How x and y compare with shuffled pairs where they are not found to share anything."""
        if self.views_p > _DOUBTFUL:
            return "agree no better than shuffled pairs do"
        return f"agree better than most shuffled pairs do, but not surely at level {significant(self.level, 1)}"

    @property
    def least_p(self) -> tuple[float, float]:
        """The least p-values of views and of labels that the shuffles could have given."""
        views = 1 / (self.permutations + 1)
        return views, max(views, 1 / (self.label_permutations + 1))


@checked
def shared_signal(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], columns: Float[np.ndarray, "m l"],
                  labelled: Int[np.ndarray, "m"], *, kind: Literal["class", "real"],
                  groups: Int[np.ndarray, "n"] | None = None, strata: Int[np.ndarray, "n"] | None = None,
                  level: float = 0.01, seed: int = 0) -> SharedSignal:
    r"""Test whether x and y share anything, and whether what they share concerns the labels.

    The first test permutes the rows of y, whole groups at a time. With :math:`C(\pi)` the cross-covariance of
    standardised columns under permutation :math:`\pi`, its statistics are

    .. math::  \|C\|_2, \|C\|_8, \max_{ij} |C_{ij}|, \|\hat C\|_2, \|\hat C\|_8, \|C_\phi\|_2, \|C_\phi\|_8,
        \|\hat C_\phi\|_2, \|\hat C_\phi\|_8

    in Schatten norms; the hat is whitening with a ridge of d / n, and without one as well where rows suffice and some
    directions vary less than the ridge, :math:`\phi` are random Fourier features. Two more are correlations of the
    labels' held-out predictions from x with those from y, by least squares and by each column's covariance. The second
    test permutes labels over labelled rows. Its statistics are the shares of the label columns that the first 1, 2, 4
    and 8 encoders of both views explain, for alignment, prediction, and alignment of Fourier features; and what 32
    directions of alignment explain, each weighted by its squared canonical correlation. The encoders are fitted to all
    rows without labels, so label permutations leave them as they are. Since labels of x alone would correlate with any
    direction of x, the p-value of the second test is at least that of the first.

    Groups of several rows are compared by their means and, apart from that, by deviations from them. Where the
    permutations of the whole cross-covariance would take more than about a second, 16 directions of alignment and 16 of
    covariance are learned from half of the groups or more, and the others are tested in them.

    The second test takes the encoders as given: where views do share something, a label that depends only on
    what is x's own is also found if a leading encoder contains some of it by chance. Nonlinear sharing is found as far
    as 48 random features of a view show it.

    Args:
        x, y: paired views, shapes (n, d_x) and (n, d_y), finite numbers.
        columns: label columns, shape (m, L): one-hot for classes.
        labelled: the m rows that `columns` are about, integers from 0 to n - 1.
        kind: "class": every contrast of classes counts alike; "real": every column does.
        groups: the group of each row, integers; rows of a group need not be independent of each other.
        strata: the stratum of each row, integers, one for all rows of a group: rows, or groups, trade places within
            their stratum only, as for batches whose rows have other distributions. None for a single one.
        level: p-values up to it count as seen.
        seed: of permutations and random features.

    Returns:
        Both p-values, with what shuffled data give beside what was observed.

    Source: restricted permutations, Pesarin and Salmaso 2010; maximum of standardised statistics, Westfall and
    Young 1993.

    >>> rng = np.random.default_rng(0)
    >>> signal, own = rng.standard_normal((2, 300, 1))
    >>> x, y = np.c_[signal, own], np.c_[signal + rng.standard_normal((300, 1)), rng.standard_normal((300, 1))]
    >>> shared_signal(x, y, signal, np.arange(300), kind="real").seen
    True
    >>> shared_signal(x, rng.permutation(y), signal, np.arange(300), kind="real").views_share
    False
    """
    check_not_forked()
    x, y, columns, labelled = check_label_rows(x, y, columns, labelled, groups=groups, seed=seed, kind=kind)
    if strata is not None:
        check_strata(strata, len(x), groups)
    level = check_number("level", level, above=0, below=1)
    rng = np.random.default_rng(seed)
    # Threads of BLAS cost more than they bring for matrices of this size.
    with threadpool_limits(1, "blas"):
        data = _Data.of(x, y, groups, strata, rng)
        least = max(_LEAST, int(np.ceil(2 / level)) - 1)  # twice as many as would let a test reject at all
        views, pairs = _views_test(data, columns, labelled, kind, rng, least)
        labels, labelled_size, label_names = _labels_test(data, columns, labelled, kind, rng, least)
    at, label_at = int(np.argmax(views.deviations)), int(np.argmax(labels.deviations))
    agreement, by_chance = (float(np.sqrt(values[0] ** 3 / pairs.dimension))
                            for values in (views.observed, views.shuffled))
    return SharedSignal(
        views_p=views.p, labels_p=max(views.p, labels.p), level=float(level), size=pairs.size,
        labelled_size=labelled_size, agreement=agreement, shuffled_agreement=by_chance,
        label_share=float(labels.observed[label_at] ** 3),
        shuffled_label_share=float(labels.shuffled[label_at] ** 3), view_statistic=pairs.names[at],
        label_statistic=label_names[label_at], permutations=views.permutations,
        label_permutations=labels.permutations)


@dataclass(frozen=True)
class _Data:
    """Two views in standardised columns, and Fourier features of both, with their axes."""

    x: Float[np.ndarray, "n d_x"]
    y: Float[np.ndarray, "n d_y"]
    features_x: Float[np.ndarray, "n f"]
    features_y: Float[np.ndarray, "n f"]
    axes: dict[str, Axes]
    groups: Int[np.ndarray, "n"] | None
    strata: Int[np.ndarray, "n"] | None

    @classmethod
    def of(cls, x, y, groups, strata, rng):
        x, y = standardised(x), standardised(y)
        count = _FEATURES if len(x) <= _MANY_ROWS else _FEATURES_OF_MANY
        features_x, features_y = (fourier_features(view, count, rng) for view in (x, y))
        named = {"x": x, "y": y, "features of x": features_x, "features of y": features_y}
        return cls(x, y, features_x, features_y, {name: Axes.of(view) for name, view in named.items()}, groups,
                   strata)

    def directions(self, kind, k, rows=None, methods=("CA", "PLS")):
        """Encoders fitted to some rows, by method; `kind` is "" or "features of "."""
        x, y = (self.x, self.y) if not kind else (self.features_x, self.features_y)
        x, y = (x, y) if rows is None else (x[rows], y[rows])
        axes_x, axes_y = self.axes[kind + "x"], self.axes[kind + "y"]
        cross = x.T @ y / len(x) - np.outer(x.mean(0), y.mean(0))
        cross = axes_x.to_axes.T @ cross @ axes_y.to_axes
        found = shared_directions(axes_x, axes_y, cross, k, methods)
        if not kind and (axes_x.hides or axes_y.hides):
            axes_x, axes_y = axes_x.without_ridge(), axes_y.without_ridge()
            found["CA without a ridge"] = shared_directions(axes_x, axes_y, cross, k, ("CA",))["CA"]
        return found


def _agreements_of_predictions(data, columns, labelled, kind, blocks, fold):
    """What compares predictions of the labels from x, fitted to other folds, with those from y, for two regressions.

    Least squares with a ridge, and the labels' mere covariances with each column, which know nothing of other columns
    but need the fewest rows.
    """
    targets = np.zeros((len(data.x), columns.shape[1]))
    chosen = label_targets(columns, kind)
    targets = targets[:, :chosen.shape[1]]
    targets[labelled] = chosen
    parts = [data.x[fold == f].T @ targets[fold == f] for f in range(_FOLDS)]
    rows, found = blocks.rows, {}
    of_x, of_y = data.axes["x"], data.axes["y"]
    for how, map_x, y in (("", of_x.to_axes * of_x.whitening, (data.y[rows] @ of_y.to_axes) * of_y.whitening),
                          (" from each column alone", np.eye(data.x.shape[1]), data.y[rows])):
        predicted = np.zeros_like(targets)
        for f in range(_FOLDS):
            predicted[fold == f] = data.x[fold == f] @ (map_x @ (map_x.T @ sum(parts[:f] + parts[f + 1:])))
        found[how] = PredictionAgreement(y, predicted[rows], targets[rows], fold[rows])
    return found


def _views_test(data, columns, labelled, kind, rng, least):
    """The test of the views, and the statistics that it used."""
    units = np.arange(len(data.x)) if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    fold = (rng.permutation(units.max() + 1) % _FOLDS)[units]
    blocks = Blocks.of(data.groups, len(data.x), rng, strata=data.strata)
    ranks = [min(len(blocks.rows), axes.to_axes.shape[1]) for axes in data.axes.values()]
    # Multiplications per row and permutation of a product of both views, and of their features.
    whole, features = ranks[0] * ranks[1], ranks[2] * ranks[3]
    affordable = _LIMIT / least / (1 + blocks.repeated)
    x, y, learned = data.x, data.y, ()
    if len(blocks.rows) * (whole + features) > affordable:
        if blocks.number < _FEW_GROUPS:
            rows = max(1, int(affordable / (whole + features) / blocks.number))
            blocks = Blocks.of(data.groups, len(x), rng, largest=rows, strata=data.strata)
        else:
            share = min(0.5, affordable / (len(blocks.rows) * ((2 * _LEARNED) ** 2 + features)))
            blocks, others = blocks.divided(rng, share)
            found = data.directions("", _LEARNED, others.rows)
            x, y = (view @ np.hstack([pair[side] for pair in found.values()]) for side, view in enumerate((x, y)))
            learned = tuple(found)
    pairs = PairStatistics(blocks, [("", x, y), ("Fourier features' ", data.features_x, data.features_y)], learned,
                           _agreements_of_predictions(data, columns, labelled, kind, blocks, fold))
    count = int(np.clip(_BUDGET / max(1, pairs.cost), least, _MOST))
    return permutation_test(pairs.statistics, blocks, rng, count), pairs


def _labels_test(data, columns, labelled, kind, rng, least):
    """The test of the labels, the number of units behind it, and the names of its statistics."""
    scores, weighted = {}, np.zeros((len(labelled), 0))
    for of, x, y in (("", data.x, data.y), ("features of ", data.features_x, data.features_y)):
        encoders = data.directions(of, _WEIGHTED, methods=("CA",) if of else ("CA", "CP"))
        if not of:
            weighted = _by_canonical_correlation(data, encoders["CA"], labelled)
        encoders = {name: [side[:, :DIRECTIONS[-1]] for side in pair] for name, pair in encoders.items()}
        both = [(view if len(labelled) == len(view) else view[labelled])
                @ np.stack([pair[side] for pair in encoders.values()], 1).reshape(view.shape[1], -1)
                for side, view in enumerate((x, y))]
        # The first direction of x, the first of y, the second of x, ...
        for method, *pair in zip(encoders, *(np.split(side, len(encoders), 1) for side in both), strict=True):
            scores[f"{method} of {of}x and y"] = np.stack(pair, 2).reshape(len(labelled), -1)
    groups, strata = (None if of_rows is None else of_rows[labelled] for of_rows in (data.groups, data.strata))
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
        counts = np.bincount(groups)
        means, per_group = (np.stack([np.bincount(groups, column) / counts for column in values.T], 1)
                            for values in (np.hstack([*scores.values(), weighted]), columns))
        if np.allclose(per_group[groups], columns, rtol=1e-9, atol=1e-9):  # exchangeable whatever the groups' sizes
            *parts, weighted = np.split(means, np.cumsum([values.shape[1] for values in scores.values()]), 1)
            if strata is not None:
                strata = strata[np.unique(groups, return_index=True)[1]]
            scores, columns, groups = dict(zip(scores, parts, strict=True)), per_group, None
    blocks = Blocks.of(groups, len(columns), rng, strata=strata)
    width = sum(values.shape[1] for values in (*scores.values(), weighted)) * columns.shape[1] * (1 + blocks.repeated)
    share = _LIMIT / least / max(1, len(blocks.rows) * width)
    if share < 1 and blocks.number >= _FEW_GROUPS:
        blocks = blocks.divided(rng, share)[0]
    explained = LabelStatistics(blocks, scores, weighted, columns, kind)
    count = int(np.clip(_BUDGET / max(1, 2 * len(blocks.rows) * width), least, _MOST))
    return permutation_test(explained.statistics, blocks, rng, count), blocks.number, explained.names


def _by_canonical_correlation(data, encoders, labelled):
    """Scores of labelled rows in directions of alignment of both views, times their canonical correlations."""
    of_x, of_y = (view @ encoder for view, encoder in zip((data.x, data.y), encoders, strict=True))
    correlations = np.einsum("ij,ij->j", of_x, of_y) / len(of_x)
    return np.hstack([of_x[labelled] * correlations, of_y[labelled] * correlations])
