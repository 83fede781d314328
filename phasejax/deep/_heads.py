"""Light heads on two frozen encoders: every objective trained, and scored by probes on rows that none has seen.

The third kind of experiment of K26: the features of two unimodal models, few labels, and the question which objective
brings out what the labels measure. Read `_heads_rows` first (which rows serve for what), then `_heads_networks` and
`_heads_programs` (what is trained), `_heads_training` (how), `_heads_probes` (what is scored) and `_heads_result`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.devices import cores
from phasejax._core.progress import ProgressCallback, no_progress, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.validation import (
    check_among,
    check_choice,
    check_confidence,
    check_count,
    check_key,
    check_number,
    check_seed,
    shown,
)
from phasejax.deep._heads_networks import NORMS
from phasejax.deep._heads_probes import (
    METRICS,
    PROBES,
    applies,
    chance,
    interval,
    main_probe,
    predicted,
    probe_parts,
    score,
)
from phasejax.deep._heads_programs import (
    PAIRED,
    PROBED,
    HeadCell,
    HeadSettings,
    LabelledRows,
    PairProgram,
    PairRows,
    SupervisedProgram,
)
from phasejax.deep._heads_result import HeadScore, TrainedHeads, TrainedObjective
from phasejax.deep._heads_rows import PARTS, HeadRows, Target, head_rows, like_units
from phasejax.deep._heads_saved import Heads, outputs
from phasejax.deep._heads_training import HeadState, HeadTraining, train_cells
from phasejax.deep._pilot_rows import standardisation, standardised
from phasejax.io._matching import announce

OBJECTIVES = (*PAIRED, "supervised")
_VIEWS = ("x", "y", "x and y")
# What each hyper-parameter may be, as arguments of `check_number`.
_LIMITS: dict[str, dict[str, Any]] = {
    "learning_rate": {"above": 0}, "weight_decay": {"least": 0}, "dropout": {"least": 0, "below": 1},
    "alpha": {"least": 0, "most": 1}, "temperature": {"above": 0}}
# Hyper-parameters that only one objective has.
_OWN = {"alpha": "joint", "temperature": "CA InfoNCE"}
_WIDEST = 2**16
# Hidden and last layer of MLP probes, and how they are trained.
_MLP = {"bottleneck": 32, "widths": (64,), "norm": None}
_MLP_SETTINGS = {"learning_rate": 1e-3, "weight_decay": 1e-4, "dropout": 0.0, "alpha": 0.5, "temperature": 0.1}
_MLP_EPOCHS, _MLP_PATIENCE = 100, 10


@checked
def train_heads(x: Any, y: Any, labels: Any, *, groups: Any = None, nuisance: Any = None, split: Any = None,
                objectives: Sequence[str] = OBJECTIVES, bottleneck: int = 32, widths: Sequence[int] = (128,),
                norm: str | None = "batch", dropout: float = 0.1, learning_rate: float = 1e-3,
                weight_decay: float = 1e-4, alpha: float = 0.5, temperature: float = 0.1,
                grid: Mapping[str, Any] | None = None, batch: int = 64, epochs: int = 200,
                patience: int = 30, seeds: int = 5, probes: Sequence[str] = ("ridge", "logistic"),
                heads: Heads | None = None, label_kind: Any = "auto", confidence: float = 0.9,
                by_position: bool = False, missing: str = "error", seed: int = 0,
                progress: bool | ProgressCallback = False) -> TrainedHeads:
    r"""Train light heads on the frozen features of two models, and score what probes predict from them.

    With encoders E of k outputs and decoders D, objectives minimise over minibatches

    .. math::
        \text{CA: } A(E_x x, E_y y), \quad
        \text{CP x->y: } \mathrm{MSE}(D E_x x,\, y), \quad
        \text{CP y->x: } \mathrm{MSE}(D E_y y,\, x), \quad
        \text{joint: } \alpha A(E_x x, E_y y) + (1 - \alpha)\, \mathrm{MSE}(D E_x x,\, y)

    where A is VICReg (also in joint), InfoNCE or DeepCCA. Supervised heads see a target: cross-entropy or squared
    error of one more linear layer on an encoder of x, of y, or of both side by side. AdamW steps along a cosine to 0; a
    training stops after `patience` epochs without a lower validation loss, and what is kept are the networks of the
    epoch of least validation loss.

    Probes see both encoders' outputs of CA (2k columns), those of the one encoder of CP and of x for joint (k columns),
    and those of both CP encoders ("CP both", 2k columns, the fair partner of CA). Beside them stand the features
    themselves: x, y, and x and y side by side. Views are centred and divided by one number each, found on training
    rows; each column by its own where standard deviations differ by more than a factor of 1000.

    Hyper-parameters in `grid` are chosen for each objective by the mean score of the targets' main probes on validation
    rows, over the seeds; test rows are looked at once, with the choice.

    Args:
        x, y: features of the same n things, (n, d_x) and (n, d_y), as `phasejax.diagnosis.diagnose` takes them.
        labels: a target, or several by name: {"type": ..., "age": ...}, each of classes or real values of some of the
            rows, matched as `diagnose` matches labels. A row without a value is left out of that target's probe only.
        groups: which rows belong together (donor, star); no group is in two parts of the split.
        nuisance: likewise as `labels`: what should not be predictable (batch, donor). Its score is leakage. One that is
            the same in all rows of a group is probed among the rows that heads were not trained on.
        split: for each row "train", "validation" or "test" (or missing, to leave it out), or three lists of row numbers
            in that order. When left out 60, 20 and 20 percent at random, classes of the first target spread evenly, or
            whole groups.
        objectives: names out of `OBJECTIVES`.
        bottleneck: k, outputs of each encoder.
        widths: of the hidden layers of encoders, first to last; () for linear ones. Decoders have them in reverse.
        norm: "batch", "layer" or None, after each hidden layer.
        dropout: share of hidden values that are set to 0 in training.
        learning_rate, weight_decay: of AdamW.
        alpha: weight of alignment in joint.
        temperature: of InfoNCE.
        grid: values to try, by name of these five hyper-parameters; every combination is trained.
        batch: rows in a minibatch.
        epochs, patience: a training stops after so many epochs, or after so many without a better one.
        seeds: trainings from different first parameters and minibatches.
        probes: "ridge", "logistic" (of classes) and "mlp", a small network.
        heads: trained ones (`load_heads`), to be scored on these rows in place of training any; objectives, sizes and
            seeds are theirs.
        label_kind: "auto", "class" or "real", or by name of the target.
        confidence: level of the intervals.
        by_position, missing: as in `diagnose`.
        seed: of the split and all trainings; the same seed gives the same numbers on the same machine.
        progress: False, True for bars on a terminal, or a callback.

    Returns:
        Scores, how everything was trained, and the heads.

    Raises:
        ValueError: in one line that names the argument: a split of which parts share rows or groups, a target without
            values in a part, features that are not finite.

    Source: K26, section 4 and appendix, frozen features; here the best networks are restored and test rows choose
        nothing.

    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((120, 1))
    >>> found = train_heads(np.hstack([shared, rng.standard_normal((120, 3))]), shared + 0.1, shared[:, 0] > 0,
    ...                     objectives=("CP x->y",), bottleneck=1, widths=(), norm=None, seeds=1, epochs=5)
    >>> [one.objective for one in found.scores if one.main]
    ['CP x->y', 'x', 'y', 'x and y']
    """
    check_among("objectives", objectives, OBJECTIVES)
    check_among("probes", probes, PROBES)
    if not objectives or not probes:
        raise ValueError("objectives, probes: expected at least one of each, got none")
    if norm is not None:
        check_choice("norm", norm, NORMS)
    check_count("bottleneck", bottleneck, most=_WIDEST)
    if not isinstance(widths, list | tuple):
        raise ValueError(f"widths: expected a list of widths, got {shown(widths)}")
    for width in widths:
        check_count("widths", width, most=_WIDEST)
    for name, value in (("batch", batch), ("epochs", epochs), ("patience", patience), ("seeds", seeds)):
        check_count(name, value, 2 if name == "batch" else 1)
    check_confidence(confidence)
    check_seed("seed", seed)
    settings = _settings({"learning_rate": learning_rate, "weight_decay": weight_decay, "dropout": dropout,
                          "alpha": alpha, "temperature": temperature}, grid)
    rows = head_rows(x, y, labels, nuisance=nuisance, groups=groups, split=split, label_kind=label_kind,
                     by_position=by_position, missing=missing, seed=seed)
    announce(rows.notes, said=rows.warnings)
    if not all(any(applies(probe, target) for probe in probes) for target in rows.targets):
        raise ValueError("probes: expected ridge or mlp for real values, got logistic alone")
    names = tuple(name for name in OBJECTIVES if name in (objectives if heads is None else heads.objectives))
    with reporting(progress) as tell:
        work = _Work(rows, names, bottleneck, tuple(map(int, widths)), norm, settings, batch, epochs, patience, seeds,
                     tuple(probe for probe in PROBES if probe in probes), confidence, seed, tell, heads)
        return work.run()


def _settings(base, grid):
    """Every combination of hyper-parameters."""
    grid = {} if grid is None else grid
    if not isinstance(grid, Mapping):
        raise ValueError(f"grid: expected lists of values by name, got {shown(grid)}")
    check_among("grid", list(grid), _LIMITS)
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise ValueError(f"grid: expected a list of values for {name}, got {shown(values)}")
    axes = [[check_number(name, value, **_LIMITS[name]) for value in grid.get(name, [base[name]])] for name in base]
    return [dict(zip(base, values, strict=True)) for values in product(*axes)]


class _Work:
    """One call of `train_heads`, with its checked arguments."""

    def __init__(self, rows: HeadRows, names, bottleneck, widths, norm, settings, batch, epochs, patience, seeds,
                 probes, confidence, seed, tell, heads):
        self.rows, self.names, self.settings, self.seeds = rows, names, settings, int(seeds)
        self.bottleneck, self.widths, self.norm = int(bottleneck), widths, norm
        self.batch, self.epochs, self.patience = int(batch), int(epochs), int(patience)
        self.probes, self.confidence, self.seed, self.tell = probes, confidence, seed, tell
        self.train, self.validation = rows.rows("train"), rows.rows("validation")
        self.parts = [probe_parts(rows, target, seed) for target in rows.targets]
        self.warnings = list(rows.warnings)
        self.given = heads
        if heads is not None:
            self.bottleneck, self.widths, self.norm = heads.program.bottleneck, heads.program.widths, heads.program.norm
            self.seeds = max(map(len, heads.networks.values()))
        self.starts = jax.random.split(check_key("seed", seed), self.seeds)
        self.units, self.views = {}, {}
        for name, view in (("x", rows.x), ("y", rows.y)):
            unit, mixed = like_units(view, self.train)
            if mixed:
                self.warnings.append(f"{name}: its columns seem to be in different units, so each was divided by its "
                                     "own standard deviation")
            centre, scale = standardisation(view[self.train] / unit)
            self.units[name] = centre * unit, scale / unit
            if heads is not None:
                heads.check_columns(name, view)
                self.units[name] = heads.units[name]
            self.views[name] = standardised(view, *self.units[name])

    def run(self) -> TrainedHeads:
        """Train and score everything."""
        rows, pairs = self.rows, [name for name in self.names if name in PAIRED]
        self._warn()
        program = PairProgram(rows.x.shape[1], rows.y.shape[1], self.bottleneck, self.widths, self.norm)
        scores, trained, networks = self._paired(program, pairs) if self.given is None else self._scored_again()
        if {"CP x->y", "CP y->x"} <= set(pairs):
            scores += self._scored_together(program, networks)
        if "supervised" in self.names:
            more, of_heads = self._supervised()
            scores, trained = scores + more, trained + of_heads
        scores += self._features()
        if any(any(one.diverged) for one in trained):
            lost = [one.objective for one in trained if any(one.diverged)]
            self.warnings.append(f"training diverged: {', '.join(lost)}; a smaller learning rate may help")
        groups = rows.groups
        return TrainedHeads(
            n=len(rows.x), d_x=rows.x.shape[1], d_y=rows.y.shape[1],
            groups=None if groups is None else len(np.unique(groups)),
            rows={part: len(rows.rows(part)) for part in PARTS},
            groups_of_parts=None if groups is None else {part: len(np.unique(groups[rows.rows(part)]))
                                                         for part in PARTS},
            targets={target.name: {"kind": target.kind, "nuisance": target.nuisance, "classes": list(target.classes),
                                   "known": int(target.known.sum())} for target in rows.targets},
            bottleneck=self.bottleneck, widths=self.widths, norm=self.norm, batch=min(self.batch, len(self.train)),
            epochs=self.epochs, patience=self.patience, seeds=self.seeds, confidence=self.confidence,
            scores=tuple(sorted(scores, key=lambda one: [t.name for t in rows.targets].index(one.target))),
            trained=tuple(trained), heads=Heads(program, self.units, networks), data=rows,
            warnings=tuple(self.warnings), computed_on=computed_on())

    def _warn(self):
        if "CA DeepCCA" in self.names and min(self.batch, len(self.train)) < 4 * self.bottleneck:
            self.warnings.append(f"CA DeepCCA: correlations of {self.bottleneck} outputs over {self.batch} rows are "
                                 "large whatever the encoders do; use a larger batch or a smaller bottleneck")
        for target, parts in zip(self.rows.targets, self.parts, strict=True):
            if target.kind == "class":
                unseen = np.setdiff1d(target.values[parts.test], target.values[parts.train]).astype(int)
                if unseen.size:
                    classes = ", ".join(target.classes[i] for i in unseen)
                    self.warnings.append(f"{target.name}: no training row of {classes}, which cannot be predicted")

    # Training

    def _of_own(self, objective):
        """The settings that differ for an objective."""
        found = {}
        for setting in self.settings:
            own = {name: value for name, value in setting.items() if _OWN.get(name, objective) == objective}
            found.setdefault(tuple(own.items()), setting)
        return list(found.values())

    def _cells(self, kind, settings, columns=()):
        return [HeadCell(start=start, kind=jnp.int32(kind), columns=jnp.asarray(columns, jnp.float32),
                         settings=HeadSettings(**{name: jnp.float32(value) for name, value in setting.items()}))
                for setting in settings for start in self.starts]

    def _paired(self, program, pairs):
        """Scores, records and networks of all objectives on pairs."""
        if not pairs:
            return [], [], {}
        order = np.random.default_rng([self.seed, 3]).permutation(self.validation)
        data = PairRows(*(self.views[view][part] for part in (self.train, order) for view in "xy"))
        tried = {name: self._of_own(name) for name in pairs}
        cells = [cell for name in pairs for cell in self._cells(PAIRED.index(name), tried[name])]
        states = train_cells(HeadTraining(program, self.batch, self.epochs, self.patience), cells, data, self.tell)
        scores, trained, networks, place = [], [], {}, 0
        for name in pairs:
            own = [states[place + i * self.seeds:place + (i + 1) * self.seeds] for i in range(len(tried[name]))]
            place += len(tried[name]) * self.seeds
            found = [self._probed(self._embedded(program, name, of_seeds), nuisance=False) for of_seeds in own]
            merits = [self._merit(one) for one in found]
            chosen = merits.index(max(merits))
            networks[name] = tuple((state.best, state.best_means) for state in own[chosen])
            trained.append(_record(name, tried[name], chosen, own[chosen]))
            scores += self._scores(name, found[chosen])
            if any(target.nuisance for target in self.rows.targets):
                scores += self._scores(name, self._probed(self._embedded(program, name, own[chosen]), nuisance=True))
            self.tell("heads, objectives probed", pairs.index(name) + 1, len(pairs))
        return scores, trained, networks

    def _scored_again(self):
        """Scores and networks of heads that were trained before."""
        scores, own = [], self.given
        for place, (name, networks) in enumerate(own.networks.items()):
            features = [np.hstack([outputs(own.program, flat, means, view, self.views[view]) for view in PROBED[name]])
                        for flat, means in networks]
            scores += self._scores(name, self._probed(features, nuisance=None))
            self.tell("heads, objectives probed", place + 1, len(own.networks))
        return scores, [], own.networks

    def _scored_together(self, program, networks):
        """Scores of both CP encoders side by side."""
        x, y = ([outputs(program, flat, means, view, self.views[view]) for flat, means in networks[f"CP {way}"]]
                for view, way in (("x", "x->y"), ("y", "y->x")))
        both = [np.hstack(pair) for pair in zip(x, y, strict=True)]
        return self._scores("CP both", self._probed(both, nuisance=None))

    def _embedded(self, program, name, states):
        """What a probe sees of all rows, for each seed; NaN where the training diverged."""
        found = []
        for state in states:
            z = np.hstack([outputs(program, state.best, state.best_means, view, self.views[view])
                           for view in PROBED[name]])
            found.append(np.full_like(z, np.nan) if state.diverged else z)
        return found

    def _supervised(self):
        """Scores and records of supervised heads of all targets, on x, on y, and on both."""
        columns, d_x = np.hstack([self.views["x"], self.views["y"]]), self.rows.x.shape[1]
        seen = {"x": np.arange(columns.shape[1]) < d_x, "y": np.arange(columns.shape[1]) >= d_x,
                "x and y": np.ones(columns.shape[1], bool)}
        targets = [i for i, target in enumerate(self.rows.targets) if not target.nuisance]
        program = SupervisedProgram(columns.shape[1], self.bottleneck, self.widths, self.norm,
                                    max(1, *(len(self.rows.targets[i].classes) for i in targets)))
        data, units = self._labelled(columns, targets)
        tried = self._of_own("supervised")
        jobs = [(view, i) for i in targets for view in _VIEWS]
        cells = [cell for view, i in jobs for cell in self._cells(targets.index(i), tried, seen[view])]
        states = train_cells(HeadTraining(program, self.batch, self.epochs, self.patience), cells, data, self.tell,
                             "supervised heads")
        scores, trained = [], []
        for number, (view, i) in enumerate(jobs):
            target, start = self.rows.targets[i], number * len(tried) * self.seeds
            own = [states[start + j * self.seeds:start + (j + 1) * self.seeds] for j in range(len(tried))]
            found = [[_predictions(program, state, target, seen[view], columns, units[targets.index(i)])
                      for state in of_seeds] for of_seeds in own]
            merits = [_or_least(float(np.mean([self._validation(i, one) for one in of_seeds]))) for of_seeds in found]
            chosen = merits.index(max(merits))
            name = f"supervised {view}"
            scores.append(self._score(name, i, "head", True, self.bottleneck, np.stack(found[chosen])))
            trained.append(_record(f"{name}: {target.name}", tried, chosen, own[chosen]))
        return scores, trained

    def _labelled(self, columns, targets):
        """Rows and targets as supervised programs take them, and the units of real targets."""
        m, t = max(len(self.parts[i].train) for i in targets), len(targets)
        parts = [self.parts[i] for i in targets]
        fit = np.unique(np.concatenate([one.train for one in parts]))
        held = np.unique(np.concatenate([one.validation for one in parts]))
        rows, values = np.zeros((t, m), np.int32), np.zeros((t, m), np.float32)
        held_values, weights = np.zeros((t, len(held)), np.float32), np.zeros((t, len(held)), np.float32)
        units = []
        for place, (i, part) in enumerate(zip(targets, parts, strict=True)):
            target, count = self.rows.targets[i], len(part.train)
            own = target.values[part.train]
            units.append((own.mean(), own.std()) if target.kind == "real" else (0.0, 1.0))
            in_units = (target.values - units[-1][0]) / units[-1][1]
            rows[place, :count], values[place, :count] = np.searchsorted(fit, part.train), in_units[part.train]
            weights[place] = np.isin(held, part.validation)
            held_values[place] = np.where(weights[place] > 0, in_units[held], 0)
        data = LabelledRows(x=columns[fit], x_validation=columns[held], rows=rows,
                            counts=np.array([len(one.train) for one in parts], np.int32), values=values,
                            classes=np.array([len(self.rows.targets[i].classes) for i in targets], np.int32),
                            values_validation=held_values, weights_validation=weights)
        return data, units

    def _features(self):
        """Scores of the features themselves, by linear probes."""
        scores = []
        for name, view in (("x", self.rows.x), ("y", self.rows.y), ("x and y", np.hstack([self.rows.x, self.rows.y]))):
            linear = [probe for probe in self.probes if probe != "mlp"] or ["ridge"]
            scores += self._scores(name, self._probed([view], nuisance=None, probes=linear))
        return scores

    # Probes

    def _probed(self, features, nuisance, probes=None):
        """Predictions of all rows, (seeds, n), and the columns, by place of the target and probe."""
        probes = self.probes if probes is None else probes
        jobs = [(i, probe) for i, target in enumerate(self.rows.targets) for probe in probes
                if applies(probe, target) and nuisance in (None, target.nuisance)]
        linear = [(i, probe, seed) for i, probe in jobs for seed in range(len(features)) if probe != "mlp"]

        def fit(job):
            i, probe, seed = job
            return predicted(probe, features[seed], self.rows.targets[i], self.parts[i])

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
                                    max(1, *(len(self.rows.targets[i].classes) for i in targets)))
        data, units = self._labelled(columns, targets)
        seen = np.arange(width) < features.shape[1]
        cells = [HeadCell(start=self.starts[seed], kind=jnp.int32(place), columns=jnp.asarray(seen, jnp.float32),
                          settings=HeadSettings(**{name: jnp.float32(value) for name, value in _MLP_SETTINGS.items()}))
                 for place in range(len(targets))]
        states = train_cells(HeadTraining(program, self.batch, _MLP_EPOCHS, _MLP_PATIENCE), cells, data,
                             no_progress)
        return [_predictions(program, state, self.rows.targets[i], seen, columns, unit)
                for i, state, unit in zip(targets, states, units, strict=True)]

    def _merit(self, found):
        """The mean score of the targets' main probes on validation rows, over seeds."""
        own = [self._validation(i, one) for (i, probe), (of_seeds, _) in found.items()
               if probe == main_probe(self.probes, self.rows.targets[i]) for one in of_seeds]
        return _or_least(float(np.mean(own)))

    def _validation(self, i, found):
        target, part = self.rows.targets[i], self.parts[i].validation
        return score(target.kind, target.values[part], found[part])[0]

    def _scores(self, name, found):
        return [self._score(name, i, probe, probe == main_probe([p for j, p in found if j == i], self.rows.targets[i]),
                            columns, of_seeds) for (i, probe), (of_seeds, columns) in found.items()]

    def _score(self, name, i, probe, main, columns, found):
        target, parts = self.rows.targets[i], self.parts[i]
        groups = None if self.rows.groups is None else self.rows.groups[parts.test]
        value, low, high, by_seed = interval(target.kind, target.values[parts.test], found[:, parts.test], groups,
                                             self.confidence)
        return HeadScore(objective=name, target=target.name, nuisance=target.nuisance, probe=probe, main=main,
                         columns=columns, metric=METRICS[target.kind], value=value, low=low, high=high,
                         chance=chance(target, parts),
                         validation=float(np.mean([self._validation(i, one) for one in found])), by_seed=by_seed)


