"""Random draws from the spiked model: paired rows, and exact sample covariances without rows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from phasejax._pytree import HostOrDevice, check_count, pytree
from phasejax.covariance import Covariances, canonical_moments
from phasejax.model import SpikedModel


@pytree
class PairedSample:
    """n paired observations.

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


def random_basis(key: Key[Array, ""], d: int) -> Float[Array, "d d"]:
    """A uniformly (Haar) distributed orthogonal matrix, shape (d, d)."""
    return jax.random.orthogonal(key, d)


def sample_pairs(key: Key[Array, ""], model: SpikedModel, n: int,
                 basis_x: Float[HostOrDevice, "d_x d_x"] | None = None,
                 basis_y: Float[HostOrDevice, "d_y d_y"] | None = None) -> PairedSample:
    """Draw n independent pairs (x, y) from the model.

    The same key gives the same standard normal numbers whatever the model's parameters, so
    statistics vary smoothly over a grid and can be differentiated.

    Args:
        key: random key.
        model: the spiked model.
        n: number of rows, >= 1.
        basis_x, basis_y: orthogonal Q_x and Q_y; identity when left out.

    Raises:
        ValueError: n < 1.

    Source: K26, eq. 4.

    >>> model = SpikedModel.homogeneous(2.0, 0.5, k=3, d=20, d_y=10)
    >>> sample = sample_pairs(jax.random.key(0), model, n=100)
    >>> sample.x.shape, sample.y.shape, sample.signal.shape
    ((100, 20), (100, 10), (100, 3))
    """
    check_count("n", n)
    k, p = model.k, model.nu.shape[-1]
    nu = jnp.asarray(model.nu)
    # One draw, then slices: every further draw costs compile time.
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


def white_wishart(key: Key[Array, ""], n: int, d: int) -> Float[Array, "d d"]:
    r"""Sample covariance of n rows of d independent standard normals, drawn exactly.

    For n >= d by the Bartlett decomposition, n W = T T' with T lower triangular, T_ij ~ N(0, 1)
    below the diagonal and T_ii^2 ~ chi^2_{n-i} on it (i = 0, 1, ...): d^2 numbers whatever n is.
    For n < d, where W is singular, from the rows themselves.

    Args:
        key: random key.
        n: number of rows, >= 1.
        d: dimension.

    Raises:
        ValueError: n < 1.

    Source: Bartlett 1933; Anderson, An Introduction to Multivariate Statistical Analysis, 7.2.
    """
    check_count("n", n)
    if n < d:
        rows = jax.random.normal(key, (n, d))
        return rows.T @ rows / n
    key_normal, key_chi2 = jax.random.split(key)
    below = jnp.tril(jax.random.normal(key_normal, (d, d)), -1)
    factor = below + jnp.diag(jnp.sqrt(jax.random.chisquare(key_chi2, n - jnp.arange(d, dtype=below.dtype))))
    return factor @ factor.T / n


def colour(white: Float[HostOrDevice, "d d"], model: SpikedModel) -> Covariances:
    r"""Turn a white Wishart matrix W into sample covariances L W L' of the model, L L' = Sigma.

    In the canonical bases L = [[a, 0], [b, c]] has diagonal blocks, so this is a handful of row
    and column scalings. With W held fixed (common random numbers) every statistic of the result
    is a differentiable function of the model's parameters, except at nu = 1 and where a variance
    is 0, the ends of their ranges.

    Args:
        white: shape (d_x + d_y, d_x + d_y), from `white_wishart`.
        model: the spiked model.
    """
    d_x, d_y, white = model.d_x, model.d_y, jnp.asarray(white)
    variance_x, cross, variance_y = canonical_moments(model)
    m = cross.shape[0]
    a = jnp.sqrt(variance_x)
    b = cross / jnp.where(variance_x[:m] > 0, a[:m], 1)
    # Rounding may leave a difference of equal numbers just below zero.
    rest = jnp.maximum(variance_y[:m] - b**2, 0)
    c = jnp.sqrt(jnp.concatenate([rest, variance_y[m:]]))

    def times_b(block):  # block b': the m paired columns, scaled, at their places among y's
        return jnp.pad(block[:, :m] * b, ((0, 0), (0, d_y - m)))

    w_xx, w_xy, w_yy = white[:d_x, :d_x], white[:d_x, d_x:], white[d_x:, d_x:]
    xy = a[:, None] * (times_b(w_xx) + w_xy * c)
    mixed = times_b(w_xy.T).T * c  # b W_xy c
    yy = times_b(times_b(w_xx).T) + mixed + mixed.T + c[:, None] * w_yy * c
    return Covariances(xx=a[:, None] * w_xx * a, xy=xy, yy=yy)


def sample_covariances(key: Key[Array, ""], model: SpikedModel, n: int) -> Covariances:
    """Sample covariances of n pairs in the canonical bases, with their exact distribution.

    No pair is drawn when n >= d_x + d_y: the cost does not depend on n (see `white_wishart`).

    Args:
        key: random key; the same key gives the same white matrix for every model.
        model: the spiked model.
        n: number of pairs, >= 1.

    Raises:
        ValueError: n < 1.

    >>> model = SpikedModel.homogeneous(2.0, 0.5, k=3, d=20)
    >>> sample_covariances(jax.random.key(0), model, n=1_000_000).xy.shape
    (20, 20)
    """
    return colour(white_wishart(key, n, model.d_x + model.d_y), model)
