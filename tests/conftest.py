"""Shared settings of all tests."""

import os

from hypothesis import settings

# Property tests draw the same examples on every run, so that a green run stays green.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Tests compile much and compute little: spare the last optimisations of the machine code. What users
# run, with all of them, is in test_no_hang, test_engine and `phasejax check`.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def as_users_run() -> dict[str, str]:
    """The environment of a process without the setting above."""
    return {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
