"""The rows of heads: features, targets with missing values, and which rows train, validate and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from phasejax._core.validation import shown
from phasejax.io import MatchedRows, NamedRows, Table, as_named, match_rows
from phasejax.io._arrays import finite_view
from phasejax.io._duplicates import near_duplicates
from phasejax.io._inspection import LEAST_MEMBERS
from phasejax.io._label_columns import from_one_hot, labels_among_features
from phasejax.io._labels import class_name, encode_labels, enough_members, label_notes, resolved_kind

PARTS = ("train", "validation", "test")
# Names under which a file may call the parts.
_NAMES = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
          "validation": "validation", "test": "test", "testing": "test"}
# Shares of the rows, or of the groups, that validate and test where nothing says which do.
_VALIDATION, _TEST = 0.2, 0.2
# Ratio of the standard deviations of a view's columns above which they count as quantities in different units; the
# same at which a diagnosis divides each by its own.
_MIXED_UNITS = 1e3


@dataclass(frozen=True, eq=False)
class Target:
    """What a probe is to predict.

    Args:
        name: of the target.
        kind: "class" or "real".
        values: classes from 0 on, or real values, of all n rows; 0 where there is none.
        known: which rows have a value.
        classes: names of the classes, in sorted order; none of real values.
        nuisance: whether it is a nuisance, whose prediction counts as leakage.
    """

    name: str
    kind: str
    values: Float[np.ndarray, "n"]
    known: Bool[np.ndarray, "n"]
    classes: tuple[str, ...]
    nuisance: bool


@dataclass(frozen=True, eq=False)
class HeadRows:
    """Matched rows with their targets and parts.

    Args:
        x, y: features, shapes (n, d_x) and (n, d_y).
        groups: numbers of the groups that rows belong to; None where every row is its own.
        targets: what is to be predicted, nuisances last.
        part: for each row its place in `PARTS`; -1 for rows that take no part.
        warnings: what limits the answer.
        notes: how inputs were read.
    """

    x: Float[np.ndarray, "n d_x"]
    y: Float[np.ndarray, "n d_y"]
    groups: Int[np.ndarray, "n"] | None
    targets: tuple[Target, ...]
    part: Int[np.ndarray, "n"]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def rows(self, part: str) -> Int[np.ndarray, "m"]:
        """The rows of a part."""
        return np.flatnonzero(self.part == PARTS.index(part))


def head_rows(x: Any, y: Any, labels: Any, *, nuisance: Any, groups: Any, split: Any, label_kind: Any,
              by_position: bool, missing: str, seed: int) -> HeadRows:
    """Matched rows, targets and parts, checked.

    Args:
        x, y, labels, nuisance, groups, split, label_kind, by_position, missing, seed: as in `train_heads`.

    Raises:
        ValueError: in one line, naming the argument.
    """
    groups = None if groups is None else as_named(groups, "groups")
    of_groups = None if groups is None or not groups.columns or len(groups.columns) != 1 else groups.columns[0]
    x, y = (as_named(view, name, groups_column=of_groups) for name, view in (("x", x), ("y", y)))
    given = [*((name, value, False) for name, value in named_targets("labels", labels).items()),
             *((name, value, True) for name, value in named_targets("nuisance", nuisance).items())]
    if not any(not is_nuisance for _, _, is_nuisance in given):
        raise ValueError("labels: expected at least one target, got none")
    names = [name for name, _, _ in given]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"labels, nuisance: expected different names of targets, got {twice} twice")
    if split is not None:
        given.append(("", _named_parts(split, len(x)), False))
    options: Any = {"groups": groups, "by_position": by_position, "missing": missing}
    x, y, found, left_out = _without_targets(x, y, given, options)
    base = match_rows(x, y, **options)
    notes, limits = [*base.readings, *base.notes, *left_out], list(base.limits)
    features = [finite_view(name, view.rows(0, len(view)) if isinstance(view, Table) else view)
                for name, view in (("x", base.x), ("y", base.y))]
    if len(features[0]) != len(features[1]):
        raise ValueError(f"y: expected {len(features[0])} rows as in x, got {len(features[1])}")
    n = len(features[0])
    targets: list[Target] = []
    for (name, _, is_nuisance), matched in zip(given, found, strict=True):
        notes += [_called(note, name, is_nuisance) for note in matched.notes if note not in base.notes and name]
        if name:
            targets += _targets(name, matched, n, is_nuisance, _kind_of(label_kind, name), notes, limits)
    for target in targets:
        for view, values in zip("xy", features, strict=True):
            of_class = target.values[target.known]
            limits += labels_among_features(view, values, np.flatnonzero(target.known),
                                            of_class.astype(int) if target.kind == "class" else of_class, target.kind)
    if base.groups is None and split is None and (copies := near_duplicates(base.x, base.y)) is not None:
        limits.append(copies)
    part = _given_parts(found[-1], n) if split is not None else _drawn_parts(seed, n, base.groups, targets)
    rows = HeadRows(features[0], features[1], base.groups, tuple(targets), part, tuple(dict.fromkeys(limits)),
                    tuple(dict.fromkeys((*notes, *limits))))
    _check_parts(rows)
    return rows


def named_targets(argument: str, given: Any) -> dict[str, Any]:
    """Targets by name: those of a mapping, or a single one.

    Args:
        argument: "labels" or "nuisance".
        given: a mapping of names, or what `as_named` takes; None for no target.
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        for name in given:
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"{argument}: expected names of targets, got {shown(name)}")
        return {name: as_named(value, argument) for name, value in given.items()}
    rows = as_named(given, argument)
    one = rows.columns[0] if rows.columns is not None and len(rows.columns) == 1 else None
    return {str(one or ("label" if argument == "labels" else "nuisance")): rows}


