"""Run one function over a large grid: in boxes that fit in memory, on all devices of all processes.

The function maps the index of one cell to its results. It is compiled as blocks of cells of a
fixed size: an inner vmap over a block, an outer loop over blocks. No result depends on how the
grid is cut into boxes, on their order, or on the number of devices and processes, since every
block is computed by the same instructions. For that reason each device runs a program of its
own on boxes of its own: one program partitioned over several devices is optimised differently
from one for a single device, and rounds differently. The boxes need nothing of each other.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.devices import local_slots
from phasejax.simulation._grid import chunk_within, cut_chunk

# Cells in a block. On the CPU its working set should stay in the second-level cache: a cell with
# solutions takes some 50 kB, one of closed forms 1 kB. Elsewhere a block must keep the device busy.
_BLOCK_ON_CPU, _BLOCK_OF_CLOSED_FORMS, _BLOCK_ELSEWHERE = 32, 1024, 8192
# Boxes per slot: enough for an even load and a moving progress bar, few enough that the cost
# of a call (about 0.1 ms) stays invisible.
_BOXES_PER_SLOT = 16
_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
# Of what is free, when no budget is given.
_DEFAULT_SHARE = 0.25


@dataclass(frozen=True)
class Budget:
    """What the boxes of a sweep may take in this process.

    Args:
        bytes: memory for one box in work.
        slots: the device of each box that is computed at the same time.
    """

    bytes: int
    slots: tuple[jax.Device, ...]

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
        slots = local_slots()
        shared = len(slots) if slots[0].platform == "cpu" else 1  # host devices share one memory
        return cls(int((wanted * _device_memory() if wanted < 1 else wanted) / shared), slots)


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
        # A block's intermediates, and the results of the box on the device and on the host.
        least = self.constant_bytes + self.block_bytes + 2 * self.block * self.cell_bytes
        if budget.bytes < least:
            raise ValueError(f"memory: expected at least {_readable(least)} for one block of {self.block} cells on "
                             f"each of {len(budget.slots)} workers, got {_readable(budget.bytes)}")
        room = (budget.bytes - self.constant_bytes - self.block_bytes) // max(1, 2 * self.cell_bytes)
        even = math.ceil(math.prod(self.lengths) / (_BOXES_PER_SLOT * len(budget.slots) * jax.process_count()))
        return chunk_within(self.lengths, max(min(room, even) // self.block, 1) * self.block)


class Runner:
    """A program compiled, on every device, for boxes of one size.

    Args:
        program: what to compile.
        box: cells along each dimension that one call computes.
        slots: as in `Budget`.
        constants: of the shapes of those that `run` will get.
    """

    def __init__(self, program: Program, box: tuple[int, ...], slots: tuple[jax.Device, ...], constants):
        self.box, self._slots, self._constants = box, slots, {}
        cells = math.prod(box)
        blocks = math.ceil(cells / program.block)
        self._block = program.block
        compute = jax.vmap(program.unit, in_axes=(0, None))

        def boxful(origin, lengths, turns, constants):
            position = jnp.minimum(jnp.arange(blocks * program.block), cells - 1)  # the last cell fills the last block
            index = jnp.minimum(origin + jnp.stack(jnp.unravel_index(position, box), axis=1), lengths - 1)

            def one_block(i, found):
                part = jax.lax.dynamic_slice_in_dim(index, i * program.block, program.block)
                return {name: jax.lax.dynamic_update_slice_in_dim(found[name], values, i * program.block, axis=0)
                        for name, values in compute(part, constants).items()}

            empty = {name: jnp.zeros((blocks * program.block, *r.shape), r.dtype)
                     for name, r in program.results.items()}
            # The compiler does not know how many blocks there are: it would turn a loop of one
            # into straight code, which is optimised and rounded differently.
            return jax.lax.fori_loop(0, turns, one_block, empty)

        def compiled(device):
            with jax.enable_x64(True):  # the setting belongs to the thread
                corner = np.zeros(len(box), np.int64)
                arguments = jax.device_put((corner, corner, np.int64(blocks), constants), device)
                return jax.jit(boxful).lower(*arguments).compile()

        devices = list(dict.fromkeys(slots))
        with ThreadPoolExecutor(len(devices)) as pool:
            self._compiled = dict(zip(devices, pool.map(compiled, devices), strict=True))

    def boxes(self, origins: Sequence[tuple[int, ...]], lengths: tuple[int, ...], constants
              ) -> Iterator[tuple[tuple[int, ...], dict[str, np.ndarray]]]:
        """Yield (first corner, results) of the boxes as they finish; every process gets all of them.

        Args:
            origins: first corners, the same in every process.
            lengths: of the dimensions; boxes are cut at the edges.
            constants: a pytree of arrays.
        """
        with jax.enable_x64(True):
            constants = {device: jax.device_put(constants, device) for device in self._compiled}
        finished = self._as_they_finish if jax.process_count() == 1 else self._by_all_processes
        cells = math.prod(self.box)
        for origin, found in finished(origins, lengths, constants):
            inside = tuple(slice(0, side) for side in cut_chunk(self.box, lengths, origin))
            yield origin, {name: values[:cells].reshape(self.box + values.shape[1:])[inside]
                           for name, values in found.items()}

    def _as_they_finish(self, origins, lengths, constants):
        waiting, running, free = iter(origins), {}, list(self._slots)
        pool = ThreadPoolExecutor(len(self._slots))
        try:
            while True:
                for origin in itertools.islice(waiting, len(free)):
                    device = free.pop()
                    running[pool.submit(self._call, device, origin, lengths, constants[device])] = origin, device
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    origin, device = running.pop(future)
                    free.append(device)
                    yield origin, future.result()
        finally:
            # On an error or an interrupt: wait for what has begun.
            pool.shutdown(wait=True, cancel_futures=True)

    def _by_all_processes(self, origins, lengths, constants):
        from jax.experimental.multihost_utils import process_allgather

        here, each = jax.process_index(), len(self._slots)
        for start in range(0, len(origins), each * jax.process_count()):
            together = origins[start:start + each * jax.process_count()]
            mine = [together[min(here * each + i, len(together) - 1)] for i in range(each)]
            found = dict(self._as_they_finish(list(dict.fromkeys(mine)), lengths, constants))
            stacked = {name: np.stack([found[origin][name] for origin in mine]) for name in found[mine[0]]}
            with jax.enable_x64(True):
                gathered = process_allgather(stacked, tiled=True)
            for i, origin in enumerate(together):
                yield origin, {name: values[i] for name, values in gathered.items()}

    def _call(self, device, origin, lengths, constants):
        with jax.enable_x64(True):  # the setting belongs to the thread
            # Of a box that sticks out of the grid, the blocks up to the last cell inside.
            last = np.ravel_multi_index([side - 1 for side in cut_chunk(self.box, lengths, origin)], self.box)
            turns = np.int64(last // self._block + 1)
            corner = jax.device_put((np.array(origin, np.int64), np.array(lengths, np.int64), turns), device)
            return jax.tree.map(np.asarray, self._compiled[device](*corner, constants))


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
