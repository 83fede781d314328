"""The directive `{public-names} PACKAGE`: every public name of a package with its docstring.

The top-level package's names are those of other packages and stand there; the site's inventory has them too.
"""

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

_COLON = "\N{RATIO}"  # in no docstring


def names_in(module: ModuleType) -> list[str]:
    """The public names of a package or module, in the order of its stub or source."""
    listed = getattr(module, "__all__", None)
    if listed is None:
        return [name for name, thing in vars(module).items()
                if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__]
    return sorted(set(listed) - {"__version__"}, key=lambda name: (name.lower(), name))


def first_line(thing: Any) -> str:
    """The first sentence of a docstring, as reStructuredText."""
    if isinstance(thing, dict | tuple | list):
        return f"{len(thing)} entries."
    if isinstance(thing, int | float | str):
        return f"The constant ``{thing!r}``."
    text = (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ").strip()
    return re.sub(r"(?<!`)`([^`<>]+)`(?!`)", r"``\1``", text).replace("|", r"\|")


def entry(package: str, name: str) -> str:
    """The directive of autodoc for one name."""
    thing = getattr(importlib.import_module(package), name)
    full = f"{package}.{name}"
    if isinstance(thing, ModuleType):
        return ""  # has a page of its own
    if inspect.isclass(thing):
        return f".. autoclass:: {full}\n   :members:\n   :inherited-members:\n"
    if callable(thing):
        return f".. autofunction:: {full}\n"
    about = (", ".join(f"``{one}``" for one in thing) + "." if isinstance(thing, dict | tuple | list) else
             first_line(thing))
    return f".. py:data:: {name}\n   :module: {package}\n\n   {about}\n"


class PublicNames(SphinxDirective):
    """The docstring of a package, a table of its names, and an entry for each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Expand into directives of autodoc."""
        package = self.arguments[0]
        module = importlib.import_module(package)
        names = names_in(module)
        self.env.note_dependency(f"{module.__file__}i")  # the stub that lists the names
        lines = [f".. automodule:: {package}", "", ".. list-table::", "   :class: names", "   :widths: 30 70", ""]
        for name in names:
            thing = getattr(module, name)
            home = _home(package, name)
            lines += [f"   * - :py:obj:`{name} <{home}>`", f"     - {first_line(thing)}"]
        if package != "phasejax":
            lines += ["", *(line for name in names for line in [*entry(package, name).splitlines(), ""])]
        text = "\n".join(["```{eval-rst}", *lines, "```"])
        return self.parse_text_to_nodes(text)


def _home(package: str, name: str) -> str:
    """Where a name is documented: the package itself, or for the top level the one that it comes from."""
    thing = getattr(importlib.import_module(package), name)
    if isinstance(thing, ModuleType):
        return thing.__name__
    if package != "phasejax":
        return f"{package}.{name}"
    return ".".join(part for part in thing.__module__.split(".") if not part.startswith("_")
                    and part != "report") + f".{name}"


def note_top_level(app: Sphinx, env: BuildEnvironment) -> None:
    """`phasejax.sweep` means the entry of `phasejax.simulation.sweep`, and likewise the methods of classes."""
    objects = env.domains.python_domain.objects
    for name in names_in(importlib.import_module("phasejax")):
        home = _home("phasejax", name)
        for full, found in list(objects.items()):
            if full == home or full.startswith(f"{home}."):
                alias = f"phasejax.{name}{full.removeprefix(home)}"
                objects.setdefault(alias, ObjectEntry(found.docname, found.node_id, found.objtype, True))


def prepare(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let docstrings mean what they say.

    |x| is an absolute value, not the name of a substitution. The first line of a property is no "type: description",
    for which napoleon takes it when it has a colon: so napoleon is not shown the colon.
    """
    if what == "property":
        lines[0] = lines[0].replace(":", _COLON)
    formula = None
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() and formula is not None and indent <= formula:
            formula = None
        if line.lstrip().startswith(".. math::"):
            formula = indent
        elif formula is None and not line.lstrip().startswith((">>>", "...")):
            lines[i] = re.sub(r"(`[^`]*`)|(?<!\\)\|", lambda found: found[1] or r"\|", line)


def give_back_colon(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Undo what `prepare` did for napoleon."""
    lines[:] = [line.replace(_COLON, ":") for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", prepare, priority=400)
    app.connect("autodoc-process-docstring", give_back_colon, priority=600)
    app.connect("env-updated", note_top_level)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
