"""What CA, CP and the joint objective recover from samples as the model's parameters change: Fig. 3, 7, 8, 9, joint."""

import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax import SpikedModel, delta_ca, delta_cp, sweep
from phasejax.plotting import (
    OBJECTIVE_COLOURS,
    axis_label,
    boundary_handles,
    new_figure,
    panels_above_legend,
    plot_boundaries,
    plot_counts,
    plot_curve,
)
from phasejax.theory import ca_boundary, cp_boundary

CA_STYLE = {"color": OBJECTIVE_COLOURS["CA"], "marker": "o", "label": "CA"}
CP_STYLE = {"color": OBJECTIVE_COLOURS["CP"], "marker": "v", "label": "CP"}

# A clean signal and large nuisance in y, where CA and CP differ most (Fig. 3 and 9).
NOISY_TARGET = {"kappa": (3.0, 2.0, 1.5), "gamma_x": 0.5, "gamma_y": 0.05, "nuisance_y": 50.0, "d": 20}


def _sweep_noisy_target(preset: Preset, quantities: list[str]) -> xr.Dataset:
    """Quantities against nu, with the nu at which each ratio is 1."""
    data = sweep(SpikedModel.create, {"nu": preset.sweep(np.linspace(0, 0.95, 30))}, fixed=NOISY_TARGET,
                 quantities=quantities, n=preset.n, seeds=preset.seeds, key=preset.key())
    # Both ratios fall as 1 / nu, so each is 1 where nu equals its value at nu = 1.
    at_one = SpikedModel.create(nu=1.0, **NOISY_TARGET)
    return data.assign(ca_boundary=((), float(delta_ca(at_one)), {"long_name": "nu at Delta_CA = 1", "units": "1"}),
                       cp_boundary=((), float(delta_cp(at_one)), {"long_name": "nu at Delta_CP = 1", "units": "1"}))


def compute_fig3(preset: Preset) -> xr.Dataset:
    """Subspace errors of CA and CP against nu, and the population ratios."""
    return _sweep_noisy_target(preset, ["error_ca", "error_cp", "delta_ca", "delta_cp"])


def draw_fig3(data: xr.Dataset) -> Figure:
    """Errors on the left, ratios on the right, the stretch of CA only shaded."""
    figure = new_figure(height=2.9)
    left, right = figure.subplots(1, 2)
    plot_curve(left, data.error_ca, "nu", **CA_STYLE)
    plot_curve(left, data.error_cp, "nu", **CP_STYLE)
    left.set(xlabel=axis_label(data.nu), ylabel=r"subspace error (mean $\sin^2\theta$)",
             title="(a) Recovery of the signal subspace")
    for name, style in {"delta_ca": CA_STYLE, "delta_cp": CP_STYLE}.items():
        right.plot(data.nu, data[name], **style)
    right.axhline(1, color="0.4", linestyle=":", label=r"threshold $\Delta = 1$")
    right.set(yscale="log", xlabel=axis_label(data.nu), ylabel=r"separation ratio $\Delta$",
              title=r"(b) Separation ratios (infinite at $\nu = 0$)")
    for ax in (left, right):
        mark_ca_only(ax, data)
        ax.legend()
    ca_only_legend(figure)
    return figure


def _model_of_constant_eta(nuisance_y):
    """Nuisance whose covariance eta stays 0.5, as far as its variance in y allows."""
    eta = jnp.minimum(0.5, 0.99 * jnp.sqrt(nuisance_y))
    return SpikedModel.create([3.0, 2.5, 2.0], eta / jnp.sqrt(nuisance_y), gamma_x=0.5, gamma_y=0.5,
                              nuisance_y=nuisance_y, d=20)


def compute_fig8(preset: Preset) -> xr.Dataset:
    """Separation ratios against target nuisance: population, sampled by overlap, and neighbouring values."""
    return sweep(_model_of_constant_eta, {"nuisance_y": preset.sweep(np.geomspace(0.1, 100, 25))},
                 quantities=["delta_ca", "delta_cp", "gap_ca", "gap_cp", "separation_ca", "separation_cp"],
                 n=preset.n, seeds=preset.seeds, key=preset.key())


