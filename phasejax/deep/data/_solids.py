r"""Cube, cylinder, sphere and capsule on a coloured floor before coloured walls, drawn by a differentiable ray marcher.

A ray o + t r goes on by its distance d to the solid until that vanishes (sphere tracing, a fixed number of
steps). The share of the solid in a sample is

.. math::  \mathrm{clip}\Bigl(1 - \min_t \frac{d(o + t\, r)}{w\, t},\, 0,\, 1\Bigr)

for samples w apart at distance 1, so that outlines move smoothly with the scene and have gradients. The solid is shaded
at its nearest point by a + (1 - a) max(n . l, 0), with n the gradient of d and l towards the light; floor and walls
likewise, with the solid's soft shadow: the least d/(p t) along the way to the light, p the size of the penumbra.
Lengths are in units of the solid's scale 1, y is up.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.pytree import pytree
from phasejax._core.validation import check_count, is_traced

_STEPS, _SHADOW_STEPS = 48, 24
_ROOM, _DISTANCE, _VIEW = 6.0, 5.6, 0.31  # half side of the room; the camera's from its middle; tan of half its angle
_AMBIENT, _PENUMBRA = 0.5, 0.25
_ROUNDED = 0.06  # radius of the edges of cube and cylinder
_SATURATION = {"floor": 0.45, "wall": 0.4, "solid": 0.85}


@pytree
class Scene:
    """What is before the camera.

    Args:
        floor_hue, wall_hue, solid_hue: 0 to 1, around the colour circle from red.
        scale: of the solid, above 0 and at most 1.5.
        orientation: of the camera around the room's middle, radians.
        elevation: of the camera above the floor as seen from there, radians, above 0 and below 1.5.
        light_azimuth, light_height: direction to the light, radians; azimuth 0 is the camera's at orientation 0.

    Raises:
        ValueError: scale or elevation out of range, where they are not traced.
    """

    floor_hue: Float[ArrayLike, ""] = 0.12
    wall_hue: Float[ArrayLike, ""] = 0.56
    solid_hue: Float[ArrayLike, ""] = 0.01
    scale: Float[ArrayLike, ""] = 1.0
    orientation: Float[ArrayLike, ""] = 0.0
    elevation: Float[ArrayLike, ""] = 0.4
    light_azimuth: Float[ArrayLike, ""] = 0.7
    light_height: Float[ArrayLike, ""] = 0.95

    def __post_init__(self):
        for name, top in (("scale", 1.5), ("elevation", 1.5)):
            value = getattr(self, name)
            if not is_traced(value) and not 0 < float(value) <= top:
                raise ValueError(f"{name}: expected a number above 0 and at most {top}, got {value}")


def cube(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Distance to a cube of side 1.4 with rounded edges, standing on the floor.

    Args:
        point: (x, y, z).
    """
    return _rounded(jnp.abs(point - jnp.array([0, 0.7, 0])) - 0.7)


