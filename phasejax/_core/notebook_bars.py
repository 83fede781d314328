"""Progress bars in a notebook: one output that is drawn again as work goes on, and is empty once it is done."""

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from phasejax._core.progress import TimeLeft
from phasejax._core.terminal import one_line

# Seconds between two drawings: a browser gets a message for each, and a saved notebook keeps none of them.
_PAUSE = 0.2
_LINE = ('<div style="display: flex; gap: 0.8em; align-items: center; font-size: 0.9em">'
         '<span style="min-width: 16em">{text}</span><progress style="width: 14em" {value}></progress>'
         '<span>{parts}</span><span style="opacity: 0.7">{times}</span></div>')


def notebook_display() -> Callable[..., Any] | None:
    """IPython's function that shows an object below a cell; None unless this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display  # pyright: ignore[reportMissingImports] (there, since it runs this process)

    return display


class _Text:
    """HTML in a form that any front end takes."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


class NotebookBars:
    """A bar for each task, drawn with the display function of a notebook; the callback of an argument `progress`.

    Args:
        display: that function, `IPython.display.display`.
        whole: the task that all others are parts of, as in `progress_bars`.
        units_per_second: how many parts of it a second is expected to take.
        now: the clock.
    """

    def __init__(self, display: Callable[..., Any], whole: str | None = None,
                 units_per_second: float | int | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._display, self._handle = now, display, None
        self._tasks: dict[str, dict[str, Any]] = {}
        self._drawn, self._whole = -_PAUSE, (whole or "").partition(" (")[0]
        self._of_time = self._whole if units_per_second is not None else None
        if whole is not None:
            self._tasks[self._whole] = self._begun(whole, None, units_per_second)
            self._draw()

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note that `done` of the `total` parts of `task` are finished, and draw that where it is time to."""
        name = task.partition(" (")[0]  # details in parentheses change from call to call, the bar stays
        if name not in self._tasks:
            self._tasks[name] = self._begun(task, total)
        bar = self._tasks[name]
        bar.update(text=task, done=done, total=total)
        bar["left"].report(done, total)
        if self._now() - self._drawn >= _PAUSE:
            self._draw()

    def close(self) -> None:
        """Leave nothing behind."""
        if self._handle is not None:
            self._handle.update(_Text("", ""))

    def _begun(self, text: str, total: int | None, units_per_second: float | int | None = None) -> dict[str, Any]:
        left = TimeLeft(units_per_second, self._now)
        return {"text": text, "done": 0, "total": total, "begun": self._now(), "left": left}

    def _draw(self) -> None:
        self._drawn = self._now()
        lines = [self._line(name, bar) for name, bar in self._tasks.items()]
        shown = _Text("".join(html for html, _ in lines), "\n".join(text for _, text in lines))
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def _line(self, name: str, bar: dict[str, Any]) -> tuple[str, str]:
        """A bar as HTML and as text; one of unknown length moves to and fro."""
        done, total = bar["done"], bar["total"]
        parts = "" if total is None else f"{done / max(total, 1):.0%}" if name == self._of_time else f"{done}/{total}"
        minutes, seconds = divmod(int(self._now() - bar["begun"]), 60)
        times, text = f"{minutes}:{seconds:02}, left: {bar['left']}", one_line(bar["text"], 200)
        value = "" if total is None else f'value="{done}" max="{max(total, 1)}"'
        return (_LINE.format(text=escape(text), value=value, parts=parts, times=times), f"{text} {parts} {times}")
