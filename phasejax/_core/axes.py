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

    Raises:
        ValueError: something else than axes was given, such as a figure or an array of axes.
    """
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        raise ValueError(f"ax: expected axes of matplotlib or None, got {type(ax).__name__}")
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]