def draw_fig8(data: xr.Dataset) -> Figure:
    """A panel for each objective: its ratio in the population and the two ratios of samples."""
    figure = new_figure(height=2.7)
    panels = zip(figure.subplots(1, 2, sharey=True), ("ca", "cp"), (CA_STYLE, CP_STYLE), strict=True)
    for ax, name, style in panels:
        colour, objective = style["color"], style["label"]
        ax.plot(data.nuisance_y, data[f"delta_{name}"], color=colour, linestyle="--",
                label=rf"$\Delta_{{\mathrm{{{objective}}}}}$, population")
        plot_curve(ax, data[f"gap_{name}"], "nuisance_y", color="0.7", linewidth=3,
                   label=r"sample, $s_k / s_{k+1}$ ($\geq 1$ by construction)")
        plot_curve(ax, data[f"separation_{name}"], "nuisance_y", color=colour, marker=style["marker"],
                   label="sample, components classified by overlap")
        ax.axhline(1, color="0.4", linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel=axis_label(data.nuisance_y),
               title=f"{objective}, samples of {data.attrs['n']}")
        ax.legend()
    figure.axes[0].set_ylabel(r"separation ratio $\Delta$")
    return figure


def compute_fig9(preset: Preset) -> xr.Dataset:
    """Expected errors of CA + probe and of CP against nu, on the signal and in total."""
    return _sweep_noisy_target(preset, ["signal_mse_ca", "signal_mse_cp", "total_mse_ca", "total_mse_cp"])


