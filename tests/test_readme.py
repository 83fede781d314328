"""The code of the README and of the pages in docs/ runs, and what they say about themselves is true."""

import ast
import importlib
import os
import re
import subprocess
import sys

import pytest

from tests.support import ROOT

README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
# Those of which a test runs the blocks marked "python"; blocks marked "py" take minutes.
RUN = [name for name, text in PAGES.items() if "```python\n" in text]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(code, *options, **settings):
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=120,
                          check=False, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_is_short_runs_and_prints_what_stands_below_it():
    (example,) = blocks(README, "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    printed = " ".join(run(example, "-W", "error").split())
    for line in blocks(README, "")[0].splitlines():
        assert " ".join(line.replace("...", "").split()).rstrip(",") in printed, line


def test_the_readme_is_one_screen_until_install():
    before, after = README.split("## Install")
    assert len(before.splitlines()) <= 45
    assert len(after.splitlines()) <= 50


@pytest.mark.slow
def test_the_examples_of_the_pages_run(tmp_path):
    """All in one process, in an empty folder, with fewer shuffles and folds than a reader would take."""
    code = ["import os"]
    for number, name in enumerate(RUN):
        page = "".join(blocks(PAGES[name], "python"))
        for long, short in (("=999", "=19"), ("[4, 8, 16]", "[8, 16]"), ("]})", "]}, cv=2)")):
            page = page.replace(long, short)
        code.append(f"os.makedirs('{number}'); os.chdir('{number}')\nprint('#{name}')\nexec({page!r}, {{}})\n"
                    "os.chdir('..')\nimport jax; jax.config.update('jax_enable_x64', False)")
    printed = run("\n".join(code), cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    of_page = dict(part.split("\n", 1) for part in printed.split("#")[1:])
    assert list(of_page) == RUN
    claimed = float(re.findall(r"best_score_\)  # (0\.\d+)", PAGES["estimators.md"])[0])
    assert float(of_page["estimators.md"]) == pytest.approx(claimed, abs=0.03)
    assert of_page["plan.md"].strip() == re.findall(r"needed.labels\)  # (.*)", PAGES["plan.md"])[0]


def test_commands_pictures_and_pages_exist():
    assert [command for command in SHELL if "paper_figs" in command and "pip install" in command]
    assert [command for command in SHELL if "pytest" in command and "pip install" in command]
    for name, text in (PAGES | {"README.md": README}).items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for place in re.findall(r"\[[^]`]*\]\(((?!http)[^)#\s]+)\)", text):
            assert (folder / place).is_file(), (name, place)


@pytest.mark.parametrize("name", ["README.md", *PAGES])
def test_names_in_the_packages_exist(name):
    """`phasejax.PACKAGE.NAME`, and what the examples import, are there."""
    text = (PAGES | {"README.md": README})[name]
    for package, public in re.findall(r"`phasejax\.(\w+)\.(\w+)", text):
        assert hasattr(importlib.import_module(f"phasejax.{package}"), public), public
    for code in blocks(text, "py") + blocks(text, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("phasejax"):
                for alias in node.names:
                    assert hasattr(importlib.import_module(node.module), alias.name), alias.name
