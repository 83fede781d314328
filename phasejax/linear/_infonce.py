"""InfoNCE, the contrastive loss of CLIP: the loss itself, and linear encoders trained on minibatches of rows."""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import KeyLike, check_array, check_count, check_key, is_traced
from phasejax.linear._covariances import covariances_from_samples, power_of_two
from phasejax.linear._gradient_descent import Trained, initial_encoders, trained_correlations
from phasejax.linear._solvers import check_rank

# From this temperature on exp(-2 / T), the least weight of a pair of rows, does not vanish in float32.
_WARM = 0.023


@checked
def info_nce_loss(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n_y k"],
                  temperature: Float[ArrayLike, ""]) -> Float[Array, ""]:
    r"""Symmetric InfoNCE (CLIP): each row must pick its partner among all n, both ways.

    .. math::
        -\frac{1}{2n} \sum_i \Bigl[ \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}
        + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \Bigr], \qquad
        s_{ij} = \frac{\cos(z_{x,i}, z_{y,j})}{T}

    From T = 0.023 on, one exponential per pair of rows serves both directions and both gradients: since s <= 1 / T,
    no maximum need be sought first. At the lower temperatures that CLIP learns (down to 0.01, a logit scale of 100)
    each direction has exponentials of its own. The loss serves the embeddings of deep encoders as well.

    Args:
        z_x, z_y: outputs of n paired rows, shape (n, k); no row may be zero. Their lengths do not matter.
        temperature: T > 0, a number or a learned scalar, 1 / T being CLIP's logit scale.

    Returns:
        The loss in nats, between 0 and log n + 2 / T.

    Raises:
        ValueError: a temperature that is not above 0, shapes that differ.

    Source: Oord, Li and Vinyals 2018; Radford et al. 2021.

    >>> round(float(info_nce_loss(jnp.eye(2), jnp.eye(2), 1.0)), 4)  # log(1 + 1 / e)
    0.3133
    """
    if z_x.shape != z_y.shape:
        raise ValueError(f"z_y: expected shape {z_x.shape} as z_x, got {z_y.shape}")
    _check_temperature(temperature)
    return _loss_of_unit_rows(_unit_rows(_of_size_one(z_x)), _unit_rows(_of_size_one(z_y)), temperature)


def _check_temperature(temperature):
    """Refuse temperatures that are not above 0; the value of a traced one is not known."""
    if not is_traced(temperature) and not np.all((np.asarray(temperature) > 0) & np.isfinite(temperature)):
        raise ValueError(f"temperature: expected a finite number above 0, got {temperature}")


