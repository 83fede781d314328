"""Does the diagnosis choose the objective whose trained networks predict the labels best? On 51 pairs of views.

What networks prefer is in `data/decision_truth.json`, which `python -m benchmarks decision_truth` computes. The
diagnosis sees all rows of a pair, labels of 300 or of 100 of them, and the width k of the networks. Choices are made
by

- "always CA", without a look at the data,
- "spectral", the largest separation ratio of the published algorithm,
- "moments", the predicted scores of moment matching, which takes k from the labels,
- "linear", "lifted" and "pilot", each source of scores alone; "linear and lifted"; and "combined", all three,
- "256 wide", "64 wide" and "256-256 wide", full trainings of one size with all labels: what may be hoped for, since the
  truth is their mean,

and, in `python -m benchmarks decision_own`, by

- "own", a pilot that trains the very networks of the truth, those of one size, by which alone is chosen, as with
  `phasejax.deep.OwnPilot`; compared with trainings of that size, all else with the mean over three sizes,
- "own, linear and lifted", the same networks beside closed forms,

between all three objectives, between the encoders of both views by CA and by CP, and between the encoders of one view.
A case is clear where the best choice is more than 0.02 above the next one. Regret is what the chosen objective's
networks score less than the best one's; a stated choice is wrong where that exceeds 0.02. Regimes are compared with
those of the simulations, whose label content is computed from 200,000 rows.

The constants of the diagnosis were chosen on one half of the pairs; numbers of both halves are shown.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from benchmarks import decision_pairs
from benchmarks.decision_own import OWN_SIZE, own_networks
from benchmarks.decision_truth import KS, SIZES, TRUTH, read_truth
from benchmarks.report import Row, row
from phasejax import __version__, diagnose
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.diagnosis._diagnose import PILOT_SEEDS

COMPARISONS = {"CA, CP x->y, CP y->x": ("CA", "CP x->y", "CP y->x"), "CA, CP both": ("CA", "CP both"),
               "CA of x, CP x->y": ("CA of x", "CP x->y"), "CA of y, CP y->x": ("CA of y", "CP y->x")}
LABELS = (300, 100)
CLEAR = 0.02
# A choice of a method: which of the comparison's names, whether it is stated, whether it is sure.
_NO_CHOICE = (0, 0, 0)


def run(names: Sequence[str] | None = None, ks: Sequence[int] = KS, labels: Sequence[int] = LABELS,
        pilot: Literal["default", "own"] | None = "default", regimes: bool = True, truth: Path = TRUTH,
        store: Path | None = None, progress: bool | ProgressCallback = False) -> list[Row]:
    """Rows for each half of the pairs, number of labels, comparison and way to choose.

    Args:
        names: of pairs; all whose data are there when left out.
        ks: bottlenecks.
        labels: numbers of labelled rows.
        pilot: networks that are trained for the diagnosis, which takes most of the time: the product's own for the
            columns "pilot" and "combined", or "own" for those that begin so, and no others.
        regimes: whether the regimes of simulations are diagnosed as well.
        truth: file of `benchmarks.decision_truth`.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        progress: False, True for a bar, or a callback that is called after every part.
    """
    known = read_truth(truth)
    names = [name for name in decision_pairs.available() if name in known] if names is None else list(names)
    if absent := decision_pairs.missing():
        print(f"left out, since {decision_pairs.FOLDER} names no folder with their data: {', '.join(absent)}",
              flush=True)
    points = [] if pilot == "own" else [(name, "ratios", 0, m) for m, name in product(labels, names)]
    points += [(name, "scores", k, m) for m, name, k in product(labels, names, ks) if k <= _width(name)]
    if regimes:
        points += [(name, "regime", 0, m) for m, name in product(labels, names)
                   if decision_pairs.SOURCES[name].population]
    work = {"ratios": _by_ratios, "scores": lambda pair, k, m: _by_scores(pair, k, pilot)}

    def measure(name, what, k, m) -> Mapping[str, Any]:
        if what == "regime":
            return _regimes(name, ks, m)
        return work[what](with_labels(decision_pairs.load(name), m), k, m)

    settings = json.dumps([__version__, pilot, PILOT_SEEDS, list(ks)])
    parts = compute_parts(points, measure, settings=settings, store=store, progress=progress, precision=None,
                          workers=1, task=f"decision, pilot {pilot}")
    found = dict(zip(points, parts, strict=True))
    of_size = {size: trained for size in SIZES if (trained := read_truth(truth, size))}
    rows = _compared(found, of_size, known, names, ks, labels)
    _print_table(rows)
    return rows + (_regime_rows(found, names, labels) if regimes else [])


def _width(name):
    pair = decision_pairs.load(name)
    return min(pair.x.shape[1], pair.y.shape[1])


class _Labelled:
    """A pair of which only some rows have labels."""

    def __init__(self, pair: decision_pairs.Pair, rows: np.ndarray):
        self.x, self.y, self.rows, self.kind, self.labels = pair.x, pair.y, rows, pair.kind, pair.labels[rows]
        self.columns = (np.eye(len(np.unique(self.labels)))[np.unique(self.labels, return_inverse=True)[1]]
                        if pair.kind == "class" else self.labels[:, None] / self.labels.std())


def with_labels(pair: decision_pairs.Pair, m: int, seed: int = 0) -> _Labelled:
    """Labels of m rows, each class as frequent as in all, less those of classes of which a single row would be left."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(pair.x))
    if m < len(rows):
        rows = np.sort(np.asarray(train_test_split(
            rows, train_size=m, random_state=seed, stratify=pair.labels if pair.kind == "class" else None)[0]))
    if pair.kind == "class":
        rows = rows[np.bincount(pair.labels[rows])[pair.labels[rows]] > 1]
    return _Labelled(pair, rows)


