"""Other instances of the kinds of input: labels among features, masks, fills, errors of spreadsheets, odd names.

Each test makes a small file or object and compares what is read with the values it was made of.
"""

import decimal

import numpy as np
import pandas as pd
import pytest

from phasejax import diagnose
from phasejax.io import as_named, inspect_pair, match_rows
from phasejax.io._matching import match_labelled
from tests.io.small_files import values, write

RNG = np.random.default_rng(0)
N = 60
X, Y = RNG.standard_normal((N, 4)), RNG.standard_normal((N, 3))
ORDER = RNG.permutation(N)
CLASSES = np.int64(X[:, 0] > 0)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)



@pytest.mark.parametrize("ending", ["csv", "parquet", "frame"])
def test_the_column_that_labels_come_from_is_no_feature(ending):
    frame = pd.DataFrame(X).add_prefix("f").assign(type=np.arange(N) % 2, teff=X[:, 0] + X[:, 1])
    if ending != "frame":
        frame.to_csv("x.csv", index=False) if ending == "csv" else frame.to_parquet("x.parquet")
    for name in ("type", "teff"):
        x, labels = (frame, frame[name]) if ending == "frame" else (f"x.{ending}", f"x.{ending}:{name}")
        found, _ = match_labelled(x, Y, labels)
        np.testing.assert_allclose(found.x, frame.drop(columns=name))
        assert f"x: column {name} holds the labels and is no feature" in found.notes
    partly = frame.assign(teff=np.where(np.arange(N) < 9, np.nan, frame.teff))
    facts = inspect_pair(partly, Y, partly.teff)
    assert (facts.refusal, facts.x.columns, facts.x.missing) == (None, 5, (0, 0, 0))
    found, _ = match_labelled(frame, Y, pd.Series(X[:, 3], name="teff"))
    assert found.x.shape == (N, 6)
    assert "x: column teff counts as a feature, but has the name of the labels" in found.notes


@pytest.mark.parametrize("ending", ["csv", "tsv", "without names", "parquet", "frame"])
def test_a_column_of_text_that_labels_come_from_is_left_out_and_said(ending):
    """Classes in words, some of them missing, or numbers below the name of an identifier, beside the features."""
    frame = pd.DataFrame(X).add_prefix("f").assign(
        kind=np.where(np.arange(N) % 7 == 0, None, np.array(["B", "T"])[CLASSES]), cluster_id=CLASSES)
    for name, place in (("kind", 4), ("cluster_id", 4)):
        given = frame[[*frame.columns[:4], name]]
        if ending == "parquet":
            given.to_parquet("x.parquet")
        elif ending != "frame":
            named = ending != "without names"
            file = f"x.{ending if named else 'csv'}"
            given.to_csv(file, index=False, header=named, sep="\t" if ending == "tsv" else ",")
        x, labels = (given, given[name]) if ending == "frame" else (f"x.{ending}", f"x.{ending}:{name}") if \
            ending == "parquet" else (file, f"./{file}:{name if named else place}")
        found, kind = match_labelled(x, Y, labels)
        np.testing.assert_allclose(found.x, X)
        assert (kind, len(found.labels)) == ("class", N - 9 * (name == "kind"))
        called = {"frame": f"x: column {name} has the name of", "without names": "x.csv: column 4 holds"}.get(
            ending, f"x.{ending}: column {name} has the name of")
        assert f"{called} the labels and is no feature" in found.readings
        assert inspect_pair(x, Y, labels).x.columns == 4
    words = pd.DataFrame({"kind": [f"s{row}" for row in range(N)], "a": X[:, 0], "b": X[:, 1]})
    assert match_labelled(words, Y, pd.Series(CLASSES, name="kind"))[0].ids[0] == "s0"  # identifiers stay


@pytest.mark.parametrize(("labels", "column"), [
    (np.arange(N) % 3, (np.arange(N) % 3 == 1) * 7.0), (X[:, 1], X[:, 1]), (np.c_[X[:, 0], X[:, 2]], X[:, 2]),
    (np.array(["a", "b"] * 30), np.arange(N) % 2), ([*np.arange(50) % 2, *[None] * 10], np.arange(N) % 2)])
def test_labels_among_the_features_are_a_warning(labels, column):
    found, _ = match_labelled(np.c_[Y, column], Y, labels)
    assert [line for line in found.limits if line.startswith("x: column 3 (from 0) has ")]
    assert not [line for line in match_labelled(Y, Y, labels)[0].limits if "(from 0)" in line]


