r"""How many pairs, and how many labels, decide the regime of a spiked model or reach a given error.

**What is right.** n pairs show the right regime where the label content of their k leading directions, of alignment and
of prediction, lies on the side of 0.8 on which it lies with unlimited pairs (the k signals are the labels). It is the
regime that `diagnose` states, at its number of rows, and what a sweep's quantities "content_ca" and "content_cp" show.

**Pairs.** The loss 1 - s(n) is near its deterministic equivalent L(n) (`_expected_content`) and scatters as L(n) Q,
with Q a gamma variable of the relative variance of `_content_spread`. That variable multiplies what mixes signals and
nuisance, as one over n does; where the loss falls faster than 1/n, as by repelling values, it also acts faster. With n*
the number of pairs at which L(n*) is the loss allowed, L*,

.. math::
    P(1 - s \le L^*) = P(Q \le q), \qquad q = n / n^* \ \text{or}\ L^* / L(n),\ \text{whichever is nearer to 1}.

Values that move scatter log-normally, which raises the mean of Q by half their part of the variance. An objective that
does not recover the signals is wrong where values move so far that the signals come first and far enough apart: if the
nuisance's values have to fall by the factor exp(-z) for the leading-order loss, times Q, to be L*, with probability
Phi(-z / sd), averaged over Q. (Where two values alone cross, L* is tan^2(2 theta) / 4 at sin^2 theta = L*.)
Both objectives together by the Gaussian copula of their correlation.

**Labels.** From m labelled rows the content is estimated by a U-statistic of the kernel (h: x, g: y, both white)

.. math::
    \psi_{ij} = t_i \cdot t_j\, (h_i^\top M g_j + h_j^\top M g_i), \qquad M = P P^\top C - s\, C,

over its mean A at M = C, with variance (4 zeta_1 / m + 2 zeta_2 / m^2) / A^2, zeta_1 of the kernel's conditional mean
given a row, zeta_2 of the kernel. A regime is told when the content is 0.8 plus or minus (z_P + z_.9) standard errors,
and the label's predictable part 2 + z_P of its own: stated at .9 by `diagnose`, with probability P.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from phasejax._core.axes import axes_or_new
from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax._core.validation import check_number, is_traced
from phasejax.theory._closed_forms import delta_ca, delta_cp
from phasejax.theory._label_content import KEPT
from phasejax.theory._label_need import labels_needed
from phasejax.theory._model import SpikedModel
from phasejax.theory._plan_curves import MOST_PAIRS, JointCurve, ObjectiveCurve, least_pairs, spread_of
from phasejax.theory._plan_figure import draw_plan
from phasejax.theory._regimes import Regime

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NAMES = {"ca": "CA", "cp": "CP", "cp_reverse": "CP y->x"}
# Rows for each column of both views below which `diagnose` states no regime.
ROWS_PER_COLUMN = 3
# Numbers of pairs of the curves that a plan holds.
_CURVE = 60


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan(Record):
    """How many pairs and labels are needed; see `plan`.

    Args:
        model: the spiked model.
        regime: that with unlimited pairs, by label content; None on a boundary, or where an error was asked for.
        probability: with which it is to be shown, or the error to be reached.
        error: largest share 1 - s of the label content that may be lost; None where the regime was asked for.
        pairs: least number of pairs from which on n pairs show the regime, or an objective the error, with that
            probability; None: never.
        pairs_stated: pairs at which `diagnose` can also state it: at least three for each column of both views, and
            enough labels; None: never.
        labels: how many of `pairs_stated` need labels; None: never.
        label_r2: share of the labels' variance that the signals explain.
        objective: the one that needs most pairs for the regime, or fewest for the error: "CA", "CP" or "CP y->x".
        pairs_of: pairs that each objective needs alone; None: never.
        content: label content of each objective with unlimited pairs.
        limit: what limits the number of pairs, in words.
        n: numbers of pairs of the curves, shape (m,).
        probabilities: at each of `n`, that the regime is shown, or the error reached by `objective`.
        expected: expected label content of each objective at each of `n`.
        ranges: of a plan from a pilot, the ends of the intervals of `pairs`, `pairs_stated` and `labels` that the
            pilot's own uncertainty leaves, by name; infinity is never. Empty of a model that is given.
        range_level: their level; None without.
        warnings: what to know about the model, one sentence each.
    """

    model: SpikedModel
    regime: Regime | None
    probability: float
    error: float | None
    pairs: int | None
    pairs_stated: int | None
    labels: int | None
    label_r2: float | int
    objective: str
    pairs_of: dict[str, int | None]
    content: dict[str, float]
    limit: str
    n: Float[np.ndarray, "m"]
    probabilities: Float[np.ndarray, "m"]
    expected: dict[str, Float[np.ndarray, "m"]]
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    range_level: float | None = None
    warnings: tuple[str, ...] = ()

    _kind = "phasejax.plan"

    @property
    def aim(self) -> str:
        """What is to be reached, in words."""
        if self.error is not None:
            return f"an error of at most {significant(self.error, 2)} ({self.objective})"
        return "the right regime" + (f" ({self.regime.value})" if self.regime else "")

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        sure = f"with probability {significant(self.probability, 2)}"
        verb = "show" if self.error is None else "reach"
        if self.pairs is None:
            return f"Never: no number of pairs can {verb} {self.aim} {sure}: {self.limit}."
        labels = "no number of labels lets diagnose state it" if self.labels is None else (
            f"diagnose needs {self.pairs_stated} pairs, {self.labels} of them labelled, to state it")
        return f"{self.pairs} pairs {verb} {self.aim} {sure}; {labels}. {self.limit[0].upper()}{self.limit[1:]}."

    def probability_at(self, n: float | int) -> float:
        """Probability at n pairs, between those of `n` by interpolation; NaN outside them."""
        return float(np.interp(math.log(n), np.log(self.n), self.probabilities, left=np.nan, right=np.nan))

    def summary(self) -> str:
        """A line for each objective, and the verdict."""
        lines = [f"{'objective':<10} {'content, unlimited pairs':>25} {'at ' + _count(self.pairs) + ' pairs':>20} "
                 f"{'pairs needed':>14}"]
        lines += [f"{name:<10} {content:>25} {at:>20} {pairs:>14}" for name, content, at, pairs in self._rows()]
        if self.ranges:
            lines.append(self._ranges_in_words())
        return "\n".join([*lines, self.verdict, *(f"Warning: {warning}" for warning in self.warnings)])

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Of each objective its name, content with unlimited pairs and with those planned, and the pairs it needs."""
        for name, content in self.content.items():
            at = "-" if self.pairs is None else significant(
                float(np.interp(math.log(self.pairs), np.log(self.n), self.expected[name])), 2)
            yield name, significant(content, 3), at, _count(self.pairs_of[name])

    def _ranges_in_words(self) -> str:
        shown = ", ".join(f"{_range(*self.ranges[name])} {words}" for name, words in (
            ("pairs", "pairs"), ("pairs_stated", "pairs to state it"), ("labels", "labels")))
        return f"as well as the pilot tells (level {significant(self.range_level or 0.0, 2)}): {shown}"

    def _overview(self) -> Overview:
        return Overview(
            kind="Plan", answer=self.verdict, rows=list(self._rows()), warnings=self.warnings,
            columns=("objective", "content, unlimited pairs", f"at {_count(self.pairs)} pairs", "pairs needed"),
            best=frozenset([list(self.content).index(self.objective)] if self.objective in self.content else []),
            facts={"Interval": self._ranges_in_words()} if self.ranges else {})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the probability and the expected label content against the number of pairs.

        Args:
            ax: where to draw; new axes by default.

        Returns:
            The axes.
        """
        return draw_plan(self, axes_or_new(ax))

    def to_frame(self) -> "pd.DataFrame":
        """The curves as a table: numbers of pairs, the probability, and expected label content by objective."""
        import pandas as pd

        return pd.DataFrame({"n": self.n, "probability": self.probabilities,
                             **{f"content {name}": values for name, values in self.expected.items()}})

    def _derived(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "delta_ca": float(delta_ca(self.model)),
                "delta_cp": float(delta_cp(self.model))}


@checked
def plan(model: SpikedModel, *, probability: float = 0.9, error: float | None = None, label_r2: float | int = 1.0
         ) -> Plan:
    r"""How many pairs and labels decide the regime of a model, or keep all but a given share of what the views share.

    .. math::
        n = \min \{ n : P(s_{\mathrm{CA}}, s_{\mathrm{CP}} \text{ of } n' \text{ pairs lie on the same sides of } 0.8
        \text{ as at } n' = \infty) \ge P \text{ for all } n' \ge n \}

    with s the label content of as many directions as there are signals (`phasejax.theory.label_content`), from
    finite-sample theory: a deterministic equivalent for the expected content, the delta method for its scatter. With
    `error`, the least n at which some objective has 1 - s <= error. Against simulation, `python -m benchmarks plan`.

    Few pairs show "Neither" whatever the model: where that is the regime, the labels are what its statement takes.

    Args:
        model: one concrete spiked model, which may come from a pilot (`phasejax.diagnosis.plan_from_pilot`).
        probability: with which the regime is to be right, between 0.5 and 1.
        error: largest share 1 - s of the label content to be lost, between 0 and 1; None asks for the regime.
        label_r2: share of the labels' variance that the signals explain, above 0, up to 1. Labels are as many as there
            are signals and span them.

    Returns:
        The plan. `pairs` is None (never) on a boundary of regimes, and for an error below what unlimited pairs lose.

    Raises:
        ValueError: a traced or batched model, or an argument out of its range.

    Source: derived in `phasejax.theory._plan`, `_expected_content` and `_content_spread`.

    >>> found = plan(SpikedModel.homogeneous(1.5, nu=0.4, k=2, d=6, gamma_x=0.5, gamma_y=0.5))
    >>> found.regime, 20 < found.pairs < 80
    (<Regime.BOTH: 'Both'>, True)
    """
    probability = check_number("probability", probability, above=0.5, below=1)
    label_r2 = check_number("label_r2", label_r2, above=0, most=1)
    if error is not None:
        error = check_number("error", error, above=0, below=1)
    if is_traced(*jax.tree.leaves(model)) or np.ndim(model.kappa) != 1:
        raise ValueError("model: expected one concrete model, got a traced or batched one")
    if not np.any(model.kappa):
        raise ValueError("kappa: expected a signal above 0, got none: nothing is shared that could be recovered")
    with jax.enable_x64(True):
        return _planned(model, probability, error, label_r2)


def _planned(model, probability, error, label_r2):
    allowed = 1 - KEPT if error is None else error
    chosen = ("ca", "cp") if error is None else ("ca", "cp", "cp_reverse")
    spread = spread_of(model)
    objectives = {name: ObjectiveCurve(model, name, allowed, None if name == "cp_reverse" else spread)
                  for name in chosen}
    least = model.d_x + model.d_y + 1
    pairs_of: dict[str, int | None] = {}
    for name, one in objectives.items():
        one.follow(least)
        pairs_of[name] = one.needed(probability, least, must_recover=error is not None)
    if error is None:
        never = [one for one in objectives.values() if one.on_boundary]
        codes = sum((2 if name == "cp" else 1) * one.recovers for name, one in objectives.items())
        regime = None if never else Regime.from_code(codes)
        key = max(pairs_of, key=lambda name: _or_infinity(pairs_of[name]))
        joint = JointCurve(objectives)
        pairs = None if None in pairs_of.values() else least_pairs(joint.probability, probability, least)
        shown = joint.probability
    else:
        regime = None
        key = min(pairs_of, key=lambda name: (_or_infinity(pairs_of[name]), -objectives[name].content))
        pairs, shown = pairs_of[key], objectives[key].probability
    told = objectives if error is None else {key: objectives[key]}
    pairs_stated, labels = (None, None)
    if pairs is not None:
        pairs_stated, labels = _stated(model, told, allowed, pairs, probability, label_r2)
    n = _curve_points(pairs, least)
    return Plan(
        model=model, regime=regime, probability=probability, error=error, pairs=pairs, pairs_stated=pairs_stated,
        labels=labels, label_r2=label_r2, objective=NAMES[key], pairs_of={NAMES[one]: v for one, v in pairs_of.items()},
        content={NAMES[name]: one.content for name, one in objectives.items()},
        limit=_limit(model, objectives, key, pairs, pairs_stated, error, least), n=n,
        probabilities=np.array([shown(value) for value in n.tolist()]),
        expected={NAMES[name]: 1 - one.loss(n) for name, one in objectives.items()},
        warnings=tuple(_warnings(model, regime, error)))


def _stated(model, objectives, allowed, pairs, probability, label_r2):
    """Pairs at which a diagnosis has the rows and the labels to state the answer, and how many labels it needs."""
    n = max(pairs, ROWS_PER_COLUMN * (model.d_x + model.d_y))
    while n <= MOST_PAIRS:
        needed = max(labels_needed(one.model, one.place, float(1 - one.loss(n)), 1 - allowed, n, probability, label_r2)
                     for one in objectives.values())
        if needed <= n:
            return n, math.ceil(needed)
        n = math.ceil(n * 1.05)
    return None, None


def _curve_points(pairs, least):
    centre = math.log(least if pairs is None else max(pairs, least))
    low, high = max(math.log(least), centre - math.log(10)), centre + math.log(5)
    if pairs is None:
        high = math.log(1e3 * least)
    points = np.exp(np.linspace(low, high, _CURVE))
    return np.sort(np.append(points, pairs)) if pairs is not None else points


def _limit(model, objectives, key, pairs, stated, error, least):
    """What limits the number of pairs, in words."""
    one, name = objectives[key], NAMES[key]
    if pairs is None and one.on_boundary:
        return f"{name} is on the boundary, where signal and nuisance have the same value"
    if pairs is None and error is not None:
        return (f"with unlimited pairs {name} still loses {significant(1 - one.content, 2)} of what the views share, "
                "and the others no less")
    if pairs is None:
        return f"{name} is so near to its boundary that {significant(MOST_PAIRS, 1)} pairs are too few"
    if stated is not None and stated > max(pairs, ROWS_PER_COLUMN * (model.d_x + model.d_y)):
        return "the labels limit what can be told, rather than the pairs"
    if pairs == least:
        return f"any number of pairs above the {least - 1} columns of both views will do"
    if not np.any(model.nu):
        return f"the limit is chance correlation among the {least - 1} columns ({name})"
    ratio = {"ca": delta_ca, "cp": delta_cp}.get(key, lambda m: delta_cp(m.reverse()))(model)
    return f"the limit is {name} with a separation ratio of {significant(float(ratio), 3)}"


def _warnings(model, regime, error):
    by_ratios = Regime.from_ratios(float(delta_ca(model)), float(delta_cp(model)))
    if error is None and regime is not None and by_ratios is not regime:
        yield (f"some signals are recovered and others not: by separation ratios, which count all signals, the regime "
               f"is {by_ratios.value}; by label content it is {regime.value}.")


def _or_infinity(number):
    return math.inf if number is None else number


def _range(low, high):
    ends = [_count(None if math.isinf(end) else math.ceil(end)) for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _count(number):
    return "never" if number is None else str(number)
