"""How long computations say how far they are: one callback for sweeps, trainings and comparisons.

Every function that can take long has an argument `progress`: False for silence, True for bars on a
terminal or in a notebook, or a function of the name of the task at hand, how many of its parts are done, and how many
there are. `print_progress` is such a function.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from phasejax._core.terminal import clear_passing_line, one_line


@runtime_checkable
class ProgressCallback(Protocol):
    """A function that an argument `progress` may be, and what it is called with."""

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note that `done` of the `total` parts of `task` are finished; details stand in the task's text."""


def no_progress(task: str, done: int, total: int) -> None:
    """Say nothing; the callback of functions that were given none."""


def print_progress(task: str, done: int, total: int) -> None:
    """Print one line to standard error, such as `parts: 3 of 8`."""
    print(f"{one_line(task)}: {done} of {total}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def reporting(progress: bool | ProgressCallback) -> Iterator[ProgressCallback]:
    """The callback that an argument `progress` stands for, with any bars closed at the end.

    Args:
        progress: False for silence, True for bars on a terminal or in a notebook, or a callback.

    Yields:
        The callback to call with (task, done, total).

    >>> with reporting(lambda task, done, total: print(task, done, total)) as tell:
    ...     tell("rows", 5, 10)
    rows 5 10
    """
    if callable(progress):
        from phasejax._core.validation import users_own  # imports JAX, for which bars do not wait

        def tell(task: str, done: int, total: int) -> None:
            with users_own("progress", "the function given"):
                progress(task, done, total)

        yield tell
    elif progress:
        with progress_bars() as advance:
            yield advance
    else:
        yield no_progress


@contextlib.contextmanager
def progress_bars(whole: str | None = None, units_per_second: float | int | None = None) -> Iterator[ProgressCallback]:
    """A callback that draws a bar for each task on a terminal or below a notebook's cell, and says nothing elsewhere.

    Details in parentheses may change from call to call: `cp, epochs (loss 0.3)` and `cp, epochs (loss 0.2)`
    are one task.

    Args:
        whole: the task that all others are parts of, with details in parentheses: it is shown at once, with the time
            that it has taken so far, also while files are read and programs are compiled.
        units_per_second: how many parts of `whole` a second is expected to take, where that is known: then the time
            left is shown from its first report.
    """
    from phasejax._core.notebook_bars import NotebookBars, notebook_display  # which needs this module

    if (display := notebook_display()) is not None:
        in_notebook = NotebookBars(display, whole, units_per_second)
        try:
            yield in_notebook
        finally:
            in_notebook.close()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    # Kernels of notebooks set FORCE_COLOR, with which a pipe would count as a terminal too.
    if not console.is_terminal or not (console.is_jupyter or sys.stderr.isatty()):
        yield no_progress
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[parts]}"), TimeElapsedColumn(),
               TextColumn("left: {task.fields[left]}"))
    bars, tasks, of_all = Progress(*columns, console=console, transient=True), {}, (whole or "").partition(" (")[0]
    if whole is not None:
        clear_passing_line()
        tasks[of_all] = bars.add_task(escape(one_line(whole)), total=None, parts="", left=TimeLeft(units_per_second))
        bars.start()

    def advance(task: str, done: int, total: int) -> None:
        name = task.partition(" (")[0]  # details in parentheses change from call to call, the bar stays
        if name not in tasks:
            tasks[name] = bars.add_task(escape(one_line(task)), total=total, parts="", left=TimeLeft())
            if of_all in tasks:
                bars.update(tasks[of_all], description=escape(one_line(of_all)))  # what it began with is over
        (shown,) = (one for one in bars.tasks if one.id == tasks[name])
        shown.fields["left"].report(done, total)
        of_whole = name == of_all and units_per_second is not None
        bars.update(tasks[name], description=escape(one_line(task)), completed=done, total=total,
                    parts=f"{done / max(total, 1):.0%}" if of_whole else f"{done}/{total}")
        if not bars.live.is_started:
            bars.start()

    try:
        yield advance
    finally:
        if bars.live.is_started:
            bars.stop()


class TimeLeft:
    """How long a task will go on, in seconds that run down between its reports.

    With an expected pace of u parts a second, the pace that is seen, over t seconds and m parts, is weighted with what
    was expected of the first `_TRUST` seconds: left = (total - done) (t + s) / (m + s u).
    """

    _TRUST = 5.0

    def __init__(self, units_per_second: float | int | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Begin the clock: at the first report where a pace is expected, else at once.

        Args:
            units_per_second: the expected pace.
            now: the clock.
        """
        self._expected, self._now = units_per_second, now
        self._begin: tuple[float, int] | None = None if units_per_second else (now(), 0)
        self._last: tuple[float, float] | None = None  # when it was reported, and what was left then

    def report(self, done: int, total: int) -> None:
        """Take note that `done` of the `total` parts are finished."""
        now = self._now()
        if self._begin is None:
            self._begin = (now, done)
        elapsed, moved = now - self._begin[0], float(done - self._begin[1])
        if self._expected:
            elapsed, moved = elapsed + self._TRUST, moved + self._TRUST * self._expected
        self._last = (now, (total - done) * elapsed / moved) if moved > 0 else None

    def seconds(self) -> float | None:
        """Seconds left, 0 at least; None where nothing is known yet."""
        return None if self._last is None else max(0.0, self._last[1] - (self._now() - self._last[0]))

    def __str__(self) -> str:
        left = self.seconds()
        if left is None:
            return "?"
        minutes, seconds = divmod(math.ceil(left), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
