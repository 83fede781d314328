"""The command that regenerates the papers' figures: `python -m paper_figs [NAMES ...] [--preset NAME] [--out DIR]`."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from paper_figs import (
    bottlenecks,
    captions,
    confounders,
    emergent_alignment,
    estimation,
    features,
    frozen_heads,
    frozen_spectra,
    imposed_alignment,
    infonce,
    instruments,
    label_quality,
    neighbours,
    nonlinear,
    phase_diagram,
    recovery,
)
from paper_figs.presets import PRESETS
from paper_figs.recipe import Recipe
from phasejax._core.progress import ProgressCallback, print_progress, reporting
from phasejax.cli._files import notes_on_standard_error

FAMILIES = (phase_diagram, recovery, bottlenecks, estimation, infonce, nonlinear, features, imposed_alignment,
            emergent_alignment, captions, neighbours, confounders, label_quality, instruments, frozen_heads,
            frozen_spectra)
FIGURES: dict[str, Recipe] = {name: recipe for family in FAMILIES for name, recipe in family.FIGURES.items()}


def make(name: str, preset: str, out: Path, progress: bool | ProgressCallback = False, *,
         executor: str | None = None, data: Path | None = None) -> list[Path]:
    """Make one figure: compute, draw and write it.

    Args:
        name: in `FIGURES`.
        preset: in `PRESETS`.
        out: folder to write to.
        progress: how a resumable figure reports.
        executor: who trains, of figures whose trainings can be shared out.
        data: a folder of the user's, or the name of data that come with the package, of figures that take one.

    Returns:
        The files written.
    """
    return FIGURES[name].make(name, PRESETS[preset], out, attributes={"figure": name, "preset": preset},
                              executor=executor, data=data, progress=progress)


@dataclass(frozen=True)
class Options:
    """Regenerate the figures of the papers that phasejax implements."""

    names: Annotated[tuple[Literal[tuple(FIGURES)], ...], tyro.conf.Positional] = ()  # type: ignore[valid-type]
    """Figures to make; when left out, all that take seconds."""
    preset: Literal[tuple(PRESETS)] = "quick"  # type: ignore[valid-type]
    """How much of the protocol to run: quick thins the sweeps, paper is all of it, laptop lies between."""
    out: Path = Path("figures")
    """Folder to write to; made when missing."""
    data: Path | None = None
    """Folder of frozen features in the published layouts (docs/heads.md), for table1 and fig12; without it they use
    what comes with the package. For fig6, captions_predicted and neighbours: glyphs or emoji, which come with the
    package, or the folder of COCO. With other figures it is an error."""
    executor: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Who trains, for the figures that say so above: processes:COUNT, dask, dask:ADDRESS or MODULE:FUNCTION, as in
    docs/clusters.md; this process when left out. With other figures it is an error."""


def description() -> str:
    """What `--help` says above the options: what is written, and every figure with its title."""
    def listed(resumable: bool) -> str:
        return "\n".join(f"  {name:20}{recipe.title}" for name, recipe in FIGURES.items()
                         if recipe.resumable is resumable)

    return f"""Regenerate the figures of "When to Align, When to Predict" (K26, arXiv 2606.11190), and of
arXiv 2511.12121 (F26) and 2502.16282 (T25).

Each figure is written as .png and .pdf (and .gif if it moves) with its caption and all parameters as
.txt, its numbers as .nc, and as a table, .csv or .md, if it has one. Figures have the widths of a journal's
column or page, with text of 7 to 9 points and TrueType fonts.

Figures that take seconds at the quick preset, made by default:
{listed(resumable=False)}

Figures that train encoders or read your data, made only when named: minutes or more at the quick preset,
at the paper preset hours, and with deep encoders a GPU's work. Started again after an interruption they
go on where they were:
{listed(resumable=True)}

--executor shares out the trainings of {", ".join(shared_out())}."""


def shared_out() -> list[str]:
    """The figures whose trainings an executor can do."""
    return [name for name, recipe in FIGURES.items() if recipe.can_be_shared_out]


def with_data() -> list[str]:
    """The figures that take the user's data."""
    return [name for name, recipe in FIGURES.items() if recipe.takes_data]


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = tyro.cli(Options, prog="python -m paper_figs", description=description(), args=args)
    names = options.names or [name for name, recipe in FIGURES.items() if not recipe.resumable]
    begin = time.perf_counter()
    try:
        if options.executor is not None:
            alone = [name for name in names if not FIGURES[name].can_be_shared_out]
            if alone:
                raise ValueError(f"--executor: expected figures among {', '.join(shared_out())}, got "
                                 f"{', '.join(alone)}")
        if options.data is not None:
            without = [name for name in names if not FIGURES[name].takes_data]
            if without:
                raise ValueError(f"--data: expected figures among {', '.join(with_data())}, got {', '.join(without)}")
            for name in names:
                if (check := FIGURES[name].check_data) is not None:
                    check(options.data)
        options.out.mkdir(parents=True, exist_ok=True)
        # Bars on a terminal, of all figures first; a line for each step elsewhere.
        with notes_on_standard_error(), reporting(True if sys.stderr.isatty() else print_progress) as advance:
            for made, name in enumerate(names):
                if len(names) > 1:
                    advance("all figures", made, len(names))
                start = time.perf_counter()
                paths = make(name, options.preset, options.out, advance, executor=options.executor, data=options.data)
                print(f"{name:16} {time.perf_counter() - start:6.1f} s   {', '.join(map(str, paths))}", flush=True)
        print(f"{'all':16} {time.perf_counter() - begin:6.1f} s")
    except KeyboardInterrupt:
        kept = ("run again to resume; what was computed is kept" if any(FIGURES[name].resumable for name in names) else
                "figures that were written are kept")
        print(f"interrupted: {kept}", file=sys.stderr)
        return 130
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ConnectionError as error:  # workers were lost: the same command goes on
        print(f"error: {error}", file=sys.stderr)
        return 4
    except OSError as error:
        print(f"error: --out {options.out}: expected a folder that can be written, got {error.strerror or error}",
              file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
