"""The `phasejax` command. Exit codes: 0 done, 1 a check failed, 2 bad input, 3 a monitored problem has moved."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from phasejax._version import __version__
from phasejax.cli._similarity import Similarity
from phasejax.io._labels import LabelKind

_DESCRIPTION = f"phasejax {__version__}: when to align, when to predict (arXiv 2606.11190)."


@dataclass(frozen=True)
class Diagnose:
    """Which objective recovers, from two paired arrays, what some labels measure.

    Prints the regime with its probability, the separation ratios and model parameters with
    intervals, the scores that each representation is predicted to reach, and a recommendation.
    Arrays are .npy, .npz (FILE.npz:NAME where it holds several), .csv, .parquet, .zarr,
    .h5 (FILE.h5:NAME), .h5ad or .h5mu; large ones are read in blocks.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view, its rows paired with those of x."""
    labels: Annotated[str, tyro.conf.arg(metavar="L")]
    """Classes (integers, text) or real values, one row per labelled sample, one or many columns;
    .npy, .npz or .csv."""
    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that have labels, when not all do."""
    k: int | None = None
    """Number of shared signals; counted from the labels when left out."""
    method: Literal["moments", "spectral"] = "moments"
    """spectral is Algorithm 1 of the paper."""
    confidence: float = 0.9
    """Level of the intervals, and probability from which a regime is stated."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    seed: int = 0
    """Of simulation, folds and bootstrap."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything that was estimated to this file."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw the classified spectra to this file (.png, .pdf or .svg)."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write a report to this file: one HTML page with figures."""

    def run(self) -> int:
        from phasejax._core.atomic_files import written_whole
        from phasejax.diagnosis import diagnose

        for path in (self.json, self.figure, self.report):
            if path is not None and not path.absolute().parent.is_dir():
                raise ValueError(f"{path}: expected a file in an existing folder, got no folder {path.parent}")
        if self.figure and self.figure.suffix not in (".png", ".pdf", ".svg"):
            raise ValueError(f"--figure: expected a file ending in .png, .pdf or .svg, got {self.figure}")
        if self.report and self.method == "spectral":
            raise ValueError("--report: expected method moments, got spectral")
        *arrays, labelled = _arrays(self.x, self.y, self.labels, self.labelled)
        found = diagnose(*arrays, labelled=labelled, method=self.method, k=self.k, confidence=self.confidence,
                         label_kind=self.label_kind, seed=self.seed)
        if self.json:
            with written_whole(self.json) as unfinished:
                unfinished.write_text(found.to_json(), encoding="utf-8")
        if self.figure:
            from phasejax.diagnosis import plot_diagnosis
            with written_whole(self.figure) as unfinished:
                plot_diagnosis(found).savefig(unfinished, dpi=150)
        if self.report:
            from phasejax.diagnosis import write_report
            write_report(found, self.report, sources={"x": self.x, "y": self.y, "labels": self.labels})
        print(found.summary())
        return 0


@dataclass(frozen=True)
class Monitor:
    """Has the regime or any parameter moved beyond chance since a saved diagnosis?

    Diagnoses the new arrays as the baseline was (same k, same confidence) and compares. Exit code
    0 when nothing moved, 3 when something has.
    """

    baseline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASELINE.json")]
    """What phasejax diagnose --json wrote."""
    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view now, with the baseline's columns; formats as in diagnose."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view, its rows paired with those of x."""
    labels: Annotated[str, tyro.conf.arg(metavar="L")]
    """Labels of the same kind as the baseline's, one row per labelled sample."""
    labelled: Annotated[str | None, tyro.conf.arg(metavar="ROWS")] = None
    """File with the row numbers (from 0) that have labels, when not all do."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    level: float = 0.01
    """Chance of a false alarm, over all that is compared."""
    seed: int = 0
    """Of all random draws."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the comparison to this file."""

    def run(self) -> int:
        from phasejax._core.atomic_files import written_whole
        from phasejax.diagnosis import detect_drift, load_baseline

        if self.json is not None and not self.json.absolute().parent.is_dir():
            raise ValueError(f"{self.json}: expected a file in an existing folder, got no folder {self.json.parent}")
        if not 0 < self.level < 1:
            raise ValueError(f"--level: expected a number above 0 and below 1, got {self.level}")
        baseline = load_baseline(self.baseline)
        *arrays, labelled = _arrays(self.x, self.y, self.labels, self.labelled)
        now = baseline.diagnose_again(*arrays, labelled=labelled, label_kind=self.label_kind, seed=self.seed)
        drift = detect_drift(baseline, now, level=self.level)
        if self.json is not None:
            with written_whole(self.json) as unfinished:
                unfinished.write_text(drift.to_json(), encoding="utf-8")
        print(drift.summary())
        return 3 if drift.moved else 0


def _arrays(x, y, labels, labelled):
    """The arguments x, y, labels and labelled of `diagnose`, from files."""
    from phasejax.io import load_array
    from phasejax.io._readers import open_view

    views = [open_view(x)]
    views.append(open_view(y, rows=len(views[0])))
    which = None if labelled is None else load_array(labelled)
    return *views, load_array(labels, rows=len(views[0]) if which is None else len(which)), which


