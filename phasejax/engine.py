"""Run one function over a large grid: in boxes that fit in memory, over all devices, of all processes.

The function maps the index of one cell to its results. It is compiled once, as blocks of cells
of a fixed size: an inner vmap over a block, an outer loop over blocks. No result depends on how
the grid is cut into boxes, on their order, or on the number of devices, since every block is
computed by the same instructions.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from phasejax.grids import box_within, cut_box

# Cells in a block. On the CPU its working set should stay in the second-level cache: a cell with
# solutions takes some 50 kB, one of closed forms 1 kB. Elsewhere a block must keep the device busy.
_BLOCK_ON_CPU, _BLOCK_OF_CLOSED_FORMS, _BLOCK_ELSEWHERE = 32, 1024, 8192
# Boxes per worker: enough for an even load and a moving progress bar, few enough that the cost
# of a call (about 0.1 ms) stays invisible.
_BOXES_PER_WORKER = 16
_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
# Of what is free, when no budget is given.
_DEFAULT_SHARE = 0.25


@dataclass(frozen=True)
class Budget:
    """What the boxes of a sweep may take.

    Args:
        bytes: memory for all boxes that are computed at the same time, on each device.
        workers: boxes computed at the same time.
    """

    bytes: int
    workers: int

    @classmethod
    def of(cls, memory: str | float | None) -> "Budget":
        """From "2GB", a number of bytes, or a fraction of the device's memory below 1; None is a quarter.

        Raises:
            ValueError: anything else.
        """
        wanted = _DEFAULT_SHARE if memory is None else memory
        if isinstance(wanted, str):
            text = wanted.strip().lower()
            factor = next((f for unit, f in _UNITS.items() if text.endswith(unit)), None)
            try:
                wanted = float(text[:-2]) * factor
            except (TypeError, ValueError):
                raise ValueError(f"memory: expected a size like '2GB' or '500MB', got {memory!r}") from None
        if not wanted > 0 or wanted == math.inf:
            raise ValueError(f"memory: expected a positive size, got {memory!r}")
        return cls(int(wanted * _device_memory() if wanted < 1 else wanted), _workers())


@dataclass(frozen=True)
class Program:
    """A function of one cell, traced but not compiled.

    Args:
        unit: maps an index (one integer per dimension) and the constants to a dict of results.
        lengths: of the dimensions.
        results: shape and dtype of each result of one cell.
        block: cells in a block.
        block_bytes: upper bound on what one block takes while it is computed.
        constant_bytes: what the constants take.
    """

    unit: Callable
    lengths: tuple[int, ...]
    results: dict[str, jax.ShapeDtypeStruct]
    block: int
    block_bytes: int
    constant_bytes: int

    @classmethod
    def trace(cls, unit: Callable, lengths: tuple[int, ...], constants: object, *, closed_form: bool = False
              ) -> "Program":
        """Find out what `unit` returns and what it takes, without compiling it.

        Args:
            unit, lengths: as the fields.
            constants: of any values.
            closed_form: whether a cell is cheap, without linear algebra.
        """
        block = _BLOCK_ELSEWHERE
        if jax.default_backend() == "cpu":
            block = _BLOCK_OF_CLOSED_FORMS if closed_form else _BLOCK_ON_CPU
        with jax.enable_x64(True):
            index = jax.ShapeDtypeStruct((block, len(lengths)), np.int64)
            jaxpr, results = jax.make_jaxpr(jax.vmap(unit, in_axes=(0, None)), return_shape=True)(index, constants)
        results = {name: jax.ShapeDtypeStruct(r.shape[1:], r.dtype) for name, r in results.items()}
        return cls(unit, lengths, results, block, _bytes_of_all_values(jaxpr.jaxpr), _bytes(constants))

    @property
    def cell_bytes(self) -> int:
        """What the results of one cell take."""
        return _bytes(self.results)

    def box(self, budget: Budget) -> tuple[int, ...]:
        """The box of cells that one call computes.

        Raises:
            ValueError: not even one block fits.
        """
        devices = len(jax.devices())
        # Each worker holds a block's intermediates, and the results of its box on the device and on the host.
        least = self.constant_bytes + budget.workers * (self.block_bytes + 2 * self.block * self.cell_bytes)
        if budget.bytes < least:
            raise ValueError(f"memory: expected at least {_readable(least)}, one block of {self.block} cells on "
                             f"{budget.workers} workers, got {_readable(budget.bytes)}")
        room = (budget.bytes - self.constant_bytes) // budget.workers - self.block_bytes
        size = devices * min(room // max(1, 2 * self.cell_bytes),
                             math.ceil(math.prod(self.lengths) / (_BOXES_PER_WORKER * budget.workers * devices)))
        return box_within(self.lengths, max(size // self.block, 1) * self.block)


class Runner:
    """A compiled program for boxes of one size.

    Args:
        program: what to compile.
        box: cells along each dimension that one call computes.
        constants: of the shapes of those that `run` will get.
    """

    def __init__(self, program: Program, box: tuple[int, ...], constants):
        devices = np.array(jax.devices())
        self.box = box
        mesh = jax.sharding.Mesh(devices, ("cells",), axis_types=(AxisType.Auto,))
        self._replicated = NamedSharding(mesh, PartitionSpec())
        self._several_processes = jax.process_count() > 1
        cells = math.prod(box)
        share = math.ceil(cells / (program.block * len(devices))) * program.block

        def on_device(origin, lengths, constants):
            first = jax.lax.axis_index("cells") * share if len(devices) > 1 else 0
            position = jnp.minimum(first + jnp.arange(share), cells - 1)  # the last cell fills the last block
            index = jnp.minimum(origin + jnp.stack(jnp.unravel_index(position, box), axis=1), lengths - 1)
            return jax.lax.map(lambda i: program.unit(i, constants), index, batch_size=program.block)

        function = on_device
        if len(devices) > 1:
            everywhere = PartitionSpec()
            function = jax.shard_map(on_device, mesh=mesh, in_specs=(everywhere, everywhere, everywhere),
                                     out_specs=PartitionSpec("cells"), check_vma=False)
        origin = np.zeros(len(box), np.int64)
        with jax.enable_x64(True):
            self._compiled = jax.jit(function).lower(*self.placed((origin, origin, constants))).compile()

    def placed(self, tree):
        """The arrays on all devices; for the constants of many calls."""
        with jax.enable_x64(True):
            if not self._several_processes:
                return jax.device_put(tree, self._replicated)
            return jax.tree.map(lambda leaf: jax.make_array_from_callback(
                np.shape(leaf), self._replicated, np.asarray(leaf).__getitem__), tree)

    def run(self, origin: tuple[int, ...], lengths: tuple[int, ...], constants) -> dict[str, np.ndarray]:
        """The results of the box whose first corner is `origin`, cut at the edges of the grid."""
        with jax.enable_x64(True):  # the setting belongs to the thread
            found = self._compiled(*self.placed((np.array(origin), np.array(lengths))), constants)
            if self._several_processes:
                from jax.experimental.multihost_utils import process_allgather
                found = process_allgather(found, tiled=True)
            found = jax.tree.map(np.asarray, found)
        cells, inside = math.prod(self.box), tuple(slice(0, side) for side in cut_box(self.box, lengths, origin))
        return {name: values[:cells].reshape(self.box + values.shape[1:])[inside] for name, values in found.items()}


def run_boxes(runner: Runner, origins: Iterable[tuple[int, ...]], lengths: tuple[int, ...], constants, workers: int
              ) -> Iterator[tuple[tuple[int, ...], dict[str, np.ndarray]]]:
    """Yield (first corner, results) of every box, as they finish.

    Args:
        runner: the compiled program.
        origins: first corners.
        lengths: of the dimensions.
        constants: from `Runner.placed`.
        workers: boxes computed, and held in memory, at the same time.
    """
    if workers == 1:
        for origin in origins:
            yield origin, runner.run(origin, lengths, constants)
        return
    waiting, running = iter(origins), {}
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            for origin in itertools.islice(waiting, workers - len(running)):
                running[pool.submit(runner.run, origin, lengths, constants)] = origin
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    finally:
        # On an error or an interrupt: wait for what has begun.
        pool.shutdown(wait=True, cancel_futures=True)


def _workers():
    """On one CPU device a core each; several devices share one call."""
    if jax.default_backend() != "cpu" or len(jax.devices()) > 1:
        return 1
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _device_memory():
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows does not say
        return 4e9


def _bytes(tree):
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _bytes_of_all_values(jaxpr):
    """Of every intermediate value of a program, as if none were ever freed or fused away."""
    total = 0
    for equation in jaxpr.eqns:
        total += sum(math.prod(v.aval.shape) * getattr(v.aval.dtype, "itemsize", 8) for v in equation.outvars
                     if hasattr(v.aval, "shape"))
        for parameter in equation.params.values():
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                total += _bytes_of_all_values(inner)
    return total


def _readable(count):
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.3g} {unit}"
        count /= 1000
