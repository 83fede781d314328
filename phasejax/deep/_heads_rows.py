"""The rows of heads: features, targets with missing values, and which rows train, validate and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from phasejax._core.validation import shown
from phasejax.deep._heads_parts import (
    PARTS,
    are_lists_of_rows,
    check_parts,
    drawn_parts,
    given_parts,
    named_parts,
)
from phasejax.io import MatchedRows, NamedRows, Table, as_named, match_rows
from phasejax.io._arrays import finite_view
from phasejax.io._confounders import confounder_columns, confounders_of_rows, named_confounders
from phasejax.io._duplicates import near_duplicates
from phasejax.io._inspection import LEAST_MEMBERS
from phasejax.io._label_columns import from_one_hot, labels_among_features
from phasejax.io._labels import class_name, encode_labels, enough_members, label_notes, resolved_kind


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
        confounders: values of known nuisance by name, which features still hold; none without.
    """

    x: Float[np.ndarray, "n d_x"]
    y: Float[np.ndarray, "n d_y"]
    groups: Int[np.ndarray, "n"] | None
    targets: tuple[Target, ...]
    part: Int[np.ndarray, "n"]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    confounders: Mapping[str, np.ndarray] = field(default_factory=dict)

    def rows(self, part: str) -> Int[np.ndarray, "m"]:
        """The rows of a part."""
        return np.flatnonzero(self.part == PARTS.index(part))


def head_rows(x: Any, y: Any, labels: Any, *, nuisance: Any, groups: Any, split: Any, label_kind: Any,
              by_position: bool, missing: str, seed: int, confounders: Any = None) -> HeadRows:
    """Matched rows, targets and parts, checked.

    Args:
        x, y, labels, nuisance, groups, split, label_kind, by_position, missing, seed, confounders: as in `train_heads`.

    Raises:
        ValueError: in one line, naming the argument.
    """
    groups = None if groups is None else as_named(groups, "groups")
    of_groups = None if groups is None or not groups.columns or len(groups.columns) != 1 else groups.columns[0]
    if split is not None and not are_lists_of_rows(split):
        split = as_named(split, "split")
    known = [] if confounders is None else named_confounders(confounders)
    given = [*((name, value, False) for name, value in named_targets("labels", labels).items()),
             *((name, value, True) for name, value in named_targets("nuisance", nuisance).items())]
    others = other_columns([*(rows for _, rows, _ in given), *([split] if isinstance(split, NamedRows) else [])], known)
    x, y = (as_named(view, name, groups_column=of_groups, other_columns=others) for name, view in (("x", x), ("y", y)))
    if not any(not is_nuisance for _, _, is_nuisance in given):
        raise ValueError("labels: expected at least one target, got none")
    names = [name for name, _, _ in given]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"labels, nuisance: expected different names of targets, got {twice} twice")
    if split is not None:
        given.append(("", named_parts(split, len(x)), False))
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
    part = None if split is None else given_parts(found[-1], n)
    groups, columns = base.groups, {}
    if known:
        complete, columns = confounders_of_rows(known, replace(base, rows=np.arange(n)) if base.rows is None else base,
                                                by_position=by_position, missing=missing)
        notes += [note for note in (*complete.readings, *complete.notes) if note not in notes]
        if len(complete.x) < n:  # missing 'drop' leaves rows out
            kept = np.isin(np.arange(n) if base.rows is None else base.rows, np.asarray(complete.rows))
            groups = complete.groups
            features, part = [view[kept] for view in features], None if part is None else part[kept]
            targets = [replace(target, values=target.values[kept], known=target.known[kept]) for target in targets]
    if part is None:
        part = drawn_parts(seed, len(features[0]), groups, targets)
    rows = HeadRows(features[0], features[1], groups, tuple(targets), part, tuple(dict.fromkeys(limits)),
                    tuple(dict.fromkeys((*notes, *limits))), columns)
    check_parts(rows)
    return rows


def other_columns(targets: Sequence[NamedRows], confounders: Sequence[NamedRows]) -> dict[str, str]:
    """What is said of columns that are no features where a view has them too, by name, as `as_named` takes it.

    Args:
        targets: targets, nuisances and the split.
        confounders: from `named_confounders`.
    """
    found = {rows.columns[0]: "has the name of a target or the split" for rows in targets
             if rows.columns is not None and len(rows.columns) == 1}
    return found | confounder_columns(confounders)


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
