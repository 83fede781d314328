"""The command `phasejax diagnose`: what to train on two paired arrays, and how sure that is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from phasejax._core.terminal import printable
from phasejax.cli._files import check_ending
from phasejax.cli._inspect import say_headlines
from phasejax.cli._options import UNNAMED, ConfounderOptions, FigureOptions, LabelOptions, ProgressOption, RowOptions


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
    k: int | None = None
    """Width of your embedding: outputs of each encoder. When left out, the answer is a curve over widths."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together and are not independent (patient, donor, star): a file or a column of one,
    as for labels."""
    pilot: bool = False
    """Also train small networks of width k on parts of the rows (tens of seconds) and count their scores most."""
    pilot_networks: Literal["auto", "mlp", "convolutional", "heads"] = "auto"
    """The networks of a pilot: dense ones, convolutions of square images, or the heads that phasejax heads trains by
    default on frozen features, whose scores alone count. auto: convolutions of square images, else dense ones. Any but
    auto stands for --pilot as well."""
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
    seed: int = 0
    """Seed of a pilot's networks, and of all that method moments draws."""
    draws: bool = False
    """Whether --json also holds all draws of scores and parameters, which are most of it. A baseline that monitor
    compares by method moments needs them."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write a report to this file: one HTML page with figures."""
    known: Annotated[ConfounderOptions, UNNAMED] = field(default_factory=ConfounderOptions)
    about_labels: Annotated[LabelOptions, UNNAMED] = field(default_factory=LabelOptions)
    rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)
    files: Annotated[FigureOptions, UNNAMED] = field(default_factory=FigureOptions)
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Diagnose the arrays, write the files that were asked for, and print the summary."""
        from phasejax._core.atomic_files import written_together

        self.files.check((self.x, self.y, self.labels, self.about_labels.labelled, self.groups,
                          *self.known.confounders), self.report)
        check_ending("--report", self.report, (".html", ".htm"), "; a browser prints the page as PDF"
                     if self.report and self.report.suffix.lower() == ".pdf" else "")
        as_json = self.files.json or (self.files.out and self.files.out.suffix.lower() == ".json")
        if self.draws and not as_json:
            raise ValueError("--draws: expected --json with it, got none")
        if self.draws and self.method == "spectral":
            raise ValueError("--draws: expected method content or moments, got spectral, which draws nothing")
        if self.report and self.method != "content":
            raise ValueError(f"--report: expected method content, got {self.method}")
        with self.shown.bars("diagnosis (reading)", units_per_second=10) as progress:
            from phasejax.diagnosis import Diagnosis, diagnose, plot_diagnosis

            given = {**self.about_labels.read(), **self.rows.matching,
                     **self.known.read_beside(self.rows, x=self.x, y=self.y, labels=self.labels, groups=self.groups)}
            say_headlines(**{name: value for name, value in given.items() if name != "confounders"})
            pilot = self.pilot if self.pilot_networks == "auto" else self.pilot_networks
            found = diagnose(**given, method=self.method, k=self.k, pilot=pilot, pca=self.pca, fit=self.fit,
                             confidence=self.confidence, ridge=self.ridge, seed=self.seed, progress=progress)
        options = {"draws": True} if self.draws else {}
        with written_together() as place:
            self.files.write(place, found, **options)
            self.files.draw(place, plot_diagnosis, found)
            if self.report and isinstance(found, Diagnosis):
                from phasejax.diagnosis import write_report

                write_report(found, place(self.report), sources={"x": self.x, "y": self.y, "labels": self.labels})
        self.files.say_written(self.report)
        print(printable(found.summary()))
        return 0
