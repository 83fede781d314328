"""What two views and their labels are, before anything is computed from them, and what a diagnosis would do with them.

Nothing is refused here that can be read at all: what a diagnosis would refuse is said first. The order of what is said
is the order of what is likely to make an answer wrong.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.column_units import MIXED_UNITS
from phasejax._core.overview import SHOWN_ROWS, Overview
from phasejax._core.records import Record
from phasejax._core.terminal import one_line
from phasejax._core.validation import check_choice
from phasejax.io._duplicates import ROWS_LOOKED_AT, RepeatedRows, repeated_rows, some_rows
from phasejax.io._fills import fill_note
from phasejax.io._labels import class_name, encode_labels, resolved_kind
from phasejax.io._matching import MatchedRows, match_labelled, match_rows
from phasejax.io._named_together import named_together
from phasejax.io._reduction import fit_width
from phasejax.io._shared_identifiers import without_shared_identifiers
from phasejax.io._suspected_groups import suspected_groups
from phasejax.io._view_facts import ROW_FAR, ViewFacts, features_of, table_of_numbers, view_facts

LEAST_MEMBERS = 5  # that a class needs, to be in every fold of a cross-validation
# Labelled rows, or groups of them, below which nothing is said.
LEAST_LABELLED = 20
_CLASSES_SHOWN = 8
_LEAST_ROWS = 6  # below which views are not reduced but refused


@dataclass(frozen=True)
class LabelFacts:
    """The labels of the matched rows.

    Args:
        kind: "class" or "real".
        rows: rows with a label that counts.
        columns: label columns.
        counts: rows of each class, the most frequent first; empty for real values.
        low, high: range of each real column.
    """

    kind: str
    rows: int
    columns: int
    counts: dict[str, int]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def words(self, n: int) -> str:
        """The labels in one line."""
        of = f"{self.rows} of {n} rows"
        if self.kind == "class":
            largest = list(self.counts.items())[:_CLASSES_SHOWN]
            shown = ", ".join(f"{one_line(name, 60)} {count}" for name, count in largest)
            more = f" and {len(self.counts) - _CLASSES_SHOWN} more" if len(self.counts) > _CLASSES_SHOWN else ""
            return f"{len(self.counts)} classes in {of}: {shown}{more}"
        ranges = ", ".join(f"{low:.4g} to {high:.4g}" for low, high in zip(self.low[:4], self.high[:4], strict=True))
        return f"{self.columns} real column{'s' * (self.columns > 1)} in {of}: {ranges}" + ", ..." * (self.columns > 4)


@dataclass(frozen=True, kw_only=True)
class Inspection(Record):
    """What was found about a pair of views and their labels.

    Args:
        x, y: facts about each view.
        labels: facts about the labels; None where none were given or they cannot be read as such.
        n: paired rows; None where rows cannot be paired.
        groups: number of groups of dependent rows that were given; None without.
        repeated: copies and tight groups among the paired rows.
        suspected_groups: columns or identifiers that seem to say which rows belong together.
        refusal: why a diagnosis would refuse these data as they are; None where it would not.
        plan: what a diagnosis would do with them, a line each.
        notes: what was decided about rows, missing values and labels.
        readings: how files and containers were read.
        limits: those of the notes that say what limits an answer.
    """

    x: ViewFacts
    y: ViewFacts
    labels: LabelFacts | None
    n: int | None
    groups: int | None
    repeated: RepeatedRows | None
    suspected_groups: tuple[str, ...]
    refusal: str | None
    plan: tuple[str, ...]
    notes: tuple[str, ...]
    readings: tuple[str, ...]
    limits: tuple[str, ...] = ()

    _kind = "phasejax.inspection"

    def headlines(self) -> tuple[str, ...]:
        """The three most important lines: what is most likely to make an answer wrong comes first."""
        ranked = sorted(self._ranked(), key=lambda line: line[0])
        return tuple(dict.fromkeys(text for _, text in ranked))[:3]

    def _ranked(self) -> Iterator[tuple[int, str]]:
        if self.refusal is not None:
            yield 0, f"diagnose refuses this: {self.refusal}"
        if self.groups is None:
            if self.repeated is not None and (note := self.repeated.note()):
                yield 1, note
            for suspicion in self.suspected_groups:
                yield 2, suspicion
        for note in (*self.notes, *self.readings):
            if "by position" in note or "counts as a feature" in note or "is read as data" in note:
                yield 3, note
            elif "matched by identifier" in note or "identifies the rows" in note:
                yield 4 if " of " in note else 9, note
            elif "missing" in note and note in self.notes:
                yield 5, note
            elif note.startswith(("labels:", "groups:")):
                yield 6, note
        for view in (self.x, self.y):
            if self.n is not None and view.columns >= self.n:
                yield 7, f"{view.name}: {view.columns} columns for {self.n} rows"
            elif view.rank is not None and view.rank < view.columns:
                yield 7, f"{view.name}: rank {view.rank} of {view.columns} columns" + (
                    f", {view.constant} of them constant" if view.constant else "")
            if view.fill is not None:
                yield 5, fill_note(view.name, view.fill, *view.fills)
            if view.far is not None:
                yield 1, (f"{view.name}: row {view.far[0]} stands more than {ROW_FAR:g} times the spread of the others "
                          f"away from them, in column {view.far[1]}; an error?")
            if view.scale_ratio > MIXED_UNITS:
                yield 8, (f"{view.name}: standard deviations of columns from {view.smallest:.3g} "
                          f"({view.smallest_column}) to {view.largest:.3g} ({view.largest_column})")
        if not any(note.startswith("rows matched by identifier") for note in self.notes):
            yield 10, self._pairing()
        if self.labels is not None and self.n is not None:
            yield 11, f"labels: {self.labels.words(self.n)}"
        yield 12, "; ".join(f"{view.name}: {view.columns} column{'s' * (view.columns != 1)}" + (
            "" if view.rank is None else f", rank {view.rank}") for view in (self.x, self.y))

    def _pairing(self) -> str:
        if self.n is None:
            return f"rows cannot be paired: {self.x.rows} in x, {self.y.rows} in y"
        joined = self.x.identifiers is not None and self.y.identifiers is not None and \
            not any("by position, as asked" in note for note in self.notes)
        how = "by identifier" if joined else "by position"
        groups = "" if self.groups is None else f" in {self.groups} groups"
        return f"{self.n} rows paired {how}{groups}, of {self.x.rows} in x and {self.y.rows} in y"

    def summary(self) -> str:
        """One screen of text."""
        lines = [f"{'Rows':<11} {self._pairing()}"]
        for view in (self.x, self.y):
            shape, scales = view.lines()
            lines += [f"{view.name:<11} {shape}", f"{'':<11} {scales}"]
            if view.far is not None:
                lines.append(f"{'':<11} row {view.far[0]} stands far from all others in column {view.far[1]}: right?")
            if view.fill is not None:
                lines.append(f"{'':<11} {view.fill:g} stands {view.fills[0]} times far from all others: missing?")
        if self.labels is not None and self.n is not None:
            lines.append(f"{'Labels':<11} {self.labels.words(self.n)}")
        lines.append(f"{'Repeated':<11} {self._repeats()}")
        lines += [f"{'Groups?':<11} {suspicion}" for suspicion in self.suspected_groups[:3]]
        if self.refusal is not None:
            lines.append(f"{'Refused':<11} {self.refusal}")
        lines += [f"{'Diagnose' if place == 0 else '':<11} {line}" for place, line in enumerate(self.plan)]
        looked_at = max(self.x.rows_looked_at, self.y.rows_looked_at)
        if self.n is not None and self.n > ROWS_LOOKED_AT:
            lines.append(f"{'Sample':<11} scales, rank and repeated rows are those of {looked_at} of {self.n} rows")
        return "\n".join([*lines, *(f"{'Note':<11} {note}" for note in (*self.readings, *self.notes))])

    def _repeats(self) -> str:
        if self.repeated is None:
            return "not looked for, since rows are not paired"
        if note := self.repeated.note():
            return note if self.groups is None else note.partition(";")[0]
        x, y, both = self.repeated.copies
        if x or y:
            return f"copies of other rows: {x} in x, {y} in y, {both} in both"
        return "no copies, no tight groups of rows"

    def _derived(self) -> dict[str, Any]:
        repeated = {} if self.repeated is None else {
            "repeated": {**asdict(self.repeated), "note": self.repeated.note()}}
        return {"headlines": list(self.headlines()), **repeated}

    def _overview(self) -> Overview:
        lines: dict[str, str] = {}
        for line in self.summary().splitlines()[:SHOWN_ROWS + 2]:
            name = line[:11].strip() or next(reversed(lines))
            lines[name] = f"{lines[name]}; {line[12:]}" if name in lines else line[12:]
        return Overview(kind="Inspection", answer=self.headlines()[0], facts=lines, warnings=self.limits)


@checked
def inspect_pair(x: Any, y: Any, labels: Any = None, *, labelled: Any = None, label_kind: str = "auto",
                 groups: Any = None, by_position: bool = False, missing: str = "error", k: int | None = None
                 ) -> Inspection:
    """What two views and their labels are, and what `diagnose` would do with them.

    Scales, rank and repeated rows of a long table are those of 20,000 of its rows, which the summary says.

    Args:
        x, y, labels, labelled, label_kind, groups, by_position, missing: as in `phasejax.diagnose`.
        k: width of the embedding, as `diagnose` takes it.

    Returns:
        The facts; `summary()` is one screen of them, `headlines()` the three most important lines.

    Raises:
        ValueError: what cannot be read as two tables of numbers.

    >>> rng = np.random.default_rng(0)
    >>> found = inspect_pair(rng.standard_normal((90, 3)), rng.standard_normal((90, 2)), np.arange(90) % 2)
    >>> print(found.summary().splitlines()[0])
    Rows        90 rows paired by position, of 90 in x and 90 in y
    >>> found.labels.counts
    {'0': 45, '1': 45}
    """
    x, y, labels, groups = named_together(x, y, labels, groups)
    x, y = (table_of_numbers(view, name) for name, view in (("x", x), ("y", y)))
    with suppress(ValueError):  # refused where rows are matched
        x, y = without_shared_identifiers(x, y, by_position)
    matched, kind, refusal = _matched(x, y, labels, label_kind, missing,
                                      {"labelled": labelled, "groups": groups, "by_position": by_position})
    if matched is None:
        facts = [view_facts(name, view, some_rows(view.values)) for name, view in (("x", x), ("y", y))]
        of_labels, repeated, n = None, None, None
    else:
        n = len(matched.x)
        x, y = (features_of(view, values, labels, groups) for view, values in ((x, matched.x), (y, matched.y)))
        sample = some_rows(matched.x), some_rows(matched.y)
        with threadpool_limits(1, "blas"):  # small matrices, which threads make slower
            facts = [view_facts(name, view, rows) for name, view, rows in zip("xy", (x, y), sample, strict=True)]
            repeated = repeated_rows(*sample)
        of_labels, problem = _label_facts(matched, kind, n)
        refusal = refusal or problem or _refusal(facts, *sample) or too_few_labels(matched)
    return Inspection(
        x=facts[0], y=facts[1], labels=of_labels, n=n,
        groups=None if matched is None or matched.groups is None else int(matched.groups.max()) + 1, repeated=repeated,
        suspected_groups=tuple(suspected_groups(x, y)), refusal=refusal,
        plan=tuple(_plan(x, y, matched, facts, of_labels, refusal, k)),
        notes=() if matched is None else matched.notes, limits=() if matched is None else matched.limits,
        readings=tuple(dict.fromkeys(note for rows in (x, y, labels, groups) if rows is not None
                                     for note in rows.notes)))


def _matched(x, y, labels, label_kind, missing, options) -> tuple[MatchedRows | None, str, str | None]:
    """The matched rows, as far as they can be, the kind of the labels, and why a diagnosis would refuse them."""
    refusal = None
    check_choice("missing", missing, ("error", "drop", "mean"))
    for attempt in dict.fromkeys((missing, "drop")):
        try:
            if labels is None:
                return match_rows(x, y, missing=attempt, **options), label_kind, refusal
            return *match_labelled(x, y, labels, label_kind=label_kind, missing=attempt,
                                   least_members=LEAST_MEMBERS, **options), refusal
        except ValueError as error:
            refusal = refusal or str(error)
    try:  # without labels, which may be what is wrong
        return match_rows(x, y, by_position=options["by_position"], missing=missing), label_kind, refusal
    except ValueError:
        return None, label_kind, refusal


def _label_facts(matched, kind, n) -> tuple[LabelFacts | None, str | None]:
    values = matched.labels
    if values is None:
        return None, None
    rows = n if matched.labelled is None else len(matched.labelled)
    try:
        encode_labels(values, rows, kind)
    except ValueError as error:
        return None, str(error)
    columns = values.reshape(rows, -1)
    if resolved_kind(values, kind) == "class":
        names, counts = np.unique(columns[:, 0], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return LabelFacts("class", rows, 1, {str(class_name(names[i])): int(counts[i]) for i in order}), None
    return LabelFacts("real", rows, columns.shape[1], {}, tuple(columns.min(0).astype(float).tolist()),
                      tuple(columns.max(0).astype(float).tolist())), None


def _refusal(facts, x, y) -> str | None:
    """What is refused though rows and labels are all right."""
    for view in facts:
        if view.infinite:
            return f"{view.name}: expected finite values, got {view.infinite} that are infinite"
        if view.constant == view.columns:
            return f"{view.name}: expected columns that vary, got {view.constant} constant"
    if len(x) != len(y):
        return f"y: expected {len(x)} rows as in x, got {len(y)}"
    if x.shape == y.shape and np.array_equal(x, y):
        return "y: expected another view of the same things, got x itself"
    return None


def too_few_labels(matched: MatchedRows) -> str | None:
    """Why a diagnosis has too few labelled rows, or groups of them; None where there are enough or none at all."""
    if matched.labels is None or (matched.labelled is None and np.shape(matched.labels)[:1] != (len(matched.x),)):
        return None  # labels that are not one for each row are refused where they are encoded
    which = np.arange(len(matched.labels)) if matched.labelled is None else matched.labelled
    counted = len(which) if matched.groups is None else len(np.unique(matched.groups[which]))
    noun = "labelled rows" if matched.groups is None else "groups with labelled rows"
    return None if counted >= LEAST_LABELLED else f"labels: expected at least {LEAST_LABELLED} {noun}, got {counted}"


def _plan(x, y, matched, facts, labels, refusal, k) -> Iterator[str]:
    """What a diagnosis would do, a line each."""
    if refusal is not None:
        yield "refuses these data as they are (above)"
    if matched is None:
        return
    n = len(matched.x)
    left = max(len(x.values), len(y.values)) - n
    labelled = n if matched.labelled is None else len(matched.labelled)
    if left > 0:
        yield f"uses {n} rows and leaves out {left}"
    independent = n if matched.groups is None else int(matched.groups.max()) + 1
    widths = fit_width(independent, *(view.columns for view in facts)) if independent >= _LEAST_ROWS else (0, 0)
    for view, width in zip(facts, widths, strict=True):
        rank = view.rank
        if 0 < width < view.columns:
            yield (f"{view.name}: {view.columns} columns are reduced to {width} principal components, for "
                   f"{independent} {'rows' if matched.groups is None else 'groups'}")
        elif rank is not None and rank < view.columns:
            yield f"{view.name}: {view.columns - rank} of {view.columns} columns are left out, which others determine"
        if view.scale_ratio > MIXED_UNITS:
            yield f"{view.name}: columns are in different units, so each is divided by its standard deviation"
    if labels is None:
        return
    if labelled < n:
        without = n - labelled
        yield f"{without} row{'s' * (without > 1)} without a label count{'s' * (without == 1)} for the covariances only"
    directions = len(labels.counts) - 1 if labels.kind == "class" else labels.columns
    if k is None:
        yield f"k left open: the answer is a curve over k; labels have at most {directions} " \
              f"direction{'s' * (directions != 1)}"
