r"""Metrics that compare kernel matrices: centred kernel alignment, whole (CKA) and among neighbours (CKNNA).

With K_ij = k(x_i, x_j), L_ij = l(y_i, y_j) and H = I - 11'/n, the Hilbert-Schmidt independence criterion is

.. math::
    \mathrm{HSIC}_b = \mathrm{tr}(K H L H), \qquad
    \mathrm{HSIC}_u = \mathrm{tr}(\tilde K \tilde L) + \frac{1^\top \tilde K 1\; 1^\top \tilde L 1}{(n-1)(n-2)}
    - \frac{2}{n-2}\, 1^\top \tilde K \tilde L 1

up to factors of n, where a tilde means a diagonal of zeros. Both need only a sum over entries and the sums of rows, so
no more than a block of either matrix is held in memory; and neither changes when a constant is added to a kernel.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Shaped

from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import is_traced
from phasejax.similarity._inputs import centred, map_row_blocks, paired, undefined_if_not_finite, unit_rows
from phasejax.similarity._neighbours import check_neighbours, metric_points, neighbour_lists

# Rows whose pairs give the median distance.
MEDIAN_ROWS = 1000


def cka(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, kernel: str = "linear",
        unbiased: bool = False, bandwidth: Float[ArrayLike, ""] = 1.0, block: int | None = None) -> Float[Array, ""]:
    r"""Centred kernel alignment.

    .. math::  \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K)\, \mathrm{HSIC}(L, L)}}

    The biased form of independent representations tends to 1 as d / n grows; the unbiased one has mean near 0, and may
    be negative. The linear kernel is computed from d x d moments where that is less work than n x n entries.

    Args:
        x, y: n rows that pair, n >= 4, shapes (n, d_x) and (n, d_y).
        kernel: "linear", k(a, b) = a'b, or "rbf", k(a, b) = exp(-|a - b|^2 / (2 s^2)).
        unbiased: HSIC_u instead of HSIC_b.
        bandwidth: b > 0, where s^2 is b^2 times the median squared distance between two rows of the view. The median is
            that among 1000 rows at most, evenly spaced; it takes part in derivatives.
        block: rows of the kernel matrices held at once.

    Returns:
        In [0, 1]; in [-1, 1] where unbiased.

    Raises:
        ValueError: shapes that do not pair, fewer than 4 rows, values that are not finite, rows that are all the same,
            an unknown kernel, a bandwidth that is not above 0, or a median distance of 0.

    Source: Kornblith, Norouzi, Lee and Hinton 2019, section 3; unbiased: Song et al. 2012, eq. 5.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> round(float(cka(x, 3 * x[:, ::-1] + 5)), 4), round(float(cka(x, x[:, :1])), 4)
    (1.0, 0.7071)
    """
    if kernel not in ("linear", "rbf"):
        raise ValueError(f"kernel: expected 'linear' or 'rbf', got {kernel!r}")
    x, y = paired(x, y, rows=4)
    found = alignments(x, y, kernel, bandwidth, block)
    return undefined_if_not_finite(found.unbiased if unbiased else found.biased, x, y)


def cknna(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, k: int = 10,
          distance: str = "cosine", block: int | None = None) -> Float[Array, ""]:
    r"""Centred kernel alignment among mutual nearest neighbours.

    .. math::
        \frac{\mathrm{HSIC}_u(\alpha \circ K, \alpha \circ L)}
        {\sqrt{\mathrm{HSIC}_u(\alpha_x \circ K, \alpha_x \circ K)\,
        \mathrm{HSIC}_u(\alpha_y \circ L, \alpha_y \circ L)}},
        \qquad \alpha = \alpha_x \circ \alpha_y, \quad \alpha_{x,ij} = 1[j \in N_x(i)]

    with K and L the inner products of the rows among which neighbours are sought: of unit length under "cosine",
    centred under "euclidean". The masks are not symmetric, and neither, slightly, is the value in x and y. k = n - 1
    gives unbiased CKA. NaN where a denominator is not positive, which can happen at very small n.

    Args, Raises: as `mutual_knn`, with k >= 2 and n >= 4.

    Source: Huh et al. 2024, appendix, as in its published code (which adds 1e-6 to the denominator).

    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8], [0.6, -0.8]])
    >>> round(float(cknna(x, 2 * x, k=2)), 4)
    1.0
    """
    x, y = paired(x, y, rows=4)
    check_neighbours(k, distance, x=x, y=y)
    if k < 2:
        raise ValueError(f"k: expected at least 2, got {k}")
    return _cknna(x, y, k, distance, block)


class Alignments(NamedTuple):
    """CKA in both forms, and the mean of the biased one over all pairings of rows; the unbiased one has 0."""

    biased: Float[Array, ""]
    unbiased: Float[Array, ""]
    chance: Float[Array, ""]


def alignments(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], kernel: str, bandwidth: Float[ArrayLike, ""],
               block: int | None = None) -> Alignments:
    """CKA in both forms.

    Raises:
        ValueError: a bandwidth that is not above 0, or a median distance of 0.
    """
    if kernel == "linear":
        return linear_alignments(x, y, block)
    if not is_traced(bandwidth) and not bandwidth > 0:
        raise ValueError(f"bandwidth: expected a number above 0, got {bandwidth}")
    found = rbf_alignments(x, y, bandwidth, block)
    if not is_traced(found.biased) and jnp.isnan(found.biased):
        raise ValueError("x, y: expected most pairs of rows to differ, since their median distance sets the width of "
                         "the kernel, got a median of 0")
    return found


def by_features(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> bool:
    """Whether d x d moments are less work than n x n entries."""
    (n, d_x), d_y = x.shape, y.shape[1]
    return d_x**2 + d_y**2 + d_x * d_y <= n * (d_x + d_y)


@partial(jax.jit, static_argnums=2)
def linear_alignments(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], block: int | None = None) -> Alignments:
    """CKA with the linear kernel."""
    views = centred(x), centred(y)
    if by_features(x, y):
        return feature_alignments(*views, views[1])
    return _alignments(*_kernel_sums(*views, _inner, block), *(jnp.sum(view**2, axis=1) for view in views))


def feature_alignments(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], same: Float[Array, "n d_y"]) -> Alignments:
    """CKA of centred views with the linear kernel, from d x d moments; `same` has the rows of y in any order."""
    return _alignments(*_feature_sums(x, y, same))


@partial(jax.jit, static_argnums=3)
def rbf_alignments(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], bandwidth: Float[ArrayLike, ""],
                   block: int | None = None) -> Alignments:
    """CKA with the Gaussian kernel; NaN where the median distance is 0."""
    bandwidth = jnp.asarray(bandwidth, x.dtype)
    views = [in_widths(view, bandwidth) for view in (x, y)]
    # The entry of the median pair is taken off all, so that sums of many entries near 1 do not cancel.
    typical = jnp.exp(-0.5 / bandwidth**2)
    sums = _kernel_sums(*views, lambda a, b: jnp.exp(-_squared_distances(a, b)) - typical, block)
    return _alignments(*sums, *[jnp.full(len(x), 1 - typical)] * 2)


def in_widths(view: Float[Array, "n d"], bandwidth: Float[Array, ""]) -> Float[Array, "n d"]:
    """The centred view in units of sqrt(2) s, in which the Gaussian kernel is exp(-|a - b|^2)."""
    view, n = centred(view), len(view)
    part = view[np.linspace(0, n - 1, min(n, MEDIAN_ROWS)).round().astype(int)]
    median = jnp.median(_squared_distances(part, part)[np.triu_indices(len(part), 1)])
    rounding = 16 * jnp.finfo(view.dtype).eps * jnp.mean(jnp.sum(part**2, axis=1))
    median = jnp.where(median > rounding, median, jnp.nan)
    return view / (bandwidth * jnp.sqrt(2 * median))


@partial(jax.jit, static_argnums=1)
def kernel_matrix(view: Float[Array, "n d"], kernel: str, bandwidth: Float[ArrayLike, ""]) -> Float[Array, "n n"]:
    """K, held whole."""
    if kernel == "linear":
        return _inner(centred(view), centred(view))
    view = in_widths(view, jnp.asarray(bandwidth, view.dtype))
    return jnp.exp(-_squared_distances(view, view))


def alignments_of_matrices(k: Float[Array, "n n"], l: Float[Array, "n n"]) -> Alignments:  # noqa: E741
    """CKA of kernel matrices that are held whole."""
    ends = jnp.diag(k), jnp.diag(l)
    rows = [jnp.sum(m, axis=1) - end for m, end in zip((k, l), ends, strict=True)]
    products = [jnp.sum(a * b) - jnp.dot(e, f) for a, b, e, f in ((k, l, *ends), (k, k, ends[0], ends[0]),
                                                                  (l, l, ends[1], ends[1]))]
    return _alignments(products, *rows, *ends)


def kernel_lists(view: Float[Array, "n d"], k: int, distance: str, block: int | None
                 ) -> tuple[Int[Array, "n k"], Float[Array, "n k"]]:
    """The k nearest neighbours of each row, and the inner products with them."""
    near = neighbour_lists(metric_points(jax.lax.stop_gradient(view), distance), k, block)
    rows = unit_rows(view) if distance == "cosine" else centred(view)
    products = jax.lax.map(jax.checkpoint(lambda other: jnp.sum(rows * rows[other], axis=1)), near.T)
    return near, products.T


def alignment_of_lists(near_x: Int[Array, "n k"], k_x: Float[Array, "n k"], near_y: Int[Array, "n k"],
                       k_y: Float[Array, "n k"]) -> Float[Array, ""]:
    """CKNNA from the neighbours of each row in either view and the kernels' entries there."""
    n = len(near_x)
    both = _hsic(*_list_sums(near_x, k_x * _among(near_x, near_y), near_y, k_y * _among(near_y, near_x)), n, True)
    return both / jnp.sqrt(own_hsic_of_lists(near_x, k_x) * own_hsic_of_lists(near_y, k_y))


