"""Drift: has anything that a diagnosis rests on moved beyond chance since a saved one?

Between diagnoses by content these are label content, scores and spectra (`_content_drift`), between diagnoses by
moments the ratios and parameters of the spiked model (`_drift_tests`), with Holm's correction over all of them. The
regime has moved when both diagnoses are sure of theirs and the two differ.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from phasejax._core.checked_call import checked
from phasejax._core.digits import p_value, significant, with_interval
from phasejax._core.overview import Overview
from phasejax._core.records import Record
from phasejax._version import __version__
from phasejax.diagnosis._baseline import (
    check_comparable,
    check_groups,
    check_kind,
    check_same,
    columns_given,
    columns_left_out,
)
from phasejax.diagnosis._content_drift import (
    difference,
    independent_units,
    of_like_size,
    quantities,
    width_in_common,
)
from phasejax.diagnosis._drift_tests import holm, least_spread, on_even_scale, two_sided_test
from phasejax.diagnosis._estimates import NAMES, Estimate, likeliest
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._simulator import BOUNDS
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.theory import Regime

# Resolution of a regime's probability, which is a share of 4000 draws.
_RESOLUTION = 1 / 4000


@dataclass(frozen=True)
class ParameterChange:
    """The change of one number between two diagnoses, and whether chance explains it.

    Args:
        name: by content s_CA, s_CP and s_CP y->x, "score of" a representation, "canonical correlation" 1 to 4,
            "squared canonical correlations", "variance of" and "participation ratio of" x and y; by moments one of the
            ratios and parameters.
        before, now: estimates with intervals, within the numbers that the name can have; None where its error is so
            large that it is not measurable.
        z: difference in standard errors; positive for an increase. 0 where the two are not compared, and p is 1.
        p: two-sided probability of a difference as large without any change.
        adjusted: p after Holm's correction over all names.
        beyond: whether the adjusted p is below the level, so that the name has moved beyond chance.
    """

    name: str
    before: Estimate | None
    now: Estimate | None
    z: float
    p: float
    adjusted: float
    beyond: bool

    @property
    def compared(self) -> bool:
        """Whether the name was measurable both times."""
        return self.before is not None and self.now is not None


@dataclass(frozen=True)
class Drift(Record):
    """Everything that may have changed since a baseline, with tests (`detect_drift`).

    Args:
        method: of both diagnoses, "content" or "moments".
        level: chance of a false alarm in any of the names.
        n_before, n_now: rows of each data set.
        changes: one for each name, in the order of the diagnosis.
        regime_before, regime_now: by content the regimes that are stated, None where one is undecided or there is
            none; by moments the likeliest.
        probabilities_before, probabilities_now: of the four regimes by name; none where there is no regime.
        regime_changed: probability that the regime is another one; None where one of the two has no regime.
        warnings: what limits the answer, one sentence each.
        unseen_before, unseen_now: by content why no regime exists, where no shared signal that concerns the labels was
            seen; empty where one was.
        groups_before, groups_now: numbers of groups of dependent rows; None where every row stands for itself.
    """

    method: str
    level: float
    n_before: int
    n_now: int
    changes: tuple[ParameterChange, ...]
    regime_before: Regime | None
    regime_now: Regime | None
    probabilities_before: dict[str, float]
    probabilities_now: dict[str, float]
    regime_changed: float | None
    warnings: tuple[str, ...] = ()
    unseen_before: str = ""
    unseen_now: str = ""
    groups_before: int | None = None
    groups_now: int | None = None

    _kind = "phasejax.drift"

    @property
    def regime_moved(self) -> bool:
        """Whether both regimes are stated, they differ, and one has changed with a probability above 1 - level.

        Without a change two diagnoses must err to opposite sides of a boundary, so this adds
        of the order of level squared to the false alarms.
        """
        if self.regime_before is None or self.regime_now is None or self.regime_changed is None:
            return False
        return self.regime_before is not self.regime_now and self.regime_changed > 1 - self.level

    @property
    def moved(self) -> bool:
        """Whether the regime or any name has moved beyond chance."""
        return self.regime_moved or any(change.beyond for change in self.changes)

    def change(self, name: str) -> ParameterChange:
        """The change of one name. Raises ValueError for a name that has none."""
        for change in self.changes:
            if change.name == name:
                return change
        raise ValueError(f"name: expected one of {', '.join(one.name for one in self.changes)}, got {name!r}")

    def summary(self) -> str:
        """The comparison as lines of text; an asterisk marks what moved beyond chance."""
        width = max(20, *(len(change.name) + 1 for change in self.changes))
        lines = [f"{'Drift':<{width}} {self._answer()}",
                 f"{'*' * self.regime_moved + 'Regime':<{width}} {self._regimes_in_words()}"]
        lines += [f"{'Shared signal ' + when:<{width}} {reason}" for when, reason in
                  (("before", self.unseen_before), ("now", self.unseen_now)) if reason]
        for c in self.changes:
            test = f"z = {c.z:+.1f}, adjusted p {p_value(c.adjusted)}" if c.compared else "not compared"
            lines.append(f"{'*' * c.beyond + c.name:<{width}} {_interval(c.before)} -> {_interval(c.now)}   {test}")
        lines.append(f"{'rows':<{width}} {self._rows_in_words()}")
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])

    def _answer(self) -> str:
        moved = ["the regime"] * self.regime_moved + [change.name for change in self.changes if change.beyond]
        left_out = sum(not change.compared for change in self.changes)
        of_all = f", {left_out} of {len(self.changes)} numbers not compared" if left_out else ""
        return f"{'yes: ' + ', '.join(moved) if moved else 'none beyond chance'} (level {self.level:g}{of_all})"

    def _regimes_in_words(self) -> str:
        changed = ("" if self.regime_changed is None else
                   f", changed with probability {significant(self.regime_changed, 2)}")
        return (f"{_words(self.regime_before, self.probabilities_before, self.unseen_before)} -> "
                f"{_words(self.regime_now, self.probabilities_now, self.unseen_now)}{changed}")

    def _rows_in_words(self) -> str:
        groups = "" if self.groups_now is None else f" in {self.groups_before} -> {self.groups_now} groups"
        return f"{self.n_before} -> {self.n_now}{groups}"

    def _overview(self) -> Overview:
        """The changes, those beyond chance first, and then by their size in standard errors."""
        changes = sorted(self.changes, key=lambda one: (not one.beyond, not one.compared, -abs(one.z)))
        return Overview(
            kind="Drift", answer=self._answer(), columns=("quantity", "before", "now", "z", "adjusted p"),
            rows=[(one.name, _interval(one.before), _interval(one.now),
                   *((f"{one.z:+.1f}", p_value(one.adjusted).removeprefix("= ")) if one.compared else ("-", "-")))
                  for one in changes],
            best=frozenset(place for place, one in enumerate(changes) if one.beyond),
            facts={"Regime": self._regimes_in_words(), "Rows": self._rows_in_words()}, warnings=self.warnings)

    def to_frame(self) -> pd.DataFrame:
        """A row for each name: both estimates with their intervals, and the fields of `ParameterChange`."""
        rows = []
        for change in self.changes:
            sides = {f"{part}_{when}": None if one is None else getattr(one, part)
                     for when, one in (("before", change.before), ("now", change.now))
                     for part in ("value", "low", "high")}
            rows.append({"name": change.name, **sides,
                         **{name: getattr(change, name) for name in ("z", "p", "adjusted", "beyond", "compared")}})
        return pd.DataFrame(rows)

    def _derived(self) -> dict[str, Any]:
        """Derived answers; a regime that is not stated is "undecided", one that does not exist is "none"."""
        regimes = {name: regime.value if regime else "none" if unseen else "undecided" for name, regime, unseen in
                   (("regime_before", self.regime_before, self.unseen_before),
                    ("regime_now", self.regime_now, self.unseen_now))}
        return {"moved": self.moved, "regime_moved": self.regime_moved, **regimes}

    @classmethod
    def _fields_of(cls, saved: dict[str, Any]) -> dict[str, Any]:
        return {name: None if name in ("regime_before", "regime_now") and value in ("none", "undecided") else value
                for name, value in saved.items()}


@checked
def detect_drift(baseline: Diagnosis | MomentDiagnosis, now: Diagnosis | MomentDiagnosis | SpectralDiagnosis, *,
                 level: float = 0.01) -> Drift:
    """Whether the regime or anything that a diagnosis measures has moved beyond chance since a baseline.

    Diagnoses by content are compared by label content, scores of the linear encoders and spectra. Content and scores
    are those of so many rows: where the numbers of rows or labels differ by more than a quarter, only the spectra are
    compared, with a warning. Means of columns are not compared; a view in another unit shows in its variance. Diagnoses
    by moments are compared by the ratios and parameters of the spiked model.

    Args:
        baseline: from `load_baseline`.
        now: a diagnosis of new data with the baseline's settings, as from `diagnose_again`; rows that the
            baseline rests on too make the comparison conservative.
        level: chance of a false alarm, above 0 and below 1.

    Raises:
        ValueError: a diagnosis by another method than the baseline's, or of another number of columns, label columns
            or signals, another kind of labels or another confidence, groups in only one of the two,
            principal components fitted to each data set, or a level out of range.

    Source: Welch 1947 (by content), Holm 1979.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number above 0 and below 1, got {level}")
    if not isinstance(baseline, Diagnosis | MomentDiagnosis):
        raise ValueError(f"baseline: expected a diagnosis by content or by moments, got {type(baseline).__name__}")
    if type(now) is not type(baseline):
        raise ValueError(f"now: expected a diagnosis of method {baseline.method!r}, got {type(now).__name__}")
    if isinstance(now, Diagnosis | MomentDiagnosis):
        check_kind(now.kind, baseline.kind)
        check_groups(baseline.groups, now.groups)
    for argument, name, noun in (("k", "k", "signals" if baseline.method == "moments" else ""),
                                 ("labels", "label_columns", "independent label columns (classes less one)"),
                                 ("confidence", "confidence", "as level of the intervals")):
        check_same(argument, getattr(now, name), getattr(baseline, name), noun)
    for found in (baseline, now):
        check_comparable(found)
    return (_by_content if isinstance(baseline, Diagnosis) else _by_moments)(baseline, now, level)


