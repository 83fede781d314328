"""Estimation check: signal strength kappa and nuisance correlation nu recovered from samples with known signal."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax import SpikedModel, sweep
from phasejax._core.linalg import whitening
from phasejax.linear import Covariances, solve_ca
from phasejax.plotting import OBJECTIVE_COLOURS, new_figure, plot_boundaries, plot_curve, plot_regimes, regime_legend
from phasejax.simulation import bartlett_factor, population_covariances, signal_covariances
from phasejax.theory import ca_boundary, cp_boundary

_FIXED = {"gamma_x": 0.1, "gamma_y": 0.1, "nuisance_y": 50.0, "k": 3, "d": 20}
_GRID = {"kappa": np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.0]), "nu": np.array([0.1, 0.3, 0.5, 0.7, 0.9])}
# A component whose scores explain at most this share of the signal's variance counts as nuisance.
_NUISANCE_R2 = 0.05


def estimate_kappa_nu(covariances: Covariances, signal_x: Float[Array, "k d_x"], signal_y: Float[Array, "k d_y"],
                      signal_variance: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(kappa^2, nu) from paired data with known signal, as in K26's estimation check.

    kappa^2 is the first singular value of S_xy whose scores, with those before it, explain more
    than 5% of the signal's variance. nu is the largest canonical correlation above the median of
    all whose x score explains at most 5%, and 0 without any.

    Args:
        covariances: sample covariances of x and y.
        signal_x, signal_y: sample covariances of the signal with x (k, d_x) and with y (k, d_y).
        signal_variance: sample variance of the signal, summed over its coordinates.
    """
    left, values, right = jnp.linalg.svd(covariances.xy)
    d = len(values)
    # Covariance of the scores in the order x_1, y_1, x_2, y_2, ... and theirs with the signal.
    order = jnp.arange(2 * d).reshape(2, d).T.ravel()
    scores = jnp.block([[left.T @ covariances.xx @ left, jnp.diag(values)],
                        [jnp.diag(values), right @ covariances.yy @ right.T]])[order][:, order]
    loadings = jnp.concatenate([signal_x @ left, signal_y @ right.T], axis=1)[:, order]
    # The inverse Cholesky factor orthogonalises scores in order, so explained variances add up.
    explained = jnp.sum((whitening(scores) @ loadings.T) ** 2, axis=1)
    enough = jnp.cumsum(explained)[1::2] / signal_variance > _NUISANCE_R2
    kappa_squared = jnp.where(jnp.any(enough), values[jnp.argmax(enough)], 0)

    alignment = solve_ca(covariances, d)  # its scores have unit variance
    r2 = jnp.sum((signal_x @ alignment.encoder_x.T) ** 2, axis=0) / signal_variance
    nuisance = (r2 <= _NUISANCE_R2) & (alignment.spectrum > jnp.median(alignment.spectrum))
    return kappa_squared, jnp.max(jnp.where(nuisance, alignment.spectrum, 0))


def _sample_with_signal(key, model, n):
    """Sample covariances of (x, y, s), drawn as one Wishart matrix; centring n rows leaves n - 1."""
    population, signal = population_covariances(model), signal_covariances(model)
    k, d_x = model.k, model.d_x
    from_x, from_y = signal.xy[:, :k], signal.yy[:, :k]  # cov(x, s), cov(y, s) = cov(Q_y [s; 0], s)
    joint = jnp.block([[population.xx, population.xy, from_x], [population.xy.T, population.yy, from_y],
                       [from_x.T, from_y.T, jnp.diag(jnp.asarray(model.kappa) ** 2)]])
    factor = jnp.linalg.cholesky(joint) @ bartlett_factor(key, n - 1, len(joint))
    sample = factor @ factor.T * (n - 1) / n
    covariances = Covariances(xx=sample[:d_x, :d_x], xy=sample[:d_x, d_x:-k], yy=sample[d_x:-k, d_x:-k])
    return covariances, sample[-k:, :d_x], sample[-k:, d_x:-k], jnp.trace(sample[-k:, -k:])


def compute_estimation(preset: Preset) -> xr.Dataset:
    """Estimates along a sweep of kappa (a), a sweep of nu (b), and over a grid of both (c)."""
    panels = {"a": {"kappa": preset.sweep(np.linspace(0.3, 4, 20)), "nu": np.array([0.3])},
              "b": {"kappa": np.array([2.0]), "nu": preset.sweep(np.linspace(0.05, 0.95, 20))}, "c": _GRID}
    regimes = sweep(SpikedModel.homogeneous, {"nu": np.linspace(0, 1, preset.raster),
                                              "kappa": np.linspace(0, 5, preset.raster)},
                    fixed=_FIXED, quantities=["regime"])
    kappa, gamma = regimes.kappa.values, _FIXED["gamma_x"]
    found = xr.merge([regimes, *_estimates(preset, panels)], combine_attrs="override").assign_attrs(
        n=preset.n, seeds=preset.seeds)
    return found.assign(
        ca_boundary=("kappa", np.asarray(ca_boundary(kappa, gamma, gamma))),
        cp_boundary=("kappa", np.asarray(cp_boundary(kappa, gamma, _FIXED["nuisance_y"]))))


