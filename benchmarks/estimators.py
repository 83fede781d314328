"""A fit of `CrossAlignment` beside cca-zoo's `CCA`, and the least time that its arithmetic takes.

The data are n = 20,000 rows of two views with 500 columns each, in float64, of which ten are shared. The programs are
run in turns in one process, with the same library under NumPy and as many threads as it is given; the ratio is the
median over rounds of their ratio within a round, since other processes may use the machine. Processor time is that of
all threads. The floor is the arithmetic of a fit at the rate of a plain product of matrices, measured in the same
rounds: the products X'X, X'Y and Y'Y (of which the symmetric ones cost half), two Cholesky factors, two triangular
solutions, all singular values (8/3 d^3), and for the leading vectors a symmetric product and its tridiagonal form
(7/3 d^3).
"""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import Row, row
from phasejax.linear import CrossAlignment

_N, _D, _K, _SHARED = 20_000, 500, 5, 10
# Seconds in which threads of the program before, which wait for more by spinning, come to rest.
_PAUSE = 0.2


def run(rounds: int = 7, n: int = _N, d: int = _D) -> list[Row]:
    """Time both fits and a product of matrices, in turns.

    Args:
        rounds: how often each is run, after a first time that is not counted.
        n: number of rows.
        d: number of columns of each view.

    Returns:
        Seconds and processor seconds of each fit, their ratios, the floor, and how far the correlations differ.
    """
    x, y = _views(n, d)
    fits: dict[str, Callable[[], Any]] = {"phasejax": lambda: CrossAlignment(_K).fit(x, y)}
    if importlib.util.find_spec("cca_zoo") is None:
        print("cca-zoo is not installed: its rows are left out (pip install cca-zoo)")
    else:
        from cca_zoo.linear import CCA  # pyright: ignore[reportMissingImports]

        fits["cca-zoo"] = lambda: CCA(_K).fit([x, y])
    square = np.random.default_rng(1).standard_normal((1500, 1500))
    programs = {**fits, "product": lambda: square @ square}
    fitted = {name: program() for name, program in programs.items()}
    times = {name: np.empty((rounds, 2)) for name in programs}
    for i in range(rounds):
        for name, program in programs.items():
            time.sleep(_PAUSE)
            start = np.array([time.perf_counter(), time.process_time()])
            program()
            times[name][i] = np.array([time.perf_counter(), time.process_time()]) - start
    rate = 2 * len(square) ** 3 / times["product"]  # per second of each clock
    operations = {"products of the views": 4.0 * n * d**2, "decompositions": (2 / 3 + 2 + 8 / 3 + 7 / 3) * d**3}
    case = f"n = {n}, d = {d}, k = {_K}"
    rows = [row(f"{case}, floor, {part}", "operations", count / 1e9, "GFLOP") for part, count in operations.items()]
    for i, metric in enumerate(("time", "processor_time")):
        floor = sum(operations.values()) / rate[:, i]
        rows += [row(f"{case}, {name}", metric, np.median(times[name][:, i]), "s") for name in fits]
        rows += [row(f"{case}, floor", metric, np.median(floor), "s"),
                 row(f"{case}, phasejax", f"{metric}_over_floor", np.median(times["phasejax"][:, i] / floor), "1")]
        if "cca-zoo" in fits:
            ratio = times["cca-zoo"][:, i] / times["phasejax"][:, i]
            rows += [row(case, f"cca_zoo_{metric}_over_ours", np.median(ratio), "1"),
                     row(case, f"least_cca_zoo_{metric}_over_ours", ratio.min(), "1")]
    if "cca-zoo" in fits:
        codes = fitted["cca-zoo"].transform([x, y])
        theirs = [np.corrcoef(a, b)[0, 1] for a, b in zip(codes[0].T, codes[1].T, strict=True)]
        ours = fitted["phasejax"].spectrum_[:_K]
        rows.append(row(case, "largest_difference_of_correlations", np.abs(ours - theirs).max(), "1"))
    return rows


def _views(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    shared = rng.standard_normal((n, min(_SHARED, d))) * np.linspace(2, 0.5, min(_SHARED, d))
    x[:, :shared.shape[1]] += shared
    y[:, :shared.shape[1]] += shared
    return x, y
