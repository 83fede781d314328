"""Neighbours of the nine kinds of input, as public reports show them: the right number, a note, or a refusal.

`SOURCES.md` beside this file lists the reports. Each test makes the file or object that a report is about and compares
what is read with the values it was made of.
"""

import gzip
import warnings

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from phasejax import diagnose
from phasejax.io import InputNote, as_named, encode_labels, inspect_pair, match_rows, open_table
from phasejax.io._labels import label_notes, resolved_kind
from phasejax.io._matching import match_labelled
from phasejax.similarity import compare_representations
from tests.io.small_files import values, write

RNG = np.random.default_rng(0)
N = 60
X, Y = RNG.standard_normal((N, 4)), RNG.standard_normal((N, 3))
ORDER = RNG.permutation(N)
SHARED = RNG.standard_normal((200, 2))
SHARED_X, SHARED_Y = (np.c_[SHARED + 0.5 * RNG.standard_normal((200, 2)), RNG.standard_normal((200, 2))] for _ in "xy")
CLASSES = np.int64(SHARED[:, 0] > 0)
NAMES = [f"AAAC{place:02d}GT-1" for place in range(N)]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# 1. Who is who


def test_row_names_of_r():
    for path, rows, view in (("x.csv", range(N), X), ("y.csv", ORDER, Y)):
        columns = ",".join(f'"V{place}"' for place in range(view.shape[1]))
        lines = [f'"{NAMES[row]}",' + ",".join(repr(float(value)) for value in view[row]) for row in rows]
        write(path, "\n".join([f'"",{columns}', *lines]) + "\n")
    found = match_rows("x.csv", "y.csv")
    np.testing.assert_allclose(found.y, Y)
    assert found.ids.tolist() == NAMES


def test_an_index_written_and_read_twice_is_no_feature():
    pd.DataFrame(X).add_prefix("f").reset_index().rename(columns={"index": "Unnamed: 0"}).to_csv("x.csv", index=False)
    np.testing.assert_allclose(values("x.csv"), X)


def test_a_column_with_the_name_of_an_identifier_that_counts_as_a_feature_is_named():
    x = pd.DataFrame(X).add_prefix("f").assign(source_id=np.arange(N) + 2.0**60)  # floats, which lose the last digits
    assert as_named(x, "x").notes == ("x: column source_id is read as data, though its name is that of an identifier",)
    assert inspect_pair(x, Y).headlines()[0].startswith("x: column source_id ")


def test_barcodes_with_a_prefix_on_one_side_are_not_paired_by_position():
    x, y = pd.DataFrame(X, index=NAMES), pd.DataFrame(Y, index=[f"sample:{name[:-2]}x" for name in NAMES])
    with pytest.raises(ValueError, match="expected identifiers that x has too, got none in common"):
        match_rows(x, y)


def test_identifiers_that_a_join_made_floats():
    x = pd.DataFrame(X).add_prefix("f").assign(object_id=np.arange(N) + 100)
    y = pd.DataFrame(Y).add_prefix("g").assign(object_id=(np.arange(N) + 100.0)).iloc[ORDER]
    x.to_csv("x.csv", index=False)
    y.to_csv("y.csv", index=False)
    np.testing.assert_allclose(match_rows("x.csv", "y.csv").y, Y)


def test_polars_beside_pandas():
    polars = pytest.importorskip("polars")
    y = polars.DataFrame({"barcode": [NAMES[row] for row in ORDER], **{f"g{i}": Y[ORDER, i] for i in range(3)}})
    np.testing.assert_allclose(match_rows(pd.DataFrame(X, index=NAMES), y).y, Y)


def test_repeated_barcodes_of_two_runs():
    names = NAMES[:30] * 2
    with pytest.raises(ValueError, match=r"expected identifiers that all differ, got .* repeated in all"):
        match_rows(pd.DataFrame(X, index=names), pd.DataFrame(Y, index=names))


