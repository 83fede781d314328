"""Scores of frozen encoders on clean rows, as numbers, as a table, in words and as a figure."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr

from phasejax.captions import CaptionNuisance, CaptionScores, evaluate_captions, plot_captions, present
from phasejax.captions._evaluation import FrozenCaptionEncoders
from phasejax.deep import TrainedGrid
from tests.captions.conftest import TINY, output


@pytest.fixture(scope="module")
def scores(fresh):
    return evaluate_captions(fresh)


def test_scores_are_those_of_clean_rows(fresh, scores):
    """Embeddings of one cell, by its networks from clean images; its recall by sorting similarities."""
    encoders = FrozenCaptionEncoders(fresh)
    test = encoders.split(1).test
    found = encoders.embed("vicreg", 1, encoders.source.held_out, test)
    state = jax.tree.map(lambda leaf: leaf[1], fresh.params["vicreg"])
    networks = encoders._epochs["vicreg"].training.networks(state)
    clean = present(0, encoders.source.pairs.rows(test), CaptionNuisance("none"))
    np.testing.assert_allclose(found.images, output(networks["image_encoder"], clean.images), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.texts, output(networks["text_encoder"], clean.tokens), rtol=1e-3, atol=1e-4)
    images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found.images, found.texts))
    nearest = np.argsort(-images @ texts.T, axis=1, kind="stable")[:, :5]
    hit = np.mean([row in near for row, near in enumerate(nearest)])
    recall = scores.recall.sel(objective="vicreg", noise=0.5, direction="image to text", k=5)
    assert abs(float(recall.squeeze()) - hit) < 2 / len(test)  # alike captions tie


def test_every_cell_is_scored(scores):
    assert np.isfinite(scores.top1).all()
    assert (scores.chance > 0).all()
    assert np.isnan(scores.recall.sel(objective="cp_reverse")).all()
    assert np.isfinite(scores.recall.sel(objective="vicreg")).all()
    np.testing.assert_allclose(scores.recall_chance.isel(k=0), 1 / 30)


def test_what_is_not_finite_has_no_score(fresh):
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan) if leaf.dtype == np.float32 else leaf,
                          fresh.params["vicreg"])
    experiment = replace(TINY, objectives=("vicreg",))
    found = evaluate_captions(TrainedGrid(experiment, {"vicreg": broken}, fresh.curves.sel(objective=["vicreg"])))
    assert np.isnan(found.top1).all()
    assert np.isnan(found.recall).all()


def test_scores_in_a_table_in_words_and_in_a_figure(scores):
    three = xr.concat([scores.isel(seed=0).assign_coords(seed=seed) for seed in range(3)], "seed")
    three.attrs["experiment"] = replace(TINY, seeds=3).to_json()
    three["top1"] = 0 * three.top1 + xr.DataArray([0.1, 0.2, 0.3], dims="seed")
    found = CaptionScores(three)
    table = found.to_frame()
    assert table.groups.tolist() == [0, 3] * 2
    # Student's t at two degrees of freedom, 4.3027, times .1 / sqrt(3).
    np.testing.assert_allclose(table.top1, 0.2)
    np.testing.assert_allclose(table.top1_high - table.top1, 4.302653 * 0.1 / 3**0.5, rtol=1e-5)
    saved = json.loads(found.to_json())
    assert saved["experiment"]["seeds"] == 3
    assert saved["scores"][2]["recall_image_to_text_1"] is None
    text = found.summary()
    assert "CP text->image" in text
    assert "0.200 (0.000 to 0.448)" in text
    assert "guessing" in text
    figure = plot_captions(found)
    assert [line.get_label() for line in figure.axes[0].get_lines()].count("chance") == 1


def test_another_dataset_is_refused():
    with pytest.raises(ValueError, match="scores: expected what evaluate_captions returns, got a dataset with a"):
        CaptionScores(xr.Dataset({"a": 1.0}))
