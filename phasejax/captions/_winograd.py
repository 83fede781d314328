r"""The convolution with 3 x 3 kernels, stride 1 and padding 1 in 16 products where the plain sum takes 36.

For two neighbouring outputs of a kernel of three taps, Winograd's minimal filtering takes four products:

.. math::  y = A^\top \bigl[(G g) \odot (B^\top d)\bigr]

with d the four inputs that the two outputs see. Taken along rows and along columns it gives 2 x 2 pixels of the result
from 4 x 4 of the images with 16 products instead of 36. Over all tiles, and summed over channels, each of the 16 is a
product of two matrices. What is lost are about two bits of the last digit.

Source: Lavin and Gray 2016, section 4.1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def winograd_convolution(images: Float[Array, "n h w c"], kernel: Float[Array, "3 3 c out"]
                         ) -> Float[Array, "n h w out"]:
    """Convolve images of even sides with a 3 x 3 kernel, padding them by 1.

    >>> winograd_convolution(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    n, h, w, _ = images.shape
    products = _product(_of_images(images), _of_kernel(kernel))
    return _of_products(products.reshape(4, 4, n, h // 2, w // 2, kernel.shape[3]))


def winograd_gradients(images: Float[Array, "n h w c"], kernel: Float[Array, "3 3 c out"],
                       gradient: Float[Array, "n h w out"]
                       ) -> tuple[Float[Array, "n h w c"], Float[Array, "3 3 c out"]]:
    """The gradient in the images and in the kernel, from that in the convolution."""
    in_images = winograd_convolution(gradient, kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    products = jax.lax.dot_general(_of_images(images), _of_gradient(gradient), (((1,), (1,)), ((0,), (0,))))
    return in_images, jax.vjp(_of_kernel, kernel)[1](products)[0]


def _product(left, right):
    """Each of 16 matrices times its partner."""
    return jax.lax.dot_general(left, right, (((2,), (1,)), ((0,), (0,))))


def _of_images(images):
    """B' d B of each tile: (n, h, w, c) to (16, tiles, c)."""
    n, h, w, c = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(n, h // 2 + 1, 2, w // 2 + 1, 2, c)
    rows = _inputs(padded[:, :, 0], padded[:, :, 1], 1)
    tiles = [tile for row in rows for tile in _inputs(row[:, :, :, 0], row[:, :, :, 1], 2)]
    return jnp.stack(tiles).reshape(16, -1, c)


def _inputs(even, odd, axis):
    """B' d along an axis, from the even and the odd entries of the padded images."""
    d0, d1, d2, d3 = (jax.lax.slice_in_dim(values, start, values.shape[axis] - 1 + start, axis=axis)
                      for start in (0, 1) for values in (even, odd))
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _of_kernel(kernel):
    """G g G': (3, 3, c, out) to (16, c, out)."""
    for axis in (0, 1):
        first, middle, last = (jax.lax.index_in_dim(kernel, tap, axis, keepdims=False) for tap in range(3))
        outer = (first + last) / 2
        kernel = jnp.stack([first, outer + middle / 2, outer - middle / 2, last], axis)
    return kernel.reshape(16, *kernel.shape[2:])


def _of_products(products):
    """A' m A of each tile: (4, 4, n, h / 2, w / 2, out) to (n, h, w, out)."""
    m0, m1, m2, m3 = products
    pairs = [jnp.stack([columns[0] + columns[1] + columns[2], columns[1] - columns[2] - columns[3]], axis=3)
             for columns in (m0 + m1 + m2, m1 - m2 - m3)]
    n, h, w, _, out = pairs[0].shape
    return jnp.stack(pairs, axis=2).reshape(n, 2 * h, 2 * w, out)


def _of_gradient(gradient):
    """A y A' of each tile: (n, h, w, out) to (16, tiles, out)."""
    n, h, w, out = gradient.shape
    split = gradient.reshape(n, h // 2, 2, w // 2, 2, out)
    rows = _outputs(split[:, :, 0], split[:, :, 1])
    return jnp.stack([tile for row in rows for tile in _outputs(row[:, :, :, 0], row[:, :, :, 1])]).reshape(16, -1, out)


def _outputs(first, second):
    """A y along an axis, from the first and the second entries of its pairs."""
    return first, first + second, first - second, -second
