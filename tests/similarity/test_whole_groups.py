"""Rows that are not independent within groups: pairings of whole groups, and `compare_representations` with them."""

import itertools

import numpy as np
import pytest

from phasejax.similarity import _families, _significance, compare_representations
from phasejax.similarity._whole_groups import (
    _common_sizes,
    groups_of_equal_size,
    pairing_of_whole_groups,
    part_of_whole_groups,
    some_of_every_group,
)

UNEQUAL = np.linspace(5, 40, 25).round().astype(int)


def repeated(rng, sizes, spread=0.3, d_x=10, d_y=8):
    """What is proper to a group is drawn independently in either view, and so is what is proper to a row."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return *(rng.standard_normal((len(sizes), d))[groups] + spread * rng.standard_normal((len(groups), d))
             for d in (d_x, d_y)), groups


def linear_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


# What trades places


def fewest_lost(sizes):
    """Over all ways to cut the sorted sizes into runs of sqrt(G) groups or more."""
    sizes, least = np.sort(sizes), max(2, int(np.ceil(np.sqrt(len(sizes)))))
    places = range(1, len(sizes))
    runs = (np.split(sizes, cuts) for cuts in itertools.chain(*(itertools.combinations(places, r) for r in places)))
    return min((sum((run - run[0]).sum() for run in found) for found in runs if min(map(len, found)) >= least),
               default=np.sum(sizes - sizes[0]))


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_cut_to_sizes_that_lose_fewest_rows(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, rng.integers(2, 11))
    cut = _common_sizes(sizes)
    assert np.all(cut <= sizes)
    assert np.sum(sizes - cut) == fewest_lost(sizes)
    assert min(np.unique(cut, return_counts=True)[1]) >= max(2, np.sqrt(len(sizes)))


def test_many_groups_are_cut_size_by_size():
    sizes = np.random.default_rng(0).geometric(0.05, 3000)
    cut = _common_sizes(sizes)
    assert min(np.unique(cut, return_counts=True)[1]) >= np.sqrt(3000)
    assert 0.93 < cut.sum() / sizes.sum() < 1
    assert all(len(np.unique(cut[sizes == size])) == 1 for size in np.unique(sizes))
    np.testing.assert_array_equal(_common_sizes(np.full(3000, 4)), 4)


@pytest.mark.parametrize("sizes", [np.full(6, 4), UNEQUAL, np.array([1, 1, 9, 9, 10, 30])])
def test_whole_groups_take_the_places_of_others(sizes):
    rng = np.random.default_rng(1)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows, blocks = groups_of_equal_size(groups)
    assert sorted(np.concatenate([where.ravel() for where in blocks])) == list(range(len(rows)))
    of_rows = groups[rows]
    for where in blocks:
        assert all(len(set(of_rows[block])) == 1 for block in where)
        # Rows are left out evenly: the first and the last that are kept are equally far from the ends.
        for block in where:
            places = np.flatnonzero(np.isin(np.flatnonzero(groups == of_rows[block[0]]), rows[block]))
            assert abs(places[0] - (sizes[of_rows[block[0]]] - 1 - places[-1])) <= 1
    partners = set()
    for _ in range(100):
        order = pairing_of_whole_groups(blocks, rng)
        assert sorted(order) == list(range(len(rows)))
        pairs = np.unique(np.c_[of_rows, of_rows[order]], axis=0)
        assert len(pairs) == len(sizes)  # each group meets one other, with all of its rows
        for where in blocks:
            turns = (np.argsort(np.argsort(order[where], axis=1), axis=1) - np.arange(where.shape[1])) % where.shape[1]
            assert np.all(turns == turns[:, :1])
        partners |= set(map(tuple, pairs))
    assert len(partners) == sum(len(where) ** 2 for where in blocks)


def test_parts_are_whole_groups_except_the_last():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(25), UNEQUAL)
    for _ in range(10):
        part = part_of_whole_groups(groups, 400, rng)
        assert len(part) == 400
        np.testing.assert_array_equal(part, np.unique(part))
        counts = np.bincount(groups[part], minlength=25)
        assert np.sum((counts > 0) & (counts < UNEQUAL)) <= 1


def test_large_groups_lose_rows_first():
    groups = np.repeat(np.arange(25), UNEQUAL)
    rows = some_of_every_group(groups, 300, np.random.default_rng(3))
    counts = np.bincount(groups[rows])
    assert 275 < len(rows) <= 300
    np.testing.assert_array_equal(counts, np.minimum(UNEQUAL, counts.max()))
    few = some_of_every_group(groups, 10, np.random.default_rng(3))
    assert len(few) == len(np.unique(groups[few])) == 10


# False alarms, with a statistic that costs nothing


@pytest.mark.parametrize(("sizes", "spread"), [(np.full(25, 20), 0.1), (UNEQUAL, 0.3), (UNEQUAL, 3.0)])
def test_p_values_are_uniform_where_groups_are_independent(sizes, spread):
    """Level 0.2 in 150 data sets, squared correlation of two columns; rows that pair at random reject many more."""
    rejected, by_rows = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x, y, groups = repeated(rng, sizes, spread, 1, 1)
        rows, blocks = groups_of_equal_size(groups)
        orders = [np.arange(len(rows)), *(pairing_of_whole_groups(blocks, rng) for _ in range(19))]
        u, v = x[rows, 0] - x[rows, 0].mean(), y[rows, 0] - y[rows, 0].mean()
        rejected.append(_significance.p_value(np.array([(u @ v[order]) ** 2 for order in orders])) <= 0.2)
        orders = [orders[0], *(rng.permutation(len(rows)) for _ in range(19))]
        by_rows.append(_significance.p_value(np.array([(u @ v[order]) ** 2 for order in orders])) <= 0.2)
    assert abs(np.mean(rejected) - 0.2) < 0.13  # 4 standard errors of 0.033
    assert np.mean(by_rows) > 0.6 or spread > 1


def test_an_order_that_groups_have_in_common_takes_no_power():
    """Rows are sorted in each group by what x and y share."""
    rng, found = np.random.default_rng(5), []
    for _ in range(50):
        groups = np.repeat(np.arange(12), 10)
        shared = np.sort(rng.standard_normal((12, 10)), axis=1).ravel()
        u, v = (shared + rng.standard_normal(120) for _ in range(2))
        rows, blocks = groups_of_equal_size(groups)
        orders = [np.arange(len(rows)), *(pairing_of_whole_groups(blocks, rng) for _ in range(19))]
        found.append(_significance.p_value(np.array([(u - u.mean()) @ v[order] for order in orders])))
    assert np.mean(np.array(found) <= 0.05) > 0.9


# The table


@pytest.mark.parametrize(("seed", "expected"), [(0, 0.78), (1, 0.48), (2, 0.03)])
def test_stars_that_share_nothing(seed, expected):
    """25 stars of 20 epochs each (scikit-learn #13621, cca_zoo #124): CKA p by permuting stars, in plain NumPy."""
    rng = np.random.default_rng(seed)
    stars = np.repeat(np.arange(25), 20)
    x = rng.standard_normal((25, 10))[stars] + 0.3 * rng.standard_normal((500, 10))
    y = rng.standard_normal((25, 8))[stars] + 0.3 * rng.standard_normal((500, 8))
    values = np.array([linear_cka(x, y[(20 * rng.permutation(25)[:, None] + np.arange(20)).ravel()])
                       for _ in range(200)])
    oracle = np.mean(values >= linear_cka(x, y))
    assert abs(oracle - expected) < 0.13
    found = compare_representations(x, y, metrics=["cka"], groups=stars, resamples=10)
    measured = found.metrics["cka"]
    assert abs(measured.p_value - oracle) < 0.16  # 4 standard errors of 0.04 at p = 0.5 and 2 x 200 pairings
    assert measured.value == pytest.approx(linear_cka(x, y), rel=1e-9)
    assert abs(measured.null_mean - values.mean()) < 4 * np.sqrt(2) * values.std() / np.sqrt(200)
    with pytest.warns(match="of the rows lie in tight groups of about 20"):
        untold = compare_representations(x, y, metrics=["cka"], resamples=10)
    assert untold.metrics["cka"].p_value == pytest.approx(1 / 201)
    assert measured.high - measured.low > 2 * (untold.metrics["cka"].high - untold.metrics["cka"].low)
    assert "n = 500 in 25 groups, d_x = 10" in found.summary()
    assert "the sample size is 25 groups" in found.summary()
    assert (found.groups, found.paired_rows, found.to_dict()["groups"]) == (25, 500, 25)
    assert "group" not in untold.summary()


QUICK = {"metrics": ["cka"], "permutations": 19, "resamples": 10}


@pytest.fixture(scope="module")
def unequal():
    """Six columns, of which two have half of their variance in common; groups of 3 to 20 rows."""
    rng = np.random.default_rng(7)
    groups = rng.permutation(np.repeat(np.arange(25), UNEQUAL // 2))
    shared = rng.standard_normal((25, 2))[groups] + rng.standard_normal((len(groups), 2))
    x, y = (np.c_[shared + rng.standard_normal(shared.shape), rng.standard_normal((len(groups), 4))] for _ in "xy")
    return x, y, groups


def test_groups_of_other_sizes_are_cut_for_p_values_only(unequal):
    x, y, groups = unequal
    found = compare_representations(x, y, groups=groups, **QUICK)
    assert found.metrics["cka"].value == pytest.approx(linear_cka(x, y), rel=1e-9)
    assert found.metrics["cka"].p_value == 0.05
    assert 0.8 * len(x) < found.paired_rows == len(groups_of_equal_size(groups)[0]) < found.n
    assert f"rest on {found.paired_rows} rows" in found.summary()
    # Neither names nor the order of rows in the file matter, but for what is random.
    named = np.array([f"star {name}" for name in groups])
    assert compare_representations(x, y, groups=named[:, None], **QUICK).metrics["cka"].value == \
        found.metrics["cka"].value
    order = np.random.default_rng(0).permutation(len(x))
    other = compare_representations(x[order], y[order], groups=groups[order], **QUICK)
    assert other.metrics["cka"].value == pytest.approx(found.metrics["cka"].value, rel=1e-9)
    assert abs(other.metrics["cka"].null_mean - found.metrics["cka"].null_mean) < 0.05
    for metric in (*found.metrics.values(), *other.metrics.values()):
        assert metric.low <= metric.value <= metric.high


@pytest.mark.slow
def test_kernel_matrices_rest_on_rows_of_every_group(unequal, monkeypatch):
    x, y, groups = unequal
    monkeypatch.setattr(_families, "KERNEL_ROWS", 150)
    found = compare_representations(x, y, groups=groups, metrics=["cka_rbf"], permutations=9, resamples=10)
    assert 125 < found.kernel_rows <= 150
    assert found.metrics["cka_rbf"].p_value == 0.1
    assert 0 < found.metrics["cka_rbf"].null_mean < found.metrics["cka_rbf"].value


def test_rows_that_are_their_own_groups_are_independent_rows(unequal):
    x, y, _ = unequal
    with pytest.warns(match="every row is a group of its own"):
        found = compare_representations(x, y, groups=np.arange(len(x)), **QUICK)
    assert found == compare_representations(x, y, **QUICK)


def test_what_so_few_rows_do_not_allow_is_left_out_or_refused():
    rng = np.random.default_rng(8)
    groups = np.r_[np.zeros(60, int), np.arange(1, 10)]  # all are cut to one row
    x, y = rng.standard_normal((2, len(groups), 6))
    for name, message in (("mean_canonical_correlation", "^groups: expected more rows than the 12 columns of both "),
                          ("mutual_knn", "^k: expected fewer neighbours than the 10 rows of groups that are cut to "),
                          ("svcca", "^components: expected at most min(d_x, d_y, n - 1) = 6, got 7")):
        with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
            compare_representations(x, y, groups=groups, metrics=[name], components=7 if name == "svcca" else None)


# Fewer columns


def test_principal_components_come_first_and_keep_the_metric(unequal):
    x, y, _ = unequal
    quick = {"metrics": ["cka"], "permutations": 19, "resamples": 10}
    with pytest.warns(match="x: 6 columns reduced to 3 principal components with") as notes:
        found = compare_representations(x, y[:, :3], pca=3, **quick)
    assert len(notes) == 1  # y has no more columns than that
    centred = x - x.mean(0)
    scores = centred @ np.linalg.svd(centred)[2][:3].T
    assert found.metrics["cka"].value == pytest.approx(linear_cka(scores, y[:, :3]), rel=1e-9)
    assert found.d_x == found.d_y == 3
    with pytest.raises(ValueError, match=r"^pca: expected at most 4 components of 5 rows"):
        compare_representations(x[:5], y[:5], pca=5, **quick)


def test_canonical_correlations_do_not_mind_columns_that_others_determine(unequal):
    x, y, _ = unequal
    quick = {"metrics": ["mean_canonical_correlation"], "permutations": 9, "resamples": 10}
    plain = compare_representations(x, y, **quick).metrics
    category = np.eye(3)[np.random.default_rng(0).integers(0, 3, len(x))]
    with pytest.warns(match="mean_canonical_correlation, x: 2 of 8 columns left out: 7 does not vary; . is a comb"):
        found = compare_representations(np.c_[x, x[:, 0] - x[:, 1], np.ones(len(x))], y, **quick).metrics
    assert found["mean_canonical_correlation"].value == pytest.approx(plain["mean_canonical_correlation"].value)
    with pytest.warns(match="y: 1 of 3 columns left out"):
        compare_representations(x, category, **quick)
