r"""The encoders of both experiments, as plain arrays, so that many of them are trained in one program.

An encoder of depth D has hidden layers h_1, ..., h_D of equal width,

.. math::  h_1 = \sigma(W_1 x + b_1), \quad h_j = \sigma(W_j h_{j-1} + b_j), \qquad
    \sigma(t) = \max(t, t / 10)

with a linear head for the label, as in T25's published code. It is trained by Adam on minibatches, and scored by its
accuracy over all states of its modality.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from phasejax._core.pytree import pytree

_SLOPE = 0.1
Parameters = TypeVar("Parameters")


@pytree
class Linear:
    """The map z -> z W + b.

    Args:
        weight: W, shape (inputs, outputs).
        bias: b, shape (outputs,).
    """

    weight: Float[Array, "*cells inputs outputs"]
    bias: Float[Array, "*cells outputs"]

    def __call__(self, rows: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
        """The outputs of every row."""
        return rows @ self.weight + self.bias


def start_linear(key: Array, inputs: int, outputs: int, gain: float = 1.0) -> Linear:
    """A map with normal weights of variance gain^2 / inputs and without bias."""
    return Linear(gain / jnp.sqrt(inputs) * jax.random.normal(key, (inputs, outputs)), jnp.zeros(outputs))


def start_encoder(key: Array, depth: int, inputs: int, width: int) -> list[Linear]:
    """The layers of an encoder before training; their gain keeps the size of a signal (He et al. 2015)."""
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


def exact_accuracy(logits: Float[Array, "states L"], given: Float[Array, "states L"]) -> Float[Array, ""]:
    """Probability that the class of the largest logit is the label, over equally likely states.

    Args:
        logits: of every state.
        given: p(l | state).
    """
    return jnp.mean(jnp.take_along_axis(given, jnp.argmax(logits, axis=1)[:, None], axis=1))


def train_on_minibatches(parameters: Parameters, loss: Callable[..., Float[Array, ""]],
                         minibatch: Callable[[Int[Array, ""]], tuple[Array, ...]], *,
                         learning_rate: optax.ScalarOrSchedule, steps: int) -> Parameters:
    """Parameters after steps of Adam, each on a minibatch of its own; traceable.

    Args:
        parameters: those of the first step.
        loss: of the parameters and the arrays of a minibatch.
        minibatch: the arrays that the step of a given number uses.
        learning_rate: a number or a schedule.
        steps: how many.
    """
    optimiser = optax.adam(learning_rate)

    def step(carry, index):
        parameters, state = carry
        updates, state = optimiser.update(jax.grad(loss)(parameters, *minibatch(index)), state)
        return (optax.apply_updates(parameters, updates), state), None

    start = optimiser.init(cast(optax.Params, parameters))
    (trained, _), _ = jax.lax.scan(step, (parameters, start), jnp.arange(steps))
    return cast(Parameters, trained)
