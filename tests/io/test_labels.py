"""Labels as columns, their kind, and which rows have them; the messages are tested where `diagnose` is called.

Situations, with public reports of the same kind: classes stored as floats and a class with one member (scikit-learn
#13157), integers that may be an order or a number, decimal commas that leave numbers as text (pandas #60672, polars
#18798), identifiers for labels (MLBox #94).
"""

import numpy as np
import pytest

from phasejax.io import encode_labels
from phasejax.io._labels import check_kind_is_clear, enough_members, label_notes, labelled_rows, resolved_kind


@pytest.mark.parametrize("labels", [[2, 0, 2, 0, 5, 5], ["b", "a", "b", "a", "c", "c"],
                                    [[2], [0], [2], [0], [5], [5]]])
def test_classes_get_a_column_each_in_sorted_order(labels):
    expected = np.eye(3)[[1, 0, 1, 0, 2, 2]]
    found = encode_labels(labels, 6)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float64
    if not isinstance(labels[0], str):
        np.testing.assert_array_equal(encode_labels(np.array(labels, float), 6, "class"), expected)


def test_real_values_stay_as_they_are():
    values = np.random.default_rng(0).standard_normal((7, 2)).astype(np.float32)
    np.testing.assert_array_equal(encode_labels(values, 7), values)
    np.testing.assert_array_equal(encode_labels([1, 2, 2], 3, "real"), [[1], [2], [2]])


@pytest.mark.parametrize(("labels", "kind"), [
    ([0, 1], "class"), ([True, False], "class"), (["a", "b"], "class"), ([[0], [1]], "class"), ([0.0, 1.0], "real"),
    ([[0, 1], [1, 0]], "real"), ([0.0, 1.0, 3.0] * 4, "class"), ([[0.0], [1.0]] * 6, "class"),
    ([0.0, 1.5] * 6, "real"),
    (np.arange(50.0), "real"), (np.arange(2000.0) % 50, "real"), ([1.0] * 12, "real")])
def test_the_kind_goes_by_shape_and_dtype(labels, kind):
    assert resolved_kind(labels) == kind
    assert resolved_kind(labels, "real") == "real"
    assert resolved_kind(labels, "class") == "class"


@pytest.mark.parametrize(("labels", "kind", "message"), [
    ([0, 1], "text", "label_kind: expected one of auto, class, real, got 'text'"),
    ([0, 1, 0], "auto", "labels: expected 2 rows, one for each labelled row of x, got 3"),
    ([0j, 1j], "auto", "labels: expected numbers or text, got dtype complex128"),
    ([0.0, np.inf], "auto", "labels: expected finite values, got 1 that are NaN or infinite, the first in row 1"),
    ([[0, 1], [1, 0]], "class", "labels: expected one column of classes, got 2"),
])
def test_what_are_no_labels_is_refused(labels, kind, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        encode_labels(labels, 2, kind)


@pytest.mark.parametrize(("labels", "note"), [
    (np.arange(40) % 4.0, "labels: 4 different whole numbers stored as floats, read as 4 classes (label kind real "
                          "reads them otherwise)"),
    (np.arange(4000) % 40.0, "labels: 40 different whole numbers stored as floats, read as real values (label kind "
                             "class reads them otherwise)"),
    (np.arange(400) % 40, "labels: 40 different integers, read as classes (label kind real reads them as numbers)"),
])
def test_what_could_be_read_otherwise_is_said(labels, note):
    assert label_notes(labels, "auto") == [note]
    assert label_notes(labels, "real") == label_notes(labels, "class") == []


def test_floats_that_may_be_classes_or_counts_are_not_guessed():
    many = np.arange(150) % 25.0
    with pytest.raises(ValueError, match=r"^label_kind: expected class or real \(--label-kind\) for 25 "):
        check_kind_is_clear(many, "auto")
    for clear in (many.astype(int), many[:120], many % 20, many + 0.5, np.c_[many, many], many.astype(str)):
        check_kind_is_clear(clear, "auto")
    check_kind_is_clear(many, "class")
    check_kind_is_clear(many, "real")


@pytest.mark.parametrize("labels", [np.arange(40) % 4, np.arange(40) % 2 == 0, np.array(["a", "b"] * 20),
                                    np.random.default_rng(0).standard_normal(40), np.ones((40, 2)), np.ones(40)])
def test_what_is_plain_needs_no_note(labels):
    assert label_notes(labels, "auto") == []


def test_numbers_stored_as_text_are_no_classes():
    with pytest.raises(ValueError, match="labels: expected numbers, or text for classes, got numbers stored as text"):
        label_notes(np.array(["5478,9", "6001,5", "5478,9"]), "auto")
    assert label_notes(np.array(["5478,9", "6001,5", "5478,9"]), "class") == []


def test_classes_that_are_too_small_are_named():
    labels = np.array(["a"] * 6 + ["b"] * 5 + ["c"] * 2 + ["d"])
    kept, notes = enough_members(labels, "auto", 5)
    np.testing.assert_array_equal(kept, np.isin(labels, ["a", "b"]))
    assert notes == ["labels: left out classes with fewer than 5 rows, too few to cross-validate: c: 2 rows, d: 1 row"]
    assert enough_members(labels[:11], "auto", 5)[1] == []
    assert enough_members(np.arange(14.0), "real", 5)[1] == []
    assert enough_members(np.array([0.0] * 6 + [1.0] * 6 + [2.0]), "class", 5)[1][0].endswith(": 2: 1 row")
    with pytest.raises(ValueError, match=r"labels: expected at least 2 classes of 5 rows or more, .* got c: 2 rows"):
        enough_members(np.array(["a"] * 6 + ["c"] * 2), "auto", 5)


def test_labelled_rows_are_indices():
    assert labelled_rows(None, 3).tolist() == [0, 1, 2]
    found = labelled_rows(np.array([4, 0], np.uint8), 5)
    assert found.tolist() == [4, 0]
    assert found.dtype == np.int64


@pytest.mark.parametrize(("labelled", "message"), [
    ([], "labelled: expected indices of rows, shape \\(m,\\), got float64 of shape \\(0,\\)"),
    ([True, False], "labelled: expected indices of rows, shape \\(m,\\), got bool of shape \\(2,\\)"),
    ([[0, 1]], "labelled: expected indices of rows, shape \\(m,\\), got int64 of shape \\(1, 2\\)"),
    ([0, 5], "labelled: expected indices from 0 to 4, got 0 to 5"),
    ([-1, 2], "labelled: expected indices from 0 to 4, got -1 to 2"),
    ([1, 1], "labelled: expected every row once, got repeated indices"),
])
def test_what_are_no_rows_is_refused(labelled, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        labelled_rows(labelled, 5)
