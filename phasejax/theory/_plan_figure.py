"""A plan drawn on axes: probability and expected label content against the number of pairs."""

import math
from typing import TYPE_CHECKING

from phasejax._core.colours import OBJECTIVE_COLOURS
from phasejax.theory._label_content import KEPT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from phasejax.theory._plan import Plan

_COLOURS = {**OBJECTIVE_COLOURS, "CP y->x": "#CC79A7"}


def draw_plan(found: "Plan", ax: "Axes", *, legend: bool = True) -> "Axes":
    """Draw a plan.

    Args:
        found: the plan.
        ax: where to draw.
        legend: whether with a legend in the axes.
    """
    what = "the regime is right" if found.error is None else f"{found.objective} reaches the error"
    ax.plot(found.n, found.probabilities, color="black", linewidth=2, label=f"probability that {what}")
    for name, content in found.expected.items():
        ax.plot(found.n, content, color=_COLOURS[name], linestyle="--",
                label=f"expected label content of {name.replace('->', '→')}")
    ax.axhline(found.probability, color="0.5", linewidth=0.8)
    ax.axhline(KEPT if found.error is None else 1 - found.error, color="0.5", linewidth=0.8, linestyle=":")
    title = "never" if found.pairs is None else f"{found.pairs} pairs"
    if found.pairs is not None:
        ax.axvline(found.pairs, color="0.5", linewidth=0.8)
    if found.ranges and math.isfinite(found.ranges["pairs"][0]):
        low, high = found.ranges["pairs"]
        right = min(high, ax.get_xlim()[1])
        ax.axvspan(low, right, color="0.85", zorder=0, label=f"pairs, level {found.range_level:g}, by the pilot")
        ax.set_xlim(min(low, float(found.n[0])), max(right, float(found.n[-1])))
    ax.set(xscale="log", ylim=(-0.02, 1.02), xlabel="pairs n", ylabel="probability, content",
           title=f"{found.aim}, probability {found.probability:g}: {title}")
    if legend:
        ax.legend(frameon=False, fontsize="small")
    return ax
