"""The scores of trained heads as a figure: one panel for each target and nuisance."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phasejax._core.axes import axes_or_new
from phasejax._core.checked_call import checked
from phasejax.deep._heads_result import TrainedHeads
from phasejax.deep._heads_settings import ALIGNMENTS
from phasejax.plotting import OBJECTIVE_COLOURS, new_figure

_OTHERS = "0.35"
# Inches of a line of a panel, and of what is above and below the lines.
_LINE, _FRAME = 0.19, 0.75
_PANELS_IN_A_ROW = 3


@checked
def plot_heads(found: TrainedHeads) -> Figure:
    """Draw the main score of each objective with its interval, a panel for each target and nuisance, and chance.

    Args:
        found: from `train_heads`.

    Returns:
        A new figure.
    """
    names = _objectives(found)
    across = min(_PANELS_IN_A_ROW, len(found.targets))
    down = -(-len(found.targets) // across)
    figure = new_figure("page", height=down * (_LINE * len(names) + _FRAME))
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for ax, name in zip(panels, found.targets, strict=False):
        _draw(found, ax, name)
    for ax in panels[len(found.targets):]:
        ax.set_visible(False)
    return figure


def draw_target(found: TrainedHeads, ax: Axes | None, target: str | None) -> Axes:
    """Draw the scores of one target (`TrainedHeads.plot`)."""
    if target is None:
        target = next(iter(found.targets))
    elif target not in found.targets:
        raise ValueError(f"target: expected one of {', '.join(found.targets)}, got {target}")
    ax = axes_or_new(ax, height=_LINE * len(_objectives(found)) + _FRAME)
    _draw(found, ax, target)
    return ax


def _objectives(found):
    return list(dict.fromkeys(one.objective for one in found.scores))


def _draw(found: TrainedHeads, ax: Axes, target: str) -> None:
    """The main score of each objective for one target, with its interval, and chance."""
    names = _objectives(found)
    scores = [one for one in found.scores if one.target == target and one.main]
    for one in scores:
        place = names.index(one.objective)
        error = [[max(one.value - one.low, 0)], [max(one.high - one.value, 0)]] if one.low == one.low else None
        ax.errorbar([one.value], [place], xerr=error, fmt="o", color=_colour(one.objective))
    ax.axvline(scores[0].chance, color=_OTHERS, linestyle=":")
    ax.set_title(f"{target} (leakage)" if found.targets[target]["nuisance"] else target)
    ax.set_xlabel({"R2": "$R^2$"}.get(scores[0].metric, scores[0].metric))
    ax.set_yticks(range(len(names)), [one.replace("->", "→") for one in names])
    ax.set_ylim(len(names) - 0.5, -0.5)


def _colour(objective):
    if objective in ALIGNMENTS:
        return OBJECTIVE_COLOURS["CA"]
    return OBJECTIVE_COLOURS["joint"] if objective == "joint" else \
        OBJECTIVE_COLOURS["CP"] if objective.startswith("CP") else _OTHERS
