"""Trainings of a pilot of heads: every candidate, without the rows of each fold."""

from itertools import islice
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count, check_key
from phasejax.deep._heads_programs import PROBED, HeadCell, HeadSettings, HeadSizes, PairRows
from phasejax.deep._heads_saved import outputs
from phasejax.deep._heads_settings import ALIGNMENTS, PAIRED, WIDEST
from phasejax.deep._heads_training import HeadTraining, train_cells
from phasejax.deep._pilot import PilotEncoder
from phasejax.deep._pilot_rows import (
    checked_fold,
    checked_groups,
    checked_views,
    standardisation,
    standardised,
    thinned,
    without_validation,
)

if TYPE_CHECKING:
    from phasejax.deep._heads_pilot import HeadsPilot

# Folds whose numbers of rows differ by no more than this share get the same number, so that one program serves all.
_ALIKE = 0.05
_LEAST = 8  # rows outside a fold


def trained_by_fold(pilot: "HeadsPilot", x: Any, y: Any, fold: Any, k: Any, groups: Any, seed: Any,
                    progress: bool | ProgressCallback) -> dict[str, list[PilotEncoder]]:
    """What `HeadsPilot.embeddings` returns, from its arguments.

    Raises:
        ValueError: in one line that names the argument.
    """
    views = checked_views(x, y, None)
    for name, view in zip("xy", views, strict=True):
        if len(view.shape) != 2:
            raise ValueError(f"{name}: expected features (n, d) for a pilot of heads, got shape {view.shape}")
    groups = None if groups is None else checked_groups(groups, len(views[0]))
    fold = checked_fold(fold, len(views[0]))
    check_count("k", k, most=WIDEST)
    key, tried, found = check_key("seed", seed), pilot.tried, []
    parts = _parts_of_folds(fold, groups, np.random.default_rng(seed))
    with reporting(progress) as tell:
        for f, (used, held) in enumerate(parts):
            of_fold = [view.fitted_to(fold != f) for view in views]

            found.append(_trained(pilot, of_fold, used, held, int(k), jax.random.fold_in(key, f),
                                  _of_one_fold(tell, f, len(parts))))
    together: dict[str, list[PilotEncoder]] = {}
    for place, (name, _) in enumerate(tried):
        arrays = {view: np.stack([one[place][0][view] for one in found], 1) for view in PROBED[name]}
        encoder = PilotEncoder(x=arrays.get("x"), y=arrays.get("y"),
                               diverged=np.stack([one[place][1] for one in found], 1))
        together.setdefault("CA" if name in ALIGNMENTS else name, []).append(encoder)
    return together


def _of_one_fold(tell: ProgressCallback, before: int, folds: int) -> ProgressCallback:
    """What a fold's training is told to, after some folds."""
    def advance(task: str, done: int, total: int) -> None:
        tell("pilot, steps of all folds", before * total + done, total * folds)

    return advance


def _trained(pilot: "HeadsPilot", views: list[np.ndarray], used: Int[np.ndarray, "u"],
             held: Int[np.ndarray, "v"], k: int, start: Any, advance: ProgressCallback
             ) -> list[tuple[dict[str, Float[np.ndarray, "seeds n k"]], Bool[np.ndarray, "seeds"]]]:
    """For each candidate, outputs on all rows by view, and which of its trainings diverged."""
    sizes = HeadSizes(views[0].shape[1], views[1].shape[1], k, tuple(map(int, pilot.widths)), pilot.norm)
    views = [standardised(view, *standardisation(view[used])) for view in views]
    data = PairRows(*(view[part] for part in (used, held) for view in views))
    starts = jax.random.split(start, int(pilot.seeds))
    jobs = [(HeadTraining(sizes.program(name), int(pilot.batch), int(pilot.epochs), int(pilot.patience)),
             HeadCell(start=own, kind=jnp.int32(PAIRED.index(name)), columns=jnp.zeros(0, jnp.float32),
                      settings=HeadSettings(**{one: jnp.float32(value) for one, value in setting.items()})))
            for name, setting in pilot.tried for own in starts]
    states, found = iter(train_cells(jobs, data, advance)), []
    for name, _ in pilot.tried:
        own, program = list(islice(states, len(starts))), sizes.program(name)
        by_view = {view: np.stack([outputs(program, np.asarray(state.best), state.best_means, view,
                                           views["xy".index(view)]) for state in own]) for view in PROBED[name]}
        lost = np.array([bool(state.diverged) for state in own])
        for values in by_view.values():
            lost |= ~np.isfinite(values).all((1, 2))
        for values in by_view.values():
            values[lost] = np.nan
        found.append((by_view, lost))
    return found


def _parts_of_folds(fold: Int[np.ndarray, "n"], groups: Int[np.ndarray, "n"] | None, rng: np.random.Generator
                    ) -> list[list[Int[np.ndarray, "m"]]]:
    """For each fold the numbers of the rows to train on and of those that stop the training, in random order."""
    parts = []
    for f in range(int(fold.max()) + 1):
        rows = thinned(rng, np.flatnonzero(fold != f))
        if len(rows) < _LEAST:
            raise ValueError(f"fold: expected at least {_LEAST} rows outside each fold, got {len(rows)}")
        parts.append([rng.permutation(part) for part in
                      without_validation(rng, rows, None if groups is None else groups[rows])])
    for place in (0, 1):
        sizes = [len(part[place]) for part in parts]
        if min(sizes) >= (1 - _ALIKE) * max(sizes):
            for part in parts:
                part[place] = part[place][:min(sizes)]
    return parts
