"""Puts the explorer beside the pages, as phase-diagram.html."""

from pathlib import Path

from sphinx.application import Sphinx

from phasejax.explorer import write_explorer


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write the page that docs/explorer.md shows."""
    if exception is None and app.builder.format == "html":
        write_explorer(Path(app.outdir) / "phase-diagram.html")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("build-finished", write, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
