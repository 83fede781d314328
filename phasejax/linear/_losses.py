r"""Losses of linear encoders, exact functions of the covariances of the two views (K26, eq. 1 and 2).

They are what `phasejax.linear.train` minimises: means over all rows of a sample, or over the population,
that need no rows. With encoders W (k, d_x) and V (k, d_y) the outputs z_x = W x and z_y = V y have
second moments

.. math::  c_x = W S_{xx} W^\top, \quad c_y = V S_{yy} V^\top, \quad m = W S_{xy} V^\top

(1/n, zero mean, as everywhere in this package), from which `_loss_core` computes the losses.
`phasejax.deep.losses` has the same losses of a batch of embeddings. InfoNCE depends on more than second
moments; see `_infonce`. All work under jit, vmap and grad, without a LAPACK call.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.small_matrices import inverse_cholesky
from phasejax._core.validation import check_array, check_count, check_number, is_traced
from phasejax.linear._covariances import Covariances
from phasejax.linear._loss_core import deepcca_from_moments, joint_from_terms, squared_difference, vicreg_from_moments
from phasejax.linear._metrics import prediction_mse


@checked
def vicreg_loss(encoder_x: Float[HostOrDevice, "k d_x"], encoder_y: Float[HostOrDevice, "k d_y"],
                covariances: Covariances, *, invariance: float = 25.0, variance: float = 25.0,
                covariance: float = 1.0) -> Float[Array, ""]:
    r"""VICReg: pulls the outputs together, holds each one's standard deviation at 1 and decorrelates them.

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

    Returns:
        The loss, >= 0.

    Source: Bardes, Ponce and LeCun 2022, eq. 1-6; the weights are those of K26.

    >>> from phasejax.linear import Covariances
    >>> unit = Covariances(xx=jnp.eye(2), xy=0.9 * jnp.eye(2), yy=jnp.eye(2))
    >>> round(float(vicreg_loss(jnp.eye(2), jnp.eye(2), unit)), 3)
    5.0
    """
    c_x, m, c_y = _output_moments(encoder_x, encoder_y, covariances)
    weighted_difference = invariance * squared_difference(c_x, m, c_y) / m.shape[0]
    return vicreg_from_moments(c_x, weighted_difference, c_y, variance=variance, covariance=covariance)[0]


@checked
def vicreg_multiplicities(correlations: Float[HostOrDevice, "m"], k: int, *, invariance: float = 25.0,
                          covariance: float = 1.0) -> Float[Array, "m"]:
    r"""How many of VICReg's k outputs go to each canonical direction at its optimum, by water-filling.

    With unit-variance outputs W = A P and V = A Q on the canonical variates P x, Q y, the loss
    depends on A through N = A'A alone, and its minimum over N (trace k, rank at most k) is diagonal:

    .. math::
        n_l = \max\bigl(0,\, \tfrac{a}{2c} (\phi_l - \mu)\bigr), \qquad \sum_l n_l = k

    CCA has n = 1 on the first k directions. Here stronger directions get more than one output, correlated
    with each other, and a direction whose correlation lags behind the mean of those in use by too much
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

    Source: derived above from the loss of Bardes, Ponce and LeCun 2022; `test_losses` checks it by brute force.

    >>> [round(float(n), 3) for n in vicreg_multiplicities(jnp.array([0.95, 0.91, 0.75]), 2)]
    [1.25, 0.75, 0.0]
    >>> [round(float(n), 3) for n in vicreg_multiplicities(jnp.array([0.95, 0.70, 0.10]), 2)]
    [2.0, 0.0, 0.0]
    """
    correlations = jnp.asarray(check_array("correlations", correlations, 1))
    check_count("k", k, most=len(correlations))
    for name, weight in (("invariance", invariance), ("covariance", covariance)):
        if not is_traced(weight):
            check_number(name, weight, above=0)
    slope = invariance / (2 * covariance)
    counts = jnp.arange(1, k + 1)
    # The water level mu when the first r directions are in use; the right r is the last with a positive n of its own.
    levels = (jnp.cumsum(correlations[:k]) - k / slope) / counts
    used = jnp.sum(correlations[:k] > levels)
    values = slope * (correlations - levels[used - 1])
    return jnp.where(jnp.arange(correlations.shape[0]) < used, values, 0)


@checked
def deepcca_loss(encoder_x: Float[HostOrDevice, "k d_x"], encoder_y: Float[HostOrDevice, "k d_y"],
                 covariances: Covariances, *, ridge: float = 1e-3) -> Float[Array, ""]:
    r"""DeepCCA: minus the sum of the canonical correlations of the outputs.

    .. math::  -\bigl\| (c_x + r I)^{-1/2}\, m\, (c_y + r I)^{-1/2} \bigr\|_*

    Any invertible k x k map of the outputs leaves it unchanged, but for the ridge r.

    Args:
        encoder_x, encoder_y: W (k, d_x) and V (k, d_y).
        covariances: of the two views.
        ridge: r, in units of the outputs squared.

    Returns:
        The loss, between -k and 0.

    Source: Andrew, Arora, Bilmes and Livescu 2013, section 3.

    >>> from phasejax.linear import Covariances
    >>> unit = Covariances(xx=jnp.eye(2), xy=jnp.diag(jnp.array([0.9, 0.5])), yy=jnp.eye(2))
    >>> round(float(deepcca_loss(jnp.eye(2), jnp.eye(2), unit, ridge=0.0)), 4)
    -1.4
    """
    return deepcca_from_moments(*_output_moments(encoder_x, encoder_y, covariances), ridge)


@checked
def cp_loss(encoder: Float[HostOrDevice, "k d_x"], decoder: Float[HostOrDevice, "d_y k"],
            covariances: Covariances) -> Float[Array, ""]:
    r"""Cross-modal prediction: E||y - D W x||^2 with a decoder that is trained together with the encoder.

    The decoder is not replaced by its optimum, since in practice it never is. At its optimum for a given W
    (`phasejax.linear.linear_probe`) the loss is tr S_yy minus what the encoder's span explains of y.

    Args:
        encoder: W (k, d_x).
        decoder: D (d_y, k), in units of y.
        covariances: of the two views.

    Returns:
        The loss, in units of y squared.

    Source: K26, eq. 2.
    """
    return prediction_mse(decoder @ encoder, covariances)


@checked
def joint_loss(encoder_x: Float[HostOrDevice, "k d_x"], encoder_y: Float[HostOrDevice, "k d_y"],
               decoder: Float[HostOrDevice, "d_y k"], covariances: Covariances,
               lam: Float[ArrayLike, ""]) -> Float[Array, ""]:
    r"""Prediction plus lambda times alignment, of whitened outputs z = (W S_xx W')^{-1/2} W x:

    .. math::  E\|y - D z\|^2 + \lambda\, E\|z - V y\|^2

    Both D and V are free. At their optima for a given W the loss is tr S_yy - tr(U' M U), where
    z = U' S_xx^{-1/2} x and M = B B' + lambda (C C' - I), whose minimiser `phasejax.linear.solve_joint`
    computes. Whitening keeps the second term from shrinking the outputs to nothing.

    Args:
        encoder_x, encoder_y: W (k, d_x), of which only the row space matters, and V (k, d_y).
        decoder: D (d_y, k).
        covariances: of the two views.
        lam: weight lambda >= 0 of alignment, in units of y squared.

    Returns:
        The loss, in units of y squared.

    Source: K26, the corollary on the joint objective.
    """
    encoder_x = whitened_outputs(encoder_x, covariances)
    c_x, m, c_y = _output_moments(encoder_x, encoder_y, covariances)
    return joint_from_terms(cp_loss(encoder_x, decoder, covariances), squared_difference(c_x, m, c_y), lam).total


def whitened_outputs(encoder: Float[HostOrDevice, "k d_x"], covariances: Covariances) -> Float[Array, "k d_x"]:
    """The encoder with the same row space whose outputs are uncorrelated with unit variance, W S_xx W' = I."""
    return inverse_cholesky(encoder @ covariances.xx @ encoder.T) @ encoder


def _output_moments(encoder_x, encoder_y, covariances) -> tuple[HostOrDevice, HostOrDevice, HostOrDevice]:
    """Second moments c_x, m and c_y of the outputs W x and V y."""
    half = encoder_x @ covariances.xy
    return encoder_x @ covariances.xx @ encoder_x.T, half @ encoder_y.T, encoder_y @ covariances.yy @ encoder_y.T
