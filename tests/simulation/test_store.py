"""A sweep that is killed goes on where it stopped, and ends with the dataset of one that was not."""

import contextlib
import errno
import hashlib
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from benchmarks import store as damaged_stores
from phasejax import SpikedModel, sweep
from phasejax._core.run_lock import RunLock
from phasejax.io import InputNote
from phasejax.simulation import QUANTITIES, _store_files, _zarr_store, open_sweep
from phasejax.simulation._chunk_writer import ChunkWriter
from phasejax.simulation._journal import Journal
from phasejax.simulation._store import Variable
from tests.support import ROOT

AXES = {"kappa": np.linspace(0.5, 2, 30), "nu": np.linspace(0, 0.9, 20)}
OPTIONS = {"fixed": {"k": 2, "d": 6}, "quantities": ["regime", "error_ca", "canonical_correlations"], "n": 50,
           "seeds": 4, "key": jax.random.key(0)}

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from tests.simulation.test_store import AXES, OPTIONS
import phasejax as pj
seen = set()
def die(task, done, total):
    seen.add(done)
    if len(seen - {0}) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
pj.sweep(pj.SpikedModel.homogeneous, AXES, store=sys.argv[1], progress=die, **OPTIONS)
"""


def run(store, **options):
    return sweep(SpikedModel.homogeneous, AXES, store=store, **OPTIONS | options)


@pytest.fixture(scope="module")
def whole():
    return sweep(SpikedModel.homogeneous, AXES, **OPTIONS)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished store, which no test may change."""
    store = tmp_path_factory.mktemp("store") / "run.zarr"
    run(store)
    return store


def test_a_store_holds_the_same_dataset(finished, whole):
    store = finished
    with xr.open_zarr(store, chunks=None, consolidated=False) as read:
        xr.testing.assert_identical(read.load().drop_attrs(), whole.drop_attrs())
    seen = []
    found = run(store, progress=lambda task, done, total: seen.append(done))
    xr.testing.assert_identical(found.load(), whole)
    assert seen == [600, 600 + 2400]  # one call for each stage: nothing is compiled or computed again
    assert os.listdir(store.parent) == ["run.zarr"]
    with xr.open_zarr(store, chunks=None, consolidated=False) as read:
        assert read.sizes["nu"] == 20


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path, whole):
    """kill -9 from inside after two chunks, then from outside at an arbitrary moment, then to the end."""
    store = tmp_path / "run.zarr"
    command = [sys.executable, "-c", KILLED, str(store)]
    assert subprocess.run([*command, "2", str(ROOT)]).returncode == -signal.SIGKILL
    journal = store / "phasejax" / "run" / "journal.jsonl"
    done = len(journal.read_text().splitlines())
    assert done >= 1 + 2  # the store's identity, then a line for each chunk
    process = subprocess.Popen([*command, "100000", str(ROOT)])
    begin = time.monotonic()
    while len(journal.read_text().splitlines()) < done + 2 and time.monotonic() < begin + 100:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert "finished" not in journal.read_text(), "the second process should have been killed before its end"

    seen = []
    xr.testing.assert_identical(run(store, progress=lambda task, done, total: seen.append(done)).load(), whole)
    assert seen[0] > 0  # what was done counts at once
    assert seen[-1] == 600 + 2400
    assert "finished" in journal.read_text().splitlines()[-1]


def test_what_is_half_written_is_written_again(tmp_path, finished, whole):
    store = tmp_path / "run.zarr"
    shutil.copytree(finished, store)
    journal = store / "phasejax" / "run" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])  # the last line is torn
    chunks = sorted(p for p in (store / "error_ca" / "c").rglob("*") if p.is_file())
    chunks[0].write_bytes(chunks[0].read_bytes()[:7])
    chunks[-1].unlink()
    with pytest.warns(InputNote, match=r"^store: 2 damaged chunks of .*run\.zarr will be computed again: error_ca/c/0"):
        xr.testing.assert_identical(run(store).load(), whole)
    xr.testing.assert_identical(open_sweep(store).load(), whole)


@pytest.mark.parametrize(("change", "message"), [
    ({"n": 60}, "n is 50 there, 60 here"),
    ({"key": jax.random.key(1)}, r"key is \[0, 0\] there, \[0, 1\] here"),
    ({"fixed": {"k": 2, "d": 7}}, 'parameters is {"k": 2, "d": 6} there, {"k": 2, "d": 7} here'),
    ({"quantities": ["error_ca"]}, "quantities are canonical_correlations, error_ca, regime there, error_ca here"),
])
def test_a_store_of_another_sweep_is_refused(finished, change, message):
    with pytest.raises(ValueError, match="store: .* holds another sweep: " + message):
        run(finished, **change)


