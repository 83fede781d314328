r"""Drift: has the regime or any parameter moved beyond chance since a saved diagnosis.

Given the parameters, two data sets are independent. If nothing changed, the difference of a
parameter's two posteriors therefore covers 0: its draws are all differences of a draw of one and a
draw of the other, on a scale where errors are even (logarithm; logit for shares). The two-sided
probability of 0 is the share of pairs on the rarer side of it, twice. Four hundred draws of each
resolve no tail below some 2 / 400, beyond it the share soon is 0. So the probability is the larger one of this
share and that of a Gaussian with the moments of the draws,

.. math:: z = (\bar u_2 - \bar u_1) / \sqrt{s_1^2 + s_2^2},

which a few draws in a second mode widen: better no alarm than one that rests on the first mode alone.

Holm's correction over all names keeps the chance of any false alarm below the level, however the names
depend on each other. What the data do not determine has the prior as both posteriors, and never alarms.

A parameter that the simpler family puts at exactly 0 has no spread there, but is not known any better
than in the other data set: it gets that set's spread, scaled by the root of the rows. Nor is the
uncorrelated share known more finely than one of the p coordinates that it counts, or than the edge it has in
the simulated model: its spread is at least 1 / (p sqrt(12)) and 0.03.

Source: Holm 1979.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from phasejax._version import __version__
from phasejax.auxiliary import BOUNDS
from phasejax.calibrated import CalibratedDiagnosis, plain
from phasejax.diagnosis import Diagnosis, diagnose
from phasejax.differences import SHARES, floor, holm, on_its_scale, tested
from phasejax.estimates import PARAMETERS, RATIOS, Estimate, Fitted, likeliest
from phasejax.regimes import Regime

NAMES = (*RATIOS, *PARAMETERS)
# Of a regime's probability, counted from 4000 draws.
_RESOLUTION = 1 / 4000


@dataclass(frozen=True, eq=False, kw_only=True)
class Baseline(Fitted):
    """A saved diagnosis, as far as a later one is compared with it. Read one with `load_baseline`.

    Args:
        version: of phasejax that wrote it, besides the fields of `estimates.Fitted`.
    """

    version: str

    def diagnose_again(self, x, y, labels, *, labelled=None, label_kind: str = "auto", seed: int = 0
                       ) -> CalibratedDiagnosis:
        """Diagnose new data with the settings of this baseline: k and confidence; without predicted scores.

        Args:
            x, y, labels, labelled, label_kind, seed: as `diagnosis.diagnose`.

        Raises:
            ValueError: views of other columns than the baseline's, or what `diagnose` raises.
        """
        for name, view, columns in (("x", x, self.d_x), ("y", y, self.d_y)):
            shape = view.shape if hasattr(view, "shape") else np.shape(view)
            if len(shape) == 2:
                _check_same(name, shape[1], columns, "columns")
        return diagnose(x, y, labels, k=self.k, confidence=self.confidence, labelled=labelled, label_kind=label_kind,
                        outcome=False, seed=seed)


@dataclass(frozen=True)
class Moved:
    """One name's change.

    Args:
        name: of `RATIOS` or `PARAMETERS`.
        before, now: estimates with intervals.
        z: of the difference; positive for an increase.
        p: two-sided probability of a difference as large without any change.
        adjusted: the same after Holm's correction over all names.
        beyond: whether that is below the level.
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
    """What has changed since a baseline.

    Args:
        level: chance of a false alarm in any of the names.
        n_before, n_now: rows.
        changes: one for each name, in the order of the diagnosis.
        probabilities_before, probabilities_now: of the four regimes by name.
        regime_changed: probability that the regime is another one.
        warnings: what limits the answer, one sentence each.
    """

    level: float
    n_before: int
    n_now: int
    changes: tuple[Moved, ...]
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

    def change(self, name: str) -> Moved:
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


