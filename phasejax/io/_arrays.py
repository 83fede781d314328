"""Arrays in memory: reading them from small files, and refusing views that no result can rest on."""

import csv
import itertools
import re
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

_SUFFIXES = (".npy", ".npz", ".csv")


def load_array(path: str | Path, rows: int | None = None) -> np.ndarray:
    """One array from a .npy, .npz or .csv file.

    An array of an .npz file with several is named as FILE.npz:NAME. The first row of a .csv file is a header if it
    has text where the second row has a number, or if the file has one row more than `rows`. Pickled objects are
    refused, since unpickling can run code.

    Args:
        path: the file.
        rows: how many rows the array should have, which tells whether a .csv file has a header; None if not known.

    Returns:
        The array, with the dtype that it has in the file. A table with one column has shape (n,).

    Raises:
        ValueError: the file is missing, unreadable, of another format, or holds more than one array.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "views.csv").write_text("a,b\\n1,2\\n3,4.5\\n")
    ...     load_array(f"{folder}/views.csv").tolist()
    [[1.0, 2.0], [3.0, 4.5]]
    """
    text = str(path)
    member = None
    if match := re.fullmatch(r"(.*\.npz):(.+)", text):
        text, member = match.groups()
    file = Path(text)
    if file.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"{text}: expected a file ending in {', '.join(_SUFFIXES)}, got {file.suffix or 'no ending'}")
    try:
        if file.suffix.lower() == ".csv":
            return _read_csv(file, rows)
        with open(file, "rb") as stream:  # opened here, so that it is closed whatever is wrong with it
            loaded = np.load(stream, allow_pickle=False)
            return loaded if isinstance(loaded, np.ndarray) else _npz_member(loaded, text, member)
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


def _npz_member(archive, text, member):
    names = archive.files
    if member is None and len(names) != 1:
        raise ValueError(f"{text}: expected one array or {text}:NAME, got arrays {', '.join(names) or '(none)'}")
    if member is not None and member not in names:
        raise ValueError(f"{text}: expected one of the arrays {', '.join(names)}, got {member}")
    return archive[member or names[0]]


def _read_csv(file, rows):
    import pandas as pd

    with open(file, newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream)
        head = list(itertools.islice(reader, 2))
        lines = len(head) + sum(bool(row) for row in reader)
    if not head:
        raise ValueError(f"{file}: expected rows, got an empty file")
    has_header = rows is not None and lines == rows + 1
    if len(head) == 2:
        has_header |= any(not _is_number(a) and _is_number(b) for a, b in zip(*head, strict=False))
    try:
        table = pd.read_csv(file, header=0 if has_header else None, skipinitialspace=True)
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: expected a table, got {error}") from None
    if has_header and head[0][0] == "" and np.array_equal(table.iloc[:, 0], np.arange(len(table))):
        raise ValueError(f"{file}: expected data, got a row index in the first column; save the table without it")
    texts = [str(name) for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    if not texts:
        return np.squeeze(table.to_numpy(), 1) if table.shape[1] == 1 else table.to_numpy()
    if table.shape[1] > 1:
        raise ValueError(f"{file}: expected numbers in every column, got text in column {texts[0]}")
    return table.iloc[:, 0].fillna("").to_numpy(str)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


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
