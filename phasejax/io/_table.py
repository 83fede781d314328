"""TODO module docstring of io._table."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

NUMBERS = "fiub"  # dtype kinds that hold real numbers or booleans

@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers that are read when they are asked for.

    Make one with `open_table`, or directly for rows that a function can compute.

    Args:
        name: what errors call it.
        shape: rows and columns, each at least 1.
        dtype: of the rows, real numbers or booleans.
        read: rows from `start` up to `stop`, excluded, shape (stop - start, columns).
        step: rows that the file stores together, so that blocks of multiples of it are read fastest.

    Raises:
        ValueError: not two dimensions, no rows, no columns, or no real numbers.

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
        if len(self.shape) != 2:
            raise ValueError(f"{self.name}: expected two dimensions (rows, columns), got shape {self.shape}")
        for size, noun in zip(self.shape, ("row", "column"), strict=True):
            if size < 1:
                raise ValueError(f"{self.name}: expected at least 1 {noun}, got shape {self.shape}")
        if self.dtype.kind not in NUMBERS:
            raise ValueError(f"{self.name}: expected numbers, got dtype {self.dtype}")

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows from `start` up to `stop`, excluded, shape (stop - start, columns), in the table's own dtype.

        Raises:
            ValueError: rows that are not there, or that cannot be read.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"rows: expected 0 <= start <= stop <= {len(self)} in {self.name}, got {start} and {stop}")
        try:
            block = self.read(start, stop)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ValueError(f"{self.name}: expected readable rows {start} to {stop}, "
                             f"got {first_line(error)}") from None
        if block.shape != (stop - start, self.shape[1]):
            raise ValueError(f"{self.name}: expected {(stop - start, self.shape[1])} from row {start}, "
                             f"got {block.shape} (was it changed while being read?)")
        return block

    def blocks(self, rows_at_once: int) -> Iterator[np.ndarray]:
        """All rows in order, at most `rows_at_once` at a time.

        Raises:
            ValueError: fewer than 1 row at once, or what `rows` raises.
        """
        if rows_at_once < 1:
            raise ValueError(f"rows_at_once: expected at least 1, got {rows_at_once}")
        for start in range(0, len(self), rows_at_once):
            yield self.rows(start, min(start + rows_at_once, len(self)))


def chosen(name, noun, nouns, member, present):
    """The member asked for, or the only one there is."""
    present = list(present)
    if member is None and len(present) == 1:
        return present[0]
    if member is not None and member.strip("/") in present:
        return member.strip("/")
    shown = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
    wanted = f"the name of one {noun} after a colon" if member is None else f"one of its {nouns}"
    raise ValueError(f"{name}: expected {wanted} ({shown or 'it has none'}), got {member or 'none'}")


def library(module, extra, name):
    """A module that reads a format; errors say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ValueError(f"{name}: expected {package} to read it with, got {first_line(error)}: "
                         f"pip install phasejax[{extra}]") from None


def first_line(error):
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
