"""Plain facts about one view: its size, missing values, the scales of its columns, its rank."""

from dataclasses import dataclass, replace

import numpy as np

from phasejax.io._duplicates import some_rows
from phasejax.io._fills import find_fill
from phasejax.io._named import NamedRows
from phasejax.io._table import Table

# Views of more columns than this, and as many rows, are too many to count their rank at once.
_RANK_COLUMNS = 1000
# A row is far from the others where it is so many times their spread (of nine in ten) away from the median.
ROW_FAR = 1e6
# Rows that the rank rests on, or twice the columns.
_RANK_ROWS = 3000


@dataclass(frozen=True)
class ViewFacts:
    """One view, as it was given and as its rows were matched.

    Args:
        name: "x" or "y".
        rows, columns: as given.
        identifiers: the first identifier; None where rows have none.
        missing: values that are missing, and the rows and the columns that have some.
        infinite: values that are infinite.
        constant: columns that do not vary.
        smallest, largest: least and greatest standard deviation of a column that varies.
        smallest_column, largest_column: the columns that have them, by name or place.
        rank: linearly independent columns once they are centred and standardised; at most one less than the rows. None
            where it was not counted.
        rows_looked_at: rows that the scales and the rank rest on.
        fill: a number such as -999 that stands far from all others and may mean a missing value; None without.
        fills: how often it stands there, and in how many columns.
        far: the only row that is `ROW_FAR` times the spread of the others away, and the column; None without.
    """

    name: str
    rows: int
    columns: int
    identifiers: str | None
    missing: tuple[int, int, int]
    infinite: int
    constant: int
    smallest: float
    largest: float
    smallest_column: str
    largest_column: str
    rank: int | None
    rows_looked_at: int
    fill: float | None = None
    fills: tuple[int, int] = (0, 0)
    far: tuple[int, str] | None = None

    @property
    def scale_ratio(self) -> float:
        """How many times the greatest standard deviation is the least."""
        return self.largest / self.smallest if self.smallest > 0 else 1.0

    def lines(self) -> tuple[str, str]:
        """Size and scales, a line each, without the name."""
        values, rows, columns = self.missing
        absent = f"{values} values missing ({rows} rows, {columns} columns)" if values else "nothing missing"
        absent += f", {self.infinite} infinite" if self.infinite else ""
        ids = "no identifiers" if self.identifiers is None else f"identifiers ({self.identifiers}, ...)"
        shape = f"{self.rows} rows, {self.columns} column{'s' * (self.columns != 1)}; {ids}; {absent}"
        rank = "rank not counted" if self.rank is None else f"rank {self.rank}"
        constant = f"; {self.constant} constant" if self.constant else ""
        scales = f"{rank} of {self.columns}{constant}; column s.d. {self.smallest:.3g} ({self.smallest_column}) to " \
                 f"{self.largest:.3g} ({self.largest_column})"
        return shape, scales if self.largest else f"{rank} of {self.columns}{constant}"


def view_facts(name: str, given: NamedRows, looked_at: np.ndarray) -> ViewFacts:
    """Facts about one view.

    Args:
        name: "x" or "y".
        given: the view as it came.
        looked_at: some of its matched rows, or of those that came where they could not be matched.

    Raises:
        ValueError: it is no table of numbers.
    """
    raw = some_rows(given.values) if isinstance(given.values, Table) else given.values
    real = raw.dtype.kind == "f"
    missing, infinite = (np.isnan(raw), np.isinf(raw).sum()) if real else (np.zeros(raw.shape, bool), 0)
    finite = looked_at[np.isfinite(looked_at).all(1)]
    spread, constant = _spread(finite)
    varying = np.flatnonzero(~constant)
    order = varying[np.argsort(spread[varying], kind="stable")]
    least, most = (order[0], order[-1]) if order.size else (0, 0)
    fill = find_fill(finite)
    far = _far_row(looked_at) if len(looked_at) == len(given.values) else None
    names = given.columns if given.columns is not None and len(given.columns) == looked_at.shape[1] else None
    return ViewFacts(
        name=name, rows=len(given.values), columns=given.values.shape[1],
        identifiers=None if given.ids is None else str(given.ids[0]),
        missing=(int(missing.sum()), int(missing.any(1).sum()), int(missing.any(0).sum())),
        infinite=int(infinite), constant=int(constant.sum()),
        smallest=float(spread[least]) if order.size else 0.0, largest=float(spread[most]) if order.size else 0.0,
        smallest_column=str(least) if names is None else names[least],
        largest_column=str(most) if names is None else names[most],
        rank=_rank(finite, spread, constant), rows_looked_at=len(finite), fill=None if fill is None else fill[0],
        fills=(0, 0) if fill is None else fill[1:],
        far=None if far is None else (far[0], str(far[1]) if names is None else names[far[1]]))


