"""Where the results of a sweep are kept while it runs: in memory, or in a Zarr store that survives a kill.

Both take results chunk by chunk and end in the same dataset. Each chunk has a key, by which a store
knows what a sweep that was interrupted had already finished.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

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
    """A dataset without its results: the variables to come, the coordinates and the attributes."""

    variables: dict[str, Variable]
    coords: dict[str, tuple]
    attrs: dict[str, Any] = field(default_factory=dict)

    def dataset(self, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
        """The dataset with the given results, which may be only some of the variables."""
        return xr.Dataset({name: (self.variables[name].dims, values, self.variables[name].attrs)
                           for name, values in arrays.items()}, self.coords, self.attrs)


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
            self.arrays[name][_with_own_dims(region, part)] = part

    def finish(self) -> xr.Dataset:
        """The dataset, after the last chunk."""
        return self.template.dataset(self.arrays)


class ZarrStore:
    """Results in a Zarr store, chunk by chunk; what a killed sweep had finished is not computed again.

    Beside an unfinished store lies a journal, one line for each finished chunk, written after the
    chunk itself. A chunk without a line, which may be half written, is computed and written again.

    Args:
        path: folder of the store; the journal is `path` + ".unfinished".
        template: the dataset to come.
        writes: whether this process writes; of several processes only one should.

    Raises:
        ValueError: `path` holds something else, or a sweep with other parameters.
        OSError: `path` cannot be written.
    """

    def __init__(self, path: str | Path, template: DatasetTemplate, *, writes: bool = True):
        self.path, self.template, self.writes = Path(path), template, writes
        self._journal = self.path.with_name(self.path.name + ".unfinished")
        self._finished_keys: set[str] = set()
        self._arrays: dict[str, Any] = {}
        if self.path.exists() and not _holds_a_sweep(self.path):
            if not (self._journal.exists() and (self.path / "zarr.json").exists()):
                raise ValueError(f"store: expected a new folder or one that a sweep made, got {self.path}")
            shutil.rmtree(self.path)  # a sweep was killed while it created the store
        if not self.path.exists() and writes:
            self._create()
        self.finished = not self._journal.exists()

    def resume(self) -> None:
        """Read from the journal which chunks are finished.

        Raises:
            ValueError: the store holds a sweep with other parameters.
        """
        import zarr

        found = xr.open_zarr(self.path, chunks=None, consolidated=False)
        difference = _difference(found, self.template)
        if difference:
            raise ValueError(f"store: {self.path} holds another sweep: {difference}")
        self._arrays = dict(zarr.open_group(self.path, mode="a" if self.writes else "r").arrays())
        if not self.finished:
            whole_lines, _, _ = self._journal.read_text(encoding="utf-8").rpartition("\n")
            self._finished_keys = set(whole_lines.splitlines())

    def chunk_shape(self, name: str) -> tuple[int, ...]:
        """Cells along each dimension of the grid that are written at a time, fixed when the store was created."""
        return self._arrays[name].chunks[:len(self.template.variables[name].chunk_shape)]

    def is_done(self, chunk_key: str) -> bool:
        """Whether a chunk was finished, by this run or an earlier one."""
        return self.finished or chunk_key in self._finished_keys

    def write(self, chunk_key: str, region: Region, values: Mapping[str, np.ndarray]) -> None:
        """Write the results of one chunk, then its line in the journal."""
        if not self.writes:
            return
        for name, part in values.items():
            self._arrays[name][_with_own_dims(region, part)] = part
        with open(self._journal, "a", encoding="utf-8") as journal:
            journal.write(chunk_key + "\n")

    def finish(self) -> xr.Dataset:
        """The dataset, whose values are read from the store when they are looked at."""
        if self.writes:
            self._journal.unlink(missing_ok=True)
        found = xr.open_zarr(self.path, chunks=None, consolidated=False)
        del found.attrs[_SWEEP_ATTRIBUTE]
        return found[list(self.template.variables)]

    def _create(self) -> None:
        import zarr

        self._journal.touch()
        # The coordinates and the attribute come last: a store that has them is complete but for its results.
        group = zarr.open_group(self.path, mode="w")
        for name, v in self.template.variables.items():
            chunks = v.chunk_shape + v.shape[len(v.chunk_shape):]
            group.create_array(name, shape=v.shape, chunks=chunks, dtype=v.dtype, fill_value=v.fill,
                               dimension_names=v.dims, attributes=_plain(v.attrs))
        empty = xr.Dataset(coords=self.template.coords, attrs=_plain(self.template.attrs) | {_SWEEP_ATTRIBUTE: 1})
        empty.to_zarr(self.path, mode="a", consolidated=False)


# An attribute of the Zarr group by which a store that a sweep made is told from any other folder.
_SWEEP_ATTRIBUTE = "phasejax_sweep"


def _holds_a_sweep(path: Path) -> bool:
    try:
        return _SWEEP_ATTRIBUTE in json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, KeyError):
        return False


def _with_own_dims(region: Region, part: np.ndarray) -> Region:
    """The index of a chunk's results in a whole array: its region, then all of a result's own dimensions."""
    return (*region, *(slice(0, length) for length in part.shape[len(region):]))


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without NumPy types, which JSON does not know."""
    return {name: np.asarray(value).tolist() if isinstance(value, np.ndarray | np.generic) else value
            for name, value in attrs.items()}


def _difference(found: xr.Dataset, template: DatasetTemplate) -> str:
    """The first thing in which a stored dataset differs from the one to come, in words; empty if nothing does."""
    for name, value in _plain(template.attrs).items():
        if not name.endswith("_version") and found.attrs.get(name) != value:
            return f"{name} is {found.attrs.get(name)} there, {value} here"
    wanted = template.dataset({}).coords
    for name in {*wanted, *found.coords}:
        if name not in wanted or name not in found.coords or not np.array_equal(wanted[name], found.coords[name]):
            return f"axis {name} is {_summary(found.coords.get(name))} there, {_summary(wanted.get(name))} here"
    if set(found.data_vars) != set(template.variables):
        there, here = sorted(map(str, found.data_vars)), sorted(template.variables)
        return f"quantities are {', '.join(there)} there, {', '.join(here)} here"
    return ""


def _summary(axis: xr.DataArray | None) -> str:
    if axis is None:
        return "missing"
    values = np.atleast_1d(axis.values)
    return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
