r"""Is an alignment beyond chance, and how precise is it: metrics of other pairings, and of parts of the rows.

Under the null hypothesis the rows pair at random, so every pairing of the same rows is equally likely: the metric of
random pairings is its null distribution at this n and d, bias included, and p = (1 + number at least as aligned) /
(1 + pairings) is exact. Neighbours and kernels of a permuted view are those of the view, renumbered, so a pairing costs
no distances.

A bootstrap draws rows twice, and a duplicate is its own nearest neighbour. So every resample leaves out a fifth of the
rows instead and repeats none (the delete-d jackknife of Shao and Wu 1989): with m of n rows kept, the deviations of the
metric from its mean over resamples, times sqrt(m / (n - m)) = 2, are distributed as its sampling error.

A `Statistic` holds what metrics that share work need, and the two functions of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from phasejax.alignment.correlations import mean_correlation, shared_energy
from phasejax.alignment.kernels import (
    Kernel,
    alignment_of_lists,
    alignments_of_matrices,
    feature_alignments,
    kernel_lists,
    kernel_matrix,
)
from phasejax.alignment.neighbours import LIST_METRICS, Distance
from phasejax.alignment.views import centred, directions
from phasejax.linalg import singular_values, whitening

KEPT = 0.8
# The biased and the unbiased form by kernel.
CKA_NAMES: dict[str, tuple[str, str]] = {"linear": ("cka", "cka_unbiased"), "rbf": ("cka_rbf", "cka_rbf_unbiased")}
# Pairings or resamples in one call of a compiled program.
_AT_ONCE = 10


@dataclass(frozen=True, eq=False)
class Statistic:
    """One or several metrics of two views with the same n rows.

    Args:
        state: arrays that both functions read.
        of_pairing: (state, order (n,)) to the values where row i of x pairs with row order[i] of y.
        of_rows: (state, rows (m,)) to the values of these rows alone.
        rows: n.
    """

    state: PyTree
    of_pairing: Callable[[PyTree, Int[Array, "n"]], dict[str, Array]]
    of_rows: Callable[[PyTree, Int[Array, "m"]], dict[str, Array]]
    rows: int

    def values(self) -> dict[str, float]:
        """Of the rows as they pair."""
        found = jax.jit(self.of_pairing)(self.state, jnp.arange(self.rows))
        return {name: float(value) for name, value in found.items()}

    def pairings(self, count: int, rng: np.random.Generator, done: Callable[[int], None] = lambda count: None
                 ) -> dict[str, Float[np.ndarray, "m"]]:
        """Values of the rows as they pair, then of `count` random pairings."""
        orders = (rng.permutation(self.rows) if i else np.arange(self.rows) for i in range(count + 1))
        return self._mapped(self.of_pairing, orders, count + 1, done)

    def resamples(self, count: int, rng: np.random.Generator, done: Callable[[int], None] = lambda count: None
                  ) -> dict[str, Float[np.ndarray, "m"]]:
        """Values of `count` random parts of the rows."""
        parts = (np.sort(rng.permutation(self.rows)[:kept(self.rows)]) for _ in range(count))
        return self._mapped(self.of_rows, parts, count, done)

    def _mapped(self, function, draws: Iterator[np.ndarray], count, done):
        compiled = jax.jit(lambda state, draws: jax.lax.map(partial(function, state), draws))
        found, draws = [], list(draws)
        for start in range(0, count, _AT_ONCE):
            part = draws[start:start + _AT_ONCE]
            filled = np.stack(part + part[:1] * (_AT_ONCE - len(part)))
            values = compiled(self.state, jnp.asarray(filled, jnp.int32))
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


def of_neighbours(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], names: list[str], k: int, distance: Distance,
                  rng: np.random.Generator) -> Statistic:
    """Of lists of neighbours. Ties of y are broken in a random order: with x's, it would count as alignment."""
    n = len(x)
    shuffled = rng.permutation(n)
    # In four fifths of the rows, the k nearest are among the 2k + 10 nearest of all but once in 10^8.
    longest = min(n - 1, 2 * k + 10)
    lists = jax.jit(kernel_lists, static_argnums=(1, 2, 3))
    near_x, k_x = lists(x, longest, distance, None)
    near_y, k_y = lists(y[shuffled], longest, distance, None)
    unshuffled = np.argsort(shuffled)
    near_y, k_y = jnp.asarray(shuffled, jnp.int32)[near_y][unshuffled], k_y[unshuffled]

    def values(near_x, k_x, near_y, k_y):
        found = {name: LIST_METRICS[name](near_x, near_y) for name in names if name in LIST_METRICS}
        return found | ({"cknna": alignment_of_lists(near_x, k_x, near_y, k_y)} if "cknna" in names else {})

    def of_pairing(state, order):
        near_x, k_x, near_y, k_y = state
        renumbered = jnp.zeros(n, jnp.int32).at[order].set(jnp.arange(n, dtype=jnp.int32))
        return values(near_x[:, :k], k_x[:, :k], renumbered[near_y[order, :k]], k_y[order, :k])

    def of_rows(state, rows):
        m = len(rows)
        renumbered = jnp.full(n, -1, jnp.int32).at[rows].set(jnp.arange(m, dtype=jnp.int32))

        def part(near, entries, missing):
            near, entries = renumbered[near[rows]], entries[rows]
            place = jnp.where(near >= 0, jnp.cumsum(near >= 0, axis=1) - 1, k)
            at = (jnp.arange(m)[:, None], place)
            return (jnp.full((m, k), missing, jnp.int32).at[at].set(near, mode="drop"),
                    jnp.zeros((m, k), entries.dtype).at[at].set(entries, mode="drop"))

        # What a short list lacks matches nothing: the numbers m and m + 1 are no rows.
        return values(*part(*state[:2], m), *part(*state[2:], m + 1))

    return Statistic((near_x, k_x, near_y, k_y), of_pairing, of_rows, n)


