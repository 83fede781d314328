r"""Stereo pairs as pure functions of a key: one object seen twice, shifted apart, jittered, with pixel noise.

With world coordinates from -1 to 1 (pixel j of s has its centre at (2j + 1)/s - 1; x to the right,
y down) an object at p shows in the views at p -/+ (b/2, 0), b the baseline, plus a shift
N(0, sigma^2) in each direction, turned by N(0, sigma_r^2) radians about the image's centre. Each
view samples the canonical image I bilinearly, zero outside, at

.. math::  R(-t)\, o - (t_x, t_y), \qquad R(-t) = \begin{pmatrix} \cos t & \sin t \\ -\sin t & \cos t \end{pmatrix}

for the pixel at o: what I shows at q appears at R(t)(q + (t_x, t_y)). Noise N(0, 0.1^2) is added to x,
N(0, noise^2) to y (none beyond 4.3 deviations), and both are clipped to [0, 1]. The shape is the signal,
the position the nuisance that both views share, all the more the less they jitter.

Source: K26, appendix B.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import is_traced
from phasejax.deep.data._batch import Views

BASELINE = 0.4
REACH = 0.5  # positions are uniform on [-REACH, REACH]^2
NOISE_X = 0.1
# Of P in `_white`, highest power first: Chebyshev's interpolation over 0 to 10.4.
_QUANTILE = (4.63235519e-07, -2.58825658e-05, 5.61057977e-04, -5.77204352e-03, 2.01006908e-02, 3.25958230e-01,
             1.25351851)


@pytree
class Stereo:
    """What the two views look at.

    Args:
        images: canonical images of the shapes, values 0 to 1, shape (shapes, s, s, c).
        turn: standard deviation of the rotation in radians; None for that of the shifts.
    """

    images: Float[HostOrDevice, "shapes s s_x c"]
    turn: float | None


def render(stereo: Stereo, key: Key[Array, ""], shape: Int[ArrayLike, ""], position: Float[ArrayLike, "2"],
           jitter: Float[ArrayLike, ""], noise: Float[ArrayLike, ""]
           ) -> tuple[Float[Array, "s s c"], Float[Array, "s s c"]]:
    """One pair of views.

    Args:
        stereo: the shapes.
        key: of jitter and noise.
        shape: which one.
        position: (x, y) of the object in world coordinates.
        jitter: standard deviation of the shifts, half image sides, 0 to 1.
        noise: standard deviation of the pixel noise on y, 0 to 1.

    Raises:
        ValueError: jitter or noise out of range, where it is not traced.
    """
    x, y = _rendered(stereo, key[None], jnp.asarray(shape)[None], jnp.asarray(position)[None], jitter, noise)
    return x[0], y[0]


def draw(stereo: Stereo, keys: Key[Array, "n"], jitter: Float[ArrayLike, ""], noise: Float[ArrayLike, ""]) -> Views:
    """Pairs with random shapes and positions, one for each key.

    Args:
        stereo: the shapes.
        keys: the same key gives the same shape, position, and draws that `jitter` and `noise` scale.
        jitter, noise: as in `render`.

    Raises:
        ValueError: as `render`.
    """
    key_shape, key_position, key_views = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)
    shape = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(stereo.images)))(key_shape)
    position = jax.vmap(lambda key: jax.random.uniform(key, (2,), minval=-REACH, maxval=REACH))(key_position)
    return Views(*_rendered(stereo, key_views, shape, position, jitter, noise), shape, position)


def _rendered(stereo, keys, shapes, positions, jitter, noise):
    for name, value in (("jitter", jitter), ("noise", noise)):
        if not is_traced(value) and not 0 <= float(value) <= 1:
            raise ValueError(f"{name}: expected a number from 0 to 1, got {value}")
    images = jnp.asarray(stereo.images)
    key_move, *key_noise = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)
    moves = jax.vmap(lambda key: jax.random.normal(key, (2, 3)))(key_move)
    turns = moves[..., 2] * (jitter if stereo.turn is None else stereo.turn)

    # One view after the other: on the CPU slices of both at once are compiled into a program ten times as slow.
    def view(i, offset, scale):
        shifts = positions + jnp.array([offset, 0.0]) + jitter * moves[:, i, :2]
        clean = _moved(images, shapes, shifts, turns[:, i])
        # In long vectors: loops over the colours of a pixel are slow.
        white = _white(key_noise[i], images[0].size).astype(images.dtype)
        return jnp.clip(clean.reshape(white.shape) + scale * white, 0, 1).reshape(clean.shape)

    return view(0, -BASELINE / 2, NOISE_X), view(1, BASELINE / 2, noise)


def _white(keys, count):
    """Standard normals on a grid of 65,536 quantiles, none beyond 4.3; so many for each key.

    Threefry's twenty rounds would take as long as all else together. Each pixel's number is mixed with one half
    of the key and then with the other by a bijection of 32 bits without known bias, that of Wellons 2018
    ("lowbias32"). The quantile of uniform (1 + u)/2 is u P(-log(1 - u^2)), P to 2e-4 over the grid.
    """
    pixels = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(0x9E3779B1)  # far apart, so that keys may be close
    first, second = jnp.split(jax.random.key_data(keys)[:, -2:], 2, axis=1)
    u = ((_mixed(_mixed(pixels + first) + second) >> 16).astype(jnp.float32) + 0.5) / 2**15 - 1
    normals = u * jnp.polyval(jnp.array(_QUANTILE, jnp.float32), -jnp.log((1 - u) * (1 + u)), unroll=len(_QUANTILE))
    # By itself it is vector code, which reading pixels in the same loop would undo.
    return jax.lax.optimization_barrier(normals)


def _mixed(words):
    words = (words ^ (words >> 16)) * jnp.uint32(0x21F0AAAD)
    words = (words ^ (words >> 15)) * jnp.uint32(0xD35A2D97)
    return words ^ (words >> 15)


def warp(image: Float[HostOrDevice, "s s_x c"], shift: Float[ArrayLike, "2"], turn: Float[ArrayLike, ""]
         ) -> Float[Array, "s s_x c"]:
    """The image moved by (right, down) in half sides and then turned about its centre; see the text of the module.

    Args:
        image: square, shape (s, s, c).
        shift: (t_x, t_y).
        turn: t in radians.
    """
    return _moved(jnp.asarray(image)[None], jnp.zeros(1, int), jnp.asarray(shift)[None], jnp.asarray(turn)[None])[0]


def _moved(images, which, shifts, turns):
    """`warp` of images[which[i]] by shifts[i] and turns[i]."""
    side = images.shape[1]
    # One pixel of zeros around; what lies further out samples it too.
    padded = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0)))
    # In pixels from the centre, where the pixel (0, 0) of the padded image is at -(half + 1).
    half = (side - 1) / 2
    u, v = jnp.meshgrid(*2 * [jnp.arange(side, dtype=images.dtype) - half], sparse=True)
    cos, sin, right, down = (of_row[:, None, None] for of_row in (jnp.cos(turns), jnp.sin(turns), *shifts.T * side / 2))
    column, row = (jnp.clip(at, 0, side + 1) for at in (
        cos * u + sin * v + (half + 1 - right), cos * v - sin * u + (half + 1 - down)))
    top, left = row.astype(jnp.int32), column.astype(jnp.int32)
    first = (which[:, None, None] * (side + 3) + top) * (side + 3) + left
    # Vector code by itself, as the normals.
    first, down, right = jax.lax.optimization_barrier((first, row - top, column - left))
    down, right, flat = down[..., None], right[..., None], padded.reshape(-1, images.shape[3])

    def pixel(offset):
        return flat.at[first + offset].get(mode="promise_in_bounds")

    upper = pixel(0) * (1 - right) + pixel(1) * right
    lower = pixel(side + 3) * (1 - right) + pixel(side + 4) * right
    return upper * (1 - down) + lower * down


def stereo_dsprites(size: int = 64, path: str | None = None) -> Stereo:
    """Square, ellipse and heart in grey; from the published file, or drawn from their outlines.

    Args:
        size: side of the images in pixels.
        path: of dsprites_ndarray_*.npz.
    """
    from phasejax.deep.data import _published, _sprites

    images = _sprites.outlines(size) if path is None else _published.dsprites(path, size)
    return Stereo(images=np.asarray(images, np.float32), turn=None)


def stereo_shapes3d(size: int = 64, path: str | None = None) -> Stereo:
    """Cube, cylinder, sphere and capsule in colour, hardly turned; from the published file, or drawn by ray marching.

    Args:
        size: side of the images in pixels.
        path: of 3dshapes.h5.
    """
    from phasejax.deep.data import _published, _solids

    images = _solids.images(size) if path is None else _published.shapes3d(path, size)
    return Stereo(images=np.asarray(images, np.float32), turn=0.02)
