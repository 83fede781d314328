"""The command that measures: `python -m benchmarks [NAMES ...] [--json FILE]` prints tables and asserts nothing."""

import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks import (
    captions,
    cite_cells,
    cluster,
    confounders,
    content,
    convolution,
    decision,
    decision_seeds,
    decision_truth,
    diagnosis,
    drift,
    eigh,
    estimators,
    figures,
    first_call,
    groups,
    heads,
    inputs,
    instruments,
    noise,
    plan,
    plan_pilots,
    release,
    rendering,
    scale,
    similarity,
    store,
    sweep,
    training,
)
from benchmarks.report import Benchmark, Row, print_table, write_json
from phasejax._core.progress import ProgressCallback, print_progress

BENCHMARKS = {
    "sweep": Benchmark("a sweep over the grid of Fig. 7 beside a NumPy loop and PyTorch", sweep.run),
    "population": Benchmark("closed forms of ten million models", scale.population),
    "sampled": Benchmark("a million samples, solved within 500 MB", scale.sampled),
    "million_rows": Benchmark("a diagnosis of a million rows of two memory maps, 4 GB on disk", scale.million_rows),
    "first_sweep": Benchmark("from the start of a process to the first results of Fig. 7", scale.first_sweep),
    "cluster": Benchmark("overhead of a sweep shared out to 10 to 1000 workers; what 1e9 cells take", cluster.run),
    "first_call": Benchmark("first and second call of each subcommand of phasejax", first_call.run),
    "training": Benchmark("training of deep encoders beside PyTorch", training.run),
    "captions": Benchmark("training on images and captions beside PyTorch", captions.run),
    "rendering": Benchmark("drawing of stereo pairs beside PyTorch", rendering.run),
    "eigh": Benchmark("eigenvectors of many small matrices beside LAPACK", eigh.run),
    "estimators": Benchmark("a fit of canonical correlation analysis beside cca-zoo", estimators.run),
    "convolution": Benchmark("strided convolutions beside XLA's own", convolution.run),
    "similarity": Benchmark("every similarity metric beside PyTorch", similarity.run),
    "store": Benchmark("stores of sweeps that are damaged, killed at every file operation, started twice; half an hour",
                       store.run, resumable=True),
    "content": Benchmark("how often the content of labels names the right regime at the rows at hand; half an hour",
                         content.run, resumable=True),
    "diagnosis": Benchmark("how often the diagnosis names the right regime; half an hour and more", diagnosis.run,
                           resumable=True),
    "confounders": Benchmark("false alarms where both views share a known confounder that is removed; half an hour",
                             confounders.run, resumable=True),
    "drift": Benchmark("false alarms of the monitor, and changes that it finds; a quarter of an hour", drift.run,
                       resumable=True),
    "inputs": Benchmark("files of tables and labels in random forms, beside an independent reader", inputs.run),
    "groups": Benchmark("false alarms where rows come in groups; half an hour", groups.run, resumable=True),
    "noise": Benchmark("false alarms of the tests for shared signal, and their power; half an hour", noise.run,
                       resumable=True),
    "cite_cells": Benchmark("simulated CITE-seq cells beside the real ones that ship", cite_cells.run),
    "instruments": Benchmark("simulated instruments: decisions foretold, changes of the regime seen; half an hour",
                             instruments.run, resumable=True),
    "plan": Benchmark("pairs that a plan asks for beside simulation; ten minutes", plan.run),
    "plan_pilots": Benchmark("intervals of plans from pilots: how often they hold the truth; half an hour",
                             plan_pilots.run),
    "heads": Benchmark("heads on RNA and proteins of blood cells beside PyTorch and scikit-learn", heads.run),
    "figures": Benchmark("each figure that takes seconds, from its command", figures.run, resumable=True),
    "trained_figures": Benchmark("each figure that trains, from its command; hours, only when named",
                                 partial(figures.run, figures.TRAINED), resumable=True, only_when_named=True),
    "decision": Benchmark("how often the diagnosis chooses the objective that trained networks prefer; two hours",
                          decision.run, resumable=True),
    "decision_own": Benchmark("the same with networks of the truth as the pilot; hours, only when named",
                              partial(decision.run, pilot="own", regimes=False), resumable=True, only_when_named=True),
    "decision_seeds": Benchmark("whether the diagnosis says the same with other draws; an hour", decision_seeds.run,
                                resumable=True),
    "decision_truth": Benchmark("what trained networks prefer, for decision; a day without a GPU, only when named",
                                decision_truth.run, resumable=True, only_when_named=True),
    "release": Benchmark("the checklist of a release: style, wheel, docs, figures, tests, fuzz; only when named",
                         release.run, resumable=True, only_when_named=True),
}


@dataclass(frozen=True)
class Options:
    """Measure phasejax against plain implementations."""

    names: Annotated[tuple[Literal[tuple(BENCHMARKS)], ...], tyro.conf.Positional] = ()  # type: ignore[valid-type]
    """Benchmarks to run; all but those "only when named" when left out."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the rows to this file, with the day, the machine and the versions."""


def description() -> str:
    """What `--help` says above the options: how is measured, and every benchmark with its title."""
    titles = "\n".join(f"  {name:16}{benchmark.title}" for name, benchmark in BENCHMARKS.items())
    resumable = " and ".join(name for name, benchmark in BENCHMARKS.items() if benchmark.resumable)
    return f"""Measure phasejax against plain implementations, in one run, interleaved; medians are shown.

{titles}

Most take minutes. With --json FILE what {resumable} has done is kept in FILE.parts, and a run that was
killed goes on when it is started again."""


def measure(name: str, store: Path | None, progress: bool | ProgressCallback) -> list[Row]:
    """Run one benchmark.

    Args:
        name: in `BENCHMARKS`.
        store: folder where a resumable benchmark keeps what is done.
        progress: how a resumable benchmark reports.
    """
    benchmark = BENCHMARKS[name]
    return benchmark.run(store=store, progress=progress) if benchmark.resumable else benchmark.run()


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = tyro.cli(Options, prog="python -m benchmarks", description=description(), args=args)
    if options.json is not None and not options.json.absolute().parent.is_dir():
        print(f"error: --json {options.json}: expected a file in an existing folder", file=sys.stderr)
        return 2
    parts = None if options.json is None else options.json.with_name(options.json.name + ".parts")
    # Bars on a terminal, a line for each step elsewhere.
    progress = True if sys.stderr.isatty() else print_progress
    rows: list[Row] = []
    names = options.names or [name for name in BENCHMARKS if not BENCHMARKS[name].only_when_named]
    for name in names:
        print(f"{name}: measuring ...", file=sys.stderr)
        measured = measure(name, parts, progress)
        print_table(name, measured)
        rows += measured
    if options.json is not None:
        write_json(options.json, rows, names)
    if not_passed := release.failed(rows):
        print(f"release: {', '.join(not_passed)} did not pass", file=sys.stderr)
        return 1
    if parts is not None:
        shutil.rmtree(parts, ignore_errors=True)  # the file holds it all
    return 0


if __name__ == "__main__":
    sys.exit(main())
