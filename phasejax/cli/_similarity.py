"""The command `phasejax similarity`: how alike are two representations of the same samples?"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from phasejax._core.terminal import printable
from phasejax.cli._files import write_results
from phasejax.cli._inspect import say_headlines
from phasejax.cli._options import UNNAMED, ProgressOption, RowOptions, TableOptions


@dataclass(frozen=True)
class Similarity:
    """How similar are two representations, by every metric, and is it beyond chance?

    Prints one line for each metric: its value, what chance gives at this size (random pairings of
    the rows), a p-value and an interval. Formats as in diagnose; both arrays are read whole.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One representation: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other one; rows are matched by identifiers where both files have them, else by position."""
    metrics: Annotated[list[str] | None, tyro.conf.arg(metavar="NAME [NAME ...]")] = None
    """Metrics to compute, all when left out; an unknown name lists them."""
    k: int = 10
    """Number of nearest neighbours."""
    distance: Literal["cosine", "euclidean"] = "cosine"
    """Distance by which neighbours are near."""
    bandwidth: float = 1.0
    """Width of the RBF kernel, in median distances."""
    components: int | None = None
    """Directions that svcca compares; 10, or all where there are fewer, when left out."""
    permutations: int = 200
    """Random pairings of the rows behind each p-value."""
    resamples: int = 100
    """Random parts of the rows behind each interval."""
    confidence: float = 0.9
    """Level of the intervals."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star): a file, or one column of a table (FILE.csv:patient).
    Whole groups are then paired at random and left out; their number is the sample size."""
    pca: Annotated[int | None, tyro.conf.arg(metavar="K")] = None
    """Project each view with more columns on its K leading principal components first (columns are not
    standardised)."""
    seed: int = 0
    """Seed of the random pairings and parts."""
    rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)
    files: Annotated[TableOptions, UNNAMED] = field(default_factory=TableOptions)
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Compare the two representations, write the file that was asked for, and print the table."""
        self.files.check((self.x, self.y, self.groups))
        with self.shown.bars("similarity (reading)") as progress:
            from phasejax.similarity import compare_representations
            from phasejax.similarity._compare import check_options

            options: dict[str, Any] = {
                name: getattr(self, name) for name in (
                    "metrics", "k", "distance", "bandwidth", "components", "permutations", "resamples", "confidence",
                    "pca", "seed")}
            check_options(**options)  # before the files, which may be large
            given = {**self.rows.read(x=self.x, y=self.y, groups=self.groups), **self.rows.matching}
            say_headlines(**given)
            found = compare_representations(**given, **options, progress=progress)
        write_results(found, *self.files.files)
        print(printable(found.summary()))
        return 0