def table_of_numbers(view: NamedRows, name: str) -> NamedRows:
    """A view that is a table of numbers; one named column as a table of one column.

    Args:
        view: as it came.
        name: "x" or "y".

    Raises:
        ValueError: it has other dimensions, no rows or columns, or holds no numbers.
    """
    values = view.values
    if isinstance(values, np.ndarray) and values.ndim == 1 and view.columns is not None:
        view = replace(view, values=values[:, None])
    if len(view.values.shape) != 2 or 0 in view.values.shape or view.values.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected a table of numbers (rows, columns), got {view.values.dtype} of shape "
                         f"{view.values.shape}")
    return view


def features_of(view: NamedRows, matched: np.ndarray | Table, *others: NamedRows | None) -> NamedRows:
    """A view as it came, without the columns that were found to hold labels or groups as its rows were matched.

    Args:
        view: the rows as they came.
        matched: the values of the matched rows.
        others: labels and groups; None without.
    """
    values, columns = view.values, view.columns
    if columns is None or isinstance(values, Table) or values.shape[1] == matched.shape[1]:
        return view
    taken = {column for rows in others if rows is not None for column in rows.columns or ()}
    kept = [place for place, column in enumerate(columns) if column not in taken]
    return view if len(kept) != matched.shape[1] else replace(
        view, values=values[:, kept], columns=tuple(columns[place] for place in kept))


def _far_row(rows):
    """The row and the column of an entry that is far from all others, where a single row has any."""
    if len(rows) < 20 or not np.isfinite(rows).all():
        return None
    unit = np.abs(np.median(rows, 0)) + np.ptp(np.quantile(rows, [0.05, 0.95], axis=0), axis=0)
    with np.errstate(over="ignore"):
        away = np.abs(rows / ROW_FAR - np.median(rows, 0) / ROW_FAR) > unit
    which = np.flatnonzero(away[:, unit > 0].any(1)) if (unit > 0).any() else np.empty(0, int)
    return None if len(which) != 1 else (int(which[0]), int((away[which[0]] & (unit > 0)).argmax()))


def _spread(rows):
    """Standard deviations of columns, and which columns do not vary; in any unit."""
    if len(rows) < 2:
        return np.zeros(rows.shape[1]), np.ones(rows.shape[1], bool)
    unit = np.abs(rows).max(0)
    constant = rows.min(0) == rows.max(0)
    return (rows / np.where(unit > 0, unit, 1)).std(0, ddof=1) * unit, constant


def _rank(rows, spread, constant):
    """Linearly independent columns of the centred rows in units of their standard deviations."""
    n, d = rows.shape[0], int(np.sum(~constant))
    if n < 2 or d == 0:
        return 0
    if min(n, d) > _RANK_COLUMNS:
        return None
    kept = rows[np.linspace(0, n - 1, min(n, max(_RANK_ROWS, 2 * d))).astype(int)][:, ~constant]
    kept = (kept - kept.mean(0)) / spread[~constant]
    gram = kept.T @ kept if d <= len(kept) else kept @ kept.T
    values = np.linalg.eigvalsh(gram)
    return int(np.sum(values > max(n, d) * 100 * np.finfo(float).eps * values[-1]))
