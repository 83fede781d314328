"""`compare_representations`: p-values, intervals, ties, what runs side by side, bad input."""

import itertools
import json
import math
import threading
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import similarity
from phasejax.similarity import (
    METRICS,
    _compare,
    _families,
    _significance,
    _statistics,
    cka,
    cknna,
    compare_representations,
    correlation_matrix_distance,
    mean_canonical_correlation,
    mutual_knn,
    nearest_neighbours,
    svcca,
)
from phasejax.similarity._cka import cka_of_pairing, kernel_pair, rbf_cka, whole_kernel
from phasejax.similarity._inputs import paired
from phasejax.similarity._neighbours import LIST_METRICS
from phasejax.similarity._statistics import CKA_CHANCE

N, M = 80, 64


def draw(rng, n=N, shared=3):
    """float32 views of 6 and 5 columns of which `shared` have half their variance in common."""
    s = rng.standard_normal((n, shared))
    x = np.c_[s + rng.standard_normal((n, shared)), rng.standard_normal((n, 6 - shared))]
    y = np.c_[s + rng.standard_normal((n, shared)), rng.standard_normal((n, 5 - shared))]
    return np.float32(x @ rng.standard_normal((6, 6))), np.float32(y + 1)


X, Y = draw(np.random.default_rng(0))
SMALL = {"permutations": 9, "resamples": 10}


@pytest.fixture(autouse=True)
def as_compare_computes():
    with jax.enable_x64(True):  # so that programs are shared
        yield


@pytest.fixture(scope="module")
def found():
    return compare_representations(X[:M], Y[:M], k=4, permutations=99, resamples=40)


@jax.jit
def every(x, y):
    """All metrics in one program, since most of the time of these tests goes into compiling."""
    return {name: metric(x, y, **{"k": 4} if "knn" in name or name == "cknna" else {})
            for name, metric in METRICS.items()}


def values_of(x, y):
    return jax.tree.map(float, every(x, y))


def test_values_are_those_of_the_metrics(found):
    assert list(found.metrics) == list(METRICS)
    expected = values_of(X[:M], Y[:M])
    for name in METRICS:
        assert found.metrics[name].value == pytest.approx(expected[name], rel=1e-5, abs=1e-6), name
    assert found.left_out == {}


RBF = _statistics.WholeKernelStatistic("rbf", 1.0)
STATISTICS = [_statistics.NeighbourStatistic((*LIST_METRICS, "cknna"), 4, "cosine", 0),
              _statistics.LinearCkaStatistic(), _statistics.WholeKernelStatistic("linear", 1.0), RBF,
              _statistics.MatrixDistanceStatistic(), _statistics.CanonicalStatistic(None),
              _statistics.CanonicalStatistic(5)]


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda statistic: type(statistic).__name__)
def test_other_pairings_and_parts_are_the_metrics_of_those_rows(statistic):
    """The short cuts of every statistic against the metric itself, of permuted and of left-out rows."""
    x, y = X[:M], Y[:M]
    orders, parts = np.random.default_rng(1), np.random.default_rng(2)
    order, rows = orders.permutation(M), np.sort(parts.permutation(M)[:_significance.rows_kept(M)])
    state = statistic.prepare(*paired(x, y))
    permuted = _significance.pairings(statistic, state, M, 9, np.random.default_rng(1))
    part = _significance.resamples(statistic, state, M, 10, np.random.default_rng(2))
    whole, otherwise, of_rows = values_of(x, y), values_of(x, y[order]), values_of(x[rows], y[rows])
    for name in permuted.keys() - {CKA_CHANCE}:
        assert permuted[name][0] == pytest.approx(whole[name], rel=1e-4, abs=1e-5), name
        assert permuted[name][1] == pytest.approx(otherwise[name], rel=1e-4, abs=1e-5), name
        if "rbf" not in name:  # which has the widths of all rows, see below
            assert part[name][0] == pytest.approx(of_rows[name], rel=1e-4, abs=1e-5), name


def test_parts_of_whole_kernels_keep_the_widths():
    rows = jnp.arange(0, M, 2)
    state = RBF.prepare(*paired(X[:M], Y[:M]))
    value = RBF.of_parts(state, rows[None])["cka_rbf"][0]
    kernels = [(kernel.others + np.diag(kernel.diagonal))[rows][:, rows] for kernel in (state.k, state.l)]
    h = np.eye(len(rows)) - 1 / len(rows)
    centred = [h @ np.float64(m) @ h for m in kernels]
    assert float(value) == pytest.approx(np.vdot(*centred) / np.linalg.norm(centred[0]) / np.linalg.norm(centred[1]),
                                         rel=1e-4)


