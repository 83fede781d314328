"""Two representations of the same samples, in the form in which the metrics take them.

Both views are checked and brought to one floating type; here too are the two normalisations that metrics start from
(centred columns, rows of unit length) and the loop over blocks of rows that keeps n x n matrices out of memory.

Half precision and integers are widened, without loss, to JAX's default floating type, float32 unless 64 bits are
enabled (integers beyond 2^24 do lose digits there). Values on which no metric is defined are refused where they can be
inspected, and give NaN where they are traced.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from phasejax._core.forks import check_not_forked
from phasejax._core.validation import check_count, is_traced
from phasejax.io import Table, match_rows
from phasejax.io._duplicates import near_duplicates
from phasejax.io._matching import announce
from phasejax.io._reduction import PrincipalComponents

# A block of rows is compared with all n rows at once. Its number of rows follows from how many such comparisons may be
# in memory, but is not below the second number, under which the loop over blocks would cost more than its content.
_BLOCK_ENTRIES, _LEAST_BLOCK = 2**21, 128
# Number of rows whose medians are the origin of distances.
_MEDIAN_ROWS = 101


def paired(x: Any, y: Any, *, rows: int = 2, shifts_matter: bool = True
           ) -> tuple[Float[Array, "n d_x"], Float[Array, "n d_y"]]:
    """Both views as floating arrays of one type with the same n rows.

    Containers other than plain arrays are matched by the identifiers of their rows (`phasejax.io.match_rows`).

    Args:
        x, y: numbers, shapes (n, d_x) and (n, d_y).
        rows: how many rows a metric needs at least.
        shifts_matter: whether the metric depends on the column means. Where it does not, arrays of NumPy that JAX
            would hold with fewer digits are centred before, since a mean far from zero would take all digits left.

    Raises:
        ValueError: other shapes or types, too few rows, NaN or infinite values, rows that are all the same.
    """
    check_not_forked()
    if not (_is_plain(x) and _is_plain(y)):
        x, y, _ = matched_views(x, y)
    x, y = _floating("x", x, shifts_matter), _floating("y", y, shifts_matter)
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"y: expected {x.shape[0]} rows as in x, got {y.shape[0]}")
    if x.shape[0] < rows:
        raise ValueError(f"x: expected at least {rows} rows, got {x.shape[0]}")
    for name, view in (("x", x), ("y", y)):
        if not is_traced(view):
            _check_values(name, view)
    dtype = jnp.promote_types(x.dtype, y.dtype)
    return x.astype(dtype), y.astype(dtype)


def matched_views(x: Any, y: Any, *, groups: Any = None, by_position: bool = False, missing: str = "error"
                  ) -> tuple[np.ndarray, np.ndarray, Int[np.ndarray, "n"] | None]:
    """The values of two views as arrays whose rows are matched, and the numbers of the groups that rows belong to.

    Args:
        x, y: views, as `phasejax.io.as_named` takes them.
        groups, by_position, missing: as in `phasejax.io.match_rows`.

    Raises:
        ValueError: views that cannot be matched, or with missing values.
    """
    matched = match_rows(x, y, groups=groups, by_position=by_position, missing=missing)
    repeated = near_duplicates(matched.x, matched.y) if matched.groups is None else None
    announce((*matched.readings, *matched.notes, *([] if repeated is None else [repeated])))
    x, y = (view.rows(0, len(view)) if isinstance(view, Table) else view for view in (matched.x, matched.y))
    return x, y, matched.groups


def leading_components(name: str, view: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A view in its leading principal components, where it has more columns than their number.

    Raises:
        ValueError: there are fewer directions in which its rows differ.
    """
    check_count("pca", count)
    if view.ndim != 2 or view.shape[1] <= count or view.dtype.kind not in "fiub":
        return view  # other shapes and types are refused where views are checked
    found = PrincipalComponents.fit(view, count, standardise=False, seed=seed)
    announce([found.note(name)])
    return found.transform(view)


def _is_plain(view: Any) -> bool:
    """Whether a view is an array without mask or foreign byte order, which may be traced."""
    return isinstance(view, jax.Array) or is_traced(view) or (type(view) is np.ndarray and view.dtype.isnative)


