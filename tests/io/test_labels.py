"""Labels as columns, their kind, and which rows have them; the messages are tested where `diagnose` is called."""

import numpy as np
import pytest

from phasejax.io import encode_labels
from phasejax.io._labels import labelled_rows, resolved_kind


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
    ([[0, 1], [1, 0]], "real")])
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
