"""Pseudo-labels: clusters of a view in place of labels, each row's from a fit that did not see it.

Clusters of x say what varies most in x. As labels they favour whatever x holds, signal or nuisance, and a diagnosis
by them is about that.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_array, check_count, check_seed
from phasejax.diagnosis._folds import assign_folds

_STARTS = 4


@checked
def pseudo_labels(view: Float[np.ndarray, "n d"], k: int, *, groups: Int[np.ndarray, "n"] | None = None,
                  folds: int = 5, seed: int = 0) -> Int[np.ndarray, "n"]:
    r"""The k-means cluster of each row, by means that were fitted to the rows of other folds.

    .. math::  c_i = \arg\min_j \|x_i - \mu_j^{(-f(i))}\|, \qquad
        \mu^{(-f)} \text{ of the rows outside fold } f

    Clusters of different fits have the same number where their means lie nearest to one another (least sum of squared
    distances over all matchings with the first fit).

    Args:
        view: rows to cluster; columns in like units.
        k: number of clusters, at least 2, at most the rows outside a fold.
        groups: of the rows; whole groups go into a fold.
        folds: at least 2, at most the number of rows or groups.
        seed: of folds and starting points.

    Raises:
        ValueError: a number out of range.

    Source: k-means, Lloyd 1982; matching, Kuhn 1955.

    >>> rng = np.random.default_rng(0)
    >>> side = np.repeat([0, 1], 50)
    >>> found = pseudo_labels(rng.standard_normal((100, 2)) + 9 * side[:, None], 2)
    >>> bool(np.all(found == side) or np.all(found == 1 - side))
    True
    """
    from sklearn.cluster import KMeans

    view = np.asarray(check_array("view", view, 2))
    number = len(view) if groups is None else len(np.unique(groups))
    folds = check_count("folds", folds, least=2, most=number)
    fold = assign_folds(np.random.default_rng(check_seed("seed", seed)), np.zeros(len(view), int), groups, folds)
    least = len(view) - int(np.bincount(fold).max())
    if isinstance(k, bool) or not 2 <= k <= least:
        raise ValueError(f"k: expected 2 to {least} clusters, the rows that each fit sees, got {k}")
    found, reference = np.empty(len(view), np.int64), None
    with threadpool_limits(1):
        for f in range(folds):
            # The stub knows only the text "auto".
            fit = KMeans(k, n_init=_STARTS, random_state=int(seed) % 2**32).fit(  # pyright: ignore[reportArgumentType]
                view[fold != f])
            means = fit.cluster_centers_
            reference = means if reference is None else reference
            squares = np.sum(means**2, 1)[:, None] - 2 * means @ reference.T + np.sum(reference**2, 1)
            found[fold == f] = linear_sum_assignment(squares)[1][fit.predict(view[fold == f])]
    return found
