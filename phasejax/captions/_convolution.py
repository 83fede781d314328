r"""Convolutions with square kernels of odd side k and padding (k - 1) / 2, and the maximum over 3 x 3 pixels.

.. math::  y_{nijo} = \sum_{a,b=0}^{k-1} \sum_c x_{n,\,si+a-p,\,sj+b-p,\,c}\, K_{abco}, \qquad p = (k - 1) / 2

with stride s, and x zero outside the image. On accelerators this is XLA's convolution. On a CPU it is a product of
matrices: the k taps of a row are gathered as channels of x, the product has the k taps of a column as channels, and
these are summed into y after a shift by rows. Rows are first dealt out by their remainder modulo s, so that nothing is
computed that the stride would drop. Each side is k times as large as it was, where gathering all taps on one side
would make that one k^2 times as large. Kernels of 3 x 3 with stride 1 take fewer products where that pays
(`winograd_convolution`).

On a CPU XLA's own convolution takes up to a hundred times as long, in a `lax.scan` and where images have few pixels
left (`python -m benchmarks captions`).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from phasejax._core.pytree import HostOrDevice
from phasejax.captions._winograd import winograd_convolution, winograd_gradients


def convolution(images: Float[HostOrDevice, "n h w c"], kernel: Float[HostOrDevice, "k k_columns c_kernel out"], *,
                stride: int = 1) -> Float[Array, "n h_out w_out out"]:
    """Convolve images with a kernel of odd side, padding them so that stride 1 keeps their size.

    It has reverse-mode derivatives only.

    Args:
        images: x, shape (n, h, w, c).
        kernel: K, shape (k, k, c, out) with k odd.
        stride: s; sides of the result are those of the images over s, rounded up.

    Raises:
        ValueError: a kernel that is not square, of even side, or with another number of channels.

    >>> convolution(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
    [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    k = kernel.shape[0]
    if kernel.ndim != 4 or kernel.shape[1] != k or k % 2 == 0:
        raise ValueError(f"kernel: expected shape (k, k, channels, channels) with odd k, got {kernel.shape}")
    if images.shape[-1] != kernel.shape[2]:
        raise ValueError(f"images: expected {kernel.shape[2]} channels as the kernel, got {images.shape[-1]}")
    return _convolved(stride, jnp.asarray(images), jnp.asarray(kernel))


def max_pool(images: Float[Array, "n h w c"]) -> Float[Array, "n h_out w_out c"]:
    """The largest of every 3 x 3 pixels around each second one; pixels outside the image count as 0.

    Where several pixels of a window are equal, and not 0, they share the gradient.

    Args:
        images: values of 0 and above, as after a relu, shape (n, h, w, c).

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    for axis in (2, 1):
        first, second, third = (_tap(images, axis, tap, 3, 2) for tap in range(3))
        images = jnp.maximum(jnp.maximum(first, second), third)
    return images


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolved(stride, images, kernel):
    on_cpu = winograd_convolution if _has_tiles(stride, images, kernel) else partial(_by_products, stride)
    return lax.platform_dependent(images, kernel, cpu=on_cpu,
                                  default=partial(_by_xla, stride))


def _forward(stride, images, kernel):
    return _convolved(stride, images, kernel), (images, kernel)


def _backward(stride, saved, gradient):
    def pulled_back(function, images, kernel, gradient):
        return jax.vjp(partial(function, stride), images, kernel)[1](gradient)

    on_cpu = winograd_gradients if _has_tiles(stride, *saved) else partial(pulled_back, _by_products)
    return lax.platform_dependent(*saved, gradient, cpu=on_cpu,
                                  default=partial(pulled_back, _by_xla))


_convolved.defvjp(_forward, _backward)


def _has_tiles(stride, images, kernel):
    """Whether 2 x 2 tiles cover the result, and products with channels take most of the time.

    With few channels it is the tiles that take it, and with fewer tiles than half the channels the kernel does.
    """
    n, h, w, c = images.shape
    if stride > 1 or kernel.shape[0] != 3 or h % 2 or w % 2:
        return False
    return min(kernel.shape[2:]) >= 16 and n * h * w // 4 >= max(c, kernel.shape[3]) // 2


def _by_xla(stride, images, kernel):
    p = kernel.shape[0] // 2
    return lax.conv_general_dilated(images, kernel, (stride, stride), ((p, p), (p, p)),
                                    dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_products(stride, images, kernel):
    k, _, c, out = kernel.shape
    if k * c <= out:  # few channels, such as the colours of an image: all taps are gathered on its side
        columns = jnp.concatenate([_tap(images, 2, b, k, stride) for b in range(k)], axis=-1)
        windows = jnp.concatenate([_tap(columns, 1, a, k, stride) for a in range(k)], axis=-1)
        return _times(windows, kernel.reshape(k * k * c, out))
    height, p = -(-images.shape[1] // stride), k // 2
    total = None
    for remainder in range(min(stride, k)):
        # Row i of the result sees row s i + a - p of the images, which is row i + shift of those with this remainder.
        taps = [a for a in range(k) if (a - p) % stride == remainder]
        rows = images[:, remainder::stride]
        if not rows.shape[1]:
            continue
        columns = jnp.concatenate([_tap(rows, 2, b, k, stride) for b in range(k)], axis=-1)
        matrix = kernel[jnp.array(taps)] if len(taps) < k else kernel
        products = _times(columns, matrix.transpose(1, 2, 0, 3).reshape(k * c, len(taps) * out))
        for a, product in zip(taps, jnp.split(products, len(taps), axis=-1), strict=True):
            shift = (a - p - remainder) // stride
            shifted = _padded(product, 1, -shift, height + shift - rows.shape[1])
            total = shifted if total is None else total + shifted
    return total


def _times(values, matrix):
    return (values.reshape(-1, values.shape[-1]) @ matrix).reshape(*values.shape[:-1], matrix.shape[1])


def _tap(images, axis, tap, k, stride):
    """The row or column that a tap of a kernel of side k sees at each place of the result, zero outside the image."""
    size = images.shape[axis]
    last = stride * (-(-size // stride) - 1) + tap - k // 2  # the last one seen
    padded = _padded(images, axis, k // 2 - tap, last + 1 - size)
    return lax.slice_in_dim(padded, 0, padded.shape[axis], stride, axis)


def _padded(images, axis, before, after):
    """Zeros added along an axis, or entries left out where their number is negative."""
    padding = [(0, 0, 0)] * images.ndim
    padding[axis] = (before, after, 0)
    return lax.pad(images, jnp.zeros((), images.dtype), padding)
