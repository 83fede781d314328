"""The phase diagram that a finite sample shows, beside that of the population."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phasejax import SpikedModel, sweep
from phasejax.plotting import REGIME_COLOURS, plot_boundaries, plot_regimes, regime_legend
from phasejax.theory import Regime, ca_boundary, cp_boundary

_FIXED = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_y": 5.0, "k": 3, "d": 20}
_SIZES = [5000, 1000, 200]


def compute_finite(preset) -> xr.Dataset:
    """Regimes by the expected sample ratios of n pairs, and by simulated ones on a coarse grid."""
    side = preset.raster // 4
    plane = {"nu": np.linspace(0, 1, side), "kappa": np.linspace(0, 3, side)}
    grid = sweep(SpikedModel.homogeneous, {"n": _SIZES, **plane}, fixed=_FIXED,
                 quantities=["regime", "finite_regime", "finite_delta_ca", "finite_delta_cp"])
    coarse = {"nu": np.linspace(0.05, 0.95, 10), "kappa": np.linspace(0.3, 2.7, 9)}
    sampled = sweep(SpikedModel.homogeneous, {"n": _SIZES, **coarse}, fixed=_FIXED, seeds=preset.seeds,
                    key=preset.key(), quantities=["separation_ca", "separation_cp"])
    kappa = grid.kappa.values
    return grid.merge(sampled.rename(nu="nu_sampled", kappa="kappa_sampled"), combine_attrs="override").assign(
        ca_boundary=("kappa", np.asarray(ca_boundary(kappa, _FIXED["gamma_x"], _FIXED["gamma_y"]))),
        cp_boundary=("kappa", np.asarray(cp_boundary(kappa, _FIXED["gamma_x"], _FIXED["nuisance_y"]))))


def draw_finite(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(15, 4.9), layout="constrained")
    axes = figure.subplots(1, 1 + data.sizes["n"], sharey=True)
    plot_regimes(axes[0], data.regime.isel(n=0), "kappa", "nu")
    axes[0].set_title("(a) Population")
    for letter, ax, n in zip("bcd", axes[1:], data.n.values, strict=True):
        plot_regimes(ax, data.finite_regime.sel(n=n), "kappa", "nu")
        _plot_simulated(ax, data.sel(n=n))
        ax.set_title(f"({letter}) {n} pairs")
        ax.set_ylabel("")
    for ax in axes:
        plot_boundaries(ax, data.ca_boundary, data.cp_boundary)
    simulated = Line2D([], [], linestyle="", marker="o", markerfacecolor="none", markeredgecolor="black",
                       label="simulated (areas: expected)")
    regime_legend(figure, ncols=7, extra=[simulated])
    return figure


def _plot_simulated(ax, data):
    """One circle a cell, in the colour of the regime of its median sample ratios."""
    ca, cp = data.separation_ca.median("seed") > 1, data.separation_cp.median("seed") > 1
    codes = (ca.astype(int) + 2 * cp.astype(int)).stack(cell=("nu_sampled", "kappa_sampled"))
    colours = [REGIME_COLOURS[Regime.from_code(code)] for code in codes.values]
    ax.scatter(codes.kappa_sampled, codes.nu_sampled, c=colours, s=26, edgecolors="black", linewidths=0.6)
