"""Two views in coordinates in which their cross-covariance is cheap to permute, and the directions that they share.

A view is centred, its columns are scaled to unit variance, and it is turned to its principal axes. There whitening is
a scale per axis, so one product of the two views serves the whitened and the plain cross-covariance alike.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from phasejax._core.thin_svd import thin_svd

# Principal axes that are kept at most, by variance.
_AXES = 256
# Variance of an axis below which it is rounding, relative to the largest.
_ROUNDING = 1e-10
# Rows for each axis from which whitening needs no ridge.
_ENOUGH = 5


@dataclass(frozen=True)
class Axes:
    """The principal axes of a view.

    Args:
        mean: of the columns.
        to_axes: from centred columns to principal coordinates, shape (d, r); r is 0 for a constant view.
        whitening: one over the root of each coordinate's regularised variance.
        standardised_axes: the axes in standardised columns, orthonormal, shape (d, r).
        variances: of the coordinates, without regularisation.
        hides: whether some of them vary less than the ridge, although there are rows enough to whiten without one.
    """

    mean: Float[np.ndarray, "d"]
    to_axes: Float[np.ndarray, "d r"]
    whitening: Float[np.ndarray, "r"]
    standardised_axes: Float[np.ndarray, "d r"]
    variances: Float[np.ndarray, "r"]
    hides: bool

    @classmethod
    def of(cls, view: Float[np.ndarray, "n d"]) -> "Axes":
        """Principal axes of standardised columns; the ridge of whitening is d / n of the mean variance."""
        n, d = view.shape
        mean = view.mean(0)
        centred = view - mean
        scale = np.sqrt(np.einsum("ij,ij->j", centred, centred) / n)
        known = scale > 1e-12 * np.maximum(np.abs(mean), scale.max(initial=0))
        inverse = np.divide(1, scale, out=np.zeros(d), where=known & (scale > 0))
        if d <= n:
            values, vectors = np.linalg.eigh(inverse[:, None] * (centred.T @ centred / n) * inverse)
        else:
            standard = centred * inverse
            values, left = np.linalg.eigh(standard @ standard.T / n)
            vectors = standard.T @ (left / np.sqrt(n * np.maximum(values, np.finfo(float).tiny)))
        kept = np.flatnonzero(values > _ROUNDING * max(values[-1], 0))[::-1][:_AXES]
        values, vectors = values[kept], vectors[:, kept]
        ridge = values.sum() / n  # (d / n) times the mean over d columns
        hides = n >= _ENOUGH * len(values) and bool((values < ridge).any())
        return cls(mean, inverse[:, None] * vectors, 1 / np.sqrt(values + ridge), vectors, values, hides)

    def without_ridge(self) -> "Axes":
        """The same axes, whitened by their variances alone."""
        return replace(self, whitening=1 / np.sqrt(self.variances))

    def coordinates(self, view: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n r"]:
        """Principal coordinates of rows."""
        return (view - self.mean) @ self.to_axes


def standardised(view: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Centred columns of unit variance; zeros where a column is constant."""
    mean = view.mean(0)
    view = view - mean
    scale = np.sqrt(np.einsum("ij,ij->j", view, view) / len(view))
    # What is left of a constant is rounding.
    return view * np.divide(1, scale, out=np.zeros_like(scale), where=scale > 1e-12 * np.abs(mean))


def shared_directions(x: Axes, y: Axes, cross: Float[np.ndarray, "r_x r_y"], k: int, methods: tuple[str, ...]
                      ) -> dict[str, tuple[Float[np.ndarray, "d_x k"], Float[np.ndarray, "d_y k"]]]:
    """The leading k encoders of each view, by method.

    Args:
        x, y: the views' axes.
        cross: covariance of the principal coordinates.
        k: directions of each, at most.
        methods: "CA" for alignment, "CP" for prediction (of y from x and of x from y), "PLS" for covariance.
    """
    found = {}
    for method in methods:
        # Each encoder is whitened or not on the side that is predicted.
        left, right = (_leading(side, k) for side in {
            "CA": (x.whitening[:, None] * cross * y.whitening,) * 2,
            "CP": (x.whitening[:, None] * cross, cross * y.whitening),
            "PLS": (cross,) * 2}[method])
        white_x, white_y = (1, 1) if method == "PLS" else (x.whitening, y.whitening)
        found[method] = (x.to_axes * white_x @ left[0], y.to_axes * white_y @ right[1])
    return found


def _leading(matrix, k):
    """Its leading k left and right singular vectors, as columns."""
    left, _, right = thin_svd(matrix)
    return left[:, :k], right[:k].T


def fourier_features(view: Float[np.ndarray, "n d"], count: int, rng: np.random.Generator
                     ) -> Float[np.ndarray, "n count"]:
    r"""Random Fourier features :math:`\cos(w \cdot x + b)` of a Gaussian kernel as wide as the median
    distance, from standardised columns.

    Source: Rahimi and Recht 2007.
    """
    pairs = view[rng.integers(len(view), size=(2, 500))]
    distances = np.sqrt(np.sum((pairs[0] - pairs[1]) ** 2, 1))
    distances = distances[distances > 0]
    width = np.median(distances) if distances.size else 1.0
    return np.cos(view @ rng.standard_normal((view.shape[1], count)) / width + rng.uniform(0, 2 * np.pi, count))
