"""Moments in one pass: against exact arithmetic, in any blocks, with a mean far from zero, and what is refused."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phasejax.io import Moments, Table, accumulate
from phasejax.io._moments import assign_folds, check_varying, each_left_out, merge_all


def exact(rows):
    """Mean and scatter in rational arithmetic, rounded once."""
    columns = [[Fraction(float(value)) for value in column] for column in np.asarray(rows).T]
    n = len(columns[0])
    means = [sum(column) / n for column in columns]
    scatter = [[float(sum(a * b for a, b in zip(x, y, strict=True)) - n * mean_x * mean_y)
                for y, mean_y in zip(columns, means, strict=True)] for x, mean_x in zip(columns, means, strict=True)]
    return np.array([float(mean) for mean in means]), np.array(scatter)


def assert_same(found, mean, scatter, tolerance):
    """Each entry within tolerance of what Cauchy-Schwarz allows it to be."""
    scale = np.sqrt(np.diag(scatter))
    np.testing.assert_allclose(found.mean, mean, rtol=tolerance, atol=tolerance * scale.max())
    assert np.max(np.abs(found.scatter - scatter) / np.outer(scale, scale)) < tolerance


def pair(n, seed=0, dtype=np.float32, mean=1e6):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3))
    return (mean + x).astype(dtype), (mean + x[:, :2] + rng.standard_normal((n, 2))).astype(dtype), x[:, :1]


@pytest.mark.parametrize("rows_at_once", [1, 7, 100, 1000])
@pytest.mark.parametrize("folds", [1, 3])
def test_exact_arithmetic_is_met_far_from_zero(rows_at_once, folds):
    tables = pair(300)
    rows = np.hstack([table.astype(float) for table in tables])
    fold_of_row = assign_folds(300, folds, seed=5)
    for fold, found in enumerate(accumulate(tables, folds, seed=5, rows_at_once=rows_at_once)):
        own = rows[fold_of_row == fold]
        assert found.n == len(own)
        assert_same(found, *exact(own), 1e-14)
        np.testing.assert_array_equal([found.low, found.high], [own.min(0), own.max(0)])
        np.testing.assert_array_equal(found.scatter, found.scatter.T)
        np.testing.assert_allclose(found.covariance, np.cov(own.T, bias=True), rtol=1e-5)


def test_sums_of_raw_squares_would_not_do():
    """The oracle tells the textbook formula from this one."""
    rows = pair(300)[0].astype(float)
    mean, scatter = exact(rows)
    textbook = rows.T @ rows - len(rows) * np.outer(rows.mean(0), rows.mean(0))
    with pytest.raises(AssertionError):
        assert_same(Moments(300, mean, textbook, rows.min(0), rows.max(0)), mean, scatter, 1e-6)


def test_a_trend_an_outlier_and_a_jump_cost_nothing():
    """Rows whose mean moves, after a first row that is like none of the others."""
    rng = np.random.default_rng(1)
    rows = np.c_[np.linspace(0, 1e3, 500), np.repeat([-1e4, 1e4], 250)] + rng.standard_normal((500, 2))
    rows[0] = 1e9
    for rows_at_once in (1, 33, 500):
        assert_same(accumulate([rows], rows_at_once=rows_at_once)[0], *exact(rows), 1e-13)
        assert_same(accumulate([rows[1:]], rows_at_once=rows_at_once)[0], *exact(rows[1:]), 1e-13)


def assert_sums_are_exact(rows, rows_at_once):
    found = accumulate([rows], rows_at_once=rows_at_once)[0]
    for place, values in enumerate(rows.T.astype(float)):
        mean = math.fsum(values) / len(values)
        assert found.mean[place] == pytest.approx(mean, rel=6e-16, abs=1e-20)
        assert found.scatter[place, place] == pytest.approx(math.fsum((values - mean) ** 2), rel=2e-15)


def test_many_small_blocks_lose_nothing():
    """Each of 4000 rows adds to a sum of squares so large that plain addition would not feel it."""
    halves = np.tile([0.5, -0.5], 2000)
    assert_sums_are_exact(np.r_[1e8, -1e8, halves][:, None], rows_at_once=1)


def test_a_large_block_loses_nothing():
    """The mean of 100 000 rows of one block, which plain addition would take digits from."""
    assert_sums_are_exact(np.random.default_rng(2).exponential(size=(100_000, 2)), rows_at_once=100_000)


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, -1e6, 1e9]),
       st.lists(st.integers(1, 60), max_size=5), st.sampled_from([np.float32, np.float64, np.int64]))
def test_splitting_and_merging_change_nothing(n, columns, seed, mean, cuts, dtype):
    rows = (mean + 10 * np.random.default_rng(seed).standard_normal((n, columns))).astype(dtype)
    whole = Moments.of(rows)
    parts = [part for part in np.split(rows, sorted({cut for cut in cuts if cut < n})) if len(part)]
    merged = merge_all([Moments.of(part) for part in parts])
    folds = accumulate([rows], min(n, 3), seed=seed, rows_at_once=1 + seed % 9)
    for other in (merged, merge_all(parts_of(rows, seed)), merge_all(folds)):
        assert other.n == n
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-12, atol=1e-12 * 10)
        # Where merging starts from means that are rounded in data units, that rounding enters squared, times n.
        scale = np.sqrt(np.diag(whole.scatter)) + 1e-12
        atol = 1e-12 + 1e-15 * abs(mean) * math.sqrt(n)
        assert np.all(np.abs(other.scatter - whole.scatter) <= np.outer(scale, scale) * 1e-12 + atol * scale.max())
        np.testing.assert_array_equal([other.low, other.high], [whole.low, whole.high])


def parts_of(rows, seed):
    """The same rows in another order, in two halves merged the other way round."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    half = len(rows) // 2
    return [Moments.of(part) for part in (shuffled[half:], shuffled[:half]) if len(part)]


