"""Training of the nonlinear experiments (K26, section 4), rows included, beside a plain PyTorch loop.

Both sides train the same networks with Adam in float32, on grey stereo pairs of 64 x 64 pixels in batches of 64. Ours
is `Training.epoch`, for one cell and for sixteen, with the rows rendered in the step; one batch of validation in every
epoch counts as part of it. PyTorch's pairs are made one by one on the CPU, as in K26's code. All sides are timed in
turn within one process; times are medians.
"""

import importlib.util
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import Row, row
from phasejax._core.devices import cores, over_cells
from phasejax.deep import Experiment
from phasejax.deep._grid import training_of
from phasejax.deep.data import Cell
from phasejax.deep.data._sources import open_source

_BATCH, _SIZE, _CHANNELS, _LEARNING_RATE = 64, 64, 1, 1e-3
_OBJECTIVES = {"CA": "vicreg", "CP": "cp"}
_JITTER, _NOISE = 0.2, 0.5
_MANY = 16  # cells


def run(rounds: int = 7, steps: int = 8) -> list[Row]:
    """Time epochs of `steps` steps, ours and PyTorch's in turn, `rounds` times."""
    trainers = {("phasejax", objective, cells): _ours(objective, steps, cells)
                for objective in _OBJECTIVES for cells in (1, _MANY)}
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its rows are left out (pip install torch)")
    else:
        trainers |= {("PyTorch", objective, 1): _torch(objective, steps) for objective in _OBJECTIVES}
    times = {name: [] for name in trainers}
    for take in trainers.values():
        take()  # the first call compiles and allocates
    for _ in range(rounds):
        for name, take in trainers.items():
            start = time.perf_counter()
            take()
            times[name].append((time.perf_counter() - start) / steps / name[2])
    median = {name: float(np.median(values)) for name, values in times.items()}
    rows = [row("machine", "cores", cores(), "1")]
    for (side, objective, cells), seconds in median.items():
        case = f"{side} {objective}, {cells} cell{'s' if cells > 1 else ''}"
        rows += [row(case, "step_time_per_cell", seconds * 1e3, "ms"),
                 row(case, "samples_per_second", _BATCH / seconds, "1/s"),
                 row(case, "achieved_rate", _operations(objective) / seconds / 1e9, "Gflop/s")]
        if side == "PyTorch":
            rows.append(row(f"phasejax {objective}, 1 cell", "time_over_pytorch",
                            median["phasejax", objective, 1] / seconds, "1"))
        if cells > 1:
            rows.append(row(case, "time_per_cell_over_one_cell", seconds / median[side, objective, 1], "1"))
    return rows


def _ours(objective, steps, cells):
    """A function that trains so many cells for an epoch of so many steps, and waits for them."""
    experiment = Experiment(size=_SIZE, n=10 * _BATCH, batch=_BATCH, learning_rate=_LEARNING_RATE, max_epochs=10**6,
                            patience=10**6, probe_sizes=(_BATCH,))
    training = replace(training_of(experiment, _OBJECTIVES[objective], open_source(experiment)),
                       train=steps * _BATCH, validation=_BATCH)
    keys = jax.random.split(jax.random.key(0), (2, cells))
    cells = Cell(data=keys[0], start=keys[1], jitter=jnp.full(cells, _JITTER), noise=jnp.full(cells, _NOISE))
    devices = jax.local_devices()[:1]
    epoch, states = over_cells(training.epoch, devices), over_cells(training.start, devices)(cells)

    def take():
        nonlocal states
        states, losses = epoch(states, cells)
        return np.asarray(losses)

    return take


def _torch(objective, steps):
    """A function that takes so many steps with PyTorch."""
    import torch

    from benchmarks.torch_stereo import batch
    from benchmarks.torch_training import trainer
    from phasejax.deep.data import stereo_dsprites

    step = trainer(objective, _CHANNELS, _LEARNING_RATE)
    images = torch.from_numpy(stereo_dsprites(_SIZE).images.transpose(0, 3, 1, 2).copy())
    return lambda: np.array([step(*batch(images, _BATCH, _JITTER, _NOISE)) for _ in range(steps)])


def _operations(objective):
    """Floating-point operations of the products in one step.

    The backward pass takes twice those of the forward pass, less the gradient in the images, which nobody needs.
    """
    sides = [_SIZE // 2**i for i in range(1, 5)]
    pairs = ((_CHANNELS, 32), (32, 32), (32, 64), (64, 64))
    layers = [2 * _BATCH * side**2 * 16 * a * b for side, (a, b) in zip(sides, pairs, strict=True)]
    network = sum(layers) + 2 * _BATCH * (sides[-1] ** 2 * 64 * 256 + 256 * 128)
    heads = 2 * 2 * _BATCH * (128 * 128 + 128 * 32)
    return 6 * network - layers[0] * (1 if objective == "CP" else 2) + (0 if objective == "CP" else 3 * heads)