def test_an_index_of_several_levels_is_one_identifier_by_every_route():
    levels = pd.MultiIndex.from_product([["star a", "star b"], range(N // 2)])
    x, y = pd.DataFrame(X, levels).add_prefix("f"), pd.DataFrame(Y, levels).add_prefix("g").iloc[ORDER]
    x.to_parquet("x.parquet")
    y.to_parquet("y.parquet")
    for first, second in ((x, y), ("x.parquet", "y.parquet"), (x, "y.parquet")):
        np.testing.assert_array_equal(match_rows(first, second).y, Y)
    pairs = pytest.importorskip("xarray").DataArray(Y[ORDER], dims=("row", "g"), coords={"row": levels[ORDER]})
    np.testing.assert_array_equal(match_rows("x.parquet", pairs).y, Y)


def test_a_range_that_does_not_begin_at_0_identifies_rows_in_parquet_too():
    pd.DataFrame(X).add_prefix("f").iloc[10:50].to_parquet("x.parquet")
    pd.DataFrame(Y).add_prefix("g").iloc[20:60].to_parquet("y.parquet")
    found = match_rows("x.parquet", "y.parquet")
    np.testing.assert_array_equal(np.c_[found.x, found.y], np.c_[X, Y][20:50])


def test_digits_of_large_identifiers_are_never_lost_unseen():
    large = 2**60 + np.arange(N)
    with pytest.raises(ValueError, match=r"expected identifiers with all their digits, got 1\.15292150460684"):
        match_rows(pd.DataFrame(X, large.astype(float)), pd.DataFrame(Y, large))
    with pytest.raises(ValueError, match="expected an identifier in every row of column id, got 1 missing"):
        match_rows(pd.DataFrame(X).add_prefix("f").assign(id=pd.array([None, *large[1:]], "Int64")), Y)
    unsigned = pd.Index(np.uint64(2**63) + np.arange(N, dtype=np.uint64))
    np.testing.assert_array_equal(match_rows(pd.DataFrame(X, unsigned), pd.DataFrame(Y, unsigned)[::-1]).y, Y)
    for labels in (pd.Series([2**53, 2**53 + 1, None] * 20, dtype="Int64"), [2**53, 2**53 + 1, None] * 20):
        with pytest.raises(ValueError, match="float64 holds exactly, got 9007199254740993 beside missing"):
            match_rows(X, Y, labels)


def test_dates_and_whole_floats_identify_rows_as_in_files():
    days = pd.date_range("2020-01-01", periods=N)
    pd.DataFrame(Y, days).add_prefix("g").iloc[ORDER].to_csv("y.csv")
    np.testing.assert_allclose(match_rows(pd.DataFrame(X, days), "y.csv").y, Y)
    joined = pd.DataFrame(Y).add_prefix("g").assign(object_id=np.arange(N) + 100.0)
    joined = joined.iloc[ORDER].reset_index(drop=True)
    np.testing.assert_array_equal(match_rows(pd.DataFrame(X, np.arange(N) + 100), joined).y, Y)


def test_a_coordinate_beside_the_rows_identifies_them():
    xarray = pytest.importorskip("xarray")
    x, y = (xarray.DataArray(view, dims=("cell", "gene"), coords={"barcode": ("cell", names)})
            for view, names in ((X, NAMES), (Y[ORDER], [NAMES[row] for row in ORDER])))
    np.testing.assert_array_equal(match_rows(x, y).y, Y)


def test_modalities_with_other_cells_each_are_joined():
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    parts = {"rna": (X[:40], NAMES[:40]), "adt": (Y[ORDER], [NAMES[row] for row in ORDER])}
    kinds = [f"kind {row % 3}" for row in range(N)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        obs = {key: pd.DataFrame({"cell_type": [kinds[NAMES.index(name)] for name in names]}, index=names)
               for key, (_, names) in parts.items()}
        cells = mudata.MuData({key: anndata.AnnData(view, obs=obs[key]) for key, (view, _) in parts.items()})
        cells.obs["donor [all]"] = [f"donor {NAMES.index(name) % 5}" for name in cells.obs_names]
        cells.write("cells.h5mu")
        cells.write_zarr("cells.zarr")
        for file in ("cells.h5mu", "cells.zarr"):
            np.testing.assert_array_equal(match_rows(f"{file}:rna", f"{file}:adt").y, Y[:40])
            for annotation in ("rna/obs/cell_type", "adt/obs/cell_type", "obs/rna:cell_type"):
                assert match_rows(f"{file}:rna", Y[:40], f"{file}:{annotation}").labels.tolist() == kinds[:40]
            found = match_rows(f"{file}:rna", f"{file}:adt", groups=f"{file}:obs/donor [all]")
            assert found.groups.tolist() == [row % 5 for row in range(40)]
            for annotation, message in (("atac/obs/x", r"modalities \((adt|rna), (adt|rna)\), got atac"),
                                        ("adt/obs/kind", r"annotations \(cell_type\), got kind")):
                with pytest.raises(ValueError, match=message):
                    match_rows(f"{file}:rna", Y[:40], f"{file}:{annotation}")


def test_the_same_rows_by_every_route_are_the_same_to_the_bit():
    frame = pd.DataFrame(X, NAMES, columns=list("abcd"))
    frame.to_csv("x.csv", index_label="barcode")
    frame.to_parquet("x.parquet")
    np.save("x.npy", X)
    np.save("swapped.npy", np.asfortranarray(X.astype(">f8")))
    for x in (frame, "x.csv", "x.parquet", "x.npy", "swapped.npy", np.asfortranarray(X), X.tolist(), np.ma.array(X)):
        found = match_rows(x, Y).x
        assert (found.tobytes(), found.dtype, found.flags.c_contiguous) == (X.tobytes(), X.dtype, True)


# 2. Rows that are not independent


@pytest.mark.parametrize("groups", [
    pd.Series([f"match {row // 4}" for row in range(N)]), [f"patient{row // 4}" for row in range(N)], np.arange(N) // 4,
    np.arange(N) // 4 * 1.0, pd.Categorical([f"donor {row // 4}" for row in range(N)]),
    np.array([f"s{row // 4}".encode() for row in range(N)]),
], ids=["series", "list", "integers", "floats", "categories", "bytes"])
def test_groups_in_every_form(groups):
    found = match_rows(X, Y, groups=groups).groups.reshape(15, 4)
    assert (found == found[:, :1]).all()
    assert len(set(found[:, 0])) == 15


def test_groups_are_joined_by_identifier():
    patients = pd.DataFrame({"patient": [f"p{row // 5}" for row in range(N)]}, index=NAMES)
    found = match_rows(pd.DataFrame(X, index=NAMES), pd.DataFrame(Y, index=NAMES), groups=patients.iloc[ORDER])
    assert (np.diff(found.groups.reshape(12, 5), axis=1) == 0).all()
    patients.rename_axis("barcode").iloc[ORDER].to_csv("p.csv")
    assert match_rows(pd.DataFrame(X, index=NAMES), pd.DataFrame(Y, index=NAMES),
                      groups="p.csv:patient").groups.tolist() == found.groups.tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet", "frame"])
def test_the_column_that_groups_come_from_is_no_feature(ending):
    frame = pd.DataFrame(X).add_prefix("f").assign(patient_id=[f"P{row // 4}" for row in range(N)])
    with pytest.raises(ValueError, match="an identifier of each row in column patient_id, got P0 again"):
        match_rows(frame, Y)
    x, groups = f"x.{ending}", f"x.{ending}:patient_id"
    if ending == "frame":
        x, groups = frame, frame["patient_id"]
    else:
        frame.to_csv(x, index=False) if ending == "csv" else frame.to_parquet(x)
    found = match_rows(x, Y, groups=groups)
    np.testing.assert_allclose(found.x, X)
    assert found.groups.max() == 14
    assert any("column patient_id says which group a row belongs to" in note for note in found.readings)


# 3. Tables


def test_thousands_are_refused_with_the_line():
    for path, text in (("a.csv", "a;b\n1;1,20\n2;22,3\n3;1.234,56\n"), ("b.csv", 'a,b\n1,"1,000"\n2,"2,000"\n3,5\n'),
                       ("c.csv", 'a;b\n1;1.299,99\n2;1.300,50\n')):
        with pytest.raises(ValueError, match=rf"{path}: expected .*line \d"):
            as_named(write(path, text), "x")


def test_names_that_are_numbers():
    for names in ([2001, 2002, 2003, 2004], [0, 1, 2, 3]):
        pd.DataFrame(X, columns=names).to_csv("x.csv", index=False)
        np.testing.assert_allclose(values("x.csv"), X)


def test_lines_of_units_and_of_the_instrument_are_refused():
    for path, text in (("units.csv", "ux,uy\nm/s,m/s\n0.5,0.25\n1.5,2.5\n"),
                       ("toa5.csv", '"TOA5","6843","CR3000"\n"TIMESTAMP","Ux","Uy"\n"TS","m/s","m/s"\n'
                                    '"2012-06-07 13:00:00",0.4,0.9\n"2012-06-07 13:00:01",0.5,1.0\n')):
        with pytest.raises(ValueError, match=f"{path}: expected"):
            as_named(write(path, text), "x")


def test_what_spreadsheets_write():
    rows = "\r\n".join(f"{a:.6f};{b:.6f}".replace(".", ",") for a, b in X[:, :2])
    text = f"Teff;log g\r\n{rows}\r\n"
    for path, encoding in (("a.csv", "utf-8-sig"), ("b.txt", "utf-16"), ("c.csv.gz", "utf-8")):
        data = text.encode(encoding)
        with (gzip.open if path.endswith(".gz") else open)(path, "wb") as stream:
            stream.write(data)
        np.testing.assert_allclose(values(path), X[:, :2], atol=1e-6)


def test_the_first_sample_is_not_a_header():
    np.savetxt("x.csv", X, delimiter=",")
    np.testing.assert_allclose(values("x.csv"), X)


def test_surplus_and_missing_fields_are_refused_with_the_line():
    for path, row in (("a.csv", "3,4,5"), ("b.csv", "3")):
        with pytest.raises(ValueError, match=r"line 3"):
            as_named(write(path, f"a,b\n1,2\n{row}\n5,6\n"), "x")


# 4. Missing is missing


@pytest.mark.parametrize("make", [
    lambda x, gone: np.ma.masked_array(np.where(gone, 777, x), gone),
    lambda x, gone: pd.DataFrame(x).mask(gone),
    lambda x, gone: pd.DataFrame(x).astype("Float64").mask(gone),
    lambda x, gone: pd.DataFrame(x).convert_dtypes().mask(gone),
    lambda x, gone: [[None if g else v for v, g in zip(*rows, strict=True)] for rows in zip(x, gone, strict=True)],
    lambda x, gone: [np.ma.masked_array(row, g) for row, g in zip(x, gone, strict=True)],
    lambda x, gone: np.where(gone, None, x),
    lambda x, gone: np.ma.masked_values(np.where(gone, -9999.0, x), -9999.0),
], ids=["masked", "pandas NaN", "pandas NA", "nullable", "lists with None", "list of masked", "objects", "sentinel"])
def test_what_is_missing_is_never_a_number(make):
    gone = np.random.default_rng(1).random((N, 4)) < 0.1
    x = make(X, gone)
    with pytest.raises(ValueError, match=rf"x: expected finite values, got {gone.sum()} that are NaN or masked"):
        match_rows(x, Y)
    np.testing.assert_allclose(match_rows(x, Y, missing="drop").x, X[~gone.any(1)])
    filled = match_rows(x, Y, missing="mean").x
    np.testing.assert_allclose(filled, np.where(gone, np.nanmean(np.where(gone, np.nan, X), 0), X))


def test_missing_in_other_containers():
    polars, xarray = pytest.importorskip("polars"), pytest.importorskip("xarray")
    gone = np.random.default_rng(2).random((N, 4)) < 0.1
    frame = polars.DataFrame({f"f{i}": [None if g else v for v, g in zip(X[:, i].tolist(), gone[:, i], strict=True)]
                              for i in range(4)})
    for x in (frame, frame.to_arrow(), xarray.DataArray(np.where(gone, np.nan, X), dims=("row", "column"))):
        np.testing.assert_allclose(match_rows(x, Y, missing="drop").x, X[~gone.any(1)])
    pd.DataFrame(X).add_prefix("f").mask(gone).to_csv("x.csv", index=False, na_rep="NA")
    np.testing.assert_allclose(match_rows("x.csv", Y, missing="drop").x, X[~gone.any(1)])


@pytest.mark.parametrize("fill", [-999, -9999, 99, 1e20])
def test_a_fill_without_a_mask_is_suspected(fill):
    x = np.where(np.random.default_rng(3).random((N, 4)) < 0.1, fill, X)
    found = inspect_pair(x, Y)
    assert (found.x.fill, found.x.fills) == (fill, (np.sum(x == fill), np.sum((x == fill).any(0))))
    assert found.headlines()[0].startswith(f"x: {fill:g} stands {np.sum(x == fill)} times far from all other values")


@pytest.mark.parametrize("x", [X, 99 * X.round(), RNG.integers(0, 100, (N, 4)), RNG.standard_t(1, (N, 4)).round()])
def test_other_numbers_are_not_taken_for_fills(x):
    assert inspect_pair(x, Y).x.fill is None


def test_masked_labels_are_missing_labels():
    labels = np.ma.masked_array(np.arange(N) % 2, np.arange(N) < 20)
    found, kind = match_labelled(X, Y, labels)
    assert (len(found.labels), found.labelled[0], kind) == (40, 20, "class")


# 5. Units


@pytest.mark.parametrize("scale", [1e-300, 1e-17, 1e-9, 1e9, 1e200])
def test_facts_about_a_view_do_not_depend_on_its_unit(scale):
    copied = np.c_[X, X[:, 0] + X[:, 1]]
    found, expected = inspect_pair(scale * copied, Y), inspect_pair(copied, Y)
    assert (found.x.rank, found.x.constant, found.repeated, found.n) == (
        expected.x.rank, expected.x.constant, expected.repeated, N)
    assert found.x.largest == pytest.approx(scale * expected.x.largest)
    assert inspect_pair(copied * [1e-9, 1, 1e3, 1e6, 1], Y).x.scale_ratio > 1e3


@pytest.mark.parametrize("unit", [1e-17, 1e-6, 1e-4, 1e3, [1e-9, 1e-3, 1.0, 1e3]])
def test_answers_in_basis_points_and_in_mixed_units(unit):
    expected, found = (diagnose(view, SHARED_Y, CLASSES, method="spectral") for view in (SHARED_X, SHARED_X * unit))
    np.testing.assert_allclose(found.delta_ca, expected.delta_ca, rtol=1e-9)
    assert found.regime == expected.regime


def test_large_means_cost_no_digits_of_small_spreads():
    x = np.float32(1e4 + SHARED_X)  # what is left of the spread in single precision
    expected, found = (diagnose(view, SHARED_Y, CLASSES, method="spectral") for view in (x.astype(float) - 1e4, x))
    np.testing.assert_allclose([found.delta_ca, found.delta_cp], [expected.delta_ca, expected.delta_cp], rtol=1e-9)


@pytest.mark.parametrize("constant", [14.62, 1e-30, -9e15, 0.1])
def test_a_constant_is_one_whatever_its_value(constant):
    found = inspect_pair(np.c_[X, np.full(N, constant)], Y)
    assert (found.x.constant, found.x.rank) == (1, 4)


def test_a_nearly_constant_column_is_not_constant():
    found = inspect_pair(np.c_[X, 1 + 1e-9 * RNG.standard_normal(N)], Y)
    assert (found.x.constant, found.x.rank) == (0, 5)


# 6. Labels


@pytest.mark.parametrize(("labels", "kind", "note"), [
    (np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 12), "class", "5 different whole numbers stored as floats, read as 5 classes"),
    (np.repeat([0.1, 1.8], 30), "real", None),
    (np.linspace(25, 346, N).round(), "real", "different whole numbers stored as floats, read as real values"),
    (np.tile(np.arange(30), 2), "class", "30 different integers, read as classes (label kind real"),
    (np.tile([True, False], 30), "class", None),
    (np.tile([-1, 1], 30), "class", None),
])
def test_how_numbers_are_read_is_said(labels, kind, note):
    assert resolved_kind(labels) == kind
    notes = label_notes(labels, "auto")
    assert notes == [] if note is None else note in notes[0]
    for asked in ("class", "real") if len(set(labels)) < N / 2 + 1 else ("real",):
        assert encode_labels(np.float64(labels), N, asked).shape[1] == (1 if asked == "real" else len(set(labels)))


@pytest.mark.parametrize("labels", [
    pd.Categorical(["NA", "EU"] * 30), pd.Series(["NA", "EU"] * 30, dtype="category"),
])
def test_a_declared_class_may_be_called_na(labels):
    assert match_labelled(X, Y, labels)[0].labelled is None


@pytest.mark.parametrize("labels", [
    pd.Series(["a", None, "b"] * 20, dtype="string"), np.array(["a", None, "b"] * 20, object), ["a", "", "b"] * 20,
    pd.Series(["a", "NaN", "b"] * 20), np.array([b"a", b"", b"b"] * 20),
])
def test_missing_text_is_no_class(labels):
    found, _ = match_labelled(X, Y, labels)
    assert sorted(set(found.labels.tolist())) == ["a", "b"]
    assert len(found.labels) == 40


def test_numbers_as_text_are_refused_unless_they_are_classes():
    labels = [f"{value:.1f}" for value in 5800 + 100 * X[:, 0]]
    with pytest.raises(ValueError, match="got numbers stored as text"):
        match_labelled(X, Y, labels)


# 7. Containers


def test_bfloat16_is_read_or_refused():
    h5py = pytest.importorskip("h5py")
    brief = X.astype(ml_dtypes.bfloat16)
    np.save("x.npy", brief)
    with h5py.File("x.h5", "w") as root:
        root["x"] = brief.view("V2")
    np.testing.assert_array_equal(values("x.npy"), np.float32(brief))
    with pytest.raises(ValueError, match=r"x\.h5: expected numbers, got dtype"):
        open_table("x.h5")


@pytest.mark.parametrize("make", [
    lambda x: x.astype(">f8"), lambda x: np.asfortranarray(x), lambda x: x[::-1][::-1], lambda x: x.tolist(),
    lambda x: tuple(map(tuple, x)), lambda x: [pd.Series(row) for row in x], lambda x: pd.DataFrame(x).astype("Sparse"),
    lambda x: pd.Series(list(x)), lambda x: np.float64(x).astype(object),
], ids=["big-endian", "Fortran", "strides", "list", "tuples", "list of series", "sparse frame", "series of arrays",
        "objects"])
def test_the_same_numbers_in_many_containers(make):
    np.testing.assert_allclose(match_rows(make(X), Y).x, X)


def test_fits_and_memory_maps_in_foreign_byte_order():
    np.save("x.npy", np.asfortranarray(X.astype(">f4")))
    np.testing.assert_array_equal(values("x.npy"), X.astype("f4"))
    assert match_rows("x.npy", Y).x.dtype.isnative


def test_sparse_matrices_of_every_kind():
    import scipy.sparse

    dense = np.where(np.abs(X) > 1, X, 0)
    for form in ("csr", "csc", "coo"):
        np.testing.assert_array_equal(match_rows(scipy.sparse.coo_array(dense).asformat(form), Y).x, dense)
        scipy.sparse.save_npz("x.npz", scipy.sparse.coo_matrix(dense).asformat(form))
        np.testing.assert_array_equal(values("x.npz"), dense)


def test_lists_of_embeddings_in_parquet():
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"image_id": NAMES, "embedding": list(X)}).iloc[ORDER]  # with an index of row numbers of old
    frame.to_parquet("x.parquet")
    found = match_rows("x.parquet", pd.DataFrame(Y, index=NAMES))
    np.testing.assert_allclose(found.x, X[ORDER])
    np.testing.assert_allclose(found.y, Y[ORDER])


# 8. Shapes


@pytest.mark.parametrize(("x", "rank", "plan"), [
    (RNG.standard_normal((30, 768)), 29, "768 columns are reduced to 7 principal components, for 30 rows"),
    (RNG.standard_normal((30, 30)), 29, "30 columns are reduced to 7 principal"),  # as many columns as rows
    (np.c_[X, X[:, 0]][:30], 4, "1 of 5 columns are left out, which others determine"),  # a duplicated column
    (np.eye(5)[np.arange(30) % 5], 4, "1 of 5 columns are left out, which others determine"),  # a one-hot block
    (np.c_[X, np.ones(N)][:30], 4, "1 of 5 columns are left out, which others determine"),  # a constant
    (np.outer(X[:30, 0], [1, 2, 3]), 1, "2 of 3 columns are left out"),  # an effect of rank one
])
def test_rank_is_counted_and_what_follows_is_said(x, rank, plan):
    found = inspect_pair(x, Y[:30])
    assert found.x.rank == rank
    assert any(line.startswith(f"x: {plan}") for line in found.plan)


@pytest.mark.parametrize("value", [1e300, -1e30, 1e9])
def test_one_row_far_from_all_others_is_named(value):
    x = X.copy()
    x[7, 1] = value
    found = inspect_pair(x, Y)
    assert found.x.far == (7, "1")
    assert any(line.startswith("x: row 7 stands more than 1e+06 times") for line in found.headlines())
    assert found.y.far is None


@pytest.mark.parametrize("x", [RNG.standard_cauchy((2000, 5)), np.exp(3 * RNG.standard_normal((2000, 5))),
                               RNG.poisson(0.05, (2000, 5)), np.eye(2000)[:, :5],
                               10.0 ** RNG.integers(-9, 9, (2000, 5))])
def test_heavy_tails_and_rare_entries_are_not_far(x):
    assert inspect_pair(x, RNG.standard_normal((2000, 2))).x.far is None


def test_similarity_of_a_one_hot_block_compares_as_many_directions_as_it_has():
    hot = np.eye(4)[np.arange(N) % 4]
    y, options = Y[:, [0, 1, 2, 0]] + hot, {"metrics": ["svcca"], "permutations": 9, "resamples": 2}
    with pytest.warns(InputNote, match="svcca compares 3 directions, the rank of a view"):
        found = compare_representations(hot, y, **options).metrics["svcca"].value
    assert found == compare_representations(hot, y, components=3, **options).metrics["svcca"].value


# 9. Temperatures


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.01, 1e-3, 100.0])
def test_temperatures_as_clip_learns_them(temperature):
    import jax

    from phasejax.linear import info_nce_loss

    x, y = RNG.standard_normal((16, 3)), RNG.standard_normal((16, 3))

    def loss(t):
        return info_nce_loss(x, y, temperature=t)

    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(loss)(temperature)
    units = [view / np.linalg.norm(view, axis=1, keepdims=True) for view in (x, y)]
    logits = units[0] @ units[1].T / temperature
    each = [-(part - np.max(part, 1, keepdims=True) - np.log(np.sum(np.exp(part - np.max(part, 1, keepdims=True)), 1,
                                                                  keepdims=True))).diagonal().mean()
            for part in (logits, logits.T)]
    assert float(value) == pytest.approx(np.mean(each), rel=1e-4)
    assert np.isfinite(float(slope))


