"""Emergent and imposed alignment: cells against loops written out, tiny runs, their figures and bad values."""

import functools
import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.special
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import emergence as emergence_figure
from paper_figs import strength as strength_figure
from paper_figs import strength_predicted
from phasejax import diagnose
from phasejax.information import (
    EmergentAlignment,
    ImposedAlignment,
    best_strength,
    correlation_with_accuracy,
    joint_table,
    run_emergent_alignment,
    run_imposed_alignment,
)
from phasejax.information._emergent_alignment import layer_alignment
from phasejax.information._encoders import Linear, cross_entropy, hidden_layers, start_encoder
from phasejax.information._imposed_alignment import exact_accuracy, label_model, state_tables, train_pair
from phasejax.information._shared_unique_bits import all_bits

pytestmark = pytest.mark.slow

IMPOSED = ImposedAlignment(redundancies=(0, 8), strengths=(0.0, 2.0), seeds=2, n=64, steps=30, batch=32)
EMERGED = EmergentAlignment(redundancies=(0, 8), transform_depths=(0, 2), depths=(1, 2), seeds=2, steps=30, batch=64, rows=64,
                    neighbours=5)


@pytest.fixture(scope="module")
def imposed():
    return run_imposed_alignment(IMPOSED)


@pytest.fixture(scope="module")
def emerged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emerged")
    return folder, run_emergent_alignment(EMERGED, store=folder)


def test_networks_and_losses_are_those_written_out():
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((7, 5)), rng.integers(0, 3, 7)
    encoder = [Linear(jnp.asarray(rng.standard_normal(shape)), jnp.asarray(rng.standard_normal(shape[1])))
               for shape in ((5, 4), (4, 4), (4, 3))]
    h = rows
    for layer, found in zip(encoder, hidden_layers(encoder, jnp.asarray(rows)), strict=True):
        h = h @ np.asarray(layer.weight) + np.asarray(layer.bias)
        h = np.where(h > 0, h, h / 10)
        np.testing.assert_allclose(found, h, rtol=1e-4, atol=1e-5)
    expected = -scipy.special.log_softmax(h, axis=1)[np.arange(7), labels].mean()
    assert float(cross_entropy(jnp.asarray(h), jnp.asarray(labels))) == pytest.approx(expected, rel=1e-5)
    # The start keeps the mean square of a signal.
    start = start_encoder(jax.random.key(0), 4, 256, 256)
    noise = jax.random.normal(jax.random.key(1), (64, 256))
    sizes = [float(jnp.mean(layer**2)) for layer in hidden_layers(start, noise)]
    assert 0.6 < sizes[-1] / sizes[0] < 1.7


def test_accuracy_is_over_all_states():
    model, _ = label_model(4, 0)
    table = joint_table(model)
    for given, mean in zip(state_tables(model), (table.mean(2), table.mean(1)), strict=True):
        best = exact_accuracy(jnp.asarray(given), jnp.asarray(given, jnp.float32))
        assert float(best) == pytest.approx(mean.max(-1).mean(), abs=1e-5)
        # The order is that of all_bits: shared bits first, running fastest.
        state = 0b101_00001011  # x_c = 11, x_u = 5
        np.testing.assert_allclose(given[state], mean[0b1011, 0b101])
    assert all_bits(12)[state].tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0]
    wrong = -jnp.asarray(given, jnp.float32)
    assert float(exact_accuracy(wrong, jnp.asarray(given, jnp.float32))) == pytest.approx(
        mean.min(-1).mean(), abs=1e-5)


def test_a_cell_of_the_grid_is_the_cell_alone(imposed):
    model, key = label_model(8, 1)
    alone = train_pair(key, jnp.float32(2.0), jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), model),
                       tuple(jnp.asarray(t, jnp.float32) for t in state_tables(model)), experiment=IMPOSED)
    cell = imposed.sel(redundancy=8, seed=1, strength=2.0)
    np.testing.assert_allclose(cell.accuracy, alone["accuracy"], atol=0.02)
    np.testing.assert_allclose(cell.alignment.sel(metric="cka"), alone["cka"], atol=5e-3)
    assert imposed.alignment.dims == ("metric", "redundancy", "seed", "strength")
    assert float(imposed.accuracy.min()) > 0.1
    assert (imposed.accuracy <= imposed.best_accuracy + 1e-6).all()
    # Even 30 steps align.
    gained = imposed.alignment.sel(metric="cka").diff("strength")
    assert float(gained.mean()) > 0.02
    assert json.loads(imposed.experiment)["n"] == 64


