"""What all simulated instruments have in common: parameters, checks, rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax._core.pytree import pytree
from phasejax.instruments import (
    STAR_PRESETS,
    ExpectedViews,
    Instrument,
    InstrumentSample,
    StarSurvey,
    instrument_moments,
    instrument_regime,
    instrument_sensitivity,
    observe,
    upgrades,
)
from phasejax.instruments._instrument import Number, count, parameter


@pytree
class TwoScales(Instrument):
    """Two scales that weigh the same things, with a gain of the first and columns that show noise only."""

    gain: Number = parameter(2.0, "g", 0.5, 10)
    spread: Number = parameter(0.5, "1", 0, 1)
    columns: int = count(3, 2, 9)

    @property
    def label_classes(self):
        return {"mass": 0, "heavy": 2}

    @property
    def default_labels(self):
        return ("mass",)

    def expected_views(self, key, n):
        mass, own = jax.random.normal(key, (2, n))
        x = jnp.zeros((n, self.columns)).at[:, 0].set(self.gain * mass)
        y = jnp.zeros((n, self.columns)).at[:, 0].set(mass).at[:, 1].set(own)
        one = jnp.ones((n, self.columns))
        return ExpectedViews(x=x, y=y, variance_x=self.spread * one, variance_y=one,
                             labels={"mass": mass, "heavy": (mass > 0).astype(int)}, nuisances={"own": own})


def test_parameters_are_leaves_and_counts_belong_to_the_structure():
    one = TwoScales(gain=3, columns=4)
    leaves, tree = jax.tree.flatten(one)
    assert leaves == [3.0, 0.5]
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float64)}
    assert tree != jax.tree.structure(one.replace(columns=5))
    assert (one.replace(gain=4).gain, one.gain) == (4, 3)
    assert list(TwoScales.parameters()) == ["gain", "spread"]
    assert TwoScales.parameters()["gain"]["unit"] == "g"


def test_traced_values_out_of_range_are_nan():
    gains = jax.vmap(lambda gain: TwoScales(gain=gain).gain)(jnp.array([1.0, 0.1, 11.0]))
    np.testing.assert_array_equal(gains, [1.0, np.nan, np.nan])


def test_noise_has_the_variances_told_and_rows_repeat_with_the_key():
    one = TwoScales(spread=0.25)
    a, b, c = (observe(key, one, 4000) for key in (1, 1, 2))
    assert isinstance(a, InstrumentSample)
    np.testing.assert_array_equal(a.x, b.x)
    assert not np.array_equal(a.x, c.x)
    # Variances of 4,000 rows have a relative standard error of sqrt(2 / 4000) = .022: five of them.
    np.testing.assert_allclose(np.var(a.x, 0), [4.25, 0.25, 0.25], rtol=0.11)
    np.testing.assert_allclose(np.var(a.y, 0), [2, 2, 1], rtol=0.11)
    doubled = observe(1, one.replace(gain=4.0), 4000)
    np.testing.assert_array_equal(doubled.labels["mass"], a.labels["mass"])


@pytest.mark.parametrize(("make", "words"), [
    (lambda: TwoScales(gain=0.1), "gain: expected a number of at least 0.5 and of at most 10, got 0.1, in units of g"),
    (lambda: TwoScales(columns=1), "columns: expected a whole number from 2 to 9, got 1"),
    (lambda: TwoScales().replace(gian=1), r"gian: expected one of gain, spread, columns \(did you mean 'gain'\?\)"),
    (lambda: StarSurvey(resolution=0), "resolution: expected a number of at least 50 and of at most 100000, got 0"),
    (lambda: StarSurvey(photometric_noise=-3.0), "photometric_noise: expected a number of at least 0.1"),
    (lambda: StarSurvey(field_extinction=float("nan")), "field_extinction: expected .* got nan, in units of mag"),
    (lambda: StarSurvey(wavelength_min=9000, wavelength_max=4000),
     "wavelength_max: expected a number above wavelength_min = 9000, got 4000"),
    (lambda: observe(0, STAR_PRESETS["both"], 0), "n: expected a whole number of at least 1, got 0"),
    (lambda: instrument_moments(STAR_PRESETS["both"], ["logg"]), r"labels: .* \(did you mean 'log_g'\?\)"),
    (lambda: instrument_moments(STAR_PRESETS["both"], []), "labels: expected at least one, got none"),
    (lambda: instrument_moments(STAR_PRESETS["both"], rows=3), "rows: expected a whole number of at least 400, got 3"),
    (lambda: instrument_regime(STAR_PRESETS["both"], 1, ["teff", "log_g"]),
     "k: expected a whole number of at least 2, the columns of the labels teff, log_g, got 1"),
    (lambda: upgrades(STAR_PRESETS["both"], "both"), "target: expected a Regime or one of .* got 'both'"),
    (lambda: upgrades(STAR_PRESETS["both"], parameters=["noise"]), "parameters: expected one of resolution"),
    (lambda: jax.jit(instrument_sensitivity)(STAR_PRESETS["both"]), "instrument: expected a concrete instrument")])
def test_bad_input_is_named_in_one_line(make, words):
    with pytest.raises(ValueError, match=f"^{words}") as caught:
        make()
    assert "\n" not in str(caught.value)
