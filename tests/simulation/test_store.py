"""A sweep that is killed goes on where it stopped, and ends with the dataset of one that was not."""

import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import xarray as xr

from phasejax import SpikedModel, sweep
from phasejax.io import InputNote
from phasejax.simulation import QUANTITIES, open_sweep
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


def small(store, function, build=SpikedModel.homogeneous):
    return sweep(build, {"nu": [0.1, 0.5]}, fixed={"kappa": 1.0, "k": 2, "d": 6}, store=store,
                 quantities={"mine": function, "rho": QUANTITIES["rho"]})


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
    xr.testing.assert_identical(run(store, memory="1GB").load(), whole)
