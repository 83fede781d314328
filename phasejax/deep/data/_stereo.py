r"""Stereo pairs as pure functions of a key: one object seen twice, shifted apart, jittered, with pixel noise.

World coordinates run from -1 to 1 (pixel j of s has its centre at (2j + 1)/s - 1; x points to the right, y down). An
object at p appears in the two views at p - (b/2, 0) and p + (b/2, 0), with b the baseline, moved by a shift drawn from
N(0, sigma^2) in either direction and then turned about the image's centre by an angle drawn from N(0, sigma_r^2), in
radians; sigma is the jitter. Each view samples the canonical image I bilinearly, with zero outside, at

.. math::  R(-t)\, o - (t_x, t_y), \qquad R(-t) = \begin{pmatrix} \cos t & \sin t \\ -\sin t & \cos t \end{pmatrix}

for the pixel at o, with t the angle and (t_x, t_y) the whole shift: what I shows at q appears at R(t)(q + (t_x, t_y)).
Pixel noise of standard deviation 0.1 is added to x, and of the given one to y (no draw is beyond 4.3 standard
deviations); both are clipped to [0, 1]. The shape is the signal. The position is the nuisance, which both views share
all the more the less they jitter.

Source: K26, appendix B.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import KeyLike, check_count, check_key, is_traced
from phasejax.deep.data._batch import Views

BASELINE = 0.4  # b in the text of the module
REACH = 0.5  # positions are uniform on [-REACH, REACH]^2
NOISE_X = 0.1  # standard deviation of the pixel noise on x
_LARGEST_SIDE = 4096  # pixels, beyond which pictures take gigabytes
# Coefficients of the polynomial P in `_white_noise`, highest power first: Chebyshev's interpolation on [0, 10.4].
_QUANTILE = (4.63235519e-07, -2.58825658e-05, 5.61057977e-04, -5.77204352e-03, 2.01006908e-02, 3.25958230e-01,
             1.25351851)


@pytree
class Stereo:
    """The shapes that stereo pairs show.

    Args:
        images: canonical images of the shapes, values 0 to 1, shape (shapes, s, s, c).
        turn: standard deviation of the rotation in radians; None for as much as that of the shifts.
    """

    images: Float[HostOrDevice, "shapes s s_x c"]
    turn: float | None


@checked
def render(stereo: Stereo, key: KeyLike, shape: Int[ArrayLike, ""], position: Float[ArrayLike, "2"],
           jitter: Float[ArrayLike, ""], noise: Float[ArrayLike, ""]
           ) -> tuple[Float[Array, "s s c"], Float[Array, "s s c"]]:
    """One pair of views of a given shape at a given position.

    Args:
        stereo: the shapes.
        key: from which jitter and noise are drawn.
        shape: number of the shape.
        position: (x, y) of the object in world coordinates.
        jitter: standard deviation of each view's own shift, in half image sides, 0 to 1.
        noise: standard deviation of the pixel noise on y, 0 to 1.

    Returns:
        The views x and y, values 0 to 1.

    Raises:
        ValueError: jitter or noise out of range, where it is not traced.

    Source: K26, appendix B.

    >>> x, y = render(stereo_dsprites(16), jax.random.key(0), 1, jnp.zeros(2), jitter=0.1, noise=0.2)
    >>> x.shape, y.shape
    ((16, 16, 1), (16, 16, 1))
    """
    key = check_key("key", key)
    if np.shape(position) != (2,):
        raise ValueError(f"position: expected (x, y), got shape {np.shape(position)}")
    x, y = _render_rows(stereo, key[None], jnp.asarray(shape)[None], jnp.asarray(position)[None], jitter, noise)
    return x[0], y[0]


@checked
def draw(stereo: Stereo, keys: Key[Array, "n"], jitter: Float[ArrayLike, ""], noise: Float[ArrayLike, ""]) -> Views:
    """Pairs with random shapes and positions, one for each key.

    Args:
        stereo: the shapes.
        keys: a key decides the shape, the position, and the standard normals that `jitter` and `noise` scale.
        jitter, noise: as in `render`.

    Returns:
        The pairs with their shapes as labels; positions are uniform on [-0.5, 0.5]^2.

    Raises:
        ValueError: jitter or noise out of range, where it is not traced.

    Source: K26, appendix B.

    >>> views = draw(stereo_dsprites(16), jax.random.split(jax.random.key(0), 5), jitter=0.1, noise=0.2)
    >>> views.x.shape, views.label.shape, views.position.shape
    ((5, 16, 16, 1), (5,), (5, 2))
    """
    key_shape, key_position, key_views = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)
    shape = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(stereo.images)))(key_shape)
    position = jax.vmap(lambda key: jax.random.uniform(key, (2,), minval=-REACH, maxval=REACH))(key_position)
    x, y = _render_rows(stereo, key_views, shape, position, jitter, noise)
    return Views(x=x, y=y, label=shape, position=position)


def _render_rows(stereo, keys, shapes, positions, jitter, noise):
    for name, value in (("jitter", jitter), ("noise", noise)):
        if not is_traced(value) and not 0 <= float(value) <= 1:
            raise ValueError(f"{name}: expected a number from 0 to 1, got {value}")
    images = jnp.asarray(stereo.images)
    key_move, *key_noise = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)
    moves = jax.vmap(lambda key: jax.random.normal(key, (2, 3)))(key_move)
    turns = moves[..., 2] * (jitter if stereo.turn is None else stereo.turn)

    # The views are rendered one after the other: for slices of an array of both, the CPU program is ten times as slow.
    def view(i, offset, scale):
        shifts = positions + jnp.array([offset, 0.0]) + jitter * moves[:, i, :2]
        clean = _warp_rows(images, shapes, shifts, turns[:, i])
        # Noise is added to long vectors, since loops over the few colours of a pixel are slow.
        white = _white_noise(key_noise[i], images[0].size).astype(images.dtype)
        return jnp.clip(clean.reshape(white.shape) + scale * white, 0, 1).reshape(clean.shape)

    return view(0, -BASELINE / 2, NOISE_X), view(1, BASELINE / 2, noise)


def _white_noise(keys, count):
    r"""`count` standard normals for each key, on a grid of 65,536 quantiles, which ends at 4.3.

    JAX's own generator, Threefry with twenty rounds, would take as long as everything else together. Here the number
    of each pixel is mixed with one half of the key and then with the other by a bijection of 32-bit words without known
    bias, Wellons' "lowbias32" (2018). Its upper 16 bits give u in (-1, 1), and the normal is the quantile at (1 + u)/2,

    .. math::  u\, P\bigl(-\log(1 - u^2)\bigr)

    with a polynomial P that is accurate to 2e-4 over the grid.
    """
    pixels = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(0x9E3779B1)  # far apart, so that keys may be close
    first, second = jnp.split(jax.random.key_data(keys)[:, -2:], 2, axis=1)
    u = ((_mix_bits(_mix_bits(pixels + first) + second) >> 16).astype(jnp.float32) + 0.5) / 2**15 - 1
    normals = u * jnp.polyval(jnp.array(_QUANTILE, jnp.float32), -jnp.log((1 - u) * (1 + u)), unroll=len(_QUANTILE))
    # The barrier keeps this loop vector code: fused with the reading of pixels it would be scalar.
    return jax.lax.optimization_barrier(normals)


def _mix_bits(words):
    words = (words ^ (words >> 16)) * jnp.uint32(0x21F0AAAD)
    words = (words ^ (words >> 15)) * jnp.uint32(0xD35A2D97)
    return words ^ (words >> 15)


def warp(image: Float[HostOrDevice, "s s_x c"], shift: Float[ArrayLike, "2"], turn: Float[ArrayLike, ""]
         ) -> Float[Array, "s s_x c"]:
    """An image moved by a shift and then turned about its centre; the formula is in the text of the module.

    Args:
        image: a square image, shape (s, s, c).
        shift: (t_x, t_y), to the right and down, in half image sides.
        turn: the angle t in radians, from right to down.

    Returns:
        The moved image, zero where it shows what was outside.
    """
    return _warp_rows(jnp.asarray(image)[None], jnp.zeros(1, int), jnp.asarray(shift)[None], jnp.asarray(turn)[None])[0]


def _warp_rows(images, which, shifts, turns):
    """For every row i, `warp` of images[which[i]] by shifts[i] and turns[i]."""
    side = images.shape[1]
    # A border of zero pixels; places further outside are clipped to it and sample zero too.
    padded = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0)))
    # Places in pixels from the image's centre: there the pixel (0, 0) of the padded image is at -(half + 1).
    half = (side - 1) / 2
    u, v = jnp.meshgrid(*2 * [jnp.arange(side, dtype=images.dtype) - half], sparse=True)
    cos, sin, right, down = (of_row[:, None, None] for of_row in (jnp.cos(turns), jnp.sin(turns), *shifts.T * side / 2))
    column, row = (jnp.clip(at, 0, side + 1) for at in (
        cos * u + sin * v + (half + 1 - right), cos * v - sin * u + (half + 1 - down)))
    top, left = row.astype(jnp.int32), column.astype(jnp.int32)
    first = (which[:, None, None] * (side + 3) + top) * (side + 3) + left
    # The barrier keeps the arithmetic above vector code, as in `_white_noise`.
    first, down, right = jax.lax.optimization_barrier((first, row - top, column - left))
    down, right, flat = down[..., None], right[..., None], padded.reshape(-1, images.shape[3])

    def pixel(offset):
        return flat.at[first + offset].get(mode="promise_in_bounds")

    upper = pixel(0) * (1 - right) + pixel(1) * right
    lower = pixel(side + 3) * (1 - right) + pixel(side + 4) * right
    return upper * (1 - down) + lower * down


@checked
def stereo_dsprites(size: int = 64, path: str | None = None) -> Stereo:
    """Square, ellipse and heart in grey, from the published file or drawn from their outlines.

    Args:
        size: side of the images in pixels.
        path: the published file dsprites_ndarray_*.npz; the shapes are drawn when left out.

    Returns:
        Three shapes, turned as much as they are shifted.

    Raises:
        ValueError: a file of another layout, a size that does not divide the side of its images.

    Source: Matthey et al. 2017, dSprites; K26, appendix B.

    >>> stereo_dsprites(16).images.shape
    (3, 16, 16, 1)
    """
    from phasejax.deep.data import _published, _sprites

    check_count("size", size, most=_LARGEST_SIDE)
    images = _sprites.outlines(size) if path is None else _published.dsprites(path, size)
    return Stereo(images=np.asarray(images, np.float32), turn=None)


@checked
def stereo_shapes3d(size: int = 64, path: str | None = None) -> Stereo:
    """Cube, cylinder, sphere and capsule in colour, from the published file or drawn by ray marching.

    Args:
        size: side of the images in pixels.
        path: the published file 3dshapes.h5; the solids are drawn when left out.

    Returns:
        Four shapes, hardly turned: by 0.02 radians (standard deviation).

    Raises:
        ValueError: a file of another layout, a size that does not divide the side of its images.
        ImportError: a file was given and h5py is not installed.

    Source: Burgess and Kim 2018, 3DShapes; K26, appendix B.
    """
    from phasejax.deep.data import _published, _solids

    check_count("size", size, most=_LARGEST_SIDE)
    images = _solids.images(size) if path is None else _published.shapes3d(path, size)
    return Stereo(images=np.asarray(images, np.float32), turn=0.02)