def small(store, function, build=SpikedModel.homogeneous, **options):
    return sweep(build, {"nu": [0.1, 0.5]}, fixed={"kappa": 1.0, "k": 2, "d": 6}, store=store,
                 quantities={"mine": function, "rho": QUANTITIES["rho"]}, **options)


def test_a_store_of_other_functions_is_refused(tmp_path):
    """Functions are told apart by what they compute, not by their names."""
    store = tmp_path / "run.zarr"
    small(store, lambda model, covariances: covariances.xx[0, 0])
    small(store, lambda m, c: c.xx[0, 0])
    with pytest.raises(ValueError, match="holds another sweep: the model or the functions of mine compute something"):
        small(store, lambda model, covariances: covariances.xx[0, 1])

    def homogeneous(kappa, nu, k, d):
        return SpikedModel.homogeneous(kappa=2 * kappa, nu=nu, k=k, d=d)

    homogeneous.__qualname__ = SpikedModel.homogeneous.__qualname__
    with pytest.raises(ValueError, match="the model or the functions of rho, mine compute something else there"):
        small(store, lambda model, covariances: covariances.xx[0, 0], homogeneous)


@pytest.mark.parametrize(("place", "message"), [
    ("phasejax.simulation._sweep.__version__", "phasejax_version is .* there, 9.9 here"),
    ("jax.__version__", "jax_version is .* there, 9.9 here"),
    ("jaxlib.version.__version__", "jaxlib is .* there, 9.9 here")])
def test_a_store_of_other_versions_is_refused(finished, monkeypatch, place, message):
    monkeypatch.setattr(place, "9.9")
    with pytest.raises(ValueError, match=f"holds another sweep: {message} .*open_sweep reads it as it is"):
        run(finished)


def test_a_store_of_another_grid_is_refused(finished):
    with pytest.raises(ValueError, match=r"axis nu is 20 values from 0 to 0\.9 there, 10 values from 0 to 0\.9 here"):
        sweep(SpikedModel.homogeneous, AXES | {"nu": np.linspace(0, 0.9, 10)}, store=finished, **OPTIONS)


@pytest.fixture(scope="module")
def little(tmp_path_factory):
    """A finished store of two cells, which no test may change, and its dataset."""
    store = tmp_path_factory.mktemp("little") / "run.zarr"
    return store, small(store, entry).load()


def entry(model, covariances):
    return covariances.xx[0, 0]


def flip(file):
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, Path.unlink])
@pytest.mark.parametrize(("file", "opening", "sweeping"), [
    ("rho/c/0/0", "rho/c/0/0", "1 damaged chunk of .* will be computed again: rho/c/0/0"),
    ("nu/c/0", "nu/c/0", "damaged files of .* were made anew: nu/c/0"),
    ("zarr.json", "zarr.json", "damaged files of .* were made anew: zarr.json"),
    ("phasejax/run/identity.json", None, None),
    ("phasejax/run/journal.jsonl", "finished sweep, got .* chunks so far", None)])
def test_damage_is_named_and_made_good(tmp_path, little, file, damage, opening, sweeping):
    store = tmp_path / "run.zarr"
    shutil.copytree(little[0], store)
    damage(store / file)
    if opening is None:
        xr.testing.assert_identical(open_sweep(store).load(), little[1])
    else:
        with pytest.raises(ValueError, match=f"^store: expected .*{opening}"):
            open_sweep(store)
    with contextlib.nullcontext() if sweeping is None else pytest.warns(InputNote, match=f"^store: {sweeping}"):
        xr.testing.assert_identical(small(store, entry).load(), little[1])
    xr.testing.assert_identical(open_sweep(store).load(), little[1])


def test_readers_that_know_nothing_of_the_journal_see_a_changed_bit(tmp_path, little):
    shutil.copytree(little[0], tmp_path / "run.zarr")
    flip(tmp_path / "run.zarr" / "rho" / "c" / "0" / "0")
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found, \
            pytest.raises((ValueError, RuntimeError)):
        found.rho.load()


