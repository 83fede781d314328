"""What `inspect_pair` says of inputs as people bring them, and in which order."""

import json

import numpy as np
import pandas as pd
import pytest

import phasejax
from phasejax.io import Inspection, inspect_pair, open_table

RNG = np.random.default_rng(0)
N = 200
S = RNG.standard_normal((N, 2))
X, Y = (S @ RNG.standard_normal((2, d)) + 0.5 * RNG.standard_normal((N, d)) for d in (6, 4))
CLASSES = np.where(S[:, 0] > 0, "B", "T")
IDS = pd.Index([f"K{place:04d}" for place in RNG.permutation(N)], name="object_id")
FRAMES = pd.DataFrame(X, index=IDS).add_prefix("f"), pd.DataFrame(Y, index=IDS).add_prefix("g")


def repeated():
    star = np.repeat(np.arange(25), 8)
    return [RNG.standard_normal((25, d))[star] + 0.1 * RNG.standard_normal((N, d)) for d in (6, 4)], star


def test_plain_arrays():
    found = inspect_pair(X, Y, CLASSES)
    assert isinstance(found, Inspection)
    assert (found.n, found.x.rank, found.y.rank, found.refusal, found.groups) == (N, 6, 4, None, None)
    assert found.labels.counts == pd.Series(CLASSES).value_counts().to_dict()
    assert found.x.largest == pytest.approx(X.std(0, ddof=1).max())
    assert found.x.largest_column == str(X.std(0).argmax())
    assert found.headlines() == (
        "200 rows paired by position, of 200 in x and 200 in y",
        f"labels: {found.labels.words(N)}", "x: 6 columns, rank 6; y: 4 columns, rank 4")
    assert not found.notes
    assert len(found.summary().splitlines()) < 25


def test_what_makes_an_answer_wrong_comes_first():
    """Repeated rows, then identifiers that are not used, missing values, rank, and scales."""
    (x, y), star = repeated()
    x[3, 1] = np.nan
    x = np.c_[x, x[:, 0], 1e6 * x[:, 2]]
    found = inspect_pair(pd.DataFrame(x, index=IDS), y, CLASSES, missing="drop")
    lines = [text for _, text in sorted(found._ranked(), key=lambda line: line[0])]
    starts = ["x, y: ", "y: no identifiers, so its rows are paired with",
              "rows with missing values left out: 199 of 200", "x: rank 6 of 8 columns", "x: standard deviations of"]
    places = [next(place for place, line in enumerate(lines) if line.startswith(start)) for start in starts]
    assert places == sorted(places)
    assert found.headlines() == tuple(lines[:3])
    grouped = inspect_pair(x, y, CLASSES, missing="drop", groups=star)
    assert grouped.headlines()[0].startswith("rows with missing values")


def test_groups_that_are_given_are_counted_and_not_suspected():
    (x, y), star = repeated()
    found = inspect_pair(x, y, CLASSES, groups=star)
    assert found.groups == 25
    assert "in 25 groups" in found.headlines()[0]
    assert not any("say which rows belong together" in line for line in found.headlines())


@pytest.mark.parametrize(("ids", "beginnings"), [
    ([f"star{place // 5}_epoch{place % 5}" for place in range(N)], 40),
    ([f"TCGA-{place // 2}-0{place % 2}A" for place in range(N)], 100),
    ([f"CELL{place:05d}-1" for place in range(N)], None),
    ([f"img_{place}" for place in range(N)], None),
    ([f"J{place:03d}+{place:03d}" for place in range(N)], None),
    (list(range(10, N + 10)), None),
])
def test_identifiers_with_repeated_beginnings_are_suspected(ids, beginnings):
    frames = [frame.set_axis(ids, axis=0) for frame in FRAMES]
    found = inspect_pair(*frames, CLASSES).suspected_groups
    assert (f"{beginnings} beginnings that repeat" in found[0]) if beginnings else not found


def test_columns_named_like_identifiers_whose_values_repeat_are_suspected():
    patients = np.arange(N) // 4
    found = inspect_pair(FRAMES[0].assign(patient=patients), FRAMES[1])
    assert found.suspected_groups == (
        "x: column patient has the name of an identifier and 50 values that repeat; if it says which rows belong "
        "together, give it as groups",)
    assert found.headlines()[0] == found.suspected_groups[0]
    x = FRAMES[0].assign(patient_id=patients)
    with pytest.raises(ValueError, match="each row in column patient_id, got 0 again; leave the column out"):
        inspect_pair(x, FRAMES[1])
    assert inspect_pair(x, FRAMES[1], groups=x["patient_id"]).x.columns == FRAMES[0].shape[1]


