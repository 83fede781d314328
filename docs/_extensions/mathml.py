"""Formulas as MathML, which browsers draw themselves: no script, no fonts from elsewhere, read by screen readers."""

import html
import re
import xml.etree.ElementTree as ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


NAMESPACE = "http://www.w3.org/1998/Math/MathML"
BARS = {"\N{DOUBLE VERTICAL LINE}", "|"}
OVERBARS = {"\N{MODIFIER LETTER MACRON}", "\N{MACRON}", "\N{OVERLINE}", "_"}


def in_mathml(text: str, node: nodes.Element, block: bool) -> str:
    """The formula as MathML; what cannot be written so is a warning."""
    if block and re.search(r"(?<!\\)&|\\\\", re.sub(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", "", text, flags=re.DOTALL)):
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    text = re.sub(r"\\([bB]igg?)(?![a-zA-Z])", r"\\\1l", text)  # docutils has the sizes with a side alone
    text = re.sub(r"\\dots(?![a-zA-Z])", r"\\ldots", text)
    try:
        return _as_latex_sets_it(tex2mathml(text, as_block=block))
    except MathError as error:
        logger.warning("formula: %s in %s", error, text, location=node, type="mathml")
        return f"<code>{html.escape(text)}</code>"


def _as_latex_sets_it(formula: str) -> str:
    """Bars as high as a line, slashes without space, capital Greek upright, space after the name of a function."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.fromstring(formula.replace("&ApplyFunction;", "\N{FUNCTION APPLICATION}"))
    for parent in root.iter():
        children = list(parent)
        if parent.tag.endswith("}mover") and children[1].text in OVERBARS:
            parent.tag = f"{{{NAMESPACE}}}mrow"  # drawn by site.css: fonts disagree on where this accent goes
            parent.attrib = {"class": "bar"}
            parent.remove(children.pop())
        fenced = (len(children) > 1 and parent.tag.endswith("}mrow") and children[0].text in BARS
                  and children[-1].text in BARS)  # by "left" and "right", which are as high as what they hold
        for i, child in enumerate(children):
            if child.text in BARS and child.tag.endswith("}mo") and not (fenced and i in (0, len(children) - 1)):
                child.attrib |= {"stretchy": "false", "lspace": "0", "rspace": "0"}
            elif child.text == "/":
                child.attrib |= {"lspace": "0", "rspace": "0"}
            elif "capital-greek" in child.get("class", ""):
                child.set("mathvariant", "normal")
            elif child.text == "\N{FUNCTION APPLICATION}" and i + 1 < len(children):
                after = children[i + 1]
                opens = after.tag.endswith(("}mo", "}mspace")) or (len(after) > 0 and (after[0].text or "") in "([{")
                if not opens:
                    child.set("rspace", "0.167em")
    for part in root.iter():
        part.tail = None
        if len(part):
            part.text = None
    return ElementTree.tostring(root, encoding="unicode")


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
