"""The strided convolution of `phasejax.deep`, made of matrix products, beside XLA's own convolution.

One step is what training does with an encoder's convolutions (K26, appendix B: 4 x 4 kernels, stride 2, padding 1,
32, 32, 64 and 64 channels, a relu after each): the forward pass, the gradient in all kernels, and a small update of
the kernels. The steps run inside a `lax.scan`, as in training. Both sides compute the same function of the same
numbers, in turn within one process; times are medians, and the ratio is that of XLA's time to ours.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks.report import Row, row
from phasejax._core.devices import cores
from phasejax.deep._convolution import strided_convolution

_SIZES, _BATCHES = (32, 64), (64, 128)
_CHANNELS = (1, 32, 32, 64, 64)


def run(rounds: int = 5, steps: int = 2) -> list[Row]:
    """Time `steps` steps with each convolution for every image side and batch, `rounds` times in turn."""
    rows = [row("machine", "cores", cores(), "1")]
    for size, batch in product(_SIZES, _BATCHES):
        takes = {name: _training_steps(convolution, size, batch, steps)
                 for name, convolution in (("phasejax", strided_convolution), ("XLA", xla_convolution))}
        times = {name: [] for name in takes}
        for take in takes.values():
            take()  # compiles
        for _ in range(rounds):
            for name, take in takes.items():
                start = time.perf_counter()
                take()
                times[name].append((time.perf_counter() - start) / steps)
        median = {name: float(np.median(values)) for name, values in times.items()}
        case = f"{size} x {size} pixels, batch {batch}"
        rows += [row(f"{case}, {name}", "step_time", seconds * 1e3, "ms") for name, seconds in median.items()]
        rows.append(row(case, "xla_time_over_ours", median["XLA"] / median["phasejax"], "1"))
    return rows


def xla_convolution(images: Float[Array, "n h w c"], kernel: Float[Array, "4 4 c out"]) -> Float[Array, "n _ _ out"]:
    """What `strided_convolution` computes, by XLA's convolution."""
    return jax.lax.conv_general_dilated(images, kernel, window_strides=(2, 2), padding=((1, 1), (1, 1)),
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _training_steps(convolution: Callable, size: int, batch: int, steps: int) -> Callable[[], list]:
    """A function that takes some steps with new images in each, and waits for them."""
    key_images, *keys = jax.random.split(jax.random.key(0), len(_CHANNELS))
    images = jax.random.uniform(key_images, (steps, batch, size, size, _CHANNELS[0]))
    kernels = [jax.random.normal(key, (4, 4, *channels)) * (2 / (16 * channels[0])) ** 0.5
               for key, channels in zip(keys, pairwise(_CHANNELS), strict=True)]

    def loss(kernels, values):
        for kernel in kernels:
            values = jax.nn.relu(convolution(values, kernel))
        return jnp.mean(values**2)

    def step(kernels, values):
        gradients = jax.grad(loss)(kernels, values)
        return jax.tree.map(lambda kernel, gradient: kernel - 1e-3 * gradient, kernels, gradients), None

    trained = jax.jit(partial(jax.lax.scan, step))
    return lambda: jax.block_until_ready(trained(kernels, images))[0]
