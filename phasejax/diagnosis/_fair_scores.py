"""Cross-validated scores of what networks of one width would learn, from several stand-ins for the networks.

`fair_scores` is the whole of it: one set of folds and one set of bootstrap weights for every representation
(`_representations.NAMES`) and for every source of scores,

- "linear": encoders in closed form on the columns as they are,
- "lifted": the same on random features of a Gaussian kernel (`_lift`),
- "pilot": small networks that somebody trains without each fold (the argument `pilot`),

so that any two of them are compared row by row. Scores are what networks are expected to reach: those of closed-form
encoders that predict are lowered by what training loses (`_LOST_IN_TRAINING`). `FairScores.best` chooses among
representations (`_decision`), and
`scores_over_k` repeats linear and lifted scores over widths at little more than the price of one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm
from scipy.stats import t as student_t
from threadpoolctl import threadpool_limits

from phasejax._core.serialise import plain, restored
from phasejax.diagnosis._bootstrap import ColumnScores, Score, column_scores, weighted_sums, with_intervals
from phasejax.diagnosis._cross_fit import cross_fitted, in_range, raw_features, read_out_arrays
from phasejax.diagnosis._decision import Choice, choose
from phasejax.diagnosis._folds import assign_folds, folds_of_all_rows, usable_folds
from phasejax.diagnosis._lift import lifted_features, ridge_whitening, rows_to_lift
from phasejax.diagnosis._predicted_scores import STANDARD_ERRORS, check_sizes
from phasejax.diagnosis._representations import NAMES, correlation_whitening, known_names

SOURCES = ("linear", "lifted", "pilot")
# By how much a closed-form encoder of one view that predicts, alone or beside alignment, scores above a network that is
# trained to do so on rows as few as usual: the mean over the pairs for choosing constants of `benchmarks.decision`,
# against networks of three sizes; encoders that align score like theirs, and so do both that predict side by side.
# The closer to chance or to a perfect score, the less there is to lose.
_LOST_IN_TRAINING = {"CP x->y": 0.04, "CP y->x": 0.04, "joint": 0.04}
_FULLY_LOST = 0.1
# Digits after the point of a score's draws; more would make saved scores longer and nothing clearer.
_DIGITS = 4


class TrainedEncoders(Protocol):
    """What a pilot returns for an objective: outputs on all rows of networks trained without each fold.

    Attributes:
        x, y: shape (folds, n, k), or None for a view that the objective does not encode.
        diverged: whether each fold's training diverged, shape (folds,).
    """

    x: Any
    y: Any
    diverged: Any


# What of an objective's networks is an encoder, by the names of `ENCODERS`.
_OF_OBJECTIVES = {"CA of x": ("CA", "x"), "CA of y": ("CA", "y"), "CP x->y": ("CP x->y", "x"),
                  "CP y->x": ("CP y->x", "y"), "joint": ("joint", "x")}
Pilot = Callable[[np.ndarray], Mapping[str, Any]]  # of TrainedEncoders by objective, from the fold of each row


@dataclass(frozen=True, eq=False)
class Draws:
    """Bootstrap draws of scores: `of[source][name]` has shape (draws,), the same weights throughout."""

    of: dict[str, dict[str, np.ndarray]] = field(repr=False)

    @classmethod
    def from_dict(cls, saved: Any) -> "Draws":
        """The draws that `FairScores.to_dict` wrote.

        Raises:
            ValueError: anything else.
        """
        try:
            of = {source: {name: np.array(values, np.float64) for name, values in names.items()}
                  for source, names in saved["of"].items()}
            sizes = {values.shape for names in of.values() for values in names.values()}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError("draws: expected lists of numbers by source and name, got something else") from None
        if len(sizes) != 1 or len(next(iter(sizes))) != 1:
            raise ValueError("draws: expected as many numbers for every name, got different shapes")
        return cls(of)


@dataclass(frozen=True, eq=False, kw_only=True)
class FairScores:
    """How well each representation would predict held-out labels, by several sources (`fair_scores`).

    Args:
        metric: "R2" or "balanced accuracy".
        chance: the score without information: 0, or one over the number of classes.
        k: width of the encoders.
        labelled: labelled rows.
        groups: number of groups among them, or None where each row is a group of its own.
        folds: of the cross-validation.
        sources: those of the scores: "linear", "lifted" and, where there was one, "pilot".
        values: of the scores, by source and name.
        draws: of the scores, for intervals and decisions.
        per_column: combined scores of each label column alone, for real labels.
        diverged: encoders that the pilot did not train successfully in every fold.
        shrinkage: the largest share of the identity that went into a correlation matrix of the linear source.
    """

    metric: str
    chance: float
    k: int
    labelled: int
    groups: int | None
    folds: int
    sources: tuple[str, ...]
    values: dict[str, dict[str, float]]
    draws: Draws
    per_column: tuple[ColumnScores, ...] = ()
    diverged: tuple[str, ...] = ()
    shrinkage: float = 0.0

    def sources_of(self, name: str) -> tuple[str, ...]:
        """The sources that have a score of this representation."""
        return tuple(source for source in self.sources if name in self.values[source])

    def score(self, name: str, source: str | None = None) -> Score:
        """A representation's score by one source, or its mean over all that have it.

        Raises:
            ValueError: the name or the source is unknown, or that source has no such score.
        """
        (name,) = known_names((name,))
        known = self.sources_of(name)
        if source is not None and source not in known:
            raise ValueError(f"source: expected one of {', '.join(known)} for {name}, got {source!r}")
        used = known if source is None else (source,)
        value = np.mean([self.values[one][name] for one in used])
        draws = np.mean([self.draws.of[one][name] for one in used], axis=0)
        return with_intervals((name,), np.array([value]), draws[:, None])[0]

    @property
    def scores(self) -> tuple[Score, ...]:
        """The combined scores, in the order of the names."""
        return tuple(self.score(name) for name in NAMES)

    @property
    def units(self) -> int:
        """The size of the sample: labelled rows, or groups where there are any."""
        return self.labelled if self.groups is None else self.groups

    @property
    def beyond_chance(self) -> bool:
        """Whether the best representation predicts the labels better than noise would by luck."""
        return self.clearly_above_chance(max(NAMES, key=lambda name: self.score(name).value))

    def clearly_above_chance(self, name: str) -> bool:
        """Whether one representation does, by the error of its combined score in a sample of this size."""
        draws = np.mean([self.draws.of[source][name] for source in self.sources_of(name)], axis=0)
        errors = student_t.isf(norm.sf(STANDARD_ERRORS), max(self.units - 1, 1))
        return bool(self.score(name).value - errors * draws.std() > self.chance)

    def redundant(self, margin: float = 0.02) -> str | None:
        """The modality that adds no more than the margin to the other one, in any label column: "x", "y" or None."""
        better = max("x", "y", key=lambda name: self.score(name).value)
        both, single = (np.mean([self.draws.of[source][name] for source in self.sources_of(name)], axis=0)
                        for name in ("x and y", better))
        gains = [with_intervals(("gain",), np.zeros(1), (both - single)[:, None])[0].high]
        gains += [column.adds_to(better).high for column in self.per_column]
        return ("x" if better == "y" else "y") if max(gains) <= margin else None

    def best(self, among: Sequence[str] = ("CA", "CP x->y", "CP y->x")) -> Choice:
        """The best of some representations, whether the data decide it, and what a wrong choice would cost.

        Raises:
            ValueError: a name is unknown.
        """
        return choose(self, among)

    def to_dict(self) -> dict[str, Any]:
        """Lists, numbers and text, as JSON takes them."""
        return plain(asdict(self))

    @classmethod
    def from_dict(cls, saved: Any) -> "FairScores":
        """The scores that `to_dict` wrote.

        Raises:
            ValueError: something else, or not all of it, in one line.
        """
        found = restored(cls, saved)
        for source in found.sources:
            if found.values.get(source, {}).keys() != found.draws.of.get(source, {}).keys():
                raise ValueError(f"draws: expected those of the scores of the source {source}, got others")
        return found


def fair_scores(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], columns: Float[np.ndarray, "m l"],
                labelled: Int[np.ndarray, "m"], *, kind: str, k: int, groups: Int[np.ndarray, "n"] | None = None,
                pilot: Pilot | None = None, seed: int = 0, folds: int = 5) -> FairScores:
    """Held-out scores of every representation at width k, from each source, with paired draws.

    Args:
        x, y: paired views, finite, of checked shapes. What prediction predicts are the columns as they are: their
            relative units count, that of a whole view does not.
        columns: one-hot or real label columns of the rows `labelled`.
        labelled: indices of rows.
        kind: "class" or "real".
        k: width of each encoder, at most min(d_x, d_y).
        groups: of the rows; whole groups go into a fold and are weighted together.
        pilot: called with the fold of each row (-1 where no fold holds it out), returns trained encoders by
            objective: "CA", "CP x->y", "CP y->x", "joint".
        seed: of folds, lift and bootstrap.
        folds: at most; fewer where there are fewer groups, or fewer than two rows for each.

    Raises:
        ValueError: too few rows for the classes or k, or a pilot whose outputs have another shape.
    """
    columns, fold, folds, own_groups = _prepared(x, y, columns, labelled, kind, k, groups, seed, folds)
    with threadpool_limits(1, "blas"):
        found, shrinkage = _closed_form(x, y, columns, labelled, fold, [k], kind, seed)
        by_source, diverged = {source: earned for source, (earned,) in found.items()}, ()
    if pilot is not None:
        parts, diverged = _encoder_outputs(pilot(fold), (folds, len(x)))
        if parts:
            with threadpool_limits(1, "blas"):
                by_source["pilot"] = (np.arange(len(labelled)),
                                      read_out_arrays(parts, columns, labelled, fold[labelled], kind))
    with threadpool_limits(1, "blas"):
        return _record(by_source, columns, kind, k, own_groups, folds, seed, shrinkage=shrinkage, diverged=diverged)


def scores_over_k(x: Float[np.ndarray, "n d_x"], y: Float[np.ndarray, "n d_y"], columns: Float[np.ndarray, "m l"],
                  labelled: Int[np.ndarray, "m"], *, kind: str, ks: Sequence[int],
                  groups: Int[np.ndarray, "n"] | None = None, seed: int = 0, folds: int = 5
                  ) -> tuple[FairScores, ...]:
    """Linear and lifted scores at several widths, in the order of `ks`: those of `fair_scores` at each.

    Args are those of `fair_scores`.
    """
    columns, fold, folds, own_groups = _prepared(x, y, columns, labelled, kind, max(ks), groups, seed, folds)
    with threadpool_limits(1, "blas"):
        found, shrinkage = _closed_form(x, y, columns, labelled, fold, ks, kind, seed)
        return tuple(_record({source: earned[place] for source, earned in found.items()}, columns, kind, k, own_groups,
                             folds, seed, shrinkage=shrinkage) for place, k in enumerate(ks))


def _record(by_source, columns, kind, k, groups, folds, seed, *, shrinkage, diverged=()):
    values, draws, per_column = _summarised(by_source, columns, kind, groups, seed, per_column=kind == "real")
    return FairScores(
        metric="balanced accuracy" if kind == "class" else "R2",
        chance=1 / columns.shape[1] if kind == "class" else 0.0, k=k, labelled=len(columns),
        groups=None if groups is None else len(np.unique(groups)), folds=folds, sources=tuple(by_source),
        values=values, draws=Draws(draws), per_column=per_column, diverged=diverged, shrinkage=shrinkage)


def _prepared(x, y, columns, labelled, kind, k, groups, seed, folds):
    own_groups = None if groups is None else groups[labelled]
    folds = usable_folds(folds, len(labelled), own_groups)
    check_sizes(k, folds, x, y, columns, kind, own_groups)
    if kind == "real":
        columns = in_range(columns)
    classes = columns.argmax(1) if kind == "class" else np.zeros(len(labelled), int)
    fold = assign_folds(np.random.default_rng(seed), classes, own_groups, folds)
    return columns, folds_of_all_rows(len(x), labelled, fold, groups), folds, own_groups


def _closed_form(x, y, columns, labelled, fold, ks, kind, seed):
    """For each of the sources linear and lifted and each width: labelled rows that it scores, what they earn."""
    linear, shrinkage = cross_fitted(raw_features(x, y), columns, labelled, fold, ks, kind, correlation_whitening,
                                     NAMES)
    rng = np.random.default_rng([seed, 1])
    rows, scored = rows_to_lift(rng, len(x), labelled, columns.argmax(1) if kind == "class" else None)
    features = lifted_features(rng, x[rows], y[rows])
    lifted, _ = cross_fitted(features, columns[scored], np.searchsorted(rows, labelled[scored]), fold[rows], ks, kind,
                             ridge_whitening, NAMES)
    everyone = np.arange(len(labelled))
    return {"linear": [(everyone, earned) for earned in linear],
            "lifted": [(scored, earned) for earned in lifted]}, shrinkage


def _encoder_outputs(trained, shape):
    """Outputs by the names of `ENCODERS` of what was trained in every fold, and the names of what was not."""
    parts, diverged = {}, []
    for name, (objective, view) in _OF_OBJECTIVES.items():
        if objective not in trained:
            continue
        outputs = getattr(trained[objective], view)
        values = np.asarray(outputs, np.float64) if outputs is not None else np.empty(0)
        if values.ndim != 3 or values.shape[:2] != shape:
            raise ValueError(f"pilot: expected outputs of shape ({shape[0]}, {shape[1]}, k) for {name}, got "
                             f"{values.shape}")
        if np.any(trained[objective].diverged) or not np.isfinite(values).all():
            diverged.append(name)
        else:
            parts[name] = values
    return parts, tuple(diverged)


def _summarised(by_source, columns, kind, groups, seed, *, per_column):
    """Values and draws of the scores by source and name, and the scores of each label column."""
    classes = columns.argmax(1) if kind == "class" else np.zeros(len(columns), int)
    totals = {source: (rows, earned.names, earned.earned.sum(2), earned.possible.sum(1))
              for source, (rows, earned) in by_source.items()}
    chance = 1 / columns.shape[1] if kind == "class" else 0.0
    values, draws = _of_networks(*_ratios(totals, classes, groups, seed), chance)
    if not per_column:
        return values, draws, ()
    found = []
    for column in range(columns.shape[1]):
        single = {source: (rows, earned.names, earned.alone[:, :, column], earned.possible[:, column])
                  for source, (rows, earned) in by_source.items()}
        of_column, draws_of_column = _of_networks(*_ratios(single, classes, groups, seed), chance)
        found.append(column_scores(*_combined(of_column, draws_of_column)))
    return values, draws, tuple(found)


def _of_networks(values, draws, chance):
    """The scores that networks would reach, where they are those of closed-form encoders."""
    for source in values.keys() - {"pilot"}:
        for name, most in _LOST_IN_TRAINING.items():
            value = values[source][name]
            lost = most * float(np.clip(min(value - chance, 1 - value) / _FULLY_LOST, 0, 1))
            values[source][name] = value - lost
            draws[source][name] = draws[source][name] - np.round(lost, _DIGITS)
    return values, draws


def _combined(values, draws):
    """Names, means over the sources that have each, and those of the draws."""
    having = {name: [source for source in values if name in values[source]] for name in NAMES}
    return (NAMES, np.array([np.mean([values[source][name] for source in having[name]]) for name in NAMES]),
            np.stack([np.mean([draws[source][name] for source in having[name]], axis=0) for name in NAMES], 1))


def _ratios(totals, classes, groups, seed):
    """Scores and their draws from what each row earns, under the same weights for all sources."""
    terms, where = [], {}
    for source, (rows, names, earned, possible) in totals.items():
        own = np.zeros((len(classes), 1 + len(names)))
        own[rows] = np.column_stack([possible, earned])
        where[source] = len(terms) and sum(part.shape[1] for part in terms)
        terms.append(own)
    terms = np.hstack(terms)
    exact = np.zeros((int(classes.max()) + 1, terms.shape[1]))
    np.add.at(exact, classes, terms)
    sums = weighted_sums(np.random.default_rng([seed, 2]), terms, classes, groups)
    values, draws = {}, {}
    for source, (_, names, *_) in totals.items():
        first = where[source]
        columns = slice(first + 1, first + 1 + len(names))
        value = (exact[:, columns] / exact[:, [first]]).mean(0)
        drawn = np.round((sums[:, :, columns] / sums[:, :, [first]]).mean(0), _DIGITS)
        values[source] = dict(zip(names, map(float, value), strict=True))
        draws[source] = dict(zip(names, drawn.T, strict=True))
    return values, draws
