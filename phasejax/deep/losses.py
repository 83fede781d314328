r"""Losses of nonlinear encoders as functions of a batch of embeddings (K26, section 4).

Embeddings z_x and z_y have shape (n, k), and their rows pair. Covariances of outputs are those of the
batch, centred, with 1/(n - 1), as in the papers' code. `phasejax.linear` has the same losses of linear
encoders as functions of exact second moments (1/n, zero mean), and InfoNCE,
`phasejax.linear.info_nce_loss`, which serves both. All work under jit, vmap and grad, without a LAPACK
call.
"""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import is_traced
from phasejax.linear._loss_core import Joint as Joint
from phasejax.linear._loss_core import deepcca_from_moments, joint_from_terms, vicreg_from_moments


@pytree
class VICReg:
    """VICReg's loss and its three terms, unweighted.

    Args:
        total: the weighted sum.
        invariance: mean squared difference of the views' outputs.
        variance: mean shortfall of the outputs' deviations below 1, summed over the views.
        covariance: sum of squared off-diagonal covariances over k, summed over the views.
    """

    total: Float[Array, ""]
    invariance: Float[Array, ""]
    variance: Float[Array, ""]
    covariance: Float[Array, ""]


@checked
def vicreg(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n_y k_y"], *, invariance: float = 25.0,
           variance: float = 25.0, covariance: float = 1.0) -> VICReg:
    r"""VICReg: pulls the outputs together, holds each one's standard deviation at 1 and decorrelates them.

    .. math::
        \frac{a}{nk} \sum_{i} \|z_{x,i} - z_{y,i}\|^2
        + \frac{b}{k} \sum_{v, j} \max\bigl(0,\, 1 - \sqrt{c_{v,jj} + \epsilon}\bigr)
        + \frac{c}{k} \sum_{v, j \neq l} c_{v,jl}^2

    over the views v, with c_v the covariance of the batch (centred, 1/(n - 1)) and
    epsilon = 1e-4. The first term is not centred. Both others are summed, not averaged, over the
    views, as in the VICReg paper (its published code halves the variance term: `variance=12.5`).

    Args:
        z_x, z_y: outputs of n >= 2 paired rows, shape (n, k).
        invariance, variance, covariance: the weights a, b, c.

    Raises:
        ValueError: shapes that differ, a single row.

    Source: Bardes, Ponce and LeCun 2022, eq. 1-6; the weights are those of K26.

    >>> from phasejax.deep.losses import vicreg
    >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> found = vicreg(z, 0.5 * z)
    >>> round(float(found.invariance), 4), round(float(found.variance), 4), round(float(found.covariance), 4)
    (0.25, 0.4226, 0.0)
    """
    _check_pairs("z_x", z_x, "z_y", z_y)
    c_x, _, c_y = _moments(z_x, z_y)
    distance = prediction(z_x, z_y)
    total, shortfall, crosses = vicreg_from_moments(c_x, invariance * distance, c_y, variance=variance,
                                                    covariance=covariance)
    return VICReg(total, distance, shortfall, crosses)


@checked
def deepcca(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n_y k_y"], *,
            ridge: Float[ArrayLike, ""] = 1e-3) -> Float[Array, ""]:
    r"""DeepCCA: minus the sum of the canonical correlations of the outputs over the batch.

    .. math::  -\bigl\| (c_x + r I)^{-1/2}\, m\, (c_y + r I)^{-1/2} \bigr\|_*

    with c_x, c_y and m the covariances of the centred outputs, 1/(n - 1). The compiled program
    grows with k. With n near k the correlations of a batch are near 1 whatever the encoders do.

    Args:
        z_x, z_y: outputs of n >= 2 paired rows, shape (n, k).
        ridge: r, in units of the outputs squared.

    Returns:
        The loss, between -k and 0.

    Raises:
        ValueError: shapes that differ, a single row.

    Source: Andrew, Arora, Bilmes and Livescu 2013, section 3.

    >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> round(float(deepcca(z, z @ jnp.array([[0.0, 3.0], [1.0, 0.0]]), ridge=1e-6)), 3)
    -2.0
    """
    _check_pairs("z_x", z_x, "z_y", z_y)
    return deepcca_from_moments(*_moments(z_x, z_y), ridge)


