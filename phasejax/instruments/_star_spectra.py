r"""Spectra of stars as a spectrograph shows them: bands of the continuum and two windows about each of twenty lines.

The continuum is that of a black body, reddened, with the light of neighbours and of a companion, and normalised at
5550 A. Lines are Gaussian, broadened by the instrument, by rotation and by the motion of two stars:

.. math::
    \sigma^2 = \sigma_0^2 + (\lambda / 2.355 R)^2 + (0.46\, \lambda\, v \sin i / c)^2 + (\lambda v_2 / c)^2, \qquad
    \ln W = \ln W_0 + b_T \ln(T/5777) + b_g (\log g - 4.4) + b_m \mathrm{[Fe/H]}

with equivalent width W. What is measured of a line is ln(1 - depth) at its core and the logarithm of the share of light
that a window of 24 A lets through. The slopes b are schematic: their signs and sizes follow the atlas of Gray and
Corbally (2009), from Balmer lines that grow with temperature to the pressure-sensitive Mg b; they are not fitted to
any library of spectra.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

# Name, wavelength in A, equivalent width in A at 5777 K, log g 4.4 and solar composition, and its slopes b_T, b_g, b_m.
LINES = (
    ("Ca II K", 3933.7, 7.0, -3.0, -0.10, 0.40), ("Ca II H", 3968.5, 6.0, -3.0, -0.10, 0.40),
    ("Sr II", 4077.7, 0.5, -1.0, -0.35, 0.60), ("H delta", 4101.7, 3.0, 5.0, 0.00, 0.00),
    ("Ca I", 4226.7, 1.2, -7.0, 0.25, 0.50), ("Fe II", 4233.2, 0.4, 2.0, -0.30, 0.60),
    ("CH G band", 4305.0, 5.0, -5.0, -0.10, 0.60), ("H gamma", 4340.5, 3.0, 5.0, 0.00, 0.00),
    ("Fe I", 4383.5, 1.1, -4.0, 0.00, 0.60), ("Fe II blend", 4583.8, 0.5, 1.5, -0.25, 0.60),
    ("H beta", 4861.3, 3.5, 5.0, 0.00, 0.00), ("MgH", 5105.0, 1.5, -8.0, 0.35, 0.40),
    ("Mg b", 5175.0, 2.8, -4.5, 0.30, 0.50), ("Fe I 5270", 5270.0, 1.8, -3.5, 0.00, 0.60),
    ("Fe I 5328", 5328.0, 1.0, -3.5, -0.05, 0.60), ("Na D", 5892.9, 1.6, -6.0, 0.20, 0.40),
    ("H alpha", 6562.8, 3.8, 4.5, 0.00, 0.00), ("TiO", 7054.0, 0.8, -14.0, 0.05, 0.30),
    ("Ca II 8542", 8542.1, 3.6, -1.5, -0.20, 0.40), ("Ca II 8662", 8662.1, 2.8, -1.5, -0.20, 0.40))
# Centres of the continuum's bands in A.
BANDS = (3800.0, 4000.0, 4250.0, 4500.0, 4800.0, 5150.0, 5800.0, 6200.0, 6800.0, 7400.0, 8000.0, 8800.0)
_REFERENCE = 5550.0  # A, where the continuum is normalised
_BAND, _WINDOW = 100.0, 24.0  # widths in A
_INTRINSIC = 1.0  # A, width sigma of a line before all broadening
_LIGHT = 299792.458  # km/s
_PLANCK = 1.438777e8  # h c / k_B in A K
_SODIUM = 0.5  # A of interstellar Na D for a magnitude of extinction
_EDGE = 15.0  # A over which the detector's sensitivity ends
# Light of neighbours in a field.
_NEIGHBOUR = 4800.0  # K


class Star(NamedTuple):
    """Properties of n stars and of their lines of sight, each of shape (n,).

    Args:
        teff: effective temperature, K.
        log_g: surface gravity, log10 of cm/s^2.
        feh: iron abundance, dex relative to the sun.
        vsini: projected rotation velocity, km/s.
        companion: share of the light that comes from a companion.
        velocity: half the difference of the two stars' radial velocities, km/s; 0 for single stars.
        extinction: A_V, mag.
        neighbours: share of the fibre's light that comes from other stars.
        tilt, curve: error of the flux calibration, ln of flux, as first and second Legendre polynomials of wavelength.
    """

    teff: Array
    log_g: Array
    feh: Array
    vsini: Array
    companion: Array
    velocity: Array
    extinction: Array
    neighbours: Array
    tilt: Array
    curve: Array


class Spectrograph(NamedTuple):
    """Settings of a spectrograph.

    Args:
        resolution: R = lambda / FWHM.
        start, end: first and last wavelength, A.
        snr: signal to noise in 1 A at 5550 A, shape (n,) of each star.
    """

    resolution: Array
    start: Array
    end: Array
    snr: Array


def continuum(star: Star, wavelength: Array) -> Array:
    """Logarithm of the continuum's flux over that at 5550 A, shape (n, wavelengths)."""
    wavelength = jnp.asarray(wavelength)
    own, cool, other = (_black_body(temperature, wavelength) for temperature in (
        star.teff[:, None], 0.75 * star.teff[:, None], jnp.full((1, 1), _NEIGHBOUR, star.teff.dtype)))
    mixed = (1 - star.companion[:, None]) * own + star.companion[:, None] * cool
    mixed = (1 - star.neighbours[:, None]) * mixed + star.neighbours[:, None] * other
    reddening = extinction_curve(wavelength) - extinction_curve(jnp.asarray(_REFERENCE))
    u = (wavelength - 6400) / 2700
    return (jnp.log(mixed) - 0.4 * jnp.log(10.0) * star.extinction[:, None] * reddening
            + star.tilt[:, None] * u + star.curve[:, None] * (3 * u**2 - 1) / 2)


