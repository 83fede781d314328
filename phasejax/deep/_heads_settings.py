"""What a training of heads may be asked for: objectives, sizes, and every combination of hyper-parameters."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from phasejax._core.validation import check_among, check_choice, check_count, check_number, shown

ALIGNMENTS = ("CA VICReg", "CA InfoNCE", "CA DeepCCA")
PAIRED = (*ALIGNMENTS, "CP x->y", "CP y->x", "joint")
NORMS = ("batch", "layer")
# What each hyper-parameter may be, as arguments of `check_number`.
_LIMITS: dict[str, dict[str, Any]] = {
    "learning_rate": {"above": 0}, "weight_decay": {"least": 0}, "dropout": {"least": 0, "below": 1},
    "alpha": {"least": 0, "most": 1}, "temperature": {"above": 0}}
# Hyper-parameters that only one objective has.
_OWN = {"alpha": "joint", "temperature": "CA InfoNCE"}
WIDEST = 2**16  # of a layer, beyond which its weights take gigabytes


def check_training(widths: Any, norm: Any, batch: Any, epochs: Any, patience: Any) -> None:
    """Refuse sizes, norms and lengths of a training that are none; they are those of `train_heads`.

    Raises:
        ValueError: in one line that names the argument.
    """
    if norm is not None:
        check_choice("norm", norm, NORMS)
    if not isinstance(widths, list | tuple):
        raise ValueError(f"widths: expected a list of widths, got {shown(widths)}")
    for width in widths:
        check_count("widths", width, most=WIDEST)
    for name, value in (("batch", batch), ("epochs", epochs), ("patience", patience)):
        check_count(name, value, 2 if name == "batch" else 1)


def settings_of(base: Mapping[str, Any], grid: Any) -> list[dict[str, float]]:
    """Every combination of hyper-parameters: those of `grid`, and the value in `base` of those that it does not name.

    Raises:
        ValueError: in one line that names the argument.
    """
    grid = {} if grid is None else grid
    if not isinstance(grid, Mapping):
        raise ValueError(f"grid: expected lists of values by name, got {shown(grid)}")
    check_among("grid", list(grid), _LIMITS)
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise ValueError(f"grid: expected a list of values for {name}, got {shown(values)}")
    axes = [[check_number(name, value, **_LIMITS[name]) for value in grid.get(name, [base[name]])] for name in base]
    return [dict(zip(base, values, strict=True)) for values in product(*axes)]


def distinct_for(objective: str, settings: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The settings that differ for an objective."""
    found: dict[tuple, dict[str, float]] = {}
    for setting in settings:
        found.setdefault(tuple(own_settings(objective, setting).items()), setting)
    return list(found.values())


def own_settings(objective: str, setting: Mapping[str, float]) -> dict[str, float]:
    """The hyper-parameters of a setting that an objective has."""
    return {name: value for name, value in setting.items() if _OWN.get(name, objective) == objective}
