"""Closed forms of the spiked model: spectra, separation ratios, regimes, boundaries, prediction errors.

C = S_xx^{-1/2} S_xy S_yy^{-1/2} ranks the directions of alignment (CA), and A = S_yx S_xx^{-1/2} those
of predicting y from x (CP). Each function maps one `SpikedModel` to a scalar or a short vector and
works under jit, vmap and grad; a grid of models is a vmap, or one call of `phasejax.sweep`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from phasejax._core.checked_call import checked
from phasejax._core.validation import check_array, is_traced
from phasejax.theory._model import SpikedModel, canonical_moments
from phasejax.theory._regimes import Regime, exceeds, regime_code_from_ratios, separation_ratio


@checked
def rho(model: SpikedModel) -> Float[Array, "k"]:
    r"""Signal singular values of C: rho_i = kappa_i^2 / sqrt((kappa_i^2 + gamma_x_i)(kappa_i^2 + gamma_y_i)).

    A signal without any variance (kappa = gamma = 0) has rho = 0. The nuisance singular values
    of C are `model.nu`.

    Args:
        model: the spiked model.

    Returns:
        rho in the order of the model's signals, shape (k,), in [0, 1].

    Source: K26, Lemma A.3.

    >>> from phasejax import SpikedModel
    >>> model = SpikedModel.create([3.0, 1.0], nu=0.1, gamma_x=1.0, gamma_y=0.0, d=3)
    >>> [f"{value:.3f}" for value in rho(model)]
    ['0.949', '0.707']
    """
    signal = jnp.asarray(model.kappa) ** 2
    return _over_root(signal, (signal + model.gamma_x) * (signal + model.gamma_y))


@checked
def tau(model: SpikedModel) -> Float[Array, "k"]:
    r"""Signal singular values of A: tau_i = kappa_i^2 / sqrt(kappa_i^2 + gamma_x_i), in units of y.

    Args:
        model: the spiked model; for predicting x from y pass `model.reverse()`.

    Returns:
        tau in the order of the model's signals, shape (k,).

    Source: K26, Lemma A.3.
    """
    signal = jnp.asarray(model.kappa) ** 2
    return _over_root(signal, signal + model.gamma_x)


@checked
def xi(model: SpikedModel) -> Float[Array, "p"]:
    r"""Nuisance singular values of A: xi_j = eta_j / sqrt(nuisance_x_j) = nu_j sqrt(nuisance_y_j), in units of y.

    At nuisance_y = 0, where the slope of the root is infinite, the derivative is taken to be 0.

    Args:
        model: the spiked model; for predicting x from y pass `model.reverse()`.

    Returns:
        xi of the paired nuisance coordinates, shape (p,).

    Source: K26, Lemma A.3.
    """
    variance = jnp.asarray(model.nuisance_y[:model.nu.shape[-1]])
    # An infinite slope times the zero weight of a nuisance that is not the strongest would be NaN.
    root = jnp.where(variance == 0, 0, jnp.sqrt(jnp.where(variance == 0, 1, variance)))
    return jnp.asarray(model.nu) * root


@checked
def spectrum_ca(model: SpikedModel) -> Float[Array, "m"]:
    """All m = min(d_x, d_y) population canonical correlations, largest first: `rho` and nu together."""
    return -jnp.sort(-_joined(rho(model), jnp.asarray(model.nu)))


@checked
def spectrum_cp(model: SpikedModel) -> Float[Array, "m"]:
    """All m = min(d_x, d_y) population singular values of A in units of y, largest first: `tau` and `xi` together."""
    return -jnp.sort(-_joined(tau(model), xi(model)))


@checked
def delta_ca(model: SpikedModel) -> Float[Array, ""]:
    """Separation ratio of alignment, min rho / max nu: alignment recovers all k signals iff it is > 1.

    Args:
        model: the spiked model.

    Returns:
        Delta_CA: +inf without correlated nuisance, 0 when some signal has kappa = 0.

    Source: K26, Proposition 3.1.

    >>> from phasejax import SpikedModel
    >>> float(delta_ca(SpikedModel.homogeneous(kappa=1.0, nu=0.25, k=2, d=5)))
    2.0
    """
    return _delta(rho(model), jnp.asarray(model.nu))


@checked
def delta_cp(model: SpikedModel) -> Float[Array, ""]:
    """Separation ratio of predicting y from x, min tau / max xi: prediction recovers all k signals iff it is > 1.

    Args:
        model: the spiked model.

    Returns:
        Delta_CP: +inf without correlated nuisance, 0 when some signal has kappa = 0.

    Source: K26, Proposition 3.1.
    """
    return _delta(tau(model), xi(model))


@checked
def delta_cp_reverse(model: SpikedModel) -> Float[Array, ""]:
    """Separation ratio of predicting x from y: `delta_cp` of the reversed model."""
    return delta_cp(model.reverse())


@checked
def r_ca(model: SpikedModel) -> Int[Array, ""]:
    """Number of signals that alignment recovers, #{i : rho_i > max nu}; -1 for NaN. Source: K26, Proposition 3.2."""
    return _count(rho(model), jnp.asarray(model.nu))


