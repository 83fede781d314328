"""The alignment benchmark: both sides compute the same at a small size; memory is that of the process of a metric."""

import importlib.util

import pytest

from benchmarks import alignment
from phasejax.similarity import METRICS

pytestmark = pytest.mark.slow


def test_both_sides_agree(monkeypatch):
    monkeypatch.setattr(alignment, "_memory", lambda n, d: [{"case": f"{n} {d}", "metric": "peak", "value": 1.0,
                                                             "unit": "GB"}])
    if importlib.util.find_spec("torch") is None:  # PyTorch need not be installed: ours stands in for it
        monkeypatch.setattr(alignment, "_published", lambda x, y: {(name, "PyTorch"): take for (name, _), take in
                                                                   alignment._ours(x, y).items()})
        monkeypatch.setattr(alignment.importlib.util, "find_spec", lambda name: object())
    rows = alignment.run(rounds=1, n=300, d=24, large=(500, 8))
    values = {(row["case"], row["metric"]): row["value"] for row in rows}
    for name in (*METRICS, "lcs_knn of given lists", "edit_similarity_knn of given lists"):
        assert abs(values[f"{name}, phasejax", "difference"]) < 1e-4, name
        assert values[f"{name}, phasejax", "speedup"] == pytest.approx(
            values[f"{name}, PyTorch", "time"] / values[f"{name}, phasejax", "time"])
    assert [case for case, metric in values if metric == "peak"] == ["300 24", "500 8"]


def test_memory_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr(alignment, "METRICS", {"cka": METRICS["cka"]})
    ballast = b"x" * 700_000_000  # which a child must not count
    values = {row["case"].split(",")[0]: row["value"] for row in alignment._memory(200, 4)
              if row["metric"] == "peak_memory"}
    assert 0.05 < values["nothing"] <= values["cka"] < len(ballast) / 1e9