@pytest.mark.parametrize(("labels", "said"), [
    (np.where(np.arange(N) < 15, -1, CLASSES), "labels: -1 counts as a class, of 15 rows"),
    (np.where(np.arange(N) < 15, -9999, CLASSES), "labels: -9999 counts as a class, of 15 rows"),
    (np.where(np.arange(N) < 15, "Unassigned", np.array(["B", "T"])[CLASSES]), "labels: 'Unassigned' counts as a "),
    (["B", "b", "T"] * 20, "labels: classes that differ only in how they are written count as different: B, b"),
    (np.where(np.arange(N) < 15, 99.99, X[:, 0]), "labels: 99.99 stands 15 times far from all other values"),
    (["1", "1.0", "2"] * 20, "labels: classes that differ only in how they are written count as different: 1, 1.0"),
    (np.vstack([np.eye(3)[np.arange(N - 1) % 3], np.zeros(3)]), "labels: 3 columns of 0 and 1, not a single 1 in each"),
    (np.eye(3)[np.arange(N) % 3], "labels: 3 columns with a single 1 in each row, read as so many classes"),
    (pd.get_dummies(pd.Series(["B", "T"] * 30)), "labels: 2 columns with a single 1 in each row, read as so many cla"),
    (np.tile([-1, 1], 30), None), (np.tile([0, 1, 3], 20), None), (X[:, 0], None), (X[:, :2], None)])
def test_labels_that_may_be_none_are_said(labels, said):
    notes = match_labelled(Y, X[:, 2:], labels)[0].notes
    assert notes == () if said is None else any(note.startswith(said) for note in notes)


def test_one_hot_columns_are_the_classes_that_they_stand_for():
    classes = np.arange(N) % 3
    found, kind = match_labelled(X, Y, np.eye(3)[classes])
    assert (found.labels.tolist(), kind) == (classes.tolist(), "class")
    assert match_labelled(X, Y, np.eye(3)[classes], label_kind="real")[0].labels.shape == (N, 3)


def test_declared_categories_that_are_numbers_are_no_real_values():
    found, kind = match_labelled(X, Y, pd.Categorical(np.tile([1, 2, None], 20)))
    assert (set(found.labels.tolist()), kind) == ({"1", "2"}, "class")
    with pytest.raises(ValueError, match=r"got numbers stored as text, such as 1\.5 .*label kind class"):
        match_labelled(X, Y, pd.Categorical([1.5, 2.5] * 30))
    assert match_labelled(X, Y, pd.Categorical([1.5, 2.5] * 30), label_kind="class")[1] == "class"


@pytest.mark.parametrize(("fill", "dtype"), [(-9999, float), (99.99, float), (99.99, "f4"), (-999.25, float),
                                             (9.969209968386869e36, "f4"), (-32768, "i4")])
def test_a_fill_without_a_mask_limits_every_answer(fill, dtype):
    x = (10 * X if fill < -999 else X).astype(dtype)
    x[3:9, 1] = fill
    assert match_rows(x, Y).limits == (
        f"x: {np.dtype(dtype).type(fill):.6g} stands 6 times far from all other values, in 1 columns; if it means a "
        "missing value, mask it or write NaN",)


def test_a_mask_beside_its_array_counts():
    gone = np.random.default_rng(4).random((N, 4)) < 0.1
    hidden = np.where(gone, -9999.0, X)
    np.savez("whole.npz", data=hidden, mask=gone, fill_value=-9999.0)
    np.savez("m.npz", data=hidden, mask=gone, x_data=hidden, x_mask=gone, labels=["a", "b"] * 30,
             labels_mask=np.arange(N) < 9, y=X, y_mask=gone[:5], w=X, w_mask=1 - gone)
    for path in ("whole.npz", "whole.npz:data", "m.npz:data", "m.npz:x_data"):
        with pytest.raises(ValueError, match=rf"x: expected finite values, got {gone.sum()} that are NaN or masked"):
            match_rows(path, Y)
        np.testing.assert_array_equal(match_rows(path, Y, missing="drop").x, X[~gone.any(1)])
    assert as_named("m.npz:data", "x").notes == (
        f"m.npz: {gone.sum()} values of data are missing, since mask masks them (m.npz:data.npy reads all)",)
    np.testing.assert_array_equal(values("m.npz:data.npy"), hidden)
    for path in ("m.npz:y", "m.npz:w"):  # masks of another shape, or that are none
        np.testing.assert_array_equal(values(path), X)
    assert len(match_labelled(X, Y, "m.npz:labels")[0].labels) == N - 9


