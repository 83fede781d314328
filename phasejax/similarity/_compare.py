"""All metrics of two representations in one call, each with its p-value and interval.

The metrics fall into groups that share work (`_statistics`). Groups are independent of one another, so they are
compiled and computed side by side, as many at a time as there are cores.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from phasejax._core.devices import cores
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_count
from phasejax.similarity import _significance
from phasejax.similarity._cca import (
    ROW_AT_MEAN,
    check_canonical,
    correlation_matrix_distance,
    lower_rank,
    mean_canonical_correlation,
    svcca,
    svcca_components,
)
from phasejax.similarity._cka import (
    MEDIAN_OF_ZERO,
    CkaForms,
    check_bandwidth,
    cka,
    fewer_moments_than_entries,
    linear_cka,
    rbf_cka,
)
from phasejax.similarity._cknna import cknna
from phasejax.similarity._inputs import matched_views, paired
from phasejax.similarity._neighbours import (
    LIST_METRICS,
    check_neighbours,
    cycle_knn,
    edit_similarity_knn,
    lcs_knn,
    mutual_knn,
)
from phasejax.similarity._statistics import (
    CKA_CHANCE,
    CKA_NAMES,
    CanonicalStatistic,
    LinearCkaStatistic,
    MatrixDistanceStatistic,
    NeighbourStatistic,
    Statistic,
    WholeKernelStatistic,
)
from phasejax.similarity._table import DISTANCES, MetricResult, SimilarityTable

# The metrics by name, as functions of x and y with all other arguments at their defaults.
METRICS: dict[str, Callable[..., Float[Array, ""]]] = {
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
# Kernel matrices of more rows are not held whole: pairings and resamples are those of so many rows, drawn at random.
KERNEL_ROWS = 2000

_Result = TypeVar("_Result")


def compare_representations(
        x: Any, y: Any, *, metrics: list[str] | None = None, k: int = 10, distance: str = "cosine",
        bandwidth: float = 1.0, components: int | None = None, permutations: int = 200, resamples: int = 100,
        confidence: float = 0.9, by_position: bool = False, missing: str = "error", seed: int = 0,
        progress: bool | ProgressCallback = False) -> SimilarityTable:
    """How similar two representations are by every metric, beside what chance gives, with p-values and intervals.

    Input in float64 is computed in float64, input in float32 in float32. Null means are means over the random pairings;
    those of CKA are exact means over all pairings. Ties of nearest neighbours are broken by row number in x and in a
    random order in y, since equal orders would look like similarity. The text of `phasejax.similarity._significance`
    says what p-values and intervals mean.

    Args:
        x, y: n rows that pair, shapes (n, d_x) and (n, d_y), finite numbers; arrays, DataFrames, files or whatever else
            `phasejax.io.as_named` takes. Rows are matched by identifiers where both have them (the index of a
            DataFrame), else by position (`phasejax.io.match_rows`).
        metrics: names in `METRICS`; when left out all that these views allow.
        k: neighbours, 1 <= k < n.
        distance: by which neighbours are near, "cosine" or "euclidean".
        bandwidth: of the RBF kernel, in median distances.
        components: number of directions that `svcca` compares.
        permutations: number of random pairings; the smallest p-value is 1 / (1 + permutations).
        resamples: number of random parts of the rows.
        confidence: level of the intervals.
        by_position: pair rows by position although there are identifiers.
        missing: what to do about missing values: "error", "drop" keeps complete rows, "mean" fills in means of columns.
        seed: of pairings, resamples and ties.
        progress: False, True for bars on a terminal, or a callback. A task is named after the metrics that it
            computes, and its parts are their pairings and resamples.

    Returns:
        The table of metrics.

    Raises:
        ValueError: views that do not pair, unknown metrics, options out of range; a metric in `metrics` that these
            views do not allow.

    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((60, 2))
    >>> noisy = shared + 0.1 * rng.standard_normal((60, 2))
    >>> found = compare_representations(shared, noisy, metrics=["cka"], permutations=99)
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
    groups, left_out, found = [], {}, {}
    with jax.enable_x64(True):
        x, y = paired(*matched_views(x, y, by_position=by_position, missing=missing), rows=4)
        check_neighbours(k, "euclidean", x=x)
        options = _Options(x, y, k, distance, bandwidth, components, seed)
        for names, group_of in _shared_work(list(metrics or METRICS)):
            try:
                groups.append(group_of(options, names))
            except ValueError as error:
                if metrics is not None:
                    raise
                left_out |= dict.fromkeys(names, str(error))
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue] (defined at run time)

    def work(group, tell):
        with jax.enable_x64(True), jax.default_device(device):  # settings of the thread that the work is done in
            return _results(group, x, y, permutations, resamples, confidence, seed, tell)

    with reporting(progress) as tell:
        for group, outcome in zip(groups, _side_by_side([partial(work, group) for group in groups], tell), strict=True):
            if isinstance(outcome, _Undefined):
                if metrics is not None:
                    raise ValueError(outcome.reason)
                left_out |= dict.fromkeys(group.names, outcome.reason)
            else:
                found |= outcome
    n = x.shape[0]
    kernel_rows = next((len(group.rows) for group in groups if group.rows is not None), n)
    return SimilarityTable(n, x.shape[1], y.shape[1], k, distance, permutations, resamples, confidence, kernel_rows,
                           {name: found[name] for name in METRICS if name in found},
                           {name: left_out[name] for name in METRICS if name in left_out})


