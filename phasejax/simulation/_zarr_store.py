"""The Zarr store of a sweep, which survives a kill, notices damage and belongs to one run at a time.

A store comes into being in one step: it is made beside its place, complete but for its results, and renamed. From then
on only chunks are added, each with a line in the journal, and at last the line that says that it is finished. What the
journal vouches for is compared with the files whenever a store is opened: what is missing or was changed is named and,
in a sweep, computed again. A store that does not know any more which sweep it belongs to is never believed: it is
renamed, and the sweep begins anew.
"""

import errno
import itertools
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

from phasejax._core.checked_call import checked
from phasejax._core.run_lock import RunLock
from phasejax._core.terminal import one_line
from phasejax.io import InputNote
from phasejax.simulation._chunk_writer import RUN_FOLDER, ChunkRecord, ChunkWriter, write_durably
from phasejax.simulation._journal import Journal
from phasejax.simulation._store import COMPUTED_ON, DatasetTemplate, Region
from phasejax.simulation._store_files import (
    LOCK,
    build,
    damaged_chunks,
    damaged_files,
    is_as_written,
    new_folder,
    remove_leftovers,
)
from phasejax.simulation._store_identity import (
    FORMAT,
    difference,
    is_there,
    lost_its_identity,
    other_sweep,
    read_journal,
)


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
            while True:
                if not is_there(self._root):
                    self._create()
                elif lost_its_identity(self._root, template):
                    self._set_aside(f"the files in {RUN_FOLDER}, which say which sweep it belongs to, are damaged or "
                                    "missing")
                else:
                    break
            read_journal(self.path, self._root)  # refuses what is no store before it is locked

    def resume(self) -> None:
        """Find out which chunks are finished, and take the store for this run unless all are.

        What is damaged is made good or dropped by the process that writes; others believe its journal.

        Raises:
            ValueError: the store holds another sweep, it is damaged in a way that cannot be made good, or another run
                is writing there.
            OSError: the store is unfinished and cannot be written.
        """
        try:
            self._journal = read_journal(self.path, self._root)
            if self.writes and not (self._lock is None and self._is_finished_and_sound()):
                try:
                    self._take()
                except OSError as error:
                    raise type(error)(f"store: expected one that can be written, since it is not finished, got "
                                      f"{self.path} ({error.strerror or error})") from None
            different = difference(self._root, self._journal, self.template)
            if different:
                hint = " (phasejax.simulation.open_sweep reads it as it is)" if self._journal.finished else ""
                raise ValueError(f"store: {self.path} holds another sweep: {different}{hint}")
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
        self._journal = journal = read_journal(self.path, self._root)
        for partial in self._root.rglob("*.partial"):
            partial.unlink(missing_ok=True)
        if unlike := self._make_good(damaged_files(self._root, journal)):
            about = journal.about
            if (about.get("sweep"), about["origin"]) != (self.template.digest(), self.template.origin):
                raise ValueError(f"store: {self.path} holds another sweep, and its {unlike} is not what was written "
                                 "(that sweep makes it good; or name another store)")
            self._set_aside(f"{unlike} is not what was written and cannot be made anew")
            self._create()
            self._take()
            return
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
            chunks = {name: variable.chunk_shape for name, variable in self.template.variables.items()}
            Journal.begin(made, {"format": FORMAT, "store": uuid.uuid4().hex, "origin": self.template.origin,
                                 "sweep": self.template.digest(), "chunks": chunks, "files": files,
                                 COMPUTED_ON: self.template.attrs.get(COMPUTED_ON)})
            os.rename(made, self._root)
            lock.moved_to(self._root / LOCK)
            self._lock = lock
        except BaseException as error:
            lock.release()
            shutil.rmtree(made, ignore_errors=True)
            if not (isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY)):
                raise

    def _make_good(self, damaged: list[str]) -> str:
        """Write again those of the files that the store began with that are not what they were.

        Returns:
            The first one that this sweep would write otherwise, in which case nothing is written; else nothing.
        """
        if not damaged:
            return ""
        about = self._journal_here.about
        with tempfile.TemporaryDirectory() as again:
            build(Path(again), self.template.begun_elsewhere(about.get("chunks", {}), about.get(COMPUTED_ON)))
            for file in damaged:
                if not is_as_written(Path(again, file), about["files"][file]):
                    return file
            for file in damaged:
                write_durably(self._root / file, Path(again, file).read_bytes())
        warnings.warn(InputNote(f"store: damaged files of {self.path} were made anew: {_listed(damaged)}"),
                      stacklevel=6)
        return ""

    def _set_aside(self, reason: str) -> None:
        """Rename the store, which keeps whatever is in it, so that the sweep can begin anew in its place.

        Raises:
            ValueError: its attributes are those of another sweep, or another run is writing there.
            OSError: it cannot be renamed.
        """
        if different := other_sweep(self._root, self.template):
            raise ValueError(f"store: {self.path} holds another sweep: {different}; {reason} (remove it, or name "
                             "another store)")
        lock, self._lock = self._lock, None
        try:
            if lock is None:
                for folder in (RUN_FOLDER.parent, RUN_FOLDER):  # one by one: the store itself must not be made here
                    (self._root / folder).mkdir(exist_ok=True)
                lock = RunLock(self._root / LOCK, "store", self.path)
                if not lost_its_identity(self._root, self.template):
                    return  # another run was faster
            aside = next(name for number in itertools.count(1)
                         if not os.path.lexists(name := f"{self._root}.damaged{number}"))
            os.rename(self._root, aside)
            lock.moved_to(Path(aside, LOCK))
        except FileNotFoundError:  # another run was faster
            return
        except OSError as error:
            raise type(error)(f"store: expected one that can be renamed, got {self.path}, where {reason} "
                              f"({error.strerror or error})") from None
        finally:
            if lock is not None:
                lock.release()
        warnings.warn(InputNote(f"store: the sweep begins anew in {self.path}, and what was there is kept in {aside}: "
                                f"{reason}"), stacklevel=6)

@checked
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
    if not is_there(root):
        raise ValueError(f"store: expected the folder of a finished sweep, got none at {one_line(str(path))}")
    journal = read_journal(path, root)
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


def _listed(files: Iterable[str]) -> str:
    files = list(files)
    return ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
