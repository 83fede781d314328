"""Where the results of a sweep go while it runs: into memory, or into a Zarr store that survives a kill."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Variable:
    """One array of results.

    Args:
        dims, shape, dtype, attrs: of the whole array.
        box: cells along the leading dimensions that are written at a time.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attrs: dict
    box: tuple[int, ...]

    @property
    def fill(self):
        """What stands where a cell has no value, since its spectrum is shorter than others'."""
        return np.nan if np.issubdtype(self.dtype, np.floating) else -1


@dataclass
class DatasetTemplate:
    """Everything about a dataset but its results: variables to come, coordinates, attributes."""

    variables: dict[str, Variable]
    coords: dict[str, tuple]
    attrs: dict = field(default_factory=dict)

    def dataset(self, arrays: dict[str, np.ndarray]) -> xr.Dataset:
        """With the results, or any part of them."""
        return xr.Dataset({name: (self.variables[name].dims, values, self.variables[name].attrs)
                           for name, values in arrays.items()}, self.coords, self.attrs)


class Memory:
    """Results in arrays of their final size."""

    def __init__(self, frame: DatasetTemplate):
        self.frame = frame
        self.arrays = {name: np.full(v.shape, v.fill, v.dtype) for name, v in frame.variables.items()}

    def done(self, mark: str) -> bool:
        return False

    def write(self, mark: str, region: tuple[slice, ...], values: dict[str, np.ndarray]) -> None:
        for name, part in values.items():
            self.arrays[name][_placed(region, part)] = part

    def finish(self) -> xr.Dataset:
        return self.frame.dataset(self.arrays)


class ZarrStore:
    """Results in a Zarr store, box by box; what a killed sweep had finished is not computed again.

    Beside an unfinished store lies a journal, one line for each finished box, written after the
    box itself. A box without a line, half written perhaps, is computed and written again.

    Args:
        path: folder of the store; the journal is `path` + ".unfinished".
        frame: the dataset to come.
        writes: whether this process writes; of several processes only one should.

    Raises:
        ValueError: `path` holds something else, or a sweep with other parameters.
        OSError: `path` cannot be written.
    """

    def __init__(self, path: str | Path, frame: DatasetTemplate, *, writes: bool = True):
        self.path, self.frame, self.writes = Path(path), frame, writes
        self._journal = self.path.with_name(self.path.name + ".unfinished")
        self._marks: set[str] = set()
        self._arrays: dict = {}
        if self.path.exists() and not _is_ours(self.path):
            if not (self._journal.exists() and (self.path / "zarr.json").exists()):
                raise ValueError(f"store: expected a new folder or one that a sweep made, got {self.path}")
            shutil.rmtree(self.path)  # killed while it was made
        if not self.path.exists() and writes:
            self._create()
        self.finished = not self._journal.exists()

    def resume(self) -> None:
        """Read what has been done.

        Raises:
            ValueError: by a sweep with other parameters.
        """
        import zarr

        found = xr.open_zarr(self.path, chunks=None, consolidated=False)
        difference = _difference(found, self.frame)
        if difference:
            raise ValueError(f"store: {self.path} holds another sweep: {difference}")
        self._arrays = dict(zarr.open_group(self.path, mode="a" if self.writes else "r").arrays())
        if not self.finished:
            whole, _, _ = self._journal.read_text(encoding="utf-8").rpartition("\n")
            self._marks = set(whole.splitlines())

    def box(self, name: str) -> tuple[int, ...]:
        """The box that the variable is written by, fixed when the store was made."""
        return self._arrays[name].chunks[:len(self.frame.variables[name].box)]

    def done(self, mark: str) -> bool:
        return self.finished or mark in self._marks

    def write(self, mark: str, region: tuple[slice, ...], values: dict[str, np.ndarray]) -> None:
        if not self.writes:
            return
        for name, part in values.items():
            self._arrays[name][_placed(region, part)] = part
        with open(self._journal, "a", encoding="utf-8") as journal:
            journal.write(mark + "\n")

    def finish(self) -> xr.Dataset:
        """The dataset, read from the store when it is looked at."""
        if self.writes:
            self._journal.unlink(missing_ok=True)
        found = xr.open_zarr(self.path, chunks=None, consolidated=False)
        del found.attrs[_MARK]
        return found[list(self.frame.variables)]

    def _create(self):
        import zarr

        self._journal.touch()
        # The coordinates come last: a store that has them is complete but for its results.
        group = zarr.open_group(self.path, mode="w")
        for name, v in self.frame.variables.items():
            group.create_array(name, shape=v.shape, chunks=v.box + v.shape[len(v.box):], dtype=v.dtype,
                               fill_value=v.fill, dimension_names=v.dims, attributes=_plain(v.attrs))
        empty = xr.Dataset(coords=self.frame.coords, attrs=_plain(self.frame.attrs) | {_MARK: 1})
        empty.to_zarr(self.path, mode="a", consolidated=False)


_MARK = "phasejax_sweep"


def _is_ours(path):
    try:
        return _MARK in json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, KeyError):
        return False


def _placed(region, part):
    """Where results go that have dimensions of their own after the region's."""
    return (*region, *(slice(0, length) for length in part.shape[len(region):]))


def _plain(attrs):
    return {name: np.asarray(value).tolist() if isinstance(value, np.ndarray | np.generic) else value
            for name, value in attrs.items()}


def _difference(found, frame):
    """The first thing in which a stored dataset differs from the one to come, in words; empty if none."""
    for name, value in _plain(frame.attrs).items():
        if not name.endswith("_version") and found.attrs.get(name) != value:
            return f"{name} is {found.attrs.get(name)} there, {value} here"
    wanted = frame.dataset({}).coords
    for name in {*wanted, *found.coords}:
        if name not in wanted or name not in found.coords or not np.array_equal(wanted[name], found.coords[name]):
            return f"axis {name} is {_shown(found.coords.get(name))} there, {_shown(wanted.get(name))} here"
    if set(found.data_vars) != set(frame.variables):
        return f"quantities are {', '.join(sorted(found.data_vars))} there, {', '.join(sorted(frame.variables))} here"
    return ""


def _shown(axis):
    if axis is None:
        return "missing"
    values = np.atleast_1d(axis.values)
    return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