# Which metrics share work


@dataclass(frozen=True)
class _Options:
    """The views, and the arguments of `compare_representations` on which the metrics depend."""

    x: Float[Array, "n d_x"]
    y: Float[Array, "n d_y"]
    k: int
    distance: str
    bandwidth: float
    components: int | None
    seed: int


@dataclass(frozen=True)
class _Group:
    """Metrics that share work.

    Args:
        names: of the metrics.
        statistic: which computes them.
        undefined: what is wrong with the views where a value is NaN; None where NaN is a value like others.
        rows: rows on which the statistic is computed, all of them where None.
        of_all_rows: CKA of all rows where the statistic is computed on some.
    """

    names: list[str]
    statistic: Statistic
    undefined: str | None = None
    rows: Int[np.ndarray, "m"] | None = None
    of_all_rows: Callable[[], CkaForms] | None = None


@dataclass(frozen=True)
class _Undefined:
    """Stands for the results of metrics that are not defined on the views."""

    reason: str


def _shared_work(names: list[str]) -> Iterator[tuple[list[str], Callable[[_Options, list[str]], _Group]]]:
    """The metrics that share work, and the function that makes a group of them and checks their options."""
    for members, group_of in (((*LIST_METRICS, "cknna"), _neighbours), (CKA_NAMES["linear"], partial(_cka, "linear")),
                              (CKA_NAMES["rbf"], partial(_cka, "rbf")), (("svcca",), _svcca),
                              (("mean_canonical_correlation",), _canonical),
                              (("correlation_matrix_distance",), _matrix_distance)):
        if here := [name for name in names if name in members]:
            yield here, group_of


def _neighbours(options, names):
    check_neighbours(options.k, options.distance, x=options.x, y=options.y)
    if "cknna" in names and options.k < 2:
        raise ValueError(f"k: expected at least 2 for cknna, got {options.k}")
    return _Group(names, NeighbourStatistic(tuple(names), options.k, options.distance, options.seed))


