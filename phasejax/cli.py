"""The `phasejax` command. Exit codes: 0 done, 1 a check failed, 2 bad input."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

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


def main(args: list[str] | None = None) -> int:
    """Run the command line on `args` (default: the process's own); returns the exit code."""
    args = sys.argv[1:] if args is None else args
    if args == ["--version"]:
        print(f"phasejax {__version__}")
        return 0
    command = tyro.extras.subcommand_cli_from_dict({"diagnose": Diagnose, "check": Check}, prog="phasejax", args=args,
                                                   description=_DESCRIPTION)
    try:
        return command.run()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
