"""Tables in text files: numbers or labels, the identifiers of their rows, and a line that says how they were read.

`_text_dialect` decides the encoding, the separator and the decimal sign, `_text_header` whether there are names of
columns. pandas parses the fields. A file that can be read in two ways is refused in one line.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phasejax.io._named import NamedRows
from phasejax.io._text_dialect import MISSING, TextRows, is_number, read_rows, split_line, to_number
from phasejax.io._text_header import find_header, is_id_name

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat")
# Texts that stand for a missing label. "None", "-" and "--" may be classes.
_MISSING_LABELS = tuple(text for text in MISSING if text not in ("None", "-", "--"))
_SAMPLE = 100_000  # fields that the search for a header looks at, but at least 50 rows
_EXACT = 2**53  # whole numbers up to here are exact in float64


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


def read_text_table(path: str | Path, *, id_column: str | None = None, column: str | None = None) -> NamedRows:
    """The rows of a text table (.csv, .tsv or .txt, or one of these compressed as .gz), with their identifiers.

    Everything is decided from the file alone. Columns are separated by commas, semicolons, tabs or runs of spaces, lines
    that start with # are comments, and numbers may have decimal commas where these do not separate columns. Text is
    in UTF-8, or in UTF-16 or UTF-32 with a byte order mark. A first line of names is recognised, also if the names
    are numbers. Empty fields, NA, NaN, null, None and - are missing values: NaN among numbers, and "" among text, except
    for None and -, which may be classes.

    Identifiers are the unnamed first column, or a column whose name says so ("id", "object_id", "barcode", "star")
    and whose values are unique whole numbers or text. They are never among the values.

    Args:
        path: the file, FILE or FILE:COLUMN.
        id_column: name of the column of identifiers; its place, from 0, where columns have no names.
        column: name of a single column that is read alone, as labels; its place, from 0, as above.

    Returns:
        Values of shape (n, d), or (n,) of a single column, which may be text. Whole numbers are int64, and numbers
        float64. The notes say what was decided.

    Raises:
        ValueError: the file is unreadable, has another encoding or rows of unequal length; it has text among numbers; or
            it can be read in more than one way. The message names the line.

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
        raise ValueError(f"{name}: expected a file ending in {', '.join(TEXT_ENDINGS)}, or one "
                         f"of these with .gz, got {Path(name).suffix or 'no ending'}")
    file, named = split
    column = column if column is not None else named
    table = _titled(read_rows(file, str(file)), tuple(text for text in (id_column, column) if text is not None))
    asked = None if column is None else table.place(column)
    id_place, others = _identifiers(table, None if id_column is None else table.place(id_column), asked)
    notes = []
    if asked is None:
        left_out = {id_place, *others}
        places = [place for place in range(table.fields) if place not in left_out]
        notes += [f"{file.name}: column {table.label(place)} is left out, which holds identifiers" for place in others]
    else:
        places = [asked]
        id_place = None if id_place == asked else id_place
    if not places:
        raise ValueError(f"{file}: expected columns beside the identifiers, got only {table.label(id_place)}")
    values = _values(table, places)
    ids = None if id_place is None else _as_ids(table, id_place)
    if asked is None:
        notes += _warnings(table, places, values)
    notes.insert(0, _note(file, table, values, id_place, None if asked is None else table.label(asked)))
    columns = None if table.names is None else tuple(table.names[place] for place in places)
    return NamedRows(values, ids, columns, tuple(notes))


