"""Views with more columns than rows, in as many coordinates as they have rows.

No rotation of a view changes a metric here, and what n rows span has n dimensions at most. So 20,000 columns of 300
rows are turned into 300 once, by an orthogonal decomposition that is as exact for each row as its own length, and all
metrics, pairings and parts of the rows are computed from these.
"""

import numpy as np
from jaxtyping import Float, Int, Shaped

from phasejax._core.pytree import HostOrDevice
from phasejax.io._duplicates import row_numbers

# Rows whose medians are the origin.
_MEDIAN_ROWS = 101
# A view is turned where it has more columns than so many times its rows, since the decomposition costs as much as the
# products of all rows.
_WIDE = 2


def has_fewer_coordinates(view: Shaped[HostOrDevice, "n d"]) -> bool:
    """Whether a view is so wide that turning it saves work."""
    return view.shape[1] > _WIDE * view.shape[0]


def coordinates_about_median(view: Shaped[np.ndarray, "n d"], order: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n n"]:
    """Rows with the same differences from each other up to one factor, near the origin.

    Args:
        view: finite numbers with d > n columns.
        order: in which the decomposition takes the rows. Rounding errors may depend on it, and must not be alike in two
            views, since they decide between neighbours at the same distance.

    >>> view = np.array([[5.0, 1.0, 1.0], [5.0, 4.0, 5.0]])
    >>> rows = coordinates_about_median(view, np.arange(2))
    >>> rows.shape, round(float(np.linalg.norm(rows[1] - rows[0])), 6)
    ((2, 2), 0.625)
    """
    values = _below_one(np.asarray(view, np.float64))
    some = np.linspace(0, len(values) - 1, min(len(values), _MEDIAN_ROWS)).round().astype(int)
    return _coordinates(values - np.median(values[some], axis=0), view, order)


def coordinates_of_directions(view: Shaped[np.ndarray, "n d"], order: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n n"]:
    """Rows with the same angles between each other and lengths near 1; a row of zeros stays one.

    Args:
        view, order: as in `coordinates_about_median`.

    >>> rows = coordinates_of_directions(np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 1e-9]]), np.arange(2))
    >>> lengths = np.linalg.norm(rows, axis=1)
    >>> round(float(rows[0] @ rows[1] / lengths[0] / lengths[1]), 6)
    0.8
    """
    values = np.asarray(view, np.float64)
    values = np.ldexp(values, -np.frexp(np.abs(values).max(axis=1, keepdims=True))[1])
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return _coordinates(values / np.where(length > 0, length, 1), view, order)


def _below_one(values):
    """The values divided by the power of two above the largest."""
    return np.ldexp(values, -np.frexp(np.abs(values).max())[1])


def _coordinates(rows, view, order):
    """Coordinates of the rows in what they span; those of equal rows of the view are equal."""
    found = np.empty((len(rows), len(rows)))
    found[order] = np.asarray(np.linalg.qr(rows[order].T, mode="r")).T
    _, first, number = np.unique(row_numbers(view), return_index=True, return_inverse=True)
    return found[first[number]]
