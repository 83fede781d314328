"""The start pages and the guides: their code parses, what they import and type exists, and each guide says what can go
wrong. Whether the cells run, the build of the site shows."""

import ast
import importlib
import re
import tomllib

import pytest

from phasejax.cli._main import COMMANDS, main
from tests.support import ROOT

DOCS = ROOT / "docs"
GUIDES = sorted((DOCS / "guides").glob("*.md"))
NOTEBOOKS = [path for path in (*sorted((DOCS / "start").glob("*.md")), *GUIDES) if "{code-cell}" in path.read_text()]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text()
         for path in (*sorted(DOCS.rglob("*.md")), ROOT / "README.md") if "_build" not in path.parts}


def cells(text):
    """Source of each cell, without its options."""
    found = re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"\A(:[^\n]*\n)+", "", cell) for cell in found]


def python_of(text):
    """The Python of all cells and of blocks that are only shown, without magics."""
    run = [cell for cell in cells(text) if not cell.startswith("%%")]
    shown = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"^%.*$", "", code, flags=re.MULTILINE) for code in run + shown]


def commands(text):
    """(subcommand, its options) of every `phasejax ...` in cells, blocks of shell and running text."""
    shell = [cell for cell in cells(text) if cell.startswith("%%sh")] + re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in shell for line in block.replace("\\\n", " ").splitlines()]
    lines += [" ".join(inline.split()) for inline in re.findall(r"`(phasejax [^`]+)`", text)]
    for line in lines:
        for said in re.findall(r"(?:\A\s*|[;&(]\s*|srun \S+ )phasejax ([^\s|;&>][^|;&>#`]*)", line):
            name, *rest = said.split()
            yield name, {word.split("=")[0] for word in rest if word.startswith("--")}


def options_of(command, capsys):
    """The options of a subcommand, as its help has them."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", capsys.readouterr().out))


def test_every_command_of_the_pages_exists_with_its_options(capsys):
    given = {}
    for page, text in TEXTS.items():
        for command, options in commands(text):
            if not command.startswith(("-", "...")) and not command.isupper():
                assert command in COMMANDS, (page, command)
                for option in options:
                    given.setdefault(command, {})[option] = page
    assert {"inspect", "diagnose", "monitor", "plan", "sweep", "heads", "instruments"} <= set(given)
    for command, pages in given.items():
        known = options_of(command, capsys)
        assert not {option: page for option, page in pages.items() if option not in known}, command


def test_commands_are_found():
    text = ("```{code-cell}\n%%sh\nphasejax diagnose a b \\\n  --labels c > d; phasejax plan --k 2\n```\n"
            "`phasejax sweep\n--list`")
    assert list(commands(text)) == [("diagnose", {"--labels"}), ("plan", {"--k"}), ("sweep", {"--list"})]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_says_what_the_reader_has_and_ends_with_what_can_go_wrong(path):
    text = path.read_text()
    assert "**At the start**" in text
    assert "**At the end**" in text
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert sections[-1].startswith("What can go wrong\n")
    assert len(re.findall(r"^\*\*[A-Z].*?\*\*", sections[-1], re.MULTILINE)) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_parse_and_import_what_exists(path):
    text = path.read_text()
    assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  display_name: Python 3\n")
    for code in python_of(text):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("phasejax"):
                for alias in node.names:
                    assert hasattr(importlib.import_module(node.module), alias.name), alias.name
    for module, name in re.findall(r"\b(?:pj|phasejax)\.([a-z]\w+)\.(\w+)\b", text):
        assert hasattr(getattr(importlib.import_module("phasejax"), module), name), (module, name)
    for name in re.findall(r"\bpj\.(\w+)", text):
        assert hasattr(importlib.import_module("phasejax"), name), name


def test_the_page_of_installation_names_every_extra():
    named = set(re.findall(r"\.\[(\w+)\]|^\| `(\w+)`", TEXTS["docs/start/install.md"], re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"".join(pair) for pair in named} == set(extras) - {"dev", "docs", "release"}


def test_every_guide_is_here():
    names = ["astronomy", "cluster-gpu", "image-caption", "practitioner", "single-cell", "theory"]
    assert [path.stem for path in GUIDES] == names
    assert len(NOTEBOOKS) == len(names) + 1
