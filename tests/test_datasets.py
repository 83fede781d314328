"""Data that come with the package are what their descriptions say."""

import numpy as np
import pytest

from phasejax.datasets import load_pbmc_cite
from tests.support import ROOT


def test_the_cells_are_counts_as_the_field_normalises_them():
    cells = load_pbmc_cite()
    # A gene that no cell has is left out, so that every cell's values still add up.
    assert np.expm1(cells.x).sum(1) == pytest.approx(np.full(800, 1e4))
    assert (cells.x.max(0) > 0).all()
    assert np.abs(cells.y.sum(1)).max() < 1e-9
    _, counts = np.unique(cells.labels, return_counts=True)
    assert sorted(counts) == [6, 15, 46, 62, 86, 115, 232, 238]
    assert [*np.unique(cells.batch, return_counts=True)[1]] == [400, 400]


def test_the_licence_lies_beside_the_data():
    folder = ROOT / "phasejax" / "_data"
    assert (folder / "pbmc_cite.npz").stat().st_size < 1_000_000
    assert "Permission is hereby granted" in (folder / "pbmc_cite_LICENSE.txt").read_text()
