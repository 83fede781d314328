"""Tables of every format, as their own libraries write them: read in any blocks, and refused in words."""

import contextlib
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from phasejax.io import Table, accumulate, open_table
from phasejax.io._parquet import read_parquet

ROWS = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
COUNTS = np.random.default_rng(1).poisson(0.4, (50, 4)).astype(np.float32)


def save_npy(folder):
    np.save(folder / "a.npy", ROWS)
    return folder / "a.npy"


def save_fortran_npy(folder):
    np.save(folder / "f.npy", np.asfortranarray(ROWS))
    return folder / "f.npy"


def save_big_endian_npy(folder):
    np.save(folder / "e.npy", ROWS.astype(">f4"))
    return folder / "e.npy"


def save_npz(folder):
    np.savez(folder / "a.npz", rows=ROWS, other=ROWS[:3])
    return f"{folder}/a.npz:rows"


def save_parquet(folder, columns=None, **options):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns = columns or {f"c{place}": column for place, column in enumerate(ROWS.T)}
    parquet.write_table(pa.table(columns), folder / "a.parquet", **({"row_group_size": 7} | options))
    return folder / "a.parquet"


def save_zarr(folder):
    import zarr

    zarr.create_array(folder / "a.zarr", data=ROWS, chunks=(8, 2))
    return folder / "a.zarr"


def save_zarr_group(folder):
    import zarr

    group = zarr.open_group(folder / "g.zarr", mode="w")
    group.create_array("first", data=ROWS[:5])
    group.create_group("deep").create_array("rows", data=ROWS, chunks=(8, 4))
    return f"{folder}/g.zarr:deep/rows"


def save_hdf5(folder, suffix="h5"):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / f"a.{suffix}", "w") as file:
        file.create_dataset("views/x", data=ROWS, chunks=(8, 4), compression="gzip")
        file["labels"] = np.arange(50)
        file["text"] = ["a"] * 50
    return f"{folder}/a.{suffix}:views/x"


