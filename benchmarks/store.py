"""What becomes of stores that are damaged, killed, removed, copied or started twice.

Every case of a sweep's store ends with the sweep being run on what is left: it gives the dataset of an undisturbed run,
bit for bit, or is refused in one line; another dataset must never come of it. A finished store that was damaged is
opened before that, which must not pass unnoticed. The states of a training that were damaged are read again as a
training would that goes on: what is used must be one that was saved.
"""

import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from benchmarks.report import Row, row
from benchmarks.store_damages import damage_somewhere, damage_states, files_of, folders_of, save_states
from phasejax import SpikedModel, sweep
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.simulation import open_sweep

_AXES = {"kappa": np.linspace(0.5, 2, 60), "nu": np.linspace(0, 0.9, 64)}
_SAME, _REFUSED, _OTHER, _UNNOTICED = "the same dataset", "refused", "ANOTHER DATASET", "NOT NOTICED ON OPENING"
_CHILDREN: dict[tuple[str, int], subprocess.Popen[str]] = {}
_JOURNAL = Path("phasejax", "run", "journal.jsonl")


def run(*, flips: int = 240, several: int = 120, states: int = 250, every: int = 1, pairs: int = 50,
        store: Path | None = None, progress: bool | ProgressCallback = False) -> list[Row]:
    """Damage, kill and start twice, and count what comes of it.

    Args:
        flips: flipped bits, half of them in chunks.
        several: stores with two to six flipped bits, cut files, deleted files and deleted folders each.
        states: folders of trainings with one to four such damages.
        every: before which file operations of a run it is killed: 1 for all, 2 for every second one.
        pairs: simultaneous starts.
        store: where what is done is kept.
        progress: how to report.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.zarr"
        small_sweep(whole)
        operations = _in_child(Path(folder) / "counted.zarr", 10**9)["operations"]
        saved = Path(folder) / "trainings"
        save_states(saved)
        cases = {"flipped bit": range(flips), "deleted file": range(len(files_of(whole))), "emptied file": range(20),
                 "deleted folder": range(len(folders_of(whole))), "several damages": range(several),
                 "states of a training": range(states),
                 "removed or copied": range(len(_OTHER_CASES)), "two starts": range(pairs),
                 "killed": range(0, operations, every)}
        points = [(kind, number) for kind, numbers in cases.items() for number in numbers]
        work = {"flipped bit": _flip, "deleted file": _delete, "emptied file": _empty, "killed": _kill,
                "deleted folder": _delete_folder, "several damages": _damage_often,
                "states of a training": lambda _, place, number: damage_states(saved, place, number),
                "removed or copied": _other_case, "two starts": _start_twice}

        def one(kind: str, number: int) -> dict[str, str]:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                return {"outcome": work[kind](whole, Path(place), number)}

        try:
            done = compute_parts(points, one, settings=json.dumps({"sweep": 1}), store=store, progress=progress,
                                 precision=None, workers=1, task="stores")
        finally:
            close_children()
    counts = Counter((kind, str(part["outcome"])) for (kind, _), part in zip(points, done, strict=True))
    return [row(f"{kind} ({len(cases[kind])})", outcome, count, "1")
            for (kind, outcome), count in sorted(counts.items())]


def small_sweep(store: Path | None, **options) -> xr.Dataset:
    """A sweep of a second in four chunks of three variables."""
    return sweep(SpikedModel.homogeneous, _AXES, fixed={"k": 2, "d": 6}, quantities=["rho", "delta_ca", "regime"],
                 store=store, **options)


def _outcome(store: Path) -> str:
    """What a sweep on a store comes to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = small_sweep(store).load()
        except (ValueError, OSError) as error:
            return _REFUSED if "\n" not in str(error) else "traceback"
    aside = ", the store set aside" if list(store.parent.glob("run.zarr.damaged*")) else ""
    return (_SAME if _equal(found) else _OTHER) + aside


def _equal(found: xr.Dataset) -> bool:
    expected = _expected()
    return found.identical(expected) and all(
        found[name].values.tobytes() == expected[name].values.tobytes() for name in expected.variables)


@functools.cache
def _expected() -> xr.Dataset:
    """The dataset of a sweep without a store."""
    return small_sweep(None)


def _damaged(whole: Path, place: Path, file: Path, damage: Callable[[Path], None]) -> str:
    """A copy of a finished store with one file damaged: whether that is noticed on opening, and what a sweep makes."""
    store = place / "run.zarr"
    shutil.copytree(whole, store)
    damage(store / file)
    try:
        opened = open_sweep(store).load()
        noticed = "not named on opening, equal" if _equal(opened) else _UNNOTICED
    except ValueError as error:
        noticed = "named on opening" if file.name in str(error) or "journal" in str(file) or "identity" in str(
            file) else "refused on opening"
    return f"{noticed}; sweep: {_outcome(store)}"


def _flip(whole: Path, place: Path, number: int) -> str:
    rng, files = random.Random(number), files_of(whole)
    in_chunks = [file for file in files if "c" in file.parts and file.parts[0] in ("rho", "delta_ca", "regime")]
    file = rng.choice(in_chunks if number % 2 else [file for file in files if file not in in_chunks])

    def damage(path):
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)

    return _damaged(whole, place, file, damage)


def _delete(whole: Path, place: Path, number: int) -> str:
    return _damaged(whole, place, files_of(whole)[number], Path.unlink)


def _empty(whole: Path, place: Path, number: int) -> str:
    file = random.Random(number).choice(files_of(whole))
    return _damaged(whole, place, file, lambda path: path.write_bytes(path.read_bytes()[:number]))


