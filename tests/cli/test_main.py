"""Choosing a subcommand: help, version, misspelt words, and what is imported for them."""

import os
import re
import subprocess
import sys

import pytest

import phasejax
from phasejax import cli
from phasejax.cli._main import COMMANDS
from tests.cli.conftest import run


@pytest.mark.parametrize("args", [[], ["diagnos"], ["check", "--sed", "1"], ["align", "X.npy", "Y.npy"]])
def test_misspelt_commands_exit_2(args, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(args)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err


@pytest.mark.parametrize("args", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_says_what_things_are(args, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(args)
    assert stopped.value.code == 0
    assert not re.search(r"\bSTR\b", capsys.readouterr().out)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"phasejax {phasejax.__version__}\n"


def test_help_imports_nothing_heavy():
    """Help and version must come at once: neither JAX nor NumPy nor anything that needs them is imported."""
    code = ("import sys; from phasejax import cli\n"
            "try: cli.main(['--help'])\n"
            "except SystemExit: pass\n"
            "cli.main(['--version'])\n"
            "heavy = {'jax', 'numpy', 'scipy', 'pandas', 'xarray', 'matplotlib', 'sklearn', 'rich'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


@pytest.mark.slow
def test_the_command_is_installed(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"phasejax {phasejax.__version__}\n"
    done = run("diagnos", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not os.listdir(tmp_path)
