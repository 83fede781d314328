"""Arrays from small files in every format, and what of files and views is refused."""

import numpy as np
import pytest
import scipy.sparse as sp

from phasejax.io import load_array, open_table
from phasejax.io._arrays import check_views, finite_view

X, Y = np.random.default_rng(0).standard_normal((2, 40, 5))


def test_files_in_all_formats_read_back(tmp_path):
    rows = X.round(3)
    np.save(tmp_path / "x.npy", rows)
    np.savez(tmp_path / "one.npz", rows)
    np.savez(tmp_path / "two.npz", x=rows, y=Y)
    np.savetxt(tmp_path / "plain.csv", rows, delimiter=",")
    np.savetxt(tmp_path / "header.csv", rows, delimiter=",", header="a,b,c,d,e", comments="")
    np.savetxt(tmp_path / "bom.csv", rows, delimiter=", ", encoding="utf-8-sig")
    for name in ("x.npy", "one.npz", "two.npz:x", "plain.csv", "header.csv", "bom.csv"):
        np.testing.assert_allclose(load_array(tmp_path / name), rows)


def test_csv_labels(tmp_path):
    def written(text):
        (tmp_path / "l.csv").write_text(text)
        return load_array(tmp_path / "l.csv")

    for text in ("cat\ndog\ncat\ndog\n", "species\ncat\ndog\ncat\ndog\n", "cat\ndog\ncat\ndog"):
        np.testing.assert_array_equal(written(text), ["cat", "dog", "cat", "dog"])
    for text in ("1\n0\n1\n0\n", "label\n1\n0\n1\n0\n"):
        labels = written(text)
        np.testing.assert_array_equal(labels, [1, 0, 1, 0])
        assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(written("a,b\n1,2\n3,4\n5,6\n7,8.5\n")[3], [7, 8.5])
    np.testing.assert_array_equal(written("cat\n \ncat\ndog\n"), ["cat", "", "cat", "dog"])


def test_a_column_of_a_text_table_is_named(tmp_path):
    (tmp_path / "stars.csv").write_text("star,class,teff\n7,B,5777.5\n8,T,4286.5\n9,B,6000.1\n")
    np.testing.assert_array_equal(load_array(f"{tmp_path}/stars.csv:class"), ["B", "T", "B"])
    np.testing.assert_array_equal(load_array(f"{tmp_path}/stars.csv:teff"), [5777.5, 4286.5, 6000.1])
    with pytest.raises(ValueError, match=r"stars.csv: expected one of its columns star, class, teff, got logg"):
        load_array(f"{tmp_path}/stars.csv:logg")


def test_numbers_that_numpy_stores_in_other_forms_keep_their_values(tmp_path):
    """Big-endian, Fortran order, float16, and bfloat16, of which NumPy stores two opaque bytes."""
    import ml_dtypes

    for name, stored in (("big", X.astype(">f8")), ("ints", np.arange(9).astype(">i4")),
                         ("fortran", np.asfortranarray(X)), ("half", X.astype(np.float16)), ("bool", X > 0)):
        np.save(tmp_path / f"{name}.npy", stored)
        np.testing.assert_array_equal(load_array(tmp_path / f"{name}.npy"), stored)
    stored = X.astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "brain.npy", stored)
    np.savez(tmp_path / "brain.npz", x=stored)
    for path in ("brain.npy", "brain.npz:x"):
        read = load_array(tmp_path / path)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, stored.astype(np.float32))
    np.testing.assert_array_equal(open_table(tmp_path / "brain.npy").rows(3, 9), stored[3:9].astype(np.float32))
    np.save(tmp_path / "eight.npy", X.astype(ml_dtypes.float8_e4m3fn))
    with pytest.raises(ValueError, match=r"eight.npy: expected numbers, got dtype .V1, whose name NumPy did not store"):
        load_array(tmp_path / "eight.npy")


def test_sparse_matrices_become_dense(tmp_path):
    """As scipy.sparse.save_npz writes them: a view of 40 things, most of whose numbers are 0."""
    dense = np.where(np.abs(X) > 1, X, 0)
    for kind in ("csr", "csc", "coo"):
        sp.save_npz(tmp_path / f"{kind}.npz", sp.coo_matrix(dense).asformat(kind))
        np.testing.assert_array_equal(load_array(tmp_path / f"{kind}.npz"), dense)
        np.testing.assert_array_equal(open_table(tmp_path / f"{kind}.npz").rows(3, 9), dense[3:9])
    sp.save_npz(tmp_path / "large.npz", sp.csr_matrix((10_000, 20_000)))
    with pytest.raises(ValueError, match=r"large.npz: expected at most 5e\+07 numbers .*, got 10000 x 20000; reduce"):
        load_array(tmp_path / "large.npz")


@pytest.mark.parametrize(("name", "content", "message"), [
    ("x.npy", b"not an array", "expected an array of numbers or text, got Python objects .* or another format"),
    ("x.npz", b"PK\x03\x04 truncated", "expected a complete .npz file"),
    ("x.csv", b"", "expected rows, got an empty file"),
    ("x.csv", b"a,b\n1,2\n3,x\n", "expected numbers in every column, got text in column b"),
    ("x.csv", b"1,2\n3,4,5\n", "expected a table"),
    ("x.doc", b"1 2", "expected a file ending in .npy, .npz, .csv, .*, got .doc"),
    ("x", b"1 2", "got no ending"),
    ("missing.npy", None, "expected a readable file, got No such file"),
])
def test_unreadable_files_are_refused_in_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_array(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_truncated_object_and_ambiguous_files(tmp_path):
    np.save(tmp_path / "x.npy", X)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"x.npy: expected a complete .npy file"):
        load_array(tmp_path / "x.npy")
    np.save(tmp_path / "o.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match="got Python objects"):
        load_array(tmp_path / "o.npy")
    np.savez(tmp_path / "two.npz", x=X, y=Y)
    with pytest.raises(ValueError, match=r"expected one array or .*two.npz:NAME, got arrays x, y"):
        load_array(tmp_path / "two.npz")
    with pytest.raises(ValueError, match="expected one of the arrays x, y, got z"):
        load_array(f"{tmp_path / 'two.npz'}:z")


def test_views_become_float64_and_keep_their_values():
    x, y = check_views(np.round(10 * X).astype(np.int32), Y.astype(np.float32))
    assert (x.dtype, y.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(x, np.round(10 * X))
    np.testing.assert_array_equal(y, Y.astype(np.float32))
    assert finite_view("x", [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(("x", "y", "message"), [
    (X, Y[:-1], "y: expected 40 rows as in x, got 39"),
    (X, np.c_[Y, np.full((40, 2), 3.0)], "y: expected columns that vary, got a constant in column 5 and 1 more"),
    (X[:5], Y[:5], "x: expected more rows than its 5 columns, to whiten them, got 5"),
    (X[:1], Y[:1], "x: expected at least 2 rows, got 1"),
    (X[:, :0], Y, "x: expected at least 1 column, got none"),
    (X, Y.astype(str), "y: expected numbers, got dtype <U"),
    (np.where(X[3, 2] == X, np.nan, X), Y, "x: expected finite values, got 1 that are NaN or infinite, the first in r"),
])
def test_views_that_cannot_be_whitened_are_refused(x, y, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        check_views(x, y)
