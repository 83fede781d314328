"""Experiments in parts: what is kept, what is computed again, and what happens when a run is stopped."""

import json
import os
import signal
import threading
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax._core.resumable import compute_parts


class Training(NamedTuple):
    nu: float
    seed: int


def test_parts_of_other_settings_are_replaced(tmp_path):
    def run(settings, value):
        return compute_parts([(1, "a")], lambda *_: {"v": np.array(value)}, settings=settings, store=tmp_path)[0]["v"]

    assert run("one", 1.0) == 1.0
    assert run("one", 2.0) == 1.0
    assert run("two", 3.0) == 3.0
    assert [file.name for file in tmp_path.iterdir()] == ["1_a.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive at all"])
def test_damaged_and_foreign_files_are_replaced(tmp_path, content):
    (tmp_path / "1.npz").write_bytes(content)
    for value in (4.0, 5.0):
        (found,) = compute_parts([(1,)], lambda _, value=value: {"v": value}, settings="", store=tmp_path)
        assert found["v"] == 4.0
    np.savez(tmp_path / "1.npz", other=1.0)
    (found,) = compute_parts([(1,)], lambda _: {"v": 6.0}, settings="", store=tmp_path)
    assert found["v"] == 6.0


def test_settings_may_depend_on_the_point_and_files_bear_its_names(tmp_path):
    points, computed = [Training(0.25, 0), Training(0.5, 1)], []

    def work(nu, seed):
        computed.append(seed)
        return {"v": nu + seed}

    def run(digest):
        return compute_parts(points, work, settings=lambda nu, seed: f"{nu} {digest[seed]}", store=tmp_path / "new")

    assert [float(part["v"]) for part in run("ab")] == [0.25, 1.5]
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["nu0.25_seed0.npz", "nu0.5_seed1.npz"]
    computed.clear()
    run("ac")
    assert computed == [1]


def test_text_is_kept_and_one_worker_stays_in_the_calling_thread(tmp_path):
    threads, told = [], []

    def work(name):
        threads.append(threading.current_thread())
        return {"rows": json.dumps([{"case": name, "value": 1.5}])}

    def run():
        return compute_parts([("b",), ("a",)], work, settings="", store=tmp_path, workers=1, precision=None,
                             progress=lambda *event: told.append(event))

    first = run()
    assert threads == [threading.current_thread()] * 2
    assert told == [("parts", 0, 2), ("parts", 1, 2), ("parts", 2, 2)]
    told.clear()
    again = run()
    assert told == [("parts", 2, 2)]
    assert [json.loads(str(part["rows"]))[0]["case"] for part in again] == ["b", "a"]
    assert first == again


@pytest.mark.parametrize(("precision", "workers", "expected"), [
    ("float32", None, "float32"), ("float64", None, "float64"), ("float64", 1, "float64"), (None, 1, "float64")])
def test_precision_is_that_asked_for_or_the_callers(precision, workers, expected):
    with jax.enable_x64(True):
        (found,) = compute_parts([(1,)], lambda _: {"v": jnp.zeros(2)}, settings="", precision=precision,
                                 workers=workers)
    assert found["v"].dtype == expected


def test_workers_are_a_count():
    with pytest.raises(ValueError, match=r"^workers: expected a whole number of at least 1, got 0$"):
        compute_parts([(1,)], lambda _: {}, settings="", workers=0)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_work_raises_ends_the_run_and_keeps_what_is_done(tmp_path, workers):
    begun = []

    def work(number):
        begun.append(number)
        if number == 1:
            raise RuntimeError("part 1 fails")
        time.sleep(0.05)
        return {"v": number}

    with pytest.raises(RuntimeError, match="part 1 fails"):
        compute_parts([(i,) for i in range(50)], work, settings="", store=tmp_path, workers=workers)
    assert len(begun) < 10
    kept = {int(file.stem) for file in tmp_path.iterdir()}
    assert kept == set(begun) - {1}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_the_run_and_keeps_what_is_done(tmp_path, workers):
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        return {"v": number}

    with pytest.raises(KeyboardInterrupt):
        compute_parts([(i,) for i in range(50)], work, settings="", store=tmp_path, workers=workers)
    assert len(begun) < 10
    kept = {int(file.stem) for file in tmp_path.iterdir()}
    assert kept == (set(begun) if workers == 2 else {0, 1, 2})
