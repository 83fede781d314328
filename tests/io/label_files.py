"""Random files of labels as people bring them, and what an independent reader that is told everything finds in them.

The reader is Python's own `csv` module. It is told the encoding, the separator, where the header, the identifiers and
the labels are and what they are; phasejax is told nothing but the rows that the labels belong to.
"""

import csv
import gzip
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MISSING = ("", "NA", "NaN")
ROWS = 40


@dataclass(frozen=True, eq=False)
class LabelFile:
    """A file of labels, the rows that they belong to, and how the file was written.

    Args:
        source: the file, or FILE:COLUMN.
        index: identifiers of the rows, in their order; None where rows are matched by position.
        about: the choices that were drawn, by their names.
        faults: why the file cannot be read, if it cannot: "ragged", "repeated identifiers", "nothing in common".
    """

    source: str
    index: pd.Index | None
    about: dict[str, Any]
    faults: list[str] = field(default_factory=list)

    @property
    def described(self) -> str:
        """The choices, and the first lines as bytes."""
        data = Path(self.about["path"]).read_bytes()
        return f"{self.about}\n{(gzip.decompress(data) if data[:2] == bytes([31, 139]) else data)[:500]!r}"

    def expected(self) -> dict[int, Any]:
        """The label of each row that has one, by the number of the row."""
        about = self.about
        data = Path(about["path"]).read_bytes()
        text = (gzip.decompress(data) if about["gz"] else data).decode(about["encoding"])
        lines = [line for line in text.splitlines() if not line.startswith("#") or about["comment"] is None]
        records = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=about["separator"], skipinitialspace=True))
        records = records[1:] if about["header"] else records
        texts = [[entry.strip() for entry in record] or [""] for record in records]
        if self.index is None:
            rows = range(len(texts))
        else:
            place = {_plain_id(entry): row for row, entry in enumerate(self.index)}
            rows = [place.get(_plain_id(record[about["id_place"]])) for record in texts]
        found = {row: record[about["label_place"]] for row, record in zip(rows, texts, strict=True) if row is not None}
        return {row: self._value(entry) for row, entry in found.items() if entry not in MISSING}

    def _value(self, entry):
        if self.about["labels"] in ("text", "separators", "dates", "padded", "booleans"):
            return entry
        if self.about["labels"] == "huge":
            return int(entry)
        return float(entry.replace(",", ".") if self.about["decimal"] == "," else entry)


def _plain_id(entry):
    """An identifier as it is compared: 7.0 in a file is the 7 of an index, but 007 and 7 differ."""
    entry = str(entry).strip()
    return entry.removesuffix(".0") if entry.removesuffix(".0").isdigit() else entry


def _ids(rng, kind):
    order = rng.permutation(ROWS)
    many = rng.permutation(9000)[:ROWS]
    return {
        "whole": 1000 + many,
        "beyond 2^53": 2_000_000_000_000_000_001 + many,
        "leading zeros": np.array([f"{entry:05d}" for entry in many]),
        "barcodes": np.array([f"AAAC{entry:04d}-1" for entry in many]),
        "case": np.array(["".join(letter.upper() if row >> bit & 1 else letter for bit, letter in enumerate("abcdef"))
                          for row in order]),
        "scientific": np.array([f"{entry}e{entry % 7}" for entry in many]),
        "hexadecimal": np.array([f"{entry:03x}e{entry % 10}" for entry in many]),
        "dates": pd.date_range("2020-01-01", periods=ROWS).astype(str).to_numpy(str)[order],
        "separators": np.array([f"NGC {entry}, core; a" for entry in many]),
        "stored as floats": 1000 + many,
    }[kind]


def _labels(rng, kind, rows):
    of = rng.integers(0, 3, rows)
    return {
        "text": np.array(["T cell", "B cell", "Übergang"], object)[of],
        "separators": np.array(["T cell, CD4+", 'a "big" one', "x;y\tz"], object)[of],
        "dates": np.array(["2020-01-01", "2021-06-30", "2022-12-31"], object)[of],
        "padded": np.array([" T ", "B", " NK"], object)[of],
        "booleans": np.array(["True", "False", "True"], object)[of],
        "integers": np.array(["-1", "0", "12"], object)[of],
        "floats that are classes": np.array(["1.0", "2.0", "3.0"], object)[of],
        "huge": np.array(["9007199254740993", "9007199254740992", "9007199254740995"], object)[of],
        "scientific": np.array([f"{value:.6e}" for value in rng.standard_normal(rows) * 1e8], object),
        "real": np.array([f"{value:.3f}" for value in 5800 + 400 * rng.standard_normal(rows)], object),
    }[kind]


ID_KINDS = ("whole", "beyond 2^53", "leading zeros", "barcodes", "case", "scientific", "hexadecimal", "dates",
            "separators", "stored as floats")
LABEL_KINDS = ("text", "separators", "dates", "padded", "booleans", "integers", "floats that are classes", "huge",
               "scientific", "real")


