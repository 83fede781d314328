"""The columns of a text table: their names, where the first line or a comment has them, and each as text."""

import csv
import re
from dataclasses import dataclass

import numpy as np

from phasejax._core.validation import shown
from phasejax.io._text_dialect import TextRows, is_number, split_line
from phasejax.io._text_header import find_header, is_id_name

_SAMPLE = 100_000  # fields that the search for a header looks at, but at least 50 rows
# Percent, currency, and the exponents of Fortran.
_OTHER_NOTATION = re.compile(r"[-+]?[$€£¥]?\s*[-+]?\d[\d.,]*\s*(%|[$€£¥]|[dD][-+]?\d+)|[-+]?[$€£¥]\s*\d[\d.,]*")


@dataclass(frozen=True, eq=False)
class TitledRows:
    """Rows of fields, and the names of their columns.

    Args:
        rows: the lines.
        names: names of the columns; None where they have none.
        start: the first line of data.
        fields: number of columns, without an empty one at the end.
        unnamed_index: whether the first column, and only it, has no name.
    """

    rows: TextRows
    names: list[str] | None
    start: int
    fields: int
    unnamed_index: bool

    @property
    def name(self) -> str:
        """What errors call the file."""
        return self.rows.name

    def __len__(self) -> int:
        return len(self.rows.lines) - self.start

    def line(self, row: int) -> int:
        """Number of the line in the file that holds a row."""
        return self.rows.places[self.start + int(row)]

    def label(self, place: int) -> str:
        """What notes and errors call a column."""
        return str(place) if self.names is None else self.names[place] or f"{place} (without name)"

    def place(self, wanted: str) -> int:
        """Place of the column that was asked for."""
        if self.names is None:
            if wanted.isdigit() and int(wanted) < self.fields:
                return int(wanted)
            raise ValueError(
                f"{self.name}: expected one of its columns 0 to {self.fields - 1}, which have no names, got {wanted}"
            )
        found = [place for place, name in enumerate(self.names) if name == wanted]
        if len(found) != 1:
            shown = ", ".join(self.names[:12]) + (f" and {len(self.names) - 12} more" if len(self.names) > 12 else "")
            got = f"{wanted}, which it has {len(found)} times" if found else wanted
            raise ValueError(f"{self.name}: expected one of its columns {shown}, got {got}")
        return found[0]

    def text(self, place: int) -> np.ndarray:
        """One column as text, without blanks around it."""
        parsed = self.rows.parsed(self.start, None, [place], text=True)
        return parsed[place].str.strip().to_numpy(object)


def title_columns(rows: TextRows, asked: tuple[str, ...]) -> TitledRows:
    """The table with the names of its columns told from its data.

    Raises:
        ValueError: the first line may be either, or there is no data.
    """
    lines, fields, first = len(rows.lines), rows.fields, [text.strip() for text in rows.first]
    size = max(50, _SAMPLE // fields)
    sample = rows.parsed(1, size + 1, text=True) if lines > 1 else None
    short = len(first) < fields
    while (
        fields > 1
        and sample is not None
        and (short or first[-1] == "")
        and not rows.parsed(1, None, [fields - 1], text=True)[fields - 1].str.strip().any()
    ):
        fields, first = fields - 1, first[: fields - 1]  # all lines end with a separator
        short = False
    if short:
        first = ["", *first]  # without a name for the index
    short = short and first[0] == ""
    texts = (
        np.empty((0, fields), object)
        if sample is None
        else np.stack([sample[place].str.strip().to_numpy(object) for place in range(fields)], axis=1)
    )
    header = find_header(first, texts, rows.decimal, asked)
    numbers = [is_number(text, rows.decimal) for text in first[1:]]
    if short and any(numbers):  # either a row that lacks a field, or numbers that are names without any doubt
        header = all(numbers) and find_header(first[1:], texts[:, 1:], rows.decimal, asked) is True
    if short and header is not True:
        raise ValueError(
            f"{rows.name}: expected a table of {fields} fields a line, got {fields - 1} in line {rows.places[0]}"
        )
    if isinstance(header, str):
        if (odd := next((text for text in texts.ravel() if _OTHER_NOTATION.fullmatch(text)), None)) is not None:
            raise ValueError(
                f"{rows.name}: expected plain numbers such as 0.5 or 1e-3, got {shown(odd)}; write them without signs "
                "of percent or currency, and exponents with e"
            )
        raise ValueError(
            f"{rows.name}: expected a first line of names or of data, got one that may be either in line "
            f"{rows.places[0]}: {header}; write names with letters above the columns"
        )
    if header:
        if lines == 1:
            raise ValueError(f"{rows.name}: expected rows, got only a header")
        return TitledRows(rows, first, 1, fields, fields > 1 and _is_unnamed(first[0]))
    if sample is None and not any(is_number(text, rows.decimal) for text in first):
        raise ValueError(f"{rows.name}: expected rows, got only a line of text, which may be a header")
    names = _names_in_comment(rows, fields)
    return TitledRows(rows, names, 0, fields, False)


def _is_unnamed(name):
    return name == "" or re.fullmatch(r"Unnamed: 0(\.\d+)?", name) is not None


def _names_in_comment(rows, fields):
    """Names in the comment right above the data, as numpy.savetxt writes them, if there are as many as columns."""
    if not rows.comment:
        return None
    try:
        names = [name.strip() for name in split_line(rows.comment, rows.separator)]
    except csv.Error:  # a comment with an open quotation mark is no header
        return None
    if len(names) != fields or len(set(names)) < fields or any(is_number(name, rows.decimal) for name in names):
        return None
    return names if fields > 1 or is_id_name(names[0]) or re.fullmatch(r"\w+", names[0]) else None
