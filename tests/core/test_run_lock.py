"""One run at a time: the second is told who the first is, and a dead owner keeps nothing."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from phasejax._core.run_lock import RunLock
from tests.support import ROOT

HOLDER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("run_lock", sys.argv[2])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
lock = module.RunLock(sys.argv[1], "store")
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_is_told_who_the_first_is(tmp_path):
    file = tmp_path / "lock"
    message = ("^store: expected a folder that no other run is using, got runs/a, in use by process "
               f"{os.getpid()} on {socket.gethostname()} for 0 s$")
    with RunLock(file, "store"), pytest.raises(ValueError, match=message):
        RunLock(file, "store", "runs/a")
    assert not list(tmp_path.iterdir())
    RunLock(file, "store").release()


def test_a_lock_moves_with_its_folder(tmp_path):
    (tmp_path / "new").mkdir()
    lock = RunLock(tmp_path / "new" / "lock", "store")
    (tmp_path / "new").rename(tmp_path / "run")
    lock.moved_to(tmp_path / "run" / "lock")
    with pytest.raises(ValueError, match="in use by process"):
        RunLock(tmp_path / "run" / "lock", "store")
    lock.release()
    lock.release()
    assert not list((tmp_path / "run").iterdir())


def test_a_folder_that_was_made_anew_is_locked_anew(tmp_path):
    first = RunLock(tmp_path / "lock", "store")
    (tmp_path / "lock").unlink()
    with RunLock(tmp_path / "lock", "store"):
        first.release()
        assert (tmp_path / "lock").exists(), "the first removed the lock of the second"


def test_a_killed_owner_keeps_nothing(tmp_path):
    module = Path(ROOT, "phasejax", "_core", "run_lock.py")
    with subprocess.Popen([sys.executable, "-S", "-c", HOLDER, str(tmp_path / "lock"), str(module)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match=f"in use by process {process.pid} on"):
            RunLock(tmp_path / "lock", "store")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        RunLock(tmp_path / "lock", "store").release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    lock = RunLock(tmp_path / "lock", "store")
    ready, end = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end[1])
        os.write(ready[1], b"1")
        os.read(end[0], 1)  # until the parent has closed its end
        os._exit(0)
    os.read(ready[0], 1)
    assert lock._handle is not None
    os.close(lock._handle)  # as when the parent dies: the file stays
    lock._handle = None
    RunLock(tmp_path / "lock", "store").release()
    os.close(end[1])
    os.waitpid(child, 0)
    for one in (ready[0], ready[1], end[0]):
        os.close(one)
