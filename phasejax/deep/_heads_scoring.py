"""Scores of representations: what probes predict of each target from them, for each seed.

The splits and the probes themselves are in `_heads_probes`; here they are fitted to whatever heads give.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.devices import cores
from phasejax._core.progress import no_progress
from phasejax.deep._heads_probes import (
    METRICS,
    ProbeParts,
    applies,
    chance,
    interval,
    main_probe,
    predicted,
    score,
)
from phasejax.deep._heads_programs import HeadCell, HeadSettings, LabelledRows, SupervisedProgram
from phasejax.deep._heads_result import HeadScore
from phasejax.deep._heads_rows import HeadRows, Target
from phasejax.deep._heads_training import HeadState, HeadTraining, train_cells

# Hidden and last layer of MLP probes, and how they are trained.
_MLP = {"bottleneck": 32, "widths": (64,), "norm": None}
_MLP_SETTINGS = {"learning_rate": 1e-3, "weight_decay": 1e-4, "dropout": 0.0, "alpha": 0.5, "temperature": 0.1}
_MLP_EPOCHS, _MLP_PATIENCE = 100, 10


class HeadScorer:
    """The targets of a call of `train_heads`, and the probes that predict them."""

    def __init__(self, rows: HeadRows, parts: Sequence[ProbeParts], probes: Sequence[str], confidence: float, *,
                 starts: jax.Array, bottleneck: int, batch: int):
        self.targets, self.groups, self.parts, self.probes, self.confidence = (
            rows.targets, rows.groups, parts, probes, confidence)
        self.starts, self.bottleneck, self.batch = starts, bottleneck, batch

    def probed(self, features, nuisance, probes=None, only=None):
        """Predictions of all rows, (seeds, n), and the columns, by place of the target and probe."""
        probes = self.probes if probes is None else probes
        jobs = [(i, probe) for i, target in enumerate(self.targets) for probe in probes
                if applies(probe, target) and nuisance in (None, target.nuisance) and only in (None, i)]
        linear = [(i, probe, seed) for i, probe in jobs for seed in range(len(features)) if probe != "mlp"]

        def fit(job):
            i, probe, seed = job
            return predicted(probe, features[seed], self.targets[i], self.parts[i])

        with ThreadPoolExecutor(cores()) as pool:
            found = dict(zip(linear, pool.map(fit, linear), strict=True))
        networks = [i for i, probe in jobs if probe == "mlp"]
        if networks:
            found |= {(i, "mlp", seed): one for seed, view in enumerate(features)
                      for i, one in zip(networks, self._by_networks(view, networks, seed), strict=True)}
        return {(i, probe): (np.stack([found[i, probe, seed] for seed in range(len(features))]), features[0].shape[1])
                for i, probe in jobs}

    def _by_networks(self, features, targets, seed):
        """Predictions of MLP probes of one representation, for each target."""
        if not np.isfinite(features).all():
            return [np.full(len(features), np.nan)] * len(targets)
        width = 2 * self.bottleneck  # of the widest representation, so that one program serves all
        columns = np.zeros((len(features), width), np.float32)
        own = np.unique(np.concatenate([self.parts[i].train for i in targets]))
        deviation = features[own].std(0)
        scale = np.where(deviation > 1e-9 * np.abs(features[own]).max(0), 1 / np.where(deviation > 0, deviation, 1), 0)
        columns[:, :features.shape[1]] = (features - features[own].mean(0)) * scale
        program = SupervisedProgram(width, _MLP["bottleneck"], _MLP["widths"], _MLP["norm"],
                                    max(1, *(len(self.targets[i].classes) for i in targets)))
        data, units = labelled_rows(self.targets, self.parts, columns, targets)
        seen = np.arange(width) < features.shape[1]
        cells = [HeadCell(start=self.starts[seed], kind=jnp.int32(place), columns=jnp.asarray(seen, jnp.float32),
                          settings=HeadSettings(**{name: jnp.float32(value) for name, value in _MLP_SETTINGS.items()}))
                 for place in range(len(targets))]
        training = HeadTraining(program, self.batch, _MLP_EPOCHS, _MLP_PATIENCE)
        states = train_cells([(training, cell) for cell in cells], data, no_progress)
        return [head_predictions(program, state, self.targets[i], seen, columns, unit)
                for i, state, unit in zip(targets, states, units, strict=True)]

    def merit(self, found):
        """The mean score of the targets' main probes on validation rows, over seeds."""
        own = [self.validation(i, one) for (i, probe), (of_seeds, _) in found.items()
               if probe == main_probe(self.probes, self.targets[i]) for one in of_seeds]
        return or_least(float(np.mean(own)))

    def validation(self, i, found):
        target, part = self.targets[i], self.parts[i].validation
        return score(target.kind, target.values[part], found[part])[0]

    def scores(self, name, found):
        return [self.score(name, i, probe, probe == main_probe([p for j, p in found if j == i], self.targets[i]),
                            columns, of_seeds) for (i, probe), (of_seeds, columns) in found.items()]

    def score(self, name, i, probe, main, columns, found):
        target, parts = self.targets[i], self.parts[i]
        groups = None if self.groups is None else self.groups[parts.test]
        value, low, high, by_seed = interval(target.kind, target.values[parts.test], found[:, parts.test], groups,
                                             self.confidence)
        return HeadScore(objective=name, target=target.name, nuisance=target.nuisance, probe=probe, main=main,
                         columns=columns, metric=METRICS[target.kind], value=value, low=low, high=high,
                         chance=chance(target, parts),
                         validation=float(np.mean([self.validation(i, one) for one in found])), by_seed=by_seed)


