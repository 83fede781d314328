"""Shared settings of all tests."""

import gc
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

# Threads of BLAS wait for each other longer than they compute where several processes share a machine; libraries read
# this when they are imported. Tests of threads set their number, and processes `as_users_run` have the default.
for library in ("OMP", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from tests.support import QUICK_TO_COMPILE, ROOT  # noqa: E402

# Property tests draw the same examples on every run, so that a green run stays green.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Tests compile much and compute little. What users run is in the tests that take `as_users_run` for the environment
# of a process.
os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)

# Workers compile the same programs, and so does the next run: keep them all.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


# Linux gives a process 65,530 memory maps, and every compiled program takes some: a worker that has run thousands of
# programs would end in a segmentation fault.
_MANY_MAPS = 20_000


@pytest.fixture(autouse=True, scope="module")
def forget_programs():
    """After a module, drop compiled programs where there are many; they are found again in the cache on disk."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MANY_MAPS:
        import jax

        jax.clear_caches()


# A tenth of the tests' processor time was the garbage collector going through JAX's many objects again and again.
gc.set_threshold(200_000, 20, 100)


def pytest_collection_finish():
    """What is there before the first test stays: the garbage collector need not look at it."""
    gc.freeze()


def pytest_addoption(parser):
    parser.addoption("--by-hand", action="store_true", help="also run the tests that train for minutes")


# Files that take long for the number of their tests.
_DEAR = ("core/test_no_hang", "programs/test_figures", "programs/test_decision_benchmark", "cli/test_check",
         "cli/test_monitor", "cli/test_sweep", "deep/test_grid", "deep/test_evaluation", "deep/test_pilot",
         "fuzz/test_fuzz", "diagnosis/test_heads_prediction", "captions/test_epochs", "captions/test_training_step")


def pytest_collection_modifyitems(config, items):
    """Leave out what is only run by hand, also where the marks are chosen on the command line.

    Workers take file by file in the order of the items: long ones first, so that no worker ends long after the others.
    """
    by_hand = [item for item in items if item.get_closest_marker("by_hand") and not config.getoption("--by-hand")]
    if by_hand:
        config.hook.pytest_deselected(items=by_hand)
        items[:] = [item for item in items if item not in by_hand]
    dear, count = {ROOT / "tests" / f"{name}.py" for name in _DEAR}, Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in dear, -count[item.path], item.path))


def pytest_make_parametrize_id(config, val, argname):
    """Names of tests that can be read: contents of files stand in the tests, not in their names."""
    if isinstance(val, bytes) or (isinstance(val, str) and ("\n" in val or len(val) > 60)):
        return argname
    return None
