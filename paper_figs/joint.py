"""The joint objective: from prediction to alignment as lambda grows."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phasejax import SpikedModel, sweep
from phasejax.plotting import OBJECTIVE_COLOURS, axis_label, plot_curve

_ETA, _NUISANCE_Y = 2.0, 10.0  # above CP's threshold, below CA's


def compute_joint(preset) -> xr.Dataset:
    """Distances of the joint subspace to those of CA, CP and the signal, against lambda."""
    lam = np.r_[0, preset.sweep(np.geomspace(1e-2, 1e2, 30))]
    model = SpikedModel.create([3.0, 2.5, 2.0], _ETA / np.sqrt(_NUISANCE_Y), gamma_x=0.5, gamma_y=0.1,
                               nuisance_y=_NUISANCE_Y, d=20)
    return sweep(model, {"lam": lam}, quantities=["joint_to_ca", "joint_to_cp", "error_joint"], n=preset.n,
                 seeds=preset.seeds, key=preset.key())


def draw_joint(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(6.6, 4.4), layout="constrained")
    ax = figure.subplots()
    styles = {"joint_to_ca": ("o", "CA", "to the CA subspace"), "joint_to_cp": ("v", "CP", "to the CP subspace"),
              "error_joint": ("s", "joint", "to the signal subspace")}
    for name, (marker, objective, label) in styles.items():
        plot_curve(ax, data[name], "lam", color=OBJECTIVE_COLOURS[objective], marker=marker, markersize=4, label=label)
    ax.set_xscale("symlog", linthresh=1e-2, linscale=0.4)
    ax.set(xlabel=axis_label(data.lam), ylabel=r"distance (mean $\sin^2\theta$)",
           title=r"Joint objective: CP ($\lambda = 0$) to CA ($\lambda \to \infty$)")
    ax.set_xlim(-1e-3, 130)
    ax.legend(frameon=False)
    return figure
