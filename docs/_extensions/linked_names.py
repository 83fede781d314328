"""Inline code that names something public, such as `phasejax.sweep` or `pj.diagnose(...)`, leads to its entry."""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

_FULL = re.compile(r"(?:pj|phasejax)((?:\.[A-Za-z]\w*)+)")
_HEADING = re.compile(r"phasejax[\w.]*")


def _reference(literal: nodes.literal, target: str, docname: str) -> pending_xref:
    return pending_xref("", literal.deepcopy(), refdomain="py", reftype="obj", reftarget=target, refdoc=docname,
                        refwarn=False, quiet=True)


def link_names(app: Sphinx, doctree: nodes.document) -> None:
    """Put references around full names, and in the page of functions around the names of each section's package."""
    docname = app.env.current_document.docname
    for literal in list(doctree.findall(nodes.literal)):
        if isinstance(literal.parent, nodes.reference | pending_xref):
            continue
        text = literal.astext()
        if found := _FULL.match(text):
            target = "phasejax" + found[1]
        elif docname == "functions" and text.isidentifier():
            section = literal.parent
            while section is not None and not isinstance(section, nodes.section):
                section = section.parent
            title = section[0].astext() if section is not None else ""
            if not _HEADING.fullmatch(title):
                continue
            target = f"{title}.{text}"
        else:
            continue
        literal.replace_self(_reference(literal, target, docname))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("doctree-read", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
