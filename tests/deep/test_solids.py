"""Solids by ray marching, against closed forms, finite differences, and what images of such scenes must show."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.deep.data import _solids, stereo_shapes3d
from phasejax.deep.data._solids import SOLIDS, Scene, picture

RNG = np.random.default_rng(0)
compiled_picture = jax.jit(picture, static_argnums=(0, 2))


@pytest.fixture(scope="module")
def four():
    return stereo_shapes3d(32).images


def to_segment(p, a, b):
    along = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(p - a - along[:, None] * (b - a), axis=1)


def test_distances_outside_are_those_to_the_nearest_surface_point():
    """Sphere and capsule by their axes, cube and cylinder by projection on the bodies that rounding grows from."""
    p = RNG.uniform(-3, 3, (500, 3))
    ours = {name: np.asarray(jax.vmap(solid)(jnp.asarray(p, jnp.float32))) for name, solid in SOLIDS.items()}
    core = np.stack([np.clip(p[:, 0], -0.64, 0.64), np.clip(p[:, 1], 0.06, 1.34), np.clip(p[:, 2], -0.64, 0.64)], 1)
    radius = np.hypot(p[:, 0], p[:, 2])
    inward = np.minimum(1, 0.64 / radius)
    disc = np.stack([p[:, 0] * inward, np.clip(p[:, 1], 0.06, 1.44), p[:, 2] * inward], 1)
    expected = {"cube": np.linalg.norm(p - core, axis=1) - 0.06, "cylinder": np.linalg.norm(p - disc, axis=1) - 0.06,
                "sphere": np.linalg.norm(p - [0, 0.8, 0], axis=1) - 0.8,
                "capsule": to_segment(p, np.array([0, 0.5, 0]), np.array([0, 1.3, 0])) - 0.5}
    for name, values in expected.items():
        outside = values > 0
        assert outside.sum() > 300
        np.testing.assert_allclose(ours[name][outside], values[outside], atol=2e-6)
        assert (ours[name][~outside] <= 1e-6).all()


def test_each_stands_on_the_floor():
    ring = jnp.stack(jnp.meshgrid(jnp.linspace(-0.3, 0.3, 7), jnp.array([0.0]), jnp.linspace(-0.3, 0.3, 7)), -1)
    for name, solid in SOLIDS.items():
        least = jax.vmap(solid)(ring.reshape(-1, 3)).min()
        assert abs(float(least)) < 1e-6, name


def test_the_sphere_covers_what_its_cone_covers():
    """A ray meets the sphere if it is within asin(R/D) of its centre."""
    scene, size = Scene(wall_hue=0.5, floor_hue=0.5, solid_hue=0.0), 48
    shown = np.asarray(compiled_picture(_solids.sphere, scene, size))
    camera = 5.6 * np.array([0, np.sin(0.4), -np.cos(0.4)])
    ahead = np.array([0, 0.78, 0]) - camera
    ahead /= np.linalg.norm(ahead)
    up = np.cross(ahead, [1, 0, 0])
    at = (2 * np.arange(size * 4) + 1) / (size * 4) - 1
    rays = ahead + 0.31 * (at[None, :, None] * np.array([1, 0, 0]) - at[:, None, None] * up)
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    to_centre = np.array([0, 0.8, 0]) - camera
    inside = rays @ to_centre > np.sqrt(to_centre @ to_centre - 0.8**2)
    share = inside.reshape(size, 4, size, 4).mean((1, 3))
    red = shown[..., 0] - shown[..., 1] > 0.1  # on floor and walls red is below green
    assert red[share == 1].all()
    assert not red[share == 0][:].any() or red[share == 0].mean() < 0.02  # the outline is a sample wide
    # The soft outline lies outside the hard one, half a sample of it on average.
    assert abs(red.sum() - share.sum()) < 0.05 * share.sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLIDS)
def test_gradients_are_finite_differences(name):
    """Central ones in float64, in every parameter, of a weighted sum of an image that solid and shadow fill well."""
    with jax.enable_x64(True):
        weights = jnp.asarray(np.random.default_rng(1).uniform(size=(8, 8, 3)))
        scene = jax.tree.map(float, replace(Scene(), orientation=0.31, floor_hue=0.13, wall_hue=0.57, solid_hue=0.97))

        @jax.jit
        def value(scene):
            return jnp.sum(weights * picture(SOLIDS[name], scene, 8))

        gradient, h = jax.jit(jax.grad(value))(scene), 1e-6
        for parameter in (field.name for field in fields(Scene)):
            low, high = (value(replace(scene, **{parameter: getattr(scene, parameter) + step})) for step in (-h, h))
            exact = float(getattr(gradient, parameter))
            assert abs(exact) > 1e-3, parameter
            assert exact == pytest.approx(float(high - low) / (2 * h), rel=1e-5), parameter


def test_colours_are_those_of_the_hues(four):
    """Top left is wall, bottom right floor, the middle the solid; the lit top is lighter than the shadow beside it."""
    scene = Scene()
    for image in four:
        for at, hue in (((1, 1), scene.wall_hue), ((30, 30), scene.floor_hue), ((16, 16), scene.solid_hue)):
            red, green, blue = (float(v) for v in image[at])
            top, low = max(red, green, blue), min(red, green, blue)
            if top == red:
                found = ((green - blue) / (top - low) / 6) % 1
            else:
                found = (4 + (red - green) / (top - low)) / 6 if top == blue else (2 + (blue - red) / (top - low)) / 6
            assert found == pytest.approx(hue, abs=2e-3)


def test_images_are_distinct_and_in_range(four):
    assert four.shape == (4, 32, 32, 3)
    assert four.dtype == np.float32
    assert 0 <= four.min() < four.max() <= 1
    for i in range(4):
        for j in range(i):
            assert np.abs(four[i] - four[j]).mean() > 0.01


def test_light_from_the_right_darkens_the_floor_on_the_left():
    left, right = (np.asarray(compiled_picture(_solids.sphere, Scene(light_azimuth=a), 32)) for a in (0.9, -0.9))
    np.testing.assert_allclose(left, right[:, ::-1], atol=2e-3)
    assert left[18:, :9].min() < 0.9 * left[18:, -9:].min()


def test_scale_grows_the_solid_from_the_floor():
    small, large = (np.asarray(compiled_picture(_solids.capsule, Scene(scale=scale), 32)) for scale in (0.6, 1.2))
    covered = [(image[..., 0] > 1.5 * image[..., 2]).sum() for image in (small[:14], large[:14])]
    assert covered[0] < covered[1] / 2


@pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("scale", 2.0), ("elevation", 0.0), ("elevation", 1.6)])
def test_scenes_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected a number above 0 and at most 1.5, got {value}"):
        Scene(**{name: value})


def test_no_size_is_refused():
    with pytest.raises(ValueError, match="size: expected a whole number of at least 1, got 0"):
        picture(_solids.cube, Scene(), 0)
