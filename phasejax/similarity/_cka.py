r"""Centred kernel alignment (CKA): how similar are two kernel matrices of the same samples?

With K_ij = k(x_i, x_j), L_ij = l(y_i, y_j) and H = I - 11'/n, CKA is a normalised Hilbert-Schmidt independence
criterion, in the biased or the unbiased form

.. math::
    \mathrm{HSIC}_b = \mathrm{tr}(K H L H), \qquad
    \mathrm{HSIC}_u = \mathrm{tr}(\tilde K \tilde L) + \frac{1^\top \tilde K 1\; 1^\top \tilde L 1}{(n-1)(n-2)}
    - \frac{2}{n-2}\, 1^\top \tilde K \tilde L 1

up to factors of n, where a tilde means a diagonal of zeros. Both need only the sum of K_ij L_ij and the sums of rows,
so no more than a block of either matrix is held in memory. Neither changes when a constant is added to a kernel.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Shaped

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_choice, check_number, is_traced, shown
from phasejax.similarity._inputs import centred, map_row_blocks, near_the_origin, paired, undefined_if_not_finite

# Number of rows whose pairs give the median distance.
MEDIAN_ROWS = 1000
# What is smaller than so many rounding errors has less than three digits.
_DIGITS = 1000
# Kernels narrower than this, in median distances, are 0 between all rows but copies of each other.
_NARROW = 1e-3
MEDIAN_OF_ZERO = ("x, y: expected most pairs of rows to differ, since their median distance sets the width of the "
                  "kernel, got a median of 0")


@checked
def cka(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, kernel: str = "linear",
        unbiased: bool = False, bandwidth: Float[ArrayLike, ""] = 1.0, block: int | None = None) -> Float[Array, ""]:
    r"""Centred kernel alignment.

    .. math::  \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K)\, \mathrm{HSIC}(L, L)}}

    The biased form of independent representations tends to 1 as d / n grows; the unbiased one has mean near 0, and may
    be negative. The linear kernel is computed from d x d moments where that is less work than n x n entries.
    CKA does not depend on the units of a view, but it does on those of single columns, which count by their variance:
    where columns are in different units, standardise them first. Nor is it robust: a linear kernel is that of a row
    that is far from all others, where there is one.

    Args:
        x, y: n rows that pair, n >= 4, shapes (n, d_x) and (n, d_y).
        kernel: "linear", k(a, b) = a'b, or "rbf", k(a, b) = exp(-|a - b|^2 / (2 s^2)).
        unbiased: HSIC_u instead of HSIC_b.
        bandwidth: b > 0 of the RBF kernel (1 with the linear one, which has none), where s^2 is b^2 times the median
            squared distance between two rows of the view. The median is over the pairs of 1000 rows at most, evenly
            spaced; it takes part in derivatives.
        block: rows of the kernel matrices that are held at once.

    Returns:
        In [0, 1]; in [-1, 1] where unbiased.

    Raises:
        ValueError: shapes that do not pair, fewer than 4 rows, values that are not finite, rows that are all the same,
            an unknown kernel, a bandwidth that is not above 0, or a median distance of 0; where unbiased, rows of which
            few are so far from all others that rounding leaves less than three digits.

    Source: Kornblith, Norouzi, Lee and Hinton 2019, section 3; unbiased: Song et al. 2012, eq. 5.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> round(float(cka(x, 3 * x[:, ::-1] + 5)), 4), round(float(cka(x, x[:, :1])), 4)
    (1.0, 0.7071)
    """
    check_choice("kernel", kernel, ("linear", "rbf"))
    if kernel == "linear" and (is_traced(bandwidth) or bandwidth != 1):
        raise ValueError(f"bandwidth: expected 1 with the linear kernel, which has none, got {shown(bandwidth)}")
    x, y = paired(x, y, rows=4, shifts_matter=False)
    if kernel == "linear":
        found = linear_cka(x, y, block)
    else:
        check_bandwidth(bandwidth)
        found = rbf_cka(x, y, bandwidth, block)
    value = found.unbiased if unbiased else found.biased
    if not is_traced(value) and jnp.isnan(value):
        raise ValueError(why_undefined(x, y, kernel, bandwidth, unbiased=unbiased))
    return undefined_if_not_finite(value, x, y)


def why_undefined(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], kernel: str, bandwidth: Float[ArrayLike, ""], *,
                  unbiased: bool) -> str:
    """What is wrong where CKA of these views is NaN."""
    if kernel == "rbf":
        if any(bool(jnp.isnan(_in_kernel_widths(view, jnp.ones((), view.dtype))).any()) for view in (x, y)):
            return MEDIAN_OF_ZERO
        width = float(np.asarray(bandwidth))
        if width > 1:
            return (f"bandwidth: expected a width at which distances tell in {x.dtype}, got {width:g} median "
                    "distances, at which all rows are alike")
        if width < _NARROW:
            return f"bandwidth: expected a width at which some rows are alike, got {width:g} median distances"
    form = "the unbiased form" if unbiased else "the kernel"
    return (f"x, y: expected rows none of which is far from all others, since in {form} these leave less than three "
            "digits of the others (take a metric of neighbours)")


class CkaForms(NamedTuple):
    """CKA in both forms, and the mean of the biased one over all pairings of rows (that of the unbiased one is 0)."""

    biased: Float[Array, ""]
    unbiased: Float[Array, ""]
    chance: Float[Array, ""]


def check_bandwidth(bandwidth: Float[ArrayLike, ""]) -> None:
    """Refuse a width of 0 or below.

    Raises:
        ValueError: a bandwidth that is not above 0.
    """
    if not is_traced(bandwidth):
        check_number("bandwidth", bandwidth, above=0)


# The linear kernel


def fewer_moments_than_entries(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> bool:
    """Whether the linear kernel is less work with d x d moments than with n x n entries."""
    (n, d_x), d_y = x.shape, y.shape[1]
    return d_x**2 + d_y**2 + d_x * d_y <= n * (d_x + d_y)


@partial(jax.jit, static_argnums=2)
def linear_cka(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], block: int | None = None) -> CkaForms:
    """CKA with the linear kernel."""
    x, y = centred(x), centred(y)
    if fewer_moments_than_entries(x, y):
        return cka_from_moments(x, y, moment_product(x, x), moment_product(y, y))
    return _normalised(*_kernel_sums(x, y, _inner, block), jnp.sum(x**2, axis=1), jnp.sum(y**2, axis=1))


def cka_from_moments(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], own_x: Float[Array, ""],
                     own_y: Float[Array, ""]) -> CkaForms:
    """CKA of centred views with the linear kernel, from tr(K L) = |x'y|^2; sums of rows of K are 0.

    Args:
        x, y: centred views.
        own_x, own_y: |x'x|^2 and |y'y|^2, the `moment_product` of either view with itself.
    """
    q, r = jnp.sum(x**2, axis=1), jnp.sum(y**2, axis=1)  # the diagonals, which these products contain
    products = [p - jnp.dot(a, b) for p, a, b in ((moment_product(x, y), q, r), (own_x, q, q), (own_y, r, r))]
    return _normalised(products, -q, -r, q, r)


def moment_product(u: Float[Array, "n d_x"], v: Float[Array, "n d_y"]) -> Float[Array, ""]:
    """tr(u u' v v') = |u'v|^2, by a d_x x d_y matrix, or by blocks of n x n entries where that is less work."""
    if u.shape[1] * v.shape[1] > len(u) * (u.shape[1] + v.shape[1]):
        return jnp.sum(map_row_blocks(lambda _, a, b: jnp.sum(_inner(a, u) * _inner(b, v), axis=1), u, v))
    return jnp.sum(jnp.dot(u.T, v, precision="highest") ** 2)


