"""States of a training on disk, written whole or not at all, so that a run that was killed can go on.

Orbax writes each state to a folder of its own. When it is complete, the checksums of its files are written beside them
and the folder gets its name, the number of the step. The two newest states are kept: where files of the newest one
have been damaged since, the run goes on from the one before, and where there is none, from the beginning. All of these
ways lead to the same result.

Where workers train, several may train the same cells, since one that stands still cannot be told from one that was
lost. Each saves to a folder of its own, an attempt, from which others of its kind may go on. The process that asked for
the training makes one of them the state of the cells, and removes the rest.
"""

import hashlib
import json
import shutil
import uuid
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from phasejax._core.manifest import DamagedFolderError, read_manifest, write_manifest
from phasejax._core.worker_profile import profile_with_cores


class DamagedCheckpoint(UserWarning):
    """A state on disk is not what was written, and is not used."""


class Checkpoints:
    """The last states of one training, in a folder of its own.

    Args:
        folder: where the states are kept; created when the first one is saved.
        owner: text that tells this training from others, such as a hash of its settings. States of another one are
            not read.
    """

    def __init__(self, folder: Path, owner: str = ""):
        self.folder, self.owner = Path(folder).absolute(), owner
        self._damaged: set[int] = set()

    def save(self, step: int, tree: PyTree) -> None:
        """Keep a tree of arrays, and of those before only the newest.

        Args:
            step: a number above those of all trees saved or restored before.
            tree: arrays in any structure; only its leaves are saved.
        """
        before = [number for number in self.steps() if number < step and number not in self._damaged]
        self._clear(keep=before)
        unfinished = self.folder / f"{_UNFINISHED}{step}"
        with _orbax().StandardCheckpointer() as writer:
            writer.save(unfinished, _numbered(map(np.asarray, jax.tree.leaves(tree))))
        write_manifest(unfinished, {"owner": self.owner, "step": step})
        unfinished.rename(self.folder / str(step))
        self._clear(keep=[*before[-1:], step])
        self._remove_attempts()

    def attempt(self) -> "Checkpoints":
        """A folder for the states of this training that this process saves while others may train the same cells."""
        return Checkpoints(self.folder / f"{_ATTEMPT}{uuid.uuid4().hex}", _owner_of_attempts(self.owner))

    def adopt(self, attempt: str, owner: str) -> None:
        """Make the newest state of an attempt one of this training, and remove all attempts.

        Args:
            attempt: name of its folder.
            owner: of its states.

        Raises:
            DamagedFolderError: it has no state, or one that is not what was written.
        """
        source = self.folder / attempt
        steps = Checkpoints(source).steps()
        if not steps:
            raise DamagedFolderError(f"{source} has no state")
        step = steps[-1]
        if read_manifest(source / str(step)) != {"owner": owner, "step": step}:
            raise DamagedFolderError(f"{source / str(step)} is a state of another training")
        before = [number for number in self.steps() if number < step and number not in self._damaged][-1:]
        self._clear(keep=before)
        write_manifest(source / str(step), {"owner": self.owner, "step": step})
        (source / str(step)).rename(self.folder / str(step))
        self._remove_attempts()

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The newest tree that is as it was saved.

        Warns of each newer one that is not, naming the file.

        Args:
            like: a tree of the same structure, whose leaves have the shapes and types of the saved ones.

        Returns:
            The step and the tree, or None where there is none.
        """
        leaves, structure = jax.tree.flatten(like)
        shapes = _numbered(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        steps, newest = self.steps(), None
        for place, step in reversed(list(enumerate(steps))):
            try:
                newest = step, self._read(step, shapes)
                break
            except DamagedFolderError as error:
                self._damaged.add(step)
                instead = "the state before it is used" if place else "these cells are trained from the beginning"
                warnings.warn(DamagedCheckpoint(f"{error}: {instead} instead"), stacklevel=2)
        newest = self._newest_attempt(0 if newest is None else newest[0], shapes) or newest
        if newest is None:
            return None
        return newest[0], jax.tree.unflatten(structure, [np.asarray(newest[1][name]) for name in shapes])

    def steps(self) -> list[int]:
        """Numbers of the states in the folder, in increasing order, damaged ones too."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir()
                      if path.name.isdecimal() and str(int(path.name)) == path.name)

    def owners(self) -> set[str]:
        """The owners of all states that are as they were written."""
        found = set()
        for step in self.steps():
            try:
                about = read_manifest(self.folder / str(step))
            except DamagedFolderError:
                continue
            found |= set() if about is None else {about["owner"]}
        return found

    def _newest_attempt(self, least, shapes):
        """The newest state above a number that processes of this kind saved in attempts, and its number."""
        attempts = list(self.folder.glob(f"{_ATTEMPT}*"))
        if not attempts:
            return None
        owner = _owner_of_attempts(self.owner)
        found = sorted((step, str(folder)) for folder in attempts for step in Checkpoints(folder).steps())
        for step, folder in reversed(found):
            if step > least:
                try:
                    return step, Checkpoints(Path(folder), owner)._read(step, shapes)
                except DamagedFolderError:  # of another kind of process, or removed at this moment
                    continue
        return None

    def _remove_attempts(self):
        for folder in self.folder.glob(f"{_ATTEMPT}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self, step, shapes):
        path = self.folder / str(step)
        about = read_manifest(path)
        if about is None:
            raise DamagedFolderError(f"{path} has no manifest")
        if about != {"owner": self.owner, "step": step}:
            raise DamagedFolderError(f"{path} is a state of another training")
        try:
            with _orbax().StandardCheckpointer() as reader:
                return reader.restore(path, shapes)
        except Exception as error:  # Orbax raises errors of many kinds
            raise DamagedFolderError(f"{path} cannot be read ({type(error).__name__})") from error

    def _clear(self, keep):
        """Delete all but the states with these numbers: older ones, damaged ones, and what a kill left behind."""
        if not self.folder.is_dir():
            return
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)
        for step in self.steps():
            if step not in keep:
                # Renamed first: a state that is deleted in part must not be taken for one.
                doomed = (self.folder / str(step)).rename(self.folder / f"{_UNFINISHED}{step}")
                shutil.rmtree(doomed, ignore_errors=True)


# Names of folders that are being written or deleted, and of attempts, begin like this.
_UNFINISHED, _ATTEMPT = "unfinished-", "attempt-"


def _owner_of_attempts(owner: str) -> str:
    """The owner of states that were saved by processes like this one: those of others have other digits."""
    return hashlib.sha256(json.dumps([owner, profile_with_cores()]).encode()).hexdigest()


def _numbered(leaves: Iterable) -> dict[str, Any]:
    """Leaves by number: a saved state does not depend on the names of the tree's classes and fields."""
    return {f"leaf_{number:04d}": leaf for number, leaf in enumerate(leaves)}


def _orbax():
    """Orbax, whose import takes more than a second."""
    import orbax.checkpoint

    return orbax.checkpoint
