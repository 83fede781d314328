"""First and second call of each subcommand of `phasejax`, as whole processes: wall time and peak memory.

The first call of a subcommand compiles its programs and keeps them in a fresh folder, where the second one finds them.
Data are the halves of 1797 digits: of 32 pixels for `similarity`, without the blank ones for `diagnose`.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.report import Row, row
from phasejax.datasets import load_digit_halves

_DATA = ("x.npy", "y.npy", "--labels", "labels.npy")
# Arguments of each subcommand. `monitor` compares with what `diagnose --json`, which comes before it, has written.
COMMANDS: dict[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "--version": ("--version",),
    "similarity": ("similarity", "left.npy", "right.npy", "--no-progress"),
    "diagnose": ("diagnose", *_DATA),
    "diagnose --json": ("diagnose", *_DATA, "--json", "diagnosis.json"),
    "monitor": ("monitor", "diagnosis.json", *_DATA),
    "sweep": ("sweep", "--axes", "kappa=0:3:16", "nu=0:1:16", "--fixed", "k=3", "d=20", "nuisance_y=5", "--n", "1000",
              "--seeds", "2", "--quantities", "regime", "error_ca", "error_cp", "--out", "grid.nc", "--no-progress"),
    "check": ("check",),
}
# What the installed script `phasejax` runs, and then the peak memory of the process.
_PROCESS = """
import sys
from phasejax.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
from benchmarks.report import peak_memory
print(f"peak {peak_memory()}", file=sys.stderr)
sys.exit(code)
"""


def run(commands: dict[str, tuple[str, ...]] = COMMANDS) -> list[Row]:
    """Seconds and gigabytes of both calls of each subcommand."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, values in zip(("x", "y", "labels"), load_digit_halves(), strict=True):
            np.save(Path(folder, f"{name}.npy"), values)
        images = load_digits().images
        np.save(Path(folder, "left.npy"), images[:, :, :4].reshape(-1, 32))
        np.save(Path(folder, "right.npy"), images[:, :, 4:].reshape(-1, 32))
        for name, arguments in commands.items():
            cache = Path(folder, "compiled", name)
            for call in ("first call", "second call"):
                seconds, peak = _called(arguments, Path(folder), cache)
                case = f"phasejax {name}, {call}"
                rows += [row(case, "wall_time", seconds, "s"), row(case, "peak_memory", peak / 1e9, "GB")]
    return rows


def _called(arguments: tuple[str, ...], folder: Path, cache: Path) -> tuple[float, int]:
    """Seconds and peak bytes of a process that keeps compiled programs in the folder `cache`."""
    # A folder that JAX is given by the environment would be used instead.
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"PHASEJAX_CACHE": str(cache), "PYTHONPATH": str(Path(__file__).parents[1])}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _PROCESS, *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    *printed, peak = done.stderr.splitlines() or [""]
    if done.returncode != 0:
        raise RuntimeError(f"phasejax {' '.join(arguments)}: expected exit code 0, got {done.returncode}: "
                           + " ".join((*printed, peak)[-3:]))
    return seconds, int(peak.removeprefix("peak "))
