"""The Zarr store of a sweep, which survives a kill, notices damage and belongs to one run at a time.

A store comes into being in one step: it is made beside its place, complete but for its results, and renamed. From then
on only chunks are added, each with a line in the journal, and at last the line that says that it is finished. What the
journal vouches for is compared with the files whenever a store is opened: what is missing or was changed is named and,
in a sweep, computed again.
"""

import errno
import json
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from phasejax._core.run_lock import RunLock
from phasejax.io import InputNote
from phasejax.simulation._chunk_writer import RUN_FOLDER, ChunkRecord, ChunkWriter, plain, write_durably
from phasejax.simulation._journal import Journal
from phasejax.simulation._store import DatasetTemplate, Region
from phasejax.simulation._store_files import (
    LOCK,
    build,
    damaged_chunks,
    damaged_files,
    is_as_written,
    new_folder,
    remove_leftovers,
)

_FORMAT = 1  # of what the identity holds and the journal looks like
# In `DatasetTemplate.origin`, before the name of a quantity: what tells the function that computes it from others.
OF_FUNCTION = "function of "
# An attribute of the stores that earlier versions made, which have no checksums.
_EARLIER_ATTRIBUTE = "phasejax_sweep"


class ZarrStore:
    """Results in a Zarr store, chunk by chunk; what an interrupted sweep had finished is not computed again.

    Args:
        path: folder of the store.
        template: the dataset to come.
        writes: whether this process keeps the journal; of several processes only one does.

    Raises:
        ValueError: `path` holds something else, or another run is writing there.
        OSError: `path` cannot be written.
    """

    def __init__(self, path: str | Path, template: DatasetTemplate, *, writes: bool = True):
        self.path, self.template, self.writes = Path(path), template, writes
        self._root = Path(os.path.realpath(path))
        self._lock: RunLock | None = None
        self._journal: Journal | None = None
        if writes:
            while not _is_there(self._root):
                self._create()
            _read_journal(self.path, self._root)  # refuses what is no store before it is locked

    def resume(self) -> None:
        """Find out which chunks are finished, and take the store for this run unless all are.

        What is damaged is made good or dropped by the process that writes; others believe its journal.

        Raises:
            ValueError: the store holds another sweep, it is damaged in a way that cannot be made good, or another run
                is writing there.
            OSError: the store is unfinished and cannot be written.
        """
        try:
            self._journal = _read_journal(self.path, self._root)
            if self.writes and not (self._lock is None and self._is_finished_and_sound()):
                try:
                    self._take()
                except OSError as error:
                    raise type(error)(f"store: expected one that can be written, since it is not finished, got "
                                      f"{self.path} ({error.strerror or error})") from None
            difference = self._difference()
            if difference:
                hint = " (phasejax.simulation.open_sweep reads it as it is)" if self._journal.finished else ""
                raise ValueError(f"store: {self.path} holds another sweep: {difference}{hint}")
        except BaseException:
            self.close()
            raise

    def _is_finished_and_sound(self) -> bool:
        journal = self._journal_here
        return (journal.finished and journal.intact and not damaged_files(self._root, journal)
                and not damaged_chunks(self._root, journal))

    def _take(self) -> None:
        """Lock the store, and bring it into a state from which the sweep can go on."""
        if self._lock is None:
            self._lock = RunLock(self._root / LOCK, "store", self.path)
            remove_leftovers(self._root.parent, self._root.name)
        # Read only now, since another run may have ended just before.
        self._journal = journal = _read_journal(self.path, self._root)
        for partial in self._root.rglob("*.partial"):
            partial.unlink(missing_ok=True)
        self._make_good(damaged_files(self._root, journal))
        damaged = damaged_chunks(self._root, journal)
        for key in damaged:
            del journal.chunks[key]
        if damaged or not journal.intact:
            journal.finished = journal.finished and not damaged
            journal.rewrite()
        if damaged:
            count = f"{len(damaged)} damaged chunk{'s' if len(damaged) > 1 else ''}"
            warnings.warn(InputNote(f"store: {count} of {self.path} will be computed again: "
                                    f"{_listed(file for files in damaged.values() for file in files)}"), stacklevel=5)

    @cached_property
    def writer(self) -> ChunkWriter:
        """Writes chunks into this store, from any process."""
        variables = self.template.variables
        with xr.open_zarr(self._root, chunks=None, consolidated=False, decode_cf=False) as found:
            chunks = {name: tuple(found[name].encoding["chunks"]) for name in variables}
        return ChunkWriter(self._root, self._journal_here.identity, dict(variables), chunks)

    def chunk_shape(self, name: str) -> tuple[int, ...]:
        """Cells along each dimension of the grid that are written at a time, fixed when the store was created."""
        return self.writer.chunks[name][:len(self.template.variables[name].chunk_shape)]

    def is_done(self, chunk_key: str) -> bool:
        """Whether a chunk was finished, by this run or an earlier one."""
        return chunk_key in self._journal_here.chunks

    def record(self, written: ChunkRecord) -> None:
        """Enter in the journal a chunk that `writer` wrote, here or in another process."""
        self._journal_here.add(written)

    def write(self, chunk_key: str, region: Region, values: Mapping[str, np.ndarray]) -> None:
        """Write the results of one chunk, then its line in the journal."""
        if self.writes:
            self.record(self.writer.write(chunk_key, region, values))

    def finish(self) -> xr.Dataset:
        """The dataset, whose values are read from the store when they are looked at."""
        if self.writes and not self._journal_here.finished:
            self._journal_here.finish()
        self.close()
        return _dataset(self._root)[list(self.template.variables)]

    def close(self) -> None:
        """Let others write to the store."""
        if self._lock is not None:
            self._lock.release()

    @property
    def _journal_here(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("a store is read with `resume` before it is used")
        return self._journal

    def _create(self) -> None:
        """Make the store beside its place and rename it; nothing where another run was faster."""
        parent = self._root.parent
        try:
            remove_leftovers(parent, self._root.name)
            made, lock = new_folder(parent, self._root.name, self.path)
        except OSError as error:
            raise type(error)(f"store: expected a folder in one that can be written, got {self.path} "
                              f"({error.strerror or error})") from None
        try:
            files = build(made, self.template)
            Journal.begin(made, {"format": _FORMAT, "store": uuid.uuid4().hex, "origin": self.template.origin,
                                 "files": files})
            os.rename(made, self._root)
            lock.moved_to(self._root / LOCK)
            self._lock = lock
        except BaseException as error:
            lock.release()
            shutil.rmtree(made, ignore_errors=True)
            if not (isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY)):
                raise

    def _make_good(self, damaged: list[str]) -> None:
        """Write again those of the files that the store began with that are not what they were."""
        if not damaged:
            return
        files: dict[str, str] = self._journal_here.about["files"]
        with tempfile.TemporaryDirectory() as again:
            build(Path(again), self.template)
            for file in damaged:
                if not is_as_written(Path(again, file), files[file]):
                    raise ValueError(f"store: expected {file} in {self.path} as it was written, got another or none "
                                     "(put it back from a copy, or remove the store to compute the sweep anew)")
            for file in damaged:
                write_durably(self._root / file, Path(again, file).read_bytes())
        warnings.warn(InputNote(f"store: damaged files of {self.path} were made anew: {_listed(damaged)}"),
                      stacklevel=6)

    def _difference(self) -> str:
        """The first thing in which the stored sweep differs from the one to come, in words; empty if nothing does."""
        template = self.template
        found = xr.open_zarr(self._root, chunks=None, consolidated=False)
        for name, value in plain(template.attrs).items():
            if found.attrs.get(name) != value:
                return f"{name} is {found.attrs.get(name)} there, {value} here"
        wanted = template.dataset({}).coords
        for name in sorted({*wanted, *found.coords}, key=str):
            if name not in wanted or name not in found.coords or not np.array_equal(
                    wanted[name], found.coords[name], equal_nan=True):
                return f"axis {name} is {_summary(found.coords.get(name))} there, {_summary(wanted.get(name))} here"
        if set(found.data_vars) != set(template.variables):
            there, here = sorted(map(str, found.data_vars)), sorted(template.variables)
            return f"quantities are {', '.join(there)} there, {', '.join(here)} here"
        for name, variable in template.variables.items():
            there, here = (found[name].dims, found[name].shape), (variable.dims, variable.shape)
            if there != here or found[name].dtype != variable.dtype:
                return (f"{name} has dimensions {_sizes(*there)} and type {found[name].dtype} there, "
                        f"{_sizes(*here)} and {variable.dtype} here")
        there, here = self._journal_here.about["origin"], template.origin
        different = [name for name in here if there.get(name) != here[name]]
        for name in different:
            if not name.startswith(OF_FUNCTION):
                return f"{name} is {there.get(name, 'none')} there, {here[name]} here"
        names = [name.removeprefix(OF_FUNCTION) for name in different]
        return f"the model or the functions of {', '.join(names)} compute something else there" if names else ""