def compare(baseline: Baseline, now: CalibratedDiagnosis | Diagnosis, *, level: float = 0.01) -> Drift:
    """Whether the regime or any parameter has moved beyond chance since a baseline.

    Args:
        baseline: from `load_baseline`.
        now: a diagnosis of new data with the baseline's settings, as from `Baseline.diagnose_again`; rows that
            the baseline rests on too make the comparison conservative.
        level: chance of a false alarm, above 0 and below 1.

    Raises:
        ValueError: a diagnosis of the spectral method, or of another number of columns, label columns or
            signals or another confidence than the baseline's, or a level out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number above 0 and below 1, got {level}")
    if not isinstance(now, CalibratedDiagnosis):
        raise ValueError(f"now: expected a diagnosis of method 'calibrated', got {type(now).__name__}")
    for argument, name, noun in (("x", "d_x", "columns"), ("y", "d_y", "columns"), ("k", "k", "signals"),
                                 ("labels", "label_columns", "independent label columns (classes less one)"),
                                 ("confidence", "confidence", "as level of the intervals")):
        _check_same(argument, getattr(now, name), getattr(baseline, name), noun)
    differences = [tested(*(on_its_scale(name, found.draws[name]) for found in (baseline, now)),
                          rows_ratio=baseline.n / now.n if name in BOUNDS else None, floor=floor(name, baseline))
                   for name in NAMES]
    adjusted = holm([p for _, p in differences])
    same = sum(baseline.probabilities[regime.value] * now.probabilities[regime.value] for regime in Regime)
    return Drift(
        level=level, n_before=baseline.n, n_now=now.n,
        changes=tuple(Moved(name, baseline.estimates[name], now.estimates[name], z, p, a, a < level)
                      for name, (z, p), a in zip(NAMES, differences, adjusted, strict=True)),
        probabilities_before=dict(baseline.probabilities), probabilities_now=dict(now.probabilities),
        regime_changed=1 - min(1.0, max(same, _RESOLUTION)), warnings=tuple(_warnings(baseline, now)))


def load_baseline(path: str | Path) -> Baseline:
    """Read what `CalibratedDiagnosis.to_json` wrote (`phasejax diagnose --json FILE`).

    Raises:
        ValueError: a file that is missing, incomplete, of another kind or of the spectral method.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: expected a readable file, got {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected a complete JSON file, got {error}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path}: expected a JSON file, got something else") from None
    if not isinstance(found, dict) or not isinstance(found.get("phasejax_version"), str) or "method" not in found:
        raise ValueError(f"{path}: expected a diagnosis written by phasejax, got another JSON file")
    if found["method"] != "calibrated":
        raise ValueError(f"{path}: expected a diagnosis of method calibrated, got {found['method']}")
    try:
        return _baseline(found)
    except KeyError as error:
        raise ValueError(f"{path}: expected the field {error.args[0]}, got a diagnosis without it (written by phasejax "
                         f"{found['phasejax_version']}, this is {__version__})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _baseline(found):
    counts = {name: _number(found, name, int, low) for name, low in
              (("n", 2), ("labelled", 1), ("d_x", 2), ("d_y", 2), ("label_columns", 1), ("k", 1))}
    estimates, probabilities, draws = (_group(found, name) for name in ("estimates", "probabilities", "draws"))
    return Baseline(
        version=found["phasejax_version"], **counts, confidence=_number(found, "confidence", float, 0.5),
        misfit=_number(found, "misfit", float, 0),
        estimates={name: _estimate(estimates, name) for name in NAMES},
        probabilities={regime.value: _number(probabilities, regime.value, float, 0) for regime in Regime},
        draws={name: _draws(draws, name) for name in NAMES})


def _group(found, name):
    if not isinstance(found[name], dict):
        raise ValueError(f"{name}: expected values by name, got {type(found[name]).__name__}")
    return found[name]


def _number(found, name, kind, low):
    value = found[name]
    good = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not good or not low <= value < math.inf:
        noun = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name}: expected {noun} from {low}, got {_short(value)}")
    return kind(value)


def _estimate(estimates, name):
    if not isinstance(estimates[name], dict):
        raise ValueError(f"estimates, {name}: expected value, low and high, got {_short(estimates[name])}")
    return Estimate(*(_number(estimates[name], end, float, 0) for end in ("value", "low", "high")))


def _draws(draws, name):
    """Draws of one name: at least two finite numbers of its range."""
    if not isinstance(draws[name], list) or not all(type(value) in (int, float) for value in draws[name]):
        raise ValueError(f"draws, {name}: expected a list of numbers, got {_short(draws[name])}")
    values = np.array(draws[name], float)
    high = 1 if name in (*SHARES, *BOUNDS) else math.inf
    inside = (values >= 0 if name in BOUNDS else values > 0) & (values <= high) & np.isfinite(values)
    if len(values) < 2 or not inside.all():
        raise ValueError(f"draws, {name}: expected at least 2 finite numbers from 0 to {high}, got "
                         f"{_short(values[~inside].tolist() or draws[name])}")
    return values


def _short(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _check_same(argument, got, expected, noun):
    if got != expected:
        raise ValueError(f"{argument}: expected {expected} {noun} as in the baseline, got {got}")


def _warnings(baseline, now):
    if baseline.version != __version__:
        yield (f"the baseline was written by phasejax {baseline.version}, this is {__version__}: where the method has "
               "changed between them, that shows as drift.")
    misfit = max(baseline.misfit, now.misfit)
    if baseline.fits_badly or now.fits_badly:
        yield (f"intervals are widened by a misfit of {misfit:.1f}: a change within them is not seen, so that 'none' "
               "says little.")
    yield from now.warnings
