"""`phasejax check`: it passes as it is, and sees a wrong formula."""

import dataclasses
import itertools

import pytest

from phasejax import cli, simulation, theory
from phasejax.simulation import QUANTITIES, _self_check
from phasejax.theory import _closed_forms
from tests.cli.conftest import run
from tests.support import as_users_run


@pytest.mark.slow
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
    monkeypatch.setattr(simulation, "run_checks", lambda seed: itertools.islice(run_checks(seed), 3))
    assert cli.main(["check"]) == 1
    out = capsys.readouterr().out
    assert "ok      spectrum of C" in out
    assert "FAILED  spectrum of A" in out
    assert out.splitlines()[-1] == "2 checks failed"


@pytest.mark.slow
def test_check_sees_wrong_quantities(monkeypatch):
    for name, mutant in (("delta_ca", lambda m: 0.1 * theory.delta_cp(m)), ("r_cp", lambda m: 3 - theory.r_ca(m))):
        monkeypatch.setitem(QUANTITIES, name, dataclasses.replace(QUANTITIES[name], compute=mutant))
    passed = {}
    for verdict in simulation.run_checks():
        passed[verdict.name.partition(":")[0]] = verdict.passed
        if "counts by CP" in passed:
            break
    assert (passed["regime by CA"], passed["regime by CP"], passed["counts by CP"]) == (False, True, False)


def test_a_nan_is_a_failure():
    assert not _self_check._verdict_on_bound("x", float("nan"), 1.0, "").passed
