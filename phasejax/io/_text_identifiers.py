"""The column of a text table that identifies its rows: which it is, and its values.

It has no name, as the index of a DataFrame, or the name of an identifier; its values are whole numbers or text, and
none occurs twice.
"""

import re
from collections.abc import Sequence

import numpy as np

from phasejax.io._text_columns import TitledRows
from phasejax.io._text_dialect import MISSING, is_number
from phasejax.io._text_header import is_id_name

# Texts that stand for a missing label. "None", "-" and "--" may be classes.
MISSING_LABELS = tuple(text for text in MISSING if text not in ("None", "-", "--"))
EXACT = 2**53  # whole numbers up to here are exact in float64


def find_identifiers(table: TitledRows, given: int | None, asked: int | None) -> tuple[int | None, list[int]]:
    """Place of the column of identifiers, and of others that hold identifiers too.

    Args:
        table: the rows.
        given: place of the column that the user gave as that of identifiers.
        asked: place of the only column that is wanted, beside which nothing is refused.

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
    found = []
    for place, name in enumerate(names):
        surely = is_id_name(name, surely=True)
        if place in (given, asked) or not (is_id_name(name) or (place == 0 and table.unnamed_index)):
            continue
        texts = table.text(place)
        kind = kind_of_ids(texts)
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
        elif surely and kind is not None and asked is None:
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
    if not found:
        return None, []
    best = min(
        found,
        key=lambda place: (
            place == 0 and table.unnamed_index and _counts_rows(table, 0),
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


def kind_of_ids(texts: Sequence[str] | np.ndarray) -> str | None:
    """Whether texts are whole numbers or text, as identifiers are; None if neither."""
    if not len(texts) or any(text in MISSING for text in texts):
        return None
    if all(re.fullmatch(r"[+-]?\d+(\.0*)?", text) for text in texts):
        return "whole"
    if 2 * sum(is_number(text, ",") for text in texts) >= len(texts):
        return None
    return "text"


def _first_repeated(texts):
    seen = set()
    for row, text in enumerate(texts):
        if text in seen:
            return row
        seen.add(text)
    return 0


def as_ids(table: TitledRows, place: int) -> np.ndarray:
    """The identifiers in a column, as int64 where all are whole numbers, else as text.

    Raises:
        ValueError: some are repeated or missing.
    """
    texts = table.text(place)
    for row, text in enumerate(texts):
        if text in MISSING_LABELS:
            raise ValueError(
                f"{table.name}: expected an identifier in every row of column {table.label(place)}, "
                f"got none in line {table.line(row)}"
            )
    if len(set(texts)) < len(texts):
        row = _first_repeated(texts)
        raise ValueError(
            f"{table.name}: expected an identifier of each row in column {table.label(place)}, got {texts[row]} "
            f"again in line {table.line(row)}"
        )
    numbers = [re.fullmatch(r"(-?(?:0|[1-9]\d*))(\.0*)?", text) for text in texts]
    if all(match and abs(int(match[1])) < (2**63 if match[2] is None else EXACT) for match in numbers):
        return np.array([int(match[1]) for match in numbers if match], np.int64)
    return texts.astype(str)
