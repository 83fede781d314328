"""Measured features as the rows of an experiment: permuted by seed, checked, trained on."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.deep import Experiment, evaluate, train_grid
from phasejax.deep._grid import cells_of
from phasejax.deep.data._sources import feature_source, open_source

TINY = Experiment(data="features", path="pairs.npz", n=400, jitters=(0.0,), noises=(0.0,), objectives=("cp", "vicreg"),
                  seeds=2, encoder="mlp", activation="tanh", hidden=(16,), embedding=4, projection=3, batch=40,
                  max_epochs=20, patience=20, learning_rate=1e-2, probe_sizes=(100, 300))


def features(n=450, seed=0):
    """Two classes that both views show, in the first column."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n)
    x, y = rng.standard_normal((n, 5)), rng.standard_normal((n, 3))
    for view in (x, y):
        view[:, 0] += 6.0 * classes
    return {"x": x, "y": y, "labels": np.array(["no", "yes"])[classes], "nuisance": x[:, 1:2]}


@pytest.fixture
def experiment(tmp_path):
    np.savez(tmp_path / "pairs.npz", **features())
    return replace(TINY, path=str(tmp_path / "pairs.npz"))


def test_rows_are_permuted_anew_by_each_seed_and_stay_pairs(experiment):
    arrays, source = features(), open_source(experiment)
    assert (source.shape_x, source.shape_y, source.classes) == ((5,), (3,), 2)
    cells, seen = cells_of(experiment), []
    for number in range(2):
        cell = jax.tree.map(lambda leaf, number=number: leaf[number], cells)
        views = source.views(cell, jnp.arange(450))
        which = [int(np.argmin(np.abs(arrays["x"] - row).sum(1))) for row in np.asarray(views.x)]
        assert sorted(which) == list(range(450))
        np.testing.assert_allclose(views.y, arrays["y"][which], rtol=1e-6)
        np.testing.assert_allclose(views.position, arrays["nuisance"][which], rtol=1e-6)
        np.testing.assert_array_equal(np.asarray(views.label) == 1, arrays["labels"][which] == "yes")
        np.testing.assert_array_equal(source.views(cell, jnp.array([7, 2])).x, views.x[jnp.array([7, 2])])
        seen.append(which)
    assert seen[0] != seen[1]


@pytest.mark.slow
def test_mlps_learn_what_both_views_show(experiment):
    trained = train_grid(experiment)
    loss = trained.curves.loss.sel(split="train")
    assert (loss.isel(epoch=-1) < loss.isel(epoch=0)).all()
    scores = evaluate(trained)
    assert scores.accuracy.isel(probe_size=-1).min() > 0.95
    assert np.isfinite(scores.position_r2).all()


@pytest.mark.slow
def test_a_nuisance_that_is_not_known_has_no_score(experiment, tmp_path):
    arrays = features()
    del arrays["nuisance"]
    np.savez(tmp_path / "other.npz", **arrays)
    scores = evaluate(train_grid(replace(experiment, path=str(tmp_path / "other.npz"), objectives=("cp",), seeds=1,
                                         max_epochs=1)))
    assert np.isnan(scores.position_r2).all()
    assert np.isfinite(scores.accuracy).all()


@pytest.mark.parametrize(("change", "message"), [
    ({"x": np.ones(450)}, "x: expected numbers in rows and columns, got shape (450,), float64"),
    ({"y": np.ones((449, 3))}, "y: expected 450 rows as in x, got 449"),
    ({"y": np.full((450, 3), np.nan)}, "y: expected finite numbers, got 1350 that are not"),
    ({"x": np.full((450, 2), "a")}, "x: expected numbers in rows and columns, got shape (450, 2), <U1"),
    ({"labels": np.zeros((450, 2))}, "labels: expected shape (450,), one class for each row of x, got (450, 2)"),
    ({"labels": np.zeros(450)}, "labels: expected at least two classes, got 1"),
])
def test_bad_arrays_are_refused(change, message, experiment, tmp_path):
    np.savez(tmp_path / "pairs.npz", **(features() | change))
    with pytest.raises(ValueError, match=re.escape(message)):
        open_source(experiment)


def test_bad_files_are_refused(experiment, tmp_path):
    with pytest.raises(ValueError, match=r"n: expected at most 450, the rows in .*, got 500"):
        open_source(replace(experiment, n=500))
    np.savez(tmp_path / "few.npz", x=np.ones((3, 2)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "pairs.npz").read_bytes()[:900])
    for name in ("few.npz", "cut.npz", "none.npz"):
        with pytest.raises(ValueError, match=r"path: expected an \.npz file with x, y and labels \(and nuisance"):
            open_source(replace(experiment, path=str(tmp_path / name)))


def test_features_need_no_nuisance():
    arrays = features()
    del arrays["nuisance"]
    source = feature_source(**arrays)
    assert source.views(jax.tree.map(lambda leaf: leaf[0], cells_of(TINY)), jnp.arange(4)).position.shape == (4, 0)
