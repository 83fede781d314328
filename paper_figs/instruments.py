"""Simulated instruments in the phase diagram, and the least change of one parameter that leads out of each regime."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper_figs.presets import Preset
from paper_figs.recipe import Recipe
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax.instruments import CITE_PRESETS, STAR_PRESETS, Instrument, instrument_regime, upgrades
from phasejax.instruments._regime import LEAST_SHARED
from phasejax.plotting import REGIME_COLOURS, new_figure
from phasejax.theory import Regime
from phasejax.theory._label_content import KEPT

PRESETS_OF: dict[str, dict[str, Instrument]] = {"stars": dict(STAR_PRESETS), "CITE-seq": dict(CITE_PRESETS)}
_TITLES = {"stars": "spectra and light curves of stars", "CITE-seq": "RNA and surface proteins of cells"}
_NAMES, _DELTAS = ("ca", "cp"), ("delta_ca", "delta_cp")
# The plane's ends, how many times longer a step is above the boundary, and where along an arrow its number stands.
_LOW, _HIGH, _STRETCHED, _ALONG = -0.08, 1.05, 3.0, 0.55


def compute(preset: Preset, *, store: Path, progress: ProgressCallback) -> xr.Dataset:
    """Contents and ratios of every preset, and of the least change of one parameter to each regime next to it."""
    rows = 512 if preset.thin > 1 else 2048
    points = [(kind, name) for kind, presets in PRESETS_OF.items() for name in presets
              if name == _names_of(presets, name)[0]]

    def work(kind: str, name: str) -> dict[str, np.ndarray]:
        instrument = PRESETS_OF[kind][name]
        least = {}
        for one in upgrades(instrument, rows=rows):
            if one.regime[1].shared < LEAST_SHARED:
                continue  # Neither for want of anything in common, which is no place in the plane
            least.setdefault(one.regime[1].regime, one)
        said = [{"parameter": one.parameter, "unit": one.unit, "before": one.before, "after": one.after,
                 **_told(one.regime[1])} for one in least.values()]
        return {"found": np.array(json.dumps([_told(instrument_regime(instrument, rows=rows)), said]))}

    parts = compute_parts(points, work, settings=f"{rows}", store=store, progress=progress, precision=None,
                          task="instruments")
    found = [json.loads(str(part["found"])) for part in parts]
    marks, arrows = [one[0] for one in found], [(place, arrow) for place, one in enumerate(found) for arrow in one[1]]
    columns = {**{name: ("mark", [one[name] for one in marks]) for name in ("regime", "shared")},
               "content": (("mark", "objective"), [[one[name] for name in _NAMES] for one in marks]),
               "delta": (("mark", "objective"), [[one[name] for name in _DELTAS] for one in marks])}
    for name in ("parameter", "unit", "before", "after"):
        columns[name] = ("arrow", [arrow[name] for _, arrow in arrows])
    for name in ("regime", "shared"):
        columns[f"{name}_after"] = ("arrow", [arrow[name] for _, arrow in arrows])
    columns["content_after"] = (("arrow", "objective"), [[arrow[name] for name in _NAMES] for _, arrow in arrows])
    columns["delta_after"] = (("arrow", "objective"), [[arrow[name] for name in _DELTAS] for _, arrow in arrows])
    columns["from_mark"] = ("arrow", [place for place, _ in arrows])
    names = [", ".join(_names_of(PRESETS_OF[kind], name)) for kind, name in points]
    return xr.Dataset(columns, coords={"instrument": ("mark", [kind for kind, _ in points]),
                                       "preset": ("mark", names), "objective": ["CA", "CP"]},
                      attrs={"objects": rows, "kept": KEPT, "seed": 0})


def _names_of(presets: dict[str, Instrument], name: str) -> list[str]:
    """The names of all presets with the parameters of this one."""
    return [other for other, same in presets.items() if repr(same) == repr(presets[name])]


def _told(regime):
    return {"regime": regime.regime.value, "shared": regime.shared, **{name: regime.content[name] for name in _NAMES},
            **{f"delta_{name}": regime.delta[name] for name in _NAMES}}


def draw_instruments(data: xr.Dataset) -> Figure:
    """A row for each instrument: its presets in the plane of both contents, and what its arrows are."""
    kinds = list(dict.fromkeys(data.instrument.values.tolist()))
    figure = new_figure("page", height=3.1 * len(kinds))
    for (ax, beside), kind in zip(figure.subplots(len(kinds), 2, squeeze=False, width_ratios=(1, 0.9)), kinds,
                                  strict=True):
        _draw_plane(ax)
        ax.set_title(_TITLES[kind])
        beside.set_axis_off()
        lines, drawn = [], []
        for mark in np.flatnonzero(data.instrument.values == kind):
            start = data.content.values[mark]
            letter = chr(ord("A") + sum(is_preset for _, is_preset in lines))
            hidden = any(np.abs(start - other).max() < 0.01 for other in drawn)
            if not hidden:
                ax.plot(*start, "o", color="black", markeredgecolor="white", markersize=9, zorder=4)
                drawn.append(start)
            ax.annotate(letter, tuple(start), xytext=(8 * hidden, 0), textcoords="offset points", color="white",
                        fontsize="x-small", ha="center", va="center_baseline", zorder=5)
            lines.append((f"{letter}  {data.preset.values[mark]} ({data.regime.values[mark]})", True))
            first = len([one for one in lines if not one[1]])
            for place, arrow in enumerate(np.flatnonzero(data.from_mark.values == mark), start=first + 1):
                _draw_arrow(ax, start, data.content_after.values[arrow], place)
                lines.append((f"{place}  {_in_words(data.isel(arrow=arrow))}", False))
        for place, (text, is_preset) in enumerate(lines):
            beside.text(0, 1 - (place + 0.5) / max(len(lines), 12), text, va="center", fontsize="small",
                        fontweight="bold" if is_preset else "normal", transform=beside.transAxes)
    return figure


def _draw_plane(ax: Axes) -> None:
    for regime in Regime:
        across = (KEPT, _HIGH) if regime in (Regime.CA_ONLY, Regime.BOTH) else (_LOW, KEPT)
        up = (KEPT, _HIGH) if regime in (Regime.CP_ONLY, Regime.BOTH) else (_LOW, KEPT)
        ax.fill_between(across, *up, color=REGIME_COLOURS[regime], linewidth=0)
        at_top = up[1] == _HIGH
        ax.text(across[0] + 0.01, up[1] - 0.01 if at_top else up[0] + 0.01, regime.value, ha="left",
                va="top" if at_top else "bottom", fontsize="small", color="white" if regime is Regime.BOTH else "0.2")
    scale = ((lambda content: content + (_STRETCHED - 1) * np.maximum(content - KEPT, 0)),
             (lambda place: place - (1 - 1 / _STRETCHED) * np.maximum(place - KEPT, 0)))
    ax.set_xscale("function", functions=scale)
    ax.set_yscale("function", functions=scale)
    ticks = [0, 0.2, 0.4, 0.6, KEPT, 0.9, 1]
    ax.set(xticks=ticks, yticks=ticks)
    ax.set(xlim=(_LOW, _HIGH), ylim=(_LOW, _HIGH), xlabel="label content of CA", ylabel="label content of CP")


def _draw_arrow(ax: Axes, start: np.ndarray, end: np.ndarray, number: int) -> None:
    ax.annotate("", tuple(end), tuple(start), zorder=3, arrowprops={
        "arrowstyle": "-|>", "color": "black", "linewidth": 0.8, "shrinkA": 4, "shrinkB": 0})
    ax.annotate(str(number), tuple(start + _ALONG * (end - start)), fontsize="x-small", ha="center", va="center",
                zorder=3.5,
                bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none"})


def _in_words(one: xr.Dataset) -> str:
    factor = float(one.after / one.before)
    return f"{str(one.parameter.values).replace('_', ' ')} $\\times$ {factor:.2g}: {one.regime_after.values}"


def tabulate_instruments(data: xr.Dataset) -> pd.DataFrame:
    """A row for each preset as it is, followed by its least changes to other regimes."""
    def numbers(content, delta):
        return {f"{name} {objective}": float(values[place]) for name, values in (("content", content), ("delta", delta))
                for place, objective in enumerate(("CA", "CP"))}

    rows = []
    for mark in range(data.sizes["mark"]):
        one = data.isel(mark=mark)
        about = {"instrument": str(one.instrument.values), "preset": str(one.preset.values)}
        rows.append({**about, "regime": str(one.regime.values), "shared": float(one.shared),
                     **numbers(one.content.values, one.delta.values)})
        for arrow in np.flatnonzero(data.from_mark.values == mark):
            to = data.isel(arrow=arrow)
            rows.append({**about, **{name: str(to[name].values) for name in ("parameter", "unit")},
                         "before": float(to.before), "after": float(to.after), "regime": str(to.regime_after.values),
                         "shared": float(to.shared_after), **numbers(to.content_after.values, to.delta_after.values)})
    return pd.DataFrame(rows).set_index(["instrument", "preset"])


FIGURES = {
    "instruments": Recipe(
        "simulated instruments in the phase diagram",
        "Presets of simulated instruments (letters) by label content, the share of what both views tell about the "
        "labels that the k leading directions of CA and of CP keep, with unlimited objects; log g of stars with k = 2, "
        "cell types with k = 3. Colours: regimes, which change at a content of 0.8, above which the axes are "
        "stretched. Arrows lead from a preset to where the least change of a single parameter takes it into another "
        "regime, one for each regime that a change leads to; beside the panel stands which parameter, and its factor. "
        "A change may be for the worse; those after which both views tell less than a hundredth of the labels' "
        "variance in common are left out.",
        compute, draw_instruments, tabulate=tabulate_instruments, resumable=True)}
