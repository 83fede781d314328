"""TODO module docstring of simulation._population."""

import jax.numpy as jnp
from jaxtyping import Float

from phasejax._core.pytree import HostOrDevice
from phasejax.linear import Covariances
from phasejax.theory import SpikedModel
from phasejax.theory._model import canonical_moments


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
