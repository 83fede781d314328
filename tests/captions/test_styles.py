"""Each style against Pillow or SciPy, which know nothing of its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image, ImageEnhance, ImageOps

from phasejax.captions import STYLE_GROUPS, STYLES, apply_style, gaussian_blur
from phasejax.captions._styles import _blurred

SIDE = 65  # odd, so that a pixel is in the middle
KEY = jax.random.key(1)
RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (7, 7, 3), np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
# Every byte is in it, and no smooth function of the place.
NOISY = Image.fromarray(RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
styled = jax.jit(apply_style)


def shown(image, name, strength, key=KEY):
    return np.asarray(styled(values(image), STYLES.index(name), strength, key))


def values(image):
    return np.asarray(image, np.float32) / 255


def grey(image):
    return image.convert("L").convert("RGB")


def enhanced(enhancer, factor):
    return lambda image, t: values(enhancer(image).enhance(factor(t)))


def radius():
    """Distance from the middle in half sides, by SciPy's transform of distances."""
    middle = np.ones((SIDE, SIDE))
    middle[SIDE // 2, SIDE // 2] = 0
    return scipy.ndimage.distance_transform_edt(middle)[..., None] / (SIDE // 2)


def shifted(*shifts):
    """Pillow's table of values for each colour: shifts of red, green and blue, cut off at 0 and 255."""
    def look_up(image, t):
        moved = [v + 255 * t * shift for shift in shifts for v in range(256)]
        return values(image.point([round(min(max(v, 0), 255)) for v in moved]))

    return look_up


def sepia(image, t):
    matrix = (0.393, 0.769, 0.189, 0, 0.349, 0.686, 0.168, 0, 0.272, 0.534, 0.131, 0)
    return values(Image.blend(image, image.convert("RGB", matrix), t))


def posterized(image, t):
    bits = {0.0: 3, 0.66: 2, 1.0: 1}[t]
    return (np.asarray(ImageOps.posterize(image, bits)) >> (8 - bits)) / (2**bits - 1)


def blurred(image, t):
    sigma = (1 + 5 * t) * SIDE / 224
    return scipy.ndimage.gaussian_filter(values(image), (sigma, sigma, 0), mode="reflect", truncate=8)


ORACLES = {
    "sepia": sepia, "bluish": shifted(-0.10, 0, 0.20), "amber": shifted(0.15, 0.06, -0.12),
    "greenish": shifted(-0.08, 0.15, -0.08),
    "overexposed": lambda image, t: values(image.point([min(round(v * (1 + t) + 255 * 0.15 * t), 255)
                                                        for v in range(256)] * 3)),
    "underexposed": enhanced(ImageEnhance.Brightness, lambda t: 1 - 0.7 * t),
    # Pillow's mean is that of the luminance: the same on grey images, which these two are tried on.
    "contrasty": enhanced(ImageEnhance.Contrast, lambda t: 1 + 2 * t),
    "flat": enhanced(ImageEnhance.Contrast, lambda t: 1 - 0.8 * t),
    "blurred": blurred, "posterized": posterized,
    "solarized": lambda image, t: values(ImageOps.solarize(image, round(255 * (1 - t / 2) + 0.5))),
    "vivid": enhanced(ImageEnhance.Color, lambda t: 1 + 2.5 * t),
    "muted": enhanced(ImageEnhance.Color, lambda t: 1 - 0.9 * t),
    "vignetted": lambda image, t: values(image) * (1 - t * np.clip(radius()**2 / 2, 0, 1)),
    "spotlit": lambda image, t: np.clip(values(image) * (1 + t * (0.5 - np.clip(radius()**2, 0, 1))), 0, 1),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_style_is_what_pillow_or_scipy_make(name):
    for image in (SMOOTH, NOISY):
        taken = grey(image) if name in ("contrasty", "flat") else image
        for strength in (0.0, 0.66, 1.0):
            expected = ORACLES[name](taken, strength)
            # Pillow rounds to bytes, the luminance before it enlarges differences from it by up to 3.5.
            within = {"vivid": 2.6, "contrasty": 1.6, "muted": 1.6, "sepia": 1.6}.get(name, 1.01) / 255
            assert np.abs(shown(taken, name, strength) - expected).max() < within, strength


def test_grain_is_white_and_normal_with_a_quarter_of_the_strength():
    flat = Image.new("RGB", (SIDE, SIDE), (128, 128, 128))
    grain = (shown(flat, "grainy", 0.4) - 128 / 255).ravel()
    # 12,675 values of which none is cut off: five standard deviations are 0.5.
    assert scipy.stats.kstest(grain / 0.1, "norm").pvalue > 1e-3
    assert grain.std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * grain.size))
    image = grain.reshape(SIDE, SIDE, 3)
    for a, b in ((image[1:], image[:-1]), (image[:, 1:], image[:, :-1]), (image[..., 0], image[..., 1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)
    assert np.abs(shown(flat, "grainy", 0.4, jax.random.key(2)) - shown(flat, "grainy", 0.4)).min(2).max() > 0.05


def test_styles_have_their_groups_and_end_within_0_and_1():
    assert [len(styles) for styles in STYLE_GROUPS.values()] == [4, 2, 2, 4, 2, 2]
    for name in STYLES:
        found = shown(NOISY, name, 1.0)
        assert found.min() >= 0
        assert found.max() <= 1
        # Stronger is further away, and each style changes an image.
        distance = [np.abs(shown(SMOOTH, name, t) - values(SMOOTH)).mean() for t in (0.3, 1.0)]
        assert 0.002 < distance[0] < distance[1], name


def test_a_blur_keeps_means_and_looks_alike_at_any_size():
    image = values(NOISY)
    assert np.asarray(gaussian_blur(image, 2.5)).mean((0, 1)) == pytest.approx(image.mean((0, 1)), abs=1e-5)
    assert np.array_equal(gaussian_blur(image, 0.0), image)
    wide = np.kron(values(SMOOTH.resize((32, 32))), np.ones((2, 2, 1), np.float32))
    small, large = (np.asarray(jax.jit(_blurred)(one, 1.0, KEY)) for one in (wide[::2, ::2], wide))
    assert np.abs(large.reshape(32, 2, 32, 2, 3).mean((1, 3)) - small).mean() < 0.01


@pytest.mark.parametrize(("style", "strength", "said"), [
    (16, 0.5, "style: expected a whole number from 0 to 15, got 16"), (-1, 0.5, "style: expected"),
    (3, 1.5, "strength: expected a number of at least 0 and of at most 1, got 1.5"),
    (3, float("nan"), "strength: expected")])
def test_styles_out_of_range_are_refused(style, strength, said):
    with pytest.raises(ValueError, match=said):
        apply_style(jnp.zeros((4, 4, 3)), style, strength, KEY)
