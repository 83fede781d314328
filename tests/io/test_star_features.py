"""Stars in the published layout: joined by identifier, missing values kept, and what does not fit refused."""

import numpy as np
import pandas as pd
import pytest

from phasejax.io import read_star_features
from phasejax.io._star_identifiers import same_star, star_ids
from tests.published_layout import D_LAMOST, D_LIGHT, PARTS, star_tables, write_stars


def changed(tmp_path, change, **options):
    """What is read of the folder after its tables were changed."""
    arrays, meta, ages, binarity = star_tables()
    tables = change(arrays, meta, ages, binarity) or (arrays, meta, ages, binarity)
    return read_star_features(write_stars(tmp_path / "stars", tables), **options)


def refused(tmp_path, change, message, **options):
    with pytest.raises(ValueError, match=message) as caught:
        changed(tmp_path, change, **options)
    assert "\n" not in str(caught.value)


def test_everything_is_joined_by_identifier(tmp_path):
    found = read_star_features(write_stars(tmp_path / "stars"))
    arrays, meta, ages, binarity = star_tables()
    assert found.names == ("LAMOST", "Kepler")
    assert found.x.shape == (160, D_LAMOST)
    assert found.y.shape == (160, D_LIGHT)
    assert [len(found.rows(part)) for part in ("train", "validation", "test")] == list(PARTS.values())
    np.testing.assert_array_equal(found.y[found.rows("test")], arrays["z_kepler_test"])
    kid = np.concatenate([one["KID"] for one in meta.values()])
    np.testing.assert_allclose(found.targets["age"], ages.set_index("KID")["final_age"].reindex(kid))
    classes = binarity.set_index("KID")["binarity_class"].reindex(kid).to_numpy(float)
    np.testing.assert_array_equal(found.targets["binarity"], np.where(classes == 3, np.nan, classes > 0))
    np.testing.assert_array_equal(found.targets["teff"], np.concatenate([one["teff"] for one in meta.values()]))
    assert set(found.targets) == {"teff", "logg", "feh", "age", "binarity"}
    assert "no prot: no row has a value" in found.notes
    assert found.label_kind["binarity"] == "class"
    assert len(np.unique(found.groups)) == 160
    assert len(found.known("age")) == 80
    few = found.take([3, 1])
    assert few.ids["KID"].tolist() == ["1003", "1001"]


@pytest.mark.parametrize("form", ["int", "text", "KIC", "float with missing", "nullable"])
def test_identifiers_join_in_whatever_form_they_are_stored(tmp_path, form):
    def change(arrays, meta, ages, binarity):
        for frame in meta.values():
            kid = frame["KID"].astype("int64")
            frame["KID"] = {"int": kid, "text": kid.astype(str).str.zfill(9), "KIC": "KIC " + kid.astype(str),
                            "float with missing": kid.where(kid % 5 > 0).astype(float),
                            "nullable": kid.astype("Int64").where(kid % 5 > 0)}[form]

    found, plain = changed(tmp_path, change), read_star_features(write_stars(tmp_path / "plain"))
    known = found.ids["KID"] != ""
    assert known.sum() == (128 if "missing" in form or form == "nullable" else 160)
    np.testing.assert_array_equal(found.targets["age"], np.where(known, plain.targets["age"], np.nan))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_catalogue_gives_kid_by_gaia(tmp_path, ending):
    plain = read_star_features(write_stars(tmp_path / "plain"))
    arrays, meta, ages, binarity = star_tables()
    table = pd.concat(meta.values())[["gaia_source_id", "KID"]]
    for frame in meta.values():
        frame["KID"] = np.nan
    folder, path = write_stars(tmp_path / "stars", (arrays, meta, ages, binarity)), tmp_path / f"all.{ending}"
    table = pd.concat([table[::-1], table[:3]])
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    found = read_star_features(folder, catalogue=path)
    assert found.ids["KID"].tolist() == plain.ids["KID"].tolist()
    np.testing.assert_array_equal(found.targets["age"], plain.targets["age"])
    with pytest.raises(ValueError, match=r"expected final_age of some of the 160 stars, got none \(no star has"):
        read_star_features(folder)
    table.iloc[-1, 1] = 6.0  # a star that is in two rows
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    with pytest.raises(ValueError, match=f"all.{ending}: expected one KID of each gaia_source_id, got several of 2000"):
        read_star_features(folder, catalogue=path)


