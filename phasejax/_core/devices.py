"""TODO module docstring of _core.devices."""

import os
from collections.abc import Callable

import jax
from jax.sharding import Mesh, PartitionSpec


def local_slots() -> tuple[jax.Device, ...]:
    """All local devices; a single CPU device once for every core, since one call uses one core."""
    devices = jax.local_devices()
    if len(devices) > 1 or devices[0].platform != "cpu":
        return tuple(devices)
    return tuple(devices) * cores()


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_CELLS_AT_ONCE = 64  # on an accelerator; activations of one cell take about 150 MB at 64 x 64 pixels


def over_cells(function: Callable, devices: list) -> Callable:
    """A compiled function of many cells from one of a single cell; see the text of the module."""
    if devices[0].platform == "cpu":
        def many(*arguments):
            return jax.lax.map(lambda one: function(*one), arguments)
    else:
        many = jax.vmap(function)
    if len(devices) == 1:
        return jax.jit(many)
    mesh, cells = Mesh(devices, ("cells",)), PartitionSpec("cells")
    # Every device works on its own cells: without this a program is partitioned in its inside.
    return jax.jit(jax.shard_map(many, mesh=mesh, in_specs=cells, out_specs=cells, check_vma=False))
