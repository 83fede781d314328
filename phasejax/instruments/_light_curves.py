r"""Light curves of stars as a photometer shows them: logarithms of the power in bins of frequency.

The power density in ppm^2 per microhertz is that of granulation, oscillations, spots and eclipses, filtered by the
length and the cadence of the light curve, on top of white noise:

.. math::
    \nu_\mathrm{max} = 3090\,\mu\mathrm{Hz}\; \frac{g}{g_\odot} \left(\frac{T}{5777\,K}\right)^{-1/2}, \qquad
    P_\mathrm{gran}(\nu) = \sum_{i=1}^{2} \frac{2\sqrt2}{\pi} \frac{a^2 / b_i}{1 + (\nu / b_i)^4}

with a = 3382 nu_max^-0.609 ppm, b_1 = 0.317 nu_max^0.970 and b_2 = 0.948 nu_max^0.992 (Kallinger et al. 2014, A&A 570,
A41), and an envelope of oscillations of height 2.03e7 nu_max^-2.38 ppm^2/uHz and full width 0.66 nu_max^0.88 (Mosser et
al. 2012, A&A 537, A30). A bin holds m = width x length independent frequencies, so that its mean power is a gamma
variable of shape m over m, and the logarithm has mean digamma(m) - ln m and variance trigamma(m).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, polygamma
from jaxtyping import Array

# Bins in microhertz, evenly spaced in logarithm: from periods of 39 days to twice the sun's nu_max.
BINS = 36
_LOWEST, _HIGHEST = 0.3, 6000.0
_DAY = 1e6 / 86400  # microhertz of one cycle a day
_HOUR = 3600e-6  # in units of 1 / microhertz
_SUN = 4.438  # log g of the sun
_SPOTS = 2000.0  # ppm at a period of 10 days
_ECLIPSES = 1500.0  # ppm, rms of the light curve of a companion that gives all of the light


class Variability(NamedTuple):
    """What makes the light of n stars vary, each of shape (n,).

    Args:
        teff: effective temperature, K.
        log_g: surface gravity, log10 of cm/s^2.
        period: of the rotation, days.
        spots: amplitude of spots relative to the mean of stars of that period.
        orbit: orbital period, days.
        eclipses: relative amplitude of eclipses and ellipsoidal variation; 0 for single stars.
        neighbours: share of the aperture's light that comes from other stars, which dilutes all variation.
        noise: white noise in an hour, ppm.
    """

    teff: Array
    log_g: Array
    period: Array
    spots: Array
    orbit: Array
    eclipses: Array
    neighbours: Array
    noise: Array


class Photometer(NamedTuple):
    """Settings of a photometer: time between measurements in minutes, and length of the light curve in days."""

    cadence: Array
    baseline: Array


def bin_edges() -> Array:
    """Edges of the bins in microhertz, shape (bins + 1,)."""
    return jnp.exp(jnp.linspace(np.log(_LOWEST), np.log(_HIGHEST), BINS + 1))


def bin_centres() -> Array:
    """Geometric centres of the bins in microhertz, shape (bins,)."""
    edges = bin_edges()
    return jnp.sqrt(edges[1:] * edges[:-1])


def nu_max(teff: Array, log_g: Array) -> Array:
    """Frequency of maximum oscillation power, microhertz (Kjeldsen and Bedding 1995)."""
    return jnp.exp(_log_nu_max(teff, log_g))


def _log_nu_max(teff, log_g):
    return np.log(3090.0) + np.log(10.0) * (log_g - _SUN) - 0.5 * jnp.log(teff / 5777.0)


def power_density(star: Variability, frequency: Array) -> Array:
    """Power density of the stars themselves, ppm^2 per microhertz, shape (n, frequencies)."""
    frequency, log_peak = jnp.asarray(frequency), _log_nu_max(star.teff, star.log_g)[:, None]
    log_frequency = jnp.log(frequency)
    power = jnp.zeros_like(log_peak)
    for first, slope in ((0.317, 0.970), (0.948, 0.992)):
        log_b = np.log(first) + slope * log_peak
        height = 2 * np.sqrt(2) / np.pi * jnp.exp(2 * (np.log(3382) - 0.609 * log_peak) - log_b)
        power = power + height * _turned_down(log_frequency - log_b)
    sigma = 0.66 / 2.355 * jnp.exp(0.88 * log_peak)
    power += 2.03e7 * jnp.exp(-2.38 * log_peak - ((frequency - jnp.exp(log_peak)) / sigma) ** 2 / 2)
    log_turning = np.log(_DAY) - jnp.log(star.period)[:, None]
    variance = (_SPOTS * star.spots * (10 / star.period))[:, None] ** 2
    power += variance * (0.8 * _peak(log_frequency, log_turning, 0.08)
                         + 0.2 * _peak(log_frequency, log_turning + np.log(2), 0.08))
    # Short eclipses spread over harmonics: a broad hump about the third.
    return power + (_ECLIPSES * star.eclipses[:, None]) ** 2 * _peak(
        log_frequency, np.log(3 * _DAY) - jnp.log(star.orbit)[:, None], 0.35)


def _turned_down(log_ratio):
    """1 / (1 + r^4) of r by its logarithm."""
    return jax.nn.sigmoid(-4 * log_ratio)


def _peak(log_frequency, centre, width):
    """Density of unit power about a centre, normal in the logarithm of the frequency with that width in dex."""
    width = width * np.log(10.0)
    return jnp.exp(-((log_frequency - centre) / width) ** 2 / 2 - log_frequency) / (np.sqrt(2 * np.pi) * width)


def observed_density(star: Variability, device: Photometer, frequency: Array) -> Array:
    """Power density that the photometer shows, ppm^2 per microhertz: diluted, filtered, with white noise."""
    frequency = jnp.asarray(frequency)
    nyquist = 1e6 / (2 * 60 * device.cadence)
    slowest = _DAY / device.baseline
    # Exposures average over the cadence; trends longer than the light curve are taken out with its drifts.
    exposure = jnp.sinc(frequency / (2 * nyquist)) ** 2 / (1 + (frequency / nyquist) ** 8)
    passed = exposure / (1 + (slowest / frequency) ** 4)
    diluted = (1 - star.neighbours[:, None]) ** 2 * power_density(star, frequency)
    return diluted * passed + 2 * star.noise[:, None] ** 2 * _HOUR


def light_curve_features(star: Variability, device: Photometer) -> tuple[Array, Array]:
    """Expected ln power of the bins and the variance of its noise, both (n, bins).

    Bins narrower than one frequency hold one.
    """
    m = independent_frequencies(device)
    log_power = jnp.log(observed_density(star, device, bin_centres()))
    return log_power + digamma(m) - jnp.log(m), polygamma(1, m) + jnp.zeros_like(log_power)


def independent_frequencies(device: Photometer) -> Array:
    """Number m of independent frequencies in each bin; smooth in the baseline and at least 1."""
    return jnp.sqrt(1 + (jnp.diff(bin_edges()) * device.baseline / _DAY) ** 2)


def log_power_noise(key: Array, device: Photometer, shape: tuple[int, ...]) -> Array:
    """Noise of ln power about its expectation: ln of a gamma variable of shape m."""
    m = independent_frequencies(device)
    return jax.random.loggamma(key, jnp.broadcast_to(m, shape)) - digamma(m)
