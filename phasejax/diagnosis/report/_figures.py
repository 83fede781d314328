"""The drawings of a report: one matplotlib figure each, and how a figure becomes SVG inside a page."""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.special import expit, logit
from scipy.stats import gaussian_kde

from phasejax.diagnosis._estimates import RATIOS
from phasejax.diagnosis._moment_result import MomentDiagnosis
from phasejax.diagnosis._plots import plot_spectrum
from phasejax.diagnosis._predicted_scores import SINGLE, PredictedScores
from phasejax.diagnosis._spectral import ClassifiedSpectrum
from phasejax.diagnosis.report._format import (
    NU,
    REPRESENTATION_NAMES,
    fixed,
    level,
    percent,
    readable,
    score_interval,
)
from phasejax.plotting import OBJECTIVE_COLOURS, REGIME_COLOURS, boundary_handles, plot_boundaries
from phasejax.theory import Regime

# Of every figure; text is drawn as paths, since the fonts of a reader's machine are unknown.
FIGURE_STYLE = {"svg.fonttype": "path", "font.size": 9, "axes.edgecolor": "0.4", "axes.linewidth": 0.7}
SIGNAL_COLOUR, NUISANCE_COLOUR = OBJECTIVE_COLOURS["joint"], "#a6a6a6"
_INK = "#1b1b1b"
_HALO: list[AbstractPathEffect] = [withStroke(linewidth=2.5, foreground="white")]
_DRAWS = {"color": _INK, "markersize": 2.6, "markeredgecolor": "white", "markeredgewidth": 0.35, "alpha": 0.75}


@dataclass(frozen=True)
class Drawing:
    """A figure as the inside of an SVG element.

    Args:
        view_box: the SVG attribute, which holds the drawing's size.
        content: the elements; their ids begin with the drawing's name, so that drawings can share a page.
    """

    view_box: str
    content: Markup


