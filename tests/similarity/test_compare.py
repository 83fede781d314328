"""`align` and its command: p-values, intervals, ties, bad input."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax import cli, similarity
from phasejax.cli import _similarity as cli_similarity
from phasejax.similarity import (
    METRICS,
    _compare,
    _significance,
    cka,
    cknna,
    compare_representations,
    correlation_matrix_distance,
    mean_canonical_correlation,
    mutual_knn,
    nearest_neighbours,
    svcca,
)
from phasejax.similarity._cka import alignments_of_matrices, rbf_alignments
from phasejax.similarity._inputs import paired
from phasejax.similarity._neighbours import LIST_METRICS

pytestmark = pytest.mark.slow

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
def as_align_computes():
    with jax.enable_x64(True):  # so that programs are shared
        yield


@pytest.fixture(scope="module")
def found():
    return compare_representations(X[:M], Y[:M], k=4, permutations=99, resamples=40)


def value_of(name, x, y):
    return float(METRICS[name](x, y, **{"k": 4} if "knn" in name or name == "cknna" else {}))


def test_values_are_those_of_the_metrics(found):
    assert list(found.metrics) == list(METRICS)
    for name in METRICS:
        assert found.metrics[name].value == pytest.approx(value_of(name, X[:M], Y[:M]), rel=1e-5, abs=1e-6), name
    assert found.left_out == {}


RBF = _significance.WholeKernels("rbf", 1.0)
STATISTICS = [_significance.Neighbours((*LIST_METRICS, "cknna"), 4, "cosine", 0), _significance.LinearKernels(),
              _significance.WholeKernels("linear", 1.0), RBF, _significance.Directions(),
              _significance.CanonicalCorrelations(None), _significance.CanonicalCorrelations(5)]


def test_other_pairings_and_parts_are_the_metrics_of_those_rows(found):
    """The short cuts of every statistic against the metric itself, of permuted and of left-out rows."""
    x, y = X[:M], Y[:M]
    orders, parts = np.random.default_rng(1), np.random.default_rng(2)
    order, rows = orders.permutation(M), np.sort(parts.permutation(M)[:_significance.kept(M)])
    for statistic in STATISTICS:
        state = statistic.prepare(*paired(x, y))
        permuted = _significance.pairings(statistic, state, M, 9, np.random.default_rng(1))
        part = _significance.resamples(statistic, state, M, 10, np.random.default_rng(2))
        for name in permuted:
            assert permuted[name][0] == pytest.approx(value_of(name, x, y), rel=1e-4, abs=1e-5), name
            assert permuted[name][1] == pytest.approx(value_of(name, x, y[order]), rel=1e-4, abs=1e-5), name
            if "rbf" not in name:  # which has the widths of all rows, see below
                assert part[name][0] == pytest.approx(value_of(name, x[rows], y[rows]), rel=1e-4, abs=1e-5), name


def test_parts_of_whole_kernels_keep_the_widths():
    rows = np.arange(0, M, 2)
    state = RBF.prepare(*paired(X[:M], Y[:M]))
    value = RBF.of_rows(state, rows)["cka_rbf"]
    kernels = [matrix[rows][:, rows] for matrix in state]
    h = np.eye(len(rows)) - 1 / len(rows)
    centred = [h @ np.float64(m) @ h for m in kernels]
    assert float(value) == pytest.approx(np.vdot(*centred) / np.linalg.norm(centred[0]) / np.linalg.norm(centred[1]),
                                         rel=1e-4)


def test_the_null_mean_of_cka_is_that_of_all_pairings(found):
    """Of all 120 of five rows; and near the mean of some of 64."""
    x, y = jnp.asarray(X[:5], float), jnp.asarray(Y[:5], float)
    first, second = (_significance.kernel_matrix(v, "rbf", 0.8) for v in (x, y))
    orders = np.array(list(itertools.permutations(range(5))))
    every = jax.jit(jax.vmap(lambda order: alignments_of_matrices(first, second[order][:, order])))(orders)
    assert float(rbf_alignments(x, y, 0.8).chance) == pytest.approx(float(every.biased.mean()), rel=1e-9)
    assert float(every.unbiased.mean()) == pytest.approx(0, abs=1e-9)
    for name in ("cka", "cka_unbiased", "cka_rbf"):
        rng = np.random.default_rng(2)
        values = [value_of(name, X[:M], Y[rng.permutation(M)]) for _ in range(50)]
        assert abs(found.metrics[name].null_mean - np.mean(values)) < 4 * np.std(values) / np.sqrt(50), name
    assert all(-0.02 < measured.null_mean < 1 for measured in found.metrics.values())


def test_p_values_tell_signal_from_chance(found):
    for name, measured in found.metrics.items():
        if name != "edit_similarity_knn":  # hardly above 0 at any strength
            assert measured.p_value <= 0.05, name
        assert measured.low <= measured.value <= measured.high
        assert measured.high - measured.low < 0.5
    shuffled = compare_representations(X[:M], Y[np.random.default_rng(3).permutation(M)], k=4, permutations=99, resamples=40)
    assert np.median([m.p_value for m in shuffled.metrics.values()]) > 0.1


@pytest.mark.parametrize(("values", "is_distance", "expected"), [
    ([0.5, 0.1, 0.5, 0.9], False, 0.75), ([0.5, 0.1, 0.4, 0.9], True, 0.75), ([1.0, *[0.0] * 99], False, 0.01)])
def test_p_values_count_themselves(values, is_distance, expected):
    assert _significance.p_value(np.array(values), is_distance=is_distance) == expected


def test_p_values_are_uniform_without_alignment():
    """Level 0.2 in 50 independent pairs with many duplicates, for a metric of lists and one of moments."""
    rng, rejected, names = np.random.default_rng(4), [], ["mutual_knn", "cka"]
    for seed in range(50):
        x, y = (np.float32(0.1 + rng.integers(0, 2, (M, d)) * (np.arange(d) < 3)) for d in (6, 5))
        found = compare_representations(x, y, metrics=names, k=4, permutations=9, resamples=1, seed=seed)
        rejected.append([found.metrics[name].p_value <= 0.2 for name in names])
    # 0.2, with a standard error of 0.057.
    assert np.all(np.abs(np.mean(rejected, axis=0) - 0.2) < 0.2)


def test_shared_ties_are_not_alignment():
    """Four different rows only, in either view, independent: the first rows of all would be everybody's neighbours."""
    rng = np.random.default_rng(5)
    x, y = (np.float32(rng.standard_normal((4, d)))[rng.integers(0, 4, M)] for d in (6, 5))
    found = compare_representations(x, y, metrics=["mutual_knn"], k=4, permutations=9, resamples=1).metrics["mutual_knn"]
    assert abs(found.value - 4 / (M - 1)) < 0.06
    assert value_of("mutual_knn", x, y) > found.value + 0.1  # as its docstring says


