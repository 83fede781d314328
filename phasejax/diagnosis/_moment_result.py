"""The answer of `diagnose`: the regime with its probability, intervals, spectra, predicted scores and advice."""

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant, with_interval
from phasejax._core.overview import Overview, Shown
from phasejax._core.serialise import from_text, lines_of_lists
from phasejax._version import __version__
from phasejax.diagnosis._document import document, table
from phasejax.diagnosis._drawn_spectra import DrawnSpectra
from phasejax.diagnosis._estimates import RATIOS, Estimate, likeliest
from phasejax.diagnosis._label_rows import labels_in_words
from phasejax.diagnosis._overviews import overview_of_moments
from phasejax.diagnosis._predicted_scores import PredictedScores
from phasejax.diagnosis._recommendation import best_objective, recommendation
from phasejax.diagnosis._saved import diagnosis_fields
from phasejax.diagnosis._spectral import ClassifiedSpectrum
from phasejax.theory import Regime, SpikedModel, nearest_boundary, regime

# Reduced chi-squared above which no spiked model describes the data.
BAD_FIT = 3.0
# Parameters of which each alone may lead into another regime, and the largest change of a logarithm that counts.
_MOVABLE = ("kappa", "nu", "gamma_x", "gamma_y", "nuisance_x", "nuisance_y")
_FURTHEST = 3.0


@dataclass(frozen=True)
class Change:
    """The smallest change of one parameter alone that leads into another regime (`MomentDiagnosis.sensitivity`).

    Args:
        parameter: its name.
        factor: what it is multiplied by; NaN where no factor from e^-3 to e^3 leads into another regime.
        regime: the other regime; None where there is no such factor.
    """

    parameter: str
    factor: float
    regime: Regime | None