def _by_scores(given: _Labelled, k: int, pilot: str | None) -> dict[str, np.ndarray]:
    """Choices by each source of cross-validated scores, and by several."""
    from phasejax.diagnosis._fair_scores import Draws
    from phasejax.diagnosis._scoring import fair_scores

    def scored(train):
        return fair_scores(given.x, given.y, given.columns, given.rows, kind=given.kind, k=k, pilot=train, seed=0)

    def train(fold) -> Any:
        from phasejax.deep import pilot_embeddings

        return pilot_embeddings(given.x, given.y, fold, k, seeds=PILOT_SEEDS)

    if pilot == "own":
        scores = scored(lambda fold: own_networks(given.x, given.y, fold, k))
        return {"own": _choices(replace(scores, leading="pilot")), "own, linear and lifted": _choices(scores)}
    scores = scored(train if pilot == "default" else None)
    of = {source: (source,) for source in scores.sources} | {
        "linear and lifted": ("linear", "lifted"), "combined": scores.sources}
    found = {}
    for column, sources in of.items():
        found[column] = _choices(replace(scores, sources=sources,
                                         values={source: scores.values[source] for source in sources},
                                         draws=Draws({source: scores.draws.of[source] for source in sources})))
    return found


def _choices(scores) -> np.ndarray:
    """What each comparison chooses, whether it is stated, whether it is sure."""
    choices = []
    for among in COMPARISONS.values():
        if all(scores.sources_of(name) for name in among):
            best = scores.best(among)
            choices.append((among.index(best.name), best.decided, best.sure))
        else:  # a pilot that diverged
            choices.append(_NO_CHOICE)
    return np.array(choices, int)


def _by_ratios(given: _Labelled, k: int, m: int) -> dict[str, np.ndarray]:
    """Choices that do not depend on k and of which none is stated: always CA, and those of the older methods."""
    found = {"always CA": np.array([_NO_CHOICE] * len(COMPARISONS))}
    for method, values_of in (("spectral", _separation_ratios), ("moments", _scores_at_label_directions)):
        try:
            values = values_of(given)
        except ValueError as error:
            print(f"{method}: {error}", flush=True)
            values = [1.0, 0.0, 0.0]
        # Neither method speaks of both CP encoders side by side: the better one stands for them.
        ca, forward, backward = np.nan_to_num(values, nan=0.0, posinf=1e9)
        chosen = [int(np.argmax([ca, forward, backward])), int(max(forward, backward) > ca), int(forward > ca),
                  int(backward > ca)]
        found[method] = np.array([(place, 0, 0) for place in chosen], int)
    return found


