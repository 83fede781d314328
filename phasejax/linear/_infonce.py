"""InfoNCE, the contrastive loss of CLIP, on linear encoders and minibatches of rows."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, Key

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count
from phasejax.linear._covariances import covariances_from_samples
from phasejax.linear._gradient_descent import Trained, initial_encoders, trained_correlations
from phasejax.linear._losses import check_temperature, info_nce_loss
from phasejax.linear._solvers import check_rank


def train_info_nce(x: Float[HostOrDevice, "n d_x"], y: Float[HostOrDevice, "n_y d_y"], k: int, *,
                   temperature: Float[ArrayLike, ""], key: Key[Array, ""], batch: int = 1024,
                   learning_rate: float = 1e-2, max_steps: int = 5000, window: int = 300, check_every: int = 50,
                   tolerance: float = 1e-4) -> Trained:
    """Minimise symmetric InfoNCE over linear encoders, with Adam on minibatches of the given rows.

    Rows are shuffled anew in every epoch and dealt out in batches; the remainder sits out until
    the next shuffle.

    Args:
        x, y: n paired rows.
        k: number of outputs, 1 to min(d_x, d_y).
        temperature: T of `info_nce_loss`.
        key: for the initial encoders, N(0, 1 / fan-in), and the shuffles.
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
    """
    n, covariances = x.shape[0], covariances_from_samples(x, y)
    check_rank(covariances, k)
    check_temperature(temperature)
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
        return info_nce_loss(chosen[:, :d_x] @ params["x"].T, chosen[:, d_x:] @ params["y"].T, temperature)

    def step(carry, i):
        params, state, order = carry
        order = jax.lax.cond(i % per_epoch == 0,
                             lambda: _shuffled(jax.random.fold_in(key_rows, i // per_epoch), n),
                             lambda: order)
        chosen = rows[jax.lax.dynamic_slice_in_dim(order, (i % per_epoch) * batch, batch)]
        value, gradient = jax.value_and_grad(loss)(params, chosen)
        updates, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state, order), value

    def part(carry):
        inner, past, done, _ = carry
        inner, values = jax.lax.scan(step, inner, done + jnp.arange(check_every))
        past = jnp.roll(past, -1).at[-1].set(jnp.mean(values))  # means of the last two windows' parts
        done = done + check_every
        moved = jnp.abs(jnp.mean(past[parts:]) - jnp.mean(past[:parts]))
        return inner, past, done, (done >= 2 * window) & (moved < tolerance)

    start = ((params, optimiser.init(params), jnp.arange(n)), jnp.zeros(2 * parts, rows.dtype), 0, False)
    (params, _, _), past, steps, converged = jax.lax.while_loop(lambda c: (c[2] < max_steps) & ~c[3], part, start)
    return Trained(encoder_x=params["x"], encoder_y=params["y"], decoder=None, loss=jnp.mean(past[parts:]),
                   steps=jnp.asarray(steps, jnp.int32), converged=converged,
                   spectrum=trained_correlations(params["x"], params["y"], covariances))


def _shuffled(key, n):
    # One sort; `jax.random.permutation` sorts twice, for n beyond what 32 bits can tell apart.
    return jnp.argsort(jax.random.bits(key, (n,)), stable=False)
