"""All metrics under one signature, and the table of them with what chance would give."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import jax
import numpy as np

from phasejax._core.serialise import plain
from phasejax._core.validation import check_count
from phasejax._version import __version__
from phasejax.similarity import _significance
from phasejax.similarity._cca import correlation_matrix_distance, mean_canonical_correlation, svcca, svcca_components
from phasejax.similarity._cka import alignments, by_features, cka, cknna
from phasejax.similarity._inputs import paired
from phasejax.similarity._neighbours import (
    LIST_METRICS,
    check_neighbours,
    cycle_knn,
    edit_similarity_knn,
    lcs_knn,
    mutual_knn,
)
from phasejax.similarity._significance import (
    CKA_NAMES,
    CanonicalCorrelations,
    Directions,
    LinearKernels,
    Neighbours,
    WholeKernels,
)

# Functions of (x, y), every other choice at its default.
METRICS: dict[str, Callable] = {
    "mutual_knn": mutual_knn,
    "cycle_knn": cycle_knn,
    "lcs_knn": lcs_knn,
    "edit_similarity_knn": edit_similarity_knn,
    "cka": cka,
    "cka_unbiased": partial(cka, unbiased=True),
    "cka_rbf": partial(cka, kernel="rbf"),
    "cka_rbf_unbiased": partial(cka, kernel="rbf", unbiased=True),
    "cknna": cknna,
    "svcca": svcca,
    "mean_canonical_correlation": mean_canonical_correlation,
    "correlation_matrix_distance": correlation_matrix_distance,
}
# For these alignment is a low value.
DISTANCES = frozenset({"correlation_matrix_distance"})
# Kernel matrices of more rows are not held whole: pairings and resamples are those of so many rows, drawn at random.
KERNEL_ROWS = 2000


@dataclass(frozen=True)
class MetricResult:
    """A metric of two views.

    Args:
        value: of all rows.
        null_mean: over random pairings of the rows: what chance gives at this n and d.
        p_value: chance that a random pairing is as aligned.
        low, high: ends of an interval for what the metric is at this n on average, cut at the range of the metric; NaN
            where four fifths of the rows are too few for it.
    """

    value: float
    null_mean: float
    p_value: float
    low: float
    high: float


@dataclass(frozen=True)
class SimilarityTable:
    """What `align` found.

    Args:
        n, d_x, d_y: rows, columns of x, columns of y.
        k: neighbours.
        distance: by which neighbours are near.
        permutations, resamples: random pairings behind p-values, and parts of the rows behind intervals.
        confidence: level of the intervals.
        kernel_rows: rows behind p-values and intervals of RBF kernels (and of linear ones where d is above about n).
        metrics: by name.
        left_out: why a metric is not among them, by name.
    """

    n: int
    d_x: int
    d_y: int
    k: int
    distance: str
    permutations: int
    resamples: int
    confidence: float
    kernel_rows: int
    metrics: dict[str, MetricResult]
    left_out: dict[str, str]

    def summary(self) -> str:
        """The table as lines of text."""
        level = f"{100 * self.confidence:g}% interval"
        lines = [f"{'metric':28}{'value':>8}{'by chance':>11}{'p':>8}   {level}"]
        for name, found in self.metrics.items():
            ends = "-" if np.isnan(found.low) else f"{found.low:.3f} to {found.high:.3f}"
            lines.append(f"{name:28}{found.value:8.3f}{found.null_mean:11.3f}{found.p_value:8.3g}   {ends}")
        lines.append(f"n = {self.n}, d_x = {self.d_x}, d_y = {self.d_y}, k = {self.k} ({self.distance}), "
                     f"{self.permutations} permutations, {self.resamples} resamples")
        if self.metrics.keys() & DISTANCES:
            lines.append("A distance is small where the views are aligned.")
        if self.kernel_rows < self.n:
            lines.append(f"p-values and intervals of kernels rest on {self.kernel_rows} rows.")
        return "\n".join(lines + [f"Left out: {name} ({reason})" for name, reason in self.left_out.items()])

    def to_dict(self) -> dict:
        """All fields as plain Python objects; NaN becomes the string "nan"."""
        return plain({"phasejax_version": __version__} | asdict(self))

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"


def compare_representations(x, y, *, metrics: list[str] | None = None, k: int = 10, distance: str = "cosine", bandwidth: float = 1.0,
          components: int | None = None, permutations: int = 200, resamples: int = 100, confidence: float = 0.9,
          seed: int = 0, progress: Callable[[str, int, int], None] | None = None) -> SimilarityTable:
    """How aligned two representations are by every metric, beside what chance gives, with p-values and intervals.

    float64 input is computed in float64, float32 input in float32. Null means are over the random pairings, those of
    CKA exact ones over all pairings. Ties of nearest neighbours are broken by row number in x and in a random order in
    y: equal orders would count as alignment. See `significance` for what p-values and intervals mean.

    Args:
        x, y: n rows that pair, shapes (n, d_x) and (n, d_y), finite numbers.
        metrics: names in `METRICS`; when left out all that these views allow.
        k: neighbours, 1 <= k < n.
        distance: by which neighbours are near, "cosine" or "euclidean".
        bandwidth: of the RBF kernel, in median distances.
        components: of `svcca`.
        permutations: random pairings; the smallest p-value is 1 / (1 + permutations).
        resamples: parts of the rows.
        confidence: level of the intervals.
        seed: of pairings, resamples and ties.
        progress: called with a metric's name, how many of its pairings and resamples are done, and of how many.

    Raises:
        ValueError: views that do not pair, unknown metrics, options out of range; a metric that was asked for and that
            these views do not allow.

    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((60, 2))
    >>> found = align(shared, shared + 0.1 * rng.standard_normal((60, 2)), metrics=["cka"], permutations=99)
    >>> round(found.metrics["cka"].value, 2), found.metrics["cka"].p_value
    (0.99, 0.01)
    """
    unknown = [name for name in metrics or () if name not in METRICS]
    if unknown or metrics == []:
        raise ValueError(f"metrics: expected names among {', '.join(METRICS)}, got {', '.join(unknown) or 'none'}")
    for name, count in (("permutations", permutations), ("resamples", resamples)):
        check_count(name, count)
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence: expected a number from 0.5 to below 1, got {confidence}")
    with jax.enable_x64(True):
        x, y = paired(x, y, rows=4)
        check_neighbours(k, "euclidean", x=x)
        task = _Task(x, y, k=k, distance=distance, bandwidth=bandwidth, components=components, seed=seed)
        found, left_out = {}, {}
        for names, prepare in task.groups(list(metrics or METRICS)):
            try:
                values, nulls, statistic, views = prepare(names)
            except ValueError as error:
                if metrics is not None:
                    raise
                left_out |= dict.fromkeys(names, str(error))
                continue
            done = _counted(progress, ", ".join(names), permutations + 1 + resamples)
            state, rows = statistic.prepare(*views), len(views[0])
            streams = (np.random.default_rng([seed, purpose]) for purpose in (1, 2))
            pairings = _significance.pairings(statistic, state, rows, permutations, next(streams), done)
            parts = _significance.resamples(statistic, state, rows, resamples, next(streams), done)
            for name in names:
                found[name] = _metric_result(name, values.get(name, pairings[name][0]), nulls.get(name), pairings[name],
                                        parts[name], rows, x.shape[0], confidence)
    n, kernel_rows = x.shape[0], task.kernel_rows
    return SimilarityTable(n, x.shape[1], y.shape[1], k, distance, permutations, resamples, confidence,
                          kernel_rows if kernel_rows else n, {name: found[name] for name in METRICS if name in found},
                          {name: left_out[name] for name in METRICS if name in left_out})


class _Task:
    """Which metrics share work, and how each group of them is prepared."""

    def __init__(self, x, y, *, k, distance, bandwidth, components, seed):
        self.x, self.y, self.k, self.distance, self.bandwidth = x, y, k, distance, bandwidth
        self.components, self.seed, self.kernel_rows = components, seed, 0

    def groups(self, names):
        """(names, function of them) of each group.

        The function gives values and null means where they are not those of the pairings, the statistic, and its views.
        """
        return [(here, prepare) for here, prepare in (
            ([name for name in names if name in LIST_METRICS or name == "cknna"], self._neighbours),
            ([name for name in names if name in CKA_NAMES["linear"]], partial(self._cka, "linear")),
            ([name for name in names if name in CKA_NAMES["rbf"]], partial(self._cka, "rbf")),
            ([name for name in names if name == "svcca"], self._svcca),
            ([name for name in names if name == "mean_canonical_correlation"], self._canonical),
            ([name for name in names if name == "correlation_matrix_distance"], self._distance)) if here]

    def _neighbours(self, names):
        check_neighbours(self.k, self.distance, x=self.x, y=self.y)
        if "cknna" in names and self.k < 2:
            raise ValueError(f"k: expected at least 2 for cknna, got {self.k}")
        return {}, {}, Neighbours(tuple(names), self.k, self.distance, self.seed), (self.x, self.y)

    def _cka(self, kernel, names):
        whole = alignments(self.x, self.y, kernel, self.bandwidth)
        values = dict(zip(CKA_NAMES[kernel], map(float, whole[:2]), strict=True))
        nulls = dict(zip(CKA_NAMES[kernel], (float(whole.chance), 0.0), strict=True))
        if kernel == "linear" and by_features(self.x, self.y):
            return values, nulls, LinearKernels(), (self.x, self.y)
        views = self.x, self.y
        if len(self.x) > KERNEL_ROWS:
            rows = np.sort(np.random.default_rng([self.seed, 3]).permutation(len(self.x))[:KERNEL_ROWS])
            views = self.x[rows], self.y[rows]
        self.kernel_rows = len(views[0])
        return values, nulls, WholeKernels(kernel, self.bandwidth), views

    def _svcca(self, names):
        components = svcca_components(self.components, self.x, self.y)
        value = float(svcca(self.x, self.y, components=components))
        return {"svcca": value}, {}, CanonicalCorrelations(components), (self.x, self.y)

    def _canonical(self, names):
        value = float(mean_canonical_correlation(self.x, self.y))
        return {names[0]: value}, {}, CanonicalCorrelations(None), (self.x, self.y)

    def _distance(self, names):
        value = float(correlation_matrix_distance(self.x, self.y))
        return {names[0]: value}, {}, Directions(), (self.x, self.y)


def _metric_result(name, value, null, pairings, parts, rows, n, confidence):
    low, high = _significance.interval(value, parts, rows, n, confidence)
    bottom = -1.0 if "unbiased" in name or name == "cknna" else 0.0
    return MetricResult(float(value), float(np.mean(pairings[1:]) if null is None else null),
                    _significance.p_value(pairings, is_distance=name in DISTANCES),
                    max(low, bottom), min(high, 1.0))


def _counted(progress, name, total):
    done = 0

    def advance(count):
        nonlocal done
        done += count
        if progress is not None:
            progress(name, done, total)

    return advance
