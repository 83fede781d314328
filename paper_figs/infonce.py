"""Linear encoders trained with InfoNCE beside the closed forms of alignment and prediction, as nuisance grows.

Each seed is one sample of n pairs; CA and CP are solved on it, and InfoNCE is trained on
minibatches of the same rows, so that differences between them are not differences between samples.
"""

import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from paper_figs.recovery import CA_STYLE, CP_STYLE, NOISY_TARGET, ca_only_legend, mark_ca_only
from phasejax import SpikedModel, __version__, delta_ca, delta_cp
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.linear import (
    covariances_from_samples,
    mean_squared_sine,
    signal_directions,
    solve_ca,
    solve_cp,
    train_info_nce,
)
from phasejax.plotting import axis_label, draw_spread, new_figure
from phasejax.simulation import sample_pairs

_TEMPERATURES = np.array([0.05, 0.1, 0.5])
_SEEDS_PER_PART = 5  # take about half a minute on one core at the paper preset
_K = len(NOISY_TARGET["kappa"])
# InfoNCE lies on the coloured curves for most of the range, so it is told apart by greys and by markers.
_STYLES = {0.05: {"color": "0.65", "marker": "s"}, 0.1: {"color": "0.4", "marker": "D"},
           0.5: {"color": "0.0", "marker": "^"}}
_VARIABLES = {
    "error_info_nce": "mean squared sine between signal and InfoNCE subspace",
    "info_nce_to_ca": "mean squared sine between CA and InfoNCE subspace",
    "info_nce_to_cp": "mean squared sine between CP and InfoNCE subspace",
    "loss": "mean InfoNCE loss of the last window",
    "steps": "gradient steps",
    "converged": "whether the loss stagnated before the steps ran out",
    "error_ca": "mean squared sine between signal and CA subspace",
    "error_cp": "mean squared sine between signal and CP subspace",
}


class Part(NamedTuple):
    """Trainings that are computed and kept together: a few seeds at one nuisance correlation and temperature."""

    nu: float
    temperature: float
    first_seed: int


def compute_infonce(preset: Preset, *, store: Path, progress: ProgressCallback,
                    executor: str | None = None) -> xr.Dataset:
    """Subspace errors of CA, CP and InfoNCE at three temperatures, and distances between them, against nu."""
    nus = preset.sweep(np.linspace(0, 0.95, 15))
    points = [Part(float(nu), float(temperature), first) for nu in nus for temperature in _TEMPERATURES
              for first in range(0, preset.trainings, _SEEDS_PER_PART)]
    _compiled_training(preset)  # here, since threads that call it at the same time would each make a program
    settings = json.dumps({"seeds": _seeds(preset), "n": preset.n, "batch": preset.batch, "max_steps": preset.max_steps,
                           **NOISY_TARGET, "phasejax": __version__, "jax": jax.__version__})
    parts = compute_parts(points, partial(_train_and_compare, preset), settings=settings, store=store,
                          progress=progress, executor=executor, task="InfoNCE trainings")
    return _dataset(preset, nus, parts)


def _keys(key, seed):
    """Keys of a seed's sample and training: the same along nu and temperature, so that curves are smooth."""
    return jax.random.split(jax.random.fold_in(key, seed))


def _draw(preset, nu, seed):
    sample = sample_pairs(_keys(preset.key(), seed)[0], SpikedModel.create(nu=nu, **NOISY_TARGET), preset.n)
    return sample.x, sample.y


def _seeds(preset: Preset) -> int:
    """Seeds in each part; the last part may go beyond those asked for, which are cut off."""
    return min(_SEEDS_PER_PART, preset.trainings)


@lru_cache(1)
def _compiled_training(preset: Preset) -> Callable:
    """Training of a part's seeds, one after the other, in float32: (nu, temperature, first seed) to `Trained`."""
    def one(nu, temperature, seed):
        return train_info_nce(*_draw(preset, nu, seed), _K, temperature=temperature, batch=preset.batch,
                              max_steps=preset.max_steps, key=_keys(preset.key(), seed)[1])

    def program(nu, temperature, first_seed):
        return jax.lax.map(lambda seed: one(nu, temperature, seed), first_seed + jnp.arange(_seeds(preset)))

    return jax.jit(program)


def _train_and_compare(preset: Preset, nu: float, temperature: float, first_seed: int) -> dict[str, np.ndarray]:
    """What a part adds to each of `_VARIABLES`; closed forms and errors are computed in float64."""
    trained = _compiled_training(preset)(nu, temperature, first_seed)
    rows = [tuple(map(np.asarray, _draw(preset, nu, first_seed + i))) for i in range(_seeds(preset))]
    columns = []
    for (x, y), encoder in zip(rows, np.asarray(trained.encoder_x, float), strict=True):
        with jax.enable_x64(True):
            columns.append(_compare(x.astype(float), y.astype(float), encoder))
    errors = {name: np.array([float(column[name]) for column in columns]) for name in columns[0]}
    return errors | {name: np.asarray(getattr(trained, name)) for name in ("loss", "steps", "converged")}


