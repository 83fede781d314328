"""Alignment and prediction win where the theory says, at the quick preset: minutes, by hand `pytest -m by_hand -s`."""

import subprocess
import sys

import pytest
import xarray as xr

from phasejax.deep import seed_interval
from tests.support import ROOT, as_users_run


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.timeout(1800)
def test_each_objective_wins_where_the_theory_says(tmp_path):
    """Accuracies at the largest probe size: means over 3 seeds differ as stated, and 95% intervals do not overlap."""
    subprocess.run([sys.executable, "-m", "paper_figs", "fig4", "--preset", "quick", "--out", tmp_path], check=True,
                   cwd=ROOT, env=as_users_run())
    scores = xr.load_dataset(tmp_path / "fig4.nc", engine="scipy")
    accuracy = scores.accuracy.isel(probe_size=-1, noise=0)
    found = {(objective, jitter): [float(part) for part in seed_interval(
        accuracy.sel(objective=objective, jitter=jitter).values, 0)]
        for objective in ("deepcca", "cp") for jitter in (0.0, 0.2)}
    for (objective, jitter), (mean, low, high) in found.items():
        print(f"{objective}, jitter {jitter}: {mean:.3f} [{low:.3f}, {high:.3f}]")
    aligned, apart, predicted = found["deepcca", 0.0], found["deepcca", 0.2], found["cp", 0.0]
    chance = float(scores.chance.mean())
    assert aligned[0] <= chance + 0.15
    assert apart[0] >= aligned[0] + 0.25
    assert predicted[0] >= aligned[0] + 0.2
    assert apart[1] > aligned[2]
    assert predicted[1] > aligned[2]
    assert apart[1] > found["cp", 0.2][2]
