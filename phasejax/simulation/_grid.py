"""The grid of a sweep: its dimensions, what varies along each, and how it is cut into boxes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Parameters that set the shapes of arrays: cells that differ in them cannot share a program.
SHAPE_PARAMETERS = ("k", "d", "d_y")
_COUNTS = ("n", *SHAPE_PARAMETERS)
PARAMETERS = {  # long name and units
    "kappa": ("signal strength", "data units"),
    "kappa_bar": ("leading signal strength", "data units"),
    "decay": ("decay of the signal strengths", "1"),
    "nu": ("nuisance correlation", "1"),
    "gamma_x": ("noise variance of x on the signal", "data units squared"),
    "gamma_y": ("noise variance of y on the signal", "data units squared"),
    "nuisance_x": ("nuisance variance of x", "data units squared"),
    "nuisance_y": ("nuisance variance of y", "data units squared"),
    "lam": ("weight of alignment in the joint objective", "data units squared"),
    "n": ("pairs in each sample", "1"),
    "k": ("number of shared signals", "1"),
    "d": ("dimension of x", "1"),
    "d_y": ("dimension of y", "1"),
}


class Axis(NamedTuple):
    """The values, shape (length,), that one parameter takes along a dimension."""

    dim: str
    values: np.ndarray


class Group(NamedTuple):
    """Cells that share one compiled program: their shape parameters, and where they lie in the grid."""

    shapes: dict[str, int]
    index: dict[str, int]


@dataclass(frozen=True)
class Grid:
    """A product of dimensions, along each of which one or several parameters vary together.

    Args:
        dims: name to length, in order.
        axes: parameter to its values.
    """

    dims: dict[str, int]
    axes: dict[str, Axis]

    @classmethod
    def of(cls, axes: Mapping[str, object]) -> "Grid":
        """From name to values, or name to (dimension, values) where parameters share a dimension.

        Raises:
            ValueError: no axis, an empty one, unequal lengths along a dimension, a value out of range.
        """
        if not axes:
            raise ValueError("axes: expected at least one, got none")
        dims: dict[str, int] = {}
        parsed = {}
        for name, given in axes.items():
            dim, values = given if _is_pair(given) else (name, given)
            values = _checked(name, values)
            if dims.setdefault(dim, len(values)) != len(values):
                raise ValueError(f"{name}: expected {dims[dim]} values along {dim!r}, got {len(values)}")
            parsed[name] = Axis(dim, values)
        return cls(dims, parsed)

    def groups(self) -> Iterator[Group]:
        """The combinations of values of the parameters that set shapes; one, empty, where none varies."""
        dims = [dim for dim in self.dims
                if any(axis.dim == dim for name, axis in self.axes.items() if name in SHAPE_PARAMETERS)]
        for position in np.ndindex(*(self.dims[dim] for dim in dims)):
            index = dict(zip(dims, map(int, position), strict=True))
            yield Group({name: int(axis.values[index[axis.dim]]) for name, axis in self.axes.items()
                         if name in SHAPE_PARAMETERS}, index)

    def values(self, group: Group) -> dict[str, np.ndarray]:
        """What varies inside a group: values along a dimension, or one where the group has fixed it."""
        return {name: np.asarray(axis.values[group.index[axis.dim]] if axis.dim in group.index else axis.values)
                for name, axis in self.axes.items() if name not in SHAPE_PARAMETERS}


def chunk_within(lengths: Sequence[int], size: int) -> tuple[int, ...]:
    """The largest box of at most `size` cells that lies without gaps in a grid stored row by row.

    >>> box_within((4, 31, 31), 100)
    (1, 3, 31)
    """
    box, room = [], max(1, size)
    for length in reversed(lengths):
        side = min(length, room)
        box.append(side)
        room = room // length if side == length else 1
    return tuple(reversed(box))


def chunks(lengths: Sequence[int], box: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """First corners of the boxes that cover a grid, row by row."""
    for position in np.ndindex(*(math.ceil(length / side) for length, side in zip(lengths, box, strict=True))):
        yield tuple(int(i) * side for i, side in zip(position, box, strict=True))


def cut_chunk(box: Sequence[int], lengths: Sequence[int], origin: Sequence[int]) -> tuple[int, ...]:
    """Sides of the part of a box that lies inside the grid."""
    return tuple(min(side, length - first) for side, length, first in zip(box, lengths, origin, strict=True))


def _is_pair(given):
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)


def _checked(name, values):
    values = np.asarray(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name}: expected an axis of at least one value, got shape {values.shape}")
    if name in _COUNTS:
        if values.dtype.kind not in "iu" or values.min() < 1:
            raise ValueError(f"{name}: expected whole numbers of at least 1, got {values.tolist()}")
        return values.astype(np.int64)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name}: expected real numbers, got dtype {values.dtype}")
    values = values.astype(np.float64)
    top = 1.0 if name == "nu" else np.inf
    bad = ~((values >= 0) & (values <= top) & (values < np.inf))
    if name in PARAMETERS and bad.any():
        expected = "values in [0, 1]" if name == "nu" else "finite values >= 0"
        raise ValueError(f"{name}: expected {expected}, got {values[bad][0]:g}")
    return values
