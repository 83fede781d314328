"""The `phasejax` command. Exit codes: 0 done, 1 a check failed, 2 bad input."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from phasejax._version import __version__
from phasejax.inputs import LabelKind

_DESCRIPTION = f"phasejax {__version__}: when to align, when to predict (arXiv 2606.11190)."


@dataclass(frozen=True)
class Diagnose:
    """Which objective recovers, from two paired arrays, what some labels measure.

    Prints the regime, the separation ratios, how many signal components stand above all
    nuisance, the estimated signal strength kappa and nuisance correlation nu, and a
    recommendation. Arrays are .npy, .npz (FILE.npz:NAME where it holds several) or .csv.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """One view: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """The other view, its rows paired with those of x."""
    labels: Annotated[str, tyro.conf.arg(metavar="L")]
    """Classes (integers, text) or real values, one row per sample, one or many columns."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything that was estimated to this file."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw the classified spectra to this file (.png, .pdf or .svg)."""

    def run(self) -> int:
        from phasejax.diagnosis import diagnose
        from phasejax.files import written_whole
        from phasejax.inputs import load_array

        for path in (self.json, self.figure):
            if path is not None and not path.absolute().parent.is_dir():
                raise ValueError(f"{path}: expected a file in an existing folder, got no folder {path.parent}")
        if self.figure and self.figure.suffix not in (".png", ".pdf", ".svg"):
            raise ValueError(f"--figure: expected a file ending in .png, .pdf or .svg, got {self.figure}")
        x = load_array(self.x)
        found = diagnose(x, load_array(self.y, rows=len(x)), load_array(self.labels, rows=len(x)),
                         label_kind=self.label_kind)
        if self.json:
            with written_whole(self.json) as unfinished:
                unfinished.write_text(found.to_json(), encoding="utf-8")
        if self.figure:
            from phasejax.plotting import plot_diagnosis
            with written_whole(self.figure) as unfinished:
                plot_diagnosis(found).savefig(unfinished, dpi=150)
        print(found.summary())
        return 0


@dataclass(frozen=True)
class Check:
    """Compare theory with simulation on a small grid: a verdict a line, exit code 1 if one fails."""

    seed: int = 0
    """Seed of all random draws."""

    def run(self) -> int:
        from phasejax.checks import run_checks

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

        from phasejax.model import SpikedModel
        from phasejax.sweeps import sweep

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
                from phasejax.files import written_whole
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
    command = tyro.extras.subcommand_cli_from_dict({"diagnose": Diagnose, "sweep": Sweep, "check": Check},
                                                   prog="phasejax", args=args, description=_DESCRIPTION)
    try:
        return command.run()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
