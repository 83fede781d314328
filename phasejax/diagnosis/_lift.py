r"""Views lifted by random Fourier features of a Gaussian kernel, on which the closed-form encoders are nonlinear.

    phi(x) = [ x / |x|_rms,  sqrt(2 / F) cos(Omega x + b) ],   Omega_ij ~ N(0, 1 / w^2),   b_j ~ U(0, 2 pi)

with x centred, |x|_rms the root mean square of its length and w the median distance between two rows, so that both
blocks have inner products of order one, the second one those of exp(-|x - x'|^2 / 2 w^2). Neither labels nor pairing
enter, and a view's unit drops out. Prediction is to match the columns of the other view, as a network's would, and
not what they are lifted to.

Source: random features, Rahimi and Recht 2007; canonical correlations with a ridge, Vinod 1976.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import pdist

from phasejax.diagnosis._cross_fit import Features, in_range

# Random features of each view. Of the pairs of views for choosing constants in `benchmarks.decision_pairs`, 512 did
# not score better than 256.
_FEATURES = 256
# Ridge added before whitening, as a share of a lifted view's variance. On the same pairs, encoders scored best from
# 1e-3 to 1e-2. More makes alignment resemble prediction, since directions of little variance are lost to it.
_RIDGE = 1e-3
# Rows that are lifted at most, and the members of each class that are surely among them; of very many classes fewer,
# from more rows.
_ROWS, _MEMBERS = 4000, 20
_LEAST_MEMBERS, _MOST_ROWS = 8, 20_000
# Rows between which distances give the width of the kernel.
_DISTANCE_ROWS = 500


def rows_to_lift(rng: np.random.Generator, n: int, labelled: Int[np.ndarray, "m"], classes: Int[np.ndarray, "m"] | None
                 ) -> tuple[Int[np.ndarray, "r"], Int[np.ndarray, "s"]]:
    """Rows that are lifted, in order, and which of the labelled ones (0 to m - 1) are among them.

    All where they are few; otherwise labelled rows first, and of these some of every class.

    >>> rows, scored = rows_to_lift(np.random.default_rng(0), 10_000, np.arange(0, 10_000, 5), None)
    >>> len(rows), len(scored)
    (4000, 2000)
    """
    most = _ROWS if classes is None else max(_ROWS, min(_LEAST_MEMBERS * len(np.unique(classes)), _MOST_ROWS))
    if n <= most:
        return np.arange(n), np.arange(len(labelled))
    if len(labelled) <= most:
        others = rng.permutation(np.setdiff1d(np.arange(n), labelled))[:most - len(labelled)]
        return np.sort(np.concatenate([labelled, others])), np.arange(len(labelled))
    order = rng.permutation(len(labelled))
    if classes is not None:
        by_class = np.argsort(classes[order], kind="stable")
        number = np.bincount(classes)
        place = np.empty(len(order), int)  # of a row among those of its class
        place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(number) - number, number)
        order = order[np.argsort(np.minimum(place, _MEMBERS), kind="stable")]
    scored = np.sort(order[:most])
    return np.sort(labelled[scored]), scored


def lifted_features(rng: np.random.Generator, x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"],
                    training: Bool[np.ndarray, "n"] | slice = slice(None)) -> Features:
    """Both views lifted, each with its own columns first; means and distances are those of the rows `training`."""
    first, second = (_lifted(rng, view, training) for view in (x, y))
    edge = first.shape[1]
    return Features(np.hstack([first, second]), x=slice(0, edge), y=slice(edge, edge + second.shape[1]),
                    to_x=slice(0, x.shape[1]), to_y=slice(edge, edge + y.shape[1]))


def _lifted(rng, view, training):
    view = in_range(view, training)
    view = view / np.sqrt(np.mean(np.sum(view[training] ** 2, 1)))
    some = view[training]
    some = some if len(some) <= _DISTANCE_ROWS else some[rng.choice(len(some), _DISTANCE_ROWS, replace=False)]
    # Where most rows are copies of one another, the root mean square distance, which is 2^(1/2) here.
    width = float(np.median(pdist(some))) or np.sqrt(2.0)
    waves = rng.standard_normal((view.shape[1], _FEATURES)) / width
    return np.hstack([view, np.sqrt(2 / _FEATURES) * np.cos(view @ waves + rng.uniform(0, 2 * np.pi, _FEATURES))])


def ridge_whitening(covariance: Float[np.ndarray, "p p"], mean: Float[np.ndarray, "p"], crowded: bool,
                    centred_rows: Callable[[], np.ndarray]) -> tuple[Float[np.ndarray, "p p"], float]:
    r"""W with W (S + r I) W' = 1 for the ridge r = `_RIDGE` tr S, and the ridge's share.

    Args:
        covariance: S, of the training rows of one lifted view.
        mean, crowded, centred_rows: what other whitenings need.
    """
    values, vectors = np.linalg.eigh(covariance)
    ridge = _RIDGE * max(float(values.sum()), np.finfo(float).tiny)
    return (vectors / np.sqrt(np.maximum(values, 0.0) + ridge)).T, _RIDGE
