r"""Alignment imposed with a strength: encoders of two modalities trained on the label and on each other.

.. math::
    L = \mathrm{CE}(a_x(h_x), l) + \mathrm{CE}(a_y(h_y), l) + \lambda\, \mathrm{InfoNCE}(p_x(h_x), p_y(h_y))

with encoders h (`_encoders`), linear label heads a, and linear projections p whose outputs are normalised. What is
scored is the accuracy of each modality's own encoder, since F26 asks what alignment does to unimodal encoders. It is
taken over all states of a modality instead of a test sample, so that no sampling error is left.

F26 published no code. Bits, encoders of width 12 and batches of 512 are those of T25. Chosen here are y as it is,
three hidden layers, temperature 0.1, and 8192 rows. The number of rows decides what alignment does (three seeds each).
With 4096 rows, in batches of 256, encoders overfit (at R = 0 they reach 0.547, with all rows 0.570), and being pulled
away from the rows helps: the best lambda was 1 at R = 0 and 2 at R = 4. With T25's 45,875 rows the label teaches all
there is to learn: nothing was gained at R = 4 and R = 8, and R = 0 lost 0.11 at lambda = 2. In between lies what F26
reports. On six seeds that no choice had been made on, accuracy at lambda = 2 minus that at lambda = 0, with its 95%
interval over seeds, and the best lambda, with its bootstrap interval, were

    R = 0    -0.121 [-0.252, +0.009]    0.5 [0.5, 0.5]
    R = 4    +0.004 [-0.003, +0.011]    0.5 [0.5, 1.5]
    R = 8    +0.0044 [+0.0037, +0.0050] 2.0 [0.25, 4.0]

Unlike in F26 a little alignment helps at R = 0 too (+0.006 at 0.5), and CKA does not rise at R = 8, where training on
the label alone already aligns (0.84 without alignment, 0.76 at lambda = 2); mutual kNN and SVCCA rise at every R.

Source: F26.
"""

import functools
import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.devices import over_cells
from phasejax._core.progress import ProgressCallback
from phasejax._core.provenance import computed_on
from phasejax._core.resumable import compute_parts
from phasejax._core.validation import check_count, check_seed
from phasejax._version import __version__
from phasejax.information._encoders import (
    Linear,
    cross_entropy,
    exact_accuracy,
    hidden_layers,
    start_encoder,
    start_linear,
    train_on_minibatches,
)
from phasejax.information._shared_unique_bits import (
    SharedUniqueBits,
    all_bits,
    draw_rows,
    label_given_states,
    label_of_seed,
    mutual_information,
)
from phasejax.information._tanh_network import tanh_network
from phasejax.linear import info_nce_loss
from phasejax.similarity import cka, mutual_knn, svcca

METRICS: dict[str, Callable[..., Array]] = {
    "cka": cka, "cka_unbiased": functools.partial(cka, unbiased=True), "mutual_knn": mutual_knn, "svcca": svcca}
MODALITIES = ("x", "y")
_MOST_DRAWS = 10**6  # of the bootstrap
_METRIC_ROWS = 1024  # held-out rows that alignment is measured on


