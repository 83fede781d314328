"""The command `phasejax inspect`: what two files and their labels are, before anything is computed from them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from phasejax._core.atomic_files import check_outputs
from phasejax._core.terminal import printable
from phasejax.cli._files import write_results
from phasejax.cli._options import UNNAMED, LabelOptions, RowOptions


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
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star): a file, or one column of a table (FILE.csv:patient)."""
    about_labels: Annotated[LabelOptions, UNNAMED] = field(default_factory=LabelOptions)
    rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything that was found to this file."""

    def run(self) -> int:
        """Look at the files, write the file that was asked for, and print the screen."""
        from phasejax._core.progress import progress_bars

        check_outputs([self.json], (self.x, self.y, self.labels, self.about_labels.labelled, self.groups))
        if self.labels is None and self.about_labels.labelled is not None:
            raise ValueError("--labelled: expected --labels with it, got none")
        with progress_bars("inspect (reading)"):
            from phasejax.io import inspect_pair

            read = self.rows.read(x=self.x, y=self.y, labels=self.labels, groups=self.groups)
            found = inspect_pair(**read, **self.about_labels.read(), **self.rows.matching)
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
