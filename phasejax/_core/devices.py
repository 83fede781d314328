"""Where computations run: the cores and devices of this process, and one program for many cells on all of them.

A cell is one point of a grid of experiments: one model, one training. Two ways to keep a machine busy with many of
them are used. On a CPU a program runs on one core, so several programs run at once, each in a thread
(`local_slots`). On accelerators one program computes many cells, and shares them out over the devices (`over_cells`).
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from phasejax._core.forks import check_not_forked


def cores() -> int:
    """Number of processor cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def local_slots() -> tuple[jax.Device, ...]:  # pyright: ignore[reportInvalidTypeForm]  # JAX declares a variable
    """The device of each program that may run at the same time in this process.

    Returns:
        All local devices; or, if a CPU is the only one, that device as many times as there are cores.
    """
    check_not_forked()
    devices = jax.local_devices()
    if len(devices) > 1 or devices[0].platform != "cpu":
        return tuple(devices)
    return tuple(devices) * cores()


def over_cells(function: Callable[..., Any],
               devices: Sequence[jax.Device]) -> Callable[..., Any]:  # pyright: ignore[reportInvalidTypeForm]
    """A compiled function of many cells, made of a function of a single cell.

    On CPUs the cells are computed one after the other: a batch is no faster there, and linear algebra batched by
    `vmap` can wait for ever (see `phasejax._core.linalg`). Elsewhere they are one batch. With several devices, each
    computes an equal share of the cells.

    Args:
        function: takes and returns pytrees of arrays, those of one cell.
        devices: devices of one platform that share the cells.

    Returns:
        A function that takes and returns the same pytrees with a leading axis of cells. Their number must be a
        multiple of the number of devices.

    >>> over_cells(lambda a, b: a + b, jax.local_devices()[:1])(jax.numpy.arange(3), jax.numpy.arange(3)).tolist()
    [0, 2, 4]
    """
    if devices[0].platform == "cpu":
        def many(*arguments):
            return jax.lax.map(lambda one: function(*one), arguments)
    else:
        many = jax.vmap(function)
    if len(devices) == 1:
        return jax.jit(many)
    mesh, cells = Mesh(devices, ("cells",)), PartitionSpec("cells")
    # Each device runs the whole program on cells of its own. Left to itself, the compiler would split single cells.
    return jax.jit(jax.shard_map(many, mesh=mesh, in_specs=cells, out_specs=cells, check_vma=False))


def device_memory() -> int:
    """Bytes of memory of the first device, of the whole machine where the device is its processor."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows does not say
        return 4_000_000_000
