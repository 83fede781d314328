"""Heads without known nuisance: whose slopes are removed, what is left, and what trained heads do with new rows."""

import numpy as np
import pandas as pd
import pytest

from phasejax.deep import load_heads, train_heads
from phasejax.deep._heads_confounders import without_confounders
from phasejax.deep._heads_rows import head_rows
from tests.deep.heads_rows import KIND, SHARED, SMALL, SPLIT, N, X, Y

pytestmark = [pytest.mark.filterwarnings("ignore::phasejax.io.InputNote")]
RNG = np.random.default_rng(5)
BATCH, DEPTH = np.array(["u", "v", "w"])[RNG.integers(0, 3, N)], RNG.normal(1e4, 50, N)
EFFECT = (BATCH[:, None] == np.array(["u", "v", "w"])) @ RNG.normal(0, 20, (3, 6)) + (DEPTH[:, None] - 1e4) / 10
CONFOUNDERS = {"batch": BATCH, "depth": DEPTH}
WITH = X + EFFECT
CP = {**SMALL, "objectives": ("CP x->y",), "split": SPLIT}


def rows_of(x=WITH, y=Y, labels=None, confounders=None, **options):
    given = {"nuisance": {"depth": DEPTH}, "groups": None, "split": SPLIT, "label_kind": "auto", "by_position": False,
             "missing": "error", "seed": 0}
    return head_rows(x, y, {"kind": KIND, "age": DEPTH / 50 + SHARED[:, 1]} if labels is None else labels,
                     **given | options, confounders=CONFOUNDERS if confounders is None else confounders)


def test_slopes_are_those_of_the_training_rows():
    """Against least squares on a design without the redundant indicator, by NumPy."""
    rows = rows_of()
    found, _, about, warnings = without_confounders(rows, None)
    train = SPLIT == "train"
    design = np.column_stack([np.ones(N), BATCH == "v", BATCH == "w", (DEPTH - 1e4) / 50])
    for view, own in ((WITH, found.x), (Y, found.y)):
        np.testing.assert_allclose(own, view - design @ np.linalg.lstsq(design[train], view[train], rcond=None)[0],
                                   atol=1e-9)
    age = DEPTH / 50 + SHARED[:, 1]
    kind, of_age, depth = found.targets
    np.testing.assert_allclose(of_age.values, age - design @ np.linalg.lstsq(design[train], age[train], rcond=None)[0],
                               atol=1e-8)
    np.testing.assert_array_equal(kind.values, KIND)
    np.testing.assert_array_equal(depth.values, DEPTH)
    assert about["levels"] == [3, 0]
    assert about["x_share"] > 0.9
    assert abs(about["y_share"]) < 0.1
    assert warnings == ()
    spoilt, _, _, _ = without_confounders(rows_of(x=np.where(train[:, None], WITH, 1e3 * WITH)), None)
    np.testing.assert_array_equal(spoilt.x[train], found.x[train])


def test_a_level_without_training_rows_counts_as_the_average_of_the_others():
    plate = np.where(SPLIT == "test", "late", np.where(np.arange(N) % 2, "a", "b"))
    found, _, _, warnings = without_confounders(rows_of(confounders={"plate": plate}), None)
    assert warnings == ("confounders: plate has no row to train on with late, whose effect stays in their rows",)
    means = [WITH[(plate == level) & (SPLIT == "train")].mean(0) for level in "ab"]
    np.testing.assert_allclose(found.x[plate == "late"], WITH[plate == "late"] - np.mean(means, 0), atol=1e-9)


@pytest.fixture(scope="module")
def found():
    return train_heads(WITH, Y, KIND, nuisance={"batch": BATCH}, confounders=CONFOUNDERS, **CP)


