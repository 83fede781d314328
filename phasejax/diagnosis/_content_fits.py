r"""Label content from second moments: what fits to some groups of rows say about the labels of the rows left out.

The rows are divided into G groups. A fit is made to all rows of some groups and knows nothing of the others; its
terms are evaluated on a group that it has not seen. One fit without the groups i and j serves twice, for i while j is
deleted and for j while i is, so that the jackknife over all groups takes G (G - 1) / 2 fits more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from jaxtyping import Float

from phasejax.io import Moments
from phasejax.io._moments import each_left_out, merge_all

# Share of the variance of all standardised columns below which a direction counts as constant: well above what rounding
# leaves of a column that is the sum of others.
_CONSTANT = 1e-10
# The same inside a fit, whose coordinates have unit variance over all rows. Rows left out may be the only ones in which
# a direction varies.
_CONSTANT_IN_FIT = 1e-6


@dataclass(frozen=True)
class Coordinates:
    """Uncorrelated coordinates z of a view, of unit variance over all rows; constant directions are left out.

    Args:
        to: matrix that turns centred columns of the view into z, shape (r, d).
        metric: inner products of the view's columns as functions of z, shape (r, r): |view|^2 = z' metric z.
    """

    to: Float[np.ndarray, "r d"]
    metric: Float[np.ndarray, "r r"]

    @classmethod
    def of(cls, covariance: Float[np.ndarray, "d d"], varies: np.ndarray) -> "Coordinates":
        """Coordinates of a view with the given covariance, of which only some columns vary."""
        deviation = np.where(varies, np.sqrt(np.diag(covariance)), 0.0)
        inverse = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
        values, vectors = np.linalg.eigh(covariance * np.outer(inverse, inverse))
        kept = values > _CONSTANT * values.sum()
        values, vectors = values[kept], vectors[:, kept]
        back = deviation[:, None] * vectors * np.sqrt(values)
        return cls(to=(vectors / np.sqrt(values)).T * inverse, metric=back.T @ back / np.sum(deviation**2))


@dataclass(frozen=True)
class GroupMoments:
    """Moments of one group of rows, in the coordinates of both views.

    Args:
        views: of all its rows, of (z_x, z_y).
        labelled: of its labelled rows, of (z_x, z_y, labels).
    """

    views: Moments
    labelled: Moments


@dataclass(frozen=True)
class Terms:
    """Sums of e_i over rows that a fit has not seen.

    Args:
        parts: e_i(p_j p_j' C) for CA, CP and CP y->x and each component j, shape (3, m), m = min(r_x, r_y).
        total: e_i(C), the predictable part that the views share.
    """

    parts: Float[np.ndarray, "3 m"]
    total: float


class Fit:
    """Spaces of alignment and of prediction, and label directions, fitted to some groups of rows.

    Args:
        views: moments of all rows of the groups.
        labelled: moments of their labelled rows.
        metric_x, metric_y: of the `Coordinates` of each view.
    """

    def __init__(self, views: Moments, labelled: Moments, metric_x: np.ndarray, metric_y: np.ndarray):
        r_x, r_y = len(metric_x), len(metric_y)
        x, y = slice(0, r_x), slice(r_x, r_x + r_y)
        covariance = views.covariance
        self._x, self._y, self._t, self._mean = x, y, slice(r_x + r_y, None), labelled.mean
        self._root_x, self._root_y = _whitening(covariance[x, x]), _whitening(covariance[y, y])
        b = self._root_x @ covariance[x, y]
        b_reverse = self._root_y @ covariance[y, x]
        c = b @ self._root_y.T
        m = min(r_x, r_y)
        # Left singular vectors from the smaller of the two Gram matrices; those of C come in pairs.
        if r_x <= r_y:
            ca = _leading(c @ c.T, m)
            partners = c.T @ ca
        else:
            right = _leading(c.T @ c, m)
            partners = right * np.sum((c @ right) ** 2, 0) ** 0.5
            ca = _divided(c @ right, np.sum((c @ right) ** 2, 0) ** 0.5)
        cp = _leading(b @ metric_y @ b.T, m)
        cp_reverse = _leading(b_reverse @ metric_x @ b_reverse.T, m)
        # Pairs of maps (P, C'P) from whitened x and y to components: e(p p' C) is the product of a row of each.
        self._maps = ((ca, partners), (cp, c.T @ cp), (c @ cp_reverse, cp_reverse))
        self._c = c
        self._b_x, self._b_y = self._directions(labelled.covariance)

    def _directions(self, scatter):
        return self._root_x @ scatter[self._x, self._t], self._root_y @ scatter[self._y, self._t]

    def terms(self, group: Moments) -> Terms:
        """Sums of e_i over the labelled rows of a group that the fit has not seen."""
        shift = group.mean - self._mean
        h, g = self._directions(group.scatter + group.n * np.outer(shift, shift))
        parts = np.stack([np.sum((p.T @ h) * (q.T @ self._b_y) + (p.T @ self._b_x) * (q.T @ g), 1)
                          for p, q in self._maps])
        return Terms(parts=parts, total=float(np.sum(h * (self._c @ self._b_y)) + np.sum(self._b_x * (self._c @ g))))


def _whitening(covariance):
    """W with W S W' = I for coordinates of about unit variance; constant directions get 0."""
    try:
        factor = np.linalg.cholesky(covariance)
        if np.diag(factor).min() > _CONSTANT_IN_FIT**0.5:
            return scipy.linalg.solve_triangular(factor, np.eye(len(factor)), lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _CONSTANT_IN_FIT
    return (vectors * np.where(kept, np.where(kept, values, 1.0) ** -0.5, 0.0)).T


def _leading(matrix, m):
    """The m leading eigenvectors of a symmetric matrix, largest first."""
    return scipy.linalg.eigh(matrix, driver="evd", check_finite=False)[1][:, ::-1][:, :m]


def _divided(columns, lengths):
    return columns / np.where(lengths > 0, lengths, 1.0)


def coordinates(moments: Sequence[Moments], d_x: int) -> tuple[Coordinates, Coordinates]:
    """Coordinates of both views over the rows of all groups.

    Args:
        moments: of (x, y), for each group.
        d_x: columns of x.
    """
    whole = merge_all(moments)
    # A column that differs from its mean by rounding only is constant.
    varies = (whole.low < whole.high) & (np.diag(whole.covariance) > 1e-24 * whole.mean**2)
    x, y = slice(0, d_x), slice(d_x, None)
    return Coordinates.of(whole.covariance[x, x], varies[x]), Coordinates.of(whole.covariance[y, y], varies[y])


def transformed(moments: Moments, map_x: Float[np.ndarray, "r_x d_x"], map_y: Float[np.ndarray, "r_y d_y"],
                origin: Float[np.ndarray, "p"]) -> Moments:
    """Moments of (map_x x, map_y y, labels), from those of (x, y, labels) or of (x, y).

    Args:
        moments: of the rows.
        map_x, map_y: maps of the views.
        origin: point of (x, y) that is mapped to 0.
    """
    p, views = len(origin), scipy.linalg.block_diag(map_x, map_y)
    r, mean = views.shape[0], np.concatenate([views @ (moments.mean[:p] - origin), moments.mean[p:]])
    scatter = np.empty((len(mean), len(mean)))
    scatter[:r, :r] = views @ moments.scatter[:p, :p] @ views.T
    scatter[:r, r:] = views @ moments.scatter[:p, p:]
    scatter[r:, :r], scatter[r:, r:] = scatter[:r, r:].T, moments.scatter[p:, p:]
    return Moments(n=moments.n, mean=mean, scatter=scatter, low=mean, high=mean)


def cross_fitted(groups: Sequence[GroupMoments], metric_x: np.ndarray, metric_y: np.ndarray
                 ) -> tuple[Terms, list[Terms]]:
    """Terms of all groups by fits without each, and the same with each group deleted in turn.

    Args:
        groups: at least three.
        metric_x, metric_y: of the `Coordinates` of each view.
    """
    views, labelled = [group.views for group in groups], [group.labelled for group in groups]
    without_one = list(zip(each_left_out(views), each_left_out(labelled), strict=True))
    whole = _added(Fit(*train, metric_x, metric_y).terms(group) for train, group in
                   zip(without_one, labelled, strict=True))
    deleted: list[list[Terms]] = [[] for _ in groups]
    for i in range(len(groups) - 1):
        rest = list(range(len(groups)))
        rest.remove(i)
        views_left, labelled_left = each_left_out([views[r] for r in rest]), each_left_out([labelled[r] for r in rest])
        for place, j in enumerate(rest):
            if j > i:
                fit = Fit(views_left[place], labelled_left[place], metric_x, metric_y)
                deleted[j].append(fit.terms(labelled[i]))
                deleted[i].append(fit.terms(labelled[j]))
    return whole, [_added(terms) for terms in deleted]


def _added(terms) -> Terms:
    terms = list(terms)
    return Terms(parts=np.sum([term.parts for term in terms], 0), total=sum(term.total for term in terms))
