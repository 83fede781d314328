r"""Stars seen by a spectrograph and by a photometer: `StarSurvey` and its presets.

Stars run from dwarfs to giants: log g uniform from 2.0 to 4.7, temperatures about 4800 K of giants and 6000 K of
dwarfs, [Fe/H] -0.15 +- 0.25, radii from g and 1.1 solar masses, rotation periods about 10 days,
three in ten with a companion. Both devices look along the same line of sight. Dust reddens the spectrum and dims the
star, so that the light curve is noisier; neighbours put their light into the fibre and into the pixels. Extinction and
neighbours are correlated, since both belong to low galactic latitudes.
"""

from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from phasejax._core.pytree import pytree
from phasejax._core.validation import is_traced
from phasejax.instruments._instrument import ExpectedViews, Instrument, Number, parameter
from phasejax.instruments._light_curves import Photometer, Variability, light_curve_features, log_power_noise
from phasejax.instruments._star_spectra import Spectrograph, Star, spectral_features, spectrum

_BINARIES = 0.3
_MAGNITUDE = 12.0  # about which the targets lie, and for which noise is told


@pytree
class StarSurvey(Instrument):
    """A spectrograph (x) and a photometer (y) that look at the same stars, with the field in which the stars lie.

    x holds ln flux of 12 bands of the continuum and two windows about each of 20 lines, y ln power in 36 bins of
    frequency. The labels are `teff` (K), `log_g` (dex), `feh` (dex), `log_period` (log10 of days) and `binary` (two
    classes); the nuisances `extinction` (A_V, mag), `crowding` (ln of the relative density of neighbours) and
    `magnitude`.

    Args:
        resolution: lambda / FWHM of the spectrograph.
        wavelength_min, wavelength_max: its range, A.
        spectrum_snr: signal to noise in 1 A at 5550 A for a star of magnitude 12.
        flux_calibration: error of the flux calibration at the ends of the range, relative.
        fibre_diameter: arcsec.
        photometric_noise: of the photometer in an hour for a star of magnitude 12, ppm.
        cadence: time between measurements, minutes.
        baseline: length of a light curve, days.
        pixel_scale: arcsec; the aperture is two pixels wide.
        field_extinction: median A_V of the field, mag.
        field_density: light of neighbours in a circle of an arcminute's diameter, relative to the target's.
        magnitude_scatter: standard deviation of the magnitudes before extinction, mag.

    Raises:
        ValueError: a value out of its range (`StarSurvey.parameters`), or an empty range of wavelengths.

    >>> StarSurvey(resolution=0)
    Traceback (most recent call last):
    ...
    ValueError: resolution: expected a number of at least 50 and of at most 100000, got 0
    """

    resolution: Number = parameter(1800, "1", 50, 1e5)
    wavelength_min: Number = parameter(3690, "A", 3000, 10000)
    wavelength_max: Number = parameter(9100, "A", 3000, 10000)
    spectrum_snr: Number = parameter(50, "1", 0.1, 1e4)
    flux_calibration: Number = parameter(0.05, "1", 0, 2)
    fibre_diameter: Number = parameter(3.3, "arcsec", 0.1, 60)
    photometric_noise: Number = parameter(70, "ppm", 0.1, 1e6)
    cadence: Number = parameter(29.4, "min", 0.1, 1440)
    baseline: Number = parameter(1400, "d", 1, 1e4)
    pixel_scale: Number = parameter(4.0, "arcsec", 0.1, 60)
    field_extinction: Number = parameter(0.2, "mag", 0, 10)
    field_density: Number = parameter(0.3, "1", 0, 1e3)
    magnitude_scatter: Number = parameter(1.0, "mag", 0, 5)

    def __post_init__(self):
        super().__post_init__()
        start, end = self.wavelength_min, self.wavelength_max
        if not is_traced(start, end) and not start < end:
            raise ValueError(f"wavelength_max: expected a number above wavelength_min = {float(start):g}, "
                             f"got {float(end):g}")

    @property
    def label_classes(self) -> Mapping[str, int]:
        """Two classes of `binary`; all other labels are real."""
        return MappingProxyType({"teff": 0, "log_g": 0, "feh": 0, "log_period": 0, "binary": 2})

    @property
    def default_labels(self) -> tuple[str, ...]:
        """log g, of which both devices know."""
        return ("log_g",)

    @property
    def default_k(self) -> int:
        """Two: log g and the property that the views share most besides, rotation or extinction."""
        return 2

    def expected_views(self, key: Array, n: int) -> ExpectedViews:
        """Stars and their lines of sight, and what each device expects of them."""
        star, variability, labels, nuisances = self._drawn(key, n)
        x, variance_x = spectral_features(star, self._spectrograph(nuisances["magnitude"]))
        y, variance_y = light_curve_features(variability, self._photometer())
        return ExpectedViews(x=x, y=y, variance_x=variance_x, variance_y=variance_y, labels=labels,
                             nuisances=nuisances)

    def spectra(self, key: Array, n: int, wavelength: Array, rows: slice) -> Array:
        """Noiseless flux of some of the n stars of `expected_views` over wavelengths in A, for pictures."""
        star, _, _, nuisances = self._drawn(key, n)
        device = self._spectrograph(nuisances["magnitude"][rows])
        return spectrum(Star(*(values[rows] for values in star)), device, jnp.asarray(wavelength))

    def _drawn(self, key, n):
        keys, dtype = jax.random.split(key), jnp.result_type(float)
        return self._stars(jax.random.normal(keys[0], (12, n), dtype), jax.random.uniform(keys[1], (4, n), dtype))

    def noisy(self, key: Array, expected: ExpectedViews) -> tuple[Array, Array]:
        """Normal noise of ln flux, and logarithms of gamma variables for power."""
        keys = jax.random.split(key)
        x = expected.x + jnp.sqrt(expected.variance_x) * jax.random.normal(keys[0], expected.x.shape, expected.x.dtype)
        return x, expected.y + log_power_noise(keys[1], self._photometer(), expected.y.shape).astype(x.dtype)

    def _spectrograph(self, magnitude):
        return Spectrograph(
            resolution=jnp.asarray(self.resolution), start=jnp.asarray(self.wavelength_min),
            end=jnp.asarray(self.wavelength_max), snr=jnp.asarray(self.spectrum_snr) * _dimming(magnitude))

    def _photometer(self):
        return Photometer(cadence=jnp.asarray(self.cadence), baseline=jnp.asarray(self.baseline))

    def _stars(self, normal, uniform):
        """Properties of stars and lines of sight, from 12 normal and 4 uniform numbers for each."""
        (temperature, metals, rotation, orbit, velocity, spots, eclipses, dust, density, distance, tilt, curve) = normal
        gravity, inclination, pair, share = uniform
        log_g = 2.0 + 2.7 * gravity
        dwarf = jax.nn.sigmoid((log_g - 3.7) / 0.2)
        teff = (4800 + 1200 * dwarf) * jnp.exp(0.07 * temperature)
        feh = -0.15 + 0.25 * metals
        log_period = 1.0 + 0.3 * rotation + 0.6 * (1 - dwarf)
        period = jnp.exp(np.log(10) * log_period)
        sine = jnp.sqrt(1 - inclination ** 2)  # of a random axis
        radius = np.sqrt(1.1) * jnp.exp(np.log(10) / 2 * (4.438 - log_g))  # solar radii
        binary = (pair < _BINARIES).astype(normal.dtype)  # no parameter enters here
        orbit_days = jnp.exp(np.log(10) * (0.7 + 0.4 * orbit))
        extinction = jnp.asarray(self.field_extinction) * jnp.exp(0.6 * dust)
        crowding = 0.8 * (0.6 * dust + 0.8 * density)
        # Of neighbours, in a circle of one arcsecond's diameter.
        light = jnp.asarray(self.field_density) * jnp.exp(crowding) / 60**2
        in_fibre, in_pixels = (light * jnp.square(width) for width in (self.fibre_diameter, 2 * self.pixel_scale))
        magnitude = _MAGNITUDE + self.magnitude_scatter * distance + extinction
        star = Star(teff=teff, log_g=log_g, feh=feh, vsini=50.6 * radius / period * sine,
                    companion=binary * 0.3 * share, extinction=extinction,
                    velocity=binary * 60 * jnp.abs(velocity), neighbours=in_fibre / (1 + in_fibre),
                    tilt=self.flux_calibration * tilt, curve=self.flux_calibration * curve)
        variability = Variability(
            teff=teff, log_g=log_g, period=period, spots=sine * jnp.exp(0.5 * spots), orbit=orbit_days,
            eclipses=binary * jnp.exp(0.7 * eclipses), neighbours=in_pixels / (1 + in_pixels),
            noise=jnp.asarray(self.photometric_noise) / _dimming(magnitude))
        labels = {"teff": teff, "log_g": log_g, "feh": feh, "log_period": log_period,
                  "binary": binary.astype(jnp.int32)}
        return star, variability, labels, {"extinction": extinction, "crowding": crowding, "magnitude": magnitude}


def _dimming(magnitude):
    """Root of the number of photons relative to that of a star of magnitude 12."""
    return jnp.exp(-0.2 * np.log(10) * (magnitude - _MAGNITUDE))


# With the default label and width: dust that dims and reddens is what both devices see most of where the targets are
# equally bright (Neither, CP only) and where noise rules the light curves (Neither, CA only).
STAR_PRESETS: dict[str, StarSurvey] = {
    "both": StarSurvey(),
    "ca_only": StarSurvey(spectrum_snr=100, photometric_noise=1000, cadence=30, baseline=60, field_extinction=0.8,
                          field_density=0.1, magnitude_scatter=2.5),
    "cp_only": StarSurvey(photometric_noise=2000, cadence=30, baseline=27, field_extinction=0.15, field_density=0.1,
                          magnitude_scatter=0.1),
    "neither": StarSurvey(photometric_noise=2000, cadence=30, baseline=27, field_extinction=0.5, field_density=0.1,
                          magnitude_scatter=0.2),
    "kepler": StarSurvey(),
    "tess": StarSurvey(photometric_noise=500, cadence=30, baseline=27, pixel_scale=21, magnitude_scatter=0.7),
}
