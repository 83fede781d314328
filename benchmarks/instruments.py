"""Simulated instruments: does the diagnosis foretell what training would prefer, and does the monitor see a change?

Star surveys are drawn at random, each parameter from a uniform distribution of its logarithm within `RANGES`, CITE-seq
experiments around presets (`instruments_cite`). For each one 1,500 objects are observed, of which 300 have labels.

Decision: the diagnosis of these rows at a bottleneck of k names the best of CA and both CP encoders, and the best of
CA, CP x->y and CP y->x, by its closed forms and random features, with its own pilot, and with the very heads that will
be trained as its pilot (`instruments_heads`). Measured are heads with a hidden layer of 128 units (VICReg or DeepCCA,
whichever does better on validation rows; weight decay likewise), trained on the same objects without labels, under a
probe that is fitted to all of their labels and scored on 3,000 others; means over six seeds. What counts are
instruments whose measured best and second best are more than 0.02 apart, and by at least three standard errors of that
difference over the seeds: the same heads with other first parameters can end with another component altogether.

Monitor: three diagnoses of each 1,500 objects of the same instrument must raise no alarm among each other, one of an
instrument of which a single parameter has moved the regime must. The parameter is drawn at random among those that can
move it, and moved half as far again as `upgrades` says, or further: until both contents are .05 away from the boundary,
and the one that crosses it has moved by .1, about two standard errors of content with 300 labels.

No constant of the diagnosis was chosen on these instruments. The ranges of the CITE-seq experiments were, after looking
at regimes and one measured case, so that most differences are clear.
"""

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.instruments_cite import draw_cite
from benchmarks.instruments_heads import NAMES, PILOT, SEEDS, measured_scores
from benchmarks.report import Row, row
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis import Diagnosis, detect_drift, diagnose, diagnose_again
from phasejax.instruments import Instrument, InstrumentSample, StarSurvey, instrument_regime, observe, upgrades
from phasejax.theory._label_content import KEPT

# Instruments by task: false alarms are rare, and it takes many comparisons to tell a rate of .01 from one of .02.
COUNTS = {"decision": {"stars": 30, "cite": 30}, "monitor": {"stars": 60, "cite": 60}}
RANGES = {"resolution": (200, 20000), "spectrum_snr": (3, 300), "flux_calibration": (0.005, 0.3),
          "fibre_diameter": (1, 6), "photometric_noise": (20, 5000), "cadence": (2, 60), "baseline": (20, 1400),
          "pixel_scale": (1, 25), "field_extinction": (0.02, 2), "field_density": (0.01, 3),
          "magnitude_scatter": (0.05, 2)}
ROWS, LABELLED, VALIDATED, HELD_OUT = 1500, 300, 400, 3000
_CLEAR, _ERRORS, _LEVEL = 0.02, 3.0, 0.01
_UNCHANGED = 2  # diagnoses of each instrument besides the baseline
_LEAST_MOVE = 0.1
_COMPARISONS = {"CA, CP both": ("CA", "CP both"), "CA, CP x->y, CP y->x": ("CA", "CP x->y", "CP y->x")}
_SOURCES = ("without a pilot", "with a pilot", "with the heads as pilot")


