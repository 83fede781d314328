"""The command `phasejax inspect`: what two files and their labels are, before anything is computed from them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from phasejax._core.atomic_files import check_outputs
from phasejax._core.terminal import printable
from phasejax.cli._files import LabelKind, Missing, read_files, write_results


@dataclass(frozen=True)
class Inspect:
    """What are two arrays and their labels, and what would diagnose do with them?

    Prints one screen: rows, columns and identifiers, how many rows match, labels and their classes,
    missing values, scales and rank, rows that repeat others, columns that seem to name groups, and
    what diagnose would leave out, reduce or refuse. Formats as in diagnose; of long tables a part is looked at.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view; rows are matched by identifiers where both files have them, else by position."""
    labels: Annotated[str | None, tyro.conf.arg(metavar="L")] = None
    """Classes or real values, as in diagnose."""
    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that the labels belong to, where neither identifiers nor
    missing labels say so."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star): a file, or one column of a table (FILE.csv:patient)."""
    id: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column of the tables that identifies the rows; found by its name when left out."""
    by_position: bool = False
    """Pair rows by position although there are identifiers."""
    missing: Missing = "error"
    """What to do about missing values: drop keeps complete rows, mean fills in means of columns."""
    flatten: bool = False
    """Take each image of an array (n, height, width) or (n, height, width, channels) as one row."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything that was found to this file."""

    def run(self) -> int:
        """Look at the files, write the file that was asked for, and print the screen."""
        from phasejax._core.progress import progress_bars

        check_outputs([self.json], (self.x, self.y, self.labels, self.labelled, self.groups))
        if self.labels is None and self.labelled is not None:
            raise ValueError("--labelled: expected --labels with it, got none")
        with progress_bars("inspect (reading)"):
            from phasejax.io import inspect_pair, load_array

            files = read_files({"x": self.x, "y": self.y, "labels": self.labels, "groups": self.groups}, self.id,
                               flatten=self.flatten)
            labelled = None if self.labelled is None else load_array(self.labelled)
            found = inspect_pair(**files, labelled=labelled, label_kind=self.label_kind, by_position=self.by_position,
                                 missing=self.missing)
        write_results(found, self.json, None)
        print(printable(found.summary()))
        return 0


def say_headlines(x: Any, y: Any, labels: Any = None, **options: Any) -> None:
    """Note the three most important lines of an inspection, and warn of what limits the answer, before all else.

    Args:
        x, y, labels: as `phasejax.io.inspect_pair` takes them.
        options: likewise.
    """
    from phasejax.io import inspect_pair
    from phasejax.io._matching import announce

    found = inspect_pair(x, y, labels, **options)
    limits = () if found.refusal else found.limits  # the command refuses itself, in one line
    announce((*limits, *replace(found, refusal=None).headlines()), said=limits)
