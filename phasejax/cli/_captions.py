"""The command `phasejax captions`: train encoders of images and captions, and score what they hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from phasejax._core.terminal import printable
from phasejax.cli._options import UNNAMED, FigureOptions, ProgressOption


@dataclass(frozen=True)
class Captions:
    """Which objective learns what an image shows, from images and captions?

    Trains alignment (VICReg, InfoNCE), prediction of captions and of images, both jointly and supervised encoders, at
    several levels of distortion and with several seeds, and prints the top-1 of linear probes on clean images and how
    often captions and images find each other, with intervals over seeds. Started again with the same --store it goes
    on where it was. Exit code 2 for bad input.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """The folder of COCO 2017 (with train2017, val2017 and annotations), or emoji or glyphs, which come with
    phasejax."""
    preset: Literal["quick", "laptop", "paper"] = "quick"
    """Where options are left out: quick takes minutes on a laptop with emoji or glyphs, paper is the published
    protocol."""
    size: int | None = None
    """Side of the images in pixels."""
    most: int | None = None
    """Training images at most, chosen at random."""
    decoded: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Where COCO's decoded images are kept for later runs (17.8 GB at 224 pixels); in memory when left out."""
    mode: Literal["image", "style", "text", "scene", "swap"] | None = None
    """Where the nuisance is: image distorts images alone, style also names the distortions in the caption, text and
    scene change captions, swap exchanges captions."""
    levels: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="L [L ...]")] = None
    """Levels of the distortions, 0 to 1: max(1, round(6 L)) of six groups of styles, none at 0."""
    jitters: Annotated[tuple[float, ...] | None, tyro.conf.arg(metavar="J [J ...]")] = None
    """Shares of the captions that describe another style than that of the image, 0 to 1."""
    objectives: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="NAME [NAME ...]")] = None
    """Objectives to train: vicreg, infonce, cp (image to text), cp_reverse (text to image), joint, supervised."""
    seeds: int | None = None
    """Repetitions, each with a split of the rows and first parameters of its own."""
    image_encoder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Image encoder: convolutional, resnet18, resnet50 or vit."""
    width: int | None = None
    """Channels of the first stage of the image encoder."""
    text_layers: int | None = None
    """Layers of the text transformer; 0 is a bag of words."""
    embedding: int | None = None
    """Outputs of the encoders."""
    batch: int | None = None
    """Rows in a step."""
    accumulate: int | None = None
    """Parts into which a batch is cut to save memory."""
    epochs: int | None = None
    """Most epochs of a training."""
    patience: int | None = None
    """Epochs without a lower validation loss after which a training stops."""
    learning_rate: float | None = None
    """First step size of AdamW, which falls to 0 along a cosine."""
    precision: Literal["float32", "bfloat16"] | None = None
    """Precision of what the networks compute."""
    store: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for the states of the trainings, from which a run that was killed goes on."""
    curves: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for the learning curves: curves.csv, and event files of TensorBoard where tensorboardX is installed."""
    confidence: float = 0.95
    """Level of the intervals."""
    files: Annotated[FigureOptions, UNNAMED] = field(default_factory=FigureOptions)
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Train and score, write the files that were asked for, and print the scores."""
        import importlib.util

        from phasejax._core.atomic_files import written_together
        from phasejax._core.validation import check_confidence

        self.files.check(())
        check_confidence(self.confidence)
        with self.shown.bars("captions") as progress:
            from phasejax.captions import CaptionScores, evaluate_captions, plot_captions
            from phasejax.deep import train_grid, write_curves

            experiment = self._experiment()
            if self.curves is not None and (self.curves / "events").exists():
                raise ValueError(f"--curves: expected a folder without event files, got {self.curves}")
            trained = train_grid(experiment, store=self.store, progress=progress)
            found = CaptionScores(evaluate_captions(trained, progress=progress), self.confidence)
        with written_together() as place:
            self.files.write(place, found)
            self.files.draw(place, plot_captions, found)
        if self.curves is not None:
            write_curves(trained.curves, self.curves, tensorboard=importlib.util.find_spec("tensorboardX") is not None)
        self.files.say_written(self.curves)
        print(printable(found.summary()))
        return 0

    def _experiment(self) -> Any:
        """The preset with what was given in place of its own."""
        from dataclasses import replace

        from phasejax.captions import CAPTION_PRESETS

        given: dict[str, Any] = {
            "noises": self.levels, "max_epochs": self.epochs,
            **{name: getattr(self, name) for name in (
                "size", "most", "mode", "jitters", "objectives", "seeds", "image_encoder", "width", "text_layers",
                "embedding", "batch", "accumulate", "patience", "learning_rate", "precision")}}
        given = {name: value for name, value in given.items() if value is not None}
        named = self.data in ("emoji", "glyphs")
        if not named and not Path(self.data).is_dir():
            raise ValueError(f"DATA: expected emoji, glyphs or a folder with COCO, got {self.data}")
        if named and self.decoded is not None:
            raise ValueError(f"--decoded: expected none for {self.data}, got {self.decoded}")
        place = {"data": self.data, "path": None, "decoded": None} if named else {
            "data": "coco", "path": self.data, "decoded": None if self.decoded is None else str(self.decoded)}
        if "mode" not in given and any(given.get("jitters", ())):
            given["mode"] = "style"  # the only other one with a jitter exchanges whole captions
        return replace(CAPTION_PRESETS[self.preset], **place, **given)
