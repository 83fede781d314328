r"""Views lifted by random Fourier features of a Gaussian kernel, on which the closed-form encoders are nonlinear.

    phi(x) = [ x / |x|_rms,  sqrt(2 / F) cos(Omega x + b) ],   Omega_ij ~ N(0, 1 / w^2),   b_j ~ U(0, 2 pi)

with x centred, |x|_rms the root mean square of its length and w the median distance between two rows, so that both
blocks have inner products of order one, the second one those of exp(-|x - x'|^2 / 2 w^2). What is lifted does not
depend on a view's unit. Prediction is to match the columns of the other view, as a network's would.

Source: random features, Rahimi and Recht 2007.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import pdist

from phasejax.diagnosis._cross_fit import Features, in_range

FEATURES = 256
RIDGE = 0.01
# Rows whose distances give the bandwidth.
_DISTANCE_ROWS = 500


def lifted_features(rng: np.random.Generator, x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"],
                    count: int) -> Features:
    """Both views lifted."""
    (lifted_x, own_x), (lifted_y, own_y) = (_lifted(rng, view, count) for view in (x, y))
    first = lifted_x.shape[1]
    return Features(np.hstack([lifted_x, lifted_y]), x=slice(0, first), y=slice(first, first + lifted_y.shape[1]),
                    to_x=slice(0, own_x), to_y=slice(first, first + own_y))


def _lifted(rng, view, count):
    view = in_range(view)
    view = view / np.sqrt(np.mean(np.sum(view**2, 1)))
    some = view if len(view) <= _DISTANCE_ROWS else view[rng.choice(len(view), _DISTANCE_ROWS, replace=False)]
    width = np.median(pdist(some))
    waves = rng.standard_normal((view.shape[1], count)) / width
    phase = rng.uniform(0, 2 * np.pi, count)
    return np.hstack([view, np.sqrt(2 / count) * np.cos(view @ waves + phase)]), view.shape[1]


def ridge_whitening(covariance, mean, crowded, centred_rows):
    values, vectors = np.linalg.eigh(covariance)
    ridge = RIDGE * values.mean() if MODE == "ridge" else 0
    if MODE == "lw":
        from sklearn.covariance import ledoit_wolf_shrinkage
        s = ledoit_wolf_shrinkage(centred_rows(), assume_centered=True)
        values = (1-s)*values + s*values.mean()
    if MODE == "abs":
        ridge = RIDGE * values.sum()
    if MODE == "pca":
        keep = np.argsort(values)[::-1][:int(RIDGE)]
        return (vectors[:, keep] / np.sqrt(np.maximum(values[keep], 1e-12))).T, 0.0
    return vectors.T / np.sqrt(np.maximum(values, 0)+ ridge)[:,None], 0.0
MODE="ridge"


LIFTED_ROWS = 4000
PER_CLASS = 20


def features_for(n, k):
    return FEATURES


def rows_to_lift(rng, n, labelled, classes):
    if n <= LIFTED_ROWS:
        return np.arange(n), np.arange(len(labelled))
    order = rng.permutation(len(labelled))
    if len(labelled) <= LIFTED_ROWS:
        scored = np.arange(len(labelled))
        others = rng.permutation(np.setdiff1d(np.arange(n), labelled))[:LIFTED_ROWS - len(labelled)]
        return np.sort(np.concatenate([labelled, others])), scored
    if classes is not None:  # the first of every class come first
        rank = np.empty(len(order), int)
        for label in np.unique(classes):
            own = np.flatnonzero(classes[order] == label)
            rank[own] = np.arange(len(own))
        order = order[np.argsort(rank >= PER_CLASS, kind="stable")]
    scored = np.sort(order[:LIFTED_ROWS])
    return np.sort(labelled[scored]), scored


lift_whitening = ridge_whitening
