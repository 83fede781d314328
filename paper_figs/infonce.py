"""InfoNCE beside the closed forms of alignment and prediction, as nuisance grows.

Each seed is one sample of n pairs; CA and CP are solved on it, and InfoNCE is trained on
minibatches of the same rows, so that differences between them are not differences between samples.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from paper_figs.recovery import _CA, _CP, _NOISY_TARGET, _gap_legend, _mark_gap
from phasejax import SpikedModel, __version__, delta_ca, delta_cp
from phasejax._core.atomic_files import written_whole
from phasejax._core.devices import local_slots
from phasejax.linear import (
    covariances_from_samples,
    mean_squared_sine,
    signal_directions,
    solve_ca,
    solve_cp,
    train_info_nce,
)
from phasejax.plotting import axis_label
from phasejax.simulation import sample_pairs

_TEMPERATURES = np.array([0.05, 0.1, 0.5])
_BLOCK = 5  # seeds in one part: about half a minute of the full protocol on one core
_K = len(_NOISY_TARGET["kappa"])
# Grey and marker together: InfoNCE lies on the coloured curves for most of the range.
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


def compute_infonce(preset, parts: Path, report: Callable[[str], None] = lambda text: None) -> xr.Dataset:
    """Subspace errors of CA, CP and InfoNCE at three temperatures, and distances between them, against nu.

    One part is a block of seeds at one (nu, temperature), saved in the folder `parts` when done.
    Parts of a run with the same settings are used again; others are replaced.
    """
    nus = preset.sweep(np.linspace(0, 0.95, 15))
    parts.mkdir(exist_ok=True)
    blocks = range(0, preset.trainings, _BLOCK)
    grid = [(float(nu), float(temperature), first) for nu in nus for temperature in _TEMPERATURES for first in blocks]
    found = {point: _saved(parts, preset, point) for point in grid}
    missing = [point for point, part in found.items() if part is None]
    report(f"{len(grid) - len(missing)} of {len(grid)} parts")
    if missing:
        train = _compiled(preset)
        stop = threading.Event()

        def part(point):
            if stop.is_set():
                return None
            result = _part(train, preset, *point)
            _save(parts, preset, point, result)
            return result

        pool = ThreadPoolExecutor(len(local_slots()))
        try:
            pending = {pool.submit(part, point): point for point in missing}
            for done, future in enumerate(as_completed(pending), start=len(grid) - len(missing) + 1):
                found[pending[future]] = future.result()
                report(f"{done} of {len(grid)} parts")
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    return _dataset(preset, nus, [found[point] for point in grid])


def _keys(key, seed):
    """Keys of a seed's sample and training: the same along nu and temperature, so that curves are smooth."""
    return jax.random.split(jax.random.fold_in(key, seed))


def _draw(preset, nu, seed):
    sample = sample_pairs(_keys(preset.key(), seed)[0], SpikedModel.create(nu=nu, **_NOISY_TARGET), preset.n)
    return sample.x, sample.y


def _compiled(preset):
    """Training of a block of seeds, one after the other, in float32: (nu, temperature, first seed) to `Trained`."""
    def one(nu, temperature, seed):
        return train_info_nce(*_draw(preset, nu, seed), _K, temperature=temperature, batch=preset.batch,
                              max_steps=preset.max_steps, key=_keys(preset.key(), seed)[1])

    def program(nu, temperature, first):
        return jax.lax.map(lambda seed: one(nu, temperature, seed), first + jnp.arange(_block(preset)))

    with jax.enable_x64(False):
        return jax.jit(program).lower(0.0, 0.1, 0).compile()


def _block(preset):
    return min(_BLOCK, preset.trainings)


def _part(train, preset, nu, temperature, first):
    with jax.enable_x64(False):  # the setting belongs to the thread
        trained = train(nu, temperature, first)
        rows = [tuple(map(np.asarray, _draw(preset, nu, first + i))) for i in range(_block(preset))]
    columns = []
    for i, (x, y) in enumerate(rows):
        with jax.enable_x64(True):
            columns.append(_compare(x.astype(float), y.astype(float), np.asarray(trained.encoder_x[i], float)))
    columns = {name: np.array([float(column[name]) for column in columns]) for name in columns[0]}
    return columns | {name: np.asarray(getattr(trained, name)) for name in ("loss", "steps", "converged")}