def test_a_store_that_was_removed_or_lost_its_journal_is_computed_anew(tmp_path, little):
    store = tmp_path / "run.zarr"
    shutil.copytree(little[0], store)
    shutil.rmtree(store)
    (tmp_path / "run.zarr.unfinished").write_text("theory 0 0 (0, 0)\n")  # as earlier versions left behind
    xr.testing.assert_identical(small(store, entry).load(), little[1])
    shutil.rmtree(store / "phasejax")
    earlier = json.loads((store / "zarr.json").read_text())
    earlier["attributes"]["phasejax_sweep"] = 1
    (store / "zarr.json").write_text(json.dumps(earlier))
    with pytest.raises(ValueError, match=r"^store: expected one with checksums, got .* of an earlier version"):
        small(store, entry)


@pytest.mark.parametrize("lost", ["phasejax", "phasejax/run", "all but rho/c", "rho/zarr.json of other chunks"])
def test_a_store_that_cannot_be_made_good_is_set_aside_whole(tmp_path, little, lost):
    """What does not say any more which sweep it belongs to is not believed, not lost, and in nobody's way."""
    store = tmp_path / "run.zarr"
    shutil.copytree(little[0], store)
    if lost.startswith("rho"):  # a whole store whose description no version of this program writes
        _said_otherwise(store, "rho/zarr.json")
    for path in store.iterdir() if lost.startswith("all") else ():
        if path.name != "rho":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if lost.startswith("phasejax"):
        shutil.rmtree(store / lost)
    left = {file.relative_to(store): file.read_bytes() for file in store.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=r"^store: expected "):
        open_sweep(store)
    with pytest.warns(InputNote, match=r"^store: the sweep begins anew in .*run\.zarr, and what was there is kept in "
                                       r".*run\.zarr\.damaged1: .*(phasejax.run|rho.zarr)"):
        xr.testing.assert_identical(small(store, entry).load(), little[1])
    aside = tmp_path / "run.zarr.damaged1"
    assert left == {file.relative_to(aside): file.read_bytes() for file in aside.rglob("*") if file.is_file()}
    xr.testing.assert_identical(small(store, entry).load(), little[1])  # as any other store, without a word


def _said_otherwise(store, name):
    """Damage a file whose checksum in the identity is of another content yet, as another version would have written."""
    journal = Journal.read(store)
    about = journal.about
    about["files"][name] = "0" * 64
    changed = Journal.begin(store, about)
    changed.chunks, changed.finished = journal.chunks, True
    changed.rewrite()


def test_a_store_without_identity_is_left_alone_by_another_sweep(tmp_path, little):
    store = tmp_path / "run.zarr"
    shutil.copytree(little[0], store)
    shutil.rmtree(store / "phasejax")
    with pytest.raises(ValueError, match=r"^store: .* another sweep: parameters is .* there, .* here; the files "):
        sweep(SpikedModel.homogeneous, {"nu": [0.1, 0.5]}, fixed={"kappa": 2.0, "k": 2, "d": 6}, store=store,
              quantities="rho")
    other = shutil.copytree(little[0], tmp_path / "other.zarr")
    _said_otherwise(other, "rho/zarr.json")
    with pytest.raises(ValueError, match=r"^store: .* holds another sweep, and its rho/zarr\.json is not what"):
        small(other, lambda model, covariances: covariances.xx[0, 1])
    assert sorted(os.listdir(tmp_path)) == ["other.zarr", "run.zarr"]


def test_a_second_sweep_on_a_store_is_refused(tmp_path, little):
    store = tmp_path / "run.zarr"
    refused = []

    def again(task, done, total):
        if done < total and not refused:
            with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on {socket.gethostname()} for"):
                small(store, entry)
            refused.append(done)

    small(store, entry, progress=again)
    assert refused
    assert os.listdir(tmp_path) == ["run.zarr"]
    xr.testing.assert_identical(small(store, entry).load(), little[1])
    journal = Path("phasejax", "run", "journal.jsonl")
    shutil.copy(little[0] / journal, store / journal)  # of the same sweep, but of another store
    with pytest.raises(ValueError, match=r"^store: expected a finished sweep, got .* with 0 chunks so far"):
        open_sweep(store)