def _delete_folder(whole: Path, place: Path, number: int) -> str:
    store = place / "run.zarr"
    shutil.copytree(whole, store)
    shutil.rmtree(store / folders_of(whole)[number])
    return f"{_opened(store)}; sweep: {_outcome(store)}"


def _damage_often(whole: Path, place: Path, number: int) -> str:
    store, rng = place / "run.zarr", random.Random(1000 + number)
    shutil.copytree(whole, store)
    for _ in range(rng.randint(2, 6)):
        damage_somewhere(store, rng)
    opened = _opened(store) if store.is_dir() else "refused on opening"
    return f"{opened}; sweep: {_outcome(store)}"


def _kill(whole: Path, place: Path, number: int) -> str:
    """A process that dies before one of its file operations, and the same sweep afterwards."""
    code = _in_child(place / "run.zarr", number)["code"]
    if code != -signal.SIGKILL:
        return f"not killed (exit code {code})"
    outcome = _outcome(place / "run.zarr")
    left = [name for name in os.listdir(place) if name != "run.zarr"]
    return f"sweep: {outcome}" + (f", left beside: {len(left)}" if left else "")


def _child(mode: str, number: int = 0) -> subprocess.Popen[str]:
    """A process that waits for stores."""
    if (mode, number) not in _CHILDREN:
        _CHILDREN[mode, number] = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.store_child", mode], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return _CHILDREN[mode, number]


def close_children() -> None:
    """End the processes that wait for stores, as they do with their standard input."""
    for child in _CHILDREN.values():
        child.communicate()
    _CHILDREN.clear()


def _ask(child: subprocess.Popen[str], *words: object) -> None:
    assert child.stdin is not None
    print(*words, file=child.stdin, flush=True)


def _answer(child: subprocess.Popen[str]) -> dict:
    assert child.stdout is not None
    return json.loads(child.stdout.readline())


def _in_child(store: Path, last: int) -> dict:
    """Exit code of a process that sweeps until it dies before a file operation, and how many it had if it did not."""
    _ask(_child("kill"), store, last)
    return _answer(_child("kill"))


def _half(place: Path) -> Path:
    """A store whose sweep was interrupted after two chunks."""
    def stop(task, done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    store = place / "run.zarr"
    try:
        small_sweep(store, progress=stop)
    except KeyboardInterrupt:
        return store
    raise RuntimeError("the sweep should have been interrupted")


def _removed(whole: Path, place: Path) -> str:
    store = _half(place)
    shutil.rmtree(store)
    return f"sweep: {_outcome(store)}"


def _copied_without_journal(whole: Path, place: Path) -> str:
    (place / "half").mkdir()
    store = _half(place / "half")
    (store / _JOURNAL).unlink()
    return f"{_opened(store)}; sweep: {_outcome(store)}"


def _finished_without_journal(whole: Path, place: Path) -> str:
    store = place / "run.zarr"
    shutil.copytree(whole, store, ignore=shutil.ignore_patterns(_JOURNAL.name))
    return f"{_opened(store)}; sweep: {_outcome(store)}"


def _without_run_folder(whole: Path, place: Path) -> str:
    store = place / "run.zarr"
    shutil.copytree(whole, store, ignore=shutil.ignore_patterns("phasejax"))
    return f"{_opened(store)}; sweep: {_outcome(store)}"


def _journal_of_another(whole: Path, place: Path) -> str:
    (place / "half").mkdir()
    store = _half(place / "half")
    shutil.copy(whole / _JOURNAL, store / _JOURNAL)
    return f"{_opened(store)}; sweep: {_outcome(store)}"


def _chunks_of_another(whole: Path, place: Path) -> str:
    """Two chunks of a finished store, sound in themselves, have changed places."""
    store = place / "run.zarr"
    shutil.copytree(whole, store)
    first, second = sorted((store / "rho" / "c").rglob("*"), key=lambda path: (path.is_dir(), path))[:2]
    first_content, second_content = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_content)
    second.write_bytes(first_content)
    return f"{_opened(store)}; sweep: {_outcome(store)}"


_OTHER_CASES = (_removed, _copied_without_journal, _finished_without_journal, _without_run_folder,
                _journal_of_another, _chunks_of_another)


def _opened(store: Path) -> str:
    try:
        return "not named on opening, equal" if _equal(open_sweep(store).load()) else _UNNOTICED
    except ValueError:
        return "refused on opening"


def _other_case(whole: Path, place: Path, number: int) -> str:
    return f"{_OTHER_CASES[number].__name__[1:].replace('_', ' ')}: {_OTHER_CASES[number](whole, place)}"


def _start_twice(whole: Path, place: Path, number: int) -> str:
    """Two processes that start the same command on one new store, as nearly at once as they can."""
    pair = [_child("start", which) for which in range(2)]
    for child in pair:
        _ask(child, place / "run.zarr")
    first, second = sorted(map(_answer, pair), key=lambda end: end["code"])
    if (first["code"], second["code"]) != (0, 2):
        return f"exit codes {first['code']} and {second['code']}"
    if not any(f"in use by process {child.pid} on {socket.gethostname()} for " in second["said"] for child in pair):
        return f"one winner, another refusal: {second['said']}"
    found = open_sweep(place / "run.zarr").load()
    return f"one winner, one clear refusal; {_SAME if found.identical(_expected_of_starts()) else _OTHER}"


@functools.cache
def _expected_of_starts() -> xr.Dataset:
    return sweep(SpikedModel.homogeneous, _AXES, fixed={"k": 2, "d": 6}, quantities=["error_ca", "error_cp"], n=60,
                 seeds=16, key=jax.random.key(0))