def test_fills_that_an_attribute_of_xarray_names_are_missing():
    xarray = pytest.importorskip("xarray")
    packed = np.where(X > 1, -32768, 100 * X).astype("i2")
    found = as_named(xarray.DataArray(packed, dims=("a", "b"), attrs={"_FillValue": -32768}), "x")
    np.testing.assert_array_equal(found.values, np.where(X > 1, np.nan, packed))


def test_the_errors_of_spreadsheets_are_missing_values_and_no_comments():
    rows = [",".join(map(repr, row)) for row in X.tolist()]
    for error in ("#N/A", "#DIV/0!", "#VALUE!", "#NUM!"):
        write("x.csv", "\n".join(["a,b,c,d", *rows, f"{error},1,2,3", ",,,", ",,,"]) + "\n")
        np.testing.assert_allclose(values("x.csv"), [*X, [np.nan, 1, 2, 3]])
    write("x.csv", "\n".join(["a,b,c,d,,", *(f"{row},," for row in [*rows, "#1,2,3,4"]), "# the end"]) + "\n")
    np.testing.assert_allclose(values("x.csv"), X)
    assert "1 row behind # left out" in as_named("x.csv", "x").notes[0]


def identified(names, view, letter):
    return pd.DataFrame(view).add_prefix(letter).assign(id=list(names))


@pytest.mark.parametrize(("first", "second", "told"), [
    ("{:03d}", "{:d}", "such as 001 and 1, "), ("S{:d}", "s{:d}", "such as S1 and s1, "),
    ("s {:d}", "s{:d}", "such as s 1 and s1, "),
    ("e\u0301{:d}", "\u00e9{:d}", r"such as 'e\\u03011' and '\\xe91', "),
    ("s{:d} ", "s{:d}", None), ("\u00a0s{:d}", "s{:d}", None)])
def test_identifiers_that_are_written_otherwise_are_told_and_never_matched(first, second, told):
    x, y = (identified(map(form.format, range(1, N + 1)), view, "f") for form, view in ((first, X), (second, Y)))
    if told is None:  # blanks around names do not count
        np.testing.assert_array_equal(match_rows(x, y.iloc[ORDER]).y, Y)
        return
    with pytest.raises(ValueError, match=f"none in common .*; written otherwise, {told}{N} identifiers count"):
        match_rows(x, y.iloc[ORDER])


def test_some_identifiers_that_are_written_otherwise_limit_the_answer():
    x = identified([f"{place:03d}" for place in range(70, 70 + N)], X, "f")
    y = identified(range(70, 70 + N), Y, "g").iloc[ORDER]
    found = match_rows(x, y, y[["id"]].assign(kind=CLASSES[ORDER]))
    np.testing.assert_array_equal(found.y, Y[30:])
    assert found.limits == ("x, y: written otherwise, such as 070 and 70, 30 identifiers count as different",)
    y.to_parquet("y.parquet")  # its index counted the rows, before they were put in another order
    np.testing.assert_array_equal(match_rows(y, "y.parquet").y, Y[ORDER])
    labels = match_rows(x, Y, y[["id"]].assign(kind=CLASSES[ORDER]))
    assert labels.limits == ("labels: written otherwise, such as 070 and 70, 30 identifiers count as different",)
    assert labels.labelled.tolist() == list(range(30, N))


@pytest.mark.parametrize("ids", [
    [decimal.Decimal(row) for row in range(5, 5 + N)], pd.date_range("2020-01-01", periods=N), 2**53 + np.arange(N)])
def test_decimals_dates_and_large_numbers_identify_rows_in_frames_and_parquet(ids):
    x, y = identified(ids, X, "f"), identified(ids, Y, "g").iloc[ORDER]
    x.to_parquet("x.parquet")
    y.to_parquet("y.parquet")
    for first, second in ((x, y), ("x.parquet", "y.parquet"), (x, "y.parquet")):
        np.testing.assert_array_equal(match_rows(first, second).y, Y)
    days = pd.DataFrame(X).assign(day=pd.date_range("2020-01-01", periods=N))
    with pytest.raises(ValueError, match=r"got datetime64\[.s\] in column day \(identifiers\? then name the column"):
        as_named(days, "x")
    assert as_named(days, "x", id_column="day").ids[0] == "2020-01-01"


