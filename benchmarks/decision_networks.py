"""The networks of `python -m benchmarks decision_truth`: every objective of many pairs, trained in one program.

All networks of a size, whatever their pair, split, bottleneck and objective, have the same arrays: columns beyond a
view's own and outputs beyond k are held at zero. They are trained together in one compiled program, which suits a GPU.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

KS = (4, 8, 16)
OBJECTIVES = ("deepcca", "vicreg", "cp", "cp_reverse", "joint")
# Every array has room for these numbers of rows, columns and outputs.
ROWS, COLUMNS, OUTPUTS = 2000, 80, max(KS)
_BATCH, _VALIDATED = 256, 400
_RATE, _RIDGE = 1e-3, 1e-3
# Weight decays, relative to the step size. Every objective has the one that its own validation loss prefers: alignment
# on noisy views needs a hundred times as much as prediction, and with one decay for all the comparison would be between
# networks that fit noise and networks that do not.
DECAYS = (0.3, 3.0, 30.0, 100.0)
_EXACT = jax.lax.Precision.HIGHEST


class Task(NamedTuple):
    """One pair with one split of its rows, or several with a leading axis.

    Args:
        x, y: centred views of mean variance 1, zero beyond their own rows and columns.
        d_x, d_y: their numbers of columns.
        order: numbers of the training rows, then zeros.
        count: number of training rows.
        validated: rows on which the objectives are validated, repeated where there are fewer.
    """

    x: Any
    y: Any
    d_x: Any
    d_y: Any
    order: Any
    count: Any
    validated: Any


def make_task(x: np.ndarray, y: np.ndarray, trained: np.ndarray, validated: np.ndarray) -> Task:
    """The arrays of a pair and a split, with room for every other pair's."""
    def room(view):
        view = view - view[trained].mean(0)
        padded = np.zeros((ROWS, COLUMNS), np.float32)
        padded[:len(view), :view.shape[1]] = view / np.sqrt(np.mean(view[trained] ** 2))
        return padded

    return Task(room(x), room(y), np.int32(x.shape[1]), np.int32(y.shape[1]),
                np.resize(trained, ROWS).astype(np.int32), np.int32(len(trained)),
                np.resize(validated, _VALIDATED).astype(np.int32))


def _network(key, inputs, widths, last, used=None):
    """Dense layers; the variance of the first one's weights counts only the inputs that are used."""
    sizes, layers = (inputs, *widths, last), []
    for i, (a, b) in enumerate(pairwise(sizes)):
        fan = used if i == 0 and used is not None else a
        gain = 2.0 if i < len(sizes) - 2 else 1.0
        layers.append((jnp.sqrt(gain / fan) * jax.random.normal(jax.random.fold_in(key, i), (a, b)), jnp.zeros(b)))
    return layers


def _apply(layers, values):
    for weights, biases in layers[:-1]:
        values = jax.nn.relu(values @ weights + biases)
    weights, biases = layers[-1]
    return values @ weights + biases


def _start(key, hidden, d_x, d_y, k, objectives):
    """First parameters of the objectives; the same encoders for all."""
    keys = jax.random.split(key, 4)
    x = _network(keys[0], COLUMNS, hidden, OUTPUTS, d_x)
    y = _network(keys[1], COLUMNS, hidden, OUTPUTS, d_y)
    to_x, to_y = (_network(key, OUTPUTS, hidden[::-1], COLUMNS, k) for key in keys[2:])
    networks = {"deepcca": {"x": x, "y": y}, "vicreg": {"x": x, "y": y}, "cp": {"x": x, "decoder": to_y},
                "cp_reverse": {"y": y, "decoder": to_x}, "joint": {"x": x, "y": y, "decoder": to_y}}
    return {name: networks[name] for name in objectives}


def _moments(z_x, z_y):
    z_x, z_y = z_x - z_x.mean(0), z_y - z_y.mean(0)

    def product(a, b):
        return jnp.matmul(a.T, b, precision=_EXACT) / (len(a) - 1)

    return product(z_x, z_x), product(z_x, z_y), product(z_y, z_y)


