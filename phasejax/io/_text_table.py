"""Tables in text files: numbers or labels, the identifiers of their rows, and a line that says how they were read.

`_text_dialect` decides the encoding, the separator and the decimal sign, `_text_columns` and `_text_header` whether
there are names of columns, `_text_identifiers` which column identifies the rows. pandas parses the fields. A file that
can be read in two ways is refused in one line.
"""

import re
from pathlib import Path

import numpy as np

from phasejax.io._named import NamedRows
from phasejax.io._other_columns import OtherColumns, is_left_out, left_out_note
from phasejax.io._table import EXACT
from phasejax.io._text_columns import title_columns
from phasejax.io._text_dialect import MISSING, is_number, read_rows, to_number
from phasejax.io._text_header import is_id_name
from phasejax.io._text_identifiers import MISSING_LABELS, as_ids, find_identifiers, kind_of_ids

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat")


def is_text_path(path: str | Path) -> bool:
    """Whether a path names a text table, FILE or FILE:COLUMN."""
    return split_text_path(path) is not None


def split_text_path(path: str | Path) -> tuple[Path, str | None] | None:
    """The file and the column that FILE.csv:COLUMN names; None where it is no text table.

    >>> split_text_path("stars.csv.gz:class")
    (PosixPath('stars.csv.gz'), 'class')
    """
    endings = f"(?:{'|'.join(re.escape(ending) for ending in TEXT_ENDINGS)})(?:[.]gz)?"
    text = str(path)
    if re.fullmatch(rf".*{endings}", text, re.IGNORECASE | re.DOTALL):
        return Path(text), None
    match = re.fullmatch(rf"(.*?{endings}):(.+)", text, re.IGNORECASE | re.DOTALL)
    return (Path(match[1]), match[2]) if match else None


def read_text_table(path: str | Path, *, id_column: str | None = None, column: str | None = None,
                    others: OtherColumns | None = None) -> NamedRows:
    """The rows of a text table (.csv, .tsv or .txt, or one of these compressed as .gz), with their identifiers.

    Everything is decided from the file alone. Columns are separated by commas, semicolons, tabs, bars or runs of
    spaces. Lines that start with # are comments, and numbers may have decimal commas where these do not separate
    columns. Text is in UTF-8, or in UTF-16 or UTF-32 with a byte order mark. A first line of names is recognised, also
    if the names are numbers. Empty fields, NA, NaN, null, None and - are missing values: NaN among numbers, and ""
    among text, except for None and -, which may be classes.

    Identifiers are the unnamed first column, or a column whose name says so ("id", "object_id", "barcode", "star")
    and whose values are unique whole numbers or text. They are never among the values.

    Args:
        path: the file, FILE or FILE:COLUMN.
        id_column: name of the column of identifiers; its place, from 0, where columns have no names.
        column: name of a single column that is read alone, as labels; its place, from 0, as above.
        others: columns that are no features (`no_features`).

    Returns:
        Values of shape (n, d), or (n,) of a single column, which may be text. Whole numbers are int64, and numbers
        float64. The notes say what was decided.

    Raises:
        ValueError: the file is unreadable, has another encoding or rows of unequal length; it has text among numbers;
            or it can be read in more than one way. The message names the line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "stars.csv").write_text("star;teff;logg\\n17;5777,1;4,44\\n12;4286,5;1,66\\n")
    ...     rows = read_text_table(f"{folder}/stars.csv")
    >>> rows.ids.tolist(), rows.columns, rows.values.tolist()
    ([17, 12], ('teff', 'logg'), [[5777.1, 4.44], [4286.5, 1.66]])
    >>> rows.notes
    ('stars.csv: 2 rows, 2 columns, header, id star, separated by semicolons, decimal commas',)
    """
    split = split_text_path(path)
    name = str(path)
    if split is None:
        raise ValueError(
            f"{name}: expected a file ending in {', '.join(TEXT_ENDINGS)}, or one "
            f"of these with .gz, got {Path(name).suffix or 'no ending'}"
        )
    file, named = split
    column = column if column is not None else named
    asked_for = [text for text in (id_column, column, *(others or ())) if isinstance(text, str)]
    table = title_columns(read_rows(file, str(file)), tuple(asked_for))
    asked = None if column is None else table.place(column)
    left_out = _places_left_out(table, others) if asked is None and others else []
    given = None if id_column is None else table.place(id_column)
    id_place, repeated = find_identifiers(table, given, asked, left_out)
    notes = []
    if asked is None:
        places = [place for place in range(table.fields) if place not in (id_place, *left_out, *repeated)]
        notes += [left_out_note(file.name, table.label(place), others or {}) for place in left_out]
        notes += [
            f"{file.name}: column {table.label(place)} is left out, which holds identifiers" for place in repeated
        ]
    else:
        places = [asked]
        id_place = None if id_place == asked else id_place
    if not places and id_place is not None:
        raise ValueError(f"{file}: expected columns beside the identifiers, got only {table.label(id_place)}")
    values = _values(table, places)
    ids = None if id_place is None else as_ids(table, id_place, checked=asked is None or id_column is not None)
    if asked is None:
        notes += _warnings(table, places, values)
    notes.insert(0, _note(file, table, values, id_place, None if asked is None else table.label(asked)))
    columns = None if table.names is None else tuple(table.names[place] for place in places)
    whole = values.ndim == 1 and values.dtype.kind == "f" and all(
        text in MISSING or text.lstrip("+-").isdigit() for text in table.text(places[0]))
    return NamedRows(values, ids, columns, tuple(notes), whole)


