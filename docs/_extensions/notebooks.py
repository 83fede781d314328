"""How notebooks are run, several side by side, and their outputs shown.

A command's output is read in pieces that may end inside a line. myst-nb would end the line there; here pieces are put
together where they were cut.
"""

from copy import copy
from typing import Any

from jupyter_cache import get_cache
from myst_nb.core import render
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.parallel import make_chunks

_merged = render.coalesce_streams
_CACHED = 1000  # notebooks at most, as by default


def merge(outputs: list[Any]) -> list[Any]:
    """Join the pieces of each stream; myst-nb then puts standard output and error in order."""
    streams: dict[str, Any] = {}
    whole = []
    for output in outputs:
        name = output["name"] if output["output_type"] == "stream" else None
        if name in streams:
            streams[name]["text"] += output["text"]
        else:
            whole.append(copy(output))
            if name is not None:
                streams[name] = whole[-1]
    return _merged(whole)


def spread(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Deal the notebooks, which take longest and are neighbours, out to the two batches that are read first.

    Both processes would make the cache's tables at once, which only one of them can: they are made before.
    """
    get_cache(app.env.mystnb_config.execution_cache_path).change_cache_limit(_CACHED)
    notebooks = [page for page in pages if "{code-cell}" in env.doc2path(page).read_text(encoding="utf-8")]
    others = [page for page in pages if page not in notebooks]
    rest = len(make_chunks(pages, app.parallel)[0]) - len(notebooks[::2])
    pages[:] = [*notebooks[::2], *others[:rest], *notebooks[1::2], *others[rest:]]


def setup(app: Sphinx) -> dict[str, bool]:
    """Take the place of myst-nb's function, and connect to Sphinx."""
    render.coalesce_streams = merge
    app.connect("env-before-read-docs", spread)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
