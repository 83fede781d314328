"""Regenerate the figures of K26: `python -m paper_figs [NAMES ...] [--preset quick|laptop|paper] [--out DIR]`."""

import functools
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import tyro
import xarray as xr
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure
from rich.console import Console

from paper_figs import (
    bottlenecks,
    emergence,
    estimation,
    features,
    finite,
    infonce,
    joint,
    nonlinear,
    partial,
    phase,
    recovery,
    stereo,
    strength,
    strength_predicted,
)
from paper_figs.presets import PRESETS
from phasejax._core.atomic_files import written_whole


@dataclass(frozen=True)
class Recipe:
    """How one figure is made: numbers first, then a drawing of them."""

    compute: Callable[..., xr.Dataset]
    draw: Callable[[xr.Dataset], Figure]
    animate: Callable | None = None
    tabulate: Callable[[xr.Dataset], pd.DataFrame] | None = None


@dataclass(frozen=True)
class LongRecipe(Recipe):
    """A figure that takes more than a minute: `compute` also gets a folder for what is done, and reports progress."""


FIGURES = {
    "fig2": Recipe(phase.compute_fig2, phase.draw_fig2),
    "fig3": Recipe(recovery.compute_fig3, recovery.draw_fig3),
    "fig7": Recipe(partial.compute_fig7, partial.draw_fig7),
    "fig8": Recipe(recovery.compute_fig8, recovery.draw_fig8),
    "fig9": Recipe(recovery.compute_fig9, recovery.draw_fig9),
    "hard_bottleneck": Recipe(bottlenecks.compute_hard_bottleneck, bottlenecks.draw_hard_bottleneck),
    "soft_bottleneck": Recipe(bottlenecks.compute_soft_bottleneck, bottlenecks.draw_soft_bottleneck),
    "joint": Recipe(joint.compute_joint, joint.draw_joint),
    "estimation": Recipe(estimation.compute_estimation, estimation.draw_estimation),
    "stereo": Recipe(stereo.compute_stereo, stereo.draw_stereo),
    "finite": Recipe(finite.compute_finite, finite.draw_finite),
    "variance_trap": Recipe(phase.compute_variance_trap, phase.draw_variance_trap, phase.animate_variance_trap),
}
# Made only when named.
LONG_FIGURES = {
    "fig4": LongRecipe(functools.partial(nonlinear.compute, data="dsprites"), nonlinear.draw_alignment,
                       tabulate=nonlinear.tabulate),
    "fig4_shapes3d": LongRecipe(functools.partial(nonlinear.compute, data="shapes3d"), nonlinear.draw_alignment,
                                tabulate=nonlinear.tabulate),
    "fig5": LongRecipe(features.compute_umap, features.draw_umap),
    "fig10": LongRecipe(functools.partial(nonlinear.compute, objectives=("vicreg", "deepcca")),
                        nonlinear.draw_alignment, tabulate=nonlinear.tabulate),
    "fig11": LongRecipe(nonlinear.compute_sizes, nonlinear.draw_sizes, tabulate=nonlinear.tabulate),
    "agreement": LongRecipe(features.compute_agreement, features.draw_agreement, tabulate=features.tabulate_agreement),
    "infonce": LongRecipe(infonce.compute_infonce, infonce.draw_infonce),
    "strength": LongRecipe(strength.compute_strength, strength.draw_strength, tabulate=strength.tabulate_strength),
    "strength_predicted": LongRecipe(strength_predicted.compute_strength_predicted,
                                     strength_predicted.draw_strength_predicted,
                                     tabulate=strength_predicted.tabulate_strength_predicted),
    "emergence": LongRecipe(emergence.compute_emergence, emergence.draw_emergence,
                            tabulate=emergence.tabulate_emergence),
}
_ALL = FIGURES | LONG_FIGURES


def make(name: str, preset: str, out: Path, report: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Compute and draw one figure; returns the files written: .nc, .png, .pdf, .csv of a table, .gif of an animation.

    A long figure keeps what it has computed in the folder `name`.parts until it is written;
    `report` gets its progress.
    """
    recipe, parts = _ALL[name], out / f"{name}.parts"
    if isinstance(recipe, LongRecipe):
        data = recipe.compute(PRESETS[preset], parts, report)
    else:
        data = recipe.compute(PRESETS[preset])
    data = data.assign_attrs(figure=name, preset=preset)
    figure = recipe.draw(data)
    writers = {".nc": lambda path: data.to_netcdf(path, engine="scipy"),
               ".png": lambda path: figure.savefig(path, dpi=200, format="png"),
               ".pdf": lambda path: figure.savefig(path, format="pdf")}
    if recipe.tabulate:
        writers[".csv"] = lambda path: recipe.tabulate(data).to_csv(path, float_format="%.6g")
    if recipe.animate:
        writers[".gif"] = lambda path: recipe.animate(data).save(path, writer=PillowWriter(fps=15), dpi=90)
    paths = [out / f"{name}{suffix}" for suffix in writers]
    for path, write in zip(paths, writers.values(), strict=True):
        with written_whole(path) as unfinished:
            write(unfinished)
    if isinstance(recipe, LongRecipe):
        shutil.rmtree(parts, ignore_errors=True)  # the dataset holds it all
    return paths


@dataclass(frozen=True)
class Options:
    """Regenerate the figures of "When to Align, When to Predict" (arXiv 2606.11190).

    Each figure is written as .png and .pdf (and .gif where it moves) with its numbers beside it
    as .nc, and as a table, .csv, where encoders are trained. The quick preset thins the sweeps and
    takes seconds; paper is the full protocol, laptop between the two. Those that train encoders
    (fig4, fig4_shapes3d, fig5, fig10, fig11, agreement, infonce, strength, strength_predicted,
    emergence) are made only when named: minutes in the quick preset, and a GPU's work in the
    paper's for fig4 to agreement; started again after an interruption they go on where they were.
    strength and emergence are those of arXiv 2511.12121 and 2502.16282.
    """

    names: Annotated[tuple[Literal[tuple(_ALL)], ...], tyro.conf.Positional] = ()  # type: ignore[valid-type]
    """Figures to make; all but those that train encoders when left out."""
    preset: Literal[tuple(PRESETS)] = "quick"  # type: ignore[valid-type]
    """How much of the protocol to run."""
    out: Path = Path("figures")
    """Folder to write to; made when missing."""


def main(args: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = tyro.cli(Options, prog="python -m paper_figs", args=args)
    console = Console(stderr=True, highlight=False)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        for name in options.names or FIGURES:
            start = time.perf_counter()
            with console.status(f"{name} ...") as status:
                report = _reporter(console, status, name)
                paths = make(name, options.preset, options.out, report)
            print(f"{name:16} {time.perf_counter() - start:6.1f} s   {', '.join(map(str, paths))}", flush=True)
        print(f"{'all':16} {time.perf_counter() - begin:6.1f} s")
    except KeyboardInterrupt:
        return 130
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: --out {options.out}: expected a folder that can be written, got {error.strerror or error}",
              file=sys.stderr)
        return 2
    return 0


def _reporter(console, status, name):
    """Progress beside the spinner on a terminal, a line at a time elsewhere."""
    if console.is_terminal:
        return lambda text: status.update(f"{name} ... {text}")
    return lambda text: print(f"{name}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
