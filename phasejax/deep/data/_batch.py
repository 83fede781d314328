"""What a training sees: the cell of the grid that it belongs to, the rows of a batch, and where rows come from.

A `Source` turns a `Cell` and row numbers into `Views`. Nothing is stored: a row is a function of its number and of
the cell's keys, so that every epoch, every probe and every continued run sees the same rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array, Float, Int, Key

from phasejax._core.pytree import pytree


@pytree
class Cell:
    """One cell of a grid of trainings: where the training starts and which data it sees.

    Several cells are one `Cell` whose fields have leading axes.

    Args:
        data: key from which every row of the data is drawn.
        start: key of the first parameters and of the order of the rows in every epoch.
        jitter: standard deviation of each view's own shift, in half image sides.
        noise: standard deviation of the pixel noise on y.
    """

    data: Key[Array, "*cells"]
    start: Key[Array, "*cells"]
    jitter: Float[Array, "*cells"]
    noise: Float[Array, "*cells"]


@pytree
class Views:
    """Paired rows of two views, with the signal and the nuisance that they show.

    Args:
        x, y: images, shape (n, size, size, channels), or features, shape (n, d_x) and (n, d_y).
        label: the signal, a class from 0 to classes - 1, shape (n,).
        position: the nuisance, shape (n, t): the object's world coordinates in stereo pairs; t = 0 where it is unknown.
    """

    x: Float[Array, "n *x"]
    y: Float[Array, "n *y"]
    label: Int[Array, "n"]
    position: Float[Array, "n t"]


@dataclass(frozen=True, eq=False)
class Source:
    """Rows of an experiment, made when they are asked for.

    Args:
        views: gives the `Views` of a cell's rows by their numbers; the same row always looks the same.
        shape_x, shape_y: shape of one row of either view.
        classes: number of classes of the labels.
    """

    views: Callable[[Cell, Int[Array, "n"]], Views]
    shape_x: tuple[int, ...]
    shape_y: tuple[int, ...]
    classes: int