def _places_left_out(table, others):
    """Places of the columns that labels or groups were taken from, where these cannot be features."""
    if table.names is None:
        return [place for place in others if isinstance(place, int) and place < table.fields]
    found = [table.names.index(name) for name in others if table.names.count(name) == 1]
    texts = {place: table.text(place) for place in found}
    found = [
        place
        for place in found
        if is_left_out(
            table.names[place],
            others,
            numeric=all(text in MISSING or is_number(text, table.rows.decimal) for text in texts[place]),
            repeats=len(set(texts[place])) < len(texts[place]),
        )
    ]
    return found if len(found) < table.fields else []


def _values(table, places):
    """Numbers of shape (n, d), or one column, which may be text."""
    parsed = table.rows.parsed(table.start, None, places)
    worded = [place for place in places if parsed[place].dtype.kind not in "fiub"]
    as_text = table.rows.parsed(table.start, None, worded, text=True) if worded else parsed
    for place in worded:  # numbers, where only a blank behind a missing value was in the way
        texts = as_text[place].str.strip()
        if all(text in MISSING or _is_finite_number(text, table) for text in texts):
            numbers = [to_number(text, table.rows.decimal) for text in texts]
            if np.nanmax(np.abs([*numbers, 0])) <= EXACT or not all(text.lstrip("+-").isdigit() for text in texts):
                parsed[place] = numbers
    worded = [place for place in places if parsed[place].dtype.kind not in "fiub"]
    if worded and len(places) == 1:
        return _labels(table, places[0])
    if worded:
        place = worded[0]
        texts = table.text(place)
        bad = [
            row
            for row, text in enumerate(texts)
            if text not in MISSING and not _is_finite_number(text, table) and "inf" not in text.lower()
        ]
        hint = ""
        if len(bad) == len(texts) == len(set(texts)):
            hint = f" (identifiers? then say so: --id or id_column {table.label(place)})"
        elif len(bad) == len(texts):
            hint = f" (labels? {table.name}:{table.label(place)} reads them alone)"
        where = f": {str(texts[bad[0]])[:40]!r} in line {table.line(bad[0])}" if bad else ""
        raise ValueError(
            f"{table.name}: expected numbers in every column, got text in column {table.label(place)}{where}{hint}"
        )
    if len(places) == 1:
        values = parsed[places[0]].to_numpy()
        _check_one_column(table, places[0], values)
    else:
        for place in places:
            column = parsed[place]
            if column.dtype.kind in "iu" and int(column.abs().max()) > EXACT:
                raise ValueError(
                    f"{table.name}: expected numbers that float64 holds exactly, got {column.iloc[0]} in column "
                    f"{table.label(place)} (identifiers? then name the column id)"
                )
        kinds = {parsed[place].dtype.kind for place in places}
        values = np.ascontiguousarray(parsed.to_numpy() if kinds in ({"i"}, {"b"}) else parsed.to_numpy(np.float64))
    return values


def _check_one_column(table, place, values):
    """Refuse whole numbers that would become the same number though they are written differently, as classes may be."""
    if values.dtype.kind not in "iuf" or not values.size:
        return
    if values.dtype.kind == "f" and not np.nanmax(np.abs(values[np.isfinite(values)]), initial=0) >= EXACT:
        return
    texts = table.text(place)
    whole = [text for text in texts if text.lstrip("+-").isdigit()]
    if values.dtype.kind == "f":
        if len(whole) == sum(text not in MISSING for text in texts):
            raise ValueError(
                f"{table.name}: expected numbers that float64 holds exactly, got {max(whole, key=len)} beside missing "
                f"values in column {table.label(place)}"
            )
        return
    padded = next((text for text in whole if re.match(r"[+-]?0\d", text) and str(int(text)) in whole), None)
    if padded is not None:
        raise ValueError(
            f"{table.name}: expected a number to be written in one way, got {int(padded)} and {padded} in column "
            f"{table.label(place)}; if they are names, write them with letters"
        )