def _separation_ratios(given):
    """Of CA, CP x->y and CP y->x, by the published algorithm, which sees labelled rows only."""
    x, y = (view[given.rows][:, np.ptp(view[given.rows], 0) > 0] for view in (given.x, given.y))
    found: Any = diagnose(x, y, given.labels, method="spectral", label_kind=given.kind)
    return [found.delta_ca, found.delta_cp, found.delta_cp_reverse]


def _scores_at_label_directions(given):
    """The scores that `diagnose(method="moments")` predicts, without its fit, on which they do not depend."""
    from phasejax.diagnosis import predict_scores
    from phasejax.diagnosis._moment_matching import label_directions
    from phasejax.diagnosis._paired_data import paired_rows

    data = paired_rows(given.x, given.y, given.labels, given.rows)
    k = min(label_directions(data.joint, data.d_x, data.d_y, data.q, data.m), min(data.d_x, data.d_y) - 1)
    scores = predict_scores(given.x, given.y, given.columns, k=k, kind=given.kind, labelled=given.rows)
    return [scores.score(name).value for name in ("CA", "CP x->y", "CP y->x")]


def _compared(found, of_size, known, names, ks, labels) -> list[Row]:
    """How good the choices are, as rows of the table; "own" is compared with networks of its size."""
    rows = []
    for half, m in product(("choose", "report"), labels):
        members = [(name, k) for name, k in product(names, ks)
                   if decision_pairs.half(name) == half and (name, "scores", k, m) in found]
        if not members:
            continue
        for i, (comparison, among) in enumerate(COMPARISONS.items()):
            columns: dict[str, list] = {}
            for name, k in members:
                scores = _of_networks(known, name, k, among)
                by_size = {size: _of_networks(truth, name, k, among) for size, truth in of_size.items()}
                for column, chosen in (found.get((name, "ratios", 0, m), {}) | found[name, "scores", k, m]).items():
                    own = by_size[OWN_SIZE] if column == "own" else scores
                    columns.setdefault(column, []).append((own, chosen[i]))
                for size, own in by_size.items():
                    columns.setdefault(f"{size} wide", []).append((scores, (int(own.argmax()), 0, 0)))
            for column, cases in columns.items():
                case = f"{half}, {m} labels, {comparison}, {column}"
                rows += [row(case, metric, value, unit) for metric, value, unit in _quality(cases)]
    return rows


def _of_networks(truth, name, k, among):
    """Mean scores of trained networks, over sizes and splits."""
    return np.array([truth[name][k][one].mean() for one in among])


