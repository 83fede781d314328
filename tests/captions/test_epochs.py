"""Trainings on images and captions by the grid engine: what an epoch sees, and runs that are killed."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.captions import CaptionExperiment, present
from phasejax.captions._epochs import CaptionEpochs
from phasejax.captions._sources import open_captions
from phasejax.deep import _grid, train_grid
from phasejax.deep._grid import cells_of
from tests.captions.conftest import TINY


def a_cell(experiment, number=0):
    return jax.tree.map(lambda leaf: leaf[number], cells_of(experiment))


@pytest.fixture(scope="module")
def epochs():
    return CaptionEpochs(TINY, "cp", open_captions(TINY))


@pytest.mark.slow
def test_an_epoch_is_steps_on_what_is_drawn_for_its_rows(epochs):
    """Against a loop over batches of the training's own step, with images presented batch by batch."""
    cell = a_cell(TINY, 1)
    found, losses = epochs.epoch(epochs.start(cell), cell)
    split, key = epochs.source.split(cell), jax.random.fold_in(cell.data, 2)
    order = np.asarray(jax.random.permutation(jax.random.fold_in(cell.start, 0), jnp.asarray(split.train)))
    params, values = epochs.training.start(cell.start), []
    for rows in order[:epochs.batches * TINY.batch].reshape(-1, TINY.batch):
        seen = present(key, epochs.source.pairs.rows(rows), epochs.nuisance, 0.5, 0.0)
        params, metrics = epochs.training.step(params, seen, key)
        values.append(float(metrics["loss"]))
    np.testing.assert_allclose(losses[0], np.mean(values), rtol=1e-5)
    # Validation rows look the same after every epoch.
    assert float(epochs._held_out_loss(found.params, cell)) == float(losses[1])
    for one, other in zip(jax.tree.leaves(found.params.params), jax.tree.leaves(params.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_distortions_change_from_epoch_to_epoch(epochs):
    cell = a_cell(TINY, 1)
    state = epochs.start(cell)

    def first_seen(epoch):
        at = replace(state, epochs=jnp.array(epoch))
        block, _ = next(epochs._resident_blocks(at, cell))
        return block

    same, again, other = first_seen(0), first_seen(0), first_seen(1)
    np.testing.assert_array_equal(same.images, again.images)
    assert not np.allclose(np.sort(same.images.ravel()), np.sort(other.images.ravel()))


def test_batches_from_a_loader_are_those_of_an_epoch(epochs):
    """Every training row once, in an order that depends on seed and epoch; the same rows look the same."""
    cell = a_cell(TINY)
    state = epochs.start(cell)
    loaded = [block.images[0] for block, _ in epochs._loaded_blocks(state, cell)]
    assert len(loaded) == epochs.batches
    resident = np.concatenate([np.asarray(block.images).reshape(-1, 16 * 16 * 3)
                               for block, _ in epochs._resident_blocks(state, cell)])
    rows = np.concatenate(loaded).reshape(-1, 16 * 16 * 3)
    # Of the training rows all but those that fill no batch are seen, either way; most are the same.
    common = {row.tobytes() for row in rows} & {row.tobytes() for row in resident}
    assert len(common) >= len(epochs.source.split(cell).train) - 2 * TINY.batch


def test_a_batch_larger_than_the_validation_rows_is_refused():
    with pytest.raises(ValueError, match="batch: expected at most 30, the validation rows, got 40"):
        CaptionEpochs(replace(TINY, batch=40), "cp", open_captions(TINY))


@pytest.mark.slow
def test_a_training_that_diverges_is_told_and_left(epochs):
    cell = a_cell(TINY, 1)
    state = epochs.start(cell)
    broken = replace(state, params=jax.tree.map(
        lambda leaf: leaf * jnp.nan if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state.params))
    found, losses = epochs.epoch(broken, cell)
    assert np.isnan(losses).all()
    assert bool(found.diverged)
    assert bool(epochs.stopped(found))
    jax.tree.map(np.testing.assert_array_equal, found.best, state.best)  # what was best before is kept


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_result(epochs, tmp_path, monkeypatch):
    """Against epochs one after the other that were never saved; kills are tried in `tests/deep/test_grid.py`."""
    experiment, told = replace(TINY, objectives=("cp",), noises=(0.5,)), []
    monkeypatch.setattr(_grid, "_SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(CaptionExperiment, "trainings", lambda self, progress: lambda objective: epochs)

    def interrupt(task, done, total):
        told.append(done)
        if told == [1, 2]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_grid(experiment, store=tmp_path, progress=interrupt)
    found = train_grid(experiment, store=tmp_path, progress=interrupt)
    assert told == [1, 2, 2]
    cell = a_cell(experiment)
    state = epochs.start(cell)
    for _ in range(2):
        state, losses = epochs.epoch(state, cell)
    # First parameters of one program and of many differ in the last digit.
    np.testing.assert_allclose(found.curves.loss.squeeze()[-1], losses, rtol=1e-5)
    jax.tree.map(lambda kept, best: np.testing.assert_allclose(kept[0], best, rtol=1e-4, atol=1e-6), found.params["cp"],
                 state.best)
