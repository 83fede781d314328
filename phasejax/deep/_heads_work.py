"""One call of `train_heads`: which heads are trained from which cells, and which of them are scored."""

import jax
import jax.numpy as jnp
import numpy as np

from phasejax._core.column_units import units_of_columns
from phasejax._core.provenance import computed_on
from phasejax._core.validation import check_key
from phasejax.deep._heads_probes import probe_parts
from phasejax.deep._heads_programs import (
    PROBED,
    HeadCell,
    HeadSettings,
    HeadSizes,
    PairRows,
    SupervisedProgram,
)
from phasejax.deep._heads_result import TrainedHeads, TrainedObjective
from phasejax.deep._heads_rows import HeadRows
from phasejax.deep._heads_saved import Heads, outputs
from phasejax.deep._heads_scoring import HeadScorer, head_features, head_predictions, labelled_rows, or_least
from phasejax.deep._heads_settings import PAIRED, distinct_for, own_settings
from phasejax.deep._heads_training import HeadState, HeadTraining, train_cells
from phasejax.deep._pilot_rows import standardisation, standardised
from phasejax.io._paired_features import PARTS

_VIEWS = ("x", "y", "x and y")


class HeadWork:
    """One call of `train_heads`, with its checked arguments."""

    def __init__(self, rows: HeadRows, names, bottleneck, widths, norm, settings, batch, epochs, patience, seeds,
                 probes, confidence, seed, tell, heads):
        self.rows, self.names, self.settings, self.seeds = rows, names, settings, int(seeds)
        self.bottleneck, self.widths, self.norm = int(bottleneck), widths, norm
        self.batch, self.epochs, self.patience = int(batch), int(epochs), int(patience)
        self.confidence, self.seed, self.tell = confidence, seed, tell
        self.train, self.validation = rows.rows("train"), rows.rows("validation")
        self.parts = [probe_parts(rows, target, seed) for target in rows.targets]
        self.warnings = list(rows.warnings)
        self.given = heads
        if heads is not None:
            self.bottleneck, self.widths, self.norm = heads.sizes.bottleneck, heads.sizes.widths, heads.sizes.norm
            self.seeds = max(map(len, heads.networks.values()))
        self.starts = jax.random.split(check_key("seed", seed), self.seeds)
        self.scorer = HeadScorer(rows, self.parts, probes, confidence, starts=self.starts, bottleneck=self.bottleneck,
                                 batch=self.batch)
        self.units, self.views = {}, {}
        for name, view in (("x", rows.x), ("y", rows.y)):
            own = view[self.train]
            unit = units_of_columns((own - own.mean(0)).std(0))
            if unit is None:
                unit = np.ones(view.shape[1])
            else:
                self.warnings.append(f"{name}: its columns seem to be in different units, so each was divided by its "
                                     "own standard deviation")
            centre, scale = standardisation(own / unit)
            self.units[name] = centre * unit, scale / unit
            if heads is not None:
                heads.check_columns(name, view)
                self.units[name] = heads.units[name]
            self.views[name] = standardised(view, *self.units[name])

    def run(self) -> TrainedHeads:
        """Train and score everything."""
        rows, pairs = self.rows, [name for name in self.names if name in PAIRED]
        self._warn()
        sizes = HeadSizes(rows.x.shape[1], rows.y.shape[1], self.bottleneck, self.widths, self.norm)
        scores, trained, networks = self._paired(sizes, pairs) if self.given is None else self._scored_again()
        if {"CP x->y", "CP y->x"} <= set(pairs):
            scores += self._scored_together(sizes, networks)
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
            trained=tuple(trained), heads=Heads(sizes, self.units, networks), data=rows,
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

    def _cells(self, kind, settings, columns=()):
        return [HeadCell(start=start, kind=jnp.int32(kind), columns=jnp.asarray(columns, jnp.float32),
                         settings=HeadSettings(**{name: jnp.float32(value) for name, value in setting.items()}))
                for setting in settings for start in self.starts]

    def _paired(self, sizes, pairs):
        """Scores, records and networks of all objectives on pairs."""
        if not pairs:
            return [], [], {}
        order = np.random.default_rng([self.seed, 3]).permutation(self.validation)
        data = PairRows(*(self.views[view][part] for part in (self.train, order) for view in "xy"))
        tried = {name: distinct_for(name, self.settings) for name in pairs}
        jobs = [(HeadTraining(sizes.program(name), self.batch, self.epochs, self.patience), cell)
                for name in pairs for cell in self._cells(PAIRED.index(name), tried[name])]
        states = train_cells(jobs, data, self.tell)
        scores, trained, networks, place = [], [], {}, 0
        for name in pairs:
            own = [states[place + i * self.seeds:place + (i + 1) * self.seeds] for i in range(len(tried[name]))]
            place += len(tried[name]) * self.seeds
            found = [self.scorer.probed(self._embedded(sizes, name, of_seeds), nuisance=False) for of_seeds in own]
            merits = [self.scorer.merit(one) for one in found]
            chosen = merits.index(max(merits))
            networks[name] = tuple((state.best, state.best_means) for state in own[chosen])
            trained.append(_record(name, tried[name], chosen, own[chosen]))
            scores += self.scorer.scores(name, found[chosen])
            if any(target.nuisance for target in self.rows.targets):
                leaked = self.scorer.probed(self._embedded(sizes, name, own[chosen]), nuisance=True)
                scores += self.scorer.scores(name, leaked)
            self.tell("heads, objectives probed", pairs.index(name) + 1, len(pairs))
        return scores, trained, networks

    def _scored_again(self):
        """Scores and networks of heads that were trained before."""
        scores, own = [], self.given
        for place, (name, networks) in enumerate(own.networks.items()):
            program = own.sizes.program(name)
            features = [np.hstack([outputs(program, flat, means, view, self.views[view]) for view in PROBED[name]])
                        for flat, means in networks]
            scores += self.scorer.scores(name, self.scorer.probed(features, nuisance=None))
            self.tell("heads, objectives probed", place + 1, len(own.networks))
        return scores, [], own.networks

    def _scored_together(self, sizes, networks):
        """Scores of both CP encoders side by side."""
        x, y = ([outputs(sizes.program(name), flat, means, view, self.views[view]) for flat, means in networks[name]]
                for view, name in (("x", "CP x->y"), ("y", "CP y->x")))
        both = [np.hstack(pair) for pair in zip(x, y, strict=True)]
        return self.scorer.scores("CP both", self.scorer.probed(both, nuisance=None))

    def _embedded(self, sizes, name, states):
        """What a probe sees of all rows, for each seed; NaN where the training diverged."""
        found, program = [], sizes.program(name)
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
        data, units = labelled_rows(self.rows.targets, self.parts, columns, targets)
        tried = distinct_for("supervised", self.settings)
        jobs = [(view, i) for i in targets for view in _VIEWS]
        cells = [cell for view, i in jobs for cell in self._cells(targets.index(i), tried, seen[view])]
        training = HeadTraining(program, self.batch, self.epochs, self.patience)
        states = train_cells([(training, cell) for cell in cells], data, self.tell, "supervised heads")
        scores, trained = [], []
        for number, (view, i) in enumerate(jobs):
            target, start = self.rows.targets[i], number * len(tried) * self.seeds
            own = [states[start + j * self.seeds:start + (j + 1) * self.seeds] for j in range(len(tried))]
            found = [[head_predictions(program, state, target, seen[view], columns, units[targets.index(i)])
                      for state in of_seeds] for of_seeds in own]
            merits = [or_least(float(np.mean([self.scorer.validation(i, one) for one in of_seeds])))
                      for of_seeds in found]
            chosen = merits.index(max(merits))
            name = f"supervised {view}"
            features = [head_features(program, state, seen[view], columns) for state in own[chosen]]
            scores += self.scorer.scores(name, self.scorer.probed(features, nuisance=False, only=i))
            scores.append(self.scorer.score(name, i, "head", False, self.bottleneck, np.stack(found[chosen])))
            trained.append(_record(f"{name}: {target.name}", tried, chosen, own[chosen]))
        return scores, trained

    def _features(self):
        """Scores of the features themselves, by linear probes."""
        scores = []
        for name, view in (("x", self.rows.x), ("y", self.rows.y), ("x and y", np.hstack([self.rows.x, self.rows.y]))):
            linear = [probe for probe in self.scorer.probes if probe != "mlp"] or ["ridge"]
            scores += self.scorer.scores(name, self.scorer.probed([view], nuisance=None, probes=linear))
        return scores


def _record(name: str, tried: list[dict[str, float]], chosen: int, states: list[HeadState]) -> TrainedObjective:
    return TrainedObjective(
        objective=name, settings=own_settings(name, tried[chosen]), tried=len(tried),
        best_epochs=tuple(int(one.best_epoch) for one in states), epochs=tuple(int(one.epochs) for one in states),
        validation_losses=tuple(float(one.best_loss) for one in states),
        diverged=tuple(bool(one.diverged) for one in states))
