"""Arrays in memory: reading them from small files, and refusing views that no result can rest on."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

_SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".txt", ".tab", ".dat")
# Sparse matrices of more numbers than this are not made dense.
_DENSE_NUMBERS = 5e7


def load_array(path: str | Path) -> np.ndarray:
    """One array from a .npy or .npz file, or a text table (.csv, .tsv, .txt, also compressed as .gz).

    An array of an .npz file with several is named as FILE.npz:NAME, and a column of a text table as FILE.csv:NAME; a
    sparse matrix as `scipy.sparse.save_npz` writes it becomes dense. How a text table is read is decided from the file
    alone, and identifiers of its rows are left out. Pickled objects are refused, since unpickling can run code.

    Args:
        path: the file.

    Returns:
        The array, with the dtype that it has in the file. A text table with one column has shape (n,).

    Raises:
        ValueError: the file is missing, unreadable, of another format, or holds more than one array.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "views.csv").write_text("a,b\\n1,2\\n3,4.5\\n")
    ...     load_array(f"{folder}/views.csv").tolist()
    [[1.0, 2.0], [3.0, 4.5]]
    """
    from phasejax.io._text_table import is_text_path, read_text_table

    if is_text_path(path):
        values: Any = read_text_table(path).values
        return values
    text = str(path)
    member = None
    if match := re.fullmatch(r"(.*\.npz):(.+)", text):
        text, member = match.groups()
    file = Path(text)
    if file.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"{text}: expected a file ending in {', '.join(_SUFFIXES)}, got {file.suffix or 'no ending'}")
    try:
        with open(file, "rb") as stream:  # opened here, so that it is closed whatever is wrong with it
            loaded = np.load(stream, allow_pickle=False)
            return as_bfloat16(loaded, text) if isinstance(loaded, np.ndarray) else _npz_member(loaded, text, member)
    except OSError as error:
        raise ValueError(f"{text}: expected a readable file, got {error.strerror or error}") from None
    except (EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{text}: expected a complete {file.suffix} file, got {error}") from None
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(f"{text}: expected an array of numbers or text, got Python objects (refused: "
                             "loading them can run code) or another format") from None
        prefix = "" if str(error).startswith(text) else f"{text}: expected a valid {file.suffix} file, got "
        raise ValueError(prefix + str(error).splitlines()[0]) from None


def as_bfloat16(array: np.ndarray, name: str) -> np.ndarray:
    """Numbers that NumPy calls two opaque bytes, as float32: this is how it saves arrays of bfloat16.

    Args:
        array: any array; others than of two opaque bytes are returned as they are.
        name: what errors call it.

    Raises:
        ValueError: the bytes are those of an ml_dtypes type of one byte, of which there are several.
    """
    if array.dtype.kind != "V" or array.dtype.names is not None:
        return array
    if array.dtype.itemsize != 2:
        raise ValueError(f"{name}: expected numbers, got dtype {array.dtype}, whose name NumPy did not store; "
                         "save it as float32")
    bits = np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32)


def _npz_member(archive, text, member):
    names = archive.files
    if member is None and {"format", "shape", "data"} <= set(names):
        return _dense(archive, text)
    if member is None and len(names) != 1:
        raise ValueError(f"{text}: expected one array or {text}:NAME, got arrays {', '.join(names) or '(none)'}")
    if member is not None and member not in names:
        raise ValueError(f"{text}: expected one of the arrays {', '.join(names)}, got {member}")
    return as_bfloat16(archive[member or names[0]], text)


def _dense(archive, text):
    """A sparse matrix in the form in which `scipy.sparse.save_npz` stores it, made dense."""
    import scipy.sparse

    rows, columns = (int(size) for size in archive["shape"])
    if rows * columns > _DENSE_NUMBERS:
        raise ValueError(f"{text}: expected at most {_DENSE_NUMBERS:.0e} numbers of a sparse matrix, to make it dense, "
                         f"got {rows} x {columns}; reduce its columns, as scikit-learn's TruncatedSVD does")
    return scipy.sparse.load_npz(text).toarray()


def check_views(x: ArrayLike, y: ArrayLike) -> tuple[Float[np.ndarray, "n d_x"], Float[np.ndarray, "n d_y"]]:
    """Two views of the same n things as float64 arrays, once they have been found fit to be whitened.

    Args:
        x, y: finite numbers, shapes (n, d_x) and (n, d_y), n > max(d_x, d_y), without constant columns.

    Raises:
        ValueError: naming the view, what was expected and what was given.
    """
    x, y = finite_view("x", x), finite_view("y", y)
    if len(x) != len(y):
        raise ValueError(f"y: expected {len(x)} rows as in x, got {len(y)}")
    for name, view in (("x", x), ("y", y)):
        constant = np.flatnonzero(np.ptp(view, 0) == 0)
        if constant.size:
            more = f" and {constant.size - 1} more" if constant.size > 1 else ""
            raise ValueError(f"{name}: expected columns that vary, got a constant in column {constant[0]}{more}")
        if len(view) <= view.shape[1]:
            raise ValueError(f"{name}: expected more rows than its {view.shape[1]} columns, to whiten them, "
                             f"got {len(view)}")
    return x, y


def finite_view(name: str, value: ArrayLike) -> Float[np.ndarray, "n d"]:
    """One view as a float64 array, once it has been found to hold finite numbers.

    Args:
        name: the argument, as errors call it.
        value: numbers, shape (n, d), n >= 2 and d >= 1.

    Raises:
        ValueError: naming the view, what was expected and what was given.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected numbers, got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name}: expected two dimensions (rows, columns), got shape {array.shape}")
    if len(array) < 2:
        raise ValueError(f"{name}: expected at least 2 rows, got {len(array)}")
    if array.shape[1] == 0:
        raise ValueError(f"{name}: expected at least 1 column, got none")
    array = array.astype(np.float64)
    check_finite(name, array)
    return array


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity.

    Args:
        name: the argument, as the error calls it.
        array: numbers, shape (n, ...).

    Raises:
        ValueError: with their count and the first row that has one.
    """
    bad = ~np.isfinite(array).reshape(len(array), -1)
    if bad.any():
        raise ValueError(f"{name}: expected finite values, got {bad.sum()} that are NaN or infinite, "
                         f"the first in row {bad.any(1).argmax()}")
