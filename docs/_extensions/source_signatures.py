"""Signatures as they stand in the source, with shapes of arrays, and links from the types in them."""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.inspect import stringify_signature
from sphinx.util.nodes import make_refnode


class _Text:
    """A default value that is shown as it was written."""

    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text


@functools.cache
def _definition(thing: Any) -> ast.AST | None:
    """The syntax tree of a function or class; None of what has no source, such as a generated `__init__`."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None


def _arguments(function: Callable) -> Iterator[tuple[str, str | None, str | None]]:
    """(name, annotation, default) of each argument, as written."""
    tree = _definition(inspect.unwrap(function))
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    given = tree.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + given.defaults
    for argument, default in [*zip(positional, defaults, strict=True),
                              *zip(given.kwonlyargs, given.kw_defaults, strict=True),
                              *((extra, None) for extra in (given.vararg, given.kwarg) if extra)]:
        yield (argument.arg, argument.annotation and ast.unparse(argument.annotation),
               default and ast.unparse(default))


def _fields(cls: type) -> Iterator[tuple[str, str | None, str | None]]:
    """The same of the fields of a dataclass, its own after those of its bases."""
    for base in reversed(cls.__mro__):
        tree = _definition(base) if base.__module__.startswith("phasejax") else None
        for line in getattr(tree, "body", ()):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                value = None if line.value is None or isinstance(line.value, ast.Call) else ast.unparse(line.value)
                yield line.target.id, ast.unparse(line.annotation), value


def _returned(function: Callable) -> str | None:
    tree = _definition(inspect.unwrap(function))
    return ast.unparse(tree.returns) if getattr(tree, "returns", None) else None


def _plain(annotation: str) -> str:
    """Without the quotes of a name that its module had not defined yet."""
    return annotation.strip("'\"") if annotation[0] in "'\"" else annotation


def write_signature(app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str | None,
                    returned: str | None) -> tuple[str, str | None] | None:
    """Replace the annotations and defaults that Python evaluated by those in the source."""
    if what not in ("function", "method", "class", "exception"):
        return None
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    if inspect.isclass(thing):
        made_by = thing.__dict__.get("__init__", getattr(thing, "__init__", None))
        written = list(_arguments(made_by)) or list(_fields(thing))
        result = None
    else:
        written, result = list(_arguments(thing)), _returned(thing)
    annotations = {name: annotation for name, annotation, _ in written}
    defaults = {name: default for name, _, default in written}
    parameters = []
    for parameter in found.parameters.values():
        annotation = annotations.get(parameter.name)
        change: dict[str, Any] = {"annotation": _plain(annotation) if annotation else parameter.empty}
        if parameter.default is not parameter.empty and defaults.get(parameter.name):
            change["default"] = _Text(defaults[parameter.name])
        parameters.append(parameter.replace(**change))
    if what == "method" and inspect.isfunction(thing) and parameters and parameters[0].name == "self":
        del parameters[0]
    text = stringify_signature(found.replace(parameters=parameters, return_annotation=found.empty))
    return text, _plain(result) if result else None


def link_type(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement) -> nodes.Node | None:
    """Link a bare name to the one public thing that has it; what is not ours stays plain text, without a warning."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removeprefix("~")
    objects = env.domains.python_domain.objects
    types = ("class", "exception", "data", "function") if node["reftype"] == "class" else None
    ends = [name for name, entry in objects.items() if not entry.aliased and name.endswith(f".{target}")
            and (types is None or entry.objtype in types)]
    in_module = [name for name in ends if name == f"{node.get('py:module')}.{target}"]
    in_class = [name for name in ends if name == f"{node.get('py:module')}.{node.get('py:class')}.{target}"]
    for found in (in_class, in_module, ends):
        if len(found) == 1:
            entry = objects[found[0]]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, found[0])
    written_in_full = re.fullmatch(r"phasejax(\.[A-Za-z]\w*)+", target)
    if node.get("quiet"):
        return shown
    return None if written_in_full or node["reftype"] not in ("obj", "class", "exc") else shown


def search_exactly(app: Sphinx, doctree: nodes.document) -> None:
    """Types are looked up by `link_type`, not by whatever ends in their name, as Sphinx would."""
    for node in doctree.findall(pending_xref):
        if node.get("refdomain") == "py" and node.get("refspecific") is False:
            del node["refspecific"]


def skip_member(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from other libraries, such as the parameters of scikit-learn's estimators."""
    if isinstance(thing, property):
        thing = thing.fget
    elif isinstance(thing, functools.cached_property):
        thing = thing.func
    module = getattr(inspect.unwrap(thing) if callable(thing) else thing, "__module__", None)
    return True if what == "class" and module is not None and not str(module).startswith("phasejax") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("doctree-read", search_exactly)
    app.connect("missing-reference", link_type)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
