"""The answer of `label_quality`: regime, its probability and decision for labels of each quality."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax._version import __version__
from phasejax.theory import Regime

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REGIMES = tuple(one.value for one in Regime)
OBJECTIVES = ("CA", "CP", "CP y->x")


@dataclass(frozen=True, kw_only=True)
class QualityOutcome:
    """What a diagnosis says with one set of labels.

    Args:
        n, labelled: rows, and rows with labels.
        seen: whether the views share something that concerns these labels; without it nothing is stated.
        regime: that which is stated; None where none is.
        probabilities: of the four regimes, in the order of `Regime`; empty where there are none.
        content: label content of CA, CP and CP y->x; with a ridge the ratios Delta_CA and Delta_CP of Algorithm 1.
        best: the objective with the highest score; None where there are no scores.
        decided, sure: of that choice (`phasejax.diagnosis.Choice`).
        scores: of the objectives, and of x, y, and both side by side.
        metric: of the scores, "R2" or "balanced accuracy".
        reason: why no regime is stated; empty where one is.
    """

    n: int
    labelled: int
    seen: bool = False
    regime: str | None = None
    probabilities: tuple[float, ...] = ()
    content: dict[str, float]
    best: str | None = None
    decided: bool = False
    sure: bool = False
    scores: dict[str, float]
    metric: str = ""
    reason: str = ""

    @property
    def decision(self) -> str | None:
        """The objective that is decided for, or None."""
        return self.best if self.decided else None

    def probability_of(self, regime: str | None) -> float:
        """Probability of a regime; NaN where nothing shared concerns the labels, or nothing was computed."""
        known = regime and self.probabilities and self.seen
        return self.probabilities[REGIMES.index(regime)] if known else float("nan")

    @property
    def likeliest(self) -> str | None:
        """The regime of highest probability, stated or not; None where there are no probabilities."""
        return REGIMES[int(np.argmax(self.probabilities))] if self.probabilities else self.regime


@dataclass(frozen=True, kw_only=True)
class QualityLevel:
    """What repeats of one change of the labels gave.

    Args:
        by: "noise", "coarsening", "reassignment", "pseudo-labels", "labels", "pairs" or "ridge".
        level: share of R^2 left, classes left, share reassigned, clusters, or rows.
        name: the level in a few words.
        outcomes: one of each repeat.
        method: "content", or "spectral" for Algorithm 1 of K26 with a ridge.
        ridge: of that method, in mean variances of a view's columns.
        about: more numbers about the level, such as the noise's standard deviation.
        detail: more words about it, such as which classes were merged.
    """

    by: str
    level: float | int
    name: str
    outcomes: tuple[QualityOutcome, ...]
    method: str = "content"
    ridge: float | None = None
    about: dict[str, float]
    detail: str = ""

    @property
    def metric(self) -> str:
        """What the scores are; empty where there are none."""
        return next((one.metric for one in self.outcomes if one.metric), "")

    def most(self, what: str) -> tuple[str | None, int]:
        """What more than half of the repeats say, "regime" or "decision", and how many; ("split", most) without one."""
        said, count = Counter(getattr(one, what) for one in self.outcomes).most_common(1)[0]
        return (said if 2 * count > len(self.outcomes) else "split"), count

    def share(self, what: str, value: str | None, confidence: float) -> tuple[float, float, float]:
        """Fraction of repeats whose "regime" or "decision" is so, with its binomial interval (Wilson 1927).

        A single outcome, of a change in which nothing is drawn, has no interval.
        """
        count, total = sum(getattr(one, what) == value for one in self.outcomes), len(self.outcomes)
        if total == 1:
            return float(count), float("nan"), float("nan")
        interval = binomtest(count, total).proportion_ci(confidence, method="wilson")
        return count / total, float(interval.low), float(interval.high)

    def mean(self, values: Any) -> float:
        """Mean of a number of each outcome, over those that have it; NaN where none has."""
        found = [value for value in map(values, self.outcomes) if np.isfinite(value)]
        return float(np.mean(found)) if found else float("nan")


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelQuality(Record):
    """How regime, its probability and decision depend on the quality and number of labels; see `label_quality`.

    Args:
        given: outcome with the labels as given; None where there were none.
        levels: what was changed, mildest changes first.
        by: what was asked for.
        n, labelled: rows, and rows with labels.
        groups: number of groups; None where every row is its own.
        d_x, d_y: columns, after any reduction.
        kind: of the labels, "class" or "real"; None where there were none.
        k: width at which regime and scores are told, the same for all labels.
        k_from_labels: whether k is the number of directions of the labels as given.
        among: objectives that the decision is between.
        confidence: level of the intervals, and probability from which a regime is stated.
        confounders: what was removed as known nuisance, in words; None where nothing was.
        foretold: numbers of `phasejax plan` for these data, by name; empty where there are none.
        warnings: what limits the answer, one sentence each.
        phasejax_version: of the package.
        computed_on: versions, device, cores and flags.
    """

    given: QualityOutcome | None
    levels: tuple[QualityLevel, ...]
    by: tuple[str, ...]
    n: int
    labelled: int
    groups: int | None
    d_x: int
    d_y: int
    kind: str | None
    k: int
    k_from_labels: bool
    among: tuple[str, ...]
    confidence: float
    foretold: dict[str, Any]
    confounders: str | None = None
    warnings: tuple[str, ...] = ()
    phasejax_version: str = __version__
    computed_on: dict[str, str] | None = None

    _kind = "phasejax.label_quality"

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the changes do to regime and decision, in sentences."""
        from phasejax.diagnosis._label_quality_words import conclusions

        return tuple(conclusions(self))

    def summary(self) -> str:
        """The labels as given, a line for each level, the conclusions and the warnings."""
        from phasejax.diagnosis._label_quality_words import summary

        return summary(self)

    def to_frame(self) -> pd.DataFrame:
        """A row for each level: fractions of regimes and decisions with binomial intervals, means of the rest."""
        return pd.DataFrame(list(self._rows()))

    def _rows(self) -> Iterator[dict[str, Any]]:
        given = () if self.given is None else (
            QualityLevel(by="as given", level=self.labelled, name="labels as given", outcomes=(self.given,), about={}),)
        regime = None if self.given is None else self.given.likeliest
        for level in (*given, *self.levels):
            row: dict[str, Any] = {
                "by": level.by, "level": level.level, "name": level.name, "method": level.method, "ridge": level.ridge,
                "repeats": len(level.outcomes), "n": level.mean(lambda one: one.n),
                "labelled": level.mean(lambda one: one.labelled), "seen": level.mean(lambda one: one.seen)}
            for one in (*REGIMES, None):
                column = f"regime {one or 'not stated'}"
                row[column], row[f"{column} low"], row[f"{column} high"] = level.share("regime", one, self.confidence)
            row["probability of"] = regime
            row["probability"] = level.mean(lambda one: one.probability_of(regime))
            for name in OBJECTIVES:
                row[f"content {name}"] = level.mean(lambda one, name=name: one.content.get(name, float("nan")))
            for one in (*self.among, None):
                column = f"decision {one or 'undecided'}"
                row[column], row[f"{column} low"], row[f"{column} high"] = level.share("decision", one, self.confidence)
            row["sure"] = level.mean(lambda one: one.sure)
            row["metric"] = level.metric
            for name in (*self.among, "x", "y", "x and y"):
                row[f"score of {name}"] = level.mean(lambda one, name=name: one.scores.get(name, float("nan")))
            row["detail"] = level.detail
            row["confounders"] = self.confounders or ""
            yield {**row, **{f"about {name}": value for name, value in level.about.items()}}

    def _derived(self) -> dict[str, Any]:
        return {"conclusions": list(self.conclusions)}

    def _overview(self) -> Overview:
        from phasejax.diagnosis._label_quality_words import overview

        return overview(self)

    def plot(self, ax: "Axes | None" = None, *, by: str | None = None) -> "Axes":
        """Draw the fractions of repeats with each regime, for one kind of change; `plot_label_quality` draws all.

        Args:
            ax: where to draw; new axes by default.
            by: the kind of change, as in `QualityLevel`; the first by default.

        Returns:
            The axes.

        Raises:
            ValueError: nothing was changed in this way.
        """
        from phasejax.diagnosis._label_quality_plot import draw_change

        return draw_change(self, ax, by)
