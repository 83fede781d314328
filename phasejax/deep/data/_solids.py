r"""Canonical images of 3DShapes: four solids in a coloured room, drawn by a differentiable ray marcher.

A ray o + t r advances by its distance d to the solid until that vanishes (sphere tracing, with a fixed number of
steps). The share of the solid in a sample is

.. math::  \mathrm{clip}\Bigl(1 - \min_t \frac{d(o + t\, r)}{w\, t},\, 0,\, 1\Bigr)

for samples that are w apart at distance 1, so that outlines move smoothly with the scene and have gradients. The solid
is shaded at the point where the ray is nearest to it by a + (1 - a) max(n . l, 0), with n the gradient of d, l the
direction to the light and a the ambient light. Floor and walls are shaded likewise and lie in the solid's soft shadow,
which is the smallest d/(p t) on the way to the light, with p the size of the penumbra. The unit of length is that of
the solids at scale 1; y is up.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from phasejax._core.pytree import pytree
from phasejax._core.validation import check_count, is_traced

_STEPS, _SHADOW_STEPS = 48, 24  # of rays from the camera, and from floor and walls towards the light
_ROOM = 6.0  # half the side of the room
_DISTANCE, _VIEW = 5.6, 0.31  # of the camera from the middle of the room; tangent of half its angle of view
_AMBIENT, _PENUMBRA = 0.5, 0.25  # a and p in the text of the module
_ROUNDED = 0.06  # radius of the edges of cube and cylinder
# How far the colours are from white.
_SATURATION = {"floor": 0.45, "wall": 0.4, "solid": 0.85}


@pytree
class Scene:
    """Everything in an image but the solid itself: colours, size, camera and light.

    Args:
        floor_hue, wall_hue, solid_hue: places on the colour circle, from 0 to 1, both of them red.
        scale: factor on the size of the solid, above 0 and at most 1.5.
        orientation: angle of the camera around the middle of the room, in radians.
        elevation: angle of the camera above the floor, seen from the middle of the room, in radians, above 0 and at
            most 1.5.
        light_azimuth, light_height: angles of the direction to the light, in radians; azimuth 0 is that of the camera
            at orientation 0.

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
    """Signed distance to a cube of side 1.4 with rounded edges, standing on the floor.

    Args:
        point: (x, y, z), with y above the floor.
    """
    return _rounded(jnp.abs(point - jnp.array([0, 0.7, 0])) - 0.7)


