"""What `label_quality` changes: every level of every kind of change, checked before anything is computed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np

from phasejax._core.validation import check_choice, check_count, check_number, shown
from phasejax.diagnosis._label_quality_changes import (
    fold_classes,
    merge_classes,
    noise_for_r2,
    quantile_bins,
    reassign_labels,
)
from phasejax.diagnosis._label_quality_clusters import pseudo_labels
from phasejax.diagnosis._label_quality_result import QualityOutcome
from phasejax.diagnosis._label_quality_rows import QualityRows
from phasejax.diagnosis._units import view_in_like_units
from phasejax.io._inspection import LEAST_MEMBERS
from phasejax.io._labels import enough_members

KINDS = ("noise", "coarsening", "reassignment", "pseudo-labels", "rows", "ridge")
REPEATS, SUBSAMPLES = 5, 50
_R2_SHARES, _BINS, _REASSIGNED, _CLUSTERS = (0.75, 0.5, 0.25), (8, 4), (0.1, 0.25, 0.5), (8, 20, 44)
_RIDGES, _PARTS = (1e-6, 1e-4, 1e-2, 1e-1), (0.75, 0.5, 0.25)
_LEAST_SUBSAMPLE = 10  # two rows for each of the five published folds


@dataclass(frozen=True)
class Options:
    """What was asked for, as in `label_quality`; None where nothing was said."""

    r2_shares: Sequence[float] | None = None
    bins: Sequence[int] | None = None
    classes: Sequence[int] | None = None
    mapping: Mapping[Any, Any] | None = None
    reassigned: Sequence[float] | None = None
    clusters: Sequence[int] | None = None
    view: str | None = None
    sizes: Sequence[int] | None = None
    ridges: Sequence[float] | None = None
    repeats: int | None = None
    subsamples: int | None = None

    def check(self, by: Sequence[str] | None, has_labels: bool) -> None:
        """Refuse options without effect, and changes of labels where there are none.

        Raises:
            ValueError: naming an option and what it belongs to.
        """
        owners = {"r2_shares": ("noise",), "bins": ("coarsening",), "classes": ("coarsening",),
                  "mapping": ("coarsening",), "reassigned": ("reassignment",), "clusters": ("pseudo-labels",),
                  "view": ("pseudo-labels",), "sizes": ("rows", "ridge"), "ridges": ("ridge",),
                  "repeats": ("noise", "reassignment", "pseudo-labels", "rows"), "subsamples": ("ridge",)}
        asked = tuple(one for one in KINDS if one != "ridge") if by is None else by
        for field in fields(self):
            if getattr(self, field.name) is not None and not set(owners[field.name]) & set(asked):
                raise ValueError(f"{field.name}: expected none without {' or '.join(owners[field.name])}, got "
                                 f"{shown(getattr(self, field.name))}")
        if not has_labels and by is not None and (needed := [one for one in by if one != "pseudo-labels"]):
            raise ValueError(f"labels: expected some with {', '.join(needed)}, got none")
        if self.mapping is not None and self.classes is not None:
            raise ValueError("classes: expected none beside mapping, which says which classes there are, got "
                             f"{shown(self.classes)}")
        for name in ("repeats", "subsamples"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), most=10_000)
        if self.view is not None:
            check_choice("view", self.view, ("x", "y"))


@dataclass(frozen=True)
class Changed:
    """Labels of one repeat of a change, and of which rows; the arguments of `QualityRows.outcome`."""

    labels: np.ndarray
    labelled: np.ndarray
    kind: str
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class Level:
    """One level of a change.

    Args:
        by, level, name: as in `QualityLevel`.
        repeats: of it.
        about, detail: numbers and words about it.
        make: the labels of a repeat, and numbers about that; None for the ridge.
    """

    by: str
    level: float | int
    name: str
    repeats: int
    about: dict[str, float]
    detail: str = ""
    make: Callable[[int], tuple[Changed, dict[str, float]]] | None = None


class Planner:
    """The levels of each kind of change, for given rows.

    Args:
        rows: with labels of large enough classes.
        everyone: the same with the labels of all classes.
        options: what was asked for.
        seed: of all draws.
        weaker: the view that predicts the labels less well; None where there are none.
    """

    def __init__(self, rows: QualityRows, everyone: QualityRows, options: Options, seed: int):
        self.rows, self.everyone, self.options, self.seed = rows, everyone, options, seed
        self.repeats = options.repeats or REPEATS

    def kinds(self) -> tuple[str, ...]:
        """The kinds of change that make sense for the labels, of those that need no published method."""
        if self.rows.labels is None:
            return ("pseudo-labels",)
        own = ("noise", "coarsening") if self.rows.kind == "real" else ("coarsening", "reassignment")
        return (*own, "pseudo-labels", "rows")

    def levels(self, by: str) -> list[Level]:
        """The levels of one kind of change, mildest first.

        Raises:
            ValueError: labels that cannot be changed so, or a value out of range.
        """
        return {"noise": self._noise, "coarsening": self._coarsening, "reassignment": self._reassignment,
                "pseudo-labels": self._pseudo, "rows": self._rows, "ridge": self._ridge}[by]()

    def _labels(self) -> np.ndarray:
        return cast(np.ndarray, self.rows.labels)  # without labels there are only pseudo-labels

    def _noise(self):
        if self.rows.kind != "real":
            raise ValueError("by: expected real labels for noise, got classes (reassignment is for classes)")
        labels, units = self._labels().astype(float), self.rows.units
        of_row = np.arange(len(labels)) if units is None else np.unique(units, return_inverse=True)[1].reshape(-1)

        left = self.rows.without_known(labels, self.rows.labelled)  # R2 is a share of what confounders leave

        def level(share):
            share = check_number("r2_shares", share, above=0, below=1)
            noise, clean = noise_for_r2(left, self.rows.features[self.rows.labelled], share, units=units)
            about = {"noise sd / label sd": float(np.mean(noise / labels.std(0))), "R2 before": float(clean.mean()),
                     "R2 aimed at": float(share * clean.mean())}
            if labels.shape[1] == 1:
                about = {"noise sd": float(noise[0]), **about}

            def make(repeat):
                drawn = np.random.default_rng([self.seed, 1, repeat]).standard_normal((of_row.max() + 1, len(noise)))
                return Changed(labels + noise * drawn[of_row], self.rows.labelled, "real"), {}

            return Level("noise", share, f"{round(100 * share, 1):g} % of R2 left", self.repeats, about, make=make)

        return _fitting(level, "r2_shares", self.options.r2_shares, _R2_SHARES, mildest=max)

    def _coarsening(self):
        if self.rows.kind == "real":
            for name in ("classes", "mapping"):
                if getattr(self.options, name) is not None:
                    raise ValueError(f"{name}: expected none with real labels, which bins make coarser, got "
                                     f"{shown(getattr(self.options, name))}")
            if self._labels().shape[1] != 1:
                raise ValueError("by: expected one column of labels for coarsening, got "
                                 f"{self._labels().shape[1]}")
            values = self._labels()[:, 0].astype(float)
            return _fitting(lambda bins: self._coarser(bins, quantile_bins(values, bins), self.rows, "quantile bins"),
                            "bins", self.options.bins, _BINS, mildest=max)
        if self.options.bins is not None:
            raise ValueError(f"bins: expected none with classes, got {shown(self.options.bins)}")
        if self.options.mapping is not None:
            folded = fold_classes(cast(np.ndarray, self.everyone.labels), self.options.mapping)
            return [self._coarser(len(np.unique(folded)), folded, self.everyone, "classes by the mapping")]
        number = len(np.unique(self._labels()))
        if number < 3:
            raise ValueError(f"by: expected at least 3 classes for coarsening, got {number}")
        features = self.rows.features[self.rows.labelled]
        return _fitting(lambda classes: self._coarser(
            classes, merge_classes(self._labels(), features, classes), self.rows, "merged classes"),
            "classes", self.options.classes, sorted({max(2, number // 2), max(2, number // 4)}), mildest=max)

    def _coarser(self, level, labels, rows, name):
        groups = None if rows.groups is None else rows.groups[rows.labelled]
        try:
            kept, notes = enough_members(labels, "class", LEAST_MEMBERS, groups)
        except ValueError as error:
            raise ValueError(f"coarser classes: {str(error).removeprefix('labels: ')}") from None
        if not kept.all():
            raise ValueError(f"coarser classes: expected at least {LEAST_MEMBERS} rows of each, got "
                             f"{notes[0].rpartition('cross-validate: ')[2]}")
        named = "" if labels.dtype.kind in "iu" else "; ".join(map(str, np.unique(labels)))
        return Level("coarsening", level, f"{level} {name}", 1, {}, named,
                     lambda repeat: (Changed(labels, rows.labelled, "class"), {}))

    def _reassignment(self):
        if self.rows.kind != "class":
            raise ValueError("by: expected classes for reassignment, got real labels (noise is for these)")

        def level(share):
            share = check_number("reassigned", share, above=0, most=1)

            def make(repeat):
                seed = int(np.random.SeedSequence([self.seed, 2, repeat]).generate_state(1)[0])
                return Changed(reassign_labels(self._labels(), share, units=self.rows.units, seed=seed),
                               self.rows.labelled, "class"), {}

            try:
                make(0)  # refuses a share that frequencies do not allow
            except ValueError as error:
                raise ValueError(str(error).replace("share:", "reassigned:", 1)) from None
            return Level("reassignment", share, f"{round(100 * share, 1):g} % reassigned", self.repeats, {}, make=make)

        return _fitting(level, "reassigned", self.options.reassigned, _REASSIGNED, mildest=min)

    def weaker(self, given: QualityOutcome | None) -> str:
        """The view whose clusters are the pseudo-labels: the one asked for, or the one that predicts labels worse."""
        if self.options.view is not None:
            return self.options.view
        if given is None:
            raise ValueError("view: expected x or y, of which clusters are made, where there are no labels; got none")
        return min("xy", key=lambda name: given.scores[name])

    def _pseudo(self):
        n = len(self.rows.x)

        def level(k):
            k = check_count("clusters", k, least=2)
            if k > n // LEAST_MEMBERS:
                raise ValueError(f"clusters: expected at most {n // LEAST_MEMBERS}, {LEAST_MEMBERS} of the {n} rows "
                                 f"for each, got {k}")
            return Level("pseudo-labels", k, f"{k} clusters", self.repeats, {})

        return _fitting(level, "clusters", self.options.clusters, _CLUSTERS, mildest=min)

    def clusters(self, k: int, view: str, repeat: int) -> tuple[Changed, dict[str, float]]:
        """Pseudo-labels of all rows, and how far they agree with the labels where these are classes."""
        from sklearn.metrics import adjusted_rand_score

        own, _ = view_in_like_units(view, self.rows.views["xy".index(view)])
        seed = int(np.random.SeedSequence([self.seed, 3, repeat]).generate_state(1)[0])
        found = pseudo_labels(own, k, groups=self.rows.groups, seed=seed, folds=min(5, self._units()))
        about = {}
        if self.rows.labels is not None and self.rows.kind == "class":
            about = {"adjusted Rand index with the labels": float(adjusted_rand_score(
                self.rows.labels.astype(str), found[self.rows.labelled]))}
        return Changed(found, np.arange(len(found)), "class"), about

    def _units(self):
        return len(self.rows.x) if self.rows.groups is None else int(self.rows.groups.max()) + 1

    def _sizes(self, most, least=2):
        def size(number):
            return check_count("sizes", number, least, most)

        return _fitting(size, "sizes", self.options.sizes, [round(part * most) for part in _PARTS], mildest=max)

    def _rows(self):
        n, m = len(self.rows.x), len(self.rows.labelled)
        of_labels = self._sizes(n if self.options.sizes is not None else m)

        def drawn(pairs, size, repeat):
            rng = np.random.default_rng([self.seed, 4, repeat])
            if pairs:
                return Changed(self._labels(), self.rows.labelled, self.rows.kind,
                               self.rows.part(rng, size, np.arange(n))), {}
            rows = self.rows.part(rng, size, self.rows.labelled)
            kept = np.isin(self.rows.labelled, rows)
            return Changed(self._labels()[kept], self.rows.labelled[kept], self.rows.kind), {}

        return [Level(by, size, f"{size} {by}", self.repeats, {}, "",
                      lambda repeat, pairs=by == "pairs", size=size: drawn(pairs, size, repeat))
                for by, sizes in (("labels", of_labels), ("pairs", self._sizes(n))) for size in sizes
                if by == "pairs" or size < m]

    def _ridge(self):
        most = len(self.rows.labelled)
        return [Level("ridge", size, f"{size} pairs", self.options.subsamples or SUBSAMPLES, {})
                for size in self._sizes(most, least=_LEAST_SUBSAMPLE)]

    def ridges(self) -> tuple[float, ...]:
        """The ridges of the published method, in mean variances of a view's columns."""
        return tuple(_fitting(lambda ridge: check_number("ridges", ridge, above=0), "ridges", self.options.ridges,
                              _RIDGES, mildest=min))

    def subsample(self, size: int, repeat: int) -> np.ndarray:
        """Labelled rows of one subsample, the same for all ridges; those of a smaller size lie within."""
        return self.rows.part(np.random.default_rng([self.seed, 5, repeat]), size, self.rows.labelled)


def _fitting(make: Callable[[Any], Any], name: str, values: Any, default: Sequence[Any], mildest: Any) -> list[Any]:
    """What `make` gives for each value, mildest first: an error for those that were asked for, else those that fit."""
    if values is not None:
        given = [values] if np.ndim(values) == 0 and not isinstance(values, str) else values
        if isinstance(given, str) or not np.iterable(given) or not len(list(given)):
            raise ValueError(f"{name}: expected at least one value, got {shown(values)}")
        made = {one: make(one) for one in given}
    else:
        made, refused = {}, ValueError(f"{name}: expected rows for some values, got too few")
        for one in default:
            try:
                made[one] = make(one)
            except ValueError as error:
                refused = error
        if not made:
            raise refused
    return [made[one] for one in sorted(made, reverse=mildest is max)]


def iterated(levels: Sequence[Level]) -> Iterator[tuple[str, float | int, int]]:
    """Every repeat of every level."""
    for one in levels:
        for repeat in range(one.repeats):
            yield one.by, one.level, repeat
