"""A pilot: what small networks, trained for a few hundred steps, make of rows that they have not seen.

It tells which objective suits the data before anyone trains at full size. For each fold the encoders of four
objectives are trained on all rows but those of the fold, without labels, and then embed all rows. Whoever asks what
labels say about the embeddings fits a probe to the other rows and scores it on the fold.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from threading import Lock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.devices import local_slots, over_cells
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_among, check_choice, check_count, check_number, check_seed, shown
from phasejax.deep._pilot_rows import (
    batches_of,
    checked_fold,
    checked_groups,
    checked_views,
    padded,
    standardisation,
    standardised,
    thinned,
    without_validation,
)
from phasejax.deep._pilot_training import (
    DECAYS,
    ROLES,
    WIDTHS,
    Pilot,
    PilotRows,
    PilotState,
    convolutions,
    encode,
    program_of,
)
from phasejax.io._fold_view import FoldView

MakeEncoder = Callable[[nnx.Rngs, int], nnx.Module]
ENCODERS = ("auto", "mlp", "convolutional")
OBJECTIVES = tuple(ROLES)
_WIDEST = 2**16  # of a layer, beyond which its weights take gigabytes
# Numbers in a view's block of rows that are embedded at a time.
_NUMBERS_IN_A_BLOCK = 4_000_000
# Rows of which encoders are asked what shape their outputs have; a number that no shape has by chance.
_ROWS = 1009
# Training rows at most that say how outputs correlate, when rows set aside are asked whether that holds for them.
_FITTED = 1024
# Parts of a training after which progress is told.
_PARTS = 10


@dataclass(frozen=True, eq=False)
class PilotEncoder:
    """What the encoders of one objective make of all rows (`pilot_embeddings`).

    Args:
        x, y: outputs on all rows of the encoders of either view, shape (folds, n, k), with a leading axis of seeds
            where there are several; [f, i] is the output on row i of the encoder that was trained without the rows of
            fold f, NaN where its training diverged. None where the objective has no encoder of the view.
        diverged: for each fold, and seed, whether a loss or an output was not finite.
    """

    x: Float[np.ndarray, "*seeds folds n k"] | None
    y: Float[np.ndarray, "*seeds folds n k"] | None
    diverged: Bool[np.ndarray, "*seeds folds"]


@checked
def pilot_embeddings(x: ArrayLike | FoldView, y: ArrayLike | FoldView, fold: ArrayLike, k: int, *,
                     groups: ArrayLike | None = None, pca: int | None = None,
                     encoder: str | tuple[MakeEncoder, MakeEncoder] = "auto", steps: int = 500, batch: int = 256,
                     hidden: Sequence[int] = (128,), learning_rate: float = 2e-3, seed: int = 0, seeds: int = 1,
                     progress: bool | ProgressCallback = False, objectives: Sequence[str] = OBJECTIVES,
                     widths: Sequence[int] = WIDTHS, weight_decays: Sequence[float] | None = None
                     ) -> dict[str, PilotEncoder]:
    r"""Outputs of small encoders that were trained, without labels, on the rows outside each fold.

    The objectives, with encoders E of k outputs, decoders D, and A minus the mean squared canonical correlation of
    the encoders' outputs over the minibatch (DeepCCA; VICReg / 25 where k is above 16):

    .. math::
        \text{CA: } A(E_x x, E_y y), \quad
        \text{CP x->y: } \mathrm{MSE}(D E_x x,\, y), \quad
        \text{CP y->x: } \mathrm{MSE}(D E_y y,\, x), \quad
        \text{joint: } \mathrm{MSE}(D E_x x,\, y) + A(E_x x, E_y y)

    Views are centred and divided by one number each, so that the unit of a view does not matter and those of its
    columns do: prediction counts columns by their variance. Adam takes `steps` minibatches, drawn without
    replacement until all training rows have been seen, at a step size that falls to 0 along a cosine. Every training is
    repeated with several weight decays; each objective keeps the one of least loss on a fifth of the training rows,
    which were set aside, whole groups where there are any: for DeepCCA what correlations of the others promise and
    these do not keep (`held_out_alignment_loss`). Of more than 20,000 training rows that many take part, at
    random; all rows are embedded.

    Args:
        x, y: paired views, n rows of features (n, d) or of images (n, h, w, c), finite numbers.
        fold: for each row the fold, from 0 on, that holds it out; -1 for a row that no fold holds out.
        k: number of outputs of each encoder, the bottleneck.
        groups: of the rows, integers; rows of a group are not independent. None if all rows are.
        pca: principal components, of the training rows of each fold, that networks see in place of the columns of a
            view with more of them; None for all columns.
        encoder: "mlp" for dense layers, "convolutional" for convolutions, "auto" for convolutions of square images
            and dense layers of all else; or a pair of functions, for x and for y, that make an encoder of (rngs, k): an
            NNX module from n rows in their shape to (n, k).
        steps: number of minibatches.
        batch: rows in a minibatch; all training rows where there are fewer.
        hidden: widths of the hidden dense layers of encoders; those of decoders in reverse.
        learning_rate: step size of Adam at the start.
        seed: of first parameters, minibatches and rows set aside; the same seed gives the same bits on the same
            machine.
        seeds: how often each training is repeated, with all of these new; the first one is that of seeds=1.
        progress: False for silence, True for bars on a terminal, or a callback of (task, steps done, steps in all).
        objectives: names out of `OBJECTIVES`.
        widths: channels after each convolution, first to last; images of few pixels have the first ones only.
        weight_decays: shares of every parameter that the first step takes away, each of which is tried; 0.002, 0.02
            and 0.12 when left out. With a single one nothing is chosen, and no rows are set aside.

    Returns:
        For each objective what its encoders make of all rows, with a leading axis of seeds where there are several.

    Raises:
        ValueError: naming the argument, what was expected and what was given.

    Source: K26, eq. 1 and 2 and section 4, at small size; DeepCCA, Andrew, Arora, Bilmes and Livescu 2013.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 3))
    >>> found = pilot_embeddings(x, x**2, np.arange(60) % 2, 1, steps=20, hidden=(8,), objectives=("CP x->y",))
    >>> found["CP x->y"].x.shape, found["CP x->y"].y, found["CP x->y"].diverged.tolist()
    ((2, 60, 1), None, [False, False])
    """
    views = checked_views(x, y, pca)
    groups = None if groups is None else checked_groups(groups, len(views[0]))
    fold = checked_fold(fold, len(views[0]))
    for name, value in (("k", k), ("steps", steps), ("batch", batch), ("seeds", seeds)):
        check_count(name, value)
    check_among("objectives", objectives, OBJECTIVES)
    if not isinstance(weight_decays, Sequence | None) or isinstance(weight_decays, str | bytes):
        raise ValueError(f"weight_decays: expected numbers from 0 to below 1, got {weight_decays}")
    decays = DECAYS if weight_decays is None else tuple(weight_decays)
    if not decays or not all(0 <= decay < 1 for decay in decays):
        raise ValueError(f"weight_decays: expected numbers from 0 to below 1, got {weight_decays}")
    for width in widths:
        check_count("widths", width, most=_WIDEST)
    if not isinstance(hidden, list | tuple):
        raise ValueError(f"hidden: expected a list of widths, got {shown(hidden)}")
    for width in hidden:
        check_count("hidden", width, most=_WIDEST)
    check_number("learning_rate", learning_rate, above=0)
    check_seed("seed", seed)
    folds = range(int(fold.max()) + 1)
    if (least := min(int((fold != f).sum()) for f in folds)) < 4:
        raise ValueError(f"fold: expected at least 4 rows outside each fold, got {least}")
    if not isinstance(encoder, str) and not (isinstance(encoder, tuple | list) and len(encoder) == 2
                                             and all(map(callable, encoder))):
        raise ValueError(f"encoder: expected one of {', '.join(ENCODERS)} or two functions, got {shown(encoder)}")
    own = (None, None) if isinstance(encoder, str) else encoder
    if isinstance(encoder, str):
        check_choice("encoder", encoder, ENCODERS)
    pilot = Pilot(shape_x=views[0].shape[1:], shape_y=views[1].shape[1:], k=int(k),
                  objectives=tuple(name for name in OBJECTIVES if name in objectives), encoders=own,
                  convolutional=encoder != "mlp", widths=tuple(map(int, widths)), hidden=tuple(map(int, hidden)),
                  steps=int(steps), learning_rate=float(learning_rate))
    _check_encoders(pilot, encoder)
    cells = [cell for number in range(seeds)
             for cell in _cells(number, seed, fold, groups, steps, batch, choose=len(decays) > 1)]
    views = [[view.fitted_to(fold != f) for view in views] for f in folds]
    with reporting(progress) as advance:
        found = _train_and_embed(pilot, decays, views, cells, seeds, advance)
    return found if seeds > 1 else {name: PilotEncoder(x=None if one.x is None else one.x[0],
                                                       y=None if one.y is None else one.y[0],
                                                       diverged=one.diverged[0]) for name, one in found.items()}


@dataclass(frozen=True, eq=False)
class _Cell:
    """One training: with the rows outside one fold, by one seed.

    Args:
        place: its seed's number and its fold.
        start: key of the first parameters.
        rows: to train on.
        aside: rows that choose the weight decay.
        batches: places among `rows` of each minibatch.
    """

    place: tuple[int, int]
    start: jax.Array
    rows: np.ndarray
    aside: np.ndarray
    batches: np.ndarray


def _cells(number, seed, fold, groups, steps, batch, choose):
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
    return [_Cell((number, f), starts[f], *split[f], batches[f]) for f in folds]


def _train_and_embed(pilot, decays, views, cells, seeds, advance):
    """The encoders of all cells: one in each of several threads on a CPU, all in one batch elsewhere.

    Args:
        views: for each fold both views, all rows.
        cells: the trainings.
    """
    slots = local_slots()
    together = slots[0].platform != "cpu"
    batched = [cells] if together else [[cell] for cell in cells]
    programs = _compiled(pilot)
    most, n = max(len(cell.rows) for cell in cells), len(views[0][0])
    fitted = min(_FITTED, *(len(cell.rows) for cell in cells))
    shape = seeds, len(views)
    found = {name: PilotEncoder(**{view: np.empty((*shape, n, pilot.k), np.float32)
                                   if f"encoder_{view}" in ROLES[name] else None for view in ("x", "y")},
                                diverged=np.zeros(shape, bool)) for name in pilot.objectives}
    done, telling = [0] * len(batched), Lock()

    def run(number):
        group = batched[number]
        own = [views[cell.place[1]] for cell in group]
        scales = [[standardisation(view[cell.rows]) for view in pair] for cell, pair in zip(group, own, strict=True)]

        def seen(place, rows):
            return [standardised(view[rows], *scale) for view, scale in zip(own[place], scales[place], strict=True)]

        x, y = (np.stack([padded(view, most) for view in both]) for both in
                zip(*(seen(place, cell.rows) for place, cell in enumerate(group)), strict=True))
        states = []
        for decay in decays:
            rows = PilotRows(start=jnp.stack([cell.start for cell in group]), x=x, y=y,
                             decay=np.full(len(group), decay, np.float32),
                             batches=np.stack([cell.batches for cell in group]))
            state = programs.start(rows)
            marks = np.linspace(0, pilot.steps, _PARTS + 1).astype(np.int32)
            for first, last in pairwise(marks):
                state = programs.train(state, rows, np.full(len(group), first), np.full(len(group), last))
                jax.block_until_ready(state)
                with telling:
                    done[number] += int(last - first) * len(group)
                    advance("pilot, steps of all folds", sum(done), pilot.steps * len(cells) * len(decays))
            states.append(state)
        for place, cell in enumerate(group):
            tried = [jax.tree.map(lambda leaf, place=place: leaf[place], state) for state in states]
            some = cell.rows[np.arange(fitted) * len(cell.rows) // fitted]
            best = _best_by_objective(programs, tried, seen(place, cell.aside), seen(place, some))
            _embed(programs, best, own[place], scales[place], found, cell.place)

    with ThreadPoolExecutor(1 if together else len(slots)) as pool:
        list(pool.map(run, range(len(batched))))
    return found


def _best_by_objective(programs, states, validation, fitted):
    """One state in which each objective has the networks that lose least on validation rows and did not diverge."""
    best = states[0]
    if len(states) == 1:
        return best
    losses = [programs.validate(state, *validation, *fitted) for state in states]
    for name in best.finite:
        values = [float(loss[name]) if state.finite[name] else np.inf
                  for loss, state in zip(losses, states, strict=True)]
        chosen = states[int(np.argmin(np.where(np.isfinite(values), values, np.inf)))]
        best = PilotState(params=best.params | {name: chosen.params[name]},
                          others=best.others | ({name: chosen.others[name]} if name in chosen.others else {}),
                          optimiser=best.optimiser, finite={**best.finite, name: chosen.finite[name]})
    return best


def _embed(programs, state, views, scales, found, place):
    """Write the outputs of one training's encoders on all rows into `found`, NaN where it diverged."""
    n = len(views[0])
    size = min(n, max(1, _NUMBERS_IN_A_BLOCK // max(view[0].size for view in views)))
    for start in range(0, n, size):
        block = slice(start, start + size)
        outputs = programs.embed(state, *(padded(standardised(view[block], *scale), size)
                                          for view, scale in zip(views, scales, strict=True)))
        for name, of_views in outputs.items():
            for view, values in of_views.items():
                getattr(found[name], view)[(*place, block)] = np.asarray(values)[:n - start]
    for name, encoders in found.items():
        arrays = [array for array in (encoders.x, encoders.y) if array is not None]
        encoders.diverged[place] = not (state.finite[name] and all(np.isfinite(array[place]).all() for array in arrays))
        if encoders.diverged[place]:
            for array in arrays:
                array[place] = np.nan


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



def _check_encoders(pilot, encoder):
    for view, shape in (("x", pilot.shape_x), ("y", pilot.shape_y)):
        if encoder == "convolutional" and not convolutions(shape, len(pilot.widths)):
            raise ValueError(f"encoder: expected square images with an even side of at least 8 for convolutions, got "
                             f"rows of {view} of shape {shape}")
        rows = jax.ShapeDtypeStruct((_ROWS, *shape), np.float32)
        found = jax.eval_shape(lambda rows, view=view: encode(pilot, view, nnx.Rngs(0))(rows), rows)
        if getattr(found, "shape", None) != (_ROWS, pilot.k):
            sides = ["n" if side == _ROWS else str(side) for side in getattr(found, "shape", ())]
            got = f"({', '.join(sides)})" if hasattr(found, "shape") else type(found).__name__
            raise ValueError(f"encoder: expected outputs of shape (n, {pilot.k}), got {got} from the encoder of {view}")