@pytest.mark.parametrize(("x", "y", "labels", "refusal"), [
    (np.where(X > 2, np.nan, X), Y, CLASSES, "x: expected finite values, got "),
    (np.where(np.max(X) > X, X, np.inf), Y, CLASSES, "x: expected finite values, got 1 that are infinite"),
    (X, Y[:-1], CLASSES, "y: expected 200 rows as in x, got 199"),
    (X, X, CLASSES, "y: expected another view of the same things, got x itself"),
    (X, Y, np.arange(N), "labels: expected classes with several members, got 200 classes"),
    (X, Y, ["one"] * N, "labels: expected at least 2 classes"),
    (X, Y, CLASSES[:-1], "labels: expected 200 rows"),
    (FRAMES[0], FRAMES[1].set_axis(IDS + "b", axis=0), CLASSES, "y: expected identifiers that x has too, got none in"),
    (FRAMES[0].set_axis(["a"] * N, axis=0), FRAMES[1], CLASSES, "x: expected identifiers that all differ, got a in"),
])
def test_what_a_diagnosis_refuses_is_said_first_and_the_rest_all_the_same(x, y, labels, refusal):
    found = inspect_pair(x, y, labels)
    assert found.refusal.startswith(refusal)
    assert found.headlines()[0].startswith(f"diagnose refuses this: {refusal}")
    assert found.plan[0].startswith("refuses these data as they are")
    assert found.x.rows == N
    with pytest.raises(ValueError, match=r"\w: expected") as raised:
        phasejax.diagnose(x, y, labels)
    assert "\n" not in str(raised.value)
    json.loads(found.to_json())


@pytest.mark.parametrize(("x", "message"), [
    (np.ones((4, 3), complex), "x: expected numbers, got dtype complex128"),
    (np.array(["a", "b"]), "x: expected a table of numbers"),
    (np.ones((5, 8, 8, 3)), r"x: expected two dimensions .* got shape \(5, 8, 8, 3\) \(images\? --flatten"),
    ("missing.npy", "missing.npy: expected a readable file"),
])
def test_what_is_no_table_of_numbers_is_an_error(x, message):
    with pytest.raises(ValueError, match=message):
        inspect_pair(x, Y)


def test_labels_of_several_kinds():
    real = inspect_pair(X, Y, np.c_[5800 + 400 * S[:, 0], S[:, 1]]).labels
    assert (real.kind, real.columns, real.low[0]) == ("real", 2, pytest.approx(5800 + 400 * S[:, 0].min()))
    some = np.where(np.arange(N) < 50, "", CLASSES)
    found = inspect_pair(X, Y, some)
    assert found.labels.rows == 150
    assert "50 rows without a label count for the covariances only" in found.plan
    rare = CLASSES.copy().astype("U8")
    rare[7] = "platelet"
    assert any("platelet: 1 row" in line for line in inspect_pair(X, Y, rare).headlines())
    many = inspect_pair(X, Y, np.arange(N) // 5)
    assert any("40 different integers, read as classes" in line for line in many.headlines())
    assert inspect_pair(X, Y, np.arange(N) // 5, label_kind="real").labels.kind == "real"


def test_rank_and_scales_in_any_unit():
    wide = RNG.standard_normal((30, 50))
    found = inspect_pair(wide, 1e-200 * np.c_[Y[:30], Y[:30, 0] + Y[:30, 1], np.ones(30)])
    assert (found.x.rank, found.y.rank, found.y.constant) == (29, 4, 1)
    assert found.y.largest == pytest.approx(1e-200 * np.c_[Y, Y[:, 0] + Y[:, 1]][:30].std(0, ddof=1).max())
    assert any(line.startswith("x: 50 columns are reduced to 5 principal") for line in found.plan)


def test_a_long_table_is_looked_at_in_parts():
    rows = np.float32(RNG.standard_normal((60_000, 12)))
    found = inspect_pair(open_table(rows), open_table(rows[:, :5] + 1))
    assert found.x.rows_looked_at == 20_000
    assert "scales, rank and repeated rows are those of 20000 of 60000 rows" in found.summary()
    assert inspect_pair(open_table(rows), open_table(rows)).refusal.endswith("got x itself")
