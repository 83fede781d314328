"""The dialect of a text table, decided from the file alone: encoding, comments, separator and decimal sign.

pandas parses the fields. What is decided here is what `pandas.read_csv` must be told, and what it would pass over in
silence: rows with too few fields, text in another encoding, a line break inside quotation marks, decimal commas.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phasejax.io._table import first_line
from phasejax.io._text_content import read_text

# Texts that stand for a missing number. A column of text keeps those that may well be classes, see `_text_table`.
MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NAN",
    "null",
    "NULL",
    "Null",
    "None",
    "<NA>",
    "#N/A",
    "#DIV/0!",
    "#VALUE!",
    "#REF!",
    "#NAME?",
    "#NUM!",
    "#NULL!",
    "-",
    "--",
)
# In the order in which they are tried.
_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars", " ": "spaces"}
_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|Inf|INF|infinity|Infinity)")
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_PAIR = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*")  # one number with a decimal comma, or two whole numbers
# A line that begins with # is a comment, unless this is how a spreadsheet writes that a value is missing.
_COMMENT = re.compile(r"\s*#(?!(N/A|DIV/0!|VALUE!|REF!|NAME\?|NUM!|NULL!|SPILL!|CALC!)\s*([,;\t]|$))", re.IGNORECASE)
_SAMPLE = 200  # lines from which the separator is chosen; all lines are then held to it


@dataclass(frozen=True, eq=False)
class TextRows:
    """The lines of a text table that hold fields, and how to split them.

    Args:
        name: what errors call the file.
        lines: the lines, without comments and without empty lines between rows of several fields.
        places: number of each line in the file, the first being 1.
        separator: one of the keys of `_SEPARATORS`; a space stands for runs of spaces and tabs.
        decimal: "." or ",".
        fields: fields of every line but perhaps the first, which may have one less (names of columns, from R).
        first: fields of the first line.
        comment: the comment right above the first line, without its sign; None where there is none.
        skipped: comments below it that have as many fields as a row.
    """

    name: str
    lines: list[str]
    places: list[int]
    separator: str
    decimal: str
    fields: int
    first: list[str]
    comment: str | None
    skipped: int = 0

    @property
    def separator_name(self) -> str:
        """The separator in words."""
        return _SEPARATORS[self.separator]

    def parsed(self, start: int, stop: int | None = None, columns: list[int] | None = None, *, text: bool = False):
        """The rows from `start` up to but not including `stop` as pandas reads them: as text, or as numbers."""
        import pandas as pd

        if text:
            how: dict[str, Any] = {"dtype": str, "na_filter": False}
        else:
            how = {"na_values": MISSING, "keep_default_na": False, "decimal": self.decimal}
        separator = r"\s+" if self.separator == " " else self.separator
        how |= {"usecols": columns}
        if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):  # later versions always read to the last digit
            how |= {"float_precision": "round_trip"}
        try:
            # The parser must not guess the header, an index or comments.
            return pd.read_csv(
                io.StringIO("\n".join(self.lines[start:stop]) + "\n"),
                sep=separator,
                header=None,
                names=range(self.fields),
                index_col=False,
                skipinitialspace=True,
                skip_blank_lines=False,
                low_memory=False,
                **how,
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise ValueError(f"{self.name}: expected a table, got {first_line(error)}") from None


def read_rows(file: Path, name: str) -> TextRows:
    """The lines of a text table, and the dialect in which they are written.

    Raises:
        ValueError: the file cannot be read, has another encoding, or its lines have different numbers of fields.
    """
    everything = read_text(file, name).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    numbered = [(place, line) for place, line in enumerate(everything, 1)]
    declared = None
    if match := re.fullmatch(r'"?sep=(.)"?', everything[0].strip()):  # written for Excel
        declared, numbered = match[1], numbered[1:]
        if declared not in _SEPARATORS:
            raise ValueError(
                f"{name}: expected a separator among {', '.join(_SEPARATORS.values())}, got sep={declared}"
            )
    kept = [(place, line) for place, line in numbered if not _COMMENT.match(line)]
    while kept and not kept[-1][1].strip(" \t,;"):  # empty lines, which spreadsheets fill with separators
        kept.pop()
    while kept and not kept[0][1].strip(" "):
        kept.pop(0)
    if not kept:
        raise ValueError(f"{name}: expected rows, got {'only comments' if _has_text(numbered) else 'an empty file'}")
    comments = [(place, line) for place, line in numbered if _COMMENT.match(line)]
    above = [line for place, line in comments if place < kept[0][0]]
    filled = [(place, line) for place, line in kept if line.strip(" ")]
    lines = [line for _, line in filled]
    separator = declared or _separator(lines[:_SAMPLE])
    indented = lines[0][:1].isspace()
    if separator == " ":
        filled = [(place, line.strip()) for place, line in filled if line.strip()]
        lines = [line for _, line in filled]
    first, fields = _check_fields(lines, [place for place, _ in filled], separator, name)
    if separator == " " and indented and len(first) == fields - 1:  # as pandas writes names beside an unnamed index
        filled[0], first = (filled[0][0], f'"" {lines[0]}'), ["", *first]
    if fields == 1:  # an empty line among single values is a missing value
        filled = kept
        if inside := [place for place, _ in comments if place > kept[0][0]]:
            raise ValueError(
                f"{name}: expected comments above the values only, got # in line {inside[0]}, which may "
                "be a value; put it in quotation marks or delete it"
            )
    lines, places = [line for _, line in filled], [place for place, _ in filled]
    if fields == 2 and separator == ",":
        fields, first, separator = _one_or_two(lines, places, fields, first, name)
    comment = above[-1].lstrip().lstrip("#").strip() if above else None
    skipped = sum(_has_fields(line, separator, fields) for place, line in comments if place > kept[0][0])
    rows = TextRows(name, lines, places, separator, ".", fields, first, comment, skipped)
    return replace(rows, decimal=_decimal(rows))


def split_line(line: str, separator: str) -> list[str]:
    """The fields of one line."""
    return next(_records([line], separator), [""]) or [""]


def _has_fields(line, separator, fields):
    """Whether a comment has as many fields as a row, and may be one that somebody put out of use."""
    try:
        return fields > 1 and len(split_line(line.lstrip().lstrip("#"), separator)) == fields
    except csv.Error:
        return False


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a field holds a number."""
    text = text.strip()
    return bool(_POINT.fullmatch(text) or (decimal == "," and _COMMA.fullmatch(text)))


