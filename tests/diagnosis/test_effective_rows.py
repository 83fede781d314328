"""How many independent rows dependent ones are worth: against simulated scatter, copies, and rows without groups."""

import re

import numpy as np
import pytest

from phasejax.diagnosis import label_content
from phasejax.diagnosis._effective_rows import design_effect, effective_rows
from phasejax.diagnosis._paired_data import PairedRows


def alike(rng, sizes, share, columns):
    """Rows of which groups share this part of the variance."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    common, own = rng.standard_normal((len(sizes), columns)), rng.standard_normal((len(groups), columns))
    return np.sqrt(share) * common[groups] + np.sqrt(1 - share) * own, groups


@pytest.mark.parametrize("sizes", [np.full(60, 8), np.linspace(1, 15, 60).round().astype(int)])
def test_the_variance_of_second_moments_is_wider_by_the_design_effect(sizes):
    """Of 400 data sets with unit variances and correlations of 0.7 in groups: their covariances' scatter, times n."""
    rng, moments, effects = np.random.default_rng(0), [], []
    for _ in range(400):
        rows, groups = alike(rng, sizes, 0.7, 3)
        rows = rows - rows.mean(0)
        moments.append(rows.T @ rows / len(rows))
        effects.append(design_effect(rows, rows, groups))
    widened = np.var(moments, axis=0).sum() * sizes.sum()
    independent = 3 * 2 + 6 * 1  # variances of z^2 and of z z'
    # Standard error of a variance over 400 sets, 0.071, for the sum of about 9 of them; the effect's own is below it.
    assert np.mean(effects) == pytest.approx(widened / independent, rel=0.1)
    assert np.mean(effects) == pytest.approx(1 + 0.49 * (np.sum(sizes**2) / sizes.sum() - 1), rel=0.15)


def pairs(rows, labels, groups):
    """What `effective_rows` reads of paired rows."""
    n, p = len(rows), rows.shape[1] + labels.shape[1]
    return PairedRows(n=n, m=n, encoded=labels, kind="real", joint=np.eye(p), without=np.eye(p)[None], x=rows[:, :2],
                      y=rows[:, 2:], labelled=np.arange(n), groups=groups)


def test_copies_count_once_and_independent_rows_all():
    rng = np.random.default_rng(1)
    rows, labels = rng.standard_normal((80, 4)), rng.standard_normal((80, 1))
    groups = np.arange(80)
    assert effective_rows(pairs(rows, labels, None)) == (80, 80)
    copied = (np.repeat(part, 6, axis=0) for part in (rows, labels, groups))
    n, m = effective_rows(pairs(*copied))
    assert n == m == pytest.approx(80, rel=0.06)  # of a grid of ratio 1.1
    rows, groups = alike(rng, np.full(40, 12), 0.0, 4)
    n, m = effective_rows(pairs(rows, rng.standard_normal((480, 1)), groups))
    assert 420 < m <= n <= 480


def test_labels_of_whole_groups_are_worth_less_than_the_views():
    """Rows of a group are alike in part of what they measure, and all have one label."""
    rng = np.random.default_rng(2)
    rows, groups = alike(rng, np.full(40, 12), 0.5, 4)
    n, m = effective_rows(pairs(rows, rng.standard_normal((40, 1))[groups], groups))
    assert 40 < m < 0.8 * n


def test_no_regime_is_stated_of_few_rows_that_were_measured_often():
    """Thirty rows with two times six columns, each of them twelve times: as few as thirty."""
    rng = np.random.default_rng(3)
    s = rng.standard_normal((30, 2))
    x, y = (np.c_[s + 0.5 * rng.standard_normal((30, 2)), rng.standard_normal((30, 4))] for _ in range(2))
    rows = np.repeat(np.arange(30), 12)
    x, y = (view[rows] + 1e-2 * rng.standard_normal((360, 6)) for view in (x, y))
    found = label_content(x, y, s[rows], np.arange(360), groups=rows, ks=[2])
    assert found.regime(2) is None
    assert re.fullmatch(r"360 rows, worth \d\d independent ones, are fewer than 3 for each of the 12 columns of both "
                        r"views\.", found.reason(2))
    assert 25 <= found.worth <= 33
    assert label_content(x, y, s[rows], np.arange(360), ks=[2]).worth is None