def _estimates(preset: Preset, panels: dict[str, dict[str, np.ndarray]]) -> Iterator[xr.Dataset]:
    """One dataset for each panel; the cells of all panels go through one compiled program."""
    grids = {panel: axes | {"seed": np.arange(preset.seeds)} for panel, axes in panels.items()}
    flat = [[a.ravel() for a in np.meshgrid(*axes.values(), indexing="ij")] for axes in grids.values()]
    cells = {name: np.concatenate(parts) for name, parts in zip(("kappa", "nu", "seed"), zip(*flat, strict=True),
                                                                strict=True)}
    with jax.enable_x64(True):
        found = jax.tree.map(np.asarray, _estimate_cells(cells, preset.n, preset.key()))
    attrs = {"kappa_squared": {"long_name": "estimated kappa^2", "units": "data units squared"},
             "nu_hat": {"long_name": "estimated nu", "units": "1"}}
    start = 0
    for panel, axes in grids.items():
        dims, shape = [f"kappa_{panel}", f"nu_{panel}", "seed"], [len(values) for values in axes.values()]
        stop = start + int(np.prod(shape))
        yield xr.Dataset({f"{name}_{panel}": (dims, values[start:stop].reshape(shape), attrs[name])
                          for name, values in found.items()}, dict(zip(dims, axes.values(), strict=True)))
        start = stop


@partial(jax.jit, static_argnames="n")
def _estimate_cells(cells, n, key):
    def one(cell):
        model = SpikedModel.homogeneous(cell["kappa"], cell["nu"], **_FIXED)
        sample = _sample_with_signal(jax.random.fold_in(key, cell["seed"]), model, n)
        return dict(zip(("kappa_squared", "nu_hat"), estimate_kappa_nu(*sample), strict=True))

    return jax.lax.map(one, cells)


def draw_estimation(data: xr.Dataset) -> Figure:
    """Estimates against the truth for kappa^2 and for nu, and both in the phase diagram."""
    figure = new_figure(height=2.9)
    left, middle, right = figure.subplots(1, 3)
    along = data.kappa_squared_a.isel(nu_a=0).assign_coords(truth=data.kappa_a**2).swap_dims(kappa_a="truth")
    plot_curve(left, along, "truth", color=OBJECTIVE_COLOURS["CA"], marker="o", label="estimate")
    top = float(along.truth.max())
    left.plot([0, top], [0, top], "k--", linewidth=1, label="truth")
    left.set(xlabel=r"$\kappa^2$", ylabel=r"estimated $\kappa^2$", title="(a) Signal strength")
    plot_curve(middle, data.nu_hat_b.isel(kappa_b=0), "nu_b", color=OBJECTIVE_COLOURS["CP"], marker="o",
               label="estimate")
    middle.plot([0, 1], [0, 1], "k--", linewidth=1, label="truth")
    middle.set(xlabel=r"$\nu$", ylabel=r"estimated $\nu$",
               title="(b) Nuisance correlation", xlim=(0, 1), ylim=(0, 1))
    for ax in (left, middle):
        ax.legend()

    plot_regimes(right, data.regime, "kappa", "nu")
    plot_boundaries(right, data.ca_boundary, data.cp_boundary)
    kappa_hat = np.sqrt(data.kappa_squared_c.mean("seed"))
    nu_hat = data.nu_hat_c.mean("seed")
    for kappa in data.kappa_c.values:
        for nu in data.nu_c.values:
            estimate = [float(hat.sel(kappa_c=kappa, nu_c=nu)) for hat in (kappa_hat, nu_hat)]
            right.plot([kappa, estimate[0]], [nu, estimate[1]], color="0.15", linewidth=1)
            right.plot(kappa, nu, "o", color="black", markeredgecolor="white", markeredgewidth=0.5, markersize=4)
            right.plot(*estimate, "*", color="white", markeredgecolor="black", markeredgewidth=0.6, markersize=7)
    right.set_title("(c) In the phase diagram")
    points = [Line2D([], [], linestyle="", marker="o", color="black", markersize=4, label=r"true $(\kappa, \nu)$"),
              Line2D([], [], linestyle="", marker="*", color="white", markeredgecolor="black", markersize=7,
                     label="estimated")]
    regime_legend(figure, ncols=4, extra=points)
    return figure


FIGURES = {
    "estimation": Recipe(
        "kappa and nu estimated from samples, and their place in the phase diagram",
        "Estimates from samples against the truth (dashed): (a) kappa^2, the PLS singular value of the signal; (b) nu, "
        "the largest correlation of nuisance. {spread} (c) True (circles) and "
        "estimated (stars: mean over seeds) places in the phase diagram, joined by lines; colours: "
        "regimes of the population.",
        compute_estimation, draw_estimation),
}