def open_sweep(store: str | Path) -> xr.Dataset:
    """Open the Zarr store of a finished sweep, after a comparison of every file with its checksum.

    Args:
        store: folder that `sweep(store=)` wrote.

    Returns:
        The dataset that the sweep returned, whose values are read from the store when they are looked at.

    Raises:
        ValueError: no store of a sweep, one that is not finished, or files that are damaged or missing; they are named.

    >>> import tempfile
    >>> from phasejax import SpikedModel, sweep
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Path(folder, "run.zarr")
    ...     _ = sweep(SpikedModel.homogeneous, {"kappa": [1.0, 2.0]}, fixed=dict(nu=0.5, k=2, d=6), quantities="rho",
    ...               store=store)
    ...     open_sweep(store).rho.shape
    (2, 2)
    """
    path, root = Path(store), Path(os.path.realpath(store))
    if not _is_there(root):
        raise ValueError(f"store: expected the folder of a finished sweep, got none at {path}")
    journal = _read_journal(path, root)
    damaged = damaged_files(root, journal)
    damaged += [file for of_chunk in damaged_chunks(root, journal).values() for file in of_chunk]
    if damaged:
        raise ValueError(f"store: expected files as they were written in {path}, got others or none: "
                         f"{_listed(damaged)} (the same sweep with this store computes them again)")
    if not journal.finished:
        raise ValueError(f"store: expected a finished sweep, got {path} with {len(journal.chunks)} chunks so far "
                         "(the same sweep with this store goes on)")
    return _dataset(root)


