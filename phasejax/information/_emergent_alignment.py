r"""Alignment that emerges: encoders of two modalities trained on the label alone, never on each other.

Modality x is as it is, y passes through a random tanh network of depth D. Both get an encoder that minimises the
cross-entropy of the label. The alignment of a pair of encoders is the largest over pairs of their layers, and
its correlation with the accuracy of y's encoder, over the depths of that encoder at fixed R and D, says whether
alignment is a sign of performance.

What differs from T25: rows are drawn afresh at every step (T25 reads its 45,875 rows 300 times, and encoders are far
too small to learn them by heart); accuracy is over all states; there is no weight decay and only one learning rate;
and the disguise is standardised (`tanh_network`).

Source: T25, section 4.
"""

import contextlib
import functools
import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.devices import over_cells
from phasejax._core.executors import opened_executor
from phasejax._core.progress import ProgressCallback
from phasejax._core.provenance import computed_on
from phasejax._core.resumable import compute_parts
from phasejax._core.validation import check_count
from phasejax._version import __version__
from phasejax.information._encoders import (
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
from phasejax.similarity import cka, mutual_knn

METRICS = ("cka_unbiased", "mutual_knn")


@checked
@dataclass(frozen=True)
class EmergentAlignment:
    """A grid of trainings: every redundancy, depth of the disguise, depth of y's encoder and seed.

    Args:
        redundancies: R, how many of the 8 label features are shared bits; uniqueness is 8 - R.
        transform_depths: D, depths of the tanh network that y passes through.
        depths: hidden layers of y's encoder.
        depth_x: hidden layers of x's encoder.
        seeds: number of repetitions, each with its own label, disguises and first parameters.
        steps, batch, learning_rate: of Adam with a cosine schedule: gradient steps, rows in each, first step size.
        width: units in each hidden layer.
        rows, neighbours: paired rows that alignment is measured on, and k of mutual kNN.

    Raises:
        ValueError: a value that no run could use.

    >>> EmergentAlignment(redundancies=(0, 8), transform_depths=(0,), depths=(1, 2), seeds=3).depth_x
    2
    """

    redundancies: tuple[int, ...] = tuple(range(9))
    transform_depths: tuple[int, ...] = tuple(range(11))
    depths: tuple[int, ...] = tuple(range(1, 11))
    depth_x: int = 2
    seeds: int = 5
    steps: int = 20_000
    batch: int = 512
    learning_rate: float = 1e-2
    width: int = 12
    rows: int = 512
    neighbours: int = 100

    def __post_init__(self):
        for name, least, most in (("redundancies", 0, 8), ("transform_depths", 0, 100), ("depths", 1, 100)):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or list(values) != sorted(set(values)) or values[0] < least or values[-1] > most:
                raise ValueError(f"{name}: expected increasing values from {least} to {most}, got {values}")
        for name in ("depth_x", "seeds", "steps", "batch", "width", "rows", "neighbours"):
            check_count(name, getattr(self, name))
        if self.neighbours >= self.rows:
            raise ValueError(f"neighbours: expected fewer than the {self.rows} rows, got {self.neighbours}")


EMERGENT_ALIGNMENT_PRESETS = {
    "quick": EmergentAlignment(redundancies=(0, 2, 4, 6, 8), transform_depths=(0, 2, 5), depths=(1, 2, 3, 5, 8),
                               seeds=3, steps=2000, batch=256),
    "laptop": EmergentAlignment(redundancies=(0, 2, 4, 6, 8), transform_depths=(0, 2, 4, 6, 8, 10), seeds=3,
                                steps=5000),
    "paper": EmergentAlignment(),
}


@checked
def run_emergent_alignment(experiment: EmergentAlignment, *, store: str | Path | None = None,
                           executor: Executor | str | None = None,
                           progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Train every cell of the grid and measure the alignment of the layers of both encoders.

    One depth of y's encoder and one seed are computed at a time, with all redundancies and disguises in one batched
    program. Depths have programs of their own, since a common one would compute the deepest encoder for each.

    Args:
        experiment: what to train.
        store: folder that keeps what is done, so that a run that was killed goes on; None keeps nothing.
        executor: who trains instead, as in `phasejax.sweep`: a depth and seed at a time.
        progress: False for silence, True for bars on a terminal, or a callback that is called after every depth and
            seed.

    Returns:
        `accuracy_y` (seed, redundancy, transform_depth, depth) and `accuracy_x` (seed, redundancy), over all states;
        `alignment` (metric, seed, redundancy, transform_depth, depth), the largest over pairs of layers;
        `best_accuracy_x` and `best_accuracy_y` (seed, redundancy), which no classifier of this label exceeds.

    Source: T25, section 4.
    """
    e = experiment
    # Draws and programs are made here, since threads that ask for the same at once would each make them.
    seeds = [_seed_of(e, seed) for seed in range(e.seeds)]
    for depth in (None, *e.depths):
        _program(e, depth)
    # A part does not depend on which other depths and seeds the experiment has.
    settings = json.dumps(asdict(replace(e, depths=(1,), seeds=1))
                          | {"phasejax": __version__, "jax": jax.__version__})
    with contextlib.nullcontext() if executor is None else opened_executor(executor) as workers:
        points = [("x", seed) for seed in range(e.seeds)]
        parts_x = compute_parts(points, functools.partial(_part_x, e), settings=settings, store=store,
                                progress=progress, executor=workers, task="encoders of x")
        # The deepest encoders take longest, so they come first: no core then waits long for the last one.
        points = [("y", depth, seed) for depth in reversed(e.depths) for seed in range(e.seeds)]
        hidden = [part["hidden"] for part in parts_x]
        parts_y = compute_parts(points, functools.partial(_part_y, e, hidden), settings=settings, store=store,
                                progress=progress, executor=workers, task="encoders of y")
    return _dataset(e, parts_x, dict(zip(points, parts_y, strict=True)), seeds)


@functools.cache
def _seed_of(experiment: EmergentAlignment, seed: int) -> "_Seed":
    """What is drawn for a seed, once in each process."""
    return _Seed.of(experiment, seed)


@functools.cache
def _program(experiment: EmergentAlignment, depth: int | None) -> Callable[..., Any]:
    """The training of x's encoders, or of y's of some depth, compiled once in each process."""
    one = (functools.partial(train_unimodal, experiment=experiment, depth=experiment.depth_x) if depth is None else
           functools.partial(_train_y, experiment=experiment, depth=depth))
    return over_cells(one, jax.local_devices()[:1])


def _part_x(experiment: EmergentAlignment, _: str, seed: int) -> dict[str, Any]:
    """The encoders of x of a seed, in this process or in a worker's."""
    accuracy, hidden = _program(experiment, None)(*_seed_of(experiment, seed).cells_x())
    return {"accuracy": accuracy, "hidden": hidden}


def _part_y(experiment: EmergentAlignment, hidden: list[np.ndarray], _: str, depth: int, seed: int) -> dict[str, Any]:
    """The encoders of y of a depth and seed, beside the hidden layers of x's."""
    hidden_x = np.repeat(hidden[seed], len(experiment.transform_depths), axis=0)
    return _program(experiment, depth)(*_seed_of(experiment, seed).cells_y(depth), hidden_x)


def train_unimodal(key: Array, views: Float[Array, "states d"], given: Float[Array, "states L"],
                   measured: Int[Array, "n"], *, experiment: EmergentAlignment, depth: int
                   ) -> tuple[Float[Array, ""], Float[Array, "depth n width"]]:
    """Train one encoder on rows drawn afresh at every step.

    Args:
        key: random key of the first parameters and of the rows.
        views: what the encoder gets in each state, all states being equally likely.
        given: p(l | state).
        measured: states whose hidden layers are returned.
        experiment: how to train.
        depth: hidden layers.

    Returns:
        The accuracy over all states, and the hidden layers of `measured`.
    """
    e = experiment
    key_start, key_head, key_rows = jax.random.split(key, 3)
    params = (start_encoder(key_start, depth, views.shape[1], e.width),
              start_linear(key_head, e.width, given.shape[1]))
    thresholds = jnp.cumsum(given, axis=1)[:, :-1]

    def loss(params, rows, labels):
        encoder, head = params
        return cross_entropy(head(hidden_layers(encoder, rows)[-1]), labels)

    def minibatch(index):
        words = jax.random.bits(jax.random.fold_in(key_rows, index), (2, e.batch))
        states = (words[0] % len(views)).astype(jnp.int32)
        labels = jnp.sum((words[1] / jnp.float32(2**32))[:, None] >= thresholds[states], axis=1)
        return views[states], labels

    encoder, head = train_on_minibatches(
        params, loss, minibatch, learning_rate=optax.cosine_decay_schedule(e.learning_rate, e.steps), steps=e.steps)
    hidden = hidden_layers(encoder, views)
    return exact_accuracy(head(hidden[-1]), given), jnp.stack(hidden)[:, measured]


def layer_alignment(hidden_x: Float[Array, "layers_x n width"], hidden_y: Float[Array, "layers_y n width"],
                    neighbours: int) -> Float[Array, "metrics"]:
    """The largest alignment of a layer of x with a layer of y, by each of `METRICS`; NaN pairs are left out."""
    def of_pair(pair):
        return jnp.stack([cka(*pair, unbiased=True), mutual_knn(*pair, k=neighbours)])

    first, second = (jnp.repeat(hidden_x, len(hidden_y), axis=0), jnp.tile(hidden_y, (len(hidden_x), 1, 1)))
    return jnp.nanmax(jax.lax.map(of_pair, (first, second)), axis=0)


def _train_y(key, views, given, measured, hidden_x, *, experiment: EmergentAlignment, depth: int) -> dict[str, Array]:
    """Train an encoder of y, and measure its alignment with the hidden layers of a trained encoder of x."""
    accuracy, hidden = train_unimodal(key, views, given, measured, experiment=experiment, depth=depth)
    return {"accuracy": accuracy, "alignment": layer_alignment(hidden_x, hidden, experiment.neighbours)}


@dataclass(frozen=True)
class _Seed:
    """What all trainings of one seed share.

    Args:
        experiment: what is trained.
        models: the label at each redundancy.
        views: what y's encoder gets in each state, for each disguise.
        measured: states of x and of y in the paired rows that alignment is measured on.
        keys: of the disguises, of the paired rows, and of the trainings of x and of y.
    """

    experiment: EmergentAlignment
    models: list[SharedUniqueBits]
    views: list[np.ndarray]
    measured: tuple[np.ndarray, np.ndarray]
    keys: Array

    @classmethod
    def of(cls, experiment: EmergentAlignment, seed: int) -> "_Seed":
        models = [label_of_seed(r, seed)[0] for r in experiment.redundancies]
        keys = jax.random.split(label_of_seed(0, seed)[1], 4)
        states = jnp.asarray(all_bits(12) - 0.5, jnp.float32)
        views = [np.asarray(tanh_network(keys[0], depth)(states)) for depth in experiment.transform_depths]
        rows = draw_rows(keys[1], models[0], experiment.rows)
        measured_x, measured_y = (np.asarray((view > 0) @ 2 ** np.arange(12), np.int32) for view in (rows.x, rows.y))
        return cls(experiment, models, views, (measured_x, measured_y), keys)

    def cells_x(self) -> tuple[Array | np.ndarray, ...]:
        """Arguments of `train_unimodal` for x: a cell for each redundancy."""
        count = len(self.models)
        views = np.asarray(2 * all_bits(12) - 1, np.float32)
        return (jnp.broadcast_to(self.keys[2], (count,)), np.broadcast_to(views, (count, *views.shape)),
                np.stack([label_given_states(m)[0] for m in self.models]).astype(np.float32),
                np.broadcast_to(self.measured[0], (count, self.experiment.rows)))

    def cells_y(self, depth: int) -> tuple[Array | np.ndarray, ...]:
        """Arguments of `train_unimodal` for y: a cell for each redundancy and disguise, disguises running fastest."""
        count = len(self.models) * len(self.views)
        given = np.stack([label_given_states(m)[1] for m in self.models]).astype(np.float32)
        return (jnp.broadcast_to(jax.random.fold_in(self.keys[3], depth), (count,)),
                np.tile(np.stack(self.views), (len(self.models), 1, 1)), np.repeat(given, len(self.views), axis=0),
                np.broadcast_to(self.measured[1], (count, self.experiment.rows)))


@checked
def correlation_with_accuracy(found: xr.Dataset) -> xr.DataArray:
    """Correlation of alignment with the accuracy of y's encoder, over the depths of that encoder.

    Args:
        found: from `run_emergent_alignment`.

    Returns:
        Correlations (metric, seed, redundancy, transform_depth); NaN where alignment or accuracy is constant.

    Source: T25, section 4.

    >>> dims = ("seed", "redundancy", "transform_depth", "depth")
    >>> values = np.arange(3.0).reshape(1, 1, 1, 3)
    >>> found = xr.Dataset({"accuracy_y": (dims, values), "alignment": (("metric", *dims), -values[None])})
    >>> correlation_with_accuracy(found).values.ravel()
    array([-1.])
    """
    return xr.corr(found.alignment, found.accuracy_y, dim="depth")


def _dataset(e: EmergentAlignment, parts_x: list[dict[str, np.ndarray]],
             parts_y: dict[tuple[str, int, int], dict[str, np.ndarray]], seeds: list[_Seed]) -> xr.Dataset:
    """The parts put together."""
    shape = (len(e.redundancies), len(e.transform_depths))

    def gathered(name):
        """A quantity of y's encoders by (seed, redundancy, transform_depth, depth)."""
        def of_part(depth, seed):
            values = parts_y["y", depth, seed][name]
            return values.reshape(*shape, *values.shape[1:])

        return np.stack([np.stack([of_part(depth, seed) for depth in e.depths], axis=2) for seed in range(e.seeds)])

    best = [[mutual_information(model) for model in seed.models] for seed in seeds]
    dims = ("seed", "redundancy", "transform_depth", "depth")
    of_label = {f"best_accuracy_{m}": (dims[:2], np.array([[getattr(b, f"accuracy_{m}") for b in row] for row in best]),
                                       {"long_name": f"best accuracy of any classifier of {m}", "units": "1"})
                for m in ("x", "y")}
    return xr.Dataset(
        {"accuracy_y": (dims, gathered("accuracy"), {"long_name": "accuracy of y's encoder", "units": "1"}),
         "accuracy_x": (dims[:2], np.stack([part["accuracy"] for part in parts_x]),
                        {"long_name": "accuracy of x's encoder", "units": "1"}),
         "alignment": (("metric", *dims), np.moveaxis(gathered("alignment"), -1, 0),
                       {"long_name": "largest alignment of two layers", "units": "1"}), **of_label},
        {"seed": np.arange(e.seeds), "metric": list(METRICS),
         "redundancy": ("redundancy", list(e.redundancies), {"long_name": "shared label features R"}),
         "transform_depth": ("transform_depth", list(e.transform_depths), {"long_name": "depth of the disguise of y"}),
         "depth": ("depth", list(e.depths), {"long_name": "depth of y's encoder"})},
        {"experiment": json.dumps(asdict(e)), "precision": "float32", "phasejax_version": __version__,
         "jax_version": jax.__version__, "computed_on": json.dumps(computed_on())})
