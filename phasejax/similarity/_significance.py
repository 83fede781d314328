r"""Is an alignment beyond chance, and how precise is it: metrics of other pairings, and of parts of the rows.

Under the null hypothesis the rows pair at random, so every pairing of the same rows is equally likely: the metric of
random pairings is its null distribution at this n and d, bias included, and p = (1 + number at least as aligned) /
(1 + pairings) is exact. Neighbours and kernels of a permuted view are those of the view, renumbered, so a pairing costs
no distances.

A bootstrap draws rows twice, and a duplicate is its own nearest neighbour. So every resample leaves out a fifth of the
rows instead and repeats none (the delete-d jackknife of Shao and Wu 1989): with m of n rows kept, the deviations of the
metric from its mean over resamples, times sqrt(m / (n - m)) = 2, are distributed as its sampling error. In 120 samples
of n = 150 rows intervals of level 0.9 covered 0.85 to 0.88 for CKA and the distance of correlation matrices, 0.89 to
0.93 for canonical correlations, and 0.93 to 1.00 for metrics of neighbours, which change most when rows are left out.

Metrics that share work are one statistic: a frozen dataclass of their options, whose methods are functions of a state,
the arrays that `prepare` makes of two views.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from phasejax._core.linalg import singular_values, whitening
from phasejax.similarity._cca import leading_scores, mean_correlation, shared_energy, standardised
from phasejax.similarity._cka import (
    alignment_of_lists,
    alignments_of_matrices,
    feature_alignments,
    kernel_lists,
    kernel_matrix,
)
from phasejax.similarity._inputs import centred, unit_rows
from phasejax.similarity._neighbours import LIST_METRICS

KEPT = 0.8
# The biased and the unbiased form by kernel.
CKA_NAMES: dict[str, tuple[str, str]] = {"linear": ("cka", "cka_unbiased"), "rbf": ("cka_rbf", "cka_rbf_unbiased")}
# Pairings or resamples in one call of a compiled program.
_AT_ONCE = 10


@runtime_checkable
class Statistic(Protocol):
    """One or several metrics of two views with the same n rows."""

    def prepare(self, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> PyTree:
        """The state: what both functions below read."""

    def of_pairing(self, state: PyTree, order: Int[Array, "n"]) -> dict[str, Array]:
        """The metrics where row i of x pairs with row order[i] of y."""

    def of_rows(self, state: PyTree, rows: Int[Array, "m"]) -> dict[str, Array]:
        """The metrics of these rows alone."""


def pairings(statistic: Statistic, state: PyTree, n: int, count: int, rng: np.random.Generator,
             done: Callable[[int], None] = lambda count: None) -> dict[str, Float[np.ndarray, "m"]]:
    """The metrics of the n rows as they pair, then of `count` random pairings."""
    orders = [np.arange(n), *(rng.permutation(n) for _ in range(count))]
    return _mapped(statistic, "of_pairing", state, orders, done)


def resamples(statistic: Statistic, state: PyTree, n: int, count: int, rng: np.random.Generator,
              done: Callable[[int], None] = lambda count: None) -> dict[str, Float[np.ndarray, "m"]]:
    """The metrics of `count` random parts of the n rows."""
    return _mapped(statistic, "of_rows", state, [np.sort(rng.permutation(n)[:kept(n)]) for _ in range(count)], done)


@partial(jax.jit, static_argnums=(0, 1))
def _of_all(statistic, method, state, draws):
    return jax.lax.map(partial(getattr(statistic, method), state), draws)


def _mapped(statistic, method, state, draws, done):
    found = []
    for start in range(0, len(draws), _AT_ONCE):
        part = draws[start:start + _AT_ONCE]
        filled = np.stack(part + part[:1] * (_AT_ONCE - len(part)))
        values = _of_all(statistic, method, state, jnp.asarray(filled, jnp.int32))
        found.append({name: np.asarray(v, np.float64)[:len(part)] for name, v in values.items()})
        done(len(part))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def kept(n: int) -> int:
    """Rows of a resample, four fifths of n."""
    return int(KEPT * n)


def p_value(values: Float[np.ndarray, "m"], *, is_distance: bool = False) -> float:
    """(1 + #{as aligned as the first value or more}) / m of m - 1 pairings, the first value being of the true one.

    >>> p_value(np.array([0.9, 0.1, 0.2, 0.9]))
    0.5
    """
    as_aligned = values <= values[0] if is_distance else values >= values[0]
    return float(np.mean(as_aligned))


def interval(value: float, resampled: Float[np.ndarray, "m"], rows: int, n: int, confidence: float
             ) -> tuple[float, float]:
    """Ends of an interval for what the metric is at n rows on average: its value minus quantiles of its error.

    Args:
        value: at n rows.
        resampled: values at four fifths of `rows` rows, n or fewer.
        rows, n: see there.
        confidence: level.
    """
    m = kept(rows)
    errors = np.sqrt(m / (rows - m) * rows / n) * (resampled - resampled.mean())
    low, high = np.quantile(errors, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(value - high), float(value - low)


# The metrics


@dataclass(frozen=True)
class Neighbours:
    """Metrics of lists of neighbours. Ties of y are broken in a random order: with x's, it would count as alignment.

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

    def prepare(self, x, y):
        n = len(x)
        shuffled = np.random.default_rng(self.seed).permutation(n)
        # In four fifths of the rows, the k nearest are among the 2k + 10 nearest of all but once in 10^8.
        lists = partial(jax.jit(kernel_lists, static_argnums=(1, 2, 3)), k=min(n - 1, 2 * self.k + 10),
                        distance=self.distance, block=None)
        near_y, entries_y = lists(y[shuffled])
        unshuffled = np.argsort(shuffled)
        return *lists(x), jnp.asarray(shuffled[near_y][unshuffled], jnp.int32), entries_y[unshuffled]

    def of_pairing(self, state, order):
        near_x, entries_x, near_y, entries_y = (leaf[:, :self.k] for leaf in state)
        numbers = jnp.arange(len(order), dtype=jnp.int32)
        renumbered = jnp.zeros_like(numbers).at[order].set(numbers)
        return self._values(near_x, entries_x, renumbered[near_y[order]], entries_y[order])

    def of_rows(self, state, rows):
        m, k = len(rows), self.k
        renumbered = jnp.full(len(state[0]), -1, jnp.int32).at[rows].set(jnp.arange(m, dtype=jnp.int32))

        def part(near, entries, missing):
            near, entries = renumbered[near[rows]], entries[rows]
            place = jnp.where(near >= 0, jnp.cumsum(near >= 0, axis=1) - 1, k)
            at = (jnp.arange(m)[:, None], place)
            return (jnp.full((m, k), missing, jnp.int32).at[at].set(near, mode="drop"),
                    jnp.zeros((m, k), entries.dtype).at[at].set(entries, mode="drop"))

        # What a list lacks matches nothing: m and m + 1 are the numbers of no rows.
        return self._values(*part(*state[:2], m), *part(*state[2:], m + 1))

    def _values(self, near_x, entries_x, near_y, entries_y):
        found = {name: LIST_METRICS[name](near_x, near_y) for name in self.names if name in LIST_METRICS}
        if "cknna" in self.names:
            found["cknna"] = alignment_of_lists(near_x, entries_x, near_y, entries_y)
        return found


@dataclass(frozen=True)
class LinearKernels:
    """CKA from d x d moments."""

    def prepare(self, x, y):
        return _centred(x), _centred(y)

    def of_pairing(self, state, order):
        x, y = state
        return _forms("linear", feature_alignments(x, y[order], y))

    def of_rows(self, state, rows):
        x, y = (centred(view[rows]) for view in state)
        return _forms("linear", feature_alignments(x, y, y))


@dataclass(frozen=True)
class WholeKernels:
    """CKA from n x n kernel matrices, with the widths of all n rows."""

    kernel: str
    bandwidth: float

    def prepare(self, x, y):
        return tuple(kernel_matrix(view, self.kernel, self.bandwidth) for view in (x, y))

    def of_pairing(self, state, order):
        first, second = state
        return _forms(self.kernel, alignments_of_matrices(first, second[order][:, order]))

    def of_rows(self, state, rows):
        return _forms(self.kernel, alignments_of_matrices(*(matrix[rows][:, rows] for matrix in state)))


@dataclass(frozen=True)
class CanonicalCorrelations:
    """Mean canonical correlation: of the `components` leading directions, `svcca`, or of all."""

    components: int | None

    def prepare(self, x, y):
        return (*_whitened(self, x, y), x, y)

    def of_pairing(self, state, order):
        u, v = state[:2]
        return self._named(jnp.mean(singular_values(u.T @ v[order])))

    def of_rows(self, state, rows):
        if self.components is None and len(rows) <= sum(view.shape[1] for view in state[2:]):
            return self._named(jnp.nan)
        return self._named(mean_correlation(*(self.scores(view[rows]) for view in state[2:])))

    def scores(self, view):
        """What is correlated."""
        return standardised(view) if self.components is None else leading_scores(view, self.components, False)

    def _named(self, value):
        return {"mean_canonical_correlation" if self.components is None else "svcca": value}


@dataclass(frozen=True)
class Directions:
    """Distance of the matrices of correlations between samples."""

    def prepare(self, x, y):
        return _deviations(x), _deviations(y), x, y

    def of_pairing(self, state, order):
        u, v = state[:2]
        return self._distance(u, v[order], v)

    def of_rows(self, state, rows):
        u, v = (unit_rows(centred(view[rows])) for view in state[2:])
        return self._distance(u, v, v)

    def _distance(self, u, v, same):
        return {"correlation_matrix_distance":
                1 - shared_energy(u, v) / jnp.sqrt(shared_energy(u, u) * shared_energy(same, same))}


_centred = jax.jit(centred)
_deviations = jax.jit(lambda view: unit_rows(centred(view)))


@partial(jax.jit, static_argnums=0)
def _whitened(correlations, *views):
    return [z @ whitening(z.T @ z).T for z in map(correlations.scores, views)]


def _forms(kernel, found):
    return dict(zip(CKA_NAMES[kernel], found, strict=False))