def test_emerged_parts_are_used_again(emerged):
    folder, found = emerged
    assert found.accuracy_y.shape == (2, 2, 2, 2)
    assert found.alignment.dims == ("metric", "seed", "redundancy", "transform_depth", "depth")
    assert np.isfinite(found.alignment).all()
    told = []
    again = run_emergent_alignment(EMERGED, store=folder, progress=lambda *event: told.append(event))
    xr.testing.assert_identical(found, again)
    assert told == [("encoders of x", 2, 2), ("encoders of y", 4, 4)]
    # More redundancy has more to learn, for every seed.
    assert (found.accuracy_x.sel(redundancy=8) > found.accuracy_x.sel(redundancy=0)).all()


def test_the_largest_alignment_of_layers_is_found():
    rng = np.random.default_rng(0)
    same = rng.standard_normal((50, 3))
    x = jnp.asarray(np.stack([rng.standard_normal((50, 3)), same]), jnp.float32)
    y = jnp.asarray(np.stack([rng.standard_normal((50, 3)), rng.standard_normal((50, 3)), 2 * same]), jnp.float32)
    np.testing.assert_allclose(layer_alignment(x, y, 5), 1, atol=1e-5)
    assert float(layer_alignment(x, y[:2], 5).max()) < 0.5


def test_correlation_is_over_depths():
    rng = np.random.default_rng(0)
    accuracy, alignment = rng.random((2, 3, 2, 4)), rng.random((2, 2, 3, 2, 4))
    dims = ("seed", "redundancy", "transform_depth", "depth")
    found = correlation_with_accuracy(xr.Dataset({"accuracy_y": (dims, accuracy),
                                                  "alignment": (("metric", *dims), alignment)}))
    assert float(found[1, 0, 2, 1]) == pytest.approx(np.corrcoef(alignment[1, 0, 2, 1], accuracy[0, 2, 1])[0, 1])


def test_the_best_strength_and_its_interval():
    strengths = np.array([0.0, 1.0, 2.0])
    clear = np.array([[0.5, 0.6, 0.4], [0.5, 0.7, 0.4], [0.4, 0.6, 0.5]])
    assert best_strength(clear, strengths) == (1.0, 1.0, 1.0)
    torn = np.array([[0.9, 0.1, 0.0], [0.0, 0.1, 0.8]])
    assert best_strength(torn, strengths) == (0.0, 0.0, 2.0)


def test_rules_are_scored_on_seeds_they_have_not_seen():
    """Two kinds of cells with opposite best strengths: a rule by the right predictor gains what is there."""
    accuracy = np.array([[[0.6, 0.5], [0.5, 0.6]]] * 4)
    right, useless = np.tile([0.0, 1.0], (4, 1)), np.zeros((4, 2)) + np.arange(4)[:, None]
    np.testing.assert_allclose(strength_predicted.held_out_accuracy(accuracy, None), 0.55)
    np.testing.assert_allclose(strength_predicted.held_out_accuracy(accuracy, "cells"), 0.6)
    np.testing.assert_allclose(strength_predicted.held_out_accuracy(accuracy, right), 0.6)
    np.testing.assert_allclose(strength_predicted.held_out_accuracy(accuracy, useless), 0.55)


