"""The quantities that a sweep can evaluate, by name, and the cell that they are computed from.

A `Cell` holds the model and the covariances of one point of a grid and solves each objective at
most once, however many quantities read the solution. `QUANTITIES` lists what the figures of K26
show: closed forms of the theory, and what solvers find on covariances. Quantities of encoders
trained by gradient descent are in `_trained_quantities`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax import linear, theory
from phasejax._core.checked_call import checked
from phasejax._core.linalg import leading_traces
from phasejax._core.validation import shown
from phasejax.linear import Covariances, Whitened, _solvers
from phasejax.simulation._population import population_covariances, signal_covariances
from phasejax.theory import SpikedModel
from phasejax.theory._label_content import content_of_encoders
from phasejax.theory._regimes import regime_code_from_ratios


class Cell:
    """One cell of a grid: a model, covariances drawn from it, and their solutions, each solved once.

    Args:
        model: the cell's spiked model.
        covariances: of a sample or of the population; the solvers see nothing else.
        lam: weight of alignment in the joint objective, in units of y squared; None where it is not used.
        n: pairs in the sample; None for the population.
        note_lam: called whenever something reads `lam`, so that a sweep in which nothing does can refuse it.
    """

    def __init__(self, model: SpikedModel, covariances: Covariances | Whitened,
                 lam: ArrayLike | None = None, n: ArrayLike | None = None,
                 note_lam: Callable[[], None] = lambda: None):
        self.model, self.n, self._lam, self._note_lam = model, n, lam, note_lam
        self.whitened = covariances if isinstance(covariances, Whitened) else Whitened(covariances)
        self._trained: dict[str, linear.Trained] = {}

    @property
    def lam(self) -> ArrayLike | None:
        """The weight of alignment in the joint objective."""
        self._note_lam()
        return self._lam

    @property
    def covariances(self) -> Covariances:
        """The covariances in their original coordinates."""
        return self.whitened.covariances

    def reverse(self) -> "Cell":
        """The same cell with the two views swapped."""
        return Cell(self.model.reverse(), self.whitened.reverse(), self._lam, self.n, self._note_lam)

    @cached_property
    def ca(self) -> linear.Alignment:
        """The solution of alignment, CA."""
        return linear.solve_ca(self.whitened, self.model.k)

    @cached_property
    def ca_probe(self) -> linear.Prediction:
        """The best linear prediction of y from the CA encoder of x."""
        return _solvers.probed(self.ca, self.covariances)

    @cached_property
    def cp(self) -> linear.Prediction:
        """The solution of prediction of y from x, CP."""
        return linear.solve_cp(self.whitened, self.model.k)

    @cached_property
    def cp_reverse(self) -> linear.Prediction:
        """The solution of prediction of x from y, CP y->x."""
        return linear.solve_cp(self.whitened.reverse(), self.model.k)

    @cached_property
    def joint(self) -> linear.Prediction:
        """The solution of the joint objective at weight `lam`."""
        if self.lam is None:
            raise ValueError("lam: expected an axis or a fixed value for the joint objective, got neither")
        return linear.solve_joint(self.whitened, self.model.k, self.lam)

    def trained(self, objective: str) -> "linear.Trained":
        """The encoders that gradient descent finds for an objective of `linear.train`.

        Every cell starts from the same encoders, so that curves over the grid are smooth.
        """
        if objective not in self._trained:
            self._trained[objective] = linear.train(objective, self.covariances, self.model.k, key=jax.random.key(0),
                                                    lam=self.lam if objective == "joint" else None)
        return self._trained[objective]

    @cached_property
    def directions_x(self) -> Float[Array, "k d_x"]:
        """The signal directions of x, one in each row."""
        return linear.signal_directions(self.model.k, self.model.d_x)

    @cached_property
    def directions_y(self) -> Float[Array, "k d_y"]:
        """The signal directions of y, one in each row."""
        return linear.signal_directions(self.model.k, self.model.d_y)

    @cached_property
    def content(self) -> tuple[Array, ...]:
        """Label content s(k) of CA, CP and CP y->x, for as many directions as there are signals, which are the labels.

        The directions are those of the cell's covariances, the labels' covariances those of the population: what the
        directions found in a sample keep of the signals.
        """
        shares = self._content_shares(self.ca.encoder_x, self.cp.encoder, self.cp_reverse.encoder)
        return tuple(jnp.sum(share) for share in shares)

    @cached_property
    def content_curves(self) -> tuple[Array, ...]:
        """Label content s(k) as in `content`, for k = 1, 2, ... min(d_x, d_y)."""
        labels_x, labels_y, slopes_x, slopes_y = self._of_labels
        root_x, root_y, xy = self.whitened.root_x, self.whitened.root_y, self.covariances.xy
        b, reverse = root_x @ xy, root_y @ xy.T
        c = b @ root_y.T
        of_x = (root_x @ labels_x) @ (root_x @ xy @ slopes_y).T
        of_y = (root_y @ labels_y) @ (root_y @ xy.T @ slopes_x).T
        whole = jnp.sum(slopes_x * (xy @ slopes_y))
        return tuple(leading_traces(matrix @ matrix.T, form)[:self.components] / whole
                     for matrix, form in ((c, of_x), (b, of_x), (reverse, of_y)))

    @cached_property
    def _of_labels(self):
        """Covariances of both views with the signals, and the coefficients of least squares."""
        labels = [jnp.asarray(self.model.kappa) * directions.T for directions in (self.directions_x, self.directions_y)]
        roots = self.whitened.root_x, self.whitened.root_y
        return (*labels, *(root.T @ (root @ label) for root, label in zip(roots, labels, strict=True)))

    def _content_shares(self, ca, cp, cp_reverse):
        labels_x, labels_y, slopes_x, slopes_y = self._of_labels
        return content_of_encoders(ca, cp, cp_reverse, self.covariances.xy, labels_x, labels_y, slopes_x, slopes_y)

    @property
    def components(self) -> int:
        """Number of singular values of the cross-covariance, min(d_x, d_y)."""
        return min(self.model.d_x, self.model.d_y)

    def total_mse(self, predictor: Float[Array, "d_y d_x"]) -> Float[Array, ""]:
        """Expected squared error of a linear predictor of y on fresh pairs."""
        return linear.prediction_mse(predictor, population_covariances(self.model))

    def signal_mse(self, predictor: Float[Array, "d_y d_x"]) -> Float[Array, ""]:
        """Expected squared error of a linear predictor of y against the noiseless signal part of y."""
        return linear.prediction_mse(predictor, signal_covariances(self.model))


@checked
@dataclass(frozen=True)
class Quantity:
    """A named result of a sweep.

    Args:
        compute: the function that gives it: of a `SpikedModel` when `source` is "theory", of a model
            and the number of pairs when it is "finite-sample theory", else of a `Cell`.
        long_name: what it is, for axis labels and the dataset.
        dims: names of the result's own dimensions: "signal" (k), "nuisance" (p), "component" (m).
        units: "1" for pure numbers.
        source: "theory" for closed forms of the model; "finite-sample theory" for closed forms that
            also depend on n; "covariances" for what is computed from sample covariances where a sweep
            draws samples, and from the population's elsewhere; "population" for what is computed from
            the population covariances in any case.

    >>> trace = Quantity(lambda cell: cell.covariances.yy.trace(), "trace of S_yy", units="data units squared")
    """

    compute: Callable[..., Array]
    long_name: str
    dims: tuple[str, ...] = ()
    units: str = "1"
    source: Literal["theory", "finite-sample theory", "covariances", "population"] = "covariances"

    @classmethod
    @checked
    def from_function(cls, function: Callable[..., Array], name: str) -> "Quantity":
        """A quantity from a function of (model, covariances)."""
        if not isinstance(name, str):
            raise ValueError(f"name: expected text, got {shown(name)}")
        return cls(lambda cell: function(cell.model, cell.covariances), name)


def _theory(function: Callable[..., Array], long_name: str, dims: tuple[str, ...] = (), units: str = "1") -> Quantity:
    return Quantity(function, long_name, dims, units, "theory")


def _finite_sample_theory(function: Callable[..., Array], long_name: str) -> Quantity:
    return Quantity(lambda model, n: function(theory.finite_sample(model, n)), f"{long_name} expected of n pairs",
                    source="finite-sample theory")


def _separation_ca(cell: Cell) -> Array:
    full = linear.solve_ca(cell.whitened, cell.components)
    return theory.separation_ratio(full.spectrum, linear.signal_components(full.encoder_x, cell.model.k))


def _separation_cp(cell: Cell) -> Array:
    full = linear.solve_cp(cell.whitened, cell.components)
    return theory.separation_ratio(full.spectrum, linear.signal_components(full.encoder, cell.model.k))


def _gap(spectrum: Array, k: int) -> Array:
    return spectrum[k - 1] / spectrum[k]


_SQUARED = "data units squared"
QUANTITIES: dict[str, Quantity] = {
    "rho": _theory(theory.rho, "signal singular values of C", ("signal",)),
    "tau": _theory(theory.tau, "signal singular values of A", ("signal",), "data units"),
    "xi": _theory(theory.xi, "nuisance singular values of A", ("nuisance",), "data units"),
    "delta_ca": _theory(theory.delta_ca, "separation ratio of CA"),
    "delta_cp": _theory(theory.delta_cp, "separation ratio of CP"),
    "delta_cp_reverse": _theory(theory.delta_cp_reverse, "separation ratio of CP y->x"),
    "r_ca": _theory(theory.r_ca, "signals that CA recovers, in theory"),
    "r_cp": _theory(theory.r_cp, "signals that CP recovers, in theory"),
    "r_cp_reverse": _theory(theory.r_cp_reverse, "signals that CP y->x recovers, in theory"),
    "regime": _theory(theory.regime_code, "regime"),
    "finite_delta_ca": _finite_sample_theory(lambda found: found.delta_ca, "separation ratio of CA"),
    "finite_delta_cp": _finite_sample_theory(lambda found: found.delta_cp, "separation ratio of CP"),
    "finite_delta_cp_reverse": _finite_sample_theory(lambda found: found.delta_cp_reverse,
                                                     "separation ratio of CP y->x"),
    "finite_regime": _finite_sample_theory(lambda found: regime_code_from_ratios(found.delta_ca, found.delta_cp),
                                           "regime"),
    "spectrum_ca": _theory(theory.spectrum_ca, "canonical correlations, in theory", ("component",)),
    "spectrum_cp": _theory(theory.spectrum_cp, "singular values of A, in theory", ("component",), "data units"),
    "canonical_correlations": Quantity(lambda cell: cell.ca.spectrum, "canonical correlations", ("component",)),
    "regression_singular_values": Quantity(lambda cell: cell.cp.spectrum, "singular values of A", ("component",),
                                           "data units"),
    "regression_singular_values_reverse": Quantity(lambda cell: cell.cp_reverse.spectrum,
                                                   "singular values of A of CP y->x", ("component",), "data units"),
    "gap_ca": Quantity(lambda cell: _gap(cell.ca.spectrum, cell.model.k), "k-th over next canonical correlation"),
    "gap_cp": Quantity(lambda cell: _gap(cell.cp.spectrum, cell.model.k), "k-th over next singular value of A"),
    "separation_ca": Quantity(_separation_ca, "separation ratio of CA, components classified by overlap"),
    "separation_cp": Quantity(_separation_cp, "separation ratio of CP, components classified by overlap"),
    "separation_cp_reverse": Quantity(lambda cell: _separation_cp(cell.reverse()),
                                      "separation ratio of CP y->x, components classified by overlap"),
    "error_ca": Quantity(lambda cell: linear.mean_squared_sine(cell.directions_x, cell.ca.encoder_x),
                         "mean squared sine between signal and CA subspace"),
    "error_cp": Quantity(lambda cell: linear.mean_squared_sine(cell.directions_x, cell.cp.encoder),
                         "mean squared sine between signal and CP subspace"),
    "error_cp_reverse": Quantity(lambda cell: linear.mean_squared_sine(cell.directions_y, cell.cp_reverse.encoder),
                                 "mean squared sine between signal and CP y->x subspace"),
    "error_joint": Quantity(lambda cell: linear.mean_squared_sine(cell.directions_x, cell.joint.encoder),
                            "mean squared sine between signal and joint subspace"),
    "joint_to_ca": Quantity(lambda cell: linear.mean_squared_sine(cell.ca.encoder_x, cell.joint.encoder),
                            "mean squared sine between CA and joint subspace"),
    "joint_to_cp": Quantity(lambda cell: linear.mean_squared_sine(cell.cp.encoder, cell.joint.encoder),
                            "mean squared sine between CP and joint subspace"),
    "overlap_ca": Quantity(lambda cell: linear.squared_overlaps(cell.directions_x, cell.ca.encoder_x),
                           "squared overlap of each signal with the CA subspace", ("signal",)),
    "overlap_cp": Quantity(lambda cell: linear.squared_overlaps(cell.directions_x, cell.cp.encoder),
                           "squared overlap of each signal with the CP subspace", ("signal",)),
    "recovered_ca": Quantity(lambda cell: linear.recovered_count(cell.directions_x, cell.ca.encoder_x),
                             "signals with squared overlap >= 0.8 with the CA subspace"),
    "recovered_cp": Quantity(lambda cell: linear.recovered_count(cell.directions_x, cell.cp.encoder),
                             "signals with squared overlap >= 0.8 with the CP subspace"),
    "recovered_cp_reverse": Quantity(lambda cell: linear.recovered_count(cell.directions_y, cell.cp_reverse.encoder),
                                     "signals with squared overlap >= 0.8 with the CP y->x subspace"),
    "recovered_joint": Quantity(lambda cell: linear.recovered_count(cell.directions_x, cell.joint.encoder),
                                "signals with squared overlap >= 0.8 with the joint subspace"),
    "content_ca": Quantity(lambda cell: cell.content[0], "share of the signals' shared part in the CA subspace"),
    "content_cp": Quantity(lambda cell: cell.content[1], "share of the signals' shared part in the CP subspace"),
    "content_cp_reverse": Quantity(lambda cell: cell.content[2],
                                   "share of the signals' shared part in the CP y->x subspace"),
    "content_curve_ca": Quantity(lambda cell: cell.content_curves[0],
                                 "share of the signals' shared part in the leading directions of CA", ("component",)),
    "content_curve_cp": Quantity(lambda cell: cell.content_curves[1],
                                 "share of the signals' shared part in the leading directions of CP", ("component",)),
    "content_curve_cp_reverse": Quantity(lambda cell: cell.content_curves[2],
                                         "share of the signals' shared part in the leading directions of CP y->x",
                                         ("component",)),
    "encoder_norm": Quantity(lambda cell: linear.encoder_norm(cell.ca, cell.covariances),
                             "squared norm of the constrained CA encoders"),
    "total_mse_ca": Quantity(lambda cell: cell.total_mse(cell.ca_probe.predictor),
                             "expected error of CA + probe", units=_SQUARED),
    "total_mse_cp": Quantity(lambda cell: cell.total_mse(cell.cp.predictor), "expected error of CP", units=_SQUARED),
    "total_mse_cp_reverse": Quantity(lambda cell: cell.reverse().total_mse(cell.cp_reverse.predictor),
                                     "expected error of CP y->x, predicting x", units=_SQUARED),
    "total_mse_joint": Quantity(lambda cell: cell.total_mse(cell.joint.predictor),
                                "expected error of the joint solution", units=_SQUARED),
    "signal_mse_ca": Quantity(lambda cell: cell.signal_mse(cell.ca_probe.predictor),
                              "expected error of CA + probe against the noiseless signal", units=_SQUARED),
    "signal_mse_cp": Quantity(lambda cell: cell.signal_mse(cell.cp.predictor),
                              "expected error of CP against the noiseless signal", units=_SQUARED),
    "signal_mse_joint": Quantity(lambda cell: cell.signal_mse(cell.joint.predictor),
                                 "expected error of the joint solution against the noiseless signal", units=_SQUARED),
}