def _whitened(c_x, m, c_y, mask):
    """Roots of both covariances' inverses, and the correlations of the outputs that they whiten."""
    def root(c):
        # The ridge is relative to the mean variance of the outputs in use; the others get 1.
        ridge = _RIDGE * jnp.trace(c) / mask.sum() + 1e-6
        lower = jnp.linalg.cholesky(c + jnp.diag(ridge * mask + 1 - mask))
        return jax.scipy.linalg.solve_triangular(lower, jnp.eye(len(c)), lower=True)

    w_x, w_y = root(c_x), root(c_y)
    return w_x, w_y, jnp.matmul(jnp.matmul(w_x, m, precision=_EXACT), w_y.T, precision=_EXACT)


def _deepcca(z_x, z_y, mask):
    """Minus the sum of squared canonical correlations, over k: it has the optima of DeepCCA."""
    return -jnp.sum(_whitened(*_moments(z_x, z_y), mask)[2] ** 2) / mask.sum()


def _deepcca_validated(fitted, held, mask):
    """Minus the squared correlations that maps fitted to other rows reach on held-out ones, over k.

    With T the fitted correlations of the whitened outputs, and A, M, B their held-out second moments, minus

        2 tr T'M - tr T'A T B

    whose second term is what directions cost that do not generalise.

    Source: the VAMP-E score of Wu and Noe 2020.
    """
    w_x, w_y, t = _whitened(*_moments(*fitted), mask)
    c_x, m, c_y = _moments(*held)
    a, m, b = w_x @ c_x @ w_x.T, w_x @ m @ w_y.T, w_y @ c_y @ w_y.T
    return -(2 * jnp.sum(t * m) - jnp.sum((a @ t) * (t @ b))) / mask.sum()


def _vicreg(z_x, z_y, mask):
    k = mask.sum()
    total = 25 * jnp.sum(jnp.mean((z_x - z_y) ** 2, 0)) / k
    c_x, _, c_y = _moments(z_x, z_y)
    for c in (c_x, c_y):
        variances = jnp.diag(c)
        total += (25 * jnp.sum(mask * jax.nn.relu(1 - jnp.sqrt(variances + 1e-4)))
                  + jnp.sum(c**2) - jnp.sum(variances**2)) / k
    return total


def _predicted(network, view, target, columns, mask):
    """Mean squared error over the columns that the target has."""
    error = (_apply(network["decoder"], mask * _apply(network["x" if "x" in network else "y"], view)) - target) ** 2
    return jnp.sum(jnp.where(jnp.arange(COLUMNS) < columns, error, 0)) / (len(view) * columns)


def _losses(networks, task, rows, mask, fitted=None):
    """Loss of each objective; on validation rows if `fitted` are the rows to which the networks were fitted."""
    x, y = task.x[rows], task.y[rows]

    def outputs(name, x=x, y=y):
        return mask * _apply(networks[name]["x"], x), mask * _apply(networks[name]["y"], y)

    def aligned(name):
        if fitted is None:
            return _deepcca(*outputs(name), mask)
        return _deepcca_validated(outputs(name, task.x[fitted], task.y[fitted]), outputs(name), mask)

    losses = {"deepcca": lambda: aligned("deepcca"), "vicreg": lambda: _vicreg(*outputs("vicreg"), mask),
              "cp": lambda: _predicted(networks["cp"], x, y, task.d_y, mask),
              "cp_reverse": lambda: _predicted(networks["cp_reverse"], y, x, task.d_x, mask),
              "joint": lambda: _predicted(networks["joint"], x, y, task.d_y, mask) + aligned("joint")}
    return {name: losses[name]() for name in networks}


def _each(function, values):
    """The function of every value: batched, but on a CPU, where two factorisations in a batched program can hang."""
    return jax.lax.map(function, values) if jax.default_backend() == "cpu" else jax.vmap(function)(values)


