"""The figure of nearest neighbours across images and captions, of a training of one epoch."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from paper_figs import __main__ as paper_figs
from paper_figs import captions, neighbours
from tests.captions.conftest import TINY


def test_the_nearest_are_those_of_least_angle():
    rng = np.random.default_rng(0)
    queries, answers = rng.standard_normal((4, 3)), rng.standard_normal((9, 3))
    expected = np.argsort(cdist(queries, answers, "cosine"), axis=1)[:, :5]
    np.testing.assert_array_equal(neighbours.nearest(queries, 7 * answers), expected)


@pytest.mark.slow
def test_pairs_are_shown_with_what_is_nearest_to_them(tmp_path, monkeypatch):
    monkeypatch.setitem(captions.CAPTION_PRESETS, "quick", replace(TINY, mode="image", max_epochs=1))
    paths = paper_figs.make("neighbours", "quick", tmp_path)
    assert [path.suffix for path in paths] == [".nc", ".png", ".pdf", ".txt"]
    data = xr.open_dataset(paths[0], engine="scipy")
    assert dict(data.right_image.sizes) == {"query": 6, "place": 5}
    right = data.right_image.values.astype(bool)
    same = (data.found_image == data.image).all(("row", "column", "colour")).transpose(*data.right_image.dims).values
    assert right.any(1).tolist() == [True] * 3 + [False] * 3
    assert right[same].all()
    assert same[:3].any()
    said = (data.found_caption == data.caption).transpose(*data.right_caption.dims).values
    assert said[data.right_caption.values.astype(bool)].all()
    np.testing.assert_allclose(data.recall_chance, 5 / 30, atol=0.02)
