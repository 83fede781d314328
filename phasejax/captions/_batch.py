"""What a network sees of paired images and captions: one batch."""

from jaxtyping import Float, Int

from phasejax._core.pytree import HostOrDevice, pytree

# The token that fills captions up to their common length. It is no word: texts are averaged and losses taken without.
PAD = 0


@pytree
class CaptionBatch:
    """Images with their captions and classes; row i of each belongs to pair i.

    Args:
        images: normalised pixels, shape (n, size, size, 3).
        tokens: numbers of words, shape (n, length); `PAD` = 0 fills a caption up.
        labels: classes from 0 on, shape (n,).
    """

    images: Float[HostOrDevice, "n size size 3"]
    tokens: Int[HostOrDevice, "n length"]
    labels: Int[HostOrDevice, "n"]
