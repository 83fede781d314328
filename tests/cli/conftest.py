"""The digit halves as files in the formats that people bring, and the command as a process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phasejax.datasets import load_digit_halves

COMMAND = [str(Path(sys.executable).parent / "phasejax")]


def run(*args, cwd, env=None):
    """Run the installed command in a process of its own."""
    return subprocess.run([*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=240,
                          check=False, env=env)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    x, y, labels = load_digit_halves()
    np.save(folder / "X.npy", x)
    np.savez(folder / "XY.npz", x=x, y=y)
    np.savetxt(folder / "Y.csv", y, delimiter=",", fmt="%g")
    np.save(folder / "L.npy", labels)
    np.save(folder / "constant.npy", np.ones(len(labels)))
    (folder / "words.csv").write_text("digit\n" + "\n".join(f"digit {label}" for label in labels))
    return folder


@pytest.fixture(scope="session")
def some_digits(tmp_path_factory):
    """A folder with half of the rows, for what diagnoses them several times."""
    folder = tmp_path_factory.mktemp("some")
    x, y, labels = (rows[::2] for rows in load_digit_halves())
    np.save(folder / "X.npy", x)
    np.savetxt(folder / "Y.csv", y, delimiter=",", fmt="%g")
    np.save(folder / "L.npy", labels)
    return folder
