"""A pilot: what small networks, trained for a few hundred steps, make of rows that they have not seen.

It tells which objective suits the data before anyone trains at full size. For each fold the encoders of four
objectives are trained on all rows but those of the fold, without labels, and then embed all rows. Whoever asks what
labels say about the embeddings fits a probe to the other rows and scores it on the fold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from phasejax._core.checked_call import checked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_among, check_choice, check_count, check_number, check_seed, shown
from phasejax.deep._pilot_cells import cells_of, train_and_embed
from phasejax.deep._pilot_rows import checked_fold, checked_groups, checked_views
from phasejax.deep._pilot_training import DECAYS, ROLES, WIDTHS, Pilot, convolutions, encode
from phasejax.io._fold_view import FoldView

MakeEncoder = Callable[[nnx.Rngs, int], nnx.Module]
ENCODERS = ("auto", "mlp", "convolutional")
OBJECTIVES = tuple(ROLES)
_WIDEST = 2**16  # of a layer, beyond which its weights take gigabytes
# Rows of which encoders are asked what shape their outputs have; a number that no shape has by chance.
_ROWS = 1009


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
    replacement until all training rows have been seen, at a step size that falls to 0 along a cosine. A fifth of the
    training rows is set aside, whole groups where there are any. The first training of each fold is repeated with
    several weight decays; each objective has the one of least loss on these rows: for DeepCCA what correlations of the
    others promise and these do not keep (`held_out_alignment_loss`). Trainings of the fold with other seeds have it
    too. Of more than 20,000 training rows that many take part, at random; all rows are embedded.

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
        seeds: how often each training is repeated, with all of these new; the first one is that of seeds=1, and alone
            chooses the weight decays.
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
             for cell in cells_of(number, seed, fold, groups, steps, batch, choose=len(decays) > 1)]
    views = [[view.fitted_to(fold != f) for view in views] for f in folds]
    shape = seeds, len(folds)
    found = {name: PilotEncoder(**{view: np.empty((*shape, len(fold), pilot.k), np.float32)
                                   if f"encoder_{view}" in ROLES[name] else None for view in ("x", "y")},
                                diverged=np.zeros(shape, bool)) for name in pilot.objectives}
    with reporting(progress) as advance:
        train_and_embed(pilot, decays, views, cells, found, advance)
    return found if seeds > 1 else {name: PilotEncoder(x=None if one.x is None else one.x[0],
                                                       y=None if one.y is None else one.y[0],
                                                       diverged=one.diverged[0]) for name, one in found.items()}


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
