"""`phasejax sweep`: the function's own results, shared by processes, and bad input."""

import os
import socket
import subprocess

import jax
import numpy as np
import pytest
import xarray as xr

import phasejax
from phasejax import cli
from tests.cli.conftest import COMMAND, run
from tests.support import as_users_run

SWEEP = ["sweep", "--axes", "kappa=0.5:2:4", "nu=0.1,0.5", "--fixed", "k=2", "d=6", "nuisance_y=4", "--n", "50",
         "--seeds", "3", "--quantities", "regime", "error_ca"]


@pytest.mark.slow
def test_sweep_writes_what_the_function_returns(tmp_path):
    done = run(*SWEEP, "--out", "grid.nc", "--store", "run.zarr", "--no-progress", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "regime, error_ca over kappa 4 x nu 2 x seed 3: run.zarr\n"
    expected = phasejax.sweep(phasejax.SpikedModel.homogeneous, {"kappa": np.linspace(0.5, 2, 4), "nu": [0.1, 0.5]},
                              fixed={"k": 2, "d": 6, "nuisance_y": 4}, n=50, seeds=3, key=jax.random.key(0),
                              quantities=["regime", "error_ca"])
    with xr.open_dataset(tmp_path / "grid.nc", engine="scipy") as found:
        xr.testing.assert_identical(found.load(), expected)
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found:
        xr.testing.assert_equal(found.load(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("slurm", [False, True])
def test_sweep_shared_by_two_processes(tmp_path, slurm):
    """As srun starts them, and with the coordinator named; one store, the same numbers as one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for i in range(2):
        flags, environment = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process-id", str(i)], {}
        if slurm:
            flags, environment = [], {"SLURM_JOB_ID": str(port), "SLURM_STEP_NODELIST": "localhost",
                                      "SLURM_NTASKS": "2", "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}
        processes.append(subprocess.Popen(
            [*COMMAND, *SWEEP, "--store", "run.zarr", "--distributed", *flags, "--no-progress"], cwd=tmp_path,
            env=as_users_run() | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "run.zarr" in outputs[0][0]
    assert "run.zarr" not in outputs[1][0]
    assert sorted(os.listdir(tmp_path)) == ["run.zarr"]
    alone = run(*SWEEP, "--out", "alone.nc", "--no-progress", cwd=tmp_path, env=as_users_run())
    assert alone.returncode == 0
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found, \
            xr.open_dataset(tmp_path / "alone.nc", engine="scipy") as expected:
        xr.testing.assert_equal(found.load(), expected.load())


@pytest.mark.parametrize(("args", "message"), [
    ([*SWEEP], "error: --out or --store: expected a place for the results, got neither"),
    ([*SWEEP, "--out", "no/grid.nc"], "error: --out: expected a file in an existing folder"),
    ([*SWEEP, "--out", "g.nc", "--memory", "1kB"], "error: memory: expected at least"),
    ([*SWEEP, "--out", "g.nc", "--memory", "lots"], "error: memory: expected a size like '2GB'"),
    (["sweep", "--axes", "kappa", "--quantities", "rho", "--out", "g.nc"], "error: --axes: expected NAME=FIRST:LAST:"),
    (["sweep", "--axes", "kappa=1:2:x", "--quantities", "rho", "--out", "g.nc"], "error: --axes: expected NAME=FIRST:"),
    (["sweep", "--axes", "nu=0:2:3", "--quantities", "rho", "--out", "g.nc"], "error: nu: expected values in [0, 1]"),
    (["sweep", "--axes", "nu=0.5", "--fixed", "k=two", "--quantities", "rho", "--out", "g.nc"],
     "error: --fixed: expected NAME=VALUE, got 'k=two'"),
    (["sweep", "--axes", "nu=0.5", "--quantities", "speed", "--out", "g.nc"], "error: quantities: expected names"),
    ([*SWEEP, "--out", "g.nc", "--distributed", "--processes", "2"], "error: --coordinator, --processes, --process-id"),
])
def test_a_bad_sweep_gets_one_line(tmp_path, args, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert not os.listdir(tmp_path)
