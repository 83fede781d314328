"""Elasticities of the separation ratios: which parameter moves a model towards the boundaries of its regime."""

import dataclasses
import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.digits import significant
from phasejax._core.overview import Overview, Shown
from phasejax._core.pytree import pytree
from phasejax.theory import _closed_forms
from phasejax.theory._model import SpikedModel

if TYPE_CHECKING:
    import pandas as pd

_FIELDS = tuple(field.name for field in dataclasses.fields(SpikedModel))
_RATIOS = {"ca": ("CA", _closed_forms.delta_ca), "cp": ("CP", _closed_forms.delta_cp),
           "cp_reverse": ("CP y->x", _closed_forms.delta_cp_reverse)}


@pytree
class Sensitivity(Shown):
    """Elasticities d log Delta / d log parameter: the relative change of a ratio per relative change of a parameter.

    Args:
        ca: elasticities of Delta_CA; for each field of the model one per coordinate, in the field's shape.
        cp: those of Delta_CP, for predicting y from x.
        cp_reverse: those of Delta_CP for predicting x from y.
    """

    ca: dict[str, Float[Array, "_"]]
    cp: dict[str, Float[Array, "_"]]
    cp_reverse: dict[str, Float[Array, "_"]]

    def _overview(self) -> Overview:
        rows = {_RATIOS[ratio][0]: {name: float(value) for name, value in row.items()}
                for ratio, row in self.fields.items()}
        return Overview(
            kind="Sensitivity", answer=_strongest("CA", rows["CA"]), columns=("d log Delta / d log", *rows),
            rows=[(name, *(significant(row[name], 2) for row in rows.values())) for name in _FIELDS],
            facts={"And": _strongest("CP", rows["CP"])})

    def to_frame(self) -> "pd.DataFrame":
        """A row for each field of the model, with its elasticity of each ratio."""
        import pandas as pd

        return pd.DataFrame({"parameter": _FIELDS, **{ratio: [float(row[name]) for name in _FIELDS]
                                                      for ratio, row in self.fields.items()}})

    @property
    def fields(self) -> dict[str, dict[str, Float[Array, ""]]]:
        """For each ratio ("ca", "cp", "cp_reverse") the elasticity of each field that is scaled as a whole, which is
        the sum over its coordinates."""
        return {ratio: {name: jnp.sum(values) for name, values in getattr(self, ratio).items()} for ratio in _RATIOS}

    def summary(self) -> str:
        """A table of the fields' elasticities, and a line per ratio on the field that moves it most."""
        rows = {_RATIOS[ratio][0]: {name: float(value) for name, value in row.items()}
                for ratio, row in self.fields.items()}
        lines = ["d log Delta / d log " + " ".join(f"{name:>10}" for name in _FIELDS)]
        lines += [f"{label:<19} " + " ".join(f"{significant(row[name], 2):>10}" for name in _FIELDS)
                  for label, row in rows.items()]
        return "\n".join(lines + [_strongest(label, row) for label, row in rows.items()])


def _strongest(label, row):
    if any(math.isnan(value) for value in row.values()):
        return f"{label}: no parameter moves the ratio, which is 0 or infinite."
    top = max(abs(value) for value in row.values())
    names = [name for name, value in row.items() if abs(value) >= top * (1 - 1e-6)]
    signs = ", ".join(f"{'+' * (row[name] > 0)}{significant(row[name], 2)}" for name in names)
    return f"{label}: {' and '.join(names)} moves the ratio most, by {signs} % for 1 % more of it."


@checked
def sensitivity(model: SpikedModel) -> Sensitivity:
    r"""Elasticities of the three separation ratios: how much each parameter moves them.

    .. math::  e = \frac{\partial \log \Delta}{\partial \log \theta}

    for each coordinate theta of each field. Away from ties only the weakest signal and the
    strongest nuisance count. In terms of their parameters, the elasticities of Delta_CA are
    gamma_x / (kappa^2 + gamma_x) + gamma_y / (kappa^2 + gamma_y) for kappa, -1 for nu, and
    -(1/2) gamma_x / (kappa^2 + gamma_x) for gamma_x.

    Where several signals tie for the weakest (or nuisances for the strongest), as all do in the
    homogeneous model, one coordinate that is moved alone has one slope upwards and another downwards.
    The slope is then shared evenly: coordinates of equal standing get equal numbers, which still add up
    to the elasticity of the field scaled as a whole. That sum is exact as long as the tied coordinates
    have the same elasticities; otherwise it lies between the slope upwards and the slope downwards.

    A parameter that is 0 stays 0 under relative change, so its elasticity is 0. A ratio that is 0 or
    infinite stays so whatever is scaled, and its logarithm has no derivative: all its elasticities
    are NaN.

    Args:
        model: the spiked model. Works under jit and vmap.

    Returns:
        Elasticities per coordinate (`ca`, `cp`, `cp_reverse`) and per field (`fields`).

    Source: derivatives of the ratios of K26, Proposition 3.1.

    >>> from phasejax import SpikedModel
    >>> model = SpikedModel.homogeneous(1.0, 0.3, gamma_x=1.0, gamma_y=3.0, nuisance_y=4.0, k=2, d=5)
    >>> {name: f"{value:.3f}" for name, value in sensitivity(model).fields["ca"].items() if value}
    {'kappa': '1.250', 'nu': '-1.000', 'gamma_x': '-0.250', 'gamma_y': '-0.375'}
    """
    return Sensitivity(**{name: _elasticities(delta, model) for name, (_, delta) in _RATIOS.items()})


def _elasticities(delta, model):
    value, gradient = jax.value_and_grad(delta)(model)
    defined = (value > 0) & (value < jnp.inf)

    def elasticity(theta, slope):
        relative = jnp.where(theta == 0, 0, theta * slope / value)  # the slope at 0 may be infinite
        return jnp.where(defined, relative, jnp.nan)

    return {name: elasticity(getattr(model, name), getattr(gradient, name)) for name in _FIELDS}