def _cka(kernel, options, names):
    x, y = options.x, options.y
    if kernel == "linear" and fewer_moments_than_entries(x, y):
        return _Group(names, LinearCkaStatistic())
    if kernel == "rbf":
        check_bandwidth(options.bandwidth)
    statistic, undefined = WholeKernelStatistic(kernel, options.bandwidth), MEDIAN_OF_ZERO if kernel == "rbf" else None
    if len(x) <= KERNEL_ROWS:
        return _Group(names, statistic, undefined)
    rows = np.sort(np.random.default_rng([options.seed, 3]).permutation(len(x))[:KERNEL_ROWS])
    of_all_rows = partial(linear_cka, x, y) if kernel == "linear" else partial(rbf_cka, x, y, options.bandwidth)
    return _Group(names, statistic, undefined, rows, of_all_rows)


def _svcca(options, names):
    components = svcca_components(options.components, options.x, options.y)
    return _Group(names, CanonicalStatistic(components), lower_rank(components))


def _canonical(options, names):
    check_canonical(options.x, options.y)
    return _Group(names, CanonicalStatistic(None), lower_rank(None))


def _matrix_distance(options, names):
    return _Group(names, MatrixDistanceStatistic(), ROW_AT_MEAN)


# The results of a group


def _results(group: _Group, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], permutations: int, resamples: int,
             confidence: float, seed: int, tell: ProgressCallback) -> dict[str, MetricResult] | _Undefined:
    n, views, all_rows = len(x), (x, y), None
    if group.of_all_rows is not None:
        all_rows = group.of_all_rows()
        views = x[group.rows], y[group.rows]
    if all_rows is not None and group.undefined is not None and np.isnan(all_rows.biased):
        return _Undefined(group.undefined)
    task, done, total = ", ".join(group.names), 0, permutations + 1 + resamples

    def advance(count):
        nonlocal done
        done += count
        tell(task, done, total)

    state, rows = group.statistic.prepare(*views), len(views[0])
    streams = [np.random.default_rng([seed, purpose]) for purpose in (1, 2)]
    pairings = _significance.pairings(group.statistic, state, rows, permutations, streams[0], advance)
    values = {name: float(pairings[name][0]) for name in group.names}
    if all_rows is None and group.undefined is not None and any(np.isnan(value) for value in values.values()):
        return _Undefined(group.undefined)
    nulls = {name: float(np.mean(pairings[name][1:])) for name in group.names}
    for biased, unbiased in CKA_NAMES.values():
        if not {biased, unbiased}.isdisjoint(group.names):
            nulls |= {biased: float(pairings[CKA_CHANCE][0]), unbiased: 0.0}
            if all_rows is not None:
                values = {biased: float(all_rows.biased), unbiased: float(all_rows.unbiased)}
                nulls[biased] = float(all_rows.chance)
    parts = _significance.resamples(group.statistic, state, rows, resamples, streams[1], advance)
    found = {}
    for name in group.names:
        low, high = _significance.interval(values[name], parts[name], rows, n, confidence)
        bottom = -1.0 if "unbiased" in name or name == "cknna" else 0.0
        found[name] = MetricResult(values[name], nulls[name],
                                   _significance.p_value(pairings[name], is_distance=name in DISTANCES),
                                   max(low, bottom), min(high, 1.0))
    return found


def _side_by_side(works: Sequence[Callable[[ProgressCallback], _Result]], tell: ProgressCallback) -> list[_Result]:
    """Results of functions that run in threads, as many at a time as there are cores.

    What they report is told in the calling thread, so that a callback need not be safe for threads. If anything is
    raised there or in a function, the others stop at their next report.
    """
    news: queue.SimpleQueue[tuple[Any, ...] | Future] = queue.SimpleQueue()
    stopped = threading.Event()

    def report(task: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise CancelledError
        news.put((task, done, total))

    pool = ThreadPoolExecutor(cores())
    try:
        futures = [pool.submit(work, report) for work in works]
        for future in futures:
            future.add_done_callback(news.put)
        running = len(futures)
        while running:
            heard = news.get()
            if isinstance(heard, Future):
                heard.result()
                running -= 1
            else:
                tell(*heard)
        return [future.result() for future in futures]
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
