r"""Alignment that emerges: encoders of two modalities trained on the label alone, never on each other.

Modality x is as it is, y passes through a random tanh network of depth D. Both get an encoder that minimises the
cross-entropy of the label. The alignment of a pair of encoders is the largest over pairs of their layers, and
its correlation with the accuracy of y's encoder, over the depths of that encoder at fixed R and D, says whether
alignment is a sign of performance.

Differences from T25: rows are drawn afresh at every step (its 45,875 rows are read 300 times by encoders far too
small to learn them by heart), accuracy is over all states, no weight decay, one learning rate, and the disguise is
standardised (`tanh_network`).

Source: T25, section 4.
"""

import functools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Float, Int

from phasejax._core.devices import over_cells
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax._core.validation import check_count
from phasejax._version import __version__
from phasejax.information._encoders import cross_entropy, hidden_layers, start_encoder, start_linear
from phasejax.information._imposed_alignment import exact_accuracy, label_model, state_tables
from phasejax.information._shared_unique_bits import (
    SharedUniqueBits,
    all_bits,
    draw_rows,
    mutual_information,
    tanh_network,
)
from phasejax.similarity import cka, mutual_knn

METRICS = ("cka_unbiased", "mutual_knn")


@dataclass(frozen=True)
class EmergentAlignment:
    """A grid of trainings: every redundancy, depth of the disguise, depth of y's encoder and seed.

    Args:
        redundancies: R, how many of the 8 label features are shared bits; uniqueness is 8 - R.
        transform_depths: D, of the tanh network that y passes through.
        depths: hidden layers of y's encoder.
        depth_x: hidden layers of x's encoder.
        seeds: repetitions, each with its own label, disguises and first parameters.
        steps, batch, learning_rate: of Adam with a cosine schedule.
        width: of the encoders.
        rows, neighbours: paired rows that alignment is measured on, and k of mutual kNN.

    Raises:
        ValueError: a value that no run could use, in one line.
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
    "quick": EmergentAlignment(redundancies=(0, 2, 4, 6, 8), transform_depths=(0, 2, 5), depths=(1, 2, 3, 5, 8), seeds=3,
                       steps=2000, batch=256),
    "laptop": EmergentAlignment(redundancies=(0, 2, 4, 6, 8), transform_depths=(0, 2, 4, 6, 8, 10), seeds=3, steps=5000),
    "paper": EmergentAlignment(),
}


def run_emergent_alignment(experiment: EmergentAlignment, *, store: str | Path | None = None,
                           progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Train every cell and measure the alignment of the layers of both encoders.

    A part is one depth of y's encoder and one seed, all redundancies and disguises in one batched
    program; depths have programs of their own, since one for all of them would compute the deepest for each.

    Args:
        experiment: what to train.
        store: folder where finished parts are kept, so that a run that was killed goes on.
        progress: False, True for bars, or a callback that is called after every part.

    Returns:
        accuracy_y (seed, redundancy, transform_depth, depth), accuracy_x (seed, redundancy), alignment (metric, seed,
        redundancy, transform_depth, depth), the largest over pairs of layers, best_accuracy_x and best_accuracy_y
        (seed, redundancy).
    """
    e, device = experiment, jax.local_devices()[:1]
    seeds = [_Seed.of(e, seed) for seed in range(e.seeds)]
    settings = json.dumps(asdict(replace(e, depths=(1,), seeds=1))
                          | {"phasejax": __version__, "jax": jax.__version__})

    alone = over_cells(functools.partial(train_unimodal, experiment=e, depth=e.depth_x), device)

    def part_x(_, seed):
        return dict(zip(("accuracy", "hidden"), alone(*seeds[seed].cells_x()), strict=True))

    points = [("x", seed) for seed in range(e.seeds)]
    parts_x = compute_parts(points, part_x, settings=settings, store=store, progress=progress,
                            task="encoders of x")
    against = {depth: over_cells(functools.partial(_train_against, experiment=e, depth=depth), device)
               for depth in e.depths}

    def part_y(_, depth, seed):
        hidden_x = np.repeat(parts_x[seed]["hidden"], len(e.transform_depths), axis=0)
        return against[depth](*seeds[seed].cells_y(depth), hidden_x)

    # The deepest take longest, so they come first.
    points = [("y", depth, seed) for depth in reversed(e.depths) for seed in range(e.seeds)]
    parts_y = compute_parts(points, part_y, settings=settings, store=store, progress=progress,
                            task="encoders of y")
    return _dataset(e, parts_x, dict(zip(points, parts_y, strict=True)), seeds)