def own_hsic_of_lists(near: Int[Array, "n k"], entries: Float[Array, "n k"]) -> Float[Array, ""]:
    """HSIC_u of one view's masked kernel with itself."""
    return _hsic(*_list_sums(near, entries, near, entries), len(near), True)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _cknna(x, y, k, distance, block):
    lists = [kernel_lists(view, k, distance, block) for view in (x, y)]
    return undefined_if_not_finite(alignment_of_lists(*lists[0], *lists[1]), x, y)


def _among(near, others):
    """Which entries of near, shape (n, k), are among the others of their row."""
    return jax.lax.map(lambda entry: jnp.any(entry[:, None] == others, axis=1), near.T).T


def _list_sums(near_a, a, near_b, b):
    """tr(A B), column sums of A and row sums of B, whose product is 1'A B 1, of sparse A and B."""
    rows = jnp.arange(len(near_a))

    def returned(total, entry):
        partner, value = entry
        back = jnp.sum(jnp.where(near_b[partner] == rows[:, None], b[partner], 0), axis=1)
        return total + jnp.sum(value * back), None

    trace = jax.lax.scan(returned, jnp.zeros((), a.dtype), (near_a.T, a.T))[0]
    columns = jnp.zeros(len(near_a), a.dtype).at[near_a].add(a)
    return trace, columns, jnp.sum(b, axis=1)


