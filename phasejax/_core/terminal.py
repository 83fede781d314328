"""Text from files and arguments that is shown on a terminal, which obeys control characters."""

import os
import sys
from collections.abc import Iterable

_passing: list[str] = []


def show_passing_line(text: str) -> None:
    """Show on a terminal, and nowhere else, a line that `clear_passing_line` takes away again; text has no controls."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        sys.stderr.write(f"{text}\r")
        sys.stderr.flush()
        _passing.append(text)


def clear_passing_line() -> None:
    """Take away what `show_passing_line` shows, before something else is written in its place."""
    if _passing:
        sys.stderr.write("\r" + " " * max(map(len, _passing)) + "\r")
        sys.stderr.flush()
        _passing.clear()


def printable(text: str) -> str:
    """Text without control characters other than line breaks: names in files may hold what a terminal would obey.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def one_line(text: str, most: int = 1000) -> str:
    """Printable text on one line; the middle of very long text is left out.

    >>> one_line("a\\nb")
    'a\\\\nb'
    >>> one_line("a" * 5000, most=9)
    'aaa ... aaa'
    """
    if len(text) > most:
        part = max((most - 3) // 2, 1)
        text = f"{text[:part]} ... {text[-part:]}"
    return printable(text).replace("\n", "\\n")


def listed(names: Iterable[object], most: int = 12) -> str:
    """The first names of many, each short and on one line.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    texts = [str(name) for name in names]
    shown = ", ".join(one_line(text, 60) for text in texts[:most])
    return shown + (f" and {len(texts) - most} more" if len(texts) > most else "")
