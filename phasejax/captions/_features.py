"""Pixels and words as the two views of a diagnosis, before any network is trained."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import KeyLike, check_count, check_key
from phasejax.captions._nuisance import CaptionNuisance
from phasejax.captions._pairs import CaptionPairs
from phasejax.captions._present import present
from phasejax.captions._vocabulary import SEP, UNK

_ROWS = 256  # that are presented at a time


class CaptionFeatures(NamedTuple):
    """Pixels and bags of words of the same rows, for `phasejax.diagnose(*features[:3], groups=features.groups)`.

    Args:
        x: normalised pixels, shape (n, 3 s^2).
        y: how often each word is in the caption, shape (n, w).
        labels: shape (n,).
        groups: rows that belong together, shape (n,).
        words: which words the columns of y count.
    """

    x: Float[np.ndarray, "n pixels"]
    y: Float[np.ndarray, "n words"]
    labels: Int[np.ndarray, "n"]
    groups: Int[np.ndarray, "n"]
    words: tuple[str, ...]


@checked
def caption_features(pairs: CaptionPairs, nuisance: CaptionNuisance, key: KeyLike, *, size: int = 64,
                     progress: bool | ProgressCallback = False) -> CaptionFeatures:
    """What the published diagnosis of images and captions starts from: 64 x 64 pixels and bags of words.

    Images and captions are those that a network would see, with their nuisance. Larger images are reduced to the size
    by averages, smaller ones stay as they are. Words that are in no caption, or in all of them equally often, have no
    column. The published diagnosis goes on with 100 principal components of either view and 20 canonical ones.

    Args:
        pairs: images with captions.
        nuisance: what is done to them.
        key: from which it is drawn.
        size: side of the images in pixels, s.
        progress: as in `phasejax.sweep`.

    Returns:
        Both views, labels and groups.

    Source: the published code of K26, section 4.3.

    >>> from phasejax.captions import load_emoji
    >>> pairs = load_emoji(least_count=40).select(np.arange(99))
    >>> features = caption_features(pairs, CaptionNuisance("none"), 0, size=8)
    >>> features.x.shape, features.y.shape, features.words[:3]
    ((99, 192), (99, 8), ('<unk>', 'slightly', 'small'))
    """
    check_count("size", size)
    key, size = check_key("key", key), min(size, *pairs.images.shape[1:3])

    @jax.jit
    def views(rows):
        batch = present(key, rows, nuisance)
        shape = (len(batch.images), size, size, 3)
        counts = jnp.zeros((len(batch.tokens), len(pairs.vocabulary)), jnp.float32)
        # Tokens of no word (padding, begin, end and separator) are taken out below.
        counts = counts.at[jnp.arange(len(counts))[:, None], batch.tokens].add(1)
        return jax.image.resize(batch.images, shape, "linear").reshape(len(counts), -1), counts

    # Of the same number of rows in every batch, so that one program serves: the last ones begin earlier.
    count = min(_ROWS, len(pairs))
    begins = [min(begin, len(pairs) - count) for begin in range(0, len(pairs), count)]
    x = np.empty((len(pairs), 3 * size * size), np.float32)
    y = np.empty((len(pairs), len(pairs.vocabulary)), np.float32)
    with reporting(progress) as tell:
        for done, begin in enumerate(begins, 1):
            x[begin:begin + count], y[begin:begin + count] = views(pairs.rows(np.arange(begin, begin + count)))
            tell("pixels and words", done, len(begins))
    number = np.arange(y.shape[1])
    kept = np.flatnonzero((np.ptp(y, axis=0) > 0) & ((number == UNK) | (number > SEP)))
    return CaptionFeatures(x, y[:, kept], pairs.labels, pairs.groups,
                           tuple(pairs.vocabulary.words[i] for i in kept))
