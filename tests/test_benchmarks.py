"""The benchmark runs, agrees with the loop it is measured against, and writes what it says."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import sweep as bench
from benchmarks import training
from benchmarks.numpy_loop import recovered_counts

pytestmark = pytest.mark.slow


def test_sweep_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "_AXES", {name: values[::10] for name, values in bench._AXES.items()})
    monkeypatch.setattr(bench, "_SUBSET", {name: slice(None) for name in bench._AXES})
    monkeypatch.setattr(benchmarks, "BENCHMARKS", {"sweep": lambda: bench.run(seeds=4, rounds=2)})
    assert benchmarks.main(["sweep", "--json", str(tmp_path / "b.json")]) == 0
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert all(set(row) == {"case", "metric", "value", "unit"} for row in rows)
    values = {(row["case"], row["metric"]): row["value"] for row in rows}
    case = "fig7 1x4x4x4"
    assert values[case, "speedup_per_cell"] > 0
    assert values[case, "speedup_per_cell"] == pytest.approx(
        values["NumPy loop", "time_per_cell"] / values[case, "time_per_cell"])
    for name in ("recovered_ca", "recovered_cp"):
        assert abs(values[case, f"{name}_difference"]) < 4.5
    assert "speedup_per_cell" in capsys.readouterr().out


def test_the_loop_recovers_clear_signals():
    rng = np.random.default_rng(0)
    model = {"gamma_x": 0.1, "gamma_y": 0.1, "nuisance_x": 1.0, "d": 10, "n": 1000}
    assert recovered_counts(rng, np.full(3, 3.0), 0.2, nuisance_y=1.0, **model) == (3, 3)
    assert recovered_counts(rng, np.full(3, 3.0), 0.8, nuisance_y=100.0, **model)[1] == 0


def test_training_benchmark(monkeypatch):
    monkeypatch.setattr(training, "_SIZE", 16)
    monkeypatch.setattr(training, "_BATCH", 8)
    monkeypatch.setattr(training, "_torch", training._ours)  # PyTorch need not be installed
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 3))
    values = {(row["case"], row["metric"]): row["value"] for row in training.run(rounds=2, steps=2)}
    assert values["PyTorch", "threads"] == 3
    for objective in ("CA", "CP"):
        ours, theirs = (values[f"{side} {objective}, 1 cell", "step_time"] for side in ("phasejax", "PyTorch"))
        assert values[f"phasejax {objective}, 1 cell", "time_over_pytorch"] == pytest.approx(ours / theirs)
        assert values[f"phasejax {objective}, 1 cell", "samples_per_second"] == pytest.approx(8e3 / ours)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert {row["case"] for row in training.run(rounds=1, steps=1)} == {
        "machine", "phasejax CA, 1 cell", "phasejax CP, 1 cell"}


def test_the_steps_that_are_timed_train():
    """White noise about 1/2 cannot be predicted: the error falls to its variance, 1/12."""
    steps = training._ours("CP", 40)
    first, last = steps()[0], steps()[-5:].mean()
    assert first > 0.2
    assert last == pytest.approx(1 / 12, rel=0.1)


def test_an_unwritable_report_is_refused(tmp_path, capsys):
    assert benchmarks.main(["sweep", "--json", str(tmp_path / "no" / "b.json")]) == 2
    assert capsys.readouterr().err.startswith("error: --json")
