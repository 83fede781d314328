r"""Alignment imposed with a strength: encoders of two modalities trained on the label and on each other.

.. math::
    L = \mathrm{CE}(a_x(h_x), l) + \mathrm{CE}(a_y(h_y), l) + \lambda\, \mathrm{InfoNCE}(p_x(h_x), p_y(h_y))

with encoders h (phasejax.information.encoders), linear label heads a and linear projections p, whose
outputs are normalised. What is scored is each modality's own accuracy, since F26 asks what alignment does to
unimodal encoders: over all states of a modality, not on a test sample, so that no sampling error is left.

F26 published no code. Taken from T25: bits, encoders of width 12, batches of 512. Chosen here: y as it is, three
hidden layers, temperature 0.1, and 8192 rows. How many rows there are decides what alignment does (three seeds each).
With 4096, in batches of 256, encoders overfit (R = 0 reaches 0.547, with all rows 0.570), and a pull away from the rows
helps: the best lambda was 1 at R = 0, 2 at R = 4. With T25's 45,875 the label teaches all there is: nothing was gained
at R = 4 and R = 8, and R = 0 lost 0.11 at lambda = 2. In between lies what F26 reports. On six seeds on which
nothing had been chosen, accuracy at lambda = 2 minus that at 0 with its 95% interval over seeds, and the best lambda
with its bootstrap interval:

    R = 0    -0.121 [-0.252, +0.009]    0.5 [0.5, 0.5]
    R = 4    +0.004 [-0.003, +0.011]    0.5 [0.5, 1.5]
    R = 8    +0.0044 [+0.0037, +0.0050] 2.0 [0.25, 4.0]

Unlike in F26 a little alignment helps at R = 0 too (+0.006 at 0.5), and CKA does not rise at R = 8, where the label
alone aligns (0.84 without alignment, 0.76 at lambda = 2); mutual kNN and SVCCA rise at every R.

Source: F26.
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
from jaxtyping import Array, Float

from phasejax._core.devices import over_cells
from phasejax._core.progress import ProgressCallback
from phasejax._core.resumable import compute_parts
from phasejax._core.validation import check_count
from phasejax._version import __version__
from phasejax.information._encoders import cross_entropy, hidden_layers, start_encoder, start_linear
from phasejax.information._shared_unique_bits import (
    SharedUniqueBits,
    all_bits,
    draw_rows,
    joint_table,
    mutual_information,
    shared_unique_bits,
    tanh_network,
)
from phasejax.linear import info_nce_loss
from phasejax.similarity import cka, mutual_knn, svcca

METRICS = {"cka": cka, "cka_unbiased": functools.partial(cka, unbiased=True), "mutual_knn": mutual_knn, "svcca": svcca}
MODALITIES = ("x", "y")
_METRIC_ROWS = 1024


@dataclass(frozen=True)
class ImposedAlignment:
    """A grid of trainings: every redundancy with every strength and seed.

    Args:
        redundancies: R, how many of the 8 label features are shared bits.
        strengths: lambda, from 0 on, increasing.
        seeds: repetitions, each with its own label, rows, disguise and first parameters; they are the same for
            all strengths.
        n: training rows.
        steps, batch, learning_rate: of Adam.
        depth, width: of the encoders.
        transform_depth: of the tanh network that y passes through; None for y as it is.
        temperature: of InfoNCE.

    Raises:
        ValueError: a value that no run could use, in one line.
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
    "laptop": ImposedAlignment(redundancies=(0, 2, 4, 6, 8), strengths=(0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0),
                       seeds=5),
    "paper": ImposedAlignment(),
}


def run_imposed_alignment(experiment: ImposedAlignment, *, store: str | Path | None = None,
                          progress: bool | ProgressCallback = False) -> xr.Dataset:
    """Train every cell; a part is one redundancy and seed, all strengths in one batched program.

    Args:
        experiment: what to train.
        store: folder where finished parts are kept, so that a run that was killed goes on.
        progress: False, True for a bar, or a callback that is called after every part.

    Returns:
        accuracy (redundancy, seed, strength, modality), alignment (metric, redundancy, seed, strength) of the last
        hidden layers, and of each label best_accuracy (redundancy, seed, modality), what no classifier exceeds.
    """
    program = over_cells(functools.partial(train_pair, experiment=experiment), jax.local_devices()[:1])
    strengths = jnp.asarray(experiment.strengths, jnp.float32)

    def part(redundancy, seed):
        model, key = label_model(redundancy, seed)
        best = mutual_information(model)
        cells = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf, jnp.float32),
                                                           (len(strengths), *np.shape(leaf))),
                             (model, state_tables(model)))
        keys = jnp.broadcast_to(key, strengths.shape)
        return program(keys, strengths, *cells) | {"best_accuracy": np.array([best.accuracy_x, best.accuracy_y])}

    points = [(r, seed) for r in experiment.redundancies for seed in range(experiment.seeds)]
    settings = json.dumps(asdict(replace(experiment, redundancies=(0,), seeds=1))
                          | {"phasejax": __version__, "jax": jax.__version__})
    found = compute_parts(points, part, settings=settings, store=store, progress=progress)
    stacked = {name: np.stack([part[name] for part in found]).reshape(
        len(experiment.redundancies), experiment.seeds, *found[0][name].shape) for name in found[0]}
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
         "jax_version": jax.__version__})


