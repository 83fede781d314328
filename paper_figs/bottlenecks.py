"""Bottlenecks: how many shared dimensions limited ranks leave, and how encoders grow as one signal fades."""

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax import SpikedModel, sweep
from phasejax.linear import Covariances, canonical_correlations
from phasejax.plotting import OBJECTIVE_COLOURS, axis_label, new_figure, plot_curve
from phasejax.simulation import population_covariances, random_basis
from phasejax.theory import hard_bottleneck, soft_bottleneck_bound

_NOISE_VARIANCE = 0.5
# A canonical correlation above this counts as a shared dimension: what is zero exactly comes out near 1e-16.
_LEAST_CORRELATION = 1e-6


def compute_hard_bottleneck(preset: Preset) -> xr.Dataset:
    """Shared dimensions found by CCA on exact covariances of limited rank, in random bases."""
    ranks, modalities = np.arange(1, 4), np.arange(2, 6)
    with jax.enable_x64(True):
        keys = jax.random.split(preset.key(), preset.seeds)
        limited = {name: [[_shared_dimensions(_two_views(name, rank), key) for key in keys] for rank in ranks]
                   for name in ("xy", "y")}
        # Modality i = 0, 1, ... carries the first k - i signals, so a chain of N carries k - N + 1.
        chain = [[min(_shared_dimensions(_chain_link(i), key) for i in range(1, count)) for key in keys]
                 for count in modalities]
    attrs = {"long_name": "recovered shared dimensions", "units": "1"}
    return xr.Dataset(
        {"limited_xy": (("rank", "seed"), np.array(limited["xy"]), attrs),
         "limited_y": (("rank", "seed"), np.array(limited["y"]), attrs),
         "chain": (("modalities", "seed"), np.array(chain), attrs),
         "limited_theory": ("rank", np.asarray(hard_bottleneck(20, 20, ranks)), attrs),
         "chain_theory": ("modalities", np.array([hard_bottleneck(*range(5, 5 - m, -1)) for m in modalities]), attrs)},
        {"rank": ("rank", ranks, {"long_name": "limiting rank", "units": "1"}),
         "modalities": ("modalities", modalities, {"long_name": "number of modalities N", "units": "1"})},
        {"kappa": "3, 2.5, 2 (two views); 3, 2.8, 2.5, 2.2, 2 (chain)", "d": "20 (two views); 30 (chain)",
         "gamma": _NOISE_VARIANCE, "nuisance": 1.0})


def _two_views(limited, rank):
    """Covariances of rank `rank` in S_xy alone, or in S_yy (then y has neither noise nor nuisance beyond it)."""
    kept = (np.arange(3) < rank).astype(float)
    kappa = np.array([3.0, 2.5, 2.0]) * kept
    gamma_y, nuisance_y = (_NOISE_VARIANCE, 1.0) if limited == "xy" else (_NOISE_VARIANCE * kept, 0.0)
    return population_covariances(SpikedModel.create(kappa, 0.0, gamma_x=_NOISE_VARIANCE, gamma_y=gamma_y,
                                                     nuisance_y=nuisance_y, d=20))


def _chain_link(i):
    """Covariances between the first modality, of rank 5, and modality i, of rank 5 - i; d = 30."""
    kappa = np.array([3.0, 2.8, 2.5, 2.2, 2.0])
    own = kappa * (np.arange(5) < 5 - i)
    rest = np.zeros(25)
    return Covariances(xx=np.diag(np.r_[kappa**2 + _NOISE_VARIANCE, rest + 1]), xy=np.diag(np.r_[kappa * own, rest]),
                       yy=np.diag(np.r_[own**2 + _NOISE_VARIANCE, rest + 1]))


def _shared_dimensions(covariances: Covariances, key: jax.Array) -> int:
    """Canonical correlations that are not zero, after both views are rotated at random."""
    key_x, key_y = jax.random.split(key)
    q_x, q_y = random_basis(key_x, covariances.d_x), random_basis(key_y, covariances.d_y)
    rotated = Covariances(xx=q_x @ covariances.xx @ q_x.T, xy=q_x @ covariances.xy @ q_y.T,
                          yy=q_y @ covariances.yy @ q_y.T)
    return int((canonical_correlations(rotated, singular=True) > _LEAST_CORRELATION).sum())


