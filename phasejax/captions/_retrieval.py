"""Retrieval across modalities: how often the caption of an image is among the k most similar, and the other way round.

Source: recall@k as in Radford et al. 2021 (CLIP), section 3, with ties counted by what they give on average.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_array, check_count

_BLOCK = 2048  # queries whose similarities are held at a time


@checked
def retrieval_recall(queries: Float[np.ndarray, "n d"], found: Float[np.ndarray, "m d"],
                     query_of: Int[np.ndarray, "n"], found_of: Int[np.ndarray, "m"], ks: Sequence[int] = (1, 5, 10)
                     ) -> Float[np.ndarray, "ks"]:
    r"""Share of the queries with a right answer among the k most similar ones, by cosine similarity.

    .. math::  \frac{1}{n} \sum_i \Bigl[1 - \binom{e_i}{k - g_i} \Big/ \binom{e_i + r_i}{k - g_i}\Bigr]

    where s is the similarity of the best of query i's right answers, r_i of which have it, g_i answers have a greater
    one and e_i wrong answers just this one: the mean over the orders in which ties may be broken. An encoder that
    gives the same vector to everything has the recall of guessing, `chance_recall`.

    Args:
        queries, found: vectors of the queries and of the possible answers, shape (n, d) and (m, d).
        query_of, found_of: the row that each belongs to; an answer is right if it belongs to the query's row.
        ks: numbers of answers that are looked at.

    Returns:
        The recall for each k; NaN where a vector is not finite.

    Raises:
        ValueError: arrays of different lengths, a query without an answer.

    >>> vectors = np.eye(4)
    >>> retrieval_recall(vectors, vectors[[0, 1, 3, 2]], np.arange(4), np.arange(4), (1, 4)).tolist()
    [0.5, 1.0]
    """
    ks = [check_count("ks", k) for k in ks]
    if (missing := np.setdiff1d(query_of, found_of)).size:
        raise ValueError(f"found_of: expected an answer to every query, got none of row {missing[0]}")
    if not (np.isfinite(queries).all() and np.isfinite(found).all()):
        return np.full(len(ks), np.nan)
    unit_queries, unit_found = _unit(queries), _unit(found)
    total = np.zeros(len(ks))
    for start in range(0, len(queries), _BLOCK):
        # Rounded, so that equal vectors tie.
        similarity = np.round(unit_queries[start:start + _BLOCK] @ unit_found.T, 10)
        right = query_of[start:start + _BLOCK, None] == found_of[None]
        best = np.where(right, similarity, -np.inf).max(1, keepdims=True)
        greater = (similarity > best).sum(1)
        level = similarity == best
        equal, own = (level & ~right).sum(1), (level & right).sum(1)
        total += [_hit(equal, own, k - greater).sum() for k in ks]
    return total / len(queries)


@checked
def chance_recall(answers: Int[np.ndarray, "n"], m: int, ks: Sequence[int] = (1, 5, 10)) -> Float[np.ndarray, "ks"]:
    r"""The recall of guessing.

    .. math::  \frac{1}{n} \sum_i \Bigl[1 - \binom{m - r_i}{k} \Big/ \binom{m}{k}\Bigr]

    Args:
        answers: r_i, the number of right answers to each query, at least 1.
        m: number of possible answers.
        ks: numbers of answers that are looked at.

    Returns:
        The recall for each k.

    Raises:
        ValueError: more right answers than there are answers.

    >>> chance_recall(np.array([1, 1]), 10, (1, 5)).round(12).tolist()
    [0.1, 0.5]
    """
    answers, m = check_array("answers", answers), check_count("m", m)
    if answers.size and not 1 <= answers.min() <= answers.max() <= m:
        raise ValueError(f"answers: expected 1 to {m}, got {answers.min()} to {answers.max()}")
    return np.array([_hit(m - answers, answers, np.full(len(answers), k)).mean() for k in ks])


def _hit(wrong, right, places):
    """The probability that one of the right answers has one of so many places, all orders being equally likely."""
    places = np.clip(places, 0, wrong + right)
    none = places <= wrong  # may all be wrong
    with np.errstate(invalid="ignore"):
        missed = np.exp(_log_choose(wrong, np.minimum(places, wrong)) - _log_choose(wrong + right, places))
    return 1 - np.where(none, missed, 0.0)


def _log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _unit(vectors):
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
