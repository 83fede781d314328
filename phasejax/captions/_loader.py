"""Batches in a shuffled order, copied and sent to the device while the one before is being trained on."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import jax
import numpy as np
from jaxtyping import Int

from phasejax._core.checked_call import checked
from phasejax._core.devices import cores
from phasejax._core.validation import check_count, check_seed
from phasejax.captions._pairs import CaptionPairs, CaptionRows, check_rows


@checked
def load_batches(pairs: CaptionPairs, batch: int, *, rows: Int[np.ndarray, "m"] | None = None, seed: int = 0,
                 epoch: int = 0, start: int = 0, sharding: jax.sharding.Sharding | None = None,
                 ahead: int = 4) -> Iterator[CaptionRows]:
    """One epoch in batches of equal size; rows at the end of the order that fill none are left out.

    Which rows are in which batch is a function of `seed` and `epoch`, so that a training that was stopped goes on with
    the batch after its last. Threads end with the iterator, also when it is closed or forgotten before its end.

    Args:
        pairs: images with captions; a memory map is read as batches need it.
        batch: rows in a batch.
        rows: numbers of the rows to go through, shape (m,); all when left out.
        seed, epoch: decide the order of the rows, and whose captions the `donors` are.
        start: so many batches are passed over, without reading them.
        sharding: where a batch goes, its rows over the devices; the default device when left out.
        ahead: batches that are read and sent before they are asked for.

    Returns:
        The batches in order, on the device.

    Raises:
        ValueError: a batch larger than the number of rows; a start beyond the end; a number that no row has.

    >>> from phasejax.captions import load_emoji
    >>> [len(batch.labels) for batch in load_batches(load_emoji(), 500, seed=1, epoch=3)]
    [500, 500, 500]
    """
    numbers = np.arange(len(pairs)) if rows is None else check_rows("rows", rows, len(pairs))
    check_count("batch", batch, 1, len(numbers))
    check_count("ahead", ahead)
    check_seed("seed", seed)
    check_count("epoch", epoch, 0)
    count = len(numbers) // batch
    check_count("start", start, 0, count)
    # Two numbers make one seed: neighbouring epochs of neighbouring seeds have nothing in common.
    key = np.random.SeedSequence([seed, epoch])
    order = np.random.default_rng(key).permutation(numbers)[:count * batch].reshape(count, batch)
    return _read_ahead(pairs, order[start:], int(key.generate_state(1, np.uint64)[0]), sharding, ahead)


def _read_ahead(pairs, order, seed, sharding, ahead):
    def read(index):
        return jax.device_put(pairs.rows(index, seed), sharding)

    pool = ThreadPoolExecutor(min(ahead, cores()), thread_name_prefix="phasejax-batches")
    try:
        waiting, coming = deque(), iter(order)
        waiting.extend(pool.submit(read, index) for index in islice(coming, ahead))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(read, index) for index in islice(coming, 1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
