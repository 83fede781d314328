"""Experiments in parts: what is kept, what is computed again, and what happens when a run is stopped."""

import json
import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
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
    with pytest.warns(UserWarning, match=r"computed again: 1_a.npz \(settings is one there, two here\)$"):
        assert run("two", 3.0) == 3.0
    with pytest.warns(UserWarning, match=r"computed again: 1_a.npz \(settings is two there, {\"n\": 2} here\)$"):
        assert run('{"n": 2}', 4.0) == 4.0
    with pytest.warns(UserWarning, match=r"computed again: 1_a.npz \(n is 2 there, 3 here\)$"):
        assert run('{"n": 3}', 5.0) == 5.0
    assert run('{"n": 3}', 6.0) == 5.0
    assert [file.name for file in tmp_path.iterdir()] == ["1_a.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive at all"])
def test_damaged_and_foreign_files_are_replaced(tmp_path, content):
    def run(value):
        (found,) = compute_parts([(1,)], lambda _: {"v": value}, settings="", store=tmp_path)
        return found["v"]

    def damaged():
        return pytest.warns(UserWarning, match=r"^store: parts of .* will be computed again: 1.npz \(damaged\)$")

    (tmp_path / "1.npz").write_bytes(content)
    with damaged():
        assert run(4.0) == 4.0
    assert run(5.0) == 4.0
    np.savez(tmp_path / "1.npz", other=1.0)
    with damaged():
        assert run(6.0) == 6.0


def test_no_changed_byte_gives_another_part(tmp_path):
    """Bytes of all parts of a file in turn."""
    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compute_parts([(1,)], lambda _: {"v": np.arange(3.0)}, settings="", store=tmp_path, workers=1)

    whole = run()
    content = (tmp_path / "1.npz").read_bytes()
    for place in range(0, len(content), 19):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (tmp_path / "1.npz").write_bytes(changed)
        (found,) = run()
        assert {name: values.tolist() for name, values in found.items()} == {"v": whole[0]["v"].tolist()}


def test_a_part_under_the_name_of_another_and_one_of_other_versions_are_replaced(tmp_path, monkeypatch):
    def run(seed):
        (found,) = compute_parts([(seed,)], lambda seed: {"v": seed}, settings="", store=tmp_path)
        return found["v"]

    run(1)
    (tmp_path / "1.npz").rename(tmp_path / "2.npz")
    with pytest.warns(UserWarning, match=r"2.npz \(part is 1 there, 2 here\)"):
        assert run(2) == 2
    monkeypatch.setattr("jax.__version__", "9.9")
    with pytest.warns(UserWarning, match=r"2.npz \(jax is .* there, 9.9 here\)"):
        assert run(2) == 2


def test_a_second_run_on_a_store_is_refused_unless_all_is_done(tmp_path):
    def again(points, _=None):
        return compute_parts(points, lambda seed: {"v": seed}, settings="", store=tmp_path)

    again([(0,)])

    def work(seed):
        again([(0,)])
        again([(7,)])
        return {"v": seed}

    with pytest.raises(ValueError, match=r"^store: expected a folder that no other run is using, got .* by process"):
        compute_parts([(1,)], work, settings="", store=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["0.npz"]


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
    with pytest.warns(UserWarning, match=r"nu0.5_seed1.npz \(settings is 0.5 b there, 0.5 c here\)"):
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


def test_parts_by_an_executor(tmp_path):
    """Those that are kept are not computed again; the others come from the executor, in the precision asked for."""
    def work(seed):
        return {"v": jnp.full(2, seed) / 3}

    def parts(points, **options):
        return compute_parts([(point,) for point in points], work, settings="", store=tmp_path, precision="float64",
                             **options)

    first, seen = parts([1.0, 2.0]), []
    with ThreadPoolExecutor(2) as executor:
        both = parts([1.0, 2.0, 4.0], executor=executor, progress=lambda task, done, total: seen.append(done))
    assert seen == [2, 3]
    np.testing.assert_array_equal([part["v"] for part in both], np.array([[1, 1], [2, 2], [4, 4]]) / 3)
    np.testing.assert_array_equal(both[0]["v"], first[0]["v"])
    again = parts([4.0])
    np.testing.assert_array_equal(again[0]["v"], both[2]["v"])
