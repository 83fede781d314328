"""Arrays in memory: reading them from small files, and refusing views that no result can rest on."""

import math
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory, check_regular_file, reading
from phasejax._core.terminal import listed, one_line
from phasejax._core.validation import shown
from phasejax.io._packed import mask_beside

_SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".txt", ".tab", ".dat")
# Sparse matrices of more numbers than this are not made dense.
_DENSE_NUMBERS = 5e7


@checked
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
    return load_masked(path)[0]


def load_masked(path: str | Path) -> tuple[np.ndarray, str | None]:
    """`load_array`, and a line about the mask that was found beside the array; None without.

    A .npz file that holds `data` and `mask`, or NAME and NAME_mask, of one shape holds a masked array as NumPy means
    it: what is masked is missing. FILE.npz:data.npy is the array without its mask.

    Args:
        path: the file.

    Raises:
        ValueError: as `load_array`.
    """
    from phasejax.io._text_table import is_text_path, read_text_table

    if is_text_path(path):
        values: Any = read_text_table(path).values
        return values, None
    text = str(path)
    member = None
    if match := re.fullmatch(r"(.*\.npz):(.+)", text):
        text, member = match.groups()
    file = Path(text)
    if file.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"{text}: expected a file ending in {', '.join(_SUFFIXES)}, got {file.suffix or 'no ending'}")
    check_regular_file(file, text)
    try:
        with reading(text, f"a complete {file.suffix} file"), open(file, "rb") as stream:  # closed whatever is wrong
            stored_header(stream, text, file.stat().st_size)
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return as_bfloat16(loaded, text), None
            return _npz_member(loaded, text, member)
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(f"{text}: expected an array of numbers or text, got Python objects (refused: "
                             "loading them can run code) or another format") from None
        raise


def stored_header(stream: Any, name: str, size: int, *, whole: bool = True) -> tuple[tuple[int, ...], np.dtype] | None:
    """The shape and dtype that a .npy file says it has; None where it is of another format.

    Args:
        stream: the file, opened in binary mode; it is left at its beginning.
        name: what errors call it.
        size: its length in bytes.
        whole: whether it will be read whole, which must fit into memory.

    Raises:
        ValueError: the file is shorter than it says, does not fit into memory, or is damaged.
    """
    start = stream.read(8)
    if start[:6] != np.lib.format.MAGIC_PREFIX:
        stream.seek(0)
        return None
    with reading(name, "a complete .npy file"):
        read = np.lib.format.read_array_header_1_0 if start[6] == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if any(length < 0 for length in shape):
            raise ValueError(f"{name}: expected lengths of at least 0, got shape {shape}")
        claimed = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and claimed > size - stream.tell():
            raise ValueError(f"{name}: expected a complete .npy file, got one cut short: {size - stream.tell()} of "
                             f"{claimed if claimed < 1e15 else format(claimed, '.4g')} bytes for shape {shape}")
    if whole:
        check_memory(name, claimed)
    stream.seek(0)
    return shape, dtype


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


def npz_header(path: str, member: str | None) -> tuple[tuple[int, ...], np.dtype] | None:
    """The shape and dtype of an array in a .npz file, or of its only one; None where it has no such array.

    Raises:
        ValueError: as `stored_header`, or it is no .npz file.
    """
    with reading(path, "a complete .npz file"), open(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
        wanted = names[:1] if member is None else [name for name in (f"{member}.npy", member) if name in names][:1]
        return _member_header(archive, wanted[0], path) if wanted else None


def _member_header(archive, entry, name):
    size = archive.getinfo(entry).file_size
    check_memory(name, size)
    with archive.open(entry) as stream:
        return stored_header(stream, name, size)


def _npz_member(archive, text, member):
    names = archive.files
    if member is None and {"format", "shape", "data"} <= set(names):
        return load_sparse(text).toarray(), None
    if member is None and "data" in names and set(names) <= {"data", "mask", "fill_value"}:
        member = "data"
    if member is not None and member not in names and member.removesuffix(".npy") in names:
        return as_bfloat16(_checked_member(archive, text, member.removesuffix(".npy")), text), None
    if member is None and len(names) != 1:
        raise ValueError(f"{text}: expected one array or {text}:NAME, got arrays {listed(names) or '(none)'}")
    if member is not None and member not in names:
        raise ValueError(f"{text}: expected one of the arrays {listed(names)}, got {member}")
    name = member or names[0]
    found = as_bfloat16(_checked_member(archive, text, name), text)
    beside = mask_beside(name)
    mask = _checked_member(archive, text, beside) if beside in names else None
    if mask is None or mask.dtype.kind != "b" or mask.shape != found.shape or found.dtype.kind not in "fiubUS":
        return found, None
    masked = np.where(mask, "", found) if found.dtype.kind in "US" else \
        np.where(mask, np.nan, found.astype(np.result_type(found.dtype, np.float32))) if mask.any() else found
    return masked, (f"{Path(text).name}: {mask.sum()} values of {name} are missing, since {beside} masks them "
                    f"({Path(text).name}:{name}.npy reads all)")


def _checked_member(archive, text, name):
    _member_header(archive.zip, name if name in archive.zip.namelist() else f"{name}.npy", text)
    found = archive[name]
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{text}: expected an array, got a member {one_line(name, 60)} of another format")
    return found


def load_sparse(path: str) -> Any:
    """A sparse matrix as `scipy.sparse.save_npz` writes it, every index of which has been checked.

    Raises:
        ValueError: it is too large to be made dense, points outside itself, or is damaged.
    """
    import scipy.sparse

    with reading(path, "a sparse matrix as scipy.sparse.save_npz writes it"):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                _member_header(archive, entry, path)
        with np.load(path, allow_pickle=False) as parts:
            rows, columns = (int(size) for size in parts["shape"])
        if rows * columns > _DENSE_NUMBERS:
            raise ValueError(f"{path}: expected at most {_DENSE_NUMBERS:.0e} numbers of a sparse matrix, to make it "
                             f"dense, got {rows} x {columns}; reduce its columns, as scikit-learn's TruncatedSVD does")
        matrix = scipy.sparse.load_npz(path)
        if hasattr(matrix, "check_format"):  # an index outside would be written to memory that is not the matrix's
            matrix.check_format(full_check=True)
        return matrix


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
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: expected rows of one length, got {shown(value)}") from None
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
