"""`phasejax sweep`: the function's own results, shared by processes, and bad input."""

import os
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import phasejax
from phasejax import cli
from phasejax.cli._sweep import _axis
from phasejax.cli._sweep_output import write_dataset
from phasejax.simulation import QUANTITIES, TRAINED
from tests.cli.conftest import COMMAND, run

SWEEP = ["sweep", "--axes", "kappa=0.5:2:4", "nu=0.1,0.5", "--fixed", "k=2", "d=6", "nuisance_y=4", "--n", "50",
         "--seeds", "3", "--quantities", "regime", "error_ca"]


@pytest.fixture(scope="module")
def expected():
    """What the function returns for `SWEEP`."""
    return phasejax.sweep(phasejax.SpikedModel.homogeneous, {"kappa": np.linspace(0.5, 2, 4), "nu": [0.1, 0.5]},
                          fixed={"k": 2, "d": 6, "nuisance_y": 4}, n=50, seeds=3, key=jax.random.key(0),
                          quantities=["regime", "error_ca"])


@pytest.mark.slow
def test_sweep_writes_what_the_function_returns(expected, tmp_path):
    done = run(*SWEEP, "--out", "grid.nc", "--store", "run.zarr", "--no-progress", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "regime, error_ca over kappa 4 x nu 2 x seed 3: wrote run.zarr, grid.nc\n"
    with xr.open_dataset(tmp_path / "grid.nc", engine="scipy") as found:
        xr.testing.assert_identical(found.load(), expected)
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found:
        xr.testing.assert_equal(found.load(), expected)


@pytest.mark.slow
def test_sweep_shared_by_two_processes(expected, tmp_path):
    """As srun starts them; one store, the same numbers as one process. Below, the coordinator is named instead."""
    job, processes = str(_free_port()), []
    for i in range(2):
        of_srun = {"SLURM_JOB_ID": job, "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2",
                   "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}
        processes.append(subprocess.Popen(
            [*COMMAND, *SWEEP, "--store", "run.zarr", "--distributed", "--no-progress"], cwd=tmp_path,
            env=os.environ | of_srun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "run.zarr" in outputs[0][0]
    assert "run.zarr" not in outputs[1][0]
    assert sorted(os.listdir(tmp_path)) == ["run.zarr"]
    with xr.open_zarr(tmp_path / "run.zarr", chunks=None, consolidated=False) as found:
        xr.testing.assert_equal(found.load(), expected)


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _start(folder, port, number, axes, timeout):
    return subprocess.Popen(
        [*COMMAND, "sweep", "--axes", *axes, "--fixed", "k=1", "d=4", "--n", "50", "--seeds", "50", "--quantities",
         "error_ca", "--store", "run.zarr", "--memory", "20MB", "--distributed", "--coordinator", f"127.0.0.1:{port}",
         "--processes", "2", "--process-id", str(number), "--timeout", str(timeout), "--no-progress"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _is_one_line(err, start):
    assert err.startswith(f"error: --distributed: expected all processes {start}"), err
    assert err.count("\n") == 1, err


@pytest.mark.slow
def test_processes_that_wait_in_vain_say_so(tmp_path):
    """Process 0 without the other, and process 1 without a coordinator."""
    waiting = [_start(tmp_path, _free_port(), number, ["nu=0.1,0.2"], 2) for number in (0, 1)]
    for process, missing in zip(waiting, ("the others", "process 0"), strict=True):
        out, err = process.communicate(timeout=200)
        assert process.returncode == 2
        _is_one_line(err, f"within 2 s (--timeout), got no answer from {missing}")
        assert not out
    assert not os.listdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("signal_sent", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.by_hand)])
@pytest.mark.parametrize("who", [1, pytest.param(0, marks=pytest.mark.by_hand)])
def test_a_lost_process_ends_the_others_in_one_line(tmp_path, signal_sent, who):
    """In the middle of a sweep, which goes on afterwards in one process and ends with its digits."""
    axes, port = ["kappa=1:3:200", "nu=0.1:0.9:50"], _free_port()
    # Long enough for two processes to start on a busy machine.
    both = [_start(tmp_path, port, number, axes, 25) for number in (0, 1)]
    journal, begin = tmp_path / "run.zarr" / "phasejax" / "run" / "journal.jsonl", time.monotonic()
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 2) and time.monotonic() < begin + 200:
        time.sleep(0.01)
    both[who].send_signal(signal_sent)
    try:
        out, err = both[1 - who].communicate(timeout=100)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[1 - who].returncode == 4, err
    _is_one_line(err, "to the end, lost one")
    assert not out
    done = journal.read_bytes().count(b"\n") - 1
    assert 2 <= done < 1000
    seen = []
    found = phasejax.sweep(phasejax.SpikedModel.homogeneous, {"kappa": np.linspace(1, 3, 200),
                           "nu": np.linspace(0.1, 0.9, 50)}, fixed={"k": 1, "d": 4}, n=50, seeds=50,
                           key=jax.random.key(0), quantities="error_ca", store=tmp_path / "run.zarr",
                           progress=lambda task, done, total: seen.append(done))
    assert seen[0] > 0
    assert np.isfinite(found.error_ca.values).all()


@pytest.mark.parametrize(("args", "message"), [
    ([*SWEEP], "error: --out or --store: expected a place for the results, got neither"),
    (["sweep", "--quantities", "rho", "--out", "g.nc"], "error: --axes: expected at least one (--list says"),
    ([*SWEEP, "--out", "grid.pdf"], "error: --out: expected a file ending in .nc, .zarr, .csv or .npz, got grid.pdf"),
    (["sweep", "--axes", "kapa=0:1:3", "--quantities", "rho", "--out", "g.nc"],
     "error: axes and fixed: expected the arguments of SpikedModel.homogeneous, got 'kapa' (did you mean 'kappa'?)"),
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
    ([*SWEEP, "--out", "g.nc", "--distributed", "--coordinator", "here", "--processes", "2", "--process-id", "0"],
     "error: --coordinator: expected HOST:PORT, got 'here'"),
    ([*SWEEP, "--out", "g.nc", "--distributed", "--coordinator", "h:1", "--processes", "2", "--process-id", "2"],
     "error: --process-id: expected a number from 0 to 1, got 2"),
    ([*SWEEP, "--out", "g.nc", "--distributed", "--timeout", "0"], "error: --timeout: expected at least 1 second"),
    ([*SWEEP, "--out", "g.nc", "--executor", "threads"], "error: executor: expected processes:COUNT, dask, dask:ADD"),
    ([*SWEEP, "--out", "g.nc", "--coordinator", "h:1"], "error: --coordinator: expected --distributed with it, got h"),
    ([*SWEEP, "--out", "g.nc", "--timeout", "9"], "error: --timeout: expected --distributed with it, got 9 without"),
    (["sweep", "--axes", "nu=0.5", "nu=1", "--quantities", "rho", "--out", "g.nc"], "error: --axes: expected each na"),
    (["sweep", "--axes", "nu=0:1:1000000000000", "--quantities", "rho", "--out", "g.nc"],
     "error: --axes: expected at most 10000000 values of nu, got 1000000000000"),
    ([*SWEEP, "--out", "g.nc", "--executor", "dask", "--distributed"], "error: --executor: expected none with"),
])
def test_a_bad_sweep_gets_one_line(tmp_path, args, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(args) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert not out
    assert not os.listdir(tmp_path)


def test_evenly_spaced_whole_numbers_are_whole_numbers():
    """Since d, k and n must be."""
    for text, expected in (("n=100:300:3", [100, 200, 300]), ("nu=0:1:3", [0, 0.5, 1]), ("kappa=0:1e99:2", [0, 1e99])):
        values = _axis(text)[1]
        np.testing.assert_array_equal(values, expected)
        assert values.dtype.kind == ("i" if text.startswith("n=") else "f")


def test_all_endings_hold_the_same_numbers(tmp_path, capsys, monkeypatch):
    """And a folder that is there is not replaced."""
    monkeypatch.chdir(tmp_path)
    found = xr.Dataset({"rho": (("nu", "signal"), np.arange(6.0).reshape(3, 2))}, {"nu": [0.0, 0.5, 1.0]})
    for name in ("g.nc", "g.zarr", "g.csv", "g.npz"):
        write_dataset(found, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["g.csv", "g.nc", "g.npz", "g.zarr"]
    with np.load("g.npz") as arrays:
        assert set(arrays) == {"rho", "nu"}
        np.testing.assert_array_equal(arrays["rho"], found.rho)
    np.testing.assert_array_equal(pd.read_csv("g.csv").set_index(["nu", "signal"]).rho.unstack(), found.rho)
    for one in (xr.load_dataset("g.nc", engine="scipy"), xr.open_zarr("g.zarr", consolidated=False)):
        np.testing.assert_array_equal(one.rho, found.rho)
    assert cli.main([*SWEEP, "--out", "g.zarr"]) == 2
    assert capsys.readouterr().err == "error: --out: expected a folder that is not there yet, got g.zarr\n"


def test_every_quantity_is_listed_once(capsys):
    assert cli.main(["sweep", "--list"]) == 0
    out = capsys.readouterr().out
    for name, quantity in (QUANTITIES | TRAINED).items():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert quantity.long_name in line
        assert line.endswith(f"[{quantity.units}]") == (quantity.units != "1")
    assert "regime: 0 Neither, 1 CA only, 2 CP only, 3 Both" in out
