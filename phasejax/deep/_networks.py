"""The networks of the nonlinear experiments in Flax NNX: encoder, decoder, heads, and MLPs for features.

Kernels are drawn from truncated normals of variance 2 / fan-in before an activation (He et al. 2015) and 1 / fan-in
before a linear output (LeCun et al. 1998), where fan-in is the number of values that are summed. Biases start at 0.
Parameters are float32. Images have shape (n, h, w, channels).

>>> encoder = Encoder(rngs=nnx.Rngs(0))
>>> encoder(jnp.zeros((2, 64, 64, 1))).shape
(2, 128)

For measured features with a bottleneck of 512 columns, alignment trains `MLP((d_x, 512))` and `MLP((d_y, 512))`, and
prediction `MLP((d_x, 512, d_y))`.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count
from phasejax.deep._convolution import strided_convolution, transposed_convolution

ENCODERS = ("convolutional", "mlp")
ACTIVATIONS = {"relu": nnx.relu, "gelu": nnx.gelu, "silu": nnx.silu, "tanh": jnp.tanh}
_HE, _LECUN = nnx.initializers.he_normal(), nnx.initializers.lecun_normal()
# Of the 16 taps (axes 0 and 1) of a transposed convolution's kernel only 4 are summed in a pixel, a quarter of what
# Flax counts as fan-in.
_HE_TRANSPOSED, _LECUN_TRANSPOSED = (
    nnx.initializers.variance_scaling(4 * gain, "fan_in", "truncated_normal", in_axis=3, out_axis=2) for gain in (2, 1))


class Convolution(nnx.Module):
    """A layer that halves the sides of images: `strided_convolution` plus a bias.

    Args:
        channels, out: numbers of channels of the images and of the result.
        kernel_init: initialiser of the kernel, whose shape is (4, 4, channels, out).
        rngs: random numbers for the parameters.
    """

    def __init__(self, channels: int, out: int, *, kernel_init: Callable = _HE, rngs: nnx.Rngs):
        self.kernel = nnx.Param(kernel_init(rngs.params(), (4, 4, channels, out)))
        self.bias = nnx.Param(jnp.zeros(out))

    def __call__(self, images: Float[HostOrDevice, "n h w c"]) -> Float[Array, "n h_out w_out out"]:
        return strided_convolution(images, self.kernel[...]) + self.bias[...]


class TransposedConvolution(nnx.Module):
    """A layer that doubles the sides of images: `transposed_convolution` plus a bias.

    Args:
        channels, out: numbers of channels of the images and of the result.
        kernel_init: initialiser of the kernel, whose shape is (4, 4, out, channels).
        rngs: random numbers for the parameters.
    """

    def __init__(self, channels: int, out: int, *, kernel_init: Callable = _HE_TRANSPOSED, rngs: nnx.Rngs):
        self.kernel = nnx.Param(kernel_init(rngs.params(), (4, 4, out, channels)))
        self.bias = nnx.Param(jnp.zeros(out))

    def __call__(self, images: Float[HostOrDevice, "n h w c"]) -> Float[Array, "n h_out w_out out"]:
        return transposed_convolution(images, self.kernel[...]) + self.bias[...]


class MLP(nnx.Module):
    """Dense layers on flattened rows, with an activation after each but the last.

    Args:
        widths: widths of the input, of the hidden layers and of the output; two or more.
        activation: function after each layer but the last.
        output_activation: function after the last layer, which is linear when left out.
        shape: shape of a row of the result, where that is no vector.
        rngs: random numbers for the parameters.

    Raises:
        ValueError: fewer than two widths, a width that is no positive integer, a shape of another size.
    """

    def __init__(self, widths: Sequence[int], *, activation: Callable = nnx.relu,
                 output_activation: Callable | None = None, shape: Sequence[int] | None = None, rngs: nnx.Rngs):
        _check_widths("widths", widths, least=2)
        self.shape = (widths[-1],) if shape is None else tuple(shape)
        if math.prod(self.shape) != widths[-1]:
            raise ValueError(f"shape: expected {widths[-1]} entries as the last width, got {self.shape}")
        *inner, last = pairwise(widths)
        last_init = _LECUN if output_activation is None else _HE
        self.layers = nnx.List([*(nnx.Linear(*pair, kernel_init=_HE, rngs=rngs) for pair in inner),
                                nnx.Linear(*last, kernel_init=last_init, rngs=rngs)])
        self.activation, self.output_activation = activation, output_activation

    def __call__(self, features: Float[HostOrDevice, "n *row"]) -> Float[Array, "n *outputs"]:
        values = jnp.asarray(features).reshape(features.shape[0], -1)
        for layer in self.layers[:-1]:
            values = self.activation(layer(values))
        values = self.layers[-1](values).reshape(-1, *self.shape)
        return values if self.output_activation is None else self.output_activation(values)


class ProjectionHead(MLP):
    """Two dense layers from an embedding to the outputs on which an alignment loss acts; the second is linear.

    Args:
        inputs, hidden, outputs: widths of the embedding, of the hidden layer and of the result.
        activation: function between the layers.
        rngs: random numbers for the parameters.
    """

    def __init__(self, inputs: int = 128, *, hidden: int = 128, outputs: int = 32, activation: Callable = nnx.relu,
                 rngs: nnx.Rngs):
        super().__init__((inputs, hidden, outputs), activation=activation, rngs=rngs)


class LinearHead(MLP):
    """One dense layer from an embedding to the logits of classes.

    Args:
        inputs, classes: width of the embedding, and number of classes.
        rngs: random numbers for the parameters.
    """

    def __init__(self, inputs: int = 128, *, classes: int, rngs: nnx.Rngs):
        super().__init__((inputs, classes), rngs=rngs)


class Encoder(nnx.Module):
    """Convolutions that halve the sides of images, then dense layers; an activation follows each layer but the last.

    Args:
        channels: number of channels of the images.
        size: side of the images, a multiple of 2 to the power of the number of convolutions.
        widths: channels after each convolution.
        hidden: widths of the dense layers before the last.
        outputs: width of the embedding.
        activation: function after each layer but the last.
        rngs: random numbers for the parameters.

    Raises:
        ValueError: a size that cannot be halved that often, a width that is no positive integer.

    Source: K26, appendix B: 64 x 64 images, 4 x 4 x 64 = 1024 values after the convolutions.
    """

    def __init__(self, channels: int = 1, *, size: int = 64, widths: Sequence[int] = (32, 32, 64, 64),
                 hidden: Sequence[int] = (256,), outputs: int = 128, activation: Callable = nnx.relu, rngs: nnx.Rngs):
        side = _smallest_side(size, widths)
        check_count("channels", channels)
        self.convolutions = nnx.List([Convolution(*pair, rngs=rngs) for pair in pairwise((channels, *widths))])
        self.dense = MLP((side * side * widths[-1], *hidden, outputs), activation=activation, rngs=rngs)
        self.activation = activation

    def __call__(self, images: Float[HostOrDevice, "n size size channels"]) -> Float[Array, "n outputs"]:
        values = jnp.asarray(images)
        for convolution in self.convolutions:
            values = self.activation(convolution(values))
        return self.dense(values.reshape(values.shape[0], -1))


class Decoder(nnx.Module):
    """The mirror image of `Encoder`: dense layers, then transposed convolutions that double the sides.

    An activation follows every layer but the last, whose pixels are linear by default: the best output under squared
    error is the conditional mean, which a saturating function reaches at 0 and 1 only with infinite weights.

    Args:
        channels: number of channels of the images.
        size: side of the images, a multiple of 2 to the power of the number of convolutions.
        widths: channels of the encoder's convolutions, from its first to its last; the decoder has them in reverse.
        hidden: widths of the encoder's dense layers, from its first to its last; the decoder has them in reverse.
        inputs: width of the embedding.
        activation: function after each layer but the last.
        output_activation: function of the pixels, which are linear when left out (nnx.sigmoid keeps them from 0 to 1).
        rngs: random numbers for the parameters.

    Raises:
        ValueError: as for `Encoder`.

    Source: K26, appendix B.
    """

    def __init__(self, channels: int = 1, *, size: int = 64, widths: Sequence[int] = (32, 32, 64, 64),
                 hidden: Sequence[int] = (256,), inputs: int = 128, activation: Callable = nnx.relu,
                 output_activation: Callable | None = None, rngs: nnx.Rngs):
        side = _smallest_side(size, widths)
        check_count("channels", channels)
        self.shape = (side, side, widths[-1])
        self.dense = MLP((inputs, *reversed(hidden), side * side * widths[-1]), activation=activation,
                         output_activation=activation, rngs=rngs)
        *inner, last = pairwise((*reversed(widths), channels))
        self.convolutions = nnx.List([TransposedConvolution(*pair, rngs=rngs) for pair in inner])
        last_init = _LECUN_TRANSPOSED if output_activation is None else _HE_TRANSPOSED
        self.last = TransposedConvolution(*last, kernel_init=last_init, rngs=rngs)
        self.activation, self.output_activation = activation, output_activation

    def __call__(self, embeddings: Float[HostOrDevice, "n inputs"]) -> Float[Array, "n size size channels"]:
        values = self.dense(embeddings).reshape(-1, *self.shape)
        for convolution in self.convolutions:
            values = self.activation(convolution(values))
        values = self.last(values)
        return values if self.output_activation is None else self.output_activation(values)


def _smallest_side(size, widths):
    """Side of the images after all convolutions."""
    _check_widths("widths", widths, least=1)
    check_count("size", size)
    if size % 2 ** len(widths):
        raise ValueError(f"size: expected a multiple of 2^{len(widths)}, one factor for each convolution, got {size}")
    return size // 2 ** len(widths)


def _check_widths(name, widths, least):
    if len(widths) < least:
        raise ValueError(f"{name}: expected at least {least}, got {len(widths)}")
    for width in widths:
        check_count(name, width)
