"""The command `phasejax label-quality`: how good must labels be, and how many?"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from phasejax._core.terminal import printable
from phasejax.cli._inspect import say_headlines
from phasejax.cli._options import UNNAMED, ConfounderOptions, FigureOptions, LabelOptions, ProgressOption, RowOptions


@dataclass(frozen=True)
class LabelQuality:
    """How much worse, coarser or fewer may labels be before regime and decision change?

    Makes labels worse in steps, diagnoses the rows again each time, and prints in how many repeats which regime is
    stated and which objective is decided for, and what follows in words. Formats as in diagnose. Exit code 2 for bad
    input.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view; rows are matched by identifiers where both files have them, else by position."""
    labels: Annotated[str | None, tyro.conf.arg(metavar="L")] = None
    """Labels, as in diagnose; may be left out with --by pseudo-labels alone."""
    by: Annotated[tuple[Literal["noise", "coarsening", "reassignment", "pseudo-labels", "rows", "ridge"], ...] | None,
                  tyro.conf.arg(metavar="KIND [KIND ...]")] = None
    """What to change, one or several: noise (on real labels), coarsening (fewer classes, or bins of real labels),
    reassignment (wrong classes), pseudo-labels (clusters of a view in their place), rows (fewer labels and pairs),
    ridge (of the published method); all that suit the labels, but ridge, when left out."""
    k: int | None = None
    """Width of your embedding, the same for all labels; the number of directions of the labels when left out."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star): a file, or one column of a table (FILE.csv:patient)."""
    pca: int | None = None
    """Reduce each view to so many principal components first."""
    r2_shares: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="SHARE [SHARE ...]")] = None
    """For noise: shares of the labels' R2 that it leaves; 0.75 0.5 0.25 when left out."""
    bins: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="N [N ...]")] = None
    """For coarsening of real labels: numbers of quantile bins; 8 4 when left out."""
    classes: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="N [N ...]")] = None
    """For coarsening of classes: numbers of classes to merge them into; a half and a quarter when left out."""
    mapping: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """For coarsening of classes: a table (.csv, .tsv) of each class and its coarser class, or .json of them."""
    reassigned: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="SHARE [SHARE ...]")] = None
    """For reassignment: shares of labels that get another class; 0.1 0.25 0.5 when left out."""
    clusters: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="N [N ...]")] = None
    """For pseudo-labels: numbers of clusters; 8 20 44 when left out."""
    view: Literal["x", "y"] | None = None
    """For pseudo-labels: whose clusters; the view that predicts the labels less well when left out."""
    sizes: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="N [N ...]")] = None
    """For rows and ridge: numbers of labels and pairs; 3/4, 1/2 and 1/4 of them when left out."""
    ridges: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="RIDGE [RIDGE ...]")] = None
    """For ridge: in mean variances of a view's columns; 1e-6 1e-4 1e-2 0.1 when left out."""
    repeats: int | None = None
    """Repeats of what is drawn at random; 5 when left out."""
    subsamples: int | None = None
    """For ridge: subsamples of each size; 50 when left out."""
    among: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME [NAME ...]")] = None
    """Objectives that the decision is between; CA "CP x->y" "CP y->x" when left out."""
    divisions: int | None = None
    """Divisions of the rows into folds, over which scores are averaged, as in diagnose when left out; 1 is quicker."""
    confidence: float = 0.9
    """Probability from which a regime is stated, and level of the intervals."""
    seed: int = 0
    """Seed of all that is drawn."""
    store: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Keep every repeat in this folder; the same command goes on where it was."""
    known: Annotated[ConfounderOptions, UNNAMED] = field(default_factory=ConfounderOptions)
    about_labels: Annotated[LabelOptions, UNNAMED] = field(default_factory=LabelOptions)
    rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)
    files: Annotated[FigureOptions, UNNAMED] = field(default_factory=FigureOptions)
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Diagnose the rows with all labels, write the files that were asked for, and print the summary."""
        from phasejax._core.atomic_files import written_together

        self.files.check((self.x, self.y, self.labels, self.about_labels.labelled, self.groups,
                          self.mapping and str(self.mapping), *self.known.confounders))
        if self.labels is None and self.by != ("pseudo-labels",):
            raise ValueError("--labels: expected some, but for --by pseudo-labels alone, got none")
        if self.labels is None and self.about_labels.labelled is not None:
            raise ValueError("--labelled: expected --labels with it, got none")
        with self.shown.bars("label quality (reading)") as progress:
            from phasejax.diagnosis import label_quality, plot_label_quality

            given = {**self.about_labels.read(), **self.rows.matching,
                     **self.known.read_beside(self.rows, x=self.x, y=self.y, labels=self.labels, groups=self.groups)}
            options: dict[str, Any] = {name: getattr(self, name) for name in (
                "by", "k", "pca", "r2_shares", "bins", "classes", "reassigned", "clusters", "view", "ridges",
                "sizes", "repeats", "subsamples", "divisions", "confidence", "seed", "store")}
            if self.among is not None:
                options["among"] = self.among
            if self.mapping is not None:
                options["mapping"] = read_mapping(self.mapping)
            say_headlines(**{name: value for name, value in given.items() if name != "confounders"})
            found = label_quality(**given, **options, progress=progress)
        with written_together() as place:
            self.files.write(place, found)
            self.files.draw(place, plot_label_quality, found)
        self.files.say_written()
        print(printable(found.summary()))
        return 0


def read_mapping(path: Path) -> dict[str, str]:
    """The coarser class of each class, from a table of two columns or a JSON object.

    Raises:
        ValueError: anything else, or a class with two coarser ones, in one line.
    """
    import csv
    import json

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"--mapping: expected a file that can be read, got {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"--mapping: expected text in UTF-8, got {path}") from None
    try:
        if path.suffix.lower() == ".json":
            pairs = json.loads(text, object_pairs_hook=list)
            pairs = [(one[0], one[1]) for one in pairs]
        else:
            rows = csv.reader(text.splitlines(), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            pairs = [tuple(part.strip() for part in row) for row in rows if any(part.strip() for part in row)]
    except (json.JSONDecodeError, csv.Error, TypeError, LookupError, RecursionError) as error:
        raise ValueError(f"--mapping: expected a table of two columns or a JSON object, got {path} ({error})") from None
    found: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not all(isinstance(part, str | int) and str(part) for part in pair):
            raise ValueError(f"--mapping: expected a class and its coarser class in each row, got {list(pair)} in row "
                             f"{number} of {path}")
        old, new = map(str, pair)
        if found.setdefault(old, new) != new:
            raise ValueError(f"--mapping: expected one coarser class of {old}, got {found[old]} and {new}")
    if not found:
        raise ValueError(f"--mapping: expected at least one class, got an empty file {path}")
    return found
