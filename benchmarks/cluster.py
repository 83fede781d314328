"""What it costs to share a sweep out: overhead per box of cells with many workers, and what a billion cells would take.

Boxes that compute nothing go through the same code as those of a sweep, on 10, 100 and 1000 threads of a real Dask
scheduler and on as many simulated workers, which answer at once. All of it runs in this process, so that its processor
time is an upper bound of what the process that shares out and the scheduler take together.
"""

import logging
import tempfile
import time
from collections import deque
from concurrent.futures import Executor, Future
from pathlib import Path

import jax
import numpy as np

from benchmarks.report import Row, row
from phasejax import SpikedModel, sweep
from phasejax._core.remote_tasks import Job, run_tasks
from phasejax.simulation import _executor

WORKERS = (10, 100, 1000)
_BOXES = 3000
_CELLS = 1e9
# Of Fig. 7, with a result for each cell.
_MODEL = {"k": 3, "d": 20, "gamma_y": 0.05, "nuisance_y": 5.0}
# What a core costs for an hour where clouds rent out general machines without a contract, in US dollars.
_USD_PER_CORE_HOUR = 0.05


class SimulatedWorkers(Executor):
    """Workers that keep one box each, and answer in the order in which they were asked.

    Args:
        count: number of workers.
    """

    def __init__(self, count: int):
        self._count, self._running = count, deque()

    def submit(self, fn, /, *args, **kwargs) -> Future:
        """Keep a call until another worker is needed; the call itself is made at the end."""
        future = Future()
        self._running.append((future, fn, args))
        if len(self._running) >= self._count:
            self._finish()
        return future

    def _finish(self) -> None:
        while self._running:
            future, fn, args = self._running.popleft()
            future.set_result(fn(*args))


def run() -> list[Row]:
    """Overhead per box with more and more workers; then time, cost and the share of overhead for a billion cells."""
    rows, overhead = [], {}
    for workers in WORKERS:
        rows.append(_row(f"simulated, {workers} workers", _seconds_per_box(SimulatedWorkers(workers), workers)))
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("Dask is not installed: its rows are left out")
    else:
        for workers in WORKERS:
            options = {"n_workers": 10, "threads_per_worker": workers // 10, "processes": False,
                       "dashboard_address": None, "silence_logs": logging.CRITICAL}
            with LocalCluster(**options) as cluster, Client(cluster) as client:
                overhead[workers] = _seconds_per_box(client.get_executor(), workers)
            rows.append(_row(f"Dask, {workers} workers", overhead[workers]))
    return rows + _projection(max(overhead.values(), default=rows[-1]["value"] / 1e3))


def _row(case: str, seconds: float) -> Row:
    return row(case, "overhead_per_box", 1e3 * seconds, "ms")


def _seconds_per_box(executor: Executor, workers: int) -> float:
    """Processor time of this process for each box that computes nothing."""
    job, boxes = Job(lambda box: None, "box"), list(range(_BOXES // workers * workers))
    options = {"named": str, "resume": ""}
    list(run_tasks(executor, job, boxes[:workers], **options))  # threads start, the reference block is compiled
    begun = time.process_time()
    list(run_tasks(executor, job, boxes, **options))
    return (time.process_time() - begun) / len(boxes)


def _projection(seconds_per_box: float) -> list[Row]:
    """A billion sampled cells, from the time of few of them here and the overhead that was measured."""
    side, options = 32, {"quantities": ["error_ca", "error_cp"], "fixed": _MODEL, "n": 5000, "key": jax.random.key(0)}
    axes = {"kappa": np.linspace(0, 3, side), "nu": np.linspace(0, 1, side)}
    begun: list[float] = []

    def note(task: str, done: int, total: int) -> None:
        begun.append(time.process_time())

    sweep(SpikedModel.homogeneous, axes, seeds=8, progress=note, **options)
    per_cell = (begun[-1] - begun[0]) / (8 * side * side)
    with tempfile.TemporaryDirectory() as folder:
        begun.clear()
        sweep(SpikedModel.homogeneous, axes, store=Path(folder, "run.zarr"), progress=note, **options)
        per_write = max(0.0, (begun[-1] - begun[0]) / (len(begun) - 1) - per_cell * side * side / (len(begun) - 1))
    box = _executor._BLOCKS_IN_A_BOX * _executor._BLOCK_ON_CPU
    boxes, core_hours = _CELLS / box, _CELLS * per_cell / 3600
    rows = [row("1e9 cells", "time_per_cell", 1e6 * per_cell, "us"), row("1e9 cells", "boxes", boxes, "1"),
            row("1e9 cells", "time_per_box", box * per_cell, "s"),
            row("1e9 cells", "time_to_write_a_box", 1e3 * per_write, "ms"),
            row("1e9 cells", "core_hours", core_hours, "h"),
            row(f"1e9 cells, {_USD_PER_CORE_HOUR} USD per core hour", "cost", core_hours * _USD_PER_CORE_HOUR, "USD"),
            row("1e9 cells", "most_workers", box * per_cell / seconds_per_box, "1")]
    for workers in WORKERS:
        # A worker ends a box while the next ones are shared out; the longest of both counts.
        hours = max(core_hours / workers, boxes * seconds_per_box / 3600) + box * per_cell / 3600
        rows += [row(f"1e9 cells, {workers} workers", "wall_time", hours, "h"),
                 row(f"1e9 cells, {workers} workers", "sharing_out", boxes * seconds_per_box / 3600 / hours, "1")]
    return rows