@contextlib.contextmanager
def third_party():
    """Around writers only: AnnData and MuData warn of their own use of pandas."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def annotated(**parts):
    """AnnData with ROWS in every place that is not given."""
    anndata = pytest.importorskip("anndata")
    import pandas as pd

    frame = pd.DataFrame(ROWS, columns=list("abcd"), index=[str(row) for row in range(50)])
    return anndata.AnnData(**({"X": ROWS, "layers": {"csr": sp.csr_matrix(COUNTS), "csc": sp.csc_matrix(COUNTS)},
                               "obsm": {"pca": ROWS[:, :3], "frame": frame}} | parts))


def names(letters):
    import pandas as pd

    return pd.DataFrame(index=list(letters))


def save_anndata(folder, **parts):
    anndata = pytest.importorskip("anndata")
    # pandas 3 makes row names nullable strings, which AnnData writes only when asked to.
    with third_party(), anndata.settings.override(allow_write_nullable_strings=True):
        annotated(**parts).write_h5ad(folder / "a.h5ad")
    return folder / "a.h5ad"


def save_mudata(folder, second=None):
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    with (third_party(), anndata.settings.override(allow_write_nullable_strings=True),
          mudata.set_options(pull_on_update=False)):
        other = annotated(X=2 * ROWS, layers={}, var=names("pqrs"))
        mudata.MuData({"rna": annotated(), "prot": other if second is None else second}).write(folder / "a.h5mu")
    return f"{folder}/a.h5mu"


FILES = {
    "npy": (save_npy, ROWS), "fortran": (save_fortran_npy, ROWS), "big endian": (save_big_endian_npy, ROWS),
    "npz": (save_npz, ROWS), "parquet": (save_parquet, ROWS), "zarr": (save_zarr, ROWS),
    "zarr group": (save_zarr_group, ROWS), "hdf5": (save_hdf5, ROWS),
    "hdf5 by its long ending": (lambda folder: save_hdf5(folder, "hdf5"), ROWS),
    "h5ad": (save_anndata, ROWS), "h5ad X": (lambda folder: f"{save_anndata(folder)}:X", ROWS),
    "h5ad sparse X": (lambda folder: save_anndata(folder, X=sp.csr_matrix(COUNTS)), COUNTS),
    "h5ad csr": (lambda folder: f"{save_anndata(folder)}:layers/csr", COUNTS),
    "h5ad csc": (lambda folder: f"{save_anndata(folder)}:layers/csc", COUNTS),
    "h5ad obsm": (lambda folder: f"{save_anndata(folder)}:obsm/pca", ROWS[:, :3]),
    "h5ad frame": (lambda folder: f"{save_anndata(folder)}:obsm/frame", ROWS),
    "h5mu": (lambda folder: f"{save_mudata(folder)}:prot", 2 * ROWS),
    "h5mu obsm": (lambda folder: f"{save_mudata(folder)}:rna/obsm/pca", ROWS[:, :3]),
}


@pytest.mark.parametrize("kind", FILES)
def test_rows_of_every_format_come_back(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    save, expected = FILES[kind]
    table = open_table(save(tmp_path))
    assert (table.shape, table.dtype.kind, table.dtype.itemsize) == (expected.shape, "f", 4)
    for rows_at_once in (1, 7, 20, 100):
        blocks = list(table.blocks(rows_at_once))
        assert {block.dtype for block in blocks} == {table.dtype}
        assert [len(block) for block in blocks[:-1]] == [rows_at_once] * (len(blocks) - 1)
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
    for start, stop in ((40, 50), (3, 12), (12, 13), (0, 0), (50, 50), (0, 50)):  # in any order
        np.testing.assert_array_equal(table.rows(start, stop), expected[start:stop])
    with pytest.raises(ValueError, match="rows: expected 0 <= start <= stop <= 50"):
        table.rows(3, 51)
    assert accumulate([table], rows_at_once=9)[0].mean == pytest.approx(expected.mean(0, dtype=float))


def test_arrays_and_tables_pass_through(tmp_path):
    table = open_table(ROWS)
    assert np.shares_memory(table.rows(3, 9), ROWS)
    assert open_table(table) is table
    np.savetxt(tmp_path / "a.csv", ROWS, delimiter=",", header="a,b,c,d", comments="")
    np.testing.assert_allclose(open_table(str(tmp_path / "a.csv")).rows(0, 50), ROWS, rtol=1e-6)
    with pytest.raises(ValueError, match="rows_at_once: expected a whole number of at least 1, got 0"):
        next(table.blocks(0))


def test_parquet_mixes_numbers_and_has_nulls(tmp_path):
    pa = pytest.importorskip("pyarrow")
    columns = {"whole": pa.array([1, None, 3], pa.int32()), "half": pa.array([0.5, 1.5, None], pa.float32()),
               "true": pa.array([True, None, False])}
    table = open_table(save_parquet(tmp_path, columns, row_group_size=2))
    np.testing.assert_array_equal(table.rows(0, 3), [[1, 0.5, 1], [np.nan, 1.5, np.nan], [3, np.nan, 0]])
    with pytest.raises(ValueError, match="x: expected finite values, got NaN or infinity first in row 1, column 0"):
        accumulate([table], names=["x"])
    whole = open_table(save_parquet(tmp_path, {"a": pa.array([1, 2], pa.int8()), "b": pa.array([3, 400], pa.int16())}))
    assert whole.dtype == np.int16
    assert whole.rows(0, 2).tolist() == [[1, 3], [2, 400]]
    assert open_table(save_parquet(tmp_path, {"a": [True, False]})).rows(0, 2).tolist() == [[True], [False]]


def test_parquet_columns_that_are_no_data_are_named(tmp_path):
    pa = pytest.importorskip("pyarrow")

    with pytest.raises(ValueError, match=r"a.parquet: expected numbers in every column, got text in column name"):
        open_table(save_parquet(tmp_path, {"a": [1.0], "name": ["b"]}))
    with pytest.raises(ValueError, match=r"a.parquet:z: expected one of its columns a, got z"):
        open_table(f"{save_parquet(tmp_path, {'a': [1.0]})}:z")
    with pytest.raises(ValueError, match=r"got timestamp.* in column when"):
        open_table(save_parquet(tmp_path, {"when": pa.array([0], pa.timestamp("s"))}))


def test_identifiers_of_parquet_files_are_no_numbers(tmp_path):
    """The index that pandas stores, named or not, and columns with names of identifiers (mudata #109)."""
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.5, 0.25, 3.0]})
    for ids, name in (([7, 5, 6], None), ([7, 5, 6], "object_id"), (["C2", "C1", "C0"], "barcode")):
        frame.set_axis(pd.Index(ids, name=name)).to_parquet(tmp_path / "i.parquet")
        rows = read_parquet(tmp_path / "i.parquet")
        assert (rows.ids.tolist(), rows.columns) == (ids, ("a", "b"))
        np.testing.assert_array_equal(rows.values.rows(1, 3), frame.to_numpy()[1:])
        np.testing.assert_array_equal(open_table(tmp_path / "i.parquet").rows(0, 3), frame.to_numpy())
    frame.to_parquet(tmp_path / "r.parquet")  # the default index is no identifier
    assert read_parquet(tmp_path / "r.parquet").ids is None
    frame.assign(source_id=[2**60 + 1, 2**60, 3]).to_parquet(tmp_path / "s.parquet")
    rows = read_parquet(tmp_path / "s.parquet")
    assert (rows.ids.tolist(), rows.values.shape) == ([2**60 + 1, 2**60, 3], (3, 2))
    assert rows.notes == ("s.parquet: 3 rows, 2 columns, id source_id",)
    assert read_parquet(tmp_path / "s.parquet", id_column="source_id", column="b").values.rows(0, 3).tolist() == [
        [0.5], [0.25], [3.0]]
    for repeated in ([1, 1, 2], [1, None, 2]):
        path = save_parquet(tmp_path, {"a": [0.5, 1.5, 2.5], "object_id": pa.array(repeated, pa.int64())})
        with pytest.raises(ValueError, match="expected an identifier of each row in column object_id, got"):
            open_table(path)


