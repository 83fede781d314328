"""The README's code runs, and its claims about itself are true."""

import re
import subprocess
import sys

import numpy as np
import pytest

import phasejax as pj
from tests.support import ROOT

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_example_is_short_and_runs():
    (example,) = PYTHON
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    done = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "CA_ONLY" in done.stdout
    assert "One objective        align (CA)" in done.stdout


def test_the_pipeline_runs_and_scores_as_it_says(capsys):
    (example,) = [code for code in re.findall(r"```py\n(.*?)```", README, re.DOTALL) if "TwoViewEncoder" in code]
    x, y, labels = pj.datasets.load_digit_halves()
    # Two of the three widths, and fewer folds: the best one is among them.
    example = example.replace("[4, 8, 16]", "[8, 16]").replace("]})", "]}, cv=2)")
    exec(example, {"pj": pj, "np": np, "x": x, "y": y, "labels": labels})
    claimed = float(re.findall(r"best_score_\)  # (0\.\d+)", README)[0])
    assert float(capsys.readouterr().out) == pytest.approx(claimed, abs=0.03)


def test_commands_pictures_and_pages_exist():
    assert [command for command in SHELL if "paper_figs" in command and "pip install" in command]
    assert [command for command in SHELL if "pytest" in command and "pip install" in command]
    for place in re.findall(r"\[[^]]*\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / place).is_file(), place


def test_names_in_the_packages_exist():
    """`phasejax.PACKAGE.NAME`, and what the examples import, are there."""
    import importlib

    for package, name in re.findall(r"`phasejax\.(\w+)\.(\w+)", README):
        assert hasattr(importlib.import_module(f"phasejax.{package}"), name), name
    for module, names in re.findall(r"^from (phasejax[\w.]*) import (.*)$", README, re.MULTILINE):
        for name in names.split(","):
            assert hasattr(importlib.import_module(module), name.strip()), name
