"""The models of a sweep's cells: from a constructor, a user's function or a model whose fields are replaced.

Whatever would be ignored, or would fail in the middle of a grid, is refused here before anything is compiled.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from phasejax._core.validation import did_you_mean, shown, users_own
from phasejax.simulation._grid import Grid
from phasejax.theory import SpikedModel

# Names of axes that belong to the sample and to the solvers, not to the model.
NOT_OF_THE_MODEL = ("lam", "n")
ModelOrBuilder = SpikedModel | Callable[..., SpikedModel]


def check_fixed(fixed: Mapping[str, Any], grid: Grid) -> None:
    """Refuse what would be ignored: arguments of the sweep among those of the model, and values beside an axis."""
    for name, value in fixed.items():
        if name in ("n", "seeds", "key"):
            raise ValueError(f"fixed: expected {name} as an argument of its own, got it among those of the model "
                             f"({name}={shown(value)})")
        if name in grid.axes:
            raise ValueError(f"fixed: expected arguments that are no axes, got {name}, which is an axis too")


def check_arguments(build: ModelOrBuilder, names: set[str]) -> None:
    """Refuse arguments that `build` does not have, and what is no builder."""
    if isinstance(build, SpikedModel):
        return  # `SpikedModel.replace` refuses unknown names with a better message
    if not callable(build):
        raise ValueError(f"build: expected a SpikedModel or a function that makes one, got {shown(build)}")
    try:
        inspect.signature(build).bind(**dict.fromkeys(names - set(NOT_OF_THE_MODEL)))
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError):  # a class of Python's own
            raise ValueError(f"build: expected a SpikedModel or a function that makes one, got {shown(build)}"
                             ) from None
        known = [*inspect.signature(build).parameters, *NOT_OF_THE_MODEL]
        unknown = next((name for name in sorted(names) if name not in known), None)
        got = error if unknown is None else f"{unknown!r}{did_you_mean(unknown, known)}"
        raise ValueError(f"axes and fixed: expected the arguments of {name_of(build)}, got {got}") from None


def checked_models(build: ModelOrBuilder, fixed: Mapping[str, Any], grid: Grid, n: int | None, sampled: bool
                   ) -> list[SpikedModel]:
    """One model of each group of the grid, at the first value of every axis, made on the host so that it is checked."""
    models = []
    for group in grid.groups():
        values = grid.values(group)
        model = _model_at(build, {**fixed, **group.shapes}, {name: np.atleast_1d(v)[0] for name, v in values.items()})
        models.append(model)
        if not sampled:
            continue
        sizes: Any = values.get("n", n)
        fewest, least = int(np.min(sizes)), max(model.d_x, model.d_y)
        if fewest < least:
            raise ValueError(f"n: expected at least max(d_x, d_y) = {least} pairs to whiten a sample, got {fewest}")
        if fewest < model.d_x + model.d_y:
            warnings.warn(f"n: {fewest} pairs are fewer than d_x + d_y = {model.d_x + model.d_y}, so the largest "
                          f"{model.d_x + model.d_y - fewest} sample canonical correlations are exactly 1",
                          UserWarning, stacklevel=4)
    return models


def model_of_cell(build: ModelOrBuilder, constant: Mapping[str, Any], point: Mapping[str, Any],
                  shapes: Mapping[str, int]) -> SpikedModel:
    """The model at a point of the grid."""
    return _model_at(build, {**constant, **shapes}, point)


def _model_at(build: ModelOrBuilder, fixed: Mapping[str, Any], point: Mapping[str, Any]) -> SpikedModel:
    arguments = {name: value for name, value in {**fixed, **point}.items() if name not in NOT_OF_THE_MODEL}
    if isinstance(build, SpikedModel):
        return build.replace(**arguments)
    if not any(build == known for known in (SpikedModel.create, SpikedModel.homogeneous, SpikedModel.geometric)):
        with users_own("build", f"the function {name_of(build)}"):
            model = build(**arguments)
        if not isinstance(model, SpikedModel):
            raise ValueError(f"build: expected a function that makes a SpikedModel, got one that makes {shown(model)}")
        return model
    return build(**arguments)


def name_of(build: Callable) -> str:
    """What errors and attributes call a builder."""
    return getattr(build, "__qualname__", repr(build))
