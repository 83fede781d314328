"""Six statistics of an image, and the bins in which they lie as words: the nuisance that captions alone have.

Bins are those of the published code of K26: brightness is the mean luminance, colour temperature the mean red less the
mean blue, contrast the luminance's standard deviation, saturation the mean of (max - min)/max over the colours, detail
the mean difference of neighbouring luminances, and balance that of the upper and the lower half.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from phasejax._core.pytree import HostOrDevice
from phasejax.captions._vocabulary import FIRST_STATISTIC, STATISTICS

_EDGES = {"brightness": (0.15, 0.25, 0.40, 0.55, 0.70), "colour temperature": (-0.04, 0.04),
          "contrast": (0.10, 0.18, 0.27), "saturation": (0.12, 0.25, 0.45), "detail": (0.02, 0.04, 0.07),
          "balance": (-0.04, 0.04)}


def image_statistics(image: Float[HostOrDevice, "h w 3"]) -> Float[Array, "6"]:
    """Brightness, colour temperature, contrast, saturation, detail and balance of an image.

    Args:
        image: red, green and blue from 0 to 1, shape (h, w, 3), of at least 2 x 2 pixels.

    Returns:
        In the order of `STATISTICS`.
    """
    luminance = (image * jnp.array([0.299, 0.587, 0.114])).sum(-1)
    largest, least = image.max(-1), image.min(-1)
    detail = [jnp.abs(jnp.diff(luminance, axis=axis)).mean() for axis in (0, 1)]
    half = image.shape[0] // 2
    return jnp.stack([luminance.mean(), image[..., 0].mean() - image[..., 2].mean(), luminance.std(ddof=1),
                      ((largest - least) / (largest + 1e-8)).mean(), sum(detail) / 2,
                      luminance[:half].mean() - luminance[half:].mean()])


def statistic_tokens(image: Float[HostOrDevice, "h w 3"]) -> Int[Array, "6"]:
    """The bin of each statistic as the number of its token in any vocabulary.

    Args:
        image: red, green and blue from 0 to 1, shape (h, w, 3).

    >>> from phasejax.captions import RESERVED
    >>> RESERVED[int(statistic_tokens(jnp.full((4, 4, 3), 0.5))[0])]
    '<brightness 4 of 6>'
    """
    values, tokens, first = image_statistics(image), [], FIRST_STATISTIC
    for value, (name, bins) in zip(values, STATISTICS.items(), strict=True):
        tokens.append(first + jnp.searchsorted(jnp.array(_EDGES[name]), value, side="right"))
        first += bins
    return jnp.stack(tokens).astype(jnp.int32)
