"""The command `phasejax align`."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro


@dataclass(frozen=True)
class Similarity:
    """How aligned are two representations, by every metric, and is it beyond chance?

    Prints a line a metric: its value, what chance gives at this size (random pairings of the rows), a p-value and an
    interval. Formats as in diagnose; both arrays are read whole.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One representation: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other one, its rows paired with those of x."""
    metrics: Annotated[list[str] | None, tyro.conf.arg(metavar="NAME")] = None
    """What to compute, all when left out; an unknown name lists them."""
    k: int = 10
    """Nearest neighbours."""
    distance: Literal["cosine", "euclidean"] = "cosine"
    """By which neighbours are near."""
    bandwidth: float = 1.0
    """Width of the RBF kernel, in median distances."""
    components: int | None = None
    """Directions that svcca compares; 10, or all where there are fewer, when left out."""
    permutations: int = 200
    """Random pairings behind p-values."""
    resamples: int = 100
    """Parts of the rows behind intervals."""
    confidence: float = 0.9
    """Level of the intervals."""
    seed: int = 0
    """Of pairings and resamples."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the table to this file."""
    progress: bool = True
    """Show on a terminal how far it is, once it takes long."""

    def run(self) -> int:
        from phasejax._core.atomic_files import written_whole
        from phasejax.similarity import compare_representations

        if self.json is not None and not self.json.absolute().parent.is_dir():
            raise ValueError(f"{self.json}: expected a file in an existing folder, got no folder {self.json.parent}")
        x, y = _pair(self.x, self.y)
        with _shown(self.progress) as progress:
            found = compare_representations(x, y, metrics=self.metrics, k=self.k, distance=self.distance, bandwidth=self.bandwidth,
                          components=self.components, permutations=self.permutations, resamples=self.resamples,
                          confidence=self.confidence, seed=self.seed, progress=progress)
        if self.json is not None:
            with written_whole(self.json) as unfinished:
                unfinished.write_text(found.to_json(), encoding="utf-8")
        print(found.summary())
        return 0


@contextlib.contextmanager
def _shown(wanted, patience=10.0):
    """A function (name, done, total) that shows bars on a terminal from `patience` seconds on; None elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar, begun, tasks = Progress(*columns, console=console, transient=True), time.monotonic(), {}

    def advance(name, done, total):
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=done)
        if not bar.live.is_started and time.monotonic() - begun > patience:
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def _pair(x, y):
    """Two arrays with paired rows, whole, from files."""
    from phasejax.io._readers import open_view

    views = [open_view(x)]
    views.append(open_view(y, rows=len(views[0])))
    return [view if isinstance(view, np.ndarray) else view.rows(0, len(view)) for view in views]
