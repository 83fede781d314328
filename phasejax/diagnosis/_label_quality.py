"""How good must labels be, and how many? Regime, probability and decision for worse, coarser, wrong and fewer labels.

The labels are changed (`_label_quality_changes`, `_label_quality_clusters`), the rows diagnosed again each time
(`_label_quality_rows`), and what was found is counted and told (`_label_quality_result`, `_label_quality_words`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from phasejax._core.checked_call import checked
from phasejax._core.forks import check_not_forked
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.resumable import compute_parts
from phasejax._core.serialise import plain, restored
from phasejax._core.validation import check_choice, check_confidence, check_count, check_seed, shown
from phasejax.diagnosis._label_quality_levels import KINDS, Options, Planner, iterated
from phasejax.diagnosis._label_quality_result import LabelQuality, QualityLevel, QualityOutcome
from phasejax.diagnosis._label_quality_rows import QualityRows, outcome_of
from phasejax.diagnosis._moment_matching import label_directions
from phasejax.diagnosis._paired_data import in_like_units, most_components
from phasejax.diagnosis._pilot_plan import plan_from_pilot
from phasejax.diagnosis._representations import known_names
from phasejax.diagnosis._units import rows_in_like_units
from phasejax.diagnosis._uses import OBJECTIVES
from phasejax.io import encode_labels
from phasejax.io._confounders import confounder_columns, confounders_of_rows, encode_confounders, named_confounders
from phasejax.io._duplicates import near_duplicates
from phasejax.io._matching import announce, match_labelled
from phasejax.io._named_together import named_together
from phasejax.theory._plan import ROWS_PER_COLUMN

_FAVOURED = ("pseudo-labels are clusters of {view}, so they favour what {view} holds, signal or nuisance; regime and "
             "decision by them are about these clusters, and no evidence about your labels.")


class _Part(NamedTuple):
    by: str
    level: Any
    repeat: int


@checked
def label_quality(x: Any, y: Any, labels: Any = None, *, by: str | Sequence[str] | None = None, k: int | None = None,
                  groups: Any = None, confounders: Any = None, labelled: ArrayLike | None = None,
                  label_kind: str = "auto", pca: int | None = None, r2_shares: Sequence[float] | None = None,
                  bins: Sequence[int] | None = None, classes: Sequence[int] | None = None,
                  mapping: Mapping[Any, Any] | None = None,
                  reassigned: Sequence[float] | None = None, clusters: Sequence[int] | None = None,
                  view: str | None = None, sizes: Sequence[int] | None = None, ridges: Sequence[float] | None = None,
                  repeats: int | None = None, subsamples: int | None = None, among: Sequence[str] = OBJECTIVES,
                  confidence: float = 0.9, divisions: int | None = None, by_position: bool = False,
                  missing: str = "error", seed: int = 0, store: str | Path | None = None,
                  progress: bool | ProgressCallback = False) -> LabelQuality:
    r"""How good labels must be, and how many, for the regime to be stated and the decision to stand.

    Labels are made worse in steps, the rows diagnosed again each time (`diagnose` by content, without a fit), and it is
    counted in how many repeats which regime is stated and which objective is decided for:

    .. math::  \hat p_R = \frac{1}{r} \sum_{i=1}^{r} 1[\mathrm{regime}_i = R] \quad \text{with Wilson's interval}

    - "noise": Gaussian noise on real labels that lowers their R^2 from both views to shares of itself (`noise_for_r2`);
      label content does not change with it in the population, only how well it is known.
    - "coarsening": quantile bins of real labels; classes folded by a mapping, or merged by their means.
    - "reassignment": classes of some rows trade places.
    - "pseudo-labels": k-means clusters of a view, each row's from a fit to other rows.
    - "rows": fewer labels with all pairs, and fewer pairs; beside what `plan_from_pilot` foretells.
    - "ridge": Algorithm 1 of K26 on the same subsamples with several ridges, beside the content without any.

    The width is the same throughout, so that what is compared are labels.

    Args:
        x, y, labels, groups, labelled, label_kind, pca, by_position, missing: as in `diagnose`. Where all labels of a
            group are equal, noise and reassignment change whole groups. Labels may be left out for "pseudo-labels".
        confounders: as in `diagnose`, removed in every diagnosis, and from the view whose clusters are pseudo-labels.
        by: what to change, one or several; all that suit the labels, but "ridge", when left out.
        k: width of each encoder's output; when left out, the number of directions of the labels as given.
        r2_shares: shares of R^2 that noise leaves, 0 to 1; 0.75, 0.5 and 0.25 when left out.
        bins: numbers of quantile bins of real labels; 8 and 4 when left out.
        classes: numbers of merged classes; half and a quarter of them when left out.
        mapping: the coarser class of each class, by name, in place of merging.
        reassigned: shares of labels that get another class, up to 1; 0.1, 0.25 and 0.5 when left out.
        clusters: numbers of clusters; 8, 20 and 44 when left out.
        view: whose clusters, "x" or "y"; the view that predicts the labels less well when left out.
        sizes: numbers of labels and pairs, or of pairs for "ridge"; 3/4, 1/2 and 1/4 of them when left out.
        ridges: in mean variances of a view's columns; 1e-6, 1e-4, 1e-2 and 0.1 when left out.
        repeats: of what is drawn at random; 5 when left out.
        subsamples: of each size for "ridge", the same for all ridges; 50 when left out.
        among: what the decision is between, as in `Diagnosis.best`.
        confidence: probability from which a regime is stated, and level of the binomial intervals.
        divisions: of the rows into folds, over which scores are averaged; as in `diagnose` when left out. 1 takes a
            third of the time.
        seed: of all draws.
        store: folder that keeps every repeat; the same call goes on where it was, also after a kill.
        progress: False, True for bars on a terminal, or a callback.

    Returns:
        Levels with their outcomes, and conclusions in words.

    Raises:
        ValueError: an input that no answer could rest on, in one line.

    Source: K26, appendix (sensitivity to the ridge and to the number of rows, label quality); Wilson 1927.

    >>> from phasejax.datasets import load_digit_halves
    >>> x, y, _ = load_digit_halves()
    >>> found = label_quality(x[:200], y[:200], by="pseudo-labels", clusters=[4], view="x", k=2, pca=4, repeats=1,
    ...                       divisions=1)
    >>> [level.name for level in found.levels], found.levels[0].outcomes[0].seen
    (['4 clusters of x'], True)
    """
    check_not_forked()
    kinds = _checked_kinds(by)
    options = Options(r2_shares=r2_shares, bins=bins, classes=classes, mapping=mapping, reassigned=reassigned,
                      clusters=clusters, view=view, sizes=sizes, ridges=ridges, repeats=repeats, subsamples=subsamples)
    options.check(kinds, labels is not None)
    if not np.iterable(among):
        raise ValueError(f"among: expected names such as ('CA', 'CP both'), got {shown(among)}")
    among, seed = known_names(among), check_seed("seed", seed)
    confidence = check_confidence(confidence)
    if k is not None:
        k = check_count("k", k)
    if divisions is not None:
        divisions = check_count("divisions", divisions, most=1000)
    known = []
    if confounders is not None:
        known = named_confounders(confounders)
        x, y, labels, groups = named_together(x, y, labels, groups, other_columns=confounder_columns(known))
    matched, kind = match_labelled(x, y, labels, labelled=labelled, label_kind=label_kind, groups=groups,
                                   by_position=by_position, missing=missing)
    of_confounders = None
    if confounders is not None:
        matched, of_confounders = confounders_of_rows(known, matched, by_position=by_position, missing=missing)
        encode_confounders(of_confounders)  # refuses what cannot be removed, before anything is computed
    everyone = QualityRows.of(matched, "class" if matched.labels is None else kind, pca=pca, confidence=confidence,
                              divisions=divisions, among=among, confounders=of_confounders)
    of_rows, of_classes = everyone.kept()
    limits = [*matched.limits, *of_classes]
    if matched.groups is None and (copies := near_duplicates(matched.x, matched.y)) is not None:
        limits.append(copies)
    announce(limits, said=limits)
    planner = Planner(of_rows, everyone, options, seed)
    with reporting(progress) as tell, threadpool_limits(1, "blas"):
        tell("label quality: labels as given", 0, 1)
        run = _Run(planner, k, store, tell)
        found = run.levels(kinds)
    announce(note for note in (*matched.readings, *matched.notes) if note not in limits)
    return LabelQuality(
        **found, n=len(of_rows.x), labelled=0 if of_rows.labels is None else len(of_rows.labelled),
        groups=None if of_rows.groups is None else int(of_rows.groups.max()) + 1,
        kind=None if of_rows.labels is None else kind, confounders=run.removed,
        k_from_labels=k is None, among=among, confidence=confidence,
        warnings=(*limits, *of_rows.reduced[2], *run.warnings), computed_on=computed_on())


class _Run:
    """The diagnoses of all repeats.

    Args:
        planner: of the levels.
        k: as in `label_quality`.
        store: folder of the parts.
        tell: told of every part that is done.
    """

    def __init__(self, planner: Planner, k: int | None, store: str | Path | None, tell: ProgressCallback):
        self.planner, self.rows, self.store, self.tell = planner, planner.rows, store, tell
        self.warnings: list[str] = []
        top = min(view.shape[1] for view in self.rows.reduced[0]) - 1
        if k is not None and k > top:
            raise ValueError(f"k: expected 1 to min(d_x, d_y) - 1 = {top}, got {k}")
        self.removed: str | None = None
        if self.rows.confounders is not None:
            self.removed = f"removed {encode_confounders(self.rows.confounders).words()}"
            if self.rows.labels is not None:
                found, limits = self.rows.removed()
                self.removed = self.removed if found is None else found.words()
                self.warnings += limits
        self.k = self._width() if k is None else k
        about = {"data": self.rows.digest, "k": self.k, "pca": self.rows.pca, "confidence": self.rows.confidence,
                 "divisions": self.rows.divisions, "among": self.rows.among, "seed": planner.seed,
                 "mapping": None if planner.options.mapping is None else
                 sorted((str(old), str(new)) for old, new in planner.options.mapping.items())}
        self.settings = json.dumps(about)

    def _width(self):
        if self.rows.labels is None:
            raise ValueError("k: expected the width of your embedding where there are no labels, got none")
        data, _ = rows_in_like_units(self._given())
        return min(label_directions(data.joint, data.d_x, data.d_y, data.q, data.m), most_components(data, None))

    def _given(self):
        return self.rows.paired(cast(np.ndarray, self.rows.labels), self.rows.labelled, self.rows.kind)

    def levels(self, kinds: Sequence[str] | None) -> dict[str, Any]:
        """All outcomes, as fields of the result."""
        planner, levels = self.planner, []
        for by in planner.kinds() if kinds is None else kinds:
            try:
                levels += planner.levels(by)
            except ValueError as error:
                if kinds is not None:
                    raise
                self.warnings.append(f"{by} was left out ({error}).")
        if not levels:
            raise ValueError(f"by: expected labels that can be changed, got none ({' '.join(self.warnings)})")
        by_names = tuple(dict.fromkeys("rows" if one.by in ("labels", "pairs") else one.by for one in levels))
        if "ridge" in by_names:
            planner.ridges()
        given, columns = None, tuple(view.shape[1] for view in self.rows.reduced[0])
        if self.rows.labels is not None:
            saved = self._parts([_Part("given", len(self.rows.labelled), 0)], self._as_given)[0]
            given = restored(QualityOutcome, saved["outcome"])
            self.warnings += saved["warnings"]
        if "pseudo-labels" in by_names:
            self.view = planner.weaker(given)
            self.warnings.append(_FAVOURED.format(view=self.view))
        foretold = {}
        if "rows" in by_names and given is not None:
            foretold = self._parts([_Part("plan", len(self.rows.x), 0)], self._plan)[0]
        parts = [_Part(*part) for part in iterated(levels)]
        self.of = {(one.by, one.level): one for one in levels}
        found = dict(zip(parts, self._parts(parts, self._repeat), strict=True))
        told = [made for one in levels for made in
                self._told(one, [found[_Part(one.by, one.level, r)] for r in range(one.repeats)], foretold)]
        return {"given": given, "levels": tuple(told), "by": by_names, "k": self.k,
                "d_x": columns[0], "d_y": columns[1],
                "foretold": {name: value for name, value in foretold.items() if name not in ("n", "probabilities")}}

    def _parts(self, parts, work):
        """What `work` gives for each part, from the store where it is there."""
        def kept(*part):
            return {"found": np.array(json.dumps(plain(work(*part))))}

        def settings(by, *_):
            extra = {"view": self.view} if by == "pseudo-labels" else {}
            if by == "ridge":
                extra = {"ridges": self.planner.ridges()}
            return json.dumps({**json.loads(self.settings), **extra})

        computed = compute_parts(parts, kept, settings=settings, store=self.store, progress=self.tell, precision=None,
                                 task="label quality: diagnoses")
        return [json.loads(str(part["found"])) for part in computed]

    def _as_given(self, *_):
        found = self.rows.diagnosed(self._given(), self.k)
        return {"outcome": asdict(outcome_of(found, self.k, self.rows.among)), "warnings": list(found.warnings)}

    def _plan(self, *_):
        """What the plan from these data foretells, or why there is none."""
        try:
            found = plan_from_pilot(self.rows.diagnosed(self._given(), self.k, scores=False, fit=True))
        except ValueError as error:
            return {"text": f"no plan ({error})."}
        return {"text": found.verdict, "regime": found.regime.value if found.regime else None, "pairs": found.pairs,
                "pairs_stated": found.pairs_stated, "labels": found.labels, "warnings": list(found.warnings),
                "n": found.n.tolist(), "probabilities": found.probabilities.tolist()}

    def _repeat(self, by, level, repeat):
        if by == "ridge":
            return self._ridges(level, repeat)
        make = self.of[by, level].make
        changed, about = self.planner.clusters(level, self.view, repeat) if make is None else make(repeat)
        outcome = self.rows.outcome(self.k, changed.labels, changed.labelled, changed.kind, changed.rows)
        return {"outcomes": [asdict(outcome)], "about": about}

    def _ridges(self, size, repeat):
        """Outcomes of one subsample: of each ridge, and by content."""
        rows, own = self.planner.subsample(size, repeat), self.rows
        columns = self._columns[np.isin(own.labelled, rows)]
        outcomes = list(own.with_ridges(rows, columns, self.planner.ridges()))
        used = sum(view.shape[1] for view in own.reduced[0])
        if len(rows) < ROWS_PER_COLUMN * used:
            outcomes.append(QualityOutcome(
                n=len(rows), labelled=len(rows), content={}, scores={},
                reason=f"{len(rows)} rows are fewer than {ROWS_PER_COLUMN} for each of the {used} columns"))
        else:
            outcomes.append(own.outcome(self.k, cast(np.ndarray, own.labels), own.labelled, own.kind, rows,
                                        scores=False))
        return {"outcomes": [asdict(one) for one in outcomes], "about": {}}

    @property
    def _columns(self):
        labels = cast(np.ndarray, self.rows.labels)
        columns = in_like_units(encode_labels(labels, len(labels), self.rows.kind), self.rows.kind)
        return self.rows.without_known(columns, self.rows.labelled)

    def _told(self, level, saved, foretold):
        """The levels of the result that one level makes: several for the ridge."""
        outcomes = [[restored(QualityOutcome, one) for one in part["outcomes"]] for part in saved]
        names = saved[0]["about"]
        about = {**level.about, **{name: float(np.mean([part["about"][name] for part in saved])) for name in names}}
        if level.by == "pairs" and "n" in foretold:
            about["foretold by the plan"] = float(np.interp(
                np.log(level.level), np.log(foretold["n"]), foretold["probabilities"], left=np.nan))
        if level.by != "ridge":
            name = f"{level.name} of {self.view}" if level.by == "pseudo-labels" else level.name
            yield QualityLevel(by=level.by, level=level.level, name=name, about=about,
                               detail=level.detail, outcomes=tuple(one[0] for one in outcomes))
            return
        forced = max(0, sum(view.shape[1] for view in self.rows.reduced[0]) - (level.level - 1))
        for place, ridge in enumerate((*self.planner.ridges(), None)):
            made = QualityLevel(
                by="ridge", level=level.level, name=f"{level.name}, " + (f"ridge {ridge:g}" if ridge else "content"),
                method="spectral" if ridge else "content", ridge=ridge, about={},
                outcomes=tuple(one[place] for one in outcomes))
            ratios = {name: made.mean(lambda one, name=name: one.content[name]) for name in ("Delta_CA", "Delta_CP")
                      } if ridge else {}
            yield replace(made, about={**ratios, "correlations forced to 1": float(forced)})


def _checked_kinds(by):
    if by is None:
        return None
    if not np.iterable(by):
        raise ValueError(f"by: expected one or several of {', '.join(KINDS)}, got {shown(by)}")
    kinds = (by,) if isinstance(by, str) else tuple(by)
    for one in kinds:
        check_choice("by", one, KINDS)
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"by: expected each kind of change once, got {', '.join(kinds) or 'none'}")
    return kinds
