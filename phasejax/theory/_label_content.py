r"""Label content: the share of what both views tell about a label that k numbers of each objective keep.

With C = S_xx^{-1/2} S_xy S_yy^{-1/2} and the covariances b_x = S_xx^{-1/2} S_xt and b_y = S_yy^{-1/2} S_yt of the
whitened views with labels t, the part of the labels that the views predict in common is tr(b_x' C b_y). A bottleneck of
width k lets through what lies in the k leading directions of an objective,

.. math::
    s(k) = \mathrm{tr}(b_x^\top P P^\top C\, b_y) \,/\, \mathrm{tr}(b_x^\top C\, b_y)

where P holds k left singular vectors: of C for alignment (CA), and of S_xx^{-1/2} S_xy for predicting y from x (CP).
For x from y the views swap their roles. Unlike a separation ratio, s(k) needs no division of the spectrum into signal
and nuisance, so that it means the same for covariances of which no spiked model is known.
"""

from typing import cast

import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.linalg import top_k_eigenspace, whitening
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_array, check_count, shown
from phasejax.theory._closed_forms import rho, tau, xi
from phasejax.theory._model import SpikedModel
from phasejax.theory._regimes import exceeds

# Share of the content above which an objective recovers it.
KEPT = 0.8


@pytree
class LabelContent:
    """Shares s(k) of the predictable part of the labels that both views share; 0 where there is no such part.

    Args:
        ca: in the k leading directions of alignment.
        cp: in those of predicting y from x.
        cp_reverse: in those of predicting x from y.
    """

    ca: Float[Array, ""]
    cp: Float[Array, ""]
    cp_reverse: Float[Array, ""]


@checked
def label_content(model: SpikedModel, k: int, loadings: Float[HostOrDevice, "l k"] | None = None) -> LabelContent:
    r"""Label content of a spiked model: the share of the labels' predictable part in the k leading directions.

    .. math::  s(k) = \sum_{i\ \mathrm{kept}} w_i \rho_i^2 \,/\, \sum_i w_i \rho_i^2, \qquad w_i = \sum_l \lambda_{li}^2

    A signal is kept if fewer than k values of the objective's spectrum come before its own, which for CA is rho_i
    among rho and nu, and for CP tau_i among tau and xi. Signals come after nuisance of the same value, so that the
    boundary counts as not recovered. With labels that span the signals, s of as many directions as there are signals
    is 1 if and only if the objective's separation ratio is above 1.

    Args:
        model: the spiked model. Works under jit, vmap and grad; derivatives are those of the kept signals' shares.
        k: number of directions, 1 <= k <= min(d_x, d_y).
        loadings: weights lambda of each label on the signals s_i / kappa_i of unit variance, shape (L, number of
            signals); the signals themselves are the labels when left out.

    Returns:
        The shares for CA, CP and CP y->x, in [0, 1].

    Raises:
        ValueError: k out of range, or loadings of another number of signals.

    Source: K26, Proposition 3.1, for part of the signals and any label.

    >>> from phasejax import SpikedModel
    >>> content = label_content(SpikedModel.create([3.0, 1.0], nu=0.6, gamma_x=1.0, gamma_y=1.0, d=5), k=2)
    >>> f"{content.ca:.3f}", f"{content.cp:.3f}"
    ('0.764', '1.000')
    """
    _check_k(k, model.d_x, model.d_y)
    weights = jnp.ones(model.k)
    if loadings is not None:
        weights = jnp.sum(jnp.asarray(check_array("loadings", loadings, 2)) ** 2, axis=0)
    if weights.shape != (model.k,):
        raise ValueError(f"loadings: expected {model.k} columns, one for each signal, got {weights.shape[0]}")
    shared = weights * rho(model) ** 2
    reverse = model.reverse()
    return LabelContent(*(_share(jnp.sum(jnp.where(_kept(signal, nuisance, k), shared, 0)), jnp.sum(shared))
                          for signal, nuisance in ((rho(model), jnp.asarray(model.nu)), (tau(model), xi(model)),
                                                   (tau(reverse), xi(reverse)))))


