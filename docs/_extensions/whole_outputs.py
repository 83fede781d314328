"""Outputs of a cell that came in several pieces, put together where they were cut.

A command's output is read in pieces that may end inside a line; myst-nb would end the line there.
"""

from copy import copy
from typing import Any

from myst_nb.core import render
from sphinx.application import Sphinx

_merged = render.coalesce_streams


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Take the place of myst-nb's function."""
    render.coalesce_streams = merge
    return {"parallel_read_safe": True, "parallel_write_safe": True}
