"""Recall of retrieval: against sorting every query by hand, against guessing, and with ties."""

from itertools import permutations

import numpy as np
import pytest

from phasejax.captions import chance_recall, retrieval_recall


def recall_by_sorting(queries, found, query_of, found_of, k):
    hits = []
    for query, row in zip(queries, query_of, strict=True):
        similarity = [query @ one / np.linalg.norm(query) / np.linalg.norm(one) for one in found]
        hits.append(row in found_of[np.argsort(similarity)[::-1][:k]])
    return np.mean(hits)


def test_recall_is_that_of_sorted_similarities():
    """With one to three captions an image, in both directions."""
    rng = np.random.default_rng(0)
    row_of = np.repeat(np.arange(12), rng.integers(1, 4, 12))
    images = rng.standard_normal((12, 4))
    texts = images[row_of] + rng.standard_normal((len(row_of), 4))
    for queries, found, query_of, found_of in ((images, texts, np.arange(12), row_of),
                                               (texts, images, row_of, np.arange(12))):
        expected = [recall_by_sorting(queries, found, query_of, found_of, k) for k in (1, 2, 7)]
        np.testing.assert_allclose(retrieval_recall(queries, 3 * found, query_of, found_of, (1, 2, 7)), expected)
        assert 0 < expected[0] < expected[1] < expected[2]


def test_ties_count_as_they_are_broken_on_average():
    """Five answers with one similarity, two of them right and one more that is better but wrong: all orders by hand."""
    found = np.array([[1.0, 0.1]] + [[1.0, 1.0]] * 5)
    found_of = np.array([1, 0, 0, 2, 3, 4])
    orders = list(permutations([True, True, False, False, False]))
    expected = [np.mean([any(order[:k - 1]) for order in orders]) for k in (1, 2, 3, 6)]
    found_recall = retrieval_recall(np.array([[1.0, 0.0]]), found, np.array([0]), found_of, (1, 2, 3, 6))
    np.testing.assert_allclose(found_recall, expected, atol=1e-12)


def test_encoders_that_collapsed_have_the_recall_of_guessing():
    row_of = np.repeat(np.arange(10), 3)
    one = np.ones((1, 5))
    ks = (1, 5, 10)
    np.testing.assert_allclose(
        retrieval_recall(one.repeat(10, 0), one.repeat(30, 0), np.arange(10), row_of, ks),
        chance_recall(np.full(10, 3), 30, ks))
    assert chance_recall(np.full(4, 1), 20, ks) == pytest.approx([0.05, 0.25, 0.5])
    assert chance_recall(np.array([2]), 4, (1, 3, 9)) == pytest.approx([0.5, 1.0, 1.0])


def test_what_is_not_finite_has_no_recall():
    vectors = np.eye(3)
    bad = np.where(vectors > 0, np.nan, 0.0)
    assert np.isnan(retrieval_recall(vectors, bad, np.arange(3), np.arange(3))).all()


@pytest.mark.parametrize(("changes", "message"), [
    ({"found": np.ones((3, 4))}, "found: expected d = 3 as in queries, got shape"),
    ({"query_of": np.arange(2)}, "query_of: expected n = 3 as in queries, got shape"),
    ({"found_of": np.array([0, 1, 1])}, "found_of: expected an answer to every query, got none of row 2"),
    ({"ks": (0,)}, "ks: expected a whole number of at least 1, got 0"),
])
def test_bad_input_is_refused(changes, message):
    given = {"queries": np.eye(3), "found": np.eye(3), "query_of": np.arange(3), "found_of": np.arange(3)} | changes
    with pytest.raises(ValueError, match=message):
        retrieval_recall(**given)


def test_more_answers_than_there_are_refused():
    with pytest.raises(ValueError, match="answers: expected 1 to 4, got 5 to 5"):
        chance_recall(np.array([5]), 4)
