"""Arrays in HDF5, NetCDF and Zarr files: fills, masks, packed numbers, coordinates, as xarray and h5py write them."""

import warnings

import numpy as np
import pytest
import xarray as xr
import zarr

from phasejax.io import as_named, match_rows, open_table
from phasejax.io._matching import match_labelled
from phasejax.io._packed import find_packing
from tests.io.small_files import values

N = 30
RNG = np.random.default_rng(0)
X, ORDER = RNG.standard_normal((N, 3)), RNG.permutation(N)
GONE = X > 1
COMPLETE = ~GONE.any(1)
NAMES = np.array([f"c{row}" for row in range(N)])
h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_netcdf(path, rows, names, attributes, **others):
    """A file as netCDF4 writes it: dimensions are scales, with or without coordinates."""
    with h5py.File(path, "w") as file:
        file["cell"], file["gene"] = names.astype(object), np.zeros(rows.shape[1])
        file["cell"].make_scale("cell")
        file["gene"].make_scale("This is a netCDF dimension but not a netCDF variable.         3")
        for key, value in {"x": rows, **others}.items():
            file[key] = value
            file[key].dims[0].attach_scale(file["cell"])
        file["x"].dims[1].attach_scale(file["gene"])
        file["x"].attrs.update({key: np.array([value]) for key, value in attributes.items()})


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("encoding", [
    {"dtype": "f4", "_FillValue": -999.0},
    {"dtype": "i2", "scale_factor": 0.001, "add_offset": 1.0, "_FillValue": -32768}])
def test_what_xarray_packs_into_zarr_is_what_it_reads(zarr_format, encoding):
    saved = xr.Dataset({"x": (("cell", "gene"), np.where(GONE, np.nan, X))}, {"cell": NAMES})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of text in the third format
        saved.to_zarr("x.zarr", encoding={"x": encoding}, zarr_format=zarr_format)
        expected = xr.open_zarr("x.zarr", chunks=None).x.to_numpy()
        found = as_named("x.zarr", "x")  # its only array beside coordinates
        np.testing.assert_array_equal(values("x.zarr:x"), expected)
        np.testing.assert_array_equal(match_rows("x.zarr", X, missing="drop").x, expected[COMPLETE])
    assert np.isnan(expected).sum() == GONE.sum()
    assert found.ids.tolist() == NAMES.tolist()
    assert "are missing" in found.notes[0]


def test_rows_of_netcdf_files_are_matched_by_their_coordinates():
    write_netcdf("x.nc", np.where(GONE, -999.0, X), NAMES, {"missing_value": -999.0}, kind=["B", "T"] * 15)
    write_netcdf("y.nc", X[ORDER], NAMES[ORDER], {}, count=np.arange(N) % 3)
    with h5py.File("y.nc", "a") as file:
        file["count"].attrs["_FillValue"] = -1  # which occurs nowhere, so that integers stay integers
    found, kind = match_labelled("x.nc:x", "y.nc:x", "x.nc:kind", missing="drop")
    np.testing.assert_array_equal(found.x, found.y)
    np.testing.assert_array_equal(found.x, X[COMPLETE])
    assert (kind, found.labels.tolist()) == ("class", np.array(["B", "T"] * 15)[COMPLETE].tolist())
    assert "numbers equal to missing_value (-999) are missing" in found.readings[0]
    assert match_rows(X, X, "y.nc:count").labels.dtype.kind == "i"
    for path, message in (("x.nc:z", "expected one of its datasets"), ("x.nc", "expected the name of one dataset")):
        with pytest.raises(ValueError, match=message):
            open_table(path)


def test_what_lies_beneath_a_mask_of_a_file_is_never_used():
    hidden, group = np.where(GONE, -9999.0, X), zarr.open_group("x.zarr", mode="w")
    with h5py.File("x.h5", "w") as file, h5py.File("one.h5", "w") as one:
        for name, array in (("data", hidden), ("mask", GONE), ("y", X), ("y_mask", GONE[:5]), ("z", X),
                            ("z_mask", GONE.astype("i1")), ("images", hidden.reshape(N, 3, 1)),
                            ("images_mask", GONE.reshape(N, 3, 1)), ("w/x_data", hidden), ("w/x_mask", GONE)):
            file[name] = array
            group.create_array(name, data=array)
        one["data"], one["mask"] = hidden, GONE
    for ending in ("h5", "zarr"):
        for name in ("data", "w/x_data", "images"):
            found = as_named(f"x.{ending}:{name}", "x", flatten=True)
            np.testing.assert_array_equal(found.values.rows(0, N), np.where(GONE, np.nan, X))
            assert found.notes[0].endswith("mask masks is missing")
        for name in ("y", "z"):  # masks of another shape, or that are none
            np.testing.assert_array_equal(values(f"x.{ending}:{name}"), X)
    np.testing.assert_array_equal(values("one.h5"), np.where(GONE, np.nan, X))


@pytest.mark.parametrize(("attributes", "stored", "expected"), [
    ({"_FillValue": np.array([255], "u1"), "_Unsigned": "true"}, np.array([-1, -2], "i1"), [np.nan, 254]),
    ({"valid_range": [0, 10]}, np.array([-1, 3, 11], "i2"), [np.nan, 3, np.nan]),
    ({"valid_min": 0, "scale_factor": 2.0}, np.array([-1, 3], "i2"), [np.nan, 6]),  # in packed units
    ({"missing_value": np.array([7.0, 1e20])}, np.array([7, 1e20, 1], "f4"), [np.nan, np.nan, 1]),
    ({"_FillValue": "nan", "add_offset": b"0.5"}, np.array([np.nan, 1]), [np.nan, 1.5]),
    ({"_FillValue": -9999.0}, np.array([1, 2], "u1"), None), ({"units": "m"}, np.array([1.0]), None)])
def test_numbers_are_unpacked_as_the_convention_says(attributes, stored, expected):
    packing = find_packing(attributes, stored.dtype)
    assert (packing is None) == (expected is None)
    if packing is not None:
        np.testing.assert_array_equal(packing.unpacked(stored), expected)


def test_an_attribute_that_is_no_number_is_refused():
    with h5py.File("x.h5", "w") as file:
        file["x"] = X
        file["x"].attrs["scale_factor"] = "metres"
    with pytest.raises(ValueError, match=r"x.h5:x: expected a number as its attribute scale_factor, got metres$"):
        as_named("x.h5:x", "x")


def test_nullable_columns_of_anndata_are_missing_where_they_are_masked():
    anndata, pd = pytest.importorskip("anndata"), pytest.importorskip("pandas")
    columns = {"count": pd.array([1, None, 2] * 10, "Int64"), "flag": pd.array([True, None, False] * 10, "boolean")}
    frame = pd.DataFrame(columns, index=NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = anndata.AnnData(X, obs=frame, obsm={"counts": frame})
        whole.write_h5ad("x.h5ad")
        whole.write_zarr("a.zarr")
        for file in ("x.h5ad", "a.zarr"):
            np.testing.assert_array_equal(as_named(f"{file}:obs/count", "labels").values, [1, np.nan, 2] * 10)
            np.testing.assert_array_equal(as_named(f"{file}:obs/flag", "labels").values, [1, np.nan, 0] * 10)
            np.testing.assert_array_equal(values(f"{file}:obsm/counts"), [[1, 1], [np.nan, np.nan], [2, 0]] * 10)
