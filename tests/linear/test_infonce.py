"""InfoNCE on linear encoders: training learns what alignment does, stops, and deals every row once."""

import jax
import numpy as np
import pytest

import phasejax as pj
from phasejax.linear._infonce import _shuffled

KEY = jax.random.key(1)
MODEL = pj.SpikedModel.create([3.0, 2.0], 0.3, gamma_x=0.5, gamma_y=0.3, nuisance_y=4.0, d=7, d_y=5)


@pytest.mark.slow
def test_info_nce_learns_what_alignment_does():
    sample = pj.simulation.sample_pairs(jax.random.key(0), MODEL, 4000)
    run = jax.jit(lambda key, t: pj.linear.train_info_nce(sample.x, sample.y, 2, temperature=t, key=key, batch=256,
                                                          max_steps=800, window=100, check_every=50))
    found = run(KEY, 0.1)
    ca = jax.jit(lambda x, y: pj.linear.solve_ca(pj.linear.covariances_from_samples(x, y), 2))(sample.x, sample.y)
    assert float(pj.linear.mean_squared_sine(ca.encoder_x, found.encoder_x)) < 0.02
    assert float(pj.linear.mean_squared_sine(ca.encoder_y, found.encoder_y)) < 0.02
    np.testing.assert_allclose(found.spectrum, ca.spectrum[:2], atol=0.02)
    assert np.all(found.spectrum <= ca.spectrum[:2] + 1e-5)
    assert int(found.steps) % 50 == 0
    assert 200 <= int(found.steps) <= 800
    again, other = run(KEY, 0.1), run(jax.random.key(2), 0.1)
    np.testing.assert_array_equal(again.encoder_x, found.encoder_x)
    assert not np.allclose(other.encoder_x, found.encoder_x)
    loss = pj.linear.info_nce_loss(sample.x[:256] @ found.encoder_x.T, sample.y[:256] @ found.encoder_y.T, 0.1)
    assert float(loss) == pytest.approx(float(found.loss), abs=0.4)


def test_info_nce_stops_when_the_mean_loss_rests():
    sample = pj.simulation.sample_pairs(jax.random.key(0), MODEL, 300)
    run = jax.jit(lambda tolerance: pj.linear.train_info_nce(
        sample.x, sample.y, 2, temperature=0.1, key=KEY, batch=64, max_steps=400, window=100, check_every=50,
        tolerance=tolerance))
    at_once, never = (run(tolerance) for tolerance in (np.inf, 0.0))
    assert (int(at_once.steps), bool(at_once.converged)) == (200, True)  # two windows are compared
    assert (int(never.steps), bool(never.converged)) == (400, False)


def test_training_at_a_logit_scale_of_100_in_any_units():
    """The temperature of 0.01 that CLIP ends with, in float32, on rows as they are and in units of 1e-25."""
    sample = pj.simulation.sample_pairs(jax.random.key(0), MODEL, 300)
    train = jax.jit(lambda x, t: pj.linear.train_info_nce(x, sample.y, 2, temperature=t, key=KEY, batch=100,
                                                          max_steps=400, window=100, check_every=50))
    ca = pj.linear.solve_ca(pj.linear.covariances_from_samples(sample.x, sample.y), 2)
    found = train(sample.x, 0.01)
    whole = float(pj.linear.info_nce_loss(sample.x[:100] @ found.encoder_x.T, sample.y[:100] @ found.encoder_y.T, 0.01))
    assert float(found.loss) == pytest.approx(whole, rel=0.3)
    assert float(found.spectrum[1]) > 0.8 * float(ca.spectrum[1])
    scaled = train(np.asarray(sample.x) * np.float32(2.0**-83), 0.01)
    for name in ("encoder_x", "encoder_y", "loss", "spectrum"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(found, name))


def test_every_row_is_dealt_once_an_epoch():
    orders = [np.asarray(_shuffled(jax.random.key(i), 1000)) for i in range(2)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(1000))
    assert np.mean(orders[0] == orders[1]) < 0.02
    assert abs(np.corrcoef(orders[0], np.arange(1000))[0, 1]) < 0.15


@pytest.mark.parametrize(("change", "message"), [
    ({"batch": 21}, "batch: expected 2 to n = 20 rows, got 21"),
    ({"temperature": 0.0}, "temperature: expected a finite number above 0, got 0.0"),
    ({"check_every": 7}, "check_every: expected a divisor of window = 300, got 7"),
    ({"k": 3}, r"k: expected 1 to min\(d_x, d_y\) = 2, got 3"),
    ({"y": np.ones((19, 2))}, "y: expected 20 rows as in x, got 19")])
def test_bad_arguments_of_info_nce_are_refused(change, message):
    arguments = {"x": np.ones((20, 2)), "y": np.ones((20, 2)), "k": 1, "temperature": 0.1, "key": KEY,
                 "batch": 8} | change
    with pytest.raises(ValueError, match=message):
        pj.linear.train_info_nce(**arguments)
