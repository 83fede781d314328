"""Labels of lower quality: noise of the right size, bins, folded and merged classes, wrong classes, clusters."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

from phasejax.diagnosis import (
    fold_classes,
    merge_classes,
    noise_for_r2,
    pseudo_labels,
    quantile_bins,
    reassign_labels,
)


def held_out_r2(x, t, penalty):
    predicted = cross_val_predict(Ridge(penalty), x, t, cv=KFold(5, shuffle=True, random_state=0))
    return 1 - np.sum((t - predicted) ** 2) / np.sum((t - t.mean()) ** 2)


@pytest.mark.parametrize("share", [0.75, 0.25])
def test_noise_lowers_the_r2_of_a_ridge_regression_to_the_share(share):
    # Oracle: scikit-learn's ridge on noised labels, 30 draws. The standard error of the ratio is .006 (.75) and .01
    # (.25); 3 of them and .01 for other folds. The formula for many rows, var (1 / f - 1), gives .71 and .14.
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 20))
    t = x[:, :10].sum(1) + 2 * rng.standard_normal(300)
    noise, clean = noise_for_r2(t[:, None], x, share)
    penalty = RidgeCV(10.0 ** np.arange(-4, 4)).fit(x, t).alpha_
    base = held_out_r2(x, t, penalty)
    ratios = [held_out_r2(x, t + noise[0] * rng.standard_normal(300), penalty) / base for _ in range(30)]
    assert abs(np.mean(ratios) - share) < 0.01 + 3 * {0.75: 0.006, 0.25: 0.01}[share]
    assert abs(clean[0] - base) < 0.03


def test_with_many_rows_noise_has_the_variance_of_the_label_times_one_over_the_share_less_one():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 2))
    columns = np.c_[3 * x[:, 0] + rng.standard_normal(2000), 100 * x[:, 1]]
    noise, _ = noise_for_r2(columns, x, 0.25)
    assert np.allclose(noise, columns.std(0) * np.sqrt(3), rtol=0.01)
    assert np.allclose(noise_for_r2(1e6 * columns, 1e-6 * x + 5, 0.25)[0], 1e6 * noise)  # any units
    assert np.allclose(noise_for_r2(columns, x, 1.0)[0], 0)
    unpredicted = rng.standard_normal((2000, 1))
    assert np.allclose(noise_for_r2(unpredicted, x, 0.25)[0], unpredicted.std() * np.sqrt(3), rtol=0.01)


def test_noise_of_whole_groups_is_found_for_groups():
    # 40 groups of 5 rows with the same label: 50 draws of group noise; standard error of the ratio .03.
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    of_group = rng.standard_normal((40, 8))
    x = of_group[groups] + 0.3 * rng.standard_normal((200, 8))
    t = (of_group[:, :3].sum(1) + 0.5 * rng.standard_normal(40))[groups]
    noise, clean = noise_for_r2(t[:, None], x, 0.5, units=groups)
    ratios = [noise_for_r2((t + noise[0] * rng.standard_normal(40)[groups])[:, None], x, 1.0, units=groups)[1][0]
              / clean[0] for _ in range(50)]
    assert abs(np.mean(ratios) - 0.5) < 3 * 0.03
    assert noise_for_r2(t[:, None], x, 0.5)[0][0] != noise[0]


def test_bins_are_of_equal_size_and_follow_the_order():
    values = np.random.default_rng(0).standard_normal(80)
    for bins in (2, 4, 8):
        found = quantile_bins(values, bins)
        assert np.bincount(found).tolist() == [80 // bins] * bins
        assert np.all(np.diff(found[np.argsort(values)]) >= 0)
    with pytest.raises(ValueError, match="bins: expected at most 3, the number of different labels, got 4"):
        quantile_bins(np.array([1.0, 2.0, 3.0, 3.0]), 4)
    with pytest.raises(ValueError, match="bins of equal size, got 2"):
        quantile_bins(np.array([0.0] * 9 + [1.0, 2.0, 3.0]), 4)


def test_folding_needs_every_class():
    labels = np.array([0, 1, 2, 2])
    assert fold_classes(labels, {0: "a", "1": "a", 2.0: "b", "other": "c"}).tolist() == ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match=r"mapping: .* got none for 1, 2"):
        fold_classes(labels, {0: "a"})
    with pytest.raises(ValueError, match="at least 2 coarser classes, got only a"):
        fold_classes(labels, {0: "a", 1: "a", 2: "a"})


def test_merging_finds_a_tree_of_classes():
    # Four classes: two near pairs; a rotation of the features changes nothing.
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [10.0, 2.0]])
    index = rng.integers(4, size=400)
    features = means[index] + 0.1 * rng.standard_normal((400, 2))
    labels = np.array(["p", "q", "r", "s"])[index]
    assert set(merge_classes(labels, features, 3)) == {"p + q", "r", "s"}
    assert set(merge_classes(labels, features @ np.array([[0.6, 0.8], [-0.8, 0.6]]), 2)) == {"p + q", "r + s"}
    for classes in (1, 4):
        with pytest.raises(ValueError, match="classes: expected"):
            merge_classes(labels, features, classes)


@pytest.mark.parametrize(("classes", "share"), [(2, 0.5), (2, 0.255), (3, 0.25), (8, 0.99), (8, 0.1), (3, 1.0)])
def test_reassignment_changes_the_share_and_keeps_frequencies(classes, share):
    labels = np.arange(601) % classes
    changed = reassign_labels(labels, share, seed=4)
    assert np.bincount(changed).tolist() == np.bincount(labels).tolist()
    assert abs(np.sum(changed != labels) - round(share * 601)) <= 1
    assert not np.array_equal(changed, reassign_labels(labels, share, seed=5))


def test_reassignment_of_a_common_class_stops_at_twice_the_others():
    labels = np.repeat(["a", "b"], [80, 20])
    changed = reassign_labels(labels, 0.4, seed=1)
    assert np.sum(changed != labels) == 40
    assert np.sum(changed == "b") == 20
    with pytest.raises(ValueError, match=r"share: expected at most 0.4, since a is the class of more than half"):
        reassign_labels(labels, 0.5)
    with pytest.raises(ValueError, match="share: expected a number"):
        reassign_labels(labels, 1.5)


def test_reassignment_of_groups_moves_whole_groups():
    groups = np.repeat(np.arange(30), 4)
    labels = groups % 3
    changed = reassign_labels(labels, 0.5, units=groups, seed=0)
    assert all(len(set(changed[groups == one])) == 1 for one in range(30))
    assert np.sum(changed != labels) in (56, 60)


def test_a_row_is_clustered_by_means_that_did_not_see_it():
    # A far row has a cluster of its own in every fit that sees it, and in none that labels it.
    rng = np.random.default_rng(0)
    view = np.r_[rng.standard_normal((99, 2)) + 8 * (np.arange(99) % 2)[:, None], [[1e4, 1e4]]]
    found = pseudo_labels(view, 3)
    assert np.sum(found == found[-1]) > 1


def test_clusters_of_all_folds_have_the_same_numbers():
    rng = np.random.default_rng(0)
    truth = rng.integers(6, size=240)
    view = 20 * rng.standard_normal((6, 5))[truth] + rng.standard_normal((240, 5))
    found = pseudo_labels(view, 6, groups=np.arange(240) // 2, seed=3)
    assert len({(a, b) for a, b in zip(truth.tolist(), found.tolist(), strict=True)}) == 6
    for k in (1, 200):
        with pytest.raises(ValueError, match="k: expected 2 to 192 clusters"):
            pseudo_labels(view, k)