def test_a_learned_scale_has_the_slope_of_its_definition():
    """By log t, as CLIP learns it, in single precision: against differences in double precision."""
    import jax
    import jax.numpy as jnp

    from phasejax.linear import info_nce_loss

    x, y = SHARED_X[:32], SHARED_Y[:32]
    for temperature in (1.0, 0.07, 0.01):
        log = np.log(temperature)
        slopes = jax.grad(lambda x, y, log: info_nce_loss(x, y, jnp.exp(log)), argnums=(0, 1, 2))(
            *(jnp.asarray(part, jnp.float32) for part in (x, y, log)))
        with jax.enable_x64(True):
            above, below = (float(info_nce_loss(x, y, np.exp(log + step))) for step in (1e-5, -1e-5))
        assert float(slopes[2]) == pytest.approx((above - below) / 2e-5, rel=1e-3)
        assert all(bool(jnp.isfinite(slope).all()) for slope in slopes)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_losses_of_trained_and_of_opposite_pairs_at_the_end_of_clip(dtype):
    import jax
    import jax.numpy as jnp

    from phasejax.linear import info_nce_loss

    x = jnp.asarray(SHARED_X[:16], dtype)
    for y, expected in ((x, 0.0), (-x, None)):
        value, slopes = jax.value_and_grad(lambda x, y: info_nce_loss(x, y, 0.01), argnums=(0, 1))(x, y)
        assert np.isfinite(float(value))
        assert all(bool(jnp.isfinite(slope).all()) for slope in slopes)
        assert (float(value) < 0.1) if expected == 0 else (float(value) > 50)
