"""Drawing of sweep results on given axes: regimes, boundaries, curves and counts, with their legends and labels.

The functions take results and axes. They compute nothing but the mean and spread over seeds, and set
no global style, so that they can be combined with any other matplotlib code. `paper_style` holds the
sizes of journals while it is entered.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from phasejax._core.checked_call import checked
from phasejax._core.colours import OBJECTIVE_COLOURS as OBJECTIVE_COLOURS
from phasejax._core.validation import check_array, check_choice, check_count, check_number, shown
from phasejax.simulation import sweep
from phasejax.theory import Regime, SpikedModel

# The four can be told apart under protanopia, deuteranopia and tritanopia (a test measures it).
REGIME_COLOURS = {Regime.NEITHER: "#F2F0EB", Regime.CA_ONLY: "#56B4E9",
                  Regime.CP_ONLY: "#E69F00", Regime.BOTH: "#5B4B8A"}
# Inches: one column, the text of a page with one column, two columns.
FIGURE_WIDTHS = {"column": 3.25, "text": 5.5, "page": 6.75}
# Seeds of which a band can be drawn; fewer are drawn one by one.
FEWEST_SEEDS_OF_A_BAND = 5
_PAPER: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "figure.titlesize": 9, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "legend.fontsize": 7, "legend.title_fontsize": 7, "lines.linewidth": 1.2,
    "lines.markersize": 3.5, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.minor.width": 0.5, "ytick.minor.width": 0.5, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "hatch.linewidth": 0.5, "legend.frameon": False, "legend.handlelength": 1.6,
    # Journals refuse the fonts of Type 3 that Matplotlib embeds otherwise.
    "pdf.fonttype": 42, "ps.fonttype": 42}
# The name of a regime is about four times as wide as high, and needs so much room in each direction around its middle.
_HEIGHT_OF_WIDTH, _LEAST_ROOM = 0.3, 0.035
_BOUNDARY_STYLES: dict[str, dict[str, Any]] = {"CA": {"color": "#08304D", "linestyle": "-"},
                                               "CP": {"color": "#7A2E00", "linestyle": (0, (4, 2))}}
_STAR: dict[str, Any] = {"marker": "*", "color": "white", "markeredgecolor": "black", "markersize": 10}
_BOUNDARY_LABELS = {"CA": r"$\Delta_{\mathrm{CA}} = 1$", "CP": r"$\Delta_{\mathrm{CP}} = 1$"}


@contextmanager
def paper_style() -> Iterator[None]:
    """Text of 7 to 9 points and thin lines, as journals print them, and TrueType fonts in PDF files.

    Figures must be both drawn and saved inside the context.

    >>> with paper_style():
    ...     figure = new_figure("column", height=2.4)
    ...     figure.subplots().get_xaxis().label.get_fontsize()
    8.0
    """
    with mpl.rc_context(_PAPER):
        yield


@checked
def new_figure(width: Literal["column", "text", "page"] = "page", *, height: float) -> Figure:
    """An empty figure of one of the widths of `FIGURE_WIDTHS`, whose panels make room for their labels.

    Args:
        width: name of the width.
        height: in inches.
    """
    check_number("height", height, above=0)
    return Figure(figsize=(FIGURE_WIDTHS[width], height), layout="constrained")


@checked
def panels_above_legend(figure: Figure) -> SubFigure:
    """The part of a new figure for panels whose shared label is to stand above a legend outside of them.

    Matplotlib puts a figure's own shared label and its legend in the same place.

    Args:
        figure: which gets the legend, at `loc="outside lower center"`.

    Returns:
        A part of the figure for `subplots`, `supxlabel`, `suptitle` and `colorbar`.
    """
    return figure.add_subfigure(figure.add_gridspec(1, 1)[0])


@checked
def plot_regimes(ax: Axes, regime: xr.DataArray, x: str, y: str, *, named: bool = False) -> None:
    r"""Colour a plane of two parameters by regime.

    Args:
        ax: where to draw.
        regime: regime codes of a sweep, shape (y, x) or (x, y); cells without a result, such as those of
            models with NaN parameters (code -1), are hatched.
        x, y: names of the coordinates along the horizontal and the vertical axis.
        named: whether areas that are large enough hold the name of their regime, so that they can be told apart
            without colours.

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
    check_choice("x", x, [str(dim) for dim in regime.dims])
    check_choice("y", y, [str(dim) for dim in regime.dims])
    codes = regime.transpose(y, x)
    if (codes < 0).any():
        ax.patch.set(hatch="xxxxx", edgecolor="0.45")
    colours = ListedColormap([REGIME_COLOURS[member] for member in Regime])
    ax.pcolormesh(codes[x], codes[y], np.ma.masked_less(codes, 0), cmap=colours, shading="nearest", rasterized=True,
                  norm=BoundaryNorm(np.arange(-0.5, 4), colours.N))
    ax.set(xlim=(codes[x].min(), codes[x].max()), ylim=(codes[y].min(), codes[y].max()),
           xlabel=axis_label(codes[x]), ylabel=axis_label(codes[y]))
    if named:
        _name_areas(ax, codes, x, y)


