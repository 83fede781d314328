"""Which of some representations to use: the best by its combined score, how sure that is, and what would settle it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import gamma, norm

from phasejax._core.axes import axes_or_new
from phasejax._core.colours import OBJECTIVE_COLOURS
from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax.diagnosis._representations import MEASURED, NAMES, known_names
from phasejax.diagnosis._sources import mean_over, weights_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from phasejax.diagnosis._fair_scores import FairScores

# Probability from which a choice counts as decided.
DECIDED = 0.9
# Difference of two scores that nobody should act on: measured on trained networks, smaller ones are not predictable.
INDIFFERENT = 0.02
# Standard deviation of a trained network's score about any foretold one, besides the error of the rows: such that a
# difference of 0.02 is just decided by unlimited rows.
_METHOD_ERROR = INDIFFERENT / float(norm.ppf(DECIDED)) / math.sqrt(2)
# Probability from which it counts that no other choice is better by more than that, and that from which a choice may be
# sure. Chosen, as all constants here, on the pairs for choosing of `benchmarks.decision`: closed forms alone, and a
# pilot alone, err more than their draws say.
DECIDED_WITHIN, DECIDED_WITHIN_BESIDE, SURE = 0.95, 0.9, 0.95


@dataclass(frozen=True)
class Choice(Record):
    """The best of several representations.

    Args:
        name: its name.
        among: what it was chosen from.
        decided: whether it may be acted on: in 90 % of the draws no other is better, or in 95 % none is better by
            more than 0.02, for which 90 % are enough where closed forms and a pilot count beside each other; and its
            score is clearly above chance.
        sure: no other is better in 95 % of the draws, it is the best by each source that counts, and a pilot is one of
            them where networks are compared; closed forms agree on a wrong answer too often.
        probability: share of the draws in which no other is better.
        expected_loss: by name, by how much the best choice would on average be above this one.
        scores: by name, what was compared.
        equal: other names whose scores differ from the best one's by less than 0.02 in 95 % of the draws.
        needed: what would decide it, or make sure, in one sentence; empty where it is sure.
    """

    name: str
    among: tuple[str, ...]
    decided: bool
    sure: bool
    probability: float
    expected_loss: dict[str, float]
    scores: dict[str, float]
    equal: tuple[str, ...]
    needed: str

    _kind = "phasejax.choice"

    @property
    def certainty(self) -> str:
        """Whether the choice is sure or decided, or what would decide it, in words."""
        return "sure" if self.sure else "decided" if self.decided else f"undecided; would settle it: {self.needed}"

    def _overview(self) -> Overview:
        ranked = sorted(self.among, key=lambda one: self.expected_loss[one])
        return Overview(
            kind="Choice", answer=f"{self.name} ({self.certainty})", best=frozenset([ranked.index(self.name)]),
            columns=("choice", "score", "expected loss"),
            rows=[(one, significant(self.scores[one]), significant(self.expected_loss[one], 2)) for one in ranked],
            facts={"As good": ", ".join(self.equal)} if self.equal else {},
            note=f"No other is better with probability {significant(self.probability, 2)}")

    def to_frame(self) -> pd.DataFrame:
        """A row for each name: score, expected loss, and whether it is the choice or as good."""
        return pd.DataFrame({"name": self.among, "score": [self.scores[one] for one in self.among],
                             "expected_loss": [self.expected_loss[one] for one in self.among],
                             "chosen": [one == self.name for one in self.among],
                             "equal": [one in self.equal for one in self.among]})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the scores of what was compared, with a line as long as the expected loss of each.

        Args:
            ax: where to draw; new axes by default.

        Returns:
            The axes.
        """
        ax = axes_or_new(ax, height=0.8 + 0.3 * len(self.among))
        for row, one in enumerate(self.among):
            colour = OBJECTIVE_COLOURS.get(one.split()[0], "0.35")
            ax.plot([self.scores[one], self.scores[one] + self.expected_loss[one]], [row, row], color=colour)
            ax.plot(self.scores[one], row, "o", color=colour, markersize=8 if one == self.name else 5)
        ax.set(yticks=range(len(self.among)), yticklabels=[one.replace("->", "→") for one in self.among],
               ylim=(len(self.among) - 0.5, -0.5), xlabel="score; line: expected loss")
        return ax