@dataclass(frozen=True)
class Check:
    """Compare theory with simulation on a small grid: a verdict a line, exit code 1 if one fails."""

    seed: int = 0
    """Seed of all random draws."""

    def run(self) -> int:
        from phasejax.simulation import run_checks

        failed = 0
        for verdict in run_checks(self.seed):
            print(verdict, flush=True)
            failed += not verdict.passed
        print("all checks passed" if not failed else f"{failed} checks failed")
        return 1 if failed else 0


@dataclass(frozen=True)
class Sweep:
    """Evaluate quantities of the spiked model over a grid of its parameters, times seeds.

    Example: phasejax sweep --model homogeneous --axes kappa=0:3:31 nu=0:1:31 --fixed k=3 d=20
    nuisance_y=5 --n 5000 --seeds 10 --quantities regime error_ca error_cp --store run.zarr

    Killed and started again with the same --store it goes on where it stopped.
    """

    axes: list[str]
    """What varies: NAME=FIRST:LAST:COUNT (evenly spaced) or NAME=VALUE,VALUE,... each. Names are
    arguments of the model, n, or lam."""
    quantities: list[str]
    """What to compute; an unknown name lists all."""
    model: Literal["homogeneous", "geometric"] = "homogeneous"
    """Constructor of SpikedModel."""
    fixed: list[str] = field(default_factory=list)
    """What does not vary: NAME=VALUE each."""
    n: int | None = None
    """Pairs in each sample; without it quantities are those of the population."""
    seeds: int = 1
    """Independent samples."""
    seed: int = 0
    """Of all random draws."""
    store: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Zarr store to write to, box by box; or to go on with."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """netCDF file to write at the end."""
    memory: str | None = None
    """What the boxes in work may take, like 2GB; a quarter of the device's memory when left out."""
    progress: bool = True
    """Show a progress bar on standard error."""
    distributed: bool = False
    """Share the work with other processes, one of which each runs this same command. Under SLURM
    (srun) they find each other; elsewhere name coordinator, processes and process-id."""
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    """Address of process 0."""
    processes: int | None = None
    """Number of processes."""
    process_id: int | None = None
    """Number of this process, from 0."""

    def run(self) -> int:
        import jax

        from phasejax.simulation import sweep
        from phasejax.theory import SpikedModel

        if self.store is None and self.out is None:
            raise ValueError("--out or --store: expected a place for the results, got neither")
        if self.out is not None and not self.out.absolute().parent.is_dir():
            raise ValueError(f"--out: expected a file in an existing folder, got {self.out}")
        if self.distributed:
            _join(self.coordinator, self.processes, self.process_id)
        found = sweep(getattr(SpikedModel, self.model), dict(map(_axis, self.axes)), quantities=self.quantities,
                      fixed=dict(map(_setting, self.fixed)), n=self.n, seeds=self.seeds, key=jax.random.key(self.seed),
                      memory=self.memory, store=self.store, progress=self.progress and jax.process_index() == 0)
        if jax.process_index() == 0:
            if self.out is not None:
                from phasejax._core.atomic_files import written_whole
                with written_whole(self.out) as unfinished:
                    found.to_netcdf(unfinished, engine="scipy")
            shape = " x ".join(f"{name} {length}" for name, length in found.sizes.items())
            print(f"{', '.join(found.data_vars)} over {shape}: {self.store or self.out}")
        return 0


def _join(coordinator, processes, process_id):
    import jax

    given = (coordinator, processes, process_id)
    if any(value is not None for value in given) and None in given:
        raise ValueError("--coordinator, --processes, --process-id: expected all three or none (under SLURM), "
                         f"got {coordinator}, {processes}, {process_id}")
    try:
        jax.distributed.initialize(coordinator, processes, process_id)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"--distributed: expected SLURM, or --coordinator, --processes and --process-id, got {reason}"
                         ) from None


def _axis(text):
    name, values = _split(text, "--axes", "NAME=FIRST:LAST:COUNT or NAME=VALUE,VALUE,...")
    try:
        if ":" in values:
            first, last, count = values.split(":")
            return name, np.linspace(float(first), float(last), int(count))
        return name, np.array([_number(value) for value in values.split(",")])
    except ValueError:
        raise ValueError(f"--axes: expected NAME=FIRST:LAST:COUNT or NAME=VALUE,VALUE,..., got {text!r}") from None


def _setting(text):
    name, value = _split(text, "--fixed", "NAME=VALUE")
    try:
        return name, _number(value)
    except ValueError:
        raise ValueError(f"--fixed: expected NAME=VALUE, got {text!r}") from None


def _split(text, flag, form):
    name, found, value = text.partition("=")
    if not found or not name:
        raise ValueError(f"{flag}: expected {form}, got {text!r}")
    return name, value


def _number(text):
    try:
        return int(text)
    except ValueError:
        return float(text)


def main(args: list[str] | None = None) -> int:
    """Run the command line on `args` (default: the process's own); returns the exit code."""
    args = sys.argv[1:] if args is None else args
    if args == ["--version"]:
        print(f"phasejax {__version__}")
        return 0
    commands = {"diagnose": Diagnose, "monitor": Monitor, "align": Similarity, "sweep": Sweep, "check": Check}
    command = tyro.extras.subcommand_cli_from_dict(commands, prog="phasejax", args=args, description=_DESCRIPTION)
    try:
        return command.run()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
