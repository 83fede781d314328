"""Batches come in an order that seed and epoch decide, and threads end with the iterator."""

import threading
from dataclasses import replace

import jax
import numpy as np
import pytest

from phasejax.captions import CaptionPairs, load_batches, load_emoji


@pytest.fixture(scope="module")
def pairs():
    return load_emoji().select(np.arange(50))


def indices(batches):
    return [np.asarray(batch.index).tolist() for batch in batches]


def test_every_row_is_there_at_most_once_and_the_order_is_that_of_seed_and_epoch(pairs):
    rows = np.arange(3, 50)
    first = indices(load_batches(pairs, 9, rows=rows, seed=1, epoch=2))
    assert [len(one) for one in first] == [9] * 5
    assert len({i for one in first for i in one} & set(rows.tolist())) == 45
    assert first == indices(load_batches(pairs, 9, rows=rows, seed=1, epoch=2, ahead=1))
    for seed, epoch in ((1, 3), (2, 1), (2, 2)):
        assert indices(load_batches(pairs, 9, rows=rows, seed=seed, epoch=epoch)) != first
    # Continued after the third batch.
    assert indices(load_batches(pairs, 9, rows=rows, seed=1, epoch=2, start=3)) == first[3:]
    assert indices(load_batches(pairs, 9, rows=rows, seed=1, epoch=2, start=5)) == []


def test_rows_are_those_of_the_pairs_and_donors_have_their_label(pairs):
    batch = next(load_batches(pairs, 20))
    assert isinstance(batch.images, jax.Array)
    index = np.asarray(batch.index)
    for name in ("images", "tokens", "labels"):
        assert np.array_equal(getattr(batch, name), getattr(pairs, name)[index])


def test_donors_are_other_rows_of_the_same_label_whatever_is_asked_for_with_them():
    pairs = load_emoji()
    index = np.arange(len(pairs))
    donors = pairs._donors(index, 3)
    assert np.array_equal(pairs.rows(index, seed=3).donors, pairs.tokens[donors])
    assert np.array_equal(pairs.labels[donors], pairs.labels)
    assert (donors != index).all()
    assert np.array_equal(pairs._donors(index[700:710], 3), donors[700:710])
    assert (pairs._donors(index, 4) != donors).mean() > 0.9
    # Uniform over the other rows of the smallest label, 85 rows with 84 others: 1000 draws for each, 5 standard errors.
    rows = np.flatnonzero(pairs.labels == np.argmin(np.bincount(pairs.labels)))
    drawn = np.concatenate([pairs._donors(rows, seed) for seed in range(1000)])
    counts = np.array([(drawn == row).sum() for row in rows])
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_threads_end_with_the_iterator(pairs):
    def running():
        return [thread for thread in threading.enumerate() if thread.name.startswith("phasejax-batches")]

    batches = load_batches(pairs, 5)
    next(batches)
    assert running()
    batches.close()
    assert not running()
    list(load_batches(pairs, 5))
    assert not running()


@pytest.mark.parametrize(("given", "said"), [
    ({"batch": 51}, "batch: expected a whole number from 1 to 50, got 51"),
    ({"batch": 5, "start": 11}, "start: expected a whole number from 0 to 10, got 11"),
    ({"batch": 5, "seed": -1}, "seed: expected"), ({"batch": 5, "ahead": 0}, "ahead: expected"),
    ({"batch": 1, "rows": np.array([50])}, "rows: expected numbers of rows from 0 to 49, got 50 to 50"),
    ({"batch": 1, "rows": np.array([-1])}, "rows: expected numbers of rows from 0 to 49, got -1 to -1")])
def test_batches_that_cannot_be_are_refused(pairs, given, said):
    with pytest.raises(ValueError, match=said):
        load_batches(pairs, **given)


@pytest.mark.parametrize(("changed", "said"), [
    ({"labels": np.full(50, 9)}, "labels: expected numbers from 0 to 8, got 9 to 9"),
    ({"tokens": np.full((50, 1, 4), -1)}, "tokens: expected numbers from 0 to")])
def test_pairs_that_do_not_fit_together_are_refused(pairs, changed, said):
    with pytest.raises(ValueError, match=said):
        replace(pairs, **changed)
    assert isinstance(pairs, CaptionPairs)
