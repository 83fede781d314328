"""States on disk are those that were saved, or are named and not used, whatever happened to their files."""

import contextlib
import errno
import json
import os
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from phasejax.deep import train_grid
from phasejax.deep._checkpoints import DamagedCheckpoint
from phasejax.deep._training_store import TrainingStore
from tests.deep.conftest import TINY

LIKE = {"a": np.zeros((3, 4), np.float32), "b": np.int32(0)}
# Ways to damage a file; None removes it.
DAMAGES = {"flipped": lambda content, rng: _flipped(content, rng), "emptied": lambda content, rng: b"",
           "cut": lambda content, rng: content[:rng.integers(len(content))],
           "longer": lambda content, rng: content + b"\\n", "removed": None}


def _flipped(content, rng):
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
    return bytes(changed)


def states_in(folder):
    """The states of one training, after the folder was opened as `train_grid` does."""
    with TrainingStore(folder, TINY) as store:
        return store.checkpoints("cp-0-1")


def state(step):
    return {"a": np.random.default_rng(step).standard_normal((3, 4)).astype(np.float32), "b": np.int32(step)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The folder of an experiment with states 3 and 5 of one training."""
    folder = tmp_path_factory.mktemp("sound")
    states = states_in(folder)
    for step in (1, 3, 5):
        states.save(step, state(step))
    assert states.steps() == [3, 5]
    return folder


def outcome_after(damage, sound, folder, rng):
    """Damage one file of a copy, and read it as `train_grid` would: the step, and whether anything was said."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    path = files[rng.integers(len(files))]
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes(), rng))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = states_in(folder).restore(LIKE)
    assert found is not None
    jax.tree.map(np.testing.assert_array_equal, found[1], state(found[0]))
    named = [str(warning.message) for warning in said if warning.category is DamagedCheckpoint]
    assert all(str(folder) in text for text in named)
    return found[0], path.relative_to(folder), named


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_never_changes_a_state(tmp_path, sound, kind):
    rng = np.random.default_rng(list(DAMAGES).index(kind))
    for _ in range(8):
        step, path, named = outcome_after(DAMAGES[kind], sound, tmp_path / "copy", rng)
        assert step == (3 if path.parts[:2] == ("cp-0-1", "5") else 5)
        # The older state is not looked at; a missing text file is as good as one not yet written.
        assert bool(named) == (path.parts[:2] != ("cp-0-1", "3") and not (kind == "removed" and len(path.parts) == 1))


@pytest.mark.by_hand
def test_hundreds_of_damages_never_change_a_state(tmp_path, sound):
    rng, kinds = np.random.default_rng(100), list(DAMAGES)
    outcomes = [outcome_after(DAMAGES[kinds[number % 5]], sound, tmp_path / "copy", rng)[0] for number in range(500)]
    print({step: outcomes.count(step) for step in (3, 5)})


def test_where_no_state_is_sound_training_begins_anew(tmp_path, sound):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    for step in (3, 5):
        (tmp_path / "cp-0-1" / str(step) / "_METADATA").write_bytes(b"")
    states = states_in(tmp_path)
    with pytest.warns(DamagedCheckpoint) as said:
        assert states.restore(LIKE) is None
    assert [str(warning.message).split(": ")[1] for warning in said] == [
        "the state before it is used instead", "these cells are trained from the beginning instead"]
    states.save(1, state(1))
    assert states.steps() == [1]
    assert states.restore(LIKE)[0] == 1


@pytest.mark.parametrize("place", range(1, 8))
def test_death_at_any_moment_of_a_save_leaves_a_state(tmp_path, sound, place, monkeypatch):
    """The process dies before the n-th change of a name or deletion of a folder."""
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    count = 0

    def dying(function):
        def called(*arguments, **options):
            nonlocal count
            count += 1
            if count == place:
                raise KeyboardInterrupt
            return function(*arguments, **options)
        return called

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying(Path.rename))
        patched.setattr(Path, "replace", dying(Path.replace))
        patched.setattr(shutil, "rmtree", dying(shutil.rmtree))
        with contextlib.suppress(KeyboardInterrupt):
            states_in(tmp_path).save(7, state(7))
    states = states_in(tmp_path)
    step, found = states.restore(LIKE)
    assert step in (5, 7)
    jax.tree.map(np.testing.assert_array_equal, found, state(step))
    states.save(9, state(9))
    assert states.steps() == [step, 9]
    assert len(list((tmp_path / "cp-0-1").iterdir())) == 2


