"""One training step of a CA and of a CP cell (K26, section 4), beside a plain PyTorch loop with the same network.

64 x 64 grey images, batch 64, float32, Adam. Both sides draw their images anew in every step, here as
white noise. All in one run, interleaved; medians.
"""

import time

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks.report import Row, row
from phasejax.deep.losses import prediction, vicreg
from phasejax.deep.networks import Decoder, Encoder, ProjectionHead
from phasejax.engine import cores

_BATCH, _SIZE, _CHANNELS, _LEARNING_RATE = 64, 64, 1, 1e-3


def run(rounds: int = 15, steps: int = 8) -> list[Row]:
    """Time blocks of `steps` steps, ours and PyTorch's in turn."""
    trainers = {("phasejax", objective): _ours(objective, steps) for objective in ("CA", "CP")}
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: its rows are left out (pip install torch)")
    else:
        trainers |= {("PyTorch", objective): _torch(objective, steps) for objective in ("CA", "CP")}
    times = {name: [] for name in trainers}
    for take in trainers.values():
        take()  # compiles, and lets allocators settle
    for _ in range(rounds):
        for name, take in trainers.items():
            start = time.perf_counter()
            take()
            times[name].append((time.perf_counter() - start) / steps)
    median = {name: float(np.median(values)) for name, values in times.items()}
    rows = [row("machine", "cores", cores(), "1")]
    if len(trainers) > 2:
        rows.append(row("PyTorch", "threads", torch.get_num_threads(), "1"))
    for (side, objective), seconds in median.items():
        case = f"{side} {objective}, 1 cell"
        rows += [row(case, "step_time", seconds * 1e3, "ms"),
                 row(case, "fastest_step_time", min(times[side, objective]) * 1e3, "ms"),
                 row(case, "samples_per_second", _BATCH / seconds, "1/s"),
                 row(case, "achieved_rate", _operations(objective) / seconds / 1e9, "Gflop/s")]
        if side == "PyTorch":
            rows.append(row(f"phasejax {objective}, 1 cell", "time_over_pytorch",
                            median["phasejax", objective] / seconds, "1"))
    return rows


def _images(key):
    """A batch of pairs."""
    return jax.random.uniform(key, (2, _BATCH, _SIZE, _SIZE, _CHANNELS))


def _networks(objective, key):
    rngs = nnx.Rngs(key)
    x_side = {"encoder_x": Encoder(_CHANNELS, size=_SIZE, rngs=rngs)}
    if objective == "CP":
        return nnx.Dict(x_side | {"decoder": Decoder(_CHANNELS, size=_SIZE, rngs=rngs)})
    return nnx.Dict(x_side | {"encoder_y": Encoder(_CHANNELS, size=_SIZE, rngs=rngs),
                              "head_x": ProjectionHead(rngs=rngs), "head_y": ProjectionHead(rngs=rngs)})


def _loss(objective, networks, x, y):
    z_x = networks.encoder_x(x)
    if objective == "CP":
        return prediction(networks.decoder(z_x), y)
    return vicreg(networks.head_x(z_x), networks.head_y(networks.encoder_y(y))).total


def _ours(objective, steps):
    """A function that takes some steps: one call, since a call must find new memory for its intermediates."""
    graph, params = nnx.split(_networks(objective, jax.random.key(0)))
    optimiser = optax.adam(_LEARNING_RATE)

    def step(carry, key):
        params, state = carry
        x, y = _images(key)
        value, gradient = jax.value_and_grad(lambda p: _loss(objective, nnx.merge(graph, p), x, y))(params)
        updates, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    several = jax.jit(lambda carry, key: jax.lax.scan(step, carry, jax.random.split(key, steps)), donate_argnums=0)
    carry, call = (params, optimiser.init(params)), 0

    def take():
        nonlocal carry, call
        carry, values = several(carry, jax.random.key(call))
        call += 1
        return np.asarray(values)

    return take


def _torch(objective, steps):
    import torch

    from benchmarks.torch_training import trainer

    step = trainer(objective, _CHANNELS, _LEARNING_RATE)
    return lambda: np.array([step(*torch.rand(2, _BATCH, _CHANNELS, _SIZE, _SIZE)) for _ in range(steps)])


def _operations(objective):
    """Of the products in one step: forward, and twice that backward, but for the gradient of the images."""
    sides = [_SIZE // 2**i for i in range(1, 5)]
    pairs = ((_CHANNELS, 32), (32, 32), (32, 64), (64, 64))
    layers = [2 * _BATCH * side**2 * 16 * a * b for side, (a, b) in zip(sides, pairs, strict=True)]
    network = sum(layers) + 2 * _BATCH * (sides[-1] ** 2 * 64 * 256 + 256 * 128)
    heads = 2 * 2 * _BATCH * (128 * 128 + 128 * 32)
    return 6 * network - layers[0] * (1 if objective == "CP" else 2) + (0 if objective == "CP" else 3 * heads)
