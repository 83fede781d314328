"""What a notebook shows of a result: the answer in one line, a small table, and what else to know.

A class that derives from `Shown` says what is to be seen in `_overview`; the one template `overview.html.jinja` lays it
out. Texts are escaped, colours are those of the notebook's theme, and nothing is loaded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

# Rows of a table, and warnings, that are seen without unfolding the rest: a screen in all.
SHOWN_ROWS, _SHOWN_WARNINGS = 13, 2
# Letters of a text from a file, such as the name of a class, and of a sentence.
_SHORT, _LONG = 60, 600


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What is to be seen of a result.

    Args:
        kind: what it is, in a word or two.
        answer: in one line.
        columns: heads of the table; the first column names the rows.
        rows: cells of the table as text, the most important rows first.
        best: numbers of the rows that stand out.
        facts: more lines, each with what it is about.
        note: a line below all: how many rows of data, and the like.
        warnings: what limits the answer, one sentence each.
    """

    kind: str
    answer: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    best: frozenset[int] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    warnings: Sequence[str] = ()

    def html(self) -> str:
        """The overview as HTML that stands alone."""
        rows = [([clipped(cell) for cell in cells], place in self.best) for place, cells in enumerate(self.rows)]
        return _template().render(
            kind=self.kind, answer=clipped(self.answer, _LONG), columns=[clipped(one) for one in self.columns],
            rows=rows[:SHOWN_ROWS],
            more_rows=rows[SHOWN_ROWS:], facts={name: clipped(text, _LONG) for name, text in self.facts.items()},
            note=clipped(self.note, _LONG), warnings=[clipped(one, _LONG) for one in self.warnings[:_SHOWN_WARNINGS]],
            more_warnings=[clipped(one, _LONG) for one in self.warnings[_SHOWN_WARNINGS:]])


class Shown:
    """A result or model that a notebook shows as an overview."""

    def _overview(self) -> Overview:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._overview().html()


def clipped(text: str, most: int = _SHORT) -> str:
    """Text on one line with its middle left out where it is long, and arrows as arrows."""
    from phasejax._core.terminal import one_line

    return one_line(text, most).replace("->", "→")


@cache
def _template() -> "jinja2.Template":
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    return environment.from_string((files("phasejax._core") / "overview.html.jinja").read_text("utf-8"))
