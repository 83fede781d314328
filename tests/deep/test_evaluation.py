"""From a trained grid to the scores of its encoders, and figures."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

from paper_figs import __main__ as paper_figs
from paper_figs import nonlinear
from paper_figs.presets import Preset
from phasejax import deep
from phasejax.deep import ProbeRows, TrainedGrid, evaluate, probe
from phasejax.deep._evaluation import FrozenEncoders
from phasejax.deep._grid import cells_of, training_of
from phasejax.deep._objectives import OBJECTIVES
from phasejax.deep.data._sources import open_source
from phasejax.plotting import paper_style
from tests.deep.conftest import TINY

PRESET = Preset(n=10, seeds=1, thin=1, raster=2, frames=1, sizes=(300, 320), experiment="tiny")


@pytest.fixture(scope="module")
def scores(trained):
    return evaluate(trained)


@pytest.mark.slow
def test_scores_are_those_of_the_best_parameters_of_each_cell(trained, scores):
    """Probes are fitted to rows 0 to 199, validated on 240 to 269, tested on 270 to 299; no probe sees the others."""
    assert scores["accuracy"].dims == ("objective", "jitter", "noise", "seed", "probe_size")
    source, cells = open_source(TINY), cells_of(TINY)
    rows = np.r_[:200, 240:300]
    for objective in ("cp", "cp_reverse"):
        training = training_of(TINY, objective, source)
        for i, jitter, seed in ((1, 0.0, 1), (2, 0.3, 0)):
            cell, params = jax.tree.map(lambda leaf, i=i: leaf[i], (cells, trained.params[objective]))
            views = source.views(cell, jnp.asarray(rows))
            expected = probe(ProbeRows(np.asarray(training.embeddings(params, cell, jnp.asarray(rows))),
                                       np.asarray(views.label), np.asarray(views.position), 200, 30), (50, 200))
            found = scores.sel(objective=objective, jitter=jitter, noise=0.5, seed=seed)
            # Compiled programs round embeddings differently, so that one of the 30 test rows may change its class.
            np.testing.assert_allclose(found["accuracy"], expected.accuracy, atol=1.01 / 30)
            np.testing.assert_allclose(found["position_r2"], expected.position_r2, atol=1e-3)
            assert found["chance"] == expected.chance
    np.testing.assert_array_equal(scores["loss"], trained.curves["loss"])


@pytest.mark.slow
def test_a_diverged_cell_has_no_score_and_others_have(trained):
    broken = {name: jax.tree.map(np.copy, params) for name, params in trained.params.items()}
    jax.tree.leaves(broken["cp"]["encoder_x"])[0][1] = np.nan
    scores = evaluate(TrainedGrid(TINY, broken, trained.curves))["accuracy"]
    assert np.isnan(scores.sel(objective="cp", jitter=0.0, seed=1)).all()
    assert np.isfinite(scores.sel(objective="cp", jitter=0.3)).all()
    assert np.isfinite(scores.sel(objective="cp_reverse")).all()


@pytest.mark.slow
def test_a_cell_that_is_not_there_is_refused(trained):
    encoders = FrozenEncoders(trained)
    with pytest.raises(ValueError, match=r"jitter: expected one of 0.0, 0.3, got 0.1"):
        encoders.embed("cp", np.arange(3), jitter=0.1, noise=0.5, seed=0)


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].mean(axis=2)


@pytest.mark.slow
def test_figures_show_what_was_found(scores):
    both = xr.concat([scores, scores], xr.DataArray([250, 300], dims="n", name="n"), combine_attrs="override")
    for draw, data in ((nonlinear.draw_probes, scores), (nonlinear.draw_sizes, both)):
        with paper_style():
            drawn = pixels(draw(data))
        assert drawn.std() > 5
        assert drawn[0].min() > 250  # the margin is white: nothing is cut off
        assert drawn[:, [0, -1]].min() > 250


@pytest.mark.slow
def test_tables_hold_the_numbers_of_the_figures(scores):
    table = nonlinear.tabulate_probes(scores).reset_index().set_index(["objective", "jitter", "probe_size"])
    row = table.loc["cp", 0.3, 200]
    two = scores.accuracy.sel(objective="cp", jitter=0.3, noise=0.5, probe_size=200).values
    assert row.accuracy == pytest.approx(two.mean())
    # Student's t of one degree of freedom at 97.5%.
    assert row.accuracy_upper - row.accuracy == pytest.approx(12.7062 * abs(two[0] - two[1]) / 2, rel=1e-4)
    assert row.position_r2 == pytest.approx(float(scores.position_r2.sel(objective="cp", jitter=0.3).mean()))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(deep.PRESETS, "tiny", replace(TINY, seeds=1, jitters=(0.0,)))
    monkeypatch.setitem(paper_figs.PRESETS, "tiny", PRESET)


@pytest.mark.slow
def test_a_figure_is_made_from_training_to_paper(tiny, monkeypatch, tmp_path):
    """The figure of two sample sizes, with one objective."""
    monkeypatch.setitem(deep.PRESETS, "tiny", replace(deep.PRESETS["tiny"], objectives=("cp",)))
    tasks = []
    paths = paper_figs.make("fig11", "tiny", tmp_path, lambda task, done, total: tasks.append((task, done, total)))
    assert [Path(path).suffix for path in paths] == [".nc", ".png", ".pdf", ".txt", ".csv"]
    assert all(Path(path).stat().st_size > 1000 for path in paths[:3])
    table = pd.read_csv(paths[4])
    assert sorted(table.n) == [300, 300, 320, 320]
    assert table.accuracy.between(0, 1).all()
    assert "cp, epochs (cells 1 to 1 of 1, validation loss" in tasks[0][0]
    assert tasks[0][1:] == (1, 3)
    assert tasks[-1][0].endswith("cp, cells probed")
    assert tasks[-1][1:] == (1, 1)
    assert not (tmp_path / "fig11.parts").exists()


@pytest.mark.slow
def test_maps_of_the_embeddings(tiny, tmp_path):
    paths = paper_figs.make("fig5", "tiny", tmp_path)
    data = xr.load_dataset(paths[0], engine="scipy")
    assert dict(data.sizes) == {"objective": 2, "jitter": 1, "row": 30, "axis": 2, "side": 2}
    assert np.isfinite(data["map"]).all()
    assert float(data["map"].std("row").min()) > 0.1


def test_styles_cover_all_objectives():
    assert set(nonlinear.STYLES) == set(OBJECTIVES)
