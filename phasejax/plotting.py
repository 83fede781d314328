"""Drawing of sweep results on given axes: regimes, boundaries, curves and counts, with their legends and labels.

The functions take results and axes. They compute nothing but the mean and spread over seeds, and set
no global style, so that they can be combined with any other matplotlib code.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from phasejax.theory import Regime

# The four can be told apart under protanopia, deuteranopia and tritanopia (a test measures it).
REGIME_COLOURS = {Regime.NEITHER: "#F2F0EB", Regime.CA_ONLY: "#56B4E9",
                  Regime.CP_ONLY: "#E69F00", Regime.BOTH: "#5B4B8A"}
OBJECTIVE_COLOURS = {"CA": "#0072B2", "CP": "#D55E00", "joint": "#009E73"}
_BOUNDARY_STYLES: dict[str, dict[str, Any]] = {"CA": {"color": "#08304D", "linestyle": "-"},
                                               "CP": {"color": "#7A2E00", "linestyle": (0, (4, 2))}}
_BOUNDARY_LABELS = {"CA": r"$\Delta_{\mathrm{CA}} = 1$", "CP": r"$\Delta_{\mathrm{CP}} = 1$"}


def plot_regimes(ax: Axes, regime: xr.DataArray, x: str, y: str) -> None:
    r"""Colour a plane of two parameters by regime.

    Args:
        ax: where to draw.
        regime: regime codes of a sweep, shape (y, x) or (x, y); cells of models with NaN parameters
            (code -1) stay blank.
        x, y: names of the coordinates along the horizontal and the vertical axis.

    >>> from phasejax import SpikedModel, sweep
    >>> grid = sweep(SpikedModel.homogeneous, {"kappa": np.linspace(0, 3, 7), "nu": np.linspace(0, 1, 5)},
    ...              fixed={"k": 1, "d": 3}, quantities="regime")
    >>> figure = Figure()
    >>> ax = figure.subplots()
    >>> plot_regimes(ax, grid.regime, "kappa", "nu")
    >>> regime_legend(figure)
    >>> ax.get_xlabel()
    'signal strength $\\kappa$'
    """
    codes = regime.transpose(y, x)
    colours = ListedColormap([REGIME_COLOURS[member] for member in Regime])
    ax.pcolormesh(codes[x], codes[y], np.ma.masked_less(codes, 0), cmap=colours, shading="nearest", rasterized=True,
                  norm=BoundaryNorm(np.arange(-0.5, 4), colours.N))
    ax.set(xlim=(codes[x].min(), codes[x].max()), ylim=(codes[y].min(), codes[y].max()),
           xlabel=axis_label(codes[x]), ylabel=axis_label(codes[y]))


def plot_boundaries(ax: Axes, ca: xr.DataArray, cp: xr.DataArray, linewidth: float = 2.0) -> None:
    """Draw the curves on which Delta_CA = 1 and Delta_CP = 1.

    Args:
        ax: where to draw.
        ca, cp: the boundary's nu at each kappa, over the one coordinate kappa.
        linewidth: in points.
    """
    for name, curve in {"CA": ca, "CP": cp}.items():
        ax.plot(curve[curve.dims[0]], curve, linewidth=linewidth, clip_on=True, **_BOUNDARY_STYLES[name])


def regime_legend(figure: Figure, ncols: int = 6, extra: Sequence[Artist] = ()) -> None:
    """Explain the colours of the regimes and the lines of the boundaries in a legend below the panels.

    Args:
        figure: which gets the legend.
        ncols: entries in each line.
        extra: further entries, which come last.
    """
    patches = [Patch(facecolor=colour, edgecolor="0.6", label=member.value)
               for member, colour in REGIME_COLOURS.items()]
    figure.legend(handles=[*patches, *boundary_handles(), *extra], title="Objectives that recover the signal",
                  loc="outside lower center", ncols=ncols, frameon=False)


def boundary_handles() -> list[Line2D]:
    """Legend entries of the two boundaries."""
    return [Line2D([], [], label=_BOUNDARY_LABELS[name], linewidth=2, **style)
            for name, style in _BOUNDARY_STYLES.items()]


def plot_curve(ax: Axes, values: xr.DataArray, x: str, **style: Any) -> None:
    """Draw the mean over seeds as a line, with a band of one standard deviation on either side.

    Args:
        ax: where to draw.
        values: with the dimensions `x` and "seed".
        x: name of the coordinate along the horizontal axis.
        style: keyword arguments of the line, as of `Axes.plot`.
    """
    mean, spread = values.mean("seed"), values.std("seed")
    (line,) = ax.plot(mean[x], mean, **style)
    ax.fill_between(mean[x], mean - spread, mean + spread, color=line.get_color(), alpha=0.2, linewidth=0)


def plot_counts(ax: Axes, counts: xr.DataArray, x: str, y: str, top: int, colour: str) -> QuadMesh:
    """Colour a plane of two parameters by mean numbers of recovered signals.

    Args:
        ax: where to draw.
        counts: from 0 to `top`, shape (y, x) or (x, y).
        x, y: names of the coordinates along the horizontal and the vertical axis.
        top: the largest possible count.
        colour: of the largest count; a count of 0 has the colour of the regime Neither.

    Returns:
        The mesh, for a colour bar.
    """
    ramp = LinearSegmentedColormap.from_list("counts", [REGIME_COLOURS[Regime.NEITHER], colour], top + 1)
    plane = counts.transpose(y, x)
    return ax.pcolormesh(plane[x], plane[y], plane, cmap=ramp, shading="nearest", rasterized=True,
                         norm=BoundaryNorm(np.arange(-0.5, top + 1), ramp.N))


def axis_label(coordinate: xr.DataArray) -> str:
    """The long name and the symbol of a sweep's coordinate, as an axis label."""
    symbols = {"kappa": r"$\kappa$", "kappa_bar": r"$\bar\kappa$", "nu": r"$\nu$", "lam": r"$\lambda$",
               "nuisance_y": r"$\tilde\gamma_y$", "gamma_y": r"$\gamma_y$"}
    name = str(coordinate.name)
    return f"{coordinate.attrs.get('long_name', name)} {symbols.get(name, '')}".strip()