@dataclass(frozen=True, eq=False)
class _Titled:
    """Rows of fields, and the names of their columns."""

    rows: TextRows
    names: list[str] | None
    start: int  # the first line of data
    fields: int  # without an empty column at the end
    unnamed_index: bool  # whether the first column, and only it, has no name

    @property
    def name(self) -> str:
        return self.rows.name

    def __len__(self) -> int:
        return len(self.rows.lines) - self.start

    def line(self, row) -> int:
        """Number of the line in the file that holds a row."""
        return self.rows.places[self.start + int(row)]

    def label(self, place) -> str:
        """What notes and errors call a column."""
        return str(place) if self.names is None else self.names[place] or f"{place} (without name)"

    def place(self, wanted: str) -> int:
        """Place of the column that was asked for."""
        if self.names is None:
            if wanted.isdigit() and int(wanted) < self.fields:
                return int(wanted)
            raise ValueError(f"{self.name}: expected one of its columns 0 to {self.fields - 1}, which have no names, "
                             f"got {wanted}")
        found = [place for place, name in enumerate(self.names) if name == wanted]
        if len(found) != 1:
            shown = ", ".join(self.names[:12]) + (f" and {len(self.names) - 12} more" if len(self.names) > 12 else "")
            got = f"{wanted}, which it has {len(found)} times" if found else wanted
            raise ValueError(f"{self.name}: expected one of its columns {shown}, got {got}")
        return found[0]

    def text(self, place) -> np.ndarray:
        """One column as text, without blanks around it."""
        parsed = self.rows.parsed(self.start, None, [place], text=True)
        return parsed[place].str.strip().to_numpy(object)


