"""The pages are complete and true: every public name is on the page of functions and in the reference, and every file
that a page names exists."""

import importlib
import re
from types import ModuleType

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "functions.md").read_text()
SECTIONS = dict(re.findall(r"^## (phasejax[\w.]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PACKAGES = ["phasejax", *(f"phasejax.{path.parent.relative_to(ROOT / 'phasejax').as_posix().replace('/', '.')}"
                          for path in sorted((ROOT / "phasejax").rglob("*/__init__.pyi")))]


def rows(section):
    """(names, test file) of each row of a table."""
    for row in re.findall(r"^\| `.*$", section, re.MULTILINE):
        names, _, test = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
        yield re.findall(r"`(\w+)`", names), test.strip("`")


def test_every_package_has_its_section():
    assert sorted(SECTIONS) == sorted(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_section_has_the_public_names_and_no_others(package):
    listed = [name for names, _ in rows(SECTIONS[package]) for name in names]
    assert len(set(listed)) == len(listed)
    assert sorted(listed) == sorted(set(importlib.import_module(package).__all__) - {"__version__"})


@pytest.mark.parametrize("package", PACKAGES)
def test_every_row_names_a_test_that_mentions_its_names(package):
    for names, test in rows(SECTIONS[package]):
        text = (ROOT / test).read_text()
        assert any(re.search(rf"\b{name}\b", text) for name in names), (names, test)


MODULES = sorted({thing.__name__ for package in PACKAGES for name in importlib.import_module(package).__all__
                  if isinstance(thing := getattr(importlib.import_module(package), name), ModuleType)})
PAGES = [*sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
         *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG"))]


def test_every_package_and_public_module_has_its_page_in_the_reference():
    pages = {path.stem: path.read_text() for path in (ROOT / "docs" / "api").glob("*.md")}
    index = pages.pop("index")
    assert "{public-names} phasejax\n" in index
    assert sorted(pages) == [name.removeprefix("phasejax.") for name in MODULES]
    for name, page in pages.items():
        assert f"\n```{{public-names}} phasejax.{name}\n" in page
        assert re.search(rf"^{re.escape(name)}$", index, re.MULTILINE), name  # in the tree of contents


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_a_page_names_exists(page):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) if not re.match(r"[a-z]+:", link)]
    assert not [link for link in links if not (page.parent / link).exists()]
    named = re.findall(r"`((?:docs|tests|phasejax|benchmarks|paper_figs)/[\w./-]+)`", text)
    assert not [name for name in named if not (ROOT / name).exists()]
