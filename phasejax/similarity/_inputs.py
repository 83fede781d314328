"""Two representations of the same samples as the metrics take them: checked, floating, centred; and in blocks of rows.

Half precision and integers are widened, without loss, to JAX's default floating type, float32 unless 64 bits are
enabled (integers beyond 2^24 do lose digits there). Where values can be inspected what no metric is defined on is
refused; where they are traced it gives NaN.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phasejax._core.validation import is_traced

# Entries of an n-column block of similarities that are held at once.
_BLOCK_ENTRIES, _LEAST_BLOCK = 2**21, 128


def paired(x, y, *, rows: int = 2) -> tuple[Float[Array, "n d_x"], Float[Array, "n d_y"]]:
    """Both views as floating arrays of one type with the same n rows.

    Args:
        x, y: numbers, shapes (n, d_x) and (n, d_y).
        rows: how many rows a metric needs at least.

    Raises:
        ValueError: other shapes or types, too few rows, NaN or infinite values, rows that are all the same.
    """
    x, y = _floating("x", x), _floating("y", y)
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"y: expected {x.shape[0]} rows as in x, got {y.shape[0]}")
    if x.shape[0] < rows:
        raise ValueError(f"x: expected at least {rows} rows, got {x.shape[0]}")
    for name, view in (("x", x), ("y", y)):
        if not is_traced(view):
            _check_values(name, view)
    dtype = jnp.promote_types(x.dtype, y.dtype)
    return x.astype(dtype), y.astype(dtype)


def centred(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Without its column means, and divided by its largest entry; no metric depends on either.

    Means are taken off twice, since the first ones are rounded; products of large or small entries would overflow.
    """
    view = view - jnp.mean(view, axis=0)
    view = view - jnp.mean(view, axis=0)
    return view / jax.lax.stop_gradient(jnp.max(jnp.abs(view)))


def unit_rows(view: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Rows of unit length; NaN for a row of zeros."""
    view = view / jax.lax.stop_gradient(jnp.max(jnp.abs(view), axis=1, keepdims=True))
    return view / jnp.linalg.norm(view, axis=1, keepdims=True)


def check_unit_rows(name: str, view: Float[Array, "n d"]) -> None:
    """Refuse rows without a direction.

    Raises:
        ValueError: a row of zeros.
    """
    if not is_traced(view):
        is_zero = jnp.all(view == 0, axis=1)
        if bool(jnp.any(is_zero)):
            raise ValueError(f"{name}: expected rows other than zero, which have no direction (distance 'euclidean' "
                             f"needs none), got zeros in {int(is_zero.sum())} rows, the first row "
                             f"{int(jnp.argmax(is_zero))}")


def undefined_if_not_finite(value: Float[Array, ""], *views) -> Float[Array, ""]:
    """The value, or NaN where a view has an entry that is no finite number."""
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(view)) for view in views]))
    return jnp.where(finite, value, jnp.nan)


def map_row_blocks(function, *arrays, block: int | None = None):
    """function(row numbers, block of each array), over blocks of rows one after another; results are joined.

    The last block is filled up with rows of zeros, whose results are cut off. Derivatives are taken block by block too.

    Args:
        function: (b,) row numbers and (b, ...) parts of the arrays to arrays with b rows.
        arrays: with n rows each.
        block: b; when left out, as many as make about 10 MB of n-column blocks.

    Raises:
        ValueError: block below 1.
    """
    n = len(arrays[0])
    if block is None:
        block = max(_LEAST_BLOCK, _BLOCK_ENTRIES // n)
    if block < 1:
        raise ValueError(f"block: expected at least 1, got {block}")
    block = min(block, n)
    count = -(-n // block)

    def cut(array):
        padded = jnp.pad(array, [(0, count * block - n)] + [(0, 0)] * (array.ndim - 1))
        return padded.reshape(count, block, *array.shape[1:])

    parts = (jnp.arange(count * block, dtype=jnp.int32).reshape(count, block), *map(cut, arrays))
    out = jax.lax.map(lambda part: jax.checkpoint(function)(*part), parts)
    return jax.tree.map(lambda leaf: leaf.reshape(count * block, *leaf.shape[2:])[:n], out)


def _floating(name, value):
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if array.dtype != jnp.bfloat16 and array.dtype.kind not in "fiub":
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name}: expected two dimensions (rows, columns), got shape {array.shape}")
    if array.shape[1] == 0:
        raise ValueError(f"{name}: expected at least 1 column, got none")
    default = jnp.zeros(0).dtype
    wide = array.dtype in (jnp.float32, jnp.float64)
    return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype) if wide else default)


def _check_values(name, view):
    finite = jnp.isfinite(view).all(axis=1)
    if not bool(finite.all()):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity in {int((~finite).sum())} rows, "
                         f"the first row {int(jnp.argmin(finite))}")
    if bool(jnp.all(view == view[0])):
        raise ValueError(f"{name}: expected rows that differ, got {view.shape[0]} times the same")