@checked
def r_cp(model: SpikedModel) -> Int[Array, ""]:
    """Number of signals that predicting y from x recovers, #{i : tau_i > max xi}; -1 for NaN.

    Source: K26, Proposition 3.2.
    """
    return _count(tau(model), xi(model))


@checked
def r_cp_reverse(model: SpikedModel) -> Int[Array, ""]:
    """Number of signals that predicting x from y recovers: `r_cp` of the reversed model."""
    return r_cp(model.reverse())


@checked
def regime_code(model: SpikedModel) -> Int[Array, ""]:
    """The regime of a model as the integer `Regime.code`, for use under jit and vmap; -1 for NaN."""
    return regime_code_from_ratios(delta_ca(model), delta_cp(model))


@checked
def regime(model: SpikedModel) -> Regime:
    """The regime of one model: which of alignment and prediction recover its signals.

    Args:
        model: one concrete spiked model; inside jit or vmap use `phasejax.theory.regime_code`.

    Returns:
        One of the four regimes of the phase diagram.

    Raises:
        ValueError: the model is traced or batched.

    Source: K26, section 3.

    >>> from phasejax import SpikedModel
    >>> regime(SpikedModel.create([3.0, 2.0, 1.5], nu=0.5, gamma_x=0.5, gamma_y=0.05, nuisance_y=50.0, d=20))
    <Regime.CA_ONLY: 'CA only'>
    """
    code = regime_code(model)
    if is_traced(code) or code.ndim:
        raise ValueError("model: expected one concrete model, got a traced or batched one; use regime_code")
    return Regime.from_code(code)


