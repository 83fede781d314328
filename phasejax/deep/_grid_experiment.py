"""What every grid of trainings has in common: its axes, how its cells are trained, and its settings as JSON text.

`Experiment`, of stereo pairs and of measured features, is one; images and captions have another. `train_grid` and its
store only know what is said here.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from phasejax._core.progress import ProgressCallback
from phasejax.deep._training import State
from phasejax.deep.data._batch import Cell

Start = Callable[[Cell], State]
Epoch = Callable[[State, Cell], tuple[State, Any]]


@runtime_checkable
class GridTraining(Protocol):
    """How cells of one objective are trained, an epoch at a time."""

    @property
    def max_epochs(self) -> int:
        """The most epochs of a cell."""
        ...

    def stopped(self, state: State) -> Any:
        """Whether a cell has stopped, so that another epoch would change nothing."""
        ...

    def programs(self, devices: Sequence[Any]) -> tuple[Start, Epoch]:
        """The state of many cells before the first epoch, and one epoch of all, as `Training.start` and `epoch`."""
        ...


class GridExperiment(ABC):
    """A grid of trainings: every jitter with every noise, objective and seed.

    A frozen dataclass whose fields hold numbers, text and tuples of them; these are among them:

    Args:
        path: the file or folder of the data, if it has one.
        jitters, noises, objectives: values along three axes.
        seeds: number of repetitions.
        max_epochs: the most epochs of a training.
    """

    path: str | None
    jitters: tuple[float, ...]
    noises: tuple[float, ...]
    objectives: tuple[str, ...]
    seeds: int
    max_epochs: int
    places: ClassVar[tuple[str, ...]] = ("path",)
    """Fields that say where something is, which may change from one run to the next."""
    one_by_one: ClassVar[bool] = False
    """Whether a program trains one cell at a time, on all devices, rather than several, on one device each."""

    @abstractmethod
    def trainings(self, progress: bool | ProgressCallback = False) -> Callable[[str], GridTraining]:
        """How cells are trained, by the name of the objective; the data are opened once, now, which may be told."""

    @abstractmethod
    def data_checksum(self) -> str | None:
        """SHA-256 of the content of the data at `path`; None where there is none."""

    def to_json(self) -> str:
        """The experiment as JSON text, which `from_json` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"  # pyright: ignore[reportArgumentType]  # a dataclass

    @classmethod
    def from_json(cls: "type[AnyExperiment]", text: str) -> "AnyExperiment":
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
        known = {field.name for field in fields(cls)}  # pyright: ignore[reportArgumentType]
        for what, names in (("unknown", set(values) - known), ("missing", known - set(values))):
            if names:
                raise ValueError("experiment: expected the fields of this version, got "
                                 f"{what} {', '.join(sorted(names))}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    def difference(self, other: "GridExperiment") -> list[str]:
        """What differs from another experiment, one text for each field, such as "seeds: 3 here, 5 there"."""
        return [f"{field.name}: {getattr(self, field.name)} here, {getattr(other, field.name)} there"
                for field in fields(self)  # pyright: ignore[reportArgumentType]
                if getattr(self, field.name) != getattr(other, field.name)]


AnyExperiment = TypeVar("AnyExperiment", bound=GridExperiment)


def check_axes(experiment: GridExperiment) -> None:
    """Refuse axes of a grid with equal values, or with jitters and noises outside 0 to 1.

    Raises:
        ValueError: naming the axis.
    """
    for name in ("jitters", "noises", "objectives"):
        values = getattr(experiment, name)
        if len(set(values)) < len(values):
            raise ValueError(f"{name}: expected different values, got {values}")
    for name in ("jitters", "noises"):
        for value in getattr(experiment, name):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected values from 0 to 1, got {value}")


def by_cell(experiment: GridExperiment, values: Any) -> np.ndarray:
    """Values of the cells, along one axis in the order of `cells_of`, by jitter, noise and seed."""
    values = np.asarray(values)
    return values.reshape(len(experiment.jitters), len(experiment.noises), experiment.seeds, *values.shape[1:])