# The Gaussian kernel


@partial(jax.jit, static_argnums=3)
def rbf_cka(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"], bandwidth: Float[ArrayLike, ""],
            block: int | None = None) -> CkaForms:
    """CKA with the Gaussian kernel; NaN where the median distance is 0 or the width of no use."""
    bandwidth = jnp.asarray(bandwidth, x.dtype)
    x, y = _in_kernel_widths(x, bandwidth), _in_kernel_widths(y, bandwidth)
    typical = _median_entry(bandwidth)
    sums = _kernel_sums(x, y, lambda a, b: jnp.exp(-_squared_distances(a, b)) - typical, block)
    diagonal = jnp.full(len(x), 1 - typical)
    return _normalised(*sums, diagonal, diagonal)


def _median_entry(bandwidth: Float[Array, ""]) -> Float[Array, ""]:
    """The kernel's entry for two rows at the median distance.

    It is subtracted from all entries, which changes no HSIC, so that sums of many entries near 1 do not cancel. NaN
    where the kernel is so wide that less than three digits of the differences between entries are left, or so narrow
    that rows at the median distance are infinitely far from each other.
    """
    typical = jnp.exp(-0.5 / bandwidth**2)
    told_apart = 1 - typical > _DIGITS * jnp.finfo(typical.dtype).eps
    return jnp.where(told_apart & (bandwidth > _NARROW), typical, jnp.nan)


