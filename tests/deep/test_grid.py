"""Grids of trainings give the same result whatever the chunks, the devices and the interruptions."""

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
import xarray as xr

from phasejax.deep import Experiment, TrainedGrid, _grid, train_grid
from phasejax.deep._checkpoints import DamagedCheckpoint
from phasejax.deep._grid import cells_of
from tests.deep.conftest import TINY, of_all_workers
from tests.support import ROOT

CP = replace(TINY, objectives=("cp",))
ONE_CELL = replace(CP, jitters=(0.0,), seeds=1)


def of_cp(trained):
    """The cells of one objective: what is about chunks and devices is the same for all."""
    return TrainedGrid(CP, {"cp": trained.params["cp"]}, trained.curves.sel(objective=["cp"]))


def assert_same(found, expected, tolerance=0.0):
    np.testing.assert_allclose(found.curves["loss"], expected.curves["loss"], rtol=tolerance)
    for name in expected.params:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
                     found.params[name], expected.params[name])


@pytest.mark.slow
def test_a_grid_has_a_curve_for_every_cell(trained):
    assert dict(trained.curves.sizes) == {"objective": 3, "jitter": 2, "noise": 1, "seed": 2, "epoch": 3, "split": 2}
    loss = trained.curves["loss"]
    assert np.isfinite(loss).all()
    assert (loss.isel(epoch=-1) < loss.isel(epoch=0)).sel(split="train").all()
    assert (trained.curves["epochs"] == 3).all()
    assert {len(leaf) for leaf in jax.tree.leaves(trained.params)} == {4}
    assert Experiment.from_json(trained.curves.attrs["experiment"]) == TINY


def test_cells_of_one_seed_differ_only_in_what_is_compared():
    cells = cells_of(replace(TINY, noises=(0.2, 0.5)))
    np.testing.assert_array_equal(cells.jitter, np.float32([0, 0, 0, 0, 0.3, 0.3, 0.3, 0.3]))
    np.testing.assert_array_equal(cells.noise, np.float32([0.2, 0.2, 0.5, 0.5] * 2))
    data = np.asarray(jax.random.key_data(cells.data))
    for cell in range(8):
        np.testing.assert_array_equal(data[cell], data[cell % 2])
    assert (data[0] != data[1]).any()
    assert (data[0] != np.asarray(jax.random.key_data(cells.start))[0]).any()


@pytest.mark.slow
def test_chunks_change_nothing(trained):
    """Chunks of three cells, the last filled up with copies; their program rounds differently, hence the tolerance."""
    assert_same(train_grid(CP, cells_at_once=3), of_cp(trained), tolerance=1e-4)


@pytest.mark.slow
def test_a_finished_store_is_read_and_not_trained_again(tmp_path_factory, trained):
    calls = []
    store = of_all_workers(tmp_path_factory) / "tiny"
    assert_same(train_grid(TINY, store=store, progress=lambda *call: calls.append(call)), trained)
    assert calls == []


def test_another_experiment_in_the_store_is_refused(tmp_path):
    (tmp_path / "experiment.json").write_text(replace(TINY, seeds=3, noises=(0.2,)).to_json())
    message = (f"store: expected one with this experiment, got another in {tmp_path} "
               "(noises: (0.5,) here, (0.2,) there; seeds: 2 here, 3 there)")
    with pytest.raises(ValueError, match=re.escape(message)):
        train_grid(TINY, store=tmp_path)


@pytest.mark.slow
def test_a_damaged_state_is_named_and_the_one_before_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(_grid, "_SECONDS_BETWEEN_SAVES", 0.0)
    expected = train_grid(ONE_CELL, store=tmp_path)
    (tmp_path / "cp-0-1" / "3" / "_METADATA").write_bytes(b"")
    damaged = re.escape(f"{tmp_path}/cp-0-1/3/_METADATA is not what was written: the state before it is used instead")
    calls = []
    with pytest.warns(DamagedCheckpoint, match=damaged):
        found = train_grid(ONE_CELL, store=tmp_path, progress=lambda *call: calls.append(call))
    assert [call[1:] for call in calls] == [(3, 3)]
    assert_same(found, expected)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="store: expected a folder, got a file"):
        train_grid(TINY, store=tmp_path / "file")