def draw(figure: Figure, name: str) -> Drawing:
    """A figure as SVG whose ids begin with `name`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    # What an HTML page does not need, or shares with the other figures: names of namespaces, styles.
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", buffer.getvalue(), flags=re.DOTALL)
    drawing = re.sub(r'\bid="|(?<=url\()#|(?<=href=")#',
                     lambda found: f'id="{name}-' if found[0].startswith("id") else f"#{name}-", drawing)
    parts = re.search(r'<svg[^>]*viewBox="([^"]*)"[^>]*>(.*)</svg>', drawing, flags=re.DOTALL)
    if parts is None:
        raise RuntimeError("matplotlib: expected an SVG element with a viewBox, got another format")
    return Drawing(parts[1], Markup(parts[2].replace("xlink:href", "href").strip()))


def plot_plane(diagnosis: MomentDiagnosis, kappa: Float[np.ndarray, "p"], ca: Float[np.ndarray, "p"],
               cp: Float[np.ndarray, "p"]) -> Figure:
    """Regimes, boundaries nu(kappa) and draws over kappa and nu."""
    figure = Figure(figsize=(4.7, 4.5), layout="constrained")
    ax = figure.subplots()
    lower, upper = np.minimum(ca, cp), np.maximum(ca, cp)
    ax.fill_between(kappa, 0, lower, color=REGIME_COLOURS[Regime.BOTH], linewidth=0)
    ax.fill_between(kappa, upper, 1, color=REGIME_COLOURS[Regime.NEITHER], linewidth=0)
    for member, where in ((Regime.CA_ONLY, ca >= cp), (Regime.CP_ONLY, cp >= ca)):
        ax.fill_between(kappa, lower, upper, where=where, interpolate=True, color=REGIME_COLOURS[member], linewidth=0)
    plot_boundaries(ax, *(xr.DataArray(curve, coords={"kappa": kappa}, dims="kappa") for curve in (ca, cp)),
                    linewidth=1.6)
    _draw_posterior(ax, diagnosis, ("kappa", "nu"), (np.log, logit), (np.exp, expit))
    ax.set(xscale="log", xlim=kappa[[0, -1]], ylim=(0, 1), xlabel="signal strength κ, root of x units times y units",
           ylabel=f"nuisance correlation {NU}")
    _plain_ticks(ax.xaxis)
    _legend(figure, [*boundary_handles(), *_posterior_handles(diagnosis)], 3)
    return figure


def plot_ratios(diagnosis: MomentDiagnosis, inside: Bool[np.ndarray, "m"]) -> Figure:
    """The draws that `inside` selects in the plane of the two separation ratios."""
    figure = Figure(figsize=(4.7, 4.5), layout="constrained")
    ax = figure.subplots()
    limits = [_limits(diagnosis.draws[name][inside]) for name in RATIOS[:2]]
    (left, right), (bottom, top) = limits
    corners = {Regime.NEITHER: (left, bottom), Regime.CA_ONLY: (right, bottom), Regime.CP_ONLY: (left, top),
               Regime.BOTH: (right, top)}
    for member, (x, y) in corners.items():
        ax.fill_between(sorted((x, 1)), min(y, 1), max(y, 1), color=REGIME_COLOURS[member], linewidth=0)
    _draw_posterior(ax, diagnosis, RATIOS[:2], (np.log, np.log), (np.exp, np.exp))
    for member, (x, y) in corners.items():
        ax.text(0.025 if x < 1 else 0.975, 0.025 if y < 1 else 0.975, f"{member.value}\n"
                f"{percent(diagnosis.probabilities[member.value])}", transform=ax.transAxes,
                color="white" if member is Regime.BOTH else _INK, zorder=6,
                ha="left" if x < 1 else "right", va="bottom" if y < 1 else "top")
    ax.axvline(1, color=_INK, linewidth=1)
    ax.axhline(1, color=_INK, linewidth=1)
    ax.set(xscale="log", yscale="log", xlim=limits[0], ylim=limits[1], xlabel="Δ CA: alignment",
           ylabel="Δ CP: predicting y from x")
    _plain_ticks(ax.xaxis)
    _plain_ticks(ax.yaxis)
    _legend(figure, [Line2D([], [], color=_INK, linewidth=1, label="a ratio of 1"), *_posterior_handles(diagnosis)], 2)
    return figure


def plot_probabilities(diagnosis: MomentDiagnosis) -> Figure:
    """The regimes' probabilities as bars, and the confidence from which a regime is stated."""
    figure = Figure(figsize=(4.7, 1.7), layout="constrained")
    ax = figure.subplots()
    names = [member.value for member in reversed(Regime)]
    values = [diagnosis.probabilities[name] for name in names]
    ax.barh(names, values, color=[REGIME_COLOURS[Regime(name)] for name in names], edgecolor="0.4", linewidth=0.7)
    for i, value in enumerate(values):
        ax.text(np.nan_to_num(value) + 0.012, i, percent(value), va="center", ha="left", path_effects=_HALO, zorder=4)
    ax.axvline(diagnosis.confidence, color="0.3", linestyle="--", linewidth=1)
    ax.set(xlim=(0, 1.13), xlabel="probability", xticks=np.linspace(0, 1, 5))
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def plot_one_spectrum(spectrum: ClassifiedSpectrum, ylabel: str) -> Figure | None:
    """A classified spectrum; None where it holds numbers that are not finite."""
    if not (np.isfinite(spectrum.values).all() and np.isfinite(spectrum.r2).all()):
        return None
    figure = Figure(figsize=(3.7, 3.1), layout="constrained")
    plot_spectrum(figure.subplots(), spectrum, ylabel).set_ylabel("R² of the labels")
    return figure


