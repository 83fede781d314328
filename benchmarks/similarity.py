"""Every similarity metric beside a plain PyTorch version of its published form, and the memory that each takes.

The data are n = 4096 rows of two views with 512 columns each, which share half of their variance, in float32. Both
sides are timed in one run, interleaved, from arrays in memory; medians are reported, and our side is compiled
beforehand. LCS and edit distance, which the published code computes in a Python loop over rows, are also timed on given
lists of neighbours. Memory is the peak of a process that computes one metric, at this size and at n = 50,000.

The two sides differ in the third digit of the correlation matrix distance. There PyTorch's float32 sum over n x n
entries is inexact: in float64 it gives our value.
"""

import importlib.util
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import Row, row
from phasejax._core.devices import cores
from phasejax.similarity import METRICS, nearest_neighbours
from phasejax.similarity._cca import COMPONENTS
from phasejax.similarity._cka import MEDIAN_ROWS
from phasejax.similarity._neighbours import LIST_METRICS

_N, _D, _K = 4096, 512, 10
_LISTS = ("lcs_knn", "edit_similarity_knn")
_LARGE_N, _LARGE_D = 50_000, 128
_PEAK = """
import json, sys, time
from benchmarks.similarity import views
from benchmarks.report import peak_memory
from phasejax.similarity import METRICS
n, d = int(sys.argv[2]), int(sys.argv[3])
x, y = views(n, d)
start = time.perf_counter()
value = float(METRICS[sys.argv[1]](x, y)) if sys.argv[1] in METRICS else 0.0
seconds = time.perf_counter() - start
print(json.dumps({"value": value, "seconds": seconds, "peak": peak_memory()}))
"""


def run(rounds: int = 3, n: int = _N, d: int = _D, large: tuple[int, int] = (_LARGE_N, _LARGE_D)) -> list[Row]:
    """Time both sides, then measure the memory of our side at both sizes."""
    x, y = views(n, d)
    takes = _ours(x, y)
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its rows are left out (pip install torch)")
    else:
        takes |= _published(x, y)
    values = {case: take() for case, take in takes.items() if case[1] == "phasejax"}  # the first call, which compiles
    times = {case: [] for case in takes}
    for _ in range(rounds):
        for case in sorted(takes):
            time.sleep(0.2)  # PyTorch's threads spin for a while after a call and would slow down the next one
            start = time.perf_counter()
            values[case] = takes[case]()
            times[case].append(time.perf_counter() - start)
    rows = [row("machine", "cores", cores(), "1")]
    for (name, side), taken in times.items():
        seconds = float(np.median(taken))
        rows += [row(f"{name}, {side}", "time", seconds * 1e3, "ms"), row(f"{name}, {side}", "value",
                                                                          values[name, side], "1")]
        if side == "PyTorch":
            ours = float(np.median(times[name, "phasejax"]))
            rows += [row(f"{name}, phasejax", "speedup", seconds / ours, "1"),
                     row(f"{name}, phasejax", "difference", values[name, "phasejax"] - values[name, side], "1")]
    for size in ((n, d), large):
        rows += _memory(*size)
    return rows


def views(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Two views in float32, which have half their variance from 32 shared directions of decaying weight."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n, 32), np.float32) / np.sqrt(1 + np.arange(32, dtype=np.float32))
    mixed = [shared @ rng.standard_normal((32, d), np.float32) for _ in range(2)]
    x, y = (m / m.std() + rng.standard_normal((n, d), np.float32) for m in mixed)
    return x, y


def _ours(x, y):
    x, y = jnp.asarray(x), jnp.asarray(y)
    near = [nearest_neighbours(view, k=_K) for view in (x, y)]
    takes = {(name, "phasejax"): lambda compute=metric: float(compute(x, y)) for name, metric in METRICS.items()}
    for name in _LISTS:
        compare = jax.jit(LIST_METRICS[name])
        takes[f"{name} of given lists", "phasejax"] = lambda compute=compare: float(compute(*near))
    return takes


def _published(x, y):
    """The metrics in PyTorch; RBF kernels have our widths, since the published widths do not depend on the data."""
    import torch

    from benchmarks import torch_similarity as published

    widths = [_median_distance(view) for view in (x, y)]
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    near = [published.neighbours(torch.nn.functional.normalize(view, dim=1), _K).numpy() for view in (x, y)]

    def on_units(metric):
        return lambda: metric(*(torch.nn.functional.normalize(view, dim=1) for view in (x, y)), _K)

    takes = {name: on_units(getattr(published, name)) for name in ("mutual_knn", "cycle_knn", *_LISTS, "cknna")}
    for form in ("biased", "unbiased"):
        hsic, ending = getattr(published, f"hsic_{form}"), "" if form == "biased" else "_unbiased"
        takes[f"cka{ending}"] = partial(published.cka, x, y, hsic=hsic)
        takes[f"cka_rbf{ending}"] = partial(published.cka, x, y, hsic=hsic, widths=widths)
    takes["svcca"] = partial(published.svcca, x, y, COMPONENTS)
    for name in ("mean_canonical_correlation", "correlation_matrix_distance"):
        takes[name] = partial(getattr(published, name), x, y)
    for name in _LISTS:
        takes[f"{name} of given lists"] = partial(getattr(published, f"{name.removesuffix('_knn')}_of_lists"), *near)
    return {(name, "PyTorch"): take for name, take in takes.items()}


def _median_distance(view):
    """The median distance between two of the 1000 evenly spaced rows that `cka` uses."""
    rows = view[np.linspace(0, len(view) - 1, min(len(view), MEDIAN_ROWS)).round().astype(int)].astype(np.float64)
    squares = np.sum(rows**2, axis=1)
    return float(np.sqrt(np.median((squares[:, None] + squares - 2 * rows @ rows.T)[np.triu_indices(len(rows), 1)])))


def _memory(n, d):
    """Peak memory of a process that computes one metric, and of one that only makes the views."""
    for name in ("nothing", *METRICS):
        out = subprocess.run([sys.executable, "-c", _PEAK, name, str(n), str(d)], check=True, capture_output=True,
                             text=True, cwd=Path(__file__).parents[1]).stdout
        found = json.loads(out)
        case = f"{name}, n = {n}, d = {d}, own process"
        yield row(case, "peak_memory", found["peak"] / 1e9, "GB")
        if name in METRICS:
            yield row(case, "time_with_compile", found["seconds"], "s")
