"""Rows from the containers and files that people bring.

Situations, with public reports of the same kind:
- a DataFrame's index, or an id column, is who is who and never a feature (seurat #1050, MOFA2 #88, mudata #109);
- masked arrays hide values such as -9999 that must never be used (astropy #8816, sherpa #346);
- nullable, categorical and string columns of pandas (pandas #60672), of polars (polars #18798);
- half precision and bfloat16 tensors that require a gradient; big-endian arrays, as FITS files give (astropy #1156);
- barcodes in `obs`, cell types in `obs`, and two feature types in one AnnData file (muon);
- numpy turns ["a", nan] into the text "nan" (MLBox #94, scikit-learn #13157).
"""

import types

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr

from phasejax.io import NamedRows, Table, _named_files, as_named

X = np.random.default_rng(0).standard_normal((30, 3))
IDS = np.random.default_rng(1).permutation(1000)[:30] + 2_000_000
FRAME = pd.DataFrame(X, columns=["a", "b", "c"], index=pd.Index(IDS, name="object_id"))


def as_numbers(rows):
    return rows.values.rows(0, len(rows)) if isinstance(rows.values, Table) else rows.values


@pytest.mark.parametrize("value", [
    FRAME, FRAME.reset_index(), FRAME.astype("Float64"), FRAME.reset_index().convert_dtypes(),
    FRAME.astype(object), FRAME.reset_index().assign(object_id=lambda frame: frame.object_id.astype("int32"))])
def test_a_frame_gives_its_numbers_and_who_is_who(value):
    rows = as_named(value, "x")
    np.testing.assert_array_equal(rows.values, X)
    np.testing.assert_array_equal(rows.ids, IDS)
    assert rows.ids.dtype == np.int64
    assert rows.columns == ("a", "b", "c")


def test_a_default_index_identifies_nothing():
    assert as_named(FRAME.reset_index(drop=True), "x").ids is None
    assert as_named(FRAME.reset_index(drop=True)[5:], "x").ids.tolist() == list(range(5, 30))
    assert as_named(X, "x").ids is None
    assert as_named(FRAME.set_axis([f"s{i}" for i in IDS]), "x").ids[0] == f"s{IDS[0]}"
    several = FRAME.set_index(pd.MultiIndex.from_arrays([IDS, ["p"] * 30]))
    assert as_named(several, "x").ids[0] == f"{IDS[0]}|p"
    assert as_named(FRAME.reset_index(), "x", id_column="object_id").ids.tolist() == IDS.tolist()
    assert as_named(FRAME, "x", id_column="object_id").ids.tolist() == IDS.tolist()


def test_what_may_be_an_identifier_and_is_none_is_refused():
    with pytest.raises(ValueError, match="x: expected one column of identifiers or none, got the columns object_id"):
        as_named(FRAME.reset_index().assign(barcode=[f"B{i}" for i in range(30)]), "x")
    with pytest.raises(ValueError, match="got the column source_id beside an index"):
        as_named(FRAME.assign(source_id=np.arange(30)), "x")
    with pytest.raises(ValueError, match="x: expected a column star with identifiers, got columns a, b, c"):
        as_named(FRAME.reset_index(drop=True), "x", id_column="star")
    with pytest.raises(ValueError, match="expected numbers in every column, got text in column kind"):
        as_named(FRAME.assign(kind=["p", "q"] * 15), "x")
    with pytest.raises(ValueError, match="expected an identifier in every row, got 1 missing"):
        as_named(FRAME.set_axis([None, *"abcdefghijklmnopqrstuvwxyzABC"]), "x")


def test_a_mask_hides_values():
    mask = np.zeros(X.shape, bool)
    mask[3, 1] = True
    hidden = np.ma.masked_array(np.where(mask, -9999, X), mask)
    for value in (hidden, hidden.astype(np.float32), list(hidden)):
        found = as_named(value, "x").values
        assert np.isnan(found[3, 1])
        assert np.isnan(found).sum() == 1
        assert np.nanmin(found) > -100
    labels = np.ma.masked_array([0, 1, 7], [False, False, True])
    np.testing.assert_array_equal(as_named(labels, "labels").values, [0, 1, np.nan])
    assert as_named(np.ma.masked_array(["a", "b"], [True, False]), "labels").values.tolist() == ["", "b"]
    assert as_named(np.ma.masked_array([1, 2]), "labels").values.dtype.kind == "i"

    of_astropy = types.SimpleNamespace(mask=mask, unmasked=hidden.data)  # as its masked columns and quantities
    assert np.isnan(as_named(of_astropy, "x").values[3, 1])