def centred(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The view without its column means, divided by its largest entry; no metric depends on either.

    Means are subtracted twice, since the first ones are rounded. The division keeps products of very large or very
    small entries within the range of floating numbers.
    """
    view = view - jnp.mean(view, axis=0)
    view = view - jnp.mean(view, axis=0)
    return view / jax.lax.stop_gradient(jnp.max(jnp.abs(view)))


def near_the_origin(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The view divided by its largest entry, and shifted such that most rows are near the origin.

    Squared distances that are computed as |a|^2 + |b|^2 - 2 a.b have the rounding errors of |a|^2. The mean of the rows
    follows a far row; their median, of evenly spaced rows at most, does not. And it is one of the numbers, or midway
    between two, however a compiler orders the sums: a mean that is computed twice, for squares and for products, may
    be rounded to two numbers.
    """
    n = len(view)
    some = view[np.linspace(0, n - 1, min(n, _MEDIAN_ROWS)).round().astype(int)]
    view = view - jax.lax.stop_gradient(jnp.median(some, axis=0))
    return view / jax.lax.stop_gradient(jnp.max(jnp.abs(view)))


def unit_rows(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The rows at unit length; NaN for a row of zeros."""
    view = view / jax.lax.stop_gradient(jnp.max(jnp.abs(view), axis=1, keepdims=True))
    return view / jnp.linalg.norm(view, axis=1, keepdims=True)


def check_unit_rows(name: str, view: Float[Array, "n d"]) -> None:
    """Refuse rows of zeros, which have no direction.

    Raises:
        ValueError: a row of zeros.
    """
    if not is_traced(view):
        is_zero = np.asarray(_zero_rows(view))
        if is_zero.any():
            raise ValueError(f"{name}: expected rows other than zero, which have no direction (distance 'euclidean' "
                             f"needs none), got zeros in {is_zero.sum()} rows, the first row {is_zero.argmax()}")


def undefined_if_not_finite(value: Float[Array, ""], *views: Float[Array, "n _"]) -> Float[Array, ""]:
    """The value, or NaN where a view has an entry that is not finite."""
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(view)) for view in views]))
    return jnp.where(finite, value, jnp.nan)


def map_row_blocks(function: Callable[..., Any], *arrays: Array, block: int | None = None) -> Any:
    """Apply a function of b rows to all n rows, one block of b after another, and join its results.

    The last block is filled up with rows of zeros, whose results are cut off. Derivatives are taken block by block too,
    so that they need no more memory than the values.

    Args:
        function: takes the numbers of the rows in a block, shape (b,), and these rows of each array, shapes (b, ...);
            returns arrays with b rows.
        arrays: with n rows each.
        block: b; when left out so many that b n numbers take about 10 MB.

    Returns:
        The arrays that `function` returns, with n rows.

    Raises:
        ValueError: block below 1.
    """
    n = len(arrays[0])
    if block is None:
        block = max(_LEAST_BLOCK, _BLOCK_ENTRIES // n)
    block = min(check_count("block", block), n)
    count = -(-n // block)

    def cut(array):
        padded = jnp.pad(array, [(0, count * block - n)] + [(0, 0)] * (array.ndim - 1))
        return padded.reshape(count, block, *array.shape[1:])

    parts = (jnp.arange(count * block, dtype=jnp.int32).reshape(count, block), *map(cut, arrays))
    out = jax.lax.map(lambda part: jax.checkpoint(function)(*part), parts)
    return jax.tree.map(lambda leaf: leaf.reshape(count * block, *leaf.shape[2:])[:n], out)


def _floating(name: str, value: Any, shifts_matter: bool) -> Array:
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if array.dtype != jnp.bfloat16 and array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name}: expected two dimensions (rows, columns), got shape {array.shape}")
    if array.shape[1] == 0:
        raise ValueError(f"{name}: expected at least 1 column, got none")
    default = jnp.zeros(0).dtype
    wide = array.dtype in (jnp.float32, jnp.float64)
    dtype = jax.dtypes.canonicalize_dtype(array.dtype) if wide else default
    if not isinstance(array, jax.Array) and array.dtype.itemsize > dtype.itemsize and array.size:
        array = _narrowable(array, shifts_matter)
    return jnp.asarray(array, dtype)


def _narrowable(array: np.ndarray, shifts_matter: bool) -> np.ndarray:
    """The array with entries within the range of float32, centred where that is allowed; no metric depends on units.

    Columns that do not vary stay exactly constant, and entries that are not finite stay what they are.
    """
    array = array.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        if not shifts_matter:
            array = array - array[0]
            array = array - array.mean(0)
        largest = np.abs(array).max()
    return np.ldexp(array, -np.frexp(largest)[1]) if np.isfinite(largest) else array


def _check_values(name: str, view: Float[Array, "n d"]) -> None:
    is_finite, all_same = _finite_rows(view)
    finite = np.asarray(is_finite)
    if not finite.all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity in {(~finite).sum()} rows, "
                         f"the first row {finite.argmin()}")
    if all_same:
        raise ValueError(f"{name}: expected rows that differ, got {view.shape[0]} times the same")


# Compiled as one program each, since many small ones take longer to start than to run.


@jax.jit
def _finite_rows(view: Float[Array, "n d"]) -> tuple[Bool[Array, "n"], Bool[Array, ""]]:
    """Which rows have finite entries only, and whether all rows are the same."""
    return jnp.all(jnp.isfinite(view), axis=1), jnp.all(view == view[0])


@jax.jit
def _zero_rows(view: Float[Array, "n d"]) -> Bool[Array, "n"]:
    return jnp.all(view == 0, axis=1)