@pytest.mark.parametrize("folds", [1, 5])
def test_blocks_change_less_than_1e_12(folds):
    x, y, t = pair(20_000, mean=1e4)
    reference = accumulate([x, y, t], folds, rows_at_once=20_000)
    for options in ({"rows_at_once": 1001}, {"rows_at_once": 64}, {"memory": 1}):
        for found, other in zip(accumulate([x, y, t], folds, **options), reference, strict=True):
            assert_same(found, other.mean, other.scatter, 1e-13)


def test_folds_are_even_random_and_repeatable():
    folds = assign_folds(10_003, 5)
    assert folds.dtype == np.uint8
    assert sorted(np.bincount(folds)) == [2000, 2000, 2001, 2001, 2001]
    np.testing.assert_array_equal(folds, assign_folds(10_003, 5))
    assert np.mean(folds == assign_folds(10_003, 5, seed=1)) == pytest.approx(0.2, abs=0.02)
    # Neighbours are no more alike than others: 4 standard errors.
    assert np.mean(folds[1:] == folds[:-1]) == pytest.approx(0.2, abs=0.016)
    assert assign_folds(300, 300).max() == 299
    for bad in (0, 11):
        with pytest.raises(ValueError, match="folds: expected 1 to 10, the number of rows, got"):
            assign_folds(10, bad)


def test_rows_can_be_told_their_part():
    rows, part = np.random.default_rng(0).standard_normal((40, 3)), np.tile([2, 0, 1, 1], 10)
    for number, found in enumerate(accumulate([rows], part, rows_at_once=7)):
        own = rows[part == number]
        assert found.n == len(own)
        np.testing.assert_allclose(found.scatter, (own - own.mean(0)).T @ (own - own.mean(0)), atol=1e-12)
    for bad in (part[:-1], part + 1, part - 1):
        with pytest.raises(ValueError, match="folds: expected"):
            accumulate([rows], bad)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_each_part_is_left_out_once(count):
    rows = np.random.default_rng(0).standard_normal((42, 2)) + 5
    parts = np.split(rows, count)
    for left_out, found in enumerate(each_left_out([Moments.of(part) for part in parts])):
        rest = np.concatenate(parts[:left_out] + parts[left_out + 1:])
        assert found.n == len(rest)
        np.testing.assert_allclose(found.mean, rest.mean(0))
        np.testing.assert_allclose(found.scatter, (rest - rest.mean(0)).T @ (rest - rest.mean(0)))