def draw_stars(rng: np.random.Generator, number: int) -> tuple[StarSurvey, str, int]:
    """An instrument, its label and a bottleneck: log g and temperature in turn, and 1 or 2 outputs."""
    values = {name: float(np.exp(rng.uniform(*np.log(ends)))) for name, ends in RANGES.items()}
    return StarSurvey(**values), ("log_g", "teff")[number % 2], (1, 2)[number // 2 % 2]


DRAWS: dict[str, Callable[[np.random.Generator, int], tuple[Instrument, str, int]]] = {"stars": draw_stars,
                                                                                      "cite": draw_cite}


def _drawn(kind: str, number: int) -> tuple[Instrument, str, int]:
    return DRAWS[kind](np.random.default_rng([17, list(DRAWS).index(kind), number]), number)


def _observed(instrument: Instrument, seed: int, n: int) -> InstrumentSample:
    return observe(seed, instrument, n)


def _few_labels(sample: InstrumentSample, label: str) -> dict[str, Any]:
    values = np.asarray(sample.labels[label])
    x, y = (np.asarray(view, float)[:ROWS] for view in (sample.x, sample.y))
    return {"x": x, "y": y, "labels": values[:LABELLED], "labelled": np.arange(LABELLED),
            "label_kind": "class" if values.dtype.kind == "i" else "real"}


def _all_rows(instrument: Instrument, number: int) -> InstrumentSample:
    """The rows that are diagnosed and trained on, and those that stop and score a training."""
    return _observed(instrument, 1000 + number, ROWS + VALIDATED + HELD_OUT)


def _truth(kind: str, number: int) -> dict[str, np.ndarray]:
    """The measured scores of `NAMES` by seed."""
    instrument, label, k = _drawn(kind, number)
    sample = _all_rows(instrument, number)
    parts = np.repeat(["train", "validation", "test"], (ROWS, VALIDATED, HELD_OUT))
    labels = np.asarray(sample.labels[label])
    return {"measured": measured_scores(np.asarray(sample.x, float), np.asarray(sample.y, float), labels,
                                        "class" if labels.dtype.kind == "i" else "real", k, parts, number)}


def _decision(kind: str, number: int) -> dict[str, np.ndarray]:
    """The choices of the diagnosis, and the regime that it states."""
    instrument, label, k = _drawn(kind, number)
    sample = _all_rows(instrument, number)
    regime = instrument_regime(instrument, max(k, _columns(instrument, label)), [label])
    given = _few_labels(sample, label)
    found, of_heads = (cast(Diagnosis, diagnose(**given, k=k, pilot=pilot, fit=False, seed=number))
                       for pilot in (True, PILOT))
    scores = found.scores[0]
    by_source = (replace(scores, sources=tuple(one for one in scores.sources if one != "pilot")), scores,
                 of_heads.scores[0])
    chosen = [[(among.index(best.name), best.decided, best.sure) for among in _COMPARISONS.values()
               for best in [one.best(among)]] for one in by_source]
    # The regime of the population is that of as many outputs as the label has columns, at least.
    stated = found.content.regime(k) if found.seen and k >= _columns(instrument, label) else None
    foretold = [[one.values["pilot"][name] for name in NAMES] if "pilot" in one.sources else [np.nan] * len(NAMES)
                for one in by_source[1:]]
    return {"chosen": np.array(chosen), "foretold": np.array(foretold), "k": np.array(k),
            "label": np.array(label),
            "regime": np.array([regime.regime.value, "" if stated is None else stated.value]),
            "content": np.array(list(regime.content.values()))}


def _columns(instrument: Instrument, label: str) -> int:
    return max(instrument.label_classes[label] - 1, 1)


def _moved(instrument: Instrument, label: str, k: int, rng: np.random.Generator) -> Instrument | None:
    """The instrument with one parameter changed such that the regime is another one; None where none moves it."""
    for name in rng.permutation(list(type(instrument).parameters())):
        for one in upgrades(instrument, None, k, [label], parameters=[str(name)]):
            before = instrument_regime(instrument, k, [label])
            for further in (1.5, 1.25, 2.0, 3.0):
                try:
                    changed = instrument.replace(**{one.parameter: one.before * np.exp(further * one.log_change)})
                    after = instrument_regime(changed, k, [label])
                except ValueError:  # out of the parameter's range
                    continue
                if after.regime is not before.regime and all(
                        abs(after.content[name] - KEPT) > _LEAST_MOVE / 2 and (
                            (after.content[name] > KEPT) == (before.content[name] > KEPT) or
                            abs(after.content[name] - before.content[name]) > _LEAST_MOVE) for name in ("ca", "cp")):
                    return changed
    return None


def _monitor(kind: str, number: int) -> dict[str, np.ndarray]:
    """Whether the monitor sees drift in other rows of the same instrument, and in rows of a changed one (-1: none)."""
    instrument, label, k = _drawn(kind, number)
    k = max(k, _columns(instrument, label))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        baseline = cast(Diagnosis, diagnose(**_few_labels(_observed(instrument, 2000 + number, ROWS), label), k=k,
                                            fit=False))

        def again(one: Instrument, seed: int) -> Diagnosis:
            return cast(Diagnosis, diagnose_again(baseline, **_few_labels(_observed(one, seed, ROWS), label)))

        same = [baseline, *(again(instrument, 3000 + _UNCHANGED * number + i) for i in range(_UNCHANGED))]
        false = [detect_drift(*pair, level=_LEVEL).moved for pair in itertools.combinations(same, 2)]
        changed = _moved(instrument, label, k, np.random.default_rng([18, number]))
        seen = -1 if changed is None else detect_drift(baseline, again(changed, 4000 + number), level=_LEVEL).moved
    return {"false": np.array(false), "seen": np.array(seen)}


def _work(task: str, kind: str, number: int) -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"truth": _truth, "decision": _decision, "monitor": _monitor}[task](kind, number)