def test_lists_of_one_length_are_columns(tmp_path):
    """Embeddings, as Hugging Face's datasets and polars store them."""
    pa = pytest.importorskip("pyarrow")
    for kind in (pa.list_(pa.float32(), 4), pa.list_(pa.float32()), pa.large_list(pa.float64())):
        columns = {"n": np.arange(50), "embedding": pa.array(ROWS.tolist(), kind), "last": np.arange(50.0)}
        path = save_parquet(tmp_path, columns)
        np.testing.assert_array_equal(open_table(f"{path}:embedding").rows(3, 20), ROWS[3:20])
        table = open_table(path)
        assert table.shape == (50, 6)
        np.testing.assert_array_equal(table.rows(5, 40), np.column_stack([np.arange(50), ROWS, np.arange(50)])[5:40])
    for unequal in ([[1.0, 2.0], [3.0]], [[1.0, 2.0], None]):
        path = save_parquet(tmp_path, {"embedding": pa.array(unequal, pa.list_(pa.float32()))})
        with pytest.raises(ValueError, match=r"got lists in column embedding that are not all of 2 numbers"):
            open_table(path).rows(0, 2)


def test_row_groups_are_streamed(tmp_path):
    """A block inside one large row group is not paid for with the memory of the group."""
    pa = pytest.importorskip("pyarrow")
    rows = 800_000
    table = open_table(save_parquet(tmp_path, {f"c{i}": np.random.default_rng(i).random(rows) for i in range(4)},
                                    row_group_size=rows))
    before = pa.total_allocated_bytes()
    for block in table.blocks(5000):
        assert len(block) == 5000
        assert pa.total_allocated_bytes() - before < 0.6 * 4 * 8 * rows


def test_mudata_with_unpaired_rows_is_refused(tmp_path):
    with third_party():
        whole = annotated(var=names("pqrs"))
        seconds = whole[:30, :].copy(), whole[::-1, :].copy()
    for second in seconds:
        path = save_mudata(tmp_path, second)
        with pytest.raises(ValueError, match="expected the observations of the whole file in their order, got"):
            open_table(f"{path}:prot")
        open_table(f"{path}:rna")


def truncated(path, keep=0.6):
    data = path.read_bytes()
    path.write_bytes(data[:int(keep * len(data))])
    return path


def saved(folder, array, name="b.npy"):
    np.save(folder / name, array, allow_pickle=True)
    return folder / name


def written(folder, name, data):
    (folder / name).write_bytes(data)
    return folder / name


def no_x(folder):
    return save_anndata(folder, X=None, obsm={"pca": ROWS}, layers={})


