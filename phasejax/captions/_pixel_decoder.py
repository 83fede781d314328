"""From a caption's code to the pixels of an image."""

import math
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from phasejax._core.validation import check_count
from phasejax.deep._convolution import transposed_convolution
from phasejax.deep._networks import TransposedConvolution

# Channels before the last doubling, twice as many before each one above it, up to so many.
_MOST = 256


class _Doubling(TransposedConvolution):
    """A transposed convolution that computes in a precision of its own; its parameters are float32."""

    def __call__(self, images: Float[Array, "n h w channels"]) -> Float[Array, "n 2*h 2*w out"]:
        kernel, bias = (parameter[...].astype(images.dtype) for parameter in (self.kernel, self.bias))
        return transposed_convolution(images, kernel) + bias


class PixelDecoder(nnx.Module):
    """A dense layer to a few pixels, then transposed convolutions that double the sides; pixels are linear.

    The sides are doubled as often as that leaves at least four pixels to begin with: 224 is 7 times 2^5, 64 is 4 times
    2^4. A relu follows each layer but the last.

    Args:
        size: side of the images in pixels.
        width: channels before the last doubling; twice as many before each one above it, up to 256.
        inputs: width of the code.
        dtype: precision of the computation, float32 or bfloat16; parameters and results are float32.
        rngs: random numbers for the parameters.

    Raises:
        ValueError: a size below 8 or one that begins with more than 16 pixels, such as 100 = 25 times 2^2.

    >>> made = nnx.eval_shape(lambda: PixelDecoder(size=224, rngs=nnx.Rngs(0)))  # nothing is computed
    >>> made.shape, len(made.doublings)
    ((7, 7, 256), 5)
    """

    def __init__(self, *, size: int = 224, width: int = 32, inputs: int = 128, dtype: DTypeLike = jnp.float32,
                 rngs: nnx.Rngs):
        for name, value in (("size", size), ("width", width), ("inputs", inputs)):
            check_count(name, value)
        side, doublings = size, 0
        while side % 2 == 0 and side >= 8:
            side, doublings = side // 2, doublings + 1
        if not doublings or side > 16:
            raise ValueError(f"size: expected a power of 2 times 4 to 16, 8 or more, got {size}")
        channels = [max(width, min(width << place, _MOST)) for place in reversed(range(doublings))]
        self.shape, self.dtype = (side, side, channels[0]), dtype
        self.code = nnx.Linear(inputs, math.prod(self.shape), kernel_init=nnx.initializers.he_normal(), dtype=dtype,
                               rngs=rngs)
        self.doublings = nnx.List([_Doubling(*pair, rngs=rngs) for pair in pairwise([*channels, 3])])

    def __call__(self, codes: Float[Array, "n inputs"]) -> Float[Array, "n size size 3"]:
        values = self.code(codes).reshape(-1, *self.shape)
        for doubling in self.doublings:
            values = doubling(nnx.relu(values))
        return values.astype(jnp.float32)