def test_attempts_of_workers_are_gone_on_from_and_adopted(tmp_path, sound, monkeypatch):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    states = states_in(tmp_path)
    begun, finished = states.attempt(), states.attempt()
    begun.save(6, state(6))
    finished.save(7, state(7))
    step, found = states_in(tmp_path).restore(LIKE)
    assert step == 7
    jax.tree.map(np.testing.assert_array_equal, found, state(7))
    (finished.folder / "7" / "_METADATA").write_bytes(b"")
    assert states.restore(LIKE)[0] == 6
    with pytest.raises(ValueError, match="_METADATA is not what was written"):
        states.adopt(finished.folder.name, finished.owner)
    with monkeypatch.context() as patched:  # a process with another number of cores, whose digits would differ
        patched.setattr("phasejax._core.worker_profile.cores", lambda: 1000)
        assert states.restore(LIKE)[0] == 5
    states.adopt(begun.folder.name, begun.owner)
    assert states_in(tmp_path).restore(LIKE)[0] == 6
    assert sorted(os.listdir(tmp_path / "cp-0-1")) == ["5", "6"]
    with pytest.raises(ValueError, match="has no state"):
        states.adopt(finished.folder.name, finished.owner)


def test_a_folder_of_another_experiment_is_known_by_its_states_where_its_settings_are_damaged(tmp_path, sound):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    (tmp_path / "settings.json").write_text("{")
    with (pytest.warns(DamagedCheckpoint, match="settings.json is not what was written"),
          pytest.raises(ValueError, match=re.escape(f"got states of another in {tmp_path}"))):
        TrainingStore(tmp_path, replace(TINY, seeds=3))


def test_the_content_of_the_data_counts_and_not_its_place(tmp_path):
    experiment = replace(TINY, data="features", encoder="mlp", jitters=(0.0,), noises=(0.0,), path=str(tmp_path / "a"))
    Path(experiment.path).write_bytes(b"one")
    with TrainingStore(tmp_path / "run", experiment):
        pass
    (tmp_path / "b").write_bytes(b"one")
    with TrainingStore(tmp_path / "run", replace(experiment, path=str(tmp_path / "b"))):
        pass
    (tmp_path / "a").write_bytes(b"two")
    with pytest.raises(ValueError, match=re.escape(f"path: another content of {tmp_path / 'a'} here than there")):
        TrainingStore(tmp_path / "run", experiment)


def test_trainings_begun_with_other_versions_are_not_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr("phasejax.deep._training_store.computed_on", lambda: {"jax": "0.1", "cores": "2"})
    with TrainingStore(tmp_path, TINY) as store:
        store.check_may_train()
    monkeypatch.setattr("phasejax.deep._training_store.computed_on", lambda: {"jax": "0.2", "cores": "4"})
    with (TrainingStore(tmp_path, TINY) as store,  # what is finished can be read
          pytest.raises(ValueError, match=r"\(jax: 0\.2 here, 0\.1 there\)")):
        store.check_may_train()
    assert json.loads((tmp_path / "settings.json").read_text())["begun_with"] == {"jax": "0.1"}


def test_a_second_run_in_the_folder_is_refused_until_the_first_ends(tmp_path):
    with TrainingStore(tmp_path, TINY):
        with pytest.raises(ValueError, match=re.escape(f"got {tmp_path}, in use by process {os.getpid()} on ")):
            TrainingStore(tmp_path, TINY)
        with pytest.raises(ValueError, match="in use by process"):
            train_grid(TINY, store=tmp_path)
    TrainingStore(tmp_path, TINY).close()


def test_finished_trainings_can_be_read_where_nothing_can_be_written(tmp_path, sound, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("phasejax.deep._training_store.RunLock", read_only)
    monkeypatch.setattr("phasejax.deep._training_store._write", read_only)
    assert states_in(sound).restore(LIKE)[0] == 5
    with TrainingStore(sound, TINY) as store, pytest.raises(ValueError, match="some cells are not trained yet"):
        store.check_may_train()
