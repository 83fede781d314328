"""Rows that repeat others: found where things are measured repeatedly, and not where data are continuous or discrete.

Situations, with public reports of the same kind: repeated measurements of one patient, star or object that end up in
training and test rows (scikit-learn #13621, cca_zoo #124); one image embedding beside each of its five captions; rows
written twice by a join.
"""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_sample_images, load_wine

from phasejax.io import open_table
from phasejax.io._duplicates import near_duplicates, repeated_rows


def repeated_measurements(seed, sizes, d_x, d_y, noise):
    """Things drawn independently in both views, each measured several times."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    return [rng.standard_normal((len(sizes), d))[of] + noise * rng.standard_normal((len(of), d)) for d in (d_x, d_y)]


@pytest.mark.parametrize("seed", range(3))
def test_stars_of_twenty_epochs_are_seen(seed):
    found = repeated_rows(*repeated_measurements(seed, [20] * 25, 10, 8, 0.3))
    assert found.share > 0.8
    assert found.size == pytest.approx(20, abs=2)
    assert "tight groups of about" in found.note()


@pytest.mark.parametrize(("sizes", "d", "noise"), [
    ([2] * 200, 10, 0.2),  # repeats of half the things
    ([5] * 80, 10, 0.3),
    ([3] * 100, 3, 0.05),
    (np.random.default_rng(0).geometric(0.2, 80), 10, 0.3),  # as many visits as each patient came for
])
def test_repeated_measurements_of_other_sizes_are_seen(sizes, d, noise):
    assert near_duplicates(*repeated_measurements(7, sizes, d, d, noise))


def test_units_and_rows_in_another_order_change_nothing():
    x, y = repeated_measurements(3, [20] * 25, 10, 8, 0.3)
    order = np.random.default_rng(1).permutation(len(x))
    assert repeated_rows(1e-17 * x, 1e9 * y + 1e12).size == repeated_rows(x, y).size
    assert repeated_rows(x[order], y[order]).share == pytest.approx(repeated_rows(x, y).share, abs=0.06)


def test_groups_in_one_view_only_are_not_repeated_measurements():
    x, _ = repeated_measurements(3, [20] * 25, 10, 8, 0.3)
    assert near_duplicates(x, np.random.default_rng(0).standard_normal((500, 8))) is None


def test_copies_are_counted():
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(100), 5)
    images, captions = rng.standard_normal((100, 6))[of], rng.standard_normal((500, 4))
    assert repeated_rows(images, captions).copies == (400, 0, 0)
    assert near_duplicates(images, captions).startswith("x: 400 of 500 rows are copies of others; say which rows")
    both = images, rng.standard_normal((100, 4))[of]
    assert near_duplicates(*both).startswith("x, y: 400 of 500 rows are copies of others in both views")
    digits = np.repeat(load_digits().data[:300], 3, axis=0)
    assert near_duplicates(digits[:, :32], digits[:, 32:]).startswith("x, y: 600 of 900")


def real_pairs():
    for load in (load_digits, load_breast_cancer, load_wine, load_diabetes, load_iris):
        data = load().data
        yield load.__name__, data[:, ::2], data[:, 1::2]
    for place, image in enumerate(load_sample_images().images):
        patches = [image[i:i + 8, j:j + 16].mean(2) for i in range(0, 416, 8) for j in range(0, 624, 16)]
        stack = np.stack(patches)
        yield f"photograph {place}", stack[:, :, :8].reshape(len(stack), -1), stack[:, :, 8:].reshape(len(stack), -1)


@pytest.mark.parametrize(("x", "y"), [pytest.param(x, y, id=name) for name, x, y in real_pairs()])
def test_real_data_without_groups_raise_no_alarm(x, y):
    found = repeated_rows(x, y)
    assert found.note() is None
    assert found.share < 0.2


def simulated(kind, rng):
    n, d, e = (int(rng.choice(sizes)) for sizes in ([60, 150, 400], [1, 2, 5, 10, 30, 100], [1, 2, 5, 10, 30, 100]))
    normal = rng.standard_normal
    shared, few = normal((n, 2)), rng.integers(0, 10, n)
    match kind:
        case "gaussian":
            return normal((n, d)), normal((n, e))
        case "cauchy":
            return rng.standard_t(1, (n, d)), rng.standard_t(1, (n, e))
        case "lognormal":
            return np.exp(2 * normal((n, d))), np.exp(2 * normal((n, e)))
        case "factors":
            return shared @ normal((2, d)), np.tanh(shared @ normal((2, e))) + 0.1 * normal((n, e))
        case "ten classes":
            return 4 * normal((10, d))[few] + 0.3 * normal((n, d)), 4 * normal((10, e))[few] + 0.3 * normal((n, e))
        case "far rows":
            far = np.exp(1.5 * normal((n, 1)))
            return far * normal((n, d)), far * normal((n, e))
        case "counts":
            return rng.poisson(2, (n, d)), rng.poisson(0.5, (n, e))
        case "answers":
            return rng.integers(0, 5, (n, d)), np.clip(np.round(shared @ normal((2, e))), -2, 2)
        case "one-hot":
            return np.eye(10)[few], np.hstack([np.eye(4)[rng.integers(0, 4, n)], rng.integers(20, 80, (n, 1))])
        case "rounded":
            return np.round(shared @ normal((2, d)), 1), np.round(shared @ normal((2, e)), 1)


@pytest.mark.parametrize("kind", ["gaussian", "cauchy", "lognormal", "factors", "ten classes", "far rows", "counts",
                                  "answers", "one-hot", "rounded"])
def test_no_false_alarms(kind):
    """200 pairs in all, 20 of each kind: none may be called grouped, so that at most 1.5 % are (95 % confidence)."""
    for seed in range(20):
        assert near_duplicates(*simulated(kind, np.random.default_rng([seed, len(kind)]))) is None, seed


def test_few_rows_other_lengths_and_holes_are_left_alone():
    x, y = repeated_measurements(0, [20] * 25, 4, 4, 0.1)
    assert near_duplicates(x[:30], y[:30]) is None
    assert near_duplicates(x, y[:-1]) is None
    x[3, 1] = np.nan
    assert near_duplicates(x, y) is None


def test_long_tables_are_looked_at_in_parts():
    x, y = repeated_measurements(0, [20] * 1500, 6, 6, 0.1)
    found = repeated_rows(open_table(x), open_table(y))
    assert found.rows == 20_000
    assert found.note() is not None
