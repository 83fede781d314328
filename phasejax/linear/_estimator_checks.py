"""Checks of input and of solutions, regularised variances and compiled solvers behind the scikit-learn estimators."""

import math
from functools import partial
from numbers import Real

import jax
import numpy as np
from sklearn.utils.validation import check_array

from phasejax._core.linalg import pseudo_whitening, whitening
from phasejax.linear._solvers import solve_ca, solve_cp, solve_joint


@partial(jax.jit, static_argnums=1)
def align(moments, k):
    """Solution of alignment."""
    return solve_ca(moments, k)


@partial(jax.jit, static_argnums=1)
def predict(moments, k, lam):
    """Solution for x as the source, and the linear prediction E S_xy S_yy^+ of its codes from y."""
    solution = solve_cp(moments, k) if lam is None else solve_joint(moments, k, lam)
    root = pseudo_whitening(moments.yy)
    return solution, solution.encoder @ moments.xy @ root.T @ root


def regularised_variance(centred, shrinkage, ridge):
    """(1 - s) S + (s tr S / d + r) I, shape (d, d)."""
    variance = centred.T @ centred / len(centred)
    d = len(variance)
    return (1 - shrinkage) * variance + (shrinkage * np.trace(variance) / d + ridge) * np.eye(d)


def check_number(name, value, top, expected):
    """Refuse what is no finite number from 0 to `top`."""
    if not isinstance(value, Real) or not 0 <= value <= top or math.isinf(value):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")


def second_view(estimator, y, rows, mean):
    """The second view as a float64 matrix, and whether it was given without a column axis."""
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None")
    view = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    is_column = view.ndim == 1
    view = view[:, None] if is_column else view
    if rows is not None and len(view) != rows:
        raise ValueError(f"y: expected {rows} rows as in X, got {len(view)}")
    if mean is not None and view.shape[1] != len(mean):
        raise ValueError(f"y: expected {len(mean)} columns as in fit, got {view.shape[1]}")
    return view, is_column


def check_solved(spectrum, *variances):
    """Say which view could not be whitened, where the solver gave NaN."""
    if np.isfinite(spectrum).all():
        return
    with jax.enable_x64(True):
        for name, variance in variances:
            if np.isfinite(variance).all() and not np.isfinite(whitening(variance)).all():
                raise ValueError(f"{name}: expected linearly independent columns, or shrinkage or ridge > 0, got rank "
                                 f"{np.linalg.matrix_rank(variance, hermitian=True)} from {len(variance)} columns")
    raise ValueError("X, y: expected values whose squares are finite numbers, got larger ones")
