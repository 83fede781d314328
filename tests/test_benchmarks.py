"""The benchmark runs, agrees with the loop it is measured against, and writes what it says."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import sweep as bench
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


def test_an_unwritable_report_is_refused(tmp_path, capsys):
    assert benchmarks.main(["sweep", "--json", str(tmp_path / "no" / "b.json")]) == 2
    assert capsys.readouterr().err.startswith("error: --json")
