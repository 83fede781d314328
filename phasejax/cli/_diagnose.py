"""The command `phasejax diagnose`: which objective recovers what the labels measure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from phasejax._core.atomic_files import check_writable_path
from phasejax.cli._files import LabelKind, Missing, read_labelled_pair, write_json


@dataclass(frozen=True)
class Diagnose:
    """Which objective recovers, from two paired arrays, what some labels measure.

    Prints the regime with its probability, the separation ratios and model parameters with
    intervals, the scores that each representation is predicted to reach, and a recommendation.
    Arrays are .npy, .npz (FILE.npz:NAME where it holds several), .csv, .tsv, .txt, .parquet, .zarr,
    .h5 (FILE.h5:NAME), .h5ad (FILE.h5ad[GEX] for one feature type) or .h5mu; large ones are read in blocks.
    How they were read is said in notes on standard error.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view; rows are matched by identifiers where both files have them, else by position."""
    labels: Annotated[str, tyro.conf.arg(metavar="L")]
    """Classes (integers, text) or real values, one or many columns: .npy, .npz, .csv, .parquet, one column of
    a table (FILE.csv:class) or of AnnData (FILE.h5ad:obs/cell_type). Rows without label are unlabelled."""
    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that the labels belong to, where neither identifiers nor
    missing labels say so."""
    k: int | None = None
    """Number of shared signals; counted from the labels when left out."""
    method: Literal["moments", "spectral"] = "moments"
    """moments matches simulated to observed moments; spectral is Algorithm 1 of the paper."""
    ridge: Literal["relative", "published"] = "relative"
    """published adds the absolute ridge of the paper's code, 1e-6 in squared units of the data (method spectral)."""
    confidence: float = 0.9
    """Level of the intervals, and probability from which a regime is stated."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    id: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column of the tables that identifies the rows; found by its name when left out."""
    by_position: bool = False
    """Pair rows by position although there are identifiers."""
    missing: Missing = "error"
    """What to do about missing values: drop keeps complete rows, mean fills in means of columns."""
    seed: int = 0
    """Seed of all random draws: simulations, folds and bootstrap."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything that was estimated to this file."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw the classified spectra to this file (.png, .pdf or .svg)."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write a report to this file: one HTML page with figures."""

    def run(self) -> int:
        """Diagnose the arrays, write the files that were asked for, and print the summary."""
        from phasejax.diagnosis import MomentDiagnosis, diagnose

        for path in (self.json, self.figure, self.report):
            check_writable_path(path)
        if self.figure and self.figure.suffix not in (".png", ".pdf", ".svg"):
            raise ValueError(f"--figure: expected a file ending in .png, .pdf or .svg, got {self.figure}")
        if self.report and self.method == "spectral":
            raise ValueError("--report: expected method moments, got spectral")
        x, y, labels, labelled = read_labelled_pair(self.x, self.y, self.labels, self.labelled, self.id)
        found = diagnose(x, y, labels, labelled=labelled, method=self.method, k=self.k, confidence=self.confidence,
                         label_kind=self.label_kind, ridge=self.ridge, by_position=self.by_position,
                         missing=self.missing, seed=self.seed)
        write_json(self.json, found)
        if self.figure:
            from phasejax._core.atomic_files import written_whole
            from phasejax.diagnosis import plot_diagnosis

            with written_whole(self.figure) as unfinished:
                plot_diagnosis(found).savefig(unfinished, dpi=150)
        if self.report and isinstance(found, MomentDiagnosis):
            from phasejax.diagnosis import write_report

            write_report(found, self.report, sources={"x": self.x, "y": self.y, "labels": self.labels})
        print(found.summary())
        return 0