def test_known_leakage_is_gone_and_both_scores_are_told(found):
    raw = train_heads(WITH, Y, KIND, nuisance={"batch": BATCH}, **CP)
    assert found.before == raw.scores
    assert not raw.before
    assert raw.confounders is None
    for name in ("x", "CP x->y"):  # chance is 1 in 3, with a standard error of .07 over 40 rows
        assert raw.score(name, "batch").value > 0.8
        assert found.score(name, "batch").value < 0.55
    table = found.to_frame()
    own = table[(table.objective == "x") & (table.target == "batch") & table.main].iloc[0]
    assert own.before == raw.score("x", "batch").value
    assert own.before_low == raw.score("x", "batch").low
    assert "with confounders" in found.summary()
    assert "removed batch (3 levels), depth (real): explained 9" in found.summary()
    assert found.to_dict()["confounders"]["names"] == ["batch", "depth"]
    assert found.data.x is not None
    np.testing.assert_array_equal(found.data.x, WITH)


def test_saved_heads_remove_what_they_were_trained_without(found, tmp_path):
    found.heads.save(tmp_path / "heads.npz")
    heads = load_heads(tmp_path / "heads.npz")
    expected = found.heads.embed("CP x->y", WITH, confounders=CONFOUNDERS)
    np.testing.assert_array_equal(heads.embed("CP x->y", WITH, confounders=pd.DataFrame(CONFOUNDERS)), expected)
    shifted = WITH + 20 * (BATCH == "v")[:, None]
    assert not np.allclose(heads.embed("CP x->y", shifted, confounders=CONFOUNDERS), expected, atol=1e-3)
    again = train_heads(WITH, Y, KIND, split=SPLIT, nuisance={"batch": BATCH}, confounders=CONFOUNDERS, heads=heads)
    assert again.score("CP x->y").by_seed == found.score("CP x->y").by_seed
    assert again.before == ()
    new = {**CONFOUNDERS, "batch": np.where(np.arange(N) < 9, "z", BATCH)}
    told = train_heads(WITH, Y, KIND, split=SPLIT, confounders=new, heads=heads).warnings
    assert ("confounders: batch has none of the rows that these heads were trained on with z, whose effect stays in "
            "their rows") in told
    for given, message in ((None, r"confounders: expected batch \(3 levels\), depth \(real\), as these heads were "
                                  "trained with, got none"),
                           ({"site": BATCH}, "confounders: expected batch, depth, got site"),
                           ({"batch": BATCH[1:], "depth": DEPTH[1:]}, "confounders: expected 240 rows")):
        with pytest.raises(ValueError, match=message):
            heads.embed("CP x->y", WITH, confounders=given)
    with pytest.raises(ValueError, match="confounders: expected batch"):
        train_heads(WITH, Y, KIND, split=SPLIT, heads=heads)


@pytest.mark.parametrize(("change", "message"), [
    ({"confounders": {"site": np.where(SPLIT == "train", "a", "b")}},
     r"confounders: expected at least 2 levels, got only a in site \(rows to train on\)"),
    ({"confounders": {"c": KIND * 2.5, **{f"c{i}": X[:, i] for i in range(6)}}, "x": X},
     "x: expected columns that confounders do not determine, got none"),
    ({"labels": {"age": 3 * DEPTH}, "nuisance": None},
     "labels age: expected values that confounders do not determine, got none"),
    ({"confounders": {"batch": np.where(np.arange(N) == 7, "", BATCH)}},
     "confounders: expected a value in every row, got 1 of 240 without, the first in row 7")])
def test_confounders_that_leave_nothing_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        without_confounders(rows_of(**change), None)


def test_rows_without_a_confounder_and_text_columns_of_a_view_are_left_out():
    ids = pd.Index([f"s{i}" for i in range(N)])
    batch = pd.Series(np.where(np.arange(N) % 100 == 7, "", BATCH), ids, name="batch")
    x = pd.DataFrame(WITH, ids, list("abcdef")).assign(batch=batch, site=np.where(KIND, "n", "s"))
    rows = rows_of(x=x, y=pd.DataFrame(Y, ids), labels={"site": x.site}, confounders=batch, missing="drop",
                   split=pd.Series(SPLIT, ids), nuisance=None)
    kept = np.arange(N) % 100 != 7
    np.testing.assert_array_equal(rows.x, WITH[kept])
    np.testing.assert_array_equal(rows.confounders["batch"], BATCH[kept])
    np.testing.assert_array_equal(rows.targets[0].values, KIND[kept] == 0)
    np.testing.assert_array_equal(rows.part == 0, (SPLIT == "train")[kept])
