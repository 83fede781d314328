"""One object with every choice of a nonlinear experiment: checked when it is made, and saved with its results."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from phasejax._core.checked_call import checked
from phasejax._core.manifest import sha256_of
from phasejax._core.progress import ProgressCallback
from phasejax._core.validation import check_among, check_count
from phasejax.deep._grid_experiment import GridExperiment, GridTraining, check_axes
from phasejax.deep._networks import ACTIVATIONS, ENCODERS
from phasejax.deep._objectives import OBJECTIVES, PROBED

DATA = ("dsprites", "shapes3d", "features")
PRECISIONS = ("float32", "bfloat16")
_TUPLES = ("jitters", "noises", "objectives", "widths", "hidden", "probe_sizes")


@checked
@dataclass(frozen=True)
class Experiment(GridExperiment):
    """A grid of trainings and their evaluation: every jitter with every noise, objective and seed.

    The defaults are those of K26, section 4 and appendix B.

    Args:
        data: "dsprites" or "shapes3d" for stereo pairs; "features" for measured pairs, which need the encoder "mlp",
            `jitters=(0.0,)` and `noises=(0.0,)`.
        path: the published file of the images, which are drawn from geometry when left out; for features an .npz file
            with the arrays x, y and labels, and nuisance if it is known.
        size: side of the images in pixels, a power of two from 16 on.
        n: number of rows; 80% train, 10% validate and 10% test.
        jitters: standard deviations of each view's own shift, in half image sides, 0 to 1; 1 - jitter is the
            alignment of the nuisance.
        noises: standard deviations of the pixel noise on y, 0 to 1.
        objectives: names out of vicreg, deepcca, infonce, cp, cp_reverse, joint and supervised.
        seeds: number of repetitions, each with data and first parameters of its own.
        encoder, activation, widths, hidden, embedding, projection: the networks, see `Architecture`.
        batch: rows in a step, at most the validation rows.
        learning_rate: step size of Adam.
        max_epochs, patience: a training stops after so many epochs, or after so many without a better validation loss.
        lam: weight of alignment in the joint objective.
        temperature: temperature of InfoNCE.
        probed: what frozen probes see of alignment objectives: "projection", what the loss acts on, of x; "both", that
            of x and y side by side; or "embedding", what is before the projection.
        probe_sizes: numbers of labelled rows that frozen probes are fitted to, increasing.
        precision: "float32" or "bfloat16", the precision of what the networks compute.

    Raises:
        ValueError: a value that no run could use.

    >>> experiment = Experiment(n=1000, probe_sizes=(100, 800))
    >>> experiment.train, experiment.validation, experiment.test
    (800, 100, 100)
    """

    data: str = "dsprites"
    path: str | None = None
    size: int = 64
    n: int = 50_000
    jitters: tuple[float, ...] = (0.0, 0.05, 0.2, 0.5)
    noises: tuple[float, ...] = (0.2, 0.5, 0.9)
    objectives: tuple[str, ...] = ("vicreg", "cp", "cp_reverse", "joint", "supervised")
    seeds: int = 5
    encoder: str = "convolutional"
    activation: str = "relu"
    widths: tuple[int, ...] = (32, 32, 64, 64)
    hidden: tuple[int, ...] = (256,)
    embedding: int = 128
    projection: int = 32
    batch: int = 64
    learning_rate: float = 1e-3
    max_epochs: int = 100
    patience: int = 5
    lam: float = 1.0
    temperature: float = 0.1
    probed: str = "projection"
    probe_sizes: tuple[int, ...] = (100, 200, 400, 700, 1000, 2000, 4000, 7000, 10_000)
    precision: str = "float32"

    def __post_init__(self):
        # A value of each field first, then what fields demand of each other.
        for name in _TUPLES:
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values:
                raise ValueError(f"{name}: expected at least one value, got none")
        for name in ("size", "n", "seeds", "batch", "max_epochs", "patience", "embedding", "projection"):
            check_count(name, getattr(self, name))
        check_among("data", [self.data], DATA)
        check_among("objectives", self.objectives, OBJECTIVES)
        check_among("encoder", [self.encoder], ENCODERS)
        check_among("activation", [self.activation], ACTIVATIONS)
        check_among("probed", [self.probed], PROBED)
        check_among("precision", [self.precision], PRECISIONS)
        if self.data == "features":
            self._check_features()
        check_axes(self)
        for name in ("learning_rate", "lam", "temperature"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: expected a positive number, got {value}")
        if self.size < 16 or self.size & (self.size - 1):
            raise ValueError(f"size: expected a power of two from 16 on, got {self.size}")
        if self.size % 2 ** len(self.widths):
            raise ValueError(f"widths: expected at most {int(math.log2(self.size))} for size {self.size}, "
                             f"got {len(self.widths)}")
        if not 2 <= self.batch <= self.validation:
            raise ValueError(f"batch: expected 2 to {self.validation}, the validation rows, got {self.batch}")
        if list(self.probe_sizes) != sorted(set(self.probe_sizes)) or self.probe_sizes[0] < 1:
            raise ValueError(f"probe_sizes: expected increasing whole numbers from 1 on, got {self.probe_sizes}")
        if self.probe_sizes[-1] > self.train:
            raise ValueError(f"probe_sizes: expected at most {self.train}, the training rows, "
                             f"got {self.probe_sizes[-1]}")

    def _check_features(self):
        if self.path is None:
            raise ValueError("path: expected an .npz file with x, y and labels for data features, got none")
        if self.encoder != "mlp":
            raise ValueError(f"encoder: expected mlp for data features, got {self.encoder}")
        for name in ("jitters", "noises"):
            if getattr(self, name) != (0.0,):
                raise ValueError(f"{name}: expected (0.0,) for data features, got {getattr(self, name)}")

    @property
    def train(self) -> int:
        """Training rows, numbers 0 to train - 1."""
        return self.n - self.validation - self.test

    @property
    def validation(self) -> int:
        """Validation rows, which follow the training rows."""
        return self.n // 10

    @property
    def test(self) -> int:
        """Test rows, which come last."""
        return self.n // 10

    def trainings(self, progress: bool | ProgressCallback = False) -> Callable[[str], GridTraining]:
        """How cells are trained, by the name of the objective; a file of data is read now."""
        # Both modules are about experiments, and import this one.
        from phasejax.deep._grid import training_of
        from phasejax.deep.data._sources import open_source

        return partial(training_of, self, source=open_source(self))

    def data_checksum(self) -> str | None:
        """SHA-256 of the file at `path`; None where there is none."""
        return None if self.path is None else sha256_of(self.path)


PRESETS = {
    # Alignment is DeepCCA on large batches here: within the steps of a few minutes VICReg does not find the shape.
    "quick": Experiment(size=32, n=20_000, jitters=(0.0, 0.2), noises=(0.2,), objectives=("deepcca", "cp"), seeds=3,
                        widths=(16, 16, 32, 32), hidden=(128,), embedding=64, projection=8, batch=128,
                        learning_rate=2e-3, max_epochs=7, patience=7, probe_sizes=(100, 300, 1000, 2000)),
    "laptop": Experiment(size=32, n=10_000, noises=(0.5,), seeds=2,
                         objectives=("deepcca", "cp", "cp_reverse", "joint", "supervised"),
                         widths=(16, 16, 32, 32), hidden=(128,), embedding=64, projection=8, batch=128,
                         learning_rate=2e-3, max_epochs=30,
                         probe_sizes=(100, 200, 400, 700, 1000, 2000, 4000, 8000)),
    "paper": Experiment(),
}