def _hsic(product, rows_k, rows_l, n, unbiased):
    """From sum_ij K_ij L_ji and the sums of rows (or columns) of K and L; diagonals are zero where unbiased."""
    total, cross = jnp.sum(rows_k) * jnp.sum(rows_l), jnp.dot(rows_k, rows_l)
    if unbiased:
        return product + total / (n - 1) / (n - 2) - 2 * cross / (n - 2)
    return product + total / n / n - 2 * cross / n  # n^2 may be no 32-bit integer


def _alignments(products, rows_k, rows_l, diagonal_k, diagonal_l):
    """From sums of K L, K K and L L and of rows, all without the diagonals, and the diagonals."""
    n = len(rows_k)
    sides = ((rows_k, rows_l), (rows_k, rows_k), (rows_l, rows_l))
    kl, kk, ll = (_hsic(p, a, b, n, True) for p, (a, b) in zip(products, sides, strict=True))
    unbiased = kl / jnp.sqrt(kk * ll)
    ends = ((diagonal_k, diagonal_l), (diagonal_k, diagonal_k), (diagonal_l, diagonal_l))
    kl, kk, ll = (_hsic(p + jnp.dot(e, f), a + e, b + f, n, False)
                  for p, (a, b), (e, f) in zip(products, sides, ends, strict=True))
    # A random pairing of rows has tr(K H L H) = tr(K H) tr(L H) / (n - 1) on average.
    traces = [jnp.sum(e) - jnp.sum(a + e) / n for a, e in ((rows_k, diagonal_k), (rows_l, diagonal_l))]
    return Alignments(kl / jnp.sqrt(kk * ll), unbiased, traces[0] * traces[1] / (n - 1) / jnp.sqrt(kk * ll))


def _feature_sums(x, y, same):
    """Of linear kernels of centred views: tr(K L) = |x'y|^2, and rows of K sum to 0, both with the diagonal |x_i|^2."""
    products = [jnp.sum(jnp.dot(a.T, b, precision="highest") ** 2) for a, b in ((x, y), (x, x), (same, same))]
    q, r = jnp.sum(x**2, axis=1), jnp.sum(y**2, axis=1)
    return [p - jnp.dot(a, b) for p, (a, b) in zip(products, ((q, r), (q, q), (r, r)), strict=True)], -q, -r, q, r


def _kernel_sums(x, y, kernel, block):
    """Sums of K L, K K, L L and of the rows of K and L without their diagonals, over blocks of rows."""
    n = len(x)

    def sums(rows, part_x, part_y):
        is_other = rows[:, None] != jnp.arange(n)
        a, b = kernel(part_x, x) * is_other, kernel(part_y, y) * is_other
        return tuple(jnp.sum(m, axis=1) for m in (a * b, a * a, b * b, a, b))

    *products, rows_k, rows_l = map_row_blocks(sums, x, y, block=block)
    return [jnp.sum(p) for p in products], rows_k, rows_l


def _inner(a, b):
    return jnp.dot(a, b.T, precision="highest")


def _squared_distances(a, b):
    squares = jnp.sum(a**2, axis=1)[:, None] + jnp.sum(b**2, axis=1)
    return jnp.maximum(squares - 2 * _inner(a, b), 0)
