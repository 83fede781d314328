"""Phase diagrams: Fig. 2, its animation, and the diagram that finite samples show beside that of the population."""

import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax import SpikedModel, sweep
from phasejax.plotting import (
    REGIME_COLOURS,
    expected_regimes,
    new_figure,
    plot_boundaries,
    plot_regimes,
    regime_legend,
)
from phasejax.theory import Regime, ca_boundary, cp_boundary

_GAMMA_X = 1.0
_FINITE_MODEL = {"gamma_x": _GAMMA_X, "gamma_y": 0.05, "nuisance_y": 5.0, "k": 3, "d": 20}
_PAIRS = [5000, 1000, 200]


def compute_fig2(preset: Preset) -> xr.Dataset:
    """Regimes over (kappa, nu) for large and small target nuisance, with the exact boundaries."""
    gamma_y = 0.05
    grid = sweep(SpikedModel.homogeneous,
                 {"nuisance_y": [5.0, 0.05], "nu": np.linspace(0, 1, preset.raster),
                  "kappa": np.linspace(0, 3, preset.raster)},
                 fixed={"gamma_x": _GAMMA_X, "gamma_y": gamma_y, "k": 1, "d": 2},
                 quantities=["regime"])
    return _with_boundaries(grid, gamma_y, grid.nuisance_y)


def draw_fig2(data: xr.Dataset) -> Figure:
    """A panel for each target nuisance: regimes as areas, the exact boundaries as lines."""
    figure = new_figure(height=3.2)
    for ax, letter, nuisance_y in zip(figure.subplots(1, 2, sharey=True), "ab", data.nuisance_y.values, strict=True):
        panel = data.sel(nuisance_y=nuisance_y)
        plot_regimes(ax, panel.regime, "kappa", "nu", named=True)
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


