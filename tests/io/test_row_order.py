"""The order of rows that depends on what is in them: against sorted tuples, and what a diagnosis makes of it."""

from typing import Any

import numpy as np
import pytest

from phasejax import diagnose
from phasejax.datasets import load_digit_halves
from phasejax.io._matching import MatchedRows
from phasejax.io._row_order import order_by_values, ordered_by_values, taken_rows


def sorted_rows(columns, shuffled):
    """Rows as Python sorts tuples, in the place that the fixed shuffle gives them."""
    return [sorted(zip(*(column.tolist() for column in columns), strict=True))[place] for place in shuffled]


@pytest.mark.parametrize("levels", [2, 3, 50])
def test_rows_are_sorted_as_tuples_are_and_shuffled_always_alike(levels):
    rng = np.random.default_rng(levels)
    columns = [rng.integers(0, levels, 40).astype(float) for _ in range(4)] + [np.array(list("abcd"))[
        rng.integers(0, 4, 40)]]
    expected = sorted_rows(columns, np.random.default_rng(0).permutation(40))
    for seed in range(5):
        moved = np.random.default_rng(seed).permutation(40)
        own = [column[moved] for column in columns]
        order = order_by_values(40, own)
        assert sorted(order.tolist()) == list(range(40))
        assert list(zip(*(column[order].tolist() for column in own), strict=True)) == expected


def test_units_do_not_change_the_order():
    rows = np.random.default_rng(0).standard_normal((30, 2)).round(1)
    assert np.array_equal(order_by_values(30, list(rows.T)), order_by_values(30, list(1e-7 * rows.T)))


def test_rows_that_differ_nowhere_keep_their_order():
    columns = [np.array([1.0, 0.0, 1.0, 1.0])]
    order = order_by_values(4, columns)
    alike = order[np.isin(order, [0, 2, 3])]
    places = np.random.default_rng(0).permutation(4)
    assert alike.tolist() == [(None, 0, 2, 3)[place] for place in places if place]


def matched_rows(n=12) -> Any:
    rng = np.random.default_rng(1)
    return MatchedRows(x=rng.integers(0, 2, (n, 2)).astype(float), y=rng.integers(0, 2, (n, 2)).astype(float),
                       labels=np.array([3.0, 1.0, 2.0]), labelled=np.array([7, 0, 4]),
                       ids=np.array([f"r{i}" for i in range(n)]), groups=np.arange(n) // 2)


def test_everything_of_a_row_goes_with_it():
    given = matched_rows()
    found: Any
    found, beside = ordered_by_values(given, {"batch": np.arange(12) % 5}, 1e9)
    from_id = {name: place for place, name in enumerate(given.ids)}
    kept = np.array([from_id[name] for name in found.ids])
    assert sorted(kept) == list(range(12))
    assert not np.array_equal(kept, np.arange(12))
    assert np.array_equal(found.rows, kept)
    for field in ("x", "y", "groups"):
        assert np.array_equal(getattr(found, field), getattr(given, field)[kept])
    assert np.array_equal(beside["batch"], (np.arange(12) % 5)[kept])
    assert found.labelled.tolist() == sorted(found.labelled.tolist())
    assert {found.ids[place]: label for place, label in zip(found.labelled, found.labels, strict=True)} == \
        {"r7": 3.0, "r0": 1.0, "r4": 2.0}


@pytest.mark.parametrize("told_by", ["x", "y", "label", "whether there is a label", "group", "beside"])
def test_rows_alike_in_all_but_one_thing_are_told_apart_by_it(told_by):
    """However the rows came, the order is the same."""
    n, values = 12, np.arange(12) % 4
    same = np.zeros(n)
    orders = []
    for seed in range(4):
        moved = np.random.default_rng(seed).permutation(n)
        own = values[moved]
        labelled = np.flatnonzero(own > 1) if told_by == "whether there is a label" else np.arange(n)
        labels = own[labelled] if told_by == "label" else np.zeros(len(labelled), int)
        given = MatchedRows(x=(own if told_by == "x" else same)[:, None], y=(own if told_by == "y" else same)[:, None],
                            labels=labels, labelled=labelled, groups=own if told_by == "group" else None)
        found: Any
        found, beside = ordered_by_values(given, {"b": own if told_by == "beside" else same}, 1e9)
        of_label = np.full(n, -1)
        of_label[found.labelled] = found.labels
        orders.append([found.x.tolist(), found.y.tolist(), of_label.tolist(), beside["b"].tolist(),
                       found.groups is not None and found.groups.tolist()])
    assert all(order == orders[0] for order in orders)
    assert sum(len(np.unique(part)) > 1 for part in orders[0]) == 1


@pytest.mark.parametrize("x", [np.zeros((3, 1, 1)), np.zeros((4, 1)), np.array([["a"], ["b"], ["c"]]),
                               np.array([[0.0], [np.inf], [1.0]])])
def test_what_will_be_refused_is_left_where_it_is(x):
    given = MatchedRows(x=x, y=np.array([[2.0], [1.0], [0.0]]))
    assert ordered_by_values(given, {}, 1e9)[0] is given


@pytest.mark.parametrize("label", [np.inf, np.nan, "a", None])
def test_labels_that_will_be_refused_keep_their_rows(label):
    """So that the row that is named is the user's."""
    labels = np.array([1.0, 0.0, label], None if isinstance(label, float) else object)
    given = MatchedRows(x=np.array([[2.0], [1.0], [0.0]]), y=np.array([[2.0], [1.0], [0.0]]), labels=labels)
    assert ordered_by_values(given, {}, 1e9)[0] is given


def test_the_row_of_a_label_that_is_refused_is_the_users():
    rng = np.random.default_rng(0)
    labels = rng.standard_normal(60)
    labels[[41, 50]] = np.inf
    with pytest.raises(ValueError, match=r"2 that are NaN or infinite, the first in row 41$"):
        diagnose(rng.standard_normal((60, 3)), rng.standard_normal((60, 3)), labels)


def test_more_numbers_than_allowed_are_left_where_they_are():
    given = matched_rows()
    assert ordered_by_values(given, {}, 47.0)[0] is given
    assert ordered_by_values(given, {}, 48.0)[0] is not given


def test_rows_are_taken_with_labels_in_their_order():
    found: Any = taken_rows(matched_rows(), np.array([4, 0, 2]))
    assert found.labelled.tolist() == [0, 1]
    assert found.labels.tolist() == [2.0, 1.0]
    assert found.groups.tolist() == [2, 0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("k", [8, None])
def test_a_diagnosis_does_not_depend_on_how_rows_are_sorted(k):
    """Part of the labels, groups and confounders: the same to the last bit, and the same words in other units."""
    x, y, labels = (array[:500] for array in load_digit_halves())
    rng = np.random.default_rng(0)
    groups, batch = rng.integers(0, 150, 500), np.array(list("abc"))[rng.integers(0, 3, 500)]
    labelled = rng.choice(500, 240, replace=False)
    first = diagnose(x, y, labels[labelled], labelled=labelled, groups=groups, confounders=batch, k=k, fit=False)
    moved, of_labels = rng.permutation(500), rng.permutation(240)
    place = np.argsort(moved)
    again: dict[str, Any] = dict(labels=labels[labelled][of_labels], labelled=place[labelled][of_labels],
                                 groups=groups[moved], confounders=batch[moved], k=k, fit=False)
    assert diagnose(x[moved], y[moved], **again).to_json() == first.to_json()
    assert diagnose(1e5 * x[moved], 1e-3 * y[moved], **again).summary() == first.summary()
