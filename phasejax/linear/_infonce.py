"""InfoNCE, the contrastive loss of CLIP: the loss itself, and linear encoders trained on minibatches of rows."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Key

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count, is_traced
from phasejax.linear._covariances import covariances_from_samples
from phasejax.linear._gradient_descent import Trained, initial_encoders, trained_correlations
from phasejax.linear._solvers import check_rank

# exp(-2 / T), the least weight of a pair of rows, must not vanish in float32.
_LEAST_TEMPERATURE = 0.023


def info_nce_loss(z_x: Float[HostOrDevice, "n k"], z_y: Float[HostOrDevice, "n_y k"],
                  temperature: Float[ArrayLike, ""]) -> Float[Array, ""]:
    r"""Symmetric InfoNCE (CLIP): each row must pick its partner among all n, both ways.

    .. math::
        -\frac{1}{2n} \sum_i \Bigl[ \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}
        + \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \Bigr], \qquad
        s_{ij} = \frac{\cos(z_{x,i}, z_{y,j})}{T}

    One exponential per pair of rows serves both directions and both gradients: since s <= 1 / T, no
    maximum need be sought first. It serves the embeddings of deep encoders as well.

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
    _check_temperature(temperature)
    return _info_nce(_unit_rows(z_x), _unit_rows(z_y), temperature)


def _check_temperature(temperature):
    """Refuse temperatures at which weights vanish in float32; the value of a traced one is not known."""
    if not is_traced(temperature) and not np.all(np.asarray(temperature) >= _LEAST_TEMPERATURE):
        raise ValueError(f"temperature: expected at least {_LEAST_TEMPERATURE}, got {temperature}")


def train_info_nce(x: Float[HostOrDevice, "n d_x"], y: Float[HostOrDevice, "n_y d_y"], k: int, *,
                   temperature: Float[ArrayLike, ""], key: Key[Array, ""], batch: int = 1024,
                   learning_rate: float = 1e-2, max_steps: int = 5000, window: int = 300, check_every: int = 50,
                   tolerance: Float[ArrayLike, ""] = 1e-4) -> Trained:
    """Minimise symmetric InfoNCE over linear encoders, with Adam on minibatches of the given rows.

    Rows are shuffled anew in every epoch and dealt out in batches; rows that do not fill a last batch are
    left out until the next shuffle.

    Args:
        x, y: n paired rows, shapes (n, d_x) and (n, d_y).
        k: number of outputs, 1 to min(d_x, d_y).
        temperature: T of `phasejax.linear.info_nce_loss`.
        key: random key of the initial encoders, whose entries are N(0, 1 / fan-in), and of the shuffles.
        batch: rows in each step, 2 to n.
        learning_rate: Adam's, constant.
        max_steps: gradient steps at most, rounded up to a multiple of `check_every`.
        window, tolerance: stop when the mean loss of the last `window` steps differs from that of
            the `window` steps before by less than `tolerance` (nats).
        check_every: steps between two such comparisons; divides `window`.

    Returns:
        Encoders, their canonical correlations on the given rows, and the mean loss of the last window.

    Raises:
        ValueError: rows that do not pair, k, batch or a count out of range, a temperature too small.

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
    n, covariances = x.shape[0], covariances_from_samples(x, y)
    check_rank(covariances, k)
    _check_temperature(temperature)
    for name, count in {"batch": batch, "max_steps": max_steps, "window": window, "check_every": check_every}.items():
        check_count(name, count)
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
        return _info_nce(_unit_rows(z_x), _unit_rows(z_y), temperature)

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
