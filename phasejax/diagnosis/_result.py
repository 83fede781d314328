"""The answer of the calibrated method: regime with a probability, intervals, predicted scores, advice."""

import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from phasejax._core.serialise import plain
from phasejax._version import __version__
from phasejax.diagnosis._estimates import RATIOS, Fitted, likeliest, summarise_posterior
from phasejax.diagnosis._moment_matching import label_directions, match_moments
from phasejax.diagnosis._paired_data import PairedRows
from phasejax.diagnosis._predicted_scores import PredictedScores, predict_scores
from phasejax.diagnosis._saved import diagnosis_fields
from phasejax.diagnosis._simulator import Design
from phasejax.diagnosis._spectral import ClassifiedSpectrum, classify_spectra
from phasejax.theory import Regime, SpikedModel, nearest_boundary, regime

_REDUNDANT = 0.005
# Parameters whose change is looked at one by one, by a factor of at most e^3 either way.
_MOVABLE = ("kappa", "nu", "gamma_x", "gamma_y", "nuisance_x", "nuisance_y")
_FURTHEST = 3.0
_ACTIONS = {"CA": "Align", "CP x->y": "Predict y from x", "CP y->x": "Predict x from y"}


@dataclass(frozen=True)
class Change:
    """What change of one parameter alone would lead into another regime (`CalibratedDiagnosis.sensitivity`).

    Args:
        parameter: its name.
        factor: what it would be multiplied by; NaN where no factor within e^3 leads anywhere.
        regime: where that leads, None for nowhere.
    """

    parameter: str
    factor: float
    regime: Regime | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis(Fitted):
    """Where a data set lies in the phase diagram, how sure that is, and what to do. Fields besides those of `Fitted`:

    Args:
        method: "moments".
        k_estimated: whether k was counted from the labels.
        reverse_probability: that predicting x from y recovers the signal.
        ca, cp, cp_reverse: sample spectra; as signal count the k components that predict the labels best.
        predicted_scores: cross-validated scores of the representations, or None where not asked for.
        warnings: what limits the answer, one sentence each.
        phasejax_version: of the package that made the diagnosis.
    """

    method: str
    k_estimated: bool
    reverse_probability: float
    ca: ClassifiedSpectrum
    cp: ClassifiedSpectrum
    cp_reverse: ClassifiedSpectrum
    predicted_scores: PredictedScores | None
    warnings: tuple[str, ...] = ()
    phasejax_version: str = __version__

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "Diagnosis":
        """The diagnosis that `to_dict` wrote; derived numbers are computed again.

        Raises:
            ValueError: what is no diagnosis by moment matching, or not all of one, in one line.
        """
        return cls(**diagnosis_fields(saved, origin="dictionary"))

    @classmethod
    def from_json(cls, text: str) -> "Diagnosis":
        """The diagnosis that `to_json` wrote.

        Raises:
            ValueError: text that is no JSON, or what `from_dict` refuses, in one line.
        """
        try:
            saved = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"expected a complete JSON text, got {error}") from None
        return cls(**diagnosis_fields(saved, origin="JSON text"))

    @property
    def delta_ca(self) -> float:
        """Separation ratio of alignment, posterior median: it recovers the labelled signal iff the ratio is > 1."""
        return self.estimates["delta_ca"].value

    @property
    def delta_cp(self) -> float:
        """Separation ratio of predicting y from x."""
        return self.estimates["delta_cp"].value

    @property
    def delta_cp_reverse(self) -> float:
        """Separation ratio of predicting x from y."""
        return self.estimates["delta_cp_reverse"].value

    @property
    def kappa(self) -> float:
        """Estimated strength of the strongest signal."""
        return self.estimates["kappa"].value

    @property
    def nu(self) -> float:
        """Estimated correlation of the correlated nuisance."""
        return self.estimates["nu"].value

    @property
    def likeliest(self) -> Regime:
        """The regime of highest probability."""
        return likeliest(self.probabilities)

    @property
    def regime(self) -> Regime | None:
        """The regime, or None (undecided) where none reaches the asked confidence."""
        first = self.likeliest
        return first if self.probabilities[first.value] >= self.confidence else None

    @property
    def verdict(self) -> str:
        """The regime in words with its probability, or the likeliest ones when undecided."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        if self.regime is not None:
            return f"{ranked[0][0]} (probability {ranked[0][1]:.2f})"
        return "undecided (" + ", ".join(f"{name} {p:.2f}" for name, p in ranked if p >= 0.05) + ")"

    @property
    def model(self) -> SpikedModel:
        """A typical model of the likeliest regime, in units in which both views carry the signal alike.

        Of the draws in that regime the one nearest to their median, so that its parameters belong together.
        """
        typical = self._typical_draw()
        e = {name: float(values[typical]) for name, values in self.draws.items()}
        # x and y are scaled so that the signal's variance is kappa^2 in both; no ratio depends on it.
        scale = {view: e["kappa"] ** 2 / e[f"signal_{view}"] for view in ("x", "y")}
        shared = min(self.d_x, self.d_y) - self.k
        nu = np.where(np.arange(shared) < max(1, round((1 - e["uncorrelated"]) * shared)), e["nu"], 0.0)
        return SpikedModel.create(
            e["kappa"] * (1 - e["decay"]) ** np.arange(self.k), nu, d=self.d_x, d_y=self.d_y,
            gamma_x=e["gamma_x"] * scale["x"], gamma_y=e["gamma_y"] * scale["y"],
            nuisance_x=e["nuisance_x"] * scale["x"], nuisance_y=e["nuisance_y"] * scale["y"])

    def _typical_draw(self):
        with np.errstate(divide="ignore"):
            logs = np.log(np.stack([self.draws[name] for name in (*RATIOS, *_MOVABLE)]))
        codes = (self.draws["delta_ca"] > 1) + 2 * (self.draws["delta_cp"] > 1)
        finite = np.isfinite(logs).all(axis=0)
        inside = np.flatnonzero(finite & (codes == self.likeliest.code))
        inside = inside if inside.size else np.flatnonzero(finite)
        centre, spread = np.median(logs[:, inside], axis=1), logs[:, inside].std(axis=1) + 1e-12
        return inside[np.argmin(np.sum(((logs[:, inside] - centre[:, None]) / spread[:, None]) ** 2, axis=0))]

    @cached_property
    def _changes(self):
        model = self.model
        with jax.enable_x64(True):
            here = regime(model)
        return tuple(sorted((_nearest_change(model, name, here) for name in _MOVABLE),
                            key=lambda change: abs(math.log(change.factor)) if change.regime else math.inf))

    def sensitivity(self) -> tuple[Change, ...]:
        """For each parameter, the smallest factor that alone moves the estimated model to another regime.

        Nearest first; what moves nothing comes last. See `nearest_boundary`.
        """
        return self._changes

    @property
    def objective(self) -> str:
        """What to train: "CA", "CP x->y", "CP y->x", or "x" or "y" for a single modality.

        From the predicted scores where there are any: the best of the three, unless the better single
        modality is above it beyond chance. Otherwise from the ratios.
        """
        if self.predicted_scores is not None:
            best = max((self.predicted_scores.score(name) for name in _ACTIONS), key=lambda score: score.value)
            return self.predicted_scores.best_single if self.predicted_scores.gain(best.name).high < 0 else best.name
        ratios = dict(zip(_ACTIONS, (self.estimates[name].value for name in RATIOS), strict=True))
        best = max(ratios, key=ratios.get)
        return best if ratios[best] > 1 else "x"

    @property
    def recommendation(self) -> str:
        """What to do and why, in one sentence."""
        objective, said = self.objective, f"regime {self.verdict}"
        if self.predicted_scores is None:
            if objective in _ACTIONS:
                return f"{_ACTIONS[objective]}: its separation ratio is the largest and above 1 ({said})."
            return f"Keep a single modality: no objective puts what the labels measure above all nuisance ({said})."
        score = self.predicted_scores.score(objective)
        measured = f"predicted {self.predicted_scores.metric} {score.value:.2f} [{score.low:.2f}, {score.high:.2f}]"
        if score.low <= self.predicted_scores.chance:
            return (f"Undecided: no representation predicts these labels reliably better than chance "
                    f"({measured}; {said}).")
        if objective not in _ACTIONS:
            return (f"Keep {objective} alone: with all its columns it predicts the labels better than any objective "
                    f"with {self.k} components does ({measured}; {said}).")
        gain, single = self.predicted_scores.gain(objective), self.predicted_scores.best_single
        action = _ACTIONS[objective] + (f", or keep {single} alone" if gain.low <= 0 else "")
        beside = f"{gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] beside {single} alone"
        return f"{action}: {measured}, {beside} ({said})."

    def summary(self) -> str:
        """The diagnosis as lines of text."""
        lines = [f"Regime           {self.verdict}"]
        labels = ("Delta_CA", "Delta_CP", "Delta_CP reverse", "kappa", "nu")
        for label, name in zip(labels, (*RATIOS, "kappa", "nu"), strict=True):
            e = self.estimates[name]
            lines.append(f"{label:<16} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}]")
        if self.predicted_scores is not None:
            scores = ", ".join(f"{s.name} {s.value:.2f} [{s.low:.2f}, {s.high:.2f}]" for s in self.predicted_scores.ranking())
            lines.append(f"Predicted {self.predicted_scores.metric}, {self.k} components: {scores}")
        counted = "counted from the labels" if self.k_estimated else "as given"
        lines.append(f"data             n = {self.n}, labelled = {self.labelled}, d_x = {self.d_x}, d_y = {self.d_y}, "
                     f"label columns = {self.label_columns}, k = {self.k} ({counted})")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        return "\n".join([*lines, f"Intervals        {self.confidence:.0%}; method {self.method}", self.recommendation])

    def to_dict(self) -> dict:
        """All fields and derived numbers as plain Python objects; infinity and NaN become strings."""
        regime = self.regime
        changes = [{"parameter": c.parameter, "factor": c.factor, "regime": c.regime.value if c.regime else None}
                   for c in self.sensitivity()]
        return plain({"phasejax_version": self.phasejax_version, "regime": regime.value if regime else "undecided",
                      "likeliest": self.likeliest.value, **{name: getattr(self, name) for name in RATIOS},
                      "objective": self.objective, "recommendation": self.recommendation, "sensitivity": changes,
                      **asdict(self)})

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"


def moment_matching_diagnosis(data: PairedRows, *, k: int | None, confidence: float, predicted_scores: bool, seed: int
                         ) -> Diagnosis:
    """The calibrated method on checked data; arguments as `diagnosis.diagnose`.

    Raises:
        ValueError: k out of range, singular covariances, or labels that cannot be cross-validated.
    """
    top = min(data.d_x, data.d_y) - 1
    if k is not None and not 1 <= k <= top:
        raise ValueError(f"k: expected 1 to min(d_x, d_y) - 1 = {top}, got {k}")
    if top < 1:
        raise ValueError("x, y: expected at least 2 columns each, one for signal and one for nuisance")
    q = data.q
    signals = min(label_directions(data.joint, data.d_x, data.d_y, q, data.m), top) if k is None else k
    design = Design(data.d_x, data.d_y, q, signals, data.n - 1, data.m - 1)
    # The simulations keep all cores busy. Threads of BLAS besides would wait for each other.
    with threadpool_limits(1):
        posterior = match_moments(data.joint, design, without=data.without, seed=seed)
        spectra = classify_spectra(data.x, data.y, data.encoded, labelled=data.labelled, signals=signals)
        scores = predict_scores(data.x, data.y, data.encoded, k=signals, kind=data.kind, labelled=data.labelled,
                                 seed=seed) if predicted_scores else None
    found = Diagnosis(
        method="moments", n=data.n, labelled=data.m, d_x=data.d_x, d_y=data.d_y, label_columns=q, k=signals,
        k_estimated=k is None, confidence=confidence, ca=spectra.ca, cp=spectra.cp, cp_reverse=spectra.cp_reverse,
        predicted_scores=scores, **summarise_posterior(posterior, design, data.joint, confidence, seed))
    return replace(found, warnings=tuple(_warnings(found, data.views_share_a_column)))


def _warnings(found, copied):
    d = found.d_x + found.d_y
    if found.n <= d:
        yield (f"n = {found.n} is not above d_x + d_y = {d}: the spectrum is saturated, some canonical correlations "
               "are 1 by construction.")
    elif found.n < 3 * d:
        yield f"n = {found.n} is below 3 (d_x + d_y) = {3 * d}: expect wide intervals."
    if copied:
        yield "a combination of x's columns is a copy of one of y's: alignment will find the copy first."
    if found.fits_badly:
        yield (f"no spiked model describes these data well (reduced_chi2 {found.reduced_chi2:.1f}): intervals are widened, and "
               "predicted scores say more than the regime.")
    if found.predicted_scores is not None and found.predicted_scores.ranking()[0].low <= found.predicted_scores.chance:
        yield "the labels are weak: no representation predicts them reliably better than chance."
    if found.regime is None:
        yield "the data do not decide between regimes: a ratio is near 1 within its interval."
    if found.predicted_scores is not None:
        both, single = found.predicted_scores.gain("x and y"), found.predicted_scores.best_single
        if both.high <= _REDUNDANT:
            other = "x" if single == "y" else "y"
            yield f"{other} is redundant for these labels: beside {single} it adds nothing to the predicted score."


def _nearest_change(model, name, here):
    crossings = [nearest_boundary(model, target, parameters=[name]) for target in Regime if target is not here]
    nearest = min(crossings, key=lambda crossing: crossing.distance)
    if nearest.distance > _FURTHEST:
        return Change(name, math.nan, None)
    return Change(name, math.exp(nearest.log_change[name]), nearest.target)
