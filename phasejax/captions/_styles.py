r"""Sixteen styles of images in six groups, each a function of an image and of a strength t from 0 to 1.

With x an image, values 0 to 1 in red, green and blue, L = 0.299 R + 0.587 G + 0.114 B its luminance, m its mean and
r the distance from its centre in half sides, before everything is clipped to [0, 1]:

=============  ===============================================================================================
sepia          (1 - t) x + t S x with the usual matrix S
bluish         (R - 0.10 t, G, B + 0.20 t)
amber          (R + 0.15 t, G + 0.06 t, B - 0.12 t)
greenish       (R - 0.08 t, G + 0.15 t, B - 0.08 t)
overexposed    (1 + t) x + 0.15 t
underexposed   (1 - 0.7 t) x
contrasty      m + (1 + 2 t)(x - m)
flat           m + (1 - 0.8 t)(x - m)
grainy         x + 0.25 t z with z standard normal in every value
blurred        Gaussian blur of standard deviation 1 + 5 t, in 224ths of the side
posterized     floor(q x)/(q - 1) with q = round(8 - 6 t) levels
solarized      1 - x where x > 1 - t/2
vivid          L + (1 + 2.5 t)(x - L)
muted          L + (1 - 0.9 t)(x - L)
vignetted      x (1 - t min(r^2/2, 1))
spotlit        x (1 + t (1/2 - min(r^2, 1)))
=============  ===============================================================================================

Source: the published code of K26, whose images have 224 x 224 pixels: blurs are in units of their pixels here, so that
a style looks alike at any size. There a spotlight brightens the middle and leaves the edges as they are, which a bright
background does not show; here it also darkens them.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.validation import KeyLike, check_count, check_key, check_number, is_traced

STYLE_GROUPS = {"colour cast": ("sepia", "bluish", "amber", "greenish"), "exposure": ("overexposed", "underexposed"),
                "contrast": ("contrasty", "flat"), "texture": ("grainy", "blurred", "posterized", "solarized"),
                "saturation": ("vivid", "muted"), "spatial": ("vignetted", "spotlit")}
STYLES = tuple(style for group in STYLE_GROUPS.values() for style in group)
SIDE = 224  # of the published images, in whose pixels blurs are given
_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
_LUMINANCE = (0.299, 0.587, 0.114)
_SHIFTS = {"bluish": (-0.10, 0.0, 0.20), "amber": (0.15, 0.06, -0.12), "greenish": (-0.08, 0.15, -0.08)}


@checked
def apply_style(image: Float[ArrayLike, "h w 3"], style: Int[ArrayLike, ""], strength: Float[ArrayLike, ""],
                key: KeyLike) -> Float[Array, "h w 3"]:
    """An image in one of the sixteen styles; the formulas are in the text of the module.

    Args:
        image: red, green and blue from 0 to 1, shape (h, w, 3).
        style: number of the style in `STYLES`, 0 to 15.
        strength: t, 0 to 1; no style but the blurred and the posterized changes an image at t = 0.
        key: from which grain is drawn.

    Returns:
        Values from 0 to 1.

    Raises:
        ValueError: a number that is no style, or a strength out of range, where they are not traced.

    Source: the published code of K26, section 4.3.

    >>> image = jnp.full((4, 4, 3), 0.5)
    >>> print(apply_style(image, STYLES.index("underexposed"), 1.0, jax.random.key(0))[0, 0])
    [0.15 0.15 0.15]
    """
    key = check_key("key", key)
    if not is_traced(style):
        check_count("style", style, 0, len(STYLES) - 1)
    if not is_traced(strength):
        check_number("strength", strength, least=0, most=1)
    functions = [_FUNCTIONS[name] for name in STYLES]
    return jax.lax.switch(style, functions, jnp.asarray(image, jnp.float32), jnp.asarray(strength, jnp.float32), key)


def in_styles(image: Float[Array, "h w 3"], styles: Int[Array, "6"], strengths: Float[Array, "6"], key: KeyLike
              ) -> Float[Array, "h w 3"]:
    """An image in a style of each group, one after the other.

    Args:
        image: values 0 to 1.
        styles: number in `STYLES` for each group; -1 for none.
        strengths: of each.
        key: from which grain is drawn.
    """
    first = 0
    for group, names in enumerate(STYLE_GROUPS.values()):
        # Under vmap every branch is computed: two or four of a group, not all sixteen for each group.
        functions = [_unchanged, *(_FUNCTIONS[name] for name in names)]
        image = jax.lax.switch(jnp.where(styles[group] < 0, 0, styles[group] - first + 1), functions, image,
                               strengths[group], key)
        first += len(names)
    return image


@checked
def gaussian_blur(image: Float[ArrayLike, "h w c"], sigma: Float[ArrayLike, ""]) -> Float[Array, "h w c"]:
    """An image under a Gaussian of a given width, mirrored at its edges, by a matrix product along either axis.

    Whatever sigma is, one program serves: the matrix of a 224 x 224 image is small beside any network.

    Args:
        image: shape (h, w, c).
        sigma: standard deviation in pixels, at most an eighth of the sides for the mirrored image to count once; 0
            leaves the image as it is.

    Raises:
        ValueError: a negative sigma, where it is not traced.

    >>> float(gaussian_blur(jnp.eye(9)[:, :, None], 1.0)[4, 4, 0]).__round__(3)
    0.282
    """
    if not is_traced(sigma):
        check_number("sigma", sigma, least=0)
    image = jnp.asarray(image)
    down, across = (_blur_matrix(side, sigma) for side in image.shape[:2])
    # Exactly, on accelerators too: their default precision would show as noise of three digits.
    return jnp.einsum("ij,jkc,lk->ilc", down, image, across, precision=jax.lax.Precision.HIGHEST)


def _blur_matrix(side, sigma):
    at = jnp.arange(side)
    # The images of pixel j in mirrors before the first and behind the last pixel.
    distances = jnp.stack([at[:, None] - at, at[:, None] + at + 1, at[:, None] + at + 1 - 2 * side])
    weights = jnp.exp(-0.5 * (distances / jnp.maximum(sigma, 1e-3))**2).sum(0)
    return weights / weights.sum(1, keepdims=True)


def _unchanged(image, strength, key):
    return image


def _clipped(function: Callable) -> Callable:
    return lambda image, strength, key: jnp.clip(function(image, strength, key), 0, 1)


def _sepia(image, strength, key):
    toned = jnp.clip(jnp.einsum("hwc,dc->hwd", image, jnp.array(_SEPIA), precision=jax.lax.Precision.HIGHEST), 0, 1)
    return (1 - strength) * image + strength * toned


def _shifted(name):
    return lambda image, strength, key: image + strength * jnp.array(_SHIFTS[name])


def _spread_about(centre: Callable, change: float) -> Callable:
    """Differences from a centre times 1 + change t."""
    return lambda image, strength, key: centre(image) + (1 + change * strength) * (image - centre(image))


def _luminance(image):
    return (image * jnp.array(_LUMINANCE)).sum(-1, keepdims=True)


def _grainy(image, strength, key):
    return image + 0.25 * strength * jax.random.normal(key, image.shape)


def _blurred(image, strength, key):
    return gaussian_blur(image, (1 + 5 * strength) * image.shape[0] / SIDE)


def _posterized(image, strength, key):
    levels = jnp.round(8 - 6 * strength)
    return jnp.floor(image * levels) / (levels - 1)


def _solarized(image, strength, key):
    return jnp.where(image > 1 - 0.5 * strength, 1 - image, image)


def _squared_radius(image):
    down, across = (jnp.linspace(-1, 1, side) for side in image.shape[:2])
    return (down[:, None]**2 + across**2)[..., None]


def _vignetted(image, strength, key):
    return image * (1 - strength * jnp.minimum(_squared_radius(image) / 2, 1))


def _spotlit(image, strength, key):
    return image * (1 + strength * (0.5 - jnp.minimum(_squared_radius(image), 1)))


_FUNCTIONS = {name: _clipped(function) for name, function in {
    "sepia": _sepia, **{name: _shifted(name) for name in _SHIFTS},
    "overexposed": lambda image, strength, key: (1 + strength) * image + 0.15 * strength,
    "underexposed": lambda image, strength, key: (1 - 0.7 * strength) * image,
    "contrasty": _spread_about(jnp.mean, 2.0), "flat": _spread_about(jnp.mean, -0.8),
    "grainy": _grainy, "blurred": _blurred, "posterized": _posterized, "solarized": _solarized,
    "vivid": _spread_about(_luminance, 2.5), "muted": _spread_about(_luminance, -0.9),
    "vignetted": _vignetted, "spotlit": _spotlit}.items()}
