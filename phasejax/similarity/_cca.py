"""Similarity by correlation: canonical correlations of columns, and the matrix of correlations between samples.

SVCCA takes canonical correlations among the leading directions of either view only, `mean_canonical_correlation` all of
them, as in theorem A.1 of K26. The correlation matrix distance compares which samples point in the same direction.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from phasejax._core.checked_call import checked
from phasejax._core.linalg import top_k_eigenspace
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count, is_traced
from phasejax.linear import canonical_correlations, covariances_from_samples
from phasejax.similarity._cka import moment_product
from phasejax.similarity._inputs import centred, map_row_blocks, paired, undefined_if_not_finite, unit_rows

# Number of directions that `svcca` compares by default, where both views have so many.
COMPONENTS = 10


@checked
def svcca(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, components: int | None = None,
          standardise: bool = False) -> Float[Array, ""]:
    r"""Singular vector canonical correlation analysis: mean canonical correlation of the leading directions.

    .. math::  \frac{1}{c} \bigl\| U_x^\top U_y \bigr\|_*

    with U_x (n, c) the left singular vectors of the c largest singular values of the centred x. Independent
    representations have a value of about 0.85 sqrt(c / n) where c is much smaller than n. Which directions lead depends
    on the units of single columns, unless they are standardised; those of a view as a whole do not matter.

    Args:
        x, y: n rows that pair, shapes (n, d_x) and (n, d_y).
        components: c, from 1 to min(d_x, d_y, n - 1); when left out 10, or that limit where it is lower.
        standardise: divide each column by its standard deviation first, as the published code of Huh et al. 2024
            does. Otherwise the value does not depend on rotations of either view.

    Returns:
        In [0, 1]. Derivatives need a gap after the c-th singular value.

    Raises:
        ValueError: shapes that do not pair, components out of range or above the rank of a view, values that are not
            finite, a constant column under `standardise`.

    Source: Raghu, Gilmer, Yosinski and Sohl-Dickstein 2017, section 2.

    >>> x = jnp.array([[2.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [0.0, -1.0]])
    >>> round(float(svcca(x, x[:, ::-1], components=1)), 4), round(float(svcca(x, x[:, ::-1] + 3)), 4)
    (1.0, 1.0)
    """
    x, y = paired(x, y, shifts_matter=False)
    components = svcca_components(components, x, y)
    if standardise:
        check_columns_vary(x=x, y=y)
    return _defined(_svcca(x, y, components, standardise), lower_rank(components))


@checked
def mean_canonical_correlation(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"]
                               ) -> Float[Array, ""]:
    r"""Mean of all canonical correlations, `phasejax.linear.canonical_correlations` of the centred views.

    .. math::  \frac{1}{m} \bigl\| S_{xx}^{-1/2} S_{xy} S_{yy}^{-1/2} \bigr\|_*, \qquad m = \min(d_x, d_y)

    No units of any column matter. Biased upwards where n is not many times d_x + d_y: compare the value with its mean
    over random pairings, which `compare_representations` gives.

    Args:
        x, y: n rows that pair, n > d_x + d_y, shapes (n, d_x) and (n, d_y), of full column rank.

    Returns:
        In [0, 1].

    Raises:
        ValueError: shapes that do not pair, too few rows, values that are not finite, constant or linearly dependent
            columns.

    Source: K26, Theorem A.1.

    >>> x = jnp.array([[2.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    >>> round(float(mean_canonical_correlation(x, x @ jnp.array([[1.0, 2.0], [0.0, 1.0]]))), 3)
    1.0
    """
    x, y = paired(x, y, shifts_matter=False)
    check_canonical(x, y)
    return _defined(_mean_correlation(x, y), lower_rank(None))


@checked
def correlation_matrix_distance(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"]
                                ) -> Float[Array, ""]:
    r"""Distance of the matrices of correlations between samples: the smaller, the more similar the views.

    .. math::  1 - \frac{\mathrm{tr}(R_x R_y)}{\|R_x\|_F \|R_y\|_F}, \qquad R_{x,ij} = \cos(x_i - \bar x, x_j - \bar x)

    R_x is n x n, so d_x and d_y may differ, and neither rotations nor the scale of a view matter; the units of single
    columns do. The trace is computed as tr(R_x R_y) = ||U_x'U_y||_F^2 with U the centred rows at unit length, in n d^2
    operations, or in n^2 d from R itself where that is less.

    Args:
        x, y: n rows that pair, shapes (n, d_x) and (n, d_y).

    Returns:
        In [0, 1].

    Raises:
        ValueError: shapes that do not pair, values that are not finite, a row equal to the mean.

    Source: Herdin, Czink, Ozcelik and Bonek 2005, eq. 2, with samples as the variables.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> round(float(correlation_matrix_distance(x, -2 * x + 1)), 4)
    0.0
    """
    x, y = paired(x, y, shifts_matter=False)
    return _defined(_matrix_distance(x, y), ROW_AT_MEAN)


ROW_AT_MEAN = "x, y: expected rows other than their mean, which has no direction from it, got one equal to it"


def lower_rank(components: int | None) -> str:
    """What is wrong with views that lack `components` independent directions, or columns where that is None."""
    expected = "linearly independent columns" if components is None else f"{components} independent directions"
    return f"x, y: expected {expected}, got a view of lower rank"


def check_canonical(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> None:
    """Refuse views whose canonical correlations cannot be estimated.

    Raises:
        ValueError: too few rows, or a constant column.
    """
    columns = x.shape[1] + y.shape[1]
    if x.shape[0] <= columns:
        raise ValueError(f"x: expected more rows than the {columns} columns of both views (else some correlations are "
                         f"1 by construction), got {x.shape[0]}")
    check_columns_vary(x=x, y=y)


def svcca_components(components: int | None, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> int:
    """The number of directions to compare, checked; by default as many as `COMPONENTS` or the views allow.

    Raises:
        ValueError: fewer than 1, or more than the views can have.
    """
    top = min(x.shape[1], y.shape[1], x.shape[0] - 1)
    if components is None:
        return min(COMPONENTS, top)
    components = check_count("components", components)
    if components > top:
        raise ValueError(f"components: expected at most min(d_x, d_y, n - 1) = {top}, got {components}")
    return components


def check_columns_vary(**views: Float[Array, "n _"]) -> None:
    """Refuse columns that cannot be brought to unit variance.

    Raises:
        ValueError: a constant column.
    """
    for name, view in views.items():
        if not is_traced(view):
            constant = np.asarray(_constant_columns(view))
            if constant.any():
                raise ValueError(f"{name}: expected columns that vary, got {constant.sum()} constant, the first "
                                 f"column {constant.argmax()}")


def leading_scores(view: Float[Array, "n d"], components: int, standardise: bool) -> Float[Array, "n c"]:
    """Coordinates of the n rows along the c leading directions, at any scale; NaN where the rank is lower than c."""
    view = standardised(view) if standardise else centred(view)
    n, d = view.shape
    if d > n:
        return _leading_basis(jnp.dot(view, view.T, precision="highest"), components)
    return view @ _leading_basis(jnp.dot(view.T, view, precision="highest"), components)


def centred_products(products: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Inner products of rows after subtraction of their mean, from those before."""
    products = products - jnp.mean(products, axis=0)
    return products - jnp.mean(products, axis=1, keepdims=True)


def _leading_basis(square, components):
    """Leading eigenvectors of a matrix of sums of squares; NaN where its rank is lower than their number."""
    basis = top_k_eigenspace(square, components)
    sizes = jnp.sum((square @ basis) * basis, axis=0)
    return jnp.where(sizes[-1] > len(square) * jnp.finfo(square.dtype).eps * sizes[0], basis, jnp.nan)


def standardised(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The view with columns of mean 0 and mean square 1; NaN where a column is constant."""
    view = view - jnp.mean(view, axis=0)
    view = view - jnp.mean(view, axis=0)
    view = view / jax.lax.stop_gradient(jnp.max(jnp.abs(view), axis=0))
    return view / jnp.sqrt(jnp.mean(view**2, axis=0))


def mean_correlation(x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> Float[Array, ""]:
    """Mean canonical correlation of centred views; NaN where one has linearly dependent columns."""
    return jnp.mean(canonical_correlations(covariances_from_samples(x, y)))


def directions_from_mean(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The deviations of the rows from their mean, at unit length; their inner products are the matrix R."""
    return unit_rows(centred(view))


def matrix_distance(u: Float[Array, "n d_x"], v: Float[Array, "n d_y"], own_u: Float[Array, ""],
                    own_v: Float[Array, ""]) -> Float[Array, ""]:
    """1 - tr(R_x R_y) / (|R_x| |R_y|) from the directions of both views and |R_x|^2 and |R_y|^2."""
    return 1 - moment_product(u, v) / jnp.sqrt(own_u * own_v)


def is_wide(view: Float[Array, "n d"]) -> bool:
    """Whether the n x n products of rows are no more numbers than the view itself."""
    return view.shape[1] >= view.shape[0]


def distance_by_rows(u: Float[Array, "n d_x"], v: Float[Array, "n d_y"], own_u: Float[Array, ""],
                     own_v: Float[Array, ""]) -> Float[Array, ""]:
    """`matrix_distance` as |R_x / |R_x| - R_y / |R_y||^2 / 2, over blocks of rows of R_x and R_y.

    The difference from 1 would lose the digits of a small distance.
    """
    u, v = u / own_u**0.25, v / own_v**0.25

    def square(_, part_u, part_v):
        difference = (jnp.dot(part_u, u.T, precision="highest") - jnp.dot(part_v, v.T, precision="highest"))
        return jnp.sum(difference**2, axis=1)

    return jnp.sum(map_row_blocks(square, u, v)) / 2


@partial(jax.jit, static_argnums=(2, 3))
def _svcca(x, y, components, standardise):
    scores = [leading_scores(view, components, standardise) for view in (x, y)]
    return undefined_if_not_finite(mean_correlation(*scores), x, y)


@jax.jit
def _mean_correlation(x, y):
    return undefined_if_not_finite(mean_correlation(standardised(x), standardised(y)), x, y)


@jax.jit
def _matrix_distance(x, y):
    u, v = directions_from_mean(x), directions_from_mean(y)
    own_u, own_v = moment_product(u, u), moment_product(v, v)
    distance = distance_by_rows if is_wide(u) or is_wide(v) else matrix_distance
    return undefined_if_not_finite(distance(u, v, own_u, own_v), x, y)


@jax.jit
def _constant_columns(view):
    return jnp.all(view == view[0], axis=0)


def _defined(value, reason):
    """The value, unless it is known to be NaN: then that is refused for the reason given."""
    if not is_traced(value) and jnp.isnan(value):
        raise ValueError(reason)
    return value
