"""Second moments of a pair of views, the input of every solver."""

from functools import cached_property

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax._pytree import HostOrDevice, pytree
from phasejax.linalg import whitening
from phasejax.model import SpikedModel


@pytree
class Covariances:
    """Covariances of two views x and y.

    Args:
        xx: covariance of x, shape (d_x, d_x), symmetric.
        xy: cross-covariance, x along rows, shape (d_x, d_y).
        yy: covariance of y, shape (d_y, d_y), symmetric.

    Raises:
        ValueError: shapes that do not belong together.

    >>> population_covariances(SpikedModel.homogeneous(1.0, 0.5, k=1, d=2)).xy.tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """

    xx: Float[HostOrDevice, "d_x d_x"]
    xy: Float[HostOrDevice, "_ _"]
    yy: Float[HostOrDevice, "d_y d_y"]

    def __post_init__(self):
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

    def with_ridge(self, ridge: Float[ArrayLike, ""]) -> "Covariances":
        """The same covariances with `ridge` (data units squared) added to both variances."""
        return Covariances(xx=_plus_ridge(self.xx, ridge), xy=self.xy, yy=_plus_ridge(self.yy, ridge))


class Whitened:
    """Covariances of two views in whitened coordinates: what the solvers share, each part computed once.

    Every solver takes one in place of `Covariances`; give the same one to several.

    Args:
        covariances: of the two views.
        root_x: a whitening of x, where it is known; see `linalg.whitening`.
        b: root_x S_xy, where it is known.
    """

    def __init__(self, covariances: Covariances, root_x: Float[Array, "d_x d_x"] | None = None,
                 b: Float[Array, "d_x d_y"] | None = None):
        self.covariances = covariances
        if root_x is not None:
            self.root_x = root_x
        if b is not None:
            self.b = b

    @cached_property
    def root_x(self) -> Float[Array, "d_x d_x"]:
        """W_x with W_x S_xx W_x' = I."""
        return whitening(self.covariances.xx)

    @cached_property
    def root_y(self) -> Float[Array, "d_y d_y"]:
        """W_y with W_y S_yy W_y' = I."""
        return whitening(self.covariances.yy)

    @cached_property
    def b(self) -> Float[Array, "d_x d_y"]:
        """B = W_x S_xy, the transpose of A in whitened x coordinates."""
        return self.root_x @ self.covariances.xy

    @cached_property
    def c(self) -> Float[Array, "d_x d_y"]:
        """C = W_x S_xy W_y'."""
        return self.b @ self.root_y.T

    def reverse(self) -> "Whitened":
        """The same with the two views swapped."""
        return Whitened(self.covariances.reverse(), root_x=self.root_y, b=self.root_y @ self.covariances.xy.T)


def covariances_from_samples(x: Float[HostOrDevice, "n d_x"], y: Float[HostOrDevice, "n_y d_y"], *,
                             centre: bool = False) -> Covariances:
    """Second moments x'x/n, x'y/n and y'y/n of n paired rows.

    Args:
        x, y: paired observations, shapes (n, d_x) and (n, d_y).
        centre: subtract the column means first. The model's own samples have mean zero.

    Raises:
        ValueError: row counts that differ.
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"y: expected {x.shape[0]} rows as in x, got {y.shape[0]}")
    x, y = jnp.asarray(x), jnp.asarray(y)
    if centre:
        x, y = x - x.mean(0), y - y.mean(0)
    n = x.shape[0]
    return Covariances(xx=x.T @ x / n, xy=x.T @ y / n, yy=y.T @ y / n)


def population_covariances(model: SpikedModel, basis_x: Float[HostOrDevice, "d_x d_x"] | None = None,
                           basis_y: Float[HostOrDevice, "d_y d_y"] | None = None) -> Covariances:
    r"""Covariances of the model.

    .. math::
        \Sigma_{xx} = Q_x \mathrm{diag}(\kappa^2 + \gamma_x, \tilde\gamma_x) Q_x^\top, \quad
        \Sigma_{xy} = Q_x \mathrm{diag}(\kappa^2, \eta) Q_y^\top, \quad
        \Sigma_{yy} = Q_y \mathrm{diag}(\kappa^2 + \gamma_y, \tilde\gamma_y) Q_y^\top

    Args:
        model: the spiked model.
        basis_x, basis_y: orthogonal Q_x (d_x, d_x) and Q_y (d_y, d_y); identity when left out.

    Source: K26, eq. 18-20.
    """
    variance_x, cross, variance_y = canonical_moments(model)
    return _rotate(Covariances(xx=jnp.diag(variance_x), xy=_rectangular(cross, model.d_x, model.d_y),
                               yy=jnp.diag(variance_y)), basis_x, basis_y)


def signal_covariances(model: SpikedModel, basis_x: Float[HostOrDevice, "d_x d_x"] | None = None,
                       basis_y: Float[HostOrDevice, "d_y d_y"] | None = None) -> Covariances:
    """As `population_covariances`, with y replaced by its noiseless signal part Q_y [s; 0].

    `prediction_mse` of these is the signal MSE of K26, Fig. 9.
    """
    variance_x, _, _ = canonical_moments(model)
    signal = jnp.concatenate([jnp.asarray(model.kappa) ** 2, jnp.zeros(model.d_y - model.k)])
    return _rotate(Covariances(xx=jnp.diag(variance_x),
                               xy=_rectangular(signal[:model.k], model.d_x, model.d_y),
                               yy=jnp.diag(signal)), basis_x, basis_y)


def canonical_moments(model: SpikedModel) -> tuple[Float[Array, "d_x"], Float[Array, "m"],
                                                   Float[Array, "d_y"]]:
    """Variances of x, covariances of the m = min(d_x, d_y) paired coordinates, variances of y.

    In the canonical bases Q_x = Q_y = I everything else is zero.
    """
    signal = jnp.asarray(model.kappa) ** 2
    return (jnp.concatenate([signal + model.gamma_x, jnp.asarray(model.nuisance_x)]),
            jnp.concatenate([signal, model.eta]),
            jnp.concatenate([signal + model.gamma_y, jnp.asarray(model.nuisance_y)]))


def _plus_ridge(variance, ridge):
    variance = jnp.asarray(variance)
    return variance + ridge * jnp.eye(variance.shape[0], dtype=variance.dtype)


def _rectangular(diagonal, d_x, d_y):
    index = jnp.arange(diagonal.shape[0])
    return jnp.zeros((d_x, d_y), diagonal.dtype).at[index, index].set(diagonal)


def _rotate(covariances, basis_x, basis_y):
    if basis_x is None and basis_y is None:
        return covariances
    q_x = jnp.eye(covariances.d_x) if basis_x is None else jnp.asarray(basis_x)
    q_y = jnp.eye(covariances.d_y) if basis_y is None else jnp.asarray(basis_y)
    return Covariances(xx=q_x @ covariances.xx @ q_x.T, xy=q_x @ covariances.xy @ q_y.T,
                       yy=q_y @ covariances.yy @ q_y.T)