def test_intervals_cover():
    """Of level 0.9, 30 times, for the mean of the metric at this n."""
    rng, names = np.random.default_rng(6), ["mutual_knn", "cka_unbiased"]
    tables = [compare_representations(*draw(rng, M), metrics=names, k=4, permutations=1, resamples=40, seed=seed) for seed in range(30)]
    for name in names:
        measured = [found.metrics[name] for found in tables]
        truth = np.mean([m.value for m in measured])
        assert np.mean([m.low <= truth <= m.high for m in measured]) > 0.7, name
        # Widths are those that the spread of values asks for.
        width = np.mean([m.high - m.low for m in measured]) / (2 * 1.645)
        assert 0.65 < width / np.std([m.value for m in measured]) < 1.6, name


def test_many_rows_rest_on_some_for_whole_kernels(monkeypatch):
    monkeypatch.setattr(_compare, "KERNEL_ROWS", 40)
    task = _compare._Task(*paired(X[:M], Y[:M]), k=4, distance="cosine", bandwidth=1.0, components=None, seed=0)
    values, _, statistic, views = task._cka("rbf", ["cka_rbf"])
    assert values["cka_rbf"] == pytest.approx(value_of("cka_rbf", X[:M], Y[:M]), rel=1e-6)
    assert task.kernel_rows == 40
    assert statistic == RBF
    row = int(np.flatnonzero((X[:M] == np.asarray(views[0])[7]).all(1))[0])
    np.testing.assert_array_equal(views[1][7], Y[row])
    shown = similarity.SimilarityTable(M, 6, 5, 4, "cosine", 9, 5, 0.9, 40, {}, {})
    assert "kernels rest on 40 rows" in shown.summary()
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


# Bad input, and what is stated for unusual input