def train_unimodal(key: Array, views: Float[Array, "states d"], given: Float[Array, "states L"],
                   measured: Int[Array, "n"], *, experiment: EmergentAlignment, depth: int
                   ) -> tuple[Float[Array, ""], Float[Array, "depth n width"]]:
    """Train one encoder on rows drawn afresh at every step.

    Args:
        key: of the first parameters and of the rows.
        views: what the encoder sees in each state, all states being equally likely.
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

    def loss(params, states, labels):
        encoder, head = params
        return cross_entropy(head(hidden_layers(encoder, views[states])[-1]), labels)

    optimiser = optax.adam(optax.cosine_decay_schedule(e.learning_rate, e.steps))

    def step(carry, index):
        params, state = carry
        words = jax.random.bits(jax.random.fold_in(key_rows, index), (2, e.batch))
        states = (words[0] % len(views)).astype(jnp.int32)
        labels = jnp.sum((words[1] / jnp.float32(2**32))[:, None] >= thresholds[states], axis=1)
        updates, state = optimiser.update(jax.grad(loss)(params, states, labels), state)
        return (optax.apply_updates(params, updates), state), None

    ((encoder, head), _), _ = jax.lax.scan(step, (params, optimiser.init(params)), jnp.arange(e.steps))
    hidden = hidden_layers(encoder, views)
    return exact_accuracy(head(hidden[-1]), given), jnp.stack(hidden)[:, measured]


def layer_alignment(hidden_x: Float[Array, "layers_x n width"], hidden_y: Float[Array, "layers_y n width"],
                    neighbours: int) -> Float[Array, "metrics"]:
    """The largest alignment of a layer of x with a layer of y, by each of `METRICS`; NaN pairs are left out."""
    def of_pair(pair):
        return jnp.stack([cka(*pair, unbiased=True), mutual_knn(*pair, k=neighbours)])

    first, second = (jnp.repeat(hidden_x, len(hidden_y), axis=0), jnp.tile(hidden_y, (len(hidden_x), 1, 1)))
    return jnp.nanmax(jax.lax.map(of_pair, (first, second)), axis=0)


def _train_against(key, views, given, measured, hidden_x, *, experiment, depth):
    accuracy, hidden = train_unimodal(key, views, given, measured, experiment=experiment, depth=depth)
    return {"accuracy": accuracy, "alignment": layer_alignment(hidden_x, hidden, experiment.neighbours)}


@dataclass(frozen=True)
class _Seed:
    """What the trainings of a seed have in common: models by redundancy, what is seen in each state, paired rows."""

    experiment: EmergentAlignment
    models: list[SharedUniqueBits]
    views: list[np.ndarray]
    measured: tuple[np.ndarray, np.ndarray]
    keys: Array

    @classmethod
    def of(cls, experiment, seed):
        models = [label_model(r, seed)[0] for r in experiment.redundancies]
        keys = jax.random.split(label_model(0, seed)[1], 4)
        states = jnp.asarray(all_bits(12) - 0.5, jnp.float32)
        views = [np.asarray(tanh_network(keys[0], depth)(states)) for depth in experiment.transform_depths]
        rows = draw_rows(keys[1], models[0], experiment.rows)
        measured = tuple(np.asarray((view > 0) @ 2 ** np.arange(12), np.int32) for view in (rows.x, rows.y))
        return cls(experiment, models, views, measured, keys)

    def cells_x(self):
        count = len(self.models)
        views = np.asarray(2 * all_bits(12) - 1, np.float32)
        return (jnp.broadcast_to(self.keys[2], (count,)), np.broadcast_to(views, (count, *views.shape)),
                np.stack([state_tables(m)[0] for m in self.models]).astype(np.float32),
                np.broadcast_to(self.measured[0], (count, self.experiment.rows)))

    def cells_y(self, depth):
        """Redundancies, and within them disguises."""
        count = len(self.models) * len(self.views)
        given = np.stack([state_tables(m)[1] for m in self.models]).astype(np.float32)
        return (jnp.broadcast_to(jax.random.fold_in(self.keys[3], depth), (count,)),
                np.tile(np.stack(self.views), (len(self.models), 1, 1)), np.repeat(given, len(self.views), axis=0),
                np.broadcast_to(self.measured[1], (count, self.experiment.rows)))


def correlation_with_accuracy(found: xr.Dataset) -> xr.DataArray:
    """Correlation of alignment with the accuracy of y's encoder over its depths (metric, seed, redundancy, transform).

    NaN where either is constant.
    """
    return xr.corr(found.alignment, found.accuracy_y, dim="depth")


def _dataset(e, parts_x, parts_y, seeds):
    shape = (len(e.redundancies), len(e.transform_depths))

    def gathered(name):
        """(seed, redundancy, transform_depth, depth, ...)"""
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
         "jax_version": jax.__version__})
