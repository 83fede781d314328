"""The grid of a sweep: its dimensions, what varies along each of them, and how it is cut into chunks of cells.

A cell is one combination of parameter values. Along a dimension one parameter varies, or several
together. Chunks are the rectangular pieces of a grid that the executor computes one at a time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from phasejax._core.validation import shown

# Parameters that set the shapes of arrays: cells that differ in them cannot share a program.
SHAPE_PARAMETERS = ("k", "d", "d_y")
_COUNTS = ("n", *SHAPE_PARAMETERS)
# The most values along a dimension, and the most combinations of shape parameters: each is a program to compile.
LONGEST, _MOST_GROUPS = 10**7, 1000
# Long name and units of each parameter, for the coordinates of a dataset.
PARAMETERS = {
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
    """The cells that agree in their shape parameters, so that one compiled program computes them.

    Args:
        shapes: shape parameter to its value in this group.
        index: dimension along which shapes vary to the group's index on it.
    """

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
    def from_axes(cls, axes: Mapping[str, Any]) -> "Grid":
        """The grid of name to values, or of name to (dimension, values) where parameters share a dimension.

        Raises:
            ValueError: no axis, an empty one, unequal lengths along a dimension, a value out of range.
        """
        if not isinstance(axes, Mapping):
            raise ValueError(f"axes: expected values of parameters by name, got {shown(axes)}")
        if not axes:
            raise ValueError("axes: expected at least one, got none")
        dims: dict[str, int] = {}
        parsed = {}
        for name, given in axes.items():
            dim, values = given if _names_a_dimension(given) else (name, given)
            values = _checked_values(name, values)
            if dims.setdefault(dim, len(values)) != len(values):
                raise ValueError(f"{name}: expected {dims[dim]} values along {dim!r}, got {len(values)}")
            parsed[name] = Axis(dim, values)
        grid = cls(dims, parsed)
        if (groups := math.prod(dims[dim] for dim in grid.dims_of_shapes())) > _MOST_GROUPS:
            raise ValueError(f"{', '.join(name for name in SHAPE_PARAMETERS if name in parsed)}: expected at most "
                             f"{_MOST_GROUPS} combinations, since each is a program of its own, got {groups}")
        return grid

    def dims_of_shapes(self) -> list[str]:
        """The dimensions along which shapes of arrays vary."""
        return [dim for dim in self.dims
                if any(axis.dim == dim for name, axis in self.axes.items() if name in SHAPE_PARAMETERS)]

    def groups(self) -> Iterator[Group]:
        """One group for each combination of shape parameters; a single one where no shape varies."""
        dims = self.dims_of_shapes()
        for position in np.ndindex(*(self.dims[dim] for dim in dims)):
            index = dict(zip(dims, map(int, position), strict=True))
            yield Group({name: int(axis.values[index[axis.dim]]) for name, axis in self.axes.items()
                         if name in SHAPE_PARAMETERS}, index)

    def values(self, group: Group) -> dict[str, np.ndarray]:
        """Parameter to its values inside a group: an array along a dimension, a scalar where the group fixes it."""
        return {name: np.asarray(axis.values[group.index[axis.dim]] if axis.dim in group.index else axis.values)
                for name, axis in self.axes.items() if name not in SHAPE_PARAMETERS}


def chunk_shape_within(lengths: Sequence[int], size: int) -> tuple[int, ...]:
    """The shape of the largest chunk of at most `size` cells that is contiguous in a grid stored row by row.

    >>> chunk_shape_within((4, 31, 31), 100)
    (1, 3, 31)
    """
    shape, room = [], max(1, size)
    for length in reversed(lengths):
        side = min(length, room)
        shape.append(side)
        room = room // length if side == length else 1
    return tuple(reversed(shape))


def chunk_origins(lengths: Sequence[int], chunk_shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The index of the first cell of every chunk of a grid, row by row.

    >>> list(chunk_origins((2, 5), (1, 3)))
    [(0, 0), (0, 3), (1, 0), (1, 3)]
    """
    for position in np.ndindex(*(math.ceil(length / side) for length, side in zip(lengths, chunk_shape, strict=True))):
        yield tuple(int(i) * side for i, side in zip(position, chunk_shape, strict=True))


def clipped_chunk_shape(chunk_shape: Sequence[int], lengths: Sequence[int], origin: Sequence[int]) -> tuple[int, ...]:
    """The shape of the part of a chunk that lies inside the grid: smaller than the chunk at the grid's far edges.

    >>> clipped_chunk_shape((1, 3), (2, 5), (1, 3))
    (1, 2)
    """
    return tuple(min(side, length - first) for side, length, first in zip(chunk_shape, lengths, origin, strict=True))


def _names_a_dimension(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)


def _checked_values(name: str, values: Any) -> np.ndarray:
    """The values of an axis as int64 (counts) or float64, refused where they are out of range."""
    values = np.asarray(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name}: expected an axis of at least one value, got shape {values.shape}")
    if len(values) > LONGEST:
        raise ValueError(f"{name}: expected at most {LONGEST} values, got {len(values)}")
    if name in _COUNTS:
        if values.dtype.kind not in "iu" or values.min() < 1:
            raise ValueError(f"{name}: expected whole numbers of at least 1, got {shown(values)}")
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
