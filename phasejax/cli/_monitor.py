"""The command `phasejax monitor`: has anything moved since a saved diagnosis?"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from phasejax._core.atomic_files import check_outputs
from phasejax._core.terminal import printable
from phasejax.cli._files import TABLES, LabelKind, Missing, check_ending, read_files, write_results
from phasejax.cli._inspect import say_headlines


@dataclass(frozen=True)
class Monitor:
    """Has the regime, label content, a score or a spectrum moved beyond chance since a saved diagnosis?

    Diagnoses the new arrays as the baseline was (same method, same k, same confidence) and compares: the parameters of
    the spiked model where the baseline is one by moments. Exit code 0 when nothing moved, 3 when something has.
    """

    baseline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASELINE.json")]
    """What phasejax diagnose --json wrote, by content, or by moments with --draws."""
    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view now, with the baseline's columns; formats as in diagnose."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view; rows are matched by identifiers where both files have them, else by position."""
    labels: Annotated[str, tyro.conf.arg(metavar="L")]
    """Labels of the same kind as the baseline's, one row per labelled sample."""
    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that have labels, when not all do."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star), where the baseline has groups: a file, or one column of a
    table (FILE.csv:patient)."""
    level: float = 0.01
    """Chance of a false alarm, over all that is compared."""
    id: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column of the tables that identifies the rows; found by its name when left out."""
    by_position: bool = False
    """Pair rows by position although there are identifiers."""
    missing: Missing = "error"
    """What to do about missing values: drop keeps complete rows, mean fills in means of columns."""
    seed: int = 0
    """Seed of all random draws."""
    progress: bool = True
    """Show on a terminal how far the work is."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the table of all changes to this file: .csv, or .json as --json does."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the comparison as JSON to this file (docs/json.md says what the keys are)."""

    def run(self) -> int:
        """Diagnose the new arrays, compare with the baseline, and print what has moved."""
        from phasejax._core.progress import progress_bars

        check_ending("--out", self.out, TABLES)
        check_outputs((self.json, self.out), (self.baseline, self.x, self.y, self.labels, self.labelled, self.groups))
        if not 0 < self.level < 1:
            raise ValueError(f"--level: expected a number above 0 and below 1, got {self.level}")
        with (progress_bars("diagnosis (reading)", units_per_second=10) if self.progress
              else contextlib.nullcontext(False)) as progress:
            from phasejax.diagnosis import detect_drift, diagnose_again, load_baseline
            from phasejax.io import load_array

            baseline = load_baseline(self.baseline)
            files = read_files({"x": self.x, "y": self.y, "labels": self.labels, "groups": self.groups}, self.id)
            labelled = None if self.labelled is None else load_array(self.labelled)
            say_headlines(**files, labelled=labelled, label_kind=self.label_kind, by_position=self.by_position,
                          missing=self.missing)
            now = diagnose_again(baseline, **files, labelled=labelled, label_kind=self.label_kind, seed=self.seed,
                                 by_position=self.by_position, missing=self.missing, progress=progress)
        drift = detect_drift(baseline, now, level=self.level)
        write_results(drift, self.json, self.out)
        print(printable(drift.summary()))
        return 3 if drift.moved else 0
