"""Metrics of correlations: canonical ones, all or among leading directions, and those between samples."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from phasejax._pytree import HostOrDevice, check_count, is_traced
from phasejax.alignment.views import centred, directions, paired, undefined_if_not_finite
from phasejax.covariance import covariances_from_samples
from phasejax.linalg import top_k_eigenspace
from phasejax.solvers import canonical_correlations

# Directions that `svcca` compares when nothing is said, where both views have so many.
COMPONENTS = 10


def svcca(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"], *, components: int | None = None,
          standardise: bool = False) -> Float[Array, ""]:
    r"""Singular vector canonical correlation analysis: mean canonical correlation of the leading directions.

    .. math::  \frac{1}{c} \bigl\| U_x^\top U_y \bigr\|_*

    with U_x (n, c) the left singular vectors of the c largest singular values of the centred x. Of independent
    representations about c / n of it is chance.

    Args:
        x, y: n rows that pair, shapes (n, d_x) and (n, d_y).
        components: c, from 1 to min(d_x, d_y, n - 1); when left out 10, or that limit where it is lower.
        standardise: divide each column by its deviation first, as PRH's code does. Without, the value does not
            depend on rotations of either view.

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
    x, y = paired(x, y)
    components = svcca_components(components, x, y)
    scores = [leading_scores(name, view, components, standardise) for name, view in (("x", x), ("y", y))]
    return undefined_if_not_finite(jnp.mean(_correlations(*scores, f"{components} independent directions")), x, y)


def mean_canonical_correlation(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"]
                               ) -> Float[Array, ""]:
    r"""Mean of all canonical correlations, `phasejax.canonical_correlations` of the centred views.

    .. math::  \frac{1}{m} \bigl\| S_{xx}^{-1/2} S_{xy} S_{yy}^{-1/2} \bigr\|_*, \qquad m = \min(d_x, d_y)

    Biased upwards where n is not many times d_x + d_y, see `phasejax.finite_sample`: compare with its null mean
    (`align`).

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
    x, y = paired(x, y)
    columns = x.shape[1] + y.shape[1]
    if x.shape[0] <= columns:
        raise ValueError(f"x: expected more rows than the {columns} columns of both views (else some correlations are "
                         f"1 by construction), got {x.shape[0]}")
    scaled = [standardised(name, view) for name, view in (("x", x), ("y", y))]
    return undefined_if_not_finite(jnp.mean(_correlations(*scaled, "linearly independent columns")), x, y)


def correlation_matrix_distance(x: Shaped[HostOrDevice, "n d_x"], y: Shaped[HostOrDevice, "n_y d_y"]
                                ) -> Float[Array, ""]:
    r"""Distance of the matrices of correlations between samples: the smaller, the more aligned.

    .. math::  1 - \frac{\mathrm{tr}(R_x R_y)}{\|R_x\|_F \|R_y\|_F}, \qquad R_{x,ij} = \cos(x_i - \bar x, x_j - \bar x)

    R_x is n x n, so d_x and d_y may differ and rotations and the scale of a view do not matter. It is computed as
    tr(R_x R_y) = ||U_x'U_y||_F^2 with unit rows U, in n d^2 operations.

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
    x, y = paired(x, y)
    units = [unit_deviations(name, view) for name, view in (("x", x), ("y", y))]
    u, v = units
    both, own_x, own_y = (jnp.sum(jnp.dot(a.T, b, precision="highest") ** 2) for a, b in ((u, v), (u, u), (v, v)))
    return undefined_if_not_finite(1 - both / jnp.sqrt(own_x * own_y), x, y)


def svcca_components(components: int | None, x: Float[Array, "n d_x"], y: Float[Array, "n d_y"]) -> int:
    """How many directions to compare.

    Raises:
        ValueError: fewer than 1, or more than the views can have.
    """
    top = min(x.shape[1], y.shape[1], x.shape[0] - 1)
    if components is None:
        return min(COMPONENTS, top)
    check_count("components", components)
    if components > top:
        raise ValueError(f"components: expected at most min(d_x, d_y, n - 1) = {top}, got {components}")
    return components


def leading_scores(name: str, view: Float[Array, "n d"], components: int, standardise: bool) -> Float[Array, "n c"]:
    """n values on each of the c leading directions: the span of the left singular vectors, not their scale."""
    view = standardised(name, view) if standardise else centred(view)
    n, d = view.shape
    if d <= n:
        return view @ top_k_eigenspace(jnp.dot(view.T, view, precision="highest"), components)
    return top_k_eigenspace(jnp.dot(view, view.T, precision="highest"), components)


def standardised(name: str, view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Columns of mean 0 and mean square 1.

    Raises:
        ValueError: a constant column.
    """
    view = view - jnp.mean(view, axis=0)
    view = view - jnp.mean(view, axis=0)
    largest = jnp.max(jnp.abs(view), axis=0)
    if not is_traced(view) and not bool(jnp.all(largest > 0)):
        raise ValueError(f"{name}: expected columns that vary, got a constant in column {int(jnp.argmin(largest))}")
    view = view / jax.lax.stop_gradient(largest)
    return view / jnp.sqrt(jnp.mean(view**2, axis=0))


def unit_deviations(name: str, view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Rows of unit length in the direction from the mean.

    Raises:
        ValueError: a row equal to the mean.
    """
    try:
        return directions(name, centred(view))
    except ValueError:
        raise ValueError(f"{name}: expected rows other than their mean, which have a direction from it, got one "
                         "equal to it") from None


def _correlations(x, y, expected):
    found = canonical_correlations(covariances_from_samples(x, y))
    if not is_traced(found) and not bool(jnp.all(jnp.isfinite(found))):
        raise ValueError(f"x, y: expected {expected}, got a view of lower rank")
    return found