def extinction_curve(wavelength: Array) -> Array:
    """A(lambda) / A_V as a power law of slope -1.3, near the mean law of Cardelli, Clayton and Mathis (1989)."""
    return (wavelength / 5500.0) ** -1.3


def _black_body(temperature, wavelength):
    """Planck's B_lambda over its value at the reference wavelength."""
    def shape(at):
        return at**-5 / jnp.expm1(_PLANCK / (at * temperature))

    return shape(wavelength) / shape(_REFERENCE)


def lines(star: Star, resolution: Array) -> tuple[Array, Array]:
    """Equivalent widths and widths sigma of the lines, both (n, lines), in A."""
    wavelength, width, by_temperature, by_gravity, by_metals = jnp.array([line[1:] for line in LINES]).T
    strength = width * jnp.exp(by_temperature * jnp.log(star.teff / 5777)[:, None] + by_gravity
                               * (star.log_g - 4.4)[:, None] + by_metals * star.feh[:, None])
    # Saturation: no line takes more than some 15 A, a few times its window.
    strength = strength / (1 + strength / 15)
    diluted = (1 - star.neighbours[:, None]) * (1 - 0.7 * star.companion[:, None])
    interstellar = _SODIUM * star.extinction[:, None] * jnp.array([line[0] == "Na D" for line in LINES])
    instrument = wavelength / (2.355 * resolution)
    rotation = 0.46 * wavelength * star.vsini[:, None] / _LIGHT
    orbit = wavelength * star.velocity[:, None] / _LIGHT
    sigma = jnp.sqrt(_INTRINSIC**2 + instrument**2 + rotation**2 + orbit**2)
    return strength * diluted + interstellar, sigma


def spectral_features(star: Star, device: Spectrograph) -> tuple[Array, Array]:
    """Expected features and variances of their noise, both (n, bands + 2 lines).

    Bands and lines beyond the range of wavelengths show noise only.
    """
    bands, centres = jnp.array(BANDS), jnp.array([line[1] for line in LINES])
    strength, sigma = lines(star, device.resolution)
    core = -jnp.log1p(strength / (jnp.sqrt(2 * jnp.pi) * sigma))  # an optically thick core never falls below zero
    caught = jax.scipy.special.erf(_WINDOW / 2 / (jnp.sqrt(2.0) * sigma))
    window = -jnp.log1p(strength * caught / _WINDOW)
    element = centres / device.resolution + jnp.zeros_like(sigma)  # a resolution element in A
    expected, widths, seen = [], [], []
    for values, at, width in ((continuum(star, bands), bands, _BAND), (core, centres, element),
                              (window, centres, _WINDOW)):
        expected.append(values * _sensitive(device, at))
        widths.append(width + jnp.zeros_like(values))
        seen.append(at)
    at = jnp.concatenate(seen)
    # Blue light is fainter and the detector less sensitive there; noise of the flux at the band's own wavelength.
    relative = jnp.exp(0.5 * (jnp.log(at / _REFERENCE)))
    variance = 1 / (device.snr[:, None] ** 2 * relative**2 * jnp.concatenate(widths, axis=1))
    return jnp.concatenate(expected, axis=1), variance


def _sensitive(device, wavelength):
    return jax.nn.sigmoid((wavelength - device.start) / _EDGE) * jax.nn.sigmoid((device.end - wavelength) / _EDGE)


def spectrum(star: Star, device: Spectrograph, wavelength: Array) -> Array:
    """Normalised flux without noise over a grid of wavelengths, shape (n, wavelengths), for pictures."""
    centres = jnp.array([line[1] for line in LINES])
    strength, sigma = lines(star, device.resolution)
    wavelength = jnp.asarray(wavelength)
    offset = (wavelength[None, :, None] - centres) / sigma[:, None, :]
    depth = (strength / (jnp.sqrt(2 * jnp.pi) * sigma))[:, None, :] * jnp.exp(-offset**2 / 2)
    return jnp.exp(continuum(star, wavelength)) / (1 + jnp.sum(depth, axis=2)) * _sensitive(device, wavelength)
