"""The README's code runs, and its claims about itself are true."""

import re
import subprocess
import sys
from pathlib import Path

import phasejax

README = (Path(__file__).parents[1] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_the_example_is_short_and_runs():
    (example,) = PYTHON
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    done = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert "CA_ONLY" in done.stdout
    assert "Regime           undecided" in done.stdout


def test_commands_and_pictures_exist():
    assert [command for command in SHELL if "paper_figs" in command and "pip install" in command]
    assert [command for command in SHELL if "pytest" in command and "pip install" in command]
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parents[1] / picture).is_file()


def test_every_public_name_is_in_the_table():
    table = " ".join(line for line in README.splitlines() if line.startswith("| `"))
    missing = [name for name in phasejax.__all__ if f"`{name}`" not in table and name != "__version__"]
    assert not missing