@dataclass(frozen=True, eq=False, kw_only=True)
class MomentDiagnosis(DrawnSpectra, Shown):
    """Where a data set lies in the phase diagram, how sure that is, and what to train.

    Saved with its draws (`to_json(draws=True)`) and read back (`from_json`, `load_baseline`) it is the baseline that
    later data are compared with.

    Args:
        method: "moments".
        n, labelled: paired rows, and how many of them have labels.
        groups: number of groups of dependent rows; None where every row stands for itself.
        kind: of the labels, "class" or "real".
        d_x, d_y: columns of x and of y.
        label_columns: linearly independent label columns.
        k: signals.
        k_estimated: whether k was counted from the labels.
        confidence: level of the intervals, and the probability from which a regime is stated.
        reduced_chi2: mean squared distance of data and best model in standard errors; well above 1 when no
            spiked model describes the data. Intervals are widened by its root.
        estimates: of the ratios (`RATIOS`) and the parameters (`PARAMETERS`) by name.
        probabilities: of the four regimes by name.
        reverse_probability: that predicting x from y recovers the signal.
        draws: of the posterior, 400 values of each name in `estimates`; none in a diagnosis saved without them.
        ca, cp, cp_reverse: sample spectra; the k components that predict the labels best count as signal.
        predicted_scores: cross-validated scores of the representations, or None where not asked for.
        warnings: what limits the answer, one sentence each.
        phasejax_version: of the package that made the diagnosis.
        computed_on: versions, device, cores and flags, on which the last digits depend; None where not recorded.
    """

    method: str
    n: int
    labelled: int
    groups: int | None
    kind: str
    d_x: int
    d_y: int
    label_columns: int
    k: int
    k_estimated: bool
    confidence: float
    reduced_chi2: float
    estimates: dict[str, Estimate]
    probabilities: dict[str, float]
    reverse_probability: float
    draws: dict[str, Float[np.ndarray, "m"]]
    ca: ClassifiedSpectrum
    cp: ClassifiedSpectrum
    cp_reverse: ClassifiedSpectrum
    predicted_scores: PredictedScores | None
    warnings: tuple[str, ...] = ()
    phasejax_version: str = __version__
    computed_on: dict[str, str] | None = None

    @classmethod
    @checked
    def from_dict(cls, saved: dict[str, Any]) -> "MomentDiagnosis":
        """The diagnosis that `to_dict` wrote; derived numbers are computed again.

        Raises:
            ValueError: what is no diagnosis by moment matching, or not all of one, in one line.
        """
        return cls(**diagnosis_fields(saved, origin="dictionary"))

    @classmethod
    @checked
    def from_json(cls, text: str) -> "MomentDiagnosis":
        """The diagnosis that `to_json` wrote.

        Raises:
            ValueError: text that is no JSON, or what `from_dict` refuses, in one line.
        """
        return cls(**diagnosis_fields(from_text(text), origin="JSON text"))

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
    def fits_badly(self) -> bool:
        """Whether the reduced chi-squared says that no spiked model describes the data."""
        return self.reduced_chi2 > BAD_FIT

    @property
    def likeliest(self) -> Regime:
        """The regime of highest probability."""
        return likeliest(self.probabilities)

    @property
    def regime(self) -> Regime | None:
        """The regime, or None (undecided): none reaches the asked confidence, or the labels are not predicted."""
        first = self.likeliest
        return first if self.labels_predicted and self.probabilities[first.value] >= self.confidence else None

    @property
    def labels_predicted(self) -> bool:
        """Whether any representation predicts the labels beyond chance; True where no scores were asked for.

        Where none does, the fit describes noise, and a regime of it would say nothing about the labels.
        """
        return self.predicted_scores is None or self.predicted_scores.beyond_chance

    @property
    def verdict(self) -> str:
        """The regime in words with its probability, or the likeliest ones when undecided."""
        ranked = sorted(self.probabilities.items(), key=lambda item: -item[1])
        if self.regime is not None:
            return f"{ranked[0][0]} (probability {significant(ranked[0][1], 2)})"
        if not self.labels_predicted:
            return "undecided (nothing predicts the labels beyond chance)"
        return "undecided (" + ", ".join(f"{name} {significant(p, 2)}" for name, p in ranked if p >= 0.05) + ")"

    @property
    def model(self) -> SpikedModel:
        """A typical model of the likeliest regime, in units in which both views carry the signal alike.

        Medians of single parameters need not make up a model of that regime. So this is one draw of it, the one
        nearest to the median of the draws that lie in the regime.
        """
        typical = self._typical_draw()
        e = {name: float(values[typical]) for name, values in self.draws.items()}
        # x and y are scaled so that the signal's variance is kappa^2 in both. No ratio depends on these scales.
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

        Nearest first; parameters that lead nowhere come last. See `phasejax.theory.nearest_boundary`.
        """
        return self._changes

    @property
    def objective(self) -> str:
        """What to train: "CA", "CP x->y", "CP y->x", or "x" or "y" for a single modality.

        From the predicted scores where there are any: the best of the three, unless the better single
        modality is above it beyond chance. Otherwise from the ratios.
        """
        return best_objective(self.estimates, self.predicted_scores)

    @property
    def recommendation(self) -> str:
        """What to do and why, in one sentence."""
        return recommendation(self.objective, self.verdict, self.k, self.predicted_scores)

    def summary(self) -> str:
        """The diagnosis as lines of text."""
        lines = [f"Regime           {self.verdict}"]
        labels = ("Delta_CA", "Delta_CP", "Delta_CP y->x", "kappa", "nu")
        for label, name in zip(labels, (*RATIOS, "kappa", "nu"), strict=True):
            e = self.estimates[name]
            lines.append(f"{label:<16} {with_interval(e.value, e.low, e.high)}")
        if self.predicted_scores is not None:
            scores = ", ".join(f"{s.name} {with_interval(s.value, s.low, s.high)}"
                               for s in self.predicted_scores.ranking())
            lines.append(f"Predicted {self.predicted_scores.metric}, {self.k} components: {scores}")
        lines.append(f"data             {self._data_in_words()}")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        level = f"Intervals        {100 * self.confidence:.4g}%; method {self.method}"
        return "\n".join([*lines, level, self.recommendation])

    def _data_in_words(self) -> str:
        counted = "counted from the labels" if self.k_estimated else "as given"
        groups = "" if self.groups is None else f" in {self.groups} groups"
        return (f"n = {self.n}{groups}, labelled = {self.labelled}, d_x = {self.d_x}, "
                f"d_y = {self.d_y}, {labels_in_words(self.kind, self.label_columns)}, k = {self.k} ({counted})")

    def _overview(self) -> Overview:
        return overview_of_moments(self)

    def to_frame(self) -> pd.DataFrame:
        """Ratios, parameters, probabilities and scores as a table: quantity, k, source, value, low and high."""
        predicted = self.predicted_scores
        scores = () if predicted is None else [(f"{predicted.metric} of {one.name}", one) for one in predicted.scores]
        return table([
            *((name, self.k, "spiked model", one) for name, one in self.estimates.items()),
            *((f"probability of {name}", self.k, "spiked model", one) for name, one in self.probabilities.items()),
            *((name, self.k, "linear", one) for name, one in scores)])

    @checked
    def to_dict(self, *, draws: bool = False) -> dict:
        """All fields and derived numbers as plain Python objects; infinity and NaN become strings.

        Args:
            draws: whether with the draws of the posterior, which `detect_drift` compares.
        """
        regime, fields = self.regime, asdict(self)
        del fields["phasejax_version"]
        changes = [{"parameter": c.parameter, "factor": c.factor, "regime": c.regime.value if c.regime else None}
                   for c in self.sensitivity()]
        return document(self.phasejax_version, {
            "verdict": self.verdict, "regime": regime.value if regime else None, "likeliest": self.likeliest.value,
            **{name: getattr(self, name) for name in RATIOS}, "objective": self.objective,
            "recommendation": self.recommendation, "sensitivity": changes, **fields,
            "draws": self.draws if draws and self.draws else None})

    @checked
    def to_json(self, *, draws: bool = False) -> str:
        """`to_dict` as JSON text."""
        return lines_of_lists(json.dumps(self.to_dict(draws=draws), indent=2, allow_nan=False)) + "\n"


def _nearest_change(model, name, here):
    crossings = [nearest_boundary(model, target, parameters=[name]) for target in Regime if target is not here]
    nearest = min(crossings, key=lambda crossing: crossing.distance)
    if nearest.distance > _FURTHEST:
        return Change(name, math.nan, None)
    return Change(name, math.exp(nearest.log_change[name]), nearest.target)