@pytest.mark.parametrize(("value", "expected"), [
    (pd.Series(["a", None, "NA", "b"]), ["a", "", "", "b"]),
    (pd.Series(["a", pd.NA, "b"], dtype="string"), ["a", "", "b"]),
    (pd.Series(pd.Categorical(["a", "NA", None])), ["a", "NA", ""]),  # "NA" is a declared class here
    (pd.Series(pd.Categorical([3, 1, 3])), [3, 1, 3]),
    (pd.Series([True, False]), [True, False]),
    (pd.Series([1, None, 2], dtype="Int64"), [1, np.nan, 2]),
    (pd.Series([True, None], dtype="boolean"), [1, np.nan]),
    (pd.Categorical(["x", "y"]), ["x", "y"]),
    (np.array(["a", np.nan]), ["a", ""]),
    (["a", float("nan"), None], ["a", "", ""]),
    ([1, None, 2], [1, np.nan, 2]),
    ([b"a", b" b "], ["a", "b"]),
    (np.array([b"a", b"b"]), ["a", "b"]),
    (np.array([1, 2], object), [1, 2]),
    ([np.float32(0.5), 2], [0.5, 2]),
])
def test_labels_of_many_types(value, expected):
    found = as_named(value, "labels").values
    assert found.dtype.kind != "O"
    np.testing.assert_array_equal(found, np.array(expected))


@pytest.mark.parametrize("value", [
    X.astype(">f8"), X.astype(">f4"), np.asfortranarray(X), X.tolist(), jnp.asarray(X, jnp.bfloat16),
    X.astype(np.float16), scipy.sparse.csr_matrix(X), scipy.sparse.coo_array(X), xr.DataArray(X, dims=("star", "band")),
    pd.DataFrame({"spectrum": list(X)})])
def test_numbers_of_many_types(value):
    found = as_named(value, "x")
    np.testing.assert_allclose(np.asarray(found.values, float), X, rtol=0.01)
    assert found.values.dtype.isnative
    assert found.values.dtype.kind == "f"
    assert found.ids is None


def test_coordinates_are_identifiers():
    found = as_named(xr.DataArray(X, dims=("star", "band"), coords={"star": IDS, "band": list("uvw")}), "x")
    assert found.ids.tolist() == IDS.tolist()
    assert found.columns == ("u", "v", "w")
    with pytest.raises(ValueError, match="x: expected a DataArray, got a Dataset"):
        as_named(xr.Dataset({"a": ("star", X[:, 0])}), "x")


def test_tensors_of_torch():
    """Through the real library where there is one, and through what is asked of a tensor where there is none."""
    try:
        import torch
    except ImportError:
        class Tensor:
            __module__ = "torch"
            dtype, layout = "torch.bfloat16", "torch.strided"
            __array__ = None  # a tensor that requires a gradient refuses to be an array

            def detach(self):
                return self
            cpu = detach

            def float(self):
                return types.SimpleNamespace(numpy=lambda: X.astype(np.float32))

        value = Tensor()
    else:
        value = torch.tensor(X, dtype=torch.bfloat16, requires_grad=True)
    np.testing.assert_allclose(as_named(value, "x").values, X, rtol=0.01)
    assert as_named(value, "x").values.dtype == np.float32  # as bfloat16 in .npy and .safetensors


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"object_id": IDS, "a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
    found = as_named(frame, "x")
    np.testing.assert_array_equal(found.values, X)
    assert found.ids.tolist() == IDS.tolist()
    assert as_named(polars.Series("kind", ["p", None, "q"]), "labels").values.tolist() == ["p", "", "q"]


def test_tables_of_arrow():
    pa = pytest.importorskip("pyarrow")
    found = as_named(pa.Table.from_pandas(FRAME), "x")
    np.testing.assert_array_equal(found.values, X)
    assert found.ids.tolist() == IDS.tolist()


def test_sparse_matrices_that_would_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"x: expected a sparse matrix of at most 5e\+07 entries.*TruncatedSVD"):
        as_named(scipy.sparse.csr_matrix((100_000, 1000)), "x")


