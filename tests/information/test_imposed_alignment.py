"""Imposed alignment: a cell of the grid beside the cell alone, the best strength, and bad values."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from phasejax.information import (
    IMPOSED_ALIGNMENT_PRESETS,
    ImposedAlignment,
    best_strength,
    run_imposed_alignment,
)
from phasejax.information._imposed_alignment import train_pair
from phasejax.information._shared_unique_bits import label_given_states, label_of_seed

TINY = ImposedAlignment(redundancies=(0, 8), strengths=(0.0, 2.0), seeds=2, n=64, steps=30, batch=32)


@pytest.mark.slow
def test_a_cell_of_the_grid_is_the_cell_alone():
    imposed = run_imposed_alignment(TINY)
    with ThreadPoolExecutor(2) as pool:
        xr.testing.assert_identical(run_imposed_alignment(TINY, executor=pool), imposed)
    model, key = label_of_seed(8, 1)
    alone = train_pair(key, jnp.float32(2.0), jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), model),
                       tuple(jnp.asarray(t, jnp.float32) for t in label_given_states(model)), experiment=TINY)
    cell = imposed.sel(redundancy=8, seed=1, strength=2.0)
    np.testing.assert_allclose(cell.accuracy, alone["accuracy"], atol=0.02)
    np.testing.assert_allclose(cell.alignment.sel(metric="cka"), alone["cka"], atol=5e-3)
    assert imposed.alignment.dims == ("metric", "redundancy", "seed", "strength")
    assert float(imposed.accuracy.min()) > 0.1
    assert (imposed.accuracy <= imposed.best_accuracy + 1e-6).all()
    # Even 30 steps raise the alignment.
    gained = imposed.alignment.sel(metric="cka").diff("strength")
    assert float(gained.mean()) > 0.02
    assert json.loads(imposed.experiment)["n"] == 64


def test_the_best_strength_and_its_interval():
    strengths = np.array([0.0, 1.0, 2.0])
    clear = np.array([[0.5, 0.6, 0.4], [0.5, 0.7, 0.4], [0.4, 0.6, 0.5]])
    assert best_strength(clear, strengths) == (1.0, 1.0, 1.0)
    torn = np.array([[0.9, 0.1, 0.0], [0.0, 0.1, 0.8]])
    assert best_strength(torn, strengths) == (0.0, 0.0, 2.0)


def test_presets_grow():
    sizes = [len(e.redundancies) * len(e.strengths) * e.seeds for e in IMPOSED_ALIGNMENT_PRESETS.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"strengths": (1.0, 0.0)}, "strengths: expected increasing values"),
    ({"strengths": (-1.0, 0.0)}, "strengths: expected finite values from 0 on"),
    ({"redundancies": (9,)}, "redundancies: expected 0 to 8, got"),
    ({"batch": 65}, "batch: expected at most 64, the rows, got 65"),
    ({"transform_depth": -1}, "transform_depth: expected 0 or more or None, got -1"),
])
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)
