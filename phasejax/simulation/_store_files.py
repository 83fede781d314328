"""The files of a sweep's store: how they are made, all in one step, and how they are compared with what was written."""

import contextlib
import glob
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import xarray as xr

from phasejax._core.manifest import sha256_of
from phasejax._core.run_lock import RunLock
from phasejax.simulation._chunk_writer import RUN_FOLDER, create_array, plain
from phasejax.simulation._journal import Journal
from phasejax.simulation._store import DatasetTemplate

LOCK = RUN_FOLDER / "lock"


def new_folder(parent: Path, name: str, path: Path) -> tuple[Path, RunLock]:
    """An empty folder beside a store's place, and the lock inside it that the store will have."""
    while True:
        made = Path(tempfile.mkdtemp(dir=parent, prefix=f".{name}.", suffix=".new"))
        umask = os.umask(0)
        os.umask(umask)
        # A run that starts at the same moment may take the folder for one that was left behind, and remove it.
        with contextlib.suppress(FileNotFoundError, ValueError):
            made.chmod(0o777 & ~umask)  # `mkdtemp` makes folders that only their owner can read
            (made / RUN_FOLDER).mkdir(parents=True)
            return made, RunLock(made / LOCK, "store", path)


def remove_leftovers(parent: Path, name: str) -> None:
    """Remove what runs left behind that died while they made this store."""
    for left in parent.glob(f".{glob.escape(name)}.*.new"):
        with contextlib.suppress(OSError):  # such as that of a run that is just beginning
            for empty in (left / RUN_FOLDER, left / RUN_FOLDER.parent, left):
                if empty.exists() and not (left / LOCK).exists():
                    empty.rmdir()
        with contextlib.suppress(OSError, ValueError), RunLock(left / LOCK, "store"):
            shutil.rmtree(left)


def build(root: Path, template: DatasetTemplate) -> dict[str, str]:
    """Write a whole store without results; returns its files with their checksums."""
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    group = zarr.open_group(root, mode="a", zarr_format=3)
    for name, variable in template.variables.items():
        create_array(group, name, variable, variable.chunk_shape + variable.shape[len(variable.chunk_shape):])
    of_run = group.create_group(RUN_FOLDER.parts[0])
    of_run.create_array(RUN_FOLDER.parts[1], shape=(0,), dtype="u1",
                        attributes={"long_name": "journal of the sweep and lock of the run that writes"})
    empty = xr.Dataset(coords=template.coords, attrs=plain(template.attrs))
    empty.to_zarr(root, mode="a", consolidated=False,
                  encoding={name: {"compressors": [ZstdCodec(), Crc32cCodec()]} for name in template.coords})
    files = [file for file in root.rglob("*") if file.is_file() and file != root / LOCK]
    for file in files:
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
    return {file.relative_to(root).as_posix(): sha256_of(file) for file in sorted(files)}


def damaged_files(root: Path, journal: Journal) -> list[str]:
    """Those of the files that a store began with that are not what they were."""
    return [file for file, digest in journal.about["files"].items() if not is_as_written(root / file, digest)]


def damaged_chunks(root: Path, journal: Journal) -> dict[str, list[str]]:
    """Chunks whose files are not what the journal says, with those files."""
    with ThreadPoolExecutor(8) as pool:
        entries = [(key, file, digest) for key, files in journal.chunks.items() for file, digest in files.items()]
        intact = pool.map(lambda entry: is_as_written(root / entry[1], entry[2]), entries)
        found: dict[str, list[str]] = {}
        for (key, file, _), sound in zip(entries, intact, strict=True):
            if not sound:
                found.setdefault(key, []).append(file)
    return found


def is_as_written(file: Path, digest: str) -> bool:
    """Whether a file is there and has a SHA-256."""
    try:
        return sha256_of(file) == digest
    except OSError:
        return False