def draw_fig9(data: xr.Dataset) -> Figure:
    """The error on the signal on the left, the total error on the right."""
    figure = new_figure(height=2.9)
    titles = {"signal": "(a) Error against the noiseless signal", "total": "(b) Total error"}
    for ax, (kind, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        plot_curve(ax, data[f"{kind}_mse_ca"], "nu", **CA_STYLE | {"label": "CA + probe"})
        plot_curve(ax, data[f"{kind}_mse_cp"], "nu", **CP_STYLE)
        mark_ca_only(ax, data)
        ax.set(xlabel=axis_label(data.nu), ylabel="expected MSE", title=title)
        ax.legend()
    ca_only_legend(figure)
    return figure


def mark_ca_only(ax: Axes, data: xr.Dataset) -> None:
    """Shade the stretch of nu on which CA alone recovers the signal."""
    ax.axvspan(float(data.cp_boundary), float(data.ca_boundary), color="0.5", alpha=0.12, linewidth=0, zorder=0)
    ax.set_xlim(-0.03, 0.98)


def ca_only_legend(figure: Figure, *others: Artist) -> None:
    """Explain below the panels what `mark_ca_only` shades, and what other entries of the legend are."""
    shaded = Patch(facecolor="0.5", alpha=0.25, label=r"CA only: $\Delta_{\mathrm{CA}} > 1 > \Delta_{\mathrm{CP}}$")
    figure.legend(handles=[*others, shaded], loc="outside lower center", ncols=3)


_FIG7_K = 5
_FIG7_MODEL = {"gamma_x": 1.0, "gamma_y": 0.05, "nuisance_y": 5.0, "k": _FIG7_K, "d": 20}


def fig7_axes(preset: Preset) -> dict[str, np.ndarray]:
    """The axes of Fig. 7: decay of the signal strengths, nuisance correlation, leading strength."""
    return {"decay": np.array([1.0, 0.8, 0.6, 0.4]), "nu": preset.sweep(np.linspace(0, 1, 31)),
            "kappa_bar": preset.sweep(np.linspace(0, 3, 31))}


def compute_fig7(preset: Preset) -> xr.Dataset:
    """Recovered signals in theory and in samples over (decay, nu, kappa_bar)."""
    grid = sweep(SpikedModel.geometric, fig7_axes(preset), fixed=_FIG7_MODEL,
                 quantities=["recovered_ca", "recovered_cp", "r_ca", "r_cp", "delta_ca", "delta_cp"],
                 n=preset.n, seeds=preset.seeds, key=preset.key())
    # The ratios are those of the weakest signal: Delta is 1 where it meets the nuisance.
    fine = xr.DataArray(np.linspace(0, 3, 301), dims="kappa_fine", attrs={"long_name": "leading signal strength"})
    weakest = fine * grid.decay ** (_FIG7_K - 1)
    ca = xr.apply_ufunc(lambda kappa: np.asarray(ca_boundary(kappa, 1.0, 0.05)), weakest)
    cp = xr.apply_ufunc(lambda kappa: np.asarray(cp_boundary(kappa, 1.0, 5.0)), weakest)
    return grid.assign_coords(kappa_fine=fine).assign(ca_boundary=ca, cp_boundary=cp)


def draw_fig7(data: xr.Dataset) -> Figure:
    """A row for each objective, a column for each decay: mean recovered counts, and the exact boundaries."""
    figure = new_figure(height=3.9)
    panels = panels_above_legend(figure)
    axes = panels.subplots(2, data.sizes["decay"], sharex=True, sharey=True)
    for row, objective in zip(axes, ("CA", "CP"), strict=True):
        for ax, decay in zip(row, data.decay.values, strict=True):
            panel = data.sel(decay=decay)
            mesh = plot_counts(ax, panel[f"recovered_{objective.lower()}"].mean("seed"), "kappa_bar", "nu", _FIG7_K,
                               OBJECTIVE_COLOURS[objective])
            plot_boundaries(ax, panel.ca_boundary, panel.cp_boundary)
        row[0].set_ylabel(f"{objective}\n{axis_label(data.nu)}")
        panels.colorbar(mesh, ax=row, ticks=range(_FIG7_K + 1), pad=0.01, label=f"signals recovered by {objective}")
    for top, bottom, decay in zip(*axes, data.decay.values, strict=True):
        top.set_title(rf"decay $\rho = {decay:g}$")
        bottom.set(xlim=(0, 3), ylim=(0, 1))
    panels.supxlabel(axis_label(data.kappa_bar), fontsize="medium")
    panels.suptitle(f"Recovered signals, mean of {data.sizes['seed']} samples of {data.attrs['n']}")
    figure.legend(handles=boundary_handles(), loc="outside lower center", ncols=2)
    return figure


_JOINT_ETA, _JOINT_NUISANCE_Y = 2.0, 10.0  # CA recovers the signal, CP does not


def compute_joint(preset: Preset) -> xr.Dataset:
    """Distances of the joint subspace to those of CA, CP and the signal, against lambda."""
    lam = np.r_[0, preset.sweep(np.geomspace(1e-2, 1e2, 30))]
    model = SpikedModel.create([3.0, 2.5, 2.0], _JOINT_ETA / np.sqrt(_JOINT_NUISANCE_Y), gamma_x=0.5, gamma_y=0.1,
                               nuisance_y=_JOINT_NUISANCE_Y, d=20)
    return sweep(model, {"lam": lam}, quantities=["joint_to_ca", "joint_to_cp", "error_joint"], n=preset.n,
                 seeds=preset.seeds, key=preset.key())


def draw_joint(data: xr.Dataset) -> Figure:
    """The three distances against lambda, on an axis that is linear near 0."""
    figure = new_figure("column", height=2.6)
    ax = figure.subplots()
    styles = {"joint_to_ca": ("o", "CA", "to the CA subspace"), "joint_to_cp": ("v", "CP", "to the CP subspace"),
              "error_joint": ("s", "joint", "to the signal subspace")}
    for name, (marker, objective, label) in styles.items():
        plot_curve(ax, data[name], "lam", color=OBJECTIVE_COLOURS[objective], marker=marker, label=label)
    ax.set_xscale("symlog", linthresh=1e-2, linscale=0.4)
    ax.set(xlabel=axis_label(data.lam), ylabel=r"distance (mean $\sin^2\theta$)",
           title=r"Joint objective: CP ($\lambda = 0$) to CA ($\lambda \to \infty$)")
    ax.set_xlim(-1e-3, 130)
    ax.legend()
    return figure


FIGURES = {
    "fig3": Recipe(
        "subspace errors and separation ratios against nuisance correlation",
        "(a) Mean squared sine of the angles between the signal subspace and the one that CA or CP finds "
        "in x; 0 is full recovery, 1 none. {spread} (b) Separation ratios in the population; an objective "
        "recovers the signal where its ratio is above 1 (dotted). Shaded: the stretch of nu on which CA "
        "alone does.",
        compute_fig3, draw_fig3),
    "fig7": Recipe(
        "partial recovery when signal strengths differ",
        "Colours: signals recovered by CA (above) and CP (below), mean over {seeds} samples; a column for "
        "each decay of the signal strengths. Lines: where the ratio of the weakest signal is 1 in the "
        "population.",
        compute_fig7, draw_fig7),
    "fig8": Recipe(
        "separation ratios of population and samples against target nuisance",
        "Dashed: separation ratios of the population. Coloured: ratios in samples whose components are "
        "classified by their overlap with the signal. Grey: the ratio of neighbouring singular values, "
        "which is never below 1. {spread} Dotted: ratio 1.",
        compute_fig8, draw_fig8),
    "fig9": Recipe(
        "expected errors of CA with a probe and of CP against nuisance correlation",
        "(a) Expected squared error against the noiseless signal and (b) against y, of the best linear "
        "prediction from CA's encoder and of CP. {spread} Shaded: the stretch of nu on which CA alone "
        "recovers the signal.",
        compute_fig9, draw_fig9),
    "joint": Recipe(
        "the joint objective, from CP to CA as lambda grows",
        "Distance (mean squared sine of angles) of the subspace of the joint objective to those of CA, of "
        "CP and of the signal, against the weight lambda of alignment; the axis is linear below 0.01. "
        "{spread}",
        compute_joint, draw_joint),
}