def cylinder(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Signed distance to an upright cylinder, 1.5 high and 1.4 across, with rounded edges.

    Args:
        point: (x, y, z), with y above the floor.
    """
    return _rounded(jnp.stack([_length(point[::2]) - 0.7, jnp.abs(point[1] - 0.75) - 0.75]))


def sphere(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Signed distance to a sphere of radius 0.8 that stands on the floor.

    Args:
        point: (x, y, z), with y above the floor.
    """
    return _length(point - jnp.array([0, 0.8, 0])) - 0.8


def capsule(point: Float[Array, "3"]) -> Float[Array, ""]:
    """Signed distance to an upright capsule, 1.8 high and 1 across.

    Args:
        point: (x, y, z), with y above the floor.
    """
    on_axis = jnp.clip(point[1], 0.5, 1.3)
    return _length(point - jnp.array([0, 1, 0]) * on_axis) - 0.5


SOLIDS = {"cube": cube, "cylinder": cylinder, "sphere": sphere, "capsule": capsule}


def picture(solid: Callable, scene: Scene, size: int) -> Float[Array, "size size 3"]:
    """The scene as the camera sees it, differentiable in the scene.

    Args:
        solid: signed distance of a point to the solid, such as `cube`: negative inside, standing on the floor.
        scene: colours, size, camera and light.
        size: side of the image in pixels.

    Returns:
        Red, green and blue from 0 to 1, the means of 2 x 2 samples in each pixel.

    Raises:
        ValueError: size is no whole number of at least 1.
    """
    check_count("size", size)
    camera = _direction(scene.elevation, scene.orientation) * _DISTANCE
    light = _direction(scene.light_height, scene.light_azimuth)
    target = jnp.array([0, 0.78, 0])
    ahead = (target - camera) / _length(target - camera)
    right = _turned_about_y(jnp.array([1.0, 0, 0]), scene.orientation)
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
    """Images of the four solids in the same room under the same light.

    Args:
        size: side of the images in pixels.

    Returns:
        One image for each of `SOLIDS`, values 0 to 1.

    Source: the scenes of Burgess and Kim 2018, 3DShapes.
    """
    draw = jax.jit(picture, static_argnums=(0, 2))
    return jnp.stack([draw(solid, Scene(), size) for solid in SOLIDS.values()])


def _colour(distance, scene, camera, ray, light, width):
    """Colour of one sample, of samples `width` apart at distance 1."""
    t, ratio = _nearest_on_ray(distance, camera, ray)
    normal = jax.grad(distance)(camera + t * ray)
    solid = _colour_of_hue(scene.solid_hue, "solid") * _lambert(normal, light)
    share = jnp.clip(1 - ratio / width, 0, 1)
    return share * solid + (1 - share) * _room(distance, scene, camera, ray, light)


def _nearest_on_ray(distance, start, ray, first=0.0, far=2 * _ROOM, steps=_STEPS):
    """The distance t along a ray where d/t, the solid's apparent distance, is smallest, and d/t there."""
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
    """Colour of the floor or the wall that a ray meets, seen without the solid but in its shadow."""
    along = jnp.array([jnp.where(jnp.abs(r) < 1e-9, 1e-9, r) for r in (ray[0], ray[1], ray[2])])
    to_walls = (jnp.sign(along) * _ROOM - camera) / along
    to_floor = jnp.where(along[1] < 0, -camera[1] / along[1], jnp.inf)
    t = jnp.min(jnp.stack([to_walls[0], to_floor, to_walls[2]]))
    is_floor, is_side = to_floor <= t, to_walls[0] <= t
    normal = jnp.where(is_floor, jnp.array([0, 1.0, 0]),
                       jnp.where(is_side, jnp.array([1.0, 0, 0]), jnp.array([0, 0, 1.0])) * -jnp.sign(along))
    base = jnp.where(is_floor, _colour_of_hue(scene.floor_hue, "floor"), _colour_of_hue(scene.wall_hue, "wall"))
    _, ratio = _nearest_on_ray(distance, camera + t * ray, light, first=0.02, steps=_SHADOW_STEPS)
    clear = jnp.clip(ratio / _PENUMBRA, 0, 1)
    return base * _lambert(normal, light, clear * clear * (3 - 2 * clear))


def _lambert(normal, light, clear: Float[ArrayLike, ""] = 1.0):
    """Brightness of a surface, `clear` being the share of the light that no shadow takes."""
    return _AMBIENT + (1 - _AMBIENT) * clear * jnp.maximum(normal @ light, 0)


def _colour_of_hue(hue, what):
    """The pure colour of a hue, mixed with white according to the saturation of floor, wall or solid."""
    pure = jnp.clip(jnp.abs((6 * hue + jnp.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return 1 - _SATURATION[what] * (1 - pure)


def _direction(height, azimuth):
    """The unit vector at an angle above the floor and an angle about the vertical axis."""
    return _turned_about_y(jnp.array([0, jnp.sin(height), -jnp.cos(height)]), azimuth)


def _turned_about_y(point, angle):
    """The point turned about the vertical axis."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y, z = point
    return jnp.stack([cos * x - sin * z, y, sin * x + cos * z])


def _rounded(beyond):
    """Distance to a body with rounded edges from the distances by which a point is beyond each of its faces."""
    q = beyond + _ROUNDED
    # Not jnp.max, whose gradient is NaN where rounding makes no entry equal to the largest.
    largest = functools.reduce(jnp.maximum, [q[i] for i in range(q.shape[0])])
    return _length(jnp.maximum(q, 0)) + jnp.minimum(largest, 0) - _ROUNDED


def _length(vector):
    """The Euclidean norm, with gradient zero at zero."""
    return jnp.sqrt(jnp.maximum(jnp.sum(vector**2), 1e-16))
