"""Experiments in independent parts, each of which is kept in a file as soon as it is computed.

A run that was killed goes on where it was: what it finds in its store it does not compute again. Every
experiment whose parts are computed one by one (trainings over seeds, figures, long benchmarks) runs through
`compute_parts`; sweeps over grids of models have a store of their own, since their cells are batched.
"""

import contextlib
import threading
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from phasejax._core.atomic_files import written_whole
from phasejax._core.devices import local_slots
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count

Point = tuple[Any, ...]
Arrays = dict[str, np.ndarray]


def compute_parts(points: Sequence[Point], work: Callable[..., Mapping[str, Any]], *,
                  settings: str | Callable[..., str], store: str | Path | None = None,
                  progress: bool | ProgressCallback = False,
                  precision: Literal["float32", "float64"] | None = "float32", workers: int | None = None,
                  task: str = "parts") -> list[Arrays]:
    """Arrays `work(*point)` of every point; several are computed side by side, and each is kept when it is done.

    The file of a point is named after its values, and after their names too if it is a named tuple: the
    points `(4, "a")` and `Trained(nu=0.5, seed=3)` have the files `4_a.npz` and `nu0.5_seed3.npz`. It is
    written in full or not at all. A file that is damaged, or was computed with other settings, is replaced.

    Args:
        points: what tells the parts apart: tuples of numbers and of text that may stand in a file's name.
        work: computes one part: arrays, or values that `np.asarray` turns into arrays of numbers or text. With
            several workers it is called in threads of their own.
        settings: text that says all that a part depends on besides its point; or a function of the point's
            values that returns it.
        store: folder that keeps the parts, made if need be; None keeps them nowhere.
        progress: False, True for a bar, or a callback; called before the first part and after every part.
        precision: JAX's precision inside `work`. None leaves it as it is; note that `jax.enable_x64`
            holds only for the thread in which it is entered.
        workers: parts at a time. By default one on each local device, or on each core if the only device is a CPU.
            With 1 the parts are computed one after the other in the calling thread, on its default device: for
            timings, and for work that uses all cores by itself.
        task: what `progress` calls the parts.

    Returns:
        The arrays of the parts, in the order of `points`.

    Raises:
        ValueError: `workers` is no count.
        Exception: what `work` raises. Then, and on an interrupt, no part is begun any more; those that are
            being computed in other threads are waited for and kept.

    >>> compute_parts([(1,), (2,)], lambda seed: {"square": seed**2}, settings="squares")
    [{'square': array(1)}, {'square': array(4)}]
    """
    if workers is not None:
        check_count("workers", workers)
    store = None if store is None else Path(store)
    if store is not None:
        store.mkdir(parents=True, exist_ok=True)
    settings_of = settings if callable(settings) else lambda *_: settings
    found: dict[Point, Arrays] = {}
    for point in points:
        if store is not None and (part := _saved_part(_path(store, point), settings_of(*point))) is not None:
            found[point] = part
    missing = [point for point in points if point not in found]

    def compute(point):
        in_precision = contextlib.nullcontext() if precision is None else jax.enable_x64(precision == "float64")
        with in_precision:
            part = {name: np.asarray(values) for name, values in work(*point).items()}
        if store is not None:
            with written_whole(_path(store, point)) as unfinished:
                # The stub of `savez` takes every name for that of its option.
                np.savez(unfinished, settings=settings_of(*point), **part)  # pyright: ignore[reportArgumentType]
        return part

    # Closed at once when anything is raised here, so that no thread begins another part.
    with reporting(progress) as tell, contextlib.closing(_computed(compute, missing, workers)) as computed:
        tell(task, len(found), len(points))
        for point, part in computed:
            found[point] = part
            tell(task, len(found), len(points))
    return [found[point] for point in points]


def _computed(compute: Callable[[Point], Arrays], points: list[Point],
              workers: int | None) -> Generator[tuple[Point, Arrays], None, None]:
    """Every point with its part, in the order in which they are done."""
    if workers == 1:
        yield from ((point, compute(point)) for point in points)
        return
    stop, slots = threading.Event(), local_slots()

    def in_slot(index, point):
        if stop.is_set():
            raise CancelledError
        with jax.default_device(slots[index % len(slots)]):  # belongs to the thread, like the precision
            return compute(point)

    pool = ThreadPoolExecutor(workers or len(slots))
    try:
        pending = {pool.submit(in_slot, index, point): point for index, point in enumerate(points)}
        for future in as_completed(pending):
            yield pending[future], future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _path(store: Path, point: Point) -> Path:
    names = getattr(point, "_fields", ("",) * len(point))
    return store / f"{'_'.join(f'{name}{value}' for name, value in zip(names, point, strict=True))}.npz"


def _saved_part(path: Path, settings: str) -> Arrays | None:
    """The arrays in a file of `compute_parts`; None where there are none of these settings."""
    if not path.exists():
        return None
    try:
        # Opened here, since `np.load` would leave a damaged file open.
        with open(path, "rb") as stream, np.load(stream) as archive:
            if str(archive["settings"]) != settings:
                return None
            return {name: archive[name] for name in archive.files if name != "settings"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # damaged, or another file by that name
        return None
