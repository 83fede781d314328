"""Covariances of a pair of views, the input of every solver, and the whitened coordinates that solvers share."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.checked_call import checked
from phasejax._core.linalg import pseudo_whitening, whitening
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_array


@pytree
class Covariances:
    """Covariances of two views x and y, of a sample or of a population.

    Args:
        xx: covariance of x, shape (d_x, d_x), symmetric.
        xy: cross-covariance, x along rows, shape (d_x, d_y).
        yy: covariance of y, shape (d_y, d_y), symmetric.

    Raises:
        ValueError: shapes that do not belong together.

    >>> from phasejax import SpikedModel
    >>> from phasejax.simulation import population_covariances
    >>> population_covariances(SpikedModel.homogeneous(1.0, 0.5, k=1, d=2)).xy.tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """

    xx: Float[HostOrDevice, "d_x d_x"]
    xy: Float[HostOrDevice, "_ _"]
    yy: Float[HostOrDevice, "d_y d_y"]

    def __post_init__(self):
        for name in ("xx", "xy", "yy"):
            object.__setattr__(self, name, check_array(name, getattr(self, name)))
        shapes = [jnp.shape(block) for block in (self.xx, self.xy, self.yy)]
        d_x, d_y = (shapes[1] + (0, 0))[:2]
        if shapes != [(d_x, d_x), (d_x, d_y), (d_y, d_y)]:
            raise ValueError("covariances: expected xx (d_x, d_x), xy (d_x, d_y) and yy (d_y, d_y), "
                             f"got {shapes[0]}, {shapes[1]} and {shapes[2]}")

    @property
    def d_x(self) -> int:
        """Dimension of x."""
        return self.xx.shape[-1]

    @property
    def d_y(self) -> int:
        """Dimension of y."""
        return self.yy.shape[-1]

    def reverse(self) -> "Covariances":
        """The same covariances with the two views swapped."""
        return Covariances(xx=self.yy, xy=jnp.swapaxes(self.xy, -1, -2), yy=self.xx)

    @checked
    def with_ridge(self, ridge: Float[ArrayLike, ""]) -> "Covariances":
        """The same covariances with `ridge` (data units squared) added to both variances."""
        return Covariances(xx=_plus_ridge(self.xx, ridge), xy=self.xy, yy=_plus_ridge(self.yy, ridge))


class Whitened:
    """Covariances of two views in whitened coordinates, each part of which is computed once and only when needed.

    Every solver takes one in place of `Covariances`. Solvers of the same covariances that are given the same
    one share its parts.

    Args:
        covariances: of the two views.
        root_x: a matrix W_x that whitens x, where it is known already.
        b: W_x S_xy, where it is known already.
    """

    @checked
    def __init__(self, covariances: Covariances, root_x: Float[Array, "d_x d_x"] | None = None,
                 b: Float[Array, "d_x d_y"] | None = None):
        self.covariances = covariances
        if root_x is not None:
            self.root_x = root_x
        if b is not None:
            self.b = b

    @cached_property
    def root_x(self) -> Float[Array, "d_x d_x"]:
        """Whitening of x: W_x with W_x S_xx W_x' = I."""
        return whitening(self.covariances.xx)

    @cached_property
    def root_y(self) -> Float[Array, "d_y d_y"]:
        """Whitening of y: W_y with W_y S_yy W_y' = I."""
        return whitening(self.covariances.yy)

    @cached_property
    def b(self) -> Float[Array, "d_x d_y"]:
        """B = W_x S_xy, the transpose of A in whitened x coordinates."""
        return self.root_x @ self.covariances.xy

    @cached_property
    def c(self) -> Float[Array, "d_x d_y"]:
        """C = W_x S_xy W_y', whose singular values are the canonical correlations."""
        return self.b @ self.root_y.T

    def reverse(self) -> "Whitened":
        """The same in whitened coordinates with the two views swapped."""
        return Whitened(self.covariances.reverse(), root_x=self.root_y, b=self.root_y @ self.covariances.xy.T)


@checked
def covariances_from_samples(x: Float[HostOrDevice, "n d_x"], y: Float[HostOrDevice, "n_y d_y"], *,
                             centre: bool = False) -> Covariances:
    """Second moments x'x/n, x'y/n and y'y/n of n paired rows.

    Args:
        x, y: paired observations, shapes (n, d_x) and (n, d_y).
        centre: subtract the column means first, arrays of NumPy in float64 whatever the type of the result. Samples
            of a spiked model have mean zero without that.

    Returns:
        The covariances, divided by n.

    Raises:
        ValueError: row counts that differ.

    >>> from phasejax.linear import covariances_from_samples
    >>> covariances_from_samples(jnp.array([[1.0], [3.0]]), jnp.array([[0.0], [2.0]]), centre=True).xy.tolist()
    [[1.0]]
    """
    x, y = check_array("x", x, 2), check_array("y", y, 2)
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"y: expected {x.shape[0]} rows as in x, got {y.shape[0]}")
    x, y = (_centred(view) if centre else jnp.asarray(view) for view in (x, y))
    n = x.shape[0]
    return Covariances(xx=x.T @ x / n, xy=x.T @ y / n, yy=y.T @ y / n)


def _centred(view):
    """The rows without their mean, in the floating type that JAX gives them."""
    if isinstance(view, np.ndarray):
        # A cast to float32 first would lose the digits of a mean far from zero.
        exact = view.astype(np.float64)
        return jnp.asarray(exact - exact.mean(0), jnp.result_type(float, jax.dtypes.canonicalize_dtype(view.dtype))
                           if view.dtype.kind in "biu" else jax.dtypes.canonicalize_dtype(view.dtype))
    view = view - view.mean(0)
    return view - view.mean(0)  # the first mean was rounded


def power_of_two(value: Float[HostOrDevice, "*shape"]) -> Float[Array, "*shape"]:
    """The power of 2 next above each value, 1 for 0: a division by it rounds nothing. It counts as a constant."""
    value = jax.lax.stop_gradient(jnp.asarray(value))
    return jnp.ldexp(jnp.ones_like(value), jnp.frexp(value)[1])


def pseudo_whitening_in_any_units(variance: Float[HostOrDevice, "d d"]) -> Float[Array, "d d"]:
    """W with W S W' = I on the range of S, where S may be singular and each variable may have units of its own.

    The rank is that of S with variances near 1, since a small variance may be one in large units. They are brought
    there by powers of 2, which round nothing.

    Args:
        variance: symmetric positive semidefinite S, shape (d, d).
    """
    variance = jnp.asarray(variance)
    scale = power_of_two(jnp.sqrt(jnp.diag(variance)))
    return pseudo_whitening(variance / scale[:, None] / scale) / scale


def _plus_ridge(variance, ridge):
    variance = jnp.asarray(variance)
    return variance + ridge * jnp.eye(variance.shape[0], dtype=variance.dtype)
