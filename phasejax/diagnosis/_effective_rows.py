r"""How many independent rows the moments of dependent rows are worth.

Rows of one group are alike, so that covariances scatter over data sets as those of fewer rows do, and are biased like
them. With a_i = u_i v_i' the products of standardised columns of row i, and S their mean, the design effect is

.. math::
    D = \frac{G}{G - 1} \sum_g \Big\| \sum_{i \in g} (a_i - S) \Big\|^2 \Big/ \sum_i \| a_i - S \|^2

which is 1 where the rows of a group are independent, and the number of its rows where they are copies; n / D rows of
their own would scatter as much.

Source: Kish 1965, of means; here of second moments.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from phasejax.diagnosis._paired_data import PairedRows

# Fewest rows that any sample counts for, and the ratio of numbers that are told apart: the design effect is not known
# better, and data sets that are worth about as much then share their compiled programs.
_LEAST, _STEP = 3, 1.1


def effective_rows(data: PairedRows) -> tuple[int, int]:
    """Independent rows that the moments of the views, and those of views with labels, are worth.

    Args:
        data: whose groups count; without any these are all rows, and all labelled ones.

    Returns:
        At most n and m.
    """
    if data.groups is None:
        return data.n, data.m
    views = np.hstack([data.x, data.y])
    n = rows_worth(views, data.groups, data.n)
    m = rows_worth(views[data.labelled], data.groups[data.labelled], data.m, data.encoded)
    return n, min(m, n)


def rows_worth(rows: Float[np.ndarray, "n p"], groups: Int[np.ndarray, "n"], total: int,
               labels: Float[np.ndarray, "n l"] | None = None) -> int:
    """Independent rows that the second moments of rows in groups are worth.

    Args:
        rows: of both views.
        groups: of the rows.
        total: number of all rows, of which these are a part with as many groups.
        labels: of the rows, for moments of views with labels; None for those of the views.
    """
    views = _standardised(rows)
    effect = max(design_effect(views, views if labels is None else _standardised(labels), groups), 1.0)
    effect = 1 + (effect - 1) * total / len(rows)
    worth = _LEAST * _STEP ** round(math.log(max(total / effect / _LEAST, 1), _STEP))
    return min(total, round(worth))


def design_effect(u: Float[np.ndarray, "n p"], v: Float[np.ndarray, "n q"], groups: Int[np.ndarray, "n"]) -> float:
    """By how much groups widen the variance of the mean of u v', from the products of n rows.

    Args:
        u, v: centred columns of the same rows.
        groups: of the rows.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.standard_normal((100, 3))
    >>> round(design_effect(np.tile(rows, (7, 1)), np.tile(rows, (7, 1)), np.tile(np.arange(100), 7)), 1)
    7.1
    """
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    mean = u.T @ v / len(u)
    between = sum(float(np.sum((u[rows].T @ v[rows] - len(rows) * mean) ** 2)) for rows in np.split(order, ends))
    single = float(np.sum(np.sum(u**2, 1) * np.sum(v**2, 1)) - len(u) * np.sum(mean**2))
    return between / single * (len(ends) + 1) / max(len(ends), 1) if single > 0 else 1.0


def _standardised(columns):
    """Centred columns of unit variance; zero where a column does not vary."""
    centred = columns - columns.mean(0)
    deviation = np.sqrt(np.mean(centred**2, 0))
    return centred / np.where(deviation > 0, deviation, 1.0)
