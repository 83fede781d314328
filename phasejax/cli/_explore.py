"""The command `phasejax explore`: the phase diagram as a page to play with, and where your data lie in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from phasejax._core.atomic_files import check_outputs, written_whole
from phasejax._core.terminal import printable
from phasejax.cli._files import check_ending, say_written

_PAGES = (".html",)


@dataclass(frozen=True)
class Explore:
    """Open the phase diagram in a browser: sliders for every parameter, ratios, spectra, and your data.

    The page is one file that loads nothing and sends nothing. With a result of phasejax diagnose --json it shows where
    the spiked model that describes the data lies; such a file can be dropped on the page as well.
    """

    result: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="RESULT.json")] = None
    """What phasejax diagnose --json wrote; may be left out."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the page to this file (.html) instead of a temporary one."""
    browser: bool = True
    """Open the page in the browser."""

    def run(self) -> int:
        """Write the page and open it."""
        import tempfile
        import webbrowser

        check_ending("--out", self.out, _PAGES)
        check_outputs((self.out,), (self.result,))
        if self.out is None and not self.browser:
            raise ValueError("--out: expected a file to write the page to, since it is not opened, got none")
        page = self._page()
        # Not deleted here: the browser reads it after this process has ended.
        path = Path(tempfile.mkdtemp(prefix="phasejax-")) / "explorer.html" if self.out is None else self.out
        with written_whole(path) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
        say_written(path)
        if self.browser and not webbrowser.open(path.resolve().as_uri()):
            print(f"no browser could be started: open {printable(str(path.resolve()))} in one")
        return 0

    def _page(self) -> str:
        from phasejax.explorer._page import explorer_page

        if self.result is None:
            return explorer_page(None, "")

        from phasejax.diagnosis._saved import from_file

        name = printable(Path(self.result).name)
        return from_file(self.result, lambda saved: explorer_page(saved, name))
