"""What the subcommands share: the arrays that they read, and the files that they write."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from phasejax._core.terminal import one_line

LabelKind = Literal["auto", "class", "real"]
Missing = Literal["error", "drop", "mean"]


def write_json(path: Path | None, result: Any) -> None:
    """Write what a result's `to_json` gives, as a whole or not at all; nothing where no file was asked for.

    Some numbers are computed only for this file, so that `to_json` is not called without it.
    """
    from phasejax._core.atomic_files import written_whole

    if path is not None:
        with written_whole(path) as unfinished:
            unfinished.write_text(result.to_json(), encoding="utf-8")


def read_pair(x: str, y: str, id_column: str | None = None, *, flatten: bool = False) -> list[Any]:
    """Two views with the identifiers of their rows, from files."""
    return list(read_files({"x": x, "y": y}, id_column, flatten=flatten).values())


def read_labelled_pair(x: str, y: str, labels: str, labelled: str | None, id_column: str | None = None
                       ) -> tuple[Any, Any, Any, Any]:
    """The arguments x, y, labels and labelled of `diagnose`, from files."""
    from phasejax.io import load_array

    rows = None if labelled is None else load_array(labelled)
    first, second, of_rows = read_files({"x": x, "y": y, "labels": labels}, id_column).values()
    return first, second, of_rows, rows


def read_files(paths: dict[str, str | None], id_column: str | None = None, *, flatten: bool = False) -> dict[str, Any]:
    """The rows of files, by what they are (x, y, labels, groups); None where no file was given.

    Args:
        paths: what is read.
        id_column: column of identifiers of all tables whose columns have names; found when left out.
        flatten: whether each image of x and of y is one row.
    """
    found = {name: None for name in paths}
    given = {name: path for name, path in paths.items() if path is not None}
    return {**found, **_named_files(given, id_column, flatten)}


def _named_files(paths, id_column, flatten):
    from phasejax.io import as_named
    from phasejax.io._groups import group_name
    from phasejax.io._named_files import has_named_columns

    if id_column is not None and not any(map(has_named_columns, paths.values())):
        raise ValueError(f"--id: expected tables with named columns, .csv or .parquet, got {', '.join(paths.values())}")
    id_columns = {name: id_column if has_named_columns(path) else None for name, path in paths.items()}
    found: dict[str, Any] = {}
    for name in sorted(paths, key="groups".__ne__):  # groups first, whose column is no feature of the others
        path = paths[name]
        found[name] = rows = as_named(path, name, id_column=id_columns[name], flatten=flatten and name in ("x", "y"),
                                      groups_column=group_name(found.get("groups")))
        if name in ("x", "y") and len(rows.values.shape) != 2 and rows.columns is None:
            raise ValueError(f"{path}: expected two dimensions (rows, columns), got shape {rows.values.shape}")
    return found


@contextmanager
def notes_on_standard_error() -> Iterator[None]:
    """Print how inputs were read, a line each, once the command has done its work; an error stays a single line.

    What the result says as a warning is not said again.
    """
    from phasejax.io import InputNote
    from phasejax.io._matching import InputWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputNote)
        show_others, notes, said = warnings.showwarning, [], set()

        def show(message, category, *others, **options):
            if issubclass(category, InputWarning):
                said.add(str(message))
            elif issubclass(category, InputNote):
                notes.append(str(message))
            else:
                show_others(message, category, *others, **options)

        warnings.showwarning = show
        yield
    for note in dict.fromkeys(note for note in notes if note not in said):
        print("note: " + one_line(note), file=sys.stderr)
