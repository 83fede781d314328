"""Partial information from rows: biases of known size, and a Gaussian whose information is known."""

import jax
import numpy as np
import pytest
import scipy.stats

from phasejax._core.provenance import computed_on
from phasejax.information import (
    EstimatedPartialInformation,
    decompose,
    draw_rows,
    estimate_decomposition,
    pair_table,
)
from phasejax.information._pid_estimate import contingency_table


def test_estimates_tell_their_bias(models):
    rows = draw_rows(jax.random.key(6), models[4], 4096)
    exact = decompose(pair_table(models[4]))
    found = estimate_decomposition(np.asarray(rows.x), np.asarray(rows.y), np.asarray(rows.labels), shuffles=2)
    assert isinstance(found, EstimatedPartialInformation)
    # Cells lose a share of what the bits tell; the label is nearly linear in the bits, so it is small.
    assert exact.redundancy - 0.13 < found.parts.redundancy < exact.redundancy
    assert 1.159 - 0.13 < found.parts.total < 1.159
    assert found.chance.total == pytest.approx(0.027, abs=0.01)
    assert 0 < found.chance.redundancy < 0.01
    # Of k-means' cells, which all fill, Miller's bias; its excess over chance is within noise.
    shuffled = estimate_decomposition(np.asarray(rows.x), np.asarray(rows.y),
                                      np.random.default_rng(0).permutation(rows.labels), method="kmeans", shuffles=3)
    assert shuffled.chance.total == pytest.approx((144 - 1) * 3 / (2 * 4096), rel=0.25)
    assert abs(shuffled.above_chance.total) < 6 * shuffled.chance_deviation.total


def test_quantiles_of_a_gaussian_lose_a_known_share():
    """The label is the sign of u; x = u + noise: I by quadrature, and by 12 cells of equal counts."""
    rng = np.random.default_rng(2)
    u = rng.standard_normal(20_000)
    x, y = u + rng.standard_normal(20_000), rng.standard_normal(20_000)
    found = estimate_decomposition(x[:, None], y[:, None], (u > 0).astype(int), method="quantile", shuffles=3)
    exact_parts = decompose(np.full((2, 2, 2), 0.125), measure="imin")
    assert estimate_decomposition(x[:200, None], y[:200, None], (u[:200] > 0).astype(int), method="quantile", cells=3,
                                  shuffles=2, measure="imin").parts.gap == exact_parts.gap == 0
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-grid**2 / 4) / np.sqrt(4 * np.pi)
    p = scipy.stats.norm.cdf(grid / np.sqrt(2))  # u | x has mean x / 2 and variance 1 / 2
    entropy = -(p * np.log(p + 1e-300) + (1 - p) * np.log1p(-p + 1e-300))
    exact = np.log(2) - np.sum(density * entropy) * (grid[1] - grid[0])
    assert exact - 0.02 < found.parts.redundancy + found.parts.unique_x < exact + 0.01
    assert found.above_chance.unique_x == pytest.approx(exact, abs=0.02)
    assert found.parts.redundancy + found.parts.unique_y < 0.002
    assert found.computed_on == computed_on() == exact_parts.computed_on
    assert found.above_chance.computed_on is None


def test_bad_rows_are_refused():
    x, labels = np.zeros((200, 2)), np.zeros(200, int)
    for arguments, keywords, message in [
            ((x, x[:9], labels), {}, "y: expected 200 rows as in x, got 9"),
            ((x[:50], x[:50], labels[:50]), {}, "x: expected at least 120 rows for 12 cells, got 50"),
            ((x, x + np.nan, labels), {}, "y: expected finite numbers"),
            ((x, x, labels - 1), {}, "labels: expected classes from 0 on, got -1"),
            ((x, x, labels), {"method": "knn"}, "method: expected one of quantile, kmeans, posterior, got 'knn'")]:
        with pytest.raises(ValueError, match=message):
            estimate_decomposition(*arguments, **keywords)
    assert contingency_table(labels, labels, labels).shape == (1, 1, 1)
