r"""Square, ellipse and heart as signed distances, drawn with smooth edges.

The signed distance of a point to an outline is negative inside; an image is the share of each pixel
inside the outline, to first order

.. math::  \mathrm{clip}\Bigl(\frac{1}{2} - \frac{s\, d}{2},\, 0,\, 1\Bigr)

for a distance d in world units, s pixels over a side of length 2.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

SHAPES = ("square", "ellipse", "heart")
# Of the largest sprites that dSprites has, measured on its images: half sides, and half axes, in half image sides.
_SQUARE, _ELLIPSE, _HEART = 0.22, (0.3, 0.2), 0.26


def outlines(size: int) -> Float[Array, "3 size size 1"]:
    """The three shapes at the centre of an image, 1 inside and 0 outside.

    Args:
        size: side of the images in pixels.

    Source: the shapes of Matthey et al. 2017, dSprites.
    """
    centres = (2 * jnp.arange(size) + 1) / size - 1
    x, y = jnp.meshgrid(centres, centres)
    distances = jnp.stack([square(x, y), ellipse(x, y), heart(x, y)])
    return jnp.clip(0.5 - distances * size / 2, 0, 1)[..., None]


def square(x: Float[Array, "*s"], y: Float[Array, "*s"], half: float = _SQUARE) -> Float[Array, "*s"]:
    """Distance to an upright square, exact.

    Args:
        x, y: points.
        half: of its side.
    """
    dx, dy = jnp.abs(x) - half, jnp.abs(y) - half
    outside = jnp.hypot(jnp.maximum(dx, 0), jnp.maximum(dy, 0))
    return outside + jnp.minimum(jnp.maximum(dx, dy), 0)


def ellipse(x: Float[Array, "*s"], y: Float[Array, "*s"], axes: tuple[float, float] = _ELLIPSE) -> Float[Array, "*s"]:
    """Distance to an ellipse, right to first order near its outline: f / |grad f|.

    Args:
        x, y: points.
        axes: half axes.
    """
    a, b = axes
    level = jnp.sqrt((x / a) ** 2 + (y / b) ** 2)
    slope = jnp.sqrt((x / a**2) ** 2 + (y / b**2) ** 2) / jnp.maximum(level, 1e-6)
    return (level - 1) / jnp.maximum(slope, 1 / max(a, b))


def heart(x: Float[Array, "*s"], y: Float[Array, "*s"], scale: float = _HEART) -> Float[Array, "*s"]:
    r"""Distance to a heart, tip down: a square on its corner with two half discs, exact.

    In the half plane right of its axis the outline is the segment from the tip to the disc, and an
    arc of radius sqrt(2)/4 about (1/4, 3/4) in units of its height above the tip.

    Args:
        x, y: points, y down.
        scale: units of the outline, whose height is about 1.1 of them, in those of x and y, over 2.
    """
    unit = 2 * scale
    px, py = jnp.abs(x) / unit, 0.55 - y / unit  # the tip at (0, 0), centred on its height
    arc = jnp.hypot(px - 0.25, py - 0.75) - 2**0.5 / 4
    top = jnp.hypot(px, py - 1)  # where the two arcs meet
    along = jnp.maximum(px + py, 0) / 2
    edge = jnp.minimum(top, jnp.hypot(px - along, py - along)) * jnp.sign(px - py)
    return jnp.where(px + py > 1, arc, edge) * unit
