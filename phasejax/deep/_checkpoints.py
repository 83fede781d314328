"""States of a training on disk, written whole or not at all, so that a killed run can go on."""

import shutil
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree


class Checkpoints:
    """The last states of one training in a folder of its own (Orbax).

    Args:
        folder: created when something is saved.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()

    def save(self, step: int, tree: PyTree) -> None:
        """Keep the leaves of a tree as those of `step`, higher than all before; the one before that is removed."""
        with self._manager() as manager:
            manager.save(step, args=_orbax().args.StandardSave(_numbered(jax.tree.map(np.asarray, tree))))

    def restore(self, like: PyTree) -> tuple[int, PyTree] | None:
        """The last step and its tree; None where nothing was saved.

        Args:
            like: a tree of the same structure with leaves of the same shapes and types.

        Raises:
            ValueError: files that cannot be read, or hold something else.
        """
        if not self.folder.is_dir():
            return None
        leaves, structure = jax.tree.flatten(like)
        shapes = _numbered([jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves])
        with self._manager() as manager:
            step = manager.latest_step()
            if step is None:
                return None
            try:
                found = manager.restore(step, args=_orbax().args.StandardRestore(shapes))
            except Exception as error:  # of many kinds, depending on which file is damaged
                raise ValueError(f"store: expected a checkpoint of this training, got a damaged one in "
                                 f"{self.folder / str(step)} (remove {self.folder} to train these cells anew)"
                                 ) from error
        return step, jax.tree.unflatten(structure, [np.asarray(found[name]) for name in shapes])

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _manager(self):
        ocp = _orbax()
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self.folder, options=options)


def _numbered(tree):
    """A dict of the leaves: what is saved does not depend on how the tree's classes are called."""
    return {f"leaf_{number:04d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}


def _orbax():
    import orbax.checkpoint  # 1.3 s

    return orbax.checkpoint