def _by_content(baseline, now, level):
    for view in ("x", "y"):
        check_same(view, columns_given(now, view), columns_given(baseline, view), "columns")
    k = width_in_common(baseline, now)
    if not k:
        raise ValueError("k: expected a number of components that both diagnoses have, got none")
    like_size = of_like_size(baseline, now)
    before, after = quantities(baseline, k), quantities(now, k)
    names = [name for name in before if name in after and (like_size or not before[name].of_size)]
    changes = {}
    for name in names:
        sides = [one[name].estimate(baseline.confidence) for one in (before, after)]
        test = difference(before[name], after[name], *map(independent_units, (baseline, now))) \
            if None not in sides else (0.0, 1.0)
        changes[name] = (*sides, *test)
    stated = [found.content.regime(k) if found.seen else None for found in (baseline, now)]
    probabilities = [dict(zip([Regime.from_code(code).value for code in range(4)],
                              found.content.probabilities[found.content.ks.index(k)], strict=True))
                     if found.seen else {} for found in (baseline, now)]
    warnings = (*_of_comparison(baseline, now, like_size), *_of_unmeasurable(changes))
    return _drift(baseline, now, level, changes, stated, probabilities, warnings,
                  *("" if found.seen else found.shared.reason() for found in (baseline, now)))