def _dataset(root: Path) -> xr.Dataset:
    return xr.open_zarr(root, chunks=None, consolidated=False)


def _is_there(root: Path) -> bool:
    """Whether a folder holds anything; an error where there is a file."""
    try:
        with os.scandir(root) as entries:
            return next(entries, None) is not None
    except (FileNotFoundError, NotADirectoryError):
        if root.exists():
            raise ValueError(f"store: expected a folder, got the file {root}") from None
        return False


def _read_journal(path: Path, root: Path) -> Journal:
    """The journal of the store in a folder.

    Raises:
        ValueError: a folder that is no store of this version, or whose identity is lost.
    """
    journal = Journal.read(root)
    if journal is not None and journal.about.get("format") == _FORMAT:
        return journal
    if journal is not None:
        raise ValueError(f"store: expected one of format {_FORMAT}, got {path} of format {journal.about.get('format')}")
    if (root / RUN_FOLDER).exists():
        raise ValueError(f"store: expected a store that says which sweep it belongs to, got {path}, where the files in "
                         f"{RUN_FOLDER} are damaged or missing (remove it to compute the sweep anew)")
    if _is_of_an_earlier_version(root):
        raise ValueError(f"store: expected one with checksums, got {path} of an earlier version, which has none (read "
                         "it with xarray.open_zarr, or remove it to compute the sweep anew)")
    raise ValueError(f"store: expected a new folder or one that a sweep made, got {path}")


def _is_of_an_earlier_version(root: Path) -> bool:
    try:
        return _EARLIER_ATTRIBUTE in json.loads((root / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _listed(files: Iterable[str]) -> str:
    files = list(files)
    return ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")


def _sizes(dims: tuple, shape: tuple[int, ...]) -> str:
    return " x ".join(f"{dim} {length}" for dim, length in zip(dims, shape, strict=True)) or "none"


def _summary(axis: xr.DataArray | None) -> str:
    if axis is None:
        return "missing"
    values = np.atleast_1d(axis.values)
    return f"{len(values)} values from {values[0]:g} to {values[-1]:g}"
