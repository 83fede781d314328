"""Regime and decision against the quality and number of labels, as a figure."""

from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from phasejax._core.axes import axes_or_new
from phasejax._core.checked_call import checked
from phasejax.diagnosis._label_quality_result import REGIMES, LabelQuality, QualityLevel
from phasejax.plotting import OBJECTIVE_COLOURS, REGIME_COLOURS, new_figure, paper_style
from phasejax.theory import Regime

_UNDECIDED, _NOT_STATED = "#FFFFFF", "#FFFFFF"
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "||||")
_TITLES = {"noise": "share of R² left", "coarsening": "classes", "reassignment": "share reassigned",
           "pseudo-labels": "clusters", "labels": "labels", "pairs": "pairs", "ridge": "ridge"}
_MOST_ACROSS = 4


@checked
def plot_label_quality(found: LabelQuality, figure: Figure | None = None) -> Figure:
    """Draw, for each kind of change, the fractions of repeats with each regime and each decision.

    The black line is the mean probability of the likeliest regime of the labels as given, the dotted one that from
    which a regime is stated. The first bar is that of the labels as given.

    Args:
        found: from `label_quality`.
        figure: where to draw; by default a new figure of the width of a page.

    Returns:
        The figure.
    """
    panels = list(_panels(found))
    across = min(_MOST_ACROSS, len(panels))
    bands = -(-len(panels) // across)
    if figure is None:
        with paper_style():
            return plot_label_quality(found, new_figure(height=0.6 + 2.6 * bands))
    decided = any(level.metric for level in found.levels)
    axes = np.asarray(figure.subplots((1 + decided) * bands, across, squeeze=False, sharey=True))
    for place, (title, levels) in enumerate(panels):
        row, column = divmod(place, across)
        top = axes[(1 + decided) * row, column]
        _draw_regimes(top, found, levels)
        top.set_title(title)
        lowest = top
        if decided:
            lowest = axes[2 * row + 1, column]
            if levels[-1].by == "ridge":  # without scores
                lowest.set_visible(False)
                lowest = top
            else:
                _draw_decisions(lowest, found, levels)
        lowest.set_xlabel(_TITLES[levels[-1].by])
    for place in range(len(panels), across * bands):
        for part in range(1 + decided):
            axes[(1 + decided) * (place // across) + part, place % across].set_visible(False)
    for row in range(bands):
        axes[(1 + decided) * row, 0].set_ylabel("fraction,\nregime")
        if decided:
            axes[2 * row + 1, 0].set_ylabel("fraction,\ndecision")
    figure.legend(handles=_handles(found, decided), ncols=5, frameon=False, loc="outside lower center")
    return figure


def draw_change(found: LabelQuality, ax: Axes | None, by: str | None) -> Axes:
    """Draw the regimes of one kind of change, with a legend (`LabelQuality.plot`)."""
    panels = {levels[-1].by: (title, levels) for title, levels in reversed(list(_panels(found)))}
    by = next(reversed(panels)) if by is None else by
    if by not in panels:
        raise ValueError(f"by: expected one of {', '.join(reversed(panels))}, got {by}")
    ax = axes_or_new(ax)
    title, levels = panels[by]
    _draw_regimes(ax, found, levels)
    ax.set(title=title, xlabel=_TITLES[by], ylabel="fraction of repeats")
    ax.legend(handles=_handles(found, False), frameon=False, fontsize="small", loc="upper left",
              bbox_to_anchor=(1.0, 1.0))
    return ax


def _panels(found):
    """A title and levels of each panel, the labels as given first."""
    given = () if found.given is None else (QualityLevel(
        by="as given", level=0, name="as given", outcomes=(found.given,), about={}),)
    for by, group in groupby(found.levels, key=lambda one: (one.by, one.level if one.by == "ridge" else None)):
        levels = list(group)
        name = {"noise": "noise", "coarsening": "coarser classes", "reassignment": "wrong classes",
                "pseudo-labels": "pseudo-labels", "labels": "fewer labels", "pairs": "fewer pairs",
                "ridge": f"{by[1]} pairs"}[by[0]]
        yield name, [*given, *levels] if by[0] != "ridge" else levels


def _ticks(levels):
    return ["as\ngiven" if one.by == "as given" else "content" if one.by == "ridge" and one.ridge is None else
            f"{one.ridge:g}" if one.by == "ridge" else f"{one.level:g}" for one in levels]


def _draw_regimes(ax: Axes, found: LabelQuality, levels: list[QualityLevel]) -> None:
    position, base = np.arange(len(levels)), np.zeros(len(levels))
    for name, colour in ((*((one, REGIME_COLOURS[Regime(one)]) for one in REGIMES), (None, _NOT_STATED))):
        share = np.array([one.share("regime", name, found.confidence)[0] for one in levels])
        ax.bar(position, share, bottom=base, width=0.8, color=colour, edgecolor="0.6", linewidth=0.4,
               hatch=None if name else "....")
        base += share
    regime = None if found.given is None else found.given.likeliest
    probability = np.array([one.mean(lambda two: two.probability_of(regime)) for one in levels])
    ax.plot(position, probability, color="black", marker="o", markersize=3, linewidth=1)
    ax.axhline(found.confidence, color="0.3", linestyle=":", linewidth=0.8)
    ax.set(xlim=(-0.6, len(levels) - 0.4), ylim=(0, 1.03))
    ax.set_xticks(position, _ticks(levels), rotation=90 if levels[-1].by == "ridge" else 0)


def _draw_decisions(ax: Axes, found: LabelQuality, levels: list[QualityLevel]) -> None:
    position, base = np.arange(len(levels)), np.zeros(len(levels))
    for name, (colour, hatch) in _decision_styles(found).items():
        share = np.array([one.share("decision", name, found.confidence)[0] for one in levels])
        ax.bar(position, share, bottom=base, width=0.8, color=colour, edgecolor="0.6", linewidth=0.4, hatch=hatch)
        base += share
    ax.set(xlim=(-0.6, len(levels) - 0.4), ylim=(0, 1.03))
    ax.set_xticks(position, _ticks(levels))


def _decision_styles(found) -> dict[str | None, tuple[str, str]]:
    """Colour and hatch of each objective: the hatch tells those of one kind apart."""
    styles: dict[str | None, tuple[str, str]] = {}
    for name in found.among:
        kind = next((one for one in ("CA", "CP", "joint") if name.startswith(one)), None)
        colour = OBJECTIVE_COLOURS[kind] if kind else "0.6"
        used = sum(other == colour for other, _ in styles.values())
        styles[name] = (colour, _HATCHES[used % len(_HATCHES)])
    return {**styles, None: (_UNDECIDED, "....")}


def _handles(found, decided):
    handles: list = [Patch(facecolor=REGIME_COLOURS[Regime(one)], edgecolor="0.6", label=one) for one in REGIMES]
    handles.append(Patch(facecolor=_NOT_STATED, edgecolor="0.6", hatch="....", label="not stated, undecided"))
    if decided:
        handles += [Patch(facecolor=colour, edgecolor="0.6", hatch=hatch, label=name.replace("->", "→"))
                    for name, (colour, hatch) in _decision_styles(found).items() if name]
    if found.given is not None and found.given.likeliest:
        handles.append(Line2D([], [], color="black", marker="o", markersize=3,
                              label=f"probability of {found.given.likeliest}"))
    return handles
