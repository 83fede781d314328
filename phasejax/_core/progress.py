"""How long computations say how far they are: one callback for sweeps, trainings and comparisons.

Every function that can take long has an argument `progress`: False for silence, True for bars on a
terminal, or a function of the name of the task at hand, how many of its parts are done, and how many
there are. `print_progress` is such a function.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from phasejax._core.terminal import one_line


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
        progress: False for silence, True for bars on a terminal, or a callback.

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
def progress_bars(whole: str | None = None) -> Iterator[ProgressCallback]:
    """A callback that draws a bar for each task on a terminal, and says nothing elsewhere.

    Details in parentheses may change from call to call: `cp, epochs (loss 0.3)` and `cp, epochs (loss 0.2)`
    are one task.

    Args:
        whole: what all tasks are parts of: it is shown at once, with the time that it has taken so far, also while
            programs are compiled and no task has begun.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield no_progress
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[parts]}"), TimeElapsedColumn(),
               TextColumn("left:"), TimeRemainingColumn())
    bars, tasks = Progress(*columns, console=console, transient=True), {}
    if whole is not None:
        bars.add_task(escape(one_line(whole)), total=None, parts="")
        bars.start()

    def advance(task: str, done: int, total: int) -> None:
        name = task.partition(" (")[0]  # details in parentheses change from call to call, the bar stays
        if name not in tasks:
            tasks[name] = bars.add_task(escape(one_line(task)), total=total, parts="")
        bars.update(tasks[name], description=escape(one_line(task)), completed=done, total=total,
                    parts=f"{done}/{total}")
        if not bars.live.is_started:
            bars.start()

    try:
        yield advance
    finally:
        if bars.live.is_started:
            bars.stop()
