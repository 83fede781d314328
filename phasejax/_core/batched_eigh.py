r"""Leading eigenvectors of many small symmetric matrices at once, on the CPU.

LAPACK takes one matrix after the other and computes all d eigenvectors. A grid of models needs
the k leading ones of thousands of small matrices, so here only the reduction to tridiagonal
form, M = Q T Q', is LAPACK's. The rest runs over the whole batch, one matrix to a SIMD lane:

1. eigenvalues of T by bisection on the number of eigenvalues above x, from the signs of
   p_0 = 1, p_i = (a_i - x) p_{i-1} - b_{i-1}^2 p_{i-2} (Givens 1954), and from half of the digits on
   by Newton's iteration on p_d, kept where the same count confirms it;
2. eigenvectors of T by the twisted factorisation: forward pivots f_i and backward pivots g_i of
   T - lambda, started at the index r of least |f_r + g_r - (a_r - lambda)| (Dhillon and Parlett 2004);
3. multiplication by Q, one Householder reflector after the other.

Eigenvectors whose eigenvalues are a gap g apart come out orthogonal to eps / g only. A polar
decomposition makes them orthonormal; it mixes vectors by eps / g, so residuals grow by eps. Where an
off-diagonal entry of T is zero, the same vector comes out twice. `leading_eigenvectors` says which
matrices were solved; the caller leaves the others to LAPACK.

LAPACK's processor time over ours for k = 3 in float64, in blocks of 32 matrices as in a sweep (`python -m benchmarks
eigh`): 1.7 at d = 10, 2.3 at d = 16, 2.5 at d = 20, 2.1 at d = 50. In one batch of 2048, which leaves the cache, it is
1.3 to 1.6.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Below MIN_DIMENSION we gain less than a factor of 2, beyond MAX_DIMENSION the unrolled recurrences compile slowly.
MIN_DIMENSION, MAX_DIMENSION = 16, 64
# Allowed residual |M V - V Lambda| / |M|, in units of eps. LAPACK's own is about 10.
_RESIDUAL_IN_EPS = 1e3
# Largest V'V - I that two steps of Newton's iteration for the polar factor, each of which squares
# it, bring below eps; by the bytes of a number.
_MENDABLE_LOSS = {8: 1e-4, 4: 1e-2}


def leading_eigenvectors(reflectors: Float[Array, "b d d"], diagonal: Float[Array, "b d"],
                         off_diagonal: Float[Array, "b e"], scales: Float[Array, "b e"],
                         matrices: Float[Array, "b d d"], k: int) -> tuple[Float[Array, "b d k"], Bool[Array, "b"]]:
    """Orthonormal eigenvectors of the k largest eigenvalues of many matrices, and which matrices were solved.

    Args:
        reflectors, diagonal, off_diagonal, scales: what `jax.lax.linalg.tridiagonal(lower=True)`
            returns for each matrix.
        matrices: b symmetric matrices M, shape (b, d, d), d >= 3.
        k: number of eigenvectors, 1 <= k <= d.

    Returns:
        V, shape (b, d, k), largest eigenvalue first, and of each matrix whether |M V - V Lambda| <= 1000 eps |M| and
        V'V = I to rounding, shape (b,). Where not, V is of no use.
    """
    a, b = diagonal.T, off_diagonal.T  # batch last, along the lanes
    size = jnp.maximum(jnp.max(jnp.abs(a), axis=0), jnp.max(jnp.abs(b), axis=0))
    size = jnp.where(size > 0, size, 1)
    a, b = a / size, b / size
    values = _eigenvalues(a, b, k)
    vectors = _back_transformed(reflectors, scales, _eigenvectors(a, b, values))
    vectors = jnp.moveaxis(vectors, -1, 0)

    loss = _loss_of_orthogonality(vectors)
    good = jnp.max(jnp.abs(loss), axis=(1, 2)) <= _MENDABLE_LOSS[a.dtype.itemsize]
    vectors -= vectors @ loss / 2
    vectors -= vectors @ _loss_of_orthogonality(vectors) / 2
    residual = matrices @ vectors / size[:, None, None] - vectors * values.T[:, None, :]
    return vectors, good & (jnp.max(jnp.abs(residual), axis=(1, 2)) <= _RESIDUAL_IN_EPS * jnp.finfo(a.dtype).eps)


def _loss_of_orthogonality(vectors):
    """V'V - I."""
    return jnp.swapaxes(vectors, 1, 2) @ vectors - jnp.eye(vectors.shape[2], dtype=vectors.dtype)


