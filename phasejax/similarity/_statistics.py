"""The metrics as statistics of a pairing: what stays the same when the rows of y are permuted is computed once.

Neighbours and kernels of a permuted view are those of the view, renumbered, so that a pairing costs no distances.
Metrics that share work are one statistic: a frozen dataclass of their options. Its `prepare` makes a state of two
views, and its other methods are functions of the state and of a batch of pairings, or of sets of rows, in int32. They
are compiled programs, but for the leading directions of parts of wide views: JAX computes all eigenvectors on the CPU,
which takes three times as long as LAPACK takes for a few.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Int, PyTree

from phasejax._core.linalg import singular_values, whitening
from phasejax._core.pytree import HostOrDevice
from phasejax.similarity._cca import (
    centred_products,
    directions_from_mean,
    is_wide,
    leading_scores,
    matrix_distance,
    mean_correlation,
    standardised,
)
from phasejax.similarity._cka import (
    CkaForms,
    cka_from_moments,
    cka_of_pairing,
    cka_of_parts,
    kernel_pair,
    moment_product,
    whole_kernel,
)
from phasejax.similarity._cknna import cknna_of_lists, lists_with_entries, own_hsic
from phasejax.similarity._inputs import centred
from phasejax.similarity._neighbours import LIST_METRICS

# Names of the biased and of the unbiased form of CKA, by kernel.
CKA_NAMES: dict[str, tuple[str, str]] = {"linear": ("cka", "cka_unbiased"), "rbf": ("cka_rbf", "cka_rbf_unbiased")}
# Beside the two forms, pairings have the exact mean of the biased one over all of them.
CKA_CHANCE = "mean of biased CKA over all pairings"

Values = dict[str, Float[Array, "b"]]
_compiled = partial(jax.jit, static_argnums=0)


@runtime_checkable
class Statistic(Protocol):
    """One or several metrics of two views with the same n rows."""

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> PyTree:
        """The state, which both functions below read."""
        ...

    def of_pairings(self, state: Any, orders: Int[Array, "b n"]) -> Values:
        """The metrics where row i of x pairs with row order[i] of y, for each of b orders."""
        ...

    def of_parts(self, state: Any, parts: Int[Array, "b m"]) -> Values:
        """The metrics of m rows alone, for each of b sets of rows."""
        ...


@dataclass(frozen=True)
class NeighbourStatistic:
    """Metrics of lists of neighbours. Ties of y are broken in a random order: with x's, they would look similar.

    Args:
        names: of the metrics.
        k: neighbours.
        distance: by which they are near.
        seed: of the order in which ties of y are broken.
    """

    names: tuple[str, ...]
    k: int
    distance: str
    seed: int = field(compare=False)  # what is compiled does not depend on it

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> tuple[Any, ...]:
        n = len(x)
        shuffled = np.random.default_rng(self.seed).permutation(n)
        # In four fifths of the rows, the k nearest are among the 2k + 10 nearest of all but once in 10^8.
        lists = partial(_neighbour_state, k=self.k, listed=min(n - 1, 2 * self.k + 10), distance=self.distance)
        near_y, entries_y, own_y = lists(np.asarray(y)[shuffled])
        unshuffled = np.argsort(shuffled)
        return lists(x), (shuffled.astype(np.int32)[np.asarray(near_y)][unshuffled],
                          np.asarray(entries_y)[unshuffled], own_y)

    @_compiled
    def of_pairings(self, state: Any, orders: Int[Array, "b n"]) -> Values:
        (near_x, entries_x, own_x), (near_y, entries_y, own_y) = (
            (near[:, :self.k], entries[:, :self.k], own) for near, entries, own in state)

        def one(order):
            numbers = jnp.arange(len(order), dtype=jnp.int32)
            renumbered = jnp.zeros_like(numbers).at[order].set(numbers)
            return self._values(near_x, entries_x, renumbered[near_y[order]], entries_y[order], (own_x, own_y))

        return jax.lax.map(one, orders)

    @_compiled
    def of_parts(self, state: Any, parts: Int[Array, "b m"]) -> Values:
        n, m, k = len(state[0][0]), parts.shape[1], self.k
        if m <= k + 1:  # all other rows are neighbours
            return dict.fromkeys(self.names, jnp.full(len(parts), jnp.nan))

        def one(rows):
            renumbered = jnp.full(n, -1, jnp.int32).at[rows].set(jnp.arange(m, dtype=jnp.int32))

            def of_part(view, missing):
                near, entries = renumbered[view[0][rows]], view[1][rows]
                place = jnp.where(near >= 0, jnp.cumsum(near >= 0, axis=1) - 1, k)
                at = (jnp.arange(m)[:, None], place)
                return (jnp.full((m, k), missing, jnp.int32).at[at].set(near, mode="drop"),
                        jnp.zeros((m, k), entries.dtype).at[at].set(entries, mode="drop"))

            # Where a list has fewer than k entries left, m and m + 1 stand for neighbours that match nothing.
            lists_x, lists_y = of_part(state[0], m), of_part(state[1], m + 1)
            return self._values(*lists_x, *lists_y, None)

        return jax.lax.map(one, parts)

    def _values(self, near_x, entries_x, near_y, entries_y, own):
        found = {name: LIST_METRICS[name](near_x, near_y) for name in self.names if name in LIST_METRICS}
        if "cknna" in self.names:
            own_x, own_y = own or (own_hsic(near_x, entries_x), own_hsic(near_y, entries_y))
            found["cknna"] = cknna_of_lists(near_x, entries_x, near_y, entries_y, own_x, own_y)
        return found


@partial(jax.jit, static_argnames=("k", "listed", "distance"))
def _neighbour_state(view, *, k, listed, distance):
    """`listed` neighbours of each row with the kernel's entries there, and `own_hsic` of the first k of them."""
    near, entries = lists_with_entries(view, listed, distance, None)
    return near, entries, own_hsic(near[:, :k], entries[:, :k])


