"""Folds of rows and of groups: sizes, classes, and what cannot be held out."""

import numpy as np
import pytest

from phasejax.diagnosis._folds import assign_folds, folds_of_all_rows, usable_folds


def test_groups_are_never_divided():
    rng = np.random.default_rng(0)
    groups, classes = rng.integers(0, 40, 600), rng.integers(0, 3, 600)
    for labels in (classes, None):
        fold = assign_folds(np.random.default_rng(1), labels, groups, 5)
        assert all(len(set(fold[groups == g])) == 1 for g in np.unique(groups))
        sizes = np.bincount(fold, minlength=5)
        assert np.ptp(sizes) <= 30  # at most the largest group or so
    for c in range(3):
        assert np.ptp(np.bincount(fold[classes == c], minlength=5)) <= 25


def test_a_rare_class_is_spread():
    groups = np.repeat(np.arange(20), 10)
    classes = np.zeros(200, int)
    classes[groups < 4] = 1
    for seed in range(10):
        fold = assign_folds(np.random.default_rng(seed), classes, groups, 4)
        assert len(set(fold[classes == 1])) == 4


def test_fewer_folds_where_there_are_few_groups_or_rows():
    assert usable_folds(5, 9, None) == 4
    assert usable_folds(5, 100, np.arange(100) % 2) == 2


def test_unlabelled_rows_follow_their_group():
    groups, labelled = np.array([0, 0, 1, 1, 2]), np.array([0, 2])
    found = folds_of_all_rows(5, labelled, np.array([1, 0]), groups)
    assert found.tolist() == [1, 1, 0, 0, -1]
    assert folds_of_all_rows(5, labelled, np.array([1, 0]), None).tolist() == [1, -1, 0, -1, -1]


def test_a_class_in_one_group_is_refused():
    with pytest.raises(ValueError, match="groups: expected every class in at least 2 groups"):
        assign_folds(np.random.default_rng(0), np.array([0, 0, 1, 1, 1, 0]), np.array([0, 0, 1, 1, 1, 2]), 2)
