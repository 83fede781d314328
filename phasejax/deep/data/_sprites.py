r"""Canonical images of dSprites: square, ellipse and heart, drawn with smooth edges from their signed distances.

The signed distance of a point to an outline is negative inside. A pixel's value is the share of it that lies inside
the outline, to first order

.. math::  \mathrm{clip}\Bigl(\frac{1}{2} - \frac{s\, d}{2},\, 0,\, 1\Bigr)

for a distance d in world units, in which the s pixels of a side have length 2. The outlines have the sizes of the
largest sprites in the published images.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

SHAPES = ("square", "ellipse", "heart")
# Sizes of the largest sprites of dSprites, measured on its images in half image sides: half the side of the square,
# half axes of the ellipse, scale of the heart.
_SQUARE, _ELLIPSE, _HEART = 0.22, (0.3, 0.2), 0.26


def outlines(size: int) -> Float[Array, "3 size size 1"]:
    """Images of the three shapes, each at the centre: 1 inside and 0 outside.

    Args:
        size: side of the images in pixels.

    Returns:
        One image for each of `SHAPES`, values 0 to 1.

    Source: the shapes of Matthey et al. 2017, dSprites.
    """
    centres = (2 * jnp.arange(size) + 1) / size - 1
    x, y = jnp.meshgrid(centres, centres)
    distances = jnp.stack([square(x, y), ellipse(x, y), heart(x, y)])
    return jnp.clip(0.5 - distances * size / 2, 0, 1)[..., None]


def square(x: Float[Array, "*s"], y: Float[Array, "*s"], half: float = _SQUARE) -> Float[Array, "*s"]:
    """Signed distance to an upright square about (0, 0), exact.

    Args:
        x, y: coordinates of the points.
        half: half the side of the square.

    Returns:
        Distances, negative inside.

    >>> square(jnp.array([0.0, 1.0]), jnp.array([0.0, 0.0]), half=0.25).tolist()
    [-0.25, 0.75]
    """
    dx, dy = jnp.abs(x) - half, jnp.abs(y) - half
    across, along = jnp.maximum(dx, 0), jnp.maximum(dy, 0)
    inside = (across == 0) & (along == 0)  # where the root has no derivative
    outside = jnp.where(inside, 0, jnp.hypot(jnp.where(inside, 1, across), along))
    return outside + jnp.minimum(jnp.maximum(dx, dy), 0)


def ellipse(x: Float[Array, "*s"], y: Float[Array, "*s"], axes: tuple[float, float] = _ELLIPSE) -> Float[Array, "*s"]:
    r"""Signed distance to an ellipse about (0, 0), right to first order near its outline.

    .. math::  f / |\nabla f|, \qquad f = \sqrt{(x/a)^2 + (y/b)^2} - 1

    Args:
        x, y: coordinates of the points.
        axes: half axes a and b.

    Returns:
        Distances, negative inside.
    """
    a, b = axes
    level = jnp.sqrt((x / a) ** 2 + (y / b) ** 2)
    slope = jnp.sqrt((x / a**2) ** 2 + (y / b**2) ** 2) / jnp.maximum(level, 1e-6)
    return (level - 1) / jnp.maximum(slope, 1 / max(a, b))


def heart(x: Float[Array, "*s"], y: Float[Array, "*s"], scale: float = _HEART) -> Float[Array, "*s"]:
    """Signed distance to a heart with its tip down: a square on its corner with two half discs, exact.

    Right of the heart's axis, with the tip at (0, 0) and y up, the outline is the segment from the tip to (1/2, 1/2)
    and an arc of radius sqrt(2)/4 about (1/4, 3/4), in a unit of twice the scale. The heart is about 1.1 units high.

    Args:
        x, y: coordinates of the points, y down.
        scale: half the unit.

    Returns:
        Distances, negative inside.
    """
    unit = 2 * scale
    px, py = jnp.abs(x) / unit, 0.55 - y / unit  # from the tip; the image's centre is at half height
    arc = jnp.hypot(px - 0.25, py - 0.75) - 2**0.5 / 4
    top = jnp.hypot(px, py - 1)  # where the two arcs meet
    along = jnp.maximum(px + py, 0) / 2
    edge = jnp.minimum(top, jnp.hypot(px - along, py - along)) * jnp.sign(px - py)
    return jnp.where(px + py > 1, arc, edge) * unit