@jax.jit
def _compare(x, y, encoder):
    covariances = covariances_from_samples(x, y)
    signal = signal_directions(_K, x.shape[1])
    ca, cp = solve_ca(covariances, _K).encoder_x, solve_cp(covariances, _K).encoder
    pairs = {"error_ca": (signal, ca), "error_cp": (signal, cp), "error_info_nce": (signal, encoder),
             "info_nce_to_ca": (ca, encoder), "info_nce_to_cp": (cp, encoder)}
    return {name: mean_squared_sine(*pair) for name, pair in pairs.items()}


def _settings(preset, nu, temperature, first):
    """What a part depends on."""
    return json.dumps({"nu": nu, "temperature": temperature, "first_seed": first, "seeds": _block(preset),
                       "n": preset.n, "batch": preset.batch, "max_steps": preset.max_steps, **_NOISY_TARGET,
                       "phasejax": __version__, "jax": jax.__version__})


def _path(parts, nu, temperature, first):
    return parts / f"nu{nu:.4f}_temperature{temperature:g}_seed{first}.npz"


def _save(parts, preset, point, result):
    with written_whole(_path(parts, *point)) as unfinished:
        np.savez(unfinished, settings=_settings(preset, *point), **result)


def _saved(parts, preset, point):
    path = _path(parts, *point)
    if not path.exists():
        return None
    try:
        with np.load(path) as archive:
            if str(archive["settings"]) != _settings(preset, *point):
                return None
            return {name: archive[name] for name in _VARIABLES}
    except (OSError, ValueError, KeyError):  # not a part
        return None


def _dataset(preset, nus, parts):
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
    at_one = SpikedModel.create(nu=1.0, **_NOISY_TARGET)
    variables["ca_boundary"] = ((), float(delta_ca(at_one)), {"long_name": "nu at Delta_CA = 1", "units": "1"})
    variables["cp_boundary"] = ((), float(delta_cp(at_one)), {"long_name": "nu at Delta_CP = 1", "units": "1"})
    return xr.Dataset(variables, {"nu": ("nu", nus, {"long_name": "nuisance correlation", "units": "1"}),
                                  "temperature": ("temperature", _TEMPERATURES,
                                                  {"long_name": "temperature", "units": "1"}),
                                  "seed": ("seed", np.arange(preset.trainings), {"long_name": "seed", "units": "1"})},
                      {"model": "SpikedModel.create", "parameters": json.dumps(_NOISY_TARGET), "n": preset.n,
                       "seeds": preset.trainings, "batch": preset.batch, "max_steps": preset.max_steps,
                       "precision": "float32 (training), float64 (closed forms and errors)",
                       "phasejax_version": __version__, "jax_version": jax.__version__})


def draw_infonce(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(11, 4.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for ax in (left, right):
        for name, style in {"error_ca": _CA, "error_cp": _CP}.items():
            _plot_median(ax, data[name], color=style["color"], linewidth=5, alpha=0.55,
                         label=f"{style['label']}, closed form")
        for temperature in data.temperature.values:
            _plot_median(ax, data.error_info_nce.sel(temperature=temperature), markersize=4, linewidth=1.2,
                         label=f"InfoNCE, temperature {temperature:g}", **_STYLES[float(temperature)])
        _mark_gap(ax, data)
        ax.set_xlabel(axis_label(data.nu))
    # Single trainings, where the scale tells them apart: those that got stuck stand far above the others.
    for temperature in data.temperature.values:
        style = _STYLES[float(temperature)]
        errors = data.error_info_nce.sel(temperature=temperature)
        right.plot(data.nu, errors.transpose("nu", "seed"), linestyle="", marker=style["marker"], markersize=2.5,
                   color=style["color"], alpha=0.5, markeredgewidth=0)
    left.set(ylabel=r"subspace error (mean $\sin^2\theta$)", title="(a) Recovery of the signal subspace")
    right.set(yscale="log", title="(b) The same on a logarithmic scale; dots: single trainings")
    left.legend(frameon=False, fontsize=9)
    _gap_legend(figure)
    return figure


def _plot_median(ax, values, **style):
    """Median over seeds, since single trainings get stuck, and a band between the quartiles."""
    low, middle, high = values.quantile([0.25, 0.5, 0.75], dim="seed")
    (line,) = ax.plot(values.nu, middle, **style)
    ax.fill_between(values.nu, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