KILLED = replace(CP, jitters=(0.3,), max_epochs=6)
KILLABLE = """
    import sys
    from phasejax.deep import Experiment, _grid, train_grid

    _grid._SECONDS_BETWEEN_SAVES = 0.0
    experiment = Experiment.from_json(open(sys.argv[1]).read())
    found = train_grid(experiment, store=sys.argv[2],
                       progress=lambda task, done, total: print(f"{task}: {done} of {total}", flush=True))
    found.curves.to_netcdf(sys.argv[3], engine="scipy")
"""


def start_killable(tmp_path, store):
    """A process that trains two cells, prints its progress, and saves its state after every epoch."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(KILLABLE))
    (tmp_path / "tiny.json").write_text(KILLED.to_json())
    return subprocess.Popen([sys.executable, program, tmp_path / "tiny.json", store, tmp_path / "curves.nc"],
                            stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_result(tmp_path):
    """Killed with SIGKILL while the second cell trains, and continued in a new process, against one never stopped."""
    with start_killable(tmp_path, tmp_path / "run") as first:
        for line in first.stdout:
            if re.fullmatch(r"cp, epochs \(cells 2 to 2 of 2, .*\): 3 of 6\n", line):
                first.send_signal(signal.SIGKILL)
                break
    assert first.wait() == -signal.SIGKILL
    assert not (tmp_path / "curves.nc").exists()
    second = start_killable(tmp_path, tmp_path / "run")
    lines = second.communicate()[0].splitlines()
    assert second.returncode == 0
    # The state of epoch 2 at least was whole on disk when epoch 3 was reported.
    done = int(re.match(r"cp, epochs \(cells 2 to 2 of 2, .*\): (\d) of 6", lines[0])[1])
    assert done in (3, 4)
    continued = xr.load_dataset(tmp_path / "curves.nc", engine="scipy")
    train_grid(KILLED).curves.to_netcdf(tmp_path / "uninterrupted.nc", engine="scipy")
    xr.testing.assert_identical(continued, xr.load_dataset(tmp_path / "uninterrupted.nc", engine="scipy"))


@pytest.mark.slow
def test_several_devices_share_the_cells(tmp_path, trained):
    """Four host devices with a cell each: the same instructions, but compiled differently, hence the tolerance."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent("""
        import sys
        import jax
        jax.config.update("jax_num_cpu_devices", 4)
        from phasejax.deep import Experiment, train_grid
        assert len(jax.local_devices()) == 4
        found = train_grid(Experiment.from_json(open(sys.argv[1]).read()))
        found.curves.to_netcdf(sys.argv[2], engine="scipy")
    """))
    (tmp_path / "tiny.json").write_text(CP.to_json())
    subprocess.run([sys.executable, program, tmp_path / "tiny.json", tmp_path / "curves.nc"], check=True,
                   cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    found = xr.load_dataset(tmp_path / "curves.nc", engine="scipy")
    np.testing.assert_allclose(found["loss"], of_cp(trained).curves["loss"], rtol=1e-4)


@pytest.mark.slow
def test_diverged_cells_are_named():
    found = train_grid(replace(TINY, objectives=("cp",), learning_rate=1e12, max_epochs=2)).curves
    assert found["diverged"].all()
    assert (found["epochs"] <= 2).all()


@pytest.mark.slow
def test_progress_has_the_cells_the_loss_and_the_time_left():
    calls = []
    train_grid(ONE_CELL, progress=lambda *call: calls.append(call))
    assert [call[1:] for call in calls] == [(1, 3), (2, 3), (3, 3)]
    detail = r"cells 1 to 1 of 1, validation loss [\d.e-]+, at most \d+ (s|min) left"
    assert all(re.fullmatch(rf"cp, epochs \({detail}\)", task) for task, _, _ in calls)
    assert calls[-1][0].endswith("at most 0 s left)")