def run(store: Path | None = None, progress: bool | ProgressCallback = False,
        counts: Mapping[str, Mapping[str, int]] = COUNTS) -> list[Row]:
    """Shares of instruments whose decision is foretold, and of changes that are seen, by kind of instrument.

    Args:
        store: folder that keeps the parts.
        progress: how to report.
        counts: number of instruments of each kind by task. A decision is compared with what training prefers, which
            takes a part of its own, "truth".
    """
    points = [(part, kind, number) for task, kinds in counts.items()
              for part in (("truth", task) if task == "decision" else (task,))
              for kind, count in kinds.items() for number in range(count)]
    parts = dict(zip(points, compute_parts(points, _work, settings="4", store=store, progress=progress, precision=None,
                                           workers=1, task="instruments"), strict=True))
    rows = []
    for kind in (*dict.fromkeys(kind for _, kind, _ in points), ""):
        of = {task: [parts[point] | (parts["truth", *point[1:]] if task == "decision" else {}) for point in points
                     if point[0] == task and kind in ("", point[1])] for task in counts}
        for task, parts_of in of.items():
            rows += {"decision": _decision_rows, "monitor": _monitor_rows}[task](kind or "all", parts_of)
    return rows


def _decision_rows(kind, parts):
    rows = []
    for column, among in enumerate(_COMPARISONS.items()):
        comparison, names = among
        places = [NAMES.index(name) for name in names]
        by_seed = np.array([part["measured"][places] for part in parts])  # instruments, names, seeds
        scores = by_seed.mean(2)
        order = np.argsort(-scores, axis=1)[:, :2]
        leads = np.array([one[first] - one[second] for one, (first, second) in zip(by_seed, order, strict=True)])
        errors = leads.std(1, ddof=1) / SEEDS**0.5
        clear = leads.mean(1) > np.maximum(_CLEAR, _ERRORS * errors)
        for place, source in enumerate(_SOURCES):
            chosen, decided, sure = np.array([part["chosen"][place, column] for part in parts], int).T
            regret = scores.max(1) - scores[np.arange(len(scores)), chosen]
            right = (chosen == scores.argmax(1))[clear]
            case = f"{kind}, {comparison}, {source}"
            rows += [row(case, "right where clear", right.sum(), "instruments"),
                     row(case, "clear", clear.sum(), "instruments"),
                     row(case, "instruments", len(clear), "instruments"),
                     row(case, "share right where clear", right.mean() if len(right) else np.nan, "1"),
                     row(case, "mean regret", regret.mean(), "score"),
                     *(row(case, f"{word}{what}", value, "instruments")
                       for word, stated in (("decided", decided > 0), ("sure", sure > 0))
                       for what, value in (("", stated.sum()), (" where clear", (stated & clear).sum()),
                                           (" and wrong", (stated & (regret > _CLEAR)).sum())))]
    agree = [part["regime"][0] == part["regime"][1] for part in parts if part["regime"][1]]
    rows += [row(f"{kind}, regime", "stated", len(agree), "instruments"),
             row(f"{kind}, regime", "equal to the population's", np.sum(agree), "instruments")]
    return rows


def _monitor_rows(kind, parts):
    false = np.concatenate([part["false"] for part in parts])
    seen = np.array([part["seen"] for part in parts])
    seen = seen[seen >= 0]
    return [row(f"{kind}, monitor", "changes seen", seen.sum(), "instruments"),
            row(f"{kind}, monitor", "changes that move the regime", len(seen), "instruments"),
            row(f"{kind}, monitor", "false alarms", false.sum(), "comparisons"),
            row(f"{kind}, monitor", "comparisons without a change", len(false), "comparisons")]
