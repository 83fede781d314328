"""Time per cell of the grid of K26, Fig. 7: `phasejax.sweep` beside a plain NumPy loop and batched PyTorch.

All are timed in one run, in turns, so that a busy machine slows all of them. The NumPy loop and the
PyTorch version that draws rows are slow, and run on a subset of the cells only.
"""

import importlib.util
import time
from collections.abc import Iterator

import jax
import numpy as np
import xarray as xr

from benchmarks.numpy_loop import recovered_counts
from benchmarks.report import Row, row
from phasejax import SpikedModel, sweep
from phasejax._core.devices import local_slots

_K, _D, _N = 5, 20, 5000
_MODEL = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_x": 1.0, "nuisance_y": 5.0}
_AXES = {"decay": np.array([1.0, 0.8, 0.6, 0.4]), "nu": np.linspace(0, 1, 31), "kappa_bar": np.linspace(0, 3, 31)}
# Every fifth value of nu and kappa_bar, from the second on: kappa = 0 has no signal to recover.
_SUBSET = {"decay": slice(None), "nu": slice(1, None, 5), "kappa_bar": slice(1, None, 5)}
# Peak float64 rates of some devices in Tflop/s, of which the share that a sweep reaches is shown.
_PEAKS = {"H100": 34.0, "H200": 34.0, "A100": 9.7, "L40S": 1.4, "V100": 7.8}


def run(seeds: int = 10, rounds: int = 3) -> list[Row]:
    """Time all implementations in turns, and compare what they count.

    Args:
        seeds: samples of each cell in our sweep.
        rounds: how often each is timed; medians are shown.
    """
    subset, whole = _points(_SUBSET), _points({})
    times: dict[str, list[float]] = {"compile": [], "run": [], "loop": [], "torch": [], "torch rows": []}
    counts, with_torch = [], _has_torch()
    for i in range(rounds):
        grid, compile_s, run_s = _ours(seeds)
        times["compile"].append(compile_s)
        times["run"].append(run_s)
        found, seconds = _loop(subset, np.random.default_rng(i))
        times["loop"].append(seconds / len(subset))
        counts.append(found)
        if with_torch:
            times["torch"].append(_torch(whole, i, size=512) / len(whole))
            times["torch rows"].append(_torch(subset, i, size=16, rows=True) / len(subset))
    cells = grid.recovered_ca.size
    median = {name: np.median(values) * 1e6 for name, values in times.items() if values}
    ours_us = median["run"] / cells
    case = f"fig7 {'x'.join(str(len(v)) for v in _AXES.values())}x{seeds}"
    rows = [
        row(case, "cells", cells, "1"),
        row(case, "compile_time", median["compile"] / 1e6, "s"),
        row(case, "run_time", median["run"] / 1e6, "s"),
        row(case, "time_per_cell", ours_us, "us"),
        row(case, "cells_per_second", 1e6 / ours_us, "1/s"),
        row(case, "workers", len(local_slots()), "1"),
        row("NumPy loop", "cells", len(subset), "1"),
        row("NumPy loop", "time_per_cell", median["loop"], "us"),
        row(case, "speedup_per_cell", median["loop"] / ours_us, "1"),
        row(case, "speedup_per_cell_with_compile",
            median["loop"] * cells / 1e6 / np.median(np.add(times["compile"], times["run"])), "1"),
        *_agreement(case, grid, np.concatenate(counts), len(subset)),
        *_floor(case, ours_us),
    ]
    for name, title in {"torch": "PyTorch, Wishart", "torch rows": "PyTorch, rows"}.items():
        if name in median:
            rows += [row(title, "cells", len(whole if name == "torch" else subset), "1"),
                     row(title, "time_per_cell", median[name], "us"),
                     row(case, f"speedup_over_{name.replace(' ', '_')}", median[name] / ours_us, "1")]
    return rows


def _points(part: dict[str, slice]) -> np.ndarray:
    """(decay, nu, kappa_bar) of the cells of a part of the grid, shape (cells, 3)."""
    axes = [values[part.get(name, slice(None))] for name, values in _AXES.items()]
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)


def _ours(seeds: int) -> tuple[xr.Dataset, float, float]:
    """Our sweep, the seconds until its program was compiled, and the seconds after that."""
    moments = [time.perf_counter()]
    grid = sweep(SpikedModel.geometric, _AXES, fixed=_MODEL | {"k": _K, "d": _D}, n=_N, seeds=seeds,
                 quantities=["recovered_ca", "recovered_cp"], key=jax.random.key(0),
                 progress=lambda task, done, total: moments.append(time.perf_counter()))
    return grid, moments[1] - moments[0], time.perf_counter() - moments[1]


def _loop(points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Recovered counts of each point by the NumPy loop, and the seconds that it took."""
    start = time.perf_counter()
    counts = [recovered_counts(rng, kappa_bar * decay ** np.arange(_K), nu, **_MODEL, d=_D, n=_N)
              for decay, nu, kappa_bar in points]
    return np.array(counts, float), time.perf_counter() - start


def _has_torch() -> bool:
    if importlib.util.find_spec("torch") is not None:
        return True
    print("PyTorch is not installed: its rows are left out (pip install torch)")
    return False


def _torch(points: np.ndarray, seed: int, size: int, *, rows: bool = False) -> float:
    """Seconds that PyTorch takes for all points, in batches of `size`."""
    import torch  # pyright: ignore[reportMissingImports]  # optional

    from benchmarks import torch_batch

    generator, seconds = torch.Generator().manual_seed(seed), 0.0
    kappa = points[:, 2:] * points[:, :1] ** np.arange(_K)
    for start in range(0, len(points), size):
        part = slice(start, start + size)
        begin = time.perf_counter()
        torch_batch.recovered_counts(generator, kappa[part], points[part, 1], **_MODEL, d=_D, n=_N, rows=rows)
        seconds += time.perf_counter() - begin
    return seconds


def _agreement(case: str, grid: xr.Dataset, counts: np.ndarray, cells: int) -> Iterator[Row]:
    """Mean recovered counts over the subset by the loop and by our sweep, and their difference in standard errors."""
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


def _floor(case: str, ours_us: float) -> Iterator[Row]:
    """The least arithmetic of a cell and the rate at which it was done.

    Leading eigenvectors of two symmetric matrices dominate. Each takes a reduction to tridiagonal form,
    4/3 d^3 operations, k eigenvalues by about 30 bisections of 4 d each, k vectors of 30 d each, and a
    back-transformation of 2 k d^2. Besides there are five products of 2 d^3 (two of them symmetric, which
    halves them), a Cholesky factor and its inverse, 2/3 d^3, and encoders and overlaps, 8 k d^2.
    """
    flops = 2 * (4 / 3 * _D**3 + _K * (30 * 4 + 30) * _D + 2 * _K * _D**2) + (8 + 2 / 3) * _D**3 + 8 * _K * _D**2
    # A cell reads the Bartlett factor of (x, y) and the inverse of its corner; everything else fits in the cache.
    bytes_read = 8 * ((2 * _D) ** 2 + _D**2)
    yield row(case, "floor_operations_per_cell", flops, "flop")
    yield row(case, "floor_bytes_per_cell", bytes_read, "B")
    yield row(case, "achieved_rate", flops / ours_us / 1e3, "Gflop/s")
    device = jax.local_devices()[0]
    peak = next((peak for name, peak in _PEAKS.items() if name in device.device_kind), None)
    if peak is not None:
        yield row(f"{case} on {device.device_kind}", "share_of_peak", flops / ours_us / 1e6 / peak, "1")
