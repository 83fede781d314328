"""The folder that keeps the states of a grid of trainings: what it belongs to, and who may write to it.

It holds the experiment as text for people, the settings (the experiment, the checksum of its data file, the versions
that began the trainings) under a checksum of their own, and a folder of `Checkpoints` for each chunk of cells.
"""

import errno
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from phasejax._core.atomic_files import written_whole
from phasejax._core.provenance import computed_on
from phasejax._core.run_lock import RunLock
from phasejax.deep._checkpoints import Checkpoints, DamagedCheckpoint
from phasejax.deep._grid_experiment import GridExperiment

_EXPERIMENT, _SETTINGS, _LOCK = "experiment.json", "settings.json", ".lock"
# What must be the same in all cells of one store, of what `computed_on` says.
_ALIKE = ("phasejax", "jax", "platform")


class TrainingStore:
    """A folder of trainings of one experiment, made if need be, and this run's alone until `close`.

    Args:
        folder: where it is or shall be.
        experiment: what is trained.

    Raises:
        ValueError: a file; a folder that another run is using; one of another experiment, or of the same with other
            data (what differs is named).
    """

    def __init__(self, folder: Path, experiment: GridExperiment):
        self.folder, self.experiment = folder, experiment
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"store: expected a folder, got a file {folder}") from None
        self._lock = _locked(folder)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "TrainingStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs use the folder."""
        if self._lock is not None:
            self._lock.release()

    def checkpoints(self, name: str) -> Checkpoints:
        """The states of the cells that a name stands for."""
        return Checkpoints(self.folder / name, self.owner)

    def check_may_train(self) -> None:
        """Refuse to train further cells in a folder that cannot be written, or with other versions than the others.

        Raises:
            ValueError: naming what differs.
        """
        if self._lock is None:
            raise ValueError(f"store: expected a folder that can be written, got {self.folder}, where some cells are "
                             "not trained yet")
        here = _alike()
        different = [f"{name}: {here[name]} here, {there} there" for name, there in self._begun_with.items()
                     if name in here and here[name] != there]
        if different:
            raise ValueError(f"store: expected trainings that this program began, got others in {self.folder} "
                             f"({'; '.join(different)}), whose digits would differ from those of cells trained now")

    def _open(self) -> None:
        experiment = self.experiment
        self._data = experiment.data_checksum()
        # The path of the data is no part of it: the content counts, wherever the file is.
        content = [json.loads(experiment.to_json()) | dict.fromkeys(experiment.places), self._data]
        self.owner = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        self._begun_with = self._claim()

    def _claim(self) -> dict[str, str]:
        """Check that the folder belongs to this experiment, or make it so; with which versions it was begun."""
        text = self.experiment.to_json()
        mine = {"experiment": text, "data": self._data, "begun_with": _alike()}
        saved, settings = _read(self.folder / _EXPERIMENT), _read_settings(self.folder / _SETTINGS)
        if settings is not None:
            if different := self._difference(settings):
                raise ValueError(f"store: expected one with this experiment, got another in {self.folder} "
                                 f"({'; '.join(different)})")
            mine = settings
        else:
            self._check_states(saved, (self.folder / _SETTINGS).exists())
            _write(self.folder / _SETTINGS, json.dumps(mine | {"sha256": _sum(mine)}, indent=1) + "\n")
        if saved != text and saved != mine["experiment"]:
            if saved is not None:
                warnings.warn(DamagedCheckpoint(f"{self.folder / _EXPERIMENT} is not what was written: it is written "
                                                "again"), stacklevel=5)
            _write(self.folder / _EXPERIMENT, mine["experiment"])
        return mine["begun_with"]

    def _difference(self, settings: dict[str, Any]) -> list[str]:
        there = type(self.experiment).from_json(settings["experiment"])
        different = [line for line in self.experiment.difference(there)
                     if line.partition(": ")[0] not in self.experiment.places]
        if settings["data"] != self._data:
            different.append(f"path: another content of {self.experiment.path} here than there"
                             if self.experiment.path == there.path else
                             f"path: {self.experiment.path} here, {there.path} with another content there")
        return different

    def _check_states(self, saved: str | None, damaged: bool) -> None:
        """Where no settings can be read: the folder is this experiment's if its states are, or if it has none."""
        if damaged:
            warnings.warn(DamagedCheckpoint(f"{self.folder / _SETTINGS} is not what was written: it is written again"),
                          stacklevel=6)
        owners = {owner for path in self.folder.iterdir() if path.is_dir() for owner in Checkpoints(path).owners()}
        if owners - {self.owner}:
            raise ValueError(f"store: expected one with this experiment, got states of another in {self.folder}")
        if not owners and not damaged and saved is not None:
            try:
                different = self.experiment.difference(type(self.experiment).from_json(saved))
            except ValueError:
                different = []
            if different:
                raise ValueError(f"store: expected one with this experiment, got another in {self.folder} "
                                 f"({'; '.join(different)})")


def _locked(folder: Path) -> RunLock | None:
    """The lock of a folder; None where nothing can be written, so that finished trainings can still be read."""
    try:
        return RunLock(folder / _LOCK, "store", folder)
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return None
        raise


def _alike() -> dict[str, str]:
    return {name: value for name, value in computed_on().items() if name in _ALIKE}


def _read(path: Path) -> str | None:
    """The text of a file; an empty one where it cannot be read, None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def _read_settings(path: Path) -> dict[str, Any] | None:
    """What `_claim` wrote; None where there is none, or it is damaged."""
    try:
        content = json.loads(_read(path) or "")
        return content if content.pop("sha256") == _sum(content) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _sum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
