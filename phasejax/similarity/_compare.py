"""All metrics of two representations in one call, each with its p-value and interval.

The metrics fall into families that share work (`_statistics`). Families are independent of one another, so they are
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
from jaxtyping import Array, Float

from phasejax._core.checked_call import checked
from phasejax._core.devices import cores
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.provenance import computed_on
from phasejax._core.validation import check_among, check_confidence, check_count, check_number, check_seed
from phasejax.io._matching import announce
from phasejax.similarity import _significance
from phasejax.similarity._cca import correlation_matrix_distance, mean_canonical_correlation, svcca, svcca_components
from phasejax.similarity._cka import cka
from phasejax.similarity._cknna import cknna
from phasejax.similarity._families import Family, Options, shared_work
from phasejax.similarity._inputs import leading_components, matched_views, paired
from phasejax.similarity._neighbours import (
    LIST_METRICS,
    check_distance,
    check_neighbours,
    cycle_knn,
    edit_similarity_knn,
    lcs_knn,
    mutual_knn,
)
from phasejax.similarity._statistics import CKA_CHANCE, CKA_NAMES
from phasejax.similarity._table import DISTANCES, MetricResult, SimilarityTable
from phasejax.similarity._whole_groups import groups_of_equal_size

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

_Result = TypeVar("_Result")

_MOST_DRAWS = 10**7  # more would take days
_COUNTING = (*LIST_METRICS, "cknna")  # that have neighbours


@checked
def compare_representations(
        x: Any, y: Any, *, metrics: list[str] | None = None, k: int = 10, distance: str = "cosine",
        bandwidth: float = 1.0, components: int | None = None, permutations: int = 200, resamples: int = 100,
        confidence: float = 0.9, groups: Any = None, pca: int | None = None, by_position: bool = False,
        missing: str = "error", seed: int = 0, progress: bool | ProgressCallback = False) -> SimilarityTable:
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
        k: neighbours, 1 <= k < n. A note says where an option was given that none of the metrics has.
        distance: by which neighbours are near, "cosine" or "euclidean".
        bandwidth: of the RBF kernel, in median distances.
        components: number of directions that `svcca` compares.
        permutations: number of random pairings; the smallest p-value is 1 / (1 + permutations).
        resamples: number of random parts of the rows.
        confidence: level of the intervals.
        groups: which rows belong together and are not independent (those of one patient, star or image), one value for
            each row (`phasejax.io.match_rows`). Then whole groups are paired at random and left out, and what chance
            gives is what it gives for so many groups.
        pca: number of principal components that a view with more columns is projected on first, from all its rows and
            without standardising columns, whose units count in the metrics too.
        by_position: pair rows by position although there are identifiers.
        missing: what to do about missing values: "error", "drop" keeps complete rows, "mean" fills in means of columns.
        seed: of pairings, resamples and ties.
        progress: False, True for bars on a terminal, or a callback. A task is named after the metrics that it
            computes, and its parts are their pairings and resamples.

    Returns:
        The table of metrics.

    Raises:
        ValueError: views that do not pair, unknown metrics, options out of range; a metric in `metrics` that these
            views do not allow (the others are left out with the reason).

    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((60, 2))
    >>> noisy = shared + 0.1 * rng.standard_normal((60, 2))
    >>> found = compare_representations(shared, noisy, metrics=["cka"], permutations=99)
    >>> round(found.metrics["cka"].value, 2), found.metrics["cka"].p_value
    (0.99, 0.01)
    """
    k, permutations, resamples, components, pca, bandwidth, confidence, seed = check_options(
        metrics=metrics, k=k, distance=distance, bandwidth=bandwidth, components=components, permutations=permutations,
        resamples=resamples, confidence=confidence, pca=pca, seed=seed)
    families, left_out, found = [], {}, {}
    announce(_without_effect(list(metrics or METRICS), k, distance, bandwidth, components))
    with jax.enable_x64(True):
        x, y, codes = matched_views(x, y, groups=groups, by_position=by_position, missing=missing)
        if pca is not None:
            x, y = (leading_components(name, view, pca, seed) for name, view in (("x", x), ("y", y)))
        x, y = paired(x, y, rows=4)
        if set(metrics or METRICS) & set(_COUNTING):
            check_neighbours(k, "euclidean", x=x)
        if "svcca" in (metrics or METRICS):
            svcca_components(components, x, y)
        n = x.shape[0]
        paired_rows = n if codes is None else len(groups_of_equal_size(codes)[0])
        options = Options(x, y, k, distance, bandwidth, components, seed, codes, paired_rows)
        for names, family_of in shared_work(list(metrics or METRICS)):
            try:
                families.append(family_of(options, names))
            except ValueError as error:
                if metrics is not None:
                    raise
                left_out |= dict.fromkeys(names, str(error))
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue] (defined at run time)

    def work(family, tell):
        with jax.enable_x64(True), jax.default_device(device):  # settings of the thread that the work is done in
            return _results(family, options, permutations, resamples, confidence, tell)

    with reporting(progress) as tell:
        outcomes = _side_by_side([partial(work, family) for family in families], tell)
        for outcome in outcomes:
            for name, result in outcome.items():
                if isinstance(result, _Undefined):
                    if metrics is not None:
                        raise ValueError(result.reason)
                    left_out[name] = result.reason
                else:
                    found[name] = result
    kernel_rows = next((len(family.rows) for family in families if family.rows is not None), n)
    return SimilarityTable(n, x.shape[1], y.shape[1], k, distance, permutations, resamples, confidence, kernel_rows,
                           {name: found[name] for name in METRICS if name in found},
                           {name: left_out[name] for name in METRICS if name in left_out},
                           None if codes is None else int(codes.max()) + 1, None if codes is None else paired_rows,
                           computed_on())