def _eigenvalues(a, b, k):
    """The k largest eigenvalues (k, B), largest first, of B tridiagonal matrices with entries of size about 1.

    Args:
        a, b: diagonals (d, B) and off-diagonals (d - 1, B).
        k: how many eigenvalues.
    """
    squares = b**2
    beside = jnp.pad(jnp.abs(b), ((1, 0), (0, 0))) + jnp.pad(jnp.abs(b), ((0, 1), (0, 0)))
    bounds = jnp.min(a - beside, axis=0), jnp.max(a + beside, axis=0)  # Gershgorin
    rank = jnp.arange(1, k + 1)[:, None]

    def count_above(x):
        before, now = jnp.ones_like(x), a[0] - x
        count = (now > 0).astype(jnp.int32)
        for i in range(1, a.shape[0]):
            before, now = now, (a[i] - x) * now - squares[i - 1] * before
            count += (now > 0) == (before > 0)
        return count

    def halve(_, interval):
        low, high = interval
        middle = (low + high) / 2
        enough = count_above(middle) >= rank
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    interval = tuple(jnp.broadcast_to(bound, (k, *bound.shape)) for bound in bounds)
    halvings = jnp.finfo(a.dtype).nmant + 4
    low, high = jax.lax.fori_loop(0, halvings // 2 - 4, halve, interval)
    polished = _newton_polished(a, squares, low, high)
    width = 16 * jnp.finfo(a.dtype).eps
    sure = (count_above(polished - width) >= rank) & (count_above(polished + width) < rank)

    def bisected():
        start, end = jax.lax.fori_loop(halvings // 2 - 4, halvings, halve, (low, high))
        return jnp.where(sure, polished, (start + end) / 2)

    return jax.lax.cond(jnp.all(sure), lambda: polished, bisected)


def _newton_polished(a, squares, low, high):
    """Three steps of Newton's iteration on p_d from the middle of an interval around an eigenvalue."""
    def step(_, x):
        zero = jnp.zeros_like(x)
        (before, now), (slope_before, slope) = (zero + 1, a[0] - x), (zero, zero - 1)
        for i in range(1, a.shape[0]):
            shifted = a[i] - x
            slope_before, slope = slope, shifted * slope - now - squares[i - 1] * slope_before
            before, now = now, shifted * now - squares[i - 1] * before
        return jnp.clip(x - now / jnp.where(slope == 0, 1, slope), low, high)

    return jax.lax.fori_loop(0, 3, step, (low + high) / 2)


def _eigenvectors(a, b, values):
    """Unit eigenvectors (d, k, B) of the tridiagonal matrices for the given eigenvalues (k, B)."""
    d = a.shape[0]
    tiny = jnp.finfo(a.dtype).eps ** 2
    shifted = a[:, None, :] - values

    def eliminate(pivot, row):
        diagonal, off = row
        factor = off / pivot
        pivot = _guarded(diagonal - factor * off, tiny)
        return pivot, (pivot, factor)

    first, last = _guarded(shifted[0], tiny), _guarded(shifted[-1], tiny)
    _, (forward, lower) = jax.lax.scan(eliminate, first, (shifted[1:], b))
    _, (backward, upper) = jax.lax.scan(eliminate, last, (shifted[:-1], b), reverse=True)
    twist = (jnp.concatenate([first[None], forward]) + jnp.concatenate([backward, last[None]]) - shifted)
    start = jnp.argmin(jnp.abs(twist), axis=0)

    def grow(entry, step):
        factor, index = step
        entry = jnp.where(index == start, 1, -factor * entry)
        return entry, entry

    def ended(index):
        return jnp.where(index == start, 1, 0).astype(a.dtype)

    index = jnp.arange(d)
    _, left = jax.lax.scan(grow, ended(d - 1), (lower, index[:-1]), reverse=True)
    _, right = jax.lax.scan(grow, ended(0), (upper, index[1:]))
    left = jnp.concatenate([left, ended(d - 1)[None]])
    right = jnp.concatenate([ended(0)[None], right])
    vectors = jnp.where(index[:, None, None] <= start, left, right)
    return vectors / jnp.sqrt(jnp.sum(vectors**2, axis=0))


def _guarded(pivot, tiny):
    """Pivots that can be divided by."""
    return jnp.where(jnp.abs(pivot) < tiny, tiny, pivot)


def _back_transformed(reflectors, scales, vectors):
    """Q V, eigenvectors of the full matrices (d, k, B).

    Q = H_1 H_2 ... with H_i = I - scale_i v_i v_i', and v_i is column i of `reflectors` from row i + 2 on, after a 1.
    """
    d = vectors.shape[0]
    columns = jnp.moveaxis(reflectors, 0, -1).swapaxes(0, 1)  # (column, row, B)
    row = jnp.arange(d)[:, None]

    def reflect(step, vectors):
        i = d - 2 - step
        column = jax.lax.dynamic_index_in_dim(columns, i, keepdims=False)
        v = jnp.where(row > i + 1, column, (row == i + 1).astype(column.dtype))[:, None, :]
        scale = jax.lax.dynamic_index_in_dim(scales, i, axis=1, keepdims=False)
        return vectors - v * (scale * jnp.sum(v * vectors, axis=0))

    return jax.lax.fori_loop(0, d - 1, reflect, vectors)