def _in_kernel_widths(view: Float[Array, "n d"], bandwidth: Float[Array, ""]) -> Float[Array, "n d"]:
    """The view in units of sqrt(2) s, near the origin, in which the Gaussian kernel is exp(-|a - b|^2)."""
    view, n = near_the_origin(view), len(view)
    part = view[np.linspace(0, n - 1, min(n, MEDIAN_ROWS)).round().astype(int)]
    median = jnp.median(_squared_distances(part, part)[_pairs_of_rows(len(part))])
    rounding = 16 * jnp.finfo(view.dtype).eps * jnp.median(jnp.sum(part**2, axis=1))
    median = jnp.where(median > rounding, median, jnp.nan)
    return view / (bandwidth * jnp.sqrt(2 * median))


def _pairs_of_rows(m: int) -> tuple[Int[Array, "p"], Int[Array, "p"]]:
    """All p = m (m - 1) / 2 pairs (i, j) of row numbers with i < j, in some order.

    `np.triu_indices` would put megabytes of constants into the compiled program. Here row r of the triangle and row
    m - 1 - r (or m - 2 - r where m is odd) make one row of a rectangle, in which a place is known from its number.
    """
    odd = m % 2
    number = jnp.arange(m * (m - 1) // 2, dtype=jnp.int32)
    r, c = number // (m - 1 + odd), number % (m - 1 + odd)
    first = c >= r + odd
    return jnp.where(first, r, m - 1 - odd - r), jnp.where(first, c + 1 - odd, m - odd - r + c)


# Kernel matrices that are held whole, for many pairings or parts of the same rows


class WholeKernel(NamedTuple):
    """A kernel matrix up to a constant, its diagonal apart."""

    others: Float[Array, "n n"]
    diagonal: Float[Array, "n"]


class KernelPair(NamedTuple):
    """Two kernel matrices K and L with what any pairing of their rows, or part of them, has in common.

    Args:
        k, l: the matrices.
        products: entry by entry, of K and L, of K and K, of L and L, without the diagonals.
        totals: their sums.
        rows_k, rows_l: sums of rows, without the diagonals.
    """

    k: WholeKernel
    l: WholeKernel  # noqa: E741
    products: tuple[Float[Array, "n n"], Float[Array, "n n"], Float[Array, "n n"]]
    totals: tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]
    rows_k: Float[Array, "n"]
    rows_l: Float[Array, "n"]


@partial(jax.jit, static_argnums=1)
def whole_kernel(view: Float[Array, "n d"], kernel: str, bandwidth: Float[ArrayLike, ""]) -> WholeKernel:
    """The kernel matrix of a view; of the Gaussian kernel less the entry of the median distance."""
    n = len(view)
    if kernel == "linear":
        view = centred(view)
        entries, diagonal = _inner(view, view), jnp.sum(view**2, axis=1)
    else:
        width = jnp.asarray(bandwidth, view.dtype)
        view, typical = _in_kernel_widths(view, width), _median_entry(width)
        entries, diagonal = jnp.exp(-_squared_distances(view, view)) - typical, jnp.full(n, 1 - typical)
    return WholeKernel(jnp.where(jnp.eye(n, dtype=bool), 0, entries), diagonal)


@jax.jit
def kernel_pair(k: WholeKernel, l: WholeKernel) -> KernelPair:  # noqa: E741
    """What pairings and parts of two kernel matrices have in common."""
    products = (k.others * l.others, k.others**2, l.others**2)
    totals = (jnp.sum(products[0]), jnp.sum(products[1]), jnp.sum(products[2]))
    return KernelPair(k, l, products, totals, jnp.sum(k.others, axis=1), jnp.sum(l.others, axis=1))


