"""Catalogues of single quantities of Kepler's stars, as tables of text: ages, and whether a star is a binary."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from phasejax._core.input_files import check_regular_file, reading
from phasejax._core.terminal import listed
from phasejax.io._star_identifiers import star_ids
from phasejax.io._table import import_reader
from phasejax.io._text_columns import title_columns
from phasejax.io._text_dialect import MISSING, read_rows

AGE, BINARITY = "final_age", "binarity_class"
# Binary candidates of this class are neither counted as single nor as binary.
_UNSURE_CLASS = 3


def find_catalogue(folders: Iterable[Path], column: str) -> Path | None:
    """The one table of a folder that has the columns KID and `column`; None where no folder has one.

    Args:
        folders: where to look, in order; the first that has such a table counts.
        column: what it must tell.

    Raises:
        ValueError: a folder has several.
    """
    for folder in folders:
        found = [path for path in sorted(folder.glob("*.csv")) if {"KID", column} <= set(_header(path))]
        if len(found) > 1:
            raise ValueError(f"{folder}: expected one table with the columns KID and {column}, got "
                             f"{listed(path.name for path in found)}")
        if found:
            return found[0]
    return None


def _header(path):
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            return [name.strip().strip('"') for name in re.split("[,;\t]", stream.readline(10**6))]
    except OSError:
        return []


def age_of_stars(path: Path, kid: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """The age of each star in the catalogue's unit, NaN where it has none or, where it has errors, no error of it.

    Args:
        path: a table with the columns KID and final_age.
        kid: Kepler identifiers, empty where there is none.

    Raises:
        ValueError: it is no such table, gives a star two values, or has none of these.
    """
    table = _read(path, "KID", AGE, optional=("age_error",))
    ages = _numbers(path, table, AGE)
    if "age_error" in table[0]:
        ages = np.where(np.isnan(_numbers(path, table, "age_error")), np.nan, ages)
    return _joined(path, table, ages, kid, AGE)


def binarity_of_stars(path: Path, kid: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """1 for binaries, 0 for single stars, NaN where that is not known: class 3 is left out, and above 0 are binaries.

    Args:
        path: a table with the columns KID and binarity_class.
        kid: Kepler identifiers, empty where there is none.

    Raises:
        ValueError: it is no such table, gives a star two values, has a class that is no whole number, or has none of
            these.
    """
    table = _read(path, "KID", BINARITY)
    classes = _numbers(path, table, BINARITY)
    known = classes[~np.isnan(classes)]
    if (odd := known[(known != np.floor(known)) | (known < 0)]).size:
        raise ValueError(f"{path}: expected whole numbers from 0 on in {BINARITY}, got {odd[0]:g}")
    classes = np.where(classes == _UNSURE_CLASS, np.nan, classes)
    return _joined(path, table, np.where(np.isnan(classes), np.nan, classes > 0), kid, BINARITY)


def kid_of_gaia(path: Path, gaia: Shaped[np.ndarray, "n"]) -> Shaped[np.ndarray, "n"]:
    """The Kepler identifier of each star by its Gaia identifier, empty where the catalogue has none.

    Args:
        path: a Parquet file or table of text with the columns gaia_source_id and KID; a star may have several rows.
        gaia: Gaia identifiers, empty where there is none.

    Raises:
        ValueError: it is no such table, or has several KID of one star.
    """
    check_regular_file(path)
    names = ["gaia_source_id", "KID"]
    if path.suffix.lower() in (".parquet", ".pq"):
        parquet = import_reader("pyarrow.parquet", "parquet", str(path))
        with reading(str(path), "a Parquet file with the columns gaia_source_id and KID"):
            table = parquet.read_table(path, columns=names).to_pandas(integer_object_nulls=True)
    else:
        table, _ = _read(path, *names)
    of_gaia, of_kid = (star_ids([pd.Series(table[name])], [f"{path}: {name}"])[0][0] for name in names)
    known = (of_gaia != "") & (of_kid != "")
    pairs = np.unique(np.stack([of_gaia[known], of_kid[known]]), axis=1)
    keys, counts = np.unique(pairs[0], return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{path}: expected one KID of each gaia_source_id, got several of {keys[counts.argmax()]}")
    found = dict(zip(*pairs.tolist(), strict=True))
    return np.array([found.get(one, "") for one in gaia.tolist()], str)


def _read(path, *needed, optional=()):
    """Columns of a table of text by name, as text, and what separates decimals there."""
    table = title_columns(read_rows(path, str(path)), needed)
    places = [table.place(name) for name in needed]
    names = [*needed, *(name for name in optional if table.names is not None and name in table.names)]
    places += [table.place(name) for name in names[len(needed):]]
    return pd.DataFrame({name: table.text(place) for name, place in zip(names, places, strict=True)}), \
        table.rows.decimal


def _numbers(path, table, column):
    frame, decimal = table
    texts = frame[column].mask(frame[column].isin(MISSING))
    return as_numbers(texts.str.replace(decimal, "."), f"{path}: expected finite numbers in {column}")


def as_numbers(column: pd.Series, expected: str) -> Float[np.ndarray, "n"]:
    """A column as float64, NaN where a value is missing.

    Args:
        column: numbers, perhaps as text.
        expected: what the error begins with.

    Raises:
        ValueError: text that is no number, or infinity.
    """
    values = np.asarray(pd.Series(pd.to_numeric(column, errors="coerce")).to_numpy(float, na_value=np.nan))
    odd = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values)
    if odd.any():
        raise ValueError(f"{expected}, got {str(column.iloc[odd.argmax()])!r} in row {odd.argmax()}")
    return values


def _joined(path, table, values, kid, column):
    """The values of the stars, in their order."""
    (theirs,), _ = star_ids([table[0]["KID"]], [f"{path}: KID"])
    told = pd.DataFrame({"star": theirs, "value": values}).loc[theirs != ""].drop_duplicates()
    sorted_ids, first, counts = np.unique(told["star"].to_numpy(str), return_index=True, return_counts=True)
    if (counts > 1).any():
        star = sorted_ids[(counts > 1).argmax()]
        several = " and ".join(f"{one:g}" for one in told["value"].to_numpy(float)[told["star"].to_numpy(str) == star])
        raise ValueError(f"{path}: expected one {column} of each KID, got {several} of {star}, {np.sum(counts > 1)} "
                         "such stars in all")
    sorted_values = told["value"].to_numpy(float)[first]
    found = np.full(len(kid), np.nan)
    if sorted_ids.size:
        place = np.minimum(np.searchsorted(sorted_ids, kid), len(sorted_ids) - 1)
        found = np.where((kid != "") & (sorted_ids[place] == kid), sorted_values[place], np.nan)
    if np.isnan(found).all():
        example = f" (stars have KID {kid[kid != ''][0]}, ...)" if (kid != "").any() else " (no star has a KID)"
        raise ValueError(f"{path}: expected {column} of some of the {len(kid)} stars, got none{example}")
    return found
