"""Fig. 2, the phase diagram, and its animation: the variance trap."""

import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

from phasejax import SpikedModel, sweep
from phasejax.plotting import plot_boundaries, plot_regimes, regime_legend
from phasejax.theory import ca_boundary, cp_boundary

_GAMMA_X = 1.0


def compute_fig2(preset) -> xr.Dataset:
    """Regimes over (kappa, nu) for large and small target nuisance, with the exact boundaries."""
    gamma_y = 0.05
    grid = sweep(SpikedModel.homogeneous,
                 {"nuisance_y": [5.0, 0.05], "nu": np.linspace(0, 1, preset.raster),
                  "kappa": np.linspace(0, 3, preset.raster)},
                 fixed={"gamma_x": _GAMMA_X, "gamma_y": gamma_y, "k": 1, "d": 2},
                 quantities=["regime"])
    return _with_boundaries(grid, gamma_y, grid.nuisance_y)


def draw_fig2(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    for ax, letter, nuisance_y in zip(figure.subplots(1, 2, sharey=True), "ab", data.nuisance_y.values, strict=True):
        panel = data.sel(nuisance_y=nuisance_y)
        plot_regimes(ax, panel.regime, "kappa", "nu")
        plot_boundaries(ax, panel.ca_boundary, panel.cp_boundary)
        size = "Large" if nuisance_y > 1 else "Small"
        ax.set_title(f"({letter}) {size} target nuisance\n"
                     rf"$\gamma_x = 1,\ \gamma_y = 0.05,\ \tilde\gamma_y = {nuisance_y:g}$")
        if letter == "b":
            ax.set_ylabel("")
    regime_legend(figure)
    return figure


def _trap_variances(growth):
    """(gamma_y, nuisance_y) as both grow from 0.05 (growth 0) to 2 and 5 (growth 1)."""
    return 0.05 + 1.95 * growth, 0.05 + 4.95 * growth


def _trap_model(kappa, nu, growth):
    gamma_y, nuisance_y = _trap_variances(growth)
    return SpikedModel.homogeneous(kappa, nu, gamma_x=_GAMMA_X, gamma_y=gamma_y, nuisance_y=nuisance_y, k=1, d=2)


def compute_variance_trap(preset) -> xr.Dataset:
    """Regimes over (kappa, nu) while y's noise and nuisance variances grow together."""
    side = preset.raster // 2
    grid = sweep(_trap_model, {"growth": np.linspace(0, 1, preset.frames // 2), "nu": np.linspace(0, 1, side),
                               "kappa": np.linspace(0, 3, side)}, quantities=["regime"])
    gamma_y, nuisance_y = _trap_variances(grid.growth)
    return _with_boundaries(grid, gamma_y, nuisance_y).assign(gamma_y=gamma_y, nuisance_y=nuisance_y)


def draw_variance_trap(data: xr.Dataset) -> Figure:
    """Three still frames of the animation."""
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    stills = np.linspace(0, data.sizes["growth"] - 1, 3).astype(int)
    for ax, frame in zip(figure.subplots(1, 3, sharey=True), stills, strict=True):
        _draw_frame(ax, data.isel(growth=frame))
        if frame:
            ax.set_ylabel("")
    regime_legend(figure)
    return figure


def animate_variance_trap(data: xr.Dataset) -> FuncAnimation:
    """The animation: forth and back, resting at both ends."""
    figure = Figure(figsize=(5.2, 4.9), layout="constrained")
    ax = figure.subplots()
    regime_legend(figure, ncols=3)
    forth = [0] * 10 + list(range(data.sizes["growth"]))
    order = forth + forth[::-1]

    def draw(step):
        ax.clear()
        _draw_frame(ax, data.isel(growth=order[step]))

    return FuncAnimation(figure, draw, frames=len(order), interval=1000 / 15)


def _draw_frame(ax, frame):
    plot_regimes(ax, frame.regime, "kappa", "nu")
    plot_boundaries(ax, frame.ca_boundary, frame.cp_boundary)
    ax.set_title(rf"$\gamma_x = 1,\ \gamma_y = {float(frame.gamma_y):.2f},\ "
                 rf"\tilde\gamma_y = {float(frame.nuisance_y):.2f}$")


def _with_boundaries(grid, gamma_y, nuisance_y):
    def curve(function, variance):
        return xr.apply_ufunc(lambda kappa, v: np.asarray(function(kappa, _GAMMA_X, v)), grid.kappa, variance)

    return grid.assign(ca_boundary=curve(ca_boundary, gamma_y).assign_attrs(long_name="nu at Delta_CA = 1", units="1"),
                       cp_boundary=curve(cp_boundary, nuisance_y).assign_attrs(long_name="nu at Delta_CP = 1",
                                                                               units="1"))
