"""Emergent alignment: a tiny run that goes on where it was, alignment of layers, its correlation, and bad values."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from phasejax.information import (
    EMERGENT_ALIGNMENT_PRESETS,
    EmergentAlignment,
    correlation_with_accuracy,
    run_emergent_alignment,
)
from phasejax.information._emergent_alignment import layer_alignment

TINY = EmergentAlignment(redundancies=(0, 8), transform_depths=(0, 2), depths=(1, 2), seeds=2, steps=30, batch=64,
                         rows=64, neighbours=5)


@pytest.mark.slow
def test_parts_are_used_again(tmp_path):
    found = run_emergent_alignment(TINY, store=tmp_path)
    assert found.accuracy_y.shape == (2, 2, 2, 2)
    assert found.alignment.dims == ("metric", "seed", "redundancy", "transform_depth", "depth")
    assert np.isfinite(found.alignment).all()
    told = []
    again = run_emergent_alignment(TINY, store=tmp_path, progress=lambda *event: told.append(event))
    xr.testing.assert_identical(found, again)
    assert told == [("encoders of x", 2, 2), ("encoders of y", 4, 4)]
    with ThreadPoolExecutor(2) as pool:
        xr.testing.assert_identical(run_emergent_alignment(TINY, executor=pool), found)
    # The more is redundant, the more an encoder can learn from x alone, for every seed.
    assert (found.accuracy_x.sel(redundancy=8) > found.accuracy_x.sel(redundancy=0)).all()


def test_the_largest_alignment_of_layers_is_found():
    rng = np.random.default_rng(0)
    same = rng.standard_normal((50, 3))
    x = jnp.asarray(np.stack([rng.standard_normal((50, 3)), same]), jnp.float32)
    y = jnp.asarray(np.stack([rng.standard_normal((50, 3)), rng.standard_normal((50, 3)), 2 * same]), jnp.float32)
    np.testing.assert_allclose(layer_alignment(x, y, 5), 1, atol=1e-5)
    assert float(layer_alignment(x, y[:2], 5).max()) < 0.5


def test_correlation_is_over_depths():
    rng = np.random.default_rng(0)
    accuracy, alignment = rng.random((2, 3, 2, 4)), rng.random((2, 2, 3, 2, 4))
    dims = ("seed", "redundancy", "transform_depth", "depth")
    found = correlation_with_accuracy(xr.Dataset({"accuracy_y": (dims, accuracy),
                                                  "alignment": (("metric", *dims), alignment)}))
    assert float(found[1, 0, 2, 1]) == pytest.approx(np.corrcoef(alignment[1, 0, 2, 1], accuracy[0, 2, 1])[0, 1])


def test_presets_grow():
    sizes = [len(e.redundancies) * len(e.transform_depths) * len(e.depths) * e.seeds
             for e in EMERGENT_ALIGNMENT_PRESETS.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"depths": (0, 1)}, "depths: expected increasing values from 1 to 100"),
    ({"neighbours": 64}, "neighbours: expected fewer than the 64 rows, got 64"),
    ({"seeds": 0}, "seeds: expected a whole number of at least 1, got 0"),
])
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)
