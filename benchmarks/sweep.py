"""The Fig. 7 grid through `phasejax.sweep`, and through a plain NumPy loop on a subset of its cells."""

import time

import jax
import numpy as np

from benchmarks.numpy_loop import recovered_counts
from benchmarks.report import Row, row
from phasejax import SpikedModel, sweep
from phasejax.engine import local_slots

_K, _D, _N = 5, 20, 5000
_MODEL = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_x": 1.0, "nuisance_y": 5.0}
_AXES = {"decay": np.array([1.0, 0.8, 0.6, 0.4]), "nu": np.linspace(0, 1, 31), "kappa_bar": np.linspace(0, 3, 31)}
# Every fifth value of nu and kappa_bar, from the second on: kappa = 0 has no signal to recover.
_SUBSET = {"decay": slice(None), "nu": slice(1, None, 5), "kappa_bar": slice(1, None, 5)}


def run(seeds: int = 10, rounds: int = 3) -> list[Row]:
    """Time both, interleaved; medians over rounds."""
    subset = [_AXES[name][part] for name, part in _SUBSET.items()]
    points = np.stack([a.ravel() for a in np.meshgrid(*subset, indexing="ij")], axis=1)
    compile_s, run_s, loop_s, loop_counts = [], [], [], []
    for i in range(rounds):
        grid, seconds_compile, seconds_run = _ours(seeds)
        compile_s.append(seconds_compile)
        run_s.append(seconds_run)
        counts, seconds = _loop(points, np.random.default_rng(i))
        loop_s.append(seconds)
        loop_counts.append(counts)
    cells = grid.recovered_ca.size
    ours_us, loop_us = np.median(run_s) / cells * 1e6, np.median(loop_s) / len(points) * 1e6
    case = f"fig7 {'x'.join(str(len(v)) for v in _AXES.values())}x{seeds}"
    return [
        row(case, "cells", cells, "1"),
        row(case, "compile_time", np.median(compile_s), "s"),
        row(case, "run_time", np.median(run_s), "s"),
        row(case, "time_per_cell", ours_us, "us"),
        row(case, "workers", len(local_slots()), "1"),
        row("NumPy loop", "cells", len(points), "1"),
        row("NumPy loop", "time_per_cell", loop_us, "us"),
        row(case, "speedup_per_cell", loop_us / ours_us, "1"),
        row(case, "speedup_per_cell_with_compile", loop_us * cells / 1e6 / np.median(np.add(compile_s, run_s)), "1"),
        *_agreement(case, grid, np.concatenate(loop_counts), len(points)),
        *_floor(case, ours_us),
    ]


def _ours(seeds):
    moments = [time.perf_counter()]
    grid = sweep(SpikedModel.geometric, _AXES, fixed=_MODEL | {"k": _K, "d": _D}, n=_N, seeds=seeds,
                 quantities=["recovered_ca", "recovered_cp"], key=jax.random.key(0),
                 progress=lambda done: moments.append(time.perf_counter()))
    return grid, moments[1] - moments[0], time.perf_counter() - moments[1]


def _loop(points, rng):
    start = time.perf_counter()
    counts = [recovered_counts(rng, kappa_bar * decay ** np.arange(_K), nu, **_MODEL, d=_D, n=_N)
              for decay, nu, kappa_bar in points]
    return np.array(counts, float), time.perf_counter() - start


def _agreement(case, grid, counts, cells):
    """Mean recovered counts over the subset: difference in standard errors of the loop's and ours."""
    for i, name in enumerate(("recovered_ca", "recovered_cp")):
        ours = grid[name].isel(_SUBSET).values.reshape(cells, -1).astype(float)
        loop = counts[:, i].reshape(-1, cells).T
        # Within a cell the loop's draws are independent; ours share one draw per seed over all cells.
        error = np.hypot(np.sqrt(loop.var(1, ddof=1).sum() / loop.shape[1]) / cells,
                         ours.mean(0).std(ddof=1) / np.sqrt(ours.shape[1]))
        yield row(case, f"{name}_mean", ours.mean(), "signals")
        yield row("NumPy loop", f"{name}_mean", loop.mean(), "signals")
        difference = ours.mean() - loop.mean()
        yield row(case, f"{name}_difference", difference / error if error > 0 else difference, "standard errors")


def _floor(case, ours_us):
    """What the arithmetic must cost at least: two symmetric eigendecompositions dominate."""
    # Tridiagonalisation, implicit QR with vectors, back-transformation: about 9 d^3 (Golub and Van
    # Loan, 8.3). Products, whitenings and overlaps: about 10 d^3 more.
    flops = 2 * 9 * _D**3 + 10 * _D**3
    # The white matrix of (x, y) is read; everything else fits in the first-level cache.
    bytes_read = 8 * (2 * _D) ** 2
    yield row(case, "floor_operations_per_cell", flops, "flop")
    yield row(case, "floor_bytes_per_cell", bytes_read, "B")
    yield row(case, "achieved_rate", flops / ours_us / 1e3, "Gflop/s")
