"""The benchmark of groups: how its data are drawn, and what is found without being told of groups."""

import numpy as np
import pytest

from benchmarks import groups


def test_views_of_stars_share_nothing():
    x, y, labels, stars = groups.repeated_measurements(np.random.default_rng(0), np.array([400, 2, 400]), 0.5)
    np.testing.assert_array_equal(np.bincount(stars), [400, 2, 400])
    assert x.shape[1] > y.shape[1]
    for star in range(3):
        assert len(set(labels[stars == star])) == 1
    within = np.hstack([x, y])[stars == 0]
    assert np.abs(within.std(0) - 0.5).max() < 0.08
    correlations = np.corrcoef(within.T)[:x.shape[1], x.shape[1]:]
    assert np.abs(correlations).max() < 4 / 20


@pytest.mark.slow
def test_every_kind_has_its_rows_and_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "METRICS", ["cka"])
    monkeypatch.setattr(groups, "compare_representations",
                        lambda *views, compare=groups.compare_representations, **options:
                        compare(*views, metrics=["cka"], **options))
    rows = groups.run(samples=3, untold_samples=2, permutations=19, store=tmp_path)
    found = {(row["case"], row["metric"]): row["value"] for row in rows}
    assert len(found) == len(rows) == 10 + 10 * 4
    for method, metric in (("similarity", "cka"), ("diagnosis", "views found to share"),
                           ("diagnosis", "labels found to be predicted")):
        assert found[f"{method}, 20 rows each, spread 0.3, groups untold, 2 sets", metric] == 1
    told = [found["similarity, " + kind + ", groups told, 3 sets", "cka"] for kind in (
        "20 rows each, spread 0.3", "20 rows each, spread 1.0", "5 to 40 rows, spread 0.3", "5 to 40 rows, spread 1.0")]
    assert found["similarity, groups told, all 12 sets", "cka"] == np.mean(told)
    assert groups.run(samples=3, untold_samples=2, permutations=19, store=tmp_path) == rows
    assert len(list(tmp_path.iterdir())) == 16
