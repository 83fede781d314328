"""The parts of the rows of heads: which of them train, validate and test."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from phasejax._core.validation import shown
from phasejax.io import MatchedRows, NamedRows, as_named
from phasejax.io._paired_features import PART_NAMES, PARTS

_VERBS = {"train": "train on", "validation": "validate on", "test": "test on"}
# Shares of the rows, or of the groups, that validate and test where nothing says which do.
_VALIDATION, _TEST = 0.2, 0.2


def are_lists_of_rows(split: Any) -> bool:
    """Whether a split is given as three lists of rows, not as a name for each row."""
    return isinstance(split, tuple | list) and len(split) == 3 and all(np.ndim(rows) == 1 for rows in split)


def named_parts(split: Any, n: int) -> NamedRows:
    """The name of the part of each row, as given or from lists of rows."""
    if are_lists_of_rows(split):
        names = np.full(n, "", dtype="U10")
        for part, rows in zip(PARTS, split, strict=True):
            rows = np.asarray(rows)
            if rows.dtype == bool and len(rows) == n:
                rows = np.flatnonzero(rows)
            if rows.dtype.kind not in "iu" or not rows.size or rows.min() < 0 or rows.max() >= n:
                raise ValueError(f"split: expected the numbers of {part} rows, from 0 to {n - 1}, got {shown(rows)}")
            if (names[rows] != "").any() or len(np.unique(rows)) < len(rows):
                often, counts = np.unique(rows, return_counts=True)
                row = int(often[(counts > 1) | (names[often] != "")][0])
                raise ValueError(f"split: expected every row in one part at most, got row {row} in {part} and "
                                 f"{names[row] or part}")
            names[rows] = part
        return NamedRows(names)
    return as_named(split, "split")


def given_parts(matched: MatchedRows, n: int) -> Int[np.ndarray, "n"]:
    """For each row the place of its part in `PARTS`; -1 for rows that take no part."""
    values = np.asarray(matched.labels)
    values = values.reshape(len(values), -1)
    if values.shape[1] != 1 or values.dtype.kind not in "US":
        raise ValueError("split: expected one column of the names train, validation and test, got "
                         f"{shown(matched.labels)}")
    which = np.arange(n) if matched.labelled is None else matched.labelled
    if len(which) != len(values):
        raise ValueError(f"split: expected {n} rows, one for each row of x, got {len(values)}")
    part = np.full(n, -1)
    for row, name in zip(which, values[:, 0].tolist(), strict=True):
        known = PART_NAMES.get(name.strip().lower())
        if known is None:
            raise ValueError(f"split: expected the names train, validation and test, got {name!r}")
        part[row] = PARTS.index(known)
    return part


def drawn_parts(seed: int, n: int, groups: Int[np.ndarray, "n"] | None, targets: Sequence[Any]
                ) -> Int[np.ndarray, "n"]:
    """Parts at random, whole groups in one, with the classes of the first target spread over all."""
    rng = np.random.default_rng([seed, 1])
    first = next(target for target in targets if not target.nuisance)
    classes = np.where(first.known, first.values, -1).astype(int) if first.kind == "class" else np.zeros(n, int)
    part = np.zeros(n, int)
    if groups is None:
        for one in np.unique(classes):
            rows = rng.permutation(np.flatnonzero(classes == one))
            held, tested = round(_VALIDATION * len(rows)), round(_TEST * len(rows))
            part[rows[:held]], part[rows[held:held + tested]] = 1, 2
        return part
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 3:
        raise ValueError(f"groups: expected at least 3, to train, validate and test on, got {len(names)}")
    order = rng.permutation(len(names))
    taken: dict[int, Any] = {1: 0, 2: 0}
    of_group = np.zeros(len(names), int)
    for share, place in ((_TEST, 2), (_VALIDATION, 1)):
        for group in order:
            # A group that would make the part larger than training is left where it is.
            fits = taken[place] + sizes[group] <= (1.5 * share * n if taken[place] else n / 3)
            if of_group[group] == 0 and taken[place] < share * n and fits:
                of_group[group] = place
                taken[place] += sizes[group]
        if not taken[place]:
            smallest = int(np.where(of_group == 0, sizes, n + 1).argmin())
            of_group[smallest] = place
    return of_group[np.searchsorted(names, groups)]


def check_parts(rows: Any) -> None:
    """Refuse parts that are too small, that share a group, or in which a target has no values."""
    sizes = [len(rows.rows(part)) for part in PARTS]
    for part, size in zip(PARTS, sizes, strict=True):
        if size < (8 if part == "train" else 2):
            raise ValueError(f"split: expected at least {8 if part == 'train' else 2} rows to {_VERBS[part]}, got "
                             f"{size}")
    if rows.groups is not None:
        seen: dict[int, int] = {}
        for group, part in zip(rows.groups.tolist(), rows.part.tolist(), strict=True):
            if part >= 0 and seen.setdefault(group, part) != part:
                row = int(np.flatnonzero((rows.groups == group) & (rows.part >= 0))[0])
                raise ValueError(f"split: expected every group in one part, got the group of row {row} in both "
                                 f"{PARTS[seen[group]]} and {PARTS[part]}")
    for target in rows.targets:
        for part in PARTS:
            of_part = target.values[target.known & (rows.part == PARTS.index(part))]
            what = "nuisance" if target.nuisance else "labels"
            least = 2 if part != "validation" else 1
            if len(of_part) < least:
                raise ValueError(f"{what} {target.name}: expected values among the rows to {_VERBS[part]}, got "
                                 f"{len(of_part)}")
            if part == "train" and len(np.unique(of_part)) < 2:
                raise ValueError(f"{what} {target.name}: expected at least 2 different values among the rows to train "
                                 "on, got 1")
