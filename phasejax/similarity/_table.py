"""The table of similarities that `compare_representations` returns, and its forms as text and JSON."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from phasejax._core.axes import axes_or_new
from phasejax._core.colours import OBJECTIVE_COLOURS
from phasejax._core.digits import decimals_of, p_value, significant, to_decimals
from phasejax._core.overview import Overview
from phasejax._core.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR = OBJECTIVE_COLOURS["CA"]
# Metrics of which low values mean similar views.
DISTANCES = frozenset({"correlation_matrix_distance"})


@dataclass(frozen=True)
class MetricResult:
    """A metric of two views, beside what chance gives.

    Args:
        value: of all rows.
        null_mean: mean over random pairings of the rows, which is what chance gives at this n and d.
        p_value: probability that a random pairing is at least as similar; NaN where the metric is not defined in all
            of them.
        low: lower end of an interval for what the metric is at this n on average, cut at the range of the metric; NaN
            where the metric is not defined in all parts of the rows, such as where four fifths of them are too few.
        high: upper end of it.
        missing: what is NaN and why, None where nothing is.
    """

    value: float
    null_mean: float
    p_value: float
    low: float
    high: float
    missing: str | None = None


@dataclass(frozen=True)
class SimilarityTable(Record):
    """The similarity of two representations by several metrics.

    Args:
        n: number of rows.
        d_x: number of columns of x.
        d_y: number of columns of y.
        k: number of neighbours.
        distance: by which neighbours are near, "cosine" or "euclidean".
        permutations: number of random pairings behind p-values.
        resamples: number of parts of the rows behind intervals.
        confidence: level of the intervals.
        kernel_rows: number of rows behind p-values and intervals of RBF kernels (and of linear kernels where the views
            have more columns than rows).
        metrics: the results, by name.
        left_out: by name of a metric that these views do not allow, the reason.
        groups: number of groups, which is the sample size; None where rows are independent.
        paired_rows: number of rows behind p-values where rows belong to groups, which are cut to few sizes.
        computed_on: versions, device, cores and flags, on which the last digits depend.
    """

    n: int
    d_x: int
    d_y: int
    k: int
    distance: str
    permutations: int
    resamples: int
    confidence: float
    kernel_rows: int
    metrics: dict[str, MetricResult]
    left_out: dict[str, str]
    groups: int | None = None
    paired_rows: int | None = None
    computed_on: dict[str, str] | None = None

    _kind = "phasejax.similarity"

    def summary(self) -> str:
        """The table as lines of text."""
        level = f"{100 * self.confidence:g}% interval"
        lines = [f"{'metric':28}{'value':>10}{'by chance':>11}{'p':>9}   {level}"]
        lines += [f"{name:28}{value:>10}{chance:>11}{p:>9}   {ends}" for name, value, chance, p, ends in self._rows()]
        return "\n".join([*lines, self._data(), *self._remarks()])

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Of each metric its name, value, value by chance, p-value and interval, as text."""
        for name, found in self.metrics.items():
            decimals = decimals_of(found.low, found.high)  # None, as of NaN, stands for three digits
            value, chance, low, high = (significant(one) if decimals is None else to_decimals(one, decimals)
                                        for one in (found.value, found.null_mean, found.low, found.high))
            ends = "-" if np.isnan(found.low) else f"{low} to {high}"
            p = "-" if np.isnan(found.p_value) else p_value(found.p_value, 1 / (self.permutations + 1))
            yield name, value, chance, p.removeprefix("= "), ends

    def _data(self) -> str:
        rows = f"n = {self.n}" + ("" if self.groups is None else f" in {self.groups} groups")
        return (f"{rows}, d_x = {self.d_x}, d_y = {self.d_y}, k = {self.k} ({self.distance}), "
                f"{self.permutations} permutations, {self.resamples} resamples")

    def _remarks(self) -> list[str]:
        """What limits the numbers, and what is missing."""
        lines = ["A distance is small where the views are similar."] if self.metrics.keys() & DISTANCES else []
        if self.groups is not None:
            lines.append(f"Whole groups are paired at random and left out: the sample size is {self.groups} groups.")
        if self.paired_rows is not None and self.paired_rows < self.n:
            lines.append(f"p-values and chance rest on {self.paired_rows} rows: groups that trade places are cut to "
                         "one size.")
        if self.kernel_rows < self.n:
            lines.append(f"p-values and intervals of kernels rest on {self.kernel_rows} rows.")
        lines += [f"{name}: {found.missing}." for name, found in self.metrics.items() if found.missing]
        return lines + [f"Left out: {name} ({reason})" for name, reason in self.left_out.items()]

    def _overview(self) -> Overview:
        return Overview(
            kind="Similarity", answer=f"{len(self.metrics)} metrics of two representations, beside what chance gives",
            columns=("metric", "value", "by chance", "p", f"{100 * self.confidence:g}% interval"),
            rows=list(self._rows()), facts={"Notes": " ".join(self._remarks())} if self._remarks() else {},
            note=self._data())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw each metric with its interval, and beside it, as a bar across, what chance gives.

        Args:
            ax: where to draw; new axes by default.

        Returns:
            The axes.
        """
        ax = axes_or_new(ax, height=0.8 + 0.25 * len(self.metrics))
        for row, found in enumerate(self.metrics.values()):
            ax.plot([found.low, found.high], [row, row], color=_COLOUR, linewidth=4.5, alpha=0.45)
            ax.plot(found.value, row, "o", color=_COLOUR, markersize=4)
            ax.plot(found.null_mean, row, "|", color="0.3", markersize=11)
        ax.set(yticks=range(len(self.metrics)), yticklabels=list(self.metrics), ylim=(len(self.metrics) - 0.5, -0.5),
               xlabel="similarity; upright: by chance")
        return ax

    def to_frame(self) -> pd.DataFrame:
        """A row for each metric, with its name and the fields of `MetricResult`; those that were left out come last."""
        rows = [{"metric": name, **asdict(found)} for name, found in self.metrics.items()]
        rows += [{"metric": name, "missing": reason} for name, reason in self.left_out.items()]
        return pd.DataFrame(rows, columns=pd.Index(["metric", *(field.name for field in fields(MetricResult))]))

    def _derived(self) -> dict[str, Any]:
        """The metrics with None for NaN, which stands for what is missing."""
        return {"metrics": {name: {key: None if isinstance(value, float) and math.isnan(value) else value
                                   for key, value in asdict(found).items()} for name, found in self.metrics.items()}}

    @classmethod
    def _fields_of(cls, saved: dict[str, Any]) -> dict[str, Any]:
        metrics = saved.get("metrics")
        if not isinstance(metrics, dict) or not all(isinstance(one, dict) for one in metrics.values()):
            return saved
        return {**saved, "metrics": {name: {key: "nan" if value is None and key != "missing" else value
                                            for key, value in one.items()} for name, one in metrics.items()}}
