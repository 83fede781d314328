"""Where computations run, and programs of many cells made of the function of a single one."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax._core import devices
from phasejax._core.devices import cores, local_slots, over_cells
from tests.support import as_users_run


def test_a_cpu_has_a_slot_for_every_core(monkeypatch):
    assert 1 <= cores() <= os.cpu_count()
    monkeypatch.setattr(devices, "cores", lambda: 3)
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices("cpu")[:1])
    assert local_slots() == tuple(jax.devices("cpu")[:1]) * 3


def test_several_devices_have_a_slot_each(monkeypatch):
    pair = jax.devices("cpu")[:1] * 2
    monkeypatch.setattr(devices, "cores", lambda: 3)
    monkeypatch.setattr(jax, "local_devices", lambda: pair)
    assert local_slots() == tuple(pair)


def test_cells_are_the_function_of_each():
    def function(cell, scale):
        return {"sum": jnp.sum(cell["a"]) * scale, "scale": scale}

    cells, scales = {"a": np.arange(12.0).reshape(4, 3)}, np.arange(4.0)
    found = over_cells(function, jax.local_devices()[:1])(cells, scales)
    np.testing.assert_allclose(found["sum"], cells["a"].sum(1) * scales)
    np.testing.assert_allclose(found["scale"], scales)


@pytest.mark.slow
def test_several_devices_share_the_cells():
    code = """
import jax, jax.numpy as jnp, numpy as np
from phasejax._core.devices import local_slots, over_cells
devices = jax.local_devices()
assert len(devices) == 2 and local_slots() == tuple(devices)
matrices = np.random.default_rng(0).standard_normal((6, 3, 3)).astype(np.float32)
found = over_cells(lambda m: jnp.linalg.svd(m, compute_uv=False), devices)(matrices)
assert len(found.sharding.device_set) == 2
np.testing.assert_allclose(found, np.linalg.svd(matrices, compute_uv=False), rtol=1e-5)
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=as_users_run() | flags)
