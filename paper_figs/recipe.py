"""How a figure is made and written: what every module of figures declares, and columns that several tables share."""

import inspect
import json
import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from phasejax._core.atomic_files import written_whole
from phasejax._core.progress import ProgressCallback, reporting
from phasejax.deep import seed_interval
from phasejax.plotting import paper_style, spread_in_words


@dataclass(frozen=True)
class Recipe:
    """How one figure is made: its numbers are computed first, and then drawn.

    Args:
        title: what the figure shows, in a few words.
        caption: what its panels, lines, bands and marks are, in plain text; `{spread}` stands for what `plot_curve`
            draws around means, `{seeds}` for the number of seeds, `{of_seeds}` for "3 seeds".
        compute: returns the numbers; called as `compute(preset)`, or, if the figure is resumable, as
            `compute(preset, store=folder, progress=callback)`.
        draw: draws the numbers.
        animate: moves the drawing, if the figure also comes as an animation.
        tabulate: makes a table of the numbers, if the figure comes with one.
        in_markdown: writes the numbers as a table to read, likewise.
        check_data: refuses what was given as --data, where computing takes it as its argument `folder`.
        resumable: whether computing takes so long that what is done is kept in a folder, from which a run that was
            killed goes on. Such a figure is made only when it is named.
    """

    title: str
    caption: str
    compute: Callable[..., xr.Dataset]
    draw: Callable[[xr.Dataset], Figure]
    animate: Callable[[xr.Dataset], FuncAnimation] | None = None
    tabulate: Callable[[xr.Dataset], pd.DataFrame] | None = None
    in_markdown: Callable[[xr.Dataset], str] | None = None
    check_data: Callable[[Path], object] | None = None
    resumable: bool = False

    @property
    def can_be_shared_out(self) -> bool:
        """Whether computing takes an executor."""
        return "executor" in inspect.signature(self.compute).parameters

    @property
    def takes_data(self) -> bool:
        """Whether computing takes the user's data."""
        return self.check_data is not None

    def make(self, name: str, preset: Preset, out: Path, *, attributes: dict[str, str] | None = None,
             executor: str | None = None, data: Path | None = None,
             progress: bool | ProgressCallback = False) -> list[Path]:
        """Compute the figure and write its files: .nc, .png, .pdf, a caption .txt, tables .csv and .md, a film .gif.

        Args:
            name: what the files are called.
            preset: how much of the protocol to run.
            out: folder to write to. A resumable figure keeps what it has done in the folder `name`.parts there
                until its files are written.
            attributes: what else the dataset says about itself.
            executor: who trains, where `can_be_shared_out`.
            data: the user's folder, where `takes_data`.
            progress: how a resumable figure reports.

        Returns:
            The files written.
        """
        parts = out / f"{name}.parts"
        with reporting(progress) as advance:
            def of_this_figure(task: str, done: int, total: int) -> None:
                advance(f"{name}: {task}", done, total)

            given = {name: value for name, value in (("executor", executor), ("folder", data)) if value is not None}
            try:
                found = (self.compute(preset, store=parts, progress=of_this_figure, **given) if self.resumable
                         else self.compute(preset)).assign_attrs(attributes or {})
            except ValueError:
                if not any(parts.glob("*.npz")):  # nothing that a second run could go on from
                    shutil.rmtree(parts, ignore_errors=True)
                raise
        paths = []
        with paper_style():
            for suffix, write in self._writers(found).items():
                paths.append(out / f"{name}{suffix}")
                with written_whole(paths[-1]) as unfinished:
                    write(unfinished)
        if self.resumable:
            shutil.rmtree(parts, ignore_errors=True)  # the dataset holds it all
        return paths

    def _writers(self, data: xr.Dataset) -> dict[str, Callable[[Path], object]]:
        """What writes each of the figure's files, by the ending of their names."""
        figure, animate, tabulate, in_markdown = self.draw(data), self.animate, self.tabulate, self.in_markdown
        writers: dict[str, Callable[[Path], object]] = {
            ".nc": lambda path: data.to_netcdf(path, engine="scipy"),
            ".png": lambda path: figure.savefig(path, dpi=300, format="png"),
            ".pdf": lambda path: figure.savefig(path, format="pdf"),
            ".txt": lambda path: path.write_text(self.caption_of(data), encoding="utf-8")}
        if tabulate is not None:
            writers[".csv"] = lambda path: tabulate(data).to_csv(path, float_format="%.6g")
        if in_markdown is not None:
            writers[".md"] = lambda path: path.write_text(in_markdown(data), encoding="utf-8")
        if animate is not None:
            writers[".gif"] = lambda path: animate(data).save(path, writer=PillowWriter(fps=15), dpi=150)
        return writers

    def caption_of(self, data: xr.Dataset) -> str:
        """The caption of a figure with what its numbers were computed from, wrapped to lines of 100 characters."""
        seeds = int(data.sizes.get("seed", data.attrs.get("seeds", 1)))
        caption = self.caption.format(spread=spread_in_words(seeds), seeds=seeds,
                                      of_seeds="one seed" if seeds == 1 else f"{seeds} seeds")
        paragraphs = [f"{self.title[0].upper()}{self.title[1:]}.", caption, _computed_from(data)]
        return "\n\n".join(textwrap.fill(text, 100) for text in paragraphs) + "\n"


def _computed_from(data: xr.Dataset) -> str:
    """The attributes of a dataset and the range of each of its axes, as one sentence."""
    left_out = ("figure", "key", "key_impl", "computed_on", "foretold", "read")
    attrs = {str(name): value for name, value in data.attrs.items() if name not in left_out}
    for name in ("parameters", "experiment"):
        try:
            attrs |= json.loads(attrs.pop(name))
        except (KeyError, TypeError, ValueError):
            continue
    parts = [f"{name} {_in_words(value)}" for name, value in attrs.items() if value is not None]
    parts += [f"{name} {_in_words(axis.values.tolist())}" for name, axis in data.coords.items()
              if axis.ndim == 1 and name != "seed" and np.issubdtype(axis.dtype, np.number)]
    return f"Computed with {'; '.join(parts)}."


def _in_words(value: Any) -> str:
    """A number, a text or a list; long lists by their ends."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_in_words(part)}" for name, part in value.items()) + ")"
    if not isinstance(value, list | tuple):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if len(value) > 1 and all(one == value[0] for one in value):
        return f"{_in_words(value[0])} ({len(value)} times)"
    if len(value) > 6:
        return f"from {_in_words(value[0])} to {_in_words(value[-1])} ({len(value)} values)"
    return ", ".join(map(_in_words, value))


def over_seeds(name: str, values: xr.DataArray, level: float = 0.95) -> dict[str, xr.DataArray]:
    """Columns of a table: the mean over seeds as `name`, the ends of its interval as `name`_lower and `name`_upper.

    Args:
        name: of the first column.
        values: with a dimension `seed`.
        level: of the interval.
    """
    left = values.isel(seed=0, drop=True)
    bounds = seed_interval(values.values, int(values.get_axis_num("seed")), level)
    names = (name, f"{name}_lower", f"{name}_upper")
    return {column: left.copy(data=bound) for column, bound in zip(names, bounds, strict=True)}