def label_model(redundancy: int, seed: int) -> tuple[SharedUniqueBits, Array]:
    """The label of a seed, the same weights at every redundancy, and the key of all else."""
    key_label, key = jax.random.split(jax.random.fold_in(jax.random.key(0), seed))
    return shared_unique_bits(key_label, redundancy), key


def state_tables(model: SharedUniqueBits) -> tuple[Float[np.ndarray, "states L"], Float[np.ndarray, "states L"]]:
    """p(l | x) and p(l | y) of all states of a modality, in the order of `all_bits`."""
    table = joint_table(model)
    return tuple(table.mean(axis).transpose(1, 0, 2).reshape(-1, table.shape[-1]) for axis in (2, 1))


def exact_accuracy(logits: Float[Array, "states L"], given: Float[Array, "states L"]) -> Float[Array, ""]:
    """Probability that the largest logit is the label, over equally likely states."""
    return jnp.mean(jnp.take_along_axis(given, jnp.argmax(logits, axis=1)[:, None], axis=1))


def train_pair(key: Array, strength: Float[Array, ""], model: SharedUniqueBits,
               tables: tuple[Float[Array, "states L"], Float[Array, "states L"]], *, experiment: ImposedAlignment
               ) -> dict[str, Array]:
    """One cell: accuracy of each modality and alignment after training, as arrays."""
    e = experiment
    key_data, key_net, key_start, key_batch, key_metric = jax.random.split(key, 5)
    disguise = _disguise(key_net, e.transform_depth)
    rows = draw_rows(key_data, model, e.n)
    x, y = 2 * rows.x, disguise(rows.y)
    params = _start(key_start, e, model.bias.shape[0])

    def loss(params, batch):
        h_x, h_y = (hidden_layers(params[f"encoder_{m}"], view[batch])[-1] for m, view in (("x", x), ("y", y)))
        task = sum(cross_entropy(params[f"head_{m}"](h), rows.labels[batch]) for m, h in (("x", h_x), ("y", h_y)))
        # Projections have biases, but may start where a row is all zero: its direction is nothing then.
        projected = (params[f"projection_{m}"](h) + 1e-6 for m, h in (("x", h_x), ("y", h_y)))
        return task + strength * info_nce_loss(*projected, e.temperature)

    optimiser = optax.adam(e.learning_rate)

    def step(carry, index):
        params, state = carry
        batch = jax.random.randint(jax.random.fold_in(key_batch, index), (e.batch,), 0, e.n)
        updates, state = optimiser.update(jax.grad(loss)(params, batch), state)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), jnp.arange(e.steps))
    states = jnp.asarray(all_bits(x.shape[1]) - 0.5, jnp.float32)
    accuracy = [exact_accuracy(params[f"head_{m}"](hidden_layers(params[f"encoder_{m}"], view)[-1]), given)
                for m, view, given in zip(MODALITIES, (2 * states, disguise(states)), tables, strict=True)]
    held_out = draw_rows(key_metric, model, _METRIC_ROWS)
    hidden = [hidden_layers(params[f"encoder_{m}"], view)[-1]
              for m, view in (("x", 2 * held_out.x), ("y", disguise(held_out.y)))]
    return {"accuracy": jnp.stack(accuracy)} | {name: metric(*hidden) for name, metric in METRICS.items()}


def _disguise(key, depth):
    return (lambda rows: 2 * rows) if depth is None else tanh_network(key, depth)


def _start(key, e, classes):
    keys = iter(jax.random.split(key, 6))
    params = {f"encoder_{m}": start_encoder(next(keys), e.depth, 12, e.width) for m in MODALITIES}
    params |= {f"head_{m}": start_linear(next(keys), e.width, classes) for m in MODALITIES}
    return params | {f"projection_{m}": start_linear(next(keys), e.width, e.width) for m in MODALITIES}


def best_strength(accuracy: Float[np.ndarray, "seeds strengths"], strengths: Float[np.ndarray, "strengths"], *,
                  level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """The strength of the highest mean accuracy over seeds, and its bootstrap interval over seeds.

    With few seeds or few strengths the interval's ends are among few values.

    Returns:
        Strength, lower and upper end.

    >>> accuracy = np.array([[0.5, 0.7, 0.6], [0.5, 0.8, 0.4]])
    >>> best_strength(accuracy, np.array([0.0, 1.0, 2.0]))
    (1.0, 1.0, 1.0)
    """
    accuracy, strengths = np.asarray(accuracy, float), np.asarray(strengths, float)
    chosen = np.random.default_rng(seed).integers(len(accuracy), size=(draws, len(accuracy)))
    best = strengths[accuracy[chosen].mean(1).argmax(1)]
    low, high = np.quantile(best, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(strengths[accuracy.mean(0).argmax()]), float(low), float(high)
