"""Checks of the finished site: every public name, every link, and nothing from the network."""

import importlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from public_names import names_in
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

logger = logging.getLogger(__name__)
PACKAGE = Path(__file__).resolve().parents[2] / "phasejax"


class Links(HTMLParser):
    """The links, loaded files and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to."""
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(given["id"] or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        for name in ("src", "href") if tag in ("link", "script", "img", "iframe", "source") else ():
            if given.get(name):
                self.loaded.append(given[name] or "")


def problems_of(folder: Path) -> list[str]:
    """Links that lead nowhere and files that come from elsewhere."""
    pages: dict[Path, Links] = {}
    for path in folder.rglob("*.html"):
        if path.parent.name != "_static":
            pages[path] = Links()
            pages[path].feed(path.read_text(encoding="utf-8"))
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder)
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    found.append(f"{name}: loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{name}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} names no anchor")
    return sorted(set(found))


def check(app: Sphinx, exception: Exception | None) -> None:
    """Fail the build where a public name is missing or a link is dead."""
    if exception is not None or app.builder.format != "html":
        return
    known = set(app.env.domains.python_domain.objects)
    public = ["phasejax", *(".".join(("phasejax", *path.parent.relative_to(PACKAGE).parts))
                            for path in sorted(PACKAGE.rglob("*/__init__.pyi")))]
    names = [f"{package}.{name}" for package in public for name in names_in(importlib.import_module(package))]
    problems = [f"{name}: has no entry in the reference" for name in names if name not in known]
    problems += problems_of(Path(app.outdir))
    if problems:
        raise ExtensionError("the site is not complete:\n" + "\n".join(problems))
    logger.info("%d public names have an entry; all links lead somewhere", len(names))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("build-finished", check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
