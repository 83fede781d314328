"""The wheel as a stranger gets it: built from the sdist, installed in a clean environment, used outside the clone."""

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from benchmarks.steps import ROOT, StepError, run_logged

_IN_WHEEL = ("phasejax/py.typed", "phasejax/__init__.pyi", "phasejax/_data/pbmc_cite.npz", "phasejax/_data/REUSE.toml",
             "phasejax/explorer/page.html.jinja", "phasejax/explorer/theory.js")
_IN_SDIST = ("pyproject.toml", "README.md", "LICENSE", "phasejax/__init__.py", "tests/conftest.py",
             "benchmarks/__main__.py", "paper_figs/__main__.py", "docs/functions.md")

# What the wheel is used for: files are written, read by the command, and what comes with the package is opened.
_PREPARE = """
import numpy as np
import phasejax as pj
x, y, labels = pj.datasets.load_digit_halves()
for name, array in (("x", x), ("y", y), ("labels", labels)):
    np.save(f"{name}.npy", array)
assert len(pj.datasets.load_pbmc_cite().x) == 800
assert len(pj.datasets.load_brown_dwarfs().x) > 1000
"""
_COMMANDS = (
    ("phasejax", "inspect", "x.npy", "y.npy", "--labels", "labels.npy"),
    ("phasejax", "diagnose", "x.npy", "y.npy", "--labels", "labels.npy", "--k", "8", "--json", "result.json",
     "--report", "report.html"),
    ("phasejax", "monitor", "result.json", "x.npy", "y.npy", "--labels", "labels.npy"),
    ("phasejax", "sweep", "--axes", "kappa=0.5:3:4", "nu=0:0.9:4", "--fixed", "k=3", "d=20", "--n", "500",
     "--seeds", "2", "--quantities", "regime", "error_ca", "--store", "run.zarr"),
    ("phasejax", "explore", "result.json", "--out", "explorer.html", "--no-browser"),
)
_WRITTEN = ("result.json", "report.html", "run.zarr", "explorer.html")


def check_wheel(folder: Path) -> Path:
    """Build both archives, look into them, install the wheel and use it in an empty folder.

    Args:
        folder: an existing one, where archives, environment and results are left.

    Returns:
        The wheel.

    Raises:
        StepError: a command fails, an archive lacks a file or has one that does not belong there, or the version
            installed is not that of the file's name.
    """
    for left in ("archives", "environment", "use"):
        shutil.rmtree(folder / left, ignore_errors=True)
    archives, environment, use = folder / "archives", folder / "environment", folder / "use"
    run_logged(folder, sys.executable, "-m", "build", "--outdir", archives, ROOT)
    (wheel,), (sdist,) = archives.glob("*.whl"), archives.glob("*.tar.gz")
    run_logged(folder, sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    with zipfile.ZipFile(wheel) as opened:
        _check_names("the wheel", opened.namelist(), _IN_WHEEL, prefixes=("phasejax/", "phasejax-"))
    with tarfile.open(sdist) as opened:
        _check_names("the sdist", [name.partition("/")[2] for name in opened.getnames()], _IN_SDIST, megabytes=10,
                     size=sdist.stat().st_size)
    run_logged(folder, sys.executable, "-m", "venv", environment)
    run_logged(folder, environment / "bin" / "python", "-m", "pip", "install", "-q", wheel)
    use.mkdir()
    version = run_logged(folder, environment / "bin" / "phasejax", "--version", cwd=use).split()[-1]
    if version != wheel.name.split("-")[1]:
        raise StepError(f"phasejax --version: expected {wheel.name.split('-')[1]}, got {version}")
    run_logged(folder, environment / "bin" / "python", "-W", "error", "-c", _PREPARE, cwd=use)
    for command, *arguments in _COMMANDS:
        run_logged(folder, environment / "bin" / command, *arguments, cwd=use)
    if missing := [name for name in _WRITTEN if not (use / name).exists()]:
        raise StepError(f"the commands of the wheel did not write {', '.join(missing)}")
    return wheel


def _check_names(archive: str, names: list[str], expected: tuple[str, ...], prefixes: tuple[str, ...] = ("",),
                 size: int = 0, megabytes: int = 10) -> None:
    if missing := [name for name in expected if name not in names]:
        raise StepError(f"{archive}: expected {', '.join(missing)} in it")
    if odd := [name for name in names if not name.startswith(prefixes) or "/_build/" in name or "__pycache__" in name]:
        raise StepError(f"{archive}: {odd[0]} does not belong there")
    if size > megabytes * 1e6:
        raise StepError(f"{archive}: expected at most {megabytes} MB, got {size / 1e6:.1f}")
