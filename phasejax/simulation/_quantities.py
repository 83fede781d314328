"""The quantities that a sweep can evaluate, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import jax
from jaxtyping import Array

from phasejax import linear, theory
from phasejax.linear import Covariances, Whitened, _solvers
from phasejax.simulation._population import population_covariances, signal_covariances
from phasejax.theory import SpikedModel
from phasejax.theory._regimes import regime_code_from_ratios

if TYPE_CHECKING:
    from phasejax.linear import Trained



class Cell:
    """One cell of a grid: a model, covariances drawn from it, and their solutions, each solved once.

    Args:
        model: the cell's spiked model.
        covariances: what the solvers see, of a sample or of the population.
        lam: weight of alignment in the joint objective; None where it is not used.
        n: pairs in the sample; None for the population.
    """

    def __init__(self, model: SpikedModel, covariances: Covariances | Whitened, lam=None, n=None):
        self.model, self.lam, self.n = model, lam, n
        self.whitened = covariances if isinstance(covariances, Whitened) else Whitened(covariances)
        self._trained: dict[str, Trained] = {}

    @property
    def covariances(self) -> Covariances:
        return self.whitened.covariances

    def reverse(self) -> "Cell":
        """The same cell with the two views swapped."""
        return Cell(self.model.reverse(), self.whitened.reverse(), self.lam, self.n)

    @cached_property
    def ca(self) -> linear.Alignment:
        return linear.solve_ca(self.whitened, self.model.k)

    @cached_property
    def ca_probe(self) -> linear.Prediction:
        return _solvers.probed(self.ca, self.covariances)

    @cached_property
    def cp(self) -> linear.Prediction:
        return linear.solve_cp(self.whitened, self.model.k)

    @cached_property
    def cp_reverse(self) -> linear.Prediction:
        return linear.solve_cp(self.whitened.reverse(), self.model.k)

    @cached_property
    def joint(self) -> linear.Prediction:
        if self.lam is None:
            raise ValueError("lam: expected an axis or a fixed value for the joint objective, got neither")
        return linear.solve_joint(self.whitened, self.model.k, self.lam)

    def trained(self, objective: str) -> "Trained":
        """The encoders that gradient descent finds for one of the objectives of `training.train`.

        Every cell starts from the same encoders, so that curves over the grid are smooth.
        """
        from phasejax.linear import train

        if objective not in self._trained:
            self._trained[objective] = train(objective, self.covariances, self.model.k, key=jax.random.key(0),
                                             lam=self.lam if objective == "joint" else None)
        return self._trained[objective]

    @cached_property
    def directions_x(self) -> Array:
        return linear.signal_directions(self.model.k, self.model.d_x)

    @cached_property
    def directions_y(self) -> Array:
        return linear.signal_directions(self.model.k, self.model.d_y)

    @property
    def components(self) -> int:
        return min(self.model.d_x, self.model.d_y)

    def total_mse(self, predictor) -> Array:
        return linear.prediction_mse(predictor, population_covariances(self.model))

    def signal_mse(self, predictor) -> Array:
        return linear.prediction_mse(predictor, signal_covariances(self.model))


@dataclass(frozen=True)
class Quantity:
    """A named result of a sweep.

    Args:
        compute: of a `SpikedModel` when `source` is "theory", of a model and the number of pairs
            when it is "finite-sample theory", else of a `Cell`.
        long_name: what it is, for axis labels and the dataset.
        dims: names of the result's own dimensions: "signal" (k), "nuisance" (p), "component" (m).
        units: "1" for pure numbers.
        source: "theory" for closed forms of the model, "finite-sample theory" for those that depend
            on n as well, "covariances" for what is solved from
            those of samples where a sweep draws any and else of the population, "population"
            for what is solved from the population's in any case.
    """

    compute: Callable[..., Array]
    long_name: str
    dims: tuple[str, ...] = ()
    units: str = "1"
    source: Literal["theory", "finite-sample theory", "covariances", "population"] = "covariances"

    @classmethod
    def of_function(cls, function: Callable[..., Array], name: str) -> "Quantity":
        """A quantity from a function of (model, covariances)."""
        return cls(lambda cell: function(cell.model, cell.covariances), name)


def _theory(function, long_name, dims=(), units="1"):
    return Quantity(function, long_name, dims, units, "theory")


def _finite(function, long_name):
    return Quantity(lambda model, n: function(theory.finite_sample(model, n)), f"{long_name} expected of n pairs",
                    source="finite-sample theory")


def _separation_ca(cell):
    full = linear.solve_ca(cell.whitened, cell.components)
    return theory.separation_ratio(full.spectrum, linear.signal_components(full.encoder_x, cell.model.k))


def _separation_cp(cell):
    full = linear.solve_cp(cell.whitened, cell.components)
    return theory.separation_ratio(full.spectrum, linear.signal_components(full.encoder, cell.model.k))


def _gap(spectrum, k):
    return spectrum[k - 1] / spectrum[k]


_Y2 = "data units squared"
QUANTITIES: dict[str, Quantity] = {
    "rho": _theory(theory.rho, "signal singular values of C", ("signal",)),
    "tau": _theory(theory.tau, "signal singular values of A", ("signal",), "data units"),
    "xi": _theory(theory.xi, "nuisance singular values of A", ("nuisance",), "data units"),
    "delta_ca": _theory(theory.delta_ca, "separation ratio of CA"),
    "delta_cp": _theory(theory.delta_cp, "separation ratio of CP"),
    "delta_cp_reverse": _theory(theory.delta_cp_reverse, "separation ratio of CP reversed"),
    "r_ca": _theory(theory.r_ca, "signals that CA recovers, in theory"),
    "r_cp": _theory(theory.r_cp, "signals that CP recovers, in theory"),
    "r_cp_reverse": _theory(theory.r_cp_reverse, "signals that CP reversed recovers, in theory"),
    "regime": _theory(theory.regime_code, "regime"),
    "finite_delta_ca": _finite(lambda found: found.delta_ca, "separation ratio of CA"),
    "finite_delta_cp": _finite(lambda found: found.delta_cp, "separation ratio of CP"),
    "finite_delta_cp_reverse": _finite(lambda found: found.delta_cp_reverse, "separation ratio of CP reversed"),
    "finite_regime": _finite(lambda found: regime_code_from_ratios(found.delta_ca, found.delta_cp), "regime"),
    "spectrum_ca": _theory(theory.spectrum_ca, "canonical correlations, in theory", ("component",)),
    "spectrum_cp": _theory(theory.spectrum_cp, "singular values of A, in theory", ("component",), "data units"),
    "canonical_correlations": Quantity(lambda c: c.ca.spectrum, "canonical correlations", ("component",)),
    "regression_singular_values": Quantity(lambda c: c.cp.spectrum, "singular values of A", ("component",),
                                           "data units"),
    "regression_singular_values_reverse": Quantity(lambda c: c.cp_reverse.spectrum, "singular values of A, reversed",
                                                   ("component",), "data units"),
    "gap_ca": Quantity(lambda c: _gap(c.ca.spectrum, c.model.k), "k-th over next canonical correlation"),
    "gap_cp": Quantity(lambda c: _gap(c.cp.spectrum, c.model.k), "k-th over next singular value of A"),
    "separation_ca": Quantity(_separation_ca, "separation ratio of CA, components classified by overlap"),
    "separation_cp": Quantity(_separation_cp, "separation ratio of CP, components classified by overlap"),
    "separation_cp_reverse": Quantity(lambda c: _separation_cp(c.reverse()),
                                      "separation ratio of CP reversed, components classified by overlap"),
    "error_ca": Quantity(lambda c: linear.mean_squared_sine(c.directions_x, c.ca.encoder_x),
                         "mean squared sine between signal and CA subspace"),
    "error_cp": Quantity(lambda c: linear.mean_squared_sine(c.directions_x, c.cp.encoder),
                         "mean squared sine between signal and CP subspace"),
    "error_cp_reverse": Quantity(lambda c: linear.mean_squared_sine(c.directions_y, c.cp_reverse.encoder),
                                 "mean squared sine between signal and reversed CP subspace"),
    "error_joint": Quantity(lambda c: linear.mean_squared_sine(c.directions_x, c.joint.encoder),
                            "mean squared sine between signal and joint subspace"),
    "joint_to_ca": Quantity(lambda c: linear.mean_squared_sine(c.ca.encoder_x, c.joint.encoder),
                            "mean squared sine between CA and joint subspace"),
    "joint_to_cp": Quantity(lambda c: linear.mean_squared_sine(c.cp.encoder, c.joint.encoder),
                            "mean squared sine between CP and joint subspace"),
    "overlap_ca": Quantity(lambda c: linear.squared_overlaps(c.directions_x, c.ca.encoder_x),
                           "squared overlap of each signal with the CA subspace", ("signal",)),
    "overlap_cp": Quantity(lambda c: linear.squared_overlaps(c.directions_x, c.cp.encoder),
                           "squared overlap of each signal with the CP subspace", ("signal",)),
    "recovered_ca": Quantity(lambda c: linear.recovered_count(c.directions_x, c.ca.encoder_x),
                             "signals with squared overlap >= 0.8 with the CA subspace"),
    "recovered_cp": Quantity(lambda c: linear.recovered_count(c.directions_x, c.cp.encoder),
                             "signals with squared overlap >= 0.8 with the CP subspace"),
    "recovered_cp_reverse": Quantity(lambda c: linear.recovered_count(c.directions_y, c.cp_reverse.encoder),
                                     "signals with squared overlap >= 0.8 with the reversed CP subspace"),
    "recovered_joint": Quantity(lambda c: linear.recovered_count(c.directions_x, c.joint.encoder),
                                "signals with squared overlap >= 0.8 with the joint subspace"),
    "encoder_norm": Quantity(lambda c: linear.encoder_norm(c.ca, c.covariances),
                             "squared norm of the constrained CA encoders"),
    "total_mse_ca": Quantity(lambda c: c.total_mse(c.ca_probe.predictor),
                             "expected error of CA + probe", units=_Y2),
    "total_mse_cp": Quantity(lambda c: c.total_mse(c.cp.predictor), "expected error of CP", units=_Y2),
    "total_mse_cp_reverse": Quantity(lambda c: c.reverse().total_mse(c.cp_reverse.predictor),
                                     "expected error of CP reversed, predicting x", units=_Y2),
    "total_mse_joint": Quantity(lambda c: c.total_mse(c.joint.predictor), "expected error of the joint solution",
                                units=_Y2),
    "signal_mse_ca": Quantity(lambda c: c.signal_mse(c.ca_probe.predictor),
                              "expected error of CA + probe against the noiseless signal", units=_Y2),
    "signal_mse_cp": Quantity(lambda c: c.signal_mse(c.cp.predictor),
                              "expected error of CP against the noiseless signal", units=_Y2),
    "signal_mse_joint": Quantity(lambda c: c.signal_mse(c.joint.predictor),
                                 "expected error of the joint solution against the noiseless signal", units=_Y2),
}
