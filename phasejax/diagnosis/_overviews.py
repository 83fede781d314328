"""What a notebook shows of a diagnosis by each method: the answer, the numbers that it rests on, and the data."""

from typing import TYPE_CHECKING

from phasejax._core.digits import significant, to_decimals, with_interval
from phasejax._core.overview import Overview
from phasejax.diagnosis._view_words import view_words

if TYPE_CHECKING:
    from phasejax.diagnosis._moment_result import MomentDiagnosis
    from phasejax.diagnosis._result import Diagnosis
    from phasejax.diagnosis._spectral_result import SpectralDiagnosis

_RATIOS = {"delta_ca": "Delta_CA", "delta_cp": "Delta_CP", "delta_cp_reverse": "Delta_CP y->x", "kappa": "kappa",
           "nu": "nu"}


def overview_of_content(found: "Diagnosis") -> Overview:
    """Which objective to train, the scores of everything that can be had, and the lines of the summary."""
    with_draws = bool(found.scores) and found.scores[0].draws.kept is not None
    lines = _lines(found.summary()) if with_draws or not found.scores else _lines_without_draws(found)
    answer = lines.pop("One objective", None) or lines.pop("Verdict", None) or found.verdict
    columns, rows, best = _scores(found) if found.scores else ((), [], frozenset())
    note = lines.pop("Data", "")
    return Overview(kind="Diagnosis", answer=answer, columns=columns, rows=rows, best=best, facts=lines, note=note,
                    warnings=found.warnings)


def _lines(summary: str) -> dict[str, str]:
    """Lines of a summary by what they are about, without warnings."""
    return {line[:20].strip(): line[21:] for line in summary.splitlines() if not line.startswith("Warning: ")}


def _lines_without_draws(found: "Diagnosis") -> dict[str, str]:
    """What a diagnosis still says that was saved without the draws of its scores."""
    regime = "undecided" if found.regime is None else found.regime.value
    return {"Verdict": f"{'regime ' + regime if found.seen else found.shared.reason()}",
            "Shared signal": found.shared.reason(), "Data": f"n = {found.n}, d_x = {found.d_x}, d_y = {found.d_y}; "
            "saved without draws, so that uses and choices are not known"}


def _scores(found: "Diagnosis") -> tuple[tuple[str, ...], list[list[str]], frozenset[int]]:
    """Scores by representation: those of each source at one width, or of several widths side by side."""
    widest, words = found.scores[-1], view_words(found).labels
    names = list(widest.values[widest.sources[0]])
    best = frozenset[int]()
    if widest.draws.kept is None:
        rows = [[words[name], *(_of_source(widest, name, source) for source in widest.sources)] for name in names]
        return (widest.metric, *widest.sources), rows, best
    if found.seen:
        chosen = {found.best(k=widest.k).name, found.best(("x", "y", "x and y"), k=widest.k).name}
        best = frozenset(place for place, name in enumerate(names) if name in chosen)
    if len(found.scores) > 1:
        rows = [[words[name], *(_with_interval(scores.score(name)) for scores in found.scores)] for name in names]
        return (widest.metric, *(f"k = {scores.k}" for scores in found.scores)), rows, best
    rows = [[words[name], _with_interval(widest.score(name)),
             *(_of_source(widest, name, source) for source in widest.sources)] for name in names]
    return (f"{widest.metric} (chance {significant(widest.chance, 2)})", f"k = {widest.k}", *widest.sources), rows, best


def _with_interval(score) -> str:
    return with_interval(score.value, score.low, score.high)


def _of_source(scores, name, source) -> str:
    return to_decimals(scores.values[source][name], 3) if name in scores.values[source] else ""


def overview_of_moments(found: "MomentDiagnosis") -> Overview:
    """The regime with its probability, ratios and parameters with their intervals, and the recommendation."""
    facts = {"What to do": found.recommendation}
    if found.predicted_scores is not None:
        facts[f"Predicted {found.predicted_scores.metric}"] = ", ".join(
            f"{one.name} {_with_interval(one)}" for one in found.predicted_scores.ranking())
    return Overview(
        kind="Diagnosis by moments", answer=found.verdict, columns=("", f"{100 * found.confidence:.4g}% interval"),
        rows=[(words, _with_interval(found.estimates[name])) for name, words in _RATIOS.items()],
        facts=facts, note=found._data_in_words(), warnings=found.warnings)


def overview_of_spectra(found: "SpectralDiagnosis") -> Overview:
    """The regime, and of each objective its ratio and how many signal components are above all nuisance."""
    spectra = {"CA": found.ca, "CP x->y": found.cp, "CP y->x": found.cp_reverse}
    return Overview(
        kind="Diagnosis by spectra", answer=found.verdict,
        columns=("objective", "Delta", "signal components", "above all nuisance"),
        rows=[(name, significant(one.delta), str(int(one.is_signal.sum())), str(one.recovered))
              for name, one in spectra.items()],
        facts={"What to do": found.recommendation}, warnings=found.warnings,
        note=f"n = {found.n}, d_x = {found.d_x}, d_y = {found.d_y}, label columns = {found.label_columns}")
