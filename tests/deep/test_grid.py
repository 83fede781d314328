"""Grids of trainings: the same result whatever the chunks, the devices and the interruptions."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import jax
import numpy as np
import pytest

from phasejax.deep import Experiment, train_grid
from phasejax.deep._grid import cells_of
from tests.support import ROOT

pytestmark = pytest.mark.slow

TINY = Experiment(size=16, n=200, jitters=(0.0, 0.3), noises=(0.2, 0.5), objectives=("cp", "vicreg"), seeds=1,
                  widths=(4, 4), hidden=(16,), embedding=8, projection=4, batch=20, max_epochs=3, probe_sizes=(50, 100))


@pytest.fixture(scope="module")
def whole():
    return train_grid(TINY)


def assert_same(found, expected, tolerance=0.0):
    np.testing.assert_allclose(found.curves["loss"], expected.curves["loss"], rtol=tolerance)
    for name in expected.params:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
                     found.params[name], expected.params[name])


def test_a_grid_has_a_curve_for_every_cell(whole):
    assert dict(whole.curves.sizes) == {"objective": 2, "jitter": 2, "noise": 2, "seed": 1, "epoch": 3, "split": 2}
    loss = whole.curves["loss"]
    assert np.isfinite(loss).all()
    assert (loss.isel(epoch=-1) < loss.isel(epoch=0)).sel(split="train").all()
    assert (whole.curves["epochs"] == 3).all()
    assert {len(leaf) for leaf in jax.tree.leaves(whole.params)} == {4}
    assert Experiment.from_json(whole.curves.attrs["experiment"]) == TINY


def test_cells_differ_in_what_is_compared_only():
    cells = cells_of(replace(TINY, seeds=2))
    np.testing.assert_array_equal(cells.jitter, np.float32([0, 0, 0, 0, 0.3, 0.3, 0.3, 0.3]))
    np.testing.assert_array_equal(cells.noise, np.float32([0.2, 0.2, 0.5, 0.5] * 2))
    data = np.asarray(jax.random.key_data(cells.data))
    for cell in range(8):
        np.testing.assert_array_equal(data[cell], data[cell % 2])
    assert (data[0] != data[1]).any()
    assert (data[0] != np.asarray(jax.random.key_data(cells.start))[0]).any()


def test_chunks_change_nothing(whole):
    """Chunks of three, the last filled with a cell that is there already; another program rounds differently."""
    assert_same(train_grid(TINY, cells_at_once=3), whole, tolerance=1e-4)


def test_a_finished_folder_is_read_and_not_trained_again(tmp_path, whole):
    assert_same(train_grid(TINY, folder=tmp_path), whole)
    lines = []
    assert_same(train_grid(TINY, folder=tmp_path, report=lines.append), whole)
    assert lines == []


def test_another_experiment_in_the_folder_is_refused(tmp_path):
    (tmp_path / "experiment.json").write_text(replace(TINY, seeds=3, noises=(0.5,)).to_json())
    message = (f"folder: expected one with this experiment, got another in {tmp_path} "
               "(noises: (0.2, 0.5) here, (0.5,) there; seeds: 1 here, 3 there)")
    with pytest.raises(ValueError, match=re.escape(message)):
        train_grid(TINY, folder=tmp_path)


def test_a_damaged_state_is_named(tmp_path):
    train_grid(replace(TINY, objectives=("cp",), max_epochs=1), folder=tmp_path)
    for path in (tmp_path / "cp-0-1").rglob("*"):
        if path.is_file() and path.stat().st_size > 200:
            path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="folder: expected a checkpoint of this training, got a damaged one in"):
        train_grid(replace(TINY, objectives=("cp",), max_epochs=1), folder=tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="folder: expected a folder, got a file"):
        train_grid(TINY, folder=tmp_path / "file")


PROGRAM = """
    import sys
    from phasejax.deep import grid
    from phasejax.deep.experiment import Experiment

    grid._SECONDS_BETWEEN_SAVES = 0.0
    experiment = Experiment.from_json(open(sys.argv[1]).read())
    found = grid.train_grid(experiment, folder=sys.argv[2], report=lambda line: print(line, flush=True))
    found.curves.to_netcdf(sys.argv[3], engine="scipy")
"""


def run_program(tmp_path, folder, **options):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    (tmp_path / "tiny.json").write_text(replace(TINY, objectives=("cp",), max_epochs=12).to_json())
    return subprocess.Popen([sys.executable, program, tmp_path / "tiny.json", folder, tmp_path / "curves.nc"],
                            stdout=subprocess.PIPE, text=True, cwd=ROOT, **options)


def test_a_killed_run_goes_on_to_the_same_result(tmp_path):
    """Killed for good (SIGKILL) amid the second cell, continued in a new process, against one never stopped."""
    import xarray as xr

    with run_program(tmp_path, tmp_path / "run") as first:
        for line in first.stdout:
            if line.startswith("cp, cells 2 to 2 of 4: epoch 5"):
                first.send_signal(signal.SIGKILL)
                break
    assert first.wait() == -signal.SIGKILL
    assert not (tmp_path / "curves.nc").exists()
    second = run_program(tmp_path, tmp_path / "run")
    lines = second.communicate()[0].splitlines()
    assert second.returncode == 0
    # The state of epoch 4 at least was whole on disk when epoch 5 was reported.
    done = int(re.search(r"cells 2 to 2 of 4: epoch (\d+)", lines[0])[1])
    assert done in (5, 6)
    continued = xr.load_dataset(tmp_path / "curves.nc", engine="scipy")
    uninterrupted = run_program(tmp_path, tmp_path / "other")
    uninterrupted.communicate()
    xr.testing.assert_identical(continued, xr.load_dataset(tmp_path / "curves.nc", engine="scipy"))


def test_several_devices_share_the_cells(tmp_path, whole):
    """Four host devices, a cell each; the same instructions on each device, but another compiler pass: 1e-5."""
    import xarray as xr

    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent("""
        import sys
        import jax
        jax.config.update("jax_num_cpu_devices", 4)
        from phasejax.deep.experiment import Experiment
        from phasejax.deep.grid import train_grid
        assert len(jax.local_devices()) == 4
        found = train_grid(Experiment.from_json(open(sys.argv[1]).read()))
        found.curves.to_netcdf(sys.argv[2], engine="scipy")
    """))
    (tmp_path / "tiny.json").write_text(TINY.to_json())
    subprocess.run([sys.executable, program, tmp_path / "tiny.json", tmp_path / "curves.nc"], check=True,
                   cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    found = xr.load_dataset(tmp_path / "curves.nc", engine="scipy")
    np.testing.assert_allclose(found["loss"], whole.curves["loss"], rtol=1e-4)


def test_diverged_cells_are_told():
    found = train_grid(replace(TINY, objectives=("cp",), learning_rate=1e12, max_epochs=2)).curves
    assert found["diverged"].all()
    assert (found["epochs"] <= 2).all()


def test_time_left_is_told():
    lines = []
    train_grid(replace(TINY, objectives=("cp",), jitters=(0.0,), noises=(0.5,)), report=lines.append)
    assert [line.split(":")[0] for line in lines] == ["cp, cells 1 to 1 of 1"] * 3
    assert "epoch 3 of at most 3, 1 cells in training" in lines[-1]
    assert lines[-1].endswith("at most 0 s left")
