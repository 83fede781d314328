"""What features must not be: missing, or identifiers in disguise."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from phasejax.io._named import NamedRows
from phasejax.io._table import Table

# From so many rows on, a column of whole numbers that all differ is unlikely to be a measurement.
ROWS_OF_AN_IDENTIFIER = 20
# More such columns than this are counts, not identifiers.
_IDENTIFIERS_AT_MOST = 2


def suspected_identifiers(name: str, view: NamedRows) -> Iterator[str]:
    """Notes about columns that look like identifiers: whole numbers that all differ."""
    for place in columns_like_identifiers(view):
        column = place if view.columns is None else view.columns[place]
        yield (f"{name}: column {column} counts as a feature, but its whole numbers all differ, as those of an "
               "identifier do")


def columns_like_identifiers(view: NamedRows) -> list[int]:
    """Places of the columns whose whole numbers all differ; none where these are too many to be identifiers."""
    values = view.values
    if isinstance(values, Table) or values.ndim != 2 or values.dtype.kind not in "fiu" \
            or len(values) < ROWS_OF_AN_IDENTIFIER:
        return []
    few = values[:ROWS_OF_AN_IDENTIFIER]
    with np.errstate(invalid="ignore"):
        candidates = np.flatnonzero(np.all(few == np.floor(few), 0))
    found = [int(place) for place in candidates[:10_000] if all_whole_and_different(values[:, place])]
    return found if len(found) <= _IDENTIFIERS_AT_MOST else []


def all_whole_and_different(column: np.ndarray) -> bool:
    """Whether a column holds whole numbers of which none occurs twice."""
    return (column.dtype.kind in "iu" or (column.dtype.kind == "f" and bool(np.all(column == np.floor(column))))) \
        and len(np.unique(column)) == len(column)


def without_missing(x: np.ndarray | Table, y: np.ndarray | Table, missing: str, notes: list[str]
                    ) -> tuple[np.ndarray | Table, np.ndarray | Table, Int[np.ndarray, "r"] | None]:
    """The views without missing values, and the rows that are kept (None for all).

    Args:
        x, y: matched views. Tables and what is no table of numbers are left alone, to be refused or checked later.
        missing: "error", "drop" or "mean", as in `phasejax.io.match_rows`.
        notes: to which a line is added where values are missing.

    Raises:
        ValueError: values are missing and `missing` is "error", no row is complete, or a column has no value.
    """
    if isinstance(x, Table) or isinstance(y, Table):
        if missing != "error":
            raise ValueError(f"missing: expected 'error' for tables that are read in blocks, got {missing!r}")
        return x, y, None  # values that are missing are refused as the blocks are read
    gone = {name: _missing_values(view) for name, view in (("x", x), ("y", y))}
    if all(where is None for where in gone.values()):
        return x, y, None
    for name, where in gone.items():
        if where is not None and missing == "error":
            raise ValueError(
                f"{name}: expected finite values, got {where.sum()} that are NaN or masked, in {where.any(1).sum()} of "
                f"{len(where)} rows and {where.any(0).sum()} of {where.shape[1]} columns, the first in row "
                f"{where.any(1).argmax()} (missing 'drop' keeps complete rows, 'mean' fills in column means)")
    if missing == "mean":
        filled = []
        for name, view in (("x", x), ("y", y)):
            where = gone[name]
            if where is None:
                filled.append(view)
                continue
            if where.all(0).any():
                raise ValueError(f"{name}: expected a value in every column, got only missing ones in column "
                                 f"{where.all(0).argmax()}")
            notes.append(f"{name}: {where.sum()} missing values in {where.any(1).sum()} of {len(where)} rows replaced "
                         "by the means of their columns over all rows")
            filled.append(np.where(where, np.nanmean(view, 0, np.float64), view).astype(view.dtype))
        return filled[0], filled[1], None
    if len(x) != len(y):
        return x, y, None  # refused where views are checked
    complete = ~np.any([where.any(1) for where in gone.values() if where is not None], 0)
    notes.append(f"rows with missing values left out: {complete.sum()} of {len(complete)} rows are complete")
    if not complete.any():
        raise ValueError("x, y: expected some rows without missing values, got none")
    kept = np.flatnonzero(complete)
    return x[kept], y[kept], kept


def _missing_values(view: np.ndarray) -> np.ndarray | None:
    """Where a view has NaN; None where it has none, is no table of numbers, or has infinities too."""
    if view.ndim != 2 or view.dtype.kind != "f":
        return None
    if np.isfinite(view).all():
        return None
    where = np.isnan(view)
    return where if where.any() and np.isfinite(view[~where]).all() else None