def test_the_null_mean_of_cka_is_that_of_all_pairings(found):
    """Of all 120 of five rows; and near the mean of some of 64."""
    x, y = jnp.asarray(X[:5], float), jnp.asarray(Y[:5], float)
    pair = kernel_pair(*(whole_kernel(view, "rbf", 0.8) for view in (x, y)))
    orders = np.array(list(itertools.permutations(range(5))))
    all_pairings = jax.jit(jax.vmap(lambda order: cka_of_pairing(pair, order)))(orders)
    assert float(rbf_cka(x, y, 0.8).chance) == pytest.approx(float(all_pairings.biased.mean()), rel=1e-9)
    assert float(all_pairings.unbiased.mean()) == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(2)
    some = [values_of(X[:M], Y[rng.permutation(M)]) for _ in range(50)]
    for name in ("cka", "cka_unbiased", "cka_rbf"):
        values = [found[name] for found in some]
        assert abs(found.metrics[name].null_mean - np.mean(values)) < 4 * np.std(values) / np.sqrt(50), name
    assert all(-0.02 < measured.null_mean < 1 for measured in found.metrics.values())


def test_p_values_tell_signal_from_chance(found):
    for name, measured in found.metrics.items():
        if name != "edit_similarity_knn":  # hardly above 0 at any strength
            assert measured.p_value <= 0.05, name
        assert measured.low <= measured.value <= measured.high
        assert measured.high - measured.low < 0.5
    shuffled = compare_representations(X[:M], Y[np.random.default_rng(3).permutation(M)], k=4, permutations=99,
                                       resamples=40)
    assert np.median([m.p_value for m in shuffled.metrics.values()]) > 0.1


@pytest.mark.parametrize(("values", "is_distance", "expected"), [
    ([0.5, 0.1, 0.5, 0.9], False, 0.75), ([0.5, 0.1, 0.4, 0.9], True, 0.75), ([1.0, *[0.0] * 99], False, 0.01)])
def test_p_values_count_themselves(values, is_distance, expected):
    assert _significance.p_value(np.array(values), is_distance=is_distance) == expected


@pytest.mark.slow
def test_p_values_are_uniform_without_similarity():
    """Level 0.2 in 50 independent pairs with many duplicates, for a metric of lists and one of moments."""
    rng, rejected, names = np.random.default_rng(4), [], ["mutual_knn", "cka"]
    for seed in range(50):
        x, y = (np.float32(0.1 + rng.integers(0, 2, (M, d)) * (np.arange(d) < 3)) for d in (6, 5))
        found = compare_representations(x, y, metrics=names, k=4, permutations=9, resamples=1, seed=seed)
        rejected.append([found.metrics[name].p_value <= 0.2 for name in names])
    # 0.2, with a standard error of 0.057.
    assert np.all(np.abs(np.mean(rejected, axis=0) - 0.2) < 0.2)


def test_shared_ties_are_not_similarity():
    """Four different rows only, in either view, independent: the first rows of all would be everybody's neighbours."""
    rng = np.random.default_rng(5)
    x, y = (np.float32(rng.standard_normal((4, d)))[rng.integers(0, 4, M)] for d in (6, 5))
    table = compare_representations(x, y, metrics=["mutual_knn"], k=4, permutations=9, resamples=1)
    found = table.metrics["mutual_knn"]
    assert abs(found.value - 4 / (M - 1)) < 0.06
    assert mutual_knn(x, y, k=4) > found.value + 0.1  # as its docstring says


@pytest.mark.slow
def test_intervals_cover():
    """Of level 0.9, 30 times, for the mean of the metric at this n."""
    rng, names = np.random.default_rng(6), ["mutual_knn", "cka_unbiased"]
    tables = [compare_representations(*draw(rng, M), metrics=names, k=4, permutations=1, resamples=40, seed=seed)
              for seed in range(30)]
    for name in names:
        measured = [found.metrics[name] for found in tables]
        truth = np.mean([m.value for m in measured])
        assert np.mean([m.low <= truth <= m.high for m in measured]) > 0.7, name
        # Widths are those that the spread of values asks for.
        width = np.mean([m.high - m.low for m in measured]) / (2 * 1.645)
        assert 0.65 < width / np.std([m.value for m in measured]) < 1.6, name


