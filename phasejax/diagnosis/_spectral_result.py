"""The answer of the published method: classified spectra, the regime they imply, and estimates of six parameters.

Source: K26, Algorithm 1.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np
import pandas as pd

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.overview import Overview, Shown
from phasejax._core.records import check_schema
from phasejax._core.serialise import from_text, restored
from phasejax._version import __version__
from phasejax.diagnosis._document import document
from phasejax.diagnosis._drawn_spectra import DrawnSpectra
from phasejax.diagnosis._overviews import overview_of_spectra
from phasejax.diagnosis._spectral import ClassifiedSpectrum
from phasejax.theory import Regime, SpikedModel, delta_ca, delta_cp


@dataclass(frozen=True)
class SpectralDiagnosis(DrawnSpectra, Shown):
    """The place of a data set in the phase diagram by the published algorithm.

    Args:
        method: "spectral".
        n, d_x, d_y: paired rows, columns of x, columns of y.
        label_columns: label columns used (one per class, or per real-valued label).
        ca: canonical correlations, classified into signal and nuisance by the labels.
        cp: singular values of A (predicting y from x), classified.
        cp_reverse: the same for predicting x from y.
        pls: singular values of S_xy, classified.
        kappa: estimated signal strength, in data units. Like the noise variances and the composite ratios, it takes
            the model at its word that a signal is equally strong in both views, so these need views in like units.
        nu: estimated nuisance correlation.
        gamma_x, gamma_y: estimated noise variances on the signal, data units squared.
        nuisance_x, nuisance_y: estimated nuisance variances, data units squared.
        dominance_x, dominance_y: share of the leading variance that is signal, 0 to 1.
        warnings: what limits the answer, one sentence each.
        computed_on: versions, device, cores and flags, on which the last digits depend; None where not recorded.
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
    computed_on: dict[str, str] | None = None

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
        align, predict = f"Delta_CA = {significant(self.delta_ca)}", f"Delta_CP = {significant(self.delta_cp)}"
        reverse = f"Delta_CP y->x = {significant(self.delta_cp_reverse)}"
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
            f"Delta_CA         {significant(self.delta_ca)}   {_counted(self.ca)}",
            f"Delta_CP         {significant(self.delta_cp)}   {_counted(self.cp)}",
            f"Delta_CP y->x    {significant(self.delta_cp_reverse)}   {_counted(self.cp_reverse)}",
            f"kappa            {significant(self.kappa)}",
            f"nu               {significant(self.nu)}",
            f"data             n = {self.n}, d_x = {self.d_x}, d_y = {self.d_y}, "
            f"label columns = {self.label_columns}, method = {self.method}",
            *(f"Warning: {warning}" for warning in self.warnings),
            self.recommendation,
        ]
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """The classified spectra as a table: spectrum, component from 1, value, r2 and is_signal."""
        return pd.concat([pd.DataFrame({"spectrum": name, "component": np.arange(1, len(one.values) + 1),
                                        "value": one.values, "r2": one.r2, "is_signal": one.is_signal})
                          for name, one in (("ca", self.ca), ("cp", self.cp), ("cp_reverse", self.cp_reverse),
                                            ("pls", self.pls))], ignore_index=True)

    def _overview(self) -> Overview:
        return overview_of_spectra(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> "SpectralDiagnosis":
        """The diagnosis that `to_dict` wrote; derived numbers are computed again.

        Raises:
            ValueError: what is no diagnosis by this method, or not all of one, in one line.
        """
        check_schema(saved, "phasejax.diagnosis", 1)
        if saved.get("method") != "spectral":
            raise ValueError(f"saved: expected a diagnosis of method spectral, got {saved.get('method')!s:.40}")
        return restored(cls, saved)

    @classmethod
    @checked
    def from_json(cls, text: str) -> "SpectralDiagnosis":
        """The diagnosis that `to_json` wrote.

        Raises:
            ValueError: text that is no JSON, or what `from_dict` refuses, in one line.
        """
        return cls.from_dict(from_text(text))

    def to_dict(self) -> dict[str, Any]:
        """All fields and derived numbers as plain Python objects; infinity becomes the string "inf"."""
        derived = ("delta_ca", "delta_cp", "delta_cp_reverse", "r_ca", "r_cp", "composite_delta_ca",
                   "composite_delta_cp", "recommendation", "verdict")
        return document(__version__, {"regime": self.regime.value} | {name: getattr(self, name) for name in derived}
                        | asdict(self))

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"


def _counted(spectrum):
    return f"({spectrum.recovered} of {int(spectrum.is_signal.sum())} signal components above all nuisance)"


def _in_float64(function, model):
    with jax.enable_x64(True):
        return float(function(model))
