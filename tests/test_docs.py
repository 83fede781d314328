"""The page of functions is complete and true: every public name is on it, and every name on it exists."""

import importlib
import re

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
