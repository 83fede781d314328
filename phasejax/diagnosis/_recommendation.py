"""From the numbers of a diagnosis to what to train, and why, in words.

The objective follows from the predicted scores where there are any, since they measure what is wanted: how well a
representation predicts the labels. Without them it follows from the separation ratios.
"""

from collections.abc import Mapping

from phasejax._core.digits import with_interval
from phasejax.diagnosis._estimates import RATIOS, Estimate
from phasejax.diagnosis._predicted_scores import PredictedScores

# The objectives, and what to do to train each.
ACTIONS = {"CA": "Align", "CP x->y": "Predict y from x", "CP y->x": "Predict x from y"}


def best_objective(estimates: Mapping[str, Estimate], predicted_scores: PredictedScores | None) -> str:
    """What to train: "CA", "CP x->y", "CP y->x", or "x" or "y" for a single modality.

    From the predicted scores: the best of the three objectives, unless the better single modality is above it beyond
    chance. From the ratios: the largest that is above 1.
    """
    if predicted_scores is not None:
        best = max((predicted_scores.score(name) for name in ACTIONS), key=lambda score: score.value)
        return predicted_scores.best_single if predicted_scores.gain(best.name).high < 0 else best.name
    ratios = {name: estimates[ratio].value for name, ratio in zip(ACTIONS, RATIOS, strict=True)}
    best = max(ratios, key=lambda name: ratios[name])
    return best if ratios[best] > 1 else "x"


def recommendation(objective: str, verdict: str, k: int, predicted_scores: PredictedScores | None) -> str:
    """What to do and why, in one sentence.

    Args:
        objective: from `best_objective`.
        verdict: the regime in words.
        k: components of each encoder.
        predicted_scores: of the representations, if any.
    """
    regime = f"regime {verdict}"
    if predicted_scores is None:
        if objective in ACTIONS:
            return f"{ACTIONS[objective]}: its separation ratio is the largest and above 1 ({regime})."
        return f"Keep a single modality: no objective puts what the labels measure above all nuisance ({regime})."
    score = predicted_scores.score(objective)
    measured = f"predicted {predicted_scores.metric} {with_interval(score.value, score.low, score.high)}"
    if score.low <= predicted_scores.chance or not predicted_scores.beyond_chance:
        return (f"Undecided: no representation predicts these labels reliably better than chance "
                f"({measured}; {regime}).")
    if objective not in ACTIONS:
        return (f"Keep {objective} alone: with all its columns it predicts the labels better than any objective "
                f"with {k} components does ({measured}; {regime}).")
    gain, single = predicted_scores.gain(objective), predicted_scores.best_single
    action = ACTIONS[objective] + (f", or keep {single} alone" if gain.low <= 0 else "")
    beside = f"{with_interval(gain.value, gain.low, gain.high, '+')} beside {single} alone"
    return f"{action}: {measured}, {beside} ({regime})."
