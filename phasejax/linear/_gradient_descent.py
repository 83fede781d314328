r"""Linear encoders trained by gradient descent, to be set beside the closed forms of `_solvers`.

`train` minimises an exact function of the covariances, so its gradients carry no sampling noise
and it can be asked for the optimum to many digits. It is one loop that stops when the loss
stagnates. Under `vmap` all cells of a grid run in one compiled program: a cell that has converged
keeps its parameters while others go on. `_infonce` trains on minibatches of rows instead.
"""

from collections.abc import Callable
from typing import Literal, cast, get_args

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key

from phasejax._core.checked_call import checked
from phasejax._core.linalg import singular_values, whitening
from phasejax._core.pytree import pytree
from phasejax._core.validation import KeyLike, check_choice, check_count, check_key, shown
from phasejax.linear import _losses
from phasejax.linear._covariances import Covariances
from phasejax.linear._solvers import check_rank

# What linear encoders can be trained for: VICReg and DeepCCA are alignment (CA), "cp" is prediction of y from x.
Objective = Literal["vicreg", "deepcca", "cp", "joint"]
# Adam's rate is halved whenever the loss stagnates, until it is this share of the rate at the start:
# a constant rate leaves the parameters hopping about the optimum, across VICReg's hinge above all.
_LAST_RATE = 1e-4
# The loss stagnates when it falls from one window to the next by less than this share of its whole fall.
# DeepCCA's loss never quite rests: growing outputs make its ridge matter less and less.
_TOLERANCE = {"vicreg": 1e-8, "deepcca": 1e-6, "cp": 1e-8, "joint": 1e-8}


@pytree
class Trained:
    """Linear encoders found by gradient descent.

    Args:
        encoder_x: W (k, d_x); with "joint" scaled to whitened outputs, as the objective sees them.
        encoder_y: V (k, d_y); None with "cp".
        decoder: D (d_y, k), y = D W x; None with "vicreg", "deepcca" and InfoNCE.
        spectrum: what the closed form's spectrum is on the trained space, shape (k,), largest first:
            canonical correlations between W x and V y, singular values of A within W's row space
            ("cp"), eigenvalues of M within it ("joint").
        loss: mean of the last window.
        steps: gradient steps taken.
        converged: whether the loss stagnated before the steps ran out.
    """

    encoder_x: Float[Array, "k d_x"]
    encoder_y: Float[Array, "k d_y"] | None
    decoder: Float[Array, "d_y k"] | None
    spectrum: Float[Array, "k"]
    loss: Float[Array, ""]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