@checked
@dataclass(frozen=True)
class ImposedAlignment:
    """A grid of trainings: every redundancy with every strength and seed.

    Args:
        redundancies: R, how many of the 8 label features are shared bits, increasing.
        strengths: lambda, at least 0, increasing.
        seeds: number of repetitions, each with its own label, rows, disguise and first parameters, which are the
            same for all strengths.
        n: training rows.
        steps, batch, learning_rate: of Adam: gradient steps, rows in each, step size.
        depth, width: hidden layers of the encoders, and units in each.
        transform_depth: depth of the tanh network that y passes through; None leaves y as it is.
        temperature: of InfoNCE.

    Raises:
        ValueError: a value that no run could use.

    >>> ImposedAlignment(redundancies=(0, 8), strengths=(0.0, 1.0), seeds=3).n
    8192
    """

    redundancies: tuple[int, ...] = tuple(range(9))
    strengths: tuple[float, ...] = tuple(round(0.1 * i, 1) for i in range(41))
    seeds: int = 10
    n: int = 8192
    steps: int = 4000
    batch: int = 512
    learning_rate: float = 3e-3
    depth: int = 3
    width: int = 12
    transform_depth: int | None = None
    temperature: float = 0.1

    def __post_init__(self):
        for name in ("redundancies", "strengths"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or list(values) != sorted(set(values)):
                raise ValueError(f"{name}: expected increasing values, got {values}")
        for name in ("seeds", "n", "steps", "batch", "depth", "width"):
            check_count(name, getattr(self, name))
        if not (self.redundancies[0] >= 0 and self.redundancies[-1] <= 8):
            raise ValueError(f"redundancies: expected 0 to 8, got {self.redundancies}")
        if not 0 <= self.strengths[0] <= self.strengths[-1] < float("inf"):
            raise ValueError(f"strengths: expected finite values from 0 on, got {self.strengths}")
        if self.batch > self.n:
            raise ValueError(f"batch: expected at most {self.n}, the rows, got {self.batch}")
        if self.transform_depth is not None and self.transform_depth < 0:
            raise ValueError(f"transform_depth: expected 0 or more or None, got {self.transform_depth}")


IMPOSED_ALIGNMENT_PRESETS = {
    "quick": ImposedAlignment(redundancies=(0, 4, 8), strengths=(0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0), seeds=3),
    "laptop": ImposedAlignment(redundancies=(0, 2, 4, 6, 8),
                               strengths=(0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0), seeds=5),
    "paper": ImposedAlignment(),
}


@checked
def run_imposed_alignment(experiment: ImposedAlignment, *, store: str | Path | None = None,
                          executor: Executor | str | None = None,
                          progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Train every cell of the grid; all strengths of one redundancy and seed run in one batched program.

    Args:
        experiment: what to train.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        executor: who trains instead, as in `phasejax.sweep`: a redundancy and seed at a time.
        progress: False for silence, True for a bar on a terminal, or a callback that is called after every redundancy
            and seed.

    Returns:
        `accuracy` (redundancy, seed, strength, modality) over all states of a modality; `alignment` (metric,
        redundancy, seed, strength) of the last hidden layers; `best_accuracy` (redundancy, seed, modality), which no
        classifier of this label exceeds.

    Source: F26.
    """
    _program(experiment)  # here, since threads that call it at the same time would each make one
    points = [(r, seed) for r in experiment.redundancies for seed in range(experiment.seeds)]
    # A part does not depend on which other redundancies and seeds the experiment has.
    settings = json.dumps(asdict(replace(experiment, redundancies=(0,), seeds=1))
                          | {"phasejax": __version__, "jax": jax.__version__})
    work = functools.partial(_train_all_strengths, experiment)
    return _dataset(experiment, compute_parts(points, work, settings=settings, store=store, executor=executor,
                                              progress=progress, task="redundancies and seeds"))


@functools.lru_cache(4)
def _program(experiment: ImposedAlignment) -> Callable[..., dict[str, Any]]:
    """`train_pair` for all strengths of one redundancy and seed, compiled once in each process."""
    return over_cells(functools.partial(train_pair, experiment=experiment), jax.local_devices()[:1])


def _train_all_strengths(experiment: ImposedAlignment, redundancy: int, seed: int) -> dict[str, Any]:
    """One part of the experiment, in this process or in a worker's."""
    strengths = jnp.asarray(experiment.strengths, jnp.float32)
    model, key = label_of_seed(redundancy, seed)
    best = mutual_information(model)
    cells = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf, jnp.float32),
                                                       (len(strengths), *np.shape(leaf))),
                         (model, label_given_states(model)))
    keys = jnp.broadcast_to(key, strengths.shape)
    found = _program(experiment)(keys, strengths, *cells)
    return found | {"best_accuracy": np.array([best.accuracy_x, best.accuracy_y])}


def _dataset(experiment: ImposedAlignment, parts: list[dict[str, np.ndarray]]) -> xr.Dataset:
    """The parts, seeds running fastest, put together."""
    stacked = {name: np.stack([part[name] for part in parts]).reshape(
        len(experiment.redundancies), experiment.seeds, *parts[0][name].shape) for name in parts[0]}
    dims = ("redundancy", "seed", "strength")
    return xr.Dataset(
        {"accuracy": ((*dims, "modality"), stacked["accuracy"],
                      {"long_name": "accuracy over all states of a modality", "units": "1"}),
         "alignment": (("metric", *dims), np.stack([stacked[name] for name in METRICS]),
                       {"long_name": "alignment of the last hidden layers", "units": "1"}),
         "best_accuracy": (("redundancy", "seed", "modality"), stacked["best_accuracy"],
                           {"long_name": "best accuracy of any classifier", "units": "1"})},
        {"redundancy": ("redundancy", list(experiment.redundancies), {"long_name": "shared label features R"}),
         "strength": ("strength", list(experiment.strengths), {"long_name": "alignment strength lambda"}),
         "seed": np.arange(experiment.seeds), "modality": list(MODALITIES), "metric": list(METRICS)},
        {"experiment": json.dumps(asdict(experiment)), "precision": "float32", "phasejax_version": __version__,
         "jax_version": jax.__version__, "computed_on": json.dumps(computed_on())})


class _Branch(NamedTuple):
    """What is trained for one modality."""

    encoder: list[Linear]
    head: Linear
    projection: Linear


