"""The figure of stereo pairs without their position, at one jitter and two errors of the position."""

from dataclasses import replace

import pytest
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import confounders
from paper_figs.presets import PRESETS


@pytest.mark.slow
def test_pairs_move_to_both_once_the_position_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(confounders, "JITTERS", (0.05,))
    monkeypatch.setattr(confounders, "_COLOURS", ("k",))
    monkeypatch.setattr(confounders, "ERRORS", (0.0, 0.2))
    monkeypatch.setitem(paper_figs.PRESETS, "quick", replace(PRESETS["quick"], n=1200))
    paths = paper_figs.make("confounders", "quick", tmp_path)
    assert [path.suffix for path in paths] == [".nc", ".png", ".pdf", ".txt"]
    data = xr.open_dataset(paths[0], engine="scipy")
    content = data.content.sel(features="filters", jitter=0.05, end="value")
    assert (content.sel(removed="nothing", objective=["CA", "CP"]) < 0.5).all()
    assert (content.sel(removed="curved", objective=["CA", "CP"]) > 0.8).all()
    assert data.content_of_error.sel(error=0.2, objective="CA", end="value") < 0.5
