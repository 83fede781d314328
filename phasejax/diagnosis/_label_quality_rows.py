"""Matched rows that are diagnosed again and again with other labels, or in part: what `label_quality` repeats."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int

from phasejax._core.residuals import residuals_of
from phasejax.diagnosis._confounders import RemovedConfounders, left_of, without_confounders
from phasejax.diagnosis._content_diagnosis import diagnose_by_content
from phasejax.diagnosis._label_quality_result import OBJECTIVES, QualityOutcome
from phasejax.diagnosis._paired_data import IN_MEMORY, PairedRows, paired_rows
from phasejax.diagnosis._reduced_views import reduced_views
from phasejax.diagnosis._result import Diagnosis
from phasejax.diagnosis._spectral import classify_spectra
from phasejax.diagnosis._units import view_in_like_units
from phasejax.io import MatchedRows, Table
from phasejax.io._arrays import finite_view
from phasejax.io._confounders import encode_confounders
from phasejax.io._inspection import LEAST_MEMBERS, too_few_labels
from phasejax.io._labels import enough_members
from phasejax.theory import Regime


@dataclass(frozen=True, eq=False)
class QualityRows:
    """Matched rows with labels, and how they are diagnosed.

    Args:
        x, y: the views, shapes (n, d_x) and (n, d_y).
        labels: of the labelled rows, shape (m,) or (m, L); None where there are none.
        labelled: these rows, increasing.
        kind: "class" or "real".
        groups: numbers of the groups of all rows; None where each row is its own.
        pca, confidence, divisions: as in `label_quality`.
        among: objectives that the decision is between.
        confounders: known nuisance of all rows by name, removed in every diagnosis; None where there is none.
    """

    x: Float[np.ndarray, "n d_x"]
    y: Float[np.ndarray, "n d_y"]
    labels: np.ndarray | None
    labelled: Int[np.ndarray, "m"]
    kind: str
    groups: Int[np.ndarray, "n"] | None
    pca: int | None
    confidence: float
    divisions: int | None
    among: tuple[str, ...]
    confounders: Mapping[str, np.ndarray] | None = None

    @classmethod
    def of(cls, matched: MatchedRows, kind: str, **options: Any) -> "QualityRows":
        """Rows held in memory, and the labels of those whose classes are large enough.

        Raises:
            ValueError: views of too many numbers, or that are not finite.
        """
        numbers = sum(np.prod(view.shape, dtype=float) for view in (matched.x, matched.y))
        if numbers > IN_MEMORY:
            raise ValueError(f"x, y: expected views of at most {IN_MEMORY:.0e} numbers in all, got {numbers:.2g}")
        x, y = (finite_view(name, view.rows(0, len(view)) if isinstance(view, Table) else view)
                for name, view in (("x", matched.x), ("y", matched.y)))
        if len(x) != len(y):
            raise ValueError(f"y: expected {len(x)} rows as in x, got {len(y)}")
        which = np.arange(len(x)) if matched.labelled is None else matched.labelled
        labels = matched.labels
        if labels is not None:
            order = np.argsort(which)
            which, labels = which[order], labels[order]
            labels = labels.reshape(-1) if kind == "class" else labels.reshape(len(labels), -1)
        return cls(np.asarray(x, np.float64), np.asarray(y, np.float64), labels, which, kind, matched.groups,
                   **options)

    @property
    def digest(self) -> str:
        """A digest of rows, labels and groups."""
        found = hashlib.sha256()
        for array in (self.x, self.y, self.labels, self.labelled, self.groups):
            found.update(repr(None if array is None else (array.shape, array.dtype.str)).encode())
            found.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        for name, values in (self.confounders or {}).items():
            found.update(repr((name, values.shape, values.dtype.str, values.tolist())).encode())
        return found.hexdigest()

    @cached_property
    def units(self) -> Int[np.ndarray, "m"] | None:
        """Groups of the labelled rows, where all labels of a group are equal, as of a donor or a star; else None."""
        if self.groups is None or self.labels is None:
            return None
        of_rows, columns = self.groups[self.labelled], self.labels.reshape(len(self.labels), -1)
        first = np.unique(of_rows, return_index=True, return_inverse=True)[1:]
        return of_rows if np.array_equal(columns[first[0]][first[1].reshape(-1)], columns) else None

    @cached_property
    def reduced(self) -> tuple[Any, Any, tuple[str, ...]]:
        """Both views in as many columns as a diagnosis takes, and what that left out."""
        return self._reduced(*self.views, self.groups)

    @cached_property
    def views(self) -> tuple[Float[np.ndarray, "n d_x"], Float[np.ndarray, "n d_y"]]:
        """Both views without what confounders tell of them; of a column that they determine nothing is left."""
        if self.known is None:
            return self.x, self.y
        x, y = (residuals_of(left_of(name, view, self.known)[0], self.known)
                for name, view in (("x", self.x), ("y", self.y)))
        return x, y

    @cached_property
    def known(self) -> Float[np.ndarray, "n q"] | None:
        """Confounders as columns for least squares."""
        return None if self.confounders is None else encode_confounders(self.confounders).known

    def without_known(self, columns: Float[np.ndarray, "m l"], labelled: Int[np.ndarray, "m"]
                      ) -> Float[np.ndarray, "m l"]:
        """Label columns without what confounders tell of them."""
        return columns if self.known is None else residuals_of(columns, self.known[labelled])

    @cached_property
    def features(self) -> Float[np.ndarray, "n p"]:
        """Both views side by side, reduced, each with a total variance of 1: directions count by their variance.

        Components that are standardised instead put rare classes, which few rows tell apart, farthest from all others.
        """
        sides = []
        for name, view in zip("xy", self.reduced[0], strict=True):
            view, _ = view_in_like_units(name, view - view.mean(0))
            sides.append(view / np.sqrt(np.sum(view.var(0))))
        return np.hstack(sides)

    def kept(self) -> tuple["QualityRows", list[str]]:
        """The rows without labels of classes that are too small, and a note about these."""
        if self.labels is None:
            return self, []
        groups = None if self.groups is None else self.groups[self.labelled]
        kept, notes = enough_members(self.labels, self.kind, LEAST_MEMBERS, groups)
        return (self if kept.all() else replace(self, labels=self.labels[kept], labelled=self.labelled[kept])), notes

    def paired(self, labels: np.ndarray, labelled: Int[np.ndarray, "m"], kind: str,
               rows: Int[np.ndarray, "r"] | None = None) -> PairedRows:
        """The rows, or some of them, as a diagnosis takes them.

        Args:
            labels: of the rows `labelled`, numbers of all rows.
            kind: of the labels.
            rows: increasing; None for all.

        Raises:
            ValueError: too few labels, or what `diagnose` refuses.
        """
        return self._paired(labels, labelled, kind, rows)[0]

    def removed(self) -> tuple[RemovedConfounders | None, tuple[str, ...]]:
        """How much confounders explain of views and labels as given, and what limits the answer without them."""
        return self._paired(cast(np.ndarray, self.labels), self.labelled, self.kind, None)[1:]

    def _paired(self, labels, labelled, kind, rows) -> tuple[PairedRows, RemovedConfounders | None, tuple[str, ...]]:
        x, y, groups, reduced, confounders = self.x, self.y, self.groups, None, self.confounders
        if rows is not None:
            inside = np.isin(labelled, rows)
            labels, labelled = labels[inside], np.searchsorted(rows, labelled[inside])
            x, y = x[rows], y[rows]
            groups = None if groups is None else np.unique(groups[rows], return_inverse=True)[1].reshape(-1)
            if confounders is not None:
                confounders = {name: values[rows] for name, values in confounders.items()}
            if not labelled.size:
                raise ValueError("labels: expected some in every part of the rows, got none")
        elif confounders is None:
            reduced = self.reduced
        kept, _ = enough_members(labels, kind, LEAST_MEMBERS, None if groups is None else groups[labelled])
        labels, labelled = labels[kept], labelled[kept]
        matched = MatchedRows(x, y, labels, labelled, groups=groups)
        if (refusal := too_few_labels(matched)) is not None:
            raise ValueError(refusal)
        if confounders is not None:
            return without_confounders(matched, confounders, kind, self.pca)
        (first, second), in_folds, _ = reduced or self._reduced(x, y, groups)
        return replace(paired_rows(first, second, labels, labelled, kind, 0, groups), in_folds=in_folds), None, ()

    def diagnosed(self, data: PairedRows, k: int, *, scores: bool = True, fit: bool = False) -> Diagnosis:
        """The diagnosis of some of the rows at one width."""
        found = diagnose_by_content(data, k=k, confidence=self.confidence, predicted_scores=scores, fit=fit, pilot=None,
                                    tell=_silent, divisions=self.divisions)
        if self.confounders is None:
            return found
        return replace(found, n=len(data.scored[0]), labelled=len(data.scored_labels[1]))

    def outcome(self, k: int, labels: np.ndarray, labelled: Int[np.ndarray, "m"], kind: str,
                rows: Int[np.ndarray, "r"] | None = None, *, scores: bool = True) -> QualityOutcome:
        """What a diagnosis says with these labels; where it refuses them, that it does and why."""
        try:
            found = self.diagnosed(self.paired(labels, labelled, kind, rows), k, scores=scores)
        except ValueError as error:
            return QualityOutcome(n=len(self.x) if rows is None else len(rows), labelled=len(labels), content={},
                                  scores={}, reason=f"refused: {error}")
        return outcome_of(found, k, self.among)

    def part(self, rng: np.random.Generator, size: int, among: Int[np.ndarray, "r"]) -> Int[np.ndarray, "p"]:
        """Some of the rows, drawn without replacement, whole groups where there are any; those of less size within.

        Args:
            rng: of the order in which rows or groups are taken.
            size: number of rows; of groups as many as fit, at least one.
            among: rows to draw from.
        """
        if self.groups is None:
            return np.sort(rng.permutation(among)[:size])
        names, of_rows = np.unique(self.groups[among], return_inverse=True)
        order = rng.permutation(len(names))
        taken = order[np.cumsum(np.bincount(of_rows.reshape(-1))[order]) <= size]
        return among[np.isin(of_rows.reshape(-1), taken if taken.size else order[:1])]

    def _reduced(self, x, y, groups):
        units = len(x) if groups is None else int(groups.max()) + 1
        return reduced_views(x, y, units=units, pca=self.pca)

    def with_ridges(self, rows: Int[np.ndarray, "r"], columns: Float[np.ndarray, "r l"], ridges: tuple[float, ...]
                    ) -> Iterator[QualityOutcome]:
        """What Algorithm 1 of K26 says of some rows with each ridge, in mean variances of each view's columns.

        Args:
            rows: all with labels.
            columns: their label columns.
            ridges: for which there is an outcome each.
        """
        views = [view_in_like_units(name, view[rows])[0] for name, view in zip("xy", self.reduced[0], strict=True)]
        x, y = (view / np.sqrt(np.mean(view.var(0))) for view in views)
        for ridge in ridges:
            found = classify_spectra(x, y, columns, ridge=float(ridge))
            regime = Regime.from_ratios(found.ca.delta, found.cp.delta)
            yield QualityOutcome(n=len(rows), labelled=len(rows), seen=True, regime=regime.value, scores={},
                                 content={"Delta_CA": found.ca.delta, "Delta_CP": found.cp.delta})


def _silent(task: str, done: int, total: int) -> None:
    """Progress of one diagnosis among many, which nobody wants to see."""


def outcome_of(found: Diagnosis, k: int, among: tuple[str, ...]) -> QualityOutcome:
    """What a diagnosis at width k says, in short."""
    regime, place = found.regime, found.content.ks.index(k)
    best, scores = None, {}
    if found.scores:
        best = found.best(among)
        scores = {name: found.scores[0].score(name).value for name in dict.fromkeys((*among, "x", "y", "x and y"))}
    return QualityOutcome(
        n=found.n, labelled=found.labelled, seen=found.seen, regime=regime.value if regime else None,
        probabilities=found.content.probabilities[place],
        content=dict(zip(OBJECTIVES, (one.value for one in found.content.at(k).values()), strict=True)),
        best=None if best is None else best.name, decided=best is not None and best.decided,
        sure=best is not None and best.sure, scores=scores,
        metric=found.scores[0].metric if found.scores else "",
        reason="" if regime else found.content.reason(k) if found.seen else found.shared.reason())