def _kind_of(label_kind, name):
    kind = label_kind.get(name, "auto") if isinstance(label_kind, Mapping) else label_kind
    if kind not in ("auto", "class", "real"):
        raise ValueError(f"label_kind: expected auto, class or real, got {shown(kind)}")
    return kind


def _called(note, name, is_nuisance):
    """A message about labels that says which target it is about."""
    text = str(note)
    return f"{'nuisance' if is_nuisance else 'labels'} {name}{text.removeprefix('labels')}" \
        if text.startswith("labels:") else text


def _without_targets(x, y, given, options) -> tuple[NamedRows, NamedRows, list[MatchedRows], list[str]]:
    """Views without columns that targets were taken from, the matched rows of each target, and what was left out."""
    left_out: list[str] = []
    while True:
        base, found = match_rows(x, y, **options), []
        for name, value, is_nuisance in given:
            try:
                found.append(match_rows(x, y, value, **options))
            except ValueError as error:
                raise ValueError(_called(error, name or "split", is_nuisance) if name else
                                 str(error).replace("labels:", "split:", 1)) from None
        gone = [{column for matched, (_, value, _) in zip(found, given, strict=True)
                 if getattr(matched, view).shape[1] < getattr(base, view).shape[1] for column in value.columns or ()}
                for view in "xy"]
        if not any(gone):
            return x, y, found, left_out
        left_out += [note for matched in found for note in matched.notes if note.endswith("holds the labels and is no "
                                                                                          "feature")]
        x, y = (_without(view, names) for view, names in zip((x, y), gone, strict=True))


def _without(view, names):
    kept = [place for place, name in enumerate(view.columns or ()) if name not in names]
    if not names or len(kept) == len(view.columns):
        return view
    return replace(view, values=np.asarray(view.values)[:, kept], columns=tuple(view.columns[i] for i in kept))


def _targets(name, matched, n, is_nuisance, kind, notes, limits):
    """The targets of one argument: one, or as many as it has real columns."""
    of_columns: list[str] = []
    try:
        values = from_one_hot(matched.labels, kind, of_columns)
        which = np.arange(n) if matched.labelled is None else matched.labelled
        if len(which) != len(values):
            encode_labels(values, rows=len(which), kind=kind)  # refuses them
        of_columns += label_notes(values, kind)
        kind = resolved_kind(values, kind)
        kept, small = enough_members(values, kind, LEAST_MEMBERS)
        which, values = which[kept], values[kept]
        encode_labels(values, rows=len(values), kind=kind)  # refuses what is no target
    except ValueError as error:
        raise ValueError(_called(error, name, is_nuisance)) from None
    notes += [_called(note, name, is_nuisance) for note in of_columns]
    limits += [_called(note, name, is_nuisance) for note in small]
    columns = values.reshape(len(values), -1)
    known = np.zeros(n, bool)
    known[which] = True
    for place in range(columns.shape[1]):
        own, everywhere, classes = columns[:, place], np.zeros(n), ()
        if kind == "class":
            names, own = np.unique(own, return_inverse=True)
            classes = tuple(str(class_name(one)) for one in names)
        everywhere[which] = own.reshape(-1)
        yield Target(name if columns.shape[1] == 1 else f"{name} {place + 1}", kind, everywhere, known, classes,
                     is_nuisance)


# Parts


def _named_parts(split, n):
    """The name of the part of each row, as given or from lists of rows."""
    if isinstance(split, tuple | list) and len(split) == 3 and all(np.ndim(rows) == 1 for rows in split):
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


def _given_parts(matched, n):
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
        known = _NAMES.get(name.strip().lower())
        if known is None:
            raise ValueError(f"split: expected the names train, validation and test, got {name!r}")
        part[row] = PARTS.index(known)
    return part


def _drawn_parts(seed, n, groups, targets):
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


def _check_parts(rows):
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


_VERBS = {"train": "train on", "validation": "validate on", "test": "test on"}


def like_units(view: Float[np.ndarray, "n d"], training: Sequence[int] | np.ndarray) -> tuple[np.ndarray, bool]:
    """What each column is divided by before all are standardised by one number, and whether the columns differ.

    Args:
        view: features.
        training: rows that may be looked at.
    """
    rows = view[training]
    deviations = (rows - rows.mean(0)).std(0)
    largest = deviations.max()
    varies = deviations > 1e-12 * max(largest, np.finfo(float).tiny)
    if not varies.any() or largest <= _MIXED_UNITS * deviations[varies].min():
        return np.ones(view.shape[1]), False
    return np.where(varies, deviations, 1.0), True
