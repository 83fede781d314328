"""What `train_heads` found: a score for each objective, target and probe, with how it was trained and chosen."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pandas as pd

from phasejax._core.digits import significant, with_interval
from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax.deep._heads_rows import HeadRows
from phasejax.deep._heads_saved import Heads
from phasejax.io._confounder_coding import confounder_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Targets of which a notebook shows the scores side by side.
_TARGETS_SHOWN = 4


@dataclass(frozen=True)
class HeadScore:
    """How well a probe predicts a target from what an objective has trained, on test rows.

    Args:
        objective: its name, "CP both" for both CP encoders side by side, "supervised x" and so on for supervised heads,
            or "x", "y" and "x and y" for the features themselves.
        target: name of what is predicted.
        nuisance: whether it is a nuisance, so that the score is leakage.
        probe: "ridge", "logistic" or "mlp"; "head" where a supervised head predicts by itself.
        main: whether this is the probe whose score stands for the target.
        columns: that the probe sees.
        metric: "balanced accuracy" or "R2".
        value: mean over the seeds; NaN where a training diverged.
        low, high: ends of the interval over test groups and seeds; NaN with a single test group.
        chance: what a guess scores.
        validation: mean score on the validation rows, by which hyper-parameters are chosen.
        by_seed: score of each seed; a single one of features.
    """

    objective: str
    target: str
    nuisance: bool
    probe: str
    main: bool
    columns: int
    metric: str
    value: float
    low: float
    high: float
    chance: float
    validation: float
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class TrainedObjective:
    """How an objective was trained with the hyper-parameters that were chosen.

    Args:
        objective: its name, for supervised heads with the target.
        settings: the hyper-parameters, by name.
        tried: how many settings there were.
        best_epochs: for each seed the epoch whose networks were kept, from 1 on.
        epochs: for each seed how many were trained.
        validation_losses: for each seed the loss of the kept networks on validation rows.
        diverged: for each seed whether a loss was not finite.
    """

    objective: str
    settings: dict[str, float]
    tried: int
    best_epochs: tuple[int, ...]
    epochs: tuple[int, ...]
    validation_losses: tuple[float, ...]
    diverged: tuple[bool, ...]


@dataclass(frozen=True)
class HeadPrediction:
    """What the diagnosis foretold for a target, beside what was measured.

    Args:
        target: name of the target.
        scores: foretold scores by objective, "CA", "CP x->y" and "CP y->x".
        predicted: the objective that the diagnosis would train.
        decided: whether the diagnosis calls that decided.
        measured: the objective of highest measured score.
        regret: by how much the predicted objective's measured score is below that.
        agrees: whether it is below by less than 0.02.
        reason: why there is no prediction; empty where there is one.
    """

    target: str
    scores: dict[str, float]
    predicted: str | None
    decided: bool
    measured: str | None
    regret: float | None
    agrees: bool | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class TrainedHeads(Record):
    """Heads on frozen features, with what probes say of them (`train_heads`).

    Args:
        n, d_x, d_y: paired rows, and columns of the views.
        groups: number of groups of dependent rows; None where every row is its own.
        rows: number of rows to train on, to validate on and to test on, by part.
        groups_of_parts: likewise of groups; None without groups.
        targets: kind ("class" or "real"), classes and number of known values of each target, by name.
        bottleneck, widths, norm, batch, epochs, patience, seeds: as in `train_heads`.
        confidence: level of the intervals.
        scores: of all objectives, targets and probes.
        trained: how each objective was trained.
        heads: the encoders, to embed new features; None where the scores were read back (`load_heads` reads networks).
        data: the matched rows with their targets and parts; None likewise.
        before: scores where confounders are left in; empty where there are none, or heads were trained before.
        confounders: what was removed as known nuisance: names, number of levels of each class (0 of real values), and
            the shares of each view's variance among the training rows that it explains, less those by chance; None
            where nothing was.
        predictions: what a diagnosis foretold for each target (`phasejax.diagnosis.compare_heads`); empty before that.
        warnings: what limits the answer, one sentence each.
        computed_on: versions, device, cores and flags, on which the last digits depend.
    """

    n: int
    d_x: int
    d_y: int
    groups: int | None
    rows: dict[str, int]
    groups_of_parts: dict[str, int] | None
    targets: dict[str, dict[str, Any]]
    bottleneck: int
    widths: tuple[int, ...]
    norm: str | None
    batch: int
    epochs: int
    patience: int
    seeds: int
    confidence: float
    scores: tuple[HeadScore, ...]
    trained: tuple[TrainedObjective, ...]
    heads: Heads | None = None
    data: HeadRows | None = None
    before: tuple[HeadScore, ...] = ()
    confounders: dict[str, Any] | None = None
    predictions: tuple[HeadPrediction, ...] = ()
    warnings: tuple[str, ...] = ()
    computed_on: dict[str, str] | None = None

    _kind, _unsaved = "phasejax.heads", ("heads", "data")

    def score(self, objective: str, target: str | None = None, probe: str | None = None) -> HeadScore:
        """One of the scores.

        Args:
            objective: as in `HeadScore`.
            target: its name; the first target when left out.
            probe: that whose score stands for the target when left out.

        Raises:
            ValueError: there is no such score.
        """
        target = next(iter(self.targets)) if target is None else target
        for one in self.scores:
            if (one.objective, one.target) == (objective, target) and (one.main if probe is None else
                                                                       one.probe == probe):
                return one
        known = dict.fromkeys(one.objective for one in self.scores)
        raise ValueError(f"score: expected an objective out of {', '.join(known)}, a target out of "
                         f"{', '.join(self.targets)} and a probe that was fitted, got {objective}, {target}, {probe}")

    def summary(self) -> str:
        """The main scores by target as lines of text, then what limits them."""
        lines = []
        for name, about in self.targets.items():
            own = [one for one in self.scores if one.target == name and one.main]
            what = "nuisance, leakage" if about["nuisance"] else "target"
            lines.append(f"{name} ({what}): {own[0].metric} by {own[0].probe} probe, "
                         f"chance {significant(own[0].chance, 2)}")
            lines += [f"  {one.objective:<20} {_with_interval(one):<24} {one.columns} columns{self._others(one)}"
                      for one in own]
            lines += [f"  {line}" for one in self.predictions if one.target == name for line in _foretold(one)]
        if self.confounders is not None:
            shares = ", ".join(f"{100 * max(self.confounders[f'{view}_share'], 0):.0f}% of {view}" for view in "xy")
            named = confounder_words(self.confounders["names"], self.confounders["levels"])
            lines.append(f"removed {named}: explained {shares} among the rows to train on")
        return "\n".join([*lines, self._rows_in_words(), *(f"Warning: {warning}" for warning in self.warnings)])

    def _rows_in_words(self) -> str:
        parts = ", ".join(f"{count} to {verb}" for count, verb in zip(
            self.rows.values(), ("train", "validate", "test"), strict=True))
        groups = "" if self.groups is None else f" in {self.groups} groups"
        return (f"n = {self.n}{groups} ({parts}), d_x = {self.d_x}, d_y = {self.d_y}, "
                f"bottleneck = {self.bottleneck}, {self.seeds} seed{'s' * (self.seeds > 1)}")

    def _overview(self) -> Overview:
        """Main scores: a row for each objective, a column for each of the first targets."""
        targets = list(self.targets)[:_TARGETS_SHOWN]
        main = {(one.objective, one.target): one for one in self.scores if one.main}
        names = list(dict.fromkeys(one.objective for one in self.scores))
        heads = [f"{name}{', leakage' * self.targets[name]['nuisance']}: "
                 f"{next(one.metric for one in self.scores if one.target == name and one.main)}" for name in targets]
        more = len(self.targets) - len(targets)
        return Overview(
            kind="Heads", answer="Scores on rows that nothing has seen",
            columns=("objective", *heads),
            note=self._rows_in_words() + f"; {more} more targets in to_frame()" * (more > 0),
            rows=[[name, *(_with_interval(main[name, target]) if (name, target) in main else "" for target in targets)]
                  for name in names],
            facts={one.target: " ".join(_foretold(one)) for one in self.predictions[:_TARGETS_SHOWN]},
            warnings=self.warnings)

    def plot(self, ax: "Axes | None" = None, *, target: str | None = None) -> "Axes":
        """Draw the main scores of a target with their intervals; `plot_heads` draws all targets.

        Args:
            ax: where to draw; new axes by default.
            target: its name; the first one by default.

        Returns:
            The axes.

        Raises:
            ValueError: there is no such target.
        """
        from phasejax.deep._heads_plot import draw_target

        return draw_target(self, ax, target)

    def to_frame(self) -> pd.DataFrame:
        """The scores as a table, one in each row; scores of single seeds are left to `to_dict`.

        Where confounders were removed, `before`, `before_low` and `before_high` are the score and its interval where
        they are left in.
        """
        names = [field.name for field in fields(HeadScore) if field.name != "by_seed"]
        table = pd.DataFrame([[getattr(one, name) for name in names] for one in self.scores], columns=pd.Index(names))
        if self.before:
            found = [self._before(one) for one in self.scores]
            for column, name in (("before", "value"), ("before_low", "low"), ("before_high", "high")):
                table[column] = [float("nan") if one is None else getattr(one, name) for one in found]
        return table

    def _before(self, score):
        """The same score where confounders are left in; None without."""
        own = ("objective", "target", "probe")
        return next((one for one in self.before if all(getattr(one, name) == getattr(score, name) for name in own)),
                    None)

    def _others(self, score):
        """What stands after a score in its line: that of the supervised head itself, and that with confounders."""
        itself = next((one for one in self.scores if (one.objective, one.target) == (score.objective, score.target)
                       and one.probe == "head"), None)
        before = self._before(score)
        return ("" if itself is None else f"; by itself {significant(itself.value)}") + \
            ("" if before is None else f"; with confounders {_with_interval(before)}")


def _with_interval(one: HeadScore) -> str:
    """A score with its interval, to three digits where that is narrower."""
    return with_interval(one.value, one.low, one.high) if one.high - one.low > 1e-3 else significant(one.value)


def _foretold(one: HeadPrediction) -> Iterator[str]:
    if one.predicted is None:
        yield f"diagnosis: no prediction ({one.reason})"
        return
    scores = ", ".join(f"{name} {significant(value, 2)}" for name, value in one.scores.items())
    sure = "" if one.decided else ", undecided"
    by = "" if one.measured == one.predicted else ", by less than 0.02" if one.agrees else \
        f", by {significant(one.regret or 0.0, 2)}"
    yield f"diagnosis: {one.predicted} ({scores}{sure}); measured best: {one.measured}{by}"