def with_entry(view, row, value):
    changed = view.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(("call", "message"), [
    (lambda: mutual_knn(X, Y[1:]), "y: expected 80 rows as in x, got 79"),
    (lambda: mutual_knn(X, Y, k=80), "k: expected fewer neighbours than the 80 rows, got 80"),
    (lambda: mutual_knn(X, Y, k=0), "k: expected a whole number of at least 1, got 0"),
    (lambda: cknna(X, Y, k=1), "k: expected at least 2, got 1"),
    (lambda: mutual_knn(X, Y, distance="manhattan"), "distance: expected 'cosine' or 'euclidean', got 'manhattan'"),
    (lambda: mutual_knn(X, Y, block=0), "block: expected at least 1, got 0"),
    (lambda: mutual_knn(with_entry(X, 7, np.nan), Y), "x: expected finite numbers, got NaN or infinity in 1 rows, "
     "the first row 7"),
    (lambda: cka(X, with_entry(Y, (3, 1), np.inf)), "y: expected finite numbers, got NaN or infinity in 1 rows"),
    (lambda: cka(np.ones((9, 2)), Y[:9]), "x: expected rows that differ, got 9 times the same"),
    (lambda: cka(X[:3], Y[:3]), "x: expected at least 4 rows, got 3"),
    (lambda: cka(X, Y, kernel="cubic"), "kernel: expected 'linear' or 'rbf', got 'cubic'"),
    (lambda: cka(X, Y, kernel="rbf", bandwidth=0.0), "bandwidth: expected a number above 0, got 0.0"),
    (lambda: cka(with_entry(X, slice(1, 70), X[0]), Y, kernel="rbf"), "x, y: expected most pairs of rows to differ"),
    (lambda: mutual_knn(with_entry(X, 5, 0.0), Y), "x: expected rows other than zero, which have no direction"),
    (lambda: svcca(X, Y, components=6), "components: expected at most min(d_x, d_y, n - 1) = 5, got 6"),
    (lambda: svcca(X, Y[:, [0, 0, 0]], components=2), "x, y: expected 2 independent directions, got a view of"),
    (lambda: svcca(X, Y * [1, 0, 1, 1, 1], standardise=True), "y: expected columns that vary, got 1 constant, the"),
    (lambda: mean_canonical_correlation(X[:11], Y[:11]), "x: expected more rows than the 11 columns of both"),
    (lambda: mean_canonical_correlation(X, Y[:, [0, 1, 1]]), "x, y: expected linearly independent columns"),
    (lambda: correlation_matrix_distance(np.array([[1.0], [-1.0], [0.0]]), Y[:3]), "x, y: expected rows other than"),
    (lambda: paired(X[0], Y), "x: expected two dimensions (rows, columns), got shape (6,)"),
    (lambda: paired(X, Y[:, :0]), "y: expected at least 1 column, got none"),
    (lambda: paired(X, Y.astype(complex)), "y: expected real numbers, got dtype complex128"),
    (lambda: paired(X, Y.astype(str)), "y: expected real numbers, got dtype <U32"),
    (lambda: compare_representations(X, Y, metrics=["cka", "cca"]), "metrics: expected names among mutual_knn, "),
    (lambda: compare_representations(X, Y, metrics=[]), "got none"),
    (lambda: compare_representations(X, Y, permutations=0), "permutations: expected a whole number of at least 1, got 0"),
    (lambda: compare_representations(X, Y, confidence=1.0), "confidence: expected a number from 0.5 to below 1, got 1.0"),
    (lambda: compare_representations(X, Y, k=1, metrics=["cknna"]), "k: expected at least 2 for cknna, got 1"),
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
    statistic, x, y = _significance.CanonicalCorrelations(None), jnp.ones((13, 6)), jnp.ones((13, 5))
    values = statistic.of_rows((x, y, x, y), jnp.arange(_significance.kept(13)))
    assert np.isnan(values["mean_canonical_correlation"])
    ends = _significance.interval(0.5, np.full(5, np.nan), 13, 13, 0.9)
    measured = similarity.MetricResult(0.5, 0.4, 0.1, *ends)
    shown = similarity.SimilarityTable(13, 6, 5, 4, "cosine", 9, 5, 0.9, 13, {"mean_canonical_correlation": measured}, {})
    assert shown.summary().splitlines()[1].endswith("-")
    assert json.loads(shown.to_json())["metrics"]["mean_canonical_correlation"]["low"] == "nan"


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
    assert value_of("cka", padded[:M], Y[:M]) == pytest.approx(value_of("cka", X[:M], Y[:M]), rel=1e-4)
    near = [nearest_neighbours(view, k=4, distance="euclidean") for view in (X, padded)]
    np.testing.assert_array_equal(*near)


# The command


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X[:M])
    np.savez("Y.npz", y=Y[:M], rest=Y)
    return tmp_path


def test_the_command_prints_and_writes_the_table(files, capsys):
    options = ["--metrics", "cka", "mutual_knn", "--permutations", "9", "--resamples", "10", "--k", "4"]
    assert cli.main(["align", "X.npy", "Y.npz:y", *options, "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    expected = compare_representations(X[:M], Y[:M], metrics=["cka", "mutual_knn"], k=4, **SMALL)
    assert out == expected.summary() + "\n"
    assert not err
    assert json.loads((files / "a.json").read_text()) == expected.to_dict()
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["metric", "mutual_knn", "cka"]


def test_the_bar_comes_after_a_while(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if standard error were a terminal
    with cli_similarity._shown(True, patience=0.0) as progress:
        progress("cka", 10, 20)
    assert "cka" in capsys.readouterr().err
    with cli_similarity._shown(True) as progress:
        progress("cka", 10, 20)
    assert not capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
    with cli_similarity._shown(True) as progress:
        assert progress is None


@pytest.mark.parametrize(("args", "message"), [
    (["X.npy", "missing.npy"], "error: missing.npy: expected a readable file"),
    (["X.npy", "Y.npz:y", "--k", "80"], "error: k: expected fewer neighbours than the 64 rows, got 80"),
    (["X.npy", "Y.npz:rest"], "error: y: expected 64 rows as in x, got 80"),
    (["X.npy", "Y.npz:y", "--metrics", "cca"], "error: metrics: expected names among mutual_knn"),
    (["X.npy", "Y.npz:y", "--json", "no/a.json"], "error: no/a.json: expected a file in an existing folder"),
    (["X.npy", "Y.npz:y", "--metrics", "svcca", "--components", "9"], "error: components: expected at most min("),
])
def test_bad_commands_exit_2_with_one_line(files, capsys, args, message):
    before = sorted(files.iterdir())
    assert cli.main(["align", *args]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert sorted(files.iterdir()) == before
