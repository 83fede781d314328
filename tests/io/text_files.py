"""Random text tables in random dialects, as pandas and NumPy write them, with what a reader must find in them."""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class WrittenTable:
    """A file, and the values and identifiers that were written to it."""

    path: Path
    values: np.ndarray
    ids: np.ndarray | None
    about: dict

    @property
    def described(self) -> str:
        """The dialect, and the first lines as bytes."""
        data = self.path.read_bytes()
        data = gzip.decompress(data) if self.path.suffix == ".gz" else data
        return f"{self.about}\n{data[:400]!r}"


def write_random_table(folder: Path, seed: int) -> WrittenTable:
    """One table of numbers or labels, in a dialect drawn at random."""
    rng = np.random.default_rng(seed)
    rows = int(rng.choice([1, 2, 3, 5, 8, 20, 60, 200]))
    about = {"seed": seed, "rows": rows, "kind": str(rng.choice(list(KINDS)))}
    frame = KINDS[about["kind"]](rng, rows)
    values = frame.to_numpy()
    values = values[:, 0] if values.shape[1] == 1 else values
    frame, has_header = _named(frame, rng, about)
    frame, ids, index = _indexed(frame, rng, about, has_header)
    separator, decimal = [(",", "."), (",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), (" ", ".")][
        rng.integers(7)
    ]
    about |= {"sep": separator, "decimal": decimal}
    about["quoting"] = int(rng.choice([csv.QUOTE_MINIMAL] * 4 + [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    about["na"] = na = str(rng.choice(["", "NA", "NaN", "null", "-"])) if separator != " " else "NA"
    text = frame.to_csv(
        sep=separator,
        decimal=decimal,
        header=has_header,
        index=index,
        quoting=about["quoting"],
        na_rep=na,
        lineterminator=str(rng.choice(["\n", "\r\n"])),
        float_format=None if decimal == "," else rng.choice([None, None, "%.17g", "%.18e"]),
    )
    if separator == " " and rng.random() < 0.5 and '"' not in text:
        text = "\n".join("  ".join(line.split(" ")) + " " for line in text.splitlines()) + "\n"
        about["padded"] = True
    if rng.random() < 0.3:
        about["comments"] = True
        text = "# made by hand\n#\n" + text
    if rng.random() < 0.2:
        text = text.rstrip("\r\n")
    encoding = str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32", "utf-16-le"]))
    about["encoding"] = encoding
    data = text.encode(encoding)
    ending = "tsv" if separator == "\t" and rng.random() < 0.7 else str(rng.choice(["csv", "csv", "txt"]))
    if rng.random() < 0.2:
        ending, data = f"{ending}.gz", gzip.compress(data, mtime=0)
    path = folder / f"t{seed}.{ending}"
    path.write_bytes(data)
    return WrittenTable(path, values, ids, about)


def damaged(table: WrittenTable, rng: np.random.Generator) -> tuple[Path, int] | None:
    """A copy with one line that lacks a field or has one too many, and the number of that line.

    None where the table is of one column, quotes fields, or is written so that a line cannot be split by hand.
    """
    separator = table.about["sep"]
    if (
        table.values.ndim == 1
        or len(table.values) < 4
        or table.about["quoting"]
        or table.about["encoding"] not in ("utf-8", "utf-8-sig")
        or "padded" in table.about
    ):
        return None
    data = table.path.read_bytes()
    data = gzip.decompress(data) if table.path.suffix == ".gz" else data
    lines = data.decode("utf-8-sig").splitlines()
    row = int(rng.integers(len(lines) - 2, len(lines)))  # a line of data, neither the first nor the second
    fields = lines[row].split(separator)
    lines[row] = separator.join(fields[:-1] if rng.random() < 0.5 else [*fields, fields[-1]])
    path = table.path.with_name(f"damaged_{table.path.name.removesuffix('.gz')}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, row + 1


def _columns(rng):
    return int(rng.choice([1, 2, 3, 4, 6, 9, 30]))


def _decimals(rng, rows):
    return pd.DataFrame(rng.standard_normal((rows, _columns(rng))) * 10.0 ** rng.integers(-8, 8))


def _rounded(rng, rows):
    return pd.DataFrame(
        np.round(rng.standard_normal((rows, _columns(rng))) * rng.choice([1, 30]), int(rng.integers(1, 4)))
    )


def _scaled_columns(rng, rows):
    columns = _columns(rng)
    return pd.DataFrame(10.0 ** np.arange(columns) % 1e9 + rng.standard_normal((rows, columns)))


def _counts(rng, rows):
    return pd.DataFrame(rng.poisson(rng.choice([0.5, 3, 50]), (rows, _columns(rng))))


def _whole_decimals(rng, rows):
    return pd.DataFrame(rng.integers(-5, 5, (rows, _columns(rng))).astype(float))


def _curves(rng, rows):
    return pd.DataFrame(np.cumsum(rng.random((rows, _columns(rng))), axis=1))


def _permutations(rng, rows):
    columns = _columns(rng)
    return pd.DataFrame(np.array([rng.permutation(columns) for _ in range(rows)]))


def _mixed(rng, rows):
    columns = max(2, _columns(rng))
    return (
        pd.DataFrame(
            {place: rng.standard_normal(rows) if place % 2 else rng.integers(0, 9, rows) for place in range(columns)}
        )
        .astype(float)
        .astype({place: int for place in range(0, columns, 2)})
    )


def _with_missing(rng, rows):
    values = rng.standard_normal((rows, _columns(rng)))
    return pd.DataFrame(np.where(rng.random(values.shape) < 0.1, np.nan, values))


def _words(rng, rows):
    return pd.DataFrame(
        {0: rng.choice(["T cell", "B cell", "NK", "platelet, old", "Öl", "a;b"][: int(rng.integers(2, 7))], rows)}
    )


def _classes(rng, rows):
    return pd.DataFrame({0: rng.integers(0, rng.integers(2, 5), rows)})


def _hot(rng, rows):
    return pd.DataFrame(np.eye(int(rng.integers(2, 5)), dtype=int)[rng.integers(0, 2, rows)])


KINDS = {
    function.__name__.strip("_"): function
    for function in (
        _decimals,
        _rounded,
        _scaled_columns,
        _counts,
        _whole_decimals,
        _curves,
        _permutations,
        _mixed,
        _with_missing,
        _words,
        _classes,
        _hot,
    )
}


def _named(frame, rng, about):
    columns = frame.shape[1]
    about["header"] = kind = str(
        rng.choice(["none", "text", "text", "counted", "wavelengths", "phases", "scattered", "years"])
    )
    names = {
        "text": [f"f{place}" for place in range(columns)],
        "counted": list(range(columns)),
        "wavelengths": np.round(np.linspace(4000, 9000, columns), 1).tolist(),
        "phases": np.round(np.linspace(0, 1, columns), 3).tolist(),
        "scattered": rng.permutation(np.arange(100, 100 + columns)).tolist(),
        "years": list(range(1990, 1990 + columns)),
        "none": list(range(columns)),
    }[kind]
    if kind == "text" and about["kind"] in ("words", "classes"):
        names = [str(rng.choice(["class", "cell_type", "Größe"]))]
    if len(set(names)) < columns:
        names = [f"f{place}" for place in range(columns)]
    if (columns == 1 and about["kind"] not in ("decimals", "words")) or len(frame) == 1:
        names = [f"f{place}" for place in range(columns)]  # one number above numbers: only the number of rows tells
    return frame.set_axis(names, axis=1), kind != "none"


def _indexed(frame, rng, about, has_header):
    rows = len(frame)
    about["index"] = kind = str(rng.choice(["none", "none", "counted", "shuffled", "id", "barcode", "star", "padded"]))
    if kind == "none":
        return frame, None, False
    ids = {
        "counted": np.arange(rows),
        "shuffled": rng.permutation(3 * rows)[:rows],
        "id": 2_000_000_000_000_000_001 + rng.permutation(5 * rows)[:rows],
        "star": rng.permutation(5 * rows)[:rows],
        "barcode": np.array([f"CELL{place:05d}-1" for place in rng.permutation(rows)]),
        "padded": np.array([f"{place:04d}" for place in rng.permutation(rows)]),
    }[kind]
    name = {"id": str(rng.choice(["object_id", "ID", "sourceID"])), "star": "star", "padded": "KIC"}.get(kind)
    if name is not None and not has_header:
        ids = np.array([f"S{place}" for place in ids])
        about["index"] = "words"
    if kind in ("counted", "shuffled") and not has_header:
        return frame, None, False
    return frame.set_index(pd.Index(ids, name=name)), ids, True


def outcome(table: WrittenTable) -> str:
    """ "read" where phasejax reads what was written, "refused" where it says in one line why not, else "wrong"."""
    from phasejax.io._text_table import read_text_table

    try:
        rows = read_text_table(table.path)
    except ValueError as error:
        return "refused" if str(error).startswith(str(table.path)) and "\n" not in str(error) else "wrong"
    expected = table.values if table.values.dtype.kind in "fiub" else table.values.astype(str)
    same = rows.values.shape == expected.shape and bool(
        np.array_equal(rows.values, expected, equal_nan=expected.dtype.kind == "f")
    )
    ids = (None if found is None else found.tolist() for found in (rows.ids, table.ids))
    return "read" if same and len({str(found) for found in ids}) == 1 else "wrong"
