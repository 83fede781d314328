"""Descriptions of what else is in an image, besides that which its label names."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from phasejax.captions._batch import PAD
from phasejax.captions._vocabulary import FIRST_SCENE, SCENE_WORDS, Vocabulary, words_of

SCENE_PARTS, _NAME_WORDS = 6, 3  # categories of an image, and words of their names, at most
_LEFT, _CENTRE, _RIGHT, _SMALL, _LARGE = range(FIRST_SCENE, FIRST_SCENE + len(SCENE_WORDS))
_THIRD, _SMALL_SHARE, _LARGE_SHARE = 1 / 3, 0.03, 0.15


def scene_tokens(things: Sequence[tuple[int, float, Sequence[float | int]]], sides: tuple[float | int, float | int],
                 names: Sequence[str], vocabulary: Vocabulary) -> Int[np.ndarray, "6 5"]:
    """Up to six other categories, the one that fills most of the image first, each with size, name and place.

    "Small" are things below 3 % of the image, "large" those above 15 %; the place is the third of the image in which
    the middle of the category's largest thing lies.

    Args:
        things: category, area and (x, y, width, height) of each annotated thing, in pixels.
        sides: width and height of the image.
        names: what the categories are called.
        vocabulary: that of the captions.

    Returns:
        Numbers of words, filled up with `PAD`.

    Source: the bounds are those of the published code of K26.

    >>> from phasejax.captions import build_vocabulary
    >>> words = build_vocabulary(["a dog on a dining table"], least_count=1)
    >>> seen = [(0, 900.0, (0, 0, 30, 30)), (1, 200.0, (70, 0, 20, 10))]
    >>> words.decode(scene_tokens(seen, (100, 100), ("dog", "dining table"), words)[0])
    'small dining table right'
    """
    label = max(things, key=lambda thing: thing[1])[0]
    by_category: dict[int, list] = {}
    for thing in things:
        if thing[0] != label:
            by_category.setdefault(thing[0], []).append(thing)
    ranked = sorted(by_category.items(), key=lambda item: (-sum(thing[1] for thing in item[1]), item[0]))
    tokens = np.full((SCENE_PARTS, _NAME_WORDS + 2), PAD, np.int32)
    for row, (category, own) in zip(tokens, ranked, strict=False):
        _, area, (x, _, width, _) = max(own, key=lambda thing: thing[1])
        share, middle = area / max(sides[0] * sides[1], 1), (x + width / 2) / max(sides[0], 1)
        size = [_SMALL] if share < _SMALL_SHARE else [_LARGE] if share > _LARGE_SHARE else []
        name = vocabulary.encode(names[category], len(words_of(names[category])) + 2)[1:-1][:_NAME_WORDS]
        place = _LEFT if middle < _THIRD else _RIGHT if middle > 1 - _THIRD else _CENTRE
        said = [*size, *name.tolist(), place]
        row[:len(said)] = said
    return tokens