def _or_least(value):
    return value if np.isfinite(value) else -np.inf


def _record(name: str, tried: list[dict[str, float]], chosen: int, states: list[HeadState]) -> TrainedObjective:
    own = {key: value for key, value in tried[chosen].items()
           if key not in _OWN or _OWN[key] == name}
    return TrainedObjective(
        objective=name, settings=own, tried=len(tried), best_epochs=tuple(int(one.best_epoch) for one in states),
        epochs=tuple(int(one.epochs) for one in states),
        validation_losses=tuple(float(one.best_loss) for one in states),
        diverged=tuple(bool(one.diverged) for one in states))


def _predictions(program: SupervisedProgram, state: HeadState, target: Target, seen: np.ndarray, columns: np.ndarray,
                 unit: tuple[float, float]) -> np.ndarray:
    """What a supervised head says of all rows: classes, or values in their unit; NaN where its training diverged."""
    if state.diverged:
        return np.full(len(columns), np.nan)
    said = np.asarray(_compiled_prediction(program)(state.best, state.best_means, seen.astype(np.float32), columns),
                      np.float64)
    return said[:, 0] * unit[1] + unit[0] if target.kind == "real" else \
        said[:, :len(target.classes)].argmax(1).astype(float)


@lru_cache(maxsize=16)
def _compiled_prediction(program):
    return jax.jit(program.predict)
