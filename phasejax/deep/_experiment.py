"""One object with every choice of a nonlinear experiment: checked when it is made, and saved with its results."""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_among, check_count
from phasejax.deep._networks import ACTIVATIONS, ENCODERS
from phasejax.deep._objectives import OBJECTIVES, PROBED

DATA = ("dsprites", "shapes3d", "features")
PRECISIONS = ("float32", "bfloat16")
_TUPLES = ("jitters", "noises", "objectives", "widths", "hidden", "probe_sizes")


@checked
@dataclass(frozen=True)
class Experiment:
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
        for name in ("jitters", "noises", "objectives"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: expected different values, got {values}")
        for name in ("jitters", "noises"):
            for value in getattr(self, name):
                if not 0 <= value <= 1:
                    raise ValueError(f"{name}: expected values from 0 to 1, got {value}")
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

    def to_json(self) -> str:
        """The experiment as JSON text, which `from_json` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Experiment":
        """The experiment whose JSON text `to_json` wrote.

        Raises:
            ValueError: no JSON object, a field too many or too few, a value out of range.
        """
        try:
            values: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"experiment: expected JSON, got {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"experiment: expected a JSON object, got {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        for what, names in (("unknown", set(values) - known), ("missing", known - set(values))):
            if names:
                raise ValueError("experiment: expected the fields of this version, got "
                                 f"{what} {', '.join(sorted(names))}")
        for name in _TUPLES:
            values[name] = tuple(values[name])
        return cls(**values)

    @checked
    def difference(self, other: "Experiment") -> list[str]:
        """What differs from another experiment, one text for each field, such as "seeds: 3 here, 5 there"."""
        return [f"{field.name}: {getattr(self, field.name)} here, {getattr(other, field.name)} there"
                for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


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