@checked
def train_info_nce(x: Float[HostOrDevice, "n d_x"], y: Float[HostOrDevice, "n_y d_y"], k: int, *,
                   temperature: Float[ArrayLike, ""], key: KeyLike, batch: int = 1024,
                   learning_rate: float = 1e-2, max_steps: int = 5000, window: int = 300, check_every: int = 50,
                   tolerance: Float[ArrayLike, ""] = 1e-4) -> Trained:
    """Minimise symmetric InfoNCE over linear encoders, with Adam on minibatches of the given rows.

    Rows are shuffled anew in every epoch and dealt out in batches; rows that do not fill a last batch are
    left out until the next shuffle.

    Args:
        x, y: n paired rows, shapes (n, d_x) and (n, d_y).
        k: number of outputs, 1 to min(d_x, d_y).
        temperature: T of `phasejax.linear.info_nce_loss`.
        key: random key or a seed of the initial encoders, whose entries are N(0, 1 / fan-in), and of the shuffles.
        batch: rows in each step, 2 to n.
        learning_rate: Adam's, constant.
        max_steps: gradient steps at most, rounded up to a multiple of `check_every`.
        window, tolerance: stop when the mean loss of the last `window` steps differs from that of
            the `window` steps before by less than `tolerance` (nats).
        check_every: steps between two such comparisons; divides `window`.

    Returns:
        Encoders, their canonical correlations on the given rows, and the mean loss of the last window.

    Raises:
        ValueError: rows that do not pair, k, batch or a count out of range, a temperature that is not above 0.

    Source: the protocol of K26's comparison of InfoNCE with CA and CP.

    >>> from phasejax import SpikedModel
    >>> from phasejax.linear import train_info_nce
    >>> from phasejax.simulation import sample_pairs
    >>> model = SpikedModel.create([3.0, 2.0], nu=0.3, gamma_x=0.5, gamma_y=0.5, d=6)
    >>> sample = sample_pairs(jax.random.key(0), model, 500)
    >>> found = train_info_nce(sample.x, sample.y, 2, temperature=0.1, key=jax.random.key(1), batch=100, max_steps=600)
    >>> bool(found.spectrum[1] > 0.5)
    True
    """
    key = check_key("key", key)
    _check_temperature(temperature)
    x, y = check_array("x", x, 2), check_array("y", y, 2)
    for name, view in (("x", x), ("y", y)):
        if not view.size:
            raise ValueError(f"{name}: expected rows of numbers, got shape {view.shape}")
    x, y = _of_size_one(x), _of_size_one(y)
    n, covariances = x.shape[0], covariances_from_samples(x, y)
    check_rank(covariances, k)
    for name, count in {"batch": batch, "max_steps": max_steps, "window": window, "check_every": check_every}.items():
        check_count(name, count, most=2**31 - 1)
    if not 2 <= batch <= n:
        raise ValueError(f"batch: expected 2 to n = {n} rows, got {batch}")
    if window % check_every:
        raise ValueError(f"check_every: expected a divisor of window = {window}, got {check_every}")
    rows = jnp.concatenate([x, y], axis=1)  # one gather serves both views
    per_epoch, parts, d_x = n // batch, window // check_every, x.shape[1]
    optimiser = optax.adam(learning_rate)
    key_start, key_rows = jax.random.split(key)
    params = initial_encoders(key_start, k, d_x, y.shape[1], rows.dtype)
    del params["decoder"]

    def loss(params, chosen):
        z_x, z_y = chosen[:, :d_x] @ params["x"].T, chosen[:, d_x:] @ params["y"].T
        return _loss_of_unit_rows(_unit_rows(z_x), _unit_rows(z_y), temperature)

    def step(carry, i):
        params, state, order = carry
        order = jax.lax.cond(i % per_epoch == 0,
                             lambda: _shuffled(jax.random.fold_in(key_rows, i // per_epoch), n),
                             lambda: order)
        chosen = rows[jax.lax.dynamic_slice_in_dim(order, (i % per_epoch) * batch, batch)]
        value, gradient = jax.value_and_grad(loss)(params, chosen)
        updates, state = optimiser.update(gradient, state, params)
        return (cast(dict[str, Array], optax.apply_updates(params, updates)), state, order), value

    def part(carry):
        inner, past, done, _ = carry
        inner, values = jax.lax.scan(step, inner, done + jnp.arange(check_every))
        past = jnp.roll(past, -1).at[-1].set(jnp.mean(values))  # mean loss of each part of the last two windows
        done = done + check_every
        moved = jnp.abs(jnp.mean(past[parts:]) - jnp.mean(past[:parts]))
        return inner, past, done, (done >= 2 * window) & (moved < tolerance)

    start = ((params, optimiser.init(params), jnp.arange(n)), jnp.zeros(2 * parts, rows.dtype), 0, jnp.zeros((), bool))
    (params, _, _), past, steps, converged = jax.lax.while_loop(lambda c: (c[2] < max_steps) & ~c[3], part, start)
    return Trained(encoder_x=params["x"], encoder_y=params["y"], decoder=None, loss=jnp.mean(past[parts:]),
                   steps=jnp.asarray(steps, jnp.int32), converged=converged,
                   spectrum=trained_correlations(params["x"], params["y"], covariances))


def _shuffled(key, n):
    # One sort. `jax.random.permutation` sorts twice, since among very many rows some of the random bits coincide.
    return jnp.argsort(jax.random.bits(key, (n,)), stable=False)


def _unit_rows(rows):
    return rows / jnp.sqrt(jnp.sum(jnp.asarray(rows) ** 2, axis=1, keepdims=True))


def _of_size_one(view):
    """The view divided by a power of 2, so that squares neither overflow nor vanish; outputs of unit length do not."""
    view = jnp.asarray(view)
    return view / power_of_two(jnp.max(jnp.abs(view)))


def _loss_of_unit_rows(u_x, u_y, temperature):
    """The loss, by the cheaper of two ways where the temperature allows it; a traced one is looked at when it runs."""
    is_warm = None if is_traced(temperature) else bool(np.all(np.asarray(temperature) >= _WARM))
    return _info_nce(is_warm, u_x, u_y, jnp.asarray(temperature, u_x.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _info_nce(is_warm, u_x, u_y, temperature):
    return _info_nce_forward(is_warm, u_x, u_y, temperature)[0]


def _info_nce_forward(is_warm, u_x, u_y, temperature):
    if is_warm is None:
        value, gradients = jax.lax.cond(temperature >= _WARM, _warm, _cold, u_x, u_y, temperature)
    else:
        value, gradients = (_warm if is_warm else _cold)(u_x, u_y, temperature)
    return value, (*gradients, u_x, temperature)


def _warm(u_x, u_y, temperature):
    """The loss of unit rows and its gradients, where no weight vanishes.

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
    return loss, (gradient_x, gradient_y)


def _cold(u_x, u_y, temperature):
    """The loss of unit rows and its gradients at any temperature.

    With P and Q the softmax of s along rows and along columns, and D = (P + Q) / 2 - I,

        T n dL/du_x = D u_y,    T n dL/du_y = D' u_x

    The diagonal of D is minus the sums of what the other entries of a row of P and of a column of Q hold, since
    1 - P_ii would lose its digits where a row is sure of its partner, as it is at low temperatures.
    """
    n = u_x.shape[0]
    s = (u_x / temperature) @ u_y.T
    partner = jnp.diagonal(s)
    others = jnp.where(jnp.eye(n, dtype=bool), -jnp.inf, s)
    loss_x, weights_x = _missed_partner(others, partner[:, None], axis=1)
    loss_y, weights_y = _missed_partner(others, partner[None, :], axis=0)
    d = (weights_x + weights_y) / 2
    kept = (jnp.sum(weights_x, axis=1) + jnp.sum(weights_y, axis=0))[:, None] / 2
    gradient_x, gradient_y = d @ u_y - kept * u_y, d.T @ u_x - kept * u_x
    return (loss_x + loss_y) / 2, (gradient_x / (n * temperature), gradient_y / (n * temperature))


def _missed_partner(others, partner, axis):
    """Mean of -log of the partner's softmax weight, and the weights of the others, 0 on the diagonal."""
    largest = jnp.maximum(jnp.max(others, axis=axis, keepdims=True), partner)
    weights = jnp.exp(others - largest)
    rest, own = jnp.sum(weights, axis=axis, keepdims=True), jnp.exp(partner - largest)
    # log1p where the partner weighs most: there the loss may be far below the rounding error of 1.
    loss = largest - partner + jnp.where(own == 1, jnp.log1p(rest), jnp.log(rest + own))
    return jnp.mean(loss), weights / (rest + own)


def _info_nce_backward(is_warm, residuals, cotangent):
    gradient_x, gradient_y, u_x, temperature = residuals
    # L is a function of u_x / T and u_y, so T dL/dT = -u_x . dL/du_x.
    gradient_t = -jnp.sum(u_x * gradient_x) / temperature
    return cotangent * gradient_x, cotangent * gradient_y, cotangent * gradient_t


_info_nce.defvjp(_info_nce_forward, _info_nce_backward)
