"""TODO module docstring of deep.data._batch."""

from jaxtyping import Array, Float, Int, Key

from phasejax._core.pytree import pytree


@pytree
class Cell:
    """Where a training starts and what data it sees.

    Args:
        data: key of the rows.
        start: key of the first parameters and of the shuffles.
        jitter, noise: of the data.
    """

    data: Key[Array, "*cells"]
    start: Key[Array, "*cells"]
    jitter: Float[Array, "*cells"]
    noise: Float[Array, "*cells"]


@pytree
class Views:
    """Paired rows with what they show.

    Args:
        x, y: images, shape (n, size, size, channels), or features, shape (n, d_x) and (n, d_y).
        label: class, 0 to classes - 1.
        position: nuisance, in world coordinates of stereo pairs; shape (n, t), without columns where unknown.
    """

    x: Float[Array, "n *x"]
    y: Float[Array, "n *y"]
    label: Int[Array, "n"]
    position: Float[Array, "n t"]