def test_many_rows_rest_on_some_for_whole_kernels(monkeypatch):
    monkeypatch.setattr(_families, "KERNEL_ROWS", 40)
    found = compare_representations(X[:M], Y[:M], metrics=["cka_rbf"], permutations=99, resamples=10)
    measured = found.metrics["cka_rbf"]
    assert measured.value == pytest.approx(values_of(X[:M], Y[:M])["cka_rbf"], rel=1e-6)
    assert measured.null_mean == pytest.approx(float(rbf_cka(*paired(X[:M], Y[:M]), 1.0).chance), rel=1e-6)
    assert measured.p_value == 0.01  # rows of x and y are drawn together
    assert found.kernel_rows == 40
    assert "kernels rest on 40 rows" in found.summary()
    # Errors are those of 64 rows, smaller than the ones of 40.
    resampled = np.random.default_rng(8).normal(0.5, 0.01, 1000)
    wide, narrow = (np.ptp(_significance.interval(0.5, resampled, 40, n, 0.9)) for n in (40, 64))
    assert narrow == pytest.approx(wide * np.sqrt(40 / 64))


def test_seeds_repeat_and_progress_is_told():
    calls = []
    options = {"metrics": ["cka", "cka_unbiased"], "progress": lambda *call: calls.append(call), **SMALL}
    tables = [compare_representations(X[:M], Y[:M], seed=seed, **options) for seed in (0, 0, 1)]
    assert tables[0] == tables[1] != tables[2]
    assert calls[:2] == [("cka, cka_unbiased", 10, 20), ("cka, cka_unbiased", 20, 20)]


