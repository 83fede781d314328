"""What paired rows are reduced to."""

import numpy as np
import pytest

from phasejax.diagnosis._paired_data import GROUPS, paired_rows


@pytest.mark.parametrize("m", [200, 57, 7])
def test_leaving_groups_out_is_leaving_their_rows_out(m):
    """Every labelled row is in one group: means of the label's own part over groups give back the whole."""
    rng = np.random.default_rng(0)
    x, y, t = rng.standard_normal((200, 4)), rng.standard_normal((200, 3)), rng.standard_normal((200, 1))
    x[:, 0] += t[:, 0]
    which = rng.permutation(200)[:m]
    found = paired_rows(x, y, t[which], None if m == 200 else which)
    groups = min(GROUPS, m)
    assert found.without.shape == (groups, 8, 8)
    # Each row is missing once, so the mean over groups is near the whole, and no group is the whole.
    np.testing.assert_allclose(found.without.mean(0)[:7, :7], found.joint[:7, :7], atol=0.02)
    assert np.abs(found.without - found.joint).max(axis=(1, 2)).min() > 1e-3


def test_a_group_left_out_has_the_covariance_of_the_others():
    """40 rows in 20 groups of two: each covariance without a group is that of some 38 rows, and all differ."""
    rng = np.random.default_rng(1)
    x, y, t = rng.standard_normal((40, 2)), rng.standard_normal((40, 2)), rng.standard_normal((40, 1))
    found = paired_rows(x, y, t)
    unit = (t - t.mean()) / t.std(ddof=1)
    stacked = np.hstack([x, y, unit])
    candidates = np.array([np.cov(np.delete(stacked, (i, j), 0).T) for i in range(40) for j in range(i)])
    sign = np.sign(np.sum(found.joint[:4, 4] * np.cov(stacked.T)[:4, 4]))
    candidates[:, :4, 4] *= sign
    candidates[:, 4, :4] *= sign
    used = [np.abs(candidates - without).max(axis=(1, 2)).argmin() for without in found.without]
    errors = [np.abs(candidates - without).max(axis=(1, 2)).min() for without in found.without]
    assert max(errors) < 1e-12
    pairs = [(i, j) for i in range(40) for j in range(i)]
    assert sorted(row for place in used for row in pairs[place]) == list(range(40))
