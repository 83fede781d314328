"""Where a result draws itself: on the axes that are given, or on new ones that a notebook shows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches: the text of a page with one column.
_WIDTH = 5.5


def axes_or_new(ax: "Axes | None", *, height: float = 3.2, width: float = _WIDTH) -> "Axes":
    """The axes that were given, or the only ones of a new figure of `matplotlib.pyplot`.

    Args:
        ax: the axes given; None for new ones.
        height, width: of a new figure, in inches.
    """
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]
