"""States of a training on disk, written whole or not at all, so that a run that was killed can go on.

Orbax writes each state to a temporary folder and renames it when it is complete; only the newest complete one is kept.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree


class Checkpoints:
    """The last state of one training, in a folder of its own.

    Args:
        folder: where the state is kept; created when the first one is saved.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()

    def save(self, step: int, tree: PyTree) -> None:
        """Keep a tree of arrays, and remove the one that was kept before.

        Args:
            step: a number above those of all trees saved before.
            tree: arrays in any structure; only its leaves are saved.
        """
        with self._manager() as manager:
            manager.save(step, args=_orbax().args.StandardSave(_numbered(map(np.asarray, jax.tree.leaves(tree)))))

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The tree that was saved last.

        Args:
            like: a tree of the same structure, whose leaves have the shapes and types of the saved ones.

        Returns:
            The step and the tree, or None where nothing was saved.

        Raises:
            ValueError: files that cannot be read, or that hold something else.
        """
        if not self.folder.is_dir():
            return None
        leaves, structure = jax.tree.flatten(like)
        shapes = _numbered(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        with self._manager() as manager:
            step = manager.latest_step()
            if step is None:
                return None
            try:
                found = manager.restore(step, args=_orbax().args.StandardRestore(shapes))
            except Exception as error:  # Orbax raises errors of many kinds, depending on which file is damaged
                raise ValueError(f"store: expected a checkpoint of this training, got a damaged one in "
                                 f"{self.folder / str(step)} (remove {self.folder} to train these cells anew)"
                                 ) from error
        return step, jax.tree.unflatten(structure, [np.asarray(found[name]) for name in shapes])

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _manager(self):
        ocp = _orbax()
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder, options=options)


def _numbered(leaves: Iterable) -> dict[str, Any]:
    """Leaves by number: a saved state does not depend on the names of the tree's classes and fields."""
    return {f"leaf_{number:04d}": leaf for number, leaf in enumerate(leaves)}


def _orbax():
    """Orbax, whose import takes more than a second."""
    import orbax.checkpoint

    return orbax.checkpoint
