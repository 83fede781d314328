"""Damage to any folder, and to the states of a training: what is used afterwards must be one that was saved."""

import random
import shutil
import warnings
from pathlib import Path

import numpy as np

from phasejax.deep import Experiment
from phasejax.deep._training_store import TrainingStore


def files_of(folder: Path) -> list[Path]:
    """Its files, relative to it and sorted."""
    return sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())


def folders_of(folder: Path) -> list[Path]:
    """Its folders, relative to it and sorted."""
    return sorted(inner.relative_to(folder) for inner in folder.rglob("*") if inner.is_dir())


def damage_somewhere(root: Path, rng: random.Random) -> None:
    """Flip a bit of a file, cut it, delete it, or delete a folder."""
    files, folders = files_of(root), folders_of(root)
    kind = rng.choice(["flip", "cut", "delete", "folder"])
    if kind == "folder" and folders:
        shutil.rmtree(root / rng.choice(folders))
    elif files:
        path = root / rng.choice(files)
        content = bytearray(path.read_bytes())
        if kind == "delete":
            path.unlink()
        elif kind == "cut" or not content:
            path.write_bytes(content[:rng.randrange(len(content) + 1)])
        else:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(content)


_EXPERIMENT = Experiment(size=16, n=300, widths=(4, 4), hidden=(16,), batch=30, probe_sizes=(50,), objectives=("cp",))


def _state(step: int) -> dict[str, np.ndarray]:
    return {"weights": np.random.default_rng(step).standard_normal((30, 4)).astype(np.float32),
            "step": np.asarray(step, np.int32)}


def save_states(folder: Path) -> None:
    """The folder of an experiment with the two newest of three states of a training."""
    with TrainingStore(folder, _EXPERIMENT) as trainings:
        for step in (1, 3, 5):
            trainings.checkpoints("cp-0-1").save(step, _state(step))


def damage_states(saved: Path, place: Path, number: int) -> str:
    """Damage the folder of a training, open it as a training would, and save the next state."""
    folder, rng = place / "trainings", random.Random(2000 + number)
    shutil.copytree(saved, folder)
    for _ in range(rng.randint(1, 4)):
        damage_somewhere(folder, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with TrainingStore(folder, _EXPERIMENT) as trainings:
                states = trainings.checkpoints("cp-0-1")
                found = states.restore(_state(0))
                states.save(7, _state(7))
                after = states.restore(_state(0))
        except (ValueError, OSError) as error:
            return "refused" if "\n" not in str(error) else "traceback"
    for step, state in filter(None, (found, after)):
        if step not in (3, 5, 7) or any(state[name].tobytes() != part.tobytes() for name, part in _state(step).items()):
            return "ANOTHER STATE"
    used = "from the beginning" if found is None else "the newest state" if found[0] == 5 else "the state before"
    return f"{used}; the next one saved" if after is not None and after[0] == 7 else f"{used}; THE NEXT ONE NOT SAVED"
