"""Time and peak memory of very large grids and of a million rows, and the time to a figure's first results.

Each measurement runs in a process of its own, since a process keeps compiled programs and its peak memory.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.diagnosis import large_pairs
from benchmarks.report import Row, row

_GRID = """
import json, sys, time
start = time.perf_counter()
import jax, numpy as np
import phasejax as pj
imported = time.perf_counter()
begun = []
side = int(float(sys.argv[1]) ** 0.5) + 1
found = pj.sweep(pj.SpikedModel.homogeneous, {"kappa": np.linspace(0, 3, side), "nu": np.linspace(0, 1, side)},
                 fixed={"k": 3, "d": 20, "gamma_y": 0.05, "nuisance_y": 5.0},
                 progress=lambda task, done, total: begun.append(time.perf_counter()), OPTIONS)
stop = time.perf_counter()
first = next(iter(found.data_vars.values()))
from benchmarks.report import peak_memory
print(json.dumps({"cells": first.size, "import": imported - start, "compile": begun[0] - imported,
                  "run": stop - begun[0], "total": stop - start, "peak": peak_memory()}))
"""
_POPULATION = 'quantities=["delta_ca", "delta_cp", "delta_cp_reverse", "regime", "r_ca", "r_cp"]'
_SAMPLED = ('quantities=["recovered_ca", "recovered_cp"], n=5000, seeds=1, key=jax.random.key(0), memory="500MB", '
            'store=sys.argv[2] + "/run.zarr"')
# Prints the time at which the first samples of Fig. 7 are there: closed forms are compiled and computed first. A
# sweep reports an unchanged number of cells when it has compiled a program.
_FIGURE = """
import time
from paper_figs import recovery
from paper_figs.presets import PRESETS
sweep, before, programs = recovery.sweep, 0, 0
def report(task, done, total):
    global before, programs
    if done == before:
        programs += 1
    elif programs == 2:
        print(time.time())
    before = done
recovery.sweep = lambda *args, **kwargs: sweep(*args, **kwargs, progress=report)
recovery.compute_fig7(PRESETS["quick"])
"""
# Memory-mapped pairs in folder argv[1] are diagnosed for encoders of width 8.
_ROWS = """
import json, resource, sys, time
import numpy as np
from benchmarks.report import peak_memory
from phasejax import diagnose
from phasejax.io import open_table
start = time.perf_counter()
x, y = (open_table(f"{sys.argv[1]}/{name}.npy") for name in "xy")
found = diagnose(x, y, np.load(f"{sys.argv[1]}/labels.npy"), k=8, label_kind="real")
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"time": time.perf_counter() - start, "user": used.ru_utime, "system": used.ru_stime,
                  "peak": peak_memory(), "regime": found.regime.value if found.regime else "undecided"}))
"""


def population(cells: float = 1e7) -> list[Row]:
    """Closed forms of ten million models."""
    return _grid(f"population {cells:.0e}", _POPULATION, cells)


def sampled(cells: float = 1e6) -> list[Row]:
    """A million samples, solved within a memory budget of 500 MB and written to a store."""
    return _grid(f"sampled {cells:.0e}, 500 MB", _SAMPLED, cells)


def million_rows(n: int = 1_000_000, d: int = 512) -> list[Row]:
    """The whole diagnosis, without a pilot, of two float32 memory maps of a million rows; 4 GB on disk meanwhile.

    The time of the processor stands beside that of the clock, which other processes and the disk prolong.
    """
    with tempfile.TemporaryDirectory() as folder:
        large_pairs(Path(folder), n, d)
        out = subprocess.run([sys.executable, "-c", _ROWS, folder], check=True, capture_output=True, text=True,
                             cwd=Path(__file__).parents[1]).stdout
    found = json.loads(out.splitlines()[-1])
    case = f"diagnose, n = {n:.0e}, d = {d}, memory maps"
    print(f"{case}: regime {found['regime']}", flush=True)
    return [row(case, "total_time", found["time"], "s"), row(case, "user_time", found["user"], "s"),
            row(case, "system_time", found["system"], "s"), row(case, "peak_memory", found["peak"] / 1e9, "GB")]


def first_sweep() -> list[Row]:
    """From the start of a process to the first results of a figure, without and with compiled programs on disk."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache,
                                    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        rows = []
        for case in ("first process", "second process"):
            begin = time.time()
            out = subprocess.run([sys.executable, "-c", _FIGURE], env=environment, check=True, capture_output=True,
                                 text=True).stdout
            rows.append(row(f"fig7, {case}", "time_to_first_results", float(out.split()[0]) - begin, "s"))
    return rows


def _grid(case: str, options: str, cells: float) -> list[Row]:
    """Sweep a square grid of about so many cells, with options as Python text, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([sys.executable, "-c", _GRID.replace("OPTIONS", options), str(cells), folder], check=True,
                             capture_output=True, text=True, cwd=Path(__file__).parents[1]).stdout
    found = json.loads(out)
    return [row(case, "cells", found["cells"], "1"), row(case, "import_time", found["import"], "s"),
            row(case, "compile_time", found["compile"], "s"), row(case, "run_time", found["run"], "s"),
            row(case, "total_time", found["total"], "s"),
            row(case, "cells_per_second", found["cells"] / found["run"], "1/s"),
            row(case, "peak_memory", found["peak"] / 1e9, "GB")]