def _name_areas(ax, codes, x, y):
    """Write the name of each regime where its area is widest, unless it is too narrow for the text."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = codes.shape
    for member in Regime:
        here = np.pad(codes.values == member.code, 1)  # beyond the plane there is no area
        # Heights and widths are shares of the plane; text is several times as wide as high.
        room = np.asarray(distance_transform_edt(here, sampling=(1 / rows, _HEIGHT_OF_WIDTH / columns)))
        row, column = np.unravel_index(room[1:-1, 1:-1].argmax(), codes.shape)
        if room.max() > _LEAST_ROOM:
            ax.text(float(codes[x][column]), float(codes[y][row]), member.value, ha="center", va="center",
                    fontsize=mpl.rcParams["xtick.labelsize"], color="white" if member is Regime.BOTH else "black")


@checked
def plot_phase_diagram(model: SpikedModel, ax: Axes | None = None, *, kappa: Sequence[float | int] | None = None,
                       n: int | None = None, cells: int = 121) -> Axes:
    r"""Draw the phase diagram around a model: regimes over signal strength and nuisance correlation, and its place.

    All signal strengths of the model are multiplied by one number, so that the strongest runs over the horizontal
    axis. So are all its nuisance correlations, the largest of which runs over the vertical axis. All else is kept.

    Args:
        model: whose parameters are finite; without correlated nuisance (nu of 0) all correlations are equal.
        ax: where to draw; by default the axes of a new figure of one column.
        kappa: ends of the horizontal axis, in data units; by default from 0 to twice the model's strongest signal.
        n: pairs; regimes are then those that a sample of so many is expected to show, else those of the population.
        cells: along each side.

    Returns:
        The axes, with the model as a star where its place is on them.

    Raises:
        ValueError: a model without nuisance that could be correlated, or without signal; ends that are no two
            increasing numbers from 0 on.

    Source: K26, Fig. 2.

    >>> from phasejax import SpikedModel
    >>> ax = plot_phase_diagram(SpikedModel.homogeneous(2.0, 0.5, k=3, d=20), cells=31)
    >>> ax.get_ylabel()
    'largest nuisance correlation $\\nu$'
    """
    strengths, correlations = np.asarray(model.kappa, float), np.asarray(model.nu, float)
    if not (strengths.max() > 0 and np.isfinite(strengths).all()):
        raise ValueError("model: expected a signal of positive strength, got none")
    if not len(correlations):
        raise ValueError("model: expected nuisance in both views, got none")
    ends = check_array("kappa", [0.0, 2 * strengths.max()] if kappa is None else kappa, 1)
    if len(ends) != 2 or not (0 <= ends[0] < ends[1] < np.inf):
        raise ValueError(f"kappa: expected two increasing numbers from 0 on, got {shown(kappa)}")
    check_count("cells", cells, least=2)
    shape = correlations / correlations.max() if correlations.any() else np.ones_like(correlations)
    quantities = ["regime"] if n is None else ["finite_delta_ca", "finite_delta_cp"]
    grid = sweep(lambda kappa, nu: model.replace(kappa=kappa * (strengths / strengths.max()), nu=nu * shape),
                 {"nu": np.linspace(0, 1, cells), "kappa": np.linspace(ends[0], ends[1], cells)}, n=n, key=0,
                 quantities=quantities)
    regimes = grid.regime if n is None else expected_regimes(grid.finite_delta_ca, grid.finite_delta_cp, "kappa")
    if ax is None:
        with paper_style():
            figure = new_figure("column", height=3.2)
            ax = figure.subplots()
            plot_regimes(ax, regimes, "kappa", "nu", named=True)
            star = Line2D([], [], linestyle="", **_STAR, label="this model")
            regime_legend(figure, ncols=3, extra=[star], boundaries=False)
    else:
        plot_regimes(ax, regimes, "kappa", "nu")
    if ends[0] <= strengths.max() <= ends[1]:
        ax.plot(strengths.max(), correlations.max(), clip_on=False, **_STAR)
    ax.set(xlabel=r"strongest signal $\kappa$", ylabel=r"largest nuisance correlation $\nu$")
    return ax


@checked
def expected_regimes(ca: xr.DataArray, cp: xr.DataArray, strength: str) -> xr.DataArray:
    """Regime codes of expected sample ratios, -1 where one is NaN, that stay the same once signals are strong enough.

    Ratios grow with the strength of the signals. Their prediction has a small maximum, of 0.03 at most, where several
    signals leave the bulk of the nuisance, which would be a line of stray cells: a ratio counts as above 1 where it is
    so for all greater strengths too.

    Args:
        ca, cp: expected ratios of a sweep.
        strength: name of their coordinate that increases with all signal strengths.
    """
    def above(ratios):
        axis = ratios.get_axis_num(strength)
        least = np.fmin.accumulate(np.flip(ratios.values, axis), axis=axis)
        return ratios.copy(data=np.flip(least, axis) > 1)

    codes = above(ca).astype(int) + 2 * above(cp).astype(int)
    return codes.where(ca.notnull() & cp.notnull(), -1)


@checked
def plot_boundaries(ax: Axes, ca: xr.DataArray, cp: xr.DataArray, linewidth: float = 1.4) -> None:
    """Draw the curves on which Delta_CA = 1 and Delta_CP = 1.

    Args:
        ax: where to draw.
        ca, cp: the boundary's nu at each kappa, over the one coordinate kappa.
        linewidth: in points.
    """
    for name, curve in {"CA": ca, "CP": cp}.items():
        # At and beyond nu = 1 there is no boundary; the first such place ends the line at the edge of the plane.
        inside = (curve < 1) | (curve.shift({curve.dims[0]: 1}) < 1)
        ax.plot(curve[curve.dims[0]], curve.where(inside), linewidth=linewidth, clip_on=True, **_BOUNDARY_STYLES[name])


@checked
def regime_legend(figure: Figure, ncols: int = 6, extra: Sequence[Artist] = (), *, boundaries: bool = True) -> None:
    """Explain the colours of the regimes and the lines of the boundaries in a legend below the panels.

    Args:
        figure: which gets the legend.
        ncols: entries in each line.
        extra: further entries, which come last.
        boundaries: whether boundaries are drawn as lines.
    """
    check_count("ncols", ncols, most=100)
    patches = [Patch(facecolor=colour, edgecolor="0.6", label=one.value) for one, colour in REGIME_COLOURS.items()]
    figure.legend(handles=[*patches, *(boundary_handles() if boundaries else ()), *extra], ncols=ncols, frameon=False,
                  title="Objectives that recover the signal", loc="outside lower center")


def boundary_handles() -> list[Line2D]:
    """Legend entries of the two boundaries."""
    return [Line2D([], [], label=_BOUNDARY_LABELS[name], linewidth=1.4, **style)
            for name, style in _BOUNDARY_STYLES.items()]


@checked
def plot_curve(ax: Axes, values: xr.DataArray, x: str, **style: Any) -> None:
    """Draw the mean over seeds as a line, with a band that holds the middle two thirds of the seeds.

    The band ends at quantiles of the seeds, 1/6 and 5/6, so that it never leaves the range of possible values. Fewer
    than five seeds are drawn as dots instead, and means at fewer than three places are not joined by a line.

    Args:
        ax: where to draw.
        values: with the dimensions `x` and "seed".
        x: name of the coordinate along the horizontal axis.
        style: keyword arguments of the line, as of `Axes.plot`.

    >>> ax = Figure().subplots()
    >>> values = xr.DataArray([[0.1, 0.3], [0.2, 0.2], [0.9, 1.0]], dims=("nu", "seed"), coords={"nu": [0, 0.5, 1]})
    >>> plot_curve(ax, values, "nu")
    >>> ax.lines[0].get_ydata().round(2).tolist(), len(ax.collections)
    ([0.2, 0.2, 0.95], 0)
    """
    check_choice("x", x, [str(dim) for dim in values.dims])
    mean = values.mean("seed")
    if mean.sizes[x] < 3:
        style = {"marker": "o"} | style | {"linestyle": ""}
    (line,) = ax.plot(mean[x], mean, **style)
    draw_spread(ax, mean[x].values, values.transpose(x, "seed").values, line.get_color())


@checked
def draw_spread(ax: Axes, x: np.ndarray, values: np.ndarray, colour: Any) -> None:
    """Draw how seeds differ: a band between their quantiles 1/6 and 5/6, or a dot for each where they are few.

    Args:
        ax: where to draw.
        x: places along the horizontal axis, shape (m,).
        values: of every place and seed, shape (m, seeds).
        colour: of the band and the dots.
    """
    if values.ndim != 2 or len(values) != len(x):
        raise ValueError(f"values: expected shape ({len(x)}, seeds), got {values.shape}")
    if values.shape[1] >= FEWEST_SEEDS_OF_A_BAND and len(x) > 2:
        low, high = np.nanquantile(values, (1 / 6, 5 / 6), axis=1)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    elif values.shape[1] > 1:
        ax.plot(x, values, linestyle="", marker=".", markersize=3, color=colour, alpha=0.5, markeredgewidth=0)


@checked
def spread_in_words(seeds: int) -> str:
    """What `plot_curve` draws around a mean of so many seeds, for a caption.

    >>> spread_in_words(3)
    'Lines: means over 3 seeds; dots: the seeds.'
    >>> spread_in_words(10)
    'Lines: means over 10 seeds; bands: the middle two thirds of the seeds (quantiles 1/6 and 5/6).'
    """
    if seeds >= FEWEST_SEEDS_OF_A_BAND:
        return f"Lines: means over {seeds} seeds; bands: the middle two thirds of the seeds (quantiles 1/6 and 5/6)."
    return f"Lines: means over {seeds} seeds; dots: the seeds." if seeds > 1 else "One seed."


@checked
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
    check_choice("x", x, [str(dim) for dim in counts.dims])
    check_choice("y", y, [str(dim) for dim in counts.dims])
    ramp = LinearSegmentedColormap.from_list("counts", [REGIME_COLOURS[Regime.NEITHER], colour], top + 1)
    plane = counts.transpose(y, x)
    return ax.pcolormesh(plane[x], plane[y], plane, cmap=ramp, shading="nearest", rasterized=True,
                         norm=BoundaryNorm(np.arange(-0.5, top + 1), ramp.N))


@checked
def axis_label(coordinate: xr.DataArray) -> str:
    """The long name and the symbol of a sweep's coordinate, as an axis label."""
    symbols = {"kappa": r"$\kappa$", "kappa_bar": r"$\bar\kappa$", "nu": r"$\nu$", "lam": r"$\lambda$",
               "nuisance_y": r"$\tilde\gamma_y$", "gamma_y": r"$\gamma_y$"}
    name = str(coordinate.name)
    return f"{coordinate.attrs.get('long_name', name)} {symbols.get(name, '')}".strip()