@pytest.mark.parametrize(("make", "message"), [
    (lambda f: truncated(save_npy(f)), r"a.npy: expected a complete .npy file, got one cut short"),
    (lambda f: truncated(save_npy(f), 0.05), r"a.npy: expected a (complete|valid) .npy file, got"),
    (lambda f: written(f, "b.npy", b""), r"b.npy: expected a complete .npy file, got"),
    (lambda f: saved(f, np.array([[1, None]])), "b.npy: expected an array of numbers or text, got Python objects"),
    (lambda f: written(f, "b.npy", b"\x80\x04K\x01."), "b.npy: expected an array of numbers or text, got Python obj"),
    (lambda f: saved(f, np.ones(3)), r"b.npy: expected two dimensions \(rows, columns\), got shape \(3,\)"),
    (lambda f: saved(f, np.ones((0, 3))), r"b.npy: expected at least 1 row, got shape \(0, 3\)"),
    (lambda f: saved(f, np.ones((3, 0))), r"b.npy: expected at least 1 column, got shape \(3, 0\)"),
    (lambda f: saved(f, np.array([["a", "b"]])), "b.npy: expected numbers, got dtype <U1"),
    (lambda f: saved(f, np.ones((2, 2), complex)), "b.npy: expected numbers, got dtype complex128"),
    (lambda f: f / "none.npy", "none.npy: expected a readable file, got No such file"),
    (lambda f: f / "none.zarr", "none.zarr: expected a readable file, got No such file"),
    (lambda f: f"{f}/none.h5:x", "none.h5: expected a readable file, got No such file"),
    (lambda f: f / "a.xls", r"a.xls: expected a file ending in .npy, .npz, .csv, .*.parquet, .* got .xls"),
    (lambda f: f, "got no ending"),
    (lambda f: truncated(save_parquet(f)), "a.parquet: expected a complete Parquet file, got"),
    (lambda f: save_parquet(f, {"a": np.ones(0)}), "a.parquet: expected at least 1 row"),
    (lambda f: f"{save_hdf5(f)}y", r"expected one of its datasets \(labels, text, views/x\), got views/xy"),
    (lambda f: save_hdf5(f).rpartition(":")[0], r"expected the name of one dataset after a colon \(labels"),
    (lambda f: save_hdf5(f).replace("views/x", "labels"), "labels: expected two dimensions"),
    (lambda f: save_hdf5(f).replace("views/x", "text"), "text: expected two dimensions"),
    (lambda f: truncated(save_anndata(f)), "a.h5ad: expected a complete HDF5 file, got"),
    (lambda f: f"{save_anndata(f)}:obsm/umap",
     r"expected one of its matrices \(X, layers/csc, layers/csr, obsm/frame, obsm/pca\), got obsm/umap"),
    (lambda f: f"{save_anndata(f)}:obs", r"expected one of its matrices .*got obs$"),
    (lambda f: save_mudata(f), r"expected the name of one modality after a colon \(prot, rna\), got none"),
    (lambda f: f"{save_mudata(f)}:atac", r"expected one of its modalities \(prot, rna\), got atac"),
    (lambda f: save_zarr_group(f).replace("deep/rows", "y"), r"expected one of its arrays \(.*deep/rows.*\), got y"),
    (lambda f: f"{save_zarr(f)}:x", "expected .*a.zarr alone, since it is a single array, got the name x"),
    (lambda f: written(f, "b.zarr", b""), "b.zarr: expected a Zarr store, got"),
    (lambda f: [["a"]], "array: expected numbers, got dtype <U1")])
def test_what_is_no_table_is_refused(tmp_path, make, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_table(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_anndata_without_x_takes_its_only_matrix(tmp_path):
    np.testing.assert_array_equal(open_table(no_x(tmp_path)).rows(0, 50), ROWS)


def test_text_in_a_frame_is_named(tmp_path):
    with third_party():
        frame = annotated().obsm["frame"].assign(kind="a")
    with pytest.raises(ValueError, match="expected numbers in every column, got text or categories in column kind"):
        open_table(f"{save_anndata(tmp_path, obsm={'frame': frame})}:obsm/frame")


@pytest.mark.parametrize(("module", "save", "extra"), [
    ("pyarrow", save_parquet, "parquet"), ("h5py", save_hdf5, "hdf5"), ("anndata.io", save_anndata, "anndata"),
    ("anndata.io", lambda folder: f"{save_mudata(folder)}:rna", "anndata")])
def test_a_missing_library_is_named(tmp_path, monkeypatch, module, save, extra):
    pytest.importorskip(module)
    path = save(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"expected {module.partition('.')[0]} to read it with, got .*: pip install "
                                         rf"phasejax\[{extra}\]$") as caught:
        open_table(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_changes_is_refused(tmp_path):
    table = open_table(save_npy(tmp_path))
    np.save(tmp_path / "a.npy", ROWS[:20])
    with pytest.raises(ValueError, match=r"a.npy: expected \(20, 4\) from row 10, got \(10, 4\) \(was it changed"):
        table.rows(10, 30)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(ValueError, match=r"a.npy: expected readable rows 0 to 5, got"):
        table.rows(0, 5)


def test_damaged_rows_are_refused(tmp_path):
    """A file that opens, and whose data are damaged."""
    path = save_hdf5(tmp_path)
    file = tmp_path / "a.h5"
    table = open_table(path)
    data = bytearray(file.read_bytes())
    place = data.index(b"\x78\x5e") if b"\x78\x5e" in data else data.index(b"\x78\x9c")  # a zlib stream
    data[place + 2:place + 40] = bytes(38)
    file.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"a.h5:views/x: expected readable rows 0 to 50, got"):
        table.rows(0, 50)


def test_a_table_can_be_computed():
    table = Table("ones", (5, 2), np.dtype(bool), lambda start, stop: np.ones((stop - start, 2), bool))
    assert accumulate([table])[0].mean.tolist() == [1, 1]
