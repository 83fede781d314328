"""How long each figure takes from its command at the quick preset, a process of its own; what the gallery says."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Row, row
from paper_figs.__main__ import FIGURES
from phasejax import __version__
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts

SECONDS = tuple(name for name, recipe in FIGURES.items() if not recipe.resumable)
TRAINED = tuple(name for name, recipe in FIGURES.items() if recipe.resumable)


def run(names: Sequence[str] = SECONDS, store: Path | None = None,
        progress: bool | ProgressCallback = False) -> list[Row]:
    """The time of each figure, one after the other.

    Args:
        names: figures, by default those that take seconds.
        store: folder that keeps the times that are measured, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every figure.
    """
    parts = compute_parts([(name,) for name in names], _seconds, settings=__version__, store=store, progress=progress,
                          precision=None, workers=1, task="figures")
    return [row(name, "time", float(part["seconds"]), "s") for name, part in zip(names, parts, strict=True)]


def _seconds(name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "paper_figs", name, "--out", folder], check=True, capture_output=True)
        return {"seconds": time.perf_counter() - begin}
