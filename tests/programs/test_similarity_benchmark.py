"""The similarity benchmark: both sides compute the same values, and memory is that of the process of one metric."""

import importlib.util

import pytest

from benchmarks import similarity
from phasejax.similarity import METRICS


@pytest.mark.slow
def test_both_sides_agree(monkeypatch):
    monkeypatch.setattr(similarity, "_memory", lambda n, d: [{"case": f"{n} {d}", "metric": "peak", "value": 1.0,
                                                             "unit": "GB"}])
    if importlib.util.find_spec("torch") is None:  # PyTorch need not be installed: our side stands in for it
        monkeypatch.setattr(similarity, "_published", lambda x, y: {
            (name, "PyTorch"): take for (name, _), take in similarity._ours(x, y).items()})
        monkeypatch.setattr(similarity.importlib.util, "find_spec", lambda name: object())
    rows = similarity.run(rounds=1, n=300, d=24, large=(500, 8))
    values = {(row["case"], row["metric"]): row["value"] for row in rows}
    for name in (*METRICS, "lcs_knn of given lists", "edit_similarity_knn of given lists"):
        assert abs(values[f"{name}, phasejax", "difference"]) < 1e-4, name
        assert values[f"{name}, phasejax", "speedup"] == pytest.approx(
            values[f"{name}, PyTorch", "time"] / values[f"{name}, phasejax", "time"])
    assert [case for case, metric in values if metric == "peak"] == ["300 24", "500 8"]


@pytest.mark.slow
def test_memory_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr(similarity, "METRICS", {"cka": METRICS["cka"]})
    ballast = b"x" * 700_000_000  # which must not count as memory of the child
    values = {row["case"].split(",")[0]: row["value"] for row in similarity._memory(200, 4)
              if row["metric"] == "peak_memory"}
    assert 0.05 < values["nothing"] <= values["cka"] < len(ballast) / 1e9
