"""What the answer of a report rests on: tests, content, scores by source and by label column, as plain values."""

from collections.abc import Mapping
from typing import Any

from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._representations import NAMES
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._uses import SITUATIONS
from phasejax.plotting import REGIME_COLOURS
from phasejax.theory import Regime

MEANINGS = {
    Regime.NEITHER: "neither alignment nor predicting y from x keeps what both views tell about the labels",
    Regime.CA_ONLY: "alignment keeps what both views tell about the labels, predicting y from x does not",
    Regime.CP_ONLY: "predicting y from x keeps what both views tell about the labels, alignment does not",
    Regime.BOTH: "alignment and predicting y from x both keep what both views tell about the labels"}
CONTENT_NAMES = {"ca": "CA", "cp": "CP x→y", "cp_reverse": "CP y→x"}
# Label columns whose scores are shown, and representations whose scores are shown for each.
COLUMNS_SHOWN = 40
OF_A_COLUMN = ("x and y", "x", "y", "CA", "CP both", "CA of x", "CP x->y", "CA of y", "CP y->x")


def tests(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The two tests of a shared signal: question, answer, and what was seen beside what shuffled data give."""
    shared = diagnosis.shared
    noun = "row" if diagnosis.groups is None else "group"
    return [
        {"question": "Do x and y share anything?", "yes": shared.views_share, "p": shared.views_p,
         "least": shared.least_p[0],
         "measure": "canonical correlation (root mean square)", "observed": shared.agreement,
         "shuffled": shared.shuffled_agreement, "what": "shuffled pairs", "permutations": shared.permutations,
         "size": shared.size, "noun": noun, "statistic": shared.view_statistic},
        {"question": "Does what they share concern the labels?", "yes": shared.labels_concerned, "p": shared.labels_p,
         "least": shared.least_p[1],
         "measure": "share of the labels' variance that shared directions explain", "observed": shared.label_share,
         "shuffled": shared.shuffled_label_share, "what": "shuffled labels", "permutations": shared.label_permutations,
         "size": shared.labelled_size, "noun": noun, "statistic": shared.label_statistic}]


def regime_at_n(diagnosis: Diagnosis) -> dict[str, Any]:
    """The regime at this number of rows: components, name, colour, meaning, probabilities, and why it may be open."""
    k, content, stated = components(diagnosis), diagnosis.content, diagnosis.regime
    probabilities = content.probabilities[content.ks.index(k)]
    return {
        **regime_words(stated or content.likeliest(k)),
        "k": k, "stated": stated is not None, "reason": content.reason(k),
        "shares": {CONTENT_NAMES[name]: estimate for name, estimate in content.at(k).items()},
        "k80": {CONTENT_NAMES[name]: count for name, count in content.k80.items()},
        "probabilities": [{**regime_words(member), "probability": probability}
                          for member, probability in zip(Regime, probabilities, strict=True)]}


def components(diagnosis: Diagnosis) -> int:
    """The components that the regime is about: the width that was given, or the labels' directions."""
    return diagnosis.directions if diagnosis.k is None else diagnosis.k


def regime_words(member: Regime) -> dict[str, str]:
    """Name, colour and meaning of a regime."""
    return {"name": member.value, "colour": REGIME_COLOURS[member], "meaning": MEANINGS[member]}


def scores_by_source(scores: FairScores, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every representation's scores, by situation, with those of each source and the expected loss in its line."""
    groups = []
    for situation, (whole, embeddings) in SITUATIONS.items():
        losses = scores.best(embeddings).expected_loss
        groups.append({"situation": situation, "rows": [
            {"name": labels[name], "score": scores.score(name), "loss": losses.get(name),
             "by_source": [scores.values[source].get(name) for source in scores.sources]}
            for name in (whole[0], *embeddings)]})
    return groups


def scores_by_width(scores: tuple[FairScores, ...], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every representation's score at each width."""
    return [{"name": labels[name], "values": [of_k.score(name).value for of_k in scores]} for name in NAMES]


def scores_by_column(scores: FairScores) -> list[dict[str, Any]]:
    """Scores of each label column alone, where there are several."""
    if len(scores.per_column) < 2:
        return []
    return [{"column": place, "scores": [column.score(name) for name in OF_A_COLUMN]}
            for place, column in enumerate(scores.per_column[:COLUMNS_SHOWN], start=1)]
