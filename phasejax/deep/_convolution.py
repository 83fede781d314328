r"""The convolution with 4 x 4 kernels, stride 2 and padding 1, and its transpose, as matrix products.

Both are derivatives of one trilinear form of images x, a kernel K and images y of half the side,

.. math::
    T(x, K, y) = \sum_{n,i,j} \sum_{a,b=0}^{3} \sum_{c,o} x_{n,\,2i+a-1,\,2j+b-1,\,c}\, K_{abco}\, y_{nijo}

(x is zero outside the image). The derivative in y is the convolution of x with K, that in x the transposed convolution
of y, and that in K the gradient of either in its kernel. The rules of differentiation below follow, and need no
scattering.

On blocks of 2 x 2 pixels of the padded x, with the 4c channels of a block side by side, K acts as a 2 x 2 kernel of
stride 1. Its four taps can be gathered on the side of x before a matrix product, or be spread on the side of y after:

.. math::  T = \langle G(x)\, M_K,\, y \rangle \quad \text{or} \quad T = \langle B(x)\, M'_K,\, S(y) \rangle

with B(x) the blocks, of 4c channels, G(x) the four blocks that a pixel of y sums over, of 16c channels, and S(y) the
four pixels of y in whose sums a block is, of 4o channels for o channels of y. The narrower one of G(x) and S(y) costs
less memory traffic, and is chosen.

XLA's own convolution (`jax.lax.conv_general_dilated`) is slow inside a loop on the CPU: a training step of the encoder
of K26 in a `lax.scan`, with images of 32 or 64 pixels in batches of 64 or 128, takes it about 30 to 40 times as long as
this module (`python -m benchmarks convolution`). Under `vmap`, with a kernel for each cell, it becomes a grouped
convolution, whereas this becomes a batch of products.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phasejax._core.pytree import HostOrDevice

# Offsets of the four taps in rows and columns of blocks, in the order of their channels.
_TAPS = ((0, 0), (0, 1), (1, 0), (1, 1))


def strided_convolution(images: Float[HostOrDevice, "n h w c"],
                        kernel: Float[HostOrDevice, "rows columns c_kernel out"]) -> Float[Array, "n h//2 w//2 out"]:
    r"""Convolve images with a 4 x 4 kernel, stride 2 and padding 1, which halves their sides.

    .. math::  y_{nijo} = \sum_{a,b,c} x_{n,\,2i+a-1,\,2j+b-1,\,c}\, K_{abco}

    It has reverse-mode derivatives only (no `jvp`).

    Args:
        images: x, shape (n, h, w, c), with even h and w.
        kernel: K, shape (4, 4, c, out).

    Returns:
        y, shape (n, h/2, w/2, out).

    Raises:
        ValueError: an odd side, a kernel of another shape or with another number of channels.

    >>> strided_convolution(jnp.ones((1, 4, 4, 1)), jnp.ones((4, 4, 1, 1)))[0, :, :, 0].tolist()
    [[9.0, 9.0], [9.0, 9.0]]
    """
    _check_kernel(kernel)
    if images.shape[-1] != kernel.shape[2]:
        raise ValueError(f"images: expected {kernel.shape[2]} channels as the kernel, got {images.shape[-1]}")
    if images.shape[1] % 2 or images.shape[2] % 2:
        raise ValueError(f"images: expected even sides, got {images.shape[1]} x {images.shape[2]}")
    return _convolved(jnp.asarray(images), jnp.asarray(kernel))


def transposed_convolution(images: Float[HostOrDevice, "n h w c"],
                           kernel: Float[HostOrDevice, "rows columns out c_kernel"]) -> Float[Array, "n 2*h 2*w out"]:
    r"""The adjoint of `strided_convolution` with the same kernel, which doubles the sides of images.

    .. math::  \langle \mathrm{conv}_K\, x,\, y \rangle = \langle x,\, \mathrm{conv}_K^\top y \rangle

    Every pixel of the result is a sum over 2 x 2 pixels of the images. It has reverse-mode derivatives only.

    Args:
        images: y, shape (n, h, w, c).
        kernel: K, shape (4, 4, out, c), the kernel of the convolution that is transposed.

    Returns:
        Images of shape (n, 2h, 2w, out).

    Raises:
        ValueError: a kernel of another shape or with another number of channels.

    >>> transposed_convolution(jnp.ones((1, 1, 1, 1)), jnp.arange(16.0).reshape(4, 4, 1, 1))[0, :, :, 0].tolist()
    [[5.0, 6.0], [9.0, 10.0]]
    """
    _check_kernel(kernel)
    if images.shape[-1] != kernel.shape[3]:
        raise ValueError(f"images: expected {kernel.shape[3]} channels as the kernel, got {images.shape[-1]}")
    return _transposed(jnp.asarray(images), jnp.asarray(kernel))


def _check_kernel(kernel):
    if kernel.ndim != 4 or kernel.shape[:2] != (4, 4):
        raise ValueError(f"kernel: expected shape (4, 4, channels, channels), got {kernel.shape}")


@jax.custom_vjp
def _convolved(x, kernel):
    out = _times_matrix(_factor_of_x(x, kernel.shape), _matrix_of_kernel(kernel))
    return out if _taps_on_x(kernel.shape) else _spread_transposed(out)


@jax.custom_vjp
def _transposed(y, kernel):
    out = _times_matrix(_factor_of_y(y, kernel.shape), _matrix_of_kernel(kernel).T)
    return _unblocked(_gathered_transposed(out) if _taps_on_x(kernel.shape) else out)


def _kernel_gradient(x, y, shape):
    """The derivative of T in K."""
    left, right = _factor_of_x(x, shape), _factor_of_y(y, shape)
    return _kernel_of_matrix(left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1]), shape)


_convolved.defvjp(
    lambda x, kernel: (_convolved(x, kernel), (x, kernel)),
    lambda saved, g: (_transposed(g, saved[1]), _kernel_gradient(saved[0], g, saved[1].shape)))
_transposed.defvjp(
    lambda y, kernel: (_transposed(y, kernel), (y, kernel)),
    lambda saved, g: (_convolved(g, saved[1]), _kernel_gradient(g, saved[0], saved[1].shape)))


def _taps_on_x(shape):
    """Whether the four taps are gathered on the side of x, where G(x) is no wider than S(y)."""
    return 4 * shape[2] <= shape[3]


def _factor_of_x(x, shape):
    return _gathered(_blocks(x)) if _taps_on_x(shape) else _blocks(x)


def _factor_of_y(y, shape):
    return y if _taps_on_x(shape) else _spread(y)


def _times_matrix(images, matrix):
    return (images.reshape(-1, images.shape[-1]) @ matrix).reshape(*images.shape[:-1], matrix.shape[1])


def _matrix_of_kernel(kernel):
    """M_K or M'_K: rows for the pixels of a block and the channels of x, columns for y, taps on either side."""
    c, out = kernel.shape[2:]
    split = kernel.reshape(2, 2, 2, 2, c, out)  # (tap, pixel) in rows, in columns
    if _taps_on_x(kernel.shape):
        return split.transpose(0, 2, 1, 3, 4, 5).reshape(16 * c, out)
    return split.transpose(1, 3, 4, 0, 2, 5).reshape(4 * c, 4 * out)


