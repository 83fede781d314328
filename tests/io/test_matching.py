"""Rows matched by identifiers, labels joined to them, and what is missing.

Situations, with public reports of the same kind:
- the same things in another order, or only some of them (seurat #1050, MOFA2 #88, mudata #109, cca_zoo #124);
- a shuffled DataFrame beside a NumPy array; identifiers that are numbers in one file and text in the other;
- labels of some rows only, found by identifier (mudata #109), or with missing entries (scikit-learn #13157);
- masked values with -9999 beneath (astropy #8816, sherpa #346);
- a column of identifiers among the features (MOFA2 #88) or beside the class (MLBox #94);
- several rows of one patient, star or image (scikit-learn #13621, cca_zoo #124).
"""

import numpy as np
import pandas as pd
import pytest

import phasejax
from phasejax.io import InputNote, MatchedRows, NamedRows, Table, match_rows
from phasejax.io import _matching as matching
from phasejax.io._matching import InputWarning, match_labelled
from phasejax.similarity import cka, compare_representations
from phasejax.similarity._inputs import paired


def linear_views(seed, n, k, d_x, d_y, noise):
    rng = np.random.default_rng(seed)
    s = rng.standard_normal((n, k))
    return rng, s, *(s @ rng.standard_normal((k, d)) + noise * rng.standard_normal((n, d)) for d in (d_x, d_y))


def linear_cka(x, y):
    """Linear CKA, from its definition."""
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


N = 300
RNG, S, X_VALUES, Y_VALUES = linear_views(1, N, 3, 12, 8, 0.3)
IDS = 2_000_000 + RNG.permutation(5 * N)[:N]
ORDER = RNG.permutation(N)
X = pd.DataFrame(X_VALUES, columns=[f"f{i}" for i in range(12)], index=pd.Index(IDS, name="object_id"))
Y = pd.DataFrame(Y_VALUES, columns=[f"g{i}" for i in range(8)], index=X.index)
SHUFFLED, SOME = Y.iloc[ORDER], Y.iloc[ORDER[:250]]
KIND = pd.Series(np.where(S[:, 0] > 0, "B", "T"), index=X.index, name="class")
LABELLED = np.random.default_rng(5).permutation(N)[:120]


@pytest.mark.parametrize(("y", "value", "notes"), [
    (Y, 0.6131, ()),
    (SHUFFLED, 0.6131, ("rows matched by identifier: all 300, in another order",)),
    (SOME, 0.6126, ("rows matched by identifier: 250 of 300 in x and 250 in y",)),
    (SHUFFLED.set_axis(SHUFFLED.index.astype(str)), 0.6131, ("rows matched by identifier: all 300, in another order",)),
])
def test_rows_are_joined_by_identifier(y, value, notes):
    found = match_rows(X, y)
    assert isinstance(found, MatchedRows)
    assert linear_cka(found.x, found.y) == pytest.approx(value, abs=5e-5)
    np.testing.assert_array_equal(found.y, Y.loc[found.ids])
    assert found.notes == notes


@pytest.mark.filterwarnings("ignore::phasejax.io.InputNote")
def test_the_metrics_join_too():
    assert float(cka(*paired(X, SHUFFLED))) == pytest.approx(0.6131, abs=5e-5)
    found = compare_representations(X, SOME, metrics=["cka"], permutations=9, resamples=9)
    assert found.metrics["cka"].value == pytest.approx(0.6126, abs=5e-5)
    assert found.n == 250
    by_position = compare_representations(X, SHUFFLED, metrics=["cka"], permutations=9, resamples=9, by_position=True)
    assert by_position.metrics["cka"].value < 0.05


def test_labels_are_joined_by_identifier():
    for labels in (KIND.iloc[LABELLED], KIND.iloc[LABELLED].reset_index(), KIND.iloc[LABELLED].to_frame()):
        found = match_rows(X, SHUFFLED, labels)
        assert len(found.labelled) == 120
        np.testing.assert_array_equal(np.ravel(found.labels), KIND.to_numpy()[found.labelled])
    some = match_rows(X, SOME, KIND.iloc[LABELLED])
    np.testing.assert_array_equal(some.labels, KIND.loc[some.ids].to_numpy()[some.labelled])
    assert some.notes[-1] == f"labels: matched by identifier, {len(some.labelled)} of 250 rows have a label"
    assert match_rows(X, SHUFFLED, KIND).labelled is None


