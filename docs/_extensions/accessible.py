"""Mends of the pages' HTML, so that keyboards and screen readers get along with it."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_ARGUMENTS = re.compile(r"<dl>\s*((?:<dd>.*?</dd>\s*)+)</dl>", re.DOTALL)


def mend(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Blocks that scroll can be reached by key, headings of the menu have a level, arguments are no list of terms."""
    if "body" in context:
        body = context["body"].replace("<pre>", '<pre tabindex="0">')
        context["body"] = _ARGUMENTS.sub(
            lambda found: '<div class="arguments">' + found[1].replace("<dd>", "<div>").replace("</dd>", "</div>")
            + "</div>", body)
    menu = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = menu.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx, after the theme."""
    app.connect("html-page-context", mend, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
