r"""What gradient descent minimises: alignment and prediction losses of linear encoders.

The first four are exact functions of the covariances, the mean over all rows (or over the
population) with no rows in sight. With encoders W (k, d_x) and V (k, d_y) the outputs z_x = W x
and z_y = V y have second moments

.. math::  c_x = W S_{xx} W^\top, \quad c_y = V S_{yy} V^\top, \quad m = W S_{xy} V^\top

(1/n, zero mean, as everywhere here). InfoNCE depends on more than second moments and takes
outputs row by row. All work under jit, vmap and grad, without a LAPACK call.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.pytree import HostOrDevice
from phasejax._core.small_matrices import inverse_cholesky, nuclear_norm
from phasejax._core.validation import is_traced
from phasejax.linear._covariances import Covariances
from phasejax.linear._metrics import prediction_mse

# Added to the variance under VICReg's square root, whose slope is infinite at 0.
VICREG_EPS = 1e-4
# exp(-2 / T), the least similarity weight, must not vanish in float32.
_LEAST_TEMPERATURE = 0.023


def vicreg_loss(encoder_x: Float[HostOrDevice, "k d_x"], encoder_y: Float[HostOrDevice, "k d_y"],
                covariances: Covariances, *, invariance: float = 25.0, variance: float = 25.0,
                covariance: float = 1.0) -> Float[Array, ""]:
    r"""VICReg: pull the outputs together, hold each one's deviation at 1, decorrelate them.

    .. math::
        \frac{a}{k} \mathrm{tr}(c_x - 2 m + c_y)
        + \frac{b}{k} \sum_{v, i} \max\bigl(0,\, 1 - \sqrt{c_{v,ii} + \epsilon}\bigr)
        + \frac{c}{k} \sum_{v, i \neq j} c_{v,ij}^2

    over the views v, with epsilon = 1e-4. Every term is a mean over the k outputs; the variance
    and covariance terms are summed over the two views, as in the VICReg paper (its published
    code halves the variance term: `variance=12.5`).

    Args:
        encoder_x, encoder_y: W (k, d_x) and V (k, d_y).
        covariances: of the two views.
        invariance, variance, covariance: the weights a, b, c.

    Source: Bardes, Ponce and LeCun 2022, eq. 1-6; the weights are those of K26.

    >>> unit = Covariances(xx=jnp.eye(2), xy=0.9 * jnp.eye(2), yy=jnp.eye(2))
    >>> round(float(vicreg_loss(jnp.eye(2), jnp.eye(2), unit)), 3)
    5.0
    """
    c_x, m, c_y = _output_moments(encoder_x, encoder_y, covariances)
    distance = jnp.trace(c_x) - 2 * jnp.trace(m) + jnp.trace(c_y)
    hinges, crosses = vicreg_spread_terms(c_x, c_y)
    return invariance * distance / m.shape[0] + variance * hinges + covariance * crosses


def vicreg_spread_terms(c_x: Float[HostOrDevice, "k k"], c_y: Float[HostOrDevice, "k k"]
                        ) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The variance and the covariance term of `vicreg_loss`, unweighted, of the outputs' covariances."""
    k = c_x.shape[0]
    hinges = sum(jnp.sum(jax.nn.relu(1 - jnp.sqrt(jnp.diag(c) + VICREG_EPS))) for c in (c_x, c_y))
    crosses = sum(jnp.sum(c**2) - jnp.sum(jnp.diag(c) ** 2) for c in (c_x, c_y))
    return hinges / k, crosses / k


def vicreg_multiplicities(correlations: Float[HostOrDevice, "m"], k: int, *, invariance: float = 25.0,
                          covariance: float = 1.0) -> Float[Array, "m"]:
    r"""How many of VICReg's k outputs each canonical direction gets: CCA under water-filling.

    With unit-variance outputs W = A P and V = A Q on the canonical variates P x, Q y, the loss
    depends on A through N = A'A alone, and its minimum over N (trace k, rank at most k) is diagonal:

    .. math::
        n_l = \max\bigl(0,\, \tfrac{a}{2c} (\phi_l - \mu)\bigr), \qquad \sum_l n_l = k

    CCA has n = 1 on the first k. Here stronger directions get more than one output, correlated
    with each other, and a direction whose correlation lags the mean of those in use by too much
    (2c/a = 0.08 when all k are in use) gets none: the outputs then span fewer than k directions,
    and VICReg loses a signal that CCA finds.

    Args:
        correlations: canonical correlations phi, largest first, shape (m,).
        k: number of outputs.
        invariance, covariance: the weights a and c of `vicreg_loss`.

    Returns:
        n, the eigenvalues of the outputs' covariance; shape (m,), largest first. They hold where
        the variance hinge keeps every output at deviation 1, that is for
        mu >= 1 - (b + 4c) / (2a) with b the weight of the hinge: 0.42 with the usual weights.

    >>> [round(float(n), 3) for n in vicreg_multiplicities(jnp.array([0.95, 0.91, 0.75]), 2)]
    [1.25, 0.75, 0.0]
    >>> [round(float(n), 3) for n in vicreg_multiplicities(jnp.array([0.95, 0.70, 0.10]), 2)]
    [2.0, 0.0, 0.0]
    """
    correlations = jnp.asarray(correlations)
    slope = invariance / (2 * covariance)
    counts = jnp.arange(1, k + 1)
    # The level when the first r directions are in use; the right r is the last whose own weight is positive.
    levels = (jnp.cumsum(correlations[:k]) - k / slope) / counts
    used = jnp.sum(correlations[:k] > levels)
    values = slope * (correlations - levels[used - 1])
    return jnp.where(jnp.arange(correlations.shape[0]) < used, values, 0)


