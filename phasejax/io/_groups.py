"""Groups of rows that are not independent of one another: a patient, a donor, a star, an image with five captions."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from phasejax.io._alike_identifiers import alike_names
from phasejax.io._named import NamedRows
from phasejax.io._table import Table

# Below so many groups, that there are few is said.
_FEW_GROUPS = 10


def group_values(groups: NamedRows) -> np.ndarray:
    """One value for each row of what was given as groups, numbers or text.

    Raises:
        ValueError: there are several columns, or none.
    """
    values = groups.values.rows(0, len(groups.values)) if isinstance(groups.values, Table) else groups.values
    if values.ndim == 2 and values.shape[1] > 1:
        named = "" if groups.columns is None else f" ({', '.join(groups.columns[:6])}; name one: FILE.csv:NAME)"
        raise ValueError(f"groups: expected one column, got {values.shape[1]}{named}")
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"groups: expected one value for each row, got shape {values.shape}")
    return values.reshape(len(values))


def group_name(groups: NamedRows | None) -> str | None:
    """The name of the column that groups were taken from; None where it has none, or there are several."""
    return None if groups is None or groups.columns is None or len(groups.columns) != 1 else groups.columns[0]


def rows_with_group(values: np.ndarray, missing: str, notes: list[str]) -> Int[np.ndarray, "r"] | None:
    """The rows that are kept where some have no group: NaN, or text that is empty. None for all.

    Args:
        values: text or numbers, shape (n,).
        missing: "error", "drop" or "mean", as in `phasejax.io.match_rows`; groups have no mean.
        notes: to which a line is added where rows are left out.

    Raises:
        ValueError: neither text nor numbers; rows have no group and `missing` is not "drop", or none has one.

    >>> rows_with_group(np.array(["b", "", "a"]), "drop", []).tolist()
    [0, 2]
    """
    kind = values.dtype.kind
    if kind not in "iufbUS":
        raise ValueError(f"groups: expected text or whole numbers, got dtype {values.dtype}")
    gone = np.char.str_len(np.char.strip(values)) == 0 if kind in "US" else \
        np.isnan(values) if kind == "f" else np.zeros(len(values), bool)
    if not gone.any():
        return None
    if missing != "drop":
        raise ValueError(f"groups: expected a group in every row, got {gone.sum()} of {len(gone)} without, the first "
                         f"in row {gone.argmax()} (missing 'drop' leaves these rows out)")
    if gone.all():
        raise ValueError(f"groups: expected some rows with a group, got {len(gone)} without")
    notes.append(f"rows without a group left out: {np.sum(~gone)} of {len(gone)} rows have one")
    return np.flatnonzero(~gone)


def encode_groups(values: np.ndarray, notes: list[str]) -> Int[np.ndarray, "n"] | None:
    """Numbers 0 to G - 1 of the groups that rows belong to, in sorted order of their names.

    Args:
        values: text or whole numbers, none of them missing, shape (n,).
        notes: to which a line is added where there are few groups, or no more than rows, or names look alike.

    Returns:
        The numbers; None where every row is a group of its own, since rows are independent then.

    Raises:
        ValueError: a value is no whole number, or there are fewer than two groups.

    >>> encode_groups(np.array(["b", "a", "b"]), []).tolist()
    [1, 0, 1]
    """
    if values.dtype.kind == "f" and (broken := ~np.isfinite(values) | (values != np.floor(values))).any():
        raise ValueError(f"groups: expected text or whole numbers, got {values[broken.argmax()]}")
    names, index, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"groups: expected at least 2 groups, got only {names[0]}")
    if len(names) == len(values):
        notes.append("groups: every row is a group of its own, so rows count as independent")
        return None
    if names.dtype.kind == "U" and (alike := alike_names(names.tolist())):
        notes.append("groups: names that differ only in how they are written count as different: "
                     f"{', '.join(alike[:6])}")
    if len(names) < _FEW_GROUPS:
        notes.append(f"groups: {len(values)} rows in only {len(names)} groups of {sizes.min()} to {sizes.max()} rows; "
                     "the number of groups is the sample size")
    return index.reshape(-1).astype(np.int64)


def without_group_column(name: str, view: NamedRows, groups: NamedRows, of_groups: np.ndarray, notes: list[str]
                         ) -> NamedRows:
    """A view without the column that says which group a row belongs to, where it has that column too.

    Args:
        name: "x" or "y".
        view: the matched rows.
        groups: as they were given.
        of_groups: the name of the group of each matched row.
        notes: to which a line is added where there is such a column.
    """
    if view.columns is None or groups.columns is None or groups.columns[0] not in view.columns:
        return view
    place = view.columns.index(groups.columns[0])
    if isinstance(view.values, Table) or view.values.ndim != 2 or not _same_partition(view.values[:, place], of_groups):
        notes.append(f"{name}: column {view.columns[place]} counts as a feature, but has the name of the groups")
        return view
    notes.append(f"{name}: column {view.columns[place]} says which group a row belongs to and is no feature")
    return replace(view, values=np.delete(view.values, place, 1),
                   columns=view.columns[:place] + view.columns[place + 1:])


def _same_partition(first, second):
    """Whether two sets of names of groups put the same rows together."""
    a, b = (np.unique(names, return_inverse=True)[1].reshape(-1) for names in (first, second))
    return len(np.unique(a * (b.max() + 1) + b)) == a.max() + 1 == b.max() + 1