def plot_scores(scores: PredictedScores) -> Figure:
    """Predicted scores with their intervals, best first."""
    ranked = scores.ranking()
    figure = Figure(figsize=(4.7, 2.75), layout="constrained")
    ax = figure.subplots()
    best = scores.score(scores.best_single)
    ax.axvline(scores.chance, color="0.3", linestyle="--", linewidth=1)
    ax.axvline(best.value, color="0.35", linewidth=1)
    for row, score in enumerate(reversed(ranked)):
        colour = "0.35" if score.name in (*SINGLE, "x and y") else OBJECTIVE_COLOURS[score.name[:2]]
        ax.plot([score.low, score.high], [row, row], color=colour, linewidth=4.5, alpha=0.45, zorder=3)
        ax.plot(score.value, row, "o", color=colour, markersize=3.6, zorder=4)
        ax.text(1.02, row, score_interval(score), va="center", transform=ax.get_yaxis_transform())
    ax.set(yticks=range(len(ranked)), yticklabels=[REPRESENTATION_NAMES[score.name] for score in reversed(ranked)],
           ylim=(-0.6, len(ranked) - 0.4), xlabel=f"predicted {readable(scores.metric)}")
    ax.margins(x=0.08)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    _legend(figure, [
        Line2D([], [], color="0.3", linestyle="--", linewidth=1, label=f"chance, {fixed(scores.chance)}"),
        Line2D([], [], color="0.35", linewidth=1, label=f"best single modality, {scores.best_single}")], 2)
    return figure


def _draw_posterior(ax: Axes, diagnosis: MomentDiagnosis, names: Sequence[str], to: Sequence[Callable],
                    back: Sequence[Callable]) -> None:
    """Show the draws of two quantities, the outline of their densest part and the point of medians.

    The density is estimated in the coordinates `to[i](quantity i)`; `back` holds the inverse functions.
    """
    values = np.array([diagnosis.draws[name] for name in names])
    with np.errstate(all="ignore"):
        coordinates = np.array([function(row) for function, row in zip(to, values, strict=True)])
    kept = np.isfinite(coordinates).all(0)
    ax.plot(*values[:, kept], "o", **_DRAWS, zorder=3)
    outline = _densest(coordinates[:, kept], diagnosis.confidence)
    if outline is not None:
        (first, second), density, level = outline
        ax.contour(back[0](first), back[1](second), density, [level], colors="black", linewidths=1.5, zorder=4
                   ).set_path_effects(_HALO)
    ax.plot(*(diagnosis.estimates[name].value for name in names), "o", color="black", markeredgecolor="white",
            markeredgewidth=1.4, markersize=8, zorder=5)


def _densest(points: Float[np.ndarray, "2 m"], share: float) -> tuple | None:
    """Grid, density on it and the level above which `share` of the points lie; None where they span no area."""
    if points.shape[1] < 10 or np.linalg.matrix_rank(np.cov(points), hermitian=True) < 2:
        return None
    density, margin = gaussian_kde(points), np.std(points, axis=1)
    axes = [np.linspace(row.min() - 2 * m, row.max() + 2 * m, 90) for row, m in zip(points, margin, strict=True)]
    grid = np.array(np.meshgrid(*axes))
    return grid, density(grid.reshape(2, -1)).reshape(grid.shape[1:]), np.quantile(density(points), 1 - share)


def _posterior_handles(diagnosis: MomentDiagnosis) -> list[Line2D]:
    """Legend entries of what `_draw_posterior` draws."""
    return [Line2D([], [], color="black", marker="o", markeredgecolor="white", markersize=8, linestyle="",
                   label="medians"),
            Line2D([], [], color="black", linewidth=1.5, label=f"{level(diagnosis.confidence)} of the draws"),
            Line2D([], [], marker="o", linestyle="", label="draws", **_DRAWS)]


def _legend(figure: Figure, handles: list[Line2D], ncols: int) -> None:
    figure.legend(handles=handles, loc="outside lower center", ncols=ncols, frameon=False, fontsize=8.5)


def _limits(values: Float[np.ndarray, "m"]) -> tuple[float, float]:
    """Ends of a logarithmic axis that holds the values and leaves room on either side of 1."""
    low, high = min(np.log(values.min()), 0.0), max(np.log(values.max()), 0.0)
    low, high = min(low, -0.35 * high, -0.6), max(high, -0.35 * low, 0.6)
    return math.exp(low - 0.08 * (high - low)), math.exp(high + 0.08 * (high - low))


def _plain_ticks(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as plain numbers, more of them where it spans few decades."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1, 3) if decades < 4 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
