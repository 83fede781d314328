"""Covariances of simulated views, and separation ratios from them, beside the spiked model's closed forms."""

import jax
import numpy as np
import pytest

from phasejax import SpikedModel, delta_ca, delta_cp
from phasejax.instruments import (
    STAR_PRESETS,
    InstrumentMoments,
    InstrumentRatios,
    instrument_moments,
    instrument_ratios,
    ratios_of_moments,
)
from phasejax.simulation import population_covariances, random_basis
from phasejax.theory import delta_cp_reverse, label_content
from tests.instruments.test_instrument import TwoScales

MODEL = SpikedModel.create([2.0, 1.2], nu=[0.5, 0.2, 0.1], gamma_x=[0.3, 0.8], gamma_y=0.4, nuisance_x=2.0,
                           nuisance_y=[1.0, 3.0, 0.7, 0.5], d=5, d_y=6)


ratios = jax.jit(ratios_of_moments, static_argnums=1)


def moments_of_the_model(model, loadings):
    """Exact covariances in random bases, with labels that are mixtures of the signals."""
    q_x, q_y = random_basis(1, model.d_x), random_basis(2, model.d_y)
    found = population_covariances(model, q_x, q_y)
    signal = np.diag(model.kappa**2) @ loadings
    return InstrumentMoments(xx=found.xx, xy=found.xy, yy=found.yy, x_labels=q_x[:, :model.k] @ signal,
                             y_labels=q_y[:, :model.k] @ signal)


def test_labels_that_span_the_signals_give_the_ratios_of_the_spiked_model():
    with jax.enable_x64(True):
        found = ratios(moments_of_the_model(MODEL, np.array([[1.0, 0.4], [-0.3, 2.0]])), 2)
        assert isinstance(found, InstrumentRatios)
        expected = [delta(MODEL) for delta in (delta_ca, delta_cp, delta_cp_reverse)]
        np.testing.assert_allclose([found.delta_ca, found.delta_cp, found.delta_cp_reverse], expected, rtol=1e-9)
        content = label_content(MODEL, 2)
        np.testing.assert_allclose(found.content.ca, content.ca, rtol=1e-9)


def test_other_signals_are_nuisance_and_a_wider_bottleneck_has_room_for_them():
    with jax.enable_x64(True):
        moments = moments_of_the_model(MODEL, np.array([[0.0], [1.0]]))  # the weaker signal is the label
        kappa2 = np.array([4.0, 1.44])
        rho = kappa2 / np.sqrt((kappa2 + MODEL.gamma_x) * (kappa2 + 0.4))
        tau, xi = kappa2 / np.sqrt(kappa2 + MODEL.gamma_x), MODEL.nu * np.sqrt(MODEL.nuisance_y[:3])
        for k, place in ((1, 0), (2, 1)):
            found = ratios(moments, k)
            np.testing.assert_allclose(found.delta_ca, rho[1] / np.sort([rho[0], *MODEL.nu])[::-1][place], rtol=1e-9)
            np.testing.assert_allclose(found.delta_cp, tau[1] / np.sort([tau[0], *xi])[::-1][place], rtol=1e-9)


def test_noise_enters_exactly_and_labels_are_coded():
    found = instrument_moments(TwoScales(gain=3.0, spread=0.5), ["mass", "heavy"], rows=4096)
    # Of 4,096 rows: variances 1 +- sqrt(2 / 4096) = .022, covariances 0 +- .016; five standard errors.
    np.testing.assert_allclose(found.xx, np.diag([9.5, 0.5, 0.5]), atol=9 * 0.11)
    np.testing.assert_array_equal(found.xx[1:, 1:], 0.5 * np.eye(2))
    assert found.x_labels[0, 0] == pytest.approx(3 * found.y_labels[0, 0], rel=1e-12)
    assert found.y_labels[0, 0] == pytest.approx(1, abs=0.06)
    # Cov(mass, indicator of the first of two classes, mass <= 0) = -phi(0).
    assert found.y_labels[0, 1] == pytest.approx(-1 / np.sqrt(2 * np.pi), abs=0.05)


def test_the_same_seed_gives_the_same_numbers_and_another_nearly_the_same():
    one, again, other = (float(instrument_ratios(STAR_PRESETS["neither"], rows=1024, seed=seed).delta_cp)
                         for seed in (0, 0, 1))
    assert one == again != other
    assert one == pytest.approx(other, rel=0.25)