def to_number(text: str, decimal: str = ".") -> float:
    """The number in a field; NaN where it is missing."""
    return float(text.strip().replace(decimal, ".")) if is_number(text, decimal) else np.nan


def _has_text(numbered):
    return any(line.strip() for _, line in numbered)


def _records(lines, separator):
    if separator == " ":
        lines = (line.replace("\t", " ").strip() for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def _separator(lines):
    """The separator by which lines have equally many fields, most of them numbers; a comma if there is none."""
    best, highest = None, -1.0
    for separator in _SEPARATORS:
        try:
            records = list(_records(lines, separator))
        except csv.Error:
            continue
        counts = Counter(map(len, records[1:] or records))
        fields, often = counts.most_common(1)[0]
        if fields < 2 or often < 0.8 * sum(counts.values()):
            continue
        body = [record for record in records[1:] or records if len(record) == fields]
        of_quotes = separator == " " and any('"' in line for line in lines)
        if separator in " |" and not (of_quotes or _is_spaced_table(body)):
            continue
        score = np.mean([_is_value(field, separator) for record in body for field in record])
        if often < sum(counts.values()):
            score -= 0.5  # another separator that splits all lines alike is likelier
        if score > highest:
            best, highest = separator, score
    return best or ","


def _is_value(field, separator):
    number = field.strip().removesuffix("%")  # refused later, but no reason to take another separator
    return number in MISSING or is_number(number, "," if separator != "," else ".")


def _is_spaced_table(body):
    """Whether fields between spaces or bars are a table's, and not words: numbers, but for one column of names."""
    columns = list(zip(*body, strict=True))
    numeric = [all(_is_value(field, " ") for field in column) for column in columns]
    words = [column for column, is_numeric in zip(columns, numeric, strict=True) if not is_numeric]
    if not words:
        return True
    one_of_names = len(words) == 1 and len(set(words[0])) == len(words[0]) > 1
    return (sum(numeric) >= 1 and one_of_names) or sum(numeric) >= 2


def _check_fields(lines, places, separator, name):
    """Fields of the first line, and the number of fields of the others, which must be the same in all of them."""
    records = _records(lines, separator)
    counts = np.zeros(len(lines), int)
    first = []
    try:
        for row, record in enumerate(records):
            if records.line_num != row + 1:
                raise ValueError(
                    f"{name}: expected one row a line, got a line break inside quotation marks in line {places[row]}"
                )
            counts[row] = max(len(record), 1)
            first = first or record or [""]
    except csv.Error as error:
        line = places[min(records.line_num, len(places)) - 1]
        raise ValueError(f"{name}: expected a table, got {first_line(error)} in line {line}") from None
    fields = Counter(counts[1:].tolist() or [int(counts[0])]).most_common(1)[0][0]
    wrong = np.flatnonzero(counts != fields)
    if wrong.size and wrong[0] == 0 and counts[0] == fields - 1:
        wrong = wrong[1:]
    if wrong.size:
        row = wrong[0]
        hint = (
            ", or decimal commas; separate columns by semicolons" if fields == 2 * counts[0] == 2 * counts[row] else ""
        )
        raise ValueError(
            f"{name}: expected a table of {fields} fields a line (separated by {_SEPARATORS[separator]}), "
            f"got {counts[row]} in line {places[row]}{hint}"
        )
    return first, int(fields)


def _one_or_two(lines, places, fields, first, name):
    """Whether lines such as "5478,9" are two columns, or one column of numbers with decimal commas."""
    titled = not _PAIR.fullmatch(lines[0])
    body = lines[titled:]
    if not body or not all(_PAIR.fullmatch(line) for line in body) or (titled and len(first) == 2):
        return fields, first, ","
    parts = [line.strip().split(",") for line in body]
    # A whole number is not written as 05; and values that never repeat might be names of rows, as R writes them.
    of_decimals = any(
        (len(after) > 1 and after[0] == "0") or re.fullmatch(r"\d{4,}[eE].*", after) for _, after in parts
    )
    if (of_decimals or (titled and len({before for before, _ in parts}) < len(parts))) and not is_number(lines[0]):
        return 1, split_line(lines[0], ";"), ";"
    raise ValueError(
        f"{name}: expected columns that can be told apart, got {body[0].strip()} in line {places[titled]}, "
        "two numbers or one with a decimal comma; give each column a name in the first line, or separate "
        "columns by semicolons"
    )


def _decimal(rows):
    """The decimal sign: a comma if all numbers with decimals have one.

    Raises:
        ValueError: both signs occur, or commas may as well group thousands.
    """
    if not any("," in line for line in rows.lines) or (rows.separator == "," and not any('"' in s for s in rows.lines)):
        return "."
    table = rows.parsed(1 if len(rows.lines) > 1 else 0, text=True)
    commas, _points, comma_place = [], False, 0
    for column in table:
        texts = table[column].str.strip()
        found = texts[texts.str.fullmatch(_COMMA.pattern)]
        # Text with a comma, among other text, is text; and so is a comma in quotation marks among decimal points.
        if len(found):
            others = texts[~texts.isin(MISSING) & ~texts.str.fullmatch(_COMMA.pattern)]
            if len(others) and not others.str.fullmatch(_POINT.pattern).all():
                continue
            commas += found.tolist()
            comma_place = comma_place or rows.places[int(found.index[0]) + (len(rows.lines) > 1)]
    if not commas:
        return "."
    for column in table:
        texts = table[column].str.strip()
        found = texts[texts.str.fullmatch(_POINT.pattern) & texts.str.contains(".", regex=False)]
        if len(found):
            place = rows.places[int(found.index[0]) + (len(rows.lines) > 1)]
            raise ValueError(
                f"{rows.name}: expected one decimal sign, got {commas[0]} in line {comma_place} and "
                f"{found.iloc[0]} in line {place}"
            )
    if all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text) for text in commas):
        raise ValueError(
            f"{rows.name}: expected numbers, got {commas[0]} in line {comma_place}, with a decimal comma or "
            "a comma between thousands; write it with a point, or without the comma"
        )
    return ","
