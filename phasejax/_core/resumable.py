"""Experiments in parts: computed side by side, kept on disk, so that a run that was killed goes on where it was."""

import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import jax
import numpy as np

from phasejax._core.atomic_files import written_whole
from phasejax._core.devices import local_slots

Arrays = dict[str, np.ndarray]


def compute_parts(points: list[tuple], work: Callable[..., Arrays], *, settings: str, folder: str | Path | None = None,
                  report: Callable[[str], None] = lambda text: None) -> list[Arrays]:
    """`work(*point)` of every point, one on each core or device at a time, in the order of the points.

    Args:
        points: what tells the parts apart, also in the names of their files.
        work: gives the arrays of one part; it is called from several threads, in float32.
        settings: what all parts depend on; a saved part with others is computed again.
        folder: where parts are kept; nowhere when left out.
        report: gets a line after every part.
    """
    folder = None if folder is None else Path(folder)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    found = {point: _saved(folder, point, settings) for point in points}
    missing = [point for point, part in found.items() if part is None]
    report(f"{len(points) - len(missing)} of {len(points)} parts")
    stop, slots = threading.Event(), local_slots()

    def one(index, point):
        if stop.is_set():
            return None
        # Both settings belong to the thread.
        with jax.enable_x64(False), jax.default_device(slots[index % len(slots)]):
            part = {name: np.asarray(values) for name, values in work(*point).items()}
        if folder is not None:
            with written_whole(_path(folder, point)) as unfinished:
                np.savez(unfinished, settings=settings, **part)
        return part

    pool = ThreadPoolExecutor(len(slots))
    try:
        pending = {pool.submit(one, index, point): point for index, point in enumerate(missing)}
        for done, future in enumerate(as_completed(pending), start=len(points) - len(missing) + 1):
            found[pending[future]] = future.result()
            report(f"{done} of {len(points)} parts")
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    return [found[point] for point in points]


def _path(folder, point):
    return folder / f"{'_'.join(map(str, point))}.npz"


def _saved(folder, point, settings):
    if folder is None or not _path(folder, point).exists():
        return None
    try:
        with np.load(_path(folder, point)) as archive:
            if str(archive["settings"]) != settings:
                return None
            return {name: archive[name] for name in archive.files if name != "settings"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # not a part
        return None
