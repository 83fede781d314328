"""The directive `{gallery}`: every figure of `python -m paper_figs` with its picture, command, time and files.

Pictures come from the folder that PHASEJAX_FIGURES names, in which the command has written its figures before, or from
docs/_build/figures; those that take seconds are made there where they are missing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from measurements import read_measurements
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from paper_figs.__main__ import FIGURES

logger = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "docs" / "_build"
SHOWN = BUILD / "gallery"
FILES = (".nc", ".csv", ".md", ".gif", ".pdf", ".txt")


def collect(app: Sphinx) -> None:
    """Make the figures that take seconds where there are none, and bring all to where pages can show them."""
    folder = Path(os.environ.get("PHASEJAX_FIGURES") or BUILD / "figures").absolute()
    missing = [name for name, recipe in FIGURES.items()
               if not recipe.resumable and not (folder / f"{name}.png").exists()]
    if missing:
        logger.info("making %d figures into %s ...", len(missing), folder)
        subprocess.run([sys.executable, "-m", "paper_figs", *missing, "--preset", "quick", "--out", folder], cwd=ROOT,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    SHOWN.mkdir(parents=True, exist_ok=True)
    found = [path for name in FIGURES for path in folder.glob(f"{name}.*") if path.is_file()]
    for path in found:
        shutil.copy2(path, SHOWN / path.name)
    for name in {path.name for path in SHOWN.iterdir()} - {path.name for path in found}:
        (SHOWN / name).unlink()


def section(name: str, seconds: float | None) -> list[str]:
    """One figure in MyST Markdown."""
    recipe = FIGURES[name]
    lines = [f"(figure-{name})=", f"### {name}: {recipe.title}", ""]
    if (SHOWN / f"{name}.png").exists():
        lines += [f":::{{image}} /_build/gallery/{name}.png", f":alt: {recipe.title}", ":class: plot", ":::", ""]
    caption = SHOWN / f"{name}.txt"
    if caption.exists():
        lines += [*caption.read_text(encoding="utf-8").split("\n\n")[1].splitlines(), ""]
    elif "{" not in recipe.caption:
        lines += [recipe.caption, ""]
    lines += ["```sh", f"python -m paper_figs {name}", "```", ""]
    files = [f"{{download}}`{name}{suffix} </_build/gallery/{name}{suffix}>`" for suffix in FILES
             if (SHOWN / f"{name}{suffix}").exists()]
    time = "Not timed yet" if seconds is None else f"{_in_words(seconds)} at the quick preset"
    writes = [".nc", ".png", ".pdf", ".txt", *([".csv"] if recipe.tabulate else []),
              *([".md"] if recipe.in_markdown else []), *([".gif"] if recipe.animate else [])]
    kept = (f"Files: {', '.join(files)}" if files else
            "Written: " + ", ".join(f"`{name}{suffix}`" for suffix in writes))
    return [*lines, f"{time}. {kept}.", ""]


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


class Gallery(SphinxDirective):
    """All figures, those that take seconds first."""

    def run(self) -> list[nodes.Node]:
        """Write the page and parse it."""
        seconds, lines = {}, []
        for kind, which in (("figures", "that take seconds"), ("trained_figures", "that train")):
            if found := read_measurements(kind):
                lines += [f"Times of figures {which} were measured on {found[0]}, each in a process of its own.", ""]
                seconds |= {row["case"]: row["value"] for row in found[2]}
        for title, resumable in (("Seconds to make", False), ("Minutes to days", True)):
            lines += [f"## {title}", ""]
            for name in (name for name, recipe in FIGURES.items() if recipe.resumable is resumable):
                lines += section(name, seconds.get(name))
        for path in SHOWN.iterdir():
            self.env.note_dependency(str(path))
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", collect)
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
