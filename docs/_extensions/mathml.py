"""Formulas as MathML, which browsers draw themselves: no script, no fonts from elsewhere, read by screen readers."""

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def in_mathml(text: str, node: nodes.Element, block: bool) -> str:
    """The formula as MathML; what cannot be written so is a warning."""
    if block and re.search(r"(?<!\\)&|\\\\", re.sub(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", "", text, flags=re.DOTALL)):
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    text = re.sub(r"\\([bB]igg?)(?![a-zA-Z])", r"\\\1l", text)  # docutils has the sizes with a side alone
    text = re.sub(r"\\dots(?![a-zA-Z])", r"\\ldots", text)
    try:
        return tex2mathml(text, as_block=block)
    except MathError as error:
        logger.warning("formula: %s in %s", error, text, location=node, type="mathml")
        return f"<code>{html.escape(text)}</code>"


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line."""
    self.body.append(f'<span class="math">{in_mathml(node.astext(), node, block=False)}</span>')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula, with its number if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math formula", tabindex="0"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(in_mathml(node.astext(), node, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