def cka_of_pairing(pair: KernelPair, order: Int[Array, "n"]) -> CkaForms:
    """CKA where row i of x pairs with row order[i] of y."""
    others = pair.l.others

    def product(row):
        entries, partner = row
        return jnp.dot(entries, others[partner].at[order].get(mode="promise_in_bounds"), precision="highest")

    # On a CPU one row at a time is fastest, since a row of either matrix fits its smallest cache.
    of_rows = jax.lax.platform_dependent((pair.k.others, order), cpu=partial(jax.lax.map, product),
                                         default=partial(jax.lax.map, product, batch_size=512))
    products = (jnp.sum(of_rows), *pair.totals[1:])
    return _normalised(products, pair.rows_k, pair.rows_l[order], pair.k.diagonal, pair.l.diagonal[order])


def cka_of_parts(pair: KernelPair, parts: Int[Array, "b m"]) -> CkaForms:
    """CKA of each of b sets of rows alone; sums over a set are products with its indicator, for all sets at once."""
    b = len(parts)
    chosen = jnp.zeros((len(pair.rows_k), b), pair.rows_k.dtype).at[parts, jnp.arange(b)[:, None]].set(1)

    def sums(matrix):
        return jnp.dot(matrix, chosen, precision="highest")

    products = tuple(jnp.sum(sums(matrix) * chosen, axis=0) for matrix in pair.products)
    rows_k, rows_l = (jnp.take_along_axis(sums(view.others).T, parts, axis=1) for view in (pair.k, pair.l))
    return jax.vmap(_normalised)(products, rows_k, rows_l, pair.k.diagonal[parts], pair.l.diagonal[parts])


# What the forms are made of


def hsic(product: Float[Array, ""], rows_k: Float[Array, "n"], rows_l: Float[Array, "n"], *, unbiased: bool
         ) -> Float[Array, ""]:
    """HSIC from sum_ij K_ij L_ji and the sums of rows (or of columns) of K and L; diagonals are 0 where unbiased."""
    n, total, cross = len(rows_k), jnp.sum(rows_k) * jnp.sum(rows_l), jnp.dot(rows_k, rows_l)
    if unbiased:
        return product + total / (n - 1) / (n - 2) - 2 * cross / (n - 2)
    return product + total / n / n - 2 * cross / n  # n^2 may be no 32-bit integer


def _normalised(products, rows_k, rows_l, diagonal_k, diagonal_l) -> CkaForms:
    """CKA from the sums of K L, K K, L L and of rows, all without the diagonals, and the diagonals."""
    n = len(rows_k)
    sides = ((rows_k, rows_l), (rows_k, rows_k), (rows_l, rows_l))
    kl, kk, ll = (hsic(p, a, b, unbiased=True) for p, (a, b) in zip(products, sides, strict=True))
    lost = [_is_lost(own, p, a, n) for own, p, (a, _) in zip((kk, ll), products[1:], sides[1:], strict=True)]
    unbiased = jnp.where(lost[0] | lost[1], jnp.nan, kl / jnp.sqrt(kk * ll))
    ends = ((diagonal_k, diagonal_l), (diagonal_k, diagonal_k), (diagonal_l, diagonal_l))
    kl, kk, ll = (hsic(p + jnp.dot(e, f), a + e, b + f, unbiased=False)
                  for p, (a, b), (e, f) in zip(products, sides, ends, strict=True))
    # A random pairing of rows has tr(K H L H) = tr(K H) tr(L H) / (n - 1) on average.
    traces = [jnp.sum(e) - jnp.sum(a + e) / n for a, e in ((rows_k, diagonal_k), (rows_l, diagonal_l))]
    return CkaForms(kl / jnp.sqrt(kk * ll), unbiased, traces[0] * traces[1] / (n - 1) / jnp.sqrt(kk * ll))


def _is_lost(own, product, rows, n):
    """Whether rounding leaves less than three digits of the unbiased HSIC of a kernel with itself."""
    terms = jnp.abs(product) + jnp.sum(rows) ** 2 / (n - 1) / (n - 2) + 2 * jnp.dot(rows, rows) / (n - 2)
    return ~(own > (_DIGITS + n) * jnp.finfo(terms.dtype).eps * terms)


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
