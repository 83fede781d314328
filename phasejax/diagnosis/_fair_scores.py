"""Scores of everything that could be trained or kept, by several stand-ins for networks of one width.

The sources of scores (`_scoring` computes them) are

- "linear": encoders in closed form on the columns as they are,
- "lifted": the same on random features of a Gaussian kernel (`_lift`),
- "pilot": small networks that somebody trains without each fold.

Their mean, in which a pilot counts most (`_sources`), is the score. One set of bootstrap weights serves all sources and
representations, so that any two of them are compared row by row. `FairScores.best` chooses among representations
(`_decision`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.serialise import plain, restored
from phasejax.diagnosis._bootstrap import STANDARD_ERRORS, ColumnScores, Score, with_intervals
from phasejax.diagnosis._decision import Choice, choose
from phasejax.diagnosis._representations import NAMES, known_names
from phasejax.diagnosis._sources import mean_over


@dataclass(frozen=True, eq=False)
class Draws:
    """Bootstrap draws of scores, or no more than their standard deviations where they were not saved.

    Args:
        kept: the draws by source and name, each of shape (draws,), the same weights throughout; None where not saved.
        deviations: of the draws, by source and name, where they were not saved.
    """

    kept: dict[str, dict[str, np.ndarray]] | None = field(repr=False)
    deviations: dict[str, dict[str, float]] | None = None

    @property
    def of(self) -> dict[str, dict[str, np.ndarray]]:
        """The draws, by source and name.

        Raises:
            ValueError: they were not saved.
        """
        if self.kept is None:
            raise ValueError("draws: expected a diagnosis that was saved with its draws (to_json(draws=True), phasejax "
                             "diagnose --draws), got one without")
        return self.kept

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """Standard deviations of the draws, by source and name."""
        if self.deviations is not None:
            return self.deviations
        return {source: {name: float(np.std(values)) for name, values in names.items()}
                for source, names in self.of.items()}

    @classmethod
    def from_dict(cls, saved: Any) -> "Draws":
        """The draws that `FairScores.to_dict` wrote, or their standard deviations.

        Raises:
            ValueError: anything else.
        """
        try:
            if saved["of"] is None:
                return cls(None, {source: {name: float(value) for name, value in names.items()}
                                  for source, names in saved["errors"].items()})
            of = {source: {name: np.array(values, np.float64) for name, values in names.items()}
                  for source, names in saved["of"].items()}
            sizes = {values.shape for names in of.values() for values in names.values()}
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("draws: expected lists of numbers by source and name, or their errors, got something "
                             "else") from None
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
        errors_needed: standard errors by which a score must be above chance to count: more for few rows or groups, and
            for groups of unequal sizes.
        leading: the source that alone counts where it has a score: "pilot" where the pilot trained the very networks
            that the scores are about; None where all sources count.
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
    errors_needed: float = STANDARD_ERRORS
    leading: str | None = None

    def sources_of(self, *names: str) -> tuple[str, ...]:
        """The sources whose mean score counts for these representations: those that have scores of all of them."""
        known = tuple(source for source in self.sources if all(name in self.values[source] for name in names))
        return (self.leading,) if self.leading in known else known

    def score(self, name: str, source: str | None = None) -> Score:
        """A representation's score by one source, or its mean over all that count (`_sources`).

        Raises:
            ValueError: the name or the source is unknown, or that source has no such score.
        """
        (name,) = known_names((name,))
        known = [one for one in self.sources if name in self.values[one]]
        if source is not None and source not in known:
            raise ValueError(f"source: expected one of {', '.join(known)} for {name}, got {source!r}")
        used = self.sources_of(name) if source is None else (source,)
        value, draws = mean_over(used, self.values, name), mean_over(used, self.draws.of, name)
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
        draws = mean_over(self.sources_of(name), self.draws.of, name)
        return bool(self.score(name).value - self.errors_needed * draws.std() > self.chance)

    @checked
    def redundant(self, margin: float = 0.02) -> str | None:
        """The modality that adds no more than the margin to the other one, in any label column: "x", "y" or None."""
        better = max("x", "y", key=lambda name: self.score(name).value)
        both, single = (mean_over(self.sources_of(name), self.draws.of, name) for name in ("x and y", better))
        gains = [with_intervals(("gain",), np.zeros(1), (both - single)[:, None])[0].high]
        gains += [column.adds_to(better).high for column in self.per_column]
        return ("x" if better == "y" else "y") if max(gains) <= margin else None

    def best(self, among: Sequence[str] = ("CA", "CP x->y", "CP y->x")) -> Choice:
        """The best of some representations, whether the data decide it, and what a wrong choice would cost.

        Raises:
            ValueError: a name is unknown.
        """
        return choose(self, among)

    @checked
    def to_dict(self, *, draws: bool = True) -> dict[str, Any]:
        """Lists, numbers and text, as JSON takes them.

        Args:
            draws: whether with all draws; their standard deviations and intervals of combined scores are always there.
        """
        fields = asdict(replace(self, draws=Draws(None, {})))
        return plain({**fields, "draws": {"of": self.draws.of} if draws else None, "errors": self.draws.errors,
                      "combined": {one.name: {"value": one.value, "low": one.low, "high": one.high}
                                   for one in self.scores}})

    @classmethod
    def from_dict(cls, saved: Any) -> "FairScores":
        """The scores that `to_dict` wrote.

        Raises:
            ValueError: something else, or not all of it, in one line.
        """
        if isinstance(saved, dict) and saved.get("draws", saved) is None:
            saved = {**saved, "draws": {"of": None, "errors": saved.get("errors")}}
        found = restored(cls, saved)
        known = found.draws.errors
        if not set(found.sources) == found.values.keys() == known.keys() or not found.sources:
            raise ValueError("sources: expected those of the values and the draws, got others")
        if found.leading is not None and found.leading not in found.sources:
            raise ValueError(f"leading: expected one of {', '.join(found.sources)} or null, got {found.leading!r}")
        for source in found.sources:
            if found.values.get(source, {}).keys() != known.get(source, {}).keys():
                raise ValueError(f"draws: expected those of the scores of the source {source}, got others")
        return found
