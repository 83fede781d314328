"""Known nuisance of the rows (batch, donor, position, observing conditions) as columns for least squares.

Each confounder is a class, of which every level gets an indicator column, or a real value, which counts linearly. What
is not linear in a value can be given as several: the columns of a spline, or bins as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int

from phasejax._core.residuals import basis_of
from phasejax.io._confounder_coding import ConfounderCoding, class_codes, confounder_words
from phasejax.io._frames import all_differ
from phasejax.io._labels import class_name
from phasejax.io._matched_labels import without_identifier_column
from phasejax.io._matching import MatchedRows
from phasejax.io._named import NamedRows, as_named
from phasejax.io._plain_values import column_values
from phasejax.io._row_identifiers import check_position, joined_to_rows
from phasejax.io._row_order import taken_rows
from phasejax.io._table import Table
from phasejax.io._text_header import is_id_name


@dataclass(frozen=True, eq=False)
class Confounders:
    """Confounders of n rows as columns.

    Args:
        names: of the confounders.
        levels: how many each class has; 0 for real values.
        known: indicators of all levels and standardised real values, shape (n, q).
        rank: of a constant and these columns.
        cells: number of the combination of classes that each row has; None where no confounder is a class.
    """

    names: tuple[str, ...]
    levels: tuple[int, ...]
    known: Float[np.ndarray, "n q"]
    rank: int
    cells: Int[np.ndarray, "n"] | None

    def words(self) -> str:
        """The confounders and what each is, as in "batch (3 levels), age (real)"."""
        return confounder_words(self.names, self.levels)


def named_confounders(value: Any) -> list[NamedRows]:
    """What a user gave as confounders, one or several tables with identifiers where they have some.

    Args:
        value: what `as_named` takes; a data frame may hold text and numbers; a dictionary of columns by name, or a
            list of `NamedRows`.

    Raises:
        ValueError: as `as_named`.
    """
    package, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if package in ("polars", "pyarrow") and hasattr(value, "to_pandas"):
        value, package, kind = value.to_pandas(), "pandas", type(value.to_pandas()).__name__
    if package == "pandas" and kind == "DataFrame":
        ids = [name for name in value.columns if is_id_name(str(name)) and all_differ(value[name], floats=True)]
        return [as_named(value[[*ids, name]] if ids else value[name], "confounders")
                for name in value.columns if name not in ids]
    if isinstance(value, Mapping):
        return [replace(rows, columns=(str(name),) if len(rows.values.shape) == 1 else rows.columns)
                for name, rows in ((name, as_named(column, "confounders")) for name, column in value.items())]
    if isinstance(value, Sequence) and len(value) and all(isinstance(rows, NamedRows) for rows in value):
        return list(value)
    return [as_named(value, "confounders")]


def confounder_columns(given: Sequence[NamedRows]) -> dict[str, str]:
    """What is said of the confounders' columns where a view has them too, by name, as `as_named` takes it.

    Args:
        given: what `named_confounders` returns.
    """
    return {name: "is a confounder" for rows in given for name in rows.columns or ()}


def confounders_of_rows(given: Sequence[NamedRows], matched: MatchedRows, *, by_position: bool = False,
                        missing: str = "error") -> tuple[MatchedRows, dict[str, np.ndarray]]:
    """The confounders of matched rows by name, joined to them as groups are.

    Args:
        given: what `named_confounders` returns.
        matched: rows of both views.
        by_position: whether identifiers do not count.
        missing: "drop" leaves out rows for which one is missing; anything else refuses them.

    Returns:
        The matched rows that have all confounders, and the values of these rows.

    Raises:
        ValueError: other numbers of rows, identifiers without a match, values that are missing, no columns.
    """
    columns: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for rows in given:
        rows = without_identifier_column(rows, "confounders")
        values = cast(np.ndarray, rows.values)
        if values.ndim not in (1, 2) or not values.size:
            raise ValueError(f"confounders: expected one value or several for each row, got shape {values.shape}")
        values = _joined(replace(rows, values=values.reshape(len(values), -1)), matched, by_position, notes)
        for place in range(values.shape[1]):
            name = rows.columns[place] if rows.columns else "confounder"
            same = sum(other == name or other.startswith(f"{name} #") for other in columns)
            columns[f"{name} #{same + 1}" if same else name] = values[:, place]
    gone = np.any([_missing(values) for values in columns.values()], axis=0)
    if gone.any():
        if missing != "drop":
            raise ValueError(f"confounders: expected a value in every row, got {gone.sum()} of {len(gone)} without, "
                             f"the first in row {gone.argmax()} (missing 'drop' leaves these rows out)")
        if gone.all():
            raise ValueError(f"confounders: expected some rows with all of them, got {len(gone)} without")
        notes.append(f"rows without a confounder left out: {np.sum(~gone)} of {len(gone)} rows have all")
        if isinstance(matched.x, Table) or isinstance(matched.y, Table):
            raise ValueError("confounders: expected a value in every row of views that do not fit in memory, got rows "
                             "without")
        matched = taken_rows(matched, np.flatnonzero(~gone))
        columns = {name: values[~gone] for name, values in columns.items()}
    readings = (*matched.readings, *(note for rows in given for note in rows.notes))
    return replace(matched, readings=readings, notes=(*matched.notes, *dict.fromkeys(notes))), columns


def encode_confounders(columns: Mapping[str, np.ndarray]) -> Confounders:
    """Confounders as columns for least squares.

    Text and booleans are classes. So are whole numbers of which each occurs 5 times or more on average, since an effect
    of each level holds a linear one too; other numbers are real values.

    Args:
        columns: values of n rows by name, none of them missing.

    Raises:
        ValueError: a confounder of one value, or with more levels than half of the rows; more columns than that in all.

    >>> encode_confounders({"batch": np.array(["a", "b", "a", "b"] * 2), "age": np.arange(8) + 0.5}).words()
    'batch (2 levels), age (real)'
    """
    cells = None
    for name, values in columns.items():
        n = len(values)
        codes = class_codes(values)
        if codes is None:
            numbers = np.asarray(values, np.float64)
            if not np.isfinite(numbers).all():
                raise ValueError(f"confounders: expected finite numbers, got "
                                 f"{numbers[~np.isfinite(numbers)][0]} in {name}")
            centred = numbers - numbers[0]
            spread = (centred / max(np.abs(centred).max(), np.finfo(float).tiny)).std()
            if not np.ptp(numbers) > 0 or not spread > 0:
                raise ValueError(f"confounders: expected values that vary, got only {numbers[0]:.6g} in {name}")
            continue
        count = int(codes.max()) + 1
        if count < 2:
            raise ValueError(f"confounders: expected at least 2 levels, got only {class_name(values[0])} in {name}")
        if 2 * count > n:
            raise ValueError(f"confounders: expected levels of 2 rows or more on average, got {count} in the {n} rows "
                             f"of {name}")
        cells = codes if cells is None else np.unique(cells * count + codes, return_inverse=True)[1].reshape(-1)
    coding = ConfounderCoding.of(columns)
    known = coding.known(columns)
    rank = basis_of(known).shape[1]
    if 2 * rank > len(known):
        raise ValueError(f"confounders: expected at most half as many columns as the {len(known)} rows, got "
                         f"{rank - 1}")
    return Confounders(coding.names, coding.counts, known, rank, cells)


def plain_column(column: Any) -> np.ndarray:
    """The values of one column of a data frame, text or numbers.

    Raises:
        ValueError: one is missing.
    """
    values = column_values(column, "confounders")
    if (gone := _missing(values)).any():
        raise ValueError(f"confounders: expected a value in every row, got {gone.sum()} of {len(gone)} without")
    return values


def _joined(rows, matched, by_position, notes):
    """The values of the matched rows; those of rows without any are missing."""
    values, n = cast(np.ndarray, rows.values), len(matched.x)
    if rows.ids is not None and matched.ids is not None and not by_position:
        where, order = joined_to_rows("confounders", matched.ids, rows.ids)
        if len(where) == n:
            return values[order]
        found = np.full((n, values.shape[1]), "" if values.dtype.kind in "US" else np.nan,
                        values.dtype if values.dtype.kind in "US" else float)
        found[where] = values[order]
        return found
    if rows.ids is not None and not by_position:
        check_position("confounders", "x", rows.ids, matched.given)
        notes.append("x, y: no identifiers, so confounders are paired with rows by position")
    elif len(values) != matched.given:
        raise ValueError(f"confounders: expected {matched.given} rows, one for each row of x, got {len(values)}")
    elif matched.ids is not None:
        notes.append("confounders: no identifiers, so they are paired with the rows of x by position")
    return values if matched.rows is None else values[matched.rows]


def _missing(values):
    return np.char.str_len(np.char.strip(values)) == 0 if values.dtype.kind in "US" else \
        np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
