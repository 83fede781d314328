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
from phasejax.diagnosis._representations import RAW
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._score_plots import plot_content, plot_fair_scores, plot_scores_over_k
from phasejax.diagnosis._uses import SITUATIONS
from phasejax.diagnosis._view_words import view_words
from phasejax.diagnosis.report._evidence import components
from phasejax.diagnosis.report._format import NU, level, percent
from phasejax.plotting import REGIME_COLOURS, boundary_handles, plot_boundaries
from phasejax.theory import Regime

# Of every figure; text is drawn as paths, since the fonts of a reader's machine are unknown.
FIGURE_STYLE = {"svg.fonttype": "path", "font.size": 9, "axes.edgecolor": "0.4", "axes.linewidth": 0.7}
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


def draw_scores(diagnosis: Diagnosis) -> Figure | None:
    """Scores of what can be had in each situation, of one width or as curves; of columns if nothing is shared."""
    scores = diagnosis.scores
    if not scores:
        return None
    widest, labels = scores[-1], view_words(diagnosis).labels
    if diagnosis.seen and len(scores) > 1:
        figure = Figure(figsize=(5.0, 6.0), layout="constrained")
        for ax, situation in zip(figure.subplots(len(SITUATIONS), 1, sharex=True), SITUATIONS, strict=True):
            plot_scores_over_k(ax, scores, situation, labels)
            ax.label_outer()
        return figure
    figure = Figure(figsize=(5.0, 4.1 if diagnosis.seen else 1.5), layout="constrained")
    plot_fair_scores(figure.subplots(), widest, labels, () if diagnosis.seen else RAW)
    return figure


def draw_content(diagnosis: Diagnosis) -> Figure:
    """Label content against k."""
    figure = Figure(figsize=(4.9, 3.9), layout="constrained")
    plot_content(figure.subplots(), diagnosis.content, components(diagnosis))
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