def test_labels_without_identifiers_go_with_the_rows_of_x():
    found = match_rows(X, SOME, KIND.to_numpy())
    assert found.labelled is None
    np.testing.assert_array_equal(found.labels, KIND.loc[found.ids])
    assert found.notes[-1] == "labels: no identifiers, so they are paired with the rows of x by position"
    which = np.array([7, 3, 200])
    found = match_rows(X, SOME, KIND.to_numpy()[which], labelled=which)
    np.testing.assert_array_equal(found.labels, KIND.loc[found.ids].to_numpy()[found.labelled])
    found = match_rows(X_VALUES, Y_VALUES, KIND)
    assert found.notes == ("x, y: no identifiers, so labels are paired with rows by position",)
    assert found.labelled is None


def test_identifiers_on_one_side_mean_position_and_that_is_said():
    found = match_rows(X, Y_VALUES)
    assert found.notes == ("y: no identifiers, so its rows are paired with those of x by position",)
    np.testing.assert_array_equal(found.y, Y_VALUES)
    assert match_rows(X_VALUES, Y_VALUES).notes == ()
    found = match_rows(X, SHUFFLED, by_position=True)
    np.testing.assert_array_equal(found.y, SHUFFLED)
    assert found.notes == ("rows paired by position, as asked for; identifiers are not used",)


PLAIN = pd.DataFrame(Y_VALUES)