def cylinder(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Distance to an upright cylinder, 1.5 high and 1.4 across, with rounded edges.

    Args:
        point: (x, y, z).
    """
    return _rounded(jnp.stack([_length(point[::2]) - 0.7, jnp.abs(point[1] - 0.75) - 0.75]))


def sphere(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Distance to a sphere of radius 0.8.

    Args:
        point: (x, y, z).
    """
    return _length(point - jnp.array([0, 0.8, 0])) - 0.8


def capsule(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Distance to an upright capsule, 1.8 high and 1 across.

    Args:
        point: (x, y, z).
    """
    on_axis = jnp.clip(point[1], 0.5, 1.3)
    return _length(point - jnp.array([0, 1, 0]) * on_axis) - 0.5


SOLIDS = {"cube": cube, "cylinder": cylinder, "sphere": sphere, "capsule": capsule}


def picture(solid: Callable, scene: Scene, size: int) -> Float[Array, "size size 3"]:
    """The scene as the camera sees it, mean of 2 x 2 samples in each pixel; differentiable in the scene.

    Args:
        solid: a distance as of `cube`: negative inside, standing on the floor.
        scene: the rest.
        size: side of the image in pixels.

    Raises:
        ValueError: size is no whole number of at least 1.
    """
    check_count("size", size)
    camera = _turned(jnp.array([0, jnp.sin(scene.elevation), -jnp.cos(scene.elevation)]), scene.orientation) * _DISTANCE
    light = _turned(jnp.array([0, jnp.sin(scene.light_height), -jnp.cos(scene.light_height)]), scene.light_azimuth)
    target = jnp.array([0, 0.78, 0])
    ahead = (target - camera) / _length(target - camera)
    right = _turned(jnp.array([1.0, 0, 0]), scene.orientation)
    up = jnp.cross(ahead, right)

    def distance(point):
        return scene.scale * solid(point / scene.scale)

    def sample(u, v):
        ray = ahead + _VIEW * (u * right - v * up)
        ray = ray / _length(ray)
        return _colour(distance, scene, camera, ray, light, width=_VIEW / size)

    at = (2 * jnp.arange(2 * size) + 1) / (2 * size) - 1
    rows = jax.vmap(jax.vmap(sample, (0, None)), (None, 0))(at, at)
    return rows.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))


def images(size: int) -> Float[Array, "4 size size 3"]:
    """The four solids in the same room.

    Args:
        size: side of the images in pixels.

    Source: the scenes of Burgess and Kim 2018, 3DShapes.
    """
    draw = jax.jit(picture, static_argnums=(0, 2))
    return jnp.stack([draw(solid, Scene(), size) for solid in SOLIDS.values()])


def _colour(distance, scene, camera, ray, light, width):
    t, ratio = _nearest(distance, camera, ray)
    normal = jax.grad(distance)(camera + t * ray)
    solid = _hue(scene.solid_hue, "solid") * _lambert(normal, light)
    share = jnp.clip(1 - ratio / width, 0, 1)
    return share * solid + (1 - share) * _room(distance, scene, camera, ray, light)


def _nearest(distance, start, ray, first=0.0, far=2 * _ROOM, steps=_STEPS):
    """Where along a ray the solid is nearest for its distance from the start, and d/t there."""
    def step(_, carry):
        t, best, least = carry
        d = jnp.maximum(distance(start + t * ray), 0)
        ratio = d / jnp.maximum(t, 1e-3)
        nearer = (t > first) & (ratio < least)
        return jnp.minimum(t + d, far), jnp.where(nearer, t, best), jnp.where(nearer, ratio, least)

    zero = jnp.zeros_like(ray[0])
    _, best, least = jax.lax.fori_loop(0, steps, step, (zero + first, zero + far, zero + jnp.inf))
    return best, least


def _room(distance, scene, camera, ray, light):
    """Colour of the floor or the wall that a ray meets behind the solid."""
    along = jnp.array([jnp.where(jnp.abs(r) < 1e-9, 1e-9, r) for r in (ray[0], ray[1], ray[2])])
    to_walls = (jnp.sign(along) * _ROOM - camera) / along
    to_floor = jnp.where(along[1] < 0, -camera[1] / along[1], jnp.inf)
    t = jnp.min(jnp.stack([to_walls[0], to_floor, to_walls[2]]))
    is_floor, is_side = to_floor <= t, to_walls[0] <= t
    normal = jnp.where(is_floor, jnp.array([0, 1.0, 0]),
                       jnp.where(is_side, jnp.array([1.0, 0, 0]), jnp.array([0, 0, 1.0])) * -jnp.sign(along))
    base = jnp.where(is_floor, _hue(scene.floor_hue, "floor"), _hue(scene.wall_hue, "wall"))
    _, ratio = _nearest(distance, camera + t * ray, light, first=0.02, steps=_SHADOW_STEPS)
    clear = jnp.clip(ratio / _PENUMBRA, 0, 1)
    return base * _lambert(normal, light, clear * clear * (3 - 2 * clear))


def _lambert(normal, light, clear=1.0):
    return _AMBIENT + (1 - _AMBIENT) * clear * jnp.maximum(normal @ light, 0)


def _hue(hue, what):
    """A colour from around the circle, mixed with white."""
    pure = jnp.clip(jnp.abs((6 * hue + jnp.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return 1 - _SATURATION[what] * (1 - pure)


def _turned(point, angle):
    """About the vertical axis."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y, z = point
    return jnp.stack([cos * x - sin * z, y, sin * x + cos * z])


def _rounded(beyond):
    """Distance to a box or a disc, whose faces a point is `beyond`, with rounded edges."""
    q = beyond + _ROUNDED
    # Not jnp.max, whose gradient is NaN where rounding makes no entry equal to the largest.
    largest = functools.reduce(jnp.maximum, [q[i] for i in range(q.shape[0])])
    return _length(jnp.maximum(q, 0)) + jnp.minimum(largest, 0) - _ROUNDED


def _length(vector):
    """With gradient zero at zero."""
    return jnp.sqrt(jnp.maximum(jnp.sum(vector**2), 1e-16))