def deepcca_loss(encoder_x: Float[HostOrDevice, "k d_x"], encoder_y: Float[HostOrDevice, "k d_y"],
                 covariances: Covariances, *, ridge: float = 1e-3) -> Float[Array, ""]:
    r"""DeepCCA: minus the sum of the canonical correlations of the outputs.

    .. math::  -\bigl\| (c_x + r I)^{-1/2}\, m\, (c_y + r I)^{-1/2} \bigr\|_*

    Any invertible k x k map of the outputs leaves it unchanged, but for the ridge r.

    Args:
        encoder_x, encoder_y: W (k, d_x) and V (k, d_y).
        covariances: of the two views.
        ridge: r, in units of the outputs squared.

    Source: Andrew, Arora, Bilmes and Livescu 2013, section 3.

    >>> unit = Covariances(xx=jnp.eye(2), xy=jnp.diag(jnp.array([0.9, 0.5])), yy=jnp.eye(2))
    >>> round(float(deepcca_loss(jnp.eye(2), jnp.eye(2), unit, ridge=0.0)), 4)
    -1.4
    """
    return ridge_correlation_loss(*_output_moments(encoder_x, encoder_y, covariances), ridge)


def ridge_correlation_loss(c_x: Float[HostOrDevice, "k k"], m: Float[HostOrDevice, "k k"],
                           c_y: Float[HostOrDevice, "k k"], ridge: Float[ArrayLike, ""]) -> Float[Array, ""]:
    """`deepcca_loss` of the outputs' covariances c_x, c_y and cross-covariance m."""
    identity = jnp.eye(m.shape[0], dtype=m.dtype)
    root_x, root_y = inverse_cholesky(c_x + ridge * identity), inverse_cholesky(c_y + ridge * identity)
    return -nuclear_norm(root_x @ m @ root_y.T)


def cp_loss(encoder: Float[HostOrDevice, "k d_x"], decoder: Float[HostOrDevice, "d_y k"],
            covariances: Covariances) -> Float[Array, ""]:
    r"""Cross-modal prediction: E||y - D W x||^2 with a decoder that is trained along.

    The decoder is not profiled out, since in practice it never is; at its optimum for a given W
    (`linear_probe`) the loss is tr S_yy minus what the encoder's span explains of y.

    Args:
        encoder: W (k, d_x).
        decoder: D (d_y, k).
        covariances: of the two views.

    Source: K26, eq. 2.
    """
    return prediction_mse(decoder @ encoder, covariances)


def joint_loss(encoder_x: Float[HostOrDevice, "k d_x"], encoder_y: Float[HostOrDevice, "k d_y"],
               decoder: Float[HostOrDevice, "d_y k"], covariances: Covariances,
               lam: Float[ArrayLike, ""]) -> Float[Array, ""]:
    r"""Prediction plus lambda times alignment, of whitened outputs z = (W S_xx W')^{-1/2} W x:

    .. math::  E\|y - D z\|^2 + \lambda\, E\|z - V y\|^2

    Both D and V are free. At their optima for a given W the loss is tr S_yy - tr(U' M U), where
    z = U' S_xx^{-1/2} x and M = B B' + lambda (C C' - I): `solve_joint` is its minimiser. Whitening
    is what keeps the second term from shrinking the outputs to nothing.

    Args:
        encoder_x, encoder_y: W (k, d_x), of which only the row space matters, and V (k, d_y).
        decoder: D (d_y, k).
        covariances: of the two views.
        lam: weight lambda >= 0 of alignment, in units of y squared.

    Source: K26, the corollary on the joint objective.
    """
    encoder_x = whitened_outputs(encoder_x, covariances)
    c_x, m, c_y = _output_moments(encoder_x, encoder_y, covariances)
    return cp_loss(encoder_x, decoder, covariances) + lam * (jnp.trace(c_x) - 2 * jnp.trace(m) + jnp.trace(c_y))