@checked
def train(objective: Objective | str, covariances: Covariances, k: int, *, key: KeyLike,
          lam: Float[ArrayLike, ""] | None = None, learning_rate: float = 1e-2, max_steps: int = 20_000,
          window: int = 100, tolerance: float | None = None) -> Trained:
    """Minimise a loss over linear encoders, with Adam on exact gradients.

    The losses are `phasejax.linear.vicreg_loss`, `deepcca_loss`, `cp_loss` and `joint_loss`. Use float64 where the
    optimum matters to more than three digits. Under `vmap`, over covariances, keys or lam, all cells make one batch,
    since a step consists of products of small matrices only.

    Args:
        objective: "vicreg", "deepcca", "cp" (whose decoder is trained together with the encoder) or "joint".
        covariances: of a sample or of the population.
        k: number of outputs, 1 to min(d_x, d_y).
        key: random key or a seed of the initial encoders, whose entries are N(0, 1 / fan-in).
        lam: weight of alignment in the joint objective, in units of y squared; None for others.
        learning_rate: Adam's rate at the start.
        max_steps: gradient steps at most, rounded up to whole windows.
        window: steps whose mean loss is compared with that of the window before.
        tolerance: the loss stagnates when it falls, from one window to the next, by less than this
            share of its whole fall so far; 1e-8 when left out, 1e-6 for DeepCCA. The rate is then
            halved; when it has come down to 1e-4 of its start the cell has converged.

    Returns:
        The trained encoders, and how training ended.

    Raises:
        ValueError: an unknown objective, k out of range, a missing lam, or one without the joint objective.

    Source: K26, eq. 1 and 2, as they are minimised in practice.

    >>> from phasejax import SpikedModel
    >>> from phasejax.linear import mean_squared_sine, solve_ca, train
    >>> from phasejax.simulation import population_covariances
    >>> model = SpikedModel.create([3.0, 2.0], nu=0.3, gamma_x=0.5, gamma_y=0.5, d=6)
    >>> covariances = population_covariances(model)
    >>> found = train("deepcca", covariances, k=2, key=jax.random.key(0))
    >>> bool(found.converged), float(mean_squared_sine(solve_ca(covariances, 2).encoder_x, found.encoder_x)) < 1e-4
    (True, True)
    """
    key = check_key("key", key)
    check_choice("objective", objective, get_args(Objective))
    if objective == "joint" and lam is None:
        raise ValueError("lam: expected a weight for the joint objective, got None")
    if objective != "joint" and lam is not None:
        raise ValueError(f"lam: expected None with objective {objective!r}, got {shown(lam)}")
    check_rank(covariances, k)
    check_count("max_steps", max_steps, most=2**31 - 1)
    check_count("window", window)
    covariances = jax.tree.map(jnp.asarray, covariances)
    tolerance = _TOLERANCE[objective] if tolerance is None else tolerance
    loss = {"vicreg": lambda p: _losses.vicreg_loss(p["x"], p["y"], covariances),
            "deepcca": lambda p: _losses.deepcca_loss(p["x"], p["y"], covariances),
            "cp": lambda p: _losses.cp_loss(p["x"], p["decoder"], covariances),
            "joint": lambda p: _losses.joint_loss(p["x"], p["y"], p["decoder"], covariances,
                                                   cast(ArrayLike, lam))}[objective]
    start = initial_encoders(key, k, covariances.d_x, covariances.d_y, covariances.xx.dtype)
    if objective in ("vicreg", "deepcca"):
        del start["decoder"]
    if objective == "cp":
        del start["y"]
    found, last, steps, converged = _minimise(loss, start, optax.adam(learning_rate), -(-max_steps // window), window,
                                              tolerance)
    encoder, encoder_y, decoder = found["x"], found.get("y"), found.get("decoder")
    if objective == "joint":
        encoder = _losses.whitened_outputs(encoder, covariances)
    return Trained(encoder_x=encoder, encoder_y=encoder_y, decoder=decoder, loss=last, steps=steps,
                   converged=converged, spectrum=_spectrum(objective, covariances, encoder, encoder_y, lam))


def _minimise(loss: Callable[[dict[str, Array]], Array], start: dict[str, Array],
              optimiser: optax.GradientTransformation, max_windows: int, window: int, tolerance: float
              ) -> tuple[dict[str, Array], Array, Array, Array]:
    """Adam until the loss stagnates at every rate.

    Returns:
        Parameters, mean loss of the last window, steps taken, and whether the loss stagnated before they ran out.
    """
    def step(rate, carry, _):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(gradient, state, params)
        updates = jax.tree.map(lambda update: rate * update, updates)
        return (cast(dict[str, Array], optax.apply_updates(params, updates)), state), value

    def one_window(carry):
        inner, first, last, rate, windows = carry
        inner, values = jax.lax.scan(lambda c, _: step(rate, c, _), inner, None, length=window)
        mean = jnp.mean(values)
        first = jnp.where(windows == 0, values[0], first)
        stagnates = (windows > 0) & ~(last - mean > tolerance * (first - mean))
        return inner, first, mean, jnp.where(stagnates, rate / 2, rate), windows + 1

    def goes_on(carry):
        *_, rate, windows = carry
        return (windows < max_windows) & (rate > _LAST_RATE)

    zero = jnp.zeros((), start["x"].dtype)
    (params, _), _, last, rate, windows = jax.lax.while_loop(
        goes_on, one_window, ((start, optimiser.init(start)), zero, zero, zero + 1, 0))
    return params, last, jnp.asarray(windows * window, jnp.int32), (rate <= _LAST_RATE) & jnp.isfinite(last)


def initial_encoders(key: Key[Array, ""], k: int, d_x: int, d_y: int, dtype) -> dict[str, Array]:
    """Encoders "x" (k, d_x) and "y" (k, d_y) and the "decoder" (d_y, k), with entries N(0, 1 / fan-in)."""
    flat = jax.random.normal(key, (k * (d_x + 2 * d_y),), dtype)  # one draw, since each costs time to compile
    x, y, decoder = jnp.split(flat, [k * d_x, k * (d_x + d_y)])
    return {"x": x.reshape(k, d_x) / d_x**0.5, "y": y.reshape(k, d_y) / d_y**0.5,
            "decoder": decoder.reshape(d_y, k) / k**0.5}


def trained_correlations(encoder_x: Float[Array, "k d_x"], encoder_y: Float[Array, "k d_y"],
                         covariances: Covariances) -> Float[Array, "k"]:
    """Canonical correlations between the outputs W x and V y, largest first."""
    x = _losses.whitened_outputs(encoder_x, covariances)
    y = _losses.whitened_outputs(encoder_y, covariances.reverse())
    return singular_values(x @ covariances.xy @ y.T)


def _spectrum(objective, covariances, encoder_x, encoder_y, lam):
    """What the closed form's spectrum is on the trained space; see `Trained.spectrum`."""
    if objective in ("vicreg", "deepcca"):
        return trained_correlations(encoder_x, encoder_y, covariances)
    explained = _losses.whitened_outputs(encoder_x, covariances) @ covariances.xy
    k = explained.shape[0]
    if objective == "cp":
        return singular_values(explained)[:k]
    # E (B B' + lambda (C C' - I)) E' = E [B, root(lambda) C] [B, root(lambda) C]' E' - lambda I
    both = jnp.concatenate([explained, jnp.sqrt(lam) * explained @ whitening(covariances.yy).T], axis=1)
    return singular_values(both)[:k] ** 2 - lam
