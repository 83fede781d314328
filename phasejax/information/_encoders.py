r"""Small encoders as plain arrays, so that thousands of them are trained in one program.

An encoder of depth D has hidden layers h_1, ..., h_D of equal width,

.. math::  h_1 = \sigma(W_1 x + b_1), \quad h_j = \sigma(W_j h_{j-1} + b_j), \qquad
    \sigma(t) = \max(t, t / 10)

with a linear head for the label, as in T25's published code.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from phasejax._core.pytree import pytree

_SLOPE = 0.1


@pytree
class Linear:
    """z W + b, with W of shape (inputs, outputs)."""

    weight: Float[Array, "*cells inputs outputs"]
    bias: Float[Array, "*cells outputs"]

    def __call__(self, rows: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
        """The outputs of every row."""
        return rows @ self.weight + self.bias


def start_linear(key: Array, inputs: int, outputs: int, gain: float = 1.0) -> Linear:
    """Normal weights of variance gain^2 / inputs, no bias."""
    return Linear(gain / jnp.sqrt(inputs) * jax.random.normal(key, (inputs, outputs)), jnp.zeros(outputs))


def start_encoder(key: Array, depth: int, inputs: int, width: int) -> list[Linear]:
    """The layers of an encoder; the gain keeps the size of a signal through them (He et al. 2015)."""
    gain = (2 / (1 + _SLOPE**2)) ** 0.5
    return [start_linear(k, inputs if j == 0 else width, width, gain)
            for j, k in enumerate(jax.random.split(key, depth))]


def hidden_layers(encoder: list[Linear], rows: Float[Array, "n inputs"]) -> list[Float[Array, "n width"]]:
    """h_1, ..., h_D of every row."""
    found = []
    for layer in encoder:
        rows = jax.nn.leaky_relu(layer(rows), _SLOPE)
        found.append(rows)
    return found


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, ""]:
    """Mean of -log p(label), in nats, without a gather (which has a slow gradient on a CPU)."""
    chosen = jnp.sum(logits * jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype), axis=1)
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen)
