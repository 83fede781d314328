"""Moments of paired rows beside those in extended precision, for means far from zero that rows do not show at first."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from phasejax.linear._pair_moments import pair_moments

RNG = np.random.default_rng(0)
PLAIN = RNG.standard_normal((1100, 9))  # more rows than a block has at least, fewer columns than rows


def exact(table, weights):
    rows = table.astype(np.longdouble)
    shares = np.full(len(rows), np.longdouble(1)) if weights is None else weights.astype(np.longdouble)
    shares /= shares.sum()
    mean = shares @ rows
    return mean, ((rows - mean).T * shares) @ (rows - mean)


@pytest.mark.parametrize("table", [
    PLAIN, PLAIN + 3, PLAIN + 1e10, 1e-100 * PLAIN + 1e-98, PLAIN * 10.0 ** np.arange(-40, 50, 10),
    # Means that a few rows do not tell: every fourth row, which is all that are looked at; and rows in order.
    PLAIN + 1e7 * (np.arange(1100) % 5 == 0)[:, None], np.sort(PLAIN, 0) + np.linspace(0, 1e5, 1100)[:, None],
    np.where(np.arange(1100)[:, None] == 777, 1e8, PLAIN),
], ids=["plain", "mean", "large mean", "small", "units", "every fifth", "order", "outlier"])
@pytest.mark.parametrize("weights", [None, RNG.exponential(size=1100) ** 2 * (RNG.random(1100) < 0.9)],
                         ids=["equal", "weighted"])
@pytest.mark.parametrize("fourth", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_moments_are_exact(monkeypatch, table, weights, fourth, order):
    monkeypatch.setattr("phasejax.linear._pair_moments._MOST", 300)
    monkeypatch.setattr("phasejax.linear._pair_moments._LEAST", 300)
    x, y = (np.array(view, order=order) for view in (table[:, :5], table[:, 5:]))
    of_x, of_y, xy = pair_moments(x, y, weights, fourth=fourth)
    mean, expected = exact(table, weights)
    spread = np.sqrt(np.diag(expected)).astype(float)
    found = np.block([[of_x.variance, xy], [xy.T, of_y.variance]])
    # Means of 1e10 standard deviations are data with six digits, of which none is lost.
    assert np.abs((found - expected.astype(float)) / np.outer(spread, spread)).max() < 1e-14
    assert np.abs((np.r_[of_x.mean, of_y.mean] - mean.astype(float)) / (spread + np.abs(mean))).max() < 1e-14
    used = table if weights is None else table[weights > 0]
    assert np.all(np.r_[of_x.low, of_y.low] <= used.min(0) + 1e-12 * spread)
    assert np.all(np.r_[of_x.high, of_y.high] >= used.max(0) - 1e-12 * spread)
    assert len(of_x.varying) == 5


def test_blocks_side_by_side_give_the_sums_of_one_after_another(monkeypatch):
    monkeypatch.setattr("phasejax.linear._pair_moments._MOST", 300)
    monkeypatch.setattr("phasejax.linear._pair_moments._LEAST", 300)
    found = []
    for threads in (1, 3):
        with threadpool_limits(threads):
            found.append(pair_moments(PLAIN[:, :5], PLAIN[:, 5:] + 3, None, fourth=True))
    np.testing.assert_array_equal(found[0][2], found[1][2])
    for one, several in zip(found[0][:2], found[1][:2], strict=True):
        np.testing.assert_array_equal(one.variance, several.variance)
        assert one.fourth == several.fourth


@pytest.mark.parametrize("value", [0.0, 0.1, -3e8, 1e-300])
def test_constants_are_found_by_their_extremes(value):
    constant = np.insert(PLAIN, 2, value, axis=1)
    for weights in (None, RNG.exponential(size=1100)):
        of_x, of_y, _ = pair_moments(constant, constant + 1e-9 * np.eye(1100, 10, k=1), weights)
        assert of_x.varying.tolist() == [0, 1, *range(3, 10)]
        assert of_x.low[2] == of_x.high[2] == value
        # A single row that differs by a billionth is found where numbers have the digits.
        assert len(of_y.varying) == (10 if abs(value) < 1 else 9)


def test_single_precision_is_not_rounded_again():
    x = (PLAIN[:, :5] + 100).astype(np.float32)
    for weights in (None, np.arange(1100.0)):
        found, expected = (pair_moments(view, PLAIN[:, 5:], weights, fourth=True) for view in (x, x.astype(float)))
        np.testing.assert_array_equal(found[0].variance, expected[0].variance)
        np.testing.assert_array_equal(found[2], expected[2])
        np.testing.assert_array_equal(found[0].mean, expected[0].mean)
        assert found[0].fourth == expected[0].fourth
