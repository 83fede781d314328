r"""Population covariances of the spiked model: what samples would give in the limit of infinitely many pairs.

They are the input of a sweep without samples, and the reference on which errors of solutions found
on samples are measured: the expected squared error of a predictor needs covariances, not test rows.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_array
from phasejax.linear import Covariances
from phasejax.theory import SpikedModel
from phasejax.theory._model import canonical_moments


@checked
def population_covariances(model: SpikedModel, basis_x: Float[HostOrDevice, "d_x d_x"] | None = None,
                           basis_y: Float[HostOrDevice, "d_y d_y"] | None = None) -> Covariances:
    r"""Exact covariances of the two views under the model.

    .. math::
        \Sigma_{xx} = Q_x \mathrm{diag}(\kappa^2 + \gamma_x, \tilde\gamma_x) Q_x^\top, \quad
        \Sigma_{xy} = Q_x \mathrm{diag}(\kappa^2, \eta) Q_y^\top, \quad
        \Sigma_{yy} = Q_y \mathrm{diag}(\kappa^2 + \gamma_y, \tilde\gamma_y) Q_y^\top

    Args:
        model: the spiked model.
        basis_x, basis_y: orthogonal Q_x (d_x, d_x) and Q_y (d_y, d_y); identity when left out.

    Returns:
        The covariances, in data units squared.

    Source: K26, eq. 18-20.

    >>> model = SpikedModel.homogeneous(kappa=2.0, nu=0.5, k=1, d=2)
    >>> population_covariances(model).xy.tolist()
    [[4.0, 0.0], [0.0, 0.5]]
    """
    variance_x, cross, variance_y = canonical_moments(model)
    return _rotate(Covariances(xx=jnp.diag(variance_x), xy=_rectangular(cross, model.d_x, model.d_y),
                               yy=jnp.diag(variance_y)), basis_x, basis_y)


@checked
def signal_covariances(model: SpikedModel, basis_x: Float[HostOrDevice, "d_x d_x"] | None = None,
                       basis_y: Float[HostOrDevice, "d_y d_y"] | None = None) -> Covariances:
    r"""Exact covariances of x and the noiseless signal part of y, Q_y [s; 0].

    .. math::
        \Sigma_{xx}\ \text{as above}, \quad
        \Sigma_{xy} = Q_x \mathrm{diag}(\kappa^2, 0) Q_y^\top, \quad
        \Sigma_{yy} = Q_y \mathrm{diag}(\kappa^2, 0) Q_y^\top

    `linear.prediction_mse` of a predictor and these covariances is the signal MSE of K26, Fig. 9.

    Args:
        model: the spiked model.
        basis_x, basis_y: orthogonal Q_x (d_x, d_x) and Q_y (d_y, d_y); identity when left out.

    Returns:
        The covariances, in data units squared.

    >>> model = SpikedModel.homogeneous(kappa=2.0, nu=0.5, k=1, d=2)
    >>> signal_covariances(model).yy.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    variance_x, _, _ = canonical_moments(model)
    signal = jnp.concatenate([jnp.asarray(model.kappa) ** 2, jnp.zeros(model.d_y - model.k)])
    return _rotate(Covariances(xx=jnp.diag(variance_x),
                               xy=_rectangular(signal[:model.k], model.d_x, model.d_y),
                               yy=jnp.diag(signal)), basis_x, basis_y)


def _rectangular(diagonal: Array, d_x: int, d_y: int) -> Array:
    """A (d_x, d_y) matrix with the given main diagonal and zeros elsewhere."""
    index = jnp.arange(diagonal.shape[0])
    return jnp.zeros((d_x, d_y), diagonal.dtype).at[index, index].set(diagonal)


def _rotate(covariances: Covariances, basis_x: HostOrDevice | None, basis_y: HostOrDevice | None) -> Covariances:
    """The covariances of Q_x x and Q_y y."""
    if basis_x is None and basis_y is None:
        return covariances
    q_x, q_y = (jnp.eye(d) if basis is None else jnp.asarray(check_array(name, basis, 2)) for name, basis, d in
                (("basis_x", basis_x, covariances.d_x), ("basis_y", basis_y, covariances.d_y)))
    for name, basis, d in (("basis_x", q_x, covariances.d_x), ("basis_y", q_y, covariances.d_y)):
        if basis.shape != (d, d):
            raise ValueError(f"{name}: expected an orthogonal matrix of shape {(d, d)}, got shape {basis.shape}")
    return Covariances(xx=q_x @ covariances.xx @ q_x.T, xy=q_x @ covariances.xy @ q_y.T,
                       yy=q_y @ covariances.yy @ q_y.T)