def test_what_is_raised_in_a_callback_stops_the_work():
    def give_up(task, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_representations(X[:M], Y[:M], k=4, progress=give_up, **SMALL)


def test_groups_run_side_by_side_and_report_to_the_caller(monkeypatch):
    monkeypatch.setattr(_compare, "cores", lambda: 2)
    meeting, threads = threading.Barrier(2, timeout=60), set()

    def work(name, report):
        meeting.wait()  # which would time out if one ran after the other
        threads.add(threading.get_ident())
        report(name, 1, 1)
        return name

    def tell(task, done, total):
        assert threading.current_thread() is threading.main_thread()
        threads.discard(task)

    assert _compare._side_by_side([partial(work, "a"), partial(work, "b")], tell) == ["a", "b"]
    assert len(threads) == 2
    with pytest.raises(ValueError, match="wrong"):
        _compare._side_by_side([partial(_raise, ValueError("wrong"))], tell)


def _raise(error, report):
    raise error


# Bad input, and what is stated for unusual input


def with_entry(view, row, value):
    changed = view.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(("call", "message"), [
    (lambda: mutual_knn(X, Y[1:]), "y: expected 80 rows as in x, got 79"),
    (lambda: mutual_knn(X, Y, k=80), "k: expected fewer neighbours than the 80 rows, got 80"),
    (lambda: mutual_knn(X, Y, k=0), "k: expected a whole number of at least 1, got 0"),
    (lambda: cknna(X, Y, k=1), "k: expected a whole number of at least 2, got 1"),
    (lambda: mutual_knn(X, Y, distance="manhattan"), "distance: expected one of cosine, euclidean, got 'manhattan'"),
    (lambda: mutual_knn(X, Y, block=0), "block: expected a whole number of at least 1, got 0"),
    (lambda: mutual_knn(with_entry(X, 7, np.nan), Y), "x: expected finite numbers, got NaN or infinity in 1 rows, "
     "the first row 7"),
    (lambda: cka(X, with_entry(Y, (3, 1), np.inf)), "y: expected finite numbers, got NaN or infinity in 1 rows"),
    (lambda: cka(np.ones((9, 2)), Y[:9]), "x: expected rows that differ, got 9 times the same"),
    (lambda: cka(X[:3], Y[:3]), "x: expected at least 4 rows, got 3"),
    (lambda: cka(X, Y, kernel="cubic"), "kernel: expected one of linear, rbf, got 'cubic'"),
    (lambda: cka(X, Y, kernel="rbf", bandwidth=0.0), "bandwidth: expected a number above 0, got 0.0"),
    (lambda: cka(with_entry(X, slice(1, 70), X[0]), Y, kernel="rbf"), "x, y: expected most pairs of rows to differ"),
    (lambda: mutual_knn(with_entry(X, 5, 0.0), Y), "x: expected rows other than zero, which have no direction"),
    (lambda: svcca(X, Y, components=6), "components: expected at most min(d_x, d_y, n - 1) = 5, got 6"),
    (lambda: svcca(X, Y * [1, 0, 1, 1, 1], standardise=True), "y: expected columns that vary, got 1 constant, the"),
    (lambda: mean_canonical_correlation(X[:11], Y[:11]), "x: expected more rows than the 11 columns of both"),
    (lambda: mean_canonical_correlation(X, Y[:, [0, 1, 1]]), "x, y: expected linearly independent columns"),
    (lambda: correlation_matrix_distance(np.array([[1.0], [-1.0], [0.0]]), Y[:3]), "x, y: expected rows other than"),
    (lambda: paired(X[0], Y), "x: expected two dimensions (rows, columns), got shape (6,)"),
    (lambda: paired(X, Y[:, :0]), "y: expected at least 1 column, got none"),
    (lambda: paired(X, Y.astype(complex)), "y: expected real numbers, got dtype complex128"),
    (lambda: paired(X, Y.astype(str)), "y: expected real numbers, got dtype <U32"),
    (lambda: compare_representations(X, Y, metrics=["cka", "cca"]), "metrics: expected one of mutual_knn, "),
    (lambda: compare_representations(X, Y, distance="manhattan"), "distance: expected one of cosine, euclidean, got"),
    (lambda: compare_representations(X, Y, components=6), "components: expected at most min(d_x, d_y, n - 1) = 5"),
    (lambda: compare_representations(X, Y, seed=2**64), "seed: expected a whole number from 0 to 2^64 - 1, got 1844"),
    (lambda: compare_representations(X, Y, bandwidth=-1.0), "bandwidth: expected a number above 0, got -1.0"),
    (lambda: compare_representations(X, Y, metrics=[]), "got none"),
    (lambda: compare_representations(X, Y, permutations=0), "permutations: expected a whole number from 1 to 10000000, "
     "got 0"),
    (lambda: compare_representations(X, Y, confidence=1.0), "confidence: expected a number of at least 0.5 and "
     "below 1, got 1.0"),
    (lambda: compare_representations(X, Y, k=1, metrics=["cknna"]), "k: expected at least 2 for cknna, got 1"),
    (lambda: compare_representations(with_entry(X, slice(1, 70), X[0]), Y, metrics=["cka_rbf"], **SMALL),
     "x, y: expected most pairs of rows to differ"),
    (lambda: compare_representations(X[:M], Y[:M], metrics=["cka_rbf"], bandwidth=0.0),
     "bandwidth: expected a number above 0, got 0.0"),
])
def test_bad_input_gets_one_line(call, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        call()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_a_metric_is_not_defined_on_is_left_out_and_said():
    found = compare_representations(X[:M], with_entry(Y[:M], 2, 0.0), k=4, **SMALL)
    assert set(found.left_out) == {*LIST_METRICS, "cknna"}
    assert set(found.metrics) == METRICS.keys() - found.left_out.keys()
    assert "Left out: mutual_knn (y: expected rows other than zero" in found.summary()


def test_too_few_rows_for_parts_have_no_interval():
    statistic, x, y = _statistics.CanonicalStatistic(None), jnp.ones((13, 6)), jnp.ones((13, 5))
    values = statistic.of_parts((x, y, x, y), jnp.arange(_significance.rows_kept(13))[None])
    assert np.isnan(values["mean_canonical_correlation"]).all()
    ends = _significance.interval(0.5, np.full(5, np.nan), 13, 13, 0.9)
    measured = similarity.MetricResult(0.5, 0.4, 0.1, *ends)
    shown = similarity.SimilarityTable(13, 6, 5, 4, "cosine", 9, 5, 0.9, 13,
                                       {"mean_canonical_correlation": measured}, {})
    assert shown.summary().splitlines()[1].endswith("-")
    assert json.loads(shown.to_json())["metrics"]["mean_canonical_correlation"]["low"] is None


def defined(table):
    """The table holds no number that is not defined, and says why where one is missing."""
    for name, found in table.metrics.items():
        assert np.isfinite([found.value, found.null_mean]).all(), name
        ends = np.isfinite([found.low, found.high])
        assert ends.all() == (found.missing is None or "no interval" not in found.missing), name
        assert (0 < found.p_value <= 1) == (found.missing is None or "no p-value" not in found.missing), name
        if ends.all():
            assert found.low <= found.value + 1e-12, name
    assert all(table.left_out.values())
    return table


def test_a_row_far_from_all_others_leaves_no_digits_to_the_unbiased_form():
    """The same row is far in both views: the true value is near that of the other rows, rounding gives anything."""
    x, y = (with_entry(np.float64(view[:M]), 0, 1e3) for view in (X, Y))
    assert float(cka(x, y, unbiased=True)) == pytest.approx(unbiased_in_rational_numbers(x, y), abs=1e-6)
    x, y = (with_entry(np.float64(view[:M]), 0, 1e12 * np.arange(1, 1 + view.shape[1])) for view in (X, Y))
    with pytest.raises(ValueError, match="less than three digits"):
        cka(x, y, unbiased=True)


def unbiased_in_rational_numbers(x, y):
    """Unbiased CKA with the linear kernel, without rounding."""
    def gram(view):
        exact = [[Fraction(float(value)) for value in row] for row in view]
        return [[sum(a * b for a, b in zip(one, other, strict=True)) if i != j else Fraction(0)
                 for j, other in enumerate(exact)] for i, one in enumerate(exact)]

    def hsic(k, l):  # noqa: E741
        n, rows_k, rows_l = len(k), [sum(row) for row in k], [sum(row) for row in l]
        product = sum(a * b for one, other in zip(k, l, strict=True) for a, b in zip(one, other, strict=True))
        cross = sum(a * b for a, b in zip(rows_k, rows_l, strict=True))
        return product + sum(rows_k) * sum(rows_l) / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)

    k, l = gram(x), gram(y)  # noqa: E741
    # Their ratio is a number that floats can hold, the sums are not.
    return float(hsic(k, l) / hsic(k, k)) * math.sqrt(hsic(k, k) / hsic(l, l))


@pytest.mark.parametrize(("bandwidth", "reason"), [(1e-10, "some rows are alike, got 1e-10"),
                                                   (1e10, "distances tell in float32, got 1e+10")])
def test_a_kernel_that_tells_nothing_apart_is_left_out_and_said(bandwidth, reason):
    table = defined(compare_representations(X[:M], Y[:M], k=4, bandwidth=bandwidth, **SMALL))
    assert reason in table.left_out["cka_rbf"]
    assert reason in table.left_out["cka_rbf_unbiased"]
    with pytest.raises(ValueError, match="bandwidth: expected a width at which"):
        cka(X[:M], Y[:M], kernel="rbf", bandwidth=bandwidth)


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 6])
def test_few_rows_have_p_values_and_intervals_or_the_reason(n):
    table = defined(compare_representations(X[:n], Y[:n], k=2, **SMALL))
    assert "no interval, since it is not defined in 10 of 10 parts of the rows" in (
        table.metrics["mutual_knn" if n == 4 else "svcca"].missing)
    assert table.summary().count("no interval") == sum(m.missing is not None for m in table.metrics.values())