@checked
def ca_boundary(kappa: Float[ArrayLike, "..."], gamma_x: Float[ArrayLike, "..."],
                gamma_y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """The nuisance correlation at which Delta_CA = 1 in the homogeneous model: nu = rho(kappa), in [0, 1].

    Args:
        kappa: signal strength, a standard deviation in data units, >= 0.
        gamma_x, gamma_y: noise variances on the signal coordinates, data units squared, >= 0.

    Returns:
        The boundary, in the shape that the arguments broadcast to.

    Source: K26, section 3 (boundaries in the (kappa, nu) plane).

    >>> float(ca_boundary(1.0, gamma_x=1.0, gamma_y=1.0))
    0.5
    """
    kappa, gamma_x, gamma_y = _arrays(kappa=kappa, gamma_x=gamma_x, gamma_y=gamma_y)
    signal = jnp.asarray(kappa) ** 2
    return _over_root(signal, (signal + gamma_x) * (signal + gamma_y))


@checked
def cp_boundary(kappa: Float[ArrayLike, "..."], gamma_x: Float[ArrayLike, "..."],
                nuisance_y: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """The nuisance correlation at which Delta_CP = 1 in the homogeneous model: min(1, tau(kappa) / sqrt(nuisance_y)).

    Args:
        kappa: signal strength, a standard deviation in data units, >= 0.
        gamma_x: noise variance on the source's signal coordinates, data units squared; for predicting x from y
            that is y's.
        nuisance_y: variance of the target's nuisance coordinates; for predicting x from y that is x's.

    Returns:
        The boundary, in the shape that the arguments broadcast to.

    Source: K26, section 3 (boundaries in the (kappa, nu) plane).
    """
    kappa, gamma_x, nuisance_y = _arrays(kappa=kappa, gamma_x=gamma_x, nuisance_y=nuisance_y)
    signal = jnp.asarray(kappa) ** 2
    return jnp.minimum(1.0, _over_root(signal, (signal + gamma_x) * nuisance_y))


@checked
def ratio_bound(model: SpikedModel) -> Float[Array, ""]:
    """Upper bound sqrt(max nuisance_y / min(kappa^2 + gamma_y)) on Delta_CA / Delta_CP.

    Equality in the homogeneous model. Source: K26, eq. 22.
    """
    variance = jnp.asarray(model.kappa) ** 2 + model.gamma_y
    return jnp.sqrt(jnp.max(jnp.asarray(model.nuisance_y[:model.nu.shape[-1]]), initial=0) / jnp.min(variance))


@checked
def total_mse_ca(model: SpikedModel) -> Float[Array, ""]:
    """Population error of predicting y with a linear probe on alignment's encoder, in units of y squared."""
    return _total_mse(model, _joined(rho(model), jnp.asarray(model.nu)))


@checked
def total_mse_cp(model: SpikedModel) -> Float[Array, ""]:
    """Population error of predicting y by CP, tr S_yy less the k largest squared singular values of A."""
    return _total_mse(model, _joined(tau(model), xi(model)))


@checked
def signal_mse_ca(model: SpikedModel) -> Float[Array, ""]:
    """Population error of alignment's encoder with a linear probe against the noiseless signal part of y (Fig. 9)."""
    return _signal_mse(model, _joined(rho(model), jnp.asarray(model.nu)))


@checked
def signal_mse_cp(model: SpikedModel) -> Float[Array, ""]:
    """Population error of CP against the noiseless signal part of y, in units of y squared (Fig. 9)."""
    return _signal_mse(model, _joined(tau(model), xi(model)))


# In the canonical bases every coordinate is predicted on its own: an objective keeps the k
# coordinates that rank first in its spectrum, and predicting a kept coordinate i of y from the
# same one of x explains S_xy,i^2 / S_xx,i of its variance, the squared singular value of A.

def _total_mse(model, ranking):
    explained = _joined(tau(model), xi(model)) ** 2
    _, _, variance_y = canonical_moments(model)
    return jnp.sum(variance_y) - jnp.sum(jnp.where(_kept(ranking, model.k), explained, 0))


def _signal_mse(model, ranking):
    kept = _kept(ranking, model.k)
    signal = jnp.asarray(model.kappa) ** 2
    missed = signal - jnp.where(kept[:model.k], tau(model) ** 2, 0)
    leaked = jnp.where(kept[model.k:], xi(model) ** 2, 0)  # nuisance that the predictor carries into its output
    return jnp.sum(missed) + jnp.sum(leaked)


def _kept(ranking, k):
    """Which values are among the k largest, the first of equal ones. By counting, since a batch is slow to sort."""
    # The barrier keeps the compiler from computing the ranking anew for every comparison.
    ranking, index = jax.lax.optimization_barrier(jax.lax.stop_gradient(ranking)), jnp.arange(ranking.shape[0])
    ahead = (ranking > ranking[:, None]) | ((ranking == ranking[:, None]) & (index < index[:, None]))
    return jnp.sum(ahead, axis=1) < k


def _joined(signal, nuisance):
    return jnp.concatenate([signal, nuisance])


def _delta(signal, nuisance):
    is_signal = jnp.arange(signal.shape[0] + nuisance.shape[0]) < signal.shape[0]
    return separation_ratio(_joined(signal, nuisance), is_signal)


def _count(signal, nuisance):
    floor = jnp.max(nuisance, initial=0)
    count = jnp.sum(exceeds(signal, floor), dtype=jnp.int32)
    return jnp.where(jnp.isnan(floor) | jnp.any(jnp.isnan(signal)), -1, count)


def _arrays(**values):
    return [check_array(name, value) for name, value in values.items()]


def _over_root(numerator, square):
    """numerator / sqrt(square), and 0 where both vanish, with a finite gradient there."""
    positive = square > 0
    ratio = numerator / jnp.sqrt(jnp.where(positive, square, 1))
    return jnp.where(positive | jnp.isnan(square), ratio, 0)