def _by_moments(baseline, now, level):
    for view in ("x", "y"):
        check_same(view, getattr(now, f"d_{view}"), getattr(baseline, f"d_{view}"), "columns")
    tests = [two_sided_test(*(on_even_scale(name, found.draws[name]) for found in (baseline, now)),
                            rows_ratio=independent_units(baseline) / independent_units(now)
                            if name in BOUNDS else None,
                            floor=least_spread(name, baseline)) for name in NAMES]
    probabilities = [dict(found.probabilities) for found in (baseline, now)]
    return _drift(baseline, now, level, {
        name: (baseline.estimates[name], now.estimates[name], *test) for name, test in zip(NAMES, tests, strict=True)},
        list(map(likeliest, probabilities)), probabilities, tuple(_of_fits(baseline, now)))


def _drift(baseline, now, level, changes, regimes, probabilities, warnings, unseen_before="", unseen_now=""):
    adjusted = holm([p for *_, p in changes.values()])
    changed = None
    if all(probabilities):
        same = sum(probabilities[0][regime.value] * probabilities[1][regime.value] for regime in Regime)
        changed = 1 - min(1.0, max(same, _RESOLUTION))
    return Drift(
        method=baseline.method, level=level, n_before=baseline.n, n_now=now.n,
        changes=tuple(ParameterChange(name, before, after, z, p, a, a < level)
                      for (name, (before, after, z, p)), a in zip(changes.items(), adjusted, strict=True)),
        regime_before=regimes[0], regime_now=regimes[1], probabilities_before=probabilities[0],
        probabilities_now=probabilities[1], regime_changed=changed,
        warnings=(*_of_version(baseline), *warnings, *now.warnings), unseen_before=unseen_before, unseen_now=unseen_now,
        groups_before=baseline.groups, groups_now=now.groups)


