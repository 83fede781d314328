"""Emoji of two artists with their names, which come with phasejax."""

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_choice, check_count
from phasejax.captions._pairs import CaptionPairs
from phasejax.captions._vocabulary import Vocabulary, build_vocabulary
from phasejax.datasets import load_emoji_artists

_LARGEST_SIDE = 1024  # pixels, at which the images take 6 GB


@checked
def load_emoji(artist: str = "google", labels: str = "category", size: int = 32, length: int = 28,
               least_count: int = 2, vocabulary: Vocabulary | None = None) -> CaptionPairs:
    """1906 emoji drawn by one of two artists, with their names as captions.

    A name is seldom longer than five words, and half of the words are in one name alone. Men, women and persons doing
    the same thing form one of the `groups`. Descriptions of scenes there are none.

    Args:
        artist: "google" for Noto Emoji, "twitter" for Twemoji.
        labels: "category", with 9 classes, or "subcategory", with 98.
        size: side of the images in pixels; 32 is how they are stored.
        length: T, the tokens in a caption, at least 3; 28 hold every name with all its styles.
        least_count: words that are in fewer names are unknown.
        vocabulary: in place of that of the names.

    Returns:
        Drawings on white in Unicode's order, `ids` of which are their code points.

    Raises:
        ValueError: another artist or kind of labels, a size above 1024.

    Source: Noto Emoji 2.048 (Apache-2.0) and Twemoji 16.0.1 (CC-BY 4.0) as packed in emoji-data 16.0.0 (MIT); the
        licences lie beside the file.

    >>> pairs = load_emoji("twitter", labels="subcategory")
    >>> pairs.images.shape, pairs.tokens.shape, pairs.classes, pairs.captions()[0]
    ((1906, 32, 32, 3), (1906, 1, 28), 98, 'grinning face')
    """
    check_choice("artist", artist, ("google", "twitter"))
    check_choice("labels", labels, ("category", "subcategory"))
    check_count("size", size, most=_LARGEST_SIDE)
    emoji = load_emoji_artists()
    images = emoji.x if artist == "google" else emoji.y
    named = emoji.labels if labels == "category" else emoji.subcategory
    side = round((images.shape[1] / 3) ** 0.5)
    return named_pairs(resized(np.round(images * 255).astype(np.uint8).reshape(-1, side, side, 3), size), emoji.names,
                       named, emoji.code, emoji.group, length=length, least_count=least_count, vocabulary=vocabulary)


def named_pairs(images: UInt8[np.ndarray, "n h w 3"], names: Shaped[np.ndarray, "n"], labels: Shaped[np.ndarray, "n"],
                ids: Shaped[np.ndarray, "n"], groups: Int[np.ndarray, "n"], *, length: int, least_count: int,
                vocabulary: Vocabulary | None) -> CaptionPairs:
    """Images with one caption each and labels that are text, as `CaptionPairs`."""
    if vocabulary is None:
        vocabulary = build_vocabulary(names.tolist(), least_count=least_count)
    label_names, numbers = np.unique(labels, return_inverse=True)
    tokens = np.stack([vocabulary.encode(name, length) for name in names.tolist()])
    return CaptionPairs(images=images, tokens=tokens[:, None], labels=numbers.astype(np.int32),
                        label_names=tuple(label_names.tolist()), vocabulary=vocabulary, ids=ids, groups=groups,
                        scenes=np.zeros((len(images), 0, 1), np.int32))


def resized(images: UInt8[np.ndarray, "n s s 3"], size: int) -> UInt8[np.ndarray, "n t t 3"]:
    """The images with another side in pixels."""
    from PIL import Image

    if images.shape[1] == size:
        return images
    how = Image.Resampling.BOX if size < images.shape[1] else Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size), how)) for image in images])
