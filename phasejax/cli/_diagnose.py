"""The command `phasejax diagnose`: what to train on two paired arrays, and how sure that is."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from phasejax._core.atomic_files import check_outputs
from phasejax._core.terminal import printable
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
from phasejax.cli._inspect import say_headlines


@dataclass(frozen=True)
class Diagnose:
    """Which objective recovers, from two paired arrays, what some labels measure, and what to train.

    Prints what to do with both views at hand, with one of them, and as an embedding, each with its
    score and how sure that is; whether the views share anything that concerns the labels; and the
    regime at this number of rows. Arrays are files ending in .npy, .npz (FILE.npz:NAME where it holds
    several), .csv, .tsv, .txt, .parquet, .zarr, .h5 (FILE.h5:NAME), .h5ad (FILE.h5ad[GEX] for one feature
    type), .h5mu, .pt or .safetensors; large ones are read in blocks. How they were read, and which files were
    written, is said on standard error. Exit code 0 when the answer was given, also where it is "undecided"; 2 for
    bad input.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view; rows are matched by identifiers where both files have them, else by position."""
    labels: Annotated[str, tyro.conf.arg(metavar="L")]
    """Classes (integers, text) or real values, one or many columns: .npy, .npz, .csv, .parquet, one column of
    a table (FILE.csv:class), of AnnData (FILE.h5ad:obs/cell_type) or MuData (FILE.h5mu:rna/obs/cell_type).
    Rows without label are unlabelled."""
    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that the labels belong to, where neither identifiers nor
    missing labels say so."""
    k: int | None = None
    """Width of your embedding: outputs of each encoder. When left out, the answer is a curve over widths."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together and are not independent (patient, donor, star): a file or a column of one,
    as for labels."""
    confounders: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="C")] = ()
    """Known nuisance of each row (batch, donor, position, observing conditions) that both views and the labels are
    freed of first: a file or a column of one (FILE.csv:batch), as for labels. Text, booleans and whole numbers that
    occur often are classes, other numbers count linearly. May be given several times."""
    pilot: bool = False
    """Also train small networks of width k on parts of the rows (tens of seconds) and count their scores."""
    pca: int | None = None
    """Reduce each view to so many principal components first."""
    method: Literal["content", "moments", "spectral"] = "content"
    """content is the default; moments matches simulated to observed moments; spectral is Algorithm 1 of the paper."""
    fit: bool = True
    """Whether content also fits a spiked model, for the regime with unlimited rows."""
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
    flatten: bool = False
    """Make each image of a batch (n, height, width) or (n, height, width, channels) a row."""
    seed: int = 0
    """Seed of a pilot's networks, and of all that method moments draws."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything that was estimated as JSON to this file (docs/json.md says what the keys are)."""
    draws: bool = False
    """Whether --json also holds all draws of scores and parameters, which are most of it. A baseline that monitor
    compares by method moments needs them."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the estimates with their intervals as a table to this file: .csv, or .json as --json does."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw the scores and the label content, or the classified spectra, to this file (.png, .pdf or .svg)."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write a report to this file: one HTML page with figures."""
    progress: bool = True
    """Show on a terminal how far the work is."""

    def run(self) -> int:
        """Diagnose the arrays, write the files that were asked for, and print the summary."""
        from phasejax._core.atomic_files import written_together
        from phasejax._core.progress import progress_bars

        check_outputs((self.json, self.out, self.figure, self.report),
                      (self.x, self.y, self.labels, self.labelled, self.groups, *self.confounders))
        check_ending("--out", self.out, TABLES)
        check_ending("--figure", self.figure, (".png", ".pdf", ".svg"))
        check_ending("--report", self.report, (".html", ".htm"), "; a browser prints the page as PDF"
                     if self.report and self.report.suffix.lower() == ".pdf" else "")
        as_json = self.json or (self.out and self.out.suffix.lower() == ".json")
        if self.draws and not as_json:
            raise ValueError("--draws: expected --json with it, got none")
        if self.draws and self.method == "spectral":
            raise ValueError("--draws: expected method content or moments, got spectral, which draws nothing")
        if self.report and self.method != "content":
            raise ValueError(f"--report: expected method content, got {self.method}")
        with (progress_bars("diagnosis (reading)", units_per_second=10) if self.progress
              else contextlib.nullcontext(False)) as progress:
            from phasejax.diagnosis import Diagnosis, diagnose
            from phasejax.io import load_array

            labelled = None if self.labelled is None else load_array(self.labelled)
            files = read_files({"x": self.x, "y": self.y, "labels": self.labels, "groups": self.groups}, self.id,
                               flatten=self.flatten)
            confounders = read_confounders(self.confounders, self.id)
            say_headlines(**files, labelled=labelled, label_kind=self.label_kind, by_position=self.by_position,
                          missing=self.missing)
            found = diagnose(**files, confounders=confounders, labelled=labelled, method=self.method, k=self.k,
                             pilot=self.pilot, pca=self.pca, fit=self.fit, confidence=self.confidence,
                             label_kind=self.label_kind, ridge=self.ridge, by_position=self.by_position,
                             missing=self.missing, seed=self.seed, progress=progress)
        options = {"draws": True} if self.draws else {}
        with written_together() as place:
            write_json(self.json and place(self.json), found, **options)
            write_table(self.out and place(self.out), found, self.out, **options)
            if self.figure:
                from phasejax.diagnosis import plot_diagnosis
                from phasejax.plotting import paper_style

                with paper_style():
                    plot_diagnosis(found).savefig(place(self.figure), dpi=300)
            if self.report and isinstance(found, Diagnosis):
                from phasejax.diagnosis import write_report

                write_report(found, place(self.report), sources={"x": self.x, "y": self.y, "labels": self.labels})
        say_written(self.json, self.out, self.figure, self.report)
        print(printable(found.summary()))
        return 0