@dataclass(frozen=True)
class LinearCkaStatistic:
    """CKA with the linear kernel, from d x d moments."""

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> tuple[Any, ...]:
        return _with_own_product(x, centred), _with_own_product(y, centred)

    @_compiled
    def of_pairings(self, state: Any, orders: Int[Array, "b n"]) -> Values:
        (x, own_x), (y, own_y) = state
        return _named_forms("linear", jax.lax.map(lambda order: cka_from_moments(x, y[order], own_x, own_y), orders))

    @_compiled
    def of_parts(self, state: Any, parts: Int[Array, "b m"]) -> Values:
        def one(rows):
            x, y = (centred(view[rows]) for view, _ in state)
            return cka_from_moments(x, y, moment_product(x, x), moment_product(y, y))

        return _named_forms("linear", jax.lax.map(one, parts))


@dataclass(frozen=True)
class WholeKernelStatistic:
    """CKA from n x n kernel matrices; the widths of Gaussian kernels are those of all n rows."""

    kernel: str
    bandwidth: float

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> Any:
        return kernel_pair(*(whole_kernel(view, self.kernel, self.bandwidth) for view in (x, y)))

    @_compiled
    def of_pairings(self, state: Any, orders: Int[Array, "b n"]) -> Values:
        return _named_forms(self.kernel, jax.lax.map(partial(cka_of_pairing, state), orders))

    @_compiled
    def of_parts(self, state: Any, parts: Int[Array, "b m"]) -> Values:
        return _named_forms(self.kernel, cka_of_parts(state, parts))


def _named_forms(kernel: str, found: CkaForms) -> Values:
    return dict(zip((*CKA_NAMES[kernel], CKA_CHANCE), found, strict=True))


class RowProducts(NamedTuple):
    """A view by the inner products of its centred rows, which are fewer numbers where it has many columns."""

    products: Float[Array, "n n"]

    def of_part(self, rows: Int[Array, "m"]) -> Float[Array, "m m"]:
        """The products of some rows, centred at their own mean."""
        return centred_products(self.products[rows][:, rows])

    def leading_directions(self, rows: Int[np.ndarray, "m"], count: int) -> Float[np.ndarray, "m c"]:
        """Orthonormal coordinates of some rows along their leading directions; NaN where the rank is lower."""
        products = np.asarray(self.products)[np.ix_(rows, rows)]
        products = products - products.mean(0)
        products -= products.mean(1, keepdims=True)
        m = len(rows)
        sizes, directions = scipy.linalg.eigh(products, subset_by_index=[m - count, m - 1], check_finite=False,
                                              overwrite_a=True)
        full_rank = sizes[0] > m * np.finfo(products.dtype).eps * sizes[-1]
        return directions if full_rank else np.full_like(directions, np.nan)


@jax.jit
def _row_products(view):
    view = centred(view)
    return RowProducts(jnp.dot(view, view.T, precision="highest"))


@jax.jit
def _at_the_mean(view):
    """Rows that differ from the mean by rounding errors only, and have no direction from it."""
    view = view / jnp.max(jnp.abs(view))
    mean = jnp.mean(view, axis=0)
    size = jnp.linalg.norm(view, axis=1) + jnp.linalg.norm(mean)
    return jnp.linalg.norm(view - mean, axis=1) <= 100 * jnp.finfo(view.dtype).eps * size