def test_identifiers_are_whole_numbers():
    ids, lost = star_ids([pd.Series([7.0, 0, -1]), pd.Series(["007", "TIC 7", None]),
                          pd.Series([b"7", "7.0", ""])], "abc")
    assert [one.tolist() for one in ids] == [["7", "", ""], ["7", "7", ""], ["7", "7", ""]]
    assert not lost
    exact = 2_000_000_000_000_000_001
    ids, lost = star_ids([pd.Series([float(exact)]), pd.Series([exact])], "ab")
    assert lost
    assert ids[0][0] == ids[1][0]
    for odd in (1.5, "a7", True, np.inf):
        with pytest.raises(ValueError, match="a: expected whole numbers that identify stars, got"):
            star_ids([pd.Series([odd], dtype=object)], "a")


def test_rows_are_of_one_star_where_they_share_any_identifier():
    gaia, kid = np.array(["1", "2", "2", "", "5"]), np.array(["8", "8", "", "9", ""])
    assert same_star([gaia, kid], 5).tolist() == [0, 0, 0, 1, 2]
    assert same_star([], 2).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["gaia_source_id", "KID", "TIC"])
def test_two_spectra_of_a_star_are_one_group(tmp_path, name):
    def change(arrays, meta, ages, binarity):
        meta["train"].loc[1, name] = meta["train"].loc[0, name]

    found = changed(tmp_path, change)
    assert found.groups[0] == found.groups[1]
    assert len(np.unique(found.groups)) == 159


def test_an_age_that_stands_twice_counts_once(tmp_path):
    def change(arrays, meta, ages, binarity):
        return arrays, meta, pd.concat([ages[3:5], ages]), binarity

    once = read_star_features(write_stars(tmp_path / "once"))
    np.testing.assert_array_equal(changed(tmp_path, change).targets["age"], once.targets["age"])


def test_an_age_without_an_error_does_not_count(tmp_path):
    def change(arrays, meta, ages, binarity):
        ages.iloc[5, 2] = np.nan

    found = changed(tmp_path, change)
    assert np.isnan(found.targets["age"][10])
    assert len(found.known("age")) == 79


def same_in_two_parts(name):
    def change(arrays, meta, ages, binarity):
        meta["test"].loc[4, name] = meta["train"].loc[2, name]
    return change


@pytest.mark.parametrize("name", ["gaia_source_id", "KID", "TIC", "lamost_obsid"])
def test_a_star_in_two_parts_is_refused_or_dropped(tmp_path, name):
    refused(tmp_path, same_in_two_parts(name), rf"stars: expected every star in one part of the split, got {name} \d+ "
            "in both train and test, 1 such")
    found = changed(tmp_path, same_in_two_parts(name), overlap="drop")
    assert [len(found.rows(part)) for part in ("train", "validation", "test")] == [89, 30, 40]
    assert "1002" not in found.ids["KID"][found.rows("train")].tolist()


def drop_rows(arrays, *_):
    arrays["z_kepler_val"] = arrays["z_kepler_val"][:-1]


def narrow(arrays, *_):
    arrays["z_lamost_test"] = arrays["z_lamost_test"][:, :-1]


def nan_row(arrays, *_):
    arrays["z_lamost_train"][5] = np.nan


def other_labels(arrays, *_):
    arrays["labels_train"][[3, 4], 1] = 9


def wide_labels(arrays, *_):
    arrays["labels_train"] = arrays["labels_train"][:, :3]


