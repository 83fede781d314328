"""The command line, as a process: output, exit codes, files."""

import dataclasses
import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import phasejax
from phasejax import cli, diagnose, simulation, theory
from phasejax.datasets import load_digit_halves
from phasejax.simulation import QUANTITIES, _self_check
from phasejax.theory import _closed_forms
from tests.support import as_users_run

pytestmark = pytest.mark.slow

COMMAND = [str(Path(sys.executable).parent / "phasejax")]


def run(*args, cwd, env=None):
    return subprocess.run([*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=240,
                          check=False, env=env)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    x, y, labels = load_digit_halves()
    np.save(folder / "X.npy", x)
    np.savez(folder / "XY.npz", x=x, y=y)
    np.savetxt(folder / "Y.csv", y, delimiter=",", fmt="%g")
    np.save(folder / "L.npy", labels)
    (folder / "words.csv").write_text("digit\n" + "\n".join(f"digit {label}" for label in labels))
    return folder


def test_diagnose_prints_and_writes(digits, tmp_path):
    done = run("diagnose", "X.npy", "Y.csv", "--labels", "L.npy", "--json", tmp_path / "d.json",
               "--figure", tmp_path / "d.png", "--report", tmp_path / "d.html", cwd=digits)
    assert (done.returncode, done.stderr) == (0, "")
    found = diagnose(*load_digit_halves())
    assert done.stdout == found.summary() + "\n"
    for word in ("Regime", "Delta_CA", "Delta_CP", "Predicted", "kappa", "nu", found.recommendation):
        assert word in done.stdout
    assert json.loads((tmp_path / "d.json").read_text()) == found.to_dict()
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    assert found.recommendation.split(":")[0] in (tmp_path / "d.html").read_text()
    assert len(list(tmp_path.iterdir())) == 3


def test_monitor_exits_3_when_something_moved(digits, tmp_path):
    """Against itself nothing has moved; with the pairs of y's rows shuffled within each digit, much has."""
    x, y, labels = load_digit_halves()
    rng, shuffled = np.random.default_rng(0), np.arange(len(labels))
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)
        shuffled[rows] = rng.permutation(rows)
    np.save(tmp_path / "y.npy", 2 * y[shuffled])
    (tmp_path / "base.json").write_text(diagnose(x, y, labels, predicted_scores=False).to_json())
    for views, code, word in (("Y.csv", 0, "none beyond chance"), (tmp_path / "y.npy", 3, "Drift            yes")):
        done = run("monitor", tmp_path / "base.json", "X.npy", views, "--labels", "L.npy", cwd=digits)
        assert (done.returncode, done.stderr) == (code, "")
        assert word in done.stdout
    done = run("monitor", "L.npy", "X.npy", "Y.csv", "--labels", "L.npy", cwd=digits)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_formats_and_label_types_agree(digits):
    texts = {run("diagnose", x, y, "--labels", labels, "--method", "spectral", cwd=digits).stdout for x, y, labels in [
        ("X.npy", "Y.csv", "L.npy"), ("XY.npz:x", "XY.npz:y", "words.csv")]}
    assert len(texts) == 1


@pytest.mark.parametrize(("args", "message"), [
    (["X.npy", "missing.npy", "--labels", "L.npy"], "error: missing.npy: expected a readable file"),
    (["X.npy", "L.npy", "--labels", "L.npy"], "error: L.npy: expected two dimensions"),
    (["X.npy", "Y.csv", "--labels", "X.npy"], "error: labels: expected columns that vary"),
    (["XY.npz", "Y.csv", "--labels", "L.npy"], "got arrays x, y"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--json", "no/d.json"], "error: no/d.json: expected a file in"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--figure", "d.gif"], "error: --figure: expected a file ending in .png"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--method", "spectral", "--report", "d.html"], "error: --report: expe"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--k", "30"], "error: k: expected 1 to min(d_x, d_y) - 1 = 29, got 30"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--labelled", "L.npy"], "error: labelled: expected every row once"),
    (["X.npy", "Y.csv"], "--labels"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--label-kind", "text"], "label-kind"),
])
def test_bad_input_exits_2_without_traceback_or_files(digits, args, message):
    before = sorted(digits.iterdir())
    if args[3:4] == ["X.npy"]:  # labels that are constant in one column
        np.save(digits / "X.npy", np.load(digits / "X.npy"))
        args = [*args[:3], "constant.npy"]
        np.save(digits / "constant.npy", np.ones(1797))
        before = sorted(digits.iterdir())
    done = run("diagnose", *args, cwd=digits)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    if done.stderr.startswith("error:"):
        assert done.stderr.count("\n") == 1
    assert sorted(digits.iterdir()) == before


