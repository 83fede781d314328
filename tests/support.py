"""What several test files need: places in the repository, and the environment of a user's process."""

import os
from importlib.metadata import version
from pathlib import Path

import xarray as xr

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"

# Flags that spare the last optimisations of the machine code and the slower way to emit it, which halves the time of
# compilation. The second one depends on the version, and a flag that is not known ends the process.
_JAXLIB = tuple(map(int, version("jaxlib").split(".")[:2]))
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0" + (
    " --xla_cpu_use_fusion_emitters=false" if _JAXLIB < (0, 11) else
    " --xla_cpu_opt_preset=CPU_OPT_PRESET_FAST_COMPILE" if _JAXLIB >= (0, 12) else "")


def as_users_run() -> dict[str, str]:
    """The environment of a process without the settings of compilers and threads that `conftest` makes for tests."""
    return {name: value for name, value in os.environ.items()
            if name != "XLA_FLAGS" and not name.endswith("_NUM_THREADS")}


def assert_same_numbers(found, expected):
    """Datasets are the same to the last bit and attribute, but for where they were computed."""
    xr.testing.assert_identical(*(each.assign_attrs(computed_on=None) for each in (found, expected)))
