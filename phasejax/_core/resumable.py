"""Experiments in independent parts, each of which is kept in a file as soon as it is computed.

A run that was killed goes on where it was: what it finds in its store it does not compute again. What is damaged, or
was computed with other settings or versions, it computes again and says so. Every experiment whose parts are computed
one by one (trainings over seeds, figures, long benchmarks) runs through `compute_parts`; sweeps over grids of models
have a store of their own, since their cells are batched.
"""

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jaxlib.version
import numpy as np

from phasejax._core.atomic_files import written_whole
from phasejax._core.devices import local_slots
from phasejax._core.executors import opened_executor
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.remote_tasks import Job, run_tasks
from phasejax._core.run_lock import RunLock
from phasejax._core.validation import check_count

Point = tuple[Any, ...]
Arrays = dict[str, np.ndarray]


def compute_parts(points: Sequence[Point], work: Callable[..., Mapping[str, Any]], *,
                  settings: str | Callable[..., str], store: str | Path | None = None,
                  progress: bool | ProgressCallback = False,
                  precision: Literal["float32", "float64"] | None = "float32", workers: int | None = None,
                  executor: Executor | str | None = None, task: str = "parts") -> list[Arrays]:
    """Arrays `work(*point)` of every point; several are computed side by side, and each is kept when it is done.

    The file of a point is named after its values, and after their names too if it is a named tuple: the
    points `(4, "a")` and `Trained(nu=0.5, seed=3)` have the files `4_a.npz` and `nu0.5_seed3.npz`. It is
    written in full or not at all. A file that is damaged, or was computed with other settings, precision, versions
    of JAX and phasejax or kind of device, is replaced, with a warning that says what differs.

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
        executor: who computes instead, as in `sweep`; the parts are kept by this process as they come back.
        task: what `progress` calls the parts.

    Returns:
        The arrays of the parts, in the order of `points`.

    Raises:
        ValueError: `workers` is no count, another run is writing to the store, or `work` cannot be sent to the workers
            of the executor, or they are unlike.
        ConnectionError: the executor has no workers any more.
        Exception: what `work` raises. Then, and on an interrupt, no part is begun any more; those that are
            being computed in other threads are waited for and kept.

    >>> compute_parts([(1,), (2,)], lambda seed: {"square": seed**2}, settings="squares")
    [{'square': array(1)}, {'square': array(4)}]
    """
    if workers is not None:
        check_count("workers", workers)
    kept = None if store is None else _Parts(Path(store), settings if callable(settings) else lambda *_: settings,
                                             precision)
    with contextlib.ExitStack() as held:
        found = {} if kept is None else kept.found(points)
        if kept is not None and len(found) < len(points):
            try:
                kept.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise type(error)(f"store: expected a folder that can be written, got {kept.folder} "
                                  f"({error.strerror or error})") from None
            held.enter_context(RunLock(kept.folder / ".lock", "store", kept.folder))
            found = kept.found(points, say=True)  # anew, since the run before may just have ended
        missing = [point for point in points if point not in found]

        def compute(point):
            part = _arrays(work, precision, point)
            if kept is not None:
                kept.keep(point, part)
            return part

        def computed_elsewhere(executor):
            again = "run again to start anew" if kept is None else f"run again to resume from {kept.folder}"
            job = Job(partial(_arrays, work, precision), "work", of_cores=True)
            for point, part in run_tasks(executor, job, missing, named=lambda point: f"part {point}", resume=again):
                if kept is not None:
                    kept.keep(point, part)
                yield point, part

        computing = (_computed(compute, missing, workers) if executor is None else
                     computed_elsewhere(held.enter_context(opened_executor(executor))))
        # Closed at once when anything is raised here, so that no thread begins another part.
        with reporting(progress) as tell, contextlib.closing(computing) as computed:
            tell(task, len(found), len(points))
            for point, part in computed:
                found[point] = part
                tell(task, len(found), len(points))
    return [found[point] for point in points]


def _arrays(work: Callable[..., Mapping[str, Any]], precision: str | None, point: Point) -> Arrays:
    """One part, computed in JAX's given precision."""
    with contextlib.nullcontext() if precision is None else jax.enable_x64(precision == "float64"):
        return {name: np.asarray(values) for name, values in work(*point).items()}


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


class _Parts:
    """The files of parts in a folder.

    Args:
        folder: where they are.
        settings: from the values of a point to the text that says what its part depends on.
        precision: of JAX, while they are computed.
    """

    def __init__(self, folder: Path, settings: Callable[..., str], precision: str | None):
        self.folder, self._settings = folder, settings
        here = computed_on()
        self._common = {"precision": precision or "that of the caller", "jaxlib": jaxlib.version.__version__,
                        **{name: here[name] for name in ("phasejax", "jax", "platform")}}

    def found(self, points: Sequence[Point], *, say: bool = False) -> dict[Point, Arrays]:
        """The parts that are there and sound, and, if it shall be said, a warning of those that are not."""
        found, damaged, different = {}, [], []
        for point in points:
            part = self._read(point)
            if isinstance(part, dict):
                found[point] = part
            elif part is not None:
                (different if part else damaged).append((self._path(point).name, part))
        for which, what in ((damaged, "damaged"), (different, different[0][1] if different else "")):
            if say and which:
                more = f" and {len(which) - 1} more" if len(which) > 1 else ""
                warnings.warn(f"store: parts of {self.folder} will be computed again: {which[0][0]}{more} ({what})",
                              UserWarning, stacklevel=4)
        return found

    def keep(self, point: Point, part: Arrays) -> None:
        """Write the file of a part."""
        with written_whole(self._path(point)) as unfinished:
            # The archive has a checksum of every array, but none of the list of arrays.
            about = json.dumps(self._about(point) | {"arrays": list(part)})
            # The stub of `savez` takes every name for that of its option.
            np.savez(unfinished, settings=about, **part)  # pyright: ignore[reportArgumentType]

    def _path(self, point: Point) -> Path:
        names = getattr(point, "_fields", ("",) * len(point))
        return self.folder / f"{'_'.join(f'{name}{value}' for name, value in zip(names, point, strict=True))}.npz"

    def _about(self, point: Point) -> dict[str, Any]:
        """What a part belongs to and was computed with."""
        return {"part": self._path(point).stem, **self._common, "settings": self._settings(*point)}

    def _read(self, point: Point) -> Arrays | str | None:
        """A part; or what it differs in from the one that is wanted, empty where it is damaged; None without a file."""
        path = self._path(point)
        if not path.exists():
            return None
        try:
            # Opened here, since `np.load` would leave a damaged file open.
            with open(path, "rb") as stream, np.load(stream) as archive:
                about, wanted = json.loads(str(archive["settings"])), self._about(point)
                different = [name for name in wanted if about[name] != wanted[name]]
                if different:
                    return _difference(different[0], about[different[0]], wanted[different[0]])
                return {name: archive[name] for name in about["arrays"]}
        except Exception:  # damage shows in errors of many types, and a file that cannot be read is no part
            return ""


def _difference(name: str, there: Any, here: Any) -> str:
    """In words, what differs in something that a part was computed with; of settings that are JSON, the first field."""
    if name == "settings":
        with contextlib.suppress(ValueError, TypeError):
            old, new = json.loads(there), json.loads(here)
            if isinstance(old, dict) and isinstance(new, dict):
                for field in (*new, *old):
                    if old.get(field) != new.get(field):
                        return f"{field} is {_short(old.get(field))} there, {_short(new.get(field))} here"
    return f"{name} is {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