def choose(scores: "FairScores", among: Sequence[str]) -> Choice:
    """The best of some representations by the mean of the sources' scores.

    A draw weights the held-out rows at random, the same weights for every source, and the sources as well (as by a
    Dirichlet distribution about what each counts): a sign on which they disagree is not a matter of more rows.

    What is trained is compared by the sources that all of it has: without the pilot where one training diverged, and by
    the pilot alone where that trained the very networks (`FairScores.leading`).
    Columns of the data and their principal components are not trained, so that a pilot has nothing to add to them.

    Args:
        scores: of `fair_scores`.
        among: names, at least one (`_representations.NAMES`).

    Raises:
        ValueError: a name is unknown; the nearest known one is given.
    """
    among = known_names(among)
    values, draws = _compared(scores, among)
    name = max(among, key=lambda one: values[one])  # the first of those that are exactly equal
    place = among.index(name)
    spread = np.stack([draws[one] for one in among], 1)
    loss = spread.max(1, keepdims=True) - spread
    probability = float(np.mean(loss[:, place] <= 0))
    within = np.mean(np.abs(spread - spread[:, [place]]) < INDIFFERENT, axis=0) >= SURE
    above = scores.clearly_above_chance(name)
    decided = above and (probability >= DECIDED or
                         bool(np.mean(loss[:, place] <= INDIFFERENT) >= _within(scores, among)))
    first = [name] if scores.leading and not set(among) <= set(MEASURED) else [
        max(among, key=lambda one: scores.values[source][one]) for source in scores.sources_of(*among)]
    piloted = all(one in MEASURED or "pilot" in scores.sources_of(one) for one in among)
    sure = decided and piloted and probability >= SURE and all(one == name for one in first)
    return Choice(
        name=name, among=among, decided=decided, sure=sure, probability=probability,
        expected_loss=dict(zip(among, map(float, loss.mean(0)), strict=True)), scores=values,
        equal=tuple(one for one, near in zip(among, within, strict=True) if near and one != name),
        needed="" if sure else _needed(scores, name, among, values, above, decided))


def _within(scores, among):
    """The probability from which it counts that none is better by more than what nobody should act on."""
    trained = [name for name in among if name not in MEASURED]
    sources = scores.sources_of(*trained) if trained else ()
    return DECIDED_WITHIN_BESIDE if "pilot" in sources and len(sources) > 1 else DECIDED_WITHIN


def _sources(scores, among):
    """The sources that count for each name: for what is trained those that all of it has."""
    trained = [name for name in among if name not in MEASURED]
    return {name: scores.sources_of(name) if name in MEASURED else scores.sources_of(*trained) for name in among}


def _compared(scores, among):
    """Values and draws of the combined scores."""
    rng = np.random.default_rng(0)
    size = len(next(iter(next(iter(scores.draws.of.values())).values())))
    # The same quantiles for every name, of gamma distributions about what each of the sources that count for it counts.
    survival = dict(zip(scores.sources, np.exp(-rng.standard_exponential((len(scores.sources), size))), strict=True))
    values, draws = {}, {}
    for name, used in _sources(scores, among).items():
        values[name] = mean_over(used, scores.values, name)
        weight = np.stack([gamma.isf(survival[one], shape) for one, shape in zip(used, weights_of(used), strict=True)])
        draws[name] = np.sum(weight * [scores.draws.of[one][name] for one in used], 0) / weight.sum(0)
    for name in NAMES:  # all, so that a name's error does not depend on what it is compared with
        off = _METHOD_ERROR * rng.standard_normal(size)
        if name in draws and name not in MEASURED:
            draws[name] = draws[name] + off
    return {name: float(value) for name, value in values.items()}, draws


def _needed(scores, name, among, values, above, decided):
    """What would decide, or make sure."""
    things = "groups" if scores.groups is not None else "labels"
    if not above:
        return f"labels that {name} predicts: none of these is clearly above chance with {scores.units} {things}"
    others = [one for one in among if one != name]
    untried = not ("pilot" in scores.sources or scores.diverged or set(among) <= set(MEASURED))
    by_heads = scores.leading is not None and not set(among) <= set(MEASURED)
    if decided:
        why = "it is too close" if by_heads else "the sources disagree on the order, or it is too close"
        return "a pilot" if untried else f"both trained in full: {why}"
    rival = max(others, key=lambda one: values[one])
    if by_heads:  # part of the error is the spread of seeds, which no number of labels makes smaller
        return f"more {things} than {scores.units}, or more seeds of the pilot: {name} and {rival} are too close"
    used = _sources(scores, among)
    difference = np.subtract(*(mean_over(used[either], scores.draws.of, either) for either in (name, rival)))
    gap = max(values[name] - values[rival], INDIFFERENT)
    # The standard error falls as one over the root of the number of labels.
    enough = scores.units * (norm.ppf(DECIDED) * float(difference.std()) / gap) ** 2
    if enough > scores.units:
        return f"about {_rounded(enough)} {things} instead of {scores.units} would tell {name} from {rival}"
    if untried:
        return f"a pilot, since linear and lifted scores of {name} and of {rival} disagree or are too close"
    return f"a wider bottleneck than {scores.k}, or both trained in full: {name} and {rival} are too close"


def _rounded(number):
    digits = 10 ** max(len(str(int(number))) - 2, 0)
    return int(-(-number // digits) * digits)
