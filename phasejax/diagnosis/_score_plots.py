"""Scores of what can be trained or kept, and label content, drawn on given axes: the pictures of a decision."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from phasejax._core.digits import significant, with_interval
from phasejax.diagnosis._content import KEPT, ContentCurve
from phasejax.diagnosis._fair_scores import FairScores
from phasejax.diagnosis._uses import SITUATIONS
from phasejax.plotting import OBJECTIVE_COLOURS

RAW_COLOUR = "0.35"
_COLOURS = {"CA": OBJECTIVE_COLOURS["CA"], "CP": OBJECTIVE_COLOURS["CP"], "jo": OBJECTIVE_COLOURS["joint"]}
# Label, marker and colour of an objective's content; what predicts in the other direction has a lighter colour.
_CONTENT = {"ca": ("CA", "o", OBJECTIVE_COLOURS["CA"]), "cp": ("CP x→y", "s", OBJECTIVE_COLOURS["CP"]),
            "cp_reverse": ("CP y→x", "^", "#F2A65A")}
# By what the points of objectives are moved aside, as factors of k, so that intervals do not cover each other.
_ASIDE = {"ca": 0.97, "cp": 1.0, "cp_reverse": 1.03}


def words(metric: str) -> str:
    """A metric as it is printed."""
    return metric.replace("R2", "R²")


def plot_fair_scores(ax: Axes, scores: FairScores, labels: Mapping[str, str], names: Sequence[str] = ()) -> None:
    """Draw scores of one width with their 90% intervals, situation by situation.

    Within a situation everything can be had, and embeddings have the same number of columns. The best embedding of
    each has its score in bold. A dashed line is chance.

    Args:
        ax: where to draw.
        scores: of one width.
        labels: what each representation is, beside its score.
        names: draw only these, in one group, on an axis that ends at a perfect score.
    """
    groups = {"": (tuple(names), ())} if names else {
        situation: (whole[:1], embeddings) for situation, (whole, embeddings) in SITUATIONS.items()}
    row, ticks, tick_labels = 0.0, [], []
    for situation, (whole, embeddings) in groups.items():
        if situation:
            ax.text(-0.02, row, situation, transform=ax.get_yaxis_transform(), ha="right", va="center", weight="bold")
            row += 1
        best = scores.best(embeddings).name if embeddings else None
        for name in (*whole, *embeddings):
            score, colour = scores.score(name), _COLOURS.get(name[:2], RAW_COLOUR)
            ax.plot([score.low, score.high], [row, row], color=colour, linewidth=4.5, alpha=0.45, zorder=3)
            ax.plot(score.value, row, "o", color=colour, markersize=3.8, zorder=4)
            ax.text(1.02, row, with_interval(score.value, score.low, score.high).replace("-", "\u2212"),
                    va="center", transform=ax.get_yaxis_transform(), weight="bold" if name == best else "normal")
            ticks.append(row)
            tick_labels.append(labels[name])
            row += 1
        row += 0.35
    ax.axvline(scores.chance, color="0.3", linestyle="--", linewidth=1)
    ax.set(yticks=ticks, yticklabels=tick_labels, ylim=(row - 0.75, -0.6),
           xlabel=f"{words(scores.metric)} on held-out rows; dashed: chance, {significant(scores.chance, 2)}")
    ax.margins(x=0.08)
    if names:
        ax.set_xlim(min(0.0, ax.get_xlim()[0]), 1)  # what is near chance looks near chance
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)


def plot_scores_over_k(ax: Axes, scores: Sequence[FairScores], situation: str, labels: Mapping[str, str]) -> None:
    """Draw the scores of a situation's embeddings against their width k, and that of all columns as a level.

    Args:
        ax: where to draw.
        scores: of several widths.
        situation: a name of `SITUATIONS`.
        labels: what each representation is.
    """
    whole, embeddings = SITUATIONS[situation]
    ks = [of_k.k for of_k in scores]
    raw = scores[-1].score(whole[0])
    ax.axhspan(raw.low, raw.high, color=RAW_COLOUR, alpha=0.15, linewidth=0)
    ax.axhline(raw.value, color=RAW_COLOUR, linewidth=1, label=labels[whole[0]])
    for name in embeddings:
        found, colour = [of_k.score(name) for of_k in scores], _COLOURS.get(name[:2], RAW_COLOUR)
        ax.fill_between(ks, [one.low for one in found], [one.high for one in found], color=colour, alpha=0.2,
                        linewidth=0)
        ax.plot(ks, [one.value for one in found], marker="o", markersize=3, linewidth=1.3, color=colour,
                linestyle=":" if name.endswith("at k") else "-", label=labels[name])
    ax.axhline(scores[0].chance, color="0.3", linestyle="--", linewidth=1,
               label=f"chance, {significant(scores[0].chance, 2)}")
    _axis_of_k(ax, ks)
    ax.set_title(f"{situation}: {words(scores[0].metric)}", loc="left", fontsize="medium", weight="bold")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)


def plot_content(ax: Axes, content: ContentCurve, k: int) -> None:
    """Draw label content s(k) with intervals, the line above which an objective keeps the signal, and k80.

    Args:
        ax: where to draw.
        content: the curve.
        k: number of components that the regime is stated for, marked by a vertical line.
    """
    ax.axhline(KEPT, color="0.3", linestyle="--", linewidth=1)
    ax.axvline(k, color="0.75", linewidth=6, zorder=0)
    for place, (name, (label, marker, colour)) in enumerate(_CONTENT.items()):
        values = getattr(content, name)
        at = _ASIDE[name] * np.array(content.ks, float)
        # The ends of a wide interval lie outside of the panel, which says enough.
        ax.vlines(at, [e.low for e in values], [e.high for e in values], color=colour, alpha=0.55, linewidth=2.5)
        ax.plot(at, [e.value for e in values], marker=marker, markersize=4.5, linewidth=1.2, color=colour, label=label)
        count, level = content.k80[name], -0.06 - 0.06 * place
        ax.plot([count.low, count.high], [level, level], color=colour, linewidth=2.5, alpha=0.55, clip_on=False)
        ax.plot(count.value, level, marker="|", markersize=9, color=colour)
    ax.text(-0.02, -0.12, "k80", transform=ax.get_yaxis_transform(), va="center", ha="right")
    _axis_of_k(ax, [*content.ks, *(end for one in content.k80.values() for end in (one.low, one.high))])
    ax.set(ylim=(-0.24, 1.1), yticks=np.linspace(0, 1, 6), ylabel="label content s(k)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)


def _axis_of_k(ax: Axes, ks: Sequence[int]) -> None:
    """A logarithmic axis of widths with whole numbers."""
    low, high = min(ks), max(max(ks), min(ks) + 1)
    ax.set(xscale="log", xlim=(low / 1.12, high * 1.12), xlabel="k")
    doubled = [2**power for power in range(high.bit_length()) if low <= 2**power <= high]
    ax.xaxis.set_major_locator(FixedLocator(doubled if len(doubled) > 2 else sorted(set(ks))))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