def _kernel_of_matrix(matrix, shape):
    """The inverse of `_matrix_of_kernel`."""
    c, out = shape[2:]
    if _taps_on_x(shape):
        return matrix.reshape(2, 2, 2, 2, c, out).transpose(0, 2, 1, 3, 4, 5).reshape(shape)
    return matrix.reshape(2, 2, c, 2, 2, out).transpose(3, 0, 4, 1, 2, 5).reshape(shape)


def _blocks(x):
    """B(x): images (n, h, w, c) padded by 1 and cut into blocks, (n, h/2 + 1, w/2 + 1, 4c)."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return jnp.concatenate([x[:, i::2, j::2] for i, j in _TAPS], axis=-1)


def _unblocked(blocks):
    """The transpose of `_blocks`."""
    n, h, w, channels = blocks.shape
    pixels = blocks.reshape(n, h, w, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(n, 2 * h, 2 * w, channels // 4)[:, 1:-1, 1:-1]


def _gathered(blocks):
    """The channels of every 2 x 2 blocks side by side: (n, h + 1, w + 1, c) to (n, h, w, 4c)."""
    h, w = blocks.shape[1] - 1, blocks.shape[2] - 1
    return jnp.concatenate([blocks[:, i:i + h, j:j + w] for i, j in _TAPS], axis=-1)


def _gathered_transposed(windows):
    """The transpose of `_gathered`."""
    return sum(_shifted(part, i, j) for part, (i, j) in zip(jnp.split(windows, 4, axis=-1), _TAPS, strict=True))


def _spread(y):
    """S(y): every pixel copied to the four blocks that it is a sum over, (n, h, w, c) to (n, h + 1, w + 1, 4c)."""
    return jnp.concatenate([_shifted(y, i, j) for i, j in _TAPS], axis=-1)


def _spread_transposed(taps):
    """The transpose of `_spread`."""
    h, w = taps.shape[1] - 1, taps.shape[2] - 1
    return sum(part[:, i:i + h, j:j + w] for part, (i, j) in zip(jnp.split(taps, 4, axis=-1), _TAPS, strict=True))


def _shifted(images, i, j):
    """Images in a frame one larger, i rows from its top and j columns from its left."""
    return jnp.pad(images, ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0)))
