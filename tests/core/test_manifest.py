"""A manifest vouches for every file of a folder, and for itself."""

import json

import pytest

from phasejax._core.manifest import MANIFEST, DamagedFolderError, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.bin").write_bytes(b"one")
    (tmp_path / "b.bin").write_bytes(b"two")
    write_manifest(tmp_path, {"step": 3})
    assert read_manifest(tmp_path) == {"step": 3}
    return tmp_path


def test_a_file_that_was_added_changed_or_removed_is_named(folder):
    (folder / "new.bin").touch()
    with pytest.raises(DamagedFolderError, match=r"new\.bin does not belong there"):
        read_manifest(folder)
    (folder / "new.bin").unlink()
    (folder / "part" / "a.bin").write_bytes(b"onf")
    with pytest.raises(DamagedFolderError, match=r"part/a\.bin is not what was written"):
        read_manifest(folder)
    (folder / "part" / "a.bin").unlink()
    with pytest.raises(DamagedFolderError, match=r"part/a\.bin is missing"):
        read_manifest(folder)


@pytest.mark.parametrize("damage", [
    lambda content: content["about"].update(step=4),
    lambda content: content["files"].pop("b.bin"),
    lambda content: content.pop("sha256"),
], ids=["what it belongs to", "a file", "its own sum"])
def test_a_manifest_that_was_changed_is_not_believed(folder, damage):
    content = json.loads((folder / MANIFEST).read_text())
    damage(content)
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(DamagedFolderError, match=r"manifest\.json is not what was written"):
        read_manifest(folder)


def test_a_folder_without_a_manifest_was_never_finished(tmp_path):
    assert read_manifest(tmp_path) is None
