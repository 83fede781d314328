"""What the subcommands share: the arrays that they read, and the files that they write."""

from pathlib import Path
from typing import Any, Literal

LabelKind = Literal["auto", "class", "real"]


def write_text(path: Path | None, text: str) -> None:
    """Write a text file as a whole or not at all; nothing where no file was asked for."""
    from phasejax._core.atomic_files import written_whole

    if path is not None:
        with written_whole(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def read_pair(x: str, y: str) -> list[Any]:
    """Two views with paired rows: arrays, or tables that are read in blocks."""
    from phasejax.io._readers import open_view

    first = open_view(x)
    return [first, open_view(y, rows=len(first))]


def read_labelled_pair(x: str, y: str, labels: str, labelled: str | None) -> tuple[Any, Any, Any, Any]:
    """The arguments x, y, labels and labelled of `diagnose`, from files."""
    from phasejax.io import load_array

    first, second = read_pair(x, y)
    rows = None if labelled is None else load_array(labelled)
    return first, second, load_array(labels, rows=len(first) if rows is None else len(rows)), rows
