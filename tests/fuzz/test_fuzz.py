"""Two hundred hostile inputs: each is read or refused in one line. `python -m tests.fuzz` tries thousands."""

import os
from random import Random

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import run
from tests.fuzz.outcomes import outcome_of
from tests.fuzz.sound_files import ESCAPE, sound, views


@pytest.mark.parametrize(("area", "inputs"), [("files", 110), ("commands", 50), ("calls", 40)])
def test_hostile_inputs_are_read_or_refused_in_one_line(area, inputs):
    """`python -m tests.fuzz --area AREA --only NUMBER --quick` repeats an input that fails."""

    @settings(max_examples=inputs)
    @given(st.integers(0, 2**31))
    @example(0)
    def each(number):
        found = outcome_of(Random(f"{area} {number}"), area, quick=True)
        assert found.good, (found.kind, found.what, found.said)

    each()


@pytest.mark.slow
def test_processes_end_with_exit_code_2_and_one_line(tmp_path):
    """As a shell runs them: a pipe that nobody writes to, indices that point outside, and names a terminal obeys."""
    np.save(tmp_path / "y.npy", views()[1])
    os.mkfifo(tmp_path / "x.csv")
    (tmp_path / "x.h5ad").write_bytes(sound(".h5ad"))
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file["X/indices"][:5] = 10**9
    for x in ("x.csv", "x.h5ad", f"{ESCAPE}.npy"):
        done = run("inspect", x, "y.npy", cwd=tmp_path)
        assert done.returncode == 2
        assert not done.stdout
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "\x1b" not in done.stderr