def _titled(rows: TextRows, asked: tuple[str, ...]) -> _Titled:
    """The table with its header told from its data."""
    lines, fields, first = len(rows.lines), rows.fields, [text.strip() for text in rows.first]
    size = max(50, _SAMPLE // fields)
    sample = rows.parsed(1, size + 1, text=True) if lines > 1 else None
    short = len(first) < fields
    if fields > 1 and sample is not None and (short or first[-1] == "") and not rows.parsed(
            1, None, [fields - 1], text=True)[fields - 1].str.strip().any():
        fields, first = fields - 1, first[:fields - 1]  # all lines end with a separator
        short = False
    if short:
        first = ["", *first]  # without a name for the index
    short = short and first[0] == ""
    texts = np.empty((0, fields), object) if sample is None else np.stack(
        [sample[place].str.strip().to_numpy(object) for place in range(fields)], axis=1)
    header = find_header(first, texts, rows.decimal, asked)
    numbers = [is_number(text, rows.decimal) for text in first[1:]]
    if short and any(numbers):  # either a row that lacks a field, or numbers that are names without any doubt
        header = all(numbers) and find_header(first[1:], texts[:, 1:], rows.decimal, asked) is True
    if short and header is not True:
        raise ValueError(f"{rows.name}: expected a table of {fields} fields a line, got {fields - 1} in line "
                         f"{rows.places[0]}")
    if isinstance(header, str):
        raise ValueError(f"{rows.name}: expected a first line of names or of data, got one that may be either in line "
                         f"{rows.places[0]}: {header}; write names with letters above the columns")
    if header:
        if lines == 1:
            raise ValueError(f"{rows.name}: expected rows, got only a header")
        return _Titled(rows, first, 1, fields, fields > 1 and _is_unnamed(first[0]))
    if sample is None and not any(is_number(text, rows.decimal) for text in first):
        raise ValueError(f"{rows.name}: expected rows, got only a line of text, which may be a header")
    names = _names_in_comment(rows, fields)
    return _Titled(rows, names, 0, fields, False)


def _is_unnamed(name):
    return name == "" or re.fullmatch(r"Unnamed: 0(\.\d+)?", name) is not None


def _names_in_comment(rows, fields):
    """Names in the comment right above the data, as numpy.savetxt writes them, if there are as many as columns."""
    if not rows.comment:
        return None
    try:
        names = [name.strip() for name in split_line(rows.comment, rows.separator)]
    except Exception:  # csv.Error: a comment with an open quotation mark is no header
        return None
    if len(names) != fields or len(set(names)) < fields or any(is_number(name, rows.decimal) for name in names):
        return None
    return names if fields > 1 or is_id_name(names[0]) or re.fullmatch(r"\w+", names[0]) else None


def _identifiers(table, given, asked):
    """Place of the column of identifiers, and of others that hold identifiers too."""
    names = table.names
    if given is not None:
        _as_ids(table, given)
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
        kind = _kind_of_ids(texts)
        if surely and asked is None and kind is None and _kind_of_ids([t for t in texts if t not in MISSING]):
            row = next(row for row, text in enumerate(texts) if text in MISSING)
            raise ValueError(f"{table.name}: expected an identifier in every row of column {table.label(place)}, got none "
                             f"in line {table.line(row)}")
        repeated = kind is not None and len(set(texts)) < len(texts)
        if place == 0 and table.unnamed_index and (kind is None or repeated) and asked is None and given is None:
            got = "numbers with decimals, or missing values" if kind is None else "repeated ones"
            raise ValueError(f"{table.name}: expected identifiers in the first column, which has no name, got {got}; "
                             "name it, or save the table without its index")
        if kind is not None and not repeated:
            found.append(place)
        elif surely and kind is not None and asked is None:
            row = _first_repeated(texts)
            raise ValueError(f"{table.name}: expected an identifier of each row in column {name}, got {texts[row]} again "
                             f"in line {table.line(row)}; leave the column out, or give it as groups")
    if asked is not None and given is None:
        found = [place for place in found if place != asked]
        if not found and asked is not None and is_id_name(names[asked]):
            return None, []
    if given is not None:
        return given, [place for place in found if place != given]
    if not found:
        return None, []
    best = min(found, key=lambda place: (place == 0 and table.unnamed_index and _counts_rows(table, 0),
                                            not is_id_name(names[place], surely=True), place))
    return best, [place for place in found if place != best]


def _unnamed_identifiers(table, asked):
    """Place of the column of identifiers where no column has a name: the first, if it is text that never repeats."""
    if table.fields == 1 or len(table) < 2 or asked == 0:
        return None
    texts = table.text(0)
    kind = _kind_of_ids(texts)
    if kind == "text" and len(set(texts)) == len(texts):
        return 0
    if kind == "whole" and len(table) >= 3 and _counts_rows(table, 0) and asked is None:
        raise ValueError(f"{table.name}: expected data, got a first column that counts the rows ({texts[0]}, {texts[1]}, "
                         f"{texts[2]}, ...); name the columns in the first line, this one id if it identifies the rows")
    return None


def _counts_rows(table, place):
    texts = table.text(place)
    return texts[0] in ("0", "1") and all(text == str(int(texts[0]) + row) for row, text in enumerate(texts))


def _kind_of_ids(texts):
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


def _as_ids(table, place):
    """Identifiers as int64 where all are whole numbers, else as text."""
    texts = table.text(place)
    for row, text in enumerate(texts):
        if text in _MISSING_LABELS:
            raise ValueError(f"{table.name}: expected an identifier in every row of column {table.label(place)}, "
                             f"got none in line {table.line(row)}")
    if len(set(texts)) < len(texts):
        row = _first_repeated(texts)
        raise ValueError(f"{table.name}: expected an identifier of each row in column {table.label(place)}, got {texts[row]} "
                         f"again in line {table.line(row)}")
    numbers = [re.fullmatch(r"(-?(?:0|[1-9]\d*))(\.0*)?", text) for text in texts]
    if all(match and abs(int(match[1])) < (2**63 if match[2] is None else _EXACT) for match in numbers):
        return np.array([int(match[1]) for match in numbers if match], np.int64)
    return texts.astype(str)


def _values(table, places):
    """Numbers of shape (n, d), or one column, which may be text."""
    parsed = table.rows.parsed(table.start, None, places)
    for place in places:
        if parsed[place].dtype.kind not in "fiub":  # numbers, where only a blank behind a missing value was in the way
            texts = table.text(place)
            if all(text in MISSING or _is_finite_number(text, table) for text in texts):
                parsed[place] = [to_number(text, table.rows.decimal) for text in texts]
                if parsed[place].abs().max() > _EXACT and all(text.lstrip("+-").isdigit() for text in texts):
                    parsed[place] = texts
    worded = [place for place in places if parsed[place].dtype.kind not in "fiub"]
    if worded and len(places) == 1:
        return _labels(table, places[0])
    if worded:
        place = worded[0]
        texts = table.text(place)
        bad = [row for row, text in enumerate(texts) if text not in MISSING and not _is_finite_number(text, table)
               and "inf" not in text.lower()]
        hint = ""
        if len(bad) == len(texts) == len(set(texts)):
            hint = f" (identifiers? then say so: --id or id_column {table.label(place)})"
        elif len(bad) == len(texts):
            hint = f" (labels? {table.name}:{table.label(place)} reads them alone)"
        where = f": {str(texts[bad[0]])[:40]!r} in line {table.line(bad[0])}" if bad else ""
        raise ValueError(f"{table.name}: expected numbers in every column, got text in column {table.label(place)}{where}{hint}")
    if len(places) == 1:
        values = parsed[places[0]].to_numpy()
    else:
        for place in places:
            column = parsed[place]
            if column.dtype.kind in "iu" and int(column.abs().max()) > _EXACT:
                raise ValueError(f"{table.name}: expected numbers that float64 holds exactly, got {column.iloc[0]} in column "
                                 f"{table.label(place)} (identifiers? then name the column id)")
        kinds = {parsed[place].dtype.kind for place in places}
        values = parsed.to_numpy() if kinds in ({"i"}, {"b"}) else parsed.to_numpy(np.float64)
    return values


def _is_finite_number(text, table):
    return is_number(text, table.rows.decimal) and abs(float(text.replace(table.rows.decimal, "."))) < np.inf


def _labels(table, place):
    """One column of text: labels, unless it is a column of numbers in which some text stands."""
    texts = table.text(place)
    kept = [text for text in texts if text not in MISSING]
    numbers = [text for text in kept if is_number(text, table.rows.decimal)]
    if len(numbers) == len(kept):
        longest = int(np.argmax([len(text) for text in texts]))
        raise ValueError(f"{table.name}: expected numbers that fit into 64 bits, got {texts[longest][:40]} in line "
                         f"{table.line(longest)}")
    if numbers:
        classes = set(kept)
        of_numbers = sum(not text.lstrip("+-").isdigit() for text in numbers)
        if of_numbers or 5 * len(classes) > len(kept) or 2 * len(numbers) > len(kept):
            row, bad = next((row, text) for row, text in enumerate(texts)
                            if text not in MISSING and not is_number(text, table.rows.decimal))
            raise ValueError(f"{table.name}: expected numbers or text in column {table.label(place)}, got both: "
                             f"{bad[:40]!r} in line {table.line(row)} among numbers")
    return np.where(np.isin(texts, _MISSING_LABELS), "", texts).astype(str)


def _warnings(table, places, values):
    """Notes on columns that look like identifiers, and are read as data all the same."""
    notes = []
    if table.names is not None and len(places) > 1:
        file = Path(table.name).name
        for place in places:
            name = table.names[place]
            if is_id_name(name) and _kind_of_ids(table.text(place)) == "whole":
                notes.append(f"{file}: column {name} is read as data, since its values repeat, though its name is that "
                             "of an identifier")
        place = places[0]
        column = values[:, 0]
        if np.issubdtype(column.dtype, np.number) and len(column) > 2 and not is_id_name(table.names[place]):
            whole = bool(np.isfinite(column).all() and (column == np.round(column)).all())
            decimals = bool((values[:, 1:] != np.round(values[:, 1:])).any())
            if whole and decimals and len(np.unique(column)) == len(column):
                notes.append(f"{file}: column {table.names[place]} is read as data, though its values are unique whole "
                             "numbers, as identifiers are")
    elif len(places) > 1 and values.dtype.kind == "f":
        column = values[:, 0]
        if bool(np.isfinite(column).all() and (column == np.round(column)).all()) and len(column) > 9 and (
                len(np.unique(column)) == len(column)):
            notes.append(f"{Path(table.name).name}: the first column is read as data, though its values are unique whole "
                         "numbers, as identifiers are")
    return notes


def _note(file, table, values, id_place, asked):
    parts = [f"{len(values)} rows"]
    parts.append(f"column {asked}" if asked is not None else
                 f"{1 if values.ndim == 1 else values.shape[1]} column{'s' * (values.ndim > 1)}")
    if table.names is None:
        parts.append("no header")
    else:
        parts.append("header" if table.start else "header in a comment")
    if id_place is not None:
        parts.append(f"id {table.label(id_place)}")
    if table.rows.separator != "," and table.rows.fields > 1:
        parts.append(f"separated by {table.rows.separator_name}")
    if table.rows.decimal == ",":
        parts.append("decimal commas")
    if values.dtype.kind in "US":
        parts.append("text")
    missing = int((values == "").sum()) if values.dtype.kind in "US" else int(np.isnan(values.astype(float)).sum())
    if missing:
        parts.append(f"{missing} missing value{'s' * (missing > 1)}")
    return f"{file.name}: {', '.join(parts)}"
