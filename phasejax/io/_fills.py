"""Numbers such as -999 that are written where a value is missing."""

import numpy as np

_WRITTEN = [sign * fill for fill in (99, 999, 9999, 99999, 999999, 99.9, 99.99, 999.9, 999.99, 9999.9, 9999.99, 1e20,
                                     1e30, 1e36) for sign in (-1, 1)]
# What netCDF writes into numbers of each type, and what well logs do.
_FILLS = np.unique(np.array([*_WRITTEN, -32768, -2147483648, -999.25, 9.969209968386869e36, -32767, -2147483647, -127]))
_FILLS = np.unique([_FILLS, _FILLS.astype(np.float32).astype(float)])
# How many ranges of the others such a number is away from them.
_FAR = 3


def find_fill(rows: np.ndarray) -> tuple[float, int, int] | None:
    """A number that is used for missing values and stands far from the others of its column.

    Args:
        rows: finite numbers, shape (n, d).

    Returns:
        The number, how often it stands there, and in how many columns; None without.

    >>> find_fill(np.array([[1.0, -99.0], [2.0, 0.5], [3.0, 0.7], [4.0, -99.0]]))
    (-99.0, 2, 1)
    """
    found: dict[float, list[int]] = {}
    for end, sign in ((rows.min(0, initial=0), -1), (rows.max(0, initial=0), 1)):
        for column in np.flatnonzero(np.isin(end, _FILLS)):
            value, others = end[column], rows[rows[:, column] != end[column], column]
            if others.size > 1 and sign * value > sign * others[np.argmax(sign * others)] + _FAR * np.ptp(others):
                found.setdefault(float(value), []).append(len(rows) - len(others))
    if not found:
        return None
    fill = max(found, key=lambda value: sum(found[value]))
    return fill, sum(found[fill]), len(found[fill])


def fill_note(name: str, fill: float, times: int, columns: int) -> str:
    """What is said about such a number.

    Args:
        name: the view, or the labels.
        fill: the number.
        times: how often it is there.
        columns: in how many columns.
    """
    where = "" if name == "labels" else f", in {columns} columns"
    return (f"{name}: {fill:.6g} stands {times} times far from all other values{where}; if it means a missing value, "
            "mask it or write NaN")
