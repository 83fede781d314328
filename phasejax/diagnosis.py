"""Place two paired arrays in the phase diagram."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from phasejax import spectral
from phasejax._version import __version__
from phasejax.calibrated import CalibratedDiagnosis, calibrated_diagnosis, plain
from phasejax.inputs import check_views, encode_labels
from phasejax.model import SpikedModel
from phasejax.pairs import paired_rows
from phasejax.regimes import Regime
from phasejax.spectral import ClassifiedSpectrum
from phasejax.tables import Table
from phasejax.theory import delta_ca, delta_cp


@dataclass(frozen=True)
class Diagnosis:
    """What the published algorithm says about a data set; see `CalibratedDiagnosis` for the default.

    Args:
        method: the estimator that was used.
        n, d_x, d_y: paired rows, columns of x, columns of y.
        label_columns: label columns used (one per class, or per real-valued label).
        ca: canonical correlations, classified into signal and nuisance by the labels.
        cp: singular values of A (predicting y from x), classified.
        cp_reverse: the same for predicting x from y.
        pls: singular values of S_xy, classified.
        kappa: estimated signal strength, in data units.
        nu: estimated nuisance correlation.
        gamma_x, gamma_y: estimated noise variances on the signal, data units squared.
        nuisance_x, nuisance_y: estimated nuisance variances, data units squared.
        dominance_x, dominance_y: share of the leading variance that is signal, 0 to 1.
        warnings: what limits the answer, one sentence each.
    """

    method: str
    n: int
    d_x: int
    d_y: int
    label_columns: int
    ca: ClassifiedSpectrum
    cp: ClassifiedSpectrum
    cp_reverse: ClassifiedSpectrum
    pls: ClassifiedSpectrum
    kappa: float
    nu: float
    gamma_x: float
    gamma_y: float
    nuisance_x: float
    nuisance_y: float
    dominance_x: float
    dominance_y: float
    warnings: tuple[str, ...] = ()

    @property
    def delta_ca(self) -> float:
        """Separation ratio of alignment: it recovers the labelled signal iff the ratio is > 1."""
        return self.ca.delta

    @property
    def delta_cp(self) -> float:
        """Separation ratio of predicting y from x."""
        return self.cp.delta

    @property
    def delta_cp_reverse(self) -> float:
        """Separation ratio of predicting x from y."""
        return self.cp_reverse.delta

    @property
    def r_ca(self) -> int:
        """Signal components of alignment above all nuisance."""
        return self.ca.recovered

    @property
    def r_cp(self) -> int:
        """Signal components of predicting y from x above all nuisance."""
        return self.cp.recovered

    @property
    def regime(self) -> Regime:
        """The regime, from the two ratios."""
        return Regime.from_ratios(self.delta_ca, self.delta_cp)

    @property
    def verdict(self) -> str:
        """The regime in words."""
        return self.regime.value

    @property
    def model(self) -> SpikedModel:
        """The homogeneous one-signal model with the estimated parameters, for the phase diagram."""
        return SpikedModel.homogeneous(self.kappa, self.nu, gamma_x=self.gamma_x, gamma_y=self.gamma_y,
                                       nuisance_x=self.nuisance_x, nuisance_y=self.nuisance_y, k=1, d=2)

    @property
    def composite_delta_ca(self) -> float:
        """Delta_CA of `model`: from the six parameters instead of the spectra."""
        return _in_float64(delta_ca, self.model)

    @property
    def composite_delta_cp(self) -> float:
        """Delta_CP of `model`."""
        return _in_float64(delta_cp, self.model)

    @property
    def recommendation(self) -> str:
        """What to do, in one sentence."""
        align, predict = f"Delta_CA = {self.delta_ca:.2f}", f"Delta_CP = {self.delta_cp:.2f}"
        reverse = f"Delta_CP reversed = {self.delta_cp_reverse:.2f}"
        match self.regime:
            case Regime.BOTH:
                wider = "alignment" if self.delta_ca >= self.delta_cp else "prediction of y from x"
                return (f"Align or predict y from x: both put what the labels measure above all nuisance; "
                        f"{wider} has the wider margin ({align}, {predict}).")
            case Regime.CA_ONLY:
                return (f"Align: it puts what the labels measure above all nuisance ({align}), while predicting "
                        f"y from x would spend its capacity on shared nuisance ({predict}).")
            case Regime.CP_ONLY:
                return (f"Predict y from x: it puts what the labels measure above all nuisance ({predict}), while "
                        f"alignment would pick up correlated nuisance ({align}).")
            case _ if self.delta_cp_reverse > 1:
                return (f"Predict x from y: neither alignment ({align}) nor predicting y from x ({predict}) puts "
                        f"what the labels measure above all nuisance, but this direction does ({reverse}).")
            case _:
                return (f"Keep a single modality: neither alignment ({align}) nor prediction ({predict}; {reverse}) "
                        f"puts what the labels measure above all nuisance.")

    def summary(self) -> str:
        """The diagnosis as lines of text."""
        lines = [
            f"Regime           {self.regime.value}",
            f"Delta_CA         {self.delta_ca:.3f}   {_counted(self.ca)}",
            f"Delta_CP         {self.delta_cp:.3f}   {_counted(self.cp)}",
            f"Delta_CP reverse {self.delta_cp_reverse:.3f}   {_counted(self.cp_reverse)}",
            f"kappa            {self.kappa:.3f}",
            f"nu               {self.nu:.3f}",
            f"data             n = {self.n}, d_x = {self.d_x}, d_y = {self.d_y}, "
            f"label columns = {self.label_columns}, method = {self.method}",
            *(f"Warning: {warning}" for warning in self.warnings),
            self.recommendation,
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict:
        """All fields and derived numbers as plain Python objects; infinity becomes the string "inf"."""
        derived = ("delta_ca", "delta_cp", "delta_cp_reverse", "r_ca", "r_cp", "composite_delta_ca",
                   "composite_delta_cp", "recommendation")
        return plain({"phasejax_version": __version__, "regime": self.regime.value,
                       **{name: getattr(self, name) for name in derived}, **asdict(self)})

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"


def diagnose(x, y, labels, *, method: str = "calibrated", k: int | None = None, labelled=None,
             confidence: float = 0.9, label_kind: str = "auto", outcome: bool = True, seed: int = 0
             ) -> CalibratedDiagnosis | Diagnosis:
    """Which objective recovers, from paired data, what the labels measure.

    "calibrated" looks for the spiked model under which the statistics of simulated data are those
    of these (`calibration`), and reports the regime with its probability, intervals for the
    ratios and parameters, and cross-validated scores of what each objective would yield
    (`outcome.predict_outcome`). Computed in float64 from second moments.

    "spectral" is the published algorithm: components of C (alignment) and of A (prediction) count as
    signal or as nuisance by how well their scores predict held-out labels, and the ratio is the least
    signal value over the largest nuisance value. Its known weakness: components that carry
    shared signal the labels do not measure count as nuisance, and at small n / d it names the wrong
    regime often.

    Args:
        x: one view, shape (n, d_x), n > d_x, finite numbers; an array, or a `tables.Table` of any
            length, which is read in blocks. Spectra and predicted scores then rest on 50,000 rows.
        y: the other view, rows paired with x's, shape (n, d_y), n > d_y.
        labels: shape (m,) or (m, L): classes (integers, booleans, text) or real values.
        method: "calibrated" or "spectral".
        k: shared signals, 1 <= k < min(d_x, d_y); when left out, the number of label directions that
            a view predicts beyond chance. Signals beyond k count as nuisance.
        labelled: the m rows that have labels, as indices; all rows when left out. The others inform the
            covariances.
        confidence: level of the intervals, and probability from which a regime is stated.
        label_kind: "class" or "real" instead of guessing from the labels' type.
        outcome: whether to predict scores.
        seed: of simulation, folds and bootstrap.

    Raises:
        ValueError: an input that no answer could rest on, in one line.

    Source: "spectral", K26, Algorithm 1.

    >>> from phasejax.datasets import load_digit_halves
    >>> diagnose(*load_digit_halves(), method="spectral").regime
    <Regime.NEITHER: 'Neither'>
    """
    if method == "spectral":
        if k is not None or labelled is not None:
            raise ValueError("k, labelled: expected none with method 'spectral', which counts signals itself and "
                             "needs all labels")
        views = (view.rows(0, len(view)) if isinstance(view, Table) else view for view in (x, y))
        return _spectral(*check_views(*views), labels, label_kind)
    if method != "calibrated":
        raise ValueError(f"method: expected 'calibrated' or 'spectral', got {method!r}")
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence: expected a number from 0.5 to below 1, got {confidence}")
    data = paired_rows(x, y, labels, labelled, label_kind, seed)
    return calibrated_diagnosis(data, k=k, confidence=confidence, outcome=outcome, seed=seed)


def _spectral(x, y, labels, label_kind):
    columns = encode_labels(labels, len(x), label_kind)
    with threadpool_limits(1):  # on a busy machine BLAS threads wait for each other longer than they compute
        found = spectral.estimate(x, y, columns)
    signal = found.pls.values[found.pls.is_signal]
    kappa_squared = float(signal.mean()) if signal.size else 0.0
    nuisance = found.ca.values[~found.ca.is_signal]
    return Diagnosis(
        method="spectral", n=len(x), d_x=x.shape[1], d_y=y.shape[1], label_columns=columns.shape[1],
        ca=found.ca, cp=found.cp, cp_reverse=found.cp_reverse, pls=found.pls,
        kappa=math.sqrt(kappa_squared),
        # The largest is left out where there are enough: it may be signal the labels miss.
        nu=float(nuisance[1] if nuisance.size >= 3 else np.max(nuisance, initial=0)),
        gamma_x=max(found.variances_x.signal - kappa_squared, 0.0),
        gamma_y=max(found.variances_y.signal - kappa_squared, 0.0),
        nuisance_x=found.variances_x.nuisance, nuisance_y=found.variances_y.nuisance,
        dominance_x=found.variances_x.dominance, dominance_y=found.variances_y.dominance,
        warnings=tuple(_warnings(x, y, found)))


def _warnings(x, y, found):
    n, d = len(x), x.shape[1] + y.shape[1]
    if n <= d:
        yield (f"n = {n} is not above d_x + d_y = {d}: some canonical correlations are 1 by construction, "
               "and alignment cannot be judged.")
    elif n < 10 * d:
        yield f"n = {n} is below 10 (d_x + d_y) = {10 * d}: sample spectra are biased, and the regime is uncertain."
    if not found.ca.is_signal.any():
        yield "no component of alignment predicts the labels."
    if not found.cp.is_signal.any():
        yield "no component of predicting y from x predicts the labels."


def _counted(spectrum):
    return f"({spectrum.recovered} of {int(spectrum.is_signal.sum())} signal components above all nuisance)"


def _in_float64(function, model):
    import jax

    with jax.enable_x64(True):
        return float(function(model))