def of_moments(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], names: list[str]) -> Statistic:
    """Of d x d moments: CKA with the linear kernel."""
    def of_pairing(state, order):
        x, y = state
        return _forms(feature_alignments(x, y[order], y), "linear", names)

    def of_rows(state, rows):
        x, y = (centred(view[rows]) for view in state)
        return _forms(feature_alignments(x, y, y), "linear", names)

    return Statistic((centred(x), centred(y)), of_pairing, of_rows, len(x))


def of_kernels(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], names: list[str], kernel: Kernel, bandwidth: float
               ) -> Statistic:
    """Of n x n kernel matrices, with the widths of all n rows."""
    def of_pairing(state, order):
        first, second = state
        return _forms(alignments_of_matrices(first, second[order][:, order]), kernel, names)

    def of_rows(state, rows):
        return _forms(alignments_of_matrices(*(matrix[rows][:, rows] for matrix in state)), kernel, names)

    return Statistic(tuple(kernel_matrix(view, kernel, bandwidth) for view in (x, y)), of_pairing, of_rows, len(x))


def of_correlations(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], name: str,
                    scores: Callable[[Float[Array, "n _"]], Float[Array, "n _"]]) -> Statistic:
    """Mean canonical correlation of centred scores, which are a function of a view's rows."""
    def whitened(view):
        z = scores(view)
        return z @ whitening(z.T @ z).T

    def of_pairing(state, order):
        u, v = state[:2]
        return {name: jnp.mean(singular_values(u.T @ v[order]))}

    def of_rows(state, rows):
        return {name: mean_correlation(*(scores(view[rows]) for view in state[2:]))}

    return Statistic((*map(jax.jit(whitened), (x, y)), x, y), of_pairing, of_rows, len(x))


def of_directions(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> Statistic:
    """Distance of the matrices of correlations between samples."""
    def distance(u, v, same):
        return {"correlation_matrix_distance":
                1 - shared_energy(u, v) / jnp.sqrt(shared_energy(u, u) * shared_energy(same, same))}

    def of_pairing(state, order):
        u, v = state[:2]
        return distance(u, v[order], v)

    def of_rows(state, rows):
        u, v = (directions(centred(view[rows])) for view in state[2:])
        return distance(u, v, v)

    return Statistic((*(directions(centred(view)) for view in (x, y)), x, y), of_pairing, of_rows, len(x))


def _forms(found, kernel, names):
    values = dict(zip(CKA_NAMES[kernel], found, strict=False))
    return {name: values[name] for name in values if name in names}