def _quality(cases):
    """Metrics of choices: pairs of true scores and of (chosen, stated, sure)."""
    scores = np.array([case for case, _ in cases])
    chosen, stated, sure = np.array([choice for _, choice in cases]).T
    stated, sure = stated.astype(bool), sure.astype(bool)
    ordered = np.sort(scores, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > CLEAR
    regret = ordered[:, -1] - scores[np.arange(len(scores)), chosen]
    wrong = regret > CLEAR

    def share(of, among):
        return float(of[among].mean()) if among.any() else float("nan")

    return [("right_in_clear_cases", share(scores.argmax(1) == chosen, clear), "share"),
            ("regret", regret.mean(), "score"), ("stated_in_clear_cases", share(stated, clear), "share"),
            ("wrong_among_stated", share(wrong, stated), "share"), ("wrong_among_sure", share(wrong, sure), "share"),
            ("sure_in_clear_cases", share(sure, clear), "share"), ("clear_cases", clear.sum(), "1"),
            ("cases", len(cases), "1")]


def _print_table(rows: list[Row]) -> None:
    """One line for each comparison and way to choose."""
    by_case: dict[str, dict[str, float]] = {}
    for entry in rows:
        by_case.setdefault(entry["case"], {})[entry["metric"]] = entry["value"]
    print(f"{'':65}right  regret stated wrong   sure  wrong  clear of")
    for case, values in by_case.items():
        print(f"{case:65}{values['right_in_clear_cases']:.2f} {values['regret']:8.4f} "
              f"{values['stated_in_clear_cases']:6.2f} {values['wrong_among_stated']:6.3f} "
              f"{values['sure_in_clear_cases']:6.2f} {values['wrong_among_sure']:6.3f} "
              f"{values['clear_cases']:5.0f} {values['cases']:3.0f}", flush=True)


# Regimes of simulations.

def true_content(sample: decision_pairs.Pair, population: decision_pairs.Pair, ks: Sequence[int]) -> np.ndarray:
    """Label content of CA and CP, shape (2, ks): the spaces are fitted to the sample, the label to the population.

    Args:
        sample: rows to which alignment and prediction are fitted.
        population: many rows of the same model.
        ks: widths.
    """
    def centred(view):
        return view - view.mean(0)

    def root(view):
        values, vectors = np.linalg.eigh(view.T @ view / len(view))
        return vectors / np.sqrt(values) @ vectors.T

    x, y = centred(sample.x), centred(sample.y)
    root_x, root_y, cross = root(x), root(y), x.T @ y / len(x)
    many_x, many_y = centred(population.x) @ root_x, centred(population.y) @ root_y
    t = (np.eye(int(population.labels.max()) + 1)[population.labels] if population.kind == "class"
         else population.labels[:, None])
    t = centred(t)
    b_x, b_y, c = many_x.T @ t / len(t), many_y.T @ t / len(t), many_x.T @ many_y / len(t)
    found = []
    for matrix in (root_x @ cross @ root_y, root_x @ cross):
        kept = np.linalg.svd(matrix)[0].T
        shared = np.cumsum(np.sum((kept @ b_x) * (kept @ c @ b_y), axis=1))
        found.append([shared[k - 1] / np.sum(b_x * (c @ b_y)) for k in ks])
    return np.array(found)


def _regimes(name, ks, m) -> dict[str, Any]:
    """True content at each width, and what the diagnosis says of it."""
    from phasejax.diagnosis import label_content

    sample = decision_pairs.load(name)
    population = decision_pairs.SOURCES[name].population
    given, ks = with_labels(sample, m), [k for k in ks if k <= _width(name)]
    curve: Any = label_content(given.x, given.y, given.columns, given.rows, ks=tuple(ks), seed=0)
    said = [curve.regime(k) for k in ks]
    return {"true": true_content(sample, cast(Callable, population)(200_000), ks),
            "said": [("" if regime is None else str(getattr(regime, "value", regime))) for regime in said]}


def _regime_rows(found, names, labels) -> list[Row]:
    """How often a regime is stated, and right, where the true content is no nearer than 0.1 to the threshold 0.8."""
    rows = []
    for half, m in product(("choose", "report"), labels):
        cases = []
        for name in names:
            part = found.get((name, "regime", 0, m))
            if part is None or decision_pairs.half(name) != half:
                continue
            for content, said in zip(part["true"].T, part["said"], strict=True):
                if np.all(np.abs(content - 0.8) > 0.1):
                    cases.append((_regime(*content), str(said)))
        if cases:
            stated = [(true, said) for true, said in cases if said]
            right = np.mean([true == said for true, said in stated]) if stated else float("nan")
            case = f"{half}, {m} labels, regime"
            rows += [row(case, "stated", len(stated) / len(cases), "share"),
                     row(case, "right_among_stated", right, "share"), row(case, "cases", len(cases), "1")]
    return rows


def _regime(ca, cp):
    return {(True, True): "Both", (True, False): "CA only", (False, True): "CP only",
            (False, False): "Neither"}[bool(ca > 0.8), bool(cp > 0.8)]
