"""Where the command keeps compiled programs: the user's wish, other people's settings, and a bound on the size."""

import os
import subprocess
import sys

import pytest

from phasejax.cli import _compiled_programs

NOT_YET_JAX = {name: module for name, module in sys.modules.items() if name != "jax"}


@pytest.fixture
def keep(monkeypatch):
    """The function as a fresh process would call it: JAX not imported, no settings made."""
    for name in ("PHASEJAX_CACHE", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # so that whatever is set below is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "modules", NOT_YET_JAX)
    return _compiled_programs.keep_compiled_programs


def test_a_named_folder_is_made_and_used(keep, tmp_path, monkeypatch):
    monkeypatch.setenv("PHASEJAX_CACHE", str(tmp_path / "kept"))
    folder = keep()
    assert folder.is_dir()
    assert folder.parent == tmp_path / "kept"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


def test_the_default_is_the_users_cache_folder(keep, tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert keep().parent == tmp_path / "phasejax" / "compiled"


@pytest.mark.parametrize("word", ["off", "OFF"])
def test_off_means_off(keep, word, monkeypatch):
    monkeypatch.setenv("PHASEJAX_CACHE", word)
    assert keep() is None
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_settings_of_others_are_left_alone(keep, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert keep() is None
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/elsewhere"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("PHASEJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "modules", {**NOT_YET_JAX, "jax": None})
    assert keep() is None  # a Python program that calls `main` has settings of its own


def test_a_place_that_is_no_folder_keeps_nothing(keep, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PHASEJAX_CACHE", str(tmp_path / "file"))
    assert keep() is None


def test_what_was_used_longest_ago_goes_first(keep, tmp_path, monkeypatch):
    monkeypatch.setenv("PHASEJAX_CACHE", str(tmp_path))
    folder = keep()
    for age in range(10):
        (folder / str(age)).write_bytes(bytes(100))
        os.utime(folder / str(age), (1e9 - age, 1e9 - age))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    keep(limit=1000)  # exactly the limit: all stay
    assert len(os.listdir(folder)) == 10
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    keep(limit=900)
    assert sorted(os.listdir(folder)) == ["0", "1", "2", "3"]


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path):
    """Two real processes with one folder: the first writes programs, the second adds none."""
    environment = os.environ | {"PHASEJAX_CACHE": str(tmp_path / "kept"), "JAX_COMPILATION_CACHE_DIR": ""}
    command = [sys.executable, "-m", "phasejax.cli", "sweep", "--axes", "nu=0.1,0.5", "--fixed", "kappa=1", "k=1",
               "d=3", "--quantities", "regime", "--out", "grid.nc", "--no-progress"]
    counts = []
    for _ in range(2):
        subprocess.run(command, check=True, cwd=tmp_path, env=environment, timeout=240, capture_output=True)
        counts.append(len([path for path in (tmp_path / "kept").rglob("*-cache")]))
    assert counts[0] > 0
    assert counts[1] == counts[0]
