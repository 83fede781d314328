"""Heads as a pilot: the very heads of `train_heads`, trained without the rows of each fold.

A pilot of other networks is a stand-in. Where light heads on frozen features are what will be trained, they are cheap
enough to be trained for every fold, so that a diagnosis from few labels can go by them alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback
from phasejax._core.validation import check_among, check_count
from phasejax.deep._heads_settings import PAIRED, check_training, distinct_for, settings_of
from phasejax.io._fold_view import FoldView

_HYPER_PARAMETERS = ("learning_rate", "weight_decay", "dropout", "alpha", "temperature")


@checked
@dataclass(frozen=True)
class HeadsPilot:
    """Heads on frozen features as the pilot of `phasejax.diagnosis.diagnose`, with the options of `train_heads`.

    Give the options with which the heads will be trained: then the diagnosis goes by them alone for what they are, and
    linear and lifted scores only stand beside them. For each fold every objective is trained with every setting,
    without labels, on the other rows, of which a fifth (whole groups where there are any) stops the training. Each fold
    takes the alignment and the setting that score best on the labels of the other folds. Heads of few outputs can end
    with another component for every seed; so several are trained, and their spread is part of a score's error.

    Args:
        objectives: names of objectives on pairs; "CA VICReg", "CA InfoNCE" and "CA DeepCCA" are candidates for CA.
        seeds: trainings of each from different first parameters and minibatches, at least 2.
        widths, norm, dropout, learning_rate, weight_decay, alpha, temperature, grid, batch, epochs, patience: as in
            `train_heads`.

    Raises:
        ValueError: in one line that names the argument.

    Source: K26, section 4 and appendix, frozen features.

    >>> HeadsPilot(objectives=("CA VICReg", "CP x->y"), grid={"weight_decay": [0.001, 10]}).candidates
    (('CA VICReg', 0.001), ('CA VICReg', 10.0), ('CP x->y', 0.001), ('CP x->y', 10.0))
    """

    objectives: Sequence[str] = PAIRED
    widths: Sequence[int] = (128,)
    norm: str | None = "batch"
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    alpha: float = 0.5
    temperature: float = 0.1
    grid: Mapping[str, Any] | None = None
    batch: int = 64
    epochs: int = 200
    patience: int = 30
    seeds: int = 3

    def __post_init__(self) -> None:
        check_among("objectives", self.objectives, PAIRED)
        if not self.objectives:
            raise ValueError("objectives: expected at least one, got none")
        check_training(self.widths, self.norm, self.batch, self.epochs, self.patience)
        check_count("seeds", self.seeds, 2)
        self._settings()

    def _settings(self) -> list[dict[str, float]]:
        return settings_of({name: getattr(self, name) for name in _HYPER_PARAMETERS}, self.grid)

    @property
    def tried(self) -> list[tuple[str, dict[str, float]]]:
        """Objectives, alignments first, each with every setting that makes a difference to it."""
        return [(name, setting) for name in PAIRED if name in self.objectives
                for setting in distinct_for(name, self._settings())]

    @property
    def candidates(self) -> tuple[tuple[Any, ...], ...]:
        """What is trained for each fold: objectives, and the values of what `grid` varies."""
        varied = tuple({} if self.grid is None else self.grid)
        return tuple((name, *(setting[one] for one in varied)) for name, setting in self.tried)

    @checked
    def embeddings(self, x: ArrayLike | FoldView, y: ArrayLike | FoldView, fold: ArrayLike, k: int, *,
                   groups: ArrayLike | None = None, seed: int = 0, progress: bool | ProgressCallback = False
                   ) -> dict[str, list[Any]]:
        """Outputs on all rows of heads that were trained, without labels, on the rows outside each fold.

        Views are centred and divided by one number each, found on training rows. Of more than 20,000 training rows that
        many take part, at random.

        Args:
            x, y: features, (n, d_x) and (n, d_y), finite numbers.
            fold: for each row the fold, from 0 on, that holds it out; -1 for a row that no fold holds out.
            k: number of outputs of each encoder.
            groups: of the rows, integers; None if all rows are independent.
            seed: of first parameters, minibatches, and of the rows that stop a training.
            progress: False, True for bars on a terminal, or a callback.

        Returns:
            By "CA", "CP x->y", "CP y->x" and "joint", as far as they are among the objectives, a `PilotEncoder` for
            each candidate, its outputs with a leading axis of seeds.

        Raises:
            ValueError: in one line that names the argument.

        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.standard_normal((60, 3))
        >>> pilot = HeadsPilot(objectives=("CA VICReg", "CA InfoNCE"), widths=(), norm=None, epochs=2)
        >>> found = pilot.embeddings(x, x**2, np.arange(60) % 2, 1)
        >>> [(one.x.shape, one.y.shape) for one in found["CA"]]
        [((3, 2, 60, 1), (3, 2, 60, 1)), ((3, 2, 60, 1), (3, 2, 60, 1))]
        """
        from phasejax.deep._heads_folds import trained_by_fold  # compiles programs; settings alone need none

        return trained_by_fold(self, x, y, fold, k, groups, seed, progress)
