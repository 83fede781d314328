"""HDF5 files that would keep the library busy for ever, or end the process, are refused in one line."""

import h5py
import numpy as np
import pytest

from phasejax.io import _hdf5_check, as_named


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as opened:
        opened["x"] = np.eye(4)
        opened["x"].attrs["unit"] = "mag"
    return tmp_path / "x.h5"


def test_a_sound_file_is_read(file):
    assert as_named(str(file), "x").values.shape == (4, 4)


@pytest.mark.parametrize("look", ["while True: pass", "import os; os.abort()"])
def test_an_endless_look_and_a_crash_are_refused(file, look, monkeypatch):
    """What the look does is replaced: whether a damaged file does it depends on the version of the library."""
    limit, _, _ = _hdf5_check._LOOK.partition("import h5py")
    monkeypatch.setattr(_hdf5_check, "_LOOK", limit + look)
    monkeypatch.setattr(_hdf5_check, "_SECONDS", 1)
    with pytest.raises(ValueError, match=r"x.h5: expected a complete HDF5 file, got one whose contents cannot be list"):
        as_named(str(file), "x")
