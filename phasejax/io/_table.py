"""A table: rows of numbers that are read from wherever they are when they are asked for."""

import importlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory, reading
from phasejax._core.terminal import listed
from phasejax._core.validation import check_count, shown

NUMBERS = "fiub"  # NumPy's dtype kinds of real numbers and booleans
EXACT = 2**53  # whole numbers up to here are exact in float64
FLATTEN_HINT = " (images? --flatten, flatten=True of as_named, makes each of them a row)"


@checked
@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers that are read when they are asked for.

    `open_table` makes one of a file or an array. Made directly, it can hold rows that a function computes.

    Args:
        name: what errors call the table.
        shape: numbers of rows and of columns, each at least 1.
        dtype: dtype of the rows, real numbers or booleans.
        read: function that returns the rows from `start` up to but not including `stop`, as an array of shape
            (stop - start, columns).
        step: number of rows that the file stores together; blocks of a multiple of it are read fastest.

    Raises:
        ValueError: the shape has not two dimensions or no rows or columns, or the dtype is not one of real numbers.

    >>> doubled = Table("doubled", (4, 2), np.dtype(float), lambda start, stop: 2 * np.ones((stop - start, 2)))
    >>> [block.shape for block in doubled.blocks(3)]
    [(3, 2), (1, 2)]
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray] = field(repr=False)
    step: int = 1

    def __post_init__(self):
        if not isinstance(self.shape, tuple) or not all(isinstance(size, int | np.integer) for size in self.shape):
            raise ValueError(f"shape: expected numbers of rows and of columns, got {shown(self.shape)}")
        if len(self.shape) != 2:
            raise ValueError(f"{self.name}: expected two dimensions (rows, columns), got shape {self.shape}"
                             f"{FLATTEN_HINT if len(self.shape) > 2 else ''}")
        for size, noun in zip(self.shape, ("row", "column"), strict=True):
            if size < 1:
                raise ValueError(f"{self.name}: expected at least 1 {noun}, got shape {self.shape}")
        if not isinstance(self.dtype, np.dtype):
            raise ValueError(f"dtype: expected a NumPy dtype, got {shown(self.dtype)}")
        if self.dtype.kind not in NUMBERS:
            raise ValueError(f"{self.name}: expected numbers, got dtype {self.dtype}")

    def __len__(self) -> int:
        return self.shape[0]

    @checked
    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows from `start` up to but not including `stop`, in the table's own dtype.

        Returns:
            An array of shape (stop - start, columns).

        Raises:
            ValueError: the table does not have these rows, or they cannot be read.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"rows: expected 0 <= start <= stop <= {len(self)} in {self.name}, got {start} and {stop}")
        check_memory(self.name, (stop - start) * self.shape[1] * self.dtype.itemsize)
        with reading(self.name, f"readable rows {start} to {stop}"):
            block = self.read(start, stop)
        if block.shape != (stop - start, self.shape[1]):
            raise ValueError(f"{self.name}: expected {(stop - start, self.shape[1])} from row {start}, "
                             f"got {block.shape} (was it changed while being read?)")
        return block

    @checked
    def blocks(self, rows_at_once: int) -> Iterator[np.ndarray]:
        """All rows in order, in blocks of `rows_at_once` rows; the last block may have fewer.

        Raises:
            ValueError: `rows_at_once` is below 1, or rows cannot be read.
        """
        check_count("rows_at_once", rows_at_once)
        for start in range(0, len(self), rows_at_once):
            yield self.rows(start, min(start + rows_at_once, len(self)))


def table_of_rows(name: str, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[int, int], np.ndarray],
                  step: int = 1, *, flatten: bool = False) -> Table:
    """A table of what is read in rows, each of which may be an image.

    Args:
        name, dtype, read, step: as in `Table`.
        shape: number of rows, and the shape of a row.
        flatten: whether rows of several dimensions, as in (n, height, width, channels), become one, in C order.

    Raises:
        ValueError: as `Table`; rows of several dimensions that are not to be flattened.
    """
    if not flatten or len(shape) < 3:
        return Table(name, shape, dtype, read, step)
    return Table(name, (shape[0], math.prod(shape[1:])), dtype,
                 lambda start, stop: read(start, stop).reshape(stop - start, -1), step)


def choose_member(name: str, noun: str, nouns: str, member: str | None, present: Iterable[str]) -> str:
    """The member of a file that was asked for, or the only one that it has.

    Args:
        name: what errors call the file.
        noun, nouns: what the file's members are, such as "dataset" and "datasets".
        member: which one was asked for; None if none was.
        present: the members that there are.

    Raises:
        ValueError: there is no such member, or none was asked for and there are several, or none at all.
    """
    present = list(present)
    if member is None and len(present) == 1:
        return present[0]
    if member is not None and member.strip("/") in present:
        return member.strip("/")
    shown = listed(present)
    wanted = f"the name of one {noun} after a colon" if member is None else f"one of its {nouns}"
    raise ValueError(f"{name}: expected {wanted} ({shown or 'it has none'}), got {member or 'none'}")


def import_reader(module: str, extra: str, name: str) -> Any:
    """The module that reads the format of the file `name`.

    Raises:
        ValueError: it is not installed; says which extra of phasejax brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ValueError(f"{name}: expected {package} to read it with, got {first_line(error)}: "
                         f"pip install phasejax[{extra}]") from None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the error's type if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