@jax.jit
def _compare(x: Float[Array, "n d"], y: Float[Array, "n d"], encoder: Float[Array, "k d"]
             ) -> dict[str, Float[Array, ""]]:
    """Distances between the signal, the encoders of CA and CP for these rows, and a trained encoder."""
    covariances = covariances_from_samples(x, y)
    signal = signal_directions(_K, x.shape[1])
    ca, cp = solve_ca(covariances, _K).encoder_x, solve_cp(covariances, _K).encoder
    pairs = {"error_ca": (signal, ca), "error_cp": (signal, cp), "error_info_nce": (signal, encoder),
             "info_nce_to_ca": (ca, encoder), "info_nce_to_cp": (cp, encoder)}
    return {name: mean_squared_sine(*pair) for name, pair in pairs.items()}


def _dataset(preset: Preset, nus: np.ndarray, parts: list[dict[str, np.ndarray]]) -> xr.Dataset:
    """The parts put together."""
    shape = (len(nus), len(_TEMPERATURES), preset.trainings)
    dims = ("nu", "temperature", "seed")
    variables = {}
    for name, long_name in _VARIABLES.items():
        values = np.array([part[name] for part in parts]).reshape(*shape[:2], -1)[..., :shape[2]]
        attrs = {"long_name": long_name, "units": "nats" if name == "loss" else "1"}
        if name in ("error_ca", "error_cp"):  # the same sample at every temperature
            variables[name] = (("nu", "seed"), values[:, 0], attrs)
        else:
            variables[name] = (dims, values, attrs)
    # Both ratios fall as 1 / nu, so each is 1 where nu equals its value at nu = 1.
    at_one = SpikedModel.create(nu=1.0, **NOISY_TARGET)
    variables["ca_boundary"] = ((), float(delta_ca(at_one)), {"long_name": "nu at Delta_CA = 1", "units": "1"})
    variables["cp_boundary"] = ((), float(delta_cp(at_one)), {"long_name": "nu at Delta_CP = 1", "units": "1"})
    return xr.Dataset(variables, {"nu": ("nu", nus, {"long_name": "nuisance correlation", "units": "1"}),
                                  "temperature": ("temperature", _TEMPERATURES,
                                                  {"long_name": "temperature", "units": "1"}),
                                  "seed": ("seed", np.arange(preset.trainings), {"long_name": "seed", "units": "1"})},
                      {"model": "SpikedModel.create", "parameters": json.dumps(NOISY_TARGET), "n": preset.n,
                       "seeds": preset.trainings, "batch": preset.batch, "max_steps": preset.max_steps,
                       "precision": "float32 (training), float64 (closed forms and errors)",
                       "phasejax_version": __version__, "jax_version": jax.__version__})


def draw_infonce(data: xr.Dataset) -> Figure:
    """Errors of the closed forms and of InfoNCE against nu, on a linear and on a logarithmic scale."""
    figure = new_figure(height=3.3)
    left, right = figure.subplots(1, 2)
    for ax in (left, right):
        for name, style in {"error_ca": CA_STYLE, "error_cp": CP_STYLE}.items():
            _plot_median(ax, data[name], color=style["color"], linewidth=3, alpha=0.55,
                         label=f"{style['label']}, closed form")
        for temperature in data.temperature.values:
            _plot_median(ax, data.error_info_nce.sel(temperature=temperature), linewidth=1,
                         label=f"InfoNCE, temperature {temperature:g}", **_STYLES[float(temperature)])
        mark_ca_only(ax, data)
        ax.set_xlabel(axis_label(data.nu))
    # On the logarithmic scale single trainings can be told apart: those that got stuck lie far above the others.
    for temperature in data.temperature.values:
        style = _STYLES[float(temperature)]
        errors = data.error_info_nce.sel(temperature=temperature)
        right.plot(data.nu, errors.transpose("nu", "seed"), linestyle="", marker=style["marker"], markersize=2,
                   color=style["color"], alpha=0.5, markeredgewidth=0)
    left.set(ylabel=r"subspace error (mean $\sin^2\theta$)", title="(a) Recovery of the signal subspace")
    right.set(yscale="log", title="(b) Logarithmic scale; dots: single trainings")
    ca_only_legend(figure, *left.get_legend_handles_labels()[0])
    return figure


def _plot_median(ax: Axes, values: xr.DataArray, **style) -> None:
    """Median over seeds, since single trainings get stuck, with a band or dots for the seeds."""
    (line,) = ax.plot(values.nu, values.median("seed"), **style)
    draw_spread(ax, values.nu.values, values.transpose("nu", "seed").values, line.get_color())


FIGURES = {
    "infonce": Recipe(
        "linear encoders trained with InfoNCE beside the closed forms of CA and CP",
        "Mean squared sine of the angles between the signal subspace and that of an encoder of x: closed "
        "forms (thick) and linear encoders trained with InfoNCE. Lines: medians over {of_seeds}; "
        "bands: the middle two thirds of the seeds, or dots where there are fewer than five. Shaded: the "
        "stretch of nu on which CA alone recovers the signal in the population.",
        compute_infonce, draw_infonce, resumable=True),
}
