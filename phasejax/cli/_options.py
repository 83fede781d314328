"""Options that several subcommands have, as a field of each: one name, one meaning and one help text for all.

A subcommand has, for example, `rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)`.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from phasejax._core.atomic_files import check_outputs
from phasejax.cli._files import (
    TABLES,
    LabelKind,
    Missing,
    check_ending,
    read_confounders,
    read_files,
    say_written,
    write_json,
    write_table,
)

FIGURES = (".png", ".pdf", ".svg")
# Of a field whose options are listed among the subcommand's own, under their own names.
UNNAMED = tyro.conf.arg(name="")


@dataclass(frozen=True)
class RowOptions:
    """How rows of files are read and matched."""

    id: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column of the tables that identifies the rows; found by its name when left out."""
    by_position: bool = False
    """Pair rows by position although there are identifiers."""
    missing: Missing = "error"
    """What to do about missing values in features: drop keeps complete rows, mean fills in means of columns."""
    flatten: bool = False
    """Make each image of a batch (n, height, width) or (n, height, width, channels) a row."""

    def read(self, other_columns: Mapping[str, str] | None = None, **paths: str | None) -> dict[str, Any]:
        """The rows of files, by what they are (x, y, labels, groups); None where no file was given.

        Args:
            other_columns: columns that are no features of x or y, as `phasejax.io.as_named` takes them.
            paths: what is read.
        """
        return read_files(paths, self.id, flatten=self.flatten, other_columns=other_columns)

    @property
    def matching(self) -> dict[str, Any]:
        """The arguments `by_position` and `missing` of what takes matched rows."""
        return {"by_position": self.by_position, "missing": self.missing}


@dataclass(frozen=True)
class LabelOptions:
    """What labels are, and which rows they belong to."""

    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that the labels belong to, where neither identifiers nor missing labels say
    so."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""

    def read(self) -> dict[str, Any]:
        """The arguments `labelled` and `label_kind` of what takes labels."""
        from phasejax.io import load_array

        return {"labelled": None if self.labelled is None else load_array(self.labelled),
                "label_kind": self.label_kind}


@dataclass(frozen=True)
class ConfounderOptions:
    """What is known nuisance."""

    confounders: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="C")] = ()
    """Known nuisance of each row (batch, donor, position, observing conditions) that both views and the labels are
    freed of first: a file or a column of one (FILE.csv:batch), as for labels. Text, booleans and whole numbers that
    occur often are classes, other numbers count linearly. May be given several times."""

    def read_beside(self, rows: RowOptions, **paths: str | None) -> dict[str, Any]:
        """The rows of files with the argument `confounders`, whose columns are no features of a view.

        Args:
            rows: how the files are read.
            paths: as `RowOptions.read` takes them.
        """
        from phasejax.io._confounders import confounder_columns

        found = read_confounders(self.confounders, rows.id)
        return {**rows.read(confounder_columns(found), **paths), "confounders": found or None}


@dataclass(frozen=True)
class ProgressOption:
    """Whether progress is shown."""

    progress: bool = True
    """Show on a terminal how far the work is."""

    def bars(self, title: str, **options: Any) -> Any:
        """Bars that last as long as a `with` block: its value is the argument `progress` of the work.

        Args:
            title: said until the work says more.
            options: of `progress_bars`.
        """
        from phasejax._core.progress import progress_bars

        return progress_bars(title, **options) if self.progress else contextlib.nullcontext(False)


@dataclass(frozen=True)
class TableOptions:
    """Files that a command writes: a table of its results, and all of them."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the results as a table to this file: .csv, or .json as --json does."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write all results as JSON to this file (docs/json.md says what the keys are)."""

    @property
    def files(self) -> tuple[Path | None, ...]:
        """Files that are written; None for those that were not asked for."""
        return self.json, self.out

    def check(self, inputs: Iterable[Any], *others: Path | None) -> None:
        """Refuse files that cannot be written, before anything is computed.

        Args:
            inputs: files that are read, which none may overwrite.
            others: files that the command writes besides.

        Raises:
            ValueError: in one line.
        """
        check_outputs((*self.files, *others), tuple(inputs))
        check_ending("--out", self.out, TABLES)

    def write(self, place: Any, result: Any, **options: Any) -> None:
        """Write what was asked for of a result.

        Args:
            place: of `written_together`: where a file is written before all are moved to their names.
            result: what has the methods `to_frame` and `to_json`.
            options: of `to_json`.
        """
        write_json(self.json and place(self.json), result, **options)
        write_table(self.out and place(self.out), result, self.out, **options)

    def say_written(self, *others: Path | None) -> None:
        """Say which files there are now."""
        say_written(*self.files, *others)


@dataclass(frozen=True)
class FigureOptions(TableOptions):
    """Files that a command writes: those of `TableOptions`, and a figure."""

    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw the results to this file (.png, .pdf or .svg)."""

    @property
    def files(self) -> tuple[Path | None, ...]:
        return self.json, self.out, self.figure

    def check(self, inputs: Iterable[Any], *others: Path | None) -> None:
        super().check(inputs, *others)
        check_ending("--figure", self.figure, FIGURES)

    def draw(self, place: Any, plot: Any, result: Any) -> None:
        """Draw a result in the paper's style, where a figure was asked for.

        Args:
            place: as in `write`.
            plot: draws a result, and returns a figure.
            result: what is drawn.
        """
        if self.figure:
            from phasejax.plotting import paper_style

            with paper_style():
                plot(result).savefig(place(self.figure), dpi=300)
