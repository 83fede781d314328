"""What several test files need: places in the repository, and the environment of a user's process."""

import os
from pathlib import Path

import xarray as xr

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"


def as_users_run() -> dict[str, str]:
    """The environment of a process without the compiler setting that `conftest` makes for tests."""
    return {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}


def assert_same_numbers(found, expected):
    """Datasets are the same to the last bit and attribute, but for where they were computed."""
    xr.testing.assert_identical(*(each.assign_attrs(computed_on=None) for each in (found, expected)))
