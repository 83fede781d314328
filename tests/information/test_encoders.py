"""Encoders beside the same networks written out, their accuracy beside that of the best classifier, their training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from phasejax.information import joint_table
from phasejax.information._encoders import (
    Linear,
    cross_entropy,
    exact_accuracy,
    hidden_layers,
    start_encoder,
    train_on_minibatches,
)
from phasejax.information._shared_unique_bits import label_given_states, label_of_seed


def test_networks_and_losses_are_those_written_out():
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((7, 5)), rng.integers(0, 3, 7)
    encoder = [Linear(jnp.asarray(rng.standard_normal(shape)), jnp.asarray(rng.standard_normal(shape[1])))
               for shape in ((5, 4), (4, 4), (4, 3))]
    h = rows
    for layer, found in zip(encoder, hidden_layers(encoder, jnp.asarray(rows)), strict=True):
        h = h @ np.asarray(layer.weight) + np.asarray(layer.bias)
        h = np.where(h > 0, h, h / 10)
        np.testing.assert_allclose(found, h, rtol=1e-4, atol=1e-5)
    expected = -scipy.special.log_softmax(h, axis=1)[np.arange(7), labels].mean()
    assert float(cross_entropy(jnp.asarray(h), jnp.asarray(labels))) == pytest.approx(expected, rel=1e-5)
    # The gain of the start keeps the mean square of a signal.
    start = start_encoder(jax.random.key(0), 4, 256, 256)
    noise = jax.random.normal(jax.random.key(1), (64, 256))
    sizes = [float(jnp.mean(layer**2)) for layer in hidden_layers(start, noise)]
    assert 0.6 < sizes[-1] / sizes[0] < 1.7


def test_accuracy_is_over_all_states():
    model, _ = label_of_seed(4, 0)
    table = joint_table(model)
    for given, mean in zip(label_given_states(model), (table.mean(2), table.mean(1)), strict=True):
        best = exact_accuracy(jnp.asarray(given), jnp.asarray(given, jnp.float32))
        assert float(best) == pytest.approx(mean.max(-1).mean(), abs=1e-5)
    wrong = -jnp.asarray(given, jnp.float32)
    assert float(exact_accuracy(wrong, jnp.asarray(given, jnp.float32))) == pytest.approx(
        mean.min(-1).mean(), abs=1e-5)


def test_training_takes_the_steps_of_adam():
    """Two steps written out: of size learning rate each, as long as the gradient is constant."""
    def loss(weight, direction):
        return jnp.sum(weight * direction)

    found = train_on_minibatches(jnp.zeros(3), loss, lambda index: (jnp.array([1.0, -2.0, 3.0]),), learning_rate=0.1,
                                 steps=2)
    np.testing.assert_allclose(found, [-0.2, 0.2, -0.2], rtol=1e-5)
