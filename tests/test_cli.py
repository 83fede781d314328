"""The command line, as a process: output, exit codes, files."""

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import phasejax
from phasejax import checks, cli, diagnose, theory
from phasejax.datasets import load_digit_halves
from phasejax.quantities import QUANTITIES

COMMAND = [str(Path(sys.executable).parent / "phasejax")]


def run(*args, cwd):
    return subprocess.run([*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=240,
                          check=False)


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
               "--figure", tmp_path / "d.png", cwd=digits)
    assert (done.returncode, done.stderr) == (0, "")
    found = diagnose(*load_digit_halves())
    assert done.stdout == found.summary() + "\n"
    for word in ("Regime", "Delta_CA", "Delta_CP", "signal components", "kappa", "nu", found.recommendation):
        assert word in done.stdout
    assert json.loads((tmp_path / "d.json").read_text()) == found.to_dict()
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2


def test_formats_and_label_types_agree(digits):
    texts = {run("diagnose", x, y, "--labels", labels, cwd=digits).stdout for x, y, labels in [
        ("X.npy", "Y.csv", "L.npy"), ("XY.npz:x", "XY.npz:y", "words.csv")]}
    assert len(texts) == 1


@pytest.mark.parametrize(("args", "message"), [
    (["X.npy", "missing.npy", "--labels", "L.npy"], "error: missing.npy: expected a readable file"),
    (["X.npy", "L.npy", "--labels", "L.npy"], "error: y: expected two dimensions"),
    (["X.npy", "Y.csv", "--labels", "X.npy"], "error: labels: expected columns that vary"),
    (["XY.npz", "Y.csv", "--labels", "L.npy"], "got arrays x, y"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--json", "no/d.json"], "error: no/d.json: expected a file in"),
    (["X.npy", "Y.csv", "--labels", "L.npy", "--figure", "d.gif"], "error: --figure: expected a file ending in .png"),
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
                     "--figure", "d.pdf"])
    assert code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("args", [[], ["diagnos"], ["check", "--sed", "1"]])
def test_misspelt_commands_exit_2(args, tmp_path):
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_and_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"phasejax {phasejax.__version__}\n"
    for args in (["--help"], ["diagnose", "--help"], ["check", "--help"]):
        done = run(*args, cwd=tmp_path)
        assert done.returncode == 0
        assert "STR" not in done.stdout


def test_check_passes(tmp_path):
    done = run("check", "--seed", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "all checks passed"
    assert len(lines) >= 10
    assert all(line.startswith("ok ") for line in lines[:-1])
    for topic in ("spectrum", "regime", "MSE", "counts", "gradient"):
        assert topic in done.stdout


def test_check_fails_when_a_formula_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr(theory, "tau", theory.rho)
    run_checks = checks.run_checks
    monkeypatch.setattr(checks, "run_checks", lambda seed: itertools.islice(run_checks(seed), 3))
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
    verdict = next(v for v in checks.run_checks() if v.name.startswith(failing))
    assert not verdict.passed


def test_a_nan_is_a_failure():
    assert not checks._below("x", float("nan"), 1.0, "").passed
