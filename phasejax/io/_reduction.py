r"""Fewer columns where a view has more than its rows can say something about.

Two situations are told apart. Columns that others determine (all levels of a category, copies, constants) are left out,
and what remains has full rank and keeps its names. Views with about as many columns as rows, or more, are projected on
principal components.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int, Shaped
from scipy.linalg.lapack import dtrtri  # pyright: ignore[reportAttributeAccessIssue]  # made when it is imported

from phasejax._core.validation import check_count
from phasejax.io._arrays import finite_view
from phasejax.io._moments import Moments, accumulate
from phasejax.io._table import Table

# Share of a column's variance that others do not explain, up to which it counts as their combination.
_UNEXPLAINED = 1e-10
# Columns are told apart from constants and from copies only as far as numbers have digits.
_DOUBLE = float(np.finfo(float).eps)
_ROUNDING = 100 * _DOUBLE
# A column may be the next one if so much of the largest share is left of it. No simple fraction, which designs have.
_NEARLY_MOST = 0.31
# Columns that a note names.
_NAMED = 8
# Where both rows and columns are more than this, principal components are those of a randomised decomposition.
_EXACT = 2000

_View = TypeVar("_View", np.ndarray, Table)


# Redundant columns


def reduce_to_rank(name: str, view: _View, columns: Sequence[str] | None = None) -> tuple[_View, str | None]:
    """A view without the columns that others determine, and a note that names these.

    Neither the span of the columns nor, for those that are kept, their units and their meaning change. Which columns
    are left out does not depend on units. Of a view with no more rows than columns, whose rank is that of its rows,
    only constant columns are left out.

    Args:
        name: the view, as the note calls it.
        view: finite numbers, shape (n, d); a table is read once, in blocks.
        columns: names of the d columns; their numbers when left out.

    Returns:
        The view with r <= d columns, the same object where r = d; and the note, None where r = d.

    Raises:
        ValueError: values that are not finite, or no column that varies.

    >>> category = np.eye(2)[[0, 1, 1, 0]]
    >>> reduced, note = reduce_to_rank("x", np.column_stack([category, np.ones(4)]))
    >>> reduced.shape, note
    ((4, 1), 'x: 2 of 3 columns left out: 2 does not vary; 1 is a combination of others')
    """
    n, d = view.shape
    if n > d:
        moments = accumulate([view], names=[name])[0]
        precision = _precision(view.dtype)
        kept, varying = independent_columns(moments, precision), _varying(moments.low, moments.high, precision)
    else:
        values = finite_view(name, view.rows(0, n) if isinstance(view, Table) else view)
        varying = _varying(values.min(0), values.max(0), _precision(view.dtype))
        kept = np.flatnonzero(varying)
    if not kept.size:
        raise ValueError(f"{name}: expected columns that vary, got {d} constant")
    if len(kept) == d:
        return view, None
    note = _note(name, d, np.flatnonzero(~varying), np.setdiff1d(np.flatnonzero(varying), kept), columns)
    return some_columns(view, kept), note


def some_columns(view: _View, kept: Int[np.ndarray, "r"]) -> _View:
    """The columns of a view with these numbers; those of a table are read when they are asked for."""
    if isinstance(view, np.ndarray):
        return view[:, kept]
    return Table(view.name, (len(view), len(kept)), view.dtype, lambda start, stop: view.rows(start, stop)[:, kept],
                 view.step)


def independent_columns(moments: Moments, precision: float = _DOUBLE) -> Int[np.ndarray, "r"]:
    r"""Numbers of as many columns as possible of which none is a combination of the others, in order.

    Columns are taken one after another, by a pivoted Cholesky decomposition of the matrix of correlations: each time
    the first column of which those before it leave much unexplained, in units of its own variance. So copies go, and
    the first of them stays, in any units.

    Args:
        moments: of n rows with d < n columns.
        precision: relative rounding error of the data: variances at its level count as explained.

    Returns:
        Their r numbers. The others explain each of them up to a share above 1e-10 of its variance, and the least
        eigenvalue of their correlations is above 2e-14 r.
    """
    varying = np.flatnonzero(_varying(moments.low, moments.high, precision))
    spread = np.sqrt(np.diag(moments.scatter)[varying])
    correlations = moments.scatter[np.ix_(varying, varying)] / spread / spread[:, None]
    largest = np.maximum(np.abs(moments.low), np.abs(moments.high))[varying]
    rounding = (precision * largest) ** 2 * moments.n / spread**2
    unexplained = np.maximum(_UNEXPLAINED, 4 * rounding)
    kept, looser = np.arange(len(varying)), 1
    while len(kept) and not _well_conditioned(correlations[np.ix_(kept, kept)], unexplained[kept]):
        kept = _pivots(correlations, looser * unexplained)
        looser *= 10
    return varying[kept]


def _well_conditioned(correlations, unexplained):
    """Whether the matrix has full rank: no column whose variance the others explain but for a share below a limit."""
    try:
        factor = np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError:
        return False
    # 1 / (1 - R^2); the inverse of the upper triangle is what LAPACK sees of a matrix in C's order.
    inflation = np.sum(dtrtri(factor.T, lower=0)[0] ** 2, axis=1)
    # The trace of the inverse is a bound of its largest eigenvalue.
    return bool(np.all(inflation * unexplained < 1) and inflation.sum() * len(factor) * _ROUNDING < 1)


def _pivots(correlations, unexplained):
    """Columns that a Cholesky decomposition takes as pivots, until little is left of every other one."""
    left, taken = np.ones(len(correlations)), []
    rows = np.empty_like(correlations)
    while np.any(left > unexplained):
        pivot = int(np.argmax((left > unexplained) & (left >= _NEARLY_MOST * left.max())))
        factor = rows[:len(taken)]
        row = (correlations[pivot] - factor[:, pivot] @ factor) / np.sqrt(left[pivot])
        rows[len(taken)] = row
        taken.append(pivot)
        left = np.maximum(left - row**2, 0)
        left[taken] = 0
    return np.sort(np.array(taken, int))


def _varying(low, high, precision=_DOUBLE):
    """Which columns vary by more than rounding."""
    return high - low > 4 * precision * np.maximum(np.abs(low), np.abs(high))


def _precision(dtype):
    """The relative rounding error of numbers that are stored in a type; of whole numbers none but that of float64."""
    return float(np.finfo(dtype).eps if dtype.kind == "f" and dtype.itemsize < 8 else _DOUBLE)


def _note(name, d, constant, combinations, columns):
    def listed(places):
        named = [str(place if columns is None else columns[place]) for place in places[:_NAMED]]
        return ", ".join(named) + (f" and {len(places) - _NAMED} more" if len(places) > _NAMED else "")

    parts = [f"{listed(places)} {one if len(places) == 1 else many}" for places, one, many in (
        (constant, "does not vary", "do not vary"),
        (combinations, "is a combination of others", "are combinations of others")) if len(places)]
    return f"{name}: {len(constant) + len(combinations)} of {d} columns left out: " + "; ".join(parts)


# Principal components


def fit_width(n: int, d_x: int, d_y: int) -> tuple[int, int]:
    """To how many columns two views are reduced, such that there are three rows or more for each.

    Args:
        n: number of rows that pair, at least 6; of groups, where rows are not independent.
        d_x, d_y: columns of the views.

    Returns:
        The numbers of columns: d_x and d_y if n > max(d_x, d_y); else n // 3 in all, half of them for each view, or
        more for one if the other has fewer.

    Raises:
        ValueError: fewer than 6 rows.

    >>> fit_width(300, 20_000, 20_000), fit_width(300, 20_000, 10), fit_width(300, 250, 250)
    ((50, 50), (90, 10), (250, 250))
    """
    if n < 6:
        raise ValueError(f"n: expected at least 6 rows, to compare two views, got {n}")
    if n > max(d_x, d_y):
        return d_x, d_y
    total = n // 3
    half = total // 2
    if d_x <= half:
        return d_x, min(d_y, total - d_x)
    if d_y <= half:
        return min(d_x, total - d_y), d_y
    return half, half


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    r"""The projection of rows on the leading principal components of others.

    .. math::  z = V^\top D^{-1} (r - m)

    with V the k leading eigenvectors of the covariance of D^{-1} r, and D the standard deviations of the columns, or
    the identity. Standardised, components do not depend on units of single columns; without, they are those of the view
    as it is, in the metric of which CKA and prediction count.

    Args:
        mean: m, shape (d,).
        scale: the diagonal of D, shape (d,); 1 where a column does not vary.
        basis: V, shape (d, k).
        explained: share of the variance that each component has, shape (k,), largest first.

    >>> rows = np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 4.1]])
    >>> PrincipalComponents.fit(rows, 1).transform(rows).round(1).tolist()
    [[-1.7], [-0.0], [1.7]]
    """

    mean: Float[np.ndarray, "d"]
    scale: Float[np.ndarray, "d"]
    basis: Float[np.ndarray, "d k"]
    explained: Float[np.ndarray, "k"]

    @classmethod
    def fit(cls, rows: Shaped[np.ndarray, "n d"], k: int, *, standardise: bool = True, seed: int = 0,
            beyond_rank: Literal["error", "zero"] = "error") -> "PrincipalComponents":
        """The k leading components of some rows.

        They come from the smaller of the d x d and the n x n matrix of products. Where both n and d are above 2000 they
        are approximate (`sklearn.utils.extmath.randomized_svd`).

        Args:
            rows: finite numbers, shape (n, d).
            k: number of components, at most the rank of the centred rows.
            standardise: whether columns count with unit variances.
            seed: of the approximation.
            beyond_rank: what to do about a k above the rank: "zero" makes the components beyond it zero everywhere.

        Raises:
            ValueError: values that are not finite, or fewer than k directions in which rows differ.
        """
        check_count("pca", k)
        values = finite_view("rows", rows)
        n, d = values.shape
        varying = _varying(values.min(0), values.max(0))
        mean = np.where(varying, values[0] + (values - values[0]).mean(0), values[0])
        centred = np.where(varying, values - mean, 0.0)
        largest = np.where(varying, np.abs(centred).max(0), 1.0)  # so that no square is out of range
        scale = largest * np.sqrt(np.mean((centred / largest) ** 2, 0)) if standardise else np.full(d, largest.max())
        scale = np.where(varying, scale, 1.0)
        centred /= scale
        total, most = np.sum(centred**2), int(min(n - 1, varying.sum()))
        if beyond_rank == "error" and k > most:
            raise ValueError(f"pca: expected at most {most} components of {n} rows and {varying.sum()} columns that "
                             f"vary, got {k}")
        squares, basis = np.zeros(k), np.zeros((d, k))
        if most:
            found = min(k, most)
            squares[:found], basis[:, :found] = _leading(centred, found, seed)
        rank = int(np.sum(squares > max(n, d) * _ROUNDING * squares[0]))
        if beyond_rank == "error" and rank < k:
            raise ValueError(f"pca: expected at most {rank} components, the rank of the rows, got {k}")
        squares[rank:], basis[:, rank:] = 0.0, 0.0
        basis = np.where(varying[:, None], basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(k)]), 0.0)
        return cls(mean, scale if standardise else np.ones(d), basis, squares / (total or 1.0))

    def transform(self, rows: Shaped[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """The rows in coordinates along the components, shape (n, k)."""
        return ((rows - self.mean) / self.scale) @ self.basis

    def note(self, name: str) -> str:
        """A line that says what was done to a view."""
        return (f"{name}: {len(self.mean)} columns reduced to {self.basis.shape[1]} principal components with "
                f"{100 * self.explained.sum():.3g} % of the variance")


def _leading(centred, k, seed):
    """The k largest squared singular values of the rows, and their right singular vectors."""
    n, d = centred.shape
    if min(n, d) > _EXACT and k < min(n, d) // 4:
        from sklearn.utils.extmath import randomized_svd

        # The stub takes the number of iterations for text, since "auto" is one.
        _, values, right = randomized_svd(centred, k, n_iter=7, random_state=seed)  # pyright: ignore[reportArgumentType]
        return values**2, right.T
    if d <= n:
        return _leading_eigenvectors(centred.T @ centred, k)
    squares, left = _leading_eigenvectors(centred @ centred.T, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        return squares, centred.T @ left / np.sqrt(np.maximum(squares, 0))


def _leading_eigenvectors(matrix, k):
    """The k largest eigenvalues of a symmetric matrix, and their eigenvectors."""
    if 4 * k > len(matrix):
        values, vectors = np.linalg.eigh(matrix)
        return values[::-1][:k], vectors[:, ::-1][:, :k]
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=[len(matrix) - k, len(matrix) - 1], check_finite=False)
    return values[::-1], vectors[:, ::-1]
