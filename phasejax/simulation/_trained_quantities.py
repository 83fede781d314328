"""TODO module docstring of simulation._trained_quantities."""

from phasejax import linear
from phasejax.linear._gradient_descent import _error, output_spectrum
from phasejax.simulation._quantities import Quantity


def _entries(objective, title, closed_form, closed_encoder, spectrum_title, units="1"):
    """Error, distance to the closed form, spectrum and convergence of one objective."""
    name = objective if objective in ("vicreg", "deepcca") else f"trained_{objective}"
    return {
        f"error_{name}": Quantity(lambda cell: _error(cell, objective, cell.directions_x),
                                  f"mean squared sine between signal and {title} subspace"),
        f"{name}_to_{closed_form.lower()}": Quantity(lambda cell: _error(cell, objective, closed_encoder(cell)),
                                                     f"mean squared sine between {closed_form} and {title} subspace"),
        f"spectrum_{name}": Quantity(lambda cell: cell.trained(objective).spectrum,
                                     f"{spectrum_title} of the {title} subspace", ("signal",), units),
        f"converged_{name}": Quantity(lambda cell: cell.trained(objective).converged,
                                      f"whether {title} training converged"),
        f"steps_{name}": Quantity(lambda cell: cell.trained(objective).steps, f"gradient steps of {title} training"),
    }


def _ca(cell):
    return cell.ca.encoder_x


# Known to `sweep` by these names.
TRAINED: dict[str, Quantity] = {
    **_entries("vicreg", "VICReg", "CA", _ca, "canonical correlations"),
    "vicreg_outputs": Quantity(lambda cell: output_spectrum(cell.trained("vicreg").encoder_x, cell.covariances.xx),
                               "eigenvalues of the covariance of VICReg's outputs", ("signal",)),
    "vicreg_outputs_theory": Quantity(
        lambda cell: linear.vicreg_multiplicities(cell.ca.spectrum, cell.model.k)[:cell.model.k],
        "outputs per canonical direction at VICReg's optimum", ("signal",)),
    **_entries("deepcca", "DeepCCA", "CA", _ca, "canonical correlations"),
    **_entries("cp", "trained CP", "CP", lambda cell: cell.cp.encoder, "singular values of A", "data units"),
    **_entries("joint", "trained joint", "joint", lambda cell: cell.joint.encoder, "eigenvalues of M",
               "data units squared"),
}