@dataclass(frozen=True)
class CanonicalStatistic:
    """Mean canonical correlation: of the `components` leading directions, which is `svcca`, or of all where None."""

    components: int | None

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> tuple[Any, ...]:
        by_products = self.components is not None and (is_wide(x) or is_wide(y))
        return (_whitened(self.components, x), _whitened(self.components, y),
                *(_row_products(view) if by_products else view for view in (x, y)))

    @_compiled
    def of_pairings(self, state: Any, orders: Int[Array, "b n"]) -> Values:
        u, v = state[:2]
        return self._named(jax.lax.map(lambda order: jnp.mean(singular_values(u.T @ v[order])), orders))

    def of_parts(self, state: Any, parts: Int[HostOrDevice, "b m"]) -> Values:
        x, y = state[2:]
        directions = 2 * self.components if self.components is not None else x.shape[1] + y.shape[1]
        if parts.shape[1] <= directions:  # some correlations are 1 by construction
            return self._named(jnp.full(len(parts), jnp.nan))
        if isinstance(x, RowProducts):
            return self._named(jnp.array([self._of_products(x, y, rows) for rows in np.asarray(parts)]))
        return self._of_columns(x, y, parts)

    @_compiled
    def _of_columns(self, x, y, parts):
        scores = partial(_scores, self.components)
        return self._named(jax.lax.map(lambda rows: mean_correlation(scores(x[rows]), scores(y[rows])), parts))

    def _of_products(self, x, y, rows):
        u, v = (view.leading_directions(rows, self.components) for view in (x, y))
        between = u.T @ v
        return np.linalg.svd(between, compute_uv=False).mean() if np.isfinite(between).all() else np.nan

    def _named(self, values):
        return {"mean_canonical_correlation" if self.components is None else "svcca": values}


def _scores(components: int | None, view: Float[Array, "n d"]) -> Float[Array, "n c"]:
    """What is correlated: columns, or the coordinates along leading directions."""
    return standardised(view) if components is None else leading_scores(view, components, False)


@partial(jax.jit, static_argnums=0)
def _whitened(components, view):
    scores = _scores(components, view)
    return scores @ whitening(scores.T @ scores).T


@dataclass(frozen=True)
class MatrixDistanceStatistic:
    """Distance of the matrices of correlations between samples, which are held where a view has many more columns."""

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> tuple[Any, ...]:
        if is_wide(x) or is_wide(y):
            products = [_row_products(view) for view in (x, y)]
            return *(_unit_correlations(jnp.where(_at_the_mean(view), jnp.nan, each.products))
                     for view, each in zip((x, y), products, strict=True)), *products
        return _with_own_product(x, directions_from_mean), _with_own_product(y, directions_from_mean), x, y

    @_compiled
    def of_pairings(self, state: Any, orders: Int[Array, "b n"]) -> Values:
        if isinstance(state[2], RowProducts):
            r, s = state[:2]
            return self._named(jax.lax.map(lambda order: jnp.sum((r - s[order][:, order]) ** 2) / 2, orders))
        (u, own_u), (v, own_v) = state[:2]
        return self._named(jax.lax.map(lambda order: matrix_distance(u, v[order], own_u, own_v), orders))

    @_compiled
    def of_parts(self, state: Any, parts: Int[Array, "b m"]) -> Values:
        def one(rows):
            if isinstance(state[2], RowProducts):
                r, s = (_unit_correlations(view.of_part(rows)) for view in state[2:])
                return jnp.sum((r - s) ** 2) / 2
            u, v = (directions_from_mean(view[rows]) for view in state[2:])
            return matrix_distance(u, v, moment_product(u, u), moment_product(v, v))

        return self._named(jax.lax.map(one, parts))

    def _named(self, values):
        return {"correlation_matrix_distance": values}


@partial(jax.jit, static_argnums=1)
def _with_own_product(view, normalised):
    """The normalised view and its `moment_product` with itself."""
    view = normalised(view)
    return view, moment_product(view, view)


@jax.jit
def _unit_correlations(products):
    """The matrix of correlations between samples, from the inner products of their deviations, at a norm of 1.

    Half the squared difference of two of these is 1 minus their inner product without the loss of its digits.
    """
    length = jnp.sqrt(jnp.diagonal(products))
    correlations = products / length[:, None] / length
    return correlations / jnp.linalg.norm(correlations)