def _is_finite_number(text, table):
    return is_number(text, table.rows.decimal) and abs(float(text.replace(table.rows.decimal, "."))) < np.inf


def _labels(table, place):
    """One column of text: labels, unless it is a column of numbers in which some text stands."""
    texts = table.text(place)
    kept = [text for text in texts if text not in MISSING]
    numbers = [text for text in kept if is_number(text, table.rows.decimal)]
    if len(numbers) == len(kept):
        longest = int(np.argmax([len(text) for text in texts]))
        raise ValueError(
            f"{table.name}: expected numbers that fit into 64 bits, got {texts[longest][:40]} in line "
            f"{table.line(longest)}"
        )
    if numbers:
        classes = set(kept)
        of_numbers = sum(not text.lstrip("+-").isdigit() for text in numbers)
        if of_numbers or 5 * len(classes) > len(kept) or 2 * len(numbers) > len(kept):
            row, bad = next(
                (row, text)
                for row, text in enumerate(texts)
                if text not in MISSING and not is_number(text, table.rows.decimal)
            )
            raise ValueError(
                f"{table.name}: expected numbers or text in column {table.label(place)}, got both: "
                f"{bad[:40]!r} in line {table.line(row)} among numbers"
            )
    return np.where(np.isin(texts, MISSING_LABELS), "", texts).astype(str)


def _warnings(table, places, values):
    """Notes on columns that look like identifiers, and are read as data all the same."""
    notes = []
    if table.names is not None and len(places) > 1:
        file = Path(table.name).name
        for place in places:
            name = table.names[place]
            repeats = is_id_name(name) and kind_of_ids(table.text(place)) == "whole"
            if repeats or is_id_name(name, surely=True):
                notes.append(
                    f"{file}: column {name} is read as data,{' since its values repeat,' * repeats} though its name "
                    "is that of an identifier"
                )
        place = places[0]
        column = values[:, 0]
        if np.issubdtype(column.dtype, np.number) and len(column) > 2 and not is_id_name(table.names[place]):
            whole = bool(np.isfinite(column).all() and (column == np.round(column)).all())
            decimals = bool((values[:, 1:] != np.round(values[:, 1:])).any())
            if whole and decimals and len(np.unique(column)) == len(column):
                notes.append(
                    f"{file}: column {table.names[place]} is read as data, though its values are unique whole "
                    "numbers, as identifiers are"
                )
    elif len(places) > 1 and values.dtype.kind == "f":
        column = values[:, 0]
        if (
            bool(np.isfinite(column).all() and (column == np.round(column)).all())
            and len(column) > 9
            and (len(np.unique(column)) == len(column))
        ):
            notes.append(
                f"{Path(table.name).name}: the first column is read as data, though its values are unique whole "
                "numbers, as identifiers are"
            )
    return notes


def _note(file, table, values, id_place, asked):
    parts = [f"{len(values)} rows"]
    parts.append(
        f"column {asked}"
        if asked is not None
        else f"{1 if values.ndim == 1 else values.shape[1]} column{'s' * (values.ndim > 1)}"
    )
    if table.names is None:
        counted = table.fields == 1 and len(table) > 1 and table.text(0)[0] == "0"  # as pandas names a single column
        parts.append("no header (the first line, 0, is data)" if counted else "no header")
    else:
        parts.append("header" if table.start else "header in a comment")
    if id_place is not None:
        parts.append(f"id {table.label(id_place)}")
    if table.rows.separator != "," and table.rows.fields > 1:
        parts.append(f"separated by {table.rows.separator_name}")
    if table.rows.decimal == ",":
        parts.append("decimal commas")
    if table.rows.skipped:
        parts.append(f"{table.rows.skipped} row{'s' * (table.rows.skipped > 1)} behind # left out")
    if values.dtype.kind in "US":
        parts.append("text")
    missing = int((values == "").sum()) if values.dtype.kind in "US" else int(np.isnan(values.astype(float)).sum())
    if missing:
        parts.append(f"{missing} missing value{'s' * (missing > 1)}")
    return f"{file.name}: {', '.join(parts)}"
