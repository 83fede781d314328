"""One object with every choice of an experiment with images and captions: checked when made, saved with its results."""

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from phasejax._core.checked_call import checked
from phasejax._core.manifest import sha256_of
from phasejax._core.progress import ProgressCallback
from phasejax._core.validation import check_among, check_count
from phasejax.captions._architecture import CaptionNetworks
from phasejax.captions._nuisance import JITTERED, MODES
from phasejax.captions._objectives import OBJECTIVES
from phasejax.deep._grid_experiment import GridExperiment, GridTraining, check_axes

DATA = ("emoji", "glyphs", "coco")


@checked
@dataclass(frozen=True)
class CaptionExperiment(GridExperiment, CaptionNetworks):
    """A grid of trainings on images and captions: every jitter with every noise, objective and seed.

    The defaults are those of K26, section 4.3, as its published code has them.

    Args:
        data: "coco", with the folder `path`; "emoji", drawn pictures with their names, or "glyphs", characters with
            the words of their Unicode names, which come with phasejax or are drawn.
        path: the folder of COCO, with train2017, val2017 and annotations.
        decoded: a folder for COCO's images as they are after decoding, of 17.8 GB at 224 pixels, from which later runs
            go on; they are kept in memory when left out.
        size: side of the images in pixels.
        most: rows of the training images at most; all when left out.
        length: tokens of a caption at most.
        mode: where the nuisance is, one of image, style, text, scene and swap, see `CaptionNuisance`: "image" distorts
            images and leaves captions alone, "style" also names the distortions in the caption.
        jitter_to: what a jittered caption names, "anew" or "another", see `CaptionNuisance`.
        noises: levels l of the distortions, 0 to 1: max(1, round(6 l)) of the six groups of styles, none at l = 0.
        jitters: probabilities that a caption describes another draw of the nuisance than its image shows, 0 to 1; 1 -
            jitter is the alignment of the nuisance.
        objectives: names out of vicreg, infonce, cp (image to text), cp_reverse (text to image), joint and supervised.
        seeds: number of repetitions, each with a split of the rows and first parameters of its own.
        image_encoder, norm, width, text_width, text_layers, text_heads, embedding, precision: the networks, see
            `CaptionArchitecture`.
        batch: rows in a step.
        accumulate: parts into which a batch is cut to save memory.
        learning_rate, weight_decay: of AdamW; the step size falls to 0 along a cosine.
        max_epochs, patience: a training stops after so many epochs, or after so many without a better validation loss;
            the parameters of the least validation loss are kept.
        lam: weight of alignment in the joint objective.

    Raises:
        ValueError: a value that no run could use.

    Source: K26, section 4.3 and its published code.

    >>> CaptionExperiment(data="emoji", path=None, size=32, noises=(0.0, 0.5)).groups
    (0, 3)
    """

    places: ClassVar[tuple[str, ...]] = ("path", "decoded")
    one_by_one: ClassVar[bool] = True

    data: str = "coco"
    path: str | None = None
    decoded: str | None = None
    size: int = 224
    most: int | None = None
    length: int = 64
    mode: str = "image"
    jitter_to: str = "anew"
    jitters: tuple[float, ...] = (0.0,)
    noises: tuple[float, ...] = (0.0, 0.2, 0.5)
    objectives: tuple[str, ...] = ("vicreg", "cp", "cp_reverse")
    seeds: int = 5
    batch: int = 256
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    max_epochs: int = 50
    patience: int = 50
    lam: float = 1.0

    def __post_init__(self):
        for name in ("jitters", "noises", "objectives"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values:
                raise ValueError(f"{name}: expected at least one value, got none")
        for name in ("size", "length", "seeds", "batch", "accumulate", "max_epochs", "patience"):
            check_count(name, getattr(self, name))
        super().__post_init__()
        if self.most is not None:
            check_count("most", self.most)
        check_among("data", [self.data], DATA)
        check_among("mode", [self.mode], MODES)
        check_among("jitter_to", [self.jitter_to], ("anew", "another"))
        check_among("objectives", self.objectives, OBJECTIVES)
        check_axes(self)
        if any(self.jitters) and self.mode not in JITTERED:
            raise ValueError(f"jitters: expected (0.0,) in the mode {self.mode}, got {self.jitters}")
        for name in ("learning_rate", "lam"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: expected a positive number, got {value}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay: expected a number of at least 0, got {self.weight_decay}")
        if self.batch < 2 or self.batch % self.accumulate:
            raise ValueError(f"batch: expected 2 or more, a multiple of accumulate = {self.accumulate}, "
                             f"got {self.batch}")
        if self.path is None and self.data == "coco":
            raise ValueError("path: expected the folder of COCO for data coco, got none")
        for name in self.places:
            if getattr(self, name) is not None and self.data != "coco":
                raise ValueError(f"{name}: expected none for data {self.data}, got {getattr(self, name)}")

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of groups of distortions at each of `noises`."""
        return tuple(0 if level == 0 else max(1, round(6 * level)) for level in self.noises)

    def trainings(self, progress: bool | ProgressCallback = False) -> Callable[[str], GridTraining]:
        """How cells are trained, by the name of the objective; the data are opened now."""
        from phasejax.captions._epochs import CaptionEpochs  # which imports this module
        from phasejax.captions._sources import open_captions

        return partial(CaptionEpochs, self, source=open_captions(self, progress))

    def data_checksum(self) -> str | None:
        """SHA-256 of the annotations at `path`, and of the names and sizes of the images; None without a path."""
        if self.path is None:
            return None
        found = hashlib.sha256()
        try:
            for file in sorted((Path(self.path) / "annotations").glob("*_*2017.json")):
                found.update(f"{file.name} {sha256_of(file)}\n".encode())
            for split in ("train2017", "val2017"):
                for image in sorted(os.scandir(Path(self.path) / split), key=lambda entry: entry.name):
                    found.update(f"{split}/{image.name} {image.stat().st_size}\n".encode())
        except OSError as error:
            raise ValueError(f"path: expected the folder of COCO with train2017, val2017 and annotations, got "
                             f"{self.path} ({error.strerror or error}: {error.filename})") from None
        return found.hexdigest()


CAPTION_PRESETS = {
    "quick": CaptionExperiment(
        data="glyphs", size=32, length=12, seeds=3, objectives=("vicreg", "cp", "cp_reverse"),
        image_encoder="convolutional", width=12, text_width=48, text_layers=0, embedding=16, batch=128,
        learning_rate=3e-3, max_epochs=10, patience=10),
    "laptop": CaptionExperiment(
        data="glyphs", size=32, length=16, seeds=5,
        objectives=("vicreg", "infonce", "cp", "cp_reverse", "joint", "supervised"), norm="group", width=16,
        text_width=64, text_layers=1, text_heads=2, embedding=32, batch=128, max_epochs=30, patience=30),
    "paper": CaptionExperiment(
        path="coco", objectives=("vicreg", "infonce", "cp", "cp_reverse", "joint", "supervised")),
}
