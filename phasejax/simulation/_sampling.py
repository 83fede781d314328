"""Random draws from the spiked model: paired rows, and exact sample covariances without rows.

Solvers only need the sample covariances of n pairs. Their exact distribution follows from the
Bartlett decomposition of white noise, a triangular matrix of (d_x + d_y)^2 random numbers whatever n
is, which the model then colours. Rows are drawn only where something other than covariances is needed.
"""

from typing import cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_memory
from phasejax._core.pytree import HostOrDevice, pytree
from phasejax._core.validation import KeyLike, check_count, check_key, is_traced
from phasejax.linear import Covariances, Whitened
from phasejax.theory import SpikedModel
from phasejax.theory._model import canonical_moments


@pytree
class PairedSample:
    """n paired observations of the spiked model, with the signal that generated them.

    Args:
        x: shape (n, d_x).
        y: shape (n, d_y).
        y_signal: the noiseless signal part Q_y [s; 0] of y, shape (n, d_y).
        signal: the shared signals s, shape (n, k).
    """

    x: Float[Array, "n d_x"]
    y: Float[Array, "n d_y"]
    y_signal: Float[Array, "n d_y"]
    signal: Float[Array, "n k"]


@checked
def random_basis(key: KeyLike, d: int) -> Float[Array, "d d"]:
    """Draw a uniformly (Haar) distributed orthogonal matrix, shape (d, d).

    Args:
        key: random key or a seed.
        d: dimension.

    Raises:
        ValueError: d < 1, or a matrix of this size does not fit into memory.
    """
    key = check_key("key", key)
    check_memory("d", 8 * check_count("d", d) ** 2)
    return jax.random.orthogonal(key, d)


@checked
def sample_pairs(key: KeyLike, model: SpikedModel, n: int,
                 basis_x: Float[HostOrDevice, "d_x d_x"] | None = None,
                 basis_y: Float[HostOrDevice, "d_y d_y"] | None = None) -> PairedSample:
    """Draw n independent pairs (x, y) from the model.

    The same key gives the same standard normal numbers whatever the model's parameters, so
    statistics vary smoothly over a grid and can be differentiated.

    Args:
        key: random key or a seed.
        model: the spiked model.
        n: number of rows, >= 1.
        basis_x, basis_y: orthogonal Q_x (d_x, d_x) and Q_y (d_y, d_y); identity when left out.

    Returns:
        The pairs, their signals, and the noiseless part of y, in data units.

    Raises:
        ValueError: n < 1.

    Source: K26, eq. 4.

    >>> model = SpikedModel.homogeneous(2.0, 0.5, k=3, d=20, d_y=10)
    >>> sample = sample_pairs(jax.random.key(0), model, n=100)
    >>> sample.x.shape, sample.y.shape, sample.signal.shape
    ((100, 20), (100, 10), (100, 3))
    """
    key = check_key("key", key)
    check_memory("n", 8 * check_count("n", n) * (model.k + model.d_x + model.d_y))
    k, p = model.k, model.nu.shape[-1]
    nu = jnp.asarray(model.nu)
    # One draw that is then sliced: every further draw would add to the time of compilation.
    z = jax.random.normal(key, (n, k + model.d_x + model.d_y))
    signal = z[:, :k] * model.kappa
    noise_x, noise_y = z[:, k:k + model.d_x], z[:, k + model.d_x:]
    u = noise_x[:, k:] * jnp.sqrt(jnp.asarray(model.nuisance_x))
    shared = nu * noise_x[:, k:k + p] + jnp.sqrt(1 - nu**2) * noise_y[:, k:k + p]
    v = jnp.concatenate([shared, noise_y[:, k + p:]], axis=1) * jnp.sqrt(jnp.asarray(model.nuisance_y))
    x = jnp.concatenate([signal + noise_x[:, :k] * jnp.sqrt(jnp.asarray(model.gamma_x)), u], axis=1)
    y = jnp.concatenate([signal + noise_y[:, :k] * jnp.sqrt(jnp.asarray(model.gamma_y)), v], axis=1)
    y_signal = jnp.concatenate([signal, jnp.zeros((n, model.d_y - k), signal.dtype)], axis=1)
    if basis_x is not None:
        x = x @ jnp.asarray(basis_x).T
    if basis_y is not None:
        y, y_signal = y @ jnp.asarray(basis_y).T, y_signal @ jnp.asarray(basis_y).T
    return PairedSample(x=x, y=y, y_signal=y_signal, signal=signal)


