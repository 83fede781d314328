"""Share a sweep out to the workers of an executor: each computes chunks and writes them itself where there is a store.

Workers get the stages of the sweep once, and then only which chunk is next. They trace and compile the programs for
themselves. A chunk has the same shape wherever it is computed, since this process has chosen it.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from phasejax._core.remote_tasks import Job, run_tasks
from phasejax.simulation._chunk_writer import ChunkWriter
from phasejax.simulation._stage import Box, Stage
from phasejax.simulation._store import Memory
from phasejax.simulation._zarr_store import ZarrStore

_ARGUMENT = "build and quantities"
_WRITING = threading.Lock()  # a writer serves one thread at a time


def check_can_be_sent(stages: Sequence[Stage]) -> None:
    """Refuse stages that cannot be sent to workers, before anything is written.

    Raises:
        ValueError: functions that cannot be pickled.
    """
    Job(partial(_compute, stages, None), _ARGUMENT)


def share_out(executor: Executor, stages: Sequence[Stage], results: Memory | ZarrStore,
              advance: Callable[[int], None]) -> None:
    """Compute what `results` does not hold yet on the workers of an executor.

    Args:
        executor: any.
        stages: of the sweep.
        results: where the results go; the workers write to a store themselves.
        advance: called with 0 at the start, then with the number of cells of chunks that are finished.

    Raises:
        ValueError, ConnectionError: as `run_tasks`.
    """
    advance(0)
    missing: list[tuple[int, Box]] = []
    for number, stage in enumerate(stages):
        boxes = list(stage.boxes(results.chunk_shape(next(iter(stage.quantities)))))
        of_stage = [(number, box) for box in boxes if not results.is_done(box.key)]
        if len(of_stage) < len(boxes):
            advance(stage.cells - sum(box.cells for _, box in of_stage))
        missing += of_stage
    writer = results.writer if isinstance(results, ZarrStore) else None
    again = "run the sweep again to start anew" if writer is None else f"run again to resume from {writer.path}"
    job = Job(partial(_compute, stages, writer), _ARGUMENT)
    for (_, box), found in run_tasks(executor, job, missing, named=_named, resume=again):
        if isinstance(results, ZarrStore):
            results.record(found)
        else:
            results.write(box.key, box.region, found)
        advance(box.cells)


def _named(task: tuple[int, Box]) -> str:
    return f"chunk {task[1].key!r}"


def _compute(stages: Sequence[Stage], writer: ChunkWriter | None, task: tuple[int, Box]) -> Any:
    """The results of a chunk, or the record of what was written."""
    number, box = task
    values = stages[number].compute(box)
    if writer is None:
        return values
    with _WRITING:
        return writer.write(box.key, box.region, values)