def compute_variance_trap(preset: Preset) -> xr.Dataset:
    """Regimes over (kappa, nu) while y's noise and nuisance variances grow together."""
    side = preset.raster // 2
    grid = sweep(_trap_model, {"growth": np.linspace(0, 1, preset.frames // 2), "nu": np.linspace(0, 1, side),
                               "kappa": np.linspace(0, 3, side)}, quantities=["regime"])
    gamma_y, nuisance_y = _trap_variances(grid.growth)
    return _with_boundaries(grid, gamma_y, nuisance_y).assign(gamma_y=gamma_y, nuisance_y=nuisance_y)


def draw_variance_trap(data: xr.Dataset) -> Figure:
    """Three still frames of the animation."""
    figure = new_figure(height=2.8)
    stills = np.linspace(0, data.sizes["growth"] - 1, 3).astype(int)
    for ax, frame in zip(figure.subplots(1, 3, sharey=True), stills, strict=True):
        _draw_frame(ax, data.isel(growth=frame))
        if frame:
            ax.set_ylabel("")
    regime_legend(figure)
    return figure


def animate_variance_trap(data: xr.Dataset) -> FuncAnimation:
    """The animation: forth and back, resting at both ends."""
    figure = new_figure("column", height=3.3)
    ax = figure.subplots()
    regime_legend(figure, ncols=3)
    forth = [0] * 10 + list(range(data.sizes["growth"]))
    order = forth + forth[::-1]

    def draw(step):
        ax.clear()
        _draw_frame(ax, data.isel(growth=order[step]))
        return ()

    return FuncAnimation(figure, draw, frames=len(order), interval=1000 / 15)


def _draw_frame(ax: Axes, frame: xr.Dataset) -> None:
    plot_regimes(ax, frame.regime, "kappa", "nu")
    plot_boundaries(ax, frame.ca_boundary, frame.cp_boundary)
    ax.set_title(rf"$\gamma_x = 1,\ \gamma_y = {float(frame.gamma_y):.2f},\ "
                 rf"\tilde\gamma_y = {float(frame.nuisance_y):.2f}$")


def _with_boundaries(grid, gamma_y, nuisance_y):
    """The grid with the nu at which Delta_CA and Delta_CP are 1, for every kappa and every variance of y."""
    def curve(function, variance):
        return xr.apply_ufunc(lambda kappa, v: np.asarray(function(kappa, _GAMMA_X, v)), grid.kappa, variance)

    return grid.assign(ca_boundary=curve(ca_boundary, gamma_y).assign_attrs(long_name="nu at Delta_CA = 1", units="1"),
                       cp_boundary=curve(cp_boundary, nuisance_y).assign_attrs(long_name="nu at Delta_CP = 1",
                                                                               units="1"))


def compute_finite(preset: Preset) -> xr.Dataset:
    """Regimes by the expected sample ratios of n pairs, and by simulated ones on a coarse grid."""
    side = preset.raster // 4
    plane = {"nu": np.linspace(0, 1, side), "kappa": np.linspace(0, 3, side)}
    grid = sweep(SpikedModel.homogeneous, {"n": _PAIRS, **plane}, fixed=_FINITE_MODEL,
                 quantities=["regime", "finite_regime", "finite_delta_ca", "finite_delta_cp"])
    coarse = {"nu": np.linspace(0.05, 0.95, 10), "kappa": np.linspace(0.3, 2.7, 9)}
    sampled = sweep(SpikedModel.homogeneous, {"n": _PAIRS, **coarse}, fixed=_FINITE_MODEL, seeds=preset.seeds,
                    key=preset.key(), quantities=["separation_ca", "separation_cp"])
    kappa = grid.kappa.values
    return grid.merge(sampled.rename(nu="nu_sampled", kappa="kappa_sampled"), combine_attrs="override").assign(
        ca_boundary=("kappa", np.asarray(ca_boundary(kappa, _FINITE_MODEL["gamma_x"], _FINITE_MODEL["gamma_y"]))),
        cp_boundary=("kappa", np.asarray(cp_boundary(kappa, _FINITE_MODEL["gamma_x"], _FINITE_MODEL["nuisance_y"]))))


def draw_finite(data: xr.Dataset) -> Figure:
    """The population's diagram, then one for each number of pairs: areas as expected, circles as simulated."""
    figure = new_figure(height=2.6)
    axes = figure.subplots(1, 1 + data.sizes["n"], sharey=True)
    plot_regimes(axes[0], data.regime.isel(n=0), "kappa", "nu")
    axes[0].set_title("(a) Population")
    expected = expected_regimes(data.finite_delta_ca, data.finite_delta_cp, "kappa")
    for letter, ax, n in zip("bcd", axes[1:], data.n.values, strict=True):
        plot_regimes(ax, expected.sel(n=n), "kappa", "nu")
        _plot_simulated(ax, data.sel(n=n))
        ax.set_title(f"({letter}) {n} pairs")
        ax.set_ylabel("")
    for ax in axes:
        plot_boundaries(ax, data.ca_boundary, data.cp_boundary)
    simulated = Line2D([], [], linestyle="", marker="o", markerfacecolor="none", markeredgecolor="black",
                       label="simulated (areas: expected)")
    regime_legend(figure, ncols=4, extra=[simulated])
    return figure


def _plot_simulated(ax: Axes, data: xr.Dataset) -> None:
    """One circle for each cell of the coarse grid, in the colour of the regime of its median sample ratios."""
    ca, cp = data.separation_ca.median("seed") > 1, data.separation_cp.median("seed") > 1
    codes = (ca.astype(int) + 2 * cp.astype(int)).stack(cell=("nu_sampled", "kappa_sampled"))
    colours = [REGIME_COLOURS[Regime.from_code(code)] for code in codes.values]
    ax.scatter(codes.kappa_sampled, codes.nu_sampled, c=colours, s=26, edgecolors="black", linewidths=0.6)


FIGURES = {
    "fig2": Recipe(
        "phase diagram for large and small target nuisance",
        "Colours: which objectives recover the signal in the population, by the separation ratios, for "
        "(a) large and (b) small nuisance variance of y. Lines: the closed forms of the boundaries.",
        compute_fig2, draw_fig2),
    "variance_trap": Recipe(
        "phase diagram while the target's variances grow; also moving",
        "Colours: which objectives recover the signal in the population as the noise and nuisance "
        "variances of y grow together; three frames of the animation. Lines: the closed forms of the "
        "boundaries.",
        compute_variance_trap, draw_variance_trap, animate=animate_variance_trap),
    "finite": Recipe(
        "phase diagram that 5000, 1000 and 200 pairs show",
        "(a) The population; (b) to (d) the regimes that so many pairs show: areas by the expected ratios "
        "of samples, circles by the median ratios of {seeds} simulated samples at each place. Lines: the "
        "boundaries of the population.",
        compute_finite, draw_finite),
}