def no_gaia(arrays, meta, *_):
    meta["val"] = meta["val"].drop(columns="gaia_source_id")


def no_kid(arrays, meta, *_):
    for part, frame in meta.items():
        meta[part] = frame.drop(columns="KID")


def kid_of_some_parts(arrays, meta, *_):
    meta["test"] = meta["test"].drop(columns="KID")


def repeated_age(arrays, meta, ages, binarity):
    return arrays, meta, pd.concat([ages, ages[3:5].assign(final_age=[9.5, 2.5])]), binarity



def other_stars(arrays, meta, ages, binarity):
    return arrays, meta, ages.assign(KID=ages["KID"] + 10**6), binarity


def odd_class(arrays, meta, ages, binarity):
    binarity.loc[2, "binarity_class"] = -1


def text_age(arrays, meta, ages, binarity):
    ages = ages.astype({"final_age": object})
    ages.iloc[1, 1] = "old"
    return arrays, meta, ages, binarity


@pytest.mark.parametrize(("change", "message"), [
    (drop_rows, "z_kepler_val.npy: expected 30 rows as in meta_val.parquet, got 29"),
    (narrow, "z_lamost_test.npy: expected 12 columns as in z_lamost_train.npy, got 11"),
    (nan_row, "z_lamost_train.npy: expected finite values, got 12 that are NaN or infinite, the first in row 5"),
    (other_labels, "labels_train.npy: expected logg in column 1 as in meta_train.parquet, got 9 for .* in row 3, 2"),
    (wide_labels, r"labels_train.npy: expected numbers of shape \(90, 4\)"),
    (no_gaia, "meta_val.parquet: expected a column gaia_source_id, got KID"),
    (no_kid, "meta_train.parquet: expected a column KID, to join ages_dataset_gyro.csv with, got none"),
    (kid_of_some_parts, "meta_test.parquet: expected a column KID as in meta_train.parquet"),
    (repeated_age, r"ages_dataset_gyro.csv: expected one final_age of each KID, got \S+ and 9.5 of 1006, 2 such stars"),
    (other_stars, "ages_dataset_gyro.csv: expected final_age of some of the 160 stars, got none"),
    (odd_class, "nss_dataset.csv: expected whole numbers from 0 on in binarity_class, got -1"),
    (text_age, "ages_dataset_gyro.csv: expected finite numbers in final_age, got 'old' in row 1"),
])
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    refused(tmp_path, change, message)


@pytest.mark.parametrize("name", ["z_lamost_val.npy", "z_kepler_test.npy", "meta_test.parquet", "labels_val.npy"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_stars(tmp_path / "stars")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: expected a readable file"):
        read_star_features(folder)


def test_folders_of_two_instruments_tables_or_none(tmp_path):
    folder = write_stars(tmp_path / "stars")
    with pytest.raises(ValueError, match=r"empty: expected z_kepler_train.npy or z_tess_train.npy, got neither"):
        read_star_features((tmp_path / "empty").mkdir() or tmp_path / "empty")
    with pytest.raises(ValueError, match="none: expected a folder of features, got none"):
        read_star_features(tmp_path / "none")
    for part in PARTS:
        np.save(folder / f"z_tess_{part}.npy", np.load(folder / f"z_kepler_{part}.npy"))
    with pytest.raises(ValueError, match="got both; say which instrument"):
        read_star_features(folder)
    assert read_star_features(folder, "tess").names == ("LAMOST", "TESS")
    ages = folder / "ages_dataset_gyro.csv"
    (folder / "other.csv").write_text(ages.read_text())
    with pytest.raises(ValueError, match="expected one table with the columns KID and final_age, got ages"):
        read_star_features(folder, "tess")
    assert len(read_star_features(folder, "tess", ages=ages).known("age")) == 80
    for path in folder.glob("*.csv"):
        path.unlink()
    found = read_star_features(folder, "tess")
    assert set(found.targets) == {"teff", "logg", "feh"}
    assert any(note.startswith("no age:") for note in found.notes)
