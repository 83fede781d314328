"""Images with captions and labels, and the rows of them that a training step sees."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import check_array, check_seed
from phasejax.captions._vocabulary import Vocabulary


@pytree
class CaptionRows:
    """Rows as they are loaded, before anything is drawn for them; every array has the rows first.

    Args:
        index: number of each row in the data, shape (n,), from which its nuisance is drawn.
        images: values 0 to 255, shape (n, h, w, 3).
        tokens: its captions, shape (n, c, T); one of the c is shown.
        labels: its class, shape (n,).
        scenes: descriptions of the other things in the image, shape (n, s, P), filled up with 0; s = 0 without.
        donors: the captions of another row with the same label, shape (n, c, T), for swapped captions.
    """

    index: Int[HostOrDevice, "n"]
    images: UInt8[HostOrDevice, "n h w 3"]
    tokens: Int[HostOrDevice, "n c length"]
    labels: Int[HostOrDevice, "n"]
    scenes: Int[HostOrDevice, "n s words"]
    donors: Int[HostOrDevice, "n c length"]


@dataclass(frozen=True, eq=False)
class CaptionPairs:
    """Images with their captions.

    Args:
        images: values 0 to 255, shape (n, h, w, 3), in memory or a memory map of a file.
        tokens: c captions of each image, shape (n, c, T), see `Vocabulary.encode`; an image with fewer repeats its own.
        labels: class of each image, shape (n,).
        label_names: what the classes are called.
        vocabulary: what the tokens stand for.
        ids: name of each image, shape (n,).
        groups: rows of one group show nearly the same and belong into the same part of a split, shape (n,).
        scenes: tokens that describe the other things in the image, from the largest on, shape (n, s, P).
        skipped: names of images that could not be read and are left out.

    Raises:
        ValueError: arrays of other shapes or lengths, labels without a name, tokens that the vocabulary lacks.

    >>> from phasejax.captions import load_emoji
    >>> pairs = load_emoji()
    >>> pairs.images.shape, pairs.captions()[0], pairs.label_names[pairs.labels[0]]
    ((1906, 32, 32, 3), 'grinning face', 'Smileys & Emotion')
    """

    images: UInt8[np.ndarray, "n h w 3"]
    tokens: Int[np.ndarray, "n c length"]
    labels: Int[np.ndarray, "n"]
    label_names: tuple[str, ...]
    vocabulary: Vocabulary
    ids: Shaped[np.ndarray, "n"]
    groups: Int[np.ndarray, "n"]
    scenes: Int[np.ndarray, "n s words"]
    skipped: tuple[str, ...] = ()

    def __post_init__(self):
        n = len(self.images)
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"images: expected bytes of shape (n, h, w, 3), got {self.images.dtype} of shape "
                             f"{self.images.shape}")
        for name, dims in (("tokens", 3), ("labels", 1), ("ids", 1), ("groups", 1), ("scenes", 3)):
            array = getattr(self, name)
            if array.ndim != dims or len(array) != n:
                raise ValueError(f"{name}: expected {n} rows in {dims} dimensions, got shape {array.shape}")
        for name, below in (("labels", len(self.label_names)), ("tokens", len(self.vocabulary)),
                            ("scenes", len(self.vocabulary))):
            array = getattr(self, name)
            if array.size and not 0 <= array.min() <= array.max() < below:
                raise ValueError(f"{name}: expected numbers from 0 to {below - 1}, got {array.min()} to {array.max()}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.label_names)

    @property
    def length(self) -> int:
        """T, the tokens in a caption."""
        return self.tokens.shape[2]

    def captions(self) -> list[str]:
        """The first caption of each row in words."""
        return [self.vocabulary.decode(row) for row in self.tokens[:, 0]]

    def select(self, rows: Int[np.ndarray, "m"]) -> "CaptionPairs":
        """Some of the rows, in the given order; their images are copied into memory.

        Args:
            rows: numbers of rows, shape (m,).

        Raises:
            ValueError: a number that no row has.
        """
        rows = check_rows("rows", rows, len(self))
        chosen = {name: getattr(self, name)[rows] for name in ("images", "tokens", "labels", "ids", "groups", "scenes")}
        return replace(self, **chosen)

    def rows(self, index: Int[np.ndarray, "m"], seed: int = 0) -> CaptionRows:
        """Rows for a training step.

        Args:
            index: numbers of rows, shape (m,).
            seed: decides, with the row's number, whose captions are its `donors`.

        Returns:
            NumPy arrays with the rows first.

        Raises:
            ValueError: a number that no row has.
        """
        check_seed("seed", seed)
        index = check_rows("index", index, len(self))
        return CaptionRows(index=index.astype(np.int32), images=self.images[index], tokens=self.tokens[index],
                           labels=self.labels[index], scenes=self.scenes[index],
                           donors=self.tokens[self._donors(index, seed)])

    def _donors(self, index, seed):
        """For each row another one with its label, at random; the row itself where it is the only one."""
        order, start, place = self._by_label
        labels = self.labels[index]
        others = start[labels + 1] - start[labels] - 1
        # A row's donor shall not depend on which other rows are asked for.
        drawn = _uniforms(index, seed)
        step = np.where(others > 0, 1 + np.minimum((drawn * others).astype(np.int64), others - 1), 0)
        return order[start[labels] + (place[index] - start[labels] + step) % (others + 1)]

    @cached_property
    def _by_label(self):
        """Rows in the order of their labels, where each label begins in it, and the place of each row in it."""
        order = np.argsort(self.labels, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(self.labels, minlength=self.classes))])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return order, start, place


def check_rows(name: str, rows: Any, n: int) -> Int[np.ndarray, "m"]:
    """Refuse what are no numbers of rows from 0 to n - 1, and return them."""
    numbers = np.asarray(check_array(name, rows, 1))
    if numbers.dtype.kind not in "iu" or (numbers.size and not 0 <= numbers.min() <= numbers.max() < n):
        got = f"{numbers.min()} to {numbers.max()}" if numbers.dtype.kind in "iu" else numbers.dtype
        raise ValueError(f"{name}: expected numbers of rows from 0 to {n - 1}, got {got}")
    return numbers


def _uniforms(index, seed):
    """A number from 0 to below 1 for each row, by mixing the bits of its number and of the seed (splitmix64)."""
    with np.errstate(over="ignore"):
        words = (index.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(seed)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return ((words ^ (words >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2**53