def info_nce_loss(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n_y k"],
                  temperature: Float[ArrayLike, ""]) -> Float[Array, ""]:
    r"""Symmetric InfoNCE (CLIP): each row must pick its partner among all n, both ways.

    .. math::
        -\frac{1}{2n} \sum_i \Bigl[ \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}
        + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \Bigr], \qquad
        s_{ij} = \frac{\cos(z_{x,i}, z_{y,j})}{T}

    One exponential per pair serves both directions and both gradients: since s <= 1 / T no
    maximum need be sought first.

    Args:
        z_x, z_y: outputs of n paired rows, shape (n, k); no row may be zero.
        temperature: T, at least 0.023 (the least weight, exp(-2 / T), must fit float32).

    Returns:
        The loss in nats, between 0 and log n + 2 / T.

    Raises:
        ValueError: a temperature too small, shapes that differ.

    Source: Oord, Li and Vinyals 2018; Radford et al. 2021.

    >>> round(float(info_nce_loss(jnp.eye(2), jnp.eye(2), 1.0)), 4)  # log(1 + 1 / e)
    0.3133
    """
    if z_x.shape != z_y.shape:
        raise ValueError(f"z_y: expected shape {z_x.shape} as z_x, got {z_y.shape}")
    check_temperature(temperature)
    return _info_nce(_unit_rows(z_x), _unit_rows(z_y), temperature)


def check_temperature(temperature) -> None:
    """Refuse temperatures at which similarity weights vanish; traced ones cannot be looked at."""
    if not is_traced(temperature) and not np.all(np.asarray(temperature) >= _LEAST_TEMPERATURE):
        raise ValueError(f"temperature: expected at least {_LEAST_TEMPERATURE}, got {temperature}")


def whitened_outputs(encoder: Float[HostOrDevice, "k d_x"], covariances: Covariances) -> Float[Array, "k d_x"]:
    """The encoder of the same row space with uncorrelated outputs of unit variance, W S_xx W' = I."""
    return inverse_cholesky(encoder @ covariances.xx @ encoder.T) @ encoder


def _output_moments(encoder_x, encoder_y, covariances):
    half = encoder_x @ covariances.xy
    return encoder_x @ covariances.xx @ encoder_x.T, half @ encoder_y.T, encoder_y @ covariances.yy @ encoder_y.T


def _unit_rows(rows):
    return rows / jnp.sqrt(jnp.sum(jnp.asarray(rows) ** 2, axis=1, keepdims=True))


@jax.custom_vjp
def _info_nce(u_x, u_y, temperature):
    return _info_nce_forward(u_x, u_y, temperature)[0]


def _info_nce_forward(u_x, u_y, temperature):
    """The loss of unit rows and its gradients.

    With E_ij = exp(s_ij - 1/T), row sums r and column sums c,

        T n dL/du_x = (E u_y / r + E (u_y / c)) / 2 - u_y

    and likewise for u_y. So E is formed once and read four times, by products with thin
    matrices. Those with E on the right are written (thin)' E: E' (thin) would transpose E first.
    """
    n = u_x.shape[0]
    ones = jnp.ones((1, n), u_x.dtype)
    t_x, t_y = u_x.T, u_y.T
    weights = jnp.exp((u_x / temperature) @ t_y - 1 / temperature)
    across = weights @ jnp.concatenate([t_y, ones]).T
    down = jnp.concatenate([t_x, ones]) @ weights
    r, c = across[:, -1], down[-1]
    gradient_x = ((across[:, :-1] / r[:, None] + weights @ (t_y / c).T) / 2 - u_y) / (n * temperature)
    gradient_y = (((down[:-1] / c + (t_x / r) @ weights) / 2 - t_x) / (n * temperature)).T
    loss = (jnp.mean(jnp.log(r)) + jnp.mean(jnp.log(c))) / 2 + (1 - jnp.mean(jnp.sum(u_x * u_y, 1))) / temperature
    return loss, (gradient_x, gradient_y, u_x, temperature)


def _info_nce_backward(residuals, cotangent):
    gradient_x, gradient_y, u_x, temperature = residuals
    # L is a function of u_x / T and u_y, so T dL/dT = -u_x . dL/du_x.
    gradient_t = -jnp.sum(u_x * gradient_x) / temperature
    return cotangent * gradient_x, cotangent * gradient_y, cotangent * gradient_t


_info_nce.defvjp(_info_nce_forward, _info_nce_backward)
