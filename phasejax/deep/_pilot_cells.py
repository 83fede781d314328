"""The trainings of a pilot, one for each fold and seed, and what their encoders make of all rows.

The first training of a fold is repeated with every weight decay, and each objective has the one that lost least on the
rows set aside. The fold's trainings with other seeds have it too: to choose anew in each takes three times as long, and
chose no better objectives on the pairs of `benchmarks.decision`.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from phasejax._core.devices import device_memory, local_slots, over_cells
from phasejax._core.progress import ProgressCallback
from phasejax.deep._pilot_rows import batches_of, padded, standardisation, standardised, thinned, without_validation
from phasejax.deep._pilot_training import Pilot, PilotRows, PilotState, program_of

# Numbers in a view's block of rows that are embedded at a time.
_NUMBERS_IN_A_BLOCK = 4_000_000
# Training rows at most that say how outputs correlate, when rows set aside are asked whether that holds for them.
_FITTED = 1024
# Parts of a training after which progress is told.
_PARTS = 10

# Both views, all rows, as a fold's trainings see them.
_Views = Sequence[Any]


@dataclass(frozen=True, eq=False)
class Cell:
    """One training: with the rows outside one fold, by one seed.

    Args:
        place: its seed's number and its fold.
        start: key of the first parameters.
        rows: to train on.
        aside: rows that help to choose the weight decay.
        batches: places among `rows` of each minibatch.
    """

    place: tuple[int, int]
    start: jax.Array
    rows: Int[np.ndarray, "t"]
    aside: Int[np.ndarray, "v"]
    batches: Int[np.ndarray, "steps batch"]


def cells_of(number: int, seed: int, fold: Int[np.ndarray, "n"], groups: Int[np.ndarray, "n"] | None, steps: int,
             batch: int, *, choose: bool) -> list[Cell]:
    """The trainings of one seed, a fold each; rows are set aside where there is a weight decay to choose."""
    rng = np.random.default_rng(seed if number == 0 else [seed, number])
    folds = range(int(fold.max()) + 1)
    training = [thinned(rng, np.flatnonzero(fold != f)) for f in folds]
    split = [without_validation(rng, rows, None if groups is None else groups[rows]) if choose else (rows, rows[:0])
             for rows in training]
    least = min(len(rows) for rows, _ in split)
    batches = [batches_of(rng, len(rows), steps, min(batch, least)) for rows, _ in split]
    key = jax.random.key(seed)
    starts = jax.random.split(key if number == 0 else jax.random.fold_in(key, number), len(folds))
    return [Cell((number, f), starts[f], *split[f], batches[f]) for f in folds]


def train_and_embed(pilot: Pilot, decays: Sequence[float], views: Sequence[_Views], cells: Sequence[Cell],
                    found: Mapping[str, Any], advance: ProgressCallback) -> None:
    """Train the encoders of all cells and write their outputs on all rows, NaN where a training diverged.

    Args:
        pilot: what is trained and how.
        decays: weight decays to choose from; a single one is taken.
        views: for each fold both views, all rows.
        cells: the trainings, all folds of the first seed first.
        found: by objective its `PilotEncoder`, whose arrays are written.
        advance: told how many steps are done.
    """
    first = cells[:len(views)] if len(decays) > 1 else []
    rest = cells[len(first):]
    run = _Run(pilot, views, cells, found, advance, pilot.steps * (len(first) * len(decays) + len(rest)))
    tried = run([(cell, dict.fromkeys(pilot.objectives, decay)) for cell in first for decay in decays], run.validated)
    chosen = [dict.fromkeys(pilot.objectives, 0)] * len(views)
    for place, cell in enumerate(first):
        states, losses = zip(*tried[place * len(decays):(place + 1) * len(decays)], strict=True)
        chosen[place] = {name: int(np.argmin([loss[name] for loss in losses])) for name in pilot.objectives}
        run.embed(cell, _assembled(states, chosen[place]))
    run([(cell, {name: decays[best] for name, best in chosen[cell.place[1]].items()}) for cell in rest], run.embed)


def _assembled(states: Sequence[PilotState], chosen: Mapping[str, int]) -> PilotState:
    """One state in which each objective has the networks of the state chosen for it."""
    best = states[0]
    for name, place in chosen.items():
        own = states[place]
        best = replace(best, params=best.params | {name: own.params[name]},
                       others=best.others | ({name: own.others[name]} if name in own.others else {}),
                       finite={**best.finite, name: own.finite[name]})
    return best


class _Run:
    """Trains cells, one in each of several threads on a CPU, in batches elsewhere, and tells how far it is."""

    def __init__(self, pilot: Pilot, views: Sequence[_Views], cells: Sequence[Cell], found: Mapping[str, Any],
                 advance: ProgressCallback, steps: int):
        self._pilot, self._views, self._found, self._advance = pilot, views, found, advance
        self._programs = _compiled(pilot)
        self._most = max(len(cell.rows) for cell in cells)
        self._fitted = min(_FITTED, *(len(cell.rows) for cell in cells))
        self._steps, self._done, self._telling = steps, 0, Lock()
        self._scales: dict[tuple[int, int], list[Any]] = {}

    def __call__(self, jobs: Sequence[tuple[Cell, Mapping[str, float]]], finish: Callable[[Cell, PilotState], Any]
                 ) -> list[Any]:
        """Train cells with the weight decay of each objective, and finish each state in the thread that trained it."""
        slots = local_slots()
        row = sum(int(np.prod(shape)) for shape in (self._pilot.shape_x, self._pilot.shape_y))
        size = _at_once(slots[0].platform, 4 * self._most * row)
        alike = [list(found) for _, found in groupby(jobs, lambda job: job[0].batches.shape)]  # of few rows or groups
        groups = [some[start:start + size] for some in alike for start in range(0, len(some), size)]

        def work(group):
            return [finish(cell, state) for (cell, _), state in zip(group, self._train(group), strict=True)]

        with ThreadPoolExecutor(len(slots) if slots[0].platform == "cpu" else 1) as pool:
            return [one for group in pool.map(work, groups) for one in group]

    def validated(self, cell: Cell, state: PilotState) -> tuple[PilotState, dict[str, float]]:
        """The state, and the loss of every objective on the rows set aside, infinite where it diverged."""
        some = cell.rows[np.arange(self._fitted) * len(cell.rows) // self._fitted]
        losses = self._programs.validate(state, *self._seen(cell, cell.aside), *self._seen(cell, some))
        values = {name: float(losses[name]) for name in self._pilot.objectives}
        return state, {name: value if state.finite[name] and np.isfinite(value) else np.inf
                       for name, value in values.items()}

    def embed(self, cell: Cell, state: PilotState) -> None:
        """Write the outputs of one training's encoders on all rows, NaN where it diverged."""
        views, scales = self._views[cell.place[1]], self._scale(cell)
        n = len(views[0])
        size = min(n, max(1, _NUMBERS_IN_A_BLOCK // max(view[0].size for view in views)))
        for start in range(0, n, size):
            block = slice(start, start + size)
            outputs = self._programs.embed(state, *(padded(standardised(view[block], *scale), size)
                                                    for view, scale in zip(views, scales, strict=True)))
            for name, of_views in outputs.items():
                for view, values in of_views.items():
                    getattr(self._found[name], view)[(*cell.place, block)] = np.asarray(values)[:n - start]
        for name, encoders in self._found.items():
            arrays = [array for array in (encoders.x, encoders.y) if array is not None]
            finite = state.finite[name] and all(np.isfinite(array[cell.place]).all() for array in arrays)
            encoders.diverged[cell.place] = not finite
            if not finite:
                for array in arrays:
                    array[cell.place] = np.nan

    def _scale(self, cell):
        """Means and factors of both views, found on the training rows."""
        if cell.place not in self._scales:
            self._scales[cell.place] = [standardisation(view[cell.rows]) for view in self._views[cell.place[1]]]
        return self._scales[cell.place]

    def _seen(self, cell, rows):
        return [standardised(view[rows], *scale)
                for view, scale in zip(self._views[cell.place[1]], self._scale(cell), strict=True)]

    def _train(self, group):
        """The trained states of some cells."""
        x, y = (np.stack([padded(view, self._most) for view in both]) for both in
                zip(*(self._seen(cell, cell.rows) for cell, _ in group), strict=True))
        rows = PilotRows(start=jnp.stack([cell.start for cell, _ in group]), x=x, y=y,
                         decay={name: np.array([decay[name] for _, decay in group], np.float32)
                                for name in self._pilot.objectives},
                         batches=np.stack([cell.batches for cell, _ in group]))
        state = self._programs.start(rows)
        for first, last in pairwise(np.linspace(0, self._pilot.steps, _PARTS + 1).astype(np.int32)):
            state = self._programs.train(state, rows, np.full(len(group), first), np.full(len(group), last))
            jax.block_until_ready(state)
            with self._telling:
                self._done += int(last - first) * len(group)
                self._advance("pilot, steps of all folds", self._done, self._steps)
        state = replace(state, optimiser=())  # as large as the networks twice over, and of no more use
        return [jax.tree.map(lambda leaf, place=place: leaf[place], state) for place in range(len(group))]


def _at_once(platform: str, size: int) -> int:
    """Cells that are trained as one batch: one on a CPU, elsewhere what a quarter of the memory holds the rows of.

    Args:
        platform: of the device.
        size: bytes of the rows of one cell.
    """
    return 1 if platform == "cpu" else max(1, device_memory() // 4 // size)


@dataclass(frozen=True)
class _Compiled:
    """The compiled functions of a pilot: `start` and `train` of many cells, `validate` and `embed` of one."""

    start: Callable[..., PilotState]
    train: Callable[..., PilotState]
    validate: Callable[..., dict]
    embed: Callable[..., dict]


@lru_cache(maxsize=16)
def _compiled(pilot):
    program, devices = program_of(pilot), jax.local_devices()[:1]
    return _Compiled(over_cells(program.start, devices), over_cells(program.train, devices),
                     jax.jit(program.validate), jax.jit(program.embed))
