"""Columns of the tables that figures come with."""

import xarray as xr

from phasejax.deep import seed_interval


def over_seeds(name: str, values: xr.DataArray, level: float = 0.95) -> dict[str, xr.DataArray]:
    """Mean over seeds as `name`, ends of its interval as `name`_lower and `name`_upper."""
    left = values.isel(seed=0, drop=True)
    bounds = seed_interval(values.values, values.get_axis_num("seed"), level)
    names = (name, f"{name}_lower", f"{name}_upper")
    return {column: left.copy(data=bound) for column, bound in zip(names, bounds, strict=True)}
