"""Shared settings of all tests."""

import os

from hypothesis import settings

from tests.support import ROOT

# Property tests draw the same examples on every run, so that a green run stays green.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Tests compile much and compute little: spare the last optimisations of the machine code. What users
# run, with all of them, is in test_no_hang, test_engine and `phasejax check`.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


# Workers compile the same programs, and so does the next run: keep them all.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
