"""Fig. 3, 8 and 9: recovery, separation and the variance trap as nuisance grows."""

import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from phasejax import SpikedModel, delta_ca, delta_cp, sweep
from phasejax.plotting import OBJECTIVE_COLOURS, axis_label, plot_curve

_CA = {"color": OBJECTIVE_COLOURS["CA"], "marker": "o", "markersize": 4, "label": "CA"}
_CP = {"color": OBJECTIVE_COLOURS["CP"], "marker": "v", "markersize": 4, "label": "CP"}

# A clean signal and large nuisance in y: the objectives part most clearly (Fig. 3 and 9).
_NOISY_TARGET = {"kappa": (3.0, 2.0, 1.5), "gamma_x": 0.5, "gamma_y": 0.05, "nuisance_y": 50.0, "d": 20}


def _noisy_target(preset, quantities):
    data = sweep(SpikedModel.create, {"nu": preset.sweep(np.linspace(0, 0.95, 30))}, fixed=_NOISY_TARGET,
                 quantities=quantities, n=preset.n, seeds=preset.seeds, key=preset.key())
    # Both ratios fall as 1 / nu, so each is 1 where nu equals its value at nu = 1.
    at_one = SpikedModel.create(nu=1.0, **_NOISY_TARGET)
    return data.assign(ca_boundary=((), float(delta_ca(at_one)), {"long_name": "nu at Delta_CA = 1", "units": "1"}),
                       cp_boundary=((), float(delta_cp(at_one)), {"long_name": "nu at Delta_CP = 1", "units": "1"}))


def compute_fig3(preset) -> xr.Dataset:
    """Subspace errors of CA and CP against nu, and the population ratios."""
    return _noisy_target(preset, ["error_ca", "error_cp", "delta_ca", "delta_cp"])


def draw_fig3(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_curve(left, data.error_ca, "nu", **_CA)
    plot_curve(left, data.error_cp, "nu", **_CP)
    left.set(xlabel=axis_label(data.nu), ylabel=r"subspace error (mean $\sin^2\theta$)",
             title="(a) Recovery of the signal subspace")
    for name, style in {"delta_ca": _CA, "delta_cp": _CP}.items():
        right.plot(data.nu, data[name], **style)
    right.axhline(1, color="0.4", linestyle=":", label=r"threshold $\Delta = 1$")
    right.set(yscale="log", xlabel=axis_label(data.nu), ylabel=r"separation ratio $\Delta$",
              title=r"(b) Separation ratios (infinite at $\nu = 0$)")
    for ax in (left, right):
        _mark_gap(ax, data)
        ax.legend(frameon=False)
    _gap_legend(figure)
    return figure


def _fig8_model(nuisance_y):
    eta = jnp.minimum(0.5, 0.99 * jnp.sqrt(nuisance_y))
    return SpikedModel.create([3.0, 2.5, 2.0], eta / jnp.sqrt(nuisance_y), gamma_x=0.5, gamma_y=0.5,
                              nuisance_y=nuisance_y, d=20)


def compute_fig8(preset) -> xr.Dataset:
    """Separation ratios against target nuisance: population, sampled by overlap, and neighbouring values."""
    return sweep(_fig8_model, {"nuisance_y": preset.sweep(np.geomspace(0.1, 100, 25))},
                 quantities=["delta_ca", "delta_cp", "gap_ca", "gap_cp", "separation_ca", "separation_cp"],
                 n=preset.n, seeds=preset.seeds, key=preset.key())


def draw_fig8(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    panels = zip(figure.subplots(1, 2, sharey=True), ("ca", "cp"), (_CA, _CP), strict=True)
    for ax, name, style in panels:
        colour, objective = style["color"], style["label"]
        ax.plot(data.nuisance_y, data[f"delta_{name}"], color=colour, linestyle="--",
                label=rf"$\Delta_{{\mathrm{{{objective}}}}}$, population")
        plot_curve(ax, data[f"gap_{name}"], "nuisance_y", color="0.7", linewidth=5,
                   label=r"sample, $s_k / s_{k+1}$ ($\geq 1$ by construction)")
        plot_curve(ax, data[f"separation_{name}"], "nuisance_y", color=colour, marker=style["marker"], markersize=4,
                   label="sample, components classified by overlap")
        ax.axhline(1, color="0.4", linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel=axis_label(data.nuisance_y),
               title=f"{objective}, samples of {data.attrs['n']}")
        ax.legend(frameon=False, fontsize=9)
    figure.axes[0].set_ylabel(r"separation ratio $\Delta$")
    return figure


def compute_fig9(preset) -> xr.Dataset:
    """Expected errors of CA + probe and of CP against nu, on the signal and in total."""
    return _noisy_target(preset, ["signal_mse_ca", "signal_mse_cp", "total_mse_ca", "total_mse_cp"])


def draw_fig9(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    titles = {"signal": "(a) Error against the noiseless signal", "total": "(b) Total error"}
    for ax, (kind, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        plot_curve(ax, data[f"{kind}_mse_ca"], "nu", **_CA | {"label": "CA + probe"})
        plot_curve(ax, data[f"{kind}_mse_cp"], "nu", **_CP)
        _mark_gap(ax, data)
        ax.set(xlabel=axis_label(data.nu), ylabel="expected MSE", title=title)
        ax.legend(frameon=False)
    _gap_legend(figure)
    return figure


def _mark_gap(ax, data):
    """Shade the stretch of nu on which CA alone recovers the signal."""
    ax.axvspan(float(data.cp_boundary), float(data.ca_boundary), color="0.5", alpha=0.12, linewidth=0, zorder=0)
    ax.set_xlim(-0.03, 0.98)


def _gap_legend(figure):
    figure.legend(handles=[Patch(facecolor="0.5", alpha=0.25,
                                 label=r"CA only: $\Delta_{\mathrm{CA}} > 1 > \Delta_{\mathrm{CP}}$")],
                  loc="outside lower center", frameon=False)