@checked
def prediction(predicted: Float[HostOrDevice, "n *shape"], target: Float[HostOrDevice, "n_y *shape_y"]
               ) -> Float[Array, ""]:
    r"""Cross-modal prediction: the mean squared error over rows and entries (pixels, channels, features).

    .. math::  \frac{1}{nm} \sum_i \|y_i - \hat y_i\|^2

    with m entries in a row. `phasejax.linear.cp_loss`, which sums over the entries, is m times that.

    Args:
        predicted, target: rows that pair, both of shape (n, ...).

    Raises:
        ValueError: shapes that differ.

    Source: K26, eq. 2 and section 4.
    """
    _check_same_shape("predicted", predicted, "target", target)
    return jnp.mean((jnp.asarray(predicted) - target) ** 2)


@checked
def joint(predicted: Float[HostOrDevice, "n *shape"], target: Float[HostOrDevice, "n_y *shape_y"],
          z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n k_y"], lam: Float[ArrayLike, ""],
          alignment: Callable = lambda z_x, z_y: vicreg(z_x, z_y).total) -> Joint:
    r"""Prediction plus lambda times alignment.

    .. math::  \mathrm{MSE}(\hat y, y) + \lambda\, L(z_x, z_y)

    Args:
        predicted, target: as in `prediction`.
        z_x, z_y: outputs of n paired rows, shape (n, k).
        lam: weight lambda >= 0 of alignment.
        alignment: L, a function of (z_x, z_y); VICReg with its usual weights when left out.

    Returns:
        The loss and its two terms.

    Raises:
        ValueError: shapes that differ.

    Source: K26, the corollary on the joint objective.
    """
    return joint_from_terms(prediction(predicted, target), alignment(z_x, z_y), lam)


@checked
def supervised(logits: Float[HostOrDevice, "n classes"], labels: Int[HostOrDevice, "n_labels"]) -> Float[Array, ""]:
    r"""Mean cross-entropy of the softmax, in nats.

    .. math::  -\frac{1}{n} \sum_i \log \frac{e^{s_{i, l_i}}}{\sum_c e^{s_{ic}}}

    Args:
        logits: s, shape (n, classes).
        labels: l, shape (n,), from 0 to classes - 1.

    Raises:
        ValueError: not one label for each row; a label out of range, where it is not traced.

    >>> round(float(supervised(jnp.zeros((2, 3)), jnp.array([0, 2]))), 4)  # log 3
    1.0986
    """
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels: expected shape {logits.shape[:1]}, got {labels.shape}")
    if not is_traced(labels) and labels.size and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(f"labels: expected 0 to {logits.shape[1] - 1}, got {labels.min()} to {labels.max()}")
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), jnp.asarray(labels)))


def _moments(z_x, z_y) -> tuple[Array, Array, Array]:
    """Covariance of z_x, cross-covariance and covariance of z_y over a batch; centred, with 1/(n - 1)."""
    left, right = (jnp.asarray(z) - jnp.mean(z, axis=0) for z in (z_x, z_y))
    over = left.shape[0] - 1
    return left.T @ left / over, left.T @ right / over, right.T @ right / over


def _check_pairs(name_x, z_x, name_y, z_y):
    _check_same_shape(name_x, z_x, name_y, z_y)
    if z_x.shape[0] < 2:
        raise ValueError(f"{name_x}: expected at least 2 rows, got {z_x.shape[0]}")


def _check_same_shape(name, given, other_name, other):
    if given.shape != other.shape:
        raise ValueError(f"{other_name}: expected shape {given.shape} as {name}, got {other.shape}")