def or_least(value):
    return value if np.isfinite(value) else -np.inf


def labelled_rows(all_targets: Sequence[Target], all_parts: Sequence[ProbeParts], columns: np.ndarray,
                  targets: Sequence[int]) -> tuple[LabelledRows, list[tuple[float, float]]]:
    """Rows and targets as supervised programs take them, and the units of real targets."""
    m, t = max(len(all_parts[i].train) for i in targets), len(targets)
    parts = [all_parts[i] for i in targets]
    fit = np.unique(np.concatenate([one.train for one in parts]))
    held = np.unique(np.concatenate([one.validation for one in parts]))
    rows, values = np.zeros((t, m), np.int32), np.zeros((t, m), np.float32)
    held_values, weights = np.zeros((t, len(held)), np.float32), np.zeros((t, len(held)), np.float32)
    units = []
    for place, (i, part) in enumerate(zip(targets, parts, strict=True)):
        target, count = all_targets[i], len(part.train)
        own = target.values[part.train]
        units.append((own.mean(), own.std()) if target.kind == "real" else (0.0, 1.0))
        in_units = (target.values - units[-1][0]) / units[-1][1]
        rows[place, :count], values[place, :count] = np.searchsorted(fit, part.train), in_units[part.train]
        weights[place] = np.isin(held, part.validation)
        held_values[place] = np.where(weights[place] > 0, in_units[held], 0)
    data = LabelledRows(x=columns[fit], x_validation=columns[held], rows=rows,
                        counts=np.array([len(one.train) for one in parts], np.int32), values=values,
                        classes=np.array([len(all_targets[i].classes) for i in targets], np.int32),
                        values_validation=held_values, weights_validation=weights)
    return data, units


def head_predictions(program: SupervisedProgram, state: HeadState, target: Target, seen: np.ndarray,
                     columns: np.ndarray, unit: tuple[float, float]) -> np.ndarray:
    """What a supervised head says of all rows: classes, or values in their unit; NaN where its training diverged."""
    if state.diverged:
        return np.full(len(columns), np.nan)
    said = np.asarray(_compiled_outputs(program)[0](state.best, state.best_means, seen.astype(np.float32), columns),
                      np.float64)
    return said[:, 0] * unit[1] + unit[0] if target.kind == "real" else \
        said[:, :len(target.classes)].argmax(1).astype(float)


def head_features(program: SupervisedProgram, state: HeadState, seen: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What a probe sees of a supervised head: its encoder's outputs of all rows; NaN where its training diverged."""
    if state.diverged:
        return np.full((len(columns), program.bottleneck), np.nan)
    return np.asarray(_compiled_outputs(program)[1](state.best, state.best_means, seen.astype(np.float32), columns))


@lru_cache(maxsize=16)
def _compiled_outputs(program):
    return jax.jit(program.predict), jax.jit(program.embed)
