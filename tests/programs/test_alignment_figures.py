"""Figures of imposed and emergent alignment: rules that choose a strength, tables, and files of tiny runs."""

import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from paper_figs import __main__ as paper_figs
from paper_figs import emergent_alignment, imposed_alignment
from phasejax import diagnose
from phasejax.information import EmergentAlignment, ImposedAlignment, _emergent_alignment, _imposed_alignment

IMPOSED = ImposedAlignment(redundancies=(0, 8), strengths=(0.0, 2.0), seeds=2, n=600, steps=30, batch=32)
EMERGED = EmergentAlignment(redundancies=(0, 8), transform_depths=(0, 2), depths=(1, 2), seeds=2, steps=30, batch=64,
                            rows=64, neighbours=5)


def imposed():
    """A dataset as a run of `IMPOSED` returns it, of random numbers."""
    rng = np.random.default_rng(0)
    return _imposed_alignment._dataset(IMPOSED, [
        {"accuracy": rng.random((2, 2)), "best_accuracy": np.ones(2)}
        | {name: rng.random(2) for name in _imposed_alignment.METRICS} for _ in range(4)])


def emerged():
    """A dataset as a run of `EMERGED` returns it, of random numbers."""
    rng = np.random.default_rng(0)
    seeds = [_emergent_alignment._Seed.of(EMERGED, seed) for seed in range(2)]
    parts_y = {("y", depth, seed): {"accuracy": rng.random(4), "alignment": rng.random((4, 2))}
               for depth in EMERGED.depths for seed in range(2)}
    return _emergent_alignment._dataset(EMERGED, [{"accuracy": rng.random(2)} for _ in range(2)], parts_y, seeds)


@pytest.mark.slow
def test_figures_of_tiny_runs(tmp_path, monkeypatch):
    preset = SimpleNamespace(experiment="tiny")
    monkeypatch.setitem(imposed_alignment.IMPOSED_ALIGNMENT_PRESETS, "tiny", IMPOSED)
    monkeypatch.setitem(emergent_alignment.EMERGENT_ALIGNMENT_PRESETS, "tiny", EMERGED)
    monkeypatch.setattr(imposed_alignment, "run_imposed_alignment", lambda *_, **__: imposed())
    monkeypatch.setattr(emergent_alignment, "run_emergent_alignment", lambda *_, **__: emerged())
    # The default method compiles for ten seconds; it is tested in tests/diagnosis.
    monkeypatch.setattr(imposed_alignment, "diagnose", functools.partial(diagnose, method="spectral"))
    monkeypatch.setitem(paper_figs.PRESETS, "tiny", preset)
    for name in ("strength", "emergence", "strength_predicted"):
        paths = paper_figs.make(name, "tiny", tmp_path)
        assert [path.suffix for path in paths] == [".nc", ".png", ".pdf", ".txt", ".csv"]
        assert paths[1].stat().st_size > 10_000
        data, table = xr.load_dataset(paths[0], engine="scipy"), pd.read_csv(paths[4])
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


def test_rules_are_scored_on_seeds_they_have_not_seen():
    """Two kinds of cells with opposite best strengths: a rule by the right predictor gains what is there."""
    accuracy = np.array([[[0.6, 0.5], [0.5, 0.6]]] * 4)
    right, useless = np.tile([0.0, 1.0], (4, 1)), np.zeros((4, 2)) + np.arange(4)[:, None]
    np.testing.assert_allclose(imposed_alignment.held_out_accuracy(accuracy, None), 0.55)
    np.testing.assert_allclose(imposed_alignment.held_out_accuracy(accuracy, "cells"), 0.6)
    np.testing.assert_allclose(imposed_alignment.held_out_accuracy(accuracy, right), 0.6)
    np.testing.assert_allclose(imposed_alignment.held_out_accuracy(accuracy, useless), 0.55)


def test_the_table_of_predictors_has_what_each_gains():
    """Two redundancies, three seeds: kappa orders the best strengths, nu does so backwards, other columns are noise."""
    best = np.array([[0, 0, 1], [2, 2, 1]])
    accuracy = np.where(np.arange(3) == best[..., None], 0.7, 0.5)
    values = {name: (("redundancy", "seed"), np.zeros((2, 3))) for name in imposed_alignment._PREDICTORS}
    values |= {"kappa": (("redundancy", "seed"), best + 1.0), "nu": (("redundancy", "seed"), -best / 4)}
    rules = ["fixed", "oracle", *imposed_alignment._PREDICTORS]
    data = xr.Dataset(values | {
        "accuracy": (("redundancy", "seed", "strength", "modality"), np.stack([accuracy, accuracy], -1)),
        "held_out_accuracy": (("rule", "seed"), np.arange(len(rules))[:, None] + np.array([0.1, 0.2, 0.3]))},
        {"redundancy": [0, 8], "strength": [0.0, 1.0, 2.0], "seed": range(3), "rule": rules})
    table = imposed_alignment.tabulate_strength_predicted(data)
    assert table.loc[0, "best_strength"] == pytest.approx(1 / 3)
    assert table.loc[8, "best_strength"] == pytest.approx(5 / 3)
    assert table.loc[0, "gain_at_best"] == pytest.approx(0.2 / 3)
    correlations, gains = table.iloc[2], table.iloc[3]
    assert correlations.kappa == pytest.approx(1)
    assert correlations.nu == pytest.approx(-1)
    assert list(gains[[*imposed_alignment._PREDICTORS, "best_strength"]]) == pytest.approx([2, 3, 4, 5, 6, 7, 1])
