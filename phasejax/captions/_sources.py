"""The rows of an experiment with images and captions, and which of them train, validate and test.

COCO comes in two parts: its training images train, its validation images are halved into validation and test rows.
Of a single set of rows a tenth validates and a tenth tests, split anew for every seed.
"""

from dataclasses import dataclass
from itertools import zip_longest
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jaxtyping import Int

from phasejax._core.progress import ProgressCallback
from phasejax.captions._coco import load_coco
from phasejax.captions._emoji import load_emoji
from phasejax.captions._experiment import CaptionExperiment
from phasejax.captions._glyphs import load_glyphs
from phasejax.captions._pairs import CaptionPairs
from phasejax.deep.data import Cell


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows serve for what.

    Args:
        train: row numbers of `CaptionSource.pairs`.
        validation, test: row numbers of `CaptionSource.held_out`.
    """

    train: Int[np.ndarray, "n_train"]
    validation: Int[np.ndarray, "n_validation"]
    test: Int[np.ndarray, "n_test"]


@dataclass(frozen=True, eq=False)
class CaptionSource:
    """Rows of an experiment.

    Args:
        pairs: rows to train on.
        held_out: rows to validate and to test on; the same object where all come from one set.
    """

    pairs: CaptionPairs
    held_out: CaptionPairs

    def split(self, cell: Cell) -> Split:
        """The rows of one cell, in an order that depends on its data key; rows of a group stay in one part.

        All cells have the same numbers of rows.
        """
        rng = np.random.default_rng(np.asarray(jax.random.key_data(cell.data)).ravel())
        if self.held_out is not self.pairs:
            order = rng.permutation(len(self.held_out))
            return Split(np.arange(len(self.pairs)), *np.array_split(order, 2))
        groups = np.unique(self.pairs.groups, return_inverse=True)[1]
        place = rng.permutation(groups.max() + 1)[groups]
        order = np.lexsort((rng.random(len(groups)), place))
        ends = np.flatnonzero(np.diff(place[order], append=-1)) + 1  # of the groups, in this order
        tenth, largest = len(groups) // 10, int(np.bincount(groups).max())
        # Each part begins with a whole group; what a part has beyond a fixed number is left out.
        begins = [0]
        for _ in range(2):
            begins.append(int(ends[np.searchsorted(ends, begins[-1] + tenth)]))
        train = len(groups) - 2 * (tenth + largest - 1)
        test, validation, training = (order[begin:begin + size] for begin, size in
                                      zip(begins, (tenth, tenth, train), strict=True))
        return Split(rng.permutation(training), validation, test)


# What was opened, as long as its experiment is in use: training and scoring decode images once between them. With it a
# checksum of the files, which may have changed.
_OPENED: WeakKeyDictionary[CaptionExperiment, tuple[str | None, CaptionSource]] = WeakKeyDictionary()


def open_captions(experiment: CaptionExperiment, progress: bool | ProgressCallback = False) -> CaptionSource:
    """The rows of an experiment; COCO's folder is read here, unless this process has read it for the same experiment.

    Raises:
        ValueError: a folder of another layout; fewer rows than a batch.
    """
    files = experiment.data_checksum()
    before, source = _OPENED.get(experiment, (None, None))
    if source is None or before != files:
        source = _opened(experiment, progress)
        _OPENED[experiment] = files, source
    return source


def _opened(experiment: CaptionExperiment, progress: bool | ProgressCallback) -> CaptionSource:
    e = experiment
    if e.data == "coco":
        given = {"size": e.size, "length": e.length, "store": e.decoded, "progress": progress}
        pairs = load_coco(str(e.path), "train", most=e.most, **given)
        held_out = load_coco(str(e.path), "val", vocabulary=pairs.vocabulary, **given)
        names = pairs.label_names, held_out.label_names
        if names[0] != names[1]:  # the same number would be of another category
            raise ValueError("path: expected the same categories in instances_train2017.json and "
                             f"instances_val2017.json, got {len(names[0])} and {len(names[1])} that differ in "
                             f"{_first_other(*names)}")
        return CaptionSource(pairs, held_out)
    load = load_emoji if e.data == "emoji" else load_glyphs
    pairs = load(size=e.size, length=e.length)
    if e.most is not None:
        pairs = pairs.select(np.random.default_rng(0).permutation(len(pairs))[:e.most])
    return CaptionSource(pairs, pairs)


def _first_other(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """The first name at whose place the other list has none or another."""
    return next(str(one if one is not None else other) for one, other in zip_longest(ours, theirs) if one != other)
