"""Stars: the physics of both devices, the regimes of the presets, gradients, and what moves a regime."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import constants, integrate

from phasejax import Regime
from phasejax.instruments import (
    STAR_PRESETS,
    InstrumentRegime,
    InstrumentSensitivity,
    StarSurvey,
    Upgrade,
    instrument_ratios,
    instrument_regime,
    instrument_sensitivity,
    upgrades,
)
from phasejax.instruments import _light_curves as curves
from phasejax.instruments import _star_spectra as spectra

ROWS = 1024  # with the default label and k = 2 for all, so that few programs are compiled


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def a_star(**changed):
    values = {"teff": 5777.0, "log_g": 4.438, "feh": 0.0, "vsini": 0.0, "companion": 0.0, "velocity": 0.0,
              "extinction": 0.0, "neighbours": 0.0, "tilt": 0.0, "curve": 0.0} | changed
    return spectra.Star(**{name: jnp.array([value]) for name, value in values.items()})


def a_light(**changed):
    values = {"teff": 5777.0, "log_g": 4.438, "period": 25.0, "spots": 0.0, "orbit": 5.0, "eclipses": 0.0,
              "neighbours": 0.0, "noise": 50.0} | changed
    return curves.Variability(**{name: jnp.array([value]) for name, value in values.items()})


FREQUENCY = np.geomspace(1e-4, 1e6, 20001)  # microhertz, over ten decades
WAVELENGTH = np.array([4000.0, 8000.0, 6562.8, 6450.0, 3000.0])
LINE = {line[0]: place for place, line in enumerate(spectra.LINES)}
DRAWS = 4000


@jax.jit
def everything(frequency, wavelength):
    """All that the tests ask of the physics, in one program."""
    quiet, giant, spotted = a_light(), a_light(log_g=2.438), a_light(period=10.0, spots=1.0)
    kepler, week, day = (curves.Photometer(jnp.float64(30), jnp.float64(days)) for days in (1000.0, 27.0, 1.0))
    device = spectra.Spectrograph(jnp.float64(1800), jnp.float64(3690), jnp.float64(9100), jnp.array([1e9]))
    sun, hot, dwarf_at_200 = a_star(), a_star(teff=6000.0), a_star(vsini=200.0)
    expected, variance = curves.light_curve_features(quiet, week)
    power = {name: curves.power_density(star, frequency)[0] for name, star in (
        ("quiet", quiet), ("giant", giant), ("spotted", spotted), ("eclipsing", a_light(eclipses=2.0)))}
    return {
        **power, "nu_max": curves.nu_max(quiet.teff, quiet.log_g)[0],
        "diluted": curves.observed_density(a_light(log_g=2.438, neighbours=0.5), kepler, frequency)[0],
        "drifts": curves.observed_density(giant, day, frequency)[0],
        "log power": expected[0], "log power variance": variance[0],
        "frequencies": curves.independent_frequencies(week),
        "binned": curves.observed_density(quiet, week, curves.bin_centres())[0],
        "noise": curves.log_power_noise(jax.random.key(0), week, (DRAWS, curves.BINS)),
        "continuum": spectra.continuum(hot, wavelength)[0],
        "reddened": spectra.continuum(a_star(teff=6000.0, extinction=1.0), wavelength)[0],
        "lines": spectra.lines(sun, device.resolution), "broad lines": spectra.lines(dwarf_at_200, device.resolution),
        "giant lines": spectra.lines(a_star(log_g=2.0), device.resolution),
        "features": spectra.spectral_features(sun, device)[0][0],
        "broad features": spectra.spectral_features(dwarf_at_200, device)[0][0],
        "blue features": spectra.spectral_features(sun, device._replace(end=jnp.float64(6000)))[0][0],
        "level": jnp.exp(spectra.continuum(sun, wavelength))[0], "flux": spectra.spectrum(sun, device, wavelength)[0]}


@pytest.fixture(scope="module")
def seen():
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, everything(FREQUENCY, WAVELENGTH))


def total(power):
    return integrate.trapezoid(power, FREQUENCY)


def at(frequency):
    return np.argmin(np.abs(FREQUENCY - frequency))


def test_granulation_has_the_published_power_at_the_published_frequency(seen):
    assert seen["nu_max"] == pytest.approx(3090)
    # A giant 100 times weaker in gravity: two components of a^2 each, and an envelope of height x width.
    peak = 30.9
    height, width = 2.03e7 * peak**-2.38, 0.66 * peak**0.88 / 2.355
    expected = 2 * (3382 * peak**-0.609) ** 2 + height * width * np.sqrt(2 * np.pi)
    assert total(seen["giant"]) == pytest.approx(expected, rel=1e-3)
    # Half of a component's density is left at its corner, b_1 = .317 nu_max^.970 and b_2 = .948 nu_max^.992.
    levels = [2 * np.sqrt(2) / np.pi * (3382 * peak**-0.609) ** 2 / b for b in (0.317 * peak**0.970,
                                                                              0.948 * peak**0.992)]
    assert seen["giant"][0] == pytest.approx(sum(levels), rel=1e-3)


def test_spots_and_eclipses_add_their_variance_at_their_frequencies(seen):
    assert total(seen["spotted"] - seen["quiet"]) == pytest.approx(2000**2, rel=1e-3)
    assert total(seen["eclipsing"] - seen["quiet"]) == pytest.approx(3000**2, rel=1e-3)
    peak = np.argmax(FREQUENCY * (seen["spotted"] - seen["quiet"]))
    assert FREQUENCY[peak] == pytest.approx(1e6 / 864000, rel=0.01)


def test_a_photometer_dilutes_filters_and_adds_white_noise(seen):
    white = 2 * 50**2 * 3600e-6
    assert seen["diluted"][at(20)] == pytest.approx(seen["giant"][at(20)] / 4 + white, rel=5e-3)  # within the band
    assert seen["diluted"][at(5000)] == pytest.approx(white, rel=1e-3)  # above the Nyquist frequency, 278 microhertz
    assert seen["drifts"][at(0.5)] < 0.01 * seen["giant"][at(0.5)] + white


def test_noise_of_log_power_has_the_moments_told(seen):
    variance, noise = seen["log power variance"], seen["noise"]
    # ln of a mean of exponentials about the true density: the mean of the power itself is right.
    mean = np.exp(noise + seen["log power"]).mean(0) / seen["binned"]
    assert np.all(np.abs(mean - 1) < 5 / np.sqrt(seen["frequencies"] * DRAWS))
    assert np.all(np.abs(noise.mean(0)) < 5 * np.sqrt(variance / DRAWS))
    np.testing.assert_allclose(noise.var(0), variance, rtol=0.2)  # kurtosis up to 8: five standard errors


def test_the_continuum_is_a_black_body_that_dust_reddens(seen):
    wavelength = np.append(WAVELENGTH[:2], 5550.0)
    x = constants.h * constants.c / (constants.k * 6000.0) / (wavelength * 1e-10)
    planck = wavelength**-5.0 / np.expm1(x)
    np.testing.assert_allclose(np.exp(seen["continuum"][:2]), planck[:2] / planck[2], rtol=1e-4)
    dust = (seen["reddened"] - seen["continuum"])[:2]
    law = [(4000 / 5500) ** -1.3, (8000 / 5500) ** -1.3] - (5550 / 5500) ** -1.3 * np.ones(2)
    np.testing.assert_allclose(dust, -law / 2.5 * np.log(10), rtol=1e-6)


def test_lines_keep_their_strength_and_lose_depth_where_they_are_broadened(seen):
    (strength, sharp), (same, broad), (giant, _) = (
        [part[0] for part in seen[name]] for name in ("lines", "broad lines", "giant lines"))
    np.testing.assert_allclose(strength, same)
    place, core = LINE["H alpha"], len(spectra.BANDS) + LINE["H alpha"]
    added = np.sqrt(broad[place] ** 2 - sharp[place] ** 2)
    assert added == pytest.approx(0.46 * 6562.8 * 200 / 299792.458, rel=1e-6)
    assert seen["features"][core] < seen["broad features"][core] < 0
    assert abs(seen["blue features"][core]) < 1e-9  # beyond the range
    assert giant[LINE["Mg b"]] < strength[LINE["Mg b"]]
    assert giant[LINE["Sr II"]] > strength[LINE["Sr II"]]


def test_a_spectrum_shows_the_lines_that_the_features_measure(seen):
    core = len(spectra.BANDS) + LINE["H alpha"]
    assert np.log(seen["flux"][2] / seen["level"][2]) == pytest.approx(seen["features"][core], abs=1e-3)
    assert seen["flux"][3] == pytest.approx(seen["level"][3], rel=1e-3)
    assert seen["flux"][4] < 1e-9


@pytest.mark.parametrize(("name", "regime"), [("both", Regime.BOTH), ("ca_only", Regime.CA_ONLY),
                                              ("cp_only", Regime.CP_ONLY), ("neither", Regime.NEITHER)])
def test_presets_lie_in_their_regimes_by_content_and_by_ratios(name, regime):
    found = instrument_regime(STAR_PRESETS[name], rows=ROWS)
    assert isinstance(found, InstrumentRegime)
    assert found.regime is regime is Regime.from_ratios(found.delta["ca"], found.delta["cp"])
    assert min(abs(np.log(found.delta[one])) for one in ("ca", "cp")) > 0.05
    assert min(abs(found.content[one] - 0.8) for one in ("ca", "cp")) > 0.1
    assert f"Regime    {regime.value} (labels log_g; k = 2)" in found.summary()
    assert "different sides" not in found.summary()


@pytest.mark.slow
def test_derivatives_are_those_of_finite_differences():
    instrument = STAR_PRESETS["ca_only"].replace(field_density=0)
    found = instrument_sensitivity(instrument, rows=ROWS)
    assert isinstance(found, InstrumentSensitivity)
    step = 1e-4

    def numbers(name, factor):
        ratios = instrument_ratios(instrument.replace(**{name: getattr(instrument, name) * factor}), rows=ROWS)
        return np.array([*np.log([ratios.delta_ca, ratios.delta_cp, ratios.delta_cp_reverse]), ratios.content.ca,
                         ratios.content.cp, ratios.content.cp_reverse])

    for name in StarSurvey.parameters():  # that of a density of 0 has no slope
        slopes = (numbers(name, np.exp(step)) - numbers(name, np.exp(-step))) / (2 * step)
        told = [of[ratio][name] for of in (found.elasticities, found.content) for ratio in ("ca", "cp", "cp_reverse")]
        np.testing.assert_allclose(told, slopes, rtol=1e-4, atol=1e-6, err_msg=name)
    assert "field_extinction moves Delta most" in found.summary()


@pytest.mark.slow
def test_the_least_change_is_just_enough():
    instrument, calls = STAR_PRESETS["neither"], []
    found = upgrades(instrument, parameters=["field_extinction", "photometric_noise"], rows=ROWS,
                     progress=lambda task, done, total: calls.append((task, done, total)))
    assert isinstance(found[0], Upgrade)
    assert abs(found[0].log_change) < abs(found[1].log_change)
    extinction, noise = sorted(found, key=lambda one: one.parameter)
    for one in (extinction, noise):
        inside = instrument.replace(**{one.parameter: one.before * np.exp(0.99 * one.log_change)})
        assert instrument_regime(inside, rows=ROWS).regime is Regime.NEITHER
        assert instrument_regime(instrument.replace(**{one.parameter: one.after}), rows=ROWS) == one.regime[1]
    assert extinction.regime[1].regime is Regime.CP_ONLY
    assert extinction.summary().startswith("field_extinction 0.500 -> 0.")
    assert calls[-1] == ("parameters", 2, 2)
    assert upgrades(instrument, "Neither", parameters=["cadence"], rows=ROWS) == ()
    assert upgrades(instrument.replace(field_density=0), parameters=["field_density"], rows=ROWS) == ()
