"""The first screen of a report: what to use in each situation, its score, how sure that is, what would settle it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from phasejax.diagnosis._bootstrap import Score
from phasejax.diagnosis._decision import Choice
from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._uses import OBJECTIVES, SITUATIONS
from phasejax.diagnosis._view_words import ViewWords, view_words

# What the three degrees of certainty mean.
CERTAINTIES = {
    "sure": "at least 95% likely to be the best of its line, and the best by each source of scores that counts",
    "decided": "fit to act on: probably the best, and no other of its line is likely to be more than 0.02 better",
    "undecided": "these data do not tell which; beside it stand the next best and what a wrong choice would cost"}


@dataclass(frozen=True)
class Option:
    """What to use, at one width or at several neighbouring ones.

    Args:
        widths: those it holds for, such as "k = 1 to 4"; empty where there is one only.
        action: in words.
        first, last: scores at the least and the greatest of these widths.
        certainty: "sure", "decided" or "undecided".
        rival: what comes next, in words; empty where the option is sure or the only one.
        rival_score: its score at the greatest width.
        loss: by how much the best of the line is above this one on average, at the greatest width.
        needed: what would decide it, or make sure.
        cost: by how much the score at the greatest width is below that of all columns; None without such a yardstick.
        whole: what "all columns" are in this line: "all columns", or "all components".
    """

    widths: str
    action: str
    first: Score
    last: Score
    certainty: str
    rival: str
    rival_score: float
    loss: float
    needed: str
    cost: float | None = None
    whole: str = ""


@dataclass(frozen=True)
class Line:
    """One situation of the answer.

    Args:
        situation: in words.
        whole: what to use with all its columns; None where an objective is to be chosen.
        equal: what does as well with all columns, in words.
        embeddings: what to use as an embedding, by width.
    """

    situation: str
    whole: Option | None
    equal: tuple[str, ...]
    embeddings: tuple[Option, ...]


def lines(diagnosis: Diagnosis) -> tuple[Line, ...]:
    """The answer by situation; none where nothing shared is seen, or without scores."""
    if not diagnosis.seen or not diagnosis.scores:
        return ()
    widest, words = diagnosis.scores[-1], view_words(diagnosis)
    found = []
    for situation, (whole, embeddings) in SITUATIONS.items():
        choice = widest.best(whole)
        score = widest.score(choice.name)
        raw = Option("", words.actions[choice.name], score, score, *_certainty(choice, widest, words))
        found.append(Line(situation, raw, tuple(words.actions[name] for name in choice.equal),
                          _by_width(diagnosis, words, embeddings, choice.name)))
    return (*found, Line("One objective to train", None, (), _by_width(diagnosis, words, OBJECTIVES, None)))


def headline(diagnosis: Diagnosis, answer: Sequence[Line]) -> str:
    """The answer for both views at hand in one line without numbers."""
    if not diagnosis.seen:
        return ("The views share something, but nothing that the labels measure" if diagnosis.shared.views_share
                else "No shared signal seen: check the pairing")
    if not answer:
        regime = diagnosis.regime
        return f"Regime at n = {diagnosis.n}: {regime.value if regime else 'undecided'}"
    if not any(scores.beyond_chance for scores in diagnosis.scores):
        return "Nothing predicts these labels clearly above chance"
    first = answer[0]
    actions = {option.action for option in first.embeddings}
    if len(actions) > 1:
        embedding = "the best embedding depends on its width k"
    else:
        option = first.embeddings[-1]
        undecided = any(one.certainty == "undecided" for one in first.embeddings)
        embedding = (f"{width(diagnosis)}: " + (f"{option.action} or {option.rival}, undecided" if undecided
                                                else option.action))
    whole = first.whole
    alternative = f" or {whole.rival}" if whole and whole.certainty == "undecided" and whole.rival else ""
    return f"{whole.action if whole else ''}{alternative}; {embedding}"


def width(diagnosis: Diagnosis) -> str:
    """The embedding that is meant, in words."""
    k = diagnosis.k
    return "as an embedding" if k is None else f"as {k} number{'s' * (k > 1)} a view"


def _by_width(diagnosis: Diagnosis, words: ViewWords, names: Sequence[str], raw: str | None) -> tuple[Option, ...]:
    """The best of the names by width, neighbouring widths with the same answer together."""
    choices = [(scores, diagnosis.best(names, k=scores.k)) for scores in diagnosis.scores]
    whole = None if raw is None else diagnosis.scores[-1].score(raw).value
    options = []
    for _, run in groupby(choices, lambda pair: (pair[1].name, _degree(pair[1]))):
        alike = list(run)
        first, (last, choice) = alike[0][0], alike[-1]
        widths = "" if len(choices) == 1 else f"k = {first.k}" + f" to {last.k}" * (len(alike) > 1)
        score = last.score(choice.name)
        options.append(Option(widths, words.actions[choice.name], first.score(choice.name), score,
                              *_certainty(choice, last, words), None if whole is None else whole - score.value,
                              "" if raw is None else words.whole[raw]))
    return tuple(options)


def _certainty(choice: Choice, scores: FairScores, words: ViewWords) -> tuple[str, str, float, float, str]:
    """Certainty, rival with its score, expected loss and what is needed."""
    others = [name for name in choice.among if name != choice.name]
    if not others:
        return _degree(choice), "", 0.0, 0.0, choice.needed
    rival = max(others, key=lambda name: choice.scores[name])
    return (_degree(choice), "" if choice.sure else words.actions[rival], scores.score(rival).value,
            choice.expected_loss[choice.name], choice.needed)


def _degree(choice: Choice) -> str:
    return "sure" if choice.sure else "decided" if choice.decided else "undecided"
