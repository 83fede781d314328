"""Fig. 7: partial recovery when signal strengths differ."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phasejax import SpikedModel, sweep
from phasejax.plotting import OBJECTIVE_COLOURS, axis_label, boundary_handles, plot_boundaries, plot_counts
from phasejax.theory import ca_boundary, cp_boundary

_K = 5
_FIXED = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_y": 5.0, "k": _K, "d": 20}


def grid_axes(preset) -> dict[str, np.ndarray]:
    """The axes of Fig. 7: decay of the signal strengths, nuisance correlation, leading strength."""
    return {"decay": np.array([1.0, 0.8, 0.6, 0.4]), "nu": preset.sweep(np.linspace(0, 1, 31)),
            "kappa_bar": preset.sweep(np.linspace(0, 3, 31))}


def compute_fig7(preset) -> xr.Dataset:
    """Recovered signals in theory and in samples over (decay, nu, kappa_bar)."""
    grid = sweep(SpikedModel.geometric, grid_axes(preset), fixed=_FIXED,
                 quantities=["recovered_ca", "recovered_cp", "r_ca", "r_cp", "delta_ca", "delta_cp"],
                 n=preset.n, seeds=preset.seeds, key=preset.key())
    # Delta = 1 is where the weakest signal meets the nuisance.
    fine = xr.DataArray(np.linspace(0, 3, 301), dims="kappa_fine", attrs={"long_name": "leading signal strength"})
    weakest = fine * grid.decay ** (_K - 1)
    ca = xr.apply_ufunc(lambda kappa: np.asarray(ca_boundary(kappa, 1.0, 0.05)), weakest)
    cp = xr.apply_ufunc(lambda kappa: np.asarray(cp_boundary(kappa, 1.0, 5.0)), weakest)
    return grid.assign_coords(kappa_fine=fine).assign(ca_boundary=ca, cp_boundary=cp)


def draw_fig7(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(14, 6.8), layout="constrained")
    axes = figure.subplots(2, data.sizes["decay"], sharex=True, sharey=True)
    for row, objective in zip(axes, ("CA", "CP"), strict=True):
        for ax, decay in zip(row, data.decay.values, strict=True):
            panel = data.sel(decay=decay)
            mesh = plot_counts(ax, panel[f"recovered_{objective.lower()}"].mean("seed"), "kappa_bar", "nu", _K,
                               OBJECTIVE_COLOURS[objective])
            plot_boundaries(ax, panel.ca_boundary, panel.cp_boundary)
        row[0].set_ylabel(f"{objective}\n{axis_label(data.nu)}")
        figure.colorbar(mesh, ax=row, ticks=range(_K + 1), pad=0.01, label=f"signals recovered by {objective}")
    for top, bottom, decay in zip(*axes, data.decay.values, strict=True):
        top.set_title(rf"decay $\rho = {decay:g}$")
        bottom.set(xlabel=axis_label(data.kappa_bar), xlim=(0, 3), ylim=(0, 1))
    figure.suptitle(f"Recovered signals, mean of {data.sizes['seed']} samples of {data.attrs['n']}")
    figure.legend(handles=boundary_handles(), loc="outside lower center", ncols=2, frameon=False)
    return figure
