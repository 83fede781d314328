"""Checks behind the scikit-learn estimators: of options, of the second view, and of what a solver returned.

Messages are one line each and name the argument as the caller of `fit` knows it, X or y.
"""

import math
from typing import Any

import jax
import numpy as np
from sklearn.utils.validation import check_array

from phasejax._core.linalg import whitening


def check_components(value: Any, largest: int | None = None) -> None:
    """Refuse what is no whole number of at least 1, or above min(d_x, d_y) = `largest` where that is known.

    Raises:
        ValueError: naming `n_components`.
    """
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"n_components: expected a whole number of at least 1, got {value!r}")
    if largest is not None and value > largest:
        raise ValueError(f"n_components: expected 1 to min(d_x, d_y) = {largest}, got {value}")


def check_number(name: str, value: Any, largest: int | float, expected: str) -> None:
    """Refuse what is no finite number from 0 to `largest`.

    Raises:
        ValueError: naming the argument, what is `expected` of it, and what was given.
    """
    if not isinstance(value, int | float | np.integer | np.floating) or not 0 <= value <= largest or math.isinf(value):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def check_second_view(estimator: str, y: Any, rows: int | None, mean: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """The second view as a float64 matrix, and whether it was given as a single column of shape (n,).

    Args:
        estimator: name of the estimator's class, for the message.
        y: what was given for the second view.
        rows: number of rows of the first view; None where none was given.
        mean: fitted column means, whose number is that of the columns; None before fitting.

    Raises:
        ValueError: no second view, other rows or columns, values that are not finite.
    """
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None")
    # scikit-learn annotates dtype by its default, a string.
    view = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")  # pyright: ignore[reportArgumentType]
    is_column = view.ndim == 1
    view = view[:, None] if is_column else view
    if rows is not None and len(view) != rows:
        raise ValueError(f"y: expected {rows} rows as in X, got {len(view)}")
    if mean is not None and view.shape[1] != len(mean):
        raise ValueError(f"y: expected {len(mean)} columns as in fit, got {view.shape[1]}")
    return view, is_column


def check_solved(spectrum: np.ndarray, *variances: tuple[str, np.ndarray]) -> None:
    """Where a solver gave NaN, say which view could not be whitened.

    Args:
        spectrum: what the solver returned.
        variances: name and variance of each view that the solver had to whiten.

    Raises:
        ValueError: a spectrum that is not finite.
    """
    if np.isfinite(spectrum).all():
        return
    with jax.enable_x64(True):
        for name, variance in variances:
            if np.isfinite(variance).all() and not np.isfinite(whitening(variance)).all():
                raise ValueError(f"{name}: expected linearly independent columns, or shrinkage or ridge > 0, got rank "
                                 f"{np.linalg.matrix_rank(variance, hermitian=True)} from {len(variance)} columns")
    raise ValueError("X, y: expected values whose squares are finite numbers, got larger ones")
