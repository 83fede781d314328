"""What changes of the labels do to regime and decision, in words."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from math import isfinite

from phasejax._core.digits import significant
from phasejax._core.overview import Overview
from phasejax.diagnosis._label_quality_result import LabelQuality, QualityLevel

TITLES = {"noise": "Noise", "coarsening": "Coarser classes", "reassignment": "Wrong classes",
          "pseudo-labels": "Pseudo-labels", "labels": "Fewer labels", "pairs": "Fewer pairs", "ridge": "Ridge"}
_LOSSES = {"noise": "a loss of {loss:g} % of the labels' R2", "coarsening": "{level} classes",
           "reassignment": "{share:g} % of the labels reassigned", "labels": "{level} labels", "pairs": "{level} pairs"}


def summary(found: LabelQuality) -> str:
    """The labels as given, a line for each level, the conclusions and the warnings."""
    known = [] if found.confounders is None else [f"Confounders: {found.confounders}."]
    lines = [_as_given(found), *known, *(_line(found, level) for level in found.levels), *conclusions(found)]
    return "\n".join([*lines, *(f"Warning: {one}" for one in found.warnings)])


def overview(found: LabelQuality) -> Overview:
    """A row for each level: the regime and the decision of most repeats, and the score of x and y."""
    rows = []
    for level in found.levels:
        said = [("differ" if value == "split" else str(value or none), count) for (value, count), none in
                ((level.most("regime"), "not stated"), (level.most("decision"), "undecided"))]
        score = level.mean(lambda one: one.scores.get("x and y", float("nan")))
        total = len(level.outcomes)
        rows.append((f"{level.by}: {level.name}", *(f"{word} ({count} of {total})" for word, count in said),
                     significant(score, 2) if isfinite(score) else "-"))
    said = [one.partition(": ") for one in conclusions(found)]
    return Overview(kind="Label quality", answer=_as_given(found), rows=rows, warnings=found.warnings,
                    columns=("labels", "regime", "decision", "score of x and y"),
                    facts={about: text for about, _, text in said})


def conclusions(found: LabelQuality) -> Iterator[str]:
    """One or two sentences for each kind of change."""
    for by, group in groupby(found.levels, key=lambda one: one.by):
        levels = list(group)
        if by == "ridge":
            yield from _of_ridge(found, levels)
        elif by == "pseudo-labels" or found.given is None:
            for level in levels:
                yield f"{TITLES[by]}: {_of_clusters(found, level)}"
        else:
            yield f"{TITLES[by]}: {_followed(found, levels, 'regime')}; {_followed(found, levels, 'decision')}."
    if text := found.foretold.get("text"):
        yield f"Foretold by the plan from these data: {text}"


def _as_given(found):
    width = f"k = {found.k}" + (", as many as the labels have directions" if found.k_from_labels else "")
    if found.given is None:
        return f"No labels as given; {width}."
    one = found.given
    stated = f"{one.regime} (probability {significant(one.probability_of(one.regime), 2)})" if one.regime else \
        f"no regime ({_reason(one.reason)})"
    return (f"Labels as given: {stated}; {_decision(one.best, one.decided)}; {one.metric} of x and y "
            f"{significant(one.scores.get('x and y', float('nan')), 2)}; {width}.")


def _line(found, level):
    """A level: what was stated in how many repeats, the probability, the decision, and what else is known of it."""
    regime, count = level.most("regime")
    total = len(level.outcomes)
    _, low, high = level.share("regime", None if regime == "split" else regime, found.confidence)
    said = f"repeats differ: {_counted(level)}" if regime == "split" else (
        f"{regime or 'no regime'} in {count} of {total}"
        + (f" [{significant(low, 2)}, {significant(high, 2)}]" if total > 1 else ""))
    parts = [said]
    aim = None if found.given is None else found.given.likeliest
    probability = level.mean(lambda one: one.probability_of(aim))
    if probability == probability:
        parts.append(f"P({aim}) {significant(probability, 2)}")
    if any(one.scores for one in level.outcomes):
        decision, count = level.most("decision")
        score = level.mean(lambda one: one.scores.get("x and y", float("nan")))
        parts += ["decisions differ" if decision == "split" else f"{_decided(decision)} in {count} of {total}",
                  f"{level.metric} {significant(score, 2)}"]
    parts += [f"{name} {value:g}" if value == int(value) else f"{name} {significant(value, 2)}"
              for name, value in level.about.items() if isfinite(value)]
    refused = [one for one in level.outcomes if not one.probabilities and level.method == "content"]
    if len(refused) == total:
        parts.append(_reason(refused[0].reason))
    if level.detail:
        parts.append(f"({level.detail})")
    return f"{level.by:<14} {level.name:<28} " + ", ".join(parts)


def _followed(found: LabelQuality, levels: list[QualityLevel], what: str) -> str:
    """Up to which change the regime or the decision stays, and what it is then."""
    base = getattr(found.given, what)
    name = {"regime": f"the regime ({base})", "decision": f"the decision ({base})"}[what]
    none = {"regime": "no regime is stated", "decision": "no objective is decided for"}[what]
    last = None
    for level in levels:
        now, count = level.most(what)
        if now == base:
            last = level
            continue
        lost = f"it is no longer {'stated' if what == 'regime' else 'decided'}"
        became = {"split": "repeats differ", None: lost}.get(now, f"it becomes {now}")
        times = f" (in {count} of {len(level.outcomes)} repeats)" * (now != "split" and len(level.outcomes) > 1)
        if base is None:
            said = "repeats differ" if now == "split" else f"it is {now}{times}"
            return f"{none} with the labels as given; at {_cost(level)} {said}"
        held = f"{name} holds {_up_to(last)}; at " if last else f"{name} does not hold: at "
        return f"{held}{_cost(level)} {became}{times}"
    if base is None:
        return f"{none}, as with the labels as given, {_up_to(levels[-1])}"
    weakest = min(levels, key=lambda one: one.share(what, base, found.confidence)[0])
    count, total = weakest.most(what)[1], len(weakest.outcomes)
    but = "" if count == total else f", though in {count} of {total} repeats only at {_cost(weakest)}"
    return f"{name} does not change {_up_to(levels[-1])}{but}"


def _up_to(level):
    """Up to a damage, or down to a number."""
    return ("down to " if level.by in ("coarsening", "labels", "pairs") else "up to ") + _cost(level)


def _cost(level):
    return _LOSSES[level.by].format(level=level.level, share=round(100 * level.level, 1),
                                    loss=round(100 * (1 - level.level), 1))


def _of_clusters(found, level):
    regime, count = level.most("regime")
    decision, decided = level.most("decision")
    total = len(level.outcomes)
    text = f"{level.name}: " + ("repeats differ" if regime == "split" else
                                f"{regime or 'no regime'} in {count} of {total}")
    text += ", " + ("decisions differ" if decision == "split" else f"{_decided(decision)} in {decided} of {total}")
    if found.given is not None:
        same = (found.given.regime, found.given.decision) == (regime, decision)
        text += "; as with the labels" if same else (
            f"; the labels say {found.given.regime or 'no regime'}, {_decided(found.given.decision)}")
    return text + "."


def _of_ridge(found, levels):
    for size, group in groupby(levels, key=lambda one: one.level):
        *spectral, content = group
        first, last = spectral[0], spectral[-1]
        moved = sum(len({one.outcomes[place].regime for one in spectral}) > 1 for place in range(len(first.outcomes)))
        said = "; ".join(f"{one.ridge:g}: {_counted(one)}" for one in (first, last)[:len(spectral)])
        forced = first.about["correlations forced to 1"]
        because = f"; {forced:g} canonical correlations are 1 by construction but for the ridge" if forced else ""
        yield (f"{TITLES['ridge']}, {size} pairs: the published regime depends on the ridge in {moved} of "
               f"{len(first.outcomes)} subsamples ({said}){because}. By content: {_counted(content)}.")
    if found.given is not None and not found.given.seen:
        yield ("Ridge: the published method names a regime for every data set, also for these, in which nothing shared "
               "that concerns the labels is seen.")


def _counted(level):
    """How many repeats state each regime."""
    found = Counter(one.regime for one in level.outcomes).most_common()
    return ", ".join(f"{name or 'no regime'} {count}" for name, count in found) + f" of {len(level.outcomes)}"


def _decision(best, decided):
    return "no scores" if best is None else f"{best} ({'decided' if decided else 'undecided'})"


def _decided(decision):
    return "undecided" if decision is None else f"{decision} decided"


def _reason(text):
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]