def _of_version(baseline):
    if baseline.phasejax_version != __version__:
        yield (f"the baseline was written by phasejax {baseline.phasejax_version}, this is {__version__}: where the "
               "method has changed between them, that shows as drift.")


def _of_comparison(baseline, now, like_size):
    if not like_size:
        groups = "" if now.groups is None else f" in {now.groups} groups"
        before = "" if baseline.groups is None else f" in {baseline.groups} groups"
        yield (f"n = {now.n}{groups} with {now.labelled} labels, in the baseline {baseline.n}{before} with "
               f"{baseline.labelled}: label content and scores depend on these numbers and are not compared, so that "
               "nothing is said about the labels; give as many rows as the baseline has.")
    elif bool(baseline.scores) != bool(now.scores):
        yield "only one of the two diagnoses has scores: they are not compared."
    if baseline.spectra is None or now.spectra is None:
        yield "one of the two diagnoses has no spectra: they are not compared."
    for view in ("x", "y"):
        if columns_left_out(baseline, view) != columns_left_out(now, view):
            yield f"{view}: other columns than in the baseline do not vary or are combinations of others."


def _of_unmeasurable(changes):
    names = [name for name, (before, now, *_) in changes.items() if before is None or now is None]
    if names:
        yield (f"not measurable, and not compared: {', '.join(names)}; the error is as large as all that the number "
               "could be, or there is no shared signal of which it is a share.")


def _of_fits(baseline, now):
    reduced_chi2 = max(baseline.reduced_chi2, now.reduced_chi2)
    if baseline.fits_badly or now.fits_badly:
        yield (f"intervals are widened by a reduced chi-squared of {significant(reduced_chi2)}: a change within them "
               "is not seen, so that 'none' says little.")


def _words(regime, probabilities, unseen):
    """A regime and its probability; where it is not stated, the likeliest one; where there is none, that."""
    if unseen:
        return "none: nothing shared that the labels measure is seen"
    name = regime.value if regime else likeliest(probabilities).value
    return f"{'' if regime else 'undecided, likeliest '}{name} (probability {significant(probabilities[name], 2)})"


def _interval(estimate):
    return "not measurable" if estimate is None else with_interval(estimate.value, estimate.low, estimate.high)