def train_pair(key: Array, strength: Float[Array, ""], model: SharedUniqueBits,
               given_states: tuple[Float[Array, "states L"], Float[Array, "states L"]], *,
               experiment: ImposedAlignment) -> dict[str, Array]:
    """Train one cell: the encoders of both modalities at one strength.

    Args:
        key: random key of rows, disguise, first parameters and minibatches.
        strength: lambda.
        model: how the bits decide the label.
        given_states: p(l | x) and p(l | y), see `label_given_states`.
        experiment: how to train.

    Returns:
        `accuracy` of x's and y's encoder, and the alignment of their last hidden layers by each of `METRICS`.
    """
    e = experiment
    key_data, key_net, key_start, key_batch, key_metric = jax.random.split(key, 5)
    see_y = _disguise(key_net, e.transform_depth)
    rows = draw_rows(key_data, model, e.n)
    x, y = _see_x(rows.x), see_y(rows.y)

    def loss(branches, x, y, labels):
        h_x, h_y = (hidden_layers(branches[m].encoder, view)[-1] for m, view in (("x", x), ("y", y)))
        task = sum((cross_entropy(branches[m].head(h), labels) for m, h in (("x", h_x), ("y", h_y))), start=0)
        # Where all units of a row are zero at the start, its projection is zero and has no direction: 1e-6 gives one.
        projected = [branches[m].projection(h) + 1e-6 for m, h in (("x", h_x), ("y", h_y))]
        return task + strength * info_nce_loss(projected[0], projected[1], e.temperature)

    def minibatch(index):
        chosen = jax.random.randint(jax.random.fold_in(key_batch, index), (e.batch,), 0, e.n)
        return x[chosen], y[chosen], rows.labels[chosen]

    branches = train_on_minibatches(_start(key_start, e, model.bias.shape[0]), loss, minibatch,
                                    learning_rate=e.learning_rate, steps=e.steps)
    states = jnp.asarray(all_bits(x.shape[1]) - 0.5, jnp.float32)
    accuracy = [exact_accuracy(branches[m].head(hidden_layers(branches[m].encoder, view)[-1]), given)
                for m, view, given in zip(MODALITIES, (_see_x(states), see_y(states)), given_states, strict=True)]
    held_out = draw_rows(key_metric, model, _METRIC_ROWS)
    hidden = [hidden_layers(branches[m].encoder, view)[-1]
              for m, view in (("x", _see_x(held_out.x)), ("y", see_y(held_out.y)))]
    return {"accuracy": jnp.stack(accuracy)} | {name: metric(*hidden) for name, metric in METRICS.items()}


def _see_x(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Bits as -1 and 1, which is what an encoder of x gets."""
    return 2 * rows


def _disguise(key: Array, depth: int | None) -> Callable[[Float[Array, "n d"]], Float[Array, "n d"]]:
    """What an encoder of y gets, as a function of the bits."""
    return _see_x if depth is None else tanh_network(key, depth)


def _start(key: Array, e: ImposedAlignment, classes: int) -> dict[str, _Branch]:
    """The parameters before training."""
    keys = iter(jax.random.split(key, 6))
    encoders = {m: start_encoder(next(keys), e.depth, 12, e.width) for m in MODALITIES}
    heads = {m: start_linear(next(keys), e.width, classes) for m in MODALITIES}
    projections = {m: start_linear(next(keys), e.width, e.width) for m in MODALITIES}
    return {m: _Branch(encoders[m], heads[m], projections[m]) for m in MODALITIES}


@checked
def best_strength(accuracy: Float[np.ndarray, "seeds strengths"], strengths: Float[np.ndarray, "strengths"], *,
                  level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """The strength of the highest mean accuracy over seeds, and its bootstrap interval over seeds.

    With few seeds or few strengths there are few values that the interval's ends can take.

    Args:
        accuracy: of every seed and strength.
        strengths: lambda, in the order of the columns of `accuracy`.
        level: of the interval.
        draws: bootstrap samples of the seeds.
        seed: of the bootstrap.

    Returns:
        The best strength, and the lower and the upper end of its interval.

    >>> accuracy = np.array([[0.5, 0.7, 0.6], [0.5, 0.8, 0.4]])
    >>> best_strength(accuracy, np.array([0.0, 1.0, 2.0]))
    (1.0, 1.0, 1.0)
    """
    accuracy, strengths = np.asarray(accuracy, float), np.asarray(strengths, float)
    check_count("draws", draws, most=_MOST_DRAWS)
    chosen = np.random.default_rng(check_seed("seed", seed)).integers(len(accuracy), size=(draws, len(accuracy)))
    best = strengths[accuracy[chosen].mean(1).argmax(1)]
    low, high = np.quantile(best, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(strengths[accuracy.mean(0).argmax()]), float(low), float(high)
