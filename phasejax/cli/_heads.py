"""The command `phasejax heads`: train light heads on the frozen features of two models, and score what they hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from phasejax._core.terminal import printable
from phasejax.cli._files import LabelKind, check_ending, read_confounders
from phasejax.cli._options import UNNAMED, FigureOptions, ProgressOption, RowOptions


@dataclass(frozen=True)
class Heads:
    """Which objective, trained as light heads on frozen features, brings out what the labels measure?

    Trains alignment (VICReg, InfoNCE, DeepCCA), prediction both ways, both jointly and supervised heads, with several
    seeds, and prints what probes predict from each on rows that none has seen, beside the features themselves, with
    intervals over test groups and seeds; and what the diagnosis foretells. Formats as in diagnose. Exit code 2 for bad
    input.
    """

    x: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="X")]
    """Features of one model: rows are samples, columns are features."""
    y: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="Y")]
    """Features of the other; rows are matched by identifiers where both files have them, else by position."""
    labels: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="T")]
    """A target, as in diagnose; repeat --labels for several. Rows without a value are left out of its probe only."""
    groups: Annotated[str | None, tyro.conf.arg(metavar="G")] = None
    """Which rows belong together (patient, donor, star); no group is in two parts of the split."""
    nuisance: Annotated[tyro.conf.UseAppendAction[list[str]], tyro.conf.arg(metavar="N")] = field(default_factory=list)
    """What should not be predictable (batch, donor, instrument), as labels; its score is leakage. May be repeated."""
    confounders: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="C")] = ()
    """Known nuisance of each row (batch, donor, position) that both views and real targets are freed of first, with
    slopes from training rows, as in diagnose; scores with it left in stand beside. May be given several times."""
    split: Annotated[str | None, tyro.conf.arg(metavar="S")] = None
    """For each row train, validation or test, as labels; 60, 20 and 20 percent at random when left out."""
    objectives: Annotated[list[str] | None, tyro.conf.arg(metavar="NAME [NAME ...]")] = None
    """Objectives to train ("CA VICReg" "CA InfoNCE" "CA DeepCCA" "CP x->y" "CP y->x" joint supervised), all when left
    out."""
    bottleneck: int = 32
    """Outputs of each encoder."""
    widths: tuple[int, ...] = (128,)
    """Hidden layers of encoders; decoders have them in reverse."""
    norm: Literal["batch", "layer", "none"] = "batch"
    """Norm after each hidden layer."""
    dropout: float = 0.1
    """Share of hidden values that are set to 0 in training."""
    learning_rate: tuple[float, ...] = (1e-3,)
    """Step size of AdamW. Of several values of this and the next three the validation rows choose."""
    weight_decay: tuple[float, ...] = (1e-4,)
    """Weight decay of AdamW."""
    alpha: tuple[float, ...] = (0.5,)
    """Weight of alignment in the joint objective."""
    temperature: tuple[float, ...] = (0.1,)
    """Temperature of InfoNCE."""
    batch: int = 64
    """Rows in a minibatch."""
    epochs: int = 200
    """Most epochs of a training."""
    patience: int = 30
    """Epochs without a lower validation loss after which a training stops; the best networks are kept."""
    seeds: int = 5
    """Trainings from different first parameters and minibatches."""
    probes: tuple[Literal["ridge", "logistic", "mlp"], ...] = ("ridge", "logistic")
    """Probes: ridge, logistic (of classes), mlp (a small network)."""
    heads: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Score the heads that --save wrote to this file, on these rows, in place of training any."""
    diagnosis: bool = True
    """Also diagnose the rows that are not tested on, and compare what that foretells."""
    confidence: float = 0.9
    """Level of the intervals."""
    label_kind: LabelKind = "auto"
    """What the labels are, where their type does not tell."""
    seed: int = 0
    """Seed of the split and of all trainings."""
    save: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also save the trained heads to this file (.npz), for phasejax.deep.load_heads."""
    rows: Annotated[RowOptions, UNNAMED] = field(default_factory=RowOptions)
    files: Annotated[FigureOptions, UNNAMED] = field(default_factory=FigureOptions)
    shown: Annotated[ProgressOption, UNNAMED] = field(default_factory=ProgressOption)

    def run(self) -> int:
        """Train and score, write the files that were asked for, and print the scores."""
        from phasejax._core.atomic_files import written_together

        if not self.labels:
            raise ValueError("--labels: expected at least one target, got none")
        self.files.check((self.x, self.y, *self.labels, *self.nuisance, *self.confounders, self.groups, self.split,
                          self.heads), self.save)
        check_ending("--save", self.save, (".npz",))
        grid = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay, "alpha": self.alpha,
                "temperature": self.temperature}
        for name, values in grid.items():
            if not values:
                raise ValueError(f"--{name.replace('_', '-')}: expected at least one value, got none")
        with self.shown.bars("heads") as progress:
            from phasejax.deep import load_heads, plot_heads, train_heads
            from phasejax.diagnosis import compare_heads

            files, targets = self._files()
            given = None if self.heads is None else load_heads(self.heads)
            options: dict[str, Any] = {"objectives": self.objectives} if self.objectives is not None else {}
            found = train_heads(
                **files, **targets, bottleneck=self.bottleneck, widths=self.widths,
                norm=None if self.norm == "none" else self.norm, dropout=self.dropout, grid=grid, batch=self.batch,
                epochs=self.epochs, patience=self.patience, seeds=self.seeds, label_kind=self.label_kind,
                heads=given, confidence=self.confidence, seed=self.seed, probes=self.probes, progress=progress,
                **self.rows.matching, **options)
            if self.diagnosis:
                found = compare_heads(found, progress=progress)
        with written_together() as place:
            self.files.write(place, found)
            self.files.draw(place, plot_heads, found)
            if self.save and found.heads is not None:
                found.heads.save(place(self.save))
        self.files.say_written(self.save)
        print(printable(found.summary()))
        return 0

    def _files(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Views, groups, split and confounders; targets and nuisances by name."""
        from phasejax.deep._heads_rows import other_columns
        from phasejax.io import as_named
        from phasejax.io._named_files import has_named_columns

        def rows_of(path, name):
            return as_named(path, name, id_column=self.rows.id if has_named_columns(path) else None)

        split = None if self.split is None else rows_of(self.split, "split")
        confounders = read_confounders(self.confounders, self.rows.id)
        # The first labels are read beside the views, which tells where all are columns of one file.
        rest = {"labels": [rows_of(path, "labels") for path in self.labels[1:]],
                "nuisance": [rows_of(path, "nuisance") for path in self.nuisance]}
        others = other_columns([*rest["labels"], *rest["nuisance"], *([] if split is None else [split])], confounders)
        read = self.rows.read(others, x=self.x, y=self.y, labels=self.labels[0], groups=self.groups)
        rest["labels"].insert(0, read.pop("labels"))
        targets: dict[str, dict[str, Any]] = {"labels": {}, "nuisance": {}}
        for argument, paths in (("labels", self.labels), ("nuisance", self.nuisance)):
            for path, rows in zip(paths, rest[argument], strict=True):
                called = rows.columns[0] if rows.columns is not None and len(rows.columns) == 1 else _stem(path)
                targets[argument][path if called in targets[argument] else called] = rows
        return {**read, "split": split, "confounders": confounders or None}, targets


def _stem(path: str) -> str:
    """What a file without names of columns is called: its name without ending, or the part of it that was named."""
    file, _, part = path.rpartition(":")
    return part.rpartition("/")[2] if file and "." in file else Path(path).stem
