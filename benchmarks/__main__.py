"""`python -m benchmarks [NAMES ...] [--json FILE]`: tables of measurements; nothing is asserted."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks import convolution, diagnosis, rendering, scale, similarity, sweep, training
from benchmarks.report import print_table, write_json

BENCHMARKS = {"sweep": sweep.run, "population": scale.population, "sampled": scale.sampled,
              "first_call": scale.first_call, "training": training.run, "rendering": rendering.run,
              "convolution": convolution.run, "similarity": similarity.run}
# These also get a folder for what is done.
LONG_BENCHMARKS = {"diagnosis": diagnosis.run}


@dataclass(frozen=True)
class Options:
    """Measure phasejax against plain implementations, in one run, interleaved; medians are shown.

    Minutes each, but half an hour and more for diagnosis: with --json FILE what it has done is kept in
    FILE.parts, and a run that was killed goes on when it is started again.
    """

    names: Annotated[tuple[Literal[(*BENCHMARKS, *LONG_BENCHMARKS)], ...], tyro.conf.Positional] = ()  # type: ignore[valid-type]
    """Benchmarks to run; all of them when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the rows to this file."""


def main(args: list[str] | None = None) -> int:
    options = tyro.cli(Options, prog="python -m benchmarks", args=args)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        print(f"error: --json {options.json}: expected a file in an existing folder", file=sys.stderr)
        return 2
    rows, parts = [], options.json and options.json.with_name(options.json.name + ".parts")
    for name in options.names or (*BENCHMARKS, *LONG_BENCHMARKS):
        print(f"{name}: measuring ...", file=sys.stderr)
        measured = LONG_BENCHMARKS[name](folder=parts) if name in LONG_BENCHMARKS else BENCHMARKS[name]()
        print_table(name, measured)
        rows += measured
    if options.json is not None:
        write_json(options.json, rows)
        shutil.rmtree(parts, ignore_errors=True)  # the file holds it all
    return 0


if __name__ == "__main__":
    sys.exit(main())
