"""What a sweep will fill with results, and the place in memory where it does so.

The other place is a Zarr store that survives a kill, in `_zarr_store`. Both take results chunk by chunk and end in
the same dataset. Each chunk has a key, by which a store knows what a sweep that was interrupted had already finished.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

# The attribute that says on what a sweep was begun. It may differ when the sweep goes on: no digit depends on it.
COMPUTED_ON = "computed_on"
Region = tuple[slice, ...]  # where a chunk lies along the dimensions of the grid


@dataclass(frozen=True)
class Variable:
    """One array of results that a sweep will fill.

    Args:
        dims, shape, dtype, attrs: of the whole array.
        chunk_shape: cells along the leading dimensions that are written at a time.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attrs: dict[str, Any]
    chunk_shape: tuple[int, ...]

    @property
    def fill(self) -> int | float:
        """The value where a cell has no result, since its spectrum is shorter than that of other cells."""
        return np.nan if np.issubdtype(self.dtype, np.floating) else -1


@dataclass
class DatasetTemplate:
    """A dataset without its results.

    Args:
        variables: what is to come, by name.
        coords, attrs: of the dataset.
        origin: what else decides the numbers, in words for each name: versions of libraries, fingerprints of functions.
    """

    variables: dict[str, Variable]
    coords: dict[str, tuple]
    attrs: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def dataset(self, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
        """The dataset with the given results, which may be only some of the variables."""
        return xr.Dataset({name: (self.variables[name].dims, values, self.variables[name].attrs)
                           for name, values in arrays.items()}, self.coords, self.attrs)

    def bytes_of_results(self) -> tuple[int, int]:
        """Bytes of all floating-point results, and of all others."""
        found = {True: 0, False: 0}
        for v in self.variables.values():
            found[np.issubdtype(v.dtype, np.floating)] += math.prod(v.shape) * np.dtype(v.dtype).itemsize
        return found[True], found[False]

    def digest(self) -> str:
        """A checksum of all that tells this dataset from others before its results are known, but for its origin."""
        attrs = {name: np.asarray(value).tolist() for name, value in self.attrs.items() if name != COMPUTED_ON}
        coords = {name: (dim, str(np.asarray(values).dtype), np.asarray(values).tolist())
                  for name, (dim, values, _) in self.coords.items()}
        variables = {name: (v.dims, v.shape, str(v.dtype)) for name, v in self.variables.items()}
        return hashlib.sha256(json.dumps([attrs, coords, variables]).encode()).hexdigest()

    def begun_elsewhere(self, shapes: Mapping[str, Sequence[int]], computed_on: str | None) -> "DatasetTemplate":
        """The same dataset as another process would have begun it.

        Args:
            shapes: of chunks by name of the variable; those that are left out stay as they are.
            computed_on: of that process; as here where it is not known.
        """
        attrs = self.attrs if computed_on is None else self.attrs | {COMPUTED_ON: computed_on}
        variables = {name: replace(v, chunk_shape=tuple(shapes.get(name, v.chunk_shape)))
                     for name, v in self.variables.items()}
        return replace(self, attrs=attrs, variables=variables)


@runtime_checkable
class Results(Protocol):
    """Where a sweep writes its results."""

    def chunk_shape(self, name: str) -> tuple[int, ...]:
        """Cells along each dimension of the grid that are written at a time to a variable."""
        ...

    def is_done(self, chunk_key: str) -> bool:
        """Whether a chunk need not be computed."""
        ...

    def write(self, chunk_key: str, region: Region, values: Mapping[str, np.ndarray]) -> None:
        """Take the results of one chunk."""
        ...

    def finish(self) -> xr.Dataset:
        """The dataset, after the last chunk."""
        ...

    def close(self) -> None:
        """Let go of what is held, whether the last chunk was written or not."""
        ...


class Memory:
    """Results in arrays of their final size.

    Args:
        template: the dataset to come.
    """

    def __init__(self, template: DatasetTemplate):
        self.template = template
        self.arrays = {name: np.full(v.shape, v.fill, v.dtype) for name, v in template.variables.items()}

    def chunk_shape(self, name: str) -> tuple[int, ...]:
        """Cells along each dimension of the grid that are written at a time to a variable."""
        return self.template.variables[name].chunk_shape

    def is_done(self, chunk_key: str) -> bool:
        """Whether a chunk need not be computed: never, since memory keeps nothing from an earlier run."""
        return False

    def write(self, chunk_key: str, region: Region, values: Mapping[str, np.ndarray]) -> None:
        """Take the results of one chunk."""
        for name, part in values.items():
            self.arrays[name][with_own_dims(region, part.shape)] = part

    def finish(self) -> xr.Dataset:
        """The dataset, after the last chunk."""
        return self.template.dataset(self.arrays)

    def close(self) -> None:
        """Nothing: what is in memory is held by nobody else."""


def with_own_dims(region: Region, shape: tuple[int, ...]) -> Region:
    """The index of a chunk's results in a whole array: its region, then all of a result's own dimensions.

    Args:
        region: along the dimensions of the grid.
        shape: of the results.
    """
    return (*region, *(slice(0, length) for length in shape[len(region):]))
