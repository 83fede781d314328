"""The rows of a pilot: which are trained on, in what order, and in what units networks see them."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real
from numpy.typing import ArrayLike

from phasejax._core.validation import shown
from phasejax.io._fold_view import FoldView, fold_views

# More training rows than this are thinned out at random: a few hundred minibatches see no more than some ten thousand.
_MOST_TRAINING_ROWS = 20_000
# Validation rows: a fifth of the training rows, a third where they are fewer than this, and at most so many.
_LEAST_VALIDATION, _MOST_VALIDATION = 64, 1000
# Standard deviations beyond which a row is brought to this distance, so that no output on it overflows.
_FARTHEST = 1e6


def checked_views(x: Any, y: Any, pca: int | None) -> tuple[FoldView, FoldView]:
    """Both views as a fold's training rows see them, in `pca` components where they have more columns.

    Raises:
        ValueError: what are no rows of finite numbers, other numbers of rows, components of images.
    """
    views = []
    for name, value in (("x", x), ("y", y)):
        try:
            array = value.rows if isinstance(value, FoldView) else np.asarray(value)
        except ValueError:  # lists of unequal lengths
            raise ValueError(f"{name}: expected rows of numbers, got {shown(value)}") from None
        if array.ndim < 2 or 0 in array.shape or array.dtype.kind not in "biuf":
            raise ValueError(f"{name}: expected rows of numbers, (n, d) or (n, h, w, c), got shape {array.shape} of "
                             f"{array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
        if pca is not None and array.ndim != 2:
            raise ValueError(f"pca: expected none for images, got {pca} and shape {array.shape} of {name}")
        views.append(value if isinstance(value, FoldView) else array)
    if len(views[0]) != len(views[1]):
        raise ValueError(f"y: expected {len(views[0])} rows as in x, got {len(views[1])}")
    return fold_views(views[0], views[1], pca)


def checked_groups(groups: ArrayLike, n: int) -> Int[np.ndarray, "n"]:
    """The group of each of n rows. Raises ValueError for anything but n integers."""
    groups = np.asarray(groups)
    if groups.shape != (n,) or groups.dtype.kind not in "iu":
        raise ValueError(f"groups: expected {n} integers, one for each row, got shape {groups.shape} of {groups.dtype}")
    return groups


def checked_fold(fold: ArrayLike, n: int) -> Int[np.ndarray, "n"]:
    """The fold of each of n rows. Raises ValueError for anything but numbers from 0 on without a gap, or -1."""
    fold = np.asarray(fold)
    if fold.shape != (n,) or fold.dtype.kind not in "iu":
        raise ValueError(f"fold: expected {n} whole numbers, one for each row, got shape {fold.shape} of {fold.dtype}")
    if fold.min() < -1 or sorted({*fold.tolist()} - {-1}) != list(range(fold.max() + 1)) or fold.max() < 0:
        raise ValueError("fold: expected numbers from 0 on without a gap, or -1, got "
                         f"{', '.join(map(str, np.unique(fold)[:6]))}")
    return fold


def thinned(rng: np.random.Generator, rows: Int[np.ndarray, "m"]) -> Int[np.ndarray, "t"]:
    """The rows, or as many of them, chosen at random, as take part in a training; in order."""
    return rows if len(rows) <= _MOST_TRAINING_ROWS else np.sort(rng.choice(rows, _MOST_TRAINING_ROWS, replace=False))


def without_validation(rng: np.random.Generator, rows: Int[np.ndarray, "m"],
                       groups: Int[np.ndarray, "m"] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The rows to train on, and those set aside to choose the weight decay; both in order, and no group in both.

    Where rows are in groups, whole ones are set aside in random order, as far as they leave two thirds of the rows; the
    smallest one if none does.
    """
    count = min(max(len(rows) // 5, min(_LEAST_VALIDATION, len(rows) // 3)), _MOST_VALIDATION)
    chosen = rng.permutation(len(rows))
    if groups is None:
        return np.sort(rows[chosen[count:]]), np.sort(rows[chosen[:count]])
    names, sizes = np.unique(groups, return_counts=True)
    aside, total = np.zeros(len(names), bool), 0
    for place in dict.fromkeys(np.searchsorted(names, groups[chosen]).tolist()):
        if total < count and total + sizes[place] <= len(rows) // 3:
            aside[place] = True
            total += sizes[place]
    if not total and len(names) > 1:
        aside[sizes.argmin()] = True
    held = aside[np.searchsorted(names, groups)]
    return rows[~held], rows[held]


def batches_of(rng: np.random.Generator, count: int, steps: int, batch: int) -> Int[np.ndarray, "steps batch"]:
    """Numbers of the rows in each minibatch: shuffled epochs, of which what fills no batch is left out."""
    in_epoch = count // batch
    order = [rng.permutation(count)[:in_epoch * batch] for _ in range(-(-steps // in_epoch))]
    return np.concatenate(order).reshape(-1, batch)[:steps].astype(np.int32)


def standardisation(rows: Real[np.ndarray, "n *shape"]) -> tuple[Any, Any]:
    """Means of columns, or of the channels of images, and a factor for each: the same, or 0 for what is constant."""
    rows = rows.astype(np.float64)
    axes = (0, 1, 2) if rows.ndim == 4 else 0
    mean = rows.mean(axes)
    centred = rows - mean
    # Squares of very small or large numbers would vanish or overflow.
    largest = np.abs(centred).max(axes)
    varies = largest > 1e-13 * np.abs(mean)
    unit = largest[varies].max(initial=0)
    if not unit > 0:
        return mean, np.zeros_like(mean)
    deviation = np.sqrt(np.mean((np.where(varies, centred, 0) / unit) ** 2))
    return mean, np.where(varies, 1 / unit / deviation, 0)


def standardised(rows: Real[np.ndarray, "n *shape"], mean: Any, scale: Any) -> Float[np.ndarray, "n *shape"]:
    """Rows in the units of training rows, in single precision."""
    return np.clip((rows - mean) * scale, -_FARTHEST, _FARTHEST).astype(np.float32)


def padded(rows: Float[np.ndarray, "n *shape"], count: int) -> Float[np.ndarray, "m *shape"]:
    """Rows of zeros at the end, up to `count`; they are never looked at."""
    return rows if len(rows) == count else np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]),
                                                                          rows.dtype)])