def _train(key, task: Task, k, *, hidden, steps, checks, objectives):
    """What has the least validation loss over steps and decays, by objective: outputs on all rows, step and decay."""
    decays = jnp.array(DECAYS)
    codes, least, reached = cast(Any, _each(
        lambda decay: _train_with(decay, key, task, k, hidden=hidden, steps=steps, checks=checks,
                                   objectives=objectives), decays))
    chosen = {name: jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf)) for name, values in least.items()}
    codes = {name: jax.tree.map(lambda part, name=name: part[chosen[name]], codes[name]) for name in codes}
    return (codes, {name: reached[name][chosen[name]] for name in chosen},
            {name: decays[chosen[name]] for name in chosen})


def _train_with(decay, key, task, k, *, hidden, steps, checks, objectives):
    """Outputs on all rows of the networks with the least validation loss over the steps, that loss, and its step."""
    mask = (jnp.arange(OUTPUTS) < k).astype(jnp.float32)
    networks = _start(key, hidden, task.d_x, task.d_y, k, objectives)
    every = steps // checks
    optimizer = optax.adamw(optax.cosine_decay_schedule(_RATE, steps), weight_decay=decay)

    def validated(networks):
        return _losses(networks, task, task.validated, mask, fitted=task.order[:1024])

    def step(carry, key):
        networks, state = carry
        rows = task.order[jax.random.randint(key, (_BATCH,), 0, task.count)]
        slope = jax.grad(lambda networks: sum(_losses(networks, task, rows, mask).values()))(networks)
        change, state = optimizer.update(slope, state, networks)
        return (cast(Any, optax.apply_updates(networks, change)), state), None

    def check(carry, i):
        networks, state, best, least, reached = carry
        (networks, state), _ = jax.lax.scan(step, (networks, state),
                                            jax.random.split(jax.random.fold_in(key, i), every))
        found = validated(networks)
        better = {name: found[name] < least[name] for name in found}
        best = {name: jax.tree.map(lambda a, b, name=name: jnp.where(better[name], a, b), networks[name], best[name])
                for name in found}
        least = {name: jnp.where(better[name], found[name], least[name]) for name in found}
        reached = {name: jnp.where(better[name], (i + 1) * every, reached[name]) for name in found}
        return (networks, state, best, least, reached), None

    first = validated(networks)
    carry = (networks, optimizer.init(networks), networks, first, {name: 0 for name in first})
    (_, _, best, least, reached), _ = jax.lax.scan(check, carry, jnp.arange(checks))
    codes = {name: {view: mask * _apply(best[name][view], getattr(task, view)) for view in ("x", "y")
                    if view in best[name]} for name in best}
    return codes, least, reached


def trained_codes(tasks: Task, hidden: tuple[int, ...], *, steps: int, checks: int, seeds: np.ndarray,
                  ks: Sequence[int] = KS, objectives: tuple[str, ...] = OBJECTIVES):
    """Codes (tasks, bottlenecks, rows, outputs) by objective and view; steps and decays of each objective.

    Args:
        tasks: several, with a leading axis.
        hidden: widths of the encoders' hidden layers.
        steps: gradient steps, a multiple of `checks`.
        checks: validations.
        seeds: one for each task.
        ks: bottlenecks.
        objectives: of `OBJECTIVES`.
    """
    return program_of(hidden, steps, checks, objectives)(seeds, tasks, np.array(ks, np.int32))


_PROGRAMS: dict[tuple, Any] = {}


def program_of(hidden, steps, checks, objectives=OBJECTIVES):
    def one(given):
        seed, task = given
        return lambda k: _train(jax.random.key(seed), task, k, hidden=hidden, steps=steps, checks=checks,
                                objectives=objectives)

    def program(seeds, tasks, ks):
        return _each(lambda given: _each(one(given), ks), (seeds, tasks))

    key = hidden, steps, checks, objectives
    if key not in _PROGRAMS:
        _PROGRAMS[key] = jax.jit(program)
    return _PROGRAMS[key]