def draw_hard_bottleneck(data: xr.Dataset) -> Figure:
    """Recovered dimensions against the limiting rank on the left, against the number of modalities on the right."""
    figure = new_figure(height=2.8)
    left, right = figure.subplots(1, 2)
    left.plot(data["rank"], data.limited_theory, "k--", label=r"theory: $\min(r_x, r_y, r_{xy})$", zorder=5)
    plot_curve(left, data.limited_xy, "rank", color=OBJECTIVE_COLOURS["CA"], marker="o", markersize=6, linewidth=3,
               alpha=0.6, label=r"$r_{xy}$ limited")
    plot_curve(left, data.limited_y, "rank", color=OBJECTIVE_COLOURS["CP"], marker="s",
               label=r"$r_y$ limited")
    left.set(xlabel=axis_label(data["rank"]), ylabel="recovered shared dimensions", xticks=data["rank"],
             yticks=data["rank"], title="(a) Two modalities")
    right.plot(data.modalities, data.chain_theory, "k--", label=r"theory: $\min_i r_i = k - N + 1$", zorder=5)
    plot_curve(right, data.chain, "modalities", color=OBJECTIVE_COLOURS["joint"], marker="o",
               label="CCA with the first modality")
    right.set(xlabel=axis_label(data.modalities), ylabel="recovered shared dimensions", xticks=data.modalities,
              yticks=range(1, 5), title=r"(b) A chain of modalities of rank $r_i = k - i + 1$")
    for ax in (left, right):
        ax.legend()
    return figure


def _soft_model(kappa_3):
    return SpikedModel.create(jax.numpy.stack([3.0, 2.5, kappa_3]), 0.0, gamma_x=_NOISE_VARIANCE,
                              gamma_y=_NOISE_VARIANCE, d=20)


def compute_soft_bottleneck(preset: Preset) -> xr.Dataset:
    """Norm of the constrained CA encoders and its bound 2 / phi_k as the weakest signal fades."""
    data = sweep(_soft_model, {"kappa_3": preset.sweep(np.geomspace(0.05, 5, 20))},
                 quantities=["encoder_norm", "canonical_correlations"], n=preset.n, seeds=preset.seeds,
                 key=preset.key())
    data.kappa_3.attrs.update(long_name=r"weakest signal strength $\kappa_k$", units="data units")
    phi = data.canonical_correlations.isel(component=slice(3))
    bound = xr.apply_ufunc(lambda values: np.asarray(soft_bottleneck_bound(values)), phi,
                           input_core_dims=[["component"]], vectorize=True)
    return data.assign(phi_k=phi.min("component").assign_attrs(long_name="k-th canonical correlation", units="1"),
                       bound=bound.assign_attrs(long_name="bound 2 / phi_k", units="1"))


def draw_soft_bottleneck(data: xr.Dataset) -> Figure:
    """The squared norm of CA's encoders in samples, and its lower bound."""
    figure = new_figure("column", height=2.6)
    ax = figure.subplots()
    plot_curve(ax, data.encoder_norm, "kappa_3", color=OBJECTIVE_COLOURS["CA"], marker="o",
               label=r"$\|W\Sigma_{xx}^{1/2}\|_F^2 + \|V\Sigma_{yy}^{1/2}\|_F^2$, sample")
    plot_curve(ax, data.bound, "kappa_3", color=OBJECTIVE_COLOURS["CP"], marker="s", linestyle="--",
               label=r"bound $2 / \phi_k$")
    ax.set(yscale="log", xlabel=axis_label(data.kappa_3), ylabel="squared encoder norm", title="Soft bottleneck")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend()
    return figure


FIGURES = {
    "hard_bottleneck": Recipe(
        "shared dimensions left by limited ranks, for two and for N modalities",
        "Shared dimensions (canonical correlations above 1e-6) of exact covariances in {seeds} random "
        "bases (a) against the rank of the cross-covariance or of y, and (b) against the number of "
        "modalities in a chain. Dashed: theory.",
        compute_hard_bottleneck, draw_hard_bottleneck),
    "soft_bottleneck": Recipe(
        "norm of CA's encoders and its bound as the weakest signal fades",
        "Squared norm of the constrained encoders of CA as the weakest signal fades, and its lower bound "
        "2 / phi_k, with phi_k the k-th canonical correlation of the sample. {spread}",
        compute_soft_bottleneck, draw_soft_bottleneck),
}