def write_random_labels(folder: Path, seed: int) -> LabelFile:
    """One file of labels, in a form drawn at random."""
    rng = np.random.default_rng(seed)

    def draw(*choices):
        return choices[int(rng.integers(len(choices)))]

    about: dict[str, Any] = {"seed": seed, "labels": draw(*LABEL_KINDS), "ids": draw(*ID_KINDS, "none", "none", "none")}
    index = None if about["ids"] == "none" else pd.Index(_ids(rng, about["ids"]))
    rows, faults = np.arange(ROWS), []
    if index is not None:
        about["rows"] = draw("shuffled", "some", "more", "repeated", "foreign", "shuffled", "some", "more")
        rows = rng.permutation(ROWS)[: ROWS if about["rows"] in ("shuffled", "repeated", "foreign") else 25]
    texts = _labels(rng, about["labels"], len(rows))
    about["missing"] = draw(None, None, *MISSING)
    if about["missing"] is not None:
        texts[rng.random(len(rows)) < 0.2] = about["missing"]
    about["decimal"] = draw(".", ",") if about["labels"] in ("real", "floats that are classes") else "."
    about["separator"] = draw(",", ";", "\t") if about["decimal"] == "." else draw(";", "\t")
    if about["decimal"] == ",":
        texts = np.array([text.replace(".", ",") for text in texts], object)
    columns = {"kind": texts}
    if index is not None:
        columns = _with_ids(rng, draw, about, columns, index, rows, faults)
    elif draw(True, False):
        columns = draw({"snr": np.round(rng.random(len(texts)), 3).astype(str), **columns},
                       {**columns, "field": np.array([f"F{row % 5}" for row in rows])})
        if about["decimal"] == "," and "snr" in columns:
            columns["snr"] = np.array([text.replace(".", ",") for text in columns["snr"]])
    names = [name for name in columns if name != "kind"]
    about["label_place"] = list(columns).index("kind")
    about["header"] = index is not None or len(columns) > 1 or draw(True, True, False)
    path = _written(folder, rng, draw, about, columns, faults)
    alone = names in ([], [about.get("id_name")])
    return LabelFile(path if alone and draw(True, False) else f"{path}:kind" if about["header"] else path, index, about,
                     faults)


def _with_ids(rng, draw, about, columns, index, rows, faults):
    entries = np.array([str(entry) for entry in index[rows]], object)
    if about["ids"] == "stored as floats":
        entries = entries + ".0"
    if about["rows"] == "more":
        extra = np.array([f"{str(entry)[::-1]}9" for entry in index[rows[:8]]], object)
        entries = np.concatenate([entries, extra + (".0" if about["ids"] == "stored as floats" else "")])
        columns = {"kind": np.concatenate([columns["kind"], columns["kind"][:8]])}
    elif about["rows"] == "repeated":
        entries[7] = entries[3]
        faults.append("repeated identifiers")
    elif about["rows"] == "foreign":
        entries = np.array([f"s{entry}" for entry in entries], object)
        faults.append("nothing in common")
    if draw(True, False, False):
        entries = np.array([f" {entry} " for entry in entries], object)
        about["blanks"] = True
    about["id_name"] = draw("object_id", "barcode", "ID", "", "sourceid")
    first = about["id_name"] == "" or draw(True, True, False)  # an index has no name only where it comes first
    columns = {about["id_name"]: entries, **columns} if first else {**columns, about["id_name"]: entries}
    about["id_place"] = list(columns).index(about["id_name"])
    return columns


def _written(folder, rng, draw, about, columns, faults):
    frame = pd.DataFrame(columns)
    about["quoting"] = draw(csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    text = frame.to_csv(sep=about["separator"], index=False, header=about["header"], quoting=about["quoting"],
                        lineterminator=draw("\n", "\r\n"))
    if draw(True, False, False, False, False) and len(columns) > 1 and about["quoting"] == csv.QUOTE_MINIMAL:
        lines = text.splitlines()
        lines[-2] += about["separator"] + "1"
        text = "\n".join(lines) + "\n"
        faults.append("ragged")
    about["comment"] = draw(None, None, "# made by hand\n#\n")
    about["encoding"] = draw("utf-8", "utf-8", "utf-8-sig", "utf-16")
    data = ((about["comment"] or "") + text).encode(about["encoding"])
    about["gz"] = draw(True, False, False)
    ending = "tsv" if about["separator"] == "\t" else draw("csv", "txt")
    about["path"] = path = str(folder / f"l{about['seed']}.{ending}{'.gz' * about['gz']}")
    Path(path).write_bytes(gzip.compress(data, mtime=0) if about["gz"] else data)
    return path


def outcome(file: LabelFile) -> str:
    """ "read" where phasejax finds what is in the file, "refused" where it says in one line why not, else "wrong"."""
    from phasejax.io import match_rows

    views = [np.random.default_rng(0).standard_normal((ROWS, 2)) for _ in "xy"]
    x, y = (view if file.index is None else pd.DataFrame(view, file.index) for view in views)
    try:
        found = match_rows(x, y, file.source)
    except ValueError as error:
        named = str(error).startswith((file.source, "labels: ", file.about["path"]))
        return "refused" if named and "\n" not in str(error) else "wrong"
    if file.faults:
        return "wrong"
    labels = None if found.labels is None else found.labels.reshape(len(found.labels), -1)
    if labels is None or labels.shape[1] != 1:
        return "wrong"
    rows = range(ROWS) if found.labelled is None else found.labelled.tolist()
    plain = labels.astype(str) if labels.dtype.kind == "b" else labels
    if len(rows) != len(plain):
        return "refused"  # by what encodes labels, which needs one for each row
    return "read" if dict(zip(rows, plain[:, 0].tolist(), strict=True)) == file.expected() else "wrong"
