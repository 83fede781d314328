"""Families of metrics that share work, and what they ask of the views: which statistic computes them on which rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phasejax.io._matching import announce
from phasejax.io._reduction import reduce_to_rank
from phasejax.similarity._cca import ROW_AT_MEAN, check_canonical, lower_rank, svcca_components
from phasejax.similarity._cka import (
    CkaForms,
    fewer_moments_than_entries,
    linear_cka,
    rbf_cka,
    why_undefined,
)
from phasejax.similarity._cknna import DENOMINATOR
from phasejax.similarity._neighbours import LIST_METRICS, check_neighbours
from phasejax.similarity._row_coordinates import (
    coordinates_about_median,
    coordinates_of_directions,
    has_fewer_coordinates,
)
from phasejax.similarity._statistics import (
    CKA_NAMES,
    CanonicalStatistic,
    LinearCkaStatistic,
    MatrixDistanceStatistic,
    NeighbourStatistic,
    Statistic,
    WholeKernelStatistic,
)
from phasejax.similarity._whole_groups import some_of_every_group

# Kernel matrices of more rows are not held whole: pairings and resamples are those of so many rows, drawn at random.
KERNEL_ROWS = 2000


Views = tuple[Float[Array, "n _"], Float[Array, "n _"]]


@dataclass(frozen=True)
class Options:
    """The views, and the arguments of `compare_representations` on which the metrics depend.

    Args:
        x, y, k, distance, bandwidth, components, seed: as there.
        groups: numbers of the groups that rows belong to.
        paired_rows: number of rows that pair at random, n unless there are groups.
    """

    x: Float[Array, "n d_x"]
    y: Float[Array, "n d_y"]
    k: int
    distance: str
    bandwidth: float
    components: int | None
    seed: int
    groups: Int[np.ndarray, "n"] | None
    paired_rows: int

    @cached_property
    def centred(self) -> Views:
        """The views for metrics that no shift and no rotation changes; wide ones in few coordinates."""
        return self._in_coordinates(coordinates_about_median)

    @cached_property
    def directions(self) -> Views:
        """The views for metrics of the angles between rows; wide ones in few coordinates."""
        return self._in_coordinates(coordinates_of_directions)

    def _in_coordinates(self, coordinates):
        rng = np.random.default_rng([self.seed, 4])
        x, y = (jnp.asarray(coordinates(np.asarray(view), rng.permutation(len(view))), view.dtype)
                if has_fewer_coordinates(view) else view for view in (self.x, self.y))
        return x, y


@dataclass(frozen=True)
class Family:
    """Metrics that share work.

    Args:
        names: of the metrics.
        statistic: which computes them.
        views: what the statistic is computed from.
        undefined: what is wrong with the views where the value of a metric, which it is called with, is NaN.
        rows: rows on which the statistic is computed, all of them where None.
        of_all_rows: CKA of all rows where the statistic is computed on some.
    """

    names: list[str]
    statistic: Statistic
    views: Views
    undefined: Callable[[str], str]
    rows: Int[np.ndarray, "m"] | None = None
    of_all_rows: Callable[[], CkaForms] | None = None


def shared_work(names: list[str]) -> Iterator[tuple[list[str], Callable[[Options, list[str]], Family]]]:
    """The metrics that share work, and the function that makes a family of them and checks their options."""
    for members, family_of in (((*LIST_METRICS, "cknna"), _neighbours), (CKA_NAMES["linear"], partial(_cka, "linear")),
                              (CKA_NAMES["rbf"], partial(_cka, "rbf")), (("svcca",), _svcca),
                              (("mean_canonical_correlation",), _canonical),
                              (("correlation_matrix_distance",), _matrix_distance)):
        if here := [name for name in names if name in members]:
            yield here, family_of


def _neighbours(options, names):
    check_neighbours(options.k, options.distance, x=options.x, y=options.y)
    if options.k >= options.paired_rows:
        raise ValueError(f"k: expected fewer neighbours than the {options.paired_rows} rows of groups that are cut to "
                         f"equal sizes, got {options.k}")
    if "cknna" in names and options.k < 2:
        raise ValueError(f"k: expected at least 2 for cknna, got {options.k}")
    views = options.directions if options.distance == "cosine" else options.centred
    return Family(names, NeighbourStatistic(tuple(names), options.k, options.distance, options.seed), views,
                  lambda _: DENOMINATOR)


def _cka(kernel, options, names):
    x, y = views = options.centred

    def undefined(name):
        return why_undefined(x, y, kernel, options.bandwidth, unbiased="unbiased" in name)

    if kernel == "linear" and fewer_moments_than_entries(x, y):
        return Family(names, LinearCkaStatistic(), views, undefined)
    statistic = WholeKernelStatistic(kernel, options.bandwidth)
    if len(x) <= KERNEL_ROWS:
        return Family(names, statistic, views, undefined)
    rng = np.random.default_rng([options.seed, 3])
    rows = np.sort(rng.permutation(len(x))[:KERNEL_ROWS]) if options.groups is None else \
        some_of_every_group(options.groups, KERNEL_ROWS, rng)
    of_all_rows = partial(linear_cka, x, y) if kernel == "linear" else partial(rbf_cka, x, y, options.bandwidth)
    return Family(names, statistic, views, undefined, rows, of_all_rows)


def _svcca(options, names):
    some = slice(options.paired_rows)
    components = svcca_components(options.components, options.x[some], options.y[some])
    if options.components is None:
        ranks = [components, *(reduce_to_rank(name, np.asarray(view))[0].shape[1]
                               for name, view in (("x", options.x), ("y", options.y)) if view.shape[1] < view.shape[0])]
        if 1 <= min(ranks) < components:
            components = min(ranks)
            announce([f"svcca compares {components} direction{'s' * (components > 1)}, the rank of a view"])
    return Family(names, CanonicalStatistic(components), options.centred, lambda _: lower_rank(components))


def _canonical(options, names):
    views, notes = [], []
    for name, view in (("x", options.x), ("y", options.y)):  # only what columns span matters
        reduced, note = reduce_to_rank(name, np.asarray(view))
        views.append(view if note is None else jnp.asarray(reduced))
        notes += [] if note is None else [f"mean_canonical_correlation, {note}"]
    x, y = views
    check_canonical(x, y)
    columns = x.shape[1] + y.shape[1]
    if options.paired_rows <= columns:
        raise ValueError(f"groups: expected more rows than the {columns} columns of both views once groups are cut to "
                         f"equal sizes, got {options.paired_rows}")
    announce(notes)
    return Family(names, CanonicalStatistic(None), (x, y), lambda _: lower_rank(None))


def _matrix_distance(options, names):
    return Family(names, MatrixDistanceStatistic(), options.centred, lambda _: ROW_AT_MEAN)
