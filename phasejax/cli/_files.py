"""What the subcommands share: the arrays that they read, and the files that they write."""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from phasejax._core.terminal import one_line

LabelKind = Literal["auto", "class", "real"]
Missing = Literal["error", "drop", "mean"]


# Files that the running command has written.
_written: list[str] = []
# Endings of the table that --out writes.
TABLES = (".csv", ".json")


def write_json(path: Path | None, result: Any, **options: Any) -> None:
    """Write what a result's `to_json` gives; nothing where no file was asked for.

    Some numbers are computed only for this file, so that `to_json` is not called without it.

    Args:
        path: the file.
        result: what has a method `to_json`.
        options: of that method.
    """
    if path is not None:
        path.write_text(result.to_json(**options), encoding="utf-8")


def write_table(path: Path | None, result: Any, out: Path | None, **options: Any) -> None:
    """Write a result's table, or all of it as JSON, by the ending of the file.

    Args:
        path: the file to write to in place of `out`.
        result: what has the methods `to_frame` and `to_json`.
        out: the file that was asked for; None writes nothing.
        options: of `to_json`.
    """
    if path is None or out is None:
        return
    if out.suffix == ".json":
        write_json(path, result, **options)
    else:
        result.to_frame().to_csv(path, index=False)


def write_results(result: Any, json: Path | None, out: Path | None) -> None:
    """Write a result to the files that were asked for, all or none, and say so."""
    from phasejax._core.atomic_files import written_together

    with written_together() as place:
        write_json(json and place(json), result)
        write_table(out and place(out), result, out)
    say_written(json, out)


def check_ending(flag: str, path: Path | None, endings: Sequence[str], instead: str = "") -> None:
    """Refuse an output file of another kind than the command writes, before anything is computed.

    Args:
        flag: the command-line flag that the error names.
        path: the file; None where none was asked for.
        endings: those that are known.
        instead: what else might help.

    Raises:
        ValueError: in one line.

    >>> check_ending("--out", Path("a.pdf"), (".csv", ".json"))
    Traceback (most recent call last):
    ...
    ValueError: --out: expected a file ending in .csv or .json, got a.pdf
    """
    if path is not None and path.suffix.lower() not in endings:
        known = " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
        raise ValueError(f"{flag}: expected a file ending in {known}, got {path}{instead}")


def say_written(*paths: Path | None) -> None:
    """Say on standard error, after all notes, which files there are now; those that were not asked for are None."""
    _written.extend(one_line(str(path)) for path in paths if path is not None)


def read_pair(x: str, y: str, id_column: str | None = None, *, flatten: bool = False) -> list[Any]:
    """Two views with the identifiers of their rows, from files."""
    return list(read_files({"x": x, "y": y}, id_column, flatten=flatten).values())


def read_files(paths: dict[str, str | None], id_column: str | None = None, *, flatten: bool = False,
               other_columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The rows of files, by what they are (x, y, labels, groups); None where no file was given.

    Args:
        paths: what is read.
        id_column: column of identifiers of all tables whose columns have names; found when left out.
        flatten: whether each image of x and of y is one row.
        other_columns: columns that are no features of x or y, as `phasejax.io.as_named` takes them.
    """
    found = {name: None for name in paths}
    given = {name: path for name, path in paths.items() if path is not None}
    return {**found, **_named_files(given, id_column, flatten, other_columns)}


def read_confounders(paths: Sequence[str], id_column: str | None = None) -> list[Any]:
    """The rows of files with confounders.

    Args:
        paths: a file, or one column of it, each.
        id_column: column of identifiers of all tables whose columns have names; found when left out.
    """
    from phasejax.io import as_named
    from phasejax.io._named_files import has_named_columns

    found = []
    for path in paths:
        rows = as_named(path, "confounders", id_column=id_column if has_named_columns(path) else None)
        if rows.columns is None:  # the file's name is all that tells confounders of several files apart
            width = rows.values.shape[1] if len(rows.values.shape) == 2 else 1
            rows = replace(rows, columns=(Path(path).stem,) * width)
        found.append(rows)
    return found


def _named_files(paths, id_column, flatten, other_columns):
    from phasejax.io._named_files import has_named_columns
    from phasejax.io._named_together import named_together

    if id_column is not None and not any(map(has_named_columns, paths.values())):
        raise ValueError(f"--id: expected tables with named columns, .csv or .parquet, got {', '.join(paths.values())}")
    id_columns = {name: id_column if has_named_columns(path) else None for name, path in paths.items()}
    read = named_together(**paths, id_columns=id_columns, flatten=flatten, other_columns=other_columns)
    for name, rows in zip(("x", "y"), read[:2], strict=True):
        if len(rows.values.shape) != 2 and rows.columns is None:
            raise ValueError(f"{paths[name]}: expected two dimensions (rows, columns), got shape {rows.values.shape}")
    return {name: rows for name, rows in zip(("x", "y", "labels", "groups"), read, strict=True) if rows is not None}


@contextmanager
def notes_on_standard_error() -> Iterator[None]:
    """Print how inputs were read, a line each, and what was written, once the command has done its work.

    An error stays a single line. What limits the answer is printed at once, before anything is computed; the result
    says it among its warnings.
    """
    from phasejax.io import InputNote
    from phasejax.io._matching import InputWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", InputNote)
        show_others, notes, said = warnings.showwarning, [], set()

        def show(message, category, *others, **options):
            if issubclass(category, InputWarning):
                if str(message) not in said:
                    print("warning: " + one_line(str(message)), file=sys.stderr, flush=True)
                said.add(str(message))
            elif issubclass(category, InputNote):
                notes.append(str(message))
            else:
                show_others(message, category, *others, **options)

        warnings.showwarning = show
        _written.clear()
        yield
    for note in dict.fromkeys(note for note in notes if note not in said):
        print("note: " + one_line(note), file=sys.stderr)
    if _written:
        print("wrote " + ", ".join(_written), file=sys.stderr)
