"""What n rows of a spiked model are expected to show: spectra and separation ratios at finite sample size.

The three objectives of one model, alignment and prediction in both directions, put through the
random-matrix predictions of `_random_matrix`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num

from phasejax._core.checked_call import checked
from phasejax._core.pytree import pytree
from phasejax._core.validation import check_array, is_traced, shown
from phasejax.theory._closed_forms import rho, tau, xi
from phasejax.theory._model import SpikedModel
from phasejax.theory._random_matrix import canonical_spectrum, regression_spectrum
from phasejax.theory._sample_spectrum import SampleSpectrum

# Compiled once for each shape: called outside jit, their loops would be compiled anew in every call.
_canonical_spectrum, _regression_spectrum = jax.jit(canonical_spectrum), jax.jit(regression_spectrum)


@pytree
class FiniteSample:
    """Sample spectra that n rows of a model are expected to show; see `finite_sample`.

    Args:
        ca: sample canonical correlations.
        cp: sample singular values of A, predicting y from x, in units of y.
        cp_reverse: the same for x from y, in units of x.
    """

    ca: SampleSpectrum
    cp: SampleSpectrum
    cp_reverse: SampleSpectrum

    @property
    def delta_ca(self) -> Float[Array, "..."]:
        """Predicted sample separation ratio of alignment: what `phasejax.delta_ca` is for the population."""
        return self.ca.delta

    @property
    def delta_cp(self) -> Float[Array, "..."]:
        """Predicted sample separation ratio of predicting y from x."""
        return self.cp.delta

    @property
    def delta_cp_reverse(self) -> Float[Array, "..."]:
        """Predicted sample separation ratio of predicting x from y."""
        return self.cp_reverse.delta


@checked
def finite_sample(model: SpikedModel, n: Num[ArrayLike, ""]) -> FiniteSample:
    """Sample spectra and separation ratios that n samples are expected to show, by random-matrix theory.

    Sampling raises every correlation, the nuisance's most, so ratios of the population alone promise too
    much. For each objective a `SampleSpectrum` holds the signals' values, whether each stands above the
    nuisance bulk, the expected weakest signal and largest nuisance value, and the bulk's edge; as n
    grows they tend to `rho`, `tau` and the largest of `nu` and `xi`. The predicted ratio is that of
    `phasejax.theory.separation_ratio` with `phasejax.linear.signal_components`, which a sweep knows as
    the quantities "separation_ca" and "separation_cp".

    Args:
        model: the spiked model; d_x and d_y may differ and be comparable with n.
        n: number of rows, above d_x + d_y.

    Returns:
        A `FiniteSample` with the spectra of alignment (`ca`) and of both predictions (`cp`, `cp_reverse`), and the
        separation ratios of each.

    Raises:
        ValueError: n <= d_x + d_y, where sample canonical correlations reach 1 whatever the model. A
            traced n of that size gives NaN.

    The rows are taken to be Gaussian; heavier tails spread the spectra further. In the models tested, with d from
    10 to 100 and n from 200 to 5000, ratios are within 2 % of the simulated mean where every signal stands clear of
    the bulk, above or below it. Within two or three standard deviations of a threshold they are 5 % off, and at it
    30 % and more; several signals there are worse than one. Below it the ratio is that of whichever component of the
    bulk overlaps most with the signal, and only its order of magnitude is meaningful. With up to three nuisance
    coordinates in a view, all uncorrelated, the largest nuisance value is 5 to 12 % off.

    Source: derived in `phasejax.theory._random_matrix`; Bao, Hu, Pan and Zhou 2019 in the uncorrelated case.

    >>> from phasejax import SpikedModel, delta_ca
    >>> model = SpikedModel.create([3.0, 2.5, 2.0], nu=0.05, gamma_x=0.5, gamma_y=0.5, nuisance_y=100.0, d=20)
    >>> f"population {delta_ca(model):.1f}, 5000 samples {finite_sample(model, 5000).delta_ca:.1f}"
    'population 17.8, 5000 samples 6.6'
    """
    least = model.d_x + model.d_y
    n = check_array("n", n)
    if not is_traced(n):
        given = np.asarray(n, np.float64)  # also whole numbers of more than 32 bits
        n = float(given) if given.ndim == 0 else given
    if not is_traced(n) and not np.all(np.asarray(n) > least):
        raise ValueError(f"n: expected more than d_x + d_y = {least} samples, got {shown(n)}")
    rows = jnp.where(jnp.asarray(n) > least, n, jnp.nan)
    reverse = model.reverse()
    return FiniteSample(ca=_canonical_spectrum(rho(model), model.nu, model.d_x - model.k, model.d_y - model.k, rows),
                        cp=_regression(model, rows), cp_reverse=_regression(reverse, rows))


def _regression(model, n):
    variance = jnp.asarray(model.kappa) ** 2 + model.gamma_y
    return _regression_spectrum(tau(model), variance, xi(model), model.nuisance_y, model.d_x - model.k, n)