def check_options(*, metrics: Any, k: Any, distance: Any, bandwidth: Any, components: Any, permutations: Any,
                  resamples: Any, confidence: Any, pca: Any, seed: Any
                  ) -> tuple[int, int, int, int | None, int | None, float, float, int]:
    """The options of `compare_representations` as plain numbers, before any view is read.

    Returns:
        k, permutations, resamples, components, pca, bandwidth, confidence, seed.

    Raises:
        ValueError: naming the option.
    """
    if metrics is not None:
        check_among("metrics", metrics, METRICS)
        if len(metrics) == 0:
            raise ValueError(f"metrics: expected names among {', '.join(METRICS)}, got none")
    k = check_count("k", k)
    permutations, resamples = (check_count(name, count, most=_MOST_DRAWS) for name, count in (
        ("permutations", permutations), ("resamples", resamples)))
    components, pca = (None if count is None else check_count(name, count) for name, count in (
        ("components", components), ("pca", pca)))
    check_distance(distance)
    return (k, permutations, resamples, components, pca, check_number("bandwidth", bandwidth, above=0),
            check_confidence(confidence), check_seed("seed", seed))


def _without_effect(metrics: list[str], k: int, distance: str, bandwidth: float, components: int | None
                    ) -> Iterator[str]:
    """A line for each option that was given although none of the metrics has it."""
    for name, given, default, having in (("k", k, 10, _COUNTING), ("distance", distance, "cosine", _COUNTING),
                                         ("bandwidth", bandwidth, 1.0, CKA_NAMES["rbf"]),
                                         ("components", components, None, ("svcca",))):
        if given != default and not set(metrics) & set(having):
            yield f"{name}: {given} has no effect on {', '.join(metrics)}, only on {', '.join(having)}"


@dataclass(frozen=True)
class _Undefined:
    """Stands for the result of a metric that is not defined on the views."""

    reason: str


# The results of a family


def _results(family: Family, options: Options, permutations: int, resamples: int, confidence: float,
             tell: ProgressCallback) -> dict[str, MetricResult | _Undefined]:
    views, all_rows, groups = family.views, None, options.groups
    if family.of_all_rows is not None:
        all_rows = family.of_all_rows()
        views = tuple(view[family.rows] for view in views)
        groups = None if groups is None else np.unique(groups[family.rows], return_inverse=True)[1]
    if all_rows is not None and np.isnan(all_rows.biased):
        return {name: _Undefined(family.undefined(name)) for name in family.names}
    rows = len(views[0])
    kept, blocks = (np.arange(rows), None) if groups is None else groups_of_equal_size(groups)
    cut = len(kept) < rows
    task, done, total = ", ".join(family.names), 0, permutations + 1 + cut + resamples

    def advance(count):
        nonlocal done
        done += count
        tell(task, done, total)

    statistic = family.statistic
    state = statistic.prepare(*views)
    streams = [np.random.default_rng([options.seed, purpose]) for purpose in (1, 2)]
    if cut:
        true = _significance.pairings(statistic, state, rows, 0, streams[0], advance)
        few = [view[kept] for view in views]
        pairings = _significance.pairings(statistic, statistic.prepare(*few), len(kept), permutations, streams[0],
                                          advance, blocks)
    else:
        pairings = true = _significance.pairings(statistic, state, rows, permutations, streams[0], advance, blocks)
    values = {name: float(true[name][0]) for name in family.names}
    nulls = {name: float(np.mean(pairings[name][1:])) for name in family.names}
    for biased, unbiased in CKA_NAMES.values():
        if not {biased, unbiased}.isdisjoint(family.names):
            if all_rows is not None:
                values = {biased: float(all_rows.biased), unbiased: float(all_rows.unbiased)}
            if groups is None:
                chance = pairings[CKA_CHANCE][0] if all_rows is None else all_rows.chance
                nulls = {biased: float(chance), unbiased: 0.0}
    parts = _significance.resamples(statistic, state, rows, resamples, streams[1], advance, groups)
    units = (rows, len(options.x)) if groups is None or options.groups is None else \
        (int(groups.max()) + 1, int(options.groups.max()) + 1)
    found: dict[str, MetricResult | _Undefined] = {}
    for name in family.names:
        # Beside the value, no p-value may rest on rows or parts on which the metric is not defined.
        if np.isnan([values[name], pairings[name][0]]).any():
            found[name] = _Undefined(family.undefined(name))
            continue
        without_p, without_ends = (np.isnan(some).sum() for some in (pairings[name], parts[name]))
        missing = [f"no {what}, since it is not defined in {count} of {total}" for what, count, total in (
            ("p-value", without_p, f"{permutations + 1} pairings"),
            ("interval", without_ends, f"{resamples} parts of the rows")) if count]
        low, high = _significance.interval(values[name], parts[name], *units, confidence)
        bottom, top = (-np.inf, np.inf) if name == "cknna" else (-1.0 if "unbiased" in name else 0.0, 1.0)
        found[name] = MetricResult(values[name], nulls[name],
                                   _significance.p_value(pairings[name], is_distance=name in DISTANCES),
                                   max(low, bottom), min(high, top), "; ".join(missing) or None)
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
