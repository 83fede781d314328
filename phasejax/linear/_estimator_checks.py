"""Checks behind the scikit-learn estimators: of options, of the second view, of weights, and of columns.

Messages are one line each and name the argument as the caller of `fit` knows it, X or y.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from phasejax._core.validation import shown
from phasejax.linear._pair_moments import ViewMoments

# Columns that a warning names.
_NAMED = 8


def check_components(value: Any, ranks: tuple[int, ...] = (), shape: tuple[int, ...] = ()) -> None:
    """Refuse what is no whole number of at least 1, or above what the views have.

    Args:
        value: what was given for `n_components`.
        ranks: numbers of columns of both views that are solved for, where known.
        shape: (d_x, d_y), where known.

    Raises:
        ValueError: naming `n_components`.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"n_components: expected a whole number of at least 1, got {value!r}")
    if ranks and value > min(ranks):
        largest = "min(d_x, d_y)" if min(ranks) == min(shape) else "the lesser rank of the views"
        raise ValueError(f"n_components: expected 1 to {largest} = {min(ranks)}, got {value}")


def check_number(name: str, value: Any, largest: int | float, expected: str) -> None:
    """Refuse what is no finite number from 0 to `largest`.

    Raises:
        ValueError: naming the argument, what is `expected` of it, and what was given.
    """
    largest = min(largest, sys.float_info.max)
    if not isinstance(value, int | float | np.integer | np.floating) or not 0 <= value <= largest:
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def check_values(name: str, view: Any) -> None:
    """Refuse what scikit-learn would read otherwise than it is meant, or refuse by printing it.

    Args:
        name: the view, X or y.
        view: what was given.

    Raises:
        ValueError: masked values, whose fill would count as data; complex numbers.
    """
    if isinstance(view, str | bytes | dict | set | type) or not any(
            hasattr(view, attribute) for attribute in ("__array__", "__len__", "shape", "dtype", "iloc")):
        raise ValueError(f"{name}: expected a matrix of numbers, got {shown(view)}. Reshape your data")
    if isinstance(view, np.ndarray) and view.dtype == object:
        try:
            view.astype(float)
        except TypeError as error:
            raise TypeError(f"{name}: expected numbers, got objects: {error}") from None
        except ValueError:
            pass  # scikit-learn says which text it is
    if np.ma.is_masked(view):
        raise ValueError(f"{name}: expected no masked values, got {np.ma.count_masked(view)} (fill them, or leave out "
                         "their rows in both views)")
    if getattr(getattr(view, "dtype", None), "kind", None) == "c":
        raise ValueError(f"{name}: expected real numbers, got dtype {view.dtype}. Complex data not supported")


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the name of a view before errors of scikit-learn that do not say it, and make them one line."""
    try:
        yield
    except ValueError as error:
        line = " ".join(str(error).split())
        # scikit-learn's own checks know what it says about feature names.
        if line.startswith(f"{name}: ") or f"Input {name} " in line or "feature names" in line:
            raise
        raise ValueError(f"{name}: {line}") from None


def check_second_view(estimator: str, y: Any, rows: int | None, mean: np.ndarray | None,
                      dtype: Any = np.float64) -> tuple[np.ndarray, bool]:
    """The second view as a matrix, and whether it was given as a single column of shape (n,).

    Args:
        estimator: name of the estimator's class, for the message.
        y: what was given for the second view.
        rows: number of rows of the first view; None where none was given.
        mean: fitted column means, whose number is that of the columns; None before fitting.
        dtype: of the matrix; of several, that of y if it is among them, else the first.

    Raises:
        ValueError: no second view, other rows or columns, values that are not finite.
    """
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None")
    check_values("y", y)
    with naming("y"):
        view = check_array(y, dtype=dtype, ensure_2d=False, input_name="y")
    is_column = view.ndim == 1
    view = view[:, None] if is_column else view
    if rows is not None and len(view) != rows:
        raise ValueError(f"y: expected {rows} rows as in X, got {len(view)}")
    if mean is not None and view.shape[1] != len(mean):
        raise ValueError(f"y: expected {len(mean)} columns as in fit, got {view.shape[1]}")
    return view, is_column


def column_names(view: Any) -> np.ndarray | None:
    """The names of a table's columns as scikit-learn understands them; None where it has none, or no text."""
    if not hasattr(view, "columns"):
        return None
    reader = BaseEstimator()
    validate_data(reader, view, skip_check_array=True)
    return getattr(reader, "feature_names_in_", None)


def check_names(fitted: np.ndarray | None, given: np.ndarray | None) -> None:
    """Refuse a second view whose columns have other names than in `fit`, or the same in another order.

    Raises:
        ValueError: naming the first column that differs.
    """
    if fitted is None or given is None or np.array_equal(fitted, given):
        return
    if len(fitted) != len(given):
        raise ValueError(f"y: expected {len(fitted)} columns as in fit, got {len(given)}")
    at = next(i for i, (was, name) in enumerate(zip(fitted, given, strict=True)) if was != name)
    raise ValueError(f"y: expected the columns of fit in their order, {fitted[at]!r} in place {at}, got {given[at]!r}")


def sample_weights(weights: Any, rows: int) -> Float[np.ndarray, "n"] | None:
    """Weights of rows as an array of float64, None as None.

    Raises:
        ValueError: other shapes, values that are not finite or negative, or nothing but zeros.
    """
    if weights is None:
        return None
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (rows,):
        raise ValueError(f"sample_weight: expected shape ({rows},), one weight per row of X, got {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("sample_weight: expected finite numbers >= 0, got "
                         f"{values[~(np.isfinite(values) & (values >= 0))][0]}")
    if not (values > 0).any():
        raise ValueError("sample_weight: expected at least one weight above 0, got only zeros")
    return values


def columns_to_solve(name: str, view: ViewMoments, exact: bool,
                     names: Sequence[str] | np.ndarray | None) -> Int[np.ndarray, "r"]:
    """Numbers of the columns that an estimator solves for: those that vary, and of these, if asked, independent ones.

    Args:
        name: the view, X or y.
        view: its moments.
        exact: whether the variance will be inverted as it is, so that combinations of other columns are left out, with
            a warning.
        names: of the columns; their numbers when left out.

    Raises:
        ValueError: no column that varies; with `exact`, no more rows than columns.
    """
    varying = view.varying
    if not len(varying):
        raise ValueError(f"{name}: expected columns that vary, got {len(view.mean)} constant")
    if not exact:
        return varying
    if view.n <= len(varying):
        raise ValueError(f"{name}: expected more rows than columns, or shrinkage or ridge > 0, got {view.n} rows and "
                         f"{len(varying)} columns")
    kept = view.independent
    left_out = np.setdiff1d(varying, kept)
    if len(left_out):
        listed = ", ".join(str(place if names is None else names[place]) for place in left_out[:_NAMED])
        more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        verb = "is a combination" if len(left_out) == 1 else "are combinations"
        warnings.warn(f"{name}: {len(left_out)} of {len(view.mean)} columns get weight 0: {listed}{more} {verb} of "
                      "others (shrinkage or ridge > 0 keeps all)", UserWarning, stacklevel=3)
    return kept
