"""The column of a text table that identifies its rows: which it is, and its values.

It has no name, as the index of a DataFrame, or the name of an identifier; its values are whole numbers or text, and
none occurs twice.
"""

import re
from collections.abc import Collection, Sequence

import numpy as np

from phasejax.io._table import EXACT
from phasejax.io._text_columns import TitledRows
from phasejax.io._text_dialect import MISSING, is_number
from phasejax.io._text_header import is_id_name

# Texts that stand for a missing label. "None", "-" and "--" may be classes.
MISSING_LABELS = tuple(text for text in MISSING if text not in ("None", "-", "--"))
# Whole numbers as software writes them when they are round: 1e+05. With a larger exponent spreadsheets round them, and
# without the sign they may be names, as that of the fifth well of a plate.
_ROUND = re.compile(r"(\d)(?:\.(\d*))?[eE]\+0(\d)")
_LOOKS_ROUND = re.compile(r"\d+[eE]\d+")


def find_identifiers(table: TitledRows, given: int | None, asked: int | None, left_out: Collection[int] = ()
                     ) -> tuple[int | None, list[int]]:
    """Place of the column of identifiers, and of others that hold identifiers too.

    Args:
        table: the rows.
        given: place of the column that the user gave as that of identifiers.
        asked: place of the only column that is wanted, beside which nothing is refused.
        left_out: places of columns that are no features and no identifiers.

    Raises:
        ValueError: a column that must hold identifiers has repeated or missing values.
    """
    names = table.names
    if given is not None:
        as_ids(table, given)
    if names is None:
        return (given if given is not None else _unnamed_identifiers(table, asked)), []
    if table.fields == 1:
        return given, []
    found, repeats = [], []
    for place, name in enumerate(names):
        surely = is_id_name(name, surely=True)
        if place in (given, asked, *left_out) or not (is_id_name(name) or (place == 0 and table.unnamed_index)):
            continue
        texts = table.text(place)
        kind = kind_of_ids(texts, surely=surely)
        if surely and asked is None and kind is None and kind_of_ids([t for t in texts if t not in MISSING]):
            row = next(row for row, text in enumerate(texts) if text in MISSING)
            raise ValueError(
                f"{table.name}: expected an identifier in every row of column {table.label(place)}, got none "
                f"in line {table.line(row)}"
            )
        repeated = kind is not None and len(set(texts)) < len(texts)
        if place == 0 and table.unnamed_index and (kind is None or repeated) and asked is None and given is None:
            got = "numbers with decimals, or missing values" if kind is None else "repeated ones"
            raise ValueError(
                f"{table.name}: expected identifiers in the first column, which has no name, got {got}; "
                "name it, or save the table without its index"
            )
        if kind is not None and not repeated:
            found.append(place)
        elif asked is not None and (surely or (place == 0 and table.unnamed_index)) and (
                kind is not None or kind_of_ids([text for text in texts if text not in MISSING], surely=surely)):
            repeats.append(place)
        elif surely and kind is not None:
            row = _first_repeated(texts)
            raise ValueError(
                f"{table.name}: expected an identifier of each row in column {name}, got {texts[row]} again "
                f"in line {table.line(row)}; leave the column out, or give it as groups"
            )
    if asked is not None and given is None:
        found = [place for place in found if place != asked]
        if not found and asked is not None and is_id_name(names[asked]):
            return None, []
    if given is not None:
        return given, [place for place in found if place != given]
    if not found:  # repeated identifiers are refused where rows are matched by them
        return (repeats[0] if repeats else None), []
    best = min(
        found,
        key=lambda place: (
            _counts_rows(table, place),
            not is_id_name(names[place], surely=True),
            place,
        ),
    )
    return best, [place for place in found if place != best]


def _unnamed_identifiers(table, asked):
    """Place of the column of identifiers where no column has a name: the first, if it is text that never repeats."""
    if table.fields == 1 or len(table) < 2 or asked == 0:
        return None
    texts = table.text(0)
    kind = kind_of_ids(texts)
    if kind == "text" and len(set(texts)) == len(texts):
        return 0
    if kind == "whole" and len(table) >= 3 and _counts_rows(table, 0) and asked is None:
        raise ValueError(
            f"{table.name}: expected data, got a first column that counts the rows ({texts[0]}, {texts[1]}, "
            f"{texts[2]}, ...); name the columns in the first line, this one id if it identifies the rows"
        )
    return None


def _counts_rows(table, place):
    texts = table.text(place)
    return texts[0] in ("0", "1") and all(text == str(int(texts[0]) + row) for row, text in enumerate(texts))


def kind_of_ids(texts: Sequence[str] | np.ndarray, *, surely: bool = False) -> str | None:
    """Whether texts are whole numbers or text, as identifiers are; None if neither.

    Args:
        texts: the values of a column.
        surely: whether its name is that of an identifier; then text may look like numbers, as 1e5 and 2f7 do.
    """
    if not len(texts) or any(text in MISSING for text in texts):
        return None
    if all(re.fullmatch(r"[+-]?\d+(\.0*)?", text) for text in texts):
        return "whole"
    numbers = [text for text in texts if is_number(text, ",")]
    if surely and len(numbers) < len(texts):
        return "text"
    if surely and all(text.isdigit() or _LOOKS_ROUND.fullmatch(text) for text in texts):
        return "text"
    if surely and all(_whole_number(text) is not None for text in texts):
        return "whole"
    return None if 2 * len(numbers) >= len(texts) else "text"


def _whole_number(text):
    """The whole number that an identifier is, exactly; None for text, leading zeros and numbers that were rounded."""
    if match := re.fullmatch(r"(-?(?:0|[1-9]\d*))(\.0*)?", text):
        number = int(match[1])
        return number if abs(number) < (2**63 if match[2] is None else EXACT) else None
    if (match := _ROUND.fullmatch(text)) and len(match[2] or "") <= int(match[3]):
        return int((match[1] + (match[2] or "")).ljust(1 + int(match[3]), "0"))
    return None


def _first_repeated(texts):
    seen = set()
    for row, text in enumerate(texts):
        if text in seen:
            return row
        seen.add(text)
    return 0


def as_ids(table: TitledRows, place: int, *, checked: bool = True) -> np.ndarray:
    """The identifiers in a column, as int64 where all are whole numbers, else as text.

    Args:
        table: the rows.
        place: of the column.
        checked: whether repeated or missing ones are refused.

    Raises:
        ValueError: some are repeated or missing.
    """
    texts = table.text(place)
    for row, text in enumerate(texts):
        if checked and text in MISSING_LABELS:
            raise ValueError(
                f"{table.name}: expected an identifier in every row of column {table.label(place)}, "
                f"got none in line {table.line(row)}"
            )
    if checked and len(set(texts)) < len(texts):
        row = _first_repeated(texts)
        raise ValueError(
            f"{table.name}: expected an identifier of each row in column {table.label(place)}, got {texts[row]} "
            f"again in line {table.line(row)}"
        )
    numbers = [_whole_number(text) for text in texts]
    if all(number is not None for number in numbers):
        return np.array(numbers, np.int64)
    return texts.astype(str)
