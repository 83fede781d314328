"""The network that disguises a modality, beside the same network written out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phasejax.information import TanhNetwork, tanh_network


def test_the_network_is_the_one_written_out():
    net = tanh_network(jax.random.key(1), 2, 3)
    outputs = []
    for bits in itertools.product((-0.5, 0.5), repeat=3):
        h = np.array(bits)
        for layer in range(3):
            h = (np.tanh(h) if layer else h) @ np.asarray(net.weights[layer], float) + np.asarray(net.biases[layer])
        outputs.append(h)
    standard = (outputs - np.mean(outputs, 0)) / np.std(outputs, 0)
    found = net(jnp.array(list(itertools.product((-0.5, 0.5), repeat=3)), jnp.float32))
    np.testing.assert_allclose(found, standard, atol=2e-5)
    assert np.abs(net.weights).max() <= 3**-0.5
    assert isinstance(net, TanhNetwork)


def test_a_negative_depth_is_refused():
    with pytest.raises(ValueError, match="depth: expected a whole number from 0 to 10000, got -1"):
        tanh_network(jax.random.key(0), -1)
