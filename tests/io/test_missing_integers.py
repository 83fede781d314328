"""Integer labels of which one is missing: they stay what the file or container says that they are."""

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phasejax.io import InputNote
from phasejax.io._matching import match_labelled

CODES, GONE = np.arange(150) % 25, 7
LISTED = [None if row == GONE else int(code) for row, code in enumerate(CODES)]
FLOATS = np.where(np.arange(150) == GONE, np.nan, CODES)
X = np.random.default_rng(0).normal(size=(150, 3))

pytestmark = pytest.mark.filterwarnings(f"ignore::{InputNote.__module__}.InputNote")


@pytest.mark.parametrize("labels", [
    LISTED, np.ma.masked_array(CODES, np.arange(150) == GONE), pd.Series(LISTED, dtype="Int64"),
    pd.DataFrame({"label": pd.Series(LISTED, dtype="Int64")}), pd.Series(LISTED, dtype=object),
    pl.Series("label", LISTED), pl.DataFrame({"label": LISTED}), pa.array(LISTED), pa.table({"label": LISTED})])
def test_containers_of_integers(labels):
    same_classes(labels)


def test_files_of_integers(tmp_path):
    text = tmp_path / "labels.csv"
    text.write_text("label\n" + "\n".join("NA" if code is None else str(code) for code in LISTED) + "\n")
    same_classes(text)
    pq.write_table(pa.table({"label": LISTED}), tmp_path / "labels.parquet")
    same_classes(tmp_path / "labels.parquet")
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file.create_dataset("label", data=np.where(np.arange(150) == GONE, -1, CODES)).attrs["_FillValue"] = -1
    same_classes(f"{tmp_path}/labels.h5:label")


def same_classes(labels):
    found, kind = match_labelled(X, X[::-1], labels)
    assert (kind, found.labels.dtype) == ("class", np.int64)
    np.testing.assert_array_equal(found.labels.reshape(-1), np.delete(CODES, GONE))
    np.testing.assert_array_equal(found.labelled, np.delete(np.arange(150), GONE))


@pytest.mark.parametrize("labels", [FLOATS, pd.Series(FLOATS), pl.Series("label", FLOATS), pa.array(FLOATS)])
def test_floats_do_not_say(labels):
    with pytest.raises(ValueError, match="label_kind: expected class or real"):
        match_labelled(X, X[::-1], labels)
    assert match_labelled(X, X[::-1], labels, label_kind="class")[1] == "class"


def test_a_text_table_with_decimal_points_does_not_say(tmp_path):
    pd.DataFrame({"label": FLOATS}).to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(ValueError, match="label_kind: expected class or real"):
        match_labelled(X, X[::-1], tmp_path / "labels.csv")