@checked
def label_content_of_covariances(xx: Float[HostOrDevice, "d_x d_x"], xy: Float[HostOrDevice, "d_x d_y"],
                                 yy: Float[HostOrDevice, "d_y d_y"], x_labels: Float[HostOrDevice, "d_x l"],
                                 y_labels: Float[HostOrDevice, "d_y l"], k: int) -> LabelContent:
    """Label content of any covariances: the share of the labels' predictable part in the k leading directions.

    Covariances of the views may be those of a sample and their covariances with the labels those of the population.
    The result is then what the directions found on the sample keep.

    Args:
        xx, xy, yy: covariances of the views; xx and yy positive definite, else the result is NaN.
        x_labels, y_labels: covariances of the views with the L labels.
        k: number of directions, 1 <= k <= min(d_x, d_y).

    Returns:
        The shares for CA, CP and CP y->x; within [0, 1] for CA if `x_labels` and `y_labels` are explained by what the
        views share, and near it otherwise.

    Raises:
        ValueError: k out of range.

    >>> content = label_content_of_covariances(jnp.eye(2), jnp.diag(jnp.array([0.8, 0.5])), jnp.eye(2),
    ...                                        jnp.ones((2, 1)), jnp.ones((2, 1)), k=1)
    >>> f"{content.ca:.3f}"  # .8 / (.8 + .5)
    '0.615'
    """
    xx, xy, yy, x_labels, y_labels = (check_array(name, value, 2) for name, value in (
        ("xx", xx), ("xy", xy), ("yy", yy), ("x_labels", x_labels), ("y_labels", y_labels)))
    d_x, d_y = xy.shape
    for name, value, shape in (("xx", xx, (d_x, d_x)), ("yy", yy, (d_y, d_y)), ("x_labels", x_labels[:, :0], (d_x, 0)),
                               ("y_labels", y_labels[:, :0], (d_y, 0))):
        if value.shape != shape:
            raise ValueError(f"{name}: expected {shape[0]} rows{' and columns' * (shape[1] > 0)}, as xy of shape "
                             f"{(d_x, d_y)} has them, got shape {value.shape[:1 + (shape[1] > 0)]}")
    _check_k(k, d_x, d_y)
    root_x, root_y = whitening(xx), whitening(yy)
    b, b_reverse = root_x @ xy, root_y @ jnp.asarray(xy).T
    c = b @ root_y.T
    ca, cp, cp_reverse = (top_k_eigenspace(matrix @ matrix.T, k).T @ root
                          for matrix, root in ((c, root_x), (b, root_x), (b_reverse, root_y)))
    shares = content_of_encoders(ca, cp, cp_reverse, xy, x_labels, y_labels, root_x.T @ root_x @ x_labels,
                                 root_y.T @ root_y @ y_labels)
    return LabelContent(*(jnp.sum(share) for share in shares))


def content_of_encoders(ca: Float[HostOrDevice, "k d_x"], cp: Float[HostOrDevice, "k d_x"],
                        cp_reverse: Float[HostOrDevice, "k d_y"], xy: Float[HostOrDevice, "d_x d_y"],
                        x_labels: Float[HostOrDevice, "d_x l"], y_labels: Float[HostOrDevice, "d_y l"],
                        slopes_x: Float[HostOrDevice, "d_x l"], slopes_y: Float[HostOrDevice, "d_y l"]
                        ) -> tuple[Float[Array, "k"], Float[Array, "k"], Float[Array, "k"]]:
    """The share of the labels' predictable part that each output of whitening encoders carries.

    Args:
        ca, cp, cp_reverse: encoders of CA and CP (of x) and of CP y->x (of y), with uncorrelated outputs of unit
            variance, the first of them the leading ones.
        xy: cross-covariance of the views.
        x_labels, y_labels: covariances of the views with the labels.
        slopes_x, slopes_y: coefficients of least squares, S_xx^{-1} S_xt and S_yy^{-1} S_yt.

    Returns:
        The shares of the outputs of each encoder; the sum over the first k is s(k).
    """
    from_y, from_x = xy @ slopes_y, xy.T @ slopes_x  # covariances of one view with what the other predicts
    total = jnp.sum(slopes_x * from_y)
    parts = ((ca, x_labels, from_y), (cp, x_labels, from_y), (cp_reverse, y_labels, from_x))
    ca_share, cp_share, reverse_share = (_share(jnp.sum((encoder @ labels) * (encoder @ partner), axis=1), total)
                                         for encoder, labels, partner in parts)
    return ca_share, cp_share, reverse_share


def _check_k(k, d_x, d_y):
    try:
        check_count("k", k, most=min(d_x, d_y))
    except ValueError:
        raise ValueError(f"k: expected 1 to min(d_x, d_y) = {min(d_x, d_y)}, got {shown(k)}") from None


def _kept(signal, nuisance, k):
    """Which signals are among the k leading values; after nuisance that they equal, the first of equal signals."""
    index = jnp.arange(signal.shape[0])
    before = (signal > signal[:, None]) | ((signal == signal[:, None]) & (index < index[:, None]))
    return jnp.sum(before, axis=1) + jnp.sum(~exceeds(signal[:, None], nuisance), axis=1) < k


def _share(part, whole) -> Array:
    return cast(Array, jnp.where(whole == 0, 0, part / jnp.where(whole == 0, 1, whole)))
