"""The command `phasejax monitor`: has anything moved since a saved diagnosis?"""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from phasejax._core.terminal import printable
from phasejax.cli._files import write_results
from phasejax.cli._inspect import say_headlines
from phasejax.cli._options import UNNAMED, LabelOptions, ProgressOption, RowOptions, TableOptions


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
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star), where the baseline has groups: a file, or one column of a
    table (FILE.csv:patient)."""
    level: float = 0.01
    """Chance of a false alarm, over all that is compared."""
    seed: int = 0
    """Seed of all random draws."""
    about_labels: Annotated[LabelOptions, UNNAMED] = field(default_factory=LabelOptions)
    rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)
    files: Annotated[TableOptions, UNNAMED] = field(default_factory=TableOptions)
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Diagnose the new arrays, compare with the baseline, and print what has moved."""
        self.files.check((self.baseline, self.x, self.y, self.labels, self.about_labels.labelled, self.groups))
        if not 0 < self.level < 1:
            raise ValueError(f"--level: expected a number above 0 and below 1, got {self.level}")
        with self.shown.bars("diagnosis (reading)", units_per_second=10) as progress:
            from phasejax.diagnosis import detect_drift, diagnose_again, load_baseline

            baseline = load_baseline(self.baseline)
            given = {**self.about_labels.read(), **self.rows.matching,
                     **self.rows.read(x=self.x, y=self.y, labels=self.labels, groups=self.groups)}
            say_headlines(**given)
            now = diagnose_again(baseline, **given, seed=self.seed, progress=progress)
        drift = detect_drift(baseline, now, level=self.level)
        write_results(drift, *self.files.files)
        print(printable(drift.summary()))
        return 3 if drift.moved else 0
