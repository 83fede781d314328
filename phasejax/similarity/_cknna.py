r"""Centred kernel alignment among nearest neighbours (CKNNA): CKA of kernels that are 0 except between neighbours.

The masked kernel matrices have k entries in each row, so that they are held as lists of neighbours with the kernel's
entries there, and the sums that `hsic` needs are taken over the lists.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from phasejax._core.checked_call import checked
from phasejax._core.pytree import HostOrDevice
from phasejax._core.validation import check_count, is_traced
from phasejax.similarity._cka import hsic
from phasejax.similarity._inputs import centred, paired, undefined_if_not_finite, unit_rows
from phasejax.similarity._neighbours import check_neighbours, metric_points, neighbour_lists


@checked
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
    gives unbiased CKA. Above 1 or below -1 at very small n at most.

    Args, Raises: as `mutual_knn`, with k >= 2 and n >= 4; also where an HSIC in the denominator is not positive, which
    can happen at very small n.

    Source: Huh et al. 2024, appendix, as in its published code (which adds 1e-6 to the denominator).

    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8], [0.6, -0.8]])
    >>> round(float(cknna(x, 2 * x, k=2)), 4)
    1.0
    """
    x, y = paired(x, y, rows=4, shifts_matter=distance != "euclidean")
    check_neighbours(k, distance, x=x, y=y)
    k = check_count("k", k, 2)
    value = _cknna(x, y, k, distance, block)
    if not is_traced(value) and jnp.isnan(value):
        raise ValueError(DENOMINATOR)
    return value


DENOMINATOR = ("x, y: expected more rows or another k, got neighbours whose kernel has an HSIC with itself that is not "
               "above 0")


def lists_with_entries(view: Float[Array, "n d"], k: int, distance: str, block: int | None
                       ) -> tuple[Int[Array, "n k"], Float[Array, "n k"]]:
    """The k nearest neighbours of each row, and the kernel's entries there: the inner products with them."""
    near = neighbour_lists(metric_points(jax.lax.stop_gradient(view), distance), k, block)
    rows = unit_rows(view) if distance == "cosine" else centred(view)
    products = jax.lax.map(jax.checkpoint(lambda other: jnp.sum(rows * rows[other], axis=1)), near.T)
    return near, products.T


def cknna_of_lists(near_x: Int[Array, "n k"], k_x: Float[Array, "n k"], near_y: Int[Array, "n k"],
                   k_y: Float[Array, "n k"], own_x: Float[Array, ""], own_y: Float[Array, ""]) -> Float[Array, ""]:
    """CKNNA from the neighbours of each row in either view, the kernels' entries there, and both `own_hsic`."""
    both = _hsic_of_lists(near_x, k_x * _which_are_in(near_x, near_y), near_y, k_y * _which_are_in(near_y, near_x))
    return both / jnp.sqrt(own_x * own_y)


def own_hsic(near: Int[Array, "n k"], entries: Float[Array, "n k"]) -> Float[Array, ""]:
    """HSIC_u of one view's masked kernel with itself."""
    return _hsic_of_lists(near, entries, near, entries)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _cknna(x, y, k, distance, block):
    lists = [lists_with_entries(view, k, distance, block) for view in (x, y)]
    value = cknna_of_lists(*lists[0], *lists[1], *(own_hsic(*view) for view in lists))
    return undefined_if_not_finite(value, x, y)


def _which_are_in(near, others):
    """Which entries of near, shape (n, k), are among the others of their row."""
    return jax.lax.map(lambda entry: jnp.any(entry[:, None] == others, axis=1), near.T).T


def _hsic_of_lists(near_a, a, near_b, b):
    """HSIC_u of sparse matrices A and B, from tr(A B), and sums of columns of A and of rows of B.

    The product of these sums is 1'A B 1.
    """
    rows = jnp.arange(len(near_a))

    def add_returned(total, entry):
        partner, value = entry
        back = jnp.sum(jnp.where(near_b[partner] == rows[:, None], b[partner], 0), axis=1)
        return total + jnp.sum(value * back), None

    trace = jax.lax.scan(add_returned, jnp.zeros((), a.dtype), (near_a.T, a.T))[0]
    columns = jnp.zeros(len(near_a), a.dtype).at[near_a].add(a)
    return hsic(trace, columns, jnp.sum(b, axis=1), unbiased=True)
