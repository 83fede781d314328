"""One file of each kind that once crashed the interpreter, hung, took all memory or ended in a traceback."""

import gzip
import io
import os
import struct
import zipfile

import numpy as np
import pytest
import scipy.sparse

from phasejax.io import as_named, load_array, open_table

X = np.random.default_rng(0).standard_normal((20, 3))


def _all_rows(found):
    table = getattr(found, "values", found)
    return table.rows(0, len(table))


def refused(path, message):
    """Every way into the package refuses a file in the same line."""
    for read in (open_table, lambda one: as_named(one, "x"), load_array):
        if read is load_array and not path.endswith((".npy", ".npz", ".csv", ".csv.gz")):
            continue
        with pytest.raises(ValueError, match=message) as caught:
            _all_rows(read(path))
        assert "\n" not in str(caught.value)


def npy(shape, kind="'<f8'", data=b""):
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(("data", "message"), [
    (npy("(1000000, 1000000)"), r"x.npy: expected a complete .npy file, got one cut short: 0 of 8000000000000 bytes"),
    (npy("(-1, 4)"), r"x.npy: expected lengths of at least 0, got shape \(-1, 4\)"),
    (npy("(20, 3)", "(" * 200), "x.npy: expected a complete .npy file, got"),
    (npy("(1" + "0" * 30 + ", 4)"), "x.npy: expected a complete .npy file, got"),
])
def test_headers_of_arrays_that_lie(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    with open("x.npy", "wb") as file:
        file.write(data)
    refused("x.npy", message)
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("x.npy", data)
    refused("x.npz", "x.npz: expected ")


def test_what_unpacks_to_more_than_the_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("phasejax._core.input_files.available_memory", lambda: 2**26)
    np.savez_compressed("x.npz", np.zeros((2**21, 5)))
    refused("x.npz", "x.npz: expected what fits into memory")
    with open("x.csv.gz", "wb") as file:
        file.write(gzip.compress(b"0,0,0\n" * 2**22, 1))
    refused("x.csv.gz", "x.csv.gz: expected what fits into memory")


def test_members_that_are_no_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("notes", "no array")
    refused("x.npz", "x.npz: expected an array, got a member notes of another format")


@pytest.mark.parametrize(("part", "values"), [
    ("indices", np.full(20, 10**6)), ("indices", np.full(20, -5)), ("indptr", np.r_[0, np.full(20, 10**6)]),
    ("indptr", np.arange(21)[::-1]), ("indices", np.zeros(3, int)), ("shape", np.array((-20, 3)))])
def test_sparse_indices_that_point_outside(tmp_path, monkeypatch, part, values):
    """Unchecked, SciPy writes to where they point, which ends the interpreter."""
    monkeypatch.chdir(tmp_path)
    parts = {"format": "csr", "shape": (20, 3), "data": np.ones(20), "indices": np.zeros(20, int),
             "indptr": np.arange(21)}
    np.savez("x.npz", **parts | {part: values})
    refused("x.npz", "x.npz: expected a sparse matrix as scipy")
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("anndata")
    with h5py.File("x.h5ad", "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        for name, value in (parts | {part: values}).items():
            if name == "shape":
                group.attrs[name] = value
            elif name != "format":
                group[name] = value
    refused("x.h5ad", "x.h5ad: expected ")


@pytest.mark.parametrize("encoding", ["csr_matrix", "csc_matrix"])
def test_sound_sparse_matrices_are_read_in_any_order_of_indices(tmp_path, encoding):
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("anndata")
    dense = np.where(X > 0, X, 0)
    matrix = getattr(scipy.sparse, encoding)(dense)
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):  # each line backwards
        for values in (matrix.indices, matrix.data):
            values[start:stop] = values[start:stop][::-1].copy()
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": encoding, "encoding-version": "0.1.0", "shape": (20, 3)})
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)
    table = open_table(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(table.rows(0, 20), dense)
    np.testing.assert_array_equal(table.rows(7, 12), dense[7:12])


def test_datasets_that_were_never_written(tmp_path, monkeypatch):
    """HDF5 reads what is missing as zeros, and a dataset may claim terabytes without holding any."""
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    with h5py.File("x.h5", "w") as file:
        file.create_dataset("empty", (10**7, 10**6), "f4")
        file.create_dataset("part", (64, 4), "f4", chunks=(16, 4))[:16] = 1.0
        file["whole"] = X
    refused("x.h5:empty", "expected rows that were written, got none of shape")
    refused("x.h5:part", "expected all of its 4 chunks, got 1")
    assert open_table("x.h5:whole").shape == (20, 3)


def test_metadata_of_tables_that_are_damaged(tmp_path, monkeypatch):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    schema = pa.schema([("a\x1b[31m\n", pa.float64())], metadata={b"pandas": b"{"})
    parquet.write_table(pa.Table.from_arrays([pa.array(X[:, 0])], schema=schema), "x.parquet")
    refused("x.parquet", "x.parquet: expected a complete Parquet file, got Expecting property name")
    parquet.write_table(pa.Table.from_arrays([pa.array(X[:, 0])], schema=schema.remove_metadata()), "x.parquet")
    refused("x.parquet:none", r"expected one of its columns a\\x1b\[31m\\n, got none")
    os.makedirs("x.zarr")
    for text in ("[" * 5000, '{"zarr_format": 3, "node_type": "array", "shape": "a"}', "null"):
        with open("x.zarr/zarr.json", "w") as file:
            file.write(text)
        refused("x.zarr", "x.zarr: expected ")


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet", ".h5", ".h5ad", ".zarr", ".safetensors"])
def test_pipes_are_never_opened(tmp_path, monkeypatch, ending):
    """To open one waits until somebody writes into it."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(f"x{ending}")
    refused(f"x{ending}", "expected a regular file.*, got a named pipe")


def test_fields_longer_than_the_csv_module_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = io.StringIO()
    stream.write("a,b\n1,2\n" + "x" * 131_073 + ",2\n")
    with open("x.csv", "w") as file:
        file.write(stream.getvalue())
    refused("x.csv", "x.csv: expected a table, got field larger than field limit .* in line 3")