@pytest.mark.parametrize(("x", "y", "labels", "message"), [
    (X, Y.set_axis(Y.index + 10_000), None, "y: expected identifiers that x has too, got none in common"),
    (X, pd.concat([Y, Y[:1]]), None, f"y: expected identifiers that all differ, got {IDS[0]} in 2 rows"),
    (pd.concat([X, X[:2]]), Y, None, "x: expected identifiers that all differ"),
    (X, SOME.to_numpy(), None, "y: expected identifiers as those of x, or as many rows .300., got 250 rows without"),
    (X_VALUES, PLAIN.iloc[ORDER], None, "x: expected identifiers, since those of y count its rows in another order"),
    (X, Y, KIND.set_axis(KIND.index + 10_000), "labels: expected identifiers that the rows have too, got none"),
    (X, Y, pd.concat([KIND, KIND[:1]]), "labels: expected identifiers that all differ"),
    (X_VALUES, Y_VALUES, KIND[:200], "x: expected identifiers as those of labels, or as many rows .200., got 300"),
    (X, Y, [None] * N, "labels: expected some that are not missing, got none"),
])
def test_what_cannot_be_matched_is_refused_in_one_line(x, y, labels, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        match_rows(x, y, labels)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_too_large_must_be_in_order(monkeypatch):
    x = NamedRows(Table("x.npy", X_VALUES.shape, X_VALUES.dtype, lambda a, b: X_VALUES[a:b]), IDS)
    np.testing.assert_array_equal(match_rows(x, SOME).x, X.loc[match_rows(x, SOME).ids])
    monkeypatch.setattr(matching, "DENSE_NUMBERS", 100)
    assert isinstance(match_rows(x, Y).x, Table)
    with pytest.raises(ValueError, match=r"^x: expected the same identifiers in the same order .* sort the files$"):
        match_rows(x, SHUFFLED)


def test_missing_values():
    rng, s, x, y = linear_views(2, 400, 2, 6, 5, 0.5)
    mask = rng.random(x.shape) < 0.02
    x = np.ma.masked_array(np.where(mask, -9999.0, x), mask)
    with pytest.raises(ValueError, match=r"^x: expected finite values, got 47 that are NaN or masked, in 44 of 400 "
                                         r"rows and 6 of 6 columns, the first in row 6 \(missing 'drop'"):
        match_rows(x, y)
    found = match_rows(x, y, missing="drop")
    assert len(found.x) == 356
    assert linear_cka(found.x, found.y) == pytest.approx(0.8666, abs=5e-5)
    assert found.notes == ("rows with missing values left out: 356 of 400 rows are complete",)
    labels = (s[:, 0] > 0).astype(int)
    whole = match_rows(x, y, labels, missing="drop")
    np.testing.assert_array_equal(whole.labels, labels[~mask.any(1)])
    few = match_rows(x, y, labels[::2], labelled=np.arange(0, 400, 2), missing="drop")
    np.testing.assert_array_equal(few.labels, labels[~mask.any(1)][few.labelled])
    mean = match_rows(x, y, missing="mean")
    np.testing.assert_allclose(mean.x[mask], np.broadcast_to(x.mean(0).data, x.shape)[mask])
    np.testing.assert_array_equal(mean.x[~mask], x.data[~mask])
    assert mean.notes == (
        "x: 47 missing values in 44 of 400 rows replaced by the means of their columns over all rows",)
    with pytest.warns(InputNote, match="356 of 400 rows are complete"):
        found = compare_representations(x, y, metrics=["cka"], permutations=9, resamples=9, missing="drop")
    assert found.metrics["cka"].value == pytest.approx(0.8666, abs=5e-5)
    with pytest.raises(ValueError, match="masked"):
        cka(x, y)
    with pytest.raises(ValueError, match="missing: expected one of error, drop, mean, got 'zero'"):
        match_rows(x, y, missing="zero")


@pytest.mark.parametrize(("labels", "which"), [
    (np.ma.masked_array([0, 1, 99, 1, 0], [0, 0, 1, 0, 0]), [0, 1, 3, 4]),
    (np.array([0.5, np.nan, 1.5, 2.5, 3.0]), [0, 2, 3, 4]),
    (["a", "", "NA", "b", None], [0, 3]),
    (pd.Series(pd.Categorical(["a", None, "b", "NA", "a"])), [0, 2, 3, 4]),  # "NA" is a declared class
])
def test_rows_with_missing_labels_are_unlabelled(labels, which):
    found = match_rows(X_VALUES[:5], Y_VALUES[:5], labels)
    assert found.labelled.tolist() == which
    assert found.notes == (f"labels: missing in {5 - len(which)} of 5 rows, which count as unlabelled",)


def test_an_identifier_is_no_feature_and_no_label():
    with_ids = np.c_[IDS, X_VALUES]
    assert match_rows(with_ids, Y_VALUES).notes == (
        "x: column 0 counts as a feature, but its whole numbers all differ, as those of an identifier do",)
    assert match_rows(X.assign(code=IDS), Y).readings[0].startswith("x: column code identifies the rows")
    assert match_rows(X.assign(code=7 * IDS), Y).notes[0].startswith("x: column code counts as a feature")
    counts = np.random.default_rng(0).permutation(3000).reshape(300, 10)
    assert match_rows(counts, Y_VALUES).notes == ()
    table = pd.DataFrame({"star": 1000 + np.arange(N), "class": (S[:, 0] > 0).astype(int)})
    for names in (["star", "class"], ["number", "class"]):
        found = match_rows(X_VALUES, Y_VALUES, table.set_axis(names, axis=1))
        np.testing.assert_array_equal(np.ravel(found.labels), table["class"])
    found = match_rows(X, Y, KIND.to_frame().assign(number=IDS).iloc[ORDER].reset_index(drop=True))
    np.testing.assert_array_equal(np.ravel(found.labels), KIND)


def test_small_classes_are_left_out_by_name():
    labels = np.where(S[:, 0] > 0, "T cell", "B cell").astype("U20")
    labels[17] = "platelet"
    found, kind = match_labelled(X_VALUES, Y_VALUES, labels, least_members=5)
    assert (kind, len(found.labels), 17 in found.labelled) == ("class", N - 1, False)
    assert found.notes == (
        "labels: left out classes with fewer than 5 rows, too few to cross-validate: platelet: 1 row",)


def test_small_classes_are_named_before_anything_is_computed(monkeypatch):
    class ComputingError(Exception):
        pass

    def compute(*arguments, **options):
        raise ComputingError

    monkeypatch.setattr("phasejax.diagnosis._diagnose.reduced_views", compute)
    labels = ["platelet", *np.where(S[1:, 0] > 0, "T cell", "B cell")]
    with pytest.warns(InputWarning, match="too few to cross-validate: platelet: 1 row$"), pytest.raises(ComputingError):
        phasejax.diagnose(X_VALUES, Y_VALUES, labels)


@pytest.mark.parametrize("method", ["moments", "spectral"])
def test_the_diagnosis_goes_through_the_same_door(method):
    labels = KIND.astype(object).copy()
    labels.iloc[17] = None
    labels.iloc[[18, 19]] = "platelet"
    with pytest.warns(InputNote) as issued:
        found = phasejax.diagnose(X, SHUFFLED, labels.iloc[ORDER], method=method,
                                  **({"predicted_scores": False} if method == "moments" else {}))
    rows = np.delete(np.arange(N), [17, 18, 19])
    notes = [str(warning.message) for warning in issued]
    assert notes[1:] == ["rows matched by identifier: all 300, in another order",
                         "labels: missing in 1 of 300 rows, which count as unlabelled"]
    assert notes[0].endswith("too few to cross-validate: platelet: 2 rows")
    assert [issubclass(warning.category, InputWarning) for warning in issued] == [True, False, False]
    assert (found.warnings[0], set(notes[1:]) & set(found.warnings)) == (notes[0], set())
    if method == "moments":
        plain = phasejax.diagnose(X_VALUES, Y_VALUES, KIND.to_numpy()[rows].astype(str), labelled=rows,
                                  method="moments", predicted_scores=False)
        assert found.delta_ca == plain.delta_ca
        assert found.labelled == N - 3


@pytest.mark.parametrize("method", ["moments", "spectral"])
def test_the_unit_of_one_label_column_changes_nothing(method):
    """Two real labels, one in kelvin and one in dex."""
    labels = S[:, :2] + 0.3 * np.random.default_rng(3).standard_normal((N, 2))
    one, other = (phasejax.diagnose(X_VALUES, Y_VALUES, labels * unit, method=method) for unit in ([1, 1], [1e3, 1]))
    assert (one.regime, one.k if method == "moments" else 0) == (other.regime, other.k if method == "moments" else 0)
    np.testing.assert_allclose(other.ca.r2, one.ca.r2, rtol=1e-9, atol=1e-12)
    if method == "moments":
        for score, same in zip(one.predicted_scores.scores, other.predicted_scores.scores, strict=True):
            assert same.value == pytest.approx(score.value, rel=1e-9)
        assert other.delta_ca == pytest.approx(one.delta_ca, rel=1e-6)


# Groups: repeated measurements of the same thing (scikit-learn #13621, cca_zoo #124)

PATIENT = pd.Series([f"P{i % 25:02d}" for i in range(N)], index=X.index, name="patient")


@pytest.mark.parametrize("groups", [
    PATIENT, PATIENT.iloc[ORDER], PATIENT.to_frame(), PATIENT.reset_index(), PATIENT.iloc[ORDER].reset_index(),
    PATIENT.str[1:].astype(int), PATIENT.str[1:].astype(float).iloc[ORDER], PATIENT.astype("category"),
])
def test_groups_are_joined_by_identifier(groups):
    for view in (X, SHUFFLED):
        found = match_rows(view, SOME, groups=groups)
        np.testing.assert_array_equal(found.groups, PATIENT.str[1:].astype(int).loc[found.ids])
        assert not any("group" in note for note in found.notes)


@pytest.mark.parametrize("groups", [
    PATIENT.to_numpy(), PATIENT.to_list(), PATIENT.str[1:].astype(float).to_numpy()[:, None],
    np.arange(N) % 25, PATIENT.to_numpy().astype("S"),
])
def test_groups_without_identifiers_go_with_the_rows_of_x(groups):
    found = match_rows(X, SOME, groups=groups)
    np.testing.assert_array_equal(found.groups, PATIENT.str[1:].astype(int).loc[found.ids])
    assert found.notes[-1] == "groups: no identifiers, so they are paired with the rows of x by position"
    assert match_rows(X_VALUES, Y_VALUES, groups=groups).notes == ()
    by_position = match_rows(X, SHUFFLED, groups=PATIENT.iloc[ORDER], by_position=True)
    np.testing.assert_array_equal(by_position.groups, PATIENT.iloc[ORDER].str[1:].astype(int))
    found = match_rows(X_VALUES, Y_VALUES, groups=PATIENT)
    assert found.notes == ("x, y: no identifiers, so groups are paired with rows by position",)


def test_groups_are_read_from_a_column_of_a_file(tmp_path):
    table = PATIENT.to_frame().assign(flux=np.round(S[:, 0], 3), visit=np.arange(N) // 25)
    table.iloc[ORDER].to_csv(tmp_path / "meta.csv")
    table.to_parquet(tmp_path / "meta.parquet")
    for name in ("meta.csv:patient", "meta.parquet:patient"):
        found = match_rows(X, SOME, groups=str(tmp_path / name))
        np.testing.assert_array_equal(found.groups, PATIENT.str[1:].astype(int).loc[found.ids])
    np.save(tmp_path / "groups.npy", (np.arange(N) % 25)[:, None])
    np.testing.assert_array_equal(match_rows(X, Y, groups=str(tmp_path / "groups.npy")).groups, np.arange(N) % 25)
    with pytest.raises(ValueError, match=r"^groups: expected one column, got 2 \(flux, visit; name one: FILE.csv:NAME"):
        match_rows(X, Y, groups=table[["flux", "visit"]])


def test_groups_follow_the_rows_that_are_kept():
    holed = X.copy()
    holed.iloc[[0, 7, 40], 2] = np.nan
    found = match_rows(holed, SHUFFLED, KIND.iloc[LABELLED], groups=PATIENT, missing="drop")
    np.testing.assert_array_equal(found.groups, np.delete(np.arange(N), [0, 7, 40]) % 25)
    assert len(found.groups) == len(found.x)
    unlabelled = match_rows(X.iloc[:50], Y, groups=PATIENT.iloc[:49].reindex(X.index[:50]).fillna("another"))
    assert unlabelled.groups.tolist() == [*np.arange(49) % 25, 25]


@pytest.mark.parametrize("groups", [
    PATIENT.where(~np.isin(np.arange(N), [0, 7, 40])), PATIENT.drop(PATIENT.index[[0, 7, 40]]),
    np.where(np.isin(np.arange(N), [0, 7, 40]), np.nan, np.arange(N) % 25)])
def test_rows_without_a_group_are_dropped_as_those_with_missing_values_are(groups):
    """By a missing value, by an identifier that groups do not have, or by NaN at a position; x has none in row 8."""
    holed = X.copy()
    holed.iloc[8, 2] = np.nan
    found = match_rows(holed, SHUFFLED, KIND.iloc[LABELLED], groups=groups, missing="drop")
    kept = np.delete(np.arange(N), [0, 7, 8, 40])
    assert found.x.tolist() == X.iloc[kept].to_numpy().tolist()
    assert found.ids.tolist() == np.array(IDS)[kept].tolist()
    expected = np.unique(kept % 25, return_inverse=True)[1]
    assert len(set(zip(found.groups, expected, strict=True))) == 25
    np.testing.assert_array_equal(kept[found.labelled], np.intersect1d(kept, LABELLED))
    assert "rows without a group left out: 297 of 300 rows have one" in found.notes
    with pytest.raises(ValueError, match=r"^groups: expected a group in every row, got 3 of 300 without"):
        match_rows(X, Y, groups=groups, missing="mean")
    with pytest.raises(ValueError, match=r"^groups: expected some rows with a group, got 300 without"):
        match_rows(X, Y, groups=np.full(N, np.nan), missing="drop")


@pytest.mark.parametrize(("groups", "message"), [
    (PATIENT.where(np.arange(N) != 5),
     r"expected a group in every row, got 1 of 300 without, the first in row 5 \(missing 'drop' leaves"),
    (np.where(np.arange(N) > 297, np.nan, np.arange(N) % 9), "expected a group in every row, got 2 of 300 without"),
    (PATIENT.iloc[:280], "expected a group in every row, got 20 of 300 without, the first in row 280 "),
    (PATIENT.set_axis(PATIENT.index + 10_000), "expected identifiers that the rows have too, got none in common"),
    (pd.concat([PATIENT, PATIENT[:2]]), "expected identifiers that all differ, got"),
    (np.arange(280) % 25, "expected 300 rows, one for each row of x, got 280"),
    (np.zeros(N, int), "expected at least 2 groups, got only 0"),
    (np.arange(N) / 2, "expected text or whole numbers, got 0.5"),
    (np.ones((N, 2)), "expected one column, got 2"),
    (np.float64(3), r"expected one value for each row, got shape \(\)"),
])
def test_groups_that_do_not_say_where_rows_belong_are_refused(groups, message):
    with pytest.raises(ValueError, match=f"^groups: {message}") as caught:
        match_rows(X, Y, groups=groups)
    assert "\n" not in str(caught.value)


def test_groups_of_one_row_are_none_and_few_groups_are_said():
    found = match_rows(X, Y, groups=pd.Series(IDS, X.index))
    assert (found.groups, found.notes) == (
        None, ("groups: every row is a group of its own, so rows count as independent",))
    found = match_rows(X, Y, groups=np.r_[np.zeros(100), np.ones(200)])
    assert found.notes[-1] == \
        "groups: 300 rows in only 2 groups of 100 to 200 rows; the number of groups is the sample size"


def test_the_column_of_groups_is_no_feature():
    number = PATIENT.str[1:].astype(float)
    found = match_rows(X.assign(patient=number), SHUFFLED, groups=PATIENT)
    np.testing.assert_array_equal(found.x, X)
    assert found.notes[-1] == "x: column patient says which group a row belongs to and is no feature"
    found = match_rows(X, Y.assign(patient=number + S[:, 0].round()), groups=PATIENT)
    assert found.y.shape[1] == 9
    assert found.notes[-1] == "y: column patient counts as a feature, but has the name of the groups"


def test_a_class_needs_members_in_several_groups():
    labels = np.where(np.arange(N) % 25 < 3, "rare", np.where(np.arange(N) % 2, "even", "odd"))
    found, _ = match_labelled(X_VALUES, Y_VALUES, labels, groups=PATIENT.to_numpy(), least_members=5)
    assert len(found.labelled) == 300 - 36
    assert found.notes[-1].endswith("fewer than 5 groups, too few to cross-validate: rare: 3 groups")
    with pytest.raises(ValueError, match="expected at least 2 classes of 5 groups or more, to cross-validate, got "):
        match_labelled(X_VALUES, Y_VALUES, labels == "rare", groups=PATIENT.to_numpy(), least_members=5)


def test_a_column_that_both_views_have_identifies_their_rows_whatever_its_name():
    shuffled = Y_VALUES[ORDER]
    for x, y in ((X.assign(code=IDS), Y.assign(code=IDS).iloc[ORDER]), (X.assign(code=1.0 * IDS), Y.iloc[ORDER])):
        for first in (x, x.reset_index(drop=True)):
            found = match_rows(first.reset_index(drop=True), y.reset_index(drop=True) if "code" in y else y)
            np.testing.assert_array_equal(np.c_[found.x, found.y], np.c_[X_VALUES, Y_VALUES])
    found = match_rows(np.c_[IDS, X_VALUES], np.c_[shuffled, IDS[ORDER]])
    np.testing.assert_array_equal(np.c_[found.x, found.y], np.c_[X_VALUES, Y_VALUES])
    assert found.readings[0].startswith("x: column 0 identifies the rows (whole numbers that all differ; both views")
    found = match_rows(np.c_[IDS, X_VALUES], np.c_[shuffled, IDS[ORDER]], by_position=True)
    np.testing.assert_array_equal(found.y, shuffled)


def test_numbers_that_may_be_ranks_are_not_taken_for_identifiers():
    ranks, others = (np.random.default_rng(seed).permutation(N) for seed in (1, 2))
    x, y = np.c_[ranks, X_VALUES], np.c_[others, Y_VALUES]
    assert match_rows(x, y).ids is None
    frames = [pd.DataFrame(view).rename(columns={0: "rank"}) for view in (x, y)]
    with pytest.raises(ValueError, match=r"x, y: expected no column rank whose whole numbers .* \(by_position\)$"):
        match_rows(*frames)
    assert match_rows(*frames, by_position=True).x.shape == x.shape
    assert match_rows(frames[0], pd.DataFrame(np.c_[ranks, Y_VALUES]).rename(columns={0: "rank"})).x.shape == (N, 12)
    assert match_rows(ranks[:, None], others[:, None]).x.shape == (N, 1)
