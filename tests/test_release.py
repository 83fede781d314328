"""The checklist of a release, and that all that ships says under which licence."""

import re
import tomllib

import pytest

from benchmarks import release
from benchmarks.steps import StepError, run_logged
from tests.support import ROOT

SHIPPED = ROOT / "phasejax" / "_data"


def test_each_file_that_ships_has_its_licence():
    """One annotation for each file, whose SPDX identifier is in the package's expression, with the text beside it."""
    expression = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"].split()
    annotations = tomllib.loads((SHIPPED / "REUSE.toml").read_text())["annotations"]
    annotated = [name for one in annotations for name in one["path"]]
    assert sorted(annotated) == sorted(path.name for path in SHIPPED.iterdir()
                                       if path.is_file() and path.name != "REUSE.toml")
    for one in annotations:
        assert set(one["SPDX-License-Identifier"].split()) <= set(expression)
        assert one["SPDX-FileCopyrightText"]
        assert [name for name in one["path"] if name.endswith("_LICENSE.txt")]


def test_a_step_that_fails_is_told_and_run_again(tmp_path, monkeypatch, capsys):
    calls = []

    def step(name, holds):
        def run(folder):
            calls.append(name)
            if not holds():
                raise StepError("exit code 3 of something")
        return run

    mended = []
    monkeypatch.setattr(release, "STEPS", {"good": step("good", lambda: True), "bad": step("bad", lambda: mended)})
    rows = release.run(tmp_path, steps=("good", "bad"))
    assert release.failed(rows) == ["bad"]
    assert "bad: exit code 3 of something" in capsys.readouterr().err
    mended.append(True)
    assert release.failed(release.run(tmp_path, steps=("good", "bad"))) == []
    assert calls == ["good", "bad", "bad"]
    (tmp_path / "good" / "passed.txt").write_text("of another commit\n1.0\n")
    release.run(tmp_path, steps=("good", "bad"))
    assert calls == ["good", "bad", "bad", "good"]


def test_workflows_run_what_is_there():
    """Their Python commands are modules of the tree or of the extras, and their extras those of the package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lines = [line for path in sorted((ROOT / ".github" / "workflows").iterdir())
             for line in re.findall(r"run: (.*)", path.read_text())]
    assert {extra for line in lines for extra in re.findall(r"\.\[(\w+)\]", line)} <= set(extras)
    (checklist,) = [line.split()[3:] for line in lines if "benchmarks.release" in line]
    assert set(checklist) <= set(release.STEPS)
    documents = [line.split("-m ")[1].split()[:-1] for line in lines if "sphinx" in line]
    assert documents == [release.SPHINX]


def test_what_a_command_prints_is_kept(tmp_path):
    assert run_logged(tmp_path, "echo", "one").splitlines() == ["$ echo one", "one"]
    with pytest.raises(StepError, match=r"exit code 1 of false"):
        run_logged(tmp_path, "false")
    with pytest.raises(StepError, match=r"no_such_command: expected a command"):
        run_logged(tmp_path, "no_such_command")
    assert (tmp_path / "log.txt").read_text().startswith("$ echo one\none\n$ false\n")
