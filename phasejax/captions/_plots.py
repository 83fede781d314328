"""Scores of trained encoders of images and captions as a figure."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phasejax._core.checked_call import checked
from phasejax.captions._scores import NAMES, CaptionScores
from phasejax.deep import seed_interval
from phasejax.plotting import new_figure

LOOKS: dict[str, dict[str, Any]] = {
    "vicreg": {"color": "#0072B2", "marker": "o"}, "infonce": {"color": "0.4", "marker": "D"},
    "cp": {"color": "#D55E00", "marker": "^"}, "cp_reverse": {"color": "#E69F00", "marker": "v"},
    "joint": {"color": "#009E73", "marker": "P"}, "supervised": {"color": "black", "marker": "x"}}


@checked
def plot_captions(found: CaptionScores) -> Figure:
    """Top-1 of probes against the number of groups of distortions, a panel for each jitter.

    Args:
        found: the scores. Bars are the intervals over seeds; dots are the seeds where they are fewer than three.

    Returns:
        A figure of the width of a column, or of a page where there are several jitters.
    """
    scores, groups = found.scores, np.array(found.experiment.groups)
    count = scores.sizes["jitter"]
    figure = new_figure("page" if count > 1 else "column", height=2.9)
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for ax, jitter in zip(axes, scores.jitter.values, strict=True):
        draw_top1(ax, scores.sel(jitter=jitter), groups, found.confidence)
        ax.set(xlabel="groups of distortions", title=f"jitter {float(jitter):g}" if count > 1 else "")
    axes[0].set_ylabel("top-1 of a linear probe")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def draw_top1(ax: Any, scores: xr.Dataset, groups: np.ndarray, confidence: float = 0.95) -> None:
    """Top-1 of every objective against the number of groups, on one axes; scores over objective, noise and seed."""
    objectives = [str(name) for name in scores.objective.values]
    for place, objective in enumerate(objectives):
        values = scores.top1.sel(objective=objective).transpose("noise", "seed").values
        mean, low, high = seed_interval(values, 1, confidence)
        shifted = groups + 0.06 * (place - (len(objectives) - 1) / 2)  # bars that would hide each other
        look = LOOKS[objective] | {"label": NAMES[objective], "linewidth": 1.2, "markersize": 4}
        if values.shape[1] < 3:
            ax.plot(shifted, mean, **look)
            ax.plot(shifted, values, linestyle="", marker=".", markersize=3, color=look["color"], alpha=0.6)
        else:
            ax.errorbar(shifted, mean, [mean - np.maximum(low, 0), np.minimum(high, 1) - mean], capsize=2,
                        elinewidth=0.9, **look)
    ax.axhline(float(scores.chance.mean()), color="0.5", linestyle=":", label="chance")
    ax.set_xticks(groups)
