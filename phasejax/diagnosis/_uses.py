"""From scores to what to do, by use: both views at test time, one of them, or an embedding of k numbers.

A user does not ask which objective is best in general, but which of the things that can be had in a situation. What is
compared in a line can be had in the same situation and, among embeddings, has the same number of columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from phasejax._core.digits import significant, with_interval
from phasejax.diagnosis._bootstrap import Score
from phasejax.diagnosis._decision import Choice
from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._view_words import ViewWords, view_words

if TYPE_CHECKING:
    from phasejax.diagnosis._result import Diagnosis

# The objectives that a user trains, each with all encoders that it gives.
OBJECTIVES = ("CA", "CP x->y", "CP y->x")
# For each situation: what can be used with all its columns, and the embeddings of one width.
SITUATIONS = {
    "Both views at hand": (("x and y", "x", "y"), ("CA", "CP both")),
    "Only x at hand": (("x",), ("CA of x", "CP x->y", "joint", "x at k")),
    "Only y at hand": (("y",), ("CA of y", "CP y->x", "y at k")),
}


@dataclass(frozen=True)
class Use:
    """What to do in one situation.

    Args:
        situation: in words.
        choice: the best of all that can be had there.
        embedding: the best embedding of k numbers a view.
        certain: whether `embedding` is decided.
        text: the answer in one line.
    """

    situation: str
    choice: Choice
    embedding: Choice
    certain: bool
    text: str


def uses_of(diagnosis: "Diagnosis") -> tuple[Use, ...]:
    """One answer for each situation, and one for which objective to train; none where there are no scores.

    Args:
        diagnosis: whose scores and certainty count.
    """
    if not diagnosis.scores:
        return ()
    found = [_use(diagnosis, situation, *names) for situation, names in SITUATIONS.items()]
    objective = diagnosis.best(OBJECTIVES)
    text = _by_width(diagnosis, view_words(diagnosis), OBJECTIVES)
    return (*found, Use("One objective", objective, objective, objective.decided, text))


def _use(diagnosis: "Diagnosis", situation: str, whole: tuple[str, ...], embeddings: tuple[str, ...]) -> Use:
    everything, embedding = diagnosis.best((*whole, *embeddings)), diagnosis.best(embeddings)
    raw = diagnosis.best(whole).name
    widest, words = diagnosis.scores[-1], view_words(diagnosis)
    score = widest.score(raw)
    if not any(widest.clearly_above_chance(name) for name in (*whole, *embeddings)):
        text = (f"nothing predicts the labels clearly above chance, {significant(widest.chance, 2)}: "
                f"{words.actions[raw]}, {widest.metric} {with_interval(score.value, score.low, score.high)}")
        return Use(situation, everything, embedding, False, text)
    text = (f"{words.actions[raw]}, {widest.metric} {with_interval(score.value, score.low, score.high)}; "
            f"{_width(diagnosis)}: {_by_width(diagnosis, words, embeddings, raw)}")
    return Use(situation, everything, embedding, embedding.decided, text)


def _by_width(diagnosis: "Diagnosis", words: ViewWords, names: Sequence[str], raw: str | None = None) -> str:
    """The best of the names at each width, widths with one answer together."""
    answers = [(scores, diagnosis.best(names, k=scores.k)) for scores in diagnosis.scores]
    parts = []
    for (name, _), run in groupby(answers, lambda answer: (answer[1].name, answer[1].certainty.split(";")[0])):
        alike: list[tuple[FairScores, Choice]] = list(run)
        first, (scores, choice) = alike[0][0].k, alike[-1]
        widths = "" if len(diagnosis.scores) == 1 else (
            f"k = {first}" + (f" to {scores.k}" if len(alike) > 1 else "") + ": ")
        parts.append(f"{widths}{words.actions[name]}, {_shown(scores.score(name))}"
                     f"{f' at k = {scores.k}' if len(alike) > 1 else ''}{_cost(scores, name, raw, words)} "
                     f"({choice.certainty})")
    return "; ".join(parts)


def _cost(scores: FairScores, name: str, raw: str | None, words: ViewWords) -> str:
    """What compression costs beside all columns."""
    if raw is None:
        return ""
    # The difference of the numbers that are shown.
    cost = float(_shown(scores.score(raw))) - float(_shown(scores.score(name)))
    if abs(cost) < 0.005:
        return ""
    return (f", {significant(abs(cost), 1 if abs(cost) < 0.1 else 2)} {'less' if cost > 0 else 'more'} than "
            f"{words.whole[raw]}")


def _shown(score: Score) -> str:
    return with_interval(score.value, score.low, score.high).partition(" ")[0]


def _width(diagnosis: "Diagnosis") -> str:
    return "as an embedding" if diagnosis.k is None else f"as {diagnosis.k} number{'s' * (diagnosis.k > 1)} a view"
