"""Residual networks of images (He et al. 2016), of 18 or 50 layers, with batch or group normalisation."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_among, check_count, shown
from phasejax.captions._convolution import convolution, max_pool

NORMS = ("batch", "group")
# Number of blocks in each stage, and whether a block is a bottleneck of three convolutions.
DEPTHS = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}
# From this side on images pass a 7 x 7 convolution of stride 2 and a maximum of stride 2 before the first stage.
LARGE = 64
_HE = nnx.initializers.variance_scaling(2, "fan_out", "normal")


class Convolution(nnx.Module):
    """A convolution without bias whose parameters are float32.

    Args:
        channels, out: numbers of channels of the images and of the result.
        side: side of the kernel, odd.
        stride: the sides of images are divided by it.
        dtype: precision of the computation.
        rngs: random numbers for the parameters.
    """

    def __init__(self, channels: int, out: int, *, side: int = 3, stride: int = 1, dtype: DTypeLike = jnp.float32,
                 rngs: nnx.Rngs):
        self.kernel = nnx.Param(_HE(rngs.params(), (side, side, channels, out), jnp.float32))
        self.stride, self.dtype = stride, dtype

    def __call__(self, images: Float[Array, "n h w channels"]) -> Float[Array, "n h_out w_out out"]:
        return convolution(images.astype(self.dtype), self.kernel[...].astype(self.dtype), stride=self.stride)


class Normalisation(nnx.Module):
    """Batch or group normalisation of channels, with a learned scale and shift.

    Batch normalisation takes mean and variance over the rows and pixels of a batch in training and running averages of
    them elsewhere, to which a batch adds a tenth (PyTorch's momentum .1; the variance is over n, PyTorch's over n - 1).
    Group normalisation takes them over the pixels and channels of a group within each image, in at most 32 groups of
    two channels or more.

    Args:
        kind: "batch" or "group".
        channels: number of channels.
        dtype: precision of the result; statistics are float32.
        rngs: random numbers for the parameters.
    """

    def __init__(self, kind: str, channels: int, *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        if kind == "batch":
            self.layer = nnx.BatchNorm(channels, momentum=0.9, epsilon=1e-5, dtype=dtype, rngs=rngs)
        else:
            self.layer = nnx.GroupNorm(channels, num_groups=math.gcd(32, max(channels // 2, 1)), epsilon=1e-5,
                                       dtype=dtype, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w channels"], *, train: bool) -> Float[Array, "n h w channels"]:
        if isinstance(self.layer, nnx.BatchNorm):
            return self.layer(images, use_running_average=not train)
        return self.layer(images)


class ResidualBlock(nnx.Module):
    """Two 3 x 3 convolutions, or 1 x 1, 3 x 3 and 1 x 1 in a bottleneck, whose result is added to the input.

    Args:
        channels: number of channels of the input.
        width: channels of the 3 x 3 convolutions; a bottleneck's result has four times as many.
        bottleneck: whether there are three convolutions.
        stride: of the first 3 x 3 convolution and, where sizes change, of the 1 x 1 convolution of the input.
        norm, dtype, rngs: as for `ResNet`.
    """

    def __init__(self, channels: int, width: int, *, bottleneck: bool, stride: int, norm: str, dtype: DTypeLike,
                 rngs: nnx.Rngs):
        out = 4 * width if bottleneck else width
        sizes = ([(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)] if bottleneck
                 else [(channels, width, 3, stride), (width, out, 3, 1)])
        self.convolutions = nnx.List([Convolution(a, b, side=side, stride=step, dtype=dtype, rngs=rngs)
                                      for a, b, side, step in sizes])
        self.norms = nnx.List([Normalisation(norm, size[1], dtype=dtype, rngs=rngs) for size in sizes])
        self.shortcut = self.shortcut_norm = nnx.data(None)
        if stride > 1 or channels != out:
            self.shortcut = Convolution(channels, out, side=1, stride=stride, dtype=dtype, rngs=rngs)
            self.shortcut_norm = Normalisation(norm, out, dtype=dtype, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w channels"], *, train: bool) -> Float[Array, "n h_out w_out out"]:
        values = images
        for place, (convolved, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            values = norm(convolved(nnx.relu(values) if place else values), train=train)
        if self.shortcut is not None and self.shortcut_norm is not None:
            images = self.shortcut_norm(self.shortcut(images), train=train)
        return nnx.relu(values + images)


class ResNet(nnx.Module):
    """A residual network, from images to the mean over pixels of its last stage and on to an embedding.

    Each of the four stages after the first halves the sides and doubles the channels. Images of less than 64 pixels
    enter by a 3 x 3 convolution; larger ones by 7 x 7 with stride 2 and a maximum of 3 x 3 pixels with stride 2, which
    divide the sides by four.

    Args:
        depth: 18 or 50 layers.
        size: side of the images in pixels, which decides how they enter.
        width: channels of the first stage.
        norm: "batch" or "group".
        outputs: width of the embedding; when left out, the result are the features of the last stage, 8 width of them
            with 18 layers and 32 width with 50.
        dtype: precision of the computation, float32 or bfloat16; parameters, statistics and results are float32.
        rngs: random numbers for the parameters.

    Raises:
        ValueError: another depth or norm, a size or width that is no positive integer.

    Source: He, Zhang, Ren and Sun 2016; the bottleneck's stride is at its 3 x 3 convolution, as in torchvision and
    timm. Of 18 layers with batch normalisation and without `outputs` it has 11,176,512 parameters.

    >>> shapes = nnx.eval_shape(lambda: ResNet(18, width=8, outputs=16, rngs=nnx.Rngs(0)))  # nothing is computed
    >>> shapes.head.kernel.shape
    (64, 16)
    """

    def __init__(self, depth: int = 18, *, size: int = 224, width: int = 64, norm: str = "batch",
                 outputs: int | None = None, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs):
        if depth not in DEPTHS:
            raise ValueError(f"depth: expected one of {', '.join(map(str, DEPTHS))}, got {shown(depth)}")
        check_among("norm", [norm], NORMS)
        check_count("size", size)
        check_count("width", width)
        self.large, self.dtype = size >= LARGE, dtype
        self.stem = Convolution(3, width, side=7 if self.large else 3, stride=2 if self.large else 1, dtype=dtype,
                                rngs=rngs)
        self.stem_norm = Normalisation(norm, width, dtype=dtype, rngs=rngs)
        blocks, bottleneck = DEPTHS[depth]
        stages, channels = [], width
        for stage, count in enumerate(blocks):
            made: list[ResidualBlock] = []
            for place in range(count):
                made.append(ResidualBlock(channels, width << stage, bottleneck=bottleneck,
                                          stride=2 if stage and not place else 1, norm=norm, dtype=dtype, rngs=rngs))
                channels = (width << stage) * (4 if bottleneck else 1)
            stages.append(nnx.List(made))
        self.stages: Sequence[Sequence[ResidualBlock]] = nnx.List(stages)
        self.head = nnx.data(None) if outputs is None else nnx.Linear(channels, outputs, rngs=rngs)

    def __call__(self, images: Float[HostOrDevice, "n size size 3"], *, train: bool = False
                 ) -> Float[Array, "n outputs"]:
        """Embed images; in training batch normalisation uses and records the statistics of the batch."""
        values = nnx.relu(self.stem_norm(self.stem(jnp.asarray(images)), train=train))
        if self.large:
            values = max_pool(values)
        for stage in self.stages:
            for block in stage:
                values = block(values, train=train)
        features = jnp.mean(values, axis=(1, 2), dtype=jnp.float32)
        return features if self.head is None else self.head(features)
