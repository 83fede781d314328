"""States of a training on disk, written whole or not at all, so that a run that was killed can go on.

Orbax writes each state to a folder of its own. When it is complete, the checksums of its files are written beside them
and the folder gets its name, the number of the step. The two newest states are kept: where files of the newest one
have been damaged since, the run goes on from the one before, and where there is none, from the beginning. All of these
ways lead to the same result.
"""

import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from phasejax._core.manifest import DamagedFolderError, read_manifest, write_manifest


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
        steps = self.steps()
        for place, step in reversed(list(enumerate(steps))):
            try:
                found = self._read(step, shapes)
            except DamagedFolderError as error:
                self._damaged.add(step)
                instead = "the state before it is used" if place else "these cells are trained from the beginning"
                warnings.warn(DamagedCheckpoint(f"{error}: {instead} instead"), stacklevel=2)
                continue
            return step, jax.tree.unflatten(structure, [np.asarray(found[name]) for name in shapes])
        return None

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


# Names of folders that are being written or deleted begin like this.
_UNFINISHED = "unfinished-"


def _numbered(leaves: Iterable) -> dict[str, Any]:
    """Leaves by number: a saved state does not depend on the names of the tree's classes and fields."""
    return {f"leaf_{number:04d}": leaf for number, leaf in enumerate(leaves)}


def _orbax():
    """Orbax, whose import takes more than a second."""
    import orbax.checkpoint

    return orbax.checkpoint