def test_figures_of_tiny_runs(imposed, emerged, tmp_path, monkeypatch):
    preset = SimpleNamespace(experiment="tiny")
    monkeypatch.setitem(strength_figure.IMPOSED_ALIGNMENT_PRESETS, "tiny", replace(IMPOSED, n=600))
    monkeypatch.setitem(emergence_figure.EMERGENT_ALIGNMENT_PRESETS, "tiny", EMERGED)
    monkeypatch.setattr(strength_figure, "run_imposed_alignment", lambda *_, **__: imposed)
    # The default method compiles for ten seconds, tested elsewhere.
    monkeypatch.setattr(strength_predicted, "diagnose", functools.partial(diagnose, method="spectral"))
    monkeypatch.setattr(emergence_figure, "run_emergent_alignment", lambda *_, **__: emerged[1])
    monkeypatch.setitem(paper_figs.PRESETS, "tiny", preset)
    for name in ("strength", "emergence", "strength_predicted"):
        paths = paper_figs.make(name, "tiny", tmp_path)
        assert [path.suffix for path in paths] == [".nc", ".png", ".pdf", ".csv"]
        assert paths[1].stat().st_size > 10_000
        data, table = xr.load_dataset(paths[0], engine="scipy"), pd.read_csv(paths[3])
        if name == "emergence":
            row = table[(table.metric == "mutual_knn") & (table.redundancy == 8)].iloc[0]
            expected = data.correlation.sel(metric="mutual_knn", redundancy=8).mean()
            assert row.correlation == pytest.approx(float(expected), abs=1e-5)
            continue
        accuracy = data.accuracy.sel(redundancy=8).mean(("modality", "seed"))
        if name == "strength":
            row = table[(table.redundancy == 8) & (table.strength == 2)].iloc[0]
            assert row.gain == pytest.approx(float(accuracy.sel(strength=2) - accuracy.sel(strength=0)), abs=1e-5)
            assert row["best"] in IMPOSED.strengths


def test_the_table_of_predictors_has_what_each_gains():
    """Two redundancies, three seeds: kappa orders the best strengths, nu does so backwards, other columns are noise."""
    best = np.array([[0, 0, 1], [2, 2, 1]])
    accuracy = np.where(np.arange(3) == best[..., None], 0.7, 0.5)
    values = {name: (("redundancy", "seed"), np.zeros((2, 3))) for name in strength_predicted._PREDICTORS}
    values |= {"kappa": (("redundancy", "seed"), best + 1.0), "nu": (("redundancy", "seed"), -best / 4)}
    rules = ["fixed", "oracle", *strength_predicted._PREDICTORS]
    data = xr.Dataset(values | {
        "accuracy": (("redundancy", "seed", "strength", "modality"), np.stack([accuracy, accuracy], -1)),
        "held_out_accuracy": (("rule", "seed"), np.arange(len(rules))[:, None] + np.array([0.1, 0.2, 0.3]))},
        {"redundancy": [0, 8], "strength": [0.0, 1.0, 2.0], "seed": range(3), "rule": rules})
    table = strength_predicted.tabulate_strength_predicted(data)
    assert table.loc[0, "best_strength"] == pytest.approx(1 / 3)
    assert table.loc[8, "best_strength"] == pytest.approx(5 / 3)
    assert table.loc[0, "gain_at_best"] == pytest.approx(0.2 / 3)
    correlations, gains = table.iloc[2], table.iloc[3]
    assert correlations.kappa == pytest.approx(1)
    assert correlations.nu == pytest.approx(-1)
    assert list(gains[[*strength_predicted._PREDICTORS, "best_strength"]]) == pytest.approx([2, 3, 4, 5, 6, 7, 1])


@pytest.mark.parametrize(("kind", "changes", "message"), [
    (IMPOSED, {"strengths": (1.0, 0.0)}, "strengths: expected increasing values"),
    (IMPOSED, {"strengths": (-1.0, 0.0)}, "strengths: expected finite values from 0 on"),
    (IMPOSED, {"redundancies": (9,)}, "redundancies: expected 0 to 8, got"),
    (IMPOSED, {"batch": 65}, "batch: expected at most 64, the rows, got 65"),
    (IMPOSED, {"transform_depth": -1}, "transform_depth: expected 0 or more or None, got -1"),
    (EMERGED, {"depths": (0, 1)}, "depths: expected increasing values from 1 to 100"),
    (EMERGED, {"neighbours": 64}, "neighbours: expected fewer than the 64 rows, got 64"),
    (EMERGED, {"seeds": 0}, "seeds: expected a whole number of at least 1, got 0"),
])
def test_bad_values_are_refused(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(kind, **changes)