def test_identifiers_in_an_array_of_their_own_match_rows():
    h5py, names = pytest.importorskip("h5py"), np.array([f"c{row}" for row in range(N)])
    np.savez("x.npz", x=X, ids=names, z=X, z_ids=names[::-1])
    np.savez("y.npz", y=Y[ORDER], barcodes=names[ORDER].astype("S"), patient_id=np.arange(N) // 3)
    np.savez("twice.npz", y=Y, ids=names, barcodes=names)
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({"x": X, "ids": np.arange(N)}, "x.safetensors")
    safetensors.save_file({"y": Y[ORDER], "y_ids": ORDER, "ids": np.arange(N)}, "y.safetensors")
    with pytest.raises(ValueError, match="x: expected identifiers, since those of y count its rows in another order"):
        match_rows("x.safetensors:x", "y.safetensors:y")  # 0, 1, 2, ... are no identifiers
    with h5py.File("y.h5", "w") as file:
        file["all/y"], file["all/barcode"], file["ids"] = Y[ORDER], names[ORDER].astype(object), names.astype(object)
    for path in ("y.npz:y", "y.h5:all/y"):
        found = match_rows("x.npz:x", path)
        np.testing.assert_array_equal(found.y, Y)
        assert found.readings[0] == "x.npz:x: ids identifies the rows"
        np.testing.assert_array_equal(match_rows("x.npz:z", path).y, Y[::-1])
    with pytest.raises(ValueError, match=r"expected one array of identifiers beside y or none, got ids and barcodes$"):
        as_named("twice.npz:y", "y")


@pytest.mark.parametrize("name", ["#id", "id_", "No.", "patient no", "Sample Name", "file_name", "cell_barcode", "HIP",
                                  "accession_number"])
def test_names_of_identifiers(name):
    frame = pd.DataFrame(Y).add_prefix("g").assign(**{name: [f"A{row}" for row in range(N)]})
    frame.iloc[ORDER].to_csv("y.csv", index=False)
    np.testing.assert_allclose(match_rows(pd.DataFrame(X, [f"A{row}" for row in range(N)]), "y.csv").y, Y)


def test_a_column_that_counts_rows_is_not_preferred_to_identifiers():
    for view, name, rows in ((X, "x", range(N)), (Y, "y", ORDER)):
        frame = pd.DataFrame(view).add_prefix(name).assign(kepid=7 * np.arange(N)).iloc[list(rows)]
        frame.assign(id=np.arange(N)).to_csv(f"{name}.csv", index=False)
    np.testing.assert_allclose(match_rows("x.csv", "y.csv").y, Y)


def test_names_that_count_rows_in_another_order_are_not_paired_by_position():
    counted = pd.Index([str(row) for row in ORDER])
    with pytest.raises(ValueError, match=r"^y: expected identifiers, since those of x count its rows in another order"):
        match_rows(pd.DataFrame(X, counted), Y)


@pytest.mark.parametrize("labels", [3, [], [list(range(N))]])
def test_labels_that_are_not_one_for_each_row_are_refused_as_such(labels):
    with pytest.raises(ValueError, match=r"^labels: expected (shape \(60,\) or|60 rows, one for each labelled row)"):
        diagnose(X, Y, labels)


def test_what_is_no_table_at_all_is_refused():
    np.savez("x.npz", X)
    with open("x.npz", "rb") as stream, open("renamed.npy", "wb") as other:
        other.write(stream.read())
    np.testing.assert_array_equal(values("renamed.npy"), X)
    for x in (3, None, float("nan")):
        with pytest.raises(ValueError, match=r"x: expected "):
            match_rows(x, Y)
    assert inspect_pair(np.ones((N, 2)), Y).refusal == "x: expected columns that vary, got 2 constant"


@pytest.mark.filterwarnings("ignore:.*left out")
def test_more_labels_than_rows_are_refused_in_one_line_or_told():
    """A file of labels with rows beyond those of the views, one of them missing, was a traceback."""
    pd.Series(np.r_[np.nan, np.arange(N + 2) % 3], name="kind").to_csv("long.csv", index=False)
    assert inspect_pair(X, Y, labels="long.csv") is not None
    with pytest.raises(ValueError, match=r"^labels: expected 60 rows, one for each labelled row"):
        diagnose(X, Y, "long.csv", label_kind="class")
