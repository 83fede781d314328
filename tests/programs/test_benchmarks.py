"""The command of benchmarks: what it writes, that it goes on after a kill, and that what it compares agrees."""

import json
import time
from dataclasses import replace

import jax
import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import diagnosis, estimators, first_call, training
from benchmarks import sweep as bench
from benchmarks.numpy_loop import recovered_counts
from benchmarks.report import Benchmark


@pytest.mark.slow
def test_sweep_benchmark(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "_AXES", {name: values[::10] for name, values in bench._AXES.items()})
    monkeypatch.setattr(bench, "_SUBSET", {name: slice(None) for name in bench._AXES})
    monkeypatch.setitem(benchmarks.BENCHMARKS, "sweep", Benchmark("", lambda: bench.run(seeds=4, rounds=2)))
    assert benchmarks.main(["sweep", "--json", str(tmp_path / "b.json")]) == 0
    saved = json.loads((tmp_path / "b.json").read_text())
    assert saved["benchmarks"] == ["sweep"]
    assert set(saved["measured"]) == {"date", "machine", "python", "jax", "phasejax"}
    assert saved["measured"]["jax"] == jax.__version__
    rows = saved["rows"]
    assert all(set(row) == {"case", "metric", "value", "unit"} for row in rows)
    values = {(row["case"], row["metric"]): row["value"] for row in rows}
    case = "fig7 1x4x4x4"
    assert values[case, "speedup_per_cell"] > 0
    assert values[case, "speedup_per_cell"] == pytest.approx(
        values["NumPy loop", "time_per_cell"] / values[case, "time_per_cell"])
    for name in ("recovered_ca", "recovered_cp"):
        assert abs(values[case, f"{name}_difference"]) < 4.5
    assert "speedup_per_cell" in capsys.readouterr().out


def test_estimators_benchmark_without_cca_zoo(monkeypatch, capsys):
    monkeypatch.setattr(estimators.importlib.util, "find_spec", lambda name: None)
    values = {(row["case"], row["metric"]): row["value"] for row in estimators.run(rounds=1, n=300, d=8)}
    case = "n = 300, d = 8, k = 5"
    assert values[f"{case}, floor, products of the views", "operations"] == pytest.approx(300 * 4 * 64 / 1e9)
    for metric in ("time", "processor_time"):
        assert values[f"{case}, phasejax", f"{metric}_over_floor"] == pytest.approx(
            values[f"{case}, phasejax", metric] / values[f"{case}, floor", metric])
    assert "pip install cca-zoo" in capsys.readouterr().out


def test_the_loop_recovers_clear_signals():
    rng = np.random.default_rng(0)
    model = {"gamma_x": 0.1, "gamma_y": 0.1, "nuisance_x": 1.0, "d": 10, "n": 1000}
    assert recovered_counts(rng, np.full(3, 3.0), 0.2, nuisance_y=1.0, **model) == (3, 3)
    assert recovered_counts(rng, np.full(3, 3.0), 0.8, nuisance_y=100.0, **model)[1] == 0


def test_training_benchmark(monkeypatch):
    """What is timed is `test_the_epochs_that_are_timed_train`; here, what is made of the times."""
    monkeypatch.setattr(training, "_SIZE", 16)
    monkeypatch.setattr(training, "_BATCH", 8)
    monkeypatch.setattr(training, "_MANY", 2)
    monkeypatch.setattr(training, "_ours", lambda objective, steps, cells: lambda: time.sleep(0.01))
    # PyTorch need not be installed: what is timed is told apart by its side's name.
    monkeypatch.setattr(training, "_torch", lambda objective, steps: lambda: time.sleep(0.01))
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: object())
    values = {(row["case"], row["metric"]): row["value"] for row in training.run(rounds=2, steps=2)}
    for objective in ("CA", "CP"):
        one, two, theirs = (values[case, "step_time_per_cell"] for case in (
            f"phasejax {objective}, 1 cell", f"phasejax {objective}, 2 cells", f"PyTorch {objective}, 1 cell"))
        assert values[f"phasejax {objective}, 1 cell", "time_over_pytorch"] == pytest.approx(one / theirs)
        assert values[f"phasejax {objective}, 2 cells", "time_per_cell_over_one_cell"] == pytest.approx(two / one)
        assert values[f"phasejax {objective}, 1 cell", "samples_per_second"] == pytest.approx(8e3 / one)
    monkeypatch.setattr(training.importlib.util, "find_spec", lambda name: None)
    assert {row["case"] for row in training.run(rounds=1, steps=1)} == {
        "machine", *(f"phasejax {objective}, {cells}" for objective in ("CA", "CP") for cells in ("1 cell", "2 cells"))}


