"""Any training as a pilot: the user's own function, in whatever framework, called without the rows of each fold.

What networks prefer depends on how they are trained: on the loss, on how a weight decay is chosen, on when training
stops. So the pilot that knows most is the very training that will be run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count, check_seed, did_you_mean, shown, users_own
from phasejax.deep._pilot_rows import checked_fold, checked_views
from phasejax.io._fold_view import FoldView

if TYPE_CHECKING:
    from phasejax.deep._pilot import PilotEncoder

# The views that an objective encodes.
_VIEWS = {"CA": ("x", "y"), "CP x->y": ("x",), "CP y->x": ("y",), "joint": ("x",)}
_LEAST = 8  # rows outside a fold


@checked
@dataclass(frozen=True)
class OwnPilot:
    """A training of your own as the pilot of `phasejax.diagnosis.diagnose`, which then goes by it alone.

    Give the function with which the networks will be trained, in PyTorch, JAX or anything else. It is called for each
    fold with the other rows, several times with different seeds, since networks of few outputs can end with another
    component for every seed; their spread is part of a score's error. It sees no labels. Whatever it chooses (a weight
    decay, when to stop) it has to choose on the rows that it gets.

    Args:
        train: called as ``train(x, y, k, seed)`` with paired rows (NumPy arrays), an embedding's width and a number,
            returns trained encoders, functions from rows of a view to embeddings (n, k), by objective: "CA" a pair of
            them, of x and of y, "CP x->y" one of x, "CP y->x" one of y, "joint" one of x; at least one objective. A
            list of several for an objective are candidates, of which each fold takes the one that scores best on the
            labels of other folds. Outputs that are not finite count as a training that diverged. Rows are those of the
            diagnosis: columns of mixed units divided by their deviations, without confounders, in components where
            there is `pca`.
        seeds: trainings for each fold, at least 2.

    Raises:
        ValueError: in one line that names the argument.

    Source: K26, section 4, where each objective is judged by networks that were trained with it.

    >>> def train(x, y, k, seed):  # linear regression, cut to k directions
    ...     slopes = np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=None)[0]
    ...     return {"CP x->y": lambda rows: rows @ np.linalg.svd(slopes)[0][:, :k]}
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 3))
    >>> found = OwnPilot(train).embeddings(x, x[:, :2], np.arange(60) % 3, 1)
    >>> found["CP x->y"][0].x.shape
    (2, 3, 60, 1)
    """

    train: Callable[..., Mapping[str, Any]]
    seeds: int = 2

    def __post_init__(self) -> None:
        check_count("seeds", self.seeds, 2)

    @checked
    def embeddings(self, x: ArrayLike | FoldView, y: ArrayLike | FoldView, fold: ArrayLike, k: int, *,
                   groups: ArrayLike | None = None, seed: int = 0, progress: bool | ProgressCallback = False
                   ) -> dict[str, list[Any]]:
        """Outputs on all rows of networks that were trained on the rows outside each fold.

        Args:
            x, y: features (n, d) or images (n, h, w, c), finite numbers.
            fold: for each row the fold, from 0 on, that holds it out; -1 for a row that no fold holds out.
            k: number of outputs of each encoder.
            groups: of the rows; whole ones are in a fold, and the training is not told of them.
            seed: from which those of the trainings come.
            progress: False, True for bars on a terminal, or a callback.

        Returns:
            By objective a `PilotEncoder` for each candidate, its outputs with a leading axis of seeds.

        Raises:
            ValueError: in one line that names the argument; what the function itself raises comes through.
        """
        views = checked_views(x, y, None)
        fold = checked_fold(fold, len(views[0]))
        check_count("k", k)
        check_seed("seed", seed)
        folds = int(fold.max()) + 1
        if (least := min(int(np.sum(fold != f)) for f in range(folds))) < _LEAST:
            raise ValueError(f"fold: expected at least {_LEAST} rows outside each fold, got {least}")
        seeds = np.random.default_rng(seed).integers(2**31, size=(folds, int(self.seeds))).tolist()
        found: list[list[dict[str, list[_Outputs]]]] = [[] for _ in range(int(self.seeds))]
        with reporting(progress) as tell:
            for f in range(folds):
                rows = dict(zip("xy", (view.fitted_to(fold != f) for view in views), strict=True))
                for number, own in enumerate(seeds[f]):
                    with users_own("pilot", "the training given"):
                        encoders = self.train(rows["x"][fold != f], rows["y"][fold != f], int(k), own)
                    found[number].append(_embedded(encoders, rows, int(k)))
                    tell("pilot, steps of all folds", f * len(seeds[f]) + number + 1, folds * len(seeds[f]))
        kinds = {tuple((name, len(one)) for name, one in of_fold.items()) for of_seed in found for of_fold in of_seed}
        if len(kinds) > 1:
            raise ValueError("pilot: expected the same objectives and numbers of candidates from every training, got "
                             f"{' and '.join(str(dict(kind)) for kind in sorted(kinds)[:2])}")
        return {name: [_together([[of_fold[name][place] for of_fold in of_seed] for of_seed in found])
                       for place in range(candidates)] for name, candidates in next(iter(kinds))}


_Outputs = dict[str, Float[np.ndarray, "n k"]]


def _embedded(encoders: Any, rows: Mapping[str, np.ndarray], k: int) -> dict[str, list[_Outputs]]:
    """Outputs on all rows by objective, of each candidate, in the order of `_VIEWS`."""
    if not isinstance(encoders, Mapping) or not encoders:
        raise ValueError(f"pilot: expected encoders by objective from the training, got {shown(encoders)}")
    for name in encoders:
        if name not in _VIEWS:
            raise ValueError(f"pilot: expected objectives out of {', '.join(_VIEWS)}, got {shown(name)}"
                             f"{did_you_mean(str(name), tuple(_VIEWS))}")
    found = {}
    for name, views in _VIEWS.items():
        if name not in encoders:
            continue
        candidates = encoders[name] if isinstance(encoders[name], list) else [encoders[name]]
        found[name] = [dict(zip(views, _outputs(name, views, one, rows, k), strict=True)) for one in candidates]
        if not candidates:
            raise ValueError(f"pilot: expected at least one candidate for {name}, got none")
    return found


def _outputs(name, views, given, rows, k):
    functions = given if len(views) > 1 else (given,)
    if not isinstance(functions, tuple) or len(functions) != len(views) or not all(map(callable, functions)):
        expected = "a pair of encoders, of x and of y," if len(views) > 1 else f"an encoder of {views[0]}"
        raise ValueError(f"pilot: expected {expected} for {name}, got {shown(given)}")
    for view, encode in zip(views, functions, strict=True):
        with users_own("pilot", f"the encoder of {view} for {name}"):
            values = np.asarray(encode(rows[view].copy()))  # what is done to the rows in place stays there
        if values.shape != (len(rows[view]), k) or values.dtype.kind not in "biuf":
            raise ValueError(f"pilot: expected outputs of shape ({len(rows[view])}, {k}) from the encoder of {view} "
                             f"for {name}, got {values.shape} of {values.dtype}")
        yield values.astype(np.float32)


def _together(parts: list[list[_Outputs]]) -> "PilotEncoder":
    """The outputs of all seeds and folds; all NaN where some are not finite."""
    from phasejax.deep._pilot import PilotEncoder  # imports Flax, of which a training of one's own may have no need

    views = {view: np.stack([[outputs[view] for outputs in of_seed] for of_seed in parts]) for view in parts[0][0]}
    lost = ~np.all([np.isfinite(values).all((2, 3)) for values in views.values()], axis=0)
    for values in views.values():
        values[lost] = np.nan
    return PilotEncoder(x=views.get("x"), y=views.get("y"), diverged=lost)
