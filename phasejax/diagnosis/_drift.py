"""Drift: has the regime or any parameter moved beyond chance since a saved diagnosis?

Every ratio and parameter is tested (`_drift_tests`), with Holm's correction over all of them. The regime has changed
when both diagnoses are sure of theirs and the two differ.
"""

import json
from dataclasses import asdict, dataclass

from phasejax._core.serialise import plain
from phasejax._version import __version__
from phasejax.diagnosis._baseline import check_same
from phasejax.diagnosis._drift_tests import holm, least_spread, on_even_scale, two_sided_test
from phasejax.diagnosis._estimates import NAMES, Estimate, likeliest
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._simulator import BOUNDS
from phasejax.diagnosis._spectral_result import SpectralDiagnosis
from phasejax.theory import Regime

# Resolution of a regime's probability, which is a share of 4000 draws.
_RESOLUTION = 1 / 4000


@dataclass(frozen=True)
class ParameterChange:
    """The change of one ratio or parameter between two diagnoses, and whether chance explains it.

    Args:
        name: one of `RATIOS` or `PARAMETERS`.
        before, now: estimates with intervals.
        z: difference in standard errors; positive for an increase.
        p: two-sided probability of a difference as large without any change.
        adjusted: p after Holm's correction over all names.
        beyond: whether the adjusted p is below the level, so that the name has moved beyond chance.
    """

    name: str
    before: Estimate
    now: Estimate
    z: float
    p: float
    adjusted: float
    beyond: bool


@dataclass(frozen=True)
class Drift:
    """Everything that may have changed since a baseline, with tests (`detect_drift`).

    Args:
        level: chance of a false alarm in any of the names.
        n_before, n_now: rows of each data set.
        changes: one for each name, in the order of the diagnosis.
        probabilities_before, probabilities_now: of the four regimes by name.
        regime_changed: probability that the regime is another one.
        warnings: what limits the answer, one sentence each.
    """

    level: float
    n_before: int
    n_now: int
    changes: tuple[ParameterChange, ...]
    probabilities_before: dict[str, float]
    probabilities_now: dict[str, float]
    regime_changed: float
    warnings: tuple[str, ...] = ()

    @property
    def regime_before(self) -> Regime:
        """The likeliest regime of the baseline."""
        return likeliest(self.probabilities_before)

    @property
    def regime_now(self) -> Regime:
        """The likeliest regime of the new data."""
        return likeliest(self.probabilities_now)

    @property
    def regime_moved(self) -> bool:
        """Whether the regime changed with a probability above 1 - level.

        Without a change two posteriors must err to opposite sides of a boundary, so this adds
        of the order of level squared to the false alarms.
        """
        return self.regime_changed > 1 - self.level

    @property
    def moved(self) -> bool:
        """Whether the regime or any name has moved beyond chance."""
        return self.regime_moved or any(change.beyond for change in self.changes)

    def change(self, name: str) -> ParameterChange:
        """The change of one name. Raises ValueError for a name that has none."""
        for change in self.changes:
            if change.name == name:
                return change
        raise ValueError(f"name: expected one of {', '.join(NAMES)}, got {name!r}")

    def summary(self) -> str:
        """The comparison as lines of text; an asterisk marks what moved beyond chance."""
        before, now = self.regime_before.value, self.regime_now.value
        moved = ["the regime"] * self.regime_moved + [change.name for change in self.changes if change.beyond]
        lines = [
            f"Drift            {'yes: ' + ', '.join(moved) if moved else 'none beyond chance'} (level {self.level:g})",
            f"{'*' * self.regime_moved + 'Regime':<16} {before} (probability {self.probabilities_before[before]:.2f}) "
            f"-> {now} ({self.probabilities_now[now]:.2f}), changed with probability {self.regime_changed:.2f}"]
        for c in self.changes:
            sides = " -> ".join(f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in (c.before, c.now))
            lines.append(f"{'*' * c.beyond + c.name:<16} {sides}   z = {c.z:+.1f}, adjusted p = {c.adjusted:.2g}")
        lines.append(f"rows             {self.n_before} -> {self.n_now}")
        return "\n".join([*lines, *(f"Warning: {warning}" for warning in self.warnings)])

    def to_dict(self) -> dict:
        """All fields and derived answers as plain Python objects."""
        return plain({"phasejax_version": __version__, "moved": self.moved, "regime_moved": self.regime_moved,
                      "regime_before": self.regime_before.value, "regime_now": self.regime_now.value, **asdict(self)})

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"


def detect_drift(baseline: MomentDiagnosis, now: MomentDiagnosis | SpectralDiagnosis, *, level: float = 0.01) -> Drift:
    """Whether the regime or any parameter has moved beyond chance since a baseline.

    Args:
        baseline: from `load_baseline`.
        now: a diagnosis of new data with the baseline's settings, as from `diagnose_again`; rows that the
            baseline rests on too make the comparison conservative.
        level: chance of a false alarm, above 0 and below 1.

    Raises:
        ValueError: a diagnosis of the spectral method, or of another number of columns, label columns or
            signals or another confidence than the baseline's, or a level out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number above 0 and below 1, got {level}")
    if not isinstance(now, MomentDiagnosis):
        raise ValueError(f"now: expected a diagnosis of method 'moments', got {type(now).__name__}")
    for argument, name, noun in (("x", "d_x", "columns"), ("y", "d_y", "columns"), ("k", "k", "signals"),
                                 ("labels", "label_columns", "independent label columns (classes less one)"),
                                 ("confidence", "confidence", "as level of the intervals")):
        check_same(argument, getattr(now, name), getattr(baseline, name), noun)
    differences = [two_sided_test(*(on_even_scale(name, found.draws[name]) for found in (baseline, now)),
                          rows_ratio=baseline.n / now.n if name in BOUNDS else None, floor=least_spread(name, baseline))
                   for name in NAMES]
    adjusted = holm([p for _, p in differences])
    same = sum(baseline.probabilities[regime.value] * now.probabilities[regime.value] for regime in Regime)
    return Drift(
        level=level, n_before=baseline.n, n_now=now.n,
        changes=tuple(ParameterChange(name, baseline.estimates[name], now.estimates[name], z, p, a, a < level)
                      for name, (z, p), a in zip(NAMES, differences, adjusted, strict=True)),
        probabilities_before=dict(baseline.probabilities), probabilities_now=dict(now.probabilities),
        regime_changed=1 - min(1.0, max(same, _RESOLUTION)), warnings=tuple(_warnings(baseline, now)))


def _warnings(baseline, now):
    if baseline.phasejax_version != __version__:
        yield (f"the baseline was written by phasejax {baseline.phasejax_version}, this is {__version__}: where the "
               "method has changed between them, that shows as drift.")
    reduced_chi2 = max(baseline.reduced_chi2, now.reduced_chi2)
    if baseline.fits_badly or now.fits_badly:
        yield (f"intervals are widened by a reduced chi-squared of {reduced_chi2:.1f}: a change within them is not "
               "seen, so that 'none' says little.")
    yield from now.warnings