def test_a_column_that_varies_in_few_rows_has_no_interval_and_says_so():
    x = np.c_[X[:M, :5], np.arange(M) == 3]
    table = defined(compare_representations(x, Y[:M], metrics=["mean_canonical_correlation"], **SMALL))
    assert "parts of the rows" in table.metrics["mean_canonical_correlation"].missing
    assert json.loads(table.to_json())["metrics"]["mean_canonical_correlation"]["high"] is None


def test_an_option_that_no_metric_has_is_told():
    with pytest.warns(match="^(k: 4|distance: euclidean|bandwidth: 0.5|components: 3) has no effect on cka, ") as notes:
        table = compare_representations(X[:M], Y[:M], metrics=["cka"], k=4, distance="euclidean", bandwidth=0.5,
                                        components=3, permutations=1, resamples=1)
    assert len(notes) == 4
    few = compare_representations(X[:8], Y[:8], metrics=["cka"], permutations=1, resamples=1)  # fewer rows than k
    assert table.metrics["cka"].value != few.metrics["cka"].value


def test_half_precision_and_integers_are_widened():
    counts = np.random.default_rng(7).poisson(3, (30, 4)) + 1
    for narrow in (counts, counts.astype(np.uint8), counts.astype(np.float16), jnp.asarray(counts, jnp.bfloat16)):
        with jax.enable_x64(False):
            value = cka(narrow, Y[:30])
        assert value.dtype == jnp.float32
        assert float(value) == pytest.approx(float(cka(counts, Y[:30])), rel=1e-6)
    assert cka(counts, Y[:30]).dtype == jnp.float64


def test_traced_views_that_no_metric_is_defined_on_give_nan():
    for name in ("mutual_knn", "cka"):
        assert np.isnan(jax.jit(METRICS[name])(with_entry(X, 3, np.nan), Y)), name
    assert np.isnan(jax.jit(cka)(np.ones((9, 2), np.float32), Y[:9]))
    assert np.isnan(jax.jit(mutual_knn)(with_entry(X, 5, 0.0), Y))


def test_constant_columns_do_not_count():
    padded = np.c_[X, np.full((N, 2), 3.0, np.float32)]
    assert float(cka(padded[:M], Y[:M])) == pytest.approx(values_of(X[:M], Y[:M])["cka"], rel=1e-4)
    near = [nearest_neighbours(view, k=4, distance="euclidean") for view in (X, padded)]
    np.testing.assert_array_equal(*near)
