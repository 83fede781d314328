"""Quantities of encoders trained by gradient descent, for a sweep to set beside the closed forms.

Each of the four objectives (VICReg, DeepCCA, CP and the joint objective) is minimised on the
covariances of a cell, and the trained subspace is compared with the signal and with the closed
form of the same covariances. They are kept apart from `QUANTITIES` because training takes thousands
of gradient steps in every cell, and because the optimiser is only imported when one of them is used.
"""

from collections.abc import Callable

from jaxtyping import Array

from phasejax import linear
from phasejax.linear._metrics import collapsed_error, output_spectrum
from phasejax.simulation._quantities import Cell, Quantity


def _trained_error(cell: Cell, objective: str, directions: Array) -> Array:
    """Mean squared sine between given directions and the trained subspace.

    VICReg may give up outputs where the signal is weak: their encoder rows are leftovers of the
    start and do not count as part of the subspace.
    """
    encoder = cell.trained(objective).encoder_x
    if objective == "vicreg":
        return collapsed_error(directions, encoder, cell.covariances.xx)
    return linear.mean_squared_sine(directions, encoder)


def _quantities_of(objective: str, title: str, closed_form: str, closed_encoder: Callable[[Cell], Array],
                   spectrum_title: str, units: str = "1") -> dict[str, Quantity]:
    """Error, distance to the closed form, spectrum, convergence and steps of one objective.

    Args:
        objective: as `linear.train` knows it.
        title: the trained objective in long names.
        closed_form: the objective whose closed form it should reach, for names.
        closed_encoder: from a cell to the closed form's encoder of x.
        spectrum_title, units: what `Trained.spectrum` is for this objective.
    """
    name = objective if objective in ("vicreg", "deepcca") else f"trained_{objective}"
    return {
        f"error_{name}": Quantity(lambda cell: _trained_error(cell, objective, cell.directions_x),
                                  f"mean squared sine between signal and {title} subspace"),
        f"{name}_to_{closed_form.lower()}": Quantity(
            lambda cell: _trained_error(cell, objective, closed_encoder(cell)),
            f"mean squared sine between {closed_form} and {title} subspace"),
        f"spectrum_{name}": Quantity(lambda cell: cell.trained(objective).spectrum,
                                     f"{spectrum_title} of the {title} subspace", ("signal",), units),
        f"converged_{name}": Quantity(lambda cell: cell.trained(objective).converged,
                                      f"whether {title} training converged"),
        f"steps_{name}": Quantity(lambda cell: cell.trained(objective).steps, f"gradient steps of {title} training"),
    }


def _ca_encoder(cell: Cell) -> Array:
    return cell.ca.encoder_x


# `sweep` finds these by name, besides those of `QUANTITIES`.
TRAINED: dict[str, Quantity] = {
    **_quantities_of("vicreg", "VICReg", "CA", _ca_encoder, "canonical correlations"),
    "vicreg_outputs": Quantity(lambda cell: output_spectrum(cell.trained("vicreg").encoder_x, cell.covariances.xx),
                               "eigenvalues of the covariance of VICReg's outputs", ("signal",)),
    "vicreg_outputs_theory": Quantity(
        lambda cell: linear.vicreg_multiplicities(cell.ca.spectrum, cell.model.k)[:cell.model.k],
        "outputs per canonical direction at VICReg's optimum", ("signal",)),
    **_quantities_of("deepcca", "DeepCCA", "CA", _ca_encoder, "canonical correlations"),
    **_quantities_of("cp", "trained CP", "CP", lambda cell: cell.cp.encoder, "singular values of A", "data units"),
    **_quantities_of("joint", "trained joint", "joint", lambda cell: cell.joint.encoder, "eigenvalues of M",
                     "data units squared"),
}