def test_progress_counts_rows():
    told = []
    accumulate(pair(100), 2, rows_at_once=30, progress=lambda *event: told.append(event))
    assert told == [("rows", 30, 100), ("rows", 60, 100), ("rows", 90, 100), ("rows", 100, 100)]


def test_blocks_follow_memory_and_storage():
    asked = []

    def read(start, stop):
        asked.append(stop - start)
        return np.ones((stop - start, 2), np.float32)

    table = Table("counted", (100_000, 2), np.dtype(np.float32), read, step=1000)
    accumulate([table], memory=24 * 5500)
    assert set(asked[1:]) == {5000}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("folds", [1, 3])
def test_values_that_are_not_finite_are_refused(bad, folds):
    x, y, t = pair(200)
    y[[151, 170], 1] = bad
    for rows_at_once in (1, 50, 200):
        with pytest.raises(ValueError, match="y: expected finite values, got NaN or infinity first in row 151, "
                                             "column 1"):
            accumulate([x, y, t], folds, rows_at_once=rows_at_once)


def test_squares_that_overflow_are_refused():
    rows = np.random.default_rng(0).standard_normal((50, 3))
    rows[:, 2] *= 1e200
    with pytest.raises(ValueError, match="y: expected values whose squares can be added up, got larger ones in col"):
        accumulate([rows[:, :1], rows], 2, rows_at_once=9)


def test_constant_columns_are_refused():
    x, y, t = pair(100)
    y[:, 1] = 0.1
    merged = merge_all(accumulate([x, y, t], 4, rows_at_once=9))
    with pytest.raises(ValueError, match="y: expected columns that vary, got a constant in column 1"):
        check_varying(merged, (3, 2, 1))
    y[3, 1] = np.nextafter(y[3, 1], np.float32(1))
    check_varying(merge_all(accumulate([x, y, t], 4, rows_at_once=9)), (3, 2, 1))
    with pytest.raises(ValueError, match="widths: expected 6 columns in all, got 5"):
        check_varying(merged, (3, 2))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: accumulate([np.ones((3, 1)), np.ones((4, 1))]), "y: expected 3 rows as in x, got 4"),
    (lambda: accumulate([]), "tables: expected at least 1, got none"),
    (lambda: accumulate([np.ones((3, 1))], names=["a", "b"]), "names: expected 1, one for each table, got .*'b'"),
    (lambda: accumulate([np.ones((3, 1))], 4), "folds: expected 1 to 3, the number of rows, got 4"),
    (lambda: accumulate([np.ones((3, 1))], rows_at_once=0), "rows_at_once: expected a whole number of .*, got 0"),
    (lambda: accumulate([np.ones((3, 1)), np.ones(3)]), "y: expected two dimensions"),
    (lambda: merge_all([]), "moments: expected at least 1, got none"),
    (lambda: Moments.of(np.ones((0, 2))), "block: expected at least 1 row, got shape"),
    (lambda: Moments.of(np.array([["a"]])), "block: expected numbers, got dtype <U1"),
    (lambda: Moments.of(np.ones((2, 2))).merged(Moments.of(np.ones((2, 3)))), "other: expected 2 columns, got 3")])
def test_what_cannot_be_added_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_row_has_no_scatter():
    found = Moments.of(np.array([[3, 4]]))
    assert (found.n, found.mean.tolist(), found.scatter.tolist()) == (1, [3, 4], [[0, 0], [0, 0]])
