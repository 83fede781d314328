r"""Similarity by nearest neighbours: are the k samples nearest to a sample the same ones in two representations?

N_x(i) is the list of the k rows of x that are nearest to row i, nearest first. Rows at the same distance come in the
order of their numbers. So x and y prefer the same rows among duplicates, and many duplicates look like similarity;
`compare_representations` therefore breaks the ties of y in a random order. All values lie in [0, 1]. They are piecewise
constant and have no useful derivative. Distances are Euclidean, by default between rows of unit length ("cosine"),
which gives the order by inner products of normalised rows that Huh et al. 2024 use. Neighbours do not depend on the
units of a view, but they do on those of single columns: where columns are in different units, standardise them first.
Cosines also depend on column means, and in float32 tell no angles below 1e-7 apart, such as those between rows that
share a mean 10^6 times their spread. No more than a block of distances
is held in memory.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_choice, check_count
from phasejax.similarity._inputs import (
    check_unit_rows,
    map_row_blocks,
    near_the_origin,
    paired,
    undefined_if_not_finite,
    unit_rows,
)


@checked
def mutual_knn(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, k: int = 10,
               distance: str = "cosine", block: int | None = None) -> Float[Array, ""]:
    r"""Mutual nearest neighbours: the share of neighbours that both representations have in common.

    .. math::  \frac{1}{nk} \sum_i |N_x(i) \cap N_y(i)|

    Independent representations have k / (n - 1) on average.

    Args:
        x, y: n rows that pair, shapes (n, d_x) and (n, d_y).
        k: neighbours, 1 <= k < n.
        distance: "cosine" (angles between rows) or "euclidean".
        block: rows whose distances to all others are held at once.

    Returns:
        In [0, 1].

    Raises:
        ValueError: shapes that do not pair, k out of range, values that are not finite, rows that are all the same or,
            under "cosine", zero.

    Source: Huh et al. 2024, section 2.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> float(mutual_knn(x, x @ jnp.array([[0.0, -2.0], [2.0, 0.0]]), k=1))
    1.0
    """
    return _checked(overlap, x, y, k, distance, block)


@checked
def cycle_knn(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, k: int = 10,
              distance: str = "cosine", block: int | None = None) -> Float[Array, ""]:
    r"""Cycle nearest neighbours: the share of rows that a step to a neighbour in y and another in x can return to.

    .. math::  \frac{1}{n} \sum_i 1\bigl[\exists\, j \in N_y(i):\ i \in N_x(j)\bigr]

    Args, Returns, Raises: as `mutual_knn`. Not symmetric in x and y.

    Source: Huh et al. 2024, appendix (published code).

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> float(cycle_knn(x, x, k=1))
    1.0
    """
    return _checked(cycle_share, x, y, k, distance, block)


@checked
def lcs_knn(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, k: int = 10,
            distance: str = "cosine", block: int | None = None) -> Float[Array, ""]:
    r"""The longest common subsequence of the two ordered lists of neighbours, as a share of k.

    .. math::  \frac{1}{nk} \sum_i \mathrm{LCS}\bigl(N_x(i), N_y(i)\bigr)

    with LCS the length of the longest list that both become when entries are left out. The published code does not
    divide by k.

    Args, Returns, Raises: as `mutual_knn`.

    Source: Huh et al. 2024, appendix.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> float(lcs_knn(x, x, k=3))
    1.0
    """
    return _checked(common_subsequence, x, y, k, distance, block)


@checked
def edit_similarity_knn(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, k: int = 10,
                        distance: str = "cosine", block: int | None = None) -> Float[Array, ""]:
    r"""Edit similarity of the two ordered lists of neighbours: the share of k that need not be edited.

    .. math::  1 - \frac{1}{nk} \sum_i \mathrm{Lev}\bigl(N_x(i), N_y(i)\bigr)

    with Lev the Levenshtein distance, the least number of entries to insert, delete or replace to make one list the
    other.

    Args, Returns, Raises: as `mutual_knn`.

    Source: Huh et al. 2024, appendix.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> float(edit_similarity_knn(x, x, k=3))
    1.0
    """
    return _checked(edit_similarity, x, y, k, distance, block)


@checked
def nearest_neighbours(x: Shaped[HostOrDevice, "n d"], *, k: int = 10, distance: str = "cosine",
                       block: int | None = None) -> Int[Array, "n k"]:
    """N_x, the numbers of the k rows nearest to each row, nearest first; ties come in the order of their numbers.

    Args, Raises: as `mutual_knn`.

    >>> nearest_neighbours(jnp.array([[0.0], [2.0], [2.0], [9.0]]), k=2, distance="euclidean").tolist()
    [[1, 2], [2, 0], [1, 0], [1, 2]]
    """
    x, _ = paired(x, x, shifts_matter=distance != "euclidean")
    check_neighbours(k, distance, x=x)
    return _neighbour_lists(x, k, distance, block)


def check_neighbours(k: int, distance: str, **views: Float[Array, "n _"]) -> None:
    """Refuse numbers of neighbours, distances and rows for which there are no lists of neighbours.

    Raises:
        ValueError: k below 1 or not below n, an unknown distance, a row of zeros under "cosine".
    """
    check_count("k", k)
    check_distance(distance)
    for name, view in views.items():
        if k >= view.shape[0]:
            raise ValueError(f"k: expected fewer neighbours than the {view.shape[0]} rows, got {k}")
        if distance == "cosine":
            check_unit_rows(name, view)


def check_distance(distance: str) -> None:
    """Refuse an unknown distance."""
    check_choice("distance", distance, ("cosine", "euclidean"))


def metric_points(view: Float[Array, "n d"], distance: str) -> Float[Array, "n d"]:
    """Points whose Euclidean distances are in the order asked for; NaN for a row that has no direction.

    The points are brought near the origin, since their squared distances are computed as |a|^2 + |b|^2 - 2 a.b, which
    loses the digits that all points share.
    """
    return near_the_origin(unit_rows(view) if distance == "cosine" else view)


def neighbour_lists(points: Float[Array, "n d"], k: int, block: int | None) -> Int[Array, "n k"]:
    """The k nearest other points of each; see `nearest_neighbours`."""
    n = len(points)
    squares = jnp.sum(points**2, axis=1)

    def nearest(rows, part):
        # -|a - b|^2 without the |a|^2 that all of a row share.
        closeness = 2 * jnp.dot(part, points.T, precision="highest") - squares
        closeness = jnp.where(rows[:, None] == jnp.arange(n), -jnp.inf, closeness)
        return top_k_indices(closeness, k)

    return map_row_blocks(nearest, points, block=block)


def top_k_indices(values: Float[Array, "b n"], k: int) -> Int[Array, "b k"]:
    """Columns of the k largest values of each row, largest first; ties come in the order of their columns.

    The k largest lie in the k groups of adjacent columns with the largest maxima, so only those groups are searched.
    """
    b, n = values.shape
    width = 2 ** max(0, round(math.log2(n / k) / 2)) if n > 16 * k else 1
    if width == 1:
        return jax.lax.top_k(values, k)[1].astype(jnp.int32)
    groups = jnp.pad(values, ((0, 0), (0, -n % width)), constant_values=-jnp.inf).reshape(b, -1, width)
    chosen = jnp.sort(jax.lax.top_k(jnp.max(groups, axis=2), k)[1], axis=1)
    candidates = jnp.take_along_axis(groups, chosen[:, :, None], axis=1).reshape(b, k * width)
    at = jax.lax.top_k(candidates, k)[1]
    return (jnp.take_along_axis(chosen, at // width, axis=1) * width + at % width).astype(jnp.int32)


@partial(jax.jit, static_argnums=(1, 2, 3))
def _neighbour_lists(view, k, distance, block):
    return neighbour_lists(metric_points(view, distance), k, block)


# The metrics as functions of two lists of neighbours, each of shape (n, k)


def overlap(near_x: Int[Array, "n k"], near_y: Int[Array, "n k"]) -> Float[Array, ""]:
    """Mean share of the entries of near_x that are in near_y."""
    def count(total, entry):
        return total + jnp.sum(entry[:, None] == near_y, dtype=jnp.int32), None

    found = jax.lax.scan(count, jnp.int32(0), near_x.T)[0]
    return _float(found) / float(near_x.size)


def cycle_share(near_x: Int[Array, "n k"], near_y: Int[Array, "n k"]) -> Float[Array, ""]:
    """Share of rows i that are in near_x[j] for some j in near_y[i]."""
    rows = jnp.arange(len(near_x))

    def look(found, partner):
        return found | jnp.any(near_x[partner] == rows[:, None], axis=1), None

    return jnp.mean(_float(jax.lax.scan(look, jnp.zeros(len(near_x), bool), near_y.T)[0]))


def common_subsequence(near_x: Int[Array, "n k"], near_y: Int[Array, "n k"]) -> Float[Array, ""]:
    """Mean length of the longest common subsequence, divided by k.

    L[a, b] is the length for the first a entries of one list and the first b of the other: the largest of L[a-1, b],
    L[a, b-1], and L[a-1, b-1] + 1 where entries a and b are the same.
    """
    def next_row(above, entry):
        row = [above[0]]
        for b, other in enumerate(near_y.T):
            row.append(jnp.maximum(jnp.maximum(above[b + 1], row[b]), above[b] + (entry == other)))
        return tuple(row), None

    n, k = near_x.shape
    last = jax.lax.scan(next_row, (jnp.zeros(n, jnp.int32),) * (k + 1), near_x.T)[0][-1]
    return jnp.sum(_float(last)) / float(near_x.size)


def edit_similarity(near_x: Int[Array, "n k"], near_y: Int[Array, "n k"]) -> Float[Array, ""]:
    """1 - mean Levenshtein distance / k.

    D[a, b] is the distance of the first a entries of one list and the first b of the other: the least of D[a-1, b] + 1,
    D[a, b-1] + 1, and D[a-1, b-1], plus 1 in the last where entries a and b differ.
    """
    def next_row(above, entry):
        row = [above[0] + 1]
        for b, other in enumerate(near_y.T):
            row.append(jnp.minimum(jnp.minimum(above[b + 1], row[b]) + 1, above[b] + (entry != other)))
        return tuple(row), None

    n, k = near_x.shape
    first = tuple(jnp.full(n, b, jnp.int32) for b in range(k + 1))
    return 1 - jnp.sum(_float(jax.lax.scan(next_row, first, near_x.T)[0][-1])) / float(near_x.size)


LIST_METRICS: dict[str, Callable[[Int[Array, "n k"], Int[Array, "n k"]], Float[Array, ""]]] = {
    "mutual_knn": overlap,
    "cycle_knn": cycle_share,
    "lcs_knn": common_subsequence,
    "edit_similarity_knn": edit_similarity,
}


def _float(counts):
    return counts.astype(jnp.zeros(0).dtype)


def _checked(of_lists, x, y, k, distance, block):
    x, y = paired(x, y, shifts_matter=distance != "euclidean")
    check_neighbours(k, distance, x=x, y=y)
    return _compared(of_lists, x, y, k, distance, block)


@partial(jax.jit, static_argnums=(0, 3, 4, 5))
def _compared(of_lists, x, y, k, distance, block):
    points = [metric_points(view, distance) for view in (x, y)]
    value = of_lists(*(neighbour_lists(each, k, block) for each in points)).astype(x.dtype)
    return undefined_if_not_finite(value, *points)