@checked
def bartlett_factor(key: KeyLike, n: int | Int[Array, ""], d: int) -> Float[Array, "d d"]:
    r"""Draw a lower triangular T such that T T' is the sample covariance of n rows of d independent standard normals.

    By the Bartlett decomposition sqrt(n) T_ij ~ N(0, 1) below the diagonal and n T_ii^2 ~ chi^2_{n-i}
    on it (i = 0, 1, ...): the exact distribution from d^2 numbers, whatever n is. For n < d the
    matrix T T' has rank n, and the columns of T from the n-th on are zero.

    Args:
        key: random key or a seed.
        n: number of rows, >= 1; may be traced.
        d: dimension.

    Returns:
        The Bartlett factor T, divided by sqrt(n).

    Raises:
        ValueError: n < 1.

    Source: Bartlett 1933; Anderson, An Introduction to Multivariate Statistical Analysis, 7.2;
    for n < d the triangular factor of the rows' QR decomposition, Srivastava 2003.
    """
    key = check_key("key", key)
    if not is_traced(n):
        check_count("n", cast(int, n))  # a concrete array of one whole number counts as an int
    check_memory("d", 8 * check_count("d", d) ** 2)
    key_normal, key_chi2 = jax.random.split(key)
    below = jnp.tril(jax.random.normal(key_normal, (d, d)), -1)
    n = jnp.asarray(n, below.dtype)
    freedom = n - jnp.arange(d, dtype=below.dtype)
    diagonal = jnp.sqrt(jax.random.chisquare(key_chi2, jnp.maximum(freedom, 1)))
    return jnp.where(freedom > 0, below + jnp.diag(diagonal), 0) / jnp.sqrt(n)


@checked
def colour(factor: Float[HostOrDevice, "d d"], model: SpikedModel) -> Covariances:
    r"""Sample covariances L T T' L' of the model, L L' = Sigma, from the Bartlett factor T of white noise.

    In the canonical bases L = [[a, 0], [b, c]] has diagonal blocks, so that L T takes no more than
    scalings of rows. With T held fixed (common random numbers) every statistic of the result is a
    differentiable function of the model's parameters, except at nu = 1 and where a variance is
    0, the ends of their ranges.

    Args:
        factor: shape (d_x + d_y, d_x + d_y), from `bartlett_factor`.
        model: the spiked model.

    >>> model = SpikedModel.homogeneous(2.0, 0.5, k=3, d=20)
    >>> colour(bartlett_factor(jax.random.key(0), 500, 40), model).xx.shape
    (20, 20)
    """
    rows_x, rows_y, _ = coloured_rows(factor, model)
    d_x = model.d_x
    return Covariances(xx=rows_x @ rows_x.T, xy=rows_x @ rows_y[:, :d_x].T, yy=rows_y @ rows_y.T)


@checked
def colour_whitened(factor: Float[HostOrDevice, "d d"], inverse: Float[HostOrDevice, "d_x d_x"],
                    model: SpikedModel) -> Whitened:
    r"""Sample covariances as from `colour`, in whitened coordinates of x, without a factorisation of S_xx.

    The solvers work in these coordinates, so that they need not whiten each cell of a grid anew. With
    T_11 the upper left block of T, S_xx = (a T_11)(a T_11)', so T_11^{-1} a^{-1} whitens x, and the
    whitened cross-covariance is the transpose of the first d_x columns of y's rows of L T. Both are
    scalings of matrices that are the same for every model.

    Args:
        factor: as in `colour`.
        inverse: T_11^{-1}, of the first d_x rows and columns of `factor`.
        model: the spiked model.
    """
    _, rows_y, a = coloured_rows(factor, model)
    return Whitened(colour(factor, model), root_x=jnp.asarray(inverse) / a, b=rows_y[:, :model.d_x].T)


def coloured_rows(factor: HostOrDevice, model: SpikedModel) -> tuple[Array, Array, Array]:
    """The rows of L T that belong to x (without their last columns, which are zero) and to y, and the diagonal a."""
    factor, d_x = jnp.asarray(factor), model.d_x
    variance_x, cross, variance_y = canonical_moments(model)
    m = cross.shape[0]
    a = jnp.sqrt(variance_x)
    b = cross / jnp.where(variance_x[:m] > 0, a[:m], 1)
    # Where both are equal, rounding may leave their difference just below zero.
    c = jnp.sqrt(jnp.concatenate([jnp.maximum(variance_y[:m] - b**2, 0), variance_y[m:]]))
    rows_y = c[:, None] * factor[d_x:]
    return a[:, None] * factor[:d_x, :d_x], rows_y.at[:m].add(b[:, None] * factor[:m]), a


@checked
def sample_covariances(key: KeyLike, model: SpikedModel, n: int) -> Covariances:
    """Draw the sample covariances of n pairs in the canonical bases from their exact distribution.

    No pair is drawn: the cost does not depend on n (see `bartlett_factor`).

    Args:
        key: random key or a seed; the same key gives the same factor for every model.
        model: the spiked model.
        n: number of pairs, >= 1.

    Raises:
        ValueError: n < 1.

    >>> model = SpikedModel.homogeneous(2.0, 0.5, k=3, d=20)
    >>> sample_covariances(jax.random.key(0), model, n=1_000_000).xy.shape
    (20, 20)
    """
    key = check_key("key", key)
    return colour(bartlett_factor(key, n, model.d_x + model.d_y), model)