def test_what_a_dead_run_left_beside_a_store_is_removed_but_not_what_a_living_one_makes(tmp_path):
    dead, begun, living = (tmp_path / f".run.zarr.{name}.new" for name in ("dead", "begun", "living"))
    for folder in (dead, begun, living):
        (folder / "phasejax" / "run").mkdir(parents=True)
    (dead / "phasejax" / "run" / "lock").touch()
    (dead / "zarr.json").touch()
    (tmp_path / "link.zarr").symlink_to("run.zarr")
    with RunLock(living / "phasejax" / "run" / "lock", "store"):
        small(tmp_path / "link.zarr", entry)
        assert sorted(os.listdir(tmp_path)) == [".run.zarr.living.new", "link.zarr", "run.zarr"]
    assert (tmp_path / "link.zarr").is_symlink()


def test_a_finished_store_on_a_read_only_disk_opens(tmp_path, little, monkeypatch):
    store = tmp_path / "run.zarr"
    shutil.copytree(little[0], store)

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("RunLock", "write_durably", "remove_leftovers"):
        monkeypatch.setattr(_zarr_store, name, refuse)
    monkeypatch.setattr(Journal, "_append", refuse)
    xr.testing.assert_identical(small(store, entry).load(), little[1])
    (store / "rho" / "c" / "0" / "0").unlink()
    with pytest.raises(OSError, match=r"^store: expected one that can be written, since it is not finished, got .*"
                                      r"run\.zarr \(Read-only file system\)$"):
        small(store, entry)


def test_a_writer_knows_its_store(tmp_path, little):
    variable = Variable(("nu",), (2,), np.dtype("f8"), {}, (2,))
    store = tmp_path / "run.zarr"
    shutil.copytree(little[0], store)
    identity = (store / "phasejax" / "run" / "identity.json").read_bytes()
    writer = pickle.loads(pickle.dumps(ChunkWriter(store, identity, {"mine": variable}, {"mine": (2,)})))
    record = writer.write("theory 0 0 (0,)", (slice(0, 2),), {"mine": np.array([1.0, 2.0])})
    assert record.files == {"mine/c/0": hashlib.sha256((store / "mine" / "c" / "0").read_bytes()).hexdigest()}
    with pytest.raises(RuntimeError, match="mine: expected whole chunks of 2, got 1 to 2"):
        writer.write("theory 0 0 (1,)", (slice(1, 2),), {"mine": np.array([2.0])})
    (store / "phasejax" / "run" / "identity.json").write_bytes(identity.replace(b"store", b"other"))
    with pytest.raises(ValueError, match=r"store: expected .* as it was when this sweep began, got another or none"):
        writer.write("theory 0 0 (0,)", (slice(0, 2),), {"mine": np.array([1.0, 2.0])})


@pytest.mark.slow
def test_a_run_that_dies_before_a_file_operation_goes_on_and_two_starts_leave_one_winner(tmp_path):
    """A few of the cases that `python -m benchmarks store` counts: in the making of the store, and after it."""
    whole = tmp_path / "whole.zarr"
    damaged_stores.small_sweep(whole)
    try:
        for operation in (20, 140, 240):
            (place := tmp_path / f"killed {operation}").mkdir()
            assert damaged_stores._kill(whole, place, operation) == "sweep: the same dataset"
        (place := tmp_path / "twice").mkdir()
        assert damaged_stores._start_twice(whole, place, 0) == "one winner, one clear refusal; the same dataset"
    finally:
        damaged_stores.close_children()


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("words")
    with pytest.raises(ValueError, match="store: expected a new folder or one that a sweep made"):
        run(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "words"


def test_a_store_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        run(tmp_path / "file" / "run.zarr")


def test_a_store_made_with_other_memory_goes_on(tmp_path, whole):
    store = tmp_path / "run.zarr"

    def stop(task, done, total):
        if done > 700:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(store, progress=stop, memory="40MB")
    (store / "error_ca" / "zarr.json").unlink()
    with pytest.warns(InputNote, match=r"were made anew: error_ca/zarr\.json"):  # in the chunks that the store has
        xr.testing.assert_identical(run(store, memory="1GB").load(), whole)


def test_a_folder_that_another_start_takes_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    made, mkdtemp = [], _store_files.tempfile.mkdtemp

    def taken_at_first(**options):
        made.append(mkdtemp(**options))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    monkeypatch.setattr(_store_files.tempfile, "mkdtemp", taken_at_first)
    folder, lock = _store_files.new_folder(tmp_path, "run.zarr", tmp_path / "run.zarr")
    lock.release()
    assert [str(folder)] == made[1:]