def test_a_failed_figure_leaves_no_file(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    code = cli.main(["diagnose", str(digits / "X.npy"), str(digits / "Y.csv"), "--labels", str(digits / "L.npy"),
                     "--method", "spectral", "--figure", "d.pdf"])
    assert code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("args", [[], ["diagnos"], ["check", "--sed", "1"]])
def test_misspelt_commands_exit_2(args, tmp_path):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_and_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"phasejax {phasejax.__version__}\n"
    for args in (["--help"], ["diagnose", "--help"], ["monitor", "--help"], ["check", "--help"]):
        done = run(*args, cwd=tmp_path)
        assert done.returncode == 0
        assert "STR" not in done.stdout


def test_check_passes(tmp_path):
    done = run("check", "--seed", "3", cwd=tmp_path, env=as_users_run())
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "all checks passed"
    assert len(lines) >= 10
    assert all(line.startswith("ok ") for line in lines[:-1])
    for topic in ("spectrum", "regime", "MSE", "counts", "gradient"):
        assert topic in done.stdout


def test_check_fails_when_a_formula_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr(_closed_forms, "tau", theory.rho)
    run_checks = simulation.run_checks
    monkeypatch.setattr(_self_check, "run_checks", lambda seed: itertools.islice(run_checks(seed), 3))
    assert cli.main(["check"]) == 1
    out = capsys.readouterr().out
    assert "ok      spectrum of C" in out
    assert "FAILED  spectrum of A" in out
    assert out.splitlines()[-1] == "2 checks failed"


@pytest.mark.parametrize(("name", "mutant", "failing"), [
    ("delta_ca", lambda m: 0.1 * theory.delta_cp(m), "regime by CA"),
    ("r_cp", lambda m: 3 - theory.r_ca(m), "counts by CP"),
])
def test_check_sees_a_wrong_quantity(name, mutant, failing, monkeypatch):
    monkeypatch.setitem(QUANTITIES, name, dataclasses.replace(QUANTITIES[name], compute=mutant))
    verdict = next(v for v in simulation.run_checks() if v.name.startswith(failing))
    assert not verdict.passed


def test_a_nan_is_a_failure():
    assert not _self_check._below("x", float("nan"), 1.0, "").passed


SWEEP = ["sweep", "--axes", "kappa=0.5:2:4", "nu=0.1,0.5", "--fixed", "k=2", "d=6", "nuisance_y=4", "--n", "50",
         "--seeds", "3", "--quantities", "regime", "error_ca"]


def test_sweep_writes_what_the_function_returns(tmp_path):
    done = run(*SWEEP, "--out", "grid.nc", "--store", "run.zarr", "--no-progress", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "regime, error_ca over kappa 4 x nu 2 x seed 3: run.zarr\n"
    expected = phasejax.sweep(phasejax.SpikedModel.homogeneous, {"kappa": np.linspace(0.5, 2, 4), "nu": [0.1, 0.5]},
                              fixed={"k": 2, "d": 6, "nuisance_y": 4}, n=50, seeds=3, key=jax.random.key(0),
                              quantities=["regime", "error_ca"])
    with xr.open_dataset(tmp_path / "grid.nc", engine="scipy") as found:
        xr.testing.assert_identical(found.load(), expected)
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found:
        xr.testing.assert_equal(found.load(), expected)


@pytest.mark.parametrize("slurm", [False, True])
def test_sweep_shared_by_two_processes(tmp_path, slurm):
    """As srun starts them, and with the coordinator named; one store, the same numbers as one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for i in range(2):
        flags, environment = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process-id", str(i)], {}
        if slurm:
            flags, environment = [], {"SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "localhost",
                                      "SLURM_NTASKS": "2", "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}
        processes.append(subprocess.Popen(
            [*COMMAND, *SWEEP, "--store", "run.zarr", "--distributed", *flags, "--no-progress"], cwd=tmp_path,
            env=as_users_run() | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "run.zarr" in outputs[0][0]
    assert "run.zarr" not in outputs[1][0]
    assert sorted(os.listdir(tmp_path)) == ["run.zarr"]
    alone = run(*SWEEP, "--out", "alone.nc", "--no-progress", cwd=tmp_path, env=as_users_run())
    assert alone.returncode == 0
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found, \
            xr.open_dataset(tmp_path / "alone.nc", engine="scipy") as expected:
        xr.testing.assert_equal(found.load(), expected.load())


@pytest.mark.parametrize(("args", "message"), [
    ([*SWEEP], "error: --out or --store: expected a place for the results, got neither"),
    ([*SWEEP, "--out", "no/grid.nc"], "error: --out: expected a file in an existing folder"),
    ([*SWEEP, "--out", "g.nc", "--memory", "1kB"], "error: memory: expected at least"),
    ([*SWEEP, "--out", "g.nc", "--memory", "lots"], "error: memory: expected a size like '2GB'"),
    (["sweep", "--axes", "kappa", "--quantities", "rho", "--out", "g.nc"], "error: --axes: expected NAME=FIRST:LAST:"),
    (["sweep", "--axes", "kappa=1:2:x", "--quantities", "rho", "--out", "g.nc"], "error: --axes: expected NAME=FIRST:"),
    (["sweep", "--axes", "nu=0:2:3", "--quantities", "rho", "--out", "g.nc"], "error: nu: expected values in [0, 1]"),
    (["sweep", "--axes", "nu=0.5", "--fixed", "k=two", "--quantities", "rho", "--out", "g.nc"],
     "error: --fixed: expected NAME=VALUE, got 'k=two'"),
    (["sweep", "--axes", "nu=0.5", "--quantities", "speed", "--out", "g.nc"], "error: quantities: expected names"),
    ([*SWEEP, "--out", "g.nc", "--distributed", "--processes", "2"], "error: --coordinator, --processes, --process-id"),
])
def test_a_bad_sweep_gets_one_line(tmp_path, args, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert not os.listdir(tmp_path)
