"""Stereo pairs rendered by `draw`, beside pairs made one by one in PyTorch as the items of a data set.

Images have 64 x 64 pixels, and both sides use all cores. They are timed in turn within one process, over at least 1024
pairs each, batch after batch as an epoch asks for them, since a single batch takes a millisecond and waking the threads
takes as long again. Times are medians. No program can make a large batch faster than it writes it to memory: `copy`
times that, by filling arrays of the same shape with one number.
"""

import importlib.util
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import Row, row
from phasejax._core.devices import cores
from phasejax.deep.data import draw, stereo_dsprites, stereo_shapes3d

_SIZE, _JITTER, _NOISE = 64, 0.2, 0.5
_BATCHES = (64, 4096)
_PAIRS = 1024  # a side makes at least so many each time


def run(rounds: int = 9) -> list[Row]:
    """Time each side for grey sprites and for coloured solids, `rounds` times."""
    sets = {"sprites": stereo_dsprites(_SIZE), "solids": stereo_shapes3d(_SIZE)}
    takes = {(name, "phasejax", n): _ours(pairs, n) for name, pairs in sets.items() for n in _BATCHES}
    takes |= {(name, "copy", n): _copy(pairs, n) for name, pairs in sets.items() for n in _BATCHES}
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its rows are left out (pip install torch)")
    else:
        takes |= {(name, "PyTorch", _BATCHES[0]): _torch(pairs, _BATCHES[0]) for name, pairs in sets.items()}
    times = {case: [] for case in takes}
    for take in takes.values():
        take()
    for _ in range(rounds):
        for case, take in takes.items():
            time.sleep(0.3)  # PyTorch's threads spin for a while after their work, which would slow the next side down
            batches = -(-_PAIRS // case[2])
            start = time.perf_counter()
            for _ in range(batches):
                take()
            times[case].append((time.perf_counter() - start) / (batches * case[2]))
    median = {case: float(np.median(values)) for case, values in times.items()}
    rows = [row("machine", "cores", cores(), "1")]
    for (name, side, n), seconds in median.items():
        case = f"{name}, {side}, {n} pairs"
        rows += [row(case, "time_per_pair", seconds * 1e6, "us"), row(case, "pairs_per_second", 1 / seconds, "1/s")]
        if (name, "PyTorch", _BATCHES[0]) in median and side == "phasejax":
            rows.append(row(case, "speedup", median[name, "PyTorch", _BATCHES[0]] / seconds, "1"))
    return rows


def _ours(pairs, n):
    """A function that draws n pairs and waits for them."""
    drawn = jax.jit(lambda key: draw(pairs, jax.random.split(key, n), _JITTER, _NOISE))
    key = jax.random.key(0)
    return lambda: jax.block_until_ready(drawn(key))


def _copy(pairs, n):
    """A function that fills arrays of the size of n pairs with one number."""
    shape = (2, n, *pairs.images.shape[1:])
    filled = jax.jit(lambda value: jnp.full(shape, value))
    return lambda: jax.block_until_ready(filled(0.5))


def _torch(pairs, n):
    """A function that makes n pairs with PyTorch."""
    import torch

    from benchmarks.torch_stereo import batch

    images = torch.from_numpy(np.transpose(pairs.images, (0, 3, 1, 2)).copy())
    return lambda: batch(images, n, _JITTER, _NOISE)