@pytest.mark.slow
def test_the_epochs_that_are_timed_train(monkeypatch):
    monkeypatch.setattr(training, "_SIZE", 16)
    epoch = training._ours("CP", 8, 1)
    first, *_, last = (epoch()[0] for _ in range(4))
    assert last[0] < 0.8 * first[0]


def test_a_killed_diagnosis_benchmark_goes_on(tmp_path, monkeypatch, capsys):
    """What was done is read and not measured again, unless it was of other sizes."""
    measured = []

    def accuracy(*arguments):
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.append(arguments)
        return [{"case": "-".join(map(str, arguments)), "metric": "correct", "value": 1.0, "unit": "share"}]

    monkeypatch.setattr(diagnosis, "_accuracy", accuracy)
    for name in ("_timing", "_large", "_real_data"):
        monkeypatch.setattr(diagnosis, name, list)
    with pytest.raises(KeyboardInterrupt):
        benchmarks.main(["diagnosis", "--json", str(tmp_path / "b.json")])
    assert "diagnosis: 5 of 27" in capsys.readouterr().err
    monkeypatch.setattr(diagnosis, "_accuracy", lambda *arguments: [measured.append(arguments) or {
        "case": "-".join(map(str, arguments)), "metric": "correct", "value": 1.0, "unit": "share"}])
    assert benchmarks.main(["diagnosis", "--json", str(tmp_path / "b.json")]) == 0
    assert len(measured) == len(set(measured)) == 24
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert len(rows) == 24
    assert rows[0] == {"case": "homogeneous-400-40-Gaussian-spanning-30-5", "metric": "correct", "value": 1.0,
                       "unit": "share"}
    assert not (tmp_path / "b.json.parts").exists()
    diagnosis.run(cells=2, seeds=1, store=tmp_path / "other")
    with pytest.warns(UserWarning, match=r"and 26 more \(settings is .*, 2, 1\] there, .*, 2, 2\] here\)"):
        diagnosis.run(cells=2, seeds=2, store=tmp_path / "other")
    assert len(measured) == 24 * 3


def test_only_resumable_benchmarks_get_a_store(tmp_path, monkeypatch):
    given = []
    for name, benchmark in benchmarks.BENCHMARKS.items():
        monkeypatch.setitem(benchmarks.BENCHMARKS, name,
                            replace(benchmark, run=lambda name=name, **options: given.append((name, options)) or []))
    assert benchmarks.main(["--json", str(tmp_path / "b.json")]) == 0
    unnamed = [name for name, benchmark in benchmarks.BENCHMARKS.items() if not benchmark.only_when_named]
    assert [name for name, _ in given] == unnamed
    for name, options in given:
        assert set(options) == ({"store", "progress"} if benchmarks.BENCHMARKS[name].resumable else set())


def test_the_help_lists_every_benchmark_with_its_title(capsys):
    with pytest.raises(SystemExit) as end:
        benchmarks.main(["--help"])
    assert end.value.code == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, benchmark in benchmarks.BENCHMARKS.items():
        assert f"{name} {benchmark.title}" in printed


@pytest.mark.slow
def test_both_calls_of_a_command_are_measured():
    rows = first_call.run({"--version": ("--version",)})
    assert [(row["case"], row["metric"]) for row in rows] == [
        (f"phasejax --version, {call} call", metric) for call in ("first", "second")
        for metric in ("wall_time", "peak_memory")]
    assert all(row["value"] > 0 for row in rows)
    with pytest.raises(RuntimeError, match=r"phasejax diagnose no\.npy: expected exit code 0, got 2"):
        first_call.run({"diagnose": ("diagnose", "no.npy")})


def test_an_unwritable_report_is_refused(tmp_path, capsys):
    assert benchmarks.main(["sweep", "--json", str(tmp_path / "no" / "b.json")]) == 2
    assert capsys.readouterr().err.startswith("error: --json")