@pytest.mark.parametrize(("value", "message"), [
    (np.array(["2020-01-01"], "datetime64[D]"), "x: expected numbers, got dtype datetime64"),
    ([1, "a", {}], "x: expected numbers or text, got objects"),
    ([1, "a"], "x: expected numbers or text, got objects"),
    (pd.DataFrame({"t": pd.to_datetime(["2020-01-01"])}), "x: expected numbers or text, got datetime64"),
    (X + 1j, "x: expected numbers, got dtype complex128"),
])
def test_what_holds_no_numbers_or_labels_is_refused(value, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        as_named(value, "x")
    assert "\n" not in str(caught.value)


def test_what_is_named_already_and_tables_stay_as_they_are():
    assert as_named(NamedRows(X), "x").values is X
    assert isinstance(as_named(Table("t", (2, 2), np.dtype(float), lambda a, b: X[a:b, :2]), "x").values, Table)


def test_files_say_who_is_who(tmp_path, monkeypatch):
    frame = FRAME.set_axis([f"CELL{i}" for i in IDS])
    FRAME.to_csv(tmp_path / "x.csv")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "labels.npy", np.array(["a", "b"] * 15))
    np.savez(tmp_path / "x.npz", X)
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_array(X))
    np.testing.assert_array_equal(as_named(tmp_path / "sparse.npz", "x").values, X)
    np.save(tmp_path / "big.npy", X.astype(">f8"))
    np.testing.assert_array_equal(as_numbers(as_named(tmp_path / "big.npy", "x")), X)
    assert as_named(tmp_path / "x.csv", "x").ids.tolist() == IDS.tolist()
    assert as_named(tmp_path / "x.npy", "x").ids is None
    assert isinstance(as_named(tmp_path / "x.npy", "x").values, Table)
    assert as_named(str(tmp_path / "labels.npy"), "labels").values.tolist() == ["a", "b"] * 15
    np.testing.assert_array_equal(as_named(tmp_path / "x.npz", "x").values, X)
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "x.parquet")
    FRAME.reset_index().assign(kind=["p", "q"] * 15).to_parquet(tmp_path / "l.parquet", index=False)
    found = as_named(tmp_path / "x.parquet", "x")
    assert found.ids.tolist() == list(frame.index)
    np.testing.assert_array_equal(found.values, X)
    found = as_named(f"{tmp_path}/l.parquet:kind", "labels")
    assert (found.values.tolist(), found.ids.tolist()) == (["p", "q"] * 15, IDS.tolist())
    monkeypatch.setattr(_named_files, "DENSE_NUMBERS", 10)  # as if it were large: read in blocks, with its identifiers
    found = as_named(tmp_path / "x.parquet", "x")
    assert isinstance(found.values, Table)
    assert found.ids.tolist() == list(frame.index)
    np.testing.assert_array_equal(as_numbers(found), X)
    with pytest.raises(ValueError, match="expected one of its columns object_id, a, b, c, kind, got species"):
        as_named(f"{tmp_path}/l.parquet:species", "labels")
    with pytest.raises(ValueError, match=r"missing\.parquet: expected a readable file"):
        as_named(tmp_path / "missing.parquet", "x")
    with pytest.raises(ValueError, match=r"id: expected a table with named columns"):
        as_named(tmp_path / "x.npy", "x", id_column="object_id")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_annotated_matrices(tmp_path):
    ad = pytest.importorskip("anndata")
    obs = pd.DataFrame({"cell_type": pd.Categorical(["B", "T", None] * 10)}, index=[f"CELL{i}" for i in IDS])
    whole = ad.AnnData(scipy.sparse.csr_matrix(X), obs=obs)
    whole.var["feature_types"] = ["GEX", "GEX", "ADT"]
    whole.write_h5ad(tmp_path / "x.h5ad")
    for value in (whole, tmp_path / "x.h5ad"):
        found = as_named(value, "x")
        np.testing.assert_array_equal(as_numbers(found), X)
        assert found.ids.tolist() == list(obs.index)
    for kind, columns in (("GEX", [0, 1]), ("ADT", [2])):
        found = as_named(f"{tmp_path}/x.h5ad[{kind}]", "x")
        np.testing.assert_array_equal(as_numbers(found), X[:, columns])
        assert found.ids.tolist() == list(obs.index)
    found = as_named(f"{tmp_path}/x.h5ad:obs/cell_type", "labels")
    assert found.values.tolist() == ["B", "T", ""] * 10
    assert found.ids.tolist() == list(obs.index)
    with pytest.raises(ValueError, match="expected one of the feature types ADT, GEX, got RNA"):
        as_named(f"{tmp_path}/x.h5ad[RNA]", "x")
    with pytest.raises(ValueError, match=r"expected one of its annotations \(cell_type\), got kind"):
        as_named(f"{tmp_path}/x.h5ad:obs/kind", "labels")
    ad.AnnData(X).write_h5ad(tmp_path / "counted.h5ad")  # its obs_names are 0, 1, 2, ...
    assert as_named(tmp_path / "counted.h5ad", "x").ids is None
