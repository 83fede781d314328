"""Heads as a pilot: what is trained without each fold, against a closed form, and that no held-out row is seen."""

import numpy as np
import pytest

from phasejax.deep import HeadsPilot
from phasejax.deep._heads_folds import _parts_of_folds

RNG = np.random.default_rng(0)
FOLD = np.where(np.arange(200) < 180, np.arange(200) % 3, -1)
X = RNG.standard_normal((200, 4)) * [2, 1, 1, 1]
Y = X @ RNG.standard_normal((4, 3)) + 0.5 * RNG.standard_normal((200, 3))
PILOT = HeadsPilot(objectives=("CP x->y", "CA VICReg"), widths=(), norm=None, dropout=0.0, learning_rate=0.05,
                   grid={"weight_decay": (0.0, 0.1)}, batch=94, epochs=150, seeds=2)


@pytest.fixture(scope="module")
def found():
    return PILOT.embeddings(X, Y, FOLD, 1)


def test_linear_heads_that_predict_find_the_direction_of_reduced_rank_regression(found):
    assert {name: len(candidates) for name, candidates in found.items()} == {"CA": 2, "CP x->y": 2}
    encoder = found["CP x->y"][0]
    assert encoder.y is None
    assert not encoder.diverged.any()
    parts = _parts_of_folds(FOLD, None, np.random.default_rng(0))
    for f, (used, held) in enumerate(parts):
        assert not (FOLD[np.r_[used, held]] == f).any()
        x, y = X - X[used].mean(0), Y - Y[used].mean(0)
        fitted = np.linalg.lstsq(x[used], y[used], rcond=None)[0]
        best = x @ fitted @ np.linalg.svd(x[used] @ fitted, full_matrices=False)[2][0]
        assert abs(np.corrcoef(best, encoder.x[0, f, :, 0])[0, 1]) > 0.995


def test_no_row_of_a_fold_changes_its_encoders(found):
    x, y = X.copy(), Y.copy()
    x[FOLD == 0], y[FOLD == 0] = 1e3, -1e3
    changed = PILOT.embeddings(x, y, FOLD, 1)
    for name, candidates in found.items():
        for one, other in zip(candidates, changed[name], strict=True):
            np.testing.assert_array_equal(one.x[:, 0][:, FOLD != 0], other.x[:, 0][:, FOLD != 0])
            assert np.abs(one.x[:, 1][:, FOLD == 2] - other.x[:, 1][:, FOLD == 2]).max() > 0


def test_groups_do_not_stop_their_own_training_and_like_folds_get_as_many_rows():
    groups = np.arange(200) // 5
    fold = groups % 4
    parts = _parts_of_folds(fold, groups, np.random.default_rng(0))
    for f, (used, held) in enumerate(parts):
        assert not np.intersect1d(groups[used], groups[held]).size
        assert not (fold[np.r_[used, held]] == f).any()
        assert len(used) > len(held) > 0
    uneven = np.repeat([0, 1, 2], [67, 67, 66])
    for place in (0, 1):
        assert len({len(part[place]) for part in _parts_of_folds(uneven, None, np.random.default_rng(0))}) == 1


@pytest.mark.parametrize(("options", "message"), [
    ({"objectives": ("CA",)}, "objectives: expected"), ({"objectives": ()}, "objectives: expected at least one"),
    ({"widths": (0,)}, "widths: expected"), ({"norm": "instance"}, "norm: expected"),
    ({"dropout": 1.0}, "dropout: expected"), ({"grid": {"decay": [1]}}, "grid: expected"),
    ({"batch": 1}, "batch: expected"), ({"seeds": 1}, "seeds: expected"),
])
def test_options_are_those_of_train_heads(options, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        HeadsPilot(**options)
    assert "\n" not in str(caught.value)


def test_bad_rows_are_refused_in_one_line():
    for arguments, message in [((X, Y[:50], FOLD, 1), "y: expected 200 rows"), ((X, Y, FOLD[:9], 1), "fold: expected"),
                               ((X.reshape(200, 2, 2, 1), Y, FOLD, 1), "x: expected features"),
                               ((X[:9], Y[:9], np.arange(9) % 2, 1), "fold: expected at least 8 rows")]:
        with pytest.raises(ValueError, match=f"^{message}"):
            PILOT.embeddings(*arguments)
