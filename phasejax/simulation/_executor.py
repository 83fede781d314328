"""Compute one function at every cell of a large grid, in bounded memory and on all devices of all processes.

The function maps the index of a cell to its results. Cells are grouped twice. A block is a fixed
number of cells that one vectorised step computes, chosen so that its intermediate values stay in
the processor's cache. A chunk is a rectangular piece of the grid whose results fit in memory; one
call of the compiled program computes a chunk by looping over its blocks. A slot is a place where
one chunk is computed at a time: an accelerator, or one core of the processor. Chunks wait in a
queue, and every slot takes the next one as soon as it is free.

We keep an executor of our own because no digit of a result may depend on the chunk size or on the
number of devices and processes, which a program partitioned over devices by the compiler does not
give: it is optimised differently for each number of devices, and rounds differently. Here every
block is computed by the same instructions, on whichever device and in whichever chunk it lies.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from phasejax._core.devices import device_memory, local_slots
from phasejax._core.program_fingerprint import program_fingerprints
from phasejax._core.validation import check_number, shown
from phasejax._core.worker_profile import difference, worker_profile
from phasejax.simulation._grid import chunk_shape_within, clipped_chunk_shape

# Cells in a block. On the CPU a block's working set should stay in the second-level cache: a cell
# with solutions takes some 50 kB, one of closed forms 1 kB. Elsewhere a block must keep the device busy.
_BLOCK_ON_CPU, _BLOCK_OF_CLOSED_FORMS, _BLOCK_ELSEWHERE = 32, 1024, 8192
# Chunks per slot: enough for an even load and a moving progress bar, few enough that the cost of
# a call, about 0.1 ms, is negligible.
_CHUNKS_PER_SLOT = 16
_PROFILE_BYTES = 4096  # in which processes tell each other what they are
_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
# Boxes of a sweep that is shared out to workers whose number is not known: enough for an even load on hundreds of them,
# none so large that it takes long, since it is lost with its worker.
_BOXES, _BLOCKS_IN_A_BOX = 1024, 8192
_BYTES_OF_A_BOX = 1_000_000_000
# Share of the device's memory that a sweep may use when the caller gives no budget.
_DEFAULT_SHARE = 0.25

Slots = tuple[jax.Device, ...]  # the device of each chunk that is computed at the same time
Origin = tuple[int, ...]  # index of a chunk's first cell
Results = dict[str, np.ndarray]


@dataclass(frozen=True)
class Budget:
    """Memory and devices that a sweep may use in this process.

    Args:
        memory_bytes: memory for one chunk while it is computed.
        slots: the device of each chunk that is computed at the same time.
        shared_out: whether the chunks are computed by workers elsewhere. Then nothing about them may depend on this
            process, which does not know how many workers there are.
    """

    memory_bytes: int
    slots: Slots
    shared_out: bool = False

    @classmethod
    def from_memory(cls, memory: str | float | None, shared_out: bool = False) -> "Budget":
        """The budget of "2GB", of a number of bytes, or of a fraction below 1 of the device's memory.

        Args:
            memory: the size for all slots together; a quarter of the device's memory when None. Of a sweep that is
                shared out it is the size for one chunk at a worker; 1 GB when None.
            shared_out: as the field.

        Raises:
            ValueError: anything else.
        """
        wanted = memory if memory is not None else _BYTES_OF_A_BOX if shared_out else _DEFAULT_SHARE
        if isinstance(wanted, str):
            text = wanted.strip().lower()
            try:
                wanted = float(text[:-2]) * _UNITS[text[-2:]]
            except (KeyError, ValueError):
                raise ValueError(f"memory: expected a size like '2GB' or '500MB', got {memory!r}") from None
        try:
            wanted = check_number("memory", min(wanted, 10**300) if isinstance(wanted, int) else wanted, above=0)
        except ValueError:
            raise ValueError(f"memory: expected a positive size, got {shown(memory)}") from None
        if shared_out:
            return cls(int(wanted * device_memory() if wanted < 1 else wanted), local_slots()[:1], True)
        slots = local_slots()
        sharing = len(slots) if slots[0].platform == "cpu" else 1  # all slots on the host share one memory
        budget = cls(int((wanted * device_memory() if wanted < 1 else wanted) / sharing), slots)
        return budget if jax.process_count() == 1 else budget._of_all_processes()

    def _of_all_processes(self) -> "Budget":
        """What the smallest process has, since all must cut the same chunks; unlike processes are refused.

        Raises:
            ValueError: processes whose results would have other digits than each other's.
        """
        from jax.experimental.multihost_utils import process_allgather

        mine = json.dumps([self.memory_bytes, len(self.slots), worker_profile()]).encode().ljust(_PROFILE_BYTES)
        gathered = process_allgather(np.frombuffer(mine, np.uint8))
        found = [json.loads(bytes(row)) for row in np.asarray(gathered).reshape(jax.process_count(), -1)]
        for number, (_, _, profile) in enumerate(found):
            if words := difference(found[0][2], profile):
                raise ValueError("--distributed: expected processes that compute the same digits, got unlike ones: "
                                 f"{words} (processes 0 and {number})")
        return Budget(min(memory for memory, _, _ in found), self.slots[:min(slots for _, slots, _ in found)])


@dataclass(frozen=True)
class Program:
    """A function of one cell, traced but not compiled.

    Args:
        cell_function: maps an index (one integer per dimension) and the constants to a dict of results.
        lengths: of the dimensions.
        results: shape and dtype of each result of one cell.
        block_cells: cells in a block.
        block_bytes: upper bound on the memory of one block while it is computed.
        constant_bytes: memory of the constants.
        constants: a pytree of their shapes and dtypes.
    """

    cell_function: Callable[..., dict[str, jax.Array]]
    lengths: tuple[int, ...]
    results: dict[str, jax.ShapeDtypeStruct]
    block_cells: int
    block_bytes: int
    constant_bytes: int
    constants: Any

    @classmethod
    def trace(cls, cell_function: Callable[..., dict[str, jax.Array]], lengths: tuple[int, ...], constants: Any, *,
              closed_form: bool = False) -> "Program":
        """Find out, without compiling, what the function returns and how much memory it needs.

        Args:
            cell_function, lengths: as the fields.
            constants: a pytree of arrays, or of their shapes and dtypes.
            closed_form: whether a cell is cheap, without linear algebra.
        """
        block_cells = _BLOCK_ELSEWHERE
        if jax.default_backend() == "cpu":
            block_cells = _BLOCK_OF_CLOSED_FORMS if closed_form else _BLOCK_ON_CPU
        jaxpr, results = _traced_block(cell_function, block_cells, len(lengths), constants)
        results = {name: jax.ShapeDtypeStruct(r.shape[1:], r.dtype) for name, r in results.items()}
        return cls(cell_function, lengths, results, block_cells, _bytes_of_all_values(jaxpr.jaxpr), _bytes(constants),
                   constants)

    def fingerprints(self) -> dict[str, str]:
        """By the name of each result, what tells its computation from any that gives other numbers."""
        # Traced anew, since a trace must not be kept: JAX 0.10 fails where a NumPy array of a model is used in
        # float32 while a trace in float64 that holds it is alive.
        traced, _ = _traced_block(self.cell_function, self.block_cells, len(self.lengths), self.constants)
        return dict(zip(sorted(self.results), program_fingerprints(traced), strict=True))

    @property
    def cell_bytes(self) -> int:
        """Memory of the results of one cell."""
        return _bytes(self.results)

    def chunk_shape(self, budget: Budget) -> tuple[int, ...]:
        """The sides of the chunks of cells that fit the budget.

        Raises:
            ValueError: not even one block fits.
        """
        # A chunk takes one block's intermediate values, and its results both on the device and on the host.
        least = self.constant_bytes + self.block_bytes + 2 * self.block_cells * self.cell_bytes
        if budget.memory_bytes < least:
            raise ValueError(f"memory: expected at least {_readable(least)} for one block of {self.block_cells} cells "
                             f"on each of {len(budget.slots)} workers, got {_readable(budget.memory_bytes)}")
        room = (budget.memory_bytes - self.constant_bytes - self.block_bytes) // max(1, 2 * self.cell_bytes)
        if budget.shared_out:
            even = min(math.ceil(math.prod(self.lengths) / _BOXES), _BLOCKS_IN_A_BOX * self.block_cells)
        else:
            even = math.ceil(math.prod(self.lengths) / (_CHUNKS_PER_SLOT * len(budget.slots) * jax.process_count()))
        blocks = max(min(room, even) // self.block_cells, 1)
        return chunk_shape_within(self.lengths, blocks * self.block_cells)


class CompiledProgram:
    """A program compiled, on every device, for chunks of one shape.

    Args:
        program: what to compile.
        chunk_shape: cells along each dimension that one call computes.
        slots: as in `Budget`.
        constants: of the shapes and dtypes of those that `compute_chunks` will get.
    """

    def __init__(self, program: Program, chunk_shape: tuple[int, ...], slots: Slots, constants: Any):
        self.chunk_shape, self._slots, self._block_cells = chunk_shape, slots, program.block_cells
        cells = math.prod(chunk_shape)
        blocks = math.ceil(cells / program.block_cells)
        compute_block = jax.vmap(program.cell_function, in_axes=(0, None))

        def compute_chunk(origin, lengths, turns, constants):
            # The last block may have more places than the chunk has cells: they repeat the last cell.
            position = jnp.minimum(jnp.arange(blocks * program.block_cells), cells - 1)
            index = jnp.minimum(origin + jnp.stack(jnp.unravel_index(position, chunk_shape), axis=1), lengths - 1)

            def with_block(i, found):
                first = i * program.block_cells
                part = jax.lax.dynamic_slice_in_dim(index, first, program.block_cells)
                return {name: jax.lax.dynamic_update_slice_in_dim(found[name], values, first, axis=0)
                        for name, values in compute_block(part, constants).items()}

            empty = {name: jnp.zeros((blocks * program.block_cells, *r.shape), r.dtype)
                     for name, r in program.results.items()}
            # The number of turns is an argument, so that the compiler does not know it: it would turn
            # a loop of one block into straight code, which is optimised and rounded differently.
            return jax.lax.fori_loop(0, turns, with_block, empty)

        def compiled(device):
            with jax.enable_x64(True):  # JAX keeps this setting per thread
                corner = np.zeros(len(chunk_shape), np.int64)
                arguments = jax.device_put((corner, corner, np.int64(blocks), constants), device)
                return jax.jit(compute_chunk).lower(*arguments).compile()

        devices = list(dict.fromkeys(slots))
        with ThreadPoolExecutor(len(devices)) as pool:
            self._compiled = dict(zip(devices, pool.map(compiled, devices), strict=True))

    def compute_chunks(self, origins: Sequence[Origin], lengths: tuple[int, ...], constants: Any
                       ) -> Iterator[tuple[Origin, Results]]:
        """Yield (origin, results) of each chunk as it finishes; every process gets all chunks.

        Args:
            origins: index of the first cell of each chunk, the same in every process.
            lengths: of the dimensions; chunks are clipped at the edges of the grid.
            constants: a pytree of arrays.
        """
        constants = self.on_devices(constants)
        finished_chunks = self._in_this_process if jax.process_count() == 1 else self._in_all_processes
        for origin, found in finished_chunks(origins, lengths, constants):
            yield origin, self._inside(origin, lengths, found)

    def on_devices(self, constants: Any) -> dict[Any, Any]:
        """The constants on every device."""
        with jax.enable_x64(True):
            return {device: jax.device_put(constants, device) for device in self._compiled}

    def compute_chunk(self, origin: Origin, lengths: tuple[int, ...], device: Any, constants: dict[Any, Any]
                      ) -> Results:
        """The results of one chunk, computed in this thread.

        Args:
            origin, lengths: as in `compute_chunks`.
            device: one of the slots.
            constants: as `on_devices` returns them.
        """
        return self._inside(origin, lengths, self._compute_on(device, origin, lengths, constants[device]))

    def _inside(self, origin, lengths, found):
        """The part of a chunk's results that lies inside the grid, in its shape."""
        inside = tuple(slice(0, side) for side in clipped_chunk_shape(self.chunk_shape, lengths, origin))
        cells = math.prod(self.chunk_shape)
        return {name: values[:cells].reshape(self.chunk_shape + values.shape[1:])[inside]
                for name, values in found.items()}

    def _in_this_process(self, origins, lengths, constants):
        """Keep one chunk in work on each slot until all are done."""
        waiting, running, free_slots = iter(origins), {}, list(self._slots)
        pool = ThreadPoolExecutor(len(self._slots))
        try:
            while True:
                for origin in itertools.islice(waiting, len(free_slots)):
                    device = free_slots.pop()
                    future = pool.submit(self._compute_on, device, origin, lengths, constants[device])
                    running[future] = origin, device
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    origin, device = running.pop(future)
                    free_slots.append(device)
                    yield origin, future.result()
        finally:
            # After an error or an interrupt, wait for the chunks in work and start no others.
            pool.shutdown(wait=True, cancel_futures=True)

    def _in_all_processes(self, origins, lengths, constants):
        """Deal the chunks out in rounds of one for each slot of each process, and gather every round's results."""
        from jax.experimental.multihost_utils import process_allgather

        process, slots = jax.process_index(), len(self._slots)
        for start in range(0, len(origins), slots * jax.process_count()):
            of_round = origins[start:start + slots * jax.process_count()]
            # All processes must gather arrays of the same shape: in the last round some repeat its last chunk.
            mine = [of_round[min(process * slots + i, len(of_round) - 1)] for i in range(slots)]
            found = dict(self._in_this_process(list(dict.fromkeys(mine)), lengths, constants))
            stacked = {name: np.stack([found[origin][name] for origin in mine]) for name in found[mine[0]]}
            with jax.enable_x64(True):
                gathered = process_allgather(stacked, tiled=True)
            for i, origin in enumerate(of_round):
                yield origin, {name: values[i] for name, values in gathered.items()}

    def _compute_on(self, device, origin, lengths, constants):
        """The results of one chunk, flat and with the repeated cells of its last block."""
        with jax.enable_x64(True):  # JAX keeps this setting per thread
            # Where the chunk sticks out of the grid, only the blocks up to its last cell inside are computed.
            last_inside = [side - 1 for side in clipped_chunk_shape(self.chunk_shape, lengths, origin)]
            turns = np.int64(np.ravel_multi_index(last_inside, self.chunk_shape) // self._block_cells + 1)
            arguments = jax.device_put((np.array(origin, np.int64), np.array(lengths, np.int64), turns), device)
            return jax.tree.map(np.asarray, self._compiled[device](*arguments, constants))


def _traced_block(cell_function: Callable, block_cells: int, dimensions: int, constants: Any
                  ) -> tuple[ClosedJaxpr, dict[str, jax.ShapeDtypeStruct]]:
    """The computation of one block, and the shapes of its results."""
    with jax.enable_x64(True):
        index = jax.ShapeDtypeStruct((block_cells, dimensions), np.int64)
        return jax.make_jaxpr(jax.vmap(cell_function, in_axes=(0, None)), return_shape=True)(index, constants)


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _bytes_of_all_values(jaxpr: Any) -> int:
    """Memory of every intermediate value of a program, as if none were ever freed or fused away."""
    total = 0
    for equation in jaxpr.eqns:
        total += sum(math.prod(v.aval.shape) * getattr(v.aval.dtype, "itemsize", 8) for v in equation.outvars
                     if hasattr(v.aval, "shape"))
        for parameter in equation.params.values():
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                total += _bytes_of_all_values(inner)
    return total


def _readable(count: int | float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
